import Model
import Store
import Testing

/// Records of tiers as a workload puts them, and the plain dictionary that a store's tiers have to agree with.
enum TierPuts {
    struct Key: Hashable {
        let series: SeriesKey
        let tier: Tier
        let start: Int64
    }

    struct Put: Hashable {
        let number: Int
        let tier: Tier
        let start: Int64
        let fields: [Int64]

        /// One of the last slots or days before `time`, with numbers of every size.
        init(series: Int, time: Instant, _ random: inout Seeded) {
            // Not of the series of numbers, whose slots are the store's own.
            number = (0..<series).filter { $0 % 4 >= 2 }.randomElement(using: &random) ?? 2
            tier = Int.random(in: 0..<4, using: &random) == 0 ? .days : .slots
            let length: Int64 = tier == .days ? 86_400_000 : 900_000
            start = (time.milliseconds / length - Int64.random(in: 0..<5, using: &random)) * length
            let big = Int.random(in: 0..<9, using: &random) == 0
            fields = (0..<Int.random(in: 0..<6, using: &random) * 2).map { _ in
                big ? Int64(bitPattern: random.next()) : Int64.random(in: -3...9000, using: &random)
            }
        }

        var key: Key { Key(series: Workload.key(number), tier: tier, start: start) }
    }

    /// The pages of a whole store whose catalog, journal and archive have so many.
    static func all(_ pages: Int) -> Int { pages + max(8, pages * 96 / 256) + max(8, pages * 32 / 1024) }

    static func expected(_ puts: some Sequence<Put>) -> [Key: [Int64]] {
        var records: [Key: [Int64]] = [:]
        for put in puts { records[put.key] = put.fields }
        return records
    }

    static func answers(_ store: RingStore) -> [Key: [Int64]] {
        var answers: [Key: [Int64]] = [:]
        for info in store.allSeries where info.kind == .state || info.kind == .event {
            for tier in Tier.allCases {
                var last = Int64.min
                for record in store.records(info.id, in: tier, from: .distantPast, to: .distantFuture) {
                    if record.start.milliseconds <= last { Issue.record("out of order or twice: \(record)") }
                    last = record.start.milliseconds
                    answers[Key(series: info.key, tier: tier, start: last)] = record.fields
                }
            }
        }
        return answers
    }

    /// How many of the puts a store knows, if that is a prefix of at least `first`.
    static func prefix(_ store: RingStore, _ puts: [Put], from first: Int) -> Int? {
        let answers = answers(store)
        var model = expected(puts.prefix(first))
        for count in first...puts.count {
            if count > first { model[puts[count - 1].key] = puts[count - 1].fields }
            if model == answers { return count }
        }
        return nil
    }

    /// Of each record, the versions up to the one that a store has; nil where it has one that was never put, or, of the
    /// first `durable` puts, lacks one or has an older version.
    static func survivors(_ store: RingStore, _ puts: [Put], durable: Int) -> [Put]? {
        let answers = answers(store)
        var newest: [Key: Int] = [:]
        for (index, put) in puts.enumerated() where answers[put.key] == put.fields { newest[put.key] = index }
        guard newest.count == answers.count else { return nil }
        for (index, put) in puts.prefix(durable).enumerated() where newest[put.key] ?? -1 < index { return nil }
        return puts.enumerated().filter { $0.offset <= newest[$0.element.key] ?? -1 }.map(\.element)
    }

    /// Readable ⊆ written; and where the disk kept its word, durable ⊆ readable.
    static func check(
        _ store: RingStore, _ puts: [Put], _ mark: SimulatedDisk.Mark, isSound: Bool, _ context: String
    ) {
        let durable = isSound && mark.overwrittenRecords == 0 ? mark.durablePuts : 0
        #expect(
            survivors(store, puts, durable: durable) != nil,
            "not the records of \(durable) durable of \(puts.count) puts, \(store.recovery), \(context)")
        if isSound { #expect(store.recovery.lostRecords == 0, "\(store.recovery), \(context)") }
    }
}
