import Model
import Store
import Testing

/// Times and numbers whose differences take few bits, many, and now and then far more than those beside them: short codes
/// are read several at once, long ones by themselves, and the end of a page by bytes.
@Suite("Codes of every length")
struct CodeLengthTests {
    /// Mostly within `spread`, one in `rare` up to so many bits long.
    private func difference(_ spread: Int64, _ rare: Int, _ random: inout Seeded) -> Int64 {
        guard Int.random(in: 0..<rare, using: &random) == 0 else {
            return Int64.random(in: -spread...spread, using: &random)
        }
        let bits = Int64.random(in: 1...34, using: &random)
        return Int64.random(in: -1...1, using: &random) * (1 << bits)
    }

    @Test(
        "Come back, whatever stands beside them", arguments: [Int64(0), 1, 2, 4, 9, 18, 40, 70, 150, 900, 5000, 70_000])
    func comeBack(spread: Int64) throws {
        for rare in [3, 12, 60, 1000] {
            let seed = UInt64(spread) &* 4096 &+ UInt64(rare)
            var random = Seeded(seed)
            let disk = SimulatedDisk(pages: TierPuts.all(512))
            let store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: 8), identity: Workload.identity)
            let kinds = [Kind.gauge, .gauge, .counter]
            let ids = try kinds.enumerated().compactMap { number, kind in
                try store.series(SeriesKey(device: "d\(number)", channel: "c"), unit: nil, kind: kind)
            }
            var wholes = [Int64](repeating: 0, count: ids.count)
            var step: Int64 = 500
            var due = Workload.start.milliseconds
            var last = due
            var written = [[Sample]](repeating: [], count: ids.count)
            for round in 0..<3000 {
                due += 10_000
                let late = difference(spread, rare, &random)
                last = max(last + 1, due + late)
                if late > 100_000 { due = last }
                step += difference(spread, rare, &random) % 1_000_000
                wholes[0] += difference(spread, rare, &random)
                if difference(9, 4, &random) == 0 { wholes[1] += difference(spread, rare, &random) }
                wholes[2] += step
                for (number, id) in ids.enumerated() {
                    let whole = wholes[number] % 4_000_000_000_000
                    let sample = Sample(time: Instant(milliseconds: last), value: .number(Double(whole) / 10))
                    store.append(id, sample.time, sample.value)
                    written[number].append(sample)
                }
                guard round % 100 == 99 else { continue }
                try store.commit()
                store.finishedSync(store.beginSync())
            }
            #expect(store.statistics.usedPages > 0, "seed \(seed): nothing was sealed")
            #expect(store.verify().damaged.isEmpty, "seed \(seed), spread \(spread), one in \(rare)")
            for (number, id) in ids.enumerated() {
                var found: [Sample] = []
                store.scan(id, from: .distantPast, to: .distantFuture) {
                    found.append($0)
                    return true
                }
                #expect(found == written[number], "seed \(seed), spread \(spread), one in \(rare), series \(number)")
            }
        }
    }
}
