// What is known of a tier although some of its pages cannot be read.

package import Model

/// Pages of a tier that cannot be read.
package struct TierDamage: Hashable, Sendable {
    /// Each by its number since the store was made; another page never has the same.
    package let pages: [UInt64]
    /// The earliest start that they may have held; nil where nothing tells.
    package let from: Instant?
    /// The newest.
    package let upTo: Instant
}

extension RingStore {
    /// Whether `records` gives all that was ever put there, each in its newest version: no page that may have held some
    /// of it has been written over or become unreadable.
    package func isWhole(_ id: SeriesID, in tier: Tier, from: Instant, to: Instant) -> Bool {
        guard from < to, head.isKnown(id.raw) else { return true }
        let pages = self[tier].ring.pages(
            of: UInt16(truncatingIfNeeded: id.raw), from.milliseconds, to.milliseconds)
        for sequence in pages where !self[tier].isDamaged(sequence) { _ = sound(sequence, tier) }
        return !self[tier].lacks(from.milliseconds, to.milliseconds, tierReach.milliseconds)
    }

    /// What opening, and reading so far, found damaged of a tier; nil where nothing is.
    package func damage(in tier: Tier) -> TierDamage? {
        let missed = self[tier].missed
        guard let from = missed.map({ $0.from(tierReach.milliseconds) }).min(), let upTo = missed.map(\.upTo).max()
        else { return nil }
        return TierDamage(
            pages: missed.map(\.sequence), from: from == .min ? nil : Instant(milliseconds: from),
            upTo: Instant(milliseconds: upTo))
    }

    /// All that stood on these pages and starts at or after `from` has been put again.
    package func wasPutAgain(_ pages: [UInt64], in tier: Tier, from: Instant) {
        self[tier].putAgain(pages, from: from.milliseconds)
    }
}
