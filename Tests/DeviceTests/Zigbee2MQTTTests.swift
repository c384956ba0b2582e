import Model
import Plugs
import Testing

@Suite struct Zigbee2MQTTTests {
    private let state = "zigbee2mqtt/p"

    private func made(_ keys: String = "topic: p", profile: String? = nil) throws -> Zigbee2MQTT {
        try MessageBench.made(Zigbee2MQTT.self, keys, profile: profile)
    }

    /// A device that has said this much already.
    private func started(_ members: String, _ keys: String = "topic: p") throws -> Zigbee2MQTT {
        var plug = try made(keys)
        #expect(plug.hears(state, "{\(members)}") == [])
        return plug
    }

    private func readings(_ plug: inout Zigbee2MQTT, _ payload: String) -> [Reading] {
        var out = Outbox()
        let source = Source(topic: state, subscription: 0, isRetained: false)
        plug.receive(Array(payload.utf8).span, from: source, &out)
        return out.readings
    }

    private func isAlive(_ plug: inout Zigbee2MQTT, _ payload: String) -> Bool {
        var out = Outbox()
        let source = Source(topic: state, subscription: 0, isRetained: false)
        plug.receive(Array(payload.utf8).span, from: source, &out)
        return out.isAlive
    }

    // MARK: keys

