package import Model
package import Simulation

/// The printers' prints as the city and the gateway hold them, beside those that there really were: how many ended which
/// way in each hour, and each one's end, length and energy.
package struct DemoPrints {
    /// For people, beginning with what the city holds.
    package private(set) var lines: [String] = []
    /// What is not as it was, in words.
    package private(set) var differences: [String] = []
    /// Each print, for who reads the report by a program.
    package private(set) var rows: [JSON] = []

    /// A word may come so much later: the lab's clock runs fast, this machine and its wires do not.
    private let slack: Duration
    private let truth: Truth
    /// The worst of all prints, s and Wh.
    private var worst = (length: 0.0, energy: 0.0)
    private var found = 0

    /// Wh: what a plug's count of whole watt-hours may hide, and heaters in the quarter of a second for which a word waits.
    private let energySlack: Double

    private struct Told {
        let start: Instant
        let end: Instant
        let outcome: String
        let energy: Double?

        init?(_ json: JSON) {
            guard let start = json["start"]?.text.flatMap({ Instant($0) }),
                let end = json["end"]?.text.flatMap({ Instant($0) })
            else { return nil }
            self.start = start
            self.end = end
            outcome = json["outcome"]?.text ?? "ended without a word"
            energy = json["energy_wh"]?.number
        }
    }

    /// `hours` are those that the city holds, `jobs` are the gateway's, or nil where it did not answer, `speed` is that of
    /// the lab's clock.
    package init(_ printers: [String], hours: [DemoHour], jobs: [JSON]?, truth: Truth, speed: Int) {
        self.truth = truth
        slack = .seconds(Int64(max(60, 2 * speed)))
        energySlack = 2 + Double(speed) / 60
        if !hours.isEmpty { lines.append("of the printers:") }
        for printer in printers where !hours.isEmpty { compare(printer, hours) }
        guard let jobs else {
            differences.append("the gateway did not tell its jobs")
            return
        }
        for printer in printers {
            compare(printer, jobs.filter { $0["machine"]?.text == printer }.compactMap { Told($0) })
        }
        lines.append(
            "  \(found) prints one by one: length off by at most \(DemoReport.rounded(worst.length)) s, "
                + "energy by at most \(DemoReport.rounded(worst.energy)) Wh")
    }

    // MARK: what the city holds

    private mutating func compare(_ printer: String, _ hours: [DemoHour]) {
        var held: [JobOutcome: Int] = [:]
        var real: [JobOutcome: Int] = [:]
        var busy = (held: 0.0, real: 0.0)
        var energy = (held: 0.0, real: 0.0)
        for hour in hours {
            let machine = hour.machine(printer)
            for (outcome, count) in truth.jobs(printer, from: hour.start, to: hour.end) {
                real[outcome, default: 0] += count
            }
            for outcome in JobOutcome.allCases {
                let count = machine?["jobs"]?[outcome.rawValue]?.integer.map { Int($0) }
                held[outcome, default: 0] += count ?? 0
                check(count, outcome, of: printer, hour)
            }
            busy.held += DemoReport.busy { machine?["states_s"]?[$0.rawValue]?.number ?? 0 }
            let states = truth.stateMilliseconds(printer, from: hour.start, to: hour.end)
            busy.real += DemoReport.busy { Double(states[$0] ?? 0) / 1000 }
            energy.held += machine?["energy_wh"]?.number ?? 0
            energy.real += truth.energyMilliwattHours(printer, from: hour.start, to: hour.end) / 1000
        }
        let used = "in use \(DemoReport.rounded(busy.held / 3600)) h of \(DemoReport.rounded(busy.real / 3600)) h"
        let drawn = "\(DemoReport.rounded(energy.held)) Wh of \(DemoReport.rounded(energy.real)) Wh"
        lines.append("  \(printer): \(Self.words(held)); there were \(Self.words(real)); \(used), \(drawn)")
        let seconds = Double(slack.milliseconds) / 1000 * Double(hours.count)
        if abs(busy.held - busy.real) > seconds { differences.append("\(printer): the city holds \(used)") }
        if abs(energy.held - energy.real) > energy.real * 0.02 + energySlack {
            differences.append("\(printer): the city holds \(drawn)")
        }
    }

    /// What ended just before an hour was over may be told in the next one.
    private mutating func check(_ held: Int?, _ outcome: JobOutcome, of printer: String, _ hour: DemoHour) {
        func count(from: Instant, to: Instant) -> Int { truth.jobs(printer, from: from, to: to)[outcome] ?? 0 }
        let least = count(from: hour.start, to: hour.end - slack)
        let most = count(from: hour.start - slack, to: hour.end)
        if let held, (least...max(least, most)).contains(held) { return }
        differences.append(
            "\(printer), the hour from \(hour.start): the city holds \(held.map { "\($0)" } ?? "no number of") "
                + "\(outcome.rawValue), there were \(count(from: hour.start, to: hour.end))")
    }

    /// `2 completed, 1 failed`
    private static func words(_ counts: [JobOutcome: Int]) -> String {
        let words = JobOutcome.allCases.compactMap { outcome in
            counts[outcome].flatMap { $0 > 0 ? "\($0) \(outcome.rawValue)" : nil }
        }
        return words.isEmpty ? "no print" : words.joined(separator: ", ")
    }

    // MARK: what the gateway holds

    /// One by one.
    private mutating func compare(_ printer: String, _ told: [Told]) {
        var told = told
        for real in truth.jobsWhole(printer, from: truth.start, to: truth.until) {
            let index = told.firstIndex {
                $0.outcome == real.outcome.rawValue && $0.end >= real.end - slack && $0.end <= real.end + slack
            }
            guard let index else {
                // The last ones may not have been told yet.
                guard real.end < truth.until - slack else { continue }
                differences.append(
                    "\(printer): the print that was \(real.outcome.rawValue) at \(real.end) is none of the gateway's")
                continue
            }
            compare(printer, told.remove(at: index), real)
        }
        for rest in told {
            differences.append(
                "\(printer): the gateway tells of a print, \(rest.outcome) at \(rest.end), that never was")
        }
    }

    private mutating func compare(_ printer: String, _ told: Told, _ real: TrueJob) {
        let energy = truth.energyMilliwattHours(printer, from: real.start, to: real.end) / 1000
        func length(_ start: Instant, _ end: Instant) -> Double { Double((end - start).milliseconds) / 1000 }
        let (toldLength, realLength) = (length(told.start, told.end), length(real.start, real.end))
        found += 1
        rows.append(
            .object([
                "machine": .string(printer), "outcome": .string(told.outcome), "end": .string(told.end.description),
                "true_end": .string(real.end.description), "duration_s": .number(toldLength),
                "true_duration_s": .number(realLength), "energy_wh": .optional(told.energy),
                "true_energy_wh": .number(energy),
            ]))
        let name = "\(printer): the print that was \(real.outcome.rawValue) at \(real.end)"
        worst.length = max(worst.length, abs(toldLength - realLength))
        if abs(toldLength - realLength) > Double(slack.milliseconds) / 1000 {
            differences.append(
                "\(name) took \(DemoReport.rounded(realLength)) s, the gateway says \(DemoReport.rounded(toldLength)) s"
            )
        }
        let energySaid = told.energy.map { DemoReport.rounded($0) + " Wh" } ?? "nothing"
        if let drawn = told.energy {
            worst.energy = max(worst.energy, abs(drawn - energy))
            if abs(drawn - energy) <= energy * 0.02 + energySlack { return }
        }
        differences.append("\(name) drew \(DemoReport.rounded(energy)) Wh, the gateway says \(energySaid)")
    }
}

/// What the city holds of one hour, machine by machine.
package struct DemoHour {
    package let start: Instant
    package let end: Instant
    /// As they stand in the rollup.
    package let machines: [JSON]

    package init(start: Instant, end: Instant, machines: [JSON]) {
        self.start = start
        self.end = end
        self.machines = machines
    }

    func machine(_ id: String) -> JSON? { machines.first { $0["id"]?.text == id } }
}
