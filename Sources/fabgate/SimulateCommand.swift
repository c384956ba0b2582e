import Model
import Ports
import Simulation

/// `fabgate simulate`: days of a lab in seconds, with faults, held against what the lab really did.
enum SimulateCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "simulate",
            text: "the whole gateway under a virtual clock, from a simulated lab to a collector and back\n\n"
                + SimulationAudit.tolerances,
            options: [
                .init("days", "N", "so many days (default: 1)"),
                .init("seed", "K", "another lab and other mishaps, the same each time (default: 1)"),
                .init("machines", "N", "a maker space of so many (default: the four of the demonstration)"),
                .init(
                    "faults", "LIST",
                    "all, or any of \(SimulatedFault.text(Set(SimulatedFault.allCases))) (default: none)"),
                .init("hours", "N", "so many hours instead of whole days"),
                .init("seeds", "N", "so many seeds from K on, each with some of the faults; says the first that fails"),
            ], example: "fabgate simulate --days 7 --seed 3 --machines 30 --faults drop,dup,kill,city"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let days = try arguments.integer("days", in: 1...390) ?? 1
        let seed = UInt64(try arguments.integer("seed", in: 0...Int.max) ?? 1)
        let faults: Set<SimulatedFault>
        switch SimulatedFault.list(arguments["faults"] ?? "") {
        case .success(let list): faults = list
        case .failure(let problem): throw ToolFailure(.usage, problem.description)
        }
        let hours = try arguments.integer("hours", in: 1...390 * 24) ?? days * 24
        let machines = try arguments.integer("machines", in: 1...MakerSpace.most)
        let plan = SimulationPlan(hours: hours, seed: seed, faults: faults, machines: machines)
        if let count = try arguments.integer("seeds", in: 1...1_000_000) { return try many(plan, count) }
        let audit = try play(plan)
        report(audit, plan)
        guard !audit.violations.isEmpty else { return .done }
        Console.print("the shortest that shows one of these: \(try shortest(plan, audit).command)")
        return .no
    }

    private static func play(_ plan: SimulationPlan) throws -> SimulationAudit {
        var world = try SimulatedWorld(plan, book: MemoryRollupBook(), sha256: Digest.sha256)
        try world.run()
        return world.audit
    }

    /// The smallest plan that still goes wrong.
    private static func shortest(_ plan: SimulationPlan, _ audit: SimulationAudit) throws -> SimulationPlan {
        var shrinking = PlanShrinking(plan, day: audit.violations.map(\.day).min() ?? 1)
        while let smaller = shrinking.next { shrinking.tried(isWrong: try !play(smaller).violations.isEmpty) }
        return shrinking.plan
    }

    /// Seed after seed, each with its own choice among the faults; stops at the first that goes wrong.
    private static func many(_ plan: SimulationPlan, _ count: Int) throws -> ExitStatus {
        for seed in plan.seed..<plan.seed + UInt64(count) {
            let part = plan.part(seed)
            let audit = try play(part)
            guard audit.violations.isEmpty else {
                Console.print("\(part.command):")
                for violation in audit.violations.prefix(20) { Console.print(violation.text) }
                Console.print("the shortest that shows one of these: \(try shortest(part, audit).command)")
                return .no
            }
        }
        Console.complain("\(count) seeds from \(plan.seed) on, 0 violations")
        return .done
    }

    // MARK: words

    /// Items and grams of the presses: what the city holds, and what was made.
    static func materialLines(_ rows: [SimulationRow]) -> [String] {
        var lines: [String] = []
        func add(_ name: String, _ held: String, _ made: String, _ unit: String) {
            let head = name + String(repeating: " ", count: max(1, 28 - name.utf8.count))
            lines.append("\(head)\(held) held, \(made) made\(unit)")
        }
        for row in rows {
            guard let material = row.material else { continue }
            let (held, made) = (material.held, material.made)
            add("\(row.machine) good items", "\(held.items)", "\(made.items)", "")
            add("\(row.machine) bad items", "\(held.scrapItems)", "\(made.scrapItems)", "")
            for kind in MaterialSums.Kind.allCases {
                for polymer in Polymer.allCases {
                    let mass = MaterialSums.Mass(kind: kind, polymer: polymer)
                    guard held.masses[mass] != nil || made.masses[mass] != nil else { continue }
                    let grams = [held.masses[mass] ?? 0, made.masses[mass] ?? 0].map { "\(Double($0) / 1000)" }
                    add("\(row.machine) \(kind.rawValue) \(polymer.rawValue)", grams[0], grams[1], " g")
                }
            }
        }
        return lines
    }

    private static func report(_ audit: SimulationAudit, _ plan: SimulationPlan) {
        func padded(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.utf8.count)) + text
        }
        func line(_ cells: [String]) -> String {
            let first = cells[0] + String(repeating: " ", count: max(0, 14 - cells[0].utf8.count))
            return first + cells.dropFirst().map { padded($0, 12) }.joined()
        }
        Console.print(
            line([
                "machine", "Wh held", "Wh true", "busy s held", "busy s true", "jobs held", "jobs true", "missing",
                "doubled",
            ]))
        for row in audit.rows {
            let jobs = row.jobsHeld.map { ["\($0)", "\(row.jobsTrue)"] } ?? ["-", "-"]
            Console.print(
                line(
                    [
                        row.machine, "\(Int64(row.energyHeld / 1000))", "\(Int64(row.energyTrue / 1000))",
                        "\(row.busyHeld / 1000)", "\(row.busyTrue / 1000)",
                    ] + jobs + ["\(row.windowsMissing)", "\(row.windowsDoubled)"]))
        }
        for line in materialLines(audit.rows) { Console.print(line) }
        for violation in audit.violations.prefix(20) { Console.print("day \(violation.day): \(violation.text)") }
        let more = audit.violations.count - 20
        if more > 0 { Console.print("and \(more) more") }
        Console.complain(
            "seed \(plan.seed): \(audit.mishaps) mishaps, \(audit.revisions) windows revised, "
                + "\(audit.violations.count) violations")
    }
}
