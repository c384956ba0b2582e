import Model
import Store
import Testing

/// What waits in memory is kept in few bits. What does not fit these — a clock that leaps by years, numbers that are no
/// decimals or as long as decimals get — stands among the rest and comes back the same, in memory, from the archive and
/// from the journal.
@Suite("Samples in memory")
struct HeadTests {
    private static let series = 5

    /// Mostly the next second; one in `rare` years away.
    private func time(after last: Int64, _ rare: Int, _ random: inout Seeded) -> Int64 {
        guard Int.random(in: 0..<rare, using: &random) == 0 else {
            return last + Int64.random(in: 0...2000, using: &random)
        }
        return Workload.start.milliseconds + Int64.random(in: -200_000_000_000...200_000_000_000, using: &random)
    }

    private func value(_ random: inout Seeded) -> StoredValue {
        let whole = Int64.random(in: -(1 << 52)...(1 << 52), using: &random)
        switch Int.random(in: 0..<9, using: &random) {
        case 0: return .unknown
        case 1: return .text("state \(whole % 7)")
        case 2: return .number(Double(bitPattern: UInt64.random(in: .min ... .max, using: &random)))
        case 3: return .number(Double(whole))
        case 4: return .number(Double(whole) / 10_000)
        case 5: return .number(4_503_599_627_370_495.5)
        case 6: return .number(-0.0)
        default: return .number(Double(whole % 5000) / 10)
        }
    }

    private func found(_ store: RingStore, _ id: SeriesID) -> [Sample] {
        var found: [Sample] = []
        store.scan(id, from: .distantPast, to: .distantFuture) {
            found.append($0)
            return true
        }
        return found
    }

    @Test("Are what was appended, whatever their times and numbers", arguments: [2, 30, 3000])
    func comeBack(rare: Int) throws {
        var random = Seeded(UInt64(rare))
        let disk = SimulatedDisk(pages: TierPuts.all(600))
        var store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: 8), identity: Workload.identity)
        let ids = try (0..<Self.series).compactMap {
            try store.series(Workload.key($0), unit: nil, kind: $0 == 1 ? .state : .gauge)
        }
        var model = [[Sample]](repeating: [], count: ids.count)
        var last = Workload.start.milliseconds
        for round in 0..<9000 {
            let number = Int.random(in: 0..<ids.count, using: &random)
            last = time(after: last, rare, &random)
            let sample = Sample(time: Instant(milliseconds: last), value: value(&random))
            if !model[number].contains(sample) { model[number].append(sample) }
            store.append(ids[number], sample.time, sample.value)
            guard round % 997 == 996 else { continue }
            try store.commit()
            // Some stay in memory alone when a run moves to the archive.
            if round % 3 == 0 { store.finishedSync(store.beginSync()) }
            if round % 7 == 0 { store = try RingStore(opening: disk) }
            for (number, id) in ids.enumerated() {
                // Of equal times, the order of arrival.
                let expected = model[number].enumerated().sorted { ($0.1.time, $0.0) < ($1.1.time, $1.0) }.map(\.1)
                #expect(found(store, id) == expected, "one in \(rare), round \(round), series \(number)")
            }
        }
        #expect(store.statistics.usedPages > 0)
    }

    @Test("Go block by block, and those of one series are still found among thousands of others")
    func blocks() throws {
        let disk = SimulatedDisk(pages: TierPuts.all(12_000))
        let store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: 600), identity: Workload.identity)
        let ids = try (0..<600).compactMap {
            try store.series(SeriesKey(device: "d\($0)", channel: "c"), unit: nil, kind: .gauge)
        }
        var rounds = 0
        var sealed = 0
        func append(_ count: Int) {
            for _ in 0..<count {
                let time = Workload.start + .seconds(Int64(rounds))
                for (number, id) in ids.enumerated() { store.append(id, time, .number(Double(rounds % 100 + number))) }
                rounds += 1
            }
        }
        func check() {
            for number in [0, 17, 599] {
                let samples = found(store, ids[number])
                #expect(samples.count == rounds)
                #expect(samples.last?.value == .number(Double((rounds - 1) % 100 + number)))
                #expect(zip(samples, samples.dropFirst()).allSatisfy { $1.time == $0.time + .seconds(1) })
            }
        }
        // A run is written with one commit, more comes before it is durable, and then it goes.
        for count in [230, 100, 240, 3, 219] {
            append(count)
            try store.commit()
            let token = store.beginSync()
            append(7)
            check()
            store.finishedSync(token)
            check()
            sealed = max(sealed, store.statistics.usedPages)
        }
        #expect(sealed > 0 && store.statistics.samples == 600 * rounds)
    }
}
