import Model
import Plugs
import Testing

@Suite struct InfluxLineTests {
    private func device(_ values: String, _ more: String = "") throws -> InfluxLine {
        try MessageBench.made(InfluxLine.self, "{topic: 'i/#', values: [\(values)]\(more)}")
    }

    @Test(arguments: [
        ("m w=1", ["power=1"]), ("m,t=x w=1,v=2 5", ["power=1"]), ("m w=1i", ["power=1"]), ("m w=1u", ["power=1"]),
        ("m w=-2i", ["power=-2"]), ("m w=-2u", ["!badFrame"]), ("m w=1.5i", ["!badFrame"]), ("m w=1e2", ["power=100"]),
        ("m w=t", ["!badValue"]), ("m w=", ["!badFrame"]), ("m w", ["!badFrame"]), ("m", ["!badFrame"]),
        ("m  w=1", ["power=1"]), ("# m w=1", []), ("", []), ("\n\r\n", []), ("m w=1\nm w=2", ["power=1", "power=2"]),
        ("m w=1\r\nm w\nm w=3", ["power=1", "power=3", "!badFrame"]), ("m w=1 x", ["!badFrame"]),
        ("m w=1 1 1", ["!badFrame"]), ("m w=1,w=2", ["power=2"]), ("m s=\"a\nb w=9\",w=1", ["power=1"]),
        ("m s=\"x\\\" w=9\",w=1", ["power=1"]), ("m s=\"x", ["!badFrame"]), ("m\\ n\\,o,a\\=b=c\\ d w=1", ["power=1"]),
        ("m,t w=1", ["!badFrame"]), ("m w=0x10", ["!badFrame"]), ("m w=1,", ["!badFrame"]), ("m s=\"\\", ["!badFrame"]),
        ("m w=1\\", ["!badFrame"]), ("\\", ["!badFrame"]),
    ])
    func pointsOfAMessage(_ text: String, _ said: [String]) throws {
        var made = try device("{channel: power, field: w, unit: W}")
        #expect(made.hears("i/a", text) == said)
    }

    @Test func tagsAndMeasurementsTellPointsApart() throws {
        var made = try device(
            "{channel: power, measurement: m, field: w, unit: W}, {channel: energy, field: 'a b', unit: kWh, tags: {p: '1'}}",
            ", tags: {machine: 'the lathe'}")
        #expect(made.hears("i", "m,machine=the\\ lathe w=1,a\\ b=2") == ["power=1"])
        #expect(made.hears("i", "m,p=1,machine=the\\ lathe w=1,a\\ b=2") == ["power=1", "energy=2000000"])
        #expect(made.hears("i", "n,p=1,machine=the\\ lathe w=1,a\\ b=2") == ["energy=2000000"])
        #expect(made.hears("i", "m,machine=the w=1") == [])
        #expect(made.hears("i", "m w=1") == [])
    }

    @Test(arguments: [
        ("ns", "1786512605270000000", 1_786_512_605_270), ("us", "1786512605270000", 1_786_512_605_270),
        ("ms", "1786512605270", 1_786_512_605_270), ("s", "1786512605", 1_786_512_605_000), ("ns", "21000000000", nil),
        ("ns", "-5", nil), ("ns", "9999999999999999999", nil), ("s", "", nil),
    ])
    func timesThatCanBeRight(_ precision: String, _ time: String, _ milliseconds: Int64?) throws {
        var made = try device("{channel: power, field: w, unit: W}", ", precision: \(precision)")
        var out = Outbox()
        let source = Source(topic: "i", subscription: 0, isRetained: false)
        made.receive(Array("m w=1 \(time)".utf8).span, from: source, &out)
        #expect(out.readings.map(\.time) == [milliseconds.map(Instant.init(milliseconds:))])
    }

    @Test func aFloodOfPointsIsBounded() throws {
        var made = try device("{channel: power, field: w, unit: W}")
        let said = made.hears("i", [String](repeating: "m w=1", count: 500).joined(separator: "\n"))
        #expect(said.count == 65 && said.last == "!overrun")
    }

    @Test func retainedPointsAreOfUnknownAge() throws {
        var made = try device("{channel: power, field: w, unit: W}")
        #expect(made.hears("i", "m w=1", retained: true) == [])
    }

    @Test(arguments: [
        ("{topic: 'a/#/b', values: [{channel: power, field: w, unit: W}]}", "no topic"),
        ("{topic: a, values: [{channel: power, unit: W}]}", "needs 'field'"),
        ("{topic: a, values: [{channel: power, field: w}]}", "needs 'unit'"),
        ("{topic: a, precision: m, values: [{channel: power, field: w, unit: W}]}", "precision"),
        ("{values: [{channel: power, field: w, unit: W}]}", "needs 'topic'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(InfluxLine.self, keys)
        #expect(mistakes.count == 1, "\(mistakes)")
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }
}
