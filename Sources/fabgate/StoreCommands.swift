import CityLink
import Hub
import Model
import Ports
import Store
import Usage
import Web

private let storeOption = CommandHelp.Option("store", "DIR", "the folder of the store (default: /var/lib/fabgate)")
private let configurationOption = CommandHelp.Option("config", "F", "the configuration file")

/// A store that is only looked at.
func openStore(_ folder: String) throws -> RingStore {
    let path = Configuration.Store.file(in: folder)
    guard Files.exists(path) else {
        throw ToolFailure(.ioError, "there is no store in \(folder); give the folder that holds ring.fab with --store")
    }
    return try openStore(in: FileRegion(reading: path), path)
}

private func folder(_ arguments: Arguments) -> String { arguments["store"] ?? Configuration.Store.usualPath }

private func instant(_ arguments: Arguments, _ name: String, _ fallback: String, _ zone: Zone) throws -> Instant {
    let text = arguments[name] ?? fallback
    guard let instant = TimeText.instant(text, now: SystemClock.realNow().wall, in: zone) else {
        throw ToolFailure(.usage, "--\(name) '\(text)' is no time; \(TimeText.hint)")
    }
    return instant
}

/// `fabgate query`: samples of a series.
enum QueryCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "query", "SERIES|MACHINE",
            text:
                "what a series holds, sample by sample or in steps; or what a machine made and used, and the zones of a "
                + "press",
            options: [
                .init("from", "T", "from this time on (default: -1h; for a machine: today)"),
                .init("to", "T", "up to this time (default: now)"),
                .init("step", "D", "one line for each step, such as 15min"),
                .init("format", "F", "table, csv or json (default: table)"), storeOption,
                .init("config", "F", "the configuration file, for a machine"),
            ], example: "fabgate query laser-meter/power --from -2h --step 15min"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let format = arguments["format"] ?? "table"
        guard ["table", "csv", "json"].contains(format) else {
            throw ToolFailure(.usage, "--format is table, csv or json, not '\(format)'")
        }
        if let machine = arguments.operands.first, !machine.contains("/") {
            return try MachineQuery.run(machine, arguments, format: format)
        }
        let store = try openStore(folder(arguments))
        guard let name = arguments.operands.first else {
            for info in store.allSeries { Console.print("\(info.key.device)/\(info.key.channel)") }
            throw ToolFailure(.usage, "which series? Those above are known")
        }
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2, let info = store.find(SeriesKey(device: parts[0], channel: parts[1])) else {
            let known = store.allSeries.map { "\($0.key.device)/\($0.key.channel)" }
            throw ToolFailure(.no, "no series is called '\(name)'" + Suggestion.phrase(for: name, among: known))
        }
        let from = try instant(arguments, "from", "-1h", .utc)
        let to = try instant(arguments, "to", "now", .utc)
        var table = Table(format: format, unit: info.unit?.rawValue)
        if let text = arguments["step"] {
            guard let step = TimeText.duration(text) else {
                throw ToolFailure(.usage, "--step '\(text)' is no length of time; write 60s or 15min")
            }
            for point in store.points(info.id, from: from, to: to, step: step) { table.add(point) }
        } else {
            store.scan(info.id, from: from, to: to) { sample in
                table.add(sample)
                return true
            }
        }
        return .done
    }

    /// Prints rows as they come.
    private struct Table {
        let format: String
        let unit: String?
        private var isFirst = true

        init(format: String, unit: String?) {
            self.format = format
            self.unit = unit
        }

        mutating func add(_ sample: Sample) {
            let value: JSON =
                switch sample.value {
                case .number(let number): .number(number)
                case .text(let text): .string(text)
                case .unknown: .null
                }
            row([("t", .string(sample.time.description)), ("value", value)])
        }

        mutating func add(_ point: Store.Point) {
            row([
                ("t", .string(point.start.description)), ("min", .optional(point.min)), ("mean", .optional(point.mean)),
                ("max", .optional(point.max)), ("last", .optional(point.last)), ("count", .integer(point.count)),
            ])
        }

        private mutating func row(_ cells: [(String, JSON)]) {
            defer { isFirst = false }
            if format == "json" {
                return Console.print(bytes: JSON.object(cells.map { JSON.Member($0.0, $0.1) }).bytes + [10])
            }
            let separator = format == "csv" ? "," : "  "
            if isFirst {
                Console.print(
                    cells.map(\.0).joined(separator: separator)
                        + (unit.map { format == "csv" ? "" : "  [\($0)]" } ?? ""))
            }
            Console.print(cells.map { text($0.1) }.joined(separator: separator))
        }

        private func text(_ value: JSON) -> String {
            switch value {
            case .string(let text): text
            case .null: format == "csv" ? "" : "-"
            default: String(decoding: value.bytes, as: UTF8.self)
            }
        }
    }
}

