import Model
import Plugs
import Testing

@Suite struct SparkplugBTests {
    private func device(_ more: String = ", device: d") throws -> SparkplugB {
        try MessageBench.made(
            SparkplugB.self,
            "{group: g, node: n\(more), values: [{channel: power, metric: P, unit: W},"
                + "{channel: count, metric: C, unit: 1, plausible: [-1e9, 1e9]}]}")
    }

    private let births: [(String, [UInt8])] = [
        ("g/NBIRTH/n", Spark.payload(0, [Spark.metric(name: "bdSeq", type: 8, long: 7)])),
        (
            "g/DBIRTH/n/d",
            Spark.payload(
                1,
                [
                    Spark.metric(name: "P", alias: 5, type: 10, double: 1),
                    Spark.metric(name: "C", alias: 6, type: 3, int: 2),
                ])
        ),
    ]

    private func born() throws -> SparkplugB {
        var made = try device()
        for (topic, payload) in births { _ = made.hears(topic, payload) }
        return made
    }

    // MARK: the session

    @Test func asksForABirthWhenItComes() throws {
        var made = try device()
        #expect(made.subscriptions == ["spBv1.0/g/+/n/#"])
        guard case .publish(let topic, let payload)? = made.opens().request else {
            Issue.record("nothing was asked")
            return
        }
        #expect(topic == "spBv1.0/g/NCMD/n")
        // Metric { name "Node Control/Rebirth", datatype Boolean, true }
        #expect(payload == [0x12, 0x1A, 0x0A, 0x14] + Array("Node Control/Rebirth".utf8) + [0x20, 0x0B, 0x70, 0x01])
        var silent = try device(", rebirth: false")
        #expect(silent.opens().request == nil)
    }

    @Test func aBirthGivesValuesAndThenAliasesDo() throws {
        var made = try device()
        #expect(made.hears("g/NBIRTH/n", births[0].1).readings == [])
        #expect(made.hears("g/DBIRTH/n/d", births[1].1).readings == ["online=1", "power=1", "count=2"])
        let data = Spark.payload(2, [Spark.metric(alias: 6, int: 3), Spark.metric(alias: 5, double: 9.5)])
        #expect(made.hears("g/DDATA/n/d", data).readings == ["count=3", "power=9.5"])
    }

    @Test func aMissingMessageMakesAliasesMeaningless() throws {
        var made = try born()
        let data = [Spark.metric(alias: 5, double: 9), Spark.metric(name: "C", type: 3, int: 4)]
        let said = made.hears("g/DDATA/n/d", Spark.payload(3, data))
        #expect(said.readings == ["count=4"] && said.faults == ["badFrame"] && said.asks)
        // It has asked, and does not ask with every message.
        #expect(made.hears("g/DDATA/n/d", Spark.payload(4, data)).asks == false)
        var asked = 0
        for seq in 5..<205 where made.hears("g/DDATA/n/d", Spark.payload(UInt64(seq), data)).asks { asked += 1 }
        #expect((2...4).contains(asked), "asked \(asked) times in 200 messages")
        for (topic, payload) in births { _ = made.hears(topic, payload) }
        #expect(made.hears("g/DDATA/n/d", Spark.payload(2, data)).readings == ["power=9", "count=4"])
    }

