// The same work as `Bench store` and `Bench query` done by SQLite and librrd, in the same run, so that the ratio stands on
// any machine.

@preconcurrency import Glibc

/// Makes and asks the peers. Their files are in a private temporary folder, gone with the process.
enum StorePeers {
    /// As many as the store's own benchmark: 1000 series over 24 hours.
    static let series = 1000
    static let each = 10_000
    static let interval: Int64 = 8640

    /// Beside `Bench store`: appending, and bytes on disk.
    static func append(beside ours: [BenchResult]) -> [BenchResult] {
        let own = ours.first { $0.name == "store.append" }?.cpuNanoseconds
        do {
            return try [heap.get().filled, keyed.get().filled, RRDPeer().update()].map { $0.compared(to: own) }
        } catch {
            Bench.fail("the peers of the store stopped: \(error)")
        }
    }

    /// Beside `Bench query`: an hour of one series, and the hourly means of all.
    static func query(beside ours: [BenchResult]) -> [BenchResult] {
        func own(_ name: String) -> Double? { ours.first { $0.name == name }?.cpuNanoseconds }
        do {
            var results: [BenchResult] = []
            for database in try [heap.get(), keyed.get()] {
                results.append(try database.hour().compared(to: own("query.hour")))
                results.append(try database.hourlyMeans().compared(to: own("query.hourly_means")))
            }
            let files = try RRDPeer()
            try files.load()
            results.append(try files.hour().compared(to: own("query.hour")))
            results.append(try files.hourlyMeans().compared(to: own("query.hourly_means")))
            return results
        } catch {
            Bench.fail("the peers of the queries stopped: \(error)")
        }
    }

    // Filled once, because that takes longest.
    private static let heap = Result { try SQLitePeer("sqlite", hasKey: false) }
    private static let keyed = Result { try SQLitePeer("sqlite_pk", hasKey: true) }
}

extension BenchResult {
    /// With the ratio to the store's own figure: above 1 the peer needs more.
    func compared(to own: Double?) -> BenchResult {
        var result = self
        if let own, own > 0 { result.figures.append(("times_ours", cpuNanoseconds / own)) }
        return result
    }
}

/// A private folder that goes with this object.
final class ScratchFolder {
    let path: String

    init() {
        var template = Array("/tmp/fabgate-bench-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { Bench.fail("no folder can be made below /tmp") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// Of all files in it.
    var bytes: Int {
        var sum = 0
        forEach { name in
            var status = stat()
            if lstat("\(path)/\(name)", &status) == 0 { sum += Int(status.st_size) }
        }
        return sum
    }

    deinit {
        forEach { unlink("\(path)/\($0)") }
        rmdir(path)
    }

    private func forEach(_ body: (String) -> Void) {
        guard let handle = opendir(path) else { return }
        defer { closedir(handle) }
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { body(name) }
        }
    }
}
