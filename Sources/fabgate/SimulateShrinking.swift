import Simulation

extension SimulationPlan {
    /// The command that plays it.
    package var command: String {
        var words = hours % 24 == 0 ? "fabgate simulate --days \(hours / 24)" : "fabgate simulate --hours \(hours)"
        words += " --seed \(seed)"
        if let machines { words += " --machines \(machines)" }
        if !faults.isEmpty { words += " --faults \(SimulatedFault.text(faults))" }
        return words
    }

    /// One of many runs: with this seed, and with about a third of the faults; one run in eight has all of them.
    package func part(_ seed: UInt64) -> SimulationPlan {
        var random = SeededRandom(seed &* 977)
        var part = self
        part.seed = seed
        let all = faults.isEmpty ? Set(SimulatedFault.allCases) : faults
        let hasAll = Int.random(in: 0..<8, using: &random) == 0
        part.faults = []
        for fault in SimulatedFault.allCases where all.contains(fault) {
            if Int.random(in: 0..<3, using: &random) == 0 || hasAll { part.faults.insert(fault) }
        }
        return part
    }
}

/// Makes a plan that goes wrong smaller, as long as it still does: fewer faults, then fewer machines, then fewer hours.
package struct PlanShrinking: Sendable {
    /// The smallest that is known to go wrong.
    package private(set) var plan: SimulationPlan
    private var candidates: [SimulationPlan] = []
    private var stage = Stage.length
    private var runsLeft = 60

    private enum Stage: Int { case length, faults, machines, hours, done }

    /// It goes wrong first on this day, from 1.
    package init(_ plan: SimulationPlan, day: Int) {
        self.plan = plan
        var short = plan
        // What went wrong on a day is often seen by its end, and by the end of the next.
        short.hours = min(plan.hours, day * 24)
        candidates = [short]
        short.hours = min(plan.hours, day * 24 + 24)
        candidates.append(short)
        candidates.removeAll { $0.hours >= plan.hours }
    }

    /// What to try now; nil where nothing smaller is left.
    package var next: SimulationPlan? {
        mutating get {
            guard runsLeft > 0 else { return nil }
            while candidates.isEmpty {
                guard let later = Stage(rawValue: stage.rawValue + 1), later != .done else { return nil }
                stage = later
                fill()
            }
            return candidates[0]
        }
    }

    package mutating func tried(isWrong: Bool) {
        runsLeft -= 1
        guard !candidates.isEmpty else { return }
        let candidate = candidates.removeFirst()
        guard isWrong else { return }
        plan = candidate
        candidates = []
        if stage != .length { fill() }
    }

    private mutating func fill() {
        switch stage {
        case .length, .done: break
        case .faults:
            candidates = SimulatedFault.allCases.filter(plan.faults.contains).map { fault in
                var fewer = plan
                fewer.faults.remove(fault)
                return fewer
            }
        case .machines:
            guard let machines = plan.machines else { return }
            candidates = [1, machines / 2, machines - 1].filter { $0 >= 1 && $0 < machines }.map { count in
                var fewer = plan
                fewer.machines = count
                return fewer
            }
        case .hours:
            candidates = [plan.hours / 2, plan.hours * 3 / 4, plan.hours - 1].filter { $0 >= 1 && $0 < plan.hours }.map
            {
                var shorter = plan
                shorter.hours = $0
                return shorter
            }
        }
    }
}
