import Hub
import Model
import Ports
import Store
import Usage

/// `fabgate query MACHINE`: the zones of a press against their set values as they were last told, and what the machine
/// made and used in a stretch of whole quarter hours, job by job, too. Computed from the store, so that no gateway need run.
enum MachineQuery {
    /// One line: `zone1 temperature, 199.8, °C, 2026-11-23T01:00:00.000Z`.
    private struct Row {
        let name: String
        let value: JSON
        var unit = ""
        var time: Instant?
    }

    static func run(_ name: String, _ arguments: Arguments, format: String) throws -> ExitStatus {
        guard arguments["step"] == nil else {
            throw ToolFailure(.usage, "--step is for a series; a machine is summed up over whole quarter hours")
        }
        let (hub, now) = try lookInto(arguments)
        guard let index = hub.configuration.machines.firstIndex(where: { $0.id == name }) else {
            let known = hub.configuration.machines.map(\.id)
            throw ToolFailure(
                .no,
                "no machine is called '\(name)'" + Suggestion.phrase(for: name, among: known)
                    + "; a series is DEVICE/CHANNEL")
        }
        let (from, to) = try stretch(arguments, hub, now, from: "today")
        let begin = from.floor(to: Slot.length)
        let end = to.floor(to: Slot.length) == to ? to : to.floor(to: Slot.length) + Slot.length
        let view = hub.machineViews(at: Now(moment: Moment(nanoseconds: 0), wall: now))[index]
        let rows =
            zones(hub, hub.configuration.machines[index], before: to)
            + made(hub.sum(of: index, from: begin, to: end), view)
            + jobs(hub.jobs(from: begin, to: end).filter { $0.machine == name }.map(\.job), view)
        print(rows, name: name, from: begin, to: end, format: format)
        return .done
    }

    // MARK: rows

    private static func zones(_ hub: Hub, _ machine: Configuration.Machine, before end: Instant) -> [Row] {
        var rows: [Row] = []
        for index in machine.devices {
            let device = hub.configuration.devices[index]
            for channel in device.driver.channels {
                let parts = channel.name.split(separator: ".")
                guard parts.count == 2, parts[1].hasPrefix("zone"), ["temperature", "setpoint"].contains(parts[0]),
                    machine.zones?.contains(String(parts[1])) ?? true,
                    let info = hub.store.find(SeriesKey(device: device.id, channel: channel.name))
                else { continue }
                var last: Sample?
                hub.store.scan(info.id, from: end - .hours(24), to: end) { sample in
                    last = sample
                    return true
                }
                guard let last else { continue }
                let value: JSON = if case .number(let number) = last.value { .number(number) } else { .null }
                let words = parts[0] == "setpoint" ? "set value" : "temperature"
                rows.append(Row(name: "\(parts[1]) \(words)", value: value, unit: "°C", time: last.time))
            }
        }
        return rows.sorted { $0.name < $1.name }
    }

    private static func made(_ sum: Slot, _ view: MachineView) -> [Row] {
        var rows: [Row] = []
        if let material = view.material, !material.moulds.isEmpty {
            rows.append(Row(name: "mould", value: .optional(material.mould?.name), time: material.chosen))
        }
        if view.countsShots { rows.append(Row(name: "shots", value: .integer(sum.shots))) }
        if view.countsItems { rows.append(Row(name: "items", value: .integer(sum.items))) }
        if view.countsScrap { rows.append(Row(name: "scrap", value: .integer(sum.scrap))) }
        if view.countsFilament {
            let millimetres = sum.knownFilament.map { Double($0) / 1000 }
            rows.append(Row(name: "filament", value: .optional(millimetres), unit: "mm"))
        }
        for (name, masses) in [("in", sum.massIn), ("product", sum.massProduct), ("scrap", sum.massScrap)] {
            for polymer in Polymer.allCases where masses[polymer.index] != 0 {
                let grams = Double(masses[polymer.index]) / 1000
                rows.append(Row(name: "mass \(name) \(polymer.rawValue)", value: .number(grams), unit: "g"))
            }
        }
        for outcome in JobOutcome.allCases where sum[outcome] > 0 {
            rows.append(Row(name: "jobs \(outcome.rawValue)", value: .integer(sum[outcome])))
        }
        for state in MachineState.allCases where sum[state] > 0 {
            rows.append(Row(name: state.rawValue, value: .number(Double(sum[state]) / 1000), unit: "s"))
        }
        guard view.countsEnergy else { return rows }
        let energy: Double? = sum.energyCovered > 0 ? Double(sum.energy) / 1e6 : nil
        rows.append(Row(name: "energy", value: .optional(energy), unit: "kWh"))
        if view.countsItems {
            let each = sum.items > 0 ? energy.map { ($0 / Double(sum.items) * 1e6).rounded() / 1e6 } : nil
            rows.append(Row(name: "energy an item", value: .optional(each), unit: "kWh"))
        }
        return rows
    }

    /// How long each job took and what it drew, with the time of its end; of one that is on, when it began.
    private static func jobs(_ jobs: [JobRecord], _ view: MachineView) -> [Row] {
        jobs.flatMap { job in
            let time = job.end ?? job.start
            let name = "job " + (job.outcome?.rawValue ?? (job.end == nil ? "goes on" : "ended"))
            let length = job.end.map { Double(($0 - job.start).milliseconds) / 1000 }
            let rows = [Row(name: name, value: .optional(length), unit: "s", time: time)]
            guard view.countsEnergy else { return rows }
            let energy = job.energy.map { Double($0) / 1e6 }
            return rows + [Row(name: "energy of this job", value: .optional(energy), unit: "kWh", time: time)]
        }
    }

    // MARK: printing

    private static func print(_ rows: [Row], name: String, from: Instant, to: Instant, format: String) {
        switch format {
        case "json":
            let quantities = rows.map { row in
                JSON.object([
                    "quantity": .string(row.name), "value": row.value,
                    "unit": row.unit.isEmpty ? .null : .string(row.unit), "t": .optional(row.time?.description),
                ])
            }
            let all = JSON.object([
                "machine": .string(name), "from": .string(from.description), "to": .string(to.description),
                "quantities": .array(quantities),
            ])
            Console.print(bytes: all.bytes + [10])
        case "csv":
            Console.print("quantity,value,unit,t")
            for row in rows {
                Console.print("\(row.name),\(text(row.value, none: "")),\(row.unit),\(row.time?.description ?? "")")
            }
        default:
            Console.print("\(name), \(from) to \(to)")
            for row in rows {
                let value = text(row.value, none: "-") + (row.unit.isEmpty ? "" : " \(row.unit)")
                let cells = [(row.name, 22), (value, 16)].map { text, width in
                    text + String(repeating: " ", count: max(1, width - text.count))
                }
                Console.print(cells.joined() + (row.time.map { "\($0)" } ?? ""))
            }
        }
    }

    private static func text(_ value: JSON, none: String) -> String {
        switch value {
        case .null: none
        case .string(let text): text
        default: String(decoding: value.bytes, as: UTF8.self)
        }
    }
}
