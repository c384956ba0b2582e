import Model

/// Grams, items and scrap of one machine, as they are booked into its slots.
///
/// Shots are grams by the mould that is in the machine. Where a scale weighs, its word is what is booked, and shots are
/// held against it (`MaterialRule.evidence`). What no scale weighs follows from the shots: what goes in, what comes out
/// good, and what is scrap because a board counted it or a person pressed `reject`.
struct Material: Hashable {
    let rule: MaterialRule
    /// The mould in the machine; an index into `rule.moulds`.
    private(set) var mould: Int?
    private(set) var chosenAt: Instant?
    private(set) var countsScrap = false
    private var scrapMeter = CounterMeter(CounterRule(resolution: 1, perSecond: 20, settle: .seconds(20)))
    private var pans: [Pan]
    /// Until when the count of shots is known.
    private var shotsKnown: Instant?
    /// Until when each scale's time is booked as known; nil while it tells nothing.
    private var weighedUntil: [Instant?]

    /// A bad item is one of those that were made within this time.
    private static let memory = Duration.hours(2)
    /// Known time is booked in pieces of at least this length.
    private static let piece = Duration.seconds(10)

    init(_ rule: MaterialRule) {
        self.rule = rule
        mould = rule.standard
        pans = rule.weighed.map { _ in Pan(step: rule.step) }
        weighedUntil = rule.weighed.map { _ in nil }
    }

    private var current: Mould? { mould.map { rule.moulds[$0] } }
    private var polymer: Int { (current?.polymer ?? rule.polymer).index }
    private func weighs(_ role: MassRole) -> Bool { rule.weighed.contains(role) }

    /// From `time` on another mould is in the machine; a name that the table does not hold means that nobody knows
    /// which.
    mutating func choose(_ name: String, at time: Instant) {
        let index = rule.moulds.firstIndex { $0.name == name }
        guard index != mould || chosenAt == nil else { return }
        mould = index
        chosenAt = time
    }

    /// Since when slots may still change at `time`: a bad item is found late, and a weight must last. nil where nothing
    /// tells material.
    func openSince(_ time: Instant) -> Instant? {
        guard rule.sources > 0, time > .distantPast + Self.memory else { return nil }
        var since = rule.countsShots ? time - Self.memory - Slot.length : time
        if let known = shotsKnown { since = min(since, known) }
        for (pan, until) in zip(pans, weighedUntil) { since = min(since, pan.openSince ?? since, until ?? since) }
        return since
    }

    // MARK: shots and scrap

    /// Shots that were made until `time`, none of them before `since`. Returns the items that they made; nil where that
    /// is not known.
    mutating func shots(_ count: Int64, since: Instant, at time: Instant, _ slots: inout SlotTable) -> Int64? {
        shotsKnown = time
        guard let mould = current else { return nil }
        slots.spread(from: since, to: time) { $0.massCovered += $1 }
        guard count > 0 else { return 0 }
        let mass = count * mould.shot
        let polymer = mould.polymer.index
        let (input, product) = (weighs(.input), weighs(.product))
        _ = slots.change(at: time) {
            $0.massByShots += mass
            if !input { $0.massIn[polymer] += mass }
            if !product { $0.massProduct[polymer] += mass }
        }
        return count * mould.items
    }

    /// The device that counted bad items was exchanged.
    mutating func exchangedScrap() { scrapMeter.exchanged() }

    /// A cumulative count of bad items.
    mutating func scrap(_ raw: Int64, at time: Instant, _ slots: inout SlotTable) {
        countsScrap = true
        guard let step = scrapMeter.observe(raw, at: time), step.advance > 0 else { return }
        spoil(step.advance, at: time, &slots)
    }

    /// A person says that what came out last is no good. Where a board counts scrap, the same button raised its count.
    mutating func reject(at time: Instant, _ slots: inout SlotTable) {
        guard !countsScrap, rule.countsShots else { return }
        spoil(current?.items ?? 1, at: time, &slots)
    }

