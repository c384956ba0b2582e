import CityLink
import Model
import Ports

/// The outbox on disk. Opened, used and closed on one worker alone.
final class OutboxDatabase {
    private let database: SQLiteDatabase
    private let city: String

    init(path: String, city: String) throws {
        database = try SQLiteDatabase(path: path, check: true)
        self.city = city
        try database.migrate(to: OutboxSchema.migrations.count, steps: OutboxSchema.migrations)
    }

    func rows() throws -> [OutboxRow] {
        try select(OutboxSchema.rows(city: city), columns: 10).compactMap(OutboxSchema.row)
    }

    func windows() throws -> [EmittedWindow] {
        try select(OutboxSchema.windows(city: city), columns: 9).compactMap(OutboxSchema.window)
    }

    /// A word of the city.
    struct Receipt {
        let key: RollupKey
        let version: RollupVersion
        let result: String
        let at: Instant
        /// What it was about, as it was sent; nil where that is not kept any more.
        let item: [UInt8]?
    }

    /// What the city confirmed last, newest first; with what was sent only where that is asked for.
    func receipts(limit: Int, withItems: Bool = false) throws -> [Receipt] {
        try database.rows(
            """
            SELECT lab, grain, start, epoch, revision, result, received, \(withItems ? "item" : "NULL")
            FROM receipt WHERE city = ? ORDER BY seq DESC LIMIT ?
            """, city, limit
        ) { row in
            Receipt(
                key: RollupKey(
                    lab: row.text(0) ?? "", grain: RollupGrain(rawValue: row.text(1) ?? "") ?? .hour,
                    start: Instant(milliseconds: row.integer(2) ?? 0)),
                version: RollupVersion(epoch: row.integer(3) ?? 0, revision: row.integer(4) ?? 0),
                result: row.text(5) ?? "", at: Instant(milliseconds: row.integer(6) ?? 0), item: row.bytes(7))
        }
    }

    /// The cities that an outbox was ever used for.
    static func cities(path: String) throws -> [String] {
        let database = try SQLiteDatabase(path: path, check: false)
        return try database.rows("SELECT DISTINCT city FROM rollup_window ORDER BY city") { $0.text(0) ?? "" }
    }

    /// All effects of one call, or none.
    func carryOut(_ effects: [OutboxEffect]) throws {
        let commands = effects.flatMap { OutboxSchema.commands(for: $0, city: city) }
        guard !commands.isEmpty else { return }
        try database.transaction { () throws(SQLiteError) in
            for command in commands { try database.run(command.text, values: command.values.map(\.bound)) }
        }
    }

    private func select(_ command: SQLCommand, columns: Int32) throws -> [[SQLCell]] {
        try database.rows(command.text, values: command.values.map(\.bound)) { row in
            (0..<Int(columns)).map { row.cell($0) }
        }
    }
}

extension SQLCell {
    /// As SQLite takes it.
    fileprivate var bound: (any SQLiteValue)? {
        switch self {
        case .null: nil
        case .integer(let value): value
        case .text(let value): value
        case .blob(let value): value
        }
    }
}

extension SQLiteRow {
    fileprivate func cell(_ column: Int) -> SQLCell {
        switch kind(column) {
        case .null: .null
        case .integer: .integer(integer(column) ?? 0)
        case .text: .text(text(column) ?? "")
        case .blob, .double: .blob(bytes(column) ?? [])
        }
    }
}
