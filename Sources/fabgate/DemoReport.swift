import CityLink
import Model
import Simulation

/// What the city holds beside what the lab really did.
struct DemoReport {
    /// How many whole hours were received.
    let windows: Int
    let lines: [String]
    /// Of each machine and hour, for who reads the report by a program.
    let rows: [JSON]

    /// The whole hours that were received.
    let hours: [DemoHour]

    init(_ body: [UInt8], truth lab: Truth, from began: Instant) {
        let items = JSON(body)?["items"]?.items ?? JSON(body)?["rollups"]?.items ?? JSON(body)?.items ?? []
        var lines: [String] = []
        var rows: [JSON] = []
        var held = (energy: 0.0, busy: 0.0)
        var true_ = (energy: 0.0, busy: 0.0)
        var material = DemoMaterial()
        var hours: [DemoHour] = []
        for item in items {
            let rollup = item["rollup"] ?? item
            guard let start = rollup["start"]?.text.flatMap({ Instant($0) }),
                let end = rollup["end"]?.text.flatMap({ Instant($0) })
            else { continue }
            let energy = rollup["totals"]?["energy_wh"]?.number
            let revision = rollup["revision"]?.integer ?? 0
            lines.append("received   \(start) revision \(revision)  \(energy.map { Self.rounded($0) } ?? "unknown") Wh")
            // The hour in which the lab began is not the whole truth.
            guard start >= began else { continue }
            let machines = rollup["machines"]?.items ?? []
            hours.append(DemoHour(start: start, end: end, machines: machines))
            for machine in machines {
                guard let id = machine["id"]?.text else { continue }
                let truth = lab.stateMilliseconds(id, from: start, to: end)
                let trueEnergy = lab.energyMilliwattHours(id, from: start, to: end) / 1000
                let states = machine["states_s"]
                let energy = machine["energy_wh"]?.number
                held.energy += energy ?? 0
                true_.energy += trueEnergy
                held.busy += Self.busy { states?[$0.rawValue]?.number ?? 0 }
                true_.busy += Self.busy { Double(truth[$0] ?? 0) / 1000 }
                let made = lab.material(id, from: start, to: end)
                material.add(machine, made)
                let trueStates = MachineState.allCases.map {
                    JSON.Member($0.rawValue, .number(Double(truth[$0] ?? 0) / 1000))
                }
                let trueJobs = JobOutcome.allCases.map {
                    JSON.Member($0.rawValue, .integer(lab.jobs(id, from: start, to: end)[$0] ?? 0))
                }
                let use: [JSON.Member] = [
                    .init("machine", .string(id)), .init("start", .string(start.description)),
                    .init("end", .string(end.description)), .init("energy_wh", .optional(energy)),
                    .init("true_energy_wh", .number(trueEnergy)), .init("states_s", states ?? .null),
                    .init("true_states_s", .object(trueStates)), .init("jobs", machine["jobs"] ?? .null),
                    .init("true_jobs", .object(trueJobs)), .init("shots", machine["shots"] ?? .null),
                    .init("true_shots", .integer(lab.shots(id, from: start, to: end))),
                ]
                rows.append(.object(use + DemoMaterial.members(machine, made)))
            }
        }
        windows = items.count
        if !hours.isEmpty {
            lines.append("over \(hours.count) whole hours:")
            lines.append(Self.comparison("energy", held.energy, true_.energy, "Wh"))
            lines.append(Self.comparison("busy time", held.busy / 3600, true_.busy / 3600, "h"))
            lines += material.comparisons.map { Self.comparison($0.name, $0.held, $0.made, $0.unit, "made") }
        }
        if items.isEmpty { lines.append("the city received no rollup") }
        self.lines = lines
        self.hours = hours
        self.rows = rows
    }

    static func busy(_ seconds: (MachineState) -> Double) -> Double {
        [MachineState.preparing, .running, .paused, .blocked].reduce(0) { $0 + seconds($1) }
    }

    private static func comparison(
        _ name: String, _ held: Double, _ truth: Double, _ unit: String, _ did: String = "used"
    ) -> String {
        let unit = unit.isEmpty ? "" : " \(unit)"
        let difference = truth == 0 ? "" : " (\(rounded((held - truth) / truth * 100)) %)"
        return "  \(name): the city holds \(rounded(held))\(unit), the lab \(did) \(rounded(truth))\(unit)\(difference)"
    }

    static func rounded(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
}

/// Items and grams over some hours, as the city holds them and as they were.
private struct DemoMaterial {
    private var held: [String: Double] = [:]
    private var made: [String: Double] = [:]
    private static let kinds = ["in", "product", "scrap"]

    /// One hour of a machine.
    mutating func add(_ machine: JSON, _ truth: TrueMaterial) {
        for (name, value) in [("items", truth.items), ("scrap", truth.scrapItems)] {
            guard let count = machine[name]?.number else { continue }
            held[name, default: 0] += count
            made[name, default: 0] += Double(value)
        }
        for (kind, masses) in zip(Self.kinds, [truth.input, truth.product, truth.scrap]) {
            for polymer in Polymer.allCases {
                let name = "\(kind) \(polymer.rawValue)"
                if let grams = machine["mass_\(kind)_g"]?[polymer.rawValue]?.number { held[name, default: 0] += grams }
                if let mass = masses[polymer] { made[name, default: 0] += Double(mass) / 1000 }
            }
        }
    }

    /// Of what there was any, or should have been.
    var comparisons: [(name: String, held: Double, made: Double, unit: String)] {
        var all = [("items", "good items", ""), ("scrap", "bad items", "")]
        for kind in Self.kinds {
            for polymer in Polymer.allCases {
                all.append(("\(kind) \(polymer.rawValue)", "\(kind), \(polymer.rawValue)", "g"))
            }
        }
        return all.compactMap { key, name, unit in
            guard held[key] != nil || made[key] != nil else { return nil }
            return (name, held[key] ?? 0, made[key] ?? 0, unit)
        }
    }

    /// What the city holds of a machine's hour, and what was made.
    static func members(_ machine: JSON, _ truth: TrueMaterial) -> [JSON.Member] {
        var members: [JSON.Member] = [
            .init("items", machine["items"] ?? .null), .init("true_items", .integer(truth.items)),
            .init("scrap", machine["scrap"] ?? .null), .init("true_scrap", .integer(truth.scrapItems)),
        ]
        for (kind, masses) in zip(kinds, [truth.input, truth.product, truth.scrap]) {
            let made = Polymer.allCases.compactMap { polymer in
                masses[polymer].map { JSON.Member(polymer.rawValue, .number(Double($0) / 1000)) }
            }
            members.append(.init("mass_\(kind)_g", machine["mass_\(kind)_g"] ?? .null))
            members.append(.init("true_mass_\(kind)_g", .object(made)))
        }
        return members
    }
}
