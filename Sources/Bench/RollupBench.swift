// What it costs to close an hour, to compute a day again from its samples, and to show the machines.

import CityLink
import Hub
import Model
import Ports
import Store
import Usage
import Web

/// Meters that say ten channels once a second, each the only device of its machine, on a virtual clock.
private struct MeteredLab {
    static let channels = 10
    static let start = Instant("2026-11-23T00:00:00Z") ?? .distantPast

    let configuration: Configuration
    let region: MemoryRegion
    let source = RollupSource(gateway: "bench", software: "bench", tzdata: "bench")
    var hub: Hub
    var now = Now(moment: Moment(nanoseconds: 0), wall: start)
    private var second: Int64 = 0
    private let topics: [String]

    private static let profile = """
        title: A meter with ten channels
        driver: mqtt-json
        silence: 2 min
        settings:
          values:
            - { channel: power, path: w, unit: W }
            - { channel: power.apparent, path: va, unit: VA }
            - { channel: power.reactive, path: var, unit: var }
            - { channel: power_factor, path: pf, unit: "1" }
            - { channel: voltage, path: v, unit: V }
            - { channel: current, path: a, unit: A }
            - { channel: frequency, path: hz, unit: Hz }
            - { channel: energy, path: wh, unit: Wh, resolution: 1 mWh }
            - { channel: temperature.case, path: t, unit: °C }
            - { channel: relay, path: on }

        """

    init(machines: Int, mebibytes: Int) throws {
        var catalog = try BenchLab.catalog()
        var problems = Problems()
        catalog.add(
            model: "bench-meter", family: "plugs", try YAML.parse(Self.profile, file: "profile.yaml"), &problems)
        guard problems.isEmpty else { throw BenchFailure("\(problems.all)") }
        let classes = MachineClass.allCases
        configuration = try BenchLab.configuration(
            devices: (0..<machines).map {
                "{ id: meter-\($0), driver: mqtt-json, model: bench-meter, mqtt: main, topic: lab/meter-\($0) }"
            },
            machines: (0..<machines).map {
                "{ id: machine-\($0), class: \(classes[$0 % classes.count].rawValue), devices: [meter-\($0)] }"
            }, catalog)
        region = MemoryRegion(size: mebibytes << 20)
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 7, count: 16))
        hub = Hub(configuration, store: store, at: now)
        topics = (0..<machines).map { "lab/meter-\($0)" }
        hub.broker(0, isUp: true, "connected", at: now)
    }

    /// One second of every machine, without the tick: each runs for some minutes and idles for some.
    mutating func speak() throws {
        second += 1
        now = Now(moment: now.moment + .seconds(1), wall: now.wall + .seconds(1))
        let now = now
        for index in topics.indices {
            let phase = (second + Int64(index) * 97) % 900
            let watts = phase < 500 ? 700 + (second * 7 + Int64(index)) % 40 : 2
            let payload = payload(watts, index)
            hub.message(payload.span, topic: topics[index], isRetained: false, broker: 0, at: now)
        }
        _ = try hub.store.commit()
    }

    /// The energy goes up by 360 W, which a meter of this size can draw.
    private func payload(_ watts: Int64, _ index: Int) -> [UInt8] {
        let energy = Double(second) * 0.1 + Double(index)
        return Array(
            """
            {"w":\(watts),"va":\(watts + 20),"var":\(watts / 3),"pf":0.97,"v":\(218 + second % 5),"a":\(watts / 218),\
            "hz":60,"wh":\(energy),"t":\(35 + second / 60 % 4),"on":1}
            """.utf8)
    }

    /// What is sent to the city of a window: its content, canonical bytes and digest.
    func item(of window: Window) -> Int {
        let content = hub.content(of: window, source: source, showsMachines: true)
        let digest = content.contentDigest { Digest.sha256($0) }
        return content.item(epoch: 1, revision: 1, emitted: now.wall).bytes.count + digest.utf8.count
    }
}

func rollupBench() -> [BenchResult] {
    do {
        return try closing() + [try recomputing()]
    } catch {
        Bench.fail("the benchmark of the rollups stopped: \(error)")
    }
}

