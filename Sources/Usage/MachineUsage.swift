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
        /// An access reader: in use while somebody has checked in.
        case occupied
        /// Nothing tells what it does; only energy and counts.
        case none
    }
    package var source: Source
    /// One for each energy counter of the machine, in the order in which they are observed.
    package var energy: [CounterRule]
    /// Items that one shot makes; nil where only a mould or an item counter can tell.
    package var itemsPerShot: Int64?
    /// How many devices tell the state: the machine is lost when the last of them is.
    package var tellers: Int
    /// A machine that says itself that it idles and draws this many watts contradicts itself.
    package var disagreesAbove: Double?
    package var material: MaterialRule

    package init(
        source: Source, energy: [CounterRule], itemsPerShot: Int64? = nil, tellers: Int = 1,
        disagreesAbove: Double? = nil, material: MaterialRule = MaterialRule()
    ) {
        self.source = source
        self.energy = energy
        self.itemsPerShot = itemsPerShot
        self.tellers = tellers
        self.disagreesAbove = disagreesAbove
        self.material = material
    }
}

/// What happened to a counter, for people to read.
package struct UsageEvent: Hashable, Sendable {
    package let time: Instant
    /// The index of the energy counter.
    package let counter: Int
    package let correction: CounterCorrection
}

/// Turns what the devices of one machine said into slots. The same samples in the order of their times give the same
/// slots, however often somebody looked in between (`advance`). A sample from before others that were heard is used as
/// well as can be, and `disorder` tells that the slots should be computed again from there, in order.
package struct MachineUsage: Hashable, Sendable {
    private let common: CommonRule
    package var rule: UsageRule { common.rule }
    package private(set) var events: [UsageEvent] = []
    /// The last known power in W.
    package private(set) var power: Double?
    /// Somebody has checked in at the machine's access reader; nil where there is none.
    package private(set) var isOccupied: Bool?
    /// Since when the machine says that it idles, and draws power all the same.
    package private(set) var disagreesSince: Instant?
    package private(set) var countsShots = false
    package private(set) var countsItems = false
    /// The earliest sample that came after later ones, since `takeDisorder`.
    package private(set) var disorder: Instant?

    var table = SlotTable()
    var open = OpenSlot()
    var timeline: Timeline
    var history: [Timeline.Stretch] = []
    var energyQueue: [Energy] = []
    var book = JobBook()
    private var sense: PowerSense
    /// One element for a press, none for other machines.
    private var press: [PressSensors]
    private var meters: [CounterMeter]
    /// One element, which copies share until something changes it: most machines have nothing of it.
    private var seldom: [Seldom]
    private var tellers: [Bool?]
    private let usesPower: Bool
    /// Everything that was heard or looked at lies before.
    private var frontier = Instant.distantPast

    /// So late a sample still changes the state that is shown, until everything is computed again in order.
    private static let lateness = Duration.seconds(120)

    package init(_ rule: UsageRule, start: Instant) { self.init(CommonRule(rule), start: start) }

    package init(_ common: CommonRule, start: Instant) {
        self.common = common
        timeline = Timeline(start: start)
        meters = common.meters
        seldom = common.seldom
        tellers = [Bool?](repeating: nil, count: common.rule.tellers)
        press = common.press
        sense = common.sense
        if case .power = common.rule.source { usesPower = true } else { usesPower = false }
    }

    package var state: MachineState { timeline.state }
    package var reason: String { timeline.reason }
    package var since: Instant { timeline.since }
    /// Everything before is decided, unless an energy counter is in doubt.
    package var settled: Instant { timeline.settled }
    /// When its state changes by itself, unless something is said before: a dwell or a soak is over, or the last shot is
    /// old.
    package var nextChange: Instant? {
        guard case .press = rule.source, timeline.state != .offline else { return usesPower ? sense.due : nil }
        return press[0].state(at: timeline.settled).until
    }

    /// What is looked at after each sample. Mutating, although it changes nothing: otherwise the whole usage is copied, and
    /// that cost more than all else that a sample brings.
    package mutating func glance() -> Glance {
        Glance(
            state: timeline.state, reason: timeline.reason, nextChange: nextChange, disagreesSince: disagreesSince,
            lastEvent: events.last)
    }

    /// What the mould in the machine is fed with, or the machine without one. Mutating for the same reason.
    package mutating func fedWith() -> Polymer {
        seldom[0].material.mould.map { common.rule.material.moulds[$0].polymer } ?? common.rule.material.polymer
    }

    /// A few members of a usage.
    package struct Glance: Sendable {
        package let state: MachineState
        package let reason: String
        package let nextChange: Instant?
        package let disagreesSince: Instant?
        package let lastEvent: UsageEvent?
    }

    /// The last jobs and runs, oldest first; the last one may go on.
    package var jobs: [JobRecord] { book.records }

    package mutating func takeDisorder() -> Instant? {
        defer { disorder = nil }
        return disorder
    }

    // MARK: what devices say

    /// A device's own word for its state.
    package mutating func observe(state: MachineState, reason: String, at time: Instant) {
        guard let time = inOrder(time), case .state = rule.source else { return }
        enter(state, reason, at: time)
    }

    /// Power in W; nil where the device does not know it.
    package mutating func observe(power watts: Double?, at time: Instant) {
        guard let time = inOrder(time) else { return }
        power = watts
        if let watts { note(watts, at: time) }
        guard usesPower else { return compare(at: time) }
        guard let watts else {
            pass(to: time)
            sense.forget(at: time)
            return enter(.unknown, "no power reading", at: time)
        }
        if sense.isSteady(at: watts) { return timeline.pass(to: time) }
        follow(at: time) { $0.observe(watts, at: time, $1) }
    }

    /// Whether somebody has checked in at the machine's access reader.
    package mutating func observe(occupied: Bool, at time: Instant) {
        guard let time = inOrder(time) else { return }
        isOccupied = occupied
        switch rule.source {
        case .occupied: enter(occupied ? .running : .idle, occupied ? "occupied" : "free", at: time)
        // A reader gives occupancy, not state: it only tells more of an idle machine.
        default:
            if timeline.state == .idle { enter(.idle, idleReason(timeline.reason), isOff: timeline.isOff, at: time) }
        }
    }

    /// A press zone's temperature in °C; nil where its sensor is broken.
    package mutating func observe(temperature: Double?, zone: String, at time: Instant) {
        guard let time = inOrder(time), case .press = rule.source else { return }
        advance(to: time)
        press[0].temperature(zone, temperature, at: time)
        followPress(at: time)
    }

    /// A press zone's set value in °C.
    package mutating func observe(setpoint: Double?, zone: String, at time: Instant) {
        guard let time = inOrder(time), case .press = rule.source else { return }
        advance(to: time)
        press[0].setpoint(zone, setpoint, at: time)
        followPress(at: time)
    }

    /// Whether a press zone's controller gives alarm.
    package mutating func observe(alarm isOn: Bool, zone: String, at time: Instant) {
        guard let time = inOrder(time), case .press = rule.source else { return }
        advance(to: time)
        press[0].alarm(zone, isOn, at: time)
        followPress(at: time)
    }

    /// The device that gives some of a press's zones, or counts its shots, is gone, while others are still there.
    package mutating func observe(silenceOf zones: [String], shots: Bool, at time: Instant) {
        guard case .press = rule.source, !zones.isEmpty || shots, timeline.state != .offline,
            let time = inOrder(time)
        else { return }
        advance(to: time)
        press[0].silence(of: zones, shots: shots)
        followPress(at: time)
    }

    /// An energy counter in mWh.
    package mutating func observe(energy raw: Int64, counter: Int, at time: Instant) {
        guard inOrder(time) != nil, meters.indices.contains(counter),
            let step = meters[counter].observe(raw, at: time)
        else { return }
        if let correction = step.correction {
            if events.count >= 64 { events.removeFirst() }
            events.append(UsageEvent(time: time, counter: counter, correction: correction))
            _ = table.change(at: time) { $0.corrections += 1 }
        }
        pass(to: time)
        guard let early = step.early else {
            return take(Energy(from: step.since, to: time, amount: step.advance))
        }
        take(Energy(from: step.since, to: early.until, amount: early.advance))
        take(Energy(from: early.until, to: time, amount: step.advance - early.advance))
    }

    /// The device of an energy counter told that it had just started.
    package mutating func restarted(counter: Int, at time: Instant) {
        if meters.indices.contains(counter) { meters[counter].restarted(at: time) }
    }

    /// Another meter stands in the place of an energy counter's, or somebody has set it: what it shows next is a first
    /// value.
    package mutating func exchanged(counter: Int) {
        if meters.indices.contains(counter) { meters[counter].exchanged() }
    }

    /// The same for counts: the devices that gave them were exchanged.
    package mutating func exchanged(shots: Bool, items: Bool, scrap: Bool) {
        if shots { seldom[0].shots.exchanged() }
        if items { seldom[0].items.exchanged() }
        if scrap { seldom[0].material.exchangedScrap() }
    }

    /// A cumulative count of shots.
    package mutating func observe(shots raw: Int64, at time: Instant) {
        countsShots = true
        guard let place = inOrder(time) else { return }
        let step = seldom[0].shots.observe(raw, at: time)
        if let step { book(step, at: time) }
        guard case .press = rule.source else { return }
        advance(to: place)
        press[0].counts(at: place)
        if let step, step.advance > 0 { press[0].shot(at: place) }
        followPress(at: place)
    }

    private mutating func book(_ step: CounterStep, at time: Instant) {
        let items = seldom[0].material.shots(step.advance, since: step.since, at: time, &table)
        guard step.advance > 0 else { return }
        let made = items ?? (rule.itemsPerShot ?? 0) * step.advance
        _ = table.change(at: time) {
            $0.shots += step.advance
            $0.items += countsItems ? 0 : made
        }
    }

    /// A cumulative count of items made.
    package mutating func observe(items raw: Int64, at time: Instant) {
        countsItems = true
        guard inOrder(time) != nil, let step = seldom[0].items.observe(raw, at: time), step.advance > 0 else { return }
        _ = table.change(at: time) { $0.items += step.advance }
    }

    /// A cumulative count of filament in micrometres.
    package mutating func observe(filament raw: Int64, at time: Instant) {
        guard inOrder(time) != nil, let step = seldom[0].filament.observe(raw, at: time), step.advance > 0 else {
            return
        }
        _ = table.change(at: time) { $0.filament += step.advance }
    }

    // MARK: material

    private var weighs: Bool { !rule.material.weighed.isEmpty }

    /// The zones of a press that ever spoke.
    package var zoneNames: [String] { press.first?.zoneNames ?? [] }

    /// The mould in the machine, where it is known, and since when that is known.
    package var mould: Mould? { seldom[0].material.mould.map { rule.material.moulds[$0] } }
    package var mouldChosen: Instant? { seldom[0].material.chosenAt }
    package var countsScrap: Bool { seldom[0].material.countsScrap }

    /// Another mould is in the machine now.
    package mutating func observe(mould name: String, at time: Instant) {
        if inOrder(time) != nil { seldom[0].material.choose(name, at: time) }
    }

    /// A cumulative count of items that were no good.
    package mutating func observe(scrap raw: Int64, at time: Instant) {
        if inOrder(time) != nil { seldom[0].material.scrap(raw, at: time, &table) }
    }

    /// A person says that the last shot was no good.
    package mutating func observeReject(at time: Instant) {
        if inOrder(time) != nil { seldom[0].material.reject(at: time, &table) }
    }

    /// A scale shows milligrams at rest; nil where it shows none, or is gone.
    package mutating func observe(weight: Int64?, _ role: MassRole, at time: Instant) {
        if inOrder(time) != nil { seldom[0].material.weigh(weight, role, at: time, &table) }
    }

    /// Whether a scale is at rest.
    package mutating func observe(rest isAtRest: Bool, _ role: MassRole, at time: Instant) {
        if inOrder(time) != nil { seldom[0].material.rest(isAtRest, role, at: time, &table) }
    }

    /// Whether a scale shows net weight.
    package mutating func observe(net isNet: Bool, _ role: MassRole, at time: Instant) {
        if inOrder(time) != nil { seldom[0].material.net(isNet, role, at: time, &table) }
    }

    // MARK: what is not seen

    package mutating func observe(job outcome: JobOutcome, at time: Instant) {
        guard let place = inOrder(time) else { return }
        _ = table.change(at: time) { $0[outcome] += 1 }
        book.told(outcome, at: place)
    }

    /// One of the devices that tell the state came or went. The machine is gone when the last of them is, and back,
    /// without a state yet, when one is.
    package mutating func observe(online: Bool, teller: Int, at time: Instant) {
        guard tellers.indices.contains(teller) else { return }
        tellers[teller] = online
        if online {
            back(at: time)
        } else if tellers.allSatisfy({ $0 != true }) {
            lost("no contact", at: time)
        }
    }

    /// Nothing tells the state any more.
    package mutating func lost(_ reason: String, at time: Instant) {
        guard let time = inOrder(time) else { return }
        forget(at: time)
        enter(.offline, reason, at: time)
    }

    /// What tells the state is back, and has not told it yet.
    package mutating func back(at time: Instant) {
        guard let time = inOrder(time), timeline.state == .offline else { return }
        enter(.unknown, "just came back", at: time)
    }

    /// The gateway itself knows nothing from `time` on: it was off, or its clock was set.
    package mutating func blind(_ reason: String, clockWasSet: Bool = false, at time: Instant) {
        forget(at: time)
        if weighs { seldom[0].material.blind() }
        if clockWasSet {
            for index in meters.indices { meters[index].clockWasSet() }
            if seldom != Seldom.nothing { seldom[0].clockWasSet() }
        }
        for index in tellers.indices { tellers[index] = nil }
        enter(.unknown, reason, at: max(time, timeline.settled))
    }

    /// Books up to `time`.
    package mutating func advance(to time: Instant) {
        frontier = max(frontier, time)
        if weighs { seldom[0].material.advance(to: time, &table) }
        pass(to: time)
        flush()
    }

    // MARK: deciding

    /// The time at which a sample may still change something; nil where it is too late.
    private mutating func inOrder(_ time: Instant) -> Instant? {
        if time >= frontier {
            frontier = time
            return time
        }
        disorder = min(disorder ?? time, time)
        if frontier - time <= Self.lateness { return frontier }
        _ = table.change(at: time) { $0.late += 1 }
        return nil
    }

    /// Everything that time alone brings by `time`.
    private mutating func pass(to time: Instant) {
        if case .press = rule.source, timeline.state != .offline {
            // A press changes by itself when its soak is over or its last shot is old.
            while let until = press[0].state(at: timeline.settled).until, until <= time {
                let (state, reason, _) = press[0].state(at: until)
                enter(state, reason, at: until)
            }
        }
        if usesPower, sense.hold != nil { follow(at: time) { $0.advance(to: time, $1) } }
        timeline.pass(to: time)
    }

    private mutating func forget(at time: Instant) {
        pass(to: time)
        power = nil
        disagreesSince = nil
        sense.forget(at: time)
        if !press.isEmpty { press[0].forget() }
    }

    private mutating func enter(_ state: MachineState, _ reason: String, isOff: Bool = false, at time: Instant) {
        var stretches: [Timeline.Stretch] = []
        let said = state == .idle ? idleReason(reason) : reason
        let before = timeline.state
        let begins = timeline.enter(state, said, isOff: isOff, at: time) { stretches.append($0) }
        // Energy of before belongs to the job of before.
        for stretch in stretches { book(stretch) }
        if !stretches.isEmpty { bookEnergy() }
        if before != state { book.entered(state, from: before, at: timeline.stretchStart) }
        if begins.isFault || begins.isUse {
            _ = table.change(at: timeline.stretchStart) {
                if begins.isFault { $0.faults += 1 }
                if begins.isUse { $0.runs += 1 }
            }
        }
        compare(at: time)
    }

    /// An idle machine at which somebody has checked in is not free.
    private func idleReason(_ reason: String) -> String {
        guard rule.source != .occupied, let isOccupied else { return reason }
        let word = ", occupied"
        let bare = reason.hasSuffix(word) ? String(reason.dropLast(word.count)) : reason
        return isOccupied ? bare + word : bare
    }

    /// Lets power be weighed, and enters what is decided.
    private mutating func follow(
        at time: Instant, _ body: (inout PowerSense, (PowerSense.Change) -> Void) -> Void
    ) {
        var changes: [PowerSense.Change] = []
        body(&sense) { changes.append($0) }
        // What was weighed is decided; what is weighed now is said below.
        for change in changes {
            switch change.activity {
            case .running: enter(.running, "power", at: change.at)
            case .standby: enter(.idle, "standby", at: change.at)
            case .off: enter(.idle, "off", isOff: true, at: change.at)
            }
        }
        timeline.weigh(since: sense.hold)
        timeline.pass(to: time)
    }

    private mutating func followPress(at time: Instant) {
        let (state, reason, _) = press[0].state(at: time)
        enter(state, reason, at: time)
    }

    /// The machine's own word against its meter.
    private mutating func compare(at time: Instant) {
        guard let limit = rule.disagreesAbove else { return }
        let disagrees = timeline.state == .idle && (power ?? 0).magnitude >= limit
        if !disagrees { disagreesSince = nil } else if disagreesSince == nil { disagreesSince = time }
    }

    /// Everything that a machine's usage must know to go on, without the slots that cannot change any more.
    package var openSince: Instant {
        var since = min(timeline.bookedUntil, energyQueue.first?.from ?? timeline.bookedUntil)
        for meter in meters { if let known = meter.knownUntil { since = min(since, known) } }
        if let open = seldom[0].material.openSince(frontier) { since = min(since, open) }
        return since
    }
}
