import Foundation
import Model
import Testing

/// The commands that look back, and the one that writes down an exchange, as people call them: on a store that a capture
/// of a morning has filled.
@Suite(.serialized) struct UsageProgramTests {
    private static let levels = "idle_below: 5 W, running_above: 60 W, dwell: 20 s"

    /// A laser whose plug breaks after 110 minutes and is followed by another.
    private struct Morning {
        let folder: PrivateFolder
        let file: String
        /// Five hours ago: samples are computed again for three days.
        let start: Instant

        init() async throws {
            let now = Instant(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            start = now.floor(to: .hours(1)) - .hours(5)
            folder = try PrivateFolder()
            file = try folder.write("fabgate.yaml", Self.configuration(levels))
            let capture = try folder.write(
                "morning.jsonl", PlugCapture.text(from: start) { $0 < 220 ? "laser" : "spare" })
            let replay = try Program(
                ["fabgate", "replay", capture, "--config", file, "--store", "\(folder.path)/store"], in: folder,
                name: "replay")
            #expect(try await replay.status() == 0, "\(replay.log)")
        }

        static func configuration(_ usage: String) -> String {
            """
            lab: { id: "urn:fablabs:io:lab:test", name: 시험 랩, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            devices:
              - { id: plug-a, driver: tasmota, mqtt: main, topic: laser }
              - { id: plug-b, driver: tasmota, mqtt: main, topic: spare }
            machines:
              - id: laser
                name: 레이저
                class: laser
                devices:
                  - plug-a  # by the door
                usage: { from: power, \(usage) }

            """
        }

        func run(_ words: String..., config: String? = nil, name: String) async throws -> (status: Int32, log: String) {
            let program = try Program(["fabgate"] + words + ["--config", config ?? file], in: folder, name: name)
            return (try await program.status(), program.log)
        }

        /// Of each hour of the laser: seconds running and Wh.
        func hours(_ name: String) async throws -> [(running: Double?, energy: Double?)] {
            let listing = try await run(
                "rollup", "--from", "\(start)", "--to", "\(start + .hours(3))", "--grain", "PT1H",
                "--store", "\(folder.path)/store", name: name)
            #expect(listing.status == 0, "\(listing.log)")
            return listing.log.split(separator: "\n").compactMap { JSON(String($0)) }.map { rollup in
                let laser = rollup["machines"]?.items?.first
                return (laser?["states_s"]?["running"]?.number, laser?["energy_wh"]?.number)
            }
        }
    }

    @Test func levelsAreLearnedFromWhatWasDrawn() async throws {
        let morning = try await Morning()
        let start = morning.start
        let labels = try morning.folder.write(
            "labels.csv",
            "\(start),\(start + .minutes(20)),running\n\(start + .minutes(22)),\(start + .minutes(55)),idle\n")
        let learn = try await morning.run(
            "learn", "laser", "--from", "\(start)", "--to", "\(start + .minutes(90))", "--labels", labels,
            "--store", "\(morning.folder.path)/store", name: "learn")
        #expect(learn.status == 0, "\(learn.log)")
        #expect(learn.log.contains("usage: { from: power, idle_below: "))
        #expect(learn.log.contains("W at rest and 80"), "\(learn.log)")
        #expect(learn.log.contains(" h in "), "\(learn.log)")
        let share = learn.log.split(separator: "\n").last { $0.contains("come out as labelled") }
        let percent = try #require(share.flatMap { Double($0.prefix { $0 != " " }) }, "\(learn.log)")
        #expect(percent > 97)
        let nothing = try await morning.run(
            "learn", "lasser", "--store", "\(morning.folder.path)/store", name: "nothing")
        #expect(nothing.status == 64 && nothing.log.contains("did you mean 'laser'?"), "\(nothing.log)")
    }