/// Hours of 50 machines. Their samples come before the measured stretch; what closes an hour is the tick that finds it
/// due and everything up to the bytes for the city.
private func closing() throws -> [BenchResult] {
    let machines = 50
    var lab = try MeteredLab(machines: machines, mebibytes: 64)
    var closings: [Measured] = []
    var ticks: [Measured] = []
    var bytes = 0
    for _ in 0..<(6 * 3600 + 600) {
        try lab.speak()
        var isClosing = false
        let measured = Bench.measure {
            lab.hub.tick(at: lab.now)
            for effect in lab.hub.takeEffects() {
                guard case .window(let window) = effect, window.grain == .hour else { continue }
                isClosing = true
                bytes = lab.item(of: window)
            }
        }
        if isClosing { closings.append(measured) } else { ticks.append(measured) }
    }
    guard closings.count >= 5 else { throw BenchFailure("only \(closings.count) hours were closed") }
    guard lab.hub.tally.faults == 0, lab.hub.tally.noSeries == 0 else { throw BenchFailure("\(lab.hub.tally)") }
    let middle = Bench.middle(of: Array(closings.dropFirst()))
    let tick = Bench.middle(of: ticks)
    let samples = Double(machines * MeteredLab.channels * 3600)
    return [
        BenchResult(
            name: "rollup.close_hour", count: closings.count - 1, cpuNanoseconds: middle.cpu,
            wallNanoseconds: middle.wall,
            figures: [
                ("cpu_ms", middle.cpu / 1e6), ("machines", Double(machines)), ("samples", samples),
                ("bytes", Double(bytes)), ("idle_tick_ns", tick.cpu),
            ]), try showing(lab),
    ]
}

/// `/api/v1/machines` as the page asks for it.
private func showing(_ lab: MeteredLab) throws -> BenchResult {
    let request = WebRequest(method: "GET", path: "/api/v1/machines", query: [])
    let around = WebSurroundings(now: lab.now, software: "bench", outbox: .array([])) { _, _, _ in .array([]) }
    let answer = WebAPI.answer(request, lab.hub, around)
    guard answer.status == 200, JSON(answer.body)?["machines"] != nil else {
        throw BenchFailure("/api/v1/machines says \(answer.status)")
    }
    var bytes = 0
    let count = 200
    let measured = Bench.median(runs: 5) {
        for _ in 0..<count { bytes += WebAPI.answer(request, lab.hub, around).body.count }
    }
    return BenchResult(
        name: "rollup.machines_json", count: count, cpuNanoseconds: measured.cpu / Double(count),
        wallNanoseconds: measured.wall / Double(count),
        figures: [
            ("cpu_us", measured.cpu / Double(count) / 1000), ("machines", Double(lab.configuration.machines.count)),
            ("bytes", Double(answer.body.count)),
        ])
}

/// A day of one machine from its samples: a new hub takes up the store, and the day's rollup is made.
private func recomputing() throws -> BenchResult {
    var lab = try MeteredLab(machines: 1, mebibytes: 64)
    while lab.now.wall < MeteredLab.start + .hours(24) {
        try lab.speak()
        lab.hub.tick(at: lab.now)
        _ = lab.hub.takeEffects()
    }
    let samples = lab.hub.store.statistics.samples
    let window = Window.containing(MeteredLab.start, .day, in: lab.configuration.lab.zone)
    let before = lab.hub.content(of: window, source: lab.source, showsMachines: true)
    var again = before
    let measured = Bench.median(runs: 5) {
        let hub = Hub(lab.configuration, store: lab.hub.store, at: lab.now)
        again = hub.content(of: window, source: lab.source, showsMachines: true)
    }
    guard before == again else { throw BenchFailure("the day computed again is another one") }
    return BenchResult(
        name: "rollup.recompute_day", count: 1, cpuNanoseconds: measured.cpu, wallNanoseconds: measured.wall,
        figures: [
            ("cpu_ms", measured.cpu / 1e6), ("samples", Double(samples)),
            ("ns_per_sample", measured.cpu / Double(samples)),
        ])
}
