@preconcurrency import Glibc
import Model
import Store

/// A file in a private temporary directory, gone with the process.
///
/// @unchecked Sendable: the benchmark has one thread.
private final class ScratchFile: Region, @unchecked Sendable {
    let size: Int
    private let descriptor: Int32

    init(size: Int) {
        var path = Array("/tmp/fabgate-bench-XXXXXX".utf8CString)
        descriptor = mkstemp(&path)
        unlink(path)
        self.size = size
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for offset in stride(from: 0, to: size, by: zeros.count) {
            _ = pwrite(descriptor, zeros, min(zeros.count, size - offset), offset)
        }
    }

    deinit { close(descriptor) }

    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        let count = buffer.count
        guard pread(descriptor, &buffer, count, offset) == count else { throw RegionError("pread", code: errno) }
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(RegionError) {
        guard pwrite(descriptor, bytes, bytes.count, offset) == bytes.count else {
            throw RegionError("pwrite", code: errno)
        }
    }

    func sync() throws(RegionError) {
        guard fdatasync(descriptor) == 0 else { throw RegionError("fdatasync", code: errno) }
    }
}

private let start = Instant(milliseconds: 1_795_000_000_000)
private let seriesCount = 1000
private let interval: Int64 = 8640

/// Ten million samples of 1000 series over 24 hours. Every 8.64 s of theirs a sync is taken for done, so that pages are
/// left half full as they are in life; between, there is one commit a second, or only one (`store.append_batch`).
func storeBench() -> [BenchResult] {
    do {
        let batched = try makeStore()
        var results = try fill(batched.store, batched.ids, name: "store.append_batch", each: 2000, commitEvery: 1000)
        let (file, store, ids) = try makeStore()
        results += try fill(store, ids, name: "store.append", each: 10_000, commitEvery: 1_000_000 / Int(interval))
        return results + queries(store, ids) + (try opening(file)) + checksum()
    } catch {
        Bench.fail("the benchmark of the store stopped: \(error)")
    }
}

private func makeStore() throws -> (file: ScratchFile, store: RingStore, ids: [SeriesID]) {
    let file = ScratchFile(size: 64 << 20)
    let identity = [UInt8](repeating: 7, count: 16)
    let store = try RingStore.create(in: file, plan: StorePlan(), identity: identity)
    var ids: [SeriesID] = []
    for index in 0..<seriesCount {
        let key = SeriesKey(device: "device-\(index)", channel: "power")
        if let id = try store.series(key, unit: .watt, kind: .gauge) { ids.append(id) }
    }
    return (file, store, ids)
}

/// Appends all; the generator runs outside of the measured time.
private func fill(
    _ store: RingStore, _ ids: [SeriesID], name: String, each: Int, commitEvery: Int
) throws
    -> [BenchResult]
{
    var generator = SampleGenerator(series: ids.count, interval: interval, start: start.milliseconds, seed: 1)
    var cpu = 0.0
    var wall = 0.0
    var failure: (any Error)?
    var rounds: [(cpu: Double, wall: Double)] = []
    var batch: [(id: SeriesID, time: Instant, value: StoredValue)] = []
    for round in 0..<each {
        batch.removeAll(keepingCapacity: true)
        for index in ids.indices {
            let sample = generator.next(index)
            batch.append((ids[index], Instant(milliseconds: sample.time), .number(sample.number)))
        }
        let measured = Bench.measure {
            do {
                for (index, sample) in batch.enumerated() {
                    store.append(sample.id, sample.time, sample.value)
                    if index % commitEvery == commitEvery - 1 { try store.commit() }
                }
                // Without an fdatasync: what the disk needs is not what the store needs.
                store.finishedSync(store.beginSync())
            } catch { failure = error }
        }
        cpu += measured.cpu
        wall += measured.wall
        if round % 400 == 399 {
            rounds.append((cpu / 400, wall / 400))
            cpu = 0
            wall = 0
        }
    }
    if let failure { throw failure }
    try store.commit()
    store.finishedSync(store.beginSync())
    let numbers = store.statistics
    rounds.sort { $0.cpu < $1.cpu }
    let middle = rounds[rounds.count / 2]
    return [
        BenchResult(
            name: name, count: numbers.appended, cpuNanoseconds: middle.cpu / Double(ids.count),
            wallNanoseconds: middle.wall / Double(ids.count),
            figures: [
                ("bytes_per_sample", Double(numbers.usedPages * 4096) / Double(numbers.samples)),
                ("written_bytes_per_sample", Double(numbers.writtenBytes) / Double(numbers.appended)),
                ("samples", Double(numbers.samples)), ("pages", Double(numbers.usedPages)),
            ])
    ]
}

private func queries(_ store: RingStore, _ ids: [SeriesID]) -> [BenchResult] {
    var results: [BenchResult] = []
    var sum = 0.0
    func read(_ id: SeriesID, _ from: Instant, _ to: Instant) -> Int {
        var count = 0
        store.scan(id, from: from, to: to) {
            if case .number(let number) = $0.value { sum += number }
            count += 1
            return true
        }
        return count
    }

    var hourSamples = 0
    let hours = 2000
    let hour = Bench.median(runs: 5) {
        hourSamples = 0
        for index in 0..<hours {
            let from = start + .minutes(Int64(index * 37 % (22 * 60)))
            hourSamples += read(ids[index * 7 % ids.count], from, from + .hours(1))
        }
    }
    results.append(
        BenchResult(
            name: "store.hour", count: hours, cpuNanoseconds: hour.cpu / Double(hours),
            wallNanoseconds: hour.wall / Double(hours), figures: [("samples", Double(hourSamples / hours))]))

    var daySamples = 0
    let day = Bench.median(runs: 3) {
        daySamples = 0
        for index in 0..<100 { daySamples += read(ids[index * 7], start, start + .hours(25)) }
    }
    results.append(
        BenchResult(
            name: "store.scan", count: daySamples, cpuNanoseconds: day.cpu / Double(daySamples),
            wallNanoseconds: day.wall / Double(daySamples)))

    let means = Bench.median(runs: 3) {
        for id in ids {
            for point in store.points(id, from: start, to: start + .hours(24), step: .hours(1)) {
                sum += point.mean ?? 0
            }
        }
    }
    results.append(
        BenchResult(
            name: "store.hourly_means", count: 1, cpuNanoseconds: means.cpu, wallNanoseconds: means.wall,
            figures: [("series", Double(ids.count))]))
    if sum == 0.5 { print("") }
    return results
}

private func opening(_ file: ScratchFile) throws -> [BenchResult] {
    var failure: (any Error)?
    let measured = Bench.median(runs: 5) {
        do { _ = try RingStore(opening: file) } catch { failure = error }
    }
    if let failure { throw failure }
    return [
        BenchResult(
            name: "store.open", count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
            figures: [("mib", Double(file.size >> 20))])
    ]
}

private func checksum() -> [BenchResult] {
    let page = [UInt8](repeating: 0x5A, count: 4096)
    var sum: UInt32 = 0
    let measured = Bench.median(runs: 5) { for _ in 0..<20_000 { sum ^= Checksum.crc32c(page, 0..<4096) } }
    if sum == 1 { print("") }
    return [
        BenchResult(
            name: "store.checksum_page", count: 20_000, cpuNanoseconds: measured.cpu / 20_000,
            wallNanoseconds: measured.wall / 20_000)
    ]
}
