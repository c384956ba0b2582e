import Hub
import Model
import Ports
import Store
import Usage

// Commands that look at what machines did: learn, report.

private let storeOption = CommandHelp.Option("store", "DIR", "the folder of the store (default: the configuration's)")
private let configurationOption = CommandHelp.Option("config", "F", "the configuration file")

/// The hub as it would start now, on a store that is only looked at.
func lookInto(_ arguments: Arguments) throws -> (hub: Hub, now: Instant) {
    var configuration = try Setup().configuration(arguments["config"])
    if let folder = arguments["store"] { configuration.store.path = folder }
    let now = configuration.clock.now()
    return (Hub(configuration, store: try openStore(configuration.store.path), at: now), now.wall)
}

/// From when to when a command looks; `fallback` is the start that is meant where none is given.
func stretch(
    _ arguments: Arguments, _ hub: Hub, _ now: Instant, from fallback: String
) throws -> (Instant, Instant) {
    let zone = hub.configuration.lab.zone
    guard let from = TimeText.instant(arguments["from"] ?? fallback, now: now, in: zone),
        let to = TimeText.instant(arguments["to"] ?? "now", now: now, in: zone), from < to
    else { throw ToolFailure(.usage, "--from and --to must be times, the earlier one first; \(TimeText.hint)") }
    return (from, to)
}

/// A number for people, with a few digits.
private func short(_ value: Double, _ digits: Int = 1) -> String {
    let scale = [1.0, 10, 100, 1000][min(digits, 3)]
    let rounded = (value * scale).rounded() / scale
    return digits == 0 ? "\(Int(rounded))" : "\(rounded)"
}

private func hours(_ milliseconds: Int64) -> String { short(Double(milliseconds) / 3_600_000, 2) }

/// `fabgate report`: what follows from what the machines did.
enum ReportCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "report", text: "use, waste, cost and faults of each machine over some time",
            options: [
                .init("from", "T", "from this time on (default: -7d)"),
                .init("to", "T", "up to this time (default: now)"),
                .init("format", "F", "table, csv or json (default: table)"), configurationOption, storeOption,
            ], example: "fabgate report --from -30d --format csv"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let format = arguments["format"] ?? "table"
        guard ["table", "csv", "json"].contains(format) else {
            throw ToolFailure(.usage, "--format is table, csv or json, not '\(format)'")
        }
        let (hub, now) = try lookInto(arguments)
        let (from, to) = try stretch(arguments, hub, now, from: "-7d")
        let reports = hub.report(from: from, to: to)
        if format == "json" {
            for report in reports { Console.print(bytes: report.json.bytes + [10]) }
            return .done
        }
        let currency = hub.configuration.tariff.currency ?? "cost"
        let head = [
            "machine", "use_h", "idle_on_h", "energy_kwh", "idle_kwh", "jobs", "kwh_per_job", "utilisation_%",
            "outside_h",
            currency, "co2_kg", "faults", "h_between_faults", "lifetime_h",
        ]
        var rows = [head]
        for report in reports {
            func some(_ value: Double?, _ digits: Int = 2) -> String {
                value.map { short($0, digits) } ?? (format == "csv" ? "" : "-")
            }
            func thousand(_ value: Int64?) -> Double? { value.map { Double($0) / 1_000_000 } }
            rows.append([
                report.id, hours(report.busy), hours(report.wastedTime), some(thousand(report.energy), 3),
                some(thousand(report.wastedEnergy), 3), report.countsJobs ? "\(report.jobs)" : some(nil),
                some(report.energyPerJob.map { $0 / 1_000_000 }, 3), some(report.utilisation.map { $0 * 100 }, 1),
                some(report.useOutside.map { Double($0) / 3_600_000 }), some(report.cost),
                some(report.carbon.map { $0 / 1000 }, 3),
                "\(report.sum.faults)", some(report.betweenFaults.map { Double($0) / 3_600_000 }, 1),
                hours(report.lifetime),
            ])
        }
        for row in rows { Console.print(format == "csv" ? row.joined(separator: ",") : aligned(row, rows)) }
        return .done
    }

    private static func aligned(_ row: [String], _ rows: [[String]]) -> String {
        row.enumerated().map { index, cell in
            let width = rows.map { $0[index].count }.max() ?? 0
            let blanks = String(repeating: " ", count: width - cell.count)
            return index == 0 ? cell + blanks : blanks + cell
        }.joined(separator: "  ")
    }
}

