import City
import CityLink
import Model
import Simulation

// The truth, hour by hour, and the city's account held against it.

extension SimulationAudit {
    /// An hour is over: notes the truth of one some hours ago, of which all is told by now.
    mutating func hourEnded(_ hour: Int, truth: Truth) {
        if hour - Self.lag >= 0 { note(hour - Self.lag, truth) }
    }

    /// The simulation is over.
    mutating func end(truth: Truth) {
        while hours.count < plan.hours { note(hours.count, truth) }
    }

    private mutating func note(_ number: Int, _ truth: Truth) {
        let from = SimulationPlan.start + .hours(Int64(number))
        let to = from + .hours(1)
        var all: [Hour] = []
        for index in rows.indices {
            var hour = Hour()
            noteEnergy(&hour, index, from, to, truth)
            noteBusy(&hour, index, from, to, truth)
            noteJobs(&hour, index, from, to, truth)
            noteMaterial(&hour, index, from, to, truth)
            all.append(hour)
            let most = rows[index].energyTrue + 2 * knowledge[index].resolution + hour.energySlack + hour.ahead
            booked[index].sum += booked[index].hours[number] ?? 0
            let sum = booked[index].sum
            if Double(sum) > most {
                found(
                    from, "\(rows[index].machine): \(sum) mWh booked by \(to), \(Int64(rows[index].energyTrue)) drawn")
            }
            knowledge[index].prune(before: from - .hours(1))
        }
        hours.append(all)
    }

    private mutating func noteEnergy(
        _ hour: inout Hour, _ index: Int, _ from: Instant, _ to: Instant, _ truth: Truth
    ) {
        let machine = rows[index].machine
        let base = from - .hours(12)
        let before = truth.energyMilliwattHours(machine, from: base, to: from)
        func drawn(_ time: Instant) -> Double {
            time < from
                ? before - truth.energyMilliwattHours(machine, from: time, to: from)
                : before + truth.energyMilliwattHours(machine, from: from, to: time)
        }
        hour.energy = drawn(to) - before
        doubtOldValues(index, from, to, truth)
        let drift = drift(from, to)
        if drift > .zero {
            for edge in [from, to] { knowledge[index].doubt(from: edge - drift, to: edge + drift) }
        }
        let known = knowledge[index]
        hour.expected = (known.booked(by: to, drawn) ?? 0) - (known.booked(by: from, drawn) ?? 0)
        // A value is shared out evenly over the time since the one before: some of it may be drawn only after the hour.
        hour.ahead = max(0, (known.booked(by: to, drawn) ?? 0) - drawn(to))
        // Around a time in which the gateway was off one more step may stand on the other side of the hour's edge.
        let wasOff = MachineKnowledge.length(known.blind, from - .minutes(30), to + .minutes(30)) > 0
        hour.energySlack = (wasOff ? 3 : 2) * known.resolution + 2 + known.doubtful(from: from, to: to, drawn)
        rows[index].energyTrue += hour.energy
    }

    /// A count that was set to zero and climbs through a value at which it was set to zero before is looked at twice: a
    /// message from then could say the same.
    private mutating func doubtOldValues(_ index: Int, _ from: Instant, _ to: Instant, _ truth: Truth) {
        let machine = rows[index].machine
        let resets = resets[index].filter { $0 < to }
        guard resets.count > 1, let last = resets.last else { return }
        let around = stretched(index, from - .minutes(30), to + .minutes(30))
        let (begin, end) = (max(last, around.from), around.to)
        let low = truth.energyMilliwattHours(machine, from: last, to: begin)
        let high = truth.energyMilliwattHours(machine, from: last, to: end)
        for (a, b) in zip(resets, resets.dropFirst()) {
            let old = truth.energyMilliwattHours(machine, from: a, to: b)
            guard old > low - 3 * knowledge[index].resolution, old < high + 3 * knowledge[index].resolution else {
                continue
            }
            var (earlier, later) = (begin, end)
            while later - earlier > .seconds(10) {
                let middle = earlier + .milliseconds((later - earlier).milliseconds / 2)
                if truth.energyMilliwattHours(machine, from: last, to: middle) < old {
                    earlier = middle
                } else {
                    later = middle
                }
            }
            let span = stretched(index, earlier - .minutes(12), later + .minutes(16))
            knowledge[index].doubt(from: span.from, to: span.to)
        }
    }

    private mutating func noteBusy(
        _ hour: inout Hour, _ index: Int, _ from: Instant, _ to: Instant, _ truth: Truth
    ) {
        let machine = rows[index].machine
        hour.busy = truth.stateMilliseconds(machine, from: from, to: to)[.running] ?? 0
        rows[index].busyTrue += hour.busy
        let changes = truth.busyChanges(machine, from: from - .hours(6), to: to)
        let inside = changes.count { $0 >= from - .minutes(1) }
        hour.busySlack =
            knowledge[index].uncertain(from: from, to: to, changes: changes) + 1000 * Int64(inside) + 1000
        hour.busySlack += 3 * drift(from, to).milliseconds
        hour.off = MachineKnowledge.length(knowledge[index].blind, from, to)
    }

