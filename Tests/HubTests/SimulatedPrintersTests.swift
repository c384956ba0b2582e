import CityLink
import Hub
import Model
import Ports
import Simulation
import Store
import Testing
import Usage

/// Printers of every protocol and the whole hub in one thread. Its process may die, and what is said meanwhile is lost.
private struct PrinterHall {
    var printers: SimulatedPrinters
    var hub: Hub
    let configuration: Configuration
    let region = MemoryRegion(size: 32 << 20)
    var now: Now

    static let machines = ["p1s", "x1c", "voron", "mk4"]

    init(seed: UInt64, start: Instant) throws {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let text = """
            lab: { id: "urn:x:hall", timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1" }]
            devices:
              - { id: p1s, driver: bambu, mqtt: main, serial_number: 01P00A000000001 }
              - { id: x1c, driver: bambu, model: bambu-x1-h2, mqtt: main, serial_number: 00M00A000000002 }
              - { id: voron, driver: moonraker, mqtt: main, topic: voron }
              - { id: mk4, driver: prusalink, url: "http://mk4.local" }
            machines:
              - { id: p1s, class: three_d_printing, devices: [p1s] }
              - { id: x1c, class: three_d_printing, devices: [x1c] }
              - { id: voron, class: three_d_printing, devices: [voron] }
              - { id: mk4, class: three_d_printing, devices: [mk4] }

            """
        configuration = try #require(
            reader.read([try YAML.parse(text, file: "hall.yaml")]), "\(reader.problems.all)")
        now = Now(moment: Moment(nanoseconds: 1_000_000_000), wall: start)
        printers = SimulatedPrinters(seed: seed, start: start)
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 9, count: 16))
        hub = Hub(configuration, store: store, at: now)
        connect()
    }

    private mutating func connect() {
        hub.broker(0, isUp: true, "connected", at: now)
        hub.open(endpoint: 0, at: now)
        carryOut()
    }

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

    /// The process is killed; another one starts after a while with what the region holds.
    mutating func die(for length: Duration) throws {
        pass(now.wall + length)
        printers.advance(to: now.wall) { _ in }
        hub = Hub(configuration, store: try RingStore(opening: region), at: now)
        connect()
    }

    private mutating func pass(_ time: Instant) { now = Now(moment: now.moment + (time - now.wall), wall: time) }

    private mutating func hear(_ emission: Emission) {
        guard case .publish(let topic, let payload, _) = emission else { return }
        hub.message(payload.span, topic: topic, isRetained: false, broker: 0, at: now)
    }

    private mutating func carryOut() {
        var effects = hub.takeEffects()
        while !effects.isEmpty {
            for effect in effects {
                switch effect {
                case .publish(_, let topic, let payload):
                    for emission in printers.received(topic, payload, at: now.wall) { hear(emission) }
                case .ask(let endpoint, let number, let path, _, _):
                    let (status, body) = printers.answer(path, at: now.wall)
                    hub.answer(body.span, status: status, path: path, number: number, endpoint: endpoint, at: now)
                case .write, .event, .log, .window: break
                }
            }
            effects = hub.takeEffects()
        }
    }

    /// Jobs of a machine by outcome: what the store holds, and what really happened.
    func jobs(_ machine: String) -> (told: [JobOutcome: Int], real: [JobOutcome: Int]) {
        let end = now.wall + .hours(1)
        return (
            hub.store.jobs(of: machine, from: printers.start, to: end),
            printers.truth.jobs(machine, from: printers.start, to: end)
        )
    }
}

extension PrinterHall {
    /// mm of filament by the machine's slots, and really.
    var filament: (told: Double, real: Double) {
        let index = Self.machines.firstIndex(of: "voron") ?? 0
        let to = now.wall.floor(to: Slot.length) + Slot.length
        return (Double(hub.sum(of: index, from: printers.start, to: to).filament) / 1000, printers.filament)
    }
}

@Suite struct SimulatedPrintersTests {
    private static let start = Instant(milliseconds: 1_795_000_000_000)

    @Test(arguments: [1, 2] as [UInt64]) func everyPrintIsCountedOnceAsItEnded(seed: UInt64) throws {
        var hall = try PrinterHall(seed: seed, start: Self.start)
        try hall.live(.hours(6))
        for machine in PrinterHall.machines {
            let (told, real) = hall.jobs(machine)
            #expect(told == real, "seed \(seed), \(machine)")
            #expect(real.values.reduce(0, +) > 1)
        }
        let (told, real) = hall.filament
        #expect(real > 1000 && abs(told - real) < 0.01, "seed \(seed): \(told) mm, really \(real) mm")
        // The city hears of it; of printers that do not tell of filament it hears nothing.
        let day = Window.containing(hall.now.wall, .day, in: .utc)
        let source = RollupSource(gateway: "hall", software: "test", tzdata: "test")
        let machines = try #require(hall.hub.content(of: day, source: source, showsMachines: true).machines)
        for machine in machines {
            let filament = machine.totals.filamentMicrometres
            #expect(machine.id == "voron" ? filament.map { $0 > 1_000_000 } == true : filament == nil)
        }
    }

    @Test(arguments: [11, 12] as [UInt64]) func killedAgainAndAgainNoPrintIsCountedTwiceOrLost(seed: UInt64) throws {
        var hall = try PrinterHall(seed: seed, start: Self.start)
        var random = SeededRandom(seed)
        for _ in 0..<6 {
            try hall.live(.seconds(.random(in: 600...5400, using: &random)))
            // Shorter than any pause between two prints, so that none begins and ends unseen.
            try hall.die(for: .seconds(.random(in: 3...120, using: &random)))
        }
        try hall.live(.hours(4))
        for machine in PrinterHall.machines {
            let (told, real) = hall.jobs(machine)
            #expect(
                told.values.reduce(0, +) == real.values.reduce(0, +),
                "seed \(seed), \(machine): \(told), really \(real)")
            for (outcome, count) in told where outcome != .unknown {
                #expect(count <= real[outcome, default: 0], "seed \(seed), \(machine): \(told), really \(real)")
            }
        }
        // What a print used until somebody confirmed its end, and nobody heard, is lost: at most two minutes each time.
        let (told, real) = hall.filament
        #expect(told <= real + 0.01 && told >= real - 6 * 120 * 2.6, "seed \(seed): \(told) mm, really \(real) mm")
        // Klipper's history and PrusaLink's record know how every one of them ended.
        for machine in ["voron", "mk4"] {
            let (told, real) = hall.jobs(machine)
            #expect(told == real, "seed \(seed), \(machine)")
        }
    }

    @Test func klipperTellsWhatWasPrintedWhileTheGatewayWasOff() throws {
        var hall = try PrinterHall(seed: 5, start: Self.start)
        try hall.live(.hours(2))
        try hall.die(for: .hours(8))
        try hall.live(.hours(2))
        let (told, real) = hall.jobs("voron")
        #expect(told == real)
        #expect(real.values.reduce(0, +) > 1)
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
