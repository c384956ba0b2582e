import Hub
import Model
import Ports
import Simulation
import Store
import Testing
import Usage

/// Printers and the whole hub in one thread, on a clock that runs as fast as they let it. The gateway's process may die,
/// cables may be pulled, and what is said meanwhile is lost.
struct PrinterHall {
    var printers: MakerSpace
    var hub: Hub
    var now: Now
    private let region = MemoryRegion(size: 32 << 20)
    private let configuration: Configuration
    private let wires: [String]
    private var chunks: SeededRandom
    private var areLinesOpen = true

    /// Each machine is one device of the same name.
    init(_ places: [MakerSpace.Place], seed: UInt64, start: Instant) throws {
        wires = places.compactMap { if case .serialPrinter = $0.kind { Self.wire($0) } else { nil } }
        let text = Self.text(places, wires)
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        configuration = try #require(
            reader.read([try YAML.parse(text, file: "hall.yaml")]), "\(reader.problems.all)")
        now = Now(moment: Moment(nanoseconds: 1_000_000_000), wall: start)
        printers = MakerSpace(places, seed: seed, start: start, profile: .demo)
        chunks = SeededRandom(seed &+ 77)
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 9, count: 16))
        hub = Hub(configuration, store: store, at: now)
        connect()
    }

    private static func wire(_ place: MakerSpace.Place) -> String { "marlin-\(place.number)" }

    private static func text(_ places: [MakerSpace.Place], _ wires: [String]) -> String {
        func list(_ lines: [String]) -> String { lines.map { "  - { \($0) }\n" }.joined() }
        let devices = places.map { place in
            let speaks =
                switch place.kind {
                case .networkPrinter(.bambuP1): "bambu, mqtt: main, serial_number: \(place.serialNumber)"
                case .networkPrinter(.bambuX1):
                    "bambu, model: bambu-x1-h2, mqtt: main, serial_number: \(place.serialNumber)"
                case .networkPrinter(.klipper): "moonraker, mqtt: main, topic: klipper-\(place.number)"
                case .networkPrinter(.prusa): "prusalink, url: \"http://\(place.machine).local\""
                default: "marlin, serial: \(wire(place))"
                }
            return "id: \(place.machine), driver: \(speaks)"
        }
        return "lab: { id: \"urn:x:hall\", timezone: UTC }\nmqtt: [{ name: main, url: \"mqtt://127.0.0.1\" }]\n"
            + (wires.isEmpty ? "" : "serial:\n" + list(wires.map { "name: \($0), port: \($0)" }))
            + "devices:\n" + list(devices) + "machines:\n"
            + list(places.map { "id: \($0.machine), class: three_d_printing, devices: [\($0.machine)]" })
    }

    private mutating func connect() {
        hub.broker(0, isUp: true, "connected", at: now)
        for endpoint in configuration.endpoints.indices { hub.open(endpoint: endpoint, at: now) }
        for line in wires.indices { hub.line(line, isOpen: areLinesOpen, "open", at: now) }
        carryOut()
    }

    // MARK: time

    mutating func live(_ length: Duration) throws {
        let end = now.wall + length
        while now.wall < end {
            let sleep = max(.milliseconds(1), min(hub.deadline - now.moment, .hours(1)))
            pass(min(end, max(now.wall + .milliseconds(1), min(printers.nextEvent, now.wall + sleep))))
            var said: [Emission] = []
            printers.advance(to: now.wall) { said.append($0) }
            for emission in said { hear(emission) }
            if now.moment >= hub.deadline { hub.tick(at: now) }
            carryOut()
            _ = try hub.store.commit()
        }
    }

    /// Lives until the next print of a machine will end so soon. The lab is a value: a copy of it knows.
    mutating func live(untilBefore end: Duration, of machine: String) throws {
        var future = printers
        var time = now.wall
        while future.truth.jobEnds(machine, from: now.wall + end, to: time).isEmpty {
            time = time + .minutes(1)
            try #require(time < now.wall + .hours(12), "no print ends")
            future.advance(to: time) { _ in }
        }
        let next = try #require(future.truth.jobEnds(machine, from: now.wall + end, to: time).first)
        try live(next - end - now.wall)
    }

    private mutating func pass(_ time: Instant) { now = Now(moment: now.moment + (time - now.wall), wall: time) }

    // MARK: links

    private mutating func hear(_ emission: Emission) {
        switch emission {
        case .publish(let topic, let payload, _):
            hub.message(payload.span, topic: topic, isRetained: false, broker: 0, at: now)
        case .serial(let wire, let bytes): hear(bytes, on: wire)
        }
    }

    /// In pieces, as the system hands them over.
    private mutating func hear(_ bytes: [UInt8], on wire: String) {
        guard areLinesOpen, let line = wires.firstIndex(of: wire) else { return }
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(.random(in: 1...40, using: &chunks)))
            hub.bytes(piece.span, line: line, at: now)
            rest.removeFirst(piece.count)
        }
    }

    private mutating func carryOut() {
        var effects = hub.takeEffects()
        while !effects.isEmpty {
            for effect in effects { carryOut(effect) }
            effects = hub.takeEffects()
        }
    }

    private mutating func carryOut(_ effect: Effect) {
        switch effect {
        case .publish(_, let topic, let payload):
            for emission in printers.received(payload, topic: topic, at: now.wall) { hear(emission) }
        case .ask(let endpoint, let number, let path, _, _):
            let machine = configuration.endpoints[endpoint].name
            guard let (status, body) = printers.answer(path, of: machine, at: now.wall) else { return }
            hub.answer(body.span, status: status, path: path, number: number, endpoint: endpoint, at: now)
        case .write(let line, let bytes):
            for reply in printers.received(bytes, on: wires[line], at: now.wall) { hear(reply, on: wires[line]) }
        case .event, .log, .window: break
        }
    }

    // MARK: mishaps

    /// The process is killed; another one starts after a while with what the region holds.
    mutating func die(for length: Duration) throws {
        pass(now.wall + length)
        printers.advance(to: now.wall) { _ in }
        hub = Hub(configuration, store: try RingStore(opening: region), at: now)
        connect()
    }

    /// The serial cables are pulled out for a while.
    mutating func unplug(for length: Duration) throws {
        areLinesOpen = false
        for line in wires.indices { hub.line(line, isOpen: false, "gone", at: now) }
        try live(length)
    }

    /// They are plugged in again; where it `resets`, that resets the boards.
    mutating func plugIn(resets: Bool) {
        areLinesOpen = true
        if resets { for wire in wires { printers.portOpened(wire, at: now.wall) } }
        connect()
    }

    /// The mains of all of them dip.
    mutating func cutPower() { for machine in printers.machines { _ = printers.cutPower(of: machine) } }

    // MARK: what was told, and what really happened

    /// Jobs of a machine by outcome: what the store holds, and what really happened.
    func jobs(_ machine: String) -> (told: [JobOutcome: Int], real: [JobOutcome: Int]) {
        let end = now.wall + .hours(1)
        return (
            hub.store.jobs(of: machine, from: printers.start, to: end),
            printers.truth.jobs(machine, from: printers.start, to: end)
        )
    }

    /// mm of filament by the machine's slots, and really.
    func filament(_ machine: String) throws -> (told: Double, real: Double) {
        let real = try #require(printers.filament(of: machine))
        let to = now.wall.floor(to: Slot.length) + Slot.length
        return (Double(hub.sum(of: try index(machine), from: first, to: to).filament) / 1000, real)
    }

    func states(_ machine: String) throws -> (told: Slot, real: [MachineState: Int64]) {
        let to = now.wall.floor(to: Slot.length)
        let real = printers.truth.stateMilliseconds(machine, from: first, to: to)
        return (hub.sum(of: try index(machine), from: first, to: to), real)
    }

    /// Machines that are at a print just now; or, `heating`, only those whose print heats up.
    func busy(heating: Bool = false) -> Set<String> {
        let states: [MachineState] = heating ? [.preparing] : [.preparing, .running, .paused, .blocked]
        return Set(
            printers.machines.filter {
                let now = printers.truth.stateMilliseconds($0, from: now.wall - .seconds(1), to: now.wall)
                return states.contains { now[$0] != nil }
            })
    }

    /// Where the first slots begin.
    private var first: Instant { printers.start.floor(to: .hours(1)) }

    private func index(_ machine: String) throws -> Int {
        try #require(printers.machines.firstIndex(of: machine), "no machine is called \(machine)")
    }
}

extension RingStore {
    /// What it holds of a device's jobs, by outcome.
    func jobs(of device: String, from: Instant, to: Instant) -> [JobOutcome: Int] {
        var jobs: [JobOutcome: Int] = [:]
        guard let series = find(SeriesKey(device: device, channel: "job")) else { return jobs }
        scan(series.id, from: from, to: to) { sample in
            if case .text(let name) = sample.value, let outcome = JobOutcome(rawValue: name) {
                jobs[outcome, default: 0] += 1
            }
            return true
        }
        return jobs
    }
}
