import Model
import Plugs
import Testing

@Suite struct TasmotaTests {
    private func energy(_ members: String) -> String { #"{"Time":"2026-11-23T18:00:00","ENERGY":{\#(members)}}"# }

    // MARK: keys

    @Test func subscribesWhereThePlugPublishes() throws {
        let plain = try MessageBench.made(Tasmota.self, "topic: laser")
        #expect(
            plain.subscriptions == [
                "tele/laser/SENSOR", "tele/laser/STATE", "tele/laser/LWT", "tele/laser/INFO3", "stat/laser/+",
            ])
        let own = try MessageBench.made(
            Tasmota.self, "{topic: a/b, full_topic: 'lab/%topic%/%prefix%', prefixes: [c, s, t]}")
        #expect(own.subscriptions[0] == "lab/a/b/t/SENSOR")
        #expect(own.subscriptions[4] == "lab/a/b/s/+")
    }

    @Test(arguments: [
        ("{}", "needs 'topic'"), ("topic: 'a/+'", "cannot be a plug's topic"), ("topic: /a", "cannot be"),
        ("{topic: a, full_topic: '%topic%/x'}", "%prefix%"),
        ("{topic: a, full_topic: '%prefix%/%topic%/%id%'}", "%id%"),
        ("{topic: a, full_topic: '%prefix%/%topic%/#'}", "full_topic"), ("{topic: a, prefixes: [a, b]}", "three"),
        ("{topic: a, prefixes: [a, a, b]}", "three"), ("{topic: a, prefixes: [a, 'b/#', c]}", "three"),
        ("{topic: a, channel: 0}", "whole number"), ("{topic: a, relay: 33}", "whole number"),
        ("{topic: a, rating: 3680}", "needs a unit"), ("{topic: a, rating: -1 W}", "1 W to 10 MW"),
        ("{topic: a, energy_digits: 6}", "whole number"), ("{topic: a, comands: true}", "did you mean 'commands'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(Tasmota.self, keys)
        #expect(mistakes.count == 1)
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }

    @Test func aProfileHasNoUnknownSettings() throws {
        let mistakes = try MessageBench.mistakes(Tasmota.self, "topic: a", profile: "settings: {ratng: 3 kW}")
        #expect(mistakes.first?.contains("did you mean 'rating'") == true)
    }

    @Test func theDevicesRatingGoesBeforeTheModels() throws {
        var plug = try MessageBench.made(Tasmota.self, "{topic: a, rating: 1 kW}", profile: "settings: {rating: 9 kW}")
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":1250"#)) == ["power=1250"])
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":1251"#)) == ["!implausible"])
    }

    @Test(arguments: [(0, 1e6), (2, 1e4), (3, 1e3), (5, 10.0)])
    func digitsAreTheStepOfTheCounter(_ digits: Int, _ step: Double) throws {
        let plug = try MessageBench.made(Tasmota.self, "{topic: a, energy_digits: \(digits)}")
        #expect(plug.channels.first { $0.name == "energy" }?.resolution == step)
    }

    @Test func onePhaseHasNoChannelsOfPhases() throws {
        let names = try MessageBench.made(Tasmota.self, "{topic: a, phases: 1}").channels.map(\.name)
        #expect(
            names == [
                "power", "voltage", "current", "frequency", "power_factor", "energy", "energy.export", "online",
                "relay", "uptime", "restart", "exchange",
            ])
    }

    @Test func twoPhasesLandWhereTheirNamesAre() throws {
        var plug = try MessageBench.made(Tasmota.self, "{topic: a, phases: 2}")
        let said = plug.hears(
            "tele/a/SENSOR",
            energy(
                #""Power":[1,2,4],"Voltage":[230,231],"Current":[3,4],"Frequency":50,"Factor":[0.5,1],"#
                    + #""Total":[7,8],"ExportActive":[1,2]"#))
        #expect(
            said == [
                "power=7", "power.l1=1", "power.l2=2", "voltage.l1=230", "voltage.l2=231", "current.l1=3",
                "current.l2=4", "frequency=50", "power_factor.l1=0.5", "power_factor.l2=1", "energy=15000000",
                "energy.l1=7000000", "energy.l2=8000000", "energy.export=3000000",
            ])
    }

    // MARK: quantities

    @Test func theOrderOfKeysDoesNotMatter() throws {
        let keys = [
            #""Total":812.417"#, #""Power":742"#, #""Factor":0.95"#, #""Voltage":219"#, #""Current":3.566"#,
            #""Today":{"x":[1,{"y":null}]}"#,
        ]
        let plug = try MessageBench.made(Tasmota.self, "topic: a")
        var first = plug
        let wanted = first.hears("tele/a/SENSOR", energy(keys.joined(separator: ",")))
        #expect(wanted.count == 5)
        for seed in UInt64(1)...50 {
            var random = SplitMix(state: seed)
            var again = plug
            let text = energy(keys.shuffled(using: &random).joined(separator: ","))
            #expect(again.hears("tele/a/SENSOR", text) == wanted, "seed \(seed)")
        }
    }

    @Test func energyIsWholeMilliwattHours() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        for text in ["0", "0.001", "812.417", "21474.83647", "8192.00001", "0.1", "1.005"] {
            let exact = Int64((Double(text)! * 1e6).rounded())
            #expect(plug.hears("tele/a/SENSOR", energy(#""Total":\#(text)"#)) == ["energy=\(exact)"])
        }
    }

    @Test func aSumWithoutAPartIsNotReported() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        #expect(
            plug.hears("tele/a/SENSOR", energy(#""Total":[1,null]"#)) == [
                "energy=unknown", "energy.l1=1000000", "energy.l2=unknown",
            ])
        #expect(plug.hears("tele/a/SENSOR", energy(#""Total":[1,"2"]"#)) == ["energy.l1=1000000", "!badValue"])
        #expect(plug.hears("tele/a/SENSOR", energy(#""Total":[1,-2]"#)) == ["energy.l1=1000000", "!implausible"])
        #expect(
            plug.hears("tele/a/SENSOR", energy(#""Total":{"Phase2":3}"#)) == [
                "energy=unknown", "energy.l1=unknown", "energy.l2=3000000",
            ])
    }