    /// Items turn out to be bad: they are taken from where they were counted as good, the newest first.
    private mutating func spoil(_ count: Int64, at time: Instant, _ slots: inout SlotTable) {
        let perItem = current.map { $0.shot / $0.items } ?? 0
        let polymer = polymer
        let (product, scrap) = (weighs(.product), weighs(.scrap))
        var left = count
        var start = time.floor(to: Slot.length)
        while left > 0, start > time - Self.memory - Slot.length {
            let good = slots.slot(startingAt: start)
            let here = min(left, good.items)
            if here > 0 {
                left -= here
                let mass = here * perItem
                _ = slots.change(at: start) {
                    $0.items -= here
                    $0.scrap += here
                    if !product { $0.massProduct[polymer] -= min(mass, $0.massProduct[polymer]) }
                    if !scrap { $0.massScrap[polymer] += mass }
                    if product, !scrap { $0.massByScale += mass }
                }
            }
            start = start - Slot.length
        }
        guard left > 0 else { return }
        let mass = left * perItem
        _ = slots.change(at: time) {
            $0.scrap += left
            if !scrap { $0.massScrap[polymer] += mass }
            if product, !scrap { $0.massByScale += mass }
        }
    }

    // MARK: scales

    /// A scale shows milligrams at rest; nil where it shows none, or is away.
    mutating func weigh(_ weight: Int64?, _ role: MassRole, at time: Instant, _ slots: inout SlotTable) {
        guard let index = rule.weighed.firstIndex(of: role) else { return }
        if let change = pans[index].show(weight, at: time) { book(change, role, &slots) }
        guard weight != nil else { return weighedUntil[index] = nil }
        guard let until = weighedUntil[index] else { return weighedUntil[index] = time }
        guard time - until >= Self.piece else { return }
        slots.spread(from: until, to: time) { $0.massCovered += $1 }
        weighedUntil[index] = time
    }

    /// Whether a scale is at rest.
    mutating func rest(_ isAtRest: Bool, _ role: MassRole, at time: Instant, _ slots: inout SlotTable) {
        guard let index = rule.weighed.firstIndex(of: role) else { return }
        if let change = pans[index].rest(isAtRest, at: time) { book(change, role, &slots) }
    }

    /// Whether a scale shows net weight.
    mutating func net(_ isNet: Bool, _ role: MassRole, at time: Instant, _ slots: inout SlotTable) {
        guard let index = rule.weighed.firstIndex(of: role) else { return }
        if let change = pans[index].net(isNet, at: time) { book(change, role, &slots) }
    }

    /// From here on nothing is known of any scale until it speaks again.
    mutating func blind() {
        for index in weighedUntil.indices { weighedUntil[index] = nil }
    }

    /// Books what was shown for long enough by `time`.
    mutating func advance(to time: Instant, _ slots: inout SlotTable) {
        for (index, role) in rule.weighed.enumerated() {
            if let change = pans[index].settle(at: time) { book(change, role, &slots) }
        }
    }

    private func book(_ change: Pan.Change, _ role: MassRole, _ slots: inout SlotTable) {
        let mass = role == .input ? -change.by : change.by
        guard mass > 0 else { return }
        let polymer = polymer
        // The account that is held against the shots: what came out, or where nobody weighs that, what went in.
        let isEvidence = weighs(.product) ? role != .input : role == .input
        _ = slots.change(at: change.at) {
            switch role {
            case .input: $0.massIn[polymer] += mass
            case .product: $0.massProduct[polymer] += mass
            case .scrap: $0.massScrap[polymer] += mass
            }
            if isEvidence { $0.massByScale += mass }
        }
    }
}

extension SlotTable {
    /// Cuts a stretch at slots and calls `body` with the milliseconds in each.
    mutating func spread(from: Instant, to: Instant, _ body: (inout Slot, Int64) -> Void) {
        // Nothing before the oldest slot can be booked; no use in walking there through a gap of years.
        var start = max(from, to - Slot.length * Int64(Self.capacity))
        while start < to {
            let end = min(to, start.floor(to: Slot.length) + Slot.length)
            let length = (end - start).milliseconds
            _ = change(at: start) { body(&$0, length) }
            start = end
        }
    }
}
