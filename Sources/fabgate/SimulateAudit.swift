import City
package import CityLink
import Model
import Simulation

/// What was found to be lost, doubled or wrong.
package struct SimulationViolation: Hashable, Sendable {
    /// The day of the simulation, from 1; so many days repeat it.
    package let day: Int
    package let text: String
}

/// One machine over the whole simulation, as the city holds it and as it was.
package struct SimulationRow: Hashable, Sendable {
    package let machine: String
    /// mWh.
    package var energyHeld = 0.0
    package var energyTrue = 0.0
    /// Milliseconds in state running.
    package var busyHeld: Int64 = 0
    package var busyTrue: Int64 = 0
    /// Jobs with an outcome; nil where nothing tells about jobs.
    package var jobsHeld: Int64?
    package var jobsTrue: Int64 = 0
    /// Hours that the city lacks, and hours that it holds twice.
    package var windowsMissing = 0
    package var windowsDoubled = 0
}

/// Follows a simulation: what the lab did, what happened to it, and whether the gateway's account stays within what
/// that explains.
package struct SimulationAudit: Sendable {
    /// What is forgiven, for `--help`.
    package static let tolerances = """
        What is forgiven: a machine's energy 6 Wh and 0.2 % of it (what is drawn before the first value and between
        two), less 250 Wh (shredder) or 60 Wh (printer) for each reset or dip of its plug, never more; its busy time
        45 s an hour, and 3 minutes more in an hour with a dip or with the gateway killed, 30 minutes more in an hour
        with a lost or late word; its jobs none, but those whose word was lost. Windows: none.
        """

    private let plan: SimulationPlan
    package private(set) var rows: [SimulationRow]
    package private(set) var violations: [SimulationViolation] = []
    /// Beyond these, violations are only counted.
    private static let mostKept = 1000
    package private(set) var mishaps = 0
    package private(set) var revisions = 0
    /// The lab's truth, hour after hour.
    private var hours: [[Hour]] = []
    /// Allowances by hour and machine.
    private var allowances: [Int: [String: Allowance]] = [:]
    /// The newest energy of each hour, and the sum of all, by machine.
    private var booked: [String: (hours: [Int: Int64], sum: Int64)] = [:]

    /// What one machine really did in one hour.
    private struct Hour {
        let energy: Double
        let busy: Int64
        let jobs: Int64
    }

    /// What the faults of one hour explain.
    private struct Allowance {
        var counters = 0
        var busy = Duration.zero
        /// Jobs whose end was never told, and those that may be told in the next hour.
        var lostJobs: Int64 = 0
        var shiftedJobs: Int64 = 0
    }

    init(_ plan: SimulationPlan) {
        self.plan = plan
        rows = SimulatedLab.machines.map { SimulationRow(machine: $0) }
    }

    // MARK: what happens

    private func hour(of time: Instant) -> Int { Int((time - SimulationPlan.start).milliseconds / 3_600_000) }

    private mutating func allow(_ machines: [String], at time: Instant, _ change: (inout Allowance) -> Void) {
        // A mishap at the end of an hour reaches into the next.
        for hour in Set([hour(of: time), hour(of: time + .minutes(5))]) {
            for machine in machines { change(&allowances[hour, default: [:]][machine, default: Allowance()]) }
        }
    }

    mutating func suffered(_ mishap: Mishap) {
        mishaps += 1
        switch mishap.kind {
        case .reset(let machine): allow([machine], at: mishap.time) { $0.counters += 1 }
        case .dip(let machine):
            allow([machine], at: mishap.time) {
                $0.counters += 1
                $0.busy = $0.busy + .minutes(3)
            }
        case .kill: break
        }
    }

    mutating func died(at time: Instant, for length: Duration) {
        allow(SimulatedLab.machines, at: time) {
            $0.busy = $0.busy + .minutes(3) + length
            $0.shiftedJobs = 1
        }
    }

    /// A message that did not arrive, or comes late.
    mutating func lost(topic: String, at time: Instant) {
        let ends = ["PrintDone", "PrintFailed", "PrintCancelled"]
        if topic.hasPrefix("octoPrint/event/") {
            let isEnd = ends.contains { topic.hasSuffix($0) }
            allow(["printer"], at: time) {
                $0.busy = $0.busy + .minutes(30)
                if isEnd { $0.lostJobs += 1 }
            }
        } else if topic.contains("shredder-plug") {
            allow(["shredder"], at: time) { $0.busy = $0.busy + .seconds(20) }
        }
    }

    // MARK: what must hold all the while

    /// The content of a window as the gateway computed it.
    package mutating func closed(_ content: RollupContent) {
        let length = content.duration.milliseconds
        for machine in content.machines ?? [] {
            let states = machine.totals.states.reduce(0, +)
            if states != length {
                found(content.start, "\(machine.id): its states sum to \(states) ms in a window of \(length) ms")
            }
            let energy = machine.totals.energyMilliwattHours ?? 0
            if energy < 0 { found(content.start, "\(machine.id): \(energy) mWh is less than nothing") }
            guard content.grain == .hour else { continue }
            let number = hour(of: content.start)
            let old = booked[machine.id]?.hours.updateValue(energy, forKey: number) ?? 0
            if booked[machine.id] == nil { booked[machine.id] = ([number: energy], 0) }
            booked[machine.id]?.sum += energy - old
        }
    }

    /// A new version of a window.
    mutating func made(_ row: OutboxRow, over old: RollupVersion?) {
        if let old {
            revisions += 1
            if row.version <= old { found(row.key.start, "\(row.key): version \(row.version) after \(old)") }
        }
    }

    /// A row left the outbox: the city must hold it.
    mutating func removed(_ key: RollupKey, _ version: RollupVersion, book: some RollupBook) {
        let held = (try? book.held([key]))?[key]?.version
        if held.map({ $0 < version }) ?? true {
            found(
                key.start,
                "\(key): version \(version) left the outbox, and the city holds \(held?.description ?? "nothing")")
        }
    }

    /// A row that nobody took within a day.
    mutating func waits(_ row: OutboxRow) {
        found(row.key.start, "\(row.key): \(row.problem ?? "still waits in the outbox")")
    }

    /// Every window that was ever made waits or was receipted.
    mutating func check(outbox disk: OutboxDisk) {
        for window in disk.windows.values where !window.isReceipted && disk.rows[window.key] == nil {
            found(window.key.start, "\(window.key): neither in the outbox nor receipted")
        }
    }

    /// An hour is over: notes the truth of the one before, which is told and closed, and holds the sums against it.
    mutating func hourEnded(_ hour: Int, truth: Truth) {
        let number = hour - 1
        guard number >= 0 else { return }
        let from = SimulationPlan.start + .hours(Int64(number))
        let to = from + .hours(1)
        var all: [Hour] = []
        for (index, machine) in SimulatedLab.machines.enumerated() {
            let states = truth.stateMilliseconds(machine, from: from, to: to)
            let jobs = truth.jobs(machine, from: from, to: to).values.reduce(0, +)
            let now = Hour(
                energy: truth.energyMilliwattHours(machine, from: from, to: to), busy: states[.running] ?? 0,
                jobs: Int64(jobs))
            all.append(now)
            rows[index].energyTrue += now.energy
            rows[index].busyTrue += now.busy
            rows[index].jobsTrue += now.jobs
            let most = rows[index].energyTrue + Self.energySlack(rows[index].energyTrue)
            let sum = booked[machine]?.sum ?? 0
            if Double(sum) > most {
                found(from, "\(machine): \(sum) mWh booked by now, \(Int64(rows[index].energyTrue)) drawn")
            }
        }
        hours.append(all)
    }

    // MARK: the end

    private static func energySlack(_ truth: Double) -> Double { 6000 + truth * 0.002 }

    /// Holds what the book has against the truth.
    mutating func compare(_ book: some RollupBook, lab: String, zone: Zone) throws {
        let start = SimulationPlan.start
        var seen: [RollupKey: Int] = [:]
        var contents: [RollupKey: RollupContent] = [:]
        var unreadable: [(RollupKey, String)] = []
        try book.forEach(RollupQuery(lab: lab, from: start, to: plan.end)) { stored in
            seen[stored.key, default: 0] += 1
            var problems: [String] = []
            if let json = JSON(stored.text), let item = RollupItem(json, &problems) {
                contents[stored.key] = item.content
            } else {
                unreadable.append((stored.key, problems.first ?? "no JSON"))
            }
            return true
        }
        for (key, problem) in unreadable { found(key.start, "\(key): what the city holds cannot be read: \(problem)") }
        for number in 0..<plan.hours {
            let key = RollupKey(lab: lab, grain: .hour, start: start + .hours(Int64(number)))
            compare(contents[key], number, copies: seen[key] ?? 0)
        }
        for day in 0..<plan.hours / 24 {
            let key = RollupKey(lab: lab, grain: .day, start: start + .hours(Int64(day) * 24))
            compare(contents[key], day: day, hours: contents, copies: seen[key] ?? 0)
        }
        for index in rows.indices { compareSums(index) }
    }

    private mutating func compare(_ content: RollupContent?, _ number: Int, copies: Int) {
        let start = SimulationPlan.start + .hours(Int64(number))
        if content == nil { found(start, "the hour from \(start) is missing in the city") }
        if copies > 1 { found(start, "the hour from \(start) is held \(copies) times") }
        for index in rows.indices {
            let machine = rows[index].machine
            if copies > 1 { rows[index].windowsDoubled += 1 }
            guard let totals = content?.machines?.first(where: { $0.id == machine })?.totals else {
                rows[index].windowsMissing += 1
                continue
            }
            let truth = hours[number][index]
            let allowance = allowances[number]?[machine] ?? Allowance()
            rows[index].energyHeld += Double(totals.energyMilliwattHours ?? 0)
            rows[index].busyHeld += totals[.running]
            let wrong = (totals[.running] - truth.busy).magnitude
            if wrong > UInt64((Duration.seconds(45) + allowance.busy).milliseconds) {
                found(
                    start,
                    "\(machine): busy \(totals[.running] / 1000) s of \(truth.busy / 1000) s in the hour from \(start)")
            }
            guard let jobs = totals.jobs?.reduce(0, +), machine == "printer" else { continue }
            rows[index].jobsHeld = (rows[index].jobsHeld ?? 0) + jobs
            // A killed gateway hears of a job later, perhaps in the next hour.
            if (jobs - truth.jobs).magnitude > (allowance.lostJobs + allowance.shiftedJobs).magnitude {
                found(start, "\(machine): \(jobs) jobs held, \(truth.jobs) ended in the hour from \(start)")
            }
        }
    }

    /// A day is the sum of its hours.
    private mutating func compare(
        _ content: RollupContent?, day: Int, hours: [RollupKey: RollupContent], copies: Int
    ) {
        let start = SimulationPlan.start + .hours(Int64(day) * 24)
        guard let content else { return found(start, "the day from \(start) is missing in the city") }
        if copies > 1 { found(start, "the day from \(start) is held \(copies) times") }
        for machine in content.machines ?? [] {
            var sum = UsageTotals()
            for hour in 0..<24 {
                let key = RollupKey(lab: content.lab, grain: .hour, start: start + .hours(Int64(hour)))
                guard let part = hours[key]?.machines?.first(where: { $0.id == machine.id }) else { continue }
                sum = sum + part.totals
            }
            let isSame =
                sum.states == machine.totals.states
                && sum.energyMilliwattHours == machine.totals.energyMilliwattHours && sum.jobs == machine.totals.jobs
            if !isSame { found(start, "\(machine.id): the day from \(start) is not the sum of its hours") }
        }
    }

    private mutating func compareSums(_ index: Int) {
        let row = rows[index]
        let slack = Self.energySlack(row.energyTrue)
        var counters = 0
        for hour in allowances.values { counters += hour[row.machine]?.counters ?? 0 }
        let perCounter: Double = row.machine == "shredder" ? 250_000 : 60_000
        let isRight =
            row.energyHeld <= row.energyTrue + slack
            && row.energyHeld >= row.energyTrue - slack - Double(counters) * perCounter
        if !isRight {
            let text = "\(row.machine): \(Int64(row.energyHeld)) mWh held, \(Int64(row.energyTrue)) drawn"
            found(plan.end - .milliseconds(1), text)
        }
        guard let jobs = row.jobsHeld else { return }
        let lost = allowances.values.reduce(0) { $0 + ($1[row.machine]?.lostJobs ?? 0) }
        let late = allowances[plan.hours - 1]?[row.machine]?.shiftedJobs ?? 0
        if jobs > row.jobsTrue || jobs + lost + late < row.jobsTrue {
            found(plan.end - .milliseconds(1), "\(row.machine): \(jobs) jobs held, \(row.jobsTrue) ended")
        }
    }

    private mutating func found(_ time: Instant, _ text: String) {
        guard violations.count < Self.mostKept else { return }
        let violation = SimulationViolation(day: hour(of: time) / 24 + 1, text: text)
        if !violations.contains(violation) { violations.append(violation) }
    }
}
