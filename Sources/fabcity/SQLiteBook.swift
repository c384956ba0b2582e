// The collector's book in one SQLite file.

import City
import CityLink
import Model
import Ports

/// Labs and rollups in SQLite; what returned is on the disk. One thread at a time.
final class SQLiteBook: RollupBook {
    private let database: SQLiteDatabase

    private static let migrations = [
        """
        CREATE TABLE lab (
            id TEXT PRIMARY KEY, name TEXT NOT NULL, epoch INTEGER NOT NULL, enrolled INTEGER NOT NULL,
            disabled INTEGER NOT NULL, token_hash BLOB NOT NULL UNIQUE, received INTEGER
        ) STRICT;
        CREATE TABLE rollup (
            start INTEGER NOT NULL, lab TEXT NOT NULL, grain TEXT NOT NULL, epoch INTEGER NOT NULL,
            revision INTEGER NOT NULL, digest TEXT NOT NULL, received INTEGER NOT NULL, item TEXT NOT NULL,
            PRIMARY KEY (start, lab, grain)
        ) STRICT;
        CREATE INDEX rollup_of_lab ON rollup (lab, start, grain);
        """
    ]

    /// Opens or makes the file; throws where another process has it.
    init(path: String) throws(SQLiteError) {
        database = try SQLiteDatabase(path: path, patience: 200)
        try database.migrate(to: Self.migrations.count, steps: Self.migrations)
    }

    private func work<T>(_ body: () throws(SQLiteError) -> T) throws(BookError) -> T {
        do throws(SQLiteError) { return try body() } catch { throw BookError(error.description) }
    }

    // MARK: labs

    private static let labColumns = "SELECT id, name, epoch, enrolled, disabled, token_hash, received FROM lab"

    private static func lab(_ row: SQLiteRow) -> LabRecord {
        LabRecord(
            id: row.text(0) ?? "", name: row.text(1) ?? "", epoch: row.integer(2) ?? 1,
            enrolled: Instant(milliseconds: row.integer(3) ?? 0), isDisabled: row.integer(4) != 0,
            tokenHash: row.bytes(5) ?? [], lastReceived: row.integer(6).map { Instant(milliseconds: $0) })
    }

    func labs() throws(BookError) -> [LabRecord] {
        try work { () throws(SQLiteError) in
            try database.rows(Self.labColumns + " ORDER BY id") { (row) throws(SQLiteError) in Self.lab(row) }
        }
    }

    func lab(_ id: String) throws(BookError) -> LabRecord? {
        try work { () throws(SQLiteError) in
            try database.first(Self.labColumns + " WHERE id = ?", id) { (row) throws(SQLiteError) in Self.lab(row) }
        }
    }

    func lab(tokenHash: [UInt8]) throws(BookError) -> LabRecord? {
        try work { () throws(SQLiteError) in
            try database.first(Self.labColumns + " WHERE token_hash = ?", tokenHash) { (row) throws(SQLiteError) in
                Self.lab(row)
            }
        }
    }

    func put(_ lab: LabRecord) throws(BookError) {
        _ = try work { () throws(SQLiteError) in
            try database.run(
                """
                INSERT INTO lab (id, name, epoch, enrolled, disabled, token_hash, received)
                VALUES (?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET name = excluded.name, epoch = excluded.epoch,
                    disabled = excluded.disabled, token_hash = excluded.token_hash
                """,
                lab.id, lab.name, lab.epoch, lab.enrolled.milliseconds, lab.isDisabled, lab.tokenHash,
                lab.lastReceived?.milliseconds)
        }
    }

    func highestEpoch(of lab: String) throws(BookError) -> Int64 {
        try work { () throws(SQLiteError) in
            try database.first("SELECT max(epoch) FROM rollup WHERE lab = ?", lab) { (row) throws(SQLiteError) in
                row.integer(0)
            }
        } ?? 0
    }

    // MARK: rollups

    func held(_ keys: [RollupKey]) throws(BookError) -> [RollupKey: RollupSummary] {
        try work { () throws(SQLiteError) in
            var held: [RollupKey: RollupSummary] = [:]
            for key in keys {
                held[key] = try database.first(
                    "SELECT epoch, revision, digest FROM rollup WHERE start = ? AND lab = ? AND grain = ?",
                    key.start.milliseconds, key.lab, key.grain.rawValue
                ) { (row) throws(SQLiteError) in
                    RollupSummary(
                        key: key,
                        version: RollupVersion(epoch: row.integer(0) ?? 0, revision: row.integer(1) ?? 0),
                        digest: row.text(2) ?? "")
                }
            }
            return held
        }
    }

