package import Hub
import Model
import Ports
import Simulation

/// `fabgate simulate`: days of a lab in seconds, with faults, held against what the lab really did.
enum SimulateCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "simulate",
            text: "the whole gateway under a virtual clock, from a simulated lab to a collector and back\n\n"
                + SimulationAudit.tolerances,
            options: [
                .init("days", "N", "so many days (default: 1)"),
                .init("seed", "K", "another lab and other mishaps, the same each time (default: 1)"),
                .init(
                    "faults", "LIST",
                    "any of \(SimulatedFault.allCases.map(\.rawValue).joined(separator: ",")) (default: none)"),
            ], example: "fabgate simulate --days 7 --seed 3 --faults drop,dup,kill,city"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let days = try arguments.integer("days", in: 1...390) ?? 1
        let seed = UInt64(try arguments.integer("seed", in: 0...Int.max) ?? 1)
        let faults: Set<SimulatedFault>
        switch SimulatedFault.list(arguments["faults"] ?? "") {
        case .success(let list): faults = list
        case .failure(let problem): throw ToolFailure(.usage, problem.description)
        }
        let world = try SimulatedWorld(
            SimulationPlan(hours: days * 24, seed: seed, faults: faults), try simulatedLab(),
            region: MemoryRegion(size: 32 << 20), book: MemoryRollupBook(), sha256: Digest.sha256)
        try world.run()
        report(world.audit, seed: seed, faults: faults)
        return world.audit.violations.isEmpty ? .done : .no
    }

    // MARK: words

    private static func report(_ audit: SimulationAudit, seed: UInt64, faults: Set<SimulatedFault>) {
        func padded(_ text: String, _ width: Int) -> String {
            String(repeating: " ", count: max(0, width - text.utf8.count)) + text
        }
        func line(_ cells: [String]) -> String {
            let first = cells[0] + String(repeating: " ", count: max(0, 10 - cells[0].utf8.count))
            return first + cells.dropFirst().map { padded($0, 12) }.joined()
        }
        Console.print(
            line([
                "machine", "Wh held", "Wh true", "busy s held", "busy s true", "jobs held", "jobs true", "missing",
                "doubled",
            ]))
        for row in audit.rows {
            let jobs = row.jobsHeld.map { ["\($0)", "\(row.jobsTrue)"] } ?? ["-", "-"]
            Console.print(
                line(
                    [
                        row.machine, "\(Int64(row.energyHeld / 1000))", "\(Int64(row.energyTrue / 1000))",
                        "\(row.busyHeld / 1000)", "\(row.busyTrue / 1000)",
                    ] + jobs + ["\(row.windowsMissing)", "\(row.windowsDoubled)"]))
        }
        let names = SimulatedFault.allCases.filter(faults.contains).map(\.rawValue).joined(separator: ",")
        for violation in audit.violations.prefix(20) {
            let list = names.isEmpty ? "" : " --faults \(names)"
            Console.print("\(violation.text)  [fabgate simulate --days \(violation.day) --seed \(seed)\(list)]")
        }
        let more = audit.violations.count - 20
        if more > 0 { Console.print("and \(more) more") }
        Console.complain(
            "seed \(seed): \(audit.mishaps) mishaps, \(audit.revisions) windows revised, "
                + "\(audit.violations.count) violations")
    }
}

/// The configuration of the lab that is simulated.
package func simulatedLab() throws -> Configuration {
    var reader = ConfigurationReader(catalog: try Setup().catalog) { try CivilZone.load($0) }
    let document = try YAML.parse(simulatedLabText, file: "simulation")
    guard let configuration = reader.read([document]) else {
        let problems = reader.problems.all.map { "\($0)" }.joined(separator: "\n")
        throw ToolFailure(.software, "the simulated lab's own configuration is refused:\n\(problems)")
    }
    return configuration
}

private let simulatedLabText = """
    lab: { id: "urn:fablabs:io:lab:simulated", name: Simulated, timezone: Asia/Seoul, open: { mon-sun: "09:00-22:00" } }
    mqtt: [{ name: main, url: "mqtt://127.0.0.1" }]
    serial:
      - { name: bus1, port: bus1 }
      - { name: bus2, port: bus2 }
      - { name: grbl, port: grbl }
      - { name: press, port: press }
    devices:
      - { id: printer-plug, driver: tasmota, mqtt: main, topic: printer-plug }
      - { id: shredder-plug, driver: tasmota, mqtt: main, topic: shredder-plug }
      - { id: printer-host, driver: octoprint, mqtt: main }
      - { id: laser-controller, driver: grbl, serial: grbl, every: 2 s }
      - { id: laser-meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 1, every: 10 s }
      - { id: press-zone, driver: modbus-rtu, model: autonics-tk4, serial: bus2, unit: 3, every: 5 s }
      - { id: press-meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus2, unit: 5, every: 10 s }
      - { id: press-counter, driver: line-json, model: line-json-press, serial: press }
    machines:
      - { id: printer, class: three_d_printing, devices: [printer-host, printer-plug] }
      - { id: shredder, class: plastic_shredding, devices: [shredder-plug],
          usage: { from: power, idle_below: 20 W, running_above: 150 W, dwell: 10 s } }
      - { id: laser, class: laser, devices: [laser-controller, laser-meter] }
      - { id: press, class: injection_molding, devices: [press-zone, press-counter, press-meter],
          usage: { from: press, items_per_shot: 1 } }

    """
