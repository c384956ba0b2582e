import Model
import Plugs
import Testing

@Suite struct ShellyGen1Tests {
    private func made(_ keys: String = "topic: p", profile: String? = nil) throws -> ShellyGen1 {
        try MessageBench.made(ShellyGen1.self, keys, profile: profile)
    }

    @Test(arguments: ["shellyplug-s-7A11C2", "shellies/shellyplug-s-7A11C2"])
    func theIdMayCarryItsPrefix(_ topic: String) throws {
        #expect(
            try made("topic: \(topic)").subscriptions
                == ["online", "relay/+", "relay/+/+", "emeter/+/+", "temperature", "overtemperature", "announce"]
                .map { "shellies/shellyplug-s-7A11C2/\($0)" })
    }

    @Test(arguments: [
        ("{}", "needs 'topic'"), ("topic: 'a/+'", "cannot be"), ("{topic: a, energy_digits: 9}", "whole number"),
        ("{topic: a, metres: 2}", "did you mean 'meters'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(ShellyGen1.self, keys)
        #expect(mistakes.count == 1)
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }

    @Test func wattMinutesAreConvertedAsAWhole() throws {
        var plug = try made()
        // 60 J each: three make 50 mWh, whatever the count has grown to.
        for minutes in [0, 1, 2, 3, 58_214, 2_147_483_647, 4_294_967_295] as [Int64] {
            let exact = (minutes * 100 + 3) / 6
            #expect(plug.hears("shellies/p/relay/0/energy", "\(minutes)") == ["energy=\(exact)"])
        }
        #expect(try #require(plug.channels.first { $0.name == "energy" }).resolution.rounded() == 17)
    }

    @Test func aMetersTotalIsInWattHours() throws {
        var meter = try made("{topic: p, energy_digits: 1}")
        #expect(meter.hears("shellies/p/emeter/0/total", "1184203.6") == ["energy=1184203600"])
        #expect(meter.hears("shellies/p/emeter/0/total_returned", "0.1") == ["energy.export=100"])
        #expect(meter.hears("shellies/p/emeter/0/energy", "77") == [])
        #expect(meter.channels.first { $0.name == "energy" }?.resolution == 100)
    }

    @Test(arguments: ["nan", "", "on", "1,5", "1.5W", "0x10", "--1", "1e999", "null", "[1]", "\u{FF}"])
    func whatIsNoNumberIsNoReading(_ text: String) throws {
        var plug = try made()
        let said = plug.hears("shellies/p/relay/0/power", text)
        #expect(said == (text.isEmpty ? [] : ["!badValue"]))
    }

    @Test func offIsZeroBehindTheRelayOnly() throws {
        var plug = try made()
        _ = plug.hears("shellies/p/relay/0/power", "412.37")
        #expect(plug.hears("shellies/p/relay/0", "off") == ["power=0", "relay=0"])
        #expect(plug.hears("shellies/p/relay/0", "on") == ["relay=1"])
        var meter = try made()
        _ = meter.hears("shellies/p/emeter/0/power", "412.37")
        #expect(meter.hears("shellies/p/relay/0", "off") == ["relay=0"])
    }

    @Test func overpowerIsOffAndAnAlarm() throws {
        var plug = try made()
        _ = plug.hears("shellies/p/relay/0/power", "2700")
        #expect(plug.hears("shellies/p/relay/0", "overpower") == ["power=0", "relay=0", "alarm=overpower"])
        #expect(plug.hears("shellies/p/relay/0", "overpower") == ["relay=0"])
        #expect(plug.hears("shellies/p/relay/0", "on") == ["relay=1"])
        #expect(plug.hears("shellies/p/relay/0", "overpower").last == "alarm=overpower")
        #expect(plug.hears("shellies/p/relay/0", "Off") == ["!unknownValue"])
    }

    @Test func oneOfTwoIsItself() throws {
        var second = try made("{topic: p, channel: 1}")
        #expect(second.hears("shellies/p/relay/1/power", "5") == ["power=5"])
        #expect(second.hears("shellies/p/relay/0/power", "7") == [])
        #expect(second.hears("shellies/p/relay/0", "off") == [])
        var first = try made()
        #expect(first.hears("shellies/p/relay/1/power", "7") == ["!badValue"])
        #expect(first.hears("shellies/p/relay/1/power", "7") == [])
    }

    @Test func theSumOfThreeWaitsForThree() throws {
        var meter = try made("{topic: p, meters: 3}")
        #expect(meter.hears("shellies/p/emeter/0/power", "1") == ["power.l1=1"])
        #expect(meter.hears("shellies/p/emeter/1/power", "2") == ["power.l2=2"])
        #expect(meter.hears("shellies/p/emeter/2/power", "4") == ["power=7", "power.l3=4"])
        _ = meter.hears("shellies/p/online", "false")
        #expect(meter.hears("shellies/p/emeter/0/power", "1") == ["power.l1=1"])
    }

    @Test(arguments: ["relay/0", "relay/0/power", "relay/0/energy", "emeter/0/total", "temperature", "overtemperature"])
    func retainedMessagesAreNoSamples(_ topic: String) throws {
        var plug = try made()
        for text in ["1", "on"] { #expect(plug.hears("shellies/p/\(topic)", text, retained: true) == []) }
        #expect(plug.hears("shellies/p/online", "true", retained: true) == ["online=1"])
    }

    @Test func asksOnlyWhereItMay() throws {
        var quiet = try made()
        #expect(quiet.opens() == Outbox())
        var asking = try made("{topic: p, commands: true}")
        #expect(asking.opens().request == .publish(topic: "shellies/p/command", payload: Array("update".utf8)))
    }
}
