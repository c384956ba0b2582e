// What it costs to write samples and to open a store.

import Model
import Store

/// Ten million samples of 1000 series over 24 hours. Every 8.64 s of theirs a sync is taken for done, so that pages are
/// left half full as they are in life; between, there is one commit a second, or only one (`store.append_batch`).
func storeBench() -> [BenchResult] {
    do {
        let batched = try BenchStore().fill("store.append_batch", each: 2000, commitEvery: 1000)
        let before = Bench.residentKiB
        let day = try BenchStore()
        let single = try day.fill("store.append", each: 10_000, commitEvery: BenchStore.commitEverySecond)
        let memory = BenchResult(
            name: "store.memory", count: 1, cpuNanoseconds: 0, wallNanoseconds: 0,
            figures: [("kib", Double(Bench.residentKiB - before)), ("series", Double(day.ids.count))])
        let scans = try scanning(day)
        let openings = [
            try opening("store.open", day.region), try opening("store.open_killed", try killed().region),
            try opening("store.open_gib", try gibibyte()),
        ]
        return [batched, single, memory] + scans + openings + [try wear()] + checksums(day.region)
    } catch {
        Bench.fail("the benchmark of the store stopped: \(error)")
    }
}

/// The whole day, one series after the other; `Bench query` asks for more. Once with a call for each sample, once without;
/// and once every seventh series alone, where a page is read for five series and not for all that it has.
private func scanning(_ stored: BenchStore) throws -> [BenchResult] {
    func measured(
        _ name: String, every step: Int = 1, _ day: (SeriesID) -> (sum: Double, samples: Int)
    ) throws -> BenchResult {
        var samples = 0
        var sum = 0.0
        let measured = Bench.median(runs: 3) {
            samples = 0
            for index in stride(from: 0, to: stored.ids.count, by: step) {
                let found = day(stored.ids[index])
                samples += found.samples
                sum += found.sum
            }
        }
        guard samples > 0, sum != 0 else { throw BenchFailure("the days are empty") }
        return BenchResult(
            name: name, count: samples, cpuNanoseconds: measured.cpu / Double(samples),
            wallNanoseconds: measured.wall / Double(samples))
    }
    let (start, end) = (BenchStore.start, BenchStore.start + .hours(25))
    let columns = try measured("store.scan") { sumOf(stored.store, $0, from: start, to: end) }
    let few = try measured("store.scan_every_7th", every: 7) { sumOf(stored.store, $0, from: start, to: end) }
    let samples = try measured("store.scan_each") { id in
        var found = (sum: 0.0, samples: 0)
        stored.store.scan(id, from: start, to: end) {
            if case .number(let number) = $0.value { found.sum += number }
            found.samples += 1
            return true
        }
        return found
    }
    return [columns, few, samples]
}

/// A store whose process was killed: the journal holds what no run has yet.
private func killed() throws -> BenchStore {
    let store = try BenchStore()
    try store.fill("killed", each: 450, commitEvery: BenchStore.commitEverySecond)
    return store
}

/// One of 1 GiB with two hours of 1000 series in it.
private func gibibyte() throws -> any Region {
    let store = try BenchStore(mebibytes: 1024)
    try store.fill("gibibyte", each: 830, commitEvery: BenchStore.commitEverySecond)
    return store.region
}

/// Pages that reach the disk in a day of 100 series, each a sample every 10 s, with a commit a second and a sync every
/// five: a page that is written again before a sync reaches it once.
private func wear() throws -> BenchResult {
    let day = try BenchStore(series: 100)
    let disk = CountingRegion(day.region)
    let store = try RingStore.create(in: disk, plan: StorePlan(), identity: [UInt8](repeating: 8, count: 16))
    let ids = try (0..<100).compactMap {
        try store.series(SeriesKey(device: "device-\($0)", channel: "power"), unit: .watt, kind: .gauge)
    }
    var generator = SampleGenerator(series: 100, interval: 10_000, start: BenchStore.start.milliseconds, seed: 1)
    var failure: (any Error)?
    let measured = Bench.measure {
        do {
            for second in 0..<86_400 {
                for index in second % 10 * 10..<second % 10 * 10 + 10 {
                    let sample = generator.next(index)
                    store.append(ids[index], Instant(milliseconds: sample.time), .number(sample.number))
                }
                try store.commit()
                guard second % 5 == 4 else { continue }
                let token = store.beginSync()
                try disk.sync()
                store.finishedSync(token)
            }
        } catch { failure = error }
    }
    if let failure { throw failure }
    return BenchResult(
        name: "store.day_on_disk", count: 864_000, cpuNanoseconds: measured.cpu / 864_000,
        wallNanoseconds: measured.wall / 864_000,
        figures: [("megabytes_a_day", Double(disk.pages) * 4096 / 1e6), ("syncs", Double(disk.syncs))])
}

private func opening(_ name: String, _ file: any Region) throws -> BenchResult {
    var failure: (any Error)?
    let measured = Bench.median(runs: 5) {
        do { _ = try RingStore(opening: file) } catch { failure = error }
    }
    if let failure { throw failure }
    return BenchResult(
        name: name, count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
        figures: [("mib", Double(file.size >> 20))])
}

/// A page's checksum: by tables, and as files have it made, by an instruction where there is one.
private func checksums(_ region: any Region) -> [BenchResult] {
    let page = [UInt8](repeating: 0x5A, count: 4096)
    var sum: UInt32 = 0
    func measured(_ name: String, _ make: () -> UInt32) -> BenchResult {
        let measured = Bench.median(runs: 5) { for _ in 0..<20_000 { sum ^= make() } }
        return BenchResult(
            name: name, count: 20_000, cpuNanoseconds: measured.cpu / 20_000,
            wallNanoseconds: measured.wall / 20_000)
    }
    let both = [
        measured("store.checksum_page_tables") { Checksum.crc32c(page, 0..<4096) },
        measured("store.checksum_page") { region.crc32c(page, 0..<4096, after: 0) },
    ]
    if sum == 1 { print("") }
    return both
}
