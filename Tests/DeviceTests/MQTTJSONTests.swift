import Model
import Plugs
import Testing

@Suite struct MQTTJSONTests {
    private func device(_ values: String, _ more: String = "") throws -> MQTTJSON {
        try MessageBench.made(MQTTJSON.self, "{topic: a/b, values: [\(values)]\(more)}")
    }

    @Test func listensOnceToEachTopic() throws {
        let made = try device(
            "{channel: power, path: w, unit: W}, {channel: voltage, path: v, unit: V},"
                + "{channel: energy, topic: e/total, unit: kWh}", ", availability: status")
        #expect(made.subscriptions == ["a/b", "a/b/e/total", "a/b/status"])
        #expect(made.channels.map(\.name) == ["power", "voltage", "energy", "online"])
        #expect(made.channels.map(\.kind) == [.gauge, .gauge, .counter, .gauge])
    }

    @Test(arguments: [
        ("{values: [{channel: power, unit: W}]}", "needs 'topic'"), ("{topic: a}", "needs 'values'"),
        ("{topic: 'a/#', values: [{channel: power, unit: W}]}", "cannot be 'topic'"),
        ("{topic: a, values: [{channel: power}]}", "needs 'unit'"),
        ("{topic: a, values: [{channel: energy}]}", "needs 'unit'"),
        ("{topic: a, values: [{channel: power, unit: BTU}]}", "no unit"),
        ("{topic: a, values: [{channel: Power, unit: W}]}", "no channel name"),
        ("{topic: a, values: [{channel: online, unit: 1}]}", "availability"),
        ("{topic: a, values: [{channel: power, unit: W, path: 'a..b'}]}", "no path"),
        ("{topic: a, values: [{channel: power, unit: W, path: 'a[x]'}]}", "no path"),
        ("{topic: a, values: [{channel: power, unit: W, topic: 'b/+'}]}", "no topic below"),
        ("{topic: a, values: [{channel: power, unit: W}, {channel: power, unit: W}]}", "stands twice"),
        ("{topic: a, values: [{channel: power, unit: W, pth: a}]}", "did you mean 'path'"),
        ("{topic: a, values: [{channel: state, path: s}]}", "needs 'words'"),
        ("{topic: a, values: [{channel: state, path: s, words: {on: busy}}]}", "no state"),
        ("{topic: a, values: [{channel: job, path: s, words: {on: busy}}]}", "no outcome"),
        ("{topic: a, values: [{channel: power, unit: W, plausible: [3, 2]}]}", "plausible"),
        ("{topic: a, values: [{channel: energy, unit: Wh, resolution: 1 ounce}]}", "resolution"),
        ("{topic: a, availability: 'x/#', values: [{channel: power, unit: W}]}", "availability"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(MQTTJSON.self, keys)
        #expect(mistakes.count == 1, "\(mistakes)")
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }

    @Test(arguments: [
        ("power", "kW", "1.5", "power=1500"), ("power", "mW", "1500", "power=1.5"), ("power", "KW", "1", "power=1000"),
        ("energy", "kWh", "0.001", "energy=1000"), ("energy", "Wmin", "60", "energy=1000"),
        ("energy", "J", "3600", "energy=1000"), ("energy", "MJ", "3.6", "energy=1000000"),
        ("energy", "Wh", "1234.5678", "energy=1234568"), ("temperature", "°F", "212", "temperature=100"),
        ("temperature", "K", "273.15", "temperature=0"), ("power_factor", "%", "95", "power_factor=0.95"),
        ("uptime", "h", "2", "uptime=7200"), ("mass", "kg", "0.5", "mass=500"), ("voltage", "µV", "1e6", "voltage=1"),
        ("voltage", "μV", "1e6", "voltage=1"), ("current", "mA", "250", "current=0.25"),
        ("power", "W", "+7", "power=7"),
        ("power", "W", ".5", "power=0.5"), ("relay", "1", "ON", "relay=1"), ("relay", "1", "False", "relay=0"),
    ])
    func unitsBecomeTheUsualOnes(_ channel: String, _ unit: String, _ payload: String, _ reading: String) throws {
        var made = try device("{channel: \(channel), unit: '\(unit)'}")
        #expect(made.hears("a/b", payload) == [reading])
    }

    @Test func pathsLeadThroughObjectsAndLists() throws {
        var made = try device(
            "{channel: power, path: 'a.b[1].c', unit: W}, {channel: voltage, path: \"['x y'].z\", unit: V},"
                + "{channel: current, path: a, unit: A}")
        #expect(
            made.hears("a/b", #"{"a":{"b":[{"c":1},{"c":2},3]},"x y":{"z":4}}"#) == [
                "power=2", "voltage=4", "!badValue",
            ])
        #expect(made.hears("a/b", #"{"a":7}"#) == ["current=7"])
        #expect(made.hears("a/b", #"{"a":{"b":[0]}}"#) == ["!badValue"])
        #expect(made.hears("a/b", "{}") == [])
        #expect(made.hears("a/b", "{\"a\":1") == ["!badFrame"])
    }

    @Test func theFirstPathOfSixtyAndTheLastAreFound() throws {
        let entries = (0..<60).map { "{channel: c\($0), path: 'v[\($0)]', unit: 1}" }.joined(separator: ",")
        var made = try device(entries)
        let said = made.hears("a/b", "{\"v\":[" + (0..<99).map(String.init).joined(separator: ",") + "]}")
        #expect(said == (0..<60).map { "c\($0)=\($0)" })
    }

    @Test func retainedIsNoSampleButALastWillCounts() throws {
        var made = try device(
            "{channel: power, unit: W}", ", availability: {topic: LWT, online: Online, offline: Gone}")
        #expect(made.hears("a/b", "7", retained: true) == [])
        #expect(made.hears("a/b/LWT", "Gone", retained: true) == ["online=0"])
        #expect(made.hears("a/b/LWT", "Online") == ["online=1"])
        #expect(made.hears("a/b/LWT", "offline") == ["!unknownValue"])
    }

    @Test func theDevicesKeysGoBeforeTheModels() throws {
        var made = try MessageBench.made(
            MQTTJSON.self, "{topic: a, values: [{channel: power, unit: W}]}",
            profile: "settings: {availability: s, values: [{channel: energy, unit: Wh}]}")
        #expect(made.hears("a", "5") == ["power=5"])
        #expect(made.hears("a/s", "online") == ["online=1"])
        let mistakes = try MessageBench.mistakes(
            MQTTJSON.self, "topic: a", profile: "settings: {valus: [], values: [{channel: energy, unit: Wh}]}")
        #expect(mistakes.first?.contains("did you mean 'values'") == true)
    }

    @Test func theStepOfACounterIsInTheUnitOfReadings() throws {
        let made = try device(
            "{channel: energy, topic: e, unit: kWh, resolution: 0.01},"
                + "{channel: energy.export, topic: x, unit: kWh, resolution: 1 Wh}")
        #expect(made.channels[0].resolution == 10_000 && made.channels[1].resolution == 1000)
    }
}
