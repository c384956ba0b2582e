// Rollups as CSV (RFC 4180): columns with stable names and order; new ones are added at the end.
//
//     lab … final               which window, and which version of it
//     scope                     `total`, or the name of the class, or the id of the machine
//     class, machines           the class, and how many machines stand behind the line
//     *_s                       seconds; *_wh watt-hours; *_g grams over all materials; filament_mm millimetres
//
// An empty cell is unknown or withheld, 0 is measured zero. One detail at a time, so that a column can be summed.

import CityLink
import Model

enum RollupTable {
    /// What a line stands for.
    enum Detail: String {
        case total
        case `class`
        case machine
    }

    private static let states = [
        MachineState.running, .preparing, .paused, .blocked, .idle, .fault, .offline, .unknown, .maintenance,
    ]

    static let columns: [String] =
        [
            "lab", "grain", "start", "end", "duration_s", "tz", "local_date", "epoch", "revision", "final", "scope",
            "class", "machines", "coverage_usage", "coverage_energy", "coverage_mass", "open_s", "late_dropped",
        ] + states.map { "\($0.rawValue)_s" } + JobOutcome.allCases.map { "jobs_\($0.rawValue)" } + [
            "energy_wh", "idle_energy_wh", "energy_method", "energy_corrections", "mass_in_g", "mass_product_g",
            "mass_scrap_g", "items", "shots", "filament_mm", "received", "digest", "scrap",
        ]

    static var header: [UInt8] { Array((columns.joined(separator: ",") + "\r\n").utf8) }

    /// The lines of one window; nothing for a window without this detail.
    static func append(_ rollup: StoredRollup, _ detail: Detail, to text: inout [UInt8]) {
        var problems: [String] = []
        guard let json = JSON(rollup.text), let item = RollupItem(json, &problems) else { return }
        let content = item.content
        switch detail {
        case .total:
            let machines =
                content.classes.isEmpty ? content.machines?.count : content.classes.reduce(0) { $0 + $1.machines }
            line(rollup, content, "total", "", machines, content.totals, &text)
        case .class:
            for part in content.classes {
                line(rollup, content, part.name, part.name, part.machines, part.totals, &text)
            }
        case .machine:
            for machine in content.machines ?? [] {
                line(rollup, content, machine.id, machine.className, 1, machine.totals, &text)
            }
        }
    }

    private static func line(
        _ rollup: StoredRollup, _ content: RollupContent, _ scope: String, _ className: String, _ machines: Int?,
        _ totals: UsageTotals, _ text: inout [UInt8]
    ) {
        var cells: [JSON] = [
            .string(content.lab), .string(content.grain.rawValue), .string(content.start.description),
            .string(content.end.description), thousandths(content.duration.milliseconds), .string(content.tz),
            .string(content.localDate.description), .integer(rollup.version.epoch), .integer(rollup.version.revision),
            .bool(content.isFinal), .string(scope), .string(className), count(machines.map { Int64($0) }),
            .optional(content.coverage.usage), .optional(content.coverage.energy), .optional(content.coverage.mass),
            count(content.openSeconds), .integer(content.lateDropped),
        ]
        cells += states.map { thousandths(totals[$0]) }
        cells += JobOutcome.allCases.map { count(totals[$0]) }
        cells += [
            thousandths(totals.energyMilliwattHours), thousandths(totals.idleEnergyMilliwattHours),
            .optional(totals.energyMethod), .integer(totals.energyCorrections), mass(totals.massIn),
            mass(totals.massProduct), mass(totals.massScrap), count(totals.items), count(totals.shots),
            thousandths(totals.filamentMicrometres), .string(rollup.received.description), .string(rollup.digest),
            count(totals.scrap),
        ]
        for (index, cell) in cells.enumerated() {
            if index > 0 { text.append(UInt8(ascii: ",")) }
            append(cell, to: &text)
        }
        text += [13, 10]
    }

    private static func thousandths(_ value: Int64?) -> JSON { value.map { .number(Double($0) / 1000) } ?? .null }
    private static func count(_ value: Int64?) -> JSON { value.map { .integer($0) } ?? .null }

    /// All materials together; nothing weighed is not a weight of nothing.
    private static func mass(_ grams: [String: Int64]) -> JSON {
        grams.isEmpty ? .null : .number(grams.values.reduce(0.0) { $0 + Double($1) } / 1000)
    }

    private static func append(_ cell: JSON, to text: inout [UInt8]) {
        switch cell {
        case .null: break
        case .string(let word):
            // Quotes only where they are needed; a leading = + - @ would be a formula to a spreadsheet.
            var bytes = Array(word.utf8)
            if let first = bytes.first, "=+-@\t".utf8.contains(first) { bytes.insert(UInt8(ascii: "'"), at: 0) }
            guard bytes.contains(where: { $0 == 0x22 || $0 == 0x2C || $0 == 10 || $0 == 13 }) else {
                return text += bytes
            }
            text.append(0x22)
            for byte in bytes { text += byte == 0x22 ? [0x22, 0x22] : [byte] }
            text.append(0x22)
        default: text += cell.bytes
        }
    }
}
