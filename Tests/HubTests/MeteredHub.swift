import CityLink
import Hub
import Model
import Plugs
import Ports
import Simulation
import Store
import Testing
import Usage

/// A hub with one metered machine whose meter says power and energy with its own times, on a virtual clock.
struct MeteredHub {
    private(set) var configuration: Configuration
    private(set) var region: MemoryRegion
    private(set) var hub: Hub
    private(set) var now: Now
    /// Every content that was offered, in order.
    private(set) var told: [RollupContent] = []
    /// What it logged since it was started.
    private(set) var logged: [String] = []
    private let source = RollupSource(gateway: "test", software: "test", tzdata: "test")

    static let start = Instant("2026-11-22T15:00:00Z") ?? .distantPast

    static func configuration(_ usage: String = "", machine: String = "", more: String = "") throws -> Configuration {
        let text = """
            lab: { id: "urn:fablabs:io:lab:test", name: Test, timezone: Asia/Seoul, open: { mon-fri: "10:00-22:00" } }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            devices:
              - id: meter
                driver: influx-line
                mqtt: main
                topic: sensors/power
                precision: ms
                values: [{ channel: power, field: w, unit: W }, { channel: energy, field: wh, unit: Wh, resolution: 1 mWh }]
              - { id: plug, driver: shelly-gen1, mqtt: main, topic: shellies/plug }
            machines:
              - { id: saw, class: woodwork, devices: [meter], \(machine)
                  usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s\(usage) } }
            \(more)
            """
        var reader = ConfigurationReader(catalog: Catalog(drivers: plugDrivers)) { try CivilZone.load($0) }
        let configuration = reader.read([try YAML.parse(text, file: "fabgate.yaml")])
        return try #require(configuration, "\(reader.problems.all.map(\.description))")
    }

    init(
        _ configuration: Configuration, start: Instant = MeteredHub.start, kibibytes: Int = 8 << 10, series: Int = 2000
    ) throws {
        self.configuration = configuration
        region = MemoryRegion(size: kibibytes << 10)
        now = Now(moment: Moment(nanoseconds: 1_000_000_000), wall: start)
        let store = try RingStore.create(
            in: region, plan: StorePlan(seriesLimit: series), identity: [UInt8](repeating: 7, count: 16))
        hub = Hub(configuration, store: store, at: now)
        hub.broker(0, isUp: true, "connected", at: now)
    }

    /// The meter's words, which arrive now.
    mutating func say(_ samples: [MeterSample], topic: String = "sensors/power") {
        let lines = samples.map { "power w=\($0.watts),wh=\($0.wattHours) \($0.time.milliseconds)" }
        hear(lines.joined(separator: "\n"), topic: topic)
    }

    /// A message, which arrives now.
    mutating func hear(_ text: String, topic: String) {
        hub.message(Array(text.utf8).span, topic: topic, isRetained: false, broker: 0, at: now)
    }

    mutating func pass(to time: Instant) throws {
        while now.wall < time {
            let next = min(time, now.wall + max(.milliseconds(1), hub.deadline - now.moment))
            now = Now(moment: now.moment + (next - now.wall), wall: next)
            if now.moment >= hub.deadline { tick() }
        }
        _ = try hub.store.commit()
    }

    private mutating func tick() {
        hub.tick(at: now)
        for effect in hub.takeEffects() {
            switch effect {
            case .window(let window): offer(window)
            case .log(_, let line): logged.append(line)
            default: break
            }
        }
    }

    /// A window is told, or refused where it cannot be whole.
    mutating func offer(_ window: Window) {
        guard hub.isWhole(window) else { return hub.refuse(window) }
        told.append(hub.content(of: window, source: source, showsMachines: true, at: now.wall))
    }

    /// What a gateway does when it is told to end.
    mutating func end() { hub.writeSlots(upTo: now.wall, isEnd: true) }

    /// The process ends without a word, and another one starts.
    mutating func restart(_ configuration: Configuration? = nil, isHasty: Bool = false) throws {
        _ = try hub.store.commit()
        if let configuration { self.configuration = configuration }
        logged = []
        hub = Hub(self.configuration, store: try RingStore(opening: region), at: now, isHasty: isHasty)
        hub.broker(0, isUp: true, "connected", at: now)
    }

    /// What a page of the store holds, as its header says.
    enum PageKind: UInt8 {
        case archive = 4
        case slots = 5
    }

    /// Pages of the store that hold something of this kind.
    func pages(_ kind: PageKind) -> [Int] {
        (0..<region.size / 4096).filter { page in
            var head = [UInt8](repeating: 0, count: 6)
            guard (try? region.read(at: page * 4096, into: &head)) != nil else { return false }
            return head[..<4].contains { $0 != 0 } && head[5] == kind.rawValue
        }
    }

    /// The same on a store of its own, of which a bit in this byte of some pages was turned before it was opened.
    func damaged(_ pages: [Int], _ byte: Int, isHasty: Bool = false) throws -> MeteredHub {
        _ = try hub.store.commit()
        var copy = self
        var content = [UInt8](repeating: 0, count: region.size)
        try region.read(at: 0, into: &content)
        for page in pages { content[page * 4096 + byte] ^= 8 }
        copy.region = MemoryRegion(size: content.count)
        try copy.region.write(content, at: 0)
        try copy.restart(isHasty: isHasty)
        return copy
    }

    func window(_ grain: Window.Grain, at time: Instant) -> Window {
        Window.containing(time, grain, in: configuration.lab.zone)
    }

    func content(_ window: Window) -> RollupContent { hub.content(of: window, source: source, showsMachines: true) }

    mutating func settle() { hub.settle(at: now) }

    /// What was told of a window first, without whether it was final.
    func firstTold(_ grain: RollupGrain) -> [Instant: RollupContent] {
        var first: [Instant: RollupContent] = [:]
        for content in told where content.grain == grain && first[content.start] == nil {
            first[content.start] = content
        }
        return first
    }
}

struct MeterSample: Hashable {
    let time: Instant
    let watts: Double
    /// The meter's count in Wh.
    let wattHours: Double

    /// A machine that is off, in standby and at work for some minutes each, metered every `step` seconds.
    static func day(
        from start: Instant, hours: Int64, step: ClosedRange<Int64>, _ random: inout SeededRandom
    ) -> [MeterSample] {
        var samples: [MeterSample] = []
        var time = start + .seconds(5)
        var watts = 0.0
        var milliwattHours: Int64 = 5_000_000
        var until = time
        while time < start + .hours(hours) {
            if time >= until {
                watts = [0, 1, 4, 30, 90, 700].randomElement(using: &random) ?? 0
                until = time + .seconds(Int64.random(in: 5...2000, using: &random))
            }
            samples.append(MeterSample(time: time, watts: watts, wattHours: Double(milliwattHours) / 1000))
            let passed = Int64.random(in: step, using: &random)
            milliwattHours += Int64(watts * Double(passed) / 3.6)
            time = time + .seconds(passed)
        }
        return samples
    }
}