    @Test func everyJobIsListedWithItsTimeAndEnergy() async throws {
        let morning = try await Morning()
        let query = try await morning.run(
            "query", "laser", "--from", "\(morning.start)", "--to", "\(morning.start + .minutes(105))", "--format",
            "json", "--store", "\(morning.folder.path)/store", name: "query")
        #expect(query.status == 0, "\(query.log)")
        let rows = try #require(JSON(query.log)?["quantities"]?.items, "\(query.log)")
        let jobs = rows.filter { $0["quantity"]?.text?.hasPrefix("job ") ?? false }
        #expect(jobs.map { $0["value"]?.number } == [1200, 1200], "\(query.log)")
        let ends = [morning.start + .minutes(20), morning.start + .minutes(80)]
        #expect(jobs.map { $0["t"]?.text } == ends.map(\.description))
        // 39 half minutes of 800 W and one of 2 W between the counter's values at both ends.
        let energies = rows.filter { $0["quantity"]?.text == "energy of this job" }.compactMap { $0["value"]?.number }
        #expect(energies.count == 2 && energies.allSatisfy { abs($0 - 0.26) <= 0.001 }, "\(query.log)")
    }

    @Test func anotherConfigurationShowsWhatItWouldChange() async throws {
        let morning = try await Morning()
        func diff(_ usage: String, _ name: String) async throws -> (status: Int32, log: String) {
            let file = try morning.folder.write("\(name).yaml", Morning.configuration(usage))
            return try await morning.run(
                "rollup", "--diff", "--from", "\(morning.start)", "--to", "\(morning.start + .hours(3))", "--grain",
                "PT1H",
                "--store", "\(morning.folder.path)/store", config: file, name: name)
        }
        let same = try await diff(Self.levels, "same")
        #expect(same.status == 0 && same.log.contains("0 would differ"), "\(same.log)")
        let other = try await diff("idle_below: 5 W, running_above: 20 W, dwell: 20 s", "other")
        #expect(other.status == 1, "\(other.log)")
        #expect(other.log.contains("laser  \(morning.start + .hours(1))  "), "\(other.log)")
        #expect(other.log.contains("running"))
    }

    @Test func aMachineGoesOnWithAnotherPlug() async throws {
        let morning = try await Morning()
        let before = try await morning.hours("before")
        try #require(before.count == 3)
        #expect(before[0].running == 1200 && before[2].energy == nil, "\(before)")
        let exchanged = "\(morning.start + .minutes(110))"
        let dry = try await morning.run(
            "machine", "swap", "laser", "plug-a", "plug-b", "--at", exchanged, "--dry-run", name: "dry")
        #expect(
            dry.status == 0 && dry.log.contains("+       - { id: plug-b, from: \"\(exchanged)\" }"),
            "\(dry.log)")
        #expect(try String(contentsOfFile: morning.file, encoding: .utf8) == Morning.configuration(Self.levels))
        let swap = try await morning.run(
            "machine", "swap", "laser", "plug-a", "plug-b", "--at", exchanged, name: "swap")
        #expect(swap.status == 0 && swap.log.contains("Restart the gateway"), "\(swap.log)")
        #expect(try String(contentsOfFile: morning.file + "~", encoding: .utf8) == Morning.configuration(Self.levels))
        let text = try String(contentsOfFile: morning.file, encoding: .utf8)
        #expect(text.contains("- { id: plug-a, until: \"\(exchanged)\" }  # by the door\n"), "\(text)")
        let check = try await morning.run("check", name: "check")
        #expect(check.status == 0 && check.log.contains("plug-b from \(exchanged)"), "\(check.log)")

        let after = try await morning.hours("after")
        try #require(after.count == 3)
        #expect(after[0] == before[0])
        #expect(after[2].running == 1200, "\(after)")
        let energy = try #require(after[2].energy)
        #expect(abs(energy - 273) < 6, "\(energy)")
        let again = try await morning.run("machine", "swap", "laser", "plug-a", "plug-b", name: "again")
        #expect(again.status == 1 && again.log.contains("'plug-a' is no device of laser now; it has plug-b"))
        let unknown = try await morning.run("machine", "swap", "laser", "plug-b", "plug-c", name: "unknown")
        #expect(unknown.status == 1 && unknown.log.contains("no device is called 'plug-c'"))
    }
}
