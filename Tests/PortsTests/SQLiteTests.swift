@preconcurrency import Glibc
import Ports
import Testing

@Suite struct SQLiteTests {
    private static func temporary() throws -> (folder: TemporaryFolder, database: SQLiteDatabase) {
        let folder = try TemporaryFolder()
        return (folder, try SQLiteDatabase(path: folder.path + "/a b%20?#.db"))
    }

    @Test func keepsEveryKindOfValue() throws {
        let (folder, database) = try Self.temporary()
        try database.execute("CREATE TABLE t (i INTEGER, d REAL, s TEXT, b BLOB, n)")
        let text = "Ünïcode 한국어 \u{0} after"
        let bytes: [UInt8] = [0, 255, 1, 254]
        #expect(try database.run("INSERT INTO t VALUES (?,?,?,?,?)", Int64.min, -0.5, text, bytes, nil) == 1)
        try database.run("INSERT INTO t VALUES (?,?,?,?,?)", 7, 1e300, "", [UInt8](), true)
        let rows = try database.rows("SELECT i, d, s, b, n FROM t ORDER BY rowid") { row in
            (row.integer(0), row.double(1), row.text(2), row.bytes(3), row.integer(4), row.text(9))
        }
        #expect(rows.count == 2)
        #expect(rows[0] == (Int64.min, -0.5, text, bytes, nil, nil))
        #expect(rows[1] == (7, 1e300, "", [], 1, nil))
        #expect(try database.first("SELECT i FROM t WHERE i = ?", 7) { $0.integer(0) } == 7)
        #expect(try database.first("SELECT i FROM t WHERE i = ?", 8) { $0.integer(0) } == nil)
        #expect(database.lastInsertedRow == 2)
        // Under the very name, although it means something in a URI.
        #expect(access(folder.path + "/a b%20?#.db", F_OK) == 0)
        var status = stat()
        #expect(stat(database.path, &status) == 0 && status.st_mode & 0o777 == 0o600)
    }

    @Test func isSetForPowerCuts() throws {
        let (folder, database) = try Self.temporary()
        #expect(try database.first("PRAGMA journal_mode") { $0.text(0) } == "wal")
        #expect(try database.first("PRAGMA synchronous") { $0.integer(0) } == 2)
        #expect(try database.first("PRAGMA foreign_keys") { $0.integer(0) } == 1)
        #expect(try database.first("PRAGMA locking_mode") { $0.text(0) } == "exclusive")
        _ = folder
    }

    @Test func aSecondOpenerIsToldWhy() throws {
        let (folder, database) = try Self.temporary()
        let error = #expect(throws: SQLiteError.self) { _ = try SQLiteDatabase(path: database.path, patience: 20) }
        #expect(error?.kind == .busy)
        #expect(error?.description.contains(database.path) == true)
        #expect(error?.description.contains("another process has it open") == true)
        _ = folder
    }

