internal import CSQLite
@preconcurrency internal import Glibc

/// One connection to one SQLite file, for what must survive a power cut: outbox, receipts, tokens, the collector's
/// items.
///
/// - WAL with `synchronous=FULL` and `psow=0`: a commit that returned is on the disk, also where an interrupted write
///   spoils its whole page.
/// - The lock is exclusive: SQLite before 3.51.3 can lose committed rows where two connections write one WAL file
///   (sqlite.org/wal.html#walresetbug), so a second opener is refused, a database shell too.
///
/// Not Sendable: whoever opens it keeps it on one thread. A commit waits for the disk, so not on the loop's.
package final class SQLiteDatabase {
    /// The file's path.
    package let path: String
    private let connection: OpaquePointer
    private var statements: [String: SQLiteStatement] = [:]
    private var depth = 0

    /// Opens or makes the file (readable by its owner only); `:memory:` is a database without a file. With `check` the
    /// whole file is read and verified first. Waits up to `patience` milliseconds for a lock.
    package init(path: String, check: Bool = false, patience: Int32 = 2000) throws(SQLiteError) {
        self.path = path
        SQLiteDatabase.makePrivateFile(path)
        var opened: OpaquePointer?
        let flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI
        let code = sqlite3_open_v2(SQLiteDatabase.uri(path), &opened, flags, nil)
        guard code == SQLITE_OK, let opened else {
            let reason = opened.map { String(cString: sqlite3_errmsg($0)) } ?? "memory is short"
            let extended = opened.map { sqlite3_extended_errcode($0) } ?? code
            sqlite3_close_v2(opened)
            throw SQLiteError("open it", file: path, code: extended, message: reason)
        }
        connection = opened
        sqlite3_extended_result_codes(connection, 1)
        sqlite3_busy_timeout(connection, patience)
        try configure()
        if check { try quickCheck() }
    }

    deinit {
        statements = [:]
        sqlite3_close_v2(connection)
    }

    /// A path in the form of RFC 8089, so that `?`, `#` and `%` in it mean themselves.
    private static func uri(_ path: String) -> String {
        var text: [UInt8] = Array("file:".utf8)
        for byte in path.utf8 {
            switch byte {
            case UInt8(ascii: "%"), UInt8(ascii: "?"), UInt8(ascii: "#"):
                text.append(contentsOf: "%\(Digest.hex([byte]))".utf8)
            default: text.append(byte)
            }
        }
        return String(decoding: text, as: UTF8.self) + "?psow=0"
    }

    /// SQLite would make the file readable by all. Only a file that is not there is touched: closing a descriptor of
    /// one that is open elsewhere in this process would drop its POSIX locks.
    private static func makePrivateFile(_ path: String) {
        guard path != ":memory:" else { return }
        let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor >= 0 { close(descriptor) }
    }

    private func configure() throws(SQLiteError) {
        // Before the first access, so that WAL needs no shared memory and the lock is kept from then on.
        try execute("PRAGMA locking_mode=EXCLUSIVE")
        let mode = try first("PRAGMA journal_mode=WAL") { $0.text(0) }
        guard mode == "wal" || path == ":memory:" else {
            throw SQLiteError(
                .cannotOpen, "database \(path): its file system allows no write-ahead log; put it on a local disk")
        }
        try execute(
            """
            PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;
            PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=4194304;
            """)
        // Takes the lock now, so that a second process hears of it at once and not at its first write.
        try execute("BEGIN EXCLUSIVE; COMMIT")
    }

    /// Reads the whole file and throws `corrupt` where its structure is damaged.
    package func quickCheck() throws(SQLiteError) {
        let answer = try first("PRAGMA quick_check(1)") { $0.text(0) }
        guard answer == "ok" else {
            throw SQLiteError(
                "pass its self-check", file: path, code: SQLITE_CORRUPT, message: answer ?? "SQLite gives no answer")
        }
    }

    // MARK: Schema

    /// The schema's version (`PRAGMA user_version`), 0 in a new file.
    package func schemaVersion() throws(SQLiteError) -> Int {
        let version = try first("PRAGMA user_version") { $0.integer(0) }
        return Int(version ?? 0)
    }

    /// Brings the schema to `version`: `steps[n]` is the SQL from version n to n + 1, each applied whole or not at all.
    /// A file of a newer version is refused with `newer` and left as it is.
    package func migrate(to version: Int, steps: [String]) throws(SQLiteError) {
        precondition(steps.count == version, "a schema of version \(version) is reached by \(version) steps")
        let found = try schemaVersion()
        guard found <= version else {
            throw SQLiteError(
                .newer,
                "database \(path) has schema version \(found), but this program knows versions up to \(version): it was "
                    + "written by a newer release. Install that release again, or give this one another folder; "
                    + "nothing was changed")
        }
        for next in found..<version {
            try transaction { () throws(SQLiteError) in
                try execute(steps[next])
                try execute("PRAGMA user_version=\(next + 1)")
            }
        }
    }

    // MARK: Statements

    /// Runs one or more statements without parameters and rows.
    package func execute(_ script: String) throws(SQLiteError) {
        let code = sqlite3_exec(connection, script, nil, nil, nil)
        guard code == SQLITE_OK else {
            throw SQLiteError(
                "run '\(script)'", file: path, code: code, message: String(cString: sqlite3_errmsg(connection)))
        }
    }

    /// Runs one statement with a value for each `?`; gives the number of rows that it changed.
    @discardableResult
    package func run(_ sql: String, _ values: (any SQLiteValue)?...) throws(SQLiteError) -> Int {
        try run(sql, values: values)
    }

    /// The same with the values in a list.
    @discardableResult
    package func run(_ sql: String, values: [(any SQLiteValue)?]) throws(SQLiteError) -> Int {
        try statement(sql).run(values) { _ in true }
        return Int(sqlite3_changes64(connection))
    }

    /// Every row of a query with the values in a list, made into something by `make`.
    package func rows<T>(
        _ sql: String, values: [(any SQLiteValue)?], make: (SQLiteRow) throws(SQLiteError) -> T
    ) throws(SQLiteError) -> [T] {
        var all: [T] = []
        try statement(sql).run(values) { (row) throws(SQLiteError) in
            all.append(try make(row))
            return true
        }
        return all
    }

    /// Every row of a query, made into something by `make`.
    package func rows<T>(
        _ sql: String, _ values: (any SQLiteValue)?..., make: (SQLiteRow) throws(SQLiteError) -> T
    ) throws(SQLiteError) -> [T] {
        try rows(sql, values: values, make: make)
    }

    /// Row by row without keeping them, until `body` says false.
    package func forEach(
        _ sql: String, _ values: (any SQLiteValue)?..., body: (SQLiteRow) throws(SQLiteError) -> Bool
    ) throws(SQLiteError) {
        try statement(sql).run(values, body)
    }

    /// What `make` makes of the first row; nil where there is no row or `make` gives nil.
    package func first<T>(
        _ sql: String, _ values: (any SQLiteValue)?..., make: (SQLiteRow) throws(SQLiteError) -> T?
    ) throws(SQLiteError) -> T? {
        var found: T?
        try statement(sql).run(values) { (row) throws(SQLiteError) in
            found = try make(row)
            return false
        }
        return found
    }

    /// The id of the row that was inserted last.
    package var lastInsertedRow: Int64 { sqlite3_last_insert_rowid(connection) }

    private func statement(_ sql: String) throws(SQLiteError) -> SQLiteStatement {
        if let kept = statements[sql], !kept.isRunning { return kept }
        let made = try SQLiteStatement(sql, connection: connection, file: path)
        if statements[sql] == nil {
            if statements.count >= 64 { statements = statements.filter { $0.value.isRunning } }
            statements[sql] = made
        }
        return made
    }

    /// Everything in `body` or nothing: commits when it returns, rolls back when it throws. When this returns, the
    /// changes are on the disk. Inside another transaction it is a part that can be undone alone.
    package func transaction<T>(_ body: () throws(SQLiteError) -> T) throws(SQLiteError) -> T {
        let level = depth
        try execute(level == 0 ? "BEGIN IMMEDIATE" : "SAVEPOINT level\(level)")
        depth += 1
        defer { depth = level }
        do {
            let result = try body()
            try execute(level == 0 ? "COMMIT" : "RELEASE level\(level)")
            return result
        } catch {
            // SQLite has rolled back by itself after some errors (a full disk); then there is nothing left to undo.
            if sqlite3_get_autocommit(connection) == 0 {
                try? execute(level == 0 ? "ROLLBACK" : "ROLLBACK TO level\(level); RELEASE level\(level)")
            }
            throw error
        }
    }
}
