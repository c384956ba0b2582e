// The outbox on disk: the text of its SQL, and rows to and from plain cells, so that whoever owns the database needs no
// rule of ours and this module no library.
//
//     rollup_window   the last version made of each window     (city, lab, grain, start) → version, digests, receipted
//     outbox          what waits, and dead letters (problem)    (city, lab, grain, start) → version, item
//     receipt         the last 10,000 words of the city; with what was sent (item) for the last 2,000
//
// Times are milliseconds since 1970. One database serves several cities.

import Model

/// One value of a row.
package enum SQLCell: Hashable, Sendable {
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])

    var integer: Int64? { if case .integer(let value) = self { value } else { nil } }
    var text: String? { if case .text(let value) = self { value } else { nil } }
    var blob: [UInt8]? { if case .blob(let value) = self { value } else { nil } }
}

/// A statement and what stands in for its `?`.
package struct SQLCommand: Hashable, Sendable {
    package let text: String
    package let values: [SQLCell]
}

/// Tables and statements of the gateway's outbox for SQLite. Open it with `synchronous=FULL`: a receipt that is deleted
/// before it is safe is a rollup lost.
package enum OutboxSchema {
    /// The migrations, oldest first; each is run once.
    package static let migrations = [
        """
        CREATE TABLE rollup_window (
            city TEXT NOT NULL, lab TEXT NOT NULL, grain TEXT NOT NULL, start INTEGER NOT NULL,
            epoch INTEGER NOT NULL, revision INTEGER NOT NULL, content_digest TEXT NOT NULL, digest TEXT NOT NULL,
            receipted INTEGER NOT NULL,
            PRIMARY KEY (city, lab, grain, start)
        ) STRICT, WITHOUT ROWID;
        CREATE TABLE outbox (
            city TEXT NOT NULL, lab TEXT NOT NULL, grain TEXT NOT NULL, start INTEGER NOT NULL,
            epoch INTEGER NOT NULL, revision INTEGER NOT NULL, content_digest TEXT NOT NULL, digest TEXT NOT NULL,
            item BLOB NOT NULL, made INTEGER NOT NULL, problem TEXT,
            PRIMARY KEY (city, lab, grain, start)
        ) STRICT;
        CREATE VIEW dead_letter AS SELECT * FROM outbox WHERE problem IS NOT NULL;
        CREATE TABLE receipt (
            seq INTEGER PRIMARY KEY, city TEXT NOT NULL, lab TEXT NOT NULL, grain TEXT NOT NULL,
            start INTEGER NOT NULL, epoch INTEGER NOT NULL, revision INTEGER NOT NULL, result TEXT NOT NULL,
            received INTEGER NOT NULL
        ) STRICT;
        """,
        """
        ALTER TABLE rollup_window ADD COLUMN suppressed TEXT NOT NULL DEFAULT '';
        """,
        """
        ALTER TABLE receipt ADD COLUMN item BLOB;
        """,
    ]

    package static let receiptsKept = 10_000
    /// Of so many of them what was sent is kept, too.
    package static let sentKept = 2_000

    /// One city's rows, for `row(_:)`.
    package static func rows(city: String) -> SQLCommand {
        SQLCommand(
            text: """
                SELECT lab, grain, start, epoch, revision, content_digest, digest, item, made, problem
                FROM outbox WHERE city = ?
                """, values: [.text(city)])
    }

    /// One city's windows, for `window(_:)`.
    package static func windows(city: String) -> SQLCommand {
        SQLCommand(
            text: """
                SELECT lab, grain, start, epoch, revision, content_digest, digest, receipted, suppressed
                FROM rollup_window WHERE city = ?
                """, values: [.text(city)])
    }

    /// A row as `rows` selects it; nil where it is damaged.
    package static func row(_ cells: [SQLCell]) -> OutboxRow? {
        guard cells.count == 10, let (key, version) = name(cells), let contentDigest = cells[5].text,
            let digest = cells[6].text, let item = cells[7].blob, let made = cells[8].integer
        else { return nil }
        return OutboxRow(
            key: key, version: version, contentDigest: contentDigest, digest: digest, item: item,
            made: Instant(milliseconds: made), suppressed: suppressed(in: item), problem: cells[9].text)
    }

    /// What an item says that it keeps to itself.
    private static func suppressed(in item: [UInt8]) -> [String] {
        JSON(item)?["rollup"]?["suppressed"]?.items?.compactMap(\.text) ?? []
    }

    /// A window as `windows` selects it; nil where it is damaged.
    package static func window(_ cells: [SQLCell]) -> EmittedWindow? {
        guard cells.count == 9, let (key, version) = name(cells), let contentDigest = cells[5].text,
            let digest = cells[6].text, let receipted = cells[7].integer, let suppressed = cells[8].text
        else { return nil }
        return EmittedWindow(
            key: key, version: version, contentDigest: contentDigest, digest: digest, isReceipted: receipted != 0,
            suppressed: suppressed.split(separator: " ").map(String.init))
    }

    /// What to run for an effect, in order; nothing for alarms.
    package static func commands(for effect: OutboxEffect, city: String) -> [SQLCommand] {
        switch effect {
        case .alarm: return []
        case .note(let window): return [note(window, city)]
        case .persist(let row):
            return [
                note(EmittedWindow(row), city),
                SQLCommand(
                    text: """
                        INSERT INTO outbox (city, lab, grain, start, epoch, revision, content_digest, digest, item, made,
                            problem)
                        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                        ON CONFLICT (city, lab, grain, start) DO UPDATE SET epoch = excluded.epoch,
                            revision = excluded.revision, content_digest = excluded.content_digest,
                            digest = excluded.digest, item = excluded.item, made = excluded.made,
                            problem = excluded.problem
                        WHERE (outbox.epoch, outbox.revision) <= (excluded.epoch, excluded.revision)
                        """,
                    values: cells(city, row.key, row.version) + [
                        .text(row.contentDigest), .text(row.digest), .blob(row.item),
                        .integer(row.made.milliseconds), row.problem.map(SQLCell.text) ?? .null,
                    ]),
            ]
        case .delete(let key, let version):
            return [
                SQLCommand(
                    text: """
                        DELETE FROM outbox WHERE city = ? AND lab = ? AND grain = ? AND start = ?
                        AND (epoch, revision) <= (?, ?)
                        """, values: cells(city, key, version))
            ]
        case .receipt(let record):
            return (record.window.map { [note($0, city)] } ?? []) + [
                SQLCommand(
                    text: """
                        INSERT INTO receipt (city, lab, grain, start, epoch, revision, result, received, item)
                        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, (SELECT item FROM outbox WHERE city = ?1 AND lab = ?2
                            AND grain = ?3 AND start = ?4 AND epoch = ?5 AND revision = ?6))
                        """,
                    values: cells(city, record.key, record.version) + [
                        .text(record.result.rawValue), .integer(record.received.milliseconds),
                    ]),
                SQLCommand(
                    text: """
                        UPDATE receipt SET item = NULL
                        WHERE seq = (SELECT max(seq) FROM receipt) - \(sentKept) AND item IS NOT NULL
                        """,
                    values: []),
                SQLCommand(
                    text: "DELETE FROM receipt WHERE seq <= (SELECT max(seq) FROM receipt) - \(receiptsKept)",
                    values: []),
            ]
        case .forget(let before):
            return [
                SQLCommand(
                    text: """
                        DELETE FROM rollup_window WHERE city = ? AND start < ? AND NOT EXISTS (
                            SELECT 1 FROM outbox WHERE outbox.city = rollup_window.city
                            AND outbox.lab = rollup_window.lab AND outbox.grain = rollup_window.grain
                            AND outbox.start = rollup_window.start)
                        """, values: [.text(city), .integer(before.milliseconds)])
            ]
        }
    }

    // A window's version never goes back, whatever order effects are written in.
    private static func note(_ window: EmittedWindow, _ city: String) -> SQLCommand {
        SQLCommand(
            text: """
                INSERT INTO rollup_window (city, lab, grain, start, epoch, revision, content_digest, digest, receipted,
                    suppressed)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (city, lab, grain, start) DO UPDATE SET epoch = excluded.epoch,
                    revision = excluded.revision, content_digest = excluded.content_digest,
                    digest = excluded.digest, receipted = excluded.receipted,
                    suppressed = excluded.suppressed
                WHERE (rollup_window.epoch, rollup_window.revision) <= (excluded.epoch, excluded.revision)
                """,
            values: cells(city, window.key, window.version) + [
                .text(window.contentDigest), .text(window.digest), .integer(window.isReceipted ? 1 : 0),
                .text(window.suppressed.joined(separator: " ")),
            ])
    }

    private static func cells(_ city: String, _ key: RollupKey, _ version: RollupVersion) -> [SQLCell] {
        [
            .text(city), .text(key.lab), .text(key.grain.rawValue), .integer(key.start.milliseconds),
            .integer(version.epoch), .integer(version.revision),
        ]
    }

    private static func name(_ cells: [SQLCell]) -> (RollupKey, RollupVersion)? {
        guard let lab = cells[0].text, let grain = cells[1].text.flatMap(RollupGrain.init(rawValue:)),
            let start = cells[2].integer, let epoch = cells[3].integer, let revision = cells[4].integer
        else { return nil }
        return (
            RollupKey(lab: lab, grain: grain, start: Instant(milliseconds: start)),
            RollupVersion(epoch: epoch, revision: revision)
        )
    }
}
