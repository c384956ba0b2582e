package import Hub
package import Model
import Ports
package import Simulation

/// The labs that can be simulated, and their configurations.
package enum SimulatedLabs {
    /// A lab from a seed: the four machines of the demonstration, or a maker space of `machines`.
    package static func place(_ machines: Int?, seed: UInt64, start: Instant) -> any SimulatedPlace {
        guard let machines else { return SimulatedLab(seed: seed, start: start) }
        return MakerSpace(seed: seed, start: start, machines: machines)
    }

    package static func configuration(_ machines: Int?) throws -> Configuration {
        try read(machines.map { makerSpace(MakerSpace.places($0)) } ?? demonstration)
    }

    private static func read(_ text: String) throws -> Configuration {
        var reader = ConfigurationReader(catalog: try Setup().catalog) { try CivilZone.load($0) }
        let document = try YAML.parse(text, file: "simulation")
        guard let configuration = reader.read([document]) else {
            let problems = reader.problems.all.map { "\($0)" }.joined(separator: "\n")
            throw ToolFailure(.software, "the simulated lab's own configuration is refused:\n\(problems)")
        }
        return configuration
    }

    private static let demonstration = """
        lab: { id: "urn:fablabs:io:lab:simulated", name: Simulated, timezone: Asia/Seoul, open: { mon-sun: "09:00-22:00" } }
        mqtt: [{ name: main, url: "mqtt://127.0.0.1" }]
        serial:
          - { name: bus1, port: bus1 }
          - { name: bus2, port: bus2 }
          - { name: grbl, port: grbl }
          - { name: press, port: press }
          - { name: scale, port: scale }
        devices:
          - { id: printer-plug, driver: tasmota, mqtt: main, topic: printer-plug }
          - { id: shredder-plug, driver: tasmota, mqtt: main, topic: shredder-plug }
          - { id: printer-host, driver: octoprint, mqtt: main }
          - { id: laser-controller, driver: grbl, serial: grbl, every: 2 s }
          - { id: laser-meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 1, every: 10 s }
          - { id: press-zone, driver: modbus-rtu, model: autonics-tk4, serial: bus2, unit: 3, every: 5 s }
          - { id: press-nozzle, driver: modbus-rtu, model: autonics-tk4, serial: bus2, unit: 4, every: 5 s, zone: 2 }
          - { id: press-meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus2, unit: 5, every: 10 s }
          - { id: press-counter, driver: line-json, model: line-json-press, serial: press }
          - { id: press-scale, driver: scale, serial: scale }
        \(moulds)machines:
          - { id: printer, class: three_d_printing, devices: [printer-host, printer-plug] }
          - { id: shredder, class: plastic_shredding, devices: [shredder-plug],
              usage: { from: power, idle_below: 20 W, running_above: 150 W, dwell: 10 s } }
          - { id: laser, class: laser, devices: [laser-controller, laser-meter] }
          - { id: press, class: injection_molding, usage: { from: press },
              devices: [press-zone, press-nozzle, press-counter, press-meter, press-scale],
              \(material(scale: "press-scale")) }

        """

    // MARK: presses

    /// The table of the simulated presses' moulds.
    package static let moulds =
        "moulds:\n"
        + PressMould.all.map { mould in
            "  \(mould.name): { item: \(mould.item), polymer: \(mould.polymer.rawValue), shot_g: \(mould.shot), "
                + "items: \(mould.items) }\n"
        }.joined()

    /// What tells the material of a simulated press, as keys of its machine.
    package static func material(scale: String) -> String {
        "mould: \(PressMould.all[0].name), mass: { product: \(scale), step: 2 g, limit: 10 % }"
    }

    // MARK: the maker space

    private static let zone = "Asia/Seoul"

    private static func makerSpace(_ places: [MakerSpace.Place]) -> String {
        var lines: [String] = []
        var devices: [String] = []
        var machines: [String] = []
        func wire(_ name: String) {
            let line = "  - { name: \(name), port: \(name) }"
            if !lines.contains(line) { lines.append(line) }
        }
        for place in places { describe(place, wire, &devices, &machines) }
        let serial = lines.isEmpty ? "" : "serial:\n" + lines.joined(separator: "\n") + "\n"
        return """
            lab: { id: "urn:fablabs:io:lab:simulated", name: Simulated, timezone: \(zone), open: { mon-sat: "10:00-22:00" } }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1" }]
            \(serial)devices:
            \(devices.map { "  - { \($0) }" }.joined(separator: "\n"))
            \(moulds)machines:
            \(machines.map { "  - { \($0) }" }.joined(separator: "\n"))

            """
    }

    private static func describe(
        _ place: MakerSpace.Place, _ wire: (String) -> Void, _ devices: inout [String], _ machines: inout [String]
    ) {
        let id = place.machine
        let plug = "id: \(id)-plug, driver: tasmota, mqtt: main, topic: \(id)-plug"
        switch place.kind {
        case .tool(let machineClass, let idle, let running):
            devices.append(plug)
            machines.append(
                "id: \(id), class: \(machineClass), devices: [\(id)-plug], "
                    + "usage: { from: power, idle_below: \(idle) W, running_above: \(running) W, dwell: 10 s }")
        case .printer:
            devices.append("id: \(id)-host, driver: octoprint, mqtt: main, topic: octo/\(place.number)")
            devices.append(plug)
            machines.append("id: \(id), class: three_d_printing, devices: [\(id)-host, \(id)-plug]")
        case .networkPrinter(let language):
            let speaks =
                switch language {
                case .bambuP1:
                    "driver: bambu, model: bambu-p1-a1, mqtt: main, serial_number: \(place.serialNumber), every: 4 min"
                case .bambuX1:
                    "driver: bambu, model: bambu-x1-h2, mqtt: main, serial_number: \(place.serialNumber), every: 4 min"
                case .klipper: "driver: moonraker, mqtt: main, topic: klipper-\(place.number), every: 4 min"
                case .prusa: "driver: prusalink, url: \"http://\(id).local\", every: 60 s, silence: 10 min"
                }
            devices.append("id: \(id)-host, \(speaks)")
            devices.append(plug)
            machines.append("id: \(id), class: three_d_printing, devices: [\(id)-host, \(id)-plug]")
        case .serialPrinter(let reports):
            wire("marlin-\(place.number)")
            let pause = reports ? "5 s" : "30 s, silence: 5 min"
            devices.append("id: \(id)-board, driver: marlin, serial: marlin-\(place.number), every: \(pause)")
            devices.append(plug)
            machines.append("id: \(id), class: three_d_printing, devices: [\(id)-board, \(id)-plug]")
        case .plant(let unit):
            wire("bus1")
            devices.append(
                "id: \(id)-meter, driver: modbus-rtu, model: pzem-016, serial: bus1, unit: \(unit), every: 120 s")
            machines.append(
                "id: \(id), class: other, devices: [\(id)-meter], "
                    + "usage: { from: power, idle_below: 20 W, running_above: 300 W, dwell: 0 s }")
        case .laser:
            wire("grbl")
            wire("bus3")
            devices.append("id: \(id)-controller, driver: grbl, serial: grbl, every: 20 s")
            devices.append(
                "id: \(id)-meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus3, unit: 1, every: 600 s")
            machines.append("id: \(id), class: laser, devices: [\(id)-controller, \(id)-meter]")
        case .press:
            let (bus, board, scale) = (
                "press-bus-\(place.number)", "press-board-\(place.number)", "press-scale-\(place.number)"
            )
            wire(bus)
            wire(board)
            wire(scale)
            devices += [
                "id: \(id)-zone, driver: modbus-rtu, model: autonics-tk4, serial: \(bus), unit: 3, every: 60 s",
                "id: \(id)-nozzle, driver: modbus-rtu, model: autonics-tk4, serial: \(bus), unit: 4, every: 60 s, zone: 2",
                "id: \(id)-meter, driver: modbus-rtu, model: eastron-sdm120, serial: \(bus), unit: 5, every: 600 s",
                "id: \(id)-counter, driver: line-json, model: line-json-press, serial: \(board), silence: 10 min",
                "id: \(id)-scale, driver: scale, serial: \(scale), silence: 10 min",
            ]
            let parts = ["zone", "nozzle", "counter", "meter", "scale"].map { "\(id)-\($0)" }.joined(separator: ", ")
            machines.append(
                "id: \(id), class: injection_molding, devices: [\(parts)], usage: { from: press }, "
                    + material(scale: "\(id)-scale"))
        case .bench:
            devices.append(
                "id: \(id)-reader, driver: mqtt-json, mqtt: main, topic: access/\(id), silence: 35 min, values: ["
                    + "{ channel: state, path: mode, words: { in: running, out: idle } }, "
                    + "{ channel: occupied, path: occupied }]")
            machines.append("id: \(id), class: electronics, devices: [\(id)-reader]")
        }
    }
}

/// The configuration of the demonstration's lab.
package func simulatedLab() throws -> Configuration { try SimulatedLabs.configuration(nil) }