/// `fabgate learn`: levels for a machine, from what it drew.
enum LearnCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "learn", "MACHINE",
            text:
                "proposes idle_below and running_above from recorded power, and what the time would have looked like with them",
            options: [
                .init("from", "T", "from this time on (default: -7d)"),
                .init("to", "T", "up to this time (default: now)"),
                .init("labels", "FILE", "lines of START,END,idle or START,END,running to compare with"),
                configurationOption, storeOption,
            ], example: "fabgate learn laser --from -7d --to now"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let (hub, now) = try lookInto(arguments)
        let machines = hub.configuration.machines
        guard let name = arguments.operands.first, let machine = machines.first(where: { $0.id == name }) else {
            let names = machines.map(\.id)
            throw ToolFailure(
                .usage,
                "which machine? \(names.joined(separator: ", "))"
                    + (arguments.operands.first.map { Suggestion.phrase(for: $0, among: names) } ?? ""))
        }
        let (from, to) = try stretch(arguments, hub, now, from: "-7d")
        let (names, silence, samples) = try power(of: machine, hub, from: from, to: to)
        let id = names.joined(separator: ", ")
        // A value counts until the next one, and never longer than its device may be silent.
        var histogram = PowerHistogram()
        for (index, sample) in samples.enumerated() {
            let next = index + 1 < samples.count ? samples[index + 1].time : to
            histogram.add(sample.watts, for: min(next - sample.time, silence))
        }
        guard let levels = histogram.levels() else {
            throw ToolFailure(
                .no,
                "\(id) shows only one level from \(from) to \(to) (\(Text.count(samples.count, "sample"))); let the machine idle and work for ten minutes at least, and learn again"
            )
        }
        Console.print("\(name): about \(short(levels.low)) W at rest and \(short(levels.high)) W at work")
        Console.print(
            "usage: { from: power, idle_below: \(levels.idleBelow) W, running_above: \(levels.runningAbove) W, dwell: 20 s }"
        )
        Console.print("quality \(short(levels.quality, 2)), valley \(short(levels.valley, 2)) (1 is best)")
        if !levels.isClear {
            Console.print(
                "there is no clear valley between the two: the machine draws much in between; look at its power before taking these levels, or give a device that tells its state"
            )
        }
        var rule = PowerRule(idleBelow: levels.idleBelow, runningAbove: levels.runningAbove, dwell: .seconds(20))
        rule.offBelow = min(rule.offBelow, rule.idleBelow)
        let runs = play(samples, rule, silence: silence, to: to)
        try show(runs, from: from, to: to, zone: hub.configuration.lab.zone)
        if let file = arguments["labels"] { try compare(runs, with: file) }
        return levels.isClear ? .done : .no
    }

    /// What a machine drew, by the device that measured it then.
    private static func power(
        of machine: Configuration.Machine, _ hub: Hub, from: Instant, to: Instant
    ) throws -> (series: [String], silence: Model.Duration, samples: [(time: Instant, watts: Double)]) {
        let meters = machine.members.filter { member in
            hub.configuration.devices[member.device].driver.channels.contains { $0.name == "power" }
        }
        guard let first = meters.first else {
            throw ToolFailure(.no, "none of the devices of \(machine.id) gives power")
        }
        // Of several at one time the first is the machine's.
        let own = meters.filter { $0 == first || !$0.term.overlaps(first.term) }
        var samples: [(time: Instant, watts: Double)] = []
        var names: [String] = []
        for member in own {
            let id = hub.configuration.devices[member.device].id
            guard let part = member.term.part(from: from, to: to),
                let info = hub.store.find(SeriesKey(device: id, channel: "power"))
            else { continue }
            names.append("\(id)/power")
            hub.store.scan(info.id, from: part.from, to: part.to) { sample in
                if case .number(let watts) = sample.value { samples.append((sample.time, watts)) }
                return true
            }
        }
        guard !names.isEmpty else {
            throw ToolFailure(
                .no, "the store holds no series \(hub.configuration.devices[first.device].id)/power of that time")
        }
        let silence = own.map { hub.configuration.devices[$0.device].silence }.max() ?? .minutes(5)
        return (names, silence, samples.sorted { $0.time < $1.time })
    }

    private struct Run {
        let state: MachineState
        let from: Instant
        let to: Instant
    }

    /// What the machine would have done with a rule.
    private static func play(
        _ samples: [(time: Instant, watts: Double)], _ rule: PowerRule, silence: Model.Duration, to end: Instant
    ) -> [Run] {
        guard let first = samples.first else { return [] }
        var usage = MachineUsage(UsageRule(source: .power(rule), energy: []), start: first.time)
        var runs: [Run] = []
        var (state, since) = (MachineState.unknown, first.time)
        func note() {
            guard usage.state != state else { return }
            if usage.since > since { runs.append(Run(state: state, from: since, to: usage.since)) }
            (state, since) = (usage.state, usage.since)
        }
        for (index, sample) in samples.enumerated() {
            usage.observe(power: sample.watts, at: sample.time)
            note()
            let next = index + 1 < samples.count ? samples[index + 1].time : end
            usage.advance(to: min(next, sample.time + silence))
            note()
            guard next - sample.time > silence else { continue }
            usage.lost("silent", at: sample.time + silence)
            note()
            usage.back(at: next)
            note()
        }
        if end > since { runs.append(Run(state: state, from: since, to: end)) }
        return runs
    }

    /// Day by day: how long it ran, how often, and how long it idled.
    private static func show(_ runs: [Run], from: Instant, to: Instant, zone: Zone) throws {
        for day in Window.ending(after: from, upTo: Window.containing(to, .day, in: zone).end, .day, in: zone) {
            var times: [MachineState: Int64] = [:]
            var count = 0
            for run in runs where run.to > day.start && run.from < day.end {
                times[run.state, default: 0] += (min(run.to, day.end) - max(run.from, day.start)).milliseconds
                if run.state == .running, run.from >= day.start { count += 1 }
            }
            Console.print(
                "\(day.date)  running \(hours(times[.running] ?? 0)) h in \(Text.count(count, "run")), idle \(hours(times[.idle] ?? 0)) h"
            )
        }
    }

    private static func compare(_ runs: [Run], with file: String) throws {
        var (right, all) = (Int64(0), Int64(0))
        for (number, line) in try Files.text(file).split(separator: "\n").enumerated() {
            let parts = line.split(separator: ",").map { $0.filter { $0 != " " } }
            guard parts.count == 3, let from = Instant(parts[0]), let to = Instant(parts[1]), from < to,
                let state = MachineState(rawValue: parts[2]), state == .idle || state == .running
            else {
                throw ToolFailure(
                    .badData, "\(file):\(number + 1) is not START,END,idle or START,END,running: '\(line)'")
            }
            all += (to - from).milliseconds
            for run in runs where run.state == state && run.to > from && run.from < to {
                right += (min(run.to, to) - max(run.from, from)).milliseconds
            }
        }
        guard all > 0 else { throw ToolFailure(.badData, "\(file) holds no label") }
        Console.print(
            "\(short(Double(right) * 100 / Double(all))) % of \(hours(all)) labelled hours come out as labelled")
    }
}
