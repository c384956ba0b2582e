import CityLink
import Model
import Simulation

/// What the city holds beside what the lab really did.
struct DemoReport {
    /// How many whole hours were received.
    let windows: Int
    let lines: [String]
    let json: JSON

    init(_ body: [UInt8], lab: SimulatedLab, from began: Instant) {
        let items = JSON(body)?["items"]?.items ?? JSON(body)?["rollups"]?.items ?? JSON(body)?.items ?? []
        var lines: [String] = []
        var rows: [JSON] = []
        var held = (energy: 0.0, busy: 0.0)
        var true_ = (energy: 0.0, busy: 0.0)
        var whole = 0
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
            whole += 1
            for machine in rollup["machines"]?.items ?? [] {
                guard let id = machine["id"]?.text else { continue }
                let truth = lab.truth.stateMilliseconds(id, from: start, to: end)
                let trueEnergy = lab.truth.energyMilliwattHours(id, from: start, to: end) / 1000
                let states = machine["states_s"]
                let energy = machine["energy_wh"]?.number
                held.energy += energy ?? 0
                true_.energy += trueEnergy
                held.busy += Self.busy { states?[$0.rawValue]?.number ?? 0 }
                true_.busy += Self.busy { Double(truth[$0] ?? 0) / 1000 }
                rows.append(
                    .object([
                        "machine": .string(id), "start": .string(start.description), "end": .string(end.description),
                        "energy_wh": .optional(energy), "true_energy_wh": .number(trueEnergy),
                        "states_s": states ?? .null,
                        "true_states_s": .object(
                            MachineState.allCases.map {
                                JSON.Member($0.rawValue, .number(Double(truth[$0] ?? 0) / 1000))
                            }),
                        "jobs": machine["jobs"] ?? .null,
                        "true_jobs": .object(
                            JobOutcome.allCases.map {
                                JSON.Member($0.rawValue, .integer(lab.truth.jobs(id, from: start, to: end)[$0] ?? 0))
                            }),
                        "shots": machine["shots"] ?? .null,
                        "true_shots": .integer(lab.truth.shots(id, from: start, to: end)),
                    ]))
            }
        }
        windows = items.count
        if whole > 0 {
            lines.append("over \(whole) whole hours:")
            lines.append(Self.comparison("energy", held.energy, true_.energy, "Wh"))
            lines.append(Self.comparison("busy time", held.busy / 3600, true_.busy / 3600, "h"))
        }
        if items.isEmpty { lines.append("the city received no rollup") }
        self.lines = lines
        json = .object(["received": .integer(items.count), "whole": .integer(whole), "machines": .array(rows)])
    }

    private static func busy(_ seconds: (MachineState) -> Double) -> Double {
        [MachineState.preparing, .running, .paused, .blocked].reduce(0) { $0 + seconds($1) }
    }

    private static func comparison(_ name: String, _ held: Double, _ truth: Double, _ unit: String) -> String {
        let difference = truth == 0 ? "" : " (\(rounded((held - truth) / truth * 100)) %)"
        return "  \(name): the city holds \(rounded(held)) \(unit), the lab used \(rounded(truth)) \(unit)\(difference)"
    }

    private static func rounded(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
}
