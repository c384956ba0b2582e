package import Model

// From stretches of states and steps of counters to slots.

/// Energy that waits until the states of its time are settled.
struct Energy: Hashable {
    let from: Instant
    let to: Instant
    let amount: Int64
}

/// What comes together in the current slot between two bookings, so that an ordinary sample costs a few additions.
struct OpenSlot: Hashable {
    var start = Instant.distantFuture
    var end = Instant.distantPast
    var energy: Int64 = 0
    var idleEnergy: Int64 = 0
    var covered: Int64 = 0
    var least = Double.infinity
    var most = -Double.infinity

    func holds(_ time: Instant) -> Bool { time >= start && time < end }

    init() {}

    init(at time: Instant) {
        start = time.floor(to: Slot.length)
        end = start + Slot.length
    }
}

extension MachineUsage {
    /// The slots so far.
    package var slots: SlotTable {
        guard open.covered > 0 || open.most >= open.least || timeline.settled > timeline.bookedUntil else {
            return table
        }
        var copy = self
        copy.flush()
        return copy.table
    }

    /// The start of the oldest slot that is kept.
    package var oldestSlot: Instant? { table.oldest }

    /// What was known of a slot before takes its place, and that is no change.
    package mutating func recall(_ slot: Slot, at start: Instant) {
        flush()
        table.recall(slot, at: start)
    }

    package mutating func takeDirtySlots() -> [Int64] { table.takeDirty() }

    /// A power value for the extremes of its slot.
    mutating func note(_ watts: Double, at time: Instant) {
        if !open.holds(time) {
            flushOpen()
            open = OpenSlot(at: time)
        }
        if watts < open.least { open.least = watts }
        if watts > open.most { open.most = watts }
    }

    /// Books energy, at once where its whole time lies in one stretch and one slot.
    mutating func take(_ energy: Energy) {
        guard energyQueue.isEmpty, timeline.hold == nil, energy.from >= timeline.stretchStart,
            energy.to <= timeline.settled
        else { return wait(energy) }
        if !open.holds(energy.from) {
            flushOpen()
            open = OpenSlot(at: energy.from)
        }
        guard energy.to <= open.end else { return wait(energy) }
        open.energy += energy.amount
        if case .idle = timeline.state { open.idleEnergy += energy.amount }
        book.drew(energy.amount, from: energy.from)
        open.covered += (energy.to - energy.from).milliseconds
    }

    private mutating func wait(_ energy: Energy) {
        energyQueue.append(energy)
        if timeline.hold == nil { flush() } else if energyQueue.count > Self.mostWaiting { bookEnergy() }
    }

    /// A long queue does not wait for the states: better not known as idle than lost.
    private static let mostWaiting = 2048

    /// Books everything that is settled.
    mutating func flush() {
        var stretches: [Timeline.Stretch] = []
        timeline.flush { stretches.append($0) }
        for stretch in stretches { book(stretch) }
        if !energyQueue.isEmpty { bookEnergy() }
        flushOpen()
    }

    private mutating func flushOpen() {
        guard open.covered > 0 || open.most >= open.least else { return }
        let open = open
        self.open.energy = 0
        self.open.idleEnergy = 0
        self.open.covered = 0
        self.open.least = .infinity
        self.open.most = -.infinity
        _ = table.change(at: open.start) {
            $0.energy += open.energy
            $0.idleEnergy += open.idleEnergy
            $0.energyCovered += open.covered
            guard open.most >= open.least else { return }
            let (least, most) = (Self.milliwatts(open.least), Self.milliwatts(open.most))
            $0.leastPower = min($0.leastPower ?? least, least)
            $0.mostPower = max($0.mostPower ?? most, most)
        }
    }

    private static func milliwatts(_ watts: Double) -> Int64 { Int64((max(-1e12, min(1e12, watts)) * 1000).rounded()) }

