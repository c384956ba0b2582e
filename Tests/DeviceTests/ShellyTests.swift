import Model
import Plugs
import Testing

@Suite struct ShellyTests {
    private func notify(_ components: String, ts: String = "1786512605.27", method: String = "NotifyStatus") -> String {
        #"{"src":"shelly-1","dst":"a/events","method":"\#(method)","params":{"ts":\#(ts),\#(components)}}"#
    }

    private func made(_ keys: String = "topic: a", profile: String? = nil) throws -> Shelly {
        try MessageBench.made(Shelly.self, keys, profile: profile)
    }

    /// The readings of one message as they are.
    private func readings(_ plug: inout Shelly, _ topic: String, _ payload: String) -> [Reading] {
        var out = Outbox()
        let index = plug.subscriptions.firstIndex { TopicFilter.matches($0, topic) } ?? 0
        plug.receive(
            Array(payload.utf8).span, from: Source(topic: topic, subscription: index, isRetained: false), &out)
        return out.readings
    }

    // MARK: keys

    @Test func subscribesBelowItsPrefix() throws {
        #expect(
            try made("topic: fablab/cnc").subscriptions == [
                "fablab/cnc/online", "fablab/cnc/events/rpc", "fablab/cnc/status/+",
            ])
    }

    @Test(arguments: [
        ("{}", "needs 'topic'"), ("topic: 'a/#'", "cannot be what a Shelly's topics"), ("topic: a/", "cannot be"),
        ("{topic: a, channel: -1}", "whole number"), ("{topic: a, meters: 5}", "whole number"),
        ("{topic: a, rating: 3680}", "needs a unit"), ("{topic: a, rating: 0 W}", "1 W to 10 MW"),
        ("{topic: a, energy_digits: 4}", "whole number"), ("{topic: a, chanel: 1}", "did you mean 'channel'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(Shelly.self, keys)
        #expect(mistakes.count == 1)
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }

    @Test func asksOnlyWhereItMay() throws {
        var quiet = try made()
        #expect(quiet.opens() == Outbox())
        var asking = try made("{topic: a/b, commands: true}")
        #expect(asking.opens().request == .publish(topic: "a/b/command", payload: Array("status_update".utf8)))
    }

    // MARK: quantities

    @Test func energyIsWholeMilliwattHours() throws {
        var plug = try made()
        for text in ["0", "0.001", "48213.774", "123456789.123", "1.0005", "0.1"] {
            let exact = Int64((Double(text)! * 1000).rounded())
            let frame = notify(#""switch:0":{"id":0,"aenergy":{"by_minute":[1,2,3],"total":\#(text)}}"#)
            #expect(plug.hears("a/events/rpc", frame) == ["energy=\(exact)"])
        }
        #expect(plug.channels.first { $0.name == "energy" }?.resolution == 1)
    }

    @Test(arguments: ["switch:0", "pm1:0"])
    func aMeterSaysAllItHas(_ component: String) throws {
        var plug = try made()
        let said = plug.hears(
            "a/events/rpc",
            notify(
                #""\#(component)":{"pf":0.99,"freq":60,"current":5.4,"voltage":219,"apower":-1184.6,"#
                    + #""ret_aenergy":{"total":2},"aenergy":{"total":1},"temperature":{"tF":1,"tC":48.2}}"#))
        #expect(
            said == [
                "power=-1184.6", "voltage=219", "current=5.4", "frequency=60", "power_factor=0.99", "energy=1000",
                "energy.export=2000", "temperature=48.2",
            ])
    }

    @Test func nullIsUnknownAndNeverZero() throws {
        var plug = try made()
        #expect(
            plug.hears("a/events/rpc", notify(#""switch:0":{"apower":null,"aenergy":{"total":null},"output":null}"#))
                == ["power=unknown", "energy=unknown", "relay=unknown"])
        #expect(
            plug.hears("a/events/rpc", notify(#""switch:0":{"apower":"1","output":1}"#)) == ["!badValue", "!badValue"])
        #expect(plug.hears("a/events/rpc", notify(#""switch:0":{"apower":1e999}"#)) == ["!badValue"])
    }

    @Test(arguments: [
        ("1786512605.27", 1_786_512_605_270 as Int64?), ("1786512605", 1_786_512_605_000), ("13.02", nil),
        ("null", nil),
        ("-1", nil), ("1e300", nil), ("1786512605270", nil), ("\"1786512605\"", nil), ("{}", nil),
    ])
    func theDevicesTimeCountsWhereItCanBeTrue(_ ts: String, _ milliseconds: Int64?) throws {
        var plug = try made()
        let got = readings(&plug, "a/events/rpc", notify(#""switch:0":{"apower":1}"#, ts: ts))
        #expect(got.map(\.time) == [milliseconds.map(Instant.init(milliseconds:))])
    }

    @Test func timeMayStandBehindWhatItIsTheTimeOf() throws {
        var plug = try made()
        let late = #"{"params":{"switch:0":{"apower":1},"ts":1786512605.27},"method":"NotifyStatus"}"#
        #expect(readings(&plug, "a/events/rpc", late).first?.time == Instant(milliseconds: 1_786_512_605_270))
    }

    // MARK: several meters

    @Test func oneChannelOfSeveralIsItself() throws {
        var second = try made("{topic: a, channel: 1}")
        let both = notify(#""switch:0":{"apower":5,"output":true},"switch:1":{"apower":7,"output":false}"#)
        #expect(second.hears("a/events/rpc", both) == ["power=7", "relay=0"])
        #expect(second.hears("a/events/rpc", notify(#""switch:0":{"apower":5}"#)) == [])
        #expect(second.hears("a/status/switch:1", #"{"voltage":230}"#) == ["voltage=230"])
        let phases = notify(
            #""em:0":{"a_act_power":1,"b_act_power":2,"total_act_power":3},"#
                + #""emdata:0":{"b_total_act_energy":4.01,"b_total_act_ret_energy":5,"total_act":9}"#)
        #expect(second.hears("a/events/rpc", phases) == ["power=2", "energy=4010", "energy.export=5000"])
    }

    @Test func aSumWaitsForAllItsParts() throws {
        var plug = try made("{topic: a, meters: 2}")
        func energy(_ meter: Int, _ wattHours: Double) -> String {
            notify(#""switch:\#(meter)":{"aenergy":{"total":\#(wattHours)}}"#)
        }
        #expect(plug.hears("a/events/rpc", energy(0, 10)) == ["energy.l1=10000"])
        #expect(plug.hears("a/events/rpc", energy(1, 5)) == ["energy=15000", "energy.l2=5000"])
        #expect(plug.hears("a/events/rpc", energy(0, 11.5)) == ["energy=16500", "energy.l1=11500"])
        #expect(plug.hears("a/events/rpc", energy(0, -1)) == ["!implausible"])
        #expect(plug.hears("a/events/rpc", energy(1, 6)) == ["energy=17500", "energy.l2=6000"])
        // After a gap a sum of old and new would be a guess.
        _ = plug.opens()
        #expect(plug.hears("a/events/rpc", energy(0, 12)) == ["energy.l1=12000"])
    }

    @Test func aFullStatusOfTwoGivesOneSum() throws {
        var plug = try made("{topic: a, meters: 2}")
        let full = notify(
            #""switch:1":{"apower":7,"ret_aenergy":{"total":2}},"switch:0":{"apower":5,"ret_aenergy":{"total":1}}"#,
            method: "NotifyFullStatus")
        #expect(plug.hears("a/events/rpc", full) == ["power=12", "power.l1=5", "power.l2=7", "energy.export=3000"])
        #expect(
            plug.hears("a/events/rpc", notify(#""switch:1":{"apower":null}"#)) == ["power=unknown", "power.l2=unknown"])
        #expect(plug.hears("a/events/rpc", notify(#""switch:0":{"apower":5.5}"#)) == ["power.l1=5.5"])
    }

    @Test func thePhasesSumIsTheDevicesOwn() throws {
        var plug = try made("{topic: a, meters: 3}")
        let said = plug.hears(
            "a/events/rpc",
            notify(
                #""em:0":{"a_act_power":1,"b_act_power":2,"c_act_power":-4,"total_act_power":-0.98,"n_current":null}"#))
        #expect(said == ["power=-0.98", "power.l1=1", "power.l2=2", "power.l3=-4"])
        // With one meter for all there is no single phase.
        var whole = try made()
        #expect(
            whole.hears("a/events/rpc", notify(#""em:0":{"a_act_power":1,"total_act_power":-1}"#)) == ["power=-1"])
    }

    @Test func aMeterThatNobodyReadsIsToldOnce() throws {
        var plug = try made()
        #expect(plug.hears("a/events/rpc", notify(#""switch:1":{"apower":7}"#)) == ["!badValue"])
        #expect(plug.hears("a/events/rpc", notify(#""switch:1":{"apower":8}"#)) == [])
        var relay = try made()
        #expect(relay.hears("a/events/rpc", notify(#""switch:100":{"output":true}"#)) == [])
    }

    // MARK: two ways

    @Test func theSecondWayFillsAndNeverDoubles() throws {
        var plug = try made()
        let full = #"{"apower":5,"voltage":230,"aenergy":{"total":1}}"#
        #expect(plug.hears("a/status/switch:0", full) == ["power=5", "voltage=230", "energy=1000"])
        #expect(plug.hears("a/events/rpc", notify(#""switch:0":{"apower":6}"#)) == ["power=6"])
        #expect(plug.hears("a/status/switch:0", full) == ["voltage=230", "energy=1000"])
        #expect(plug.hears("a/events/rpc", notify(#""switch:0":{"aenergy":{"total":2}}"#)) == ["energy=2000"])
        #expect(plug.hears("a/status/switch:0", full) == ["voltage=230"])
        // Nobody told of it on the first way for long: that way was switched off.
        for _ in 0..<16 { _ = plug.hears("a/status/switch:0", #"{"voltage":230}"#) }
        #expect(plug.hears("a/status/switch:0", full) == ["power=5", "voltage=230", "energy=1000"])
    }

    @Test func bothWaysTogetherGiveEachSumOnce() throws {
        var plug = try made("{topic: a, meters: 2}")
        let full = notify(#""switch:0":{"aenergy":{"total":1}},"switch:1":{"aenergy":{"total":2}}"#)
        #expect(plug.hears("a/events/rpc", full) == ["energy=3000", "energy.l1=1000", "energy.l2=2000"])
        #expect(plug.hears("a/status/switch:0", #"{"aenergy":{"total":1}}"#) == [])
    }

    @Test(arguments: ["a/events/rpc", "a/status/switch:0"])
    func retainedMessagesAreNoSamples(_ topic: String) throws {
        var plug = try made()
        let text = topic.hasSuffix("rpc") ? notify(#""switch:0":{"apower":6}"#) : #"{"apower":6}"#
        #expect(plug.hears(topic, text, retained: true) == [])
        #expect(plug.hears(topic, "", retained: true) == [])
        #expect(plug.hears(topic, text) == ["power=6"])
    }

    @Test func theLastWillCounts() throws {
        var plug = try made()
        #expect(plug.hears("a/online", "false", retained: true) == ["online=0"])
        #expect(plug.hears("a/online", "true") == ["online=1"])
        #expect(plug.hears("a/online", "online") == ["!unknownValue"])
    }

    // MARK: relay, alarms

    @Test func switchedOffIsZeroAtOnce() throws {
        var plug = try made()
        _ = plug.hears("a/events/rpc", notify(#""switch:0":{"apower":742}"#))
        #expect(plug.hears("a/events/rpc", notify(#""switch:0":{"output":false}"#)) == ["power=0", "relay=0"])
        #expect(
            plug.hears("a/events/rpc", notify(#""switch:0":{"output":false,"apower":0.3}"#)) == [
                "power=0.3", "relay=0",
            ])
        // A contact beside a clamp does not interrupt what the clamp sees.
        var meter = try made()
        _ = meter.hears("a/events/rpc", notify(#""em1:0":{"act_power":742}"#))
        #expect(meter.hears("a/events/rpc", notify(#""switch:0":{"output":false}"#)) == ["relay=0"])
    }

    @Test func anAlarmIsToldWhenItBegins() throws {
        var plug = try made()
        let two = notify(#""switch:0":{"errors":["overtemp", "overpower"]}"#)
        #expect(plug.hears("a/events/rpc", two) == ["alarm=overtemp", "alarm=overpower"])
        #expect(plug.hears("a/events/rpc", two) == [])
        #expect(plug.hears("a/events/rpc", notify(#""switch:0":{"errors":null}"#)) == [])
        #expect(plug.hears("a/events/rpc", two) == ["alarm=overtemp", "alarm=overpower"])
    }

    @Test func anUptimeThatFallsIsARestart() throws {
        var plug = try made()
        #expect(plug.hears("a/events/rpc", notify(#""sys":{"uptime":500}"#)) == ["uptime=500"])
        #expect(plug.hears("a/events/rpc", notify(#""sys":{"uptime":3}"#)) == ["uptime=3", "restart=restarted"])
    }

    @Test func aMessageThatBreaksGivesNothing() throws {
        let whole = Array(notify(#""switch:0":{"apower":742.5,"aenergy":{"total":1.5,"by_minute":[1,2]}}"#).utf8)
        for end in 1..<whole.count {
            var plug = try made()
            let text = String(decoding: whole[..<end], as: UTF8.self)
            #expect(plug.hears("a/events/rpc", text) == ["!badFrame"], "cut after \(end) bytes")
        }
    }
}
