import Model
import Store
import Synchronization
import Testing

/// Memory that many threads read while one writes: a page that is read meanwhile may come half old, half new.
private final class SharedDisk: Region {
    let size: Int
    private let bytes: Mutex<[UInt8]>

    init(pages: Int) {
        size = pages * 4096
        bytes = Mutex([UInt8](repeating: 0, count: size))
    }

    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        let half = buffer.count / 2
        for range in [0..<half, half..<buffer.count] {
            let part = bytes.withLock { Array($0[offset + range.lowerBound..<offset + range.upperBound]) }
            buffer.replaceSubrange(range, with: part)
        }
    }

    func write(_ page: [UInt8], at offset: Int) throws(RegionError) {
        let half = page.count / 2
        for range in [0..<half, half..<page.count] {
            bytes.withLock {
                $0.replaceSubrange(offset + range.lowerBound..<offset + range.upperBound, with: page[range])
            }
        }
    }

    func sync() throws(RegionError) {}
}

/// A store with the plain arrays that it has to agree with.
private struct Lab {
    let store: RingStore
    let ids: [SeriesID]
    var model: [[Sample]]
    var random: Seeded
    var time = Workload.start

    init(pages: Int, series: Int, seed: UInt64) throws {
        let disk = SharedDisk(pages: TierPuts.all(pages))
        store = try RingStore.create(
            in: disk, plan: StorePlan(seriesLimit: series), identity: [UInt8](repeating: 3, count: 16))
        var ids: [SeriesID] = []
        for number in 0..<series {
            let kind: Kind = number % 3 == 2 ? .state : .gauge
            ids.append(try #require(try store.series(Workload.key(number), unit: nil, kind: kind)))
        }
        self.ids = ids
        model = Array(repeating: [], count: series)
        random = Seeded(seed)
    }

    mutating func append(_ count: Int) {
        for _ in 0..<count {
            let number = Int.random(in: 0..<ids.count, using: &random)
            time = time + .milliseconds(Int64.random(in: 1...3000, using: &random))
            let roll = Int.random(in: 0..<1000, using: &random)
            let value: StoredValue =
                number % 3 == 2
                ? .text("state \(roll % 5)") : roll < 10 ? .unknown : .number(Double(roll * roll) / 10)
            store.append(ids[number], time, value)
            model[number].append(Sample(time: time, value: value))
        }
    }

    func commit() throws {
        try store.commit()
        store.finishedSync(store.beginSync())
    }

    func everything(_ number: Int) throws -> SeriesSnapshot {
        try #require(store.snapshot(ids[number], from: .distantPast, to: .distantFuture))
    }

    static func samples(_ snapshot: SeriesSnapshot) -> [Sample]? {
        var samples: [Sample] = []
        let isWhole = snapshot.scan {
            samples.append($0)
            return true
        }
        return isWhole ? samples : nil
    }
}

@Suite("Snapshots of a series")
struct SnapshotTests {
    @Test("One says what was committed when it was taken, whatever comes later")
    func commits() throws {
        var lab = try Lab(pages: 600, series: 5, seed: 31)
        var taken: [(snapshot: SeriesSnapshot, expected: [Sample], slots: [ChannelSlot])] = []
        for round in 0..<60 {
            lab.append(150)
            try lab.commit()
            let number = round % 5
            let expected = lab.model[number]
            let slots = lab.store.slots(lab.ids[number], from: .distantPast, to: .distantFuture)
            // What is not committed is not seen.
            lab.append(40)
            taken.append((try lab.everything(number), expected, slots))
        }
        #expect(lab.store.statistics.usedPages > 5)
        for (index, item) in taken.enumerated() {
            #expect(Lab.samples(item.snapshot) == item.expected, "round \(index)")
            let slots = try #require(item.snapshot.slotsOfStretch())
            #expect(slots.count == item.slots.count && zip(slots, item.slots).allSatisfy(SlotModel.agree))
        }
    }

    @Test("Points over a part are those of the store at that commit")
    func points() throws {
        var lab = try Lab(pages: 600, series: 4, seed: 32)
        for _ in 0..<20 {
            lab.append(400)
            try lab.commit()
            let to = lab.time + .milliseconds(1)
            let from = (to - .hours(1)).floor(to: .minutes(15))
            for step in [Duration.seconds(7), .minutes(15), .minutes(40)] {
                let snapshot = try #require(lab.store.snapshot(lab.ids[0], from: from, to: to))
                #expect(
                    snapshot.points(step: step) == lab.store.points(lab.ids[0], from: from, to: to, step: step))
            }
        }
    }

    @Test("One that the ring has overtaken gives no answer instead of half of one")
    func overtaken() throws {
        var lab = try Lab(pages: 60, series: 3, seed: 33)
        lab.append(4000)
        try lab.commit()
        lab.append(4000)
        try lab.commit()
        let old = try lab.everything(0)
        let chart = try #require(
            lab.store.snapshot(lab.ids[0], from: Workload.start, to: Workload.start + .hours(2)))
        #expect(chart.points(step: .seconds(50))?.count == 144)
        let whole = try #require(Lab.samples(old))
        #expect(whole.count > 1000)
        while lab.store.statistics.overwrittenPages < 60 {
            lab.append(2000)
            try lab.commit()
        }
        #expect(Lab.samples(old) == nil)
        #expect(chart.points(step: .seconds(50)) == nil)
        #expect(Lab.samples(try lab.everything(0)) != nil)
    }

    @Test("Readers on other threads see a commit or nothing, while the ring wraps", arguments: [UInt64(41), 42])
    func readers(seed: UInt64) async throws {
        enum Outcome: Sendable { case same, overtaken, different(String) }
        var lab = try Lab(pages: 48, series: 4, seed: seed)
        var same = 0
        try await withThrowingTaskGroup(of: Outcome.self) { group in
            var running = 0
            func take(_ outcome: Outcome?) {
                running -= 1
                switch outcome {
                case .same: same += 1
                case .different(let what): Issue.record("\(what), seed \(seed)")
                case .overtaken, nil: break
                }
            }
            for round in 0..<160 {
                lab.append(Int.random(in: 1...500, using: &lab.random))
                try lab.commit()
                let number = round % 4
                let snapshot = try lab.everything(number)
                let expected = Workload.everything(lab.store, lab.ids[number])
                #expect(Array(lab.model[number].suffix(expected.count)) == expected)
                group.addTask {
                    guard let found = Lab.samples(snapshot) else { return .overtaken }
                    return found == expected
                        ? .same : .different("round \(round): \(found.count) samples for \(expected.count)")
                }
                running += 1
                while running > 6 { take(try await group.next()) }
            }
            while running > 0 { take(try await group.next()) }
        }
        #expect(lab.store.statistics.overwrittenPages > 0)
        #expect(same > 0)
    }
}
