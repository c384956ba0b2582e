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
import fabgate

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
    /// Somebody looks at times that nobody asked for: so long after each other at most.
    var looks: (random: SeededRandom, most: Int64)?
    private var nextLook = Instant.distantPast
    private let source = RollupSource(gateway: "virtual", software: "test", tzdata: "test")

    init(seed: UInt64, start: Instant, megabytes: Int = 32) throws {
        configuration = try simulatedLab()
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
    mutating func restart(isHasty: Bool = true) throws {
        _ = try hub.store.commit()
        hub = Hub(configuration, store: try RingStore(opening: region), at: now, isHasty: isHasty)
        connect()
    }

    /// Lives until `end`.
    mutating func run(until end: Instant) throws {
        while now.wall < end {
            let deadline = hub.deadline
            let sleep = deadline.nanoseconds == .max ? Int64(1000) : (deadline - now.moment).milliseconds
            var next = min(end, min(lab.nextEvent, now.wall + .milliseconds(max(1, sleep))))
            if looks != nil { next = min(next, max(nextLook, now.wall)) }
            pass(max(1, (next - now.wall).milliseconds))
            var said: [Emission] = []
            lab.advance(to: now.wall) { said.append($0) }
            for emission in said where isConnected { hear(emission) }
            if now.moment >= hub.deadline { hub.tick(at: now) }
            look()
            carryOut()
            _ = try hub.store.commit()
        }
    }

    private mutating func look() {
        guard now.wall >= nextLook, var looks else { return }
        nextLook = now.wall + .milliseconds(Int64.random(in: 1...looks.most, using: &looks.random))
        self.looks = looks
        if looks.most % 2 == 0 { hub.settle(at: now) }
        hub.tick(at: now)
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
                case .publish, .ask, .event, .log: break
                }
            }
            effects = hub.takeEffects()
        }
    }
}
