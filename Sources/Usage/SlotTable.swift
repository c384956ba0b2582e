package import Model

/// The slots of one machine, newest last, back to a bound. The last two hours lie open, because what comes in changes
/// them; the older ones are packed, a tenth as large, because most of them are only added up any more.
package struct SlotTable: Hashable, Sendable {
    /// How many slots are kept: three days and a bit.
    package static let capacity = 320
    /// So many of them lie open, or all where there are fewer.
    private static let mostOpen = 8

    private var packed = PackedSlots()
    private var open: [Slot] = []
    /// Where the oldest begins.
    private var first = Instant(milliseconds: 0)
    /// Slots that changed since `takeDirty`, as instants of their starts. Nearly always the last one, again and again.
    private var dirty: [Int64] = []

    package init() {}

    private var count: Int { packed.count + open.count }

    /// The place of a slot, which may lie before the first or after the last.
    private func index(_ start: Instant) -> Int { Int((start - first).milliseconds / Slot.length.milliseconds) }

    private func start(_ index: Int) -> Instant { first + Slot.length * Int64(index) }

    /// The start of the oldest slot that can still be changed or read.
    package var oldest: Instant? { open.isEmpty ? nil : first }

    /// Changes the slot that holds `time`; false where it is gone already.
    package mutating func change(at time: Instant, _ body: (inout Slot) -> Void) -> Bool {
        let start = time.floor(to: Slot.length)
        if open.isEmpty { first = start }
        if start < first {
            let missing = -index(start)
            guard missing + count <= Self.capacity, !open.isEmpty else { return false }
            putBefore(missing)
        }
        if index(start) >= count { append(upTo: start) }
        let place = index(start)
        if place >= packed.count {
            body(&open[place - packed.count])
        } else {
            var slot = packed[place]
            body(&slot)
            packed.replace(place, by: slot)
        }
        if dirty.last != start.milliseconds { dirty.append(start.milliseconds) }
        return true
    }

    private mutating func putBefore(_ missing: Int) {
        first = start(-missing)
        guard packed.count == 0 else { return packed.putBefore(missing) }
        open.insert(contentsOf: repeatElement(Slot(), count: missing), at: 0)
        pack()
    }

    private mutating func append(upTo last: Instant) {
        let missing = index(last) + 1 - count
        guard missing <= Self.capacity else {
            (packed, open, first) = (PackedSlots(), [Slot()], last)
            return
        }
        open.append(contentsOf: repeatElement(Slot(), count: missing))
        pack()
        let surplus = count - Self.capacity
        guard surplus > 0 else { return }
        packed.removeFirst(surplus)
        first = start(surplus)
    }

    private mutating func pack() {
        let surplus = open.count - Self.mostOpen
        guard surplus > 0 else { return }
        packed.append(open[..<surplus])
        open.removeFirst(surplus)
    }

    private subscript(index: Int) -> Slot { index < packed.count ? packed[index] : open[index - packed.count] }

    /// The slot that starts at `start`; an empty one where nothing is known.
    package func slot(startingAt start: Instant) -> Slot {
        guard start >= first, !open.isEmpty else { return Slot() }
        let index = index(start)
        return index < count ? self[index] : Slot()
    }

    /// The places of slots that lie in a stretch, or partly in it.
    private func places(from: Instant, to: Instant) -> Range<Int> {
        guard from < start(count), to > first, from < to else { return 0..<0 }
        let begin = from <= first ? 0 : index(from)
        return begin..<(to >= start(count) ? count : index(to - .milliseconds(1)) + 1)
    }

    /// The sum over a stretch whose ends lie on slot boundaries.
    package func sum(from: Instant, to: Instant) -> Slot {
        let places = places(from: from, to: to)
        var total = packed.sum(places.clamped(to: 0..<packed.count))
        // In place: a slot holds five arrays, and each copy counts them.
        for place in places.clamped(to: packed.count..<count) { total += open[place - packed.count] }
        return total
    }

    /// The slots that are kept and lie in a stretch, or partly in it, by their starts.
    package func slots(from: Instant, to: Instant = .distantFuture) -> [(start: Instant, slot: Slot)] {
        places(from: from, to: to).map { (start($0), self[$0]) }
    }

    /// Puts a slot into its place without counting it as changed.
    package mutating func recall(_ slot: Slot, at start: Instant) {
        guard change(at: start, { $0 = slot }) else { return }
        dirty.removeAll { $0 == start.milliseconds }
    }

    /// Takes the place of what is kept from the slot of `from` on; what differs counts as changed.
    package mutating func replace(from: Instant, with other: SlotTable) {
        let end = max(start(count), other.start(other.count))
        var start = max(from.floor(to: Slot.length), end - Slot.length * Int64(Self.capacity))
        while start < end {
            let new = other.slot(startingAt: start)
            if slot(startingAt: start) != new { _ = change(at: start) { $0 = new } }
            start = start + Slot.length
        }
    }

    /// The starts of the slots that changed since the last call; some perhaps more than once.
    package mutating func takeDirty() -> [Int64] {
        // Given away whole: room kept for as many more would be new memory.
        let taken = dirty
        dirty = []
        return taken
    }
}
