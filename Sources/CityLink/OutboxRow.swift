// What the outbox keeps, and what it asks its owner to do.

package import Model

/// The newest version of one window that the city has not confirmed.
package struct OutboxRow: Hashable, Sendable {
    package let key: RollupKey
    package let version: RollupVersion
    /// Tells whether a later content of this window is news.
    package let contentDigest: String
    /// As it goes over the wire.
    package let digest: String
    /// `{"digest":"…","rollup":{…}}` in canonical form; the same bytes at every try.
    package let item: [UInt8]
    /// When this version was made.
    package let made: Instant
    /// What the item keeps to itself.
    package let suppressed: [String]
    /// Why the city does not take it; such a row is a dead letter: kept, shown, not sent until someone says so.
    package var problem: String?

    package init(
        key: RollupKey, version: RollupVersion, contentDigest: String, digest: String, item: [UInt8], made: Instant,
        suppressed: [String] = [], problem: String? = nil
    ) {
        self.key = key
        self.version = version
        self.contentDigest = contentDigest
        self.digest = digest
        self.item = item
        self.made = made
        self.suppressed = suppressed
        self.problem = problem
    }
}

/// The last version that was made of a window, whether or not it is still waiting.
package struct EmittedWindow: Hashable, Sendable {
    package let key: RollupKey
    package var version: RollupVersion
    /// Empty where the city lost it, so that any content is news.
    package var contentDigest: String
    package var digest: String
    /// The city confirmed this version.
    package var isReceipted: Bool
    /// What any version of it kept to itself, so that no later one tells it.
    package var suppressed: [String]

    package init(
        key: RollupKey, version: RollupVersion, contentDigest: String, digest: String, isReceipted: Bool,
        suppressed: [String] = []
    ) {
        self.key = key
        self.version = version
        self.contentDigest = contentDigest
        self.digest = digest
        self.isReceipted = isReceipted
        self.suppressed = suppressed
    }
}

/// One line of the log of what the city confirmed.
package struct ReceiptRecord: Hashable, Sendable {
    package let key: RollupKey
    package let version: RollupVersion
    package let result: RollupResult
    package let received: Instant
    /// The state of the window after this receipt; nil while a newer version is not on disk, because a window that is
    /// remembered without its row would never be sent.
    package let window: EmittedWindow?
}

/// What is to be done on disk, in this order; all effects of one call belong into one transaction.
package enum OutboxEffect: Hashable, Sendable {
    /// Store the row in place of the one with its key, and what it says about its window.
    case persist(OutboxRow)
    /// Remove the row with this key where its version is this or an older one.
    case delete(RollupKey, RollupVersion)
    /// Note that the city holds this version.
    case receipt(ReceiptRecord)
    /// Store what is known of a window without a row.
    case note(EmittedWindow)
    /// Windows that started earlier will not change any more and need not be remembered.
    case forget(before: Instant)
    /// Tell the technician.
    case alarm(String)
}

/// How the outbox does, for pages and commands.
package struct OutboxStatus: Hashable, Sendable {
    package let waiting: Int
    package let deadLetters: Int
    package let bytes: Int
    package let oldest: Instant?
    package let isSending: Bool
    /// Why nothing is sent until `nextAttempt`; nil while all is well.
    package let trouble: String?
    package let nextAttempt: Moment
    package let lastReceipt: Instant?
    /// Rows that were given up because the outbox was full, since the start.
    package let dropped: Int
}
