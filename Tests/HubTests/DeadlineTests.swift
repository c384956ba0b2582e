import CityLink
import Hub
import Model
import Ports
import Simulation
import Store
import Testing
import Usage
import fabgate

private let start = Instant(milliseconds: 1_795_392_000_000)  // 2026-11-23T00:00:00Z
private let source = RollupSource(gateway: "g", software: "s", tzdata: "t")

/// The hub says when it must be called next. Who calls more often, or later, gets the same account.
@Suite struct DeadlineTests {
    /// A lab is looked at only when the hub asks for it, each second, and at random times.
    @Test(arguments: [11, 12] as [UInt64]) func whoLooksMoreOftenSeesTheSame(seed: UInt64) throws {
        func account(_ looks: (SeededRandom, Int64)?) throws -> [RollupKey: RollupContent] {
            var gateway = try VirtualGateway(seed: seed, start: start)
            gateway.looks = looks
            try gateway.run(until: start + .hours(3) + .minutes(6))
            return gateway.closed
        }
        let asked = try account(nil)
        #expect(asked.count == 3)
        for most in [1999, 2000, 90_001, 700_000] as [Int64] {
            let looked = try account((SeededRandom(seed &+ UInt64(most)), most))
            #expect(looked == asked, "seed \(seed), looks up to \(most) ms after each other")
        }
    }

    /// What arrived is played again with the hub called late or never: silence and dwell count from when they began.
    @Test(arguments: [21, 22, 23] as [UInt64]) func whoLooksLateSeesTheSame(seed: UInt64) throws {
        let heard = conversation(seed)
        let exact = try play(heard) { hub, from, to in
            while hub.deadline <= to.moment {
                let moment = max(hub.deadline, from.moment)
                hub.tick(at: Now(moment: moment, wall: from.wall + (moment - from.moment)))
            }
        }
        var random = SeededRandom(seed)
        let late = try play(heard) { hub, _, to in if random.next() % 50 == 0 { hub.tick(at: to) } }
        let never = try play(heard) { _, _, _ in }
        #expect(late == exact, "seed \(seed)")
        #expect(never == exact, "seed \(seed)")
        let states = exact.flatMap { $0.machines ?? [] }.reduce(into: UsageTotals()) { $0 = $0 + $1.totals }
        #expect(states[.running] > 0 && states[.offline] > 0, "seed \(seed)")
    }

    /// What the plugs said in six hours, with stretches in which one of them is silent.
    private func conversation(_ seed: UInt64) -> [(time: Instant, topic: String, payload: [UInt8])] {
        var lab = SimulatedLab(seed: seed, start: start)
        var random = SeededRandom(seed &+ 100)
        var heard: [(time: Instant, topic: String, payload: [UInt8])] = []
        var silentUntil: [String: Instant] = [:]
        while lab.nextEvent < start + .hours(6) {
            let time = lab.nextEvent
            lab.advance(to: time) { emission in
                guard case .publish(let topic, let payload, _) = emission, !topic.hasPrefix("octoPrint") else { return }
                let plug = topic.contains("printer") ? "printer" : "shredder"
                if silentUntil[plug, default: start] < time, random.next() % 2000 == 0 {
                    silentUntil[plug] = time + .minutes(Int64.random(in: 1...40, using: &random))
                }
                if silentUntil[plug, default: start] < time { heard.append((time, topic, payload)) }
            }
        }
        return heard
    }

    /// Plays it into a hub; `wait` lets time pass until the next word. The contents of all hours at the end.
    private func play(
        _ heard: [(time: Instant, topic: String, payload: [UInt8])],
        _ wait: (inout Hub, _ from: Now, _ to: Now) -> Void
    ) throws -> [RollupContent] {
        let configuration = try simulatedLab()
        var now = Now(moment: Moment(nanoseconds: 5), wall: start)
        let store = try RingStore.create(
            in: MemoryRegion(size: 16 << 20), plan: StorePlan(), identity: [UInt8](repeating: 7, count: 16))
        var hub = Hub(configuration, store: store, at: now)
        hub.broker(0, isUp: true, "connected", at: now)
        for word in heard + [(start + .hours(6) + .minutes(10), "", [])] {
            let before = now
            now = Now(moment: now.moment + (word.time - now.wall), wall: word.time)
            wait(&hub, before, now)
            if !word.topic.isEmpty {
                hub.message(word.payload.span, topic: word.topic, isRetained: false, broker: 0, at: now)
            }
            _ = hub.takeEffects()
        }
        hub.settle(at: now)
        return Window.ending(after: start, upTo: start + .hours(6), .hour, in: configuration.lab.zone).map {
            hub.content(of: $0, source: source, showsMachines: true)
        }
    }
}