/// `fabgate rollup`: what the city would be told, computed from the store.
enum RollupCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "rollup", text: "computes rollups from the store, as they would be sent",
            options: [
                .init("from", "T", "from this time on (default: today)"),
                .init("to", "T", "up to this time (default: now)"),
                .init("grain", "G", "PT1H or P1D (default: PT1H)"), .init("format", "F", "json or csv (default: json)"),
                .init("diff", nil, "what this configuration would change, machine by machine; exit 1 if anything"),
                configurationOption, storeOption,
            ], example: "fabgate rollup --from -7d --grain P1D --format csv"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        var configuration = try Setup().configuration(arguments["config"])
        if let folder = arguments["store"] { configuration.store.path = folder }
        guard let grain = Window.Grain(rawValue: arguments["grain"] ?? "PT1H") else {
            throw ToolFailure(.usage, "--grain is PT1H or P1D")
        }
        let store = try openStore(configuration.store.path)
        let now = configuration.clock.now()
        let hub = Hub(configuration, store: store, at: now)
        let zone = configuration.lab.zone
        let from = TimeText.instant(arguments["from"] ?? "today", now: now.wall, in: zone)
        let to = TimeText.instant(arguments["to"] ?? "now", now: now.wall, in: zone)
        guard let from, let to else { throw ToolFailure(.usage, "--from and --to must be times; \(TimeText.hint)") }
        if arguments.has("diff") { return try diff(hub, from: from, to: to, grain: grain) }
        let contents = RollupListing.contents(
            hub, from: from, to: to, grain: grain, source: CityPusher.ownSource(configuration))
        switch arguments["format"] ?? "json" {
        case "json":
            for content in contents {
                let item = content.item(epoch: 0, revision: 0, emitted: now.wall).without(
                    "epoch", "revision", "emitted")
                Console.print(bytes: item.bytes + [10])
            }
        case "csv":
            Console.print(
                "start,end," + MachineState.allCases.map { "\($0.rawValue)_s" }.joined(separator: ",") + ",energy_wh")
            for content in contents {
                let states = content.totals.states.map { "\(Double($0) / 1000)" }.joined(separator: ",")
                let energy = content.totals.energyMilliwattHours.map { "\(Double($0) / 1000)" } ?? ""
                Console.print("\(content.start),\(content.end),\(states),\(energy)")
            }
        default: throw ToolFailure(.usage, "--format is json or csv")
        }
        return .done
    }
}

extension RollupCommand {
    /// What would have been told with this configuration, as far as the samples reach, against what was told.
    static func diff(_ hub: Hub, from: Instant, to: Instant, grain: Window.Grain) throws -> ExitStatus {
        let zone = hub.configuration.lab.zone
        // Windows of which every sample is there, and whose slots are written.
        let oldest = max(from, (hub.store.oldest ?? to) + .hours(1))
        let written = hub.store.span(of: .slots).map { $0.1 + Slot.length } ?? .distantPast
        let windows = Window.ending(after: oldest, upTo: min(to, written), grain, in: zone)
            .filter { $0.start >= oldest }
        guard !windows.isEmpty else {
            throw ToolFailure(
                .no, "no whole window of \(grain.rawValue) lies between \(from) and \(to) for which samples are stored")
        }
        var changed = 0
        for (index, machine) in hub.configuration.machines.enumerated() {
            for (window, told, computed) in hub.whatIf(index, windows) {
                let differences = difference(told, computed)
                guard !differences.isEmpty else { continue }
                changed += 1
                Console.print("\(machine.id)  \(window.start)  " + differences.joined(separator: ", "))
            }
        }
        Console.complain(
            "\(Text.count(windows.count, "window")) of \(Text.count(hub.configuration.machines.count, "machine")): \(changed) would differ"
        )
        return changed == 0 ? .done : .no
    }

    private static func difference(_ told: Slot, _ computed: Slot) -> [String] {
        var lines: [String] = []
        func compare(_ name: String, _ before: Int64, _ after: Int64, _ scale: Double, _ unit: String) {
            if before != after { lines.append("\(name) \(Double(before) / scale) → \(Double(after) / scale)\(unit)") }
        }
        // What was not observed is what is missing to the window, so it says nothing of its own.
        for state in MachineState.allCases where state != .unknown {
            compare(state.rawValue, told[state], computed[state], 1000, " s")
        }
        compare("energy", told.energy, computed.energy, 1000, " Wh")
        compare("idle energy", told.idleEnergy, computed.idleEnergy, 1000, " Wh")
        compare("items", told.items, computed.items, 1, "")
        compare("jobs", told.jobs.reduce(0, +), computed.jobs.reduce(0, +), 1, "")
        return lines
    }
}

/// `fabgate store`: the ring itself.
enum StoreCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "store", "info|verify|export", text: "what the store holds, whether it is sound, and all of it as lines",
            options: [storeOption], example: "fabgate store verify --store /var/lib/fabgate"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let store = try openStore(folder(arguments))
        switch arguments.operands.first {
        case "info":
            for line in StoreListing.info(store) { Console.print(line) }
            return .done
        case "verify":
            let report = store.verify()
            Console.print("\(report)")
            return report.isSound ? .done : .no
        case "export":
            StoreListing.export(store)
            return .done
        default: throw ToolFailure(.usage, "fabgate store takes info, verify or export")
        }
    }
}