    @Test func rollsBackWhatFails() throws {
        let (folder, database) = try Self.temporary()
        try database.execute("CREATE TABLE t (k TEXT PRIMARY KEY)")
        func keys() throws -> [String] { try database.rows("SELECT k FROM t ORDER BY k") { $0.text(0) ?? "" } }
        let error = #expect(throws: SQLiteError.self) {
            try database.transaction { () throws(SQLiteError) in
                try database.run("INSERT INTO t VALUES (?)", "a")
                try database.run("INSERT INTO t VALUES (?)", "a")
            }
        }
        #expect(error?.kind == .constraint)
        #expect(error?.description.contains("UNIQUE constraint failed: t.k") == true)
        #expect(try keys() == [])
        try database.transaction { () throws(SQLiteError) in
            try database.run("INSERT INTO t VALUES (?)", "outer")
            try? database.transaction { () throws(SQLiteError) in
                try database.run("INSERT INTO t VALUES (?)", "inner")
                try database.run("INSERT INTO t VALUES (?)", "outer")
            }
            try database.transaction { () throws(SQLiteError) in _ = try database.run("INSERT INTO t VALUES ('second')")
            }
        }
        #expect(try keys() == ["outer", "second"])
        _ = folder
    }

    @Test func migratesAndRefusesTheFuture() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/m.db"
        let steps = [
            "CREATE TABLE a (x)", "CREATE TABLE b (y); INSERT INTO b VALUES (1)", "ALTER TABLE a ADD COLUMN z",
        ]
        do {
            let database = try SQLiteDatabase(path: path)
            #expect(try database.schemaVersion() == 0)
            try database.migrate(to: 1, steps: Array(steps[..<1]))
            try database.run("INSERT INTO a VALUES (5)")
            try database.migrate(to: 3, steps: steps)
            try database.migrate(to: 3, steps: steps)
            #expect(try database.rows("SELECT x, z FROM a") { $0.integer(0) } == [5])
            #expect(try database.first("SELECT count(*) FROM b") { $0.integer(0) } == 1)
        }
        do {
            let database = try SQLiteDatabase(path: path, check: true)
            let broken = steps + ["CREATE TABLE c (x); CREATE TABLE a (x)"]
            #expect(throws: SQLiteError.self) { try database.migrate(to: 4, steps: broken) }
            #expect(try database.schemaVersion() == 3)
            #expect(try database.first("SELECT count(*) FROM sqlite_schema WHERE name='c'") { $0.integer(0) } == 0)
            let error = #expect(throws: SQLiteError.self) { try database.migrate(to: 2, steps: Array(steps[..<2])) }
            #expect(error?.kind == .newer)
            #expect(error?.description.contains("schema version 3, but this program knows versions up to 2") == true)
        }
    }

    @Test func anErrorNamesStatementFileAndReason() throws {
        let (folder, database) = try Self.temporary()
        let typo = #expect(throws: SQLiteError.self) { try database.run("SELEC 1") }
        #expect(typo?.description.contains("SELEC 1") == true && typo?.description.contains(database.path) == true)
        #expect(throws: SQLiteError.self) { try database.run("SELECT ?") }
        #expect(throws: SQLiteError.self) { try database.run("") }
        let missing = #expect(throws: SQLiteError.self) { _ = try SQLiteDatabase(path: folder.path + "/no/such.db") }
        #expect(missing?.kind == .cannotOpen)
        #expect(missing?.description.contains("does its folder exist") == true)
        let other = try folder.write("other.db", Array(String(repeating: "no database. ", count: 500).utf8))
        #expect(#expect(throws: SQLiteError.self) { _ = try SQLiteDatabase(path: other) }?.kind == .corrupt)
    }

    @Test func aQueryMayRunInsideItself() throws {
        let database = try SQLiteDatabase(path: ":memory:")
        try database.execute("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2), (3)")
        var pairs = 0
        try database.forEach("SELECT x FROM t") { _ throws(SQLiteError) in
            try database.forEach("SELECT x FROM t") { _ in
                pairs += 1
                return true
            }
            return true
        }
        #expect(pairs == 9)
        for number in 0..<200 { #expect(try database.first("SELECT \(number)") { $0.integer(0) } == Int64(number)) }
    }

    @Test func theSelfCheckFindsDamage() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/d.db"
        do {
            let database = try SQLiteDatabase(path: path)
            try database.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT); CREATE INDEX i ON t (v)")
            for number in 0..<2000 { try database.run("INSERT INTO t (v) VALUES (?)", "value \(number)") }
        }
        let descriptor = open(path, O_RDWR)
        defer { close(descriptor) }
        let junk = [UInt8](repeating: 0xA5, count: 4096)
        let size = lseek(descriptor, 0, CInt(SEEK_END))
        for page in stride(from: 4096 * 3, to: size, by: 4096 * 5) { pwrite(descriptor, junk, junk.count, page) }
        let error = #expect(throws: SQLiteError.self) { _ = try SQLiteDatabase(path: path, check: true) }
        #expect(error?.kind == .corrupt)
        #expect(error?.description.contains("move it away") == true)
    }
}
