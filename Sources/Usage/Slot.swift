package import Model

/// Fifteen minutes of one machine, aligned to UTC: the atom of aggregation. Whole numbers that add up exactly, so that
/// an hour, a day and a recomputed day are the same sums.
package struct Slot: Hashable, Sendable {
    /// The length of every slot. Every civil offset is a multiple of it, so that slots tile civil hours and days.
    package static let length = Duration.minutes(15)

    /// Milliseconds in each state, in the order of `MachineState.allCases`. What is missing to the slot's length is
    /// unknown.
    package var stateMilliseconds = Self.noTime
    /// In the order of `JobOutcome.allCases`.
    package var jobs = Self.noJobs
    /// Milliseconds of the idle time for which the machine was switched off; 0 where nothing tells.
    package var off: Int64 = 0
    /// mWh, and the part of it drawn in state idle.
    package var energy: Int64 = 0
    package var idleEnergy: Int64 = 0
    /// Milliseconds for which the energy is known.
    package var energyCovered: Int64 = 0
    /// How often a counter was corrected.
    package var corrections: Int64 = 0
    package var shots: Int64 = 0
    package var items: Int64 = 0
    /// Micrometres.
    package var filament: Int64 = 0
    /// Samples that came too late for their own slot.
    package var late: Int64 = 0
    /// Milligrams by polymer, in the order of `Polymer.allCases`: what went in, what came out good, what was scrap.
    package var massIn = Self.noMass
    package var massProduct = Self.noMass
    package var massScrap = Self.noMass
    /// Items that were no good; `items` are the good ones.
    package var scrap: Int64 = 0
    /// Milliseconds for which the mass is known.
    package var massCovered: Int64 = 0
    /// Two accounts of what left the machine, product and scrap together, in milligrams: shots times what the mould
    /// holds, and what was weighed. They are compared over a window.
    package var massByShots: Int64 = 0
    package var massByScale: Int64 = 0
    /// How often a fault began, and how often a use: preparing, running, paused or blocked after anything else.
    package var faults: Int64 = 0
    package var runs: Int64 = 0
    /// The least and the most power that was read, in mW; nil where none was.
    package var leastPower: Int64?
    package var mostPower: Int64?

    // Hundreds of slots a machine are kept, and most machines have neither jobs nor mass: until there is something to
    // count, all slots share these.
    private static let noTime = [Int64](repeating: 0, count: MachineState.allCases.count)
    private static let noJobs = [Int64](repeating: 0, count: JobOutcome.allCases.count)
    private static let noMass = [Int64](repeating: 0, count: Polymer.allCases.count)

    package init() {}

    package static func += (a: inout Slot, b: Slot) {
        for i in a.stateMilliseconds.indices where b.stateMilliseconds[i] != 0 {
            a.stateMilliseconds[i] += b.stateMilliseconds[i]
        }
        for i in a.jobs.indices where b.jobs[i] != 0 { a.jobs[i] += b.jobs[i] }
        a.off += b.off
        a.energy += b.energy
        a.idleEnergy += b.idleEnergy
        a.energyCovered += b.energyCovered
        a.corrections += b.corrections
        a.shots += b.shots
        a.items += b.items
        a.filament += b.filament
        a.late += b.late
        for i in a.massIn.indices {
            if b.massIn[i] != 0 { a.massIn[i] += b.massIn[i] }
            if b.massProduct[i] != 0 { a.massProduct[i] += b.massProduct[i] }
            if b.massScrap[i] != 0 { a.massScrap[i] += b.massScrap[i] }
        }
        a.scrap += b.scrap
        a.massCovered += b.massCovered
        a.massByShots += b.massByShots
        a.massByScale += b.massByScale
        a.faults += b.faults
        a.runs += b.runs
        if let power = b.leastPower { a.leastPower = min(a.leastPower ?? power, power) }
        if let power = b.mostPower { a.mostPower = max(a.mostPower ?? power, power) }
    }

    package subscript(state: MachineState) -> Int64 {
        get { stateMilliseconds[state.index] }
        set { stateMilliseconds[state.index] = newValue }
    }

    package subscript(outcome: JobOutcome) -> Int64 {
        get { jobs[outcome.index] }
        set { jobs[outcome.index] = newValue }
    }

    /// Micrometres; nil for a printer that ran and told of none: it does not tell.
    package var knownFilament: Int64? { filament > 0 || self[.running] == 0 ? filament : nil }

    /// The sum of all state times.
    package var observed: Int64 { stateMilliseconds.reduce(0, +) }

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
