// What every driver and every model keeps, found in the tree: a new folder below `devices/*/models/` is tested without
// a line here. `UPDATE_RECORDINGS=1 swift test --filter Conformance` writes what the recordings give; read the diff.

import Foundation
import Model
import Testing

@Suite struct Conformance {
    // MARK: the tree

    @Test func everyFamilyHasItsDriversAndNamesAreUnique() {
        var names = Set<String>()
        for (folder, drivers) in families {
            #expect(!drivers.isEmpty, "\(folder) has no driver")
            for driver in drivers {
                let info = driver.info
                #expect(info.family == folder, "\(info.name) says that it is of \(info.family)")
                #expect(names.insert(info.name).inserted, "'\(info.name)' stands twice")
                #expect(!info.title.isEmpty && info.silence > .zero)
            }
        }
    }

    @Test func everyDriverHasAModel() throws {
        let used = try Set(ModelFolder.all.map { try $0.makeDriver().info.name })
        for driver in families.flatMap(\.drivers) {
            #expect(used.contains(driver.info.name), "no model shows what '\(driver.info.name)' reads")
        }
    }

    @Test(arguments: ModelFolder.all)
    func aModelHasProfileReadmeAndRecordings(_ model: ModelFolder) throws {
        _ = try model.makeDriver()
        let readme = try String(contentsOf: model.url.appendingPathComponent("README.md"), encoding: .utf8)
        #expect(readme.hasPrefix("# ") && readme.utf8.count > 200, "the README says too little")
        #expect(model.recordings.count >= 2, "a model has at least two recordings, one of trouble")
    }

    /// A model is known when it is known how it says that something is wrong: a fault, a value that it does not know, a
    /// device that is gone or starts anew, a job that failed.
    @Test(arguments: ModelFolder.all)
    func oneRecordingIsOfTrouble(_ model: ModelFolder) throws {
        let signs = [
            #""fault":"#, #""value":null"#, #""channel":"online","value":0"#, #""value":"fault""#, #""value":"failed""#,
            #""value":"interrupted""#, #""channel":"restart""#, #""channel":"exchange""#,
        ]
        let readings = try model.recordings.map { try String(contentsOf: $0.golden, encoding: .utf8) }
        #expect(readings.contains { text in signs.contains { text.contains($0) } }, "nothing ever goes wrong")
    }

    /// What is written down of a recording without persons gives the same readings.
    @Test(arguments: Recording.all.filter { $0.model.family == "workshop" })
    func withoutPersonsItReadsTheSame(_ recording: Recording) throws {
        let driver = try recording.model.makeDriver().driver
        let lines = try recording.lines()
        let clean = lines.map { line in
            guard case .mqtt(let topic, let payload, let isRetained) = line.link,
                let index = driver.subscriptions.firstIndex(where: { TopicFilter.matches($0, topic) }),
                let clean = driver.withoutPersons(
                    payload.span, from: Source(topic: topic, subscription: index, isRetained: isRetained))
            else { return line }
            return CaptureLine(time: line.time, .mqtt(topic: topic, payload: clean, retained: isRetained))
        }
        func shape(_ lines: [CaptureLine]) throws -> [String] {
            // A word's length stands in a fault's detail, and is that of the mark.
            try decode(lines, of: recording.model).map {
                $0.replacing(/a (word|message) of [0-9]+ bytes/, with: "a word")
            }
        }
        #expect(try shape(clean) == shape(lines))
    }

