// The outbox as the gateway keeps it: the same database port, the same statements.

import CityLink
import Model
import Ports

enum OutboxWorkload {
    private static let start: Int64 = 1_795_000_000_000
    private static let rows = 220

    /// A row for each hour; every eighth is replaced by its next revision and every fifth is taken away by a receipt.
    private static func row(_ number: Int, revision: Int64) -> OutboxRow {
        let key = RollupKey(
            lab: "urn:fablabs:io:lab:test", grain: .hour,
            start: Instant(milliseconds: start + Int64(number) * 3_600_000))
        // About as long as an hour of a lab with ten machines.
        let item =
            Array("{\"rollup\":\(number),\"revision\":\(revision),\"body\":\"".utf8)
            + [UInt8](repeating: UInt8(97 + number % 26), count: 3000) + Array("\"}".utf8)
        return OutboxRow(
            key: key, version: RollupVersion(epoch: 1, revision: revision), contentDigest: "c\(number)",
            digest: "d\(number).\(revision)", item: item, made: key.start)
    }

    /// A mark says how many steps were committed.
    static func write(_ folder: String, synchronous: String?, _ mark: (String) -> Void) throws {
        let database = try SQLiteDatabase(path: "\(folder)/outbox.db", check: true)
        try database.migrate(to: OutboxSchema.migrations.count, steps: OutboxSchema.migrations)
        if let synchronous { try database.execute("PRAGMA synchronous=\(synchronous)") }
        mark("0")
        for step in 1...rows {
            let commands = effects(step).flatMap { OutboxSchema.commands(for: $0, city: "city") }
            try database.transaction { () throws(SQLiteError) in
                for command in commands { try database.run(command.text, values: command.values.map(bound)) }
            }
            mark("\(step)")
        }
    }

    private static func effects(_ step: Int) -> [OutboxEffect] {
        var effects: [OutboxEffect] = [.persist(row(step, revision: 1))]
        if step % 8 == 0 { effects.append(.persist(row(step - 3, revision: 2))) }
        if step % 5 == 0 {
            effects.append(.delete(row(step - 4, revision: 2).key, RollupVersion(epoch: 1, revision: 2)))
        }
        return effects
    }

    /// What must wait after so many steps, by digest.
    private static func waiting(after steps: Int) -> Set<String> {
        var rows: [RollupKey: String] = [:]
        for step in 1..<max(1, steps + 1) {
            for effect in effects(step) {
                switch effect {
                case .persist(let row): rows[row.key] = row.digest
                case .delete(let key, _): rows[key] = nil
                default: break
                }
            }
        }
        return Set(rows.values)
    }

    static func judge(_ folder: String, _ last: String) -> Verdict {
        guard let acknowledged = Int(last) else { return .wrong("the mark '\(last)' is no number") }
        do {
            let database = try SQLiteDatabase(path: "\(folder)/outbox.db", check: true)
            guard try database.schemaVersion() == OutboxSchema.migrations.count else {
                return .lost(acknowledged, of: "transactions")
            }
            let found = Set(try database.rows("SELECT digest FROM outbox") { $0.text(0) ?? "" })
            // The cut may have come between a commit and its acknowledgement; more than that is wrong.
            for steps in [acknowledged, acknowledged + 1] where found == waiting(after: steps) { return .sound }
            for steps in stride(from: acknowledged - 1, through: 0, by: -1) where found == waiting(after: steps) {
                return .lost(acknowledged - steps, of: "transactions")
            }
            return .wrong("the rows are those of no moment")
        } catch {
            return .wrong("\(error)")
        }
    }

    private static func bound(_ cell: SQLCell) -> (any SQLiteValue)? {
        switch cell {
        case .null: nil
        case .integer(let value): value
        case .text(let value): value
        case .blob(let value): value
        }
    }
}
