// The content of a rollup: everything that one window of one lab tells the city, in whole numbers that add up.

package import Model

/// SHA-256 of some bytes: 32 bytes. Handed in, because this module has no library underneath.
package typealias SHA256 = @Sendable ([UInt8]) -> [UInt8]

/// How long the windows are that a lab reports.
package enum RollupGrain: String, CaseIterable, Sendable {
    case hour = "PT1H"
    case day = "P1D"
}

/// What a window is known by, for ever: its lab, its grain and the instant at which it starts. Never a local label,
/// because 02:00 occurs twice on some days.
package struct RollupKey: Hashable, Sendable, CustomStringConvertible {
    package let lab: String
    package let grain: RollupGrain
    package let start: Instant

    package init(lab: String, grain: RollupGrain, start: Instant) {
        self.lab = lab
        self.grain = grain
        self.start = start
    }

    /// `urn:…/P1D/2026-11-22T15:00:00.000Z`
    package var description: String { "\(lab)/\(grain.rawValue)/\(start)" }

    /// Reads `description` back; nil where the text is anything else.
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count >= 3, let grain = RollupGrain(rawValue: String(parts[parts.count - 2])),
            let start = Instant(parts[parts.count - 1])
        else { return nil }
        self.init(lab: parts.dropLast(2).joined(separator: "/"), grain: grain, start: start)
    }
}

/// Which of two contents of a window is newer. The city issues the epoch when it enrols a gateway, so that a gateway
/// that came back from an old backup does not collide with its former self; revisions count up within an epoch.
package struct RollupVersion: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let epoch: Int64
    package let revision: Int64

    package init(epoch: Int64, revision: Int64) {
        self.epoch = epoch
        self.revision = revision
    }

    package static func < (a: RollupVersion, b: RollupVersion) -> Bool {
        (a.epoch, a.revision) < (b.epoch, b.revision)
    }
    package var description: String { "\(epoch).\(revision)" }
}

/// What machines did in a window. Only parts that can be added; nil is unknown or suppressed, 0 is measured zero.
package struct UsageTotals: Hashable, Sendable {
    /// Milliseconds in each state, in the order of `MachineState.allCases`.
    package var states: [Int64]
    /// Jobs that ended, in the order of `JobOutcome.allCases`; nil where nothing tells about jobs.
    package var jobs: [Int64]?
    package var energyMilliwattHours: Int64?
    /// The part drawn in state idle.
    package var idleEnergyMilliwattHours: Int64?
    /// `register`, `integrated` or `mixed`.
    package var energyMethod: String?
    /// How often a counter was corrected.
    package var energyCorrections: Int64
    /// Milligrams by material.
    package var massIn: [String: Int64]
    package var massProduct: [String: Int64]
    package var massScrap: [String: Int64]
    /// Good items, and beside them those that were no good.
    package var items: Int64?
    package var scrap: Int64?
    package var shots: Int64?
    package var filamentMicrometres: Int64?

    package init(
        states: [Int64] = [Int64](repeating: 0, count: MachineState.allCases.count), jobs: [Int64]? = nil,
        energyMilliwattHours: Int64? = nil, idleEnergyMilliwattHours: Int64? = nil, energyMethod: String? = nil,
        energyCorrections: Int64 = 0, massIn: [String: Int64] = [:], massProduct: [String: Int64] = [:],
        massScrap: [String: Int64] = [:], items: Int64? = nil, scrap: Int64? = nil, shots: Int64? = nil,
        filamentMicrometres: Int64? = nil
    ) {
        self.states = states
        self.jobs = jobs
        self.energyMilliwattHours = energyMilliwattHours
        self.idleEnergyMilliwattHours = idleEnergyMilliwattHours
        self.energyMethod = energyMethod
        self.energyCorrections = energyCorrections
        self.massIn = massIn
        self.massProduct = massProduct
        self.massScrap = massScrap
        self.items = items
        self.scrap = scrap
        self.shots = shots
        self.filamentMicrometres = filamentMicrometres
    }

    /// Milliseconds in one state.
    package subscript(state: MachineState) -> Int64 {
        get {
            guard let index = MachineState.allCases.firstIndex(of: state), index < states.count else { return 0 }
            return states[index]
        }
        set {
            guard let index = MachineState.allCases.firstIndex(of: state), index < states.count else { return }
            states[index] = newValue
        }
    }

    /// Jobs that ended one way; nil where nothing tells about jobs.
    package subscript(outcome: JobOutcome) -> Int64? {
        guard let jobs, let index = JobOutcome.allCases.firstIndex(of: outcome), index < jobs.count else { return nil }
        return jobs[index]
    }

    /// Both together. What neither knows stays unknown; what one knows is kept, and coverage tells that it is partial.
    package static func + (a: UsageTotals, b: UsageTotals) -> UsageTotals {
        func lists(_ a: [Int64], _ b: [Int64]) -> [Int64] {
            (0..<max(a.count, b.count)).map { sum($0 < a.count ? a[$0] : 0, $0 < b.count ? b[$0] : 0) }
        }
        func known(_ a: Int64?, _ b: Int64?) -> Int64? {
            guard let a else { return b }
            return b.map { sum(a, $0) } ?? a
        }
        var total = UsageTotals(states: lists(a.states, b.states))
        total.jobs = a.jobs.map { jobs in b.jobs.map { lists(jobs, $0) } ?? jobs } ?? b.jobs
        total.energyMilliwattHours = known(a.energyMilliwattHours, b.energyMilliwattHours)
        total.idleEnergyMilliwattHours = known(a.idleEnergyMilliwattHours, b.idleEnergyMilliwattHours)
        if let first = a.energyMethod, let second = b.energyMethod {
            total.energyMethod = first == second ? first : "mixed"
        } else {
            total.energyMethod = a.energyMethod ?? b.energyMethod
        }
        total.energyCorrections = sum(a.energyCorrections, b.energyCorrections)
        total.massIn = a.massIn.merging(b.massIn, uniquingKeysWith: sum)
        total.massProduct = a.massProduct.merging(b.massProduct, uniquingKeysWith: sum)
        total.massScrap = a.massScrap.merging(b.massScrap, uniquingKeysWith: sum)
        total.items = known(a.items, b.items)
        total.scrap = known(a.scrap, b.scrap)
        total.shots = known(a.shots, b.shots)
        total.filamentMicrometres = known(a.filamentMicrometres, b.filamentMicrometres)
        return total
    }

    // A peer's numbers may be absurd; a sum that stays at the end of the range is better than a trap.
    private static func sum(_ a: Int64, _ b: Int64) -> Int64 {
        let (result, overflow) = a.addingReportingOverflow(b)
        return overflow ? (a > 0 ? .max : .min) : result
    }
}

