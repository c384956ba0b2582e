package import Model

/// Fifteen minutes of one machine, aligned to UTC: the atom of aggregation. Whole numbers that add up exactly, so that
/// an hour, a day and a recomputed day are the same sums.
package struct Slot: Hashable, Sendable {
    /// The length of every slot. Every civil offset is a multiple of it, so that slots tile civil hours and days.
    package static let length = Duration.minutes(15)

    /// What is known, as it is stored: see SlotFields.swift for what stands where. In one piece, so that a slot is copied
    /// and added without looking at what each number means, and nothing has to be counted. Read by a span where it is read
    /// in a loop: an index that is not known beforehand makes a copy of all each time.
    var numbers = InlineArray<56, Int64>(repeating: 0)

    package init() {
        numbers[Self.leastPowerField] = Self.none
        numbers[Self.mostPowerField] = Self.none
    }

    /// Milliseconds in each state, in the order of `MachineState.allCases`. What is missing to the slot's length is
    /// unknown.
    package var stateMilliseconds: [Int64] {
        get {
            let numbers = numbers.span
            return Self.stateFields.map { numbers[$0] }
        }
        set { for (field, number) in zip(Self.stateFields, newValue) { numbers[field] = number } }
    }
    /// In the order of `JobOutcome.allCases`.
    package var jobs: [Int64] {
        get {
            let numbers = numbers.span
            return Self.jobFields.map { numbers[$0] }
        }
        set { for (field, number) in zip(Self.jobFields, newValue) { numbers[field] = number } }
    }
    /// mWh, and the part of it drawn in state idle.
    package var energy: Int64 {
        get { numbers[15] }
        set { numbers[15] = newValue }
    }
    package var idleEnergy: Int64 {
        get { numbers[16] }
        set { numbers[16] = newValue }
    }
    /// Milliseconds for which the energy is known.
    package var energyCovered: Int64 {
        get { numbers[17] }
        set { numbers[17] = newValue }
    }
    /// How often a counter was corrected.
    package var corrections: Int64 {
        get { numbers[18] }
        set { numbers[18] = newValue }
    }
    package var shots: Int64 {
        get { numbers[19] }
        set { numbers[19] = newValue }
    }
    package var items: Int64 {
        get { numbers[20] }
        set { numbers[20] = newValue }
    }
    /// Micrometres.
    package var filament: Int64 {
        get { numbers[21] }
        set { numbers[21] = newValue }
    }
    /// Samples that came too late for their own slot.
    package var late: Int64 {
        get { numbers[22] }
        set { numbers[22] = newValue }
    }
    /// How often a fault began, and how often a use: preparing, running, paused or blocked after anything else.
    package var faults: Int64 {
        get { numbers[23] }
        set { numbers[23] = newValue }
    }
    package var runs: Int64 {
        get { numbers[24] }
        set { numbers[24] = newValue }
    }
    /// Milliseconds of the idle time for which the machine was switched off; 0 where nothing tells.
    package var off: Int64 {
        get { numbers[25] }
        set { numbers[25] = newValue }
    }
    /// Items that were no good; `items` are the good ones.
    package var scrap: Int64 {
        get { numbers[26] }
        set { numbers[26] = newValue }
    }
    /// Milliseconds for which the mass is known.
    package var massCovered: Int64 {
        get { numbers[27] }
        set { numbers[27] = newValue }
    }
    /// Two accounts of what left the machine, product and scrap together, in milligrams: shots times what the mould
    /// holds, and what was weighed. They are compared over a window.
    package var massByShots: Int64 {
        get { numbers[28] }
        set { numbers[28] = newValue }
    }
    package var massByScale: Int64 {
        get { numbers[29] }
        set { numbers[29] = newValue }
    }
    /// The least and the most power that was read, in mW; nil where none was.
    package var leastPower: Int64? {
        get { numbers[30] == Self.none ? nil : numbers[30] }
        set { numbers[30] = newValue ?? Self.none }
    }
    package var mostPower: Int64? {
        get { numbers[31] == Self.none ? nil : numbers[31] }
        set { numbers[31] = newValue ?? Self.none }
    }
    /// Milligrams by polymer, in the order of `Polymer.allCases`: what went in, what came out good, what was scrap.
    package var massIn: [Int64] {
        get { masses(0) }
        set { setMasses(0, newValue) }
    }
    package var massProduct: [Int64] {
        get { masses(1) }
        set { setMasses(1, newValue) }
    }
    package var massScrap: [Int64] {
        get { masses(2) }
        set { setMasses(2, newValue) }
    }

    private func masses(_ kind: Int) -> [Int64] {
        let numbers = numbers.span
        return Polymer.allCases.indices.map { numbers[Self.massField($0, kind)] }
    }

    private mutating func setMasses(_ kind: Int, _ masses: [Int64]) {
        for (polymer, mass) in masses.enumerated() { numbers[Self.massField(polymer, kind)] = mass }
    }

    package static func += (a: inout Slot, b: Slot) {
        let (least, ownLeast) = (b.numbers[leastPowerField], a.numbers[leastPowerField])
        let most = max(b.numbers[mostPowerField], a.numbers[mostPowerField])
        let other = b.numbers.span
        var own = a.numbers.mutableSpan
        for field in 0..<leastPowerField { own[field] += other[field] }
        for field in mostPowerField + 1..<own.count { own[field] += other[field] }
        if least != none { own[leastPowerField] = ownLeast == none ? least : min(ownLeast, least) }
        // `none` is the least of all numbers.
        own[mostPowerField] = most
    }

    package static func == (a: Slot, b: Slot) -> Bool {
        let (own, other) = (a.numbers.span, b.numbers.span)
        for field in own.indices where own[field] != other[field] { return false }
        return true
    }

    package func hash(into hasher: inout Hasher) {
        let numbers = numbers.span
        for field in numbers.indices { hasher.combine(numbers[field]) }
    }

    package subscript(state: MachineState) -> Int64 {
        get { numbers[1 + state.index] }
        set { numbers[1 + state.index] = newValue }
    }

    package subscript(outcome: JobOutcome) -> Int64 {
        get { numbers[10 + outcome.index] }
        set { numbers[10 + outcome.index] = newValue }
    }

    /// Micrometres; nil for a printer that ran and told of none: it does not tell.
    package var knownFilament: Int64? { filament > 0 || self[.running] == 0 ? filament : nil }

    /// The sum of all state times.
    package var observed: Int64 {
        let numbers = numbers.span
        var sum: Int64 = 0
        for field in Self.stateFields { sum += numbers[field] }
        return sum
    }

    /// Whether less of its time, or of its energy, is known than in another account of the same slot: of the samples that
    /// the other was made of, some are not there.
    package func knowsLess(than other: Slot) -> Bool {
        func known(_ slot: Slot) -> Int64 { slot.observed - slot[MachineState.unknown] - slot[MachineState.offline] }
        return known(self) < known(other) || energyCovered < other.energyCovered
    }
}

extension MachineState {
    /// The place in `allCases`.
    package var index: Int {
        switch self {
        case .unknown: 0
        case .offline: 1
        case .idle: 2
        case .preparing: 3
        case .running: 4
        case .paused: 5
        case .blocked: 6
        case .fault: 7
        case .maintenance: 8
        }
    }
}

extension MachineState {
    /// Somebody uses the machine, whether or not it works just now.
    package var isBusy: Bool {
        switch self {
        case .preparing, .running, .paused, .blocked: true
        case .unknown, .offline, .idle, .fault, .maintenance: false
        }
    }
}

extension JobOutcome {
    /// The place in `allCases`.
    package var index: Int {
        switch self {
        case .completed: 0
        case .cancelled: 1
        case .failed: 2
        case .interrupted: 3
        case .unknown: 4
        }
    }
}