    @Test func anEmptyListSaysNothing() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        #expect(plug.hears("tele/a/SENSOR", energy(#""Total":[],"Power":{},"Voltage":[230]"#)) == ["voltage=230"])
    }

    @Test func aMeterGoesBeforeAClampInEitherOrder() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        let clamp = #""ANALOG":{"CTEnergy1":{"Power":5},"CTEnergy2":{"Power":6}}"#
        #expect(plug.hears("tele/a/SENSOR", #"{\#(clamp),"ENERGY":{"Power":7}}"#) == ["power=7"])
        #expect(plug.hears("tele/a/SENSOR", #"{"ENERGY":{"Power":7},\#(clamp)}"#) == ["power=7"])
        #expect(plug.hears("tele/a/SENSOR", #"{\#(clamp)}"#) == ["power=11", "power.l1=5", "power.l2=6"])
        #expect(
            plug.hears("tele/a/SENSOR", #"{"ANALOG":{"CTEnergy":{"Power":5,"Energy":2}}}"#) == [
                "power=5", "energy=2000000",
            ])
    }

    @Test func oneOutletOfTwoTakesItsOwnPart() throws {
        var plug = try MessageBench.made(Tasmota.self, "{topic: a, channel: 2}")
        let both = energy(#""Total":[1,2],"Power":[24,61],"Voltage":221,"Current":[0.1,0.3]"#)
        #expect(plug.hears("tele/a/SENSOR", both) == ["power=61", "voltage=221", "current=0.3", "energy=2000000"])
        // The sum of both would charge this one for the other; it is told once.
        let sum = energy(#""Total":3,"Power":[24,61]"#)
        #expect(plug.hears("tele/a/SENSOR", sum) == ["power=61", "!badValue"])
        #expect(plug.hears("tele/a/SENSOR", sum) == ["power=61"])
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":24"#)) == ["!badValue"])
        #expect(plug.hears("stat/a/POWER1", "OFF") == [])
        #expect(plug.hears("stat/a/POWER2", "OFF") == ["power=0", "relay=0"])
    }

    // MARK: relays

    @Test func switchedOffIsZeroAtOnceAndOnce() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":742"#)) == ["power=742"])
        #expect(plug.hears("stat/a/RESULT", #"{"POWER":"OFF"}"#) == ["power=0", "relay=0"])
        #expect(plug.hears("stat/a/POWER", "OFF") == [])
        // Five minutes may pass until the meter speaks: what flows until then is not 0 W.
        #expect(plug.hears("stat/a/RESULT", #"{"POWER":"ON"}"#) == ["power=unknown", "relay=1"])
        #expect(plug.hears("stat/a/POWER", "ON") == [])
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":0"#)) == ["power=0"])
        #expect(plug.hears("stat/a/POWER", "ON") == [])
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":10"#)) == ["power=10"])
        // ON was missed: power flowed, so OFF means something.
        #expect(plug.hears("stat/a/POWER", "OFF") == ["power=0", "relay=0"])
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":10"#)) == ["power=10"])
        #expect(plug.hears("stat/a/POWER", "OFF") == ["power=0"])
    }

    @Test func aRelayWithoutAMeterIsNotZeroForever() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        #expect(plug.hears("stat/a/POWER", "OFF") == ["power=0", "relay=0"])
        #expect(plug.hears("stat/a/POWER", "ON") == ["power=unknown", "relay=1"])
    }

    @Test func ofSeveralRelaysAllMustBeOff() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":[5,6]"#)).first == "power=11")
        // There may be a second one.
        #expect(plug.hears("stat/a/POWER1", "OFF") == [])
        #expect(plug.hears("tele/a/STATE", #"{"POWER1":"OFF","POWER2":"ON"}"#) == ["relay=1"])
        #expect(plug.hears("stat/a/POWER2", "OFF") == ["power=0", "power.l1=0", "power.l2=0", "relay=0"])
    }

    @Test func aRelayThatIsNotBeforeTheMeterSaysNothing() throws {
        var plug = try MessageBench.made(Tasmota.self, "{topic: a, relay: 0}")
        #expect(plug.hears("tele/a/SENSOR", energy(#""Power":742"#)) == ["power=742"])
        #expect(plug.hears("stat/a/POWER", "OFF") == [])
        #expect(plug.hears("tele/a/STATE", #"{"POWER":"OFF","UptimeSec":5}"#) == ["uptime=5"])
    }

    @Test func afterAGapNothingIsRemembered() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        _ = plug.hears("stat/a/POWER", "OFF")
        #expect(plug.opens() == Outbox())
        #expect(plug.hears("stat/a/POWER", "OFF") == ["power=0", "relay=0"])
    }

    // MARK: retained, requests

    @Test(arguments: ["tele/a/SENSOR", "tele/a/STATE", "tele/a/INFO3", "stat/a/POWER", "stat/a/STATUS10"])
    func retainedMessagesAreNoSamples(_ topic: String) throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        var out = Outbox()
        let index = try #require(plug.subscriptions.firstIndex { TopicFilter.matches($0, topic) })
        let payload = Array(#"{"ENERGY":{"Power":1},"POWER":"OFF","StatusSNS":{"ENERGY":{"Power":1}}}"#.utf8)
        plug.receive(payload.span, from: Source(topic: topic, subscription: index, isRetained: true), &out)
        #expect(out == Outbox())
    }

    @Test func aRetainedLastWillCounts() throws {
        var plug = try MessageBench.made(Tasmota.self, "topic: a")
        #expect(plug.hears("tele/a/LWT", "Offline", retained: true) == ["online=0"])
        #expect(plug.hears("tele/a/LWT", "Online", retained: true) == ["online=1"])
        #expect(plug.hears("tele/a/LWT", "", retained: true) == [])
    }

    @Test func asksOnlyWhereItMay() throws {
        var quiet = try MessageBench.made(Tasmota.self, "topic: a")
        var out = quiet.opens()
        quiet.poll(&out)
        #expect(out == Outbox())
        var asking = try MessageBench.made(Tasmota.self, "{topic: a, commands: true}")
        #expect(asking.opens().request == .publish(topic: "cmnd/a/TelePeriod", payload: []))
        asking.poll(&out)
        #expect(out.request == .publish(topic: "cmnd/a/Status", payload: Array("10".utf8)))
    }

    @Test func aMessageThatBreaksGivesNothing() throws {
        let whole = Array(energy(#""Total":812.417,"Power":[742,1],"Voltage":219"#).utf8)
        for end in 1..<whole.count {
            var plug = try MessageBench.made(Tasmota.self, "topic: a")
            let text = String(decoding: whole[..<end], as: UTF8.self)
            #expect(plug.hears("tele/a/SENSOR", text) == ["!badFrame"], "cut after \(end) bytes")
        }
    }
}
