// Slots that the store makes of the samples, and records that its owner puts: what of them must be there.

import Model
import Store

/// Records of a tier that can be told apart, two versions of each.
struct NumberedRecords {
    static let key = SeriesKey(device: "station", channel: "state")
    private let id: SeriesID

    init(_ store: RingStore) throws {
        guard let id = try store.series(Self.key, unit: nil, kind: .state) else {
            throw CrashLab.Failure(description: "the store has no room for the series of the records")
        }
        self.id = id
    }

    private static func start(_ number: Int) -> Instant {
        Instant(milliseconds: NumberedSamples.start) + .minutes(Int64(number / 2) * 15)
    }

    /// Every other pair stands in either tier.
    static func tier(_ number: Int) -> Tier { number / 2 % 2 == 0 ? .slots : .days }

    private static func fields(_ number: Int) -> [Int64] { [Int64(number), Int64(number) * 7919 - 1_000_000, 17] }

    func put(_ number: Int, into store: RingStore) {
        let record = TierRecord(series: id, start: Self.start(number), fields: Self.fields(number))
        store.put(record, in: Self.tier(number))
    }

    /// Which record this is; nil where it never was one.
    static func number(of record: TierRecord, in tier: Tier) -> Int? {
        guard let first = record.fields.first, let number = Int(exactly: first), number >= 0, number < 1_000_000,
            record.fields == fields(number), record.start == start(number), Self.tier(number) == tier
        else { return nil }
        return number
    }
}

/// Holds a store's slots against its samples, and its records against what was put.
struct TierJudge {
    let samples: NumberedSamples
    /// So many samples and records are durable.
    let durable: Int
    let records: Int
    /// So many records may have been written over.
    let overwritten: Int

    /// Everything that the tiers say.
    func answers(_ store: RingStore) -> [[ChannelSlot]] {
        (0..<NumberedSamples.series).map { number in
            store.find(NumberedSamples.key(number)).map {
                store.slots($0.id, from: .distantPast, to: .distantFuture)
                    + store.days($0.id, from: .distantPast, to: .distantFuture)
            } ?? []
        }
    }

    /// nil where all is there.
    func judge(_ store: RingStore, _ found: [Bool]) -> Verdict? {
        var missing = (records: 0, slots: 0)
        let verdict = judgeRecords(store, &missing.records) ?? judgeSlots(store, found, &missing.slots)
        if let verdict { return verdict }
        // Both stand in the same rings, whose count of what they gave up does not tell them apart.
        let lost = missing.records + missing.slots - overwritten
        guard lost > 0 else { return nil }
        return .lost(lost, of: missing.slots == 0 ? "records" : missing.records == 0 ? "slots" : "records and slots")
    }

    private func judgeRecords(_ store: RingStore, _ missing: inout Int) -> Verdict? {
        guard let info = store.find(NumberedRecords.key) else {
            return records == 0 ? nil : .lost(records, of: "records")
        }
        // By pair, the newest version that is there.
        var newest: [Int: Int] = [:]
        for tier in Tier.allCases {
            for record in store.records(info.id, in: tier, from: .distantPast, to: .distantFuture) {
                guard let number = NumberedRecords.number(of: record, in: tier) else {
                    return .wrong("read \(record) of \(tier), which was never put")
                }
                guard newest.updateValue(number, forKey: number / 2) == nil else {
                    return .wrong("record \(number) is there twice")
                }
            }
        }
        for pair in 0..<(records + 1) / 2 {
            let promised = min(records - 1, pair * 2 + 1)
            guard let number = newest[pair] else {
                // What a ring gave up is its oldest.
                guard promised < records - 40 else { return .lost(1, of: "records") }
                missing += 1
                continue
            }
            if number < promised { return .wrong("record \(number) came back, \(promised) had replaced it") }
        }
        return nil
    }

    /// A slot must be what all its samples make it, also those that the ring of samples has written over since.
    private func judgeSlots(_ store: RingStore, _ found: [Bool], _ missing: inout Int) -> Verdict? {
        var expected: [[Instant: ExpectedSlot]] = Array(repeating: [:], count: NumberedSamples.series)
        for index in found.indices where found[index] || index < durable {
            let (series, sample) = samples[index]
            let start = sample.time.floor(to: ChannelSlot.length)
            expected[series][start, default: ExpectedSlot()].samples.append(sample)
        }
        for series in expected.indices {
            guard let info = store.find(NumberedSamples.key(series)) else { continue }
            let slots = store.slots(info.id, from: .distantPast, to: .distantFuture)
            let byStart = Dictionary(slots.map { ($0.start, $0) }) { a, _ in a }
            guard byStart.count == slots.count else { return .wrong("a slot of series \(series) is there twice") }
            for (start, slot) in expected[series] {
                guard let there = byStart[start], there.count >= slot.samples.count else {
                    missing += 1
                    continue
                }
                guard slot.agrees(with: there) else {
                    return .wrong("series \(series): \(there) is not what its \(slot.samples.count) samples say")
                }
            }
        }
        return nil
    }
}

/// A slot by its samples, the plain way.
struct ExpectedSlot {
    /// In order of arrival.
    var samples: [Sample] = []

    func agrees(with slot: ChannelSlot) -> Bool {
        let order = samples.indices.sorted { (samples[$0].time, $0) < (samples[$1].time, $1) }
        let ordered = order.map { samples[$0] }
        var numbers: [Double] = []
        for sample in ordered { if case .number(let number) = sample.value { numbers.append(number) } }
        guard let first = numbers.first, let last = numbers.last, numbers.count == ordered.count else { return false }
        var integral = 0.0
        for (index, sample) in ordered.enumerated() {
            let end = index + 1 < ordered.count ? ordered[index + 1].time : slot.end
            integral += numbers[index] * Double((end - sample.time).milliseconds)
        }
        return slot.count == numbers.count && slot.first == first && slot.last == last && slot.min == numbers.min()
            && slot.max == numbers.max() && slot.covered == slot.end - ordered[0].time
            && abs(slot.integral - integral) <= 1e-9 * max(1, abs(integral))
    }
}
