import Model
import Plugs
import Testing

@Suite struct SenMLTests {
    private func device(_ values: String, _ more: String = "") throws -> SenML {
        try MessageBench.made(SenML.self, "{topic: s, values: [\(values)]\(more)}")
    }

    @Test(arguments: [
        (#"[{"bn":"a:","n":"power","u":"W","v":1}]"#, ["power=1"]),
        (#"[{"n":"power","bu":"kW","v":1}]"#, ["power=1000"]),
        (#"[{"n":"a/b.power","u":"W","v":1}]"#, ["power=1"]),
        (#"[{"n":"xpower","u":"W","v":1}]"#, []),
        (#"[{"bv":100,"u":"W","n":"power","v":1}]"#, ["power=101"]),
        (#"[{"bv":100,"u":"W","n":"power"}]"#, ["power=100"]),
        (#"[{"bn":"power","bu":"W"},{"v":1},{"v":2}]"#, ["power=1", "power=2"]),
        (#"[{"n":"power","u":"W","v":1,"unheard":{"of":[1]}}]"#, ["power=1"]),
        (#"[{"n":"power","u":"W","v":1,"must_":1}]"#, ["!unknownValue"]),
        (#"[{"n":"power","u":"V","v":1}]"#, ["!unknownValue"]), (#"[{"n":"power","v":1}]"#, ["!unknownValue"]),
        (#"[{"bver":11,"n":"power","u":"W","v":1}]"#, ["!unknownValue"]),
        (#"[{"n":"power","u":"W","v":1},{]"#, ["!badFrame"]), (#"{"n":"power","u":"W","v":1}"#, ["!badFrame"]),
        (#"[{"n":"power","u":"W","vb":true}]"#, ["!badValue"]),
    ])
    func recordsOfAPack(_ pack: String, _ said: [String]) throws {
        var made = try device("{channel: power, name: power}")
        #expect(made.hears("s", pack) == said)
    }

    @Test func aBaseNamesOneDeviceOfSeveral() throws {
        var made = try device("{channel: power, name: power}", ", base: 'lathe:'")
        let pack = #"[{"bn":"lathe:","bu":"W","n":"power","v":1},{"bn":"mill:","n":"power","v":2}]"#
        #expect(made.hears("s", pack) == ["power=1"])
        var loose = try device("{channel: power, name: power}")
        #expect(loose.hears("s", pack) == ["power=1", "!unknownValue"])
    }

    @Test func theSumOfPowerIsEnergy() throws {
        var made = try device("{channel: energy, name: power, sum: true}")
        #expect(made.hears("s", #"[{"n":"power","u":"W","v":5,"s":3600}]"#) == ["energy=1000"])
        #expect(made.hears("s", #"[{"n":"power","bu":"kW","bs":3600},{"n":"power","s":0}]"#).last == "energy=1000000")
        #expect(made.hears("s", #"[{"n":"power","u":"W","v":5}]"#) == [])
        #expect(made.hears("s", #"[{"n":"power","u":"V","s":5}]"#) == ["!unknownValue"])
    }

    @Test(arguments: [
        (#""t":0"#, nil), (#""t":-9"#, nil), (#""bt":1786512605.25"#, 1_786_512_605_250),
        (#""bt":1786512605,"t":-5"#, 1_786_512_600_000), (#""bt":1000000000"#, nil), (#""bt":1e300"#, nil),
    ])
    func timesThatCanBeRight(_ fields: String, _ milliseconds: Int64?) throws {
        var made = try device("{channel: power, name: power}")
        var out = Outbox()
        let pack = Array(#"[{"n":"power","u":"W","v":1,\#(fields)}]"#.utf8)
        made.receive(pack.span, from: Source(topic: "s", subscription: 0, isRetained: false), &out)
        #expect(out.readings.map(\.time) == [milliseconds.map(Instant.init(milliseconds:))])
    }

    @Test(arguments: ["-11", "11", "-100000000", "268435455"])
    func anOldRecordWithoutADateIsNoFreshSample(_ time: String) throws {
        var made = try device("{channel: power, name: power}")
        #expect(made.hears("s", #"[{"n":"power","u":"W","v":1,"t":\#(time)}]"#) == ["!implausible"])
    }

    @Test func aFloodOfRecordsIsBounded() throws {
        var made = try device("{channel: power, name: power}, {channel: power.again, name: power}")
        let records = [String](repeating: #"{"n":"power","u":"W","v":1}"#, count: 500).joined(separator: ",")
        let said = made.hears("s", "[\(records)]")
        #expect(said.count == 61 && said.last == "!overrun")
    }

    @Test func retainedPacksAreOfUnknownAge() throws {
        var made = try device("{channel: power, name: power}")
        #expect(made.hears("s", #"[{"n":"power","u":"W","v":1}]"#, retained: true) == [])
    }

    @Test func saysWhatIsMissing() throws {
        #expect(try MessageBench.mistakes(SenML.self, "topic: s").first?.contains("needs 'values'") == true)
        #expect(
            try MessageBench.mistakes(SenML.self, "{topic: s, values: [{channel: power}]}").first?
                .contains("needs 'name'") == true)
    }
}
