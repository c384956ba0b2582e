import Meters
import Model
import Plugs
import Testing
import Workshop

/// What is recognised is also what a stranger can say: nothing of it traps, grows without end, or gives an entry that is
/// none.
@Suite struct RecogniserTests {
    private func messages() throws -> [(topic: String, payload: [UInt8])] {
        try Recording.all.flatMap { try $0.lines() }.compactMap { line in
            if case .mqtt(let topic, let payload, _) = line.link { (topic, payload) } else { nil }
        }
    }

    @Test func recordingsOfAModelAreRecognisedAsItsDriver() throws {
        for (name, driver) in [
            ("tasmota-generic", "tasmota"), ("shelly-generic", "shelly"), ("shelly-gen1", "shelly-gen1"),
            ("esphome-pzem", "esphome"), ("esphome-plug", "esphome"), ("home-assistant-meter", "homeassistant"),
        ] {
            let model = try #require(ModelFolder.all.first { $0.name == name })
            var recogniser = PlugRecogniser()
            for line in try model.recordings.flatMap({ try $0.lines() }) {
                guard case .mqtt(let topic, let payload, _) = line.link else { continue }
                recogniser.hear(payload.span, on: topic)
            }
            let drivers = Set(recogniser.proposals.map(\.driver))
            #expect(drivers.contains(driver), "\(name): \(drivers)")
        }
    }

    @Test(arguments: ["fab-o-matic", "esp-rfid", "tasmota-rfid", "fabaccess", "esphome-reader"])
    func readersAreRecognisedAndNobodyElse(_ name: String) throws {
        let model = try #require(ModelFolder.all.first { $0.name == name })
        var recogniser = AccessRecogniser()
        for line in try model.recordings.flatMap({ try $0.lines() }) {
            guard case .mqtt(let topic, let payload, _) = line.link else { continue }
            recogniser.hear(payload.span, on: topic)
        }
        #expect(recogniser.proposals.contains { $0.model == name && $0.driver == "access-reader" })
        #expect(recogniser.proposals.allSatisfy { $0.model == name })
        for text in recogniser.proposals.map({ "\($0)" }) {
            for secret in ["04a1", "Ada", "ada@", "BA839D07", "4f2a11cc"] { #expect(!text.contains(secret)) }
        }
        // What others say is no reader.
        var stranger = AccessRecogniser()
        for (topic, payload) in try messages() where !topic.contains("reader") && !topic.contains("machine") {
            stranger.hear(payload.span, on: topic)
        }
        let topics = stranger.proposals.flatMap(\.topics)
        #expect(topics.allSatisfy { $0.hasPrefix("esp-rfid") || $0.hasPrefix("fabaccess") || $0.hasPrefix("tele/") })
    }

    @Test func whoSpokeFirstMakesNoDifference() throws {
        let messages = try messages()
        var first = PlugRecogniser()
        for (topic, payload) in messages { first.hear(payload.span, on: topic) }
        var random = SplitMix(state: 7)
        var second = PlugRecogniser()
        // Within a topic the order stays.
        let topics = Array(Set(messages.map(\.topic))).sorted().shuffled(using: &random)
        for topic in topics {
            for message in messages where message.topic == topic { second.hear(message.payload.span, on: topic) }
        }
        #expect(first.proposals == second.proposals)
    }

    @Test func hostileMessagesAreHeardOut() throws {
        let messages = try messages()
        for seed in UInt64(1)...30 {
            var random = SplitMix(state: seed)
            var recogniser = PlugRecogniser()
            for _ in 0..<400 {
                let (topic, payload) = try #require(messages.randomElement(using: &random))
                var levels = topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                if Int.random(in: 0..<3, using: &random) == 0 {
                    levels[Int.random(in: levels.indices, using: &random)] =
                        ["", "+", "#", "tele", "config", "\u{1F9EA}"][
                            Int.random(in: 0..<6, using: &random)]
                }
                var bytes = payload
                if Bool.random(using: &random), !bytes.isEmpty {
                    bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
                    bytes = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
                }
                recogniser.hear(bytes.span, on: levels.joined(separator: "/"))
            }
            for proposal in recogniser.proposals {
                for topic in proposal.topics { #expect(TopicFilter.isValid(topic), "seed \(seed): \(topic)") }
                for key in proposal.keys { #expect(!key.value.contains("\n"), "seed \(seed): \(key)") }
            }
        }
    }

    @Test func aBusFullOfNoiseIsScannedToItsEnd() throws {
        let models = try ModelFolder.all.filter { try $0.makeDriver().info.name == "modbus-rtu" }.prefix(4)
        let profiles = try models.map { try ($0.name, $0.profileFields()) }
        for seed in UInt64(1)...20 {
            var random = SplitMix(state: seed)
            var scan = ModbusScan(models: profiles, units: Array(1...8))
            var questions = 0
            while let (bytes, _) = scan.next() {
                questions += 1
                try #require(questions < 2000, "seed \(seed): the scan does not end")
                #expect(ModbusQuestion(bytes.span) != nil)
                var isWhole = false
                for _ in 0..<Int.random(in: 0...3, using: &random) where !isWhole {
                    let noise = (0..<Int.random(in: 0...300, using: &random)).map { _ in
                        UInt8.random(in: 0...255, using: &random)
                    }
                    isWhole = scan.receive(noise.span)
                }
                if !isWhole { scan.noReply() }
            }
            #expect(scan.progress.done == 8)
            #expect(scan.proposals.isEmpty)
        }
    }
}