/// What the machines of one class did.
package struct ClassUsage: Hashable, Sendable {
    /// `laser`, `three_d_printing`, `sheet_press`, …
    package var name: String
    package var machines: Int
    package var totals: UsageTotals

    package init(name: String, machines: Int, totals: UsageTotals) {
        self.name = name
        self.machines = machines
        self.totals = totals
    }
}

/// What one machine did; only where the lab shares that much.
package struct MachineUsage: Hashable, Sendable {
    package var id: String
    package var className: String
    package var totals: UsageTotals

    package init(id: String, className: String, totals: UsageTotals) {
        self.id = id
        self.className = className
        self.totals = totals
    }
}

/// The share of the window for which each family of numbers is known, 0…1; nil where it does not apply.
package struct RollupCoverage: Hashable, Sendable {
    package var usage: Double?
    package var energy: Double?
    package var mass: Double?

    package init(usage: Double? = nil, energy: Double? = nil, mass: Double? = nil) {
        self.usage = usage
        self.energy = energy
        self.mass = mass
    }
}

/// Who computed a rollup, and with which rules of civil time.
package struct RollupSource: Hashable, Sendable {
    package var gateway: String
    package var software: String
    package var tzdata: String

    package init(gateway: String, software: String, tzdata: String) {
        self.gateway = gateway
        self.software = software
        self.tzdata = tzdata
    }
}

/// One item of `fablab.rollup/1` without the words that only its sending adds: epoch, revision, emitted and digest.
package struct RollupContent: Hashable, Sendable {
    package var lab: String
    package var grain: RollupGrain
    package var start: Instant
    package var end: Instant
    /// The IANA name of the lab's zone.
    package var tz: String
    /// The date on the lab's clock when the window starts.
    package var localDate: CivilDate
    /// No later change is to be expected.
    package var isFinal: Bool
    package var coverage: RollupCoverage
    /// Readings that came too late for their own window.
    package var lateDropped: Int64
    /// Opening hours inside the window; nil where none are configured.
    package var openSeconds: Int64?
    package var totals: UsageTotals
    package var classes: [ClassUsage]
    /// nil where the lab does not share single machines.
    package var machines: [MachineUsage]?
    /// Names of members that are null because too few people stand behind them.
    package var suppressed: [String]
    package var source: RollupSource

    package init(
        lab: String, grain: RollupGrain, start: Instant, end: Instant, tz: String, localDate: CivilDate,
        isFinal: Bool = false, coverage: RollupCoverage = RollupCoverage(), lateDropped: Int64 = 0,
        openSeconds: Int64? = nil, totals: UsageTotals, classes: [ClassUsage] = [], machines: [MachineUsage]? = nil,
        suppressed: [String] = [], source: RollupSource
    ) {
        self.lab = lab
        self.grain = grain
        self.start = start
        self.end = end
        self.tz = tz
        self.localDate = localDate
        self.isFinal = isFinal
        self.coverage = coverage
        self.lateDropped = lateDropped
        self.openSeconds = openSeconds
        self.totals = totals
        self.classes = classes
        self.machines = machines
        self.suppressed = suppressed
        self.source = source
    }

    package var key: RollupKey { RollupKey(lab: lab, grain: grain, start: start) }
    package var duration: Duration { end - start }
}
