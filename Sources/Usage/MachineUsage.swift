package import Model

/// How one machine's use is told from what its devices say.
package struct UsageRule: Hashable, Sendable {
    package enum Source: Hashable, Sendable {
        /// A device says its state itself.
        case state
        /// Power against two levels.
        case power(PowerRule)
        /// A press's zones and shots.
        case press(PressRule)
        /// Nothing tells what it does; only energy and counts.
        case none
    }
    package var source: Source
    /// One for each energy counter of the machine, in the order in which they are observed.
    package var energy: [CounterRule]
    /// Items that one shot makes; nil where only an item counter can tell.
    package var itemsPerShot: Int64?

    package init(source: Source, energy: [CounterRule], itemsPerShot: Int64? = nil) {
        self.source = source
        self.energy = energy
        self.itemsPerShot = itemsPerShot
    }
}

/// What happened to a counter, for people to read.
package struct UsageEvent: Hashable, Sendable {
    package let time: Instant
    /// The index of the energy counter.
    package let counter: Int
    package let correction: CounterCorrection
}

/// Turns what the devices of one machine said, in the order in which it arrived, into slots. The same samples give the
/// same slots, however often somebody looked in between (`advance`).
package struct MachineUsage: Hashable, Sendable {
    package let rule: UsageRule
    package private(set) var slots = SlotTable()
    package private(set) var events: [UsageEvent] = []
    /// The last known power in W.
    package private(set) var power: Double?
    private var timeline: Timeline
    private var press: PressSensors
    private var meters: [CounterMeter]
    private var shotMeter = CounterMeter(CounterRule(resolution: 1, perSecond: 2, settle: .seconds(20)))
    private var itemMeter = CounterMeter(CounterRule(resolution: 1, perSecond: 20, settle: .seconds(20)))
    private var energyQueue: [Energy] = []
    private var history: [Timeline.Stretch] = []
    package private(set) var countsShots = false
    package private(set) var countsItems = false

    /// Energy that waits until the states of its time are settled.
    private struct Energy: Hashable {
        let from: Instant
        let to: Instant
        let amount: Int64
    }

    package init(_ rule: UsageRule, start: Instant) {
        self.rule = rule
        timeline = Timeline(start: start)
        meters = rule.energy.map(CounterMeter.init)
        if case .press(let rule) = rule.source { press = PressSensors(rule) } else { press = PressSensors(PressRule()) }
    }

    package var state: MachineState { timeline.state }
    package var reason: String { timeline.reason }
    package var since: Instant { timeline.since }
    /// Everything before is decided, unless an energy counter is in doubt.
    package var settled: Instant { timeline.settled }
    /// When its state changes by itself, unless something is said before: a dwell or a soak is over, or the last shot is
    /// old.
    package var nextChange: Instant? {
        guard case .press = rule.source, timeline.state != .offline,
            let until = press.state(at: timeline.settled).until
        else { return timeline.due }
        return min(until, timeline.due ?? until)
    }

    // MARK: what devices say

    /// A device's own word for its state.
    package mutating func observe(state: MachineState, reason: String, at time: Instant) {
        guard case .state = rule.source, isOnTime(time) else { return }
        change { $0.enter(state, reason, at: time, $1) }
    }

    /// Power in W; nil where the device does not know it.
    package mutating func observe(power watts: Double?, at time: Instant) {
        power = watts
        guard case .power(let levels) = rule.source, isOnTime(time) else { return }
        guard let watts else { return change { $0.enter(.unknown, "no power reading", at: time, $1) } }
        // What is due by now is decided first: the middle band goes by it.
        advance(to: time)
        let (state, reason) = levels.state(at: watts, before: timeline.state)
        change { $0.propose(state, reason, at: time, dwell: levels.dwell, $1) }
    }

    /// A press zone's temperature in °C; nil where its sensor is broken.
    package mutating func observe(temperature: Double?, zone: String, at time: Instant) {
        guard case .press = rule.source, isOnTime(time) else { return }
        advance(to: time)
        press.temperature(zone, temperature, at: time)
        followPress(at: time)
    }

    /// A press zone's set value in °C.
    package mutating func observe(setpoint: Double?, zone: String, at time: Instant) {
        guard case .press = rule.source, isOnTime(time) else { return }
        advance(to: time)
        press.setpoint(zone, setpoint, at: time)
        followPress(at: time)
    }

    /// An energy counter in mWh.
    package mutating func observe(energy raw: Int64, counter: Int, at time: Instant) {
        guard meters.indices.contains(counter), let step = meters[counter].observe(raw, at: time) else { return }
        if let correction = step.correction {
            if events.count >= 64 { events.removeFirst() }
            events.append(UsageEvent(time: time, counter: counter, correction: correction))
            _ = slots.change(at: time) { $0.corrections += 1 }
        }
        energyQueue.append(Energy(from: step.since, to: time, amount: step.advance))
        change { $0.advance(to: time, $1) }
    }

    /// A cumulative count of shots.
    package mutating func observe(shots raw: Int64, at time: Instant) {
        countsShots = true
        guard let step = shotMeter.observe(raw, at: time), step.advance > 0 else { return }
        let items = rule.itemsPerShot.map { $0 * step.advance } ?? 0
        _ = slots.change(at: time) {
            $0.shots += step.advance
            $0.items += items
        }
        guard case .press = rule.source, isOnTime(time) else { return }
        advance(to: time)
        press.shot(at: time)
        followPress(at: time)
    }

    /// A cumulative count of items made.
    package mutating func observe(items raw: Int64, at time: Instant) {
        countsItems = true
        guard let step = itemMeter.observe(raw, at: time), step.advance > 0 else { return }
        _ = slots.change(at: time) { $0.items += step.advance }
    }

    package mutating func observe(job outcome: JobOutcome, at time: Instant) {
        _ = slots.change(at: time) { $0[outcome] += 1 }
    }

    /// The device that tells the state is gone; a press is gone when its last device is.
    package mutating func lost(_ reason: String, at time: Instant) {
        power = nil
        press.forget()
        change { $0.enter(.offline, reason, at: time, $1) }
    }

    /// The device that tells the state is back, and has not told it yet.
    package mutating func back(at time: Instant) {
        guard timeline.state == .offline else { return }
        change { $0.enter(.unknown, "just came back", at: time, $1) }
    }

    /// The gateway itself knows nothing from `time` on: it was off, or its clock was set.
    package mutating func blind(_ reason: String, at time: Instant) {
        power = nil
        press.forget()
        change { $0.enter(.unknown, reason, at: time, $1) }
    }

    /// Books up to `time`.
    package mutating func advance(to time: Instant) {
        if case .press = rule.source, timeline.state != .offline {
            // A press changes by itself when its soak is over or its last shot is old.
            while let until = press.state(at: timeline.settled).until, until <= time {
                let (state, reason, _) = press.state(at: until)
                change { $0.enter(state, reason, at: until, $1) }
            }
        }
        change { $0.advance(to: time, $1) }
    }

    // MARK: booking

    private mutating func followPress(at time: Instant) {
        let (state, reason, _) = press.state(at: time)
        change { $0.enter(state, reason, at: time, $1) }
    }

    /// Late words change nothing any more, but are counted where they belong.
    private mutating func isOnTime(_ time: Instant) -> Bool {
        // The hub's clock may have looked a moment ahead of the sample.
        if time + .seconds(2) >= timeline.settled { return true }
        _ = slots.change(at: time) { $0.late += 1 }
        return false
    }

    private mutating func change(_ body: (inout Timeline, (Timeline.Stretch) -> Void) -> Void) {
        var stretches: [Timeline.Stretch] = []
        body(&timeline) { stretches.append($0) }
        for stretch in stretches { book(stretch) }
        bookEnergy()
    }

    private mutating func book(_ stretch: Timeline.Stretch) {
        forEachSlot(from: stretch.from, to: stretch.to) { slots, from, to in
            _ = slots.change(at: from) { $0[stretch.state] += (to - from).milliseconds }
        }
        if let last = history.last, last.state == stretch.state, last.to == stretch.from {
            history[history.count - 1] = Timeline.Stretch(state: last.state, from: last.from, to: stretch.to)
        } else {
            history.append(stretch)
            if history.count > 256 { history.removeFirst(128) }
        }
    }

    /// Spreads energy evenly over its time, cut at slots and at the ends of idle stretches, to the last mWh.
    private mutating func bookEnergy() {
        // A long queue does not wait for the states: better not known as idle than lost.
        while let energy = energyQueue.first, energy.to <= timeline.settled || energyQueue.count > 64 {
            energyQueue.removeFirst()
            let whole = (energy.to - energy.from).milliseconds
            func upTo(_ time: Instant) -> Int64 {
                let (product, rest) = energy.amount.multipliedFullWidth(by: (time - energy.from).milliseconds)
                return whole == 0 ? energy.amount : whole.dividingFullWidth((product, rest)).quotient
            }
            let idle = history.filter { $0.state == .idle && $0.to > energy.from && $0.from < energy.to }
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
    }

    private mutating func forEachSlot(
        from: Instant, to: Instant, _ body: (inout SlotTable, _ from: Instant, _ to: Instant) -> Void
    ) {
        // Nothing before the oldest slot can be booked; no use in walking there through a gap of years.
        var start = max(from, to - Slot.length * Int64(SlotTable.capacity))
        while start < to {
            let end = min(to, start.floor(to: Slot.length) + Slot.length)
            body(&slots, start, end)
            start = end
        }
    }

    package mutating func takeDirtySlots() -> Set<Int64> { slots.takeDirty() }
}