    private mutating func noteJobs(
        _ hour: inout Hour, _ index: Int, _ from: Instant, _ to: Instant, _ truth: Truth
    ) {
        let machine = rows[index].machine
        let drift = drift(from, to)
        // A word about a job's end comes with it, or up to hours later.
        let first = from - .hours(8)
        jobWords[index].removeAll { $0.said < first }
        for end in truth.jobEnds(machine, from: first, to: to + drift) {
            if end >= from, end < to { hour.jobs += 1 }
            guard let word = jobWords[index].first(where: { $0.said >= end && $0.said <= end + jobWait[index] }) else {
                // Nobody said it; that a print is over may be told from what came after.
                hour.jobsMost += 1
                continue
            }
            let isHere = word.arrived >= from + drift && word.arrived < to - drift
            let canBeHere = word.arrived >= from - drift && word.arrived < to + drift
            if isHere, end >= from { hour.jobsLeast += 1 }
            if canBeHere || end >= from { hour.jobsMost += 1 }
        }
        // A gateway that was off hears of what ended meanwhile when it is back.
        if hour.off > 0 {
            hour.jobsLeast = max(0, hour.jobsLeast - 1)
            hour.jobsMost += 1
        }
        rows[index].jobsTrue += hour.jobs
    }

    /// Whether the gateway was off at some time of an hour.
    package func wasAway(hour number: Int) -> Bool {
        hours.indices.contains(number) && hours[number].contains { $0.off > 0 }
    }

    // MARK: the end

    /// Holds what the book has against the truth.
    mutating func compare(_ book: some RollupBook, lab: String) throws {
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
        for index in rows.indices { compareMaterialSums(index, boxes: boxes(index)) }
    }

    private mutating func compare(_ content: RollupContent?, _ number: Int, copies: Int) {
        let start = SimulationPlan.start + .hours(Int64(number))
        if content == nil { found(start, "the hour from \(start) is missing in the city") }
        if copies > 1 { found(start, "the hour from \(start) is held \(copies) times") }
        for index in rows.indices {
            if copies > 1 { rows[index].windowsDoubled += 1 }
            // The machines of a rollup stand in the order of the configuration.
            guard let machine = content?.machines, index < machine.count, machine[index].id == rows[index].machine
            else {
                rows[index].windowsMissing += 1
                continue
            }
            compare(machine[index].totals, index, number, start)
        }
    }

    private mutating func compare(_ totals: UsageTotals, _ index: Int, _ number: Int, _ start: Instant) {
        let machine = rows[index].machine
        let hour = hours[number][index]
        let energy = Double(totals.energyMilliwattHours ?? 0)
        rows[index].energyHeld += energy
        rows[index].busyHeld += totals[.running]
        if (energy - hour.expected).magnitude > hour.energySlack {
            found(
                start,
                "\(machine): \(Int64(energy)) mWh held, \(Int64(hour.expected)) could be told and \(Int64(hour.energy)) were "
                    + "drawn in the hour from \(start), \(Int64(hour.energySlack)) are forgiven")
        }
        let wrong = (totals[.running] - hour.busy).magnitude
        if wrong > hour.busySlack.magnitude {
            found(
                start,
                "\(machine): busy \(totals[.running] / 1000) s of \(hour.busy / 1000) s in the hour from \(start), "
                    + "\(hour.busySlack / 1000) s are forgiven")
        }
        compareMaterial(totals, index, number, start)
        guard countsJobs[index], let jobs = totals.jobs?.reduce(0, +) else { return }
        rows[index].jobsHeld = (rows[index].jobsHeld ?? 0) + jobs
        if jobs < hour.jobsLeast || jobs > hour.jobsMost {
            found(
                start,
                "\(machine): \(jobs) jobs held, \(hour.jobs) ended in the hour from \(start) and "
                    + "\(hour.jobsLeast)...\(hour.jobsMost) can be known")
        }
    }

    /// A day is the sum of its hours.
    private mutating func compare(
        _ content: RollupContent?, day: Int, hours: [RollupKey: RollupContent], copies: Int
    ) {
        let start = SimulationPlan.start + .hours(Int64(day) * 24)
        guard let content else { return found(start, "the day from \(start) is missing in the city") }
        if copies > 1 { found(start, "the day from \(start) is held \(copies) times") }
        for (index, machine) in (content.machines ?? []).enumerated() {
            var sum = UsageTotals()
            for hour in 0..<24 {
                let key = RollupKey(lab: content.lab, grain: .hour, start: start + .hours(Int64(hour)))
                guard let machines = hours[key]?.machines, index < machines.count, machines[index].id == machine.id
                else { continue }
                sum = sum + machines[index].totals
            }
            let isSame =
                sum.states == machine.totals.states
                && sum.energyMilliwattHours == machine.totals.energyMilliwattHours && sum.jobs == machine.totals.jobs
            if !isSame { found(start, "\(machine.id): the day from \(start) is not the sum of its hours") }
        }
    }

    private mutating func compareSums(_ index: Int) {
        let row = rows[index]
        // A step at the end is shared out over the time until the next value.
        let ahead = hours.last?[index].ahead ?? 0
        if row.energyHeld > row.energyTrue + 2 * knowledge[index].resolution + ahead {
            let text = "\(row.machine): \(Int64(row.energyHeld)) mWh held, \(Int64(row.energyTrue)) drawn"
            found(plan.end - .milliseconds(1), text)
        }
        let doubts = hours.reduce(0) { $0 + max(0, $1[index].energySlack - 2 * knowledge[index].resolution - 2) }
        let expected = hours.reduce(0) { $0 + $1[index].expected }
        // What a counter had not counted yet of its next step is gone with each reset.
        let steps = Double(2 + resets[index].count) * knowledge[index].resolution
        if row.energyHeld < expected - steps - 2 - doubts - Double(hours.count) {
            let text = "\(row.machine): \(Int64(row.energyHeld)) mWh held, \(Int64(expected)) could be told"
            found(plan.end - .milliseconds(1), text)
        }
        guard let jobs = row.jobsHeld else { return }
        if jobs > row.jobsTrue {
            found(plan.end - .milliseconds(1), "\(row.machine): \(jobs) jobs held, \(row.jobsTrue) ended")
        }
    }
}