    @Test(arguments: ModelFolder.all)
    func channelsAreNamedAndMeasured(_ model: ModelFolder) throws {
        let (driver, info) = try model.makeDriver()
        #expect(!driver.channels.isEmpty)
        #expect(driver.subscriptions.isEmpty == (info.link != .mqtt))
        for filter in driver.subscriptions { #expect(TopicFilter.isValid(filter), "'\(filter)' is no topic filter") }
        var names = Set<String>()
        for channel in driver.channels {
            #expect(Channel.isValidName(channel.name), "'\(channel.name)' is no channel name")
            #expect(names.insert(channel.name).inserted, "'\(channel.name)' stands twice")
            let isNumber = channel.kind == .gauge || channel.kind == .counter
            #expect(isNumber == (channel.unit != nil), "\(channel.name): numbers have a unit, states and events none")
            #expect(channel.resolution >= 0)
        }
    }

    // MARK: recordings

    @Test(arguments: Recording.all)
    func aRecordingGivesTheReadingsThatWereFoundRight(_ recording: Recording) throws {
        let got = try decode(recording.lines(), of: recording.model)
        #expect(!got.isEmpty, "nothing was read")
        if ProcessInfo.processInfo.environment["UPDATE_RECORDINGS"] == "1" {
            try (got.joined(separator: "\n") + "\n").write(to: recording.golden, atomically: true, encoding: .utf8)
            return
        }
        let text = try String(contentsOf: recording.golden, encoding: .utf8)
        let wanted = text.split(separator: "\n").map(String.init)
        for (index, (got, wanted)) in zip(got, wanted).enumerated() where got != wanted {
            Issue.record("line \(index + 1):\n  is     \(got)\n  should \(wanted)")
            return
        }
        #expect(got.count == wanted.count)
    }

    @Test(arguments: Recording.all)
    func theSameRecordingGivesTheSameBytes(_ recording: Recording) throws {
        let lines = try recording.lines()
        #expect(try decode(lines, of: recording.model) == decode(lines, of: recording.model))
    }

    @Test(arguments: Recording.all)
    func captureLinesSurviveWritingAndReading(_ recording: Recording) throws {
        for line in try recording.lines() { #expect(try CaptureLine(parsing: line.bytes) == line) }
    }

    @Test(arguments: Recording.all, [1, 2, 7, 4096])
    func chunksOfAnySizeGiveTheSameReadings(_ recording: Recording, _ size: Int) throws {
        let lines = try recording.lines()
        let whole = try decode(lines, of: recording.model).filter(isReading)
        let chunked = try decode(lines.flatMap { $0.chunks(of: size) }, of: recording.model).filter(isReading)
        #expect(chunked == whole)
    }

    // MARK: hostile bytes

    @Test(arguments: Recording.all)
    func whateverArrivesADriverStaysInBoundsAndFindsItsWayBack(_ recording: Recording) throws {
        let lines = try recording.lines()
        let (driver, info) = try recording.model.makeDriver()
        let clean = try decode(lines, of: recording.model)
        let seeds = UInt64(1)...40
        for seed in seeds {
            var random = SplitMix(state: seed)
            var decoder = Decoder(driver: Watched(driver), info: info, device: recording.model.name)
            for line in lines { decoder.feed(Corruption.apply(to: line, &random)) { _ in } }
            // The link stays open, and the device speaks properly again. The first pass may be spent on half a frame.
            for line in lines { decoder.feed(line) { _ in } }
            var after: [String] = []
            for line in lines { decoder.feed(line) { after.append(String(decoding: $0, as: UTF8.self)) } }
            let missing = numbers(clean).subtracting(numbers(after))
            #expect(missing.isEmpty, "seed \(seed): after noise nothing is read any more of \(missing.sorted())")
        }
    }

    @Test(arguments: ModelFolder.all)
    func randomBytesAreFaultsAtMost(_ model: ModelFolder) throws {
        let (driver, info) = try model.makeDriver()
        let recorded = try model.recordings.flatMap { try $0.lines() }
        for seed in UInt64(1)...200 {
            var random = SplitMix(state: seed)
            var decoder = Decoder(driver: Watched(driver), info: info, device: model.name)
            for _ in 0..<40 {
                guard var line = recorded.randomElement(using: &random) else { break }
                line.replaceBytes(Corruption.noise(&random))
                decoder.feed(line) { _ in }
            }
        }
    }

    @Test(arguments: ModelFolder.all)
    func aFloodIsBounded(_ model: ModelFolder) throws {
        let (driver, info) = try model.makeDriver()
        let recorded = try model.recordings.flatMap { try $0.lines() }
        var decoder = Decoder(driver: Watched(driver), info: info, device: model.name)
        for line in recorded.prefix(20) {
            for text in ["{\"a\":[", "[", "{", "<", "{\"ENERGY\":", "$", "\n", "1,", "\u{FF}", "\"", "{}\n", "ok\r\n"] {
                var flood = line
                flood.replaceBytes([UInt8](repeating: 0, count: 2000).flatMap { _ in Array(text.utf8) })
                decoder.feed(flood) { _ in }
            }
        }
    }

    // MARK: steps

    private func decode(_ lines: [CaptureLine], of model: ModelFolder) throws -> [String] {
        let (driver, info) = try model.makeDriver()
        var decoder = Decoder(driver: Watched(driver), info: info, device: model.name)
        var out: [String] = []
        for line in lines { decoder.feed(line) { out.append(String(decoding: $0, as: UTF8.self)) } }
        return out
    }

    private func isReading(_ line: String) -> Bool { JSON(line)?["channel"] != nil }

    /// The channels of which a number was read.
    private func numbers(_ lines: [String]) -> Set<String> {
        Set(
            lines.compactMap { line in
                guard let json = JSON(line), json["value"]?.number != nil else { return nil }
                return json["channel"]?.text
            })
    }
}
