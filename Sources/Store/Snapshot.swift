// Questions from other threads. On the loop, between two commits, a snapshot of one series is taken: which pages hold
// it, and what memory has of it. It is small, copies nothing of other series, and makes the writer wait for nothing.
// Any thread then reads the pages and answers from that state, while the loop goes on.
//
// Pages never change, but the ring comes round: `PageFloors` says which sequences may have been written over, before
// it happens. A reader that finds a page gone asks there: then the whole answer is given up, and a new snapshot taken,
// so that no answer mixes two states. A page that is gone without that is damaged, as for every other question.

package import Model
import Synchronization

/// Sequences below may be gone. Written by the loop, read by everybody.
final class PageFloors: Sendable {
    private let archive = Atomic<UInt64>(0)
    private let slots = Atomic<UInt64>(0)
    private let days = Atomic<UInt64>(0)

    /// Before `sequence` is written to a ring of so many pages.
    func willWrite(_ sequence: UInt64, _ tier: Tier?, pages: Int) {
        let floor = sequence > UInt64(pages) ? sequence - UInt64(pages) + 1 : 0
        switch tier {
        case nil: archive.store(floor, ordering: .sequentiallyConsistent)
        case .slots: slots.store(floor, ordering: .sequentiallyConsistent)
        case .days: days.store(floor, ordering: .sequentiallyConsistent)
        }
    }

    func isGone(_ sequence: UInt64, _ tier: Tier?) -> Bool {
        switch tier {
        case nil: sequence < archive.load(ordering: .sequentiallyConsistent)
        case .slots: sequence < slots.load(ordering: .sequentiallyConsistent)
        case .days: sequence < days.load(ordering: .sequentiallyConsistent)
        }
    }
}

/// One series over a stretch of time as it was at a commit; may be asked on any thread.
package struct SeriesSnapshot: Sendable {
    package let info: SeriesInfo
    package let from: Instant
    package let to: Instant
    fileprivate let region: any Region
    fileprivate let layout: Layout
    fileprivate let identity: [UInt8]
    fileprivate let catalog: Catalog
    fileprivate let head: Head
    fileprivate let archive: ArchiveIndex
    fileprivate let slots: TierStore
    fileprivate let open: OpenSlot?
    fileprivate let rolledEnd: UInt64
    fileprivate let floors: PageFloors

    /// Calls `body` with the samples in order of time, until it says false. False where the ring has overtaken the
    /// snapshot meanwhile: what came is to be thrown away, and a new snapshot taken.
    package func scan(_ body: (Sample) -> Bool) -> Bool {
        let store = RingStore(self)
        store.scan(info.id, from: from, to: to, body)
        return !store.wasOvertaken
    }

    /// The stretch in buckets, as `RingStore.points` gives them; nil where the ring has overtaken the snapshot.
    package func points(step: Duration) -> [Point]? {
        let store = RingStore(self)
        let points = store.points(info.id, from: from, to: to, step: step)
        return store.wasOvertaken ? nil : points
    }

    /// The quarters of an hour that start in the stretch; nil where the ring has overtaken the snapshot.
    package func slotsOfStretch() -> [ChannelSlot]? {
        let store = RingStore(self)
        let slots = store.slots(info.id, from: from, to: to)
        return store.wasOvertaken ? nil : slots
    }
}

extension RingStore {
    /// What is committed of one series, samples from `from` on and before `to`; nil for a series that is not known. On
    /// the loop, as everything of the store; what it gives may go to another thread.
    package func snapshot(_ id: SeriesID, from: Instant, to: Instant) -> SeriesSnapshot? {
        guard head.isKnown(id.raw), let info = catalog.info(UInt16(truncatingIfNeeded: id.raw)) else { return nil }
        let series = UInt16(truncatingIfNeeded: id.raw)
        mendSlots()
        // Whole slots are asked for, too.
        let margin = SlotState.length
        let first = max(from.milliseconds, Int64.min + margin) - margin
        let last = min(to.milliseconds, Int64.max - margin) + margin
        let (own, rolled) = head.only(series, below: max(cursor, rolledEnd), rolled: rolledEnd)
        var slots = self[.slots]
        slots.ring = self[.slots].ring.only(series, first, last)
        slots.head = self[.slots].head.only(series)
        return SeriesSnapshot(
            info: info, from: from, to: to, region: region, layout: layout, identity: identity, catalog: catalog,
            head: own, archive: archive.only(series, first, last), slots: slots,
            open: openSlots[series], rolledEnd: rolled, floors: floors)
    }

    /// A store that knows one series and is only asked.
    fileprivate convenience init(_ snapshot: SeriesSnapshot) {
        self.init(
            snapshot.region,
            Recovered(
                layout: snapshot.layout, identity: snapshot.identity, catalog: snapshot.catalog, head: snapshot.head,
                archive: snapshot.archive, slots: snapshot.slots),
            floors: snapshot.floors)
        isRecording = false
        rolledEnd = snapshot.rolledEnd
        guard let open = snapshot.open, !open.isRecorded else { return }
        openSlots.put(open, UInt16(truncatingIfNeeded: snapshot.info.id.raw))
    }
}

extension Head {
    /// A head with the samples of one series, of those with ordinals below `limit`; and the ordinal in it that stands
    /// for `rolled`.
    fileprivate func only(_ series: UInt16, below limit: UInt64, rolled: UInt64) -> (Head, UInt64) {
        var found: [Record] = []
        var old: UInt64 = 0
        backwards(series) { ordinal, record in
            guard ordinal < limit, record.tag.isSample else { return }
            found.append(record)
            if ordinal < rolled { old += 1 }
        }
        var own = Head(first: 0)
        own.know(series)
        for record in found.reversed() { own.restore(series, time: record.time, value(record)) }
        return (own, old)
    }
}

extension ArchiveIndex {
    /// The pages alone that may hold something of the series in the range.
    fileprivate func only(_ series: UInt16, _ from: Int64, _ to: Int64) -> ArchiveIndex {
        ArchiveIndex(few: pages(of: series, from, to).compactMap(entry), of: self)
    }
}