    @Test func otherDevicesOfTheNodeCountInTheSequence() throws {
        var made = try born()
        #expect(made.hears("g/DDATA/n/other", Spark.payload(2, [Spark.metric(alias: 5, double: 1)])).readings == [])
        #expect(
            made.hears("g/NDATA/n", Spark.payload(3, [Spark.metric(name: "P", type: 10, double: 1)])).readings == [])
        let said = made.hears("g/DDATA/n/d", Spark.payload(4, [Spark.metric(alias: 5, double: 8)]))
        #expect(said.readings == ["power=8"] && !said.asks)
    }

    @Test func theSequenceGoesOnFromZeroAndARepetitionIsDropped() throws {
        var made = try born()
        for seq in 2...300 {
            let data = Spark.payload(UInt64(seq % 256), [Spark.metric(alias: 5, double: Double(seq))])
            #expect(made.hears("g/DDATA/n/d", data).readings == ["power=\(seq)"])
            #expect(made.hears("g/DDATA/n/d", data).readings == [])
        }
    }

    @Test func anUnknownAliasAsksForABirth() throws {
        var made = try born()
        let said = made.hears("g/DDATA/n/d", Spark.payload(2, [Spark.metric(alias: 99, double: 8)]))
        #expect(said.readings == [] && said.faults == ["badFrame"] && said.asks)
    }

    @Test func onlyItsOwnLastWillEndsASession() throws {
        var made = try born()
        let old = Spark.payload(nil, [Spark.metric(name: "bdSeq", type: 8, long: 6)])
        #expect(made.hears("g/NDEATH/n", old).readings == [])
        let own = Spark.payload(nil, [Spark.metric(name: "bdSeq", type: 8, long: 7)])
        #expect(made.hears("g/NDEATH/n", own).readings == ["online=0"])
        // What still comes was meant before.
        let said = made.hears("g/DDATA/n/d", Spark.payload(2, [Spark.metric(alias: 5, double: 8)]))
        #expect(said.readings == [] && said.asks)
    }

    @Test func deathOfTheDevice() throws {
        var made = try born()
        #expect(made.hears("g/DDEATH/n/d", Spark.payload(2, [])).readings == ["online=0"])
        #expect(made.hears("g/DDEATH/n/other", Spark.payload(3, [])).readings == [])
    }

    @Test func retainedMessagesAreNotOfThisSession() throws {
        var made = try born()
        let data = Spark.payload(2, [Spark.metric(alias: 5, double: 8)])
        #expect(made.hears("g/DDATA/n/d", data, retained: true).readings == [])
        #expect(made.hears("g/DDATA/n/d", data).readings == ["power=8"])
    }

    // MARK: metrics

    @Test(arguments: [
        (1, 0xFFFF_FFFD, -3), (1, 0xFD, -3), (2, 0xFFFF, -1), (3, 0xFFFF_FFFF, -1), (3, 5, 5), (5, 200, 200),
        (6, 65_535, 65_535), (7, 0x3B9A_CA00, 1_000_000_000),
    ])
    func wholeNumbersFollowTheirDatatype(_ type: UInt64, _ raw: UInt64, _ value: Int) throws {
        var made = try born()
        let data = Spark.payload(2, [Spark.metric(name: "C", type: type, int: raw)])
        #expect(made.hears("g/DDATA/n/d", data).readings == ["count=\(value)"])
    }

    @Test func aLongOneMayBeNegative() throws {
        var made = try born()
        let data = Spark.payload(2, [Spark.metric(name: "C", type: 4, long: UInt64(bitPattern: -7))])
        #expect(made.hears("g/DDATA/n/d", data).readings == ["count=-7"])
    }

    @Test func nullIsUnknownAndHistoryIsNotNow() throws {
        var made = try born()
        let null = Spark.metric(alias: 5, extra: [0x38, 1])
        let past = Spark.metric(alias: 6, int: 9, extra: [0x28, 1])
        #expect(made.hears("g/DDATA/n/d", Spark.payload(2, [null, past])).readings == ["power=unknown"])
    }

    @Test func aMetricsTimeIsTheReadings() throws {
        var made = try born()
        var out = Outbox()
        let metric = Spark.metric(alias: 5, double: 8, extra: [0x18] + Spark.varint(1_786_512_605_270))
        let source = Source(topic: "spBv1.0/g/DDATA/n/d", subscription: 0, isRetained: false)
        made.receive(Spark.payload(2, [metric]).span, from: source, &out)
        #expect(out.readings.first?.time == Instant(milliseconds: 1_786_512_605_270))
    }

    @Test func cutAndMixedUpPayloadsAreFaults() throws {
        let good = Spark.payload(2, [Spark.metric(name: "P", alias: 5, type: 10, double: 8)])
        for length in 1..<good.count {
            var made = try born()
            let said = made.hears("g/DDATA/n/d", Array(good.prefix(length)))
            // Cut between two fields it is a payload again, without its seq.
            #expect(said.readings == [] && said.faults == ["badFrame"] && said.asks, "\(length) bytes")
        }
        for seed in UInt64(1)...2000 {
            var random = SplitMix(state: seed)
            var made = try born()
            var bytes = good
            for _ in 0..<3 {
                bytes[Int.random(in: bytes.indices, using: &random)] = .random(in: 0...255, using: &random)
            }
            let said = made.hears("g/DDATA/n/d", bytes)
            #expect(said.readings.count <= 2, "seed \(seed)")
        }
    }

    @Test func aFloodOfMetricsIsBounded() throws {
        var made = try born()
        let many = [[UInt8]](repeating: Spark.metric(alias: 5, double: 8), count: 500)
        let said = made.hears("g/DDATA/n/d", Spark.payload(2, many))
        #expect(said.readings.count == 63 && said.faults == ["overrun"])
    }

    @Test(arguments: [
        ("{node: n, values: [{channel: power, metric: P, unit: W}]}", "needs 'group'"),
        ("{group: g, node: a/b, values: [{channel: power, metric: P, unit: W}]}", "no node"),
        ("{group: g, node: n, device: '+', values: [{channel: power, metric: P, unit: W}]}", "no id of a device"),
        ("{group: g, node: n, values: [{channel: power, unit: W}]}", "needs 'metric'"),
        ("{group: g, node: n, values: [{channel: power, metric: P}]}", "needs 'unit'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(SparkplugB.self, keys)
        #expect(mistakes.count == 1, "\(mistakes)")
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }
}

/// Payloads as a node would write them.
private enum Spark {
    static func varint(_ value: UInt64) -> [UInt8] {
        var rest = value
        var out: [UInt8] = []
        while rest >= 0x80 {
            out.append(UInt8(rest & 0x7F) | 0x80)
            rest >>= 7
        }
        return out + [UInt8(rest)]
    }

    static func metric(
        name: String? = nil, alias: UInt64? = nil, type: UInt64? = nil, int: UInt64? = nil, long: UInt64? = nil,
        double: Double? = nil, extra: [UInt8] = []
    ) -> [UInt8] {
        var out: [UInt8] = []
        if let name { out += [0x0A] + varint(UInt64(name.utf8.count)) + Array(name.utf8) }
        if let alias { out += [0x10] + varint(alias) }
        if let type { out += [0x20] + varint(type) }
        if let int { out += [0x50] + varint(int) }
        if let long { out += [0x58] + varint(long) }
        if let double { out += [0x69] + (0..<8).map { UInt8(double.bitPattern >> (8 * UInt64($0)) & 0xFF) } }
        return out + extra
    }

    /// The seq stands last here, so that no cut payload has one.
    static func payload(_ seq: UInt64?, _ metrics: [[UInt8]]) -> [UInt8] {
        metrics.reduce([]) { $0 + [0x12] + varint(UInt64($1.count)) + $1 } + (seq.map { [0x18] + varint($0) } ?? [])
    }
}

extension SparkplugB {
    fileprivate mutating func hears(
        _ topic: String, _ payload: [UInt8], retained: Bool = false
    ) -> (readings: [String], faults: [String], asks: Bool) {
        var out = Outbox()
        receive(
            payload.span, from: Source(topic: "spBv1.0/" + topic, subscription: 0, isRetained: retained), &out)
        return (words(out), out.faults.map(\.kind.rawValue), out.request != nil)
    }
}
