// What it costs to ask the store for a stretch of time.

import Model
import Store

/// Ten million samples of 1000 series over 24 hours, as `Bench store` writes them, and one series at 1 Hz.
func queryBench() -> [BenchResult] {
    do {
        let day = try BenchStore()
        try day.fill("query.fill", each: 10_000, commitEvery: BenchStore.commitEverySecond)
        let fast = try BenchStore(series: 10)
        try fast.fill("query.fill", each: 86_400, interval: 1000, commitEvery: 10)
        return [
            try hours("query.hour", day.store, day.ids), try hours("query.hour_1hz", fast.store, fast.ids),
            try chart(fast), try hourlyMeans("query.hourly_means", day, from: BenchStore.start),
            // Whole slots are read as such.
            try hourlyMeans("query.hourly_means_slots", day, from: BenchStore.start.floor(to: .minutes(15))),
            try days(day),
        ]
    } catch {
        Bench.fail("the benchmark of the queries stopped: \(error)")
    }
}

/// Every sample of one series over one hour.
private func hours(_ name: String, _ store: RingStore, _ ids: [SeriesID]) throws -> BenchResult {
    var samples = 0
    var sum = 0.0
    let count = 2000
    let measured = Bench.median(runs: 5) {
        samples = 0
        for index in 0..<count {
            let from = BenchStore.start + .minutes(Int64(index * 37 % (22 * 60)))
            let found = sumOf(store, ids[index * 7 % ids.count], from: from, to: from + .hours(1))
            sum += found.sum
            samples += found.samples
        }
    }
    guard samples > 0, sum != 0 else { throw BenchFailure("the hours are empty") }
    return BenchResult(
        name: name, count: count, cpuNanoseconds: measured.cpu / Double(count),
        wallNanoseconds: measured.wall / Double(count), figures: [("samples", Double(samples / count))])
}

/// What all samples of a stretch of numbers add up to, without a call for each of them.
func sumOf(_ store: RingStore, _ id: SeriesID, from: Instant, to: Instant) -> (sum: Double, samples: Int) {
    var sum = 0.0
    var samples = 0
    store.stretches(id, from: from, to: to) { columns, range in
        var own = 0.0
        let bits = columns.bits.span.extracting(range)
        for index in 0..<bits.count { own += Double(bitPattern: bits[index]) }
        sum += own
        samples += range.count
        return columns.areNumbers
    }
    return (sum, samples)
}

/// A day at 1 Hz as 500 points, which is what a chart asks for. Nine other series lie between its samples.
private func chart(_ day: BenchStore) throws -> BenchResult {
    let (store, ids) = (day.store, day.ids)
    let start = BenchStore.start
    let step = Duration(milliseconds: 86_400_000 / 500)
    let points = store.points(ids[7], from: start, to: start + .hours(24), step: step)
    let samples = points.reduce(0) { $0 + $1.count }
    guard points.count == 500, samples > 86_000 else {
        throw BenchFailure("the chart has \(points.count) points of \(samples) samples")
    }
    let count = 20
    var found = 0
    let measured = Bench.median(runs: 5) {
        for index in 0..<count {
            found += store.points(ids[index % ids.count], from: start, to: start + .hours(24), step: step).count
        }
    }
    guard found == 500 * count * 6 else { throw BenchFailure("\(found) points in all") }
    return BenchResult(
        name: "query.day_500_points", count: count, cpuNanoseconds: measured.cpu / Double(count),
        wallNanoseconds: measured.wall / Double(count),
        figures: [
            ("samples", Double(samples)), ("ns_per_sample", measured.cpu / Double(count) / Double(samples)),
        ])
}

/// Hourly means of all series over the whole day, as one operation.
private func hourlyMeans(_ name: String, _ day: BenchStore, from: Instant) throws -> BenchResult {
    var sum = 0.0
    let measured = Bench.median(runs: 3) {
        for id in day.ids {
            for point in day.store.points(id, from: from, to: from + .hours(24), step: .hours(1)) {
                sum += point.mean ?? 0
            }
        }
    }
    guard sum != 0 else { throw BenchFailure("the means are empty") }
    return BenchResult(
        name: name, count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
        figures: [("series", Double(day.ids.count)), ("cpu_ms", measured.cpu / 1e6)])
}

/// The days of all series, as one operation.
private func days(_ day: BenchStore) throws -> BenchResult {
    var count = 0
    let from = BenchStore.start - .hours(48)
    let measured = Bench.median(runs: 3) {
        count = day.ids.reduce(0) { $0 + day.store.days($1, from: from, to: from + .hours(96)).count }
    }
    guard count >= day.ids.count else { throw BenchFailure("the days are empty") }
    return BenchResult(
        name: "query.days", count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
        figures: [("days", Double(count)), ("cpu_ms", measured.cpu / 1e6)])
}
