// Stores that the benchmarks write and read.

@preconcurrency import Glibc
import Model
import Ports
import Store

/// A file as the gateway's, without a name.
func scratchFile(size: Int) throws -> FileRegion {
    var name = Array("/tmp/fabgate-bench-XXXXXX".utf8CString)
    close(mkstemp(&name))
    let path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    unlink(path)
    defer { unlink(path) }
    return try FileRegion(creating: path, size: size)
}

/// Counts the pages that each sync has to bring to the disk.
///
/// @unchecked Sendable: the benchmark has one thread.
final class CountingRegion: Region, @unchecked Sendable {
    private let below: any Region
    private var waiting: Set<Int> = []
    private(set) var pages = 0
    private(set) var syncs = 0
    var size: Int { below.size }

    init(_ below: any Region) { self.below = below }

    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        try below.read(at: offset, into: &buffer)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(RegionError) {
        for page in offset / 4096...(offset + bytes.count - 1) / 4096 { waiting.insert(page) }
        try below.write(bytes, at: offset)
    }

    func sync() throws(RegionError) {
        pages += waiting.count
        syncs += 1
        waiting.removeAll(keepingCapacity: true)
    }
}

/// A store in a file, with samples of a lab's day.
struct BenchStore {
    static let start = Instant(milliseconds: 1_795_000_000_000)
    /// Samples of 1000 series between two commits, if there is one commit a second of theirs.
    static let commitEverySecond = 1_000_000 / 8640

    let region: any Region
    let store: RingStore
    let ids: [SeriesID]

    init(series: Int = 1000, mebibytes: Int = 64) throws {
        region = try scratchFile(size: mebibytes << 20)
        store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 7, count: 16))
        var ids: [SeriesID] = []
        for index in 0..<series {
            let key = SeriesKey(device: "device-\(index)", channel: "power")
            if let id = try store.series(key, unit: .watt, kind: .gauge) { ids.append(id) }
        }
        self.ids = ids
    }

    /// Appends so many samples to each series, one every `interval` milliseconds, and commits after so many. The
    /// generator runs outside of the measured time.
    @discardableResult
    func fill(_ name: String, each: Int, interval: Int64 = 8640, commitEvery: Int) throws -> BenchResult {
        var generator = SampleGenerator(series: ids.count, interval: interval, start: Self.start.milliseconds, seed: 1)
        var cpu = 0.0
        var wall = 0.0
        var failure: (any Error)?
        var rounds: [(cpu: Double, wall: Double)] = []
        // As columns: to go through an array of tuples costs as much as the journal.
        var times: [Int64] = []
        var values: [Double] = []
        for round in 0..<each {
            times.removeAll(keepingCapacity: true)
            values.removeAll(keepingCapacity: true)
            for index in ids.indices {
                let sample = generator.next(index)
                times.append(sample.time)
                values.append(sample.number)
            }
            let measured = Bench.measure {
                do {
                    for index in ids.indices {
                        store.append(ids[index], Instant(milliseconds: times[index]), .number(values[index]))
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
        return BenchResult(
            name: name, count: numbers.appended, cpuNanoseconds: middle.cpu / Double(ids.count),
            wallNanoseconds: middle.wall / Double(ids.count),
            figures: [
                ("bytes_per_sample", Double(numbers.usedPages * 4096) / Double(numbers.samples)),
                ("written_bytes_per_sample", Double(numbers.writtenBytes) / Double(numbers.appended)),
                ("samples", Double(numbers.samples)), ("pages", Double(numbers.usedPages)),
            ])
    }
}
