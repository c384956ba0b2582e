import Foundation
import Model
import Ports
import Testing

/// `fabgate store info|export|verify` and what `check` says of the store, as whole programs.
@Suite(.serialized) struct StoreProgramTests {
    private static let start = Instant("2026-11-23T00:00:00Z") ?? .distantPast
    private static let hours = 30

    /// A folder whose store has been filled by a replay, two samples of each channel a minute.
    private func filled(hours: Int = Self.hours) async throws -> PrivateFolder {
        let folder = try PrivateFolder()
        let file = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1" }]
            devices: [{ id: laser-plug, driver: tasmota, mqtt: main, topic: laser }]
            machines: [{ id: laser, class: laser, devices: [laser-plug], usage: { from: power, idle_below: 5 W } }]
            store: { path: \(folder.path)/store, size: 2 MiB, series_limit: 80 }

            """)
        let lines = (0..<hours * 120).map { half in
            let power = half * 7919 % 1501
            let payload =
                "{\"ENERGY\":{\"Total\":\(100 + Double(half) / 1000),\"Power\":\(power),\"Voltage\":\(229 + half % 3)}}"
            let message = CaptureLine.Link.mqtt(
                topic: "tele/laser/SENSOR", payload: Array(payload.utf8), retained: false)
            let line = CaptureLine(time: Self.start + .seconds(Int64(half) * 30), message)
            return String(decoding: line.bytes, as: UTF8.self) + "\n"
        }
        let capture = try folder.write("c.jsonl", lines.joined())
        let replay = try Program(
            ["fabgate", "replay", capture, "--store", "\(folder.path)/kept", "--config", file], in: folder,
            name: "replay")
        try #require(try await replay.status() == 0, "\(replay.log)")
        return folder
    }

    private func store(_ word: String, _ folder: PrivateFolder) async throws -> (status: Int32, log: String) {
        let program = try Program(
            ["fabgate", "store", word, "--store", "\(folder.path)/kept"], in: folder, name: word)
        return (try await program.status(), program.log)
    }

    private struct Exported {
        var samples: [(time: Instant, number: Double)] = []
        var slots: [JSON] = []
        var days: [JSON] = []
    }

    @Test func infoExportAndVerifyAgreeAboutAStoreWithTiers() async throws {
        let folder = try await filled()
        let (exportStatus, log) = try await store("export", folder)
        #expect(exportStatus == 0)
        var power = Exported()
        var all = 0
        for text in log.split(separator: "\n") {
            let line = try #require(JSON(String(text)), "\(text)")
            let time = try #require(line["t"]?.text.flatMap { Instant($0) }, "\(text)")
            if line["tier"] == nil { all += 1 }
            guard line["series"]?.text == "laser-plug/power" else { continue }
            switch line["tier"]?.text {
            case "slots": power.slots.append(line)
            case "days": power.days.append(line)
            default: power.samples.append((time, try #require(line["value"]?.number)))
            }
        }
        #expect(power.samples.map(\.number) == (0..<Self.hours * 120).map { Double($0 * 7919 % 1501) })
        #expect(power.slots.count == Self.hours * 4)
        for slot in power.slots {
            let start = try #require(slot["t"]?.text.flatMap { Instant($0) })
            let own = power.samples.filter { $0.time >= start && $0.time < start + .minutes(15) }.map(\.number)
            #expect(slot["count"]?.number == Double(own.count) && own.count == 30)
            #expect(slot["min"]?.number == own.min() && slot["max"]?.number == own.max())
            #expect(slot["first"]?.number == own.first && slot["last"]?.number == own.last)
        }
        // The lab's first day ended at 15:00 UTC; the second is not over.
        let day = try #require(power.days.first)
        #expect(power.days.count == 1 && day["t"]?.text == "2026-11-22T15:00:00.000Z")
        let own = power.samples.filter { $0.time < Self.start + .hours(15) }.map(\.number)
        #expect(day["count"]?.number == Double(own.count) && day["max"]?.number == own.max())

        let (infoStatus, info) = try await store("info", folder)
        #expect(infoStatus == 0)
        let rows = Dictionary(
            info.split(separator: "\n").map { line in
                let words = line.split(separator: " ", omittingEmptySubsequences: true)
                return (String(words[0]), words.dropFirst().map(String.init))
            }
        ) { a, _ in a }
        #expect(rows["samples"]?.first == "\(all),", "\(info)")
        for name in ["samples", "slots"] {
            let row = try #require(rows[name]?.joined(separator: " "), "\(info)")
            // A machine has slots of its own, from the start of its day on.
            let start = name == "samples" ? "2026-11-23T00:00:00.000Z" : "2026-11-22T15:00:00.000Z"
            #expect(row.contains("from \(start) to "), "\(row)")
            #expect(row.contains("reaches back ") || row.contains("more than ten years"), "\(row)")
        }
        let slotPages = try #require(rows["slots"]?.first.flatMap { Int($0) })
        #expect(slotPages > 0)
        let verified = try await store("verify", folder)
        #expect(verified.status == 0 && verified.log.contains(" \(all) samples "), "\(verified.log)")
    }

    @Test func verifyNamesADamagedPageAndInfoSaysWhatIsLost() async throws {
        // So many that slots fill more than one run: the newest may be half written, and is no damage then.
        let hours = 70
        let folder = try await filled(hours: hours)
        let sound = try await store("verify", folder)
        #expect(sound.status == 0 && sound.log.contains("all sound"), "\(sound.log)")
        let file = "\(folder.path)/kept/ring.fab"
        var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: file)))
        // The first page of samples and the first of slots.
        let pages = [UInt8(4), 5].compactMap { kind in
            (0..<bytes.count / 4096).first { bytes[$0 * 4096] != 0 && bytes[$0 * 4096 + 5] == kind }
        }
        try #require(pages.count == 2)
        for page in pages { bytes[page * 4096 + 900] ^= 1 }
        try Data(bytes).write(to: URL(fileURLWithPath: file))
        let damaged = try await store("verify", folder)
        #expect(damaged.status == 1)
        for page in pages { #expect(damaged.log.contains("page \(page): its checksum"), "\(damaged.log)") }
        // The rest of it is served all the same, and the slots by what samples are left.
        let (status, log) = try await store("export", folder)
        #expect(status == 0)
        let slots = log.split(separator: "\n").count { $0.contains("\"slots\"") && $0.contains("laser-plug/power") }
        #expect(slots > hours * 4 * 3 / 4, "\(slots)")
        #expect(try await store("info", folder).status == 0)
    }

    @Test(arguments: [("10 min", true), ("10 s", false)])
    func checkSaysWhereSlotsReachBackNoFurtherThanSamples(_ every: String, _ isSaid: Bool) async throws {
        let folder = try PrivateFolder()
        let file = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test, timezone: Asia/Seoul }
            serial: [{ name: bus1, port: \(folder.path)/tty }]
            devices: [{ id: meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 1, every: \(every) }]
            store: { path: \(folder.path)/store, size: 8 MiB }

            """)
        let check = try Program(["fabgate", "check", "--config", file], in: folder, name: "check")
        _ = try await check.status()
        #expect(check.log.contains("  keeps   samples about "), "\(check.log)")
        #expect(check.log.contains("reach back no further than the samples") == isSaid, "\(check.log)")
        // A file system whose journal takes more than the store is named, and no other.
        let interval = try #require(Mount.holding(folder.path)).journalInterval ?? .max
        #expect(check.log.contains("  disk    ext4 on ") == (interval < 300), "\(check.log)")
    }
}
