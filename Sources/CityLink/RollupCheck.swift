// What is true of every good rollup. The gateway asks before it sends, the city before it stores.

import Model

extension RollupContent {
    /// Everything that is wrong with this content, in words; empty where it is good.
    ///
    /// 1. Names are short and plain: they end in tables and on pages.
    /// 2. The window lies on quarters of an hour and is as long as its grain may be, which differs where clocks change.
    /// 3. All nine states are there, nothing is negative, shares lie in 0…1.
    /// 4. Times add up: each machine's states make the whole window, each class's and the lab's that many windows.
    package func check() -> [String] {
        var problems: [String] = []
        checkNames(&problems)
        checkWindow(&problems)
        let length = duration.milliseconds
        totals.check("totals", &problems)
        for part in classes {
            part.totals.check("class \(part.name)", &problems)
            let (expected, overflow) = length.multipliedReportingOverflow(by: Int64(part.machines))
            if overflow || part.totals.observed != expected {
                problems.append(
                    "the states of class \(part.name) must sum to its \(part.machines) machines times duration_s")
            }
        }
        for machine in machines ?? [] {
            machine.totals.check("machine \(machine.id)", &problems)
            if machine.totals.observed != length {
                problems.append("the states of machine \(machine.id) must sum to duration_s")
            }
        }
        checkTotal(&problems)
        return problems
    }

    private func checkTotal(_ problems: inout [String]) {
        let length = duration.milliseconds
        guard length > 0 else { return }
        // Where classes are withheld the number of machines is not told; whole windows it must be all the same.
        var machineCount = machines?.count
        if !classes.isEmpty { machineCount = classes.reduce(0) { $0 &+ $1.machines } }
        if let machineCount {
            let (expected, overflow) = length.multipliedReportingOverflow(by: Int64(machineCount))
            if overflow || totals.observed != expected {
                problems.append("the states of totals must sum to \(machineCount) machines times duration_s")
            }
        } else if totals.observed % length != 0 {
            problems.append("the states of totals must sum to a whole number of machines times duration_s")
        }
        if let machines, !classes.isEmpty, machines.count != machineCount {
            problems.append("classes count \(machineCount ?? 0) machines, but machines has \(machines.count)")
        }
    }

    private func checkNames(_ problems: inout [String]) {
        if !Self.isLabID(lab) { problems.append("lab must be a URN such as urn:fablabs:io:lab:example") }
        if !Self.isName(tz, also: "/_+-") { problems.append("tz must be an IANA zone such as Asia/Seoul") }
        for name in classes.map(\.name) + (machines ?? []).map(\.className) where !Self.isName(name, also: "_") {
            problems.append("a class must be a word of a-z, 0-9 and _, not '\(name.prefix(40))'")
        }
        for machine in machines ?? [] where !Self.isName(machine.id, also: "_-.:") {
            problems.append(
                "a machine's id must be a word of letters, digits, _ - . and :, not '\(machine.id.prefix(40))'")
        }
        if Set(classes.map(\.name)).count != classes.count { problems.append("a class stands twice in classes") }
        if let machines, Set(machines.map(\.id)).count != machines.count {
            problems.append("a machine stands twice in machines")
        }
    }

    private func checkWindow(_ problems: inout [String]) {
        let quarter: Int64 = 900_000
        if start.milliseconds % quarter != 0 || end.milliseconds % quarter != 0 {
            problems.append("start and end must lie on quarters of an hour in UTC")
        }
        // A clock change makes a day 23, 23.5, 24.5 or 25 hours long, and at Lord Howe an hour half as long.
        let hours: ClosedRange<Duration> = grain == .day ? .hours(22) ... .hours(26) : .minutes(15) ... .minutes(90)
        if !hours.contains(duration) { problems.append("a window of \(grain.rawValue) cannot last this duration_s") }
        if lateDropped < 0 || (openSeconds ?? 0) < 0 {
            problems.append("late_dropped and open_s must not be negative")
        }
        for share in [coverage.usage, coverage.energy, coverage.mass] {
            if let share, !(0...1).contains(share) { problems.append("coverage must lie between 0 and 1") }
        }
    }

    /// A URN of printable ASCII without quotes, at most 200 bytes.
    package static func isLabID(_ text: String) -> Bool {
        text.hasPrefix("urn:") && text.utf8.count > 6 && isName(text, also: ":._~-/+@%")
    }

    fileprivate static func isName(_ text: String, also marks: String) -> Bool {
        let extra = Set(marks.utf8)
        // A first letter or digit keeps spreadsheets from taking a name for a formula.
        guard let first = text.utf8.first, !extra.contains(first), text.utf8.count <= 200 else { return false }
        return text.utf8.allSatisfy { byte in
            (97...122).contains(byte) || (65...90).contains(byte) || (48...57).contains(byte) || extra.contains(byte)
        }
    }
}

extension UsageTotals {
    /// The sum of all states in milliseconds; -1 where it is beyond every clock.
    package var observed: Int64 {
        var total: Int64 = 0
        for state in states {
            let (sum, overflow) = total.addingReportingOverflow(state)
            if overflow { return -1 }
            total = sum
        }
        return total
    }

    fileprivate func check(_ name: String, _ problems: inout [String]) {
        if states.count != MachineState.allCases.count { problems.append("\(name) must have nine states") }
        if let jobs, jobs.count != JobOutcome.allCases.count {
            problems.append("\(name) must have five outcomes of jobs")
        }
        let single = [
            energyMilliwattHours, idleEnergyMilliwattHours, energyCorrections, items, scrap, shots, filamentMicrometres,
        ]
        let isNegative =
            single.contains { ($0 ?? 0) < 0 } || states.contains { $0 < 0 } || (jobs ?? []).contains { $0 < 0 }
            || [massIn, massProduct, massScrap].contains { $0.values.contains { $0 < 0 } }
        if isNegative { problems.append("\(name) has a negative number") }
        for material in [massIn, massProduct, massScrap].flatMap(\.keys)
        where !RollupContent.isName(material, also: "_-.") {
            problems.append("\(name) has a material that is no plain word: '\(material.prefix(40))'")
        }
    }
}
