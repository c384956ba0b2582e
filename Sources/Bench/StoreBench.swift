// What it costs to write samples and to open a store.

import Model
import Store

/// Ten million samples of 1000 series over 24 hours. Every 8.64 s of theirs a sync is taken for done, so that pages are
/// left half full as they are in life; between, there is one commit a second, or only one (`store.append_batch`).
func storeBench() -> [BenchResult] {
    do {
        let batched = try BenchStore().fill("store.append_batch", each: 2000, commitEvery: 1000)
        let day = try BenchStore()
        let single = try day.fill("store.append", each: 10_000, commitEvery: BenchStore.commitEverySecond)
        return [batched, single, try scanning(day), try opening(day.region), checksum()]
    } catch {
        Bench.fail("the benchmark of the store stopped: \(error)")
    }
}

/// A whole day of single series, sample by sample; `Bench query` asks for more.
private func scanning(_ stored: BenchStore) throws -> BenchResult {
    var samples = 0
    var sum = 0.0
    let day = Bench.median(runs: 3) {
        samples = 0
        for index in 0..<100 {
            stored.store.scan(stored.ids[index * 7], from: BenchStore.start, to: BenchStore.start + .hours(25)) {
                if case .number(let number) = $0.value { sum += number }
                samples += 1
                return true
            }
        }
    }
    guard samples > 0, sum != 0 else { throw BenchFailure("the days are empty") }
    return BenchResult(
        name: "store.scan", count: samples, cpuNanoseconds: day.cpu / Double(samples),
        wallNanoseconds: day.wall / Double(samples))
}

private func opening(_ file: any Region) throws -> BenchResult {
    var failure: (any Error)?
    let measured = Bench.median(runs: 5) {
        do { _ = try RingStore(opening: file) } catch { failure = error }
    }
    if let failure { throw failure }
    return BenchResult(
        name: "store.open", count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
        figures: [("mib", Double(file.size >> 20))])
}

private func checksum() -> BenchResult {
    let page = [UInt8](repeating: 0x5A, count: 4096)
    var sum: UInt32 = 0
    let measured = Bench.median(runs: 5) { for _ in 0..<20_000 { sum ^= Checksum.crc32c(page, 0..<4096) } }
    if sum == 1 { print("") }
    return BenchResult(
        name: "store.checksum_page", count: 20_000, cpuNanoseconds: measured.cpu / 20_000,
        wallNanoseconds: measured.wall / 20_000)
}
