import CRrd
@preconcurrency import Glibc
import Model

/// A round-robin file for each series: a day of slots of 9 s, and of hourly means made as the samples come.
final class RRDPeer {
    private static let step = 9
    private let folder = ScratchFolder()
    private let start = Int(BenchStore.start.milliseconds / 1000)

    init() throws {
        let words = ["DS:v:GAUGE:60:U:U", "RRA:AVERAGE:0.5:1:9600", "RRA:AVERAGE:0.5:400:25"]
        for index in 0..<StorePeers.series {
            try withWords(words) { count, argv in
                guard rrd_create_r(file(index), UInt(Self.step), start - 60, count, argv) == 0 else { throw failure() }
            }
        }
    }

    private func file(_ index: Int) -> String { "\(folder.path)/\(index).rrd" }

    private func failure() -> BenchFailure {
        defer { rrd_clear_error() }
        return BenchFailure("librrd: \(rrd_get_error().map { String(cString: $0) } ?? "no reason given")")
    }

    /// Texts as C takes them.
    private func withWords(
        _ words: [String], _ body: (CInt, UnsafeMutablePointer<UnsafePointer<CChar>?>) throws -> Void
    )
        rethrows
    {
        let copies = words.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        var argv: [UnsafePointer<CChar>?] = copies.map { $0.map { UnsafePointer($0) } }
        try argv.withUnsafeMutableBufferPointer { buffer in
            if let base = buffer.baseAddress { try body(CInt(words.count), base) }
        }
    }

    /// `time:value` of the next samples of a series, rising as librrd demands.
    private func texts(_ generator: inout SampleGenerator, _ index: Int, _ count: Int) -> [String] {
        var texts: [String] = []
        var last: Int64 = 0
        while texts.count < count {
            let (time, number) = generator.next(index)
            guard time > last else { continue }
            last = time
            let rest = time % 1000
            texts.append("\(time / 1000).\(rest < 10 ? "00" : rest < 100 ? "0" : "")\(rest):\(number)")
        }
        return texts
    }

    private func generator() -> SampleGenerator {
        SampleGenerator(
            series: StorePeers.series, interval: StorePeers.interval, start: BenchStore.start.milliseconds, seed: 1)
    }

    /// One call for each sample, as they arrive; 100 of each series, because ten million would take minutes.
    func update() throws -> BenchResult {
        var generator = generator()
        let rounds = 100
        let texts = (0..<StorePeers.series).map { self.texts(&generator, $0, rounds) }
        let files = (0..<StorePeers.series).map { strdup(file($0)) }
        defer { files.forEach { free($0) } }
        var measured: [Measured] = []
        for round in 0..<rounds {
            let words = texts.map { strdup($0[round]) }
            defer { words.forEach { free($0) } }
            var failed = false
            measured.append(
                Bench.measure {
                    for index in 0..<StorePeers.series {
                        var word = words[index].map { UnsafePointer($0) }
                        if rrd_update_r(files[index], nil, 1, &word) != 0 { failed = true }
                    }
                })
            if failed { throw failure() }
        }
        let middle = Bench.middle(of: measured)
        return BenchResult(
            name: "store.append.librrd", count: rounds * StorePeers.series,
            cpuNanoseconds: middle.cpu / Double(StorePeers.series),
            wallNanoseconds: middle.wall / Double(StorePeers.series),
            figures: [("bytes_per_slot", Double(folder.bytes) / Double(StorePeers.series * 9600))])
    }

    /// The whole day, many samples in one call.
    func load() throws {
        var generator = generator()
        for index in 0..<StorePeers.series {
            try withWords(texts(&generator, index, StorePeers.each)) { count, argv in
                guard rrd_update_r(file(index), nil, count, argv) == 0 else { throw failure() }
            }
        }
    }

    /// What a file holds between two moments; the step that was asked for picks the slots.
    private func fetch(_ index: Int, from: Int, to: Int, step: Int) throws -> (values: Int, sum: Double) {
        var (from, to, step) = (time_t(from), time_t(to), UInt(step))
        var count: UInt = 0
        var names: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?
        var data: UnsafeMutablePointer<Double>?
        guard rrd_fetch_r(file(index), "AVERAGE", &from, &to, &step, &count, &names, &data) == 0 else {
            throw failure()
        }
        let values = step > 0 ? (to - from) / time_t(step) : 0
        var sum = 0.0
        if let data { for slot in 0..<values where !data[slot].isNaN { sum += data[slot] } }
        for name in 0..<Int(count) { rrd_freemem(names?[name]) }
        rrd_freemem(names)
        rrd_freemem(data)
        return (values, sum)
    }

    func hour() throws -> BenchResult {
        let count = 2000
        var values = 0
        var sum = 0.0
        var failed: (any Error)?
        let measured = Bench.median(runs: 5) {
            values = 0
            for index in 0..<count {
                let from = start + index * 37 % (22 * 60) * 60
                do {
                    let found = try fetch(index * 7 % StorePeers.series, from: from, to: from + 3600, step: 1)
                    values += found.values
                    sum += found.sum
                } catch { failed = error }
            }
        }
        if let failed { throw failed }
        guard values > 0, sum != 0 else { throw BenchFailure("librrd's hours are empty") }
        return BenchResult(
            name: "query.hour.librrd", count: count, cpuNanoseconds: measured.cpu / Double(count),
            wallNanoseconds: measured.wall / Double(count), figures: [("slots", Double(values / count))])
    }

    func hourlyMeans() throws -> BenchResult {
        var values = 0
        var sum = 0.0
        var failed: (any Error)?
        let measured = Bench.median(runs: 3) {
            values = 0
            for index in 0..<StorePeers.series {
                do {
                    let found = try fetch(index, from: start, to: start + 86_400, step: 3600)
                    values += found.values
                    sum += found.sum
                } catch { failed = error }
            }
        }
        if let failed { throw failed }
        guard values >= StorePeers.series * 24, sum != 0 else { throw BenchFailure("librrd gives \(values) means") }
        return BenchResult(
            name: "query.hourly_means.librrd", count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
            figures: [("series", Double(StorePeers.series)), ("cpu_ms", measured.cpu / 1e6)])
    }
}
