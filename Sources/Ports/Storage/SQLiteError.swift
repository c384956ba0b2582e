internal import CSQLite

/// Why a database could not do what was asked: what was tried, on which file, the reason, and what to do.
package struct SQLiteError: Error, CustomStringConvertible {
    /// What a caller may want to tell apart.
    package enum Kind: Hashable, Sendable {
        /// Another process (or a second connection) has the file.
        case busy
        /// A constraint of the schema was violated.
        case constraint
        /// The file is not a sound database.
        case corrupt
        /// The disk, or the database's own limit, is full.
        case full
        /// The disk could not be read or written.
        case disk
        /// The file could not be opened.
        case cannotOpen
        /// The file was made by a newer version of this program.
        case newer
        /// Anything else; a mistake in a statement, most likely.
        case other
    }

    package let kind: Kind
    /// SQLite's extended result code, 0 where SQLite did not fail itself.
    package let code: Int32
    package let description: String

    init(_ kind: Kind, code: Int32 = 0, _ description: String) {
        self.kind = kind
        self.code = code
        self.description = description
    }

    /// From a result code; `tried` reads like "insert a rollup" or a statement.
    init(_ tried: String, file: String, code: Int32, message: String) {
        self.code = code
        let advice: String
        switch code & 0xFF {
        case SQLITE_BUSY, SQLITE_LOCKED:
            kind = .busy
            advice = "another process has it open; is fabgate or fabcity running twice, or a database shell left open?"
        case SQLITE_CONSTRAINT:
            kind = .constraint
            advice = ""
        case SQLITE_CORRUPT, SQLITE_NOTADB:
            kind = .corrupt
            advice = "the file is damaged or no database; move it away and restore a copy, or start with a new one"
        case SQLITE_FULL:
            kind = .full
            advice = "free some space on its disk"
        case SQLITE_IOERR:
            kind = .disk
            advice = "check the disk, its mount and the kernel's log"
        case SQLITE_CANTOPEN, SQLITE_PERM, SQLITE_READONLY, SQLITE_AUTH:
            kind = .cannotOpen
            advice = "does its folder exist, and may this user write to it?"
        default:
            kind = .other
            advice = ""
        }
        description =
            "database \(file): cannot \(tried): \(message) (SQLite error \(code))"
            + (advice.isEmpty ? "" : "; \(advice)")
    }
}
