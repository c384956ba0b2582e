import CSQLite
import Model

/// One table of samples: WAL, prepared inserts, a transaction for each round of all series. As fast as SQLite goes without
/// giving up its file on a crash (`synchronous=NORMAL`); the store's own figure contains no fdatasync either.
///
/// @unchecked Sendable: the benchmark has one thread.
final class SQLitePeer: @unchecked Sendable {
    private let folder = ScratchFolder()
    private let name: String
    private let connection: OpaquePointer
    /// What filling it has cost.
    private(set) var filled = BenchResult(name: "", count: 0, cpuNanoseconds: 0, wallNanoseconds: 0)

    /// Made and filled. With a key the table is ordered by series and time, as queries want it; without, rows lie as they came.
    init(_ name: String, hasKey: Bool) throws {
        self.name = name
        var opened: OpaquePointer?
        guard sqlite3_open("\(folder.path)/samples.db", &opened) == SQLITE_OK, let opened else {
            throw BenchFailure("SQLite opens no file")
        }
        connection = opened
        try run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;")
        try run(
            "CREATE TABLE sample (series INTEGER NOT NULL, t INTEGER NOT NULL, v REAL NOT NULL"
                + (hasKey ? ", PRIMARY KEY (series, t)) WITHOUT ROWID" : ")"))
        filled = try fill()
    }

    deinit { sqlite3_close_v2(connection) }

    private func run(_ sql: String) throws {
        guard sqlite3_exec(connection, sql, nil, nil, nil) == SQLITE_OK else {
            throw BenchFailure("SQLite refuses '\(sql)': \(String(cString: sqlite3_errmsg(connection)))")
        }
    }

    private func prepare(_ sql: String) throws -> OpaquePointer {
        var statement: OpaquePointer?
        guard sqlite3_prepare_v2(connection, sql, -1, &statement, nil) == SQLITE_OK, let statement else {
            throw BenchFailure("SQLite refuses '\(sql)': \(String(cString: sqlite3_errmsg(connection)))")
        }
        return statement
    }

    /// Puts in what the store's benchmark puts in; the generator runs outside of the measured time.
    private func fill() throws -> BenchResult {
        var generator = SampleGenerator(
            series: StorePeers.series, interval: StorePeers.interval, start: BenchStore.start.milliseconds, seed: 1)
        // A sample at the moment of one before it is the same row.
        let insert = try prepare("INSERT OR REPLACE INTO sample VALUES (?, ?, ?)")
        defer { sqlite3_finalize(insert) }
        var rounds: [Measured] = []
        var batch: [(time: Int64, number: Double)] = []
        for _ in 0..<StorePeers.each {
            batch.removeAll(keepingCapacity: true)
            for index in 0..<StorePeers.series { batch.append(generator.next(index)) }
            var failed = false
            rounds.append(
                Bench.measure {
                    sqlite3_exec(connection, "BEGIN", nil, nil, nil)
                    for index in 0..<StorePeers.series {
                        sqlite3_bind_int64(insert, 1, Int64(index))
                        sqlite3_bind_int64(insert, 2, batch[index].time)
                        sqlite3_bind_double(insert, 3, batch[index].number)
                        if sqlite3_step(insert) != SQLITE_DONE { failed = true }
                        sqlite3_reset(insert)
                    }
                    if sqlite3_exec(connection, "COMMIT", nil, nil, nil) != SQLITE_OK { failed = true }
                })
            if failed { throw BenchFailure("SQLite took no sample") }
        }
        let samples = StorePeers.series * StorePeers.each
        try run("PRAGMA wal_checkpoint(TRUNCATE)")
        // A mean, not a median of rounds: every so often one moves the log into the table.
        let cpu = rounds.reduce(0) { $0 + $1.cpu } / Double(samples)
        let wall = rounds.reduce(0) { $0 + $1.wall } / Double(samples)
        return BenchResult(
            name: "store.append.\(name)", count: samples, cpuNanoseconds: cpu, wallNanoseconds: wall,
            figures: [("bytes_per_sample", Double(folder.bytes) / Double(samples))])
    }

    /// The same hours as `query.hour`.
    func hour() throws -> BenchResult {
        let select = try prepare("SELECT t, v FROM sample WHERE series = ? AND t >= ? AND t < ? ORDER BY t")
        defer { sqlite3_finalize(select) }
        // Without a key each question reads the whole table.
        let count = name == "sqlite" ? 3 : 2000
        var rows = 0
        var sum = 0.0
        let measured = Bench.median(runs: name == "sqlite" ? 1 : 5) {
            rows = 0
            for index in 0..<count {
                let from = BenchStore.start + .minutes(Int64(index * 37 % (22 * 60)))
                sqlite3_bind_int64(select, 1, Int64(index * 7 % StorePeers.series))
                sqlite3_bind_int64(select, 2, from.milliseconds)
                sqlite3_bind_int64(select, 3, from.milliseconds + 3_600_000)
                while sqlite3_step(select) == SQLITE_ROW {
                    sum += sqlite3_column_double(select, 1)
                    rows += Int(sqlite3_column_int64(select, 0) > 0 ? 1 : 0)
                }
                sqlite3_reset(select)
            }
        }
        guard rows > 0, sum != 0 else { throw BenchFailure("SQLite's hours are empty") }
        return BenchResult(
            name: "query.hour.\(name)", count: count, cpuNanoseconds: measured.cpu / Double(count),
            wallNanoseconds: measured.wall / Double(count), figures: [("samples", Double(rows / count))])
    }

    /// Plain means of each hour, which is less work than means weighted by time.
    func hourlyMeans() throws -> BenchResult {
        let select = try prepare(
            "SELECT series, (t - ?) / 3600000 AS hour, avg(v) FROM sample GROUP BY series, hour")
        defer { sqlite3_finalize(select) }
        sqlite3_bind_int64(select, 1, BenchStore.start.milliseconds)
        var means = 0
        let measured = Bench.measure {
            while sqlite3_step(select) == SQLITE_ROW { means += 1 }
        }
        guard means >= StorePeers.series * 24 else { throw BenchFailure("SQLite gives \(means) means") }
        return BenchResult(
            name: "query.hourly_means.\(name)", count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
            figures: [("series", Double(StorePeers.series)), ("cpu_ms", measured.cpu / 1e6)])
    }
}
