import CityLink
import DeskFactories
import Hub
import Meters
import Model
import Plugs
import Ports
import Printers
import Simulation
import Store
import Testing
import Usage
import Workshop

/// Every driver, and every model of the checkout.
func loadCatalog() throws -> Catalog {
    let drivers = plugDrivers + meterDrivers + printerDrivers + deskFactoryDrivers + workshopDrivers
    var catalog = Catalog(drivers: drivers)
    var problems = Problems()
    let devices = try Installation.find().devices
    for family in try Files.folders(in: devices) where Files.isFolder("\(devices)/\(family)/models") {
        for model in try Files.folders(in: "\(devices)/\(family)/models") {
            let profile = try YAML.load(path: "\(devices)/\(family)/models/\(model)/profile.yaml")
            catalog.add(model: model, family: family, profile, &problems)
        }
    }
    #expect(problems.all == [])
    return catalog
}

let labConfiguration = """
    lab: { id: "urn:fablabs:io:lab:virtual", name: Virtual, timezone: Asia/Seoul, open: { mon-sun: "09:00-22:00" } }
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

/// A hub and a simulated lab in one thread, with a clock that goes as fast as it can be computed.
struct VirtualGateway {
    var lab: SimulatedLab
    var hub: Hub
    let region: MemoryRegion
    let configuration: Configuration
    private(set) var now: Now
    /// The newest content of each window that was closed.
    private(set) var closed: [RollupKey: RollupContent] = [:]
    /// Whether what the lab says reaches the hub.
    var isConnected = true
    private let source = RollupSource(gateway: "virtual", software: "test", tzdata: "test")

    init(seed: UInt64, start: Instant, megabytes: Int = 32) throws {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let read = reader.read([try YAML.parse(labConfiguration, file: "lab.yaml")])
        configuration = try #require(read, "\(reader.problems.all)")
        region = MemoryRegion(size: megabytes << 20)
        now = Now(moment: Moment(nanoseconds: 0), wall: start)
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 7, count: 16))
        lab = SimulatedLab(seed: seed, start: start)
        hub = Hub(configuration, store: store, at: now)
        connect()
    }

    private mutating func connect() {
        hub.broker(0, isUp: true, "connected", at: now)
        for line in configuration.lines.indices { hub.line(line, isOpen: true, "open", at: now) }
    }

    mutating func loseBroker() { hub.broker(0, isUp: false, "connection lost", at: now) }

    /// The hub's process ends here and another one starts, with what the region holds.
    mutating func restart() throws {
        _ = try hub.store.commit()
        hub = Hub(configuration, store: try RingStore(opening: region), at: now)
        connect()
    }

    /// Lives until `end`.
    mutating func run(until end: Instant) throws {
        while now.wall < end {
            let deadline = hub.deadline
            let sleep = deadline.nanoseconds == .max ? Int64(1000) : (deadline - now.moment).milliseconds
            let next = min(end, min(lab.nextEvent, now.wall + .milliseconds(max(1, sleep))))
            pass(max(1, (next - now.wall).milliseconds))
            var said: [Emission] = []
            lab.advance(to: now.wall) { said.append($0) }
            for emission in said where isConnected { hear(emission) }
            if now.moment >= hub.deadline { hub.tick(at: now) }
            carryOut()
            _ = try hub.store.commit()
        }
    }

    /// Time passes without anybody noticing.
    mutating func pass(_ milliseconds: Int64) {
        now = Now(moment: now.moment + .milliseconds(milliseconds), wall: now.wall + .milliseconds(milliseconds))
    }

    private mutating func hear(_ emission: Emission) {
        switch emission {
        case .publish(let topic, let payload, _):
            hub.message(payload.span, topic: topic, isRetained: false, broker: 0, at: now)
        case .serial(let wire, let bytes):
            guard let line = configuration.lines.firstIndex(where: { $0.name == wire }) else { return }
            hub.bytes(bytes.span, line: line, at: now)
        }
    }

    private mutating func carryOut() {
        var effects = hub.takeEffects()
        while !effects.isEmpty {
            for effect in effects {
                switch effect {
                case .write(let line, let bytes):
                    let wire = configuration.lines[line].name
                    for reply in lab.received(bytes, on: wire, at: now.wall) where isConnected {
                        hub.bytes(reply.span, line: line, at: now)
                    }
                case .window(let window):
                    let content = hub.content(of: window, source: source, showsMachines: true)
                    closed[content.key] = content
                case .publish, .event, .log: break
                }
            }
            effects = hub.takeEffects()
        }
    }
}