    func store(_ rollups: [StoredRollup]) throws(BookError) {
        try work { () throws(SQLiteError) in
            try database.transaction { () throws(SQLiteError) in
                for rollup in rollups { try put(rollup) }
                for lab in Set(rollups.map(\.key.lab)) {
                    let received = rollups.map(\.received.milliseconds).max()
                    try database.run("UPDATE lab SET received = ? WHERE id = ?", received, lab)
                }
            }
        }
    }

    // The collector has compared before; the comparison here keeps the rule where the data is.
    private func put(_ rollup: StoredRollup) throws(SQLiteError) {
        try database.run(
            """
            INSERT INTO rollup (start, lab, grain, epoch, revision, digest, received, item)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (start, lab, grain) DO UPDATE SET epoch = excluded.epoch, revision = excluded.revision,
                digest = excluded.digest, received = excluded.received, item = excluded.item
            WHERE (rollup.epoch, rollup.revision) < (excluded.epoch, excluded.revision)
            """,
            rollup.key.start.milliseconds, rollup.key.lab, rollup.key.grain.rawValue, rollup.version.epoch,
            rollup.version.revision, rollup.digest, rollup.received.milliseconds,
            String(decoding: rollup.text, as: UTF8.self))
    }

    private static let rollupColumns = """
        SELECT start, lab, grain, epoch, revision, digest, received, item FROM rollup
        WHERE start >= ? AND start < ? AND (? IS NULL OR grain = ?)
        """
    private static let order = " ORDER BY start, lab, grain"

    private static func summary(_ row: SQLiteRow) -> RollupSummary? {
        guard let start = row.integer(0), let lab = row.text(1),
            let grain = row.text(2).flatMap(RollupGrain.init(rawValue:)), let epoch = row.integer(3),
            let revision = row.integer(4), let digest = row.text(5)
        else { return nil }
        return RollupSummary(
            key: RollupKey(lab: lab, grain: grain, start: Instant(milliseconds: start)),
            version: RollupVersion(epoch: epoch, revision: revision), digest: digest)
    }

    func forEach(_ query: RollupQuery, _ body: (StoredRollup) -> Bool) throws(BookError) {
        func visit(_ row: SQLiteRow) -> Bool {
            guard let summary = Self.summary(row) else { return true }
            let key = summary.key
            if let after = query.after, key.start == after.start,
                (key.lab, key.grain.rawValue) <= (after.lab, after.grain.rawValue)
            {
                return true
            }
            return body(
                StoredRollup(
                    key: key, version: summary.version, digest: summary.digest,
                    received: Instant(milliseconds: row.integer(6) ?? 0), text: Array((row.text(7) ?? "").utf8)))
        }
        // A page begins within the instant at which the one before ended; what was seen of it is passed over.
        let from = max(query.from, query.after?.start ?? query.from).milliseconds
        let to = query.to.milliseconds
        let grain = query.grain?.rawValue
        try work { () throws(SQLiteError) in
            if let lab = query.lab {
                try database.forEach(
                    Self.rollupColumns + " AND lab = ?" + Self.order, from, to, grain, grain, lab,
                    body: { (row) throws(SQLiteError) in visit(row) })
            } else {
                try database.forEach(
                    Self.rollupColumns + Self.order, from, to, grain, grain,
                    body: { (row) throws(SQLiteError) in visit(row) })
            }
        }
    }

    func summaries(_ query: RollupQuery, limit: Int) throws(BookError) -> [RollupSummary] {
        try work { () throws(SQLiteError) in
            try database.rows(
                """
                SELECT start, lab, grain, epoch, revision, digest FROM rollup
                WHERE start >= ? AND start < ? AND (? IS NULL OR grain = ?) AND lab = ? ORDER BY start LIMIT ?
                """,
                query.from.milliseconds, query.to.milliseconds, query.grain?.rawValue, query.grain?.rawValue, query.lab,
                limit
            ) { (row) throws(SQLiteError) in Self.summary(row) }.compactMap { $0 }
        }
    }

    func windowCount() throws(BookError) -> Int {
        // Rows are never removed and a replaced row keeps its number, so the last number is the count, without a scan.
        try work { () throws(SQLiteError) in
            Int(
                try database.first("SELECT max(rowid) FROM rollup") { (row) throws(SQLiteError) in row.integer(0) } ?? 0
            )
        }
    }
}