    mutating func book(_ stretch: Timeline.Stretch) {
        forEachSlot(from: stretch.from, to: stretch.to) { slots, from, to in
            _ = slots.change(at: from) {
                $0[stretch.state] += (to - from).milliseconds
                if stretch.isOff { $0.off += (to - from).milliseconds }
            }
        }
        if let last = history.last, last.state == stretch.state, last.isOff == stretch.isOff, last.to == stretch.from {
            history[history.count - 1] = Timeline.Stretch(
                state: last.state, isOff: last.isOff, from: last.from, to: stretch.to)
        } else {
            history.append(stretch)
            if history.count > 256 { history.removeFirst(128) }
        }
    }

    /// Spreads energy evenly over its time, cut at slots and at the ends of idle stretches, to the last mWh.
    mutating func bookEnergy() {
        var booked = 0
        for energy in energyQueue {
            guard energy.to <= timeline.bookedUntil || energyQueue.count - booked > Self.mostWaiting else { break }
            spread(energy)
            booked += 1
        }
        // A burst while a change is weighed leaves room for thousands.
        if booked == energyQueue.count, booked > 16 { energyQueue = [] } else { energyQueue.removeFirst(booked) }
    }

    private mutating func spread(_ energy: Energy) {
        let whole = (energy.to - energy.from).milliseconds
        func upTo(_ time: Instant) -> Int64 {
            let (product, rest) = energy.amount.multipliedFullWidth(by: (time - energy.from).milliseconds)
            return whole == 0 ? energy.amount : whole.dividingFullWidth((product, rest)).quotient
        }
        book.spread(from: energy.from, to: energy.to, upTo)
        // Mostly only the last few of them reach so far.
        let first = history.lastIndex { $0.to <= energy.from }.map { $0 + 1 } ?? 0
        let idle = history[first...].filter { $0.isIdle && $0.from < energy.to }
        forEachSlot(from: energy.from, to: energy.to) { slots, from, to in
            var idlePart: Int64 = 0
            for stretch in idle where stretch.to > from && stretch.from < to {
                idlePart += upTo(min(stretch.to, to)) - upTo(max(stretch.from, from))
            }
            _ = slots.change(at: from) {
                $0.energy += upTo(to) - upTo(from)
                $0.idleEnergy += idlePart
                $0.energyCovered += (to - from).milliseconds
            }
        }
    }

    private mutating func forEachSlot(
        from: Instant, to: Instant, _ body: (inout SlotTable, _ from: Instant, _ to: Instant) -> Void
    ) {
        // Nothing before the oldest slot can be booked; no use in walking there through a gap of years.
        var start = max(from, to - Slot.length * Int64(SlotTable.capacity))
        while start < to {
            let end = min(to, start.floor(to: Slot.length) + Slot.length)
            body(&table, start, end)
            start = end
        }
    }
}

/// A machine's usage as it was at an instant, to compute what followed again: everything up to and including `time` is
/// in it, nothing later.
package struct UsageCheckpoint: Sendable {
    package let time: Instant
    private let kept: Kept

    /// In a place of its own: a list of checkpoints has room for more than it holds, and a usage takes a kilobyte.
    private final class Kept: Sendable {
        let usage: MachineUsage
        init(_ usage: MachineUsage) { self.usage = usage }
    }

    /// With the slots alone that can still change.
    package var usage: MachineUsage { kept.usage }

    package init(_ usage: MachineUsage, at time: Instant) {
        self.time = time
        var kept = usage
        kept.flush()
        let slots = kept.table.slots(from: kept.openSince)
        kept.table = SlotTable()
        for (start, slot) in slots { _ = kept.table.change(at: start) { $0 = slot } }
        _ = kept.table.takeDirty()
        self.kept = Kept(kept)
    }
}

extension MachineUsage {
    /// Takes over what was computed again from a checkpoint on. Slots that came out differently count as changed.
    package mutating func adopt(_ again: MachineUsage, from checkpoint: UsageCheckpoint) {
        var other = again
        other.flush()
        flush()
        var slots = table
        slots.replace(from: checkpoint.usage.openSince, with: other.table)
        self = other
        table = slots
    }
}
