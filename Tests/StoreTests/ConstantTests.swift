import Model
import Store
import Testing

/// What is off stays off for hours. Such stretches are stored as one number, and means are taken of them without a look at
/// their times; what comes out has to be what their samples say, wherever buckets begin and end.
@Suite("Stretches of the same number")
struct ConstantTests {
    /// A point as it follows from samples in order of time, one after the other.
    private struct Plain {
        var count = 0
        var least = 0.0
        var most = 0.0
        var area = 0.0
        var held: Int64 = 0
        var sum = 0.0
        var last = 0.0

        init(_ samples: [Sample], from: Int64, to: Int64) {
            let own = samples.filter { $0.time.milliseconds >= from && $0.time.milliseconds < to && !isText($0.value) }
            for (index, sample) in own.enumerated() {
                guard case .number(let number) = sample.value else { continue }
                let end = index + 1 < own.count ? own[index + 1].time.milliseconds : to
                least = count == 0 ? number : Swift.min(least, number)
                most = count == 0 ? number : Swift.max(most, number)
                area += number * Double(end - sample.time.milliseconds)
                held += end - sample.time.milliseconds
                sum += number
                last = number
                count += 1
            }
        }

        var mean: Double { held > 0 ? area / Double(held) : sum / Double(max(1, count)) }
    }

    private static func isText(_ value: StoredValue) -> Bool {
        if case .text = value { return true }
        return false
    }

    private func check(_ store: RingStore, _ id: SeriesID, from: Instant, to: Instant, step: Duration, _ words: String)
    {
        var samples: [Sample] = []
        store.scan(id, from: from, to: to) {
            samples.append($0)
            return true
        }
        var start = from.milliseconds
        for point in store.points(id, from: from, to: to, step: step) {
            let end = min(start + step.milliseconds, to.milliseconds)
            let plain = Plain(samples, from: start, to: end)
            #expect(point.start.milliseconds == start && point.count == plain.count, "\(words), \(point)")
            if plain.count > 0 {
                #expect(
                    point.min == plain.least && point.max == plain.most && point.last == plain.last,
                    "\(words), \(point)")
                let mean = point.mean ?? .nan
                #expect(
                    (mean - plain.mean).magnitude <= 1e-9 * (1 + plain.mean.magnitude), "\(words), \(point), \(plain)")
            }
            start = end
        }
        #expect(start >= to.milliseconds)
    }

    @Test("Give the means that their samples give", arguments: [UInt64(1), 2, 3, 4, 5, 6])
    func means(seed: UInt64) throws {
        var random = Seeded(seed)
        let disk = SimulatedDisk(pages: TierPuts.all(512))
        var store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: 8), identity: Workload.identity)
        let ids = try (0..<4).compactMap {
            try store.series(SeriesKey(device: "d\($0)", channel: "power"), unit: .watt, kind: .gauge)
        }
        var levels = [0.0, 12.3, -0.25, 1e12]
        var due = Workload.start.milliseconds
        let lateFrom = seed % 2 == 0 ? 1900 : Int.max
        var written = [Int](repeating: 0, count: ids.count)
        for round in 0..<4000 {
            due += seed % 3 == 0 && round % 5 == 0 ? 0 : 10_000
            for (number, id) in ids.enumerated() {
                if Int.random(in: 0..<(number == 3 ? 9 : 300), using: &random) == 0 {
                    levels[number] = Double(Int.random(in: -3...3, using: &random)) / 10
                }
                var time = due + Int64.random(in: 0...9, using: &random)
                // Out of order by more than a chunk's length.
                if round > lateFrom, round % 200 == 0 { time -= 3_000_000 }
                let isOff = number == 2 && Int.random(in: 0..<500, using: &random) == 0
                let isDouble = number == 1 && Int.random(in: 0..<900, using: &random) == 0
                store.append(
                    id, Instant(milliseconds: time),
                    isOff ? .unknown : .number(isDouble ? levels[number] / 3 : levels[number]))
                written[number] += 1
            }
            guard round % 50 == 49 else { continue }
            try store.commit()
            store.finishedSync(store.beginSync())
        }
        #expect(store.statistics.usedPages > 0)
        for isOpenedAgain in [false, true] {
            if isOpenedAgain { store = try RingStore(opening: disk) }
            #expect(store.verify().damaged.isEmpty)
            for (number, id) in ids.enumerated() {
                let end = Workload.start + .hours(13)
                let words = "seed \(seed), series \(number)"
                check(store, id, from: Workload.start - .hours(1), to: end, step: .minutes(60) + .seconds(1), words)
                check(store, id, from: Workload.start + .seconds(7), to: end, step: .seconds(173), words)
                for _ in 0..<6 {
                    let from = Workload.start + .seconds(Int64.random(in: 0..<40_000, using: &random))
                    let to = from + .seconds(Int64.random(in: 1..<20_000, using: &random))
                    let step = Duration.seconds(Int64.random(in: 60..<9000, using: &random)) + .milliseconds(1)
                    check(store, id, from: from, to: to, step: step, words)
                }
            }
        }
    }
}
