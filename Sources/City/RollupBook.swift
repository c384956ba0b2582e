// What the collector keeps, and the little that it asks of whoever keeps it.

package import CityLink
package import Model

/// A lab that may send rollups.
package struct LabRecord: Hashable, Sendable {
    package let id: String
    package var name: String
    /// The incarnation of its gateway; the newest token belongs to it.
    package var epoch: Int64
    package let enrolled: Instant
    package var isDisabled: Bool
    /// SHA-256 of its token. The token itself is nowhere.
    package var tokenHash: [UInt8]
    /// When it last sent something that was stored.
    package var lastReceived: Instant?

    package init(
        id: String, name: String, epoch: Int64, enrolled: Instant, isDisabled: Bool = false, tokenHash: [UInt8] = [],
        lastReceived: Instant? = nil
    ) {
        self.id = id
        self.name = name
        self.epoch = epoch
        self.enrolled = enrolled
        self.isDisabled = isDisabled
        self.tokenHash = tokenHash
        self.lastReceived = lastReceived
    }
}

/// The newest version of one window.
package struct StoredRollup: Hashable, Sendable {
    package let key: RollupKey
    package let version: RollupVersion
    package let digest: String
    package let received: Instant
    /// The canonical text of the item as it came, with all members, known or not.
    package let text: [UInt8]

    package init(key: RollupKey, version: RollupVersion, digest: String, received: Instant, text: [UInt8]) {
        self.key = key
        self.version = version
        self.digest = digest
        self.received = received
        self.text = text
    }
}

/// Which windows are asked for: those that start in `[from, to)`.
package struct RollupQuery: Hashable, Sendable {
    package var lab: String?
    package var grain: RollupGrain?
    package var from: Instant
    package var to: Instant
    /// The last window of the page before.
    package var after: RollupKey?

    package init(
        lab: String? = nil, grain: RollupGrain? = nil, from: Instant = .distantPast, to: Instant = .distantFuture,
        after: RollupKey? = nil
    ) {
        self.lab = lab
        self.grain = grain
        self.from = from
        self.to = to
        self.after = after
    }
}

/// Why the book could not do what was asked, in words for a log.
package struct BookError: Error, CustomStringConvertible {
    package let description: String
    package init(_ description: String) { self.description = description }
}

/// Where labs and rollups are kept. One user at a time; what returned without an error is on the disk.
package protocol RollupBook: AnyObject {
    /// By id.
    func labs() throws(BookError) -> [LabRecord]
    func lab(_ id: String) throws(BookError) -> LabRecord?
    func lab(tokenHash: [UInt8]) throws(BookError) -> LabRecord?
    /// Adds or replaces a lab.
    func put(_ lab: LabRecord) throws(BookError)
    /// The highest epoch that a stored window of this lab has; 0 where there is none.
    func highestEpoch(of lab: String) throws(BookError) -> Int64

    /// What is held of some windows.
    func held(_ keys: [RollupKey]) throws(BookError) -> [RollupKey: RollupSummary]
    /// Stores all of them or none, each in place of an older version, never of a newer; notes when the lab was heard.
    func store(_ rollups: [StoredRollup]) throws(BookError)
    /// Windows in the order of start, lab and grain, until `body` says false.
    func forEach(_ query: RollupQuery, _ body: (StoredRollup) -> Bool) throws(BookError)
    /// Name, version and digest alone, by start; at most `limit`.
    func summaries(_ query: RollupQuery, limit: Int) throws(BookError) -> [RollupSummary]
    /// How many windows are held.
    func windowCount() throws(BookError) -> Int
}