    @Test func subscribesToItsNameAndItsBridge() throws {
        #expect(
            try made("{topic: hall/left, base: z2m/one}").subscriptions == [
                "z2m/one/hall/left", "z2m/one/hall/left/availability", "z2m/one/bridge/state",
                "z2m/one/bridge/devices",
            ])
    }

    @Test(arguments: [
        ("{}", "needs 'topic'"), ("topic: 'a/+'", "cannot be the device's friendly name"),
        ("{topic: a, base: '#'}", "base topic"), ("{topic: a, endpoint: ''}", "power_l2"),
        ("{topic: a, energy_digits: 6}", "whole number"), ("{topic: a, cache_state: maybe}", "true or false"),
        ("{topic: a, cache_sate: false}", "did you mean 'cache_state'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(Zigbee2MQTT.self, keys)
        #expect(mistakes.count == 1)
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }

    // MARK: the bridge's list

    private func listed(_ items: [String], _ plug: inout Zigbee2MQTT, retained: Bool = true) -> Outbox {
        var out = Outbox()
        let source = Source(topic: "zigbee2mqtt/bridge/devices", subscription: 3, isRetained: retained)
        plug.receive(Array("[\(items.joined(separator: ","))]".utf8).span, from: source, &out)
        return out
    }

    private func item(
        _ name: String, address: String = "0xa4c138a1b2c3d4e5", power: String = "W", energy: String = "kWh"
    ) -> String {
        #"""
        {"ieee_address":"\#(address)","friendly_name":"\#(name)","power_source":"Mains (single phase)","definition":
        {"vendor":"Tuya","model":"TS011F_plug_1","exposes":[{"type":"switch","features":[{"property":"state"}]},
        {"property":"power","unit":"\#(power)"},{"unit":"\#(energy)","property":"energy"}]}}
        """#
    }

    private let coordinator = #"{"ieee_address":"0x0","friendly_name":"Coordinator","definition":null}"#

    @Test func theListTellsWhatItIs() throws {
        var plug = try made()
        let out = listed([coordinator, item("other"), item("p")], &plug)
        #expect(out.description == "Tuya TS011F_plug_1, Mains (single phase)")
        #expect(out.faults == [] && out.readings == [] && !out.isAlive)
    }

    @Test func aNameThatIsNotListedIsToldOnce() throws {
        var plug = try made()
        #expect(
            listed([coordinator, item("P"), item("p/2")], &plug).faults.map(\.detail) == [
                "no device is called 'p' on the bridge; compare 'topic' with its page"
            ])
        #expect(listed([coordinator], &plug).faults == [])
        #expect(listed([item("p")], &plug).faults == [])
        #expect(listed([], &plug).faults.count == 1)
    }

    @Test func itsUnitsAreThoseOfTheList() throws {
        var plug = try started(#""power":75,"energy":4.11"#)
        _ = listed([item("p", power: "kW", energy: "Wh")], &plug)
        #expect(plug.hears(state, #"{"power":0.08,"energy":4120}"#) == ["power=80", "energy=4120000"])
        #expect(
            listed([item("p", power: "furlong")], &plug).faults.map(\.detail) == [
                "the bridge tells power in furlong, which cannot be converted"
            ])
        let lamp = #"{"friendly_name":"p","definition":{"vendor":"V","model":"M","exposes":[{"property":"state"}]}}"#
        #expect(listed([lamp], &plug).faults.map(\.detail) == ["V M tells neither power nor energy"])
    }

    @Test func anotherRadioUnderTheNameIsAnotherPlug() throws {
        var plug = try made()
        let memory = try #require(listed([item("p")], &plug).memory)
        #expect(listed([item("p")], &plug).readings == [])
        let out = listed([item("p", address: "0xa4c138a1b2c3d4e6")], &plug)
        #expect(plug.words(out) == ["exchange=another address"])
        plug = try made()
        plug.recall(memory)
        #expect(listed([item("p")], &plug).readings == [])
    }

    @Test(arguments: ["", "{}", "[", "[1,null,\"x\",[]]", "[{\"friendly_name\":\"p\""])
    func aListThatIsNoneDoesNotHurt(text: String) throws {
        var plug = try made()
        var out = Outbox()
        let source = Source(topic: "zigbee2mqtt/bridge/devices", subscription: 3, isRetained: true)
        plug.receive(Array(text.utf8).span, from: source, &out)
        #expect(out.readings == [] && out.description == nil)
    }

    // MARK: what is fresh

    @Test func theFirstMessageIsABaseline() throws {
        var plug = try started(#""power":75,"energy":4.11,"linkquality":90"#)
        #expect(plug.hears(state, #"{"power":76,"energy":4.11,"linkquality":90}"#) == ["power=76"])
    }

    @Test func whatTheBridgeRepeatsIsNoSampleAndNoSignOfLife() throws {
        let cached = #""power":75,"energy":4.11,"linkquality":90,"state":"ON""#
        var plug = try started(cached)
        #expect(!isAlive(&plug, "{\(cached)}"))
        #expect(plug.hears("zigbee2mqtt/bridge/state", #"{"state":"offline"}"#) == ["online=0"])
        #expect(plug.hears("zigbee2mqtt/bridge/state", #"{"state":"online"}"#) == [])
        #expect(!isAlive(&plug, "{\(cached)}"))
        // The radio was heard, the meter was not.
        #expect(isAlive(&plug, #"{"power":75,"energy":4.11,"linkquality":91,"state":"ON"}"#))
        #expect(plug.hears(state, #"{"power":75,"energy":4.11,"linkquality":92,"state":"ON"}"#) == [])
    }

    @Test func lastSeenRefreshesWhatTheDeviceTellsByItself() throws {
        func message(_ power: Int, _ second: Int) -> String {
            #"{"power":\#(power),"voltage":230,"last_seen":"2026-11-23T09:00:\#(second)Z"}"#
        }
        var plug = try made()
        #expect(plug.hears(state, message(5, 10)) == [])
        // It moved on, and yet power may be the old one: nobody knows whether this device tells it.
        #expect(plug.hears(state, message(5, 20)) == [])
        #expect(plug.hears(state, message(6, 30)) == ["power=6"])
        #expect(plug.hears(state, message(6, 40)) == ["power=6"])
        #expect(plug.hears(state, message(6, 40)) == [])
        // From before the last one: a baseline, from which it goes on.
        #expect(plug.hears(state, message(9, 35)) == [])
        #expect(plug.hears(state, message(7, 36)) == ["power=7"])

        var polled = try made("{topic: p, tells_power: true}")
        #expect(polled.hears(state, message(5, 10)) == [])
        #expect(polled.hears(state, message(5, 20)) == ["power=5"])
    }

    @Test(arguments: [
        (#""2026-11-23T09:00:20.114Z""#, 1_795_424_420_114 as Int64?),
        (#""2026-11-23T18:00:20+09:00""#, 1_795_424_420_000), ("1795424420114", 1_795_424_420_114), ("null", nil),
        (#""1970-01-01T00:00:05Z""#, nil), ("12", nil), (#""soon""#, nil), ("-1e300", nil), ("[]", nil), ("true", nil),
    ])
    func allFormsOfLastSeen(_ text: String, _ milliseconds: Int64?) throws {
        var plug = try started(#""power":5"#)
        let got = readings(&plug, #"{"power":6,"last_seen":\#(text)}"#)
        #expect(got.map(\.time) == [milliseconds.map(Instant.init(milliseconds:))])
    }

    @Test func withoutCacheEveryMessageIsMeasured() throws {
        var plug = try made("{topic: p, cache_state: false}")
        #expect(plug.hears(state, #"{"power":5}"#) == ["power=5"])
        #expect(plug.hears(state, #"{"power":5}"#) == ["power=5"])
        #expect(plug.hears(state, #"{"state":"OFF"}"#) == ["power=0", "relay=0"])
        #expect(plug.hears(state, #"{"state":"ON"}"#) == ["power=unknown", "relay=1"])
        #expect(plug.hears(state, #"{"state":"OFF","power":0.2}"#) == ["relay=0", "power=0.2"])
    }

    @Test(arguments: 1...30)
    func noMixOfRepetitionsMakesASample(_ seed: Int) throws {
        // Each message changes one attribute and repeats the rest; every reading is of that one.
        var random = SplitMix(state: UInt64(seed))
        var values = ["power": 1, "voltage": 230, "current": 1, "energy": 10]
        func text() -> String { "{" + values.map { #""\#($0)":\#($1)"# }.joined(separator: ",") + "}" }
        var plug = try made()
        _ = plug.hears(state, text())
        for _ in 0..<100 {
            guard let name = values.keys.sorted().randomElement(using: &random) else { return }
            let isNews = Bool.random(using: &random)
            if isNews { values[name, default: 0] += 1 }
            let said = plug.hears(state, text())
            #expect(said.count == (isNews ? 1 : 0), "seed \(seed)")
            #expect(said.allSatisfy { $0.hasPrefix("\(name)=") }, "seed \(seed): \(said) for \(name)")
        }
    }

    // MARK: quantities

    @Test func energyIsWholeMilliwattHours() throws {
        var plug = try started(#""energy":1"#)
        for text in ["23.41", "0.01", "0", "99999.99", "1.005"] {
            let exact = Int64((Double(text)! * 1e6).rounded())
            #expect(plug.hears(state, #"{"energy":\#(text)}"#) == ["energy=\(exact)"])
        }
        #expect(plug.channels.first { $0.name == "energy" }?.resolution == 10_000)
    }

    @Test func nullIsUnknownOnce() throws {
        var plug = try started(#""power":5,"voltage":230"#)
        #expect(plug.hears(state, #"{"power":null,"voltage":230}"#) == ["power=unknown"])
        #expect(plug.hears(state, #"{"power":null,"voltage":231}"#) == ["voltage=231"])
        #expect(plug.hears(state, #"{"power":5,"voltage":231}"#) == ["power=5"])
    }

    @Test func oneOutletOfTwo() throws {
        var plug = try started(
            #""power_l1":1,"power_l2":2,"state_l1":"ON","state_l2":"ON""#, "{topic: p, endpoint: l2}")
        #expect(plug.hears(state, #"{"power_l1":5,"power_l2":2,"state_l1":"OFF","state_l2":"ON"}"#) == [])
        #expect(plug.hears(state, #"{"power_l1":5,"power_l2":3,"state_l1":"OFF","state_l2":"ON"}"#) == ["power=3"])
    }

    @Test func wrongTypesAreFaults() throws {
        var plug = try started(#""power":5"#)
        #expect(
            plug.hears(state, #"{"power":"6","state":"TOGGLE","voltage":{"a":[1]}}"#).sorted() == [
                "!badValue", "!badValue", "!unknownValue",
            ])
        #expect(plug.hears(state, "[]") == ["!badFrame"])
        #expect(plug.hears(state, #"{"power":6"#) == ["!badFrame"])
        #expect(plug.hears(state, #"{"power":6}"#) == ["power=6"])
        // What cannot be true is not remembered, either.
        #expect(plug.hears(state, #"{"power":-99999}"#) == ["!implausible"])
        #expect(plug.hears(state, #"{"power":1e999}"#) == ["!badValue"])
        #expect(plug.hears(state, #"{"power":6}"#) == [])
    }

    // MARK: relay, availability

    @Test func switchedOffIsZeroAlthoughTheLastPowerIsRepeated() throws {
        func message(_ state: String, _ power: Int, _ quality: Int) -> String {
            #"{"state":"\#(state)","power":\#(power),"linkquality":\#(quality)}"#
        }
        var plug = try made()
        _ = plug.hears(state, message("ON", 118, 1))
        #expect(plug.hears(state, message("OFF", 118, 2)) == ["power=0", "relay=0"])
        #expect(plug.hears(state, message("OFF", 118, 3)) == [])
        #expect(plug.hears(state, message("ON", 118, 4)) == ["power=unknown", "relay=1"])
        #expect(plug.hears(state, message("ON", 120, 4)) == ["power=120"])
        #expect(plug.hears(state, message("OFF", 0, 4)) == ["relay=0", "power=0"])
    }

    @Test(arguments: ["offline", #"{"state":"offline"}"#])
    func availabilityCountsAlsoRetained(_ text: String) throws {
        var plug = try made()
        #expect(plug.hears("\(state)/availability", text, retained: true) == ["online=0"])
        #expect(plug.hears("zigbee2mqtt/bridge/state", text, retained: true) == ["online=0"])
        #expect(plug.hears("\(state)/availability", text.replacing("offline", with: "online")) == ["online=1"])
        #expect(plug.hears("\(state)/availability", #"{"state":"#) == ["!unknownValue"])
        #expect(plug.hears("\(state)/availability", "") == [])
    }

    @Test func aRetainedStateIsNoSampleAndNoBaseline() throws {
        var plug = try made()
        #expect(plug.hears(state, #"{"power":5}"#, retained: true) == [])
        #expect(plug.hears(state, #"{"power":6}"#) == [])
        #expect(plug.hears(state, #"{"power":7}"#) == ["power=7"])
    }

    // MARK: a topic for each attribute

    @Test func attributesOnTopicsOfTheirOwn() throws {
        var plug = try made("{topic: p, output: attribute}")
        #expect(plug.subscriptions == ["zigbee2mqtt/p/+", "zigbee2mqtt/bridge/state", "zigbee2mqtt/bridge/devices"])
        #expect(plug.hears("\(state)/power", "75", retained: true) == [])
        #expect(plug.hears("\(state)/power", "75") == [])
        #expect(plug.hears("\(state)/power", "75") == [])
        #expect(plug.hears("\(state)/power", "76") == ["power=76"])
        #expect(plug.hears("\(state)/energy", "1.5") == [])
        #expect(plug.hears("\(state)/energy", "1.51") == ["energy=1510000"])
        #expect(plug.hears("\(state)/power", "") == ["power=unknown"])
        #expect(plug.hears("\(state)/power", "seventy") == ["!badValue"])
        #expect(plug.hears("\(state)/power", "1 2") == ["!badValue"])
        #expect(plug.hears("\(state)/set", #"{"state":"ON"}"#) == [])
        #expect(plug.hears("\(state)/availability", #"{"state":"offline"}"#, retained: true) == ["online=0"])
        #expect(try made("{topic: p, output: attribute_and_json}").subscriptions.contains(state))
    }

    @Test func theRelayOnATopicOfItsOwn() throws {
        var plug = try made("{topic: p, output: attribute}")
        _ = plug.hears("\(state)/state", "ON")
        _ = plug.hears("\(state)/power", "118")
        #expect(plug.hears("\(state)/state", "OFF") == ["power=0", "relay=0"])
        #expect(plug.hears("\(state)/power", "118") == [])
        #expect(plug.hears("\(state)/state", "ON") == ["power=unknown", "relay=1"])
        #expect(plug.hears("\(state)/power", "119") == ["power=119"])
        #expect(plug.hears("\(state)/state", "TOGGLE") == ["!unknownValue"])
    }

    @Test(arguments: ["2026-11-23T09:00:20.114Z", "1795424420114"])
    func aLaterLastSeenIsASignOfLife(_ text: String) throws {
        var plug = try made("{topic: p, output: attribute}")
        #expect(!plug.hear("\(state)/last_seen", text).isAlive)
        #expect(!plug.hear("\(state)/last_seen", text).isAlive)
        #expect(plug.hear("\(state)/last_seen", "2026-11-23T09:00:30Z").isAlive)
        #expect(!plug.hear("\(state)/last_seen", "2026-11-23T09:00:10Z").isAlive)
        #expect(plug.hears("\(state)/last_seen", "soon") == ["!badValue"])
    }

    @Test func whatTheBridgeHasDisabledIsOffline() throws {
        var plug = try made()
        let out = listed([item("p").replacing("{\"ieee", with: "{\"disabled\":true,\"ieee")], &plug)
        #expect(plug.words(out) == ["online=0"] && out.faults.map(\.detail).first?.contains("disabled") == true)
        #expect(listed([item("p").replacing("{\"ieee", with: "{\"disabled\":false,\"ieee")], &plug).readings == [])
    }
}
