internal import CSQLite

/// What can stand for a `?` in a statement. nil stands for NULL.
package protocol SQLiteValue {
    /// Binds itself to one parameter, counted from 1; gives SQLite's result code.
    func bind(to statement: OpaquePointer, at index: Int32) -> Int32
}

/// SQLite copies what is bound before the call returns. (`SQLITE_TRANSIENT` is a cast macro, which Swift cannot see.)
private var transient: sqlite3_destructor_type { unsafeBitCast(-1, to: sqlite3_destructor_type.self) }

extension Int64: SQLiteValue {
    package func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        sqlite3_bind_int64(statement, index, self)
    }
}

extension Int: SQLiteValue {
    package func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        sqlite3_bind_int64(statement, index, Int64(self))
    }
}

extension Bool: SQLiteValue {
    package func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        sqlite3_bind_int64(statement, index, self ? 1 : 0)
    }
}

extension Double: SQLiteValue {
    package func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        sqlite3_bind_double(statement, index, self)
    }
}

extension String: SQLiteValue {
    package func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        var text = self
        return text.withUTF8 { utf8 in
            utf8.withMemoryRebound(to: CChar.self) {
                // An empty buffer may have no address, and SQLite would take a null for NULL.
                guard let start = $0.baseAddress else { return sqlite3_bind_text(statement, index, "", 0, transient) }
                return sqlite3_bind_text64(statement, index, start, UInt64($0.count), transient, UInt8(SQLITE_UTF8))
            }
        }
    }
}

extension [UInt8]: SQLiteValue {
    package func bind(to statement: OpaquePointer, at index: Int32) -> Int32 {
        withUnsafeBytes {
            guard let start = $0.baseAddress, !$0.isEmpty else { return sqlite3_bind_zeroblob(statement, index, 0) }
            return sqlite3_bind_blob64(statement, index, start, UInt64($0.count), transient)
        }
    }
}

/// The row that a query stands on; valid inside the closure that got it. Columns are counted from 0; a NULL, and a
/// column that does not exist, is nil.
package struct SQLiteRow {
    fileprivate let statement: OpaquePointer

    private func isNull(_ column: Int) -> Bool {
        sqlite3_column_type(statement, Int32(clamping: column)) == SQLITE_NULL
    }

    /// What kind of value stands in a column.
    package enum ColumnKind: Sendable { case null, integer, double, text, blob }

    package func kind(_ column: Int) -> ColumnKind {
        switch sqlite3_column_type(statement, Int32(clamping: column)) {
        case SQLITE_INTEGER: .integer
        case SQLITE_FLOAT: .double
        case SQLITE_TEXT: .text
        case SQLITE_BLOB: .blob
        default: .null
        }
    }

    package func integer(_ column: Int) -> Int64? {
        isNull(column) ? nil : sqlite3_column_int64(statement, Int32(clamping: column))
    }

    package func double(_ column: Int) -> Double? {
        isNull(column) ? nil : sqlite3_column_double(statement, Int32(clamping: column))
    }

    package func text(_ column: Int) -> String? {
        guard !isNull(column), let start = sqlite3_column_text(statement, Int32(clamping: column)) else { return nil }
        let count = Int(sqlite3_column_bytes(statement, Int32(clamping: column)))
        return String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }

    package func bytes(_ column: Int) -> [UInt8]? {
        guard !isNull(column) else { return nil }
        let start = sqlite3_column_blob(statement, Int32(clamping: column))
        let count = Int(sqlite3_column_bytes(statement, Int32(clamping: column)))
        return [UInt8](UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
    }
}

/// A compiled statement. The database keeps those that were used, see `SQLiteDatabase.run`.
final class SQLiteStatement {
    let sql: String
    private let file: String
    private let connection: OpaquePointer
    private let statement: OpaquePointer
    /// A query that runs another query with the same text inside its loop needs a second statement.
    private(set) var isRunning = false

    init(_ sql: String, connection: OpaquePointer, file: String) throws(SQLiteError) {
        var compiled: OpaquePointer?
        let code = sqlite3_prepare_v3(connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &compiled, nil)
        guard code == SQLITE_OK, let compiled else {
            let reason = code == SQLITE_OK ? "there is no statement in it" : String(cString: sqlite3_errmsg(connection))
            throw SQLiteError("prepare '\(sql)'", file: file, code: code, message: reason)
        }
        self.sql = sql
        self.file = file
        self.connection = connection
        statement = compiled
    }

    deinit { sqlite3_finalize(statement) }

    /// Binds, runs to the end or until `body` says false, and is ready for the next run.
    func run(
        _ values: [(any SQLiteValue)?], _ body: (SQLiteRow) throws(SQLiteError) -> Bool
    ) throws(SQLiteError) {
        isRunning = true
        defer {
            sqlite3_reset(statement)
            // What was bound may be large, or a secret.
            sqlite3_clear_bindings(statement)
            isRunning = false
        }
        let expected = Int(sqlite3_bind_parameter_count(statement))
        guard values.count == expected else {
            throw SQLiteError(
                .other, code: SQLITE_RANGE,
                "database \(file): '\(sql)' has \(expected) parameters, but \(values.count) values were given")
        }
        for (index, value) in values.enumerated() {
            guard let value else { continue }  // cleared bindings are NULL
            try check(value.bind(to: statement, at: Int32(index + 1)))
        }
        while true {
            let code = sqlite3_step(statement)
            if code == SQLITE_DONE { return }
            guard code == SQLITE_ROW else { return try check(code) }
            guard try body(SQLiteRow(statement: statement)) else { return }
        }
    }

    private func check(_ code: Int32) throws(SQLiteError) {
        guard code != SQLITE_OK else { return }
        throw SQLiteError("run '\(sql)'", file: file, code: code, message: String(cString: sqlite3_errmsg(connection)))
    }
}
