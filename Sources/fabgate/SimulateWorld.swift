package import City
package import CityLink
package import Hub
package import Model
import Simulation
package import Store
import Usage

/// What is simulated: so many hours from a local midnight on, with these faults.
package struct SimulationPlan: Sendable {
    package var hours: Int
    package var seed: UInt64
    package var faults: Set<SimulatedFault>

    package init(hours: Int, seed: UInt64, faults: Set<SimulatedFault> = []) {
        self.hours = hours
        self.seed = seed
        self.faults = faults
    }

    /// Midnight in Seoul, so that hours and days begin together.
    package static let start = Instant("2026-11-22T15:00:00Z") ?? .distantPast

    var end: Instant { Self.start + .hours(Int64(hours)) }
}

/// The whole gateway under a virtual clock, in one thread:
///
///     SimulatedLab → LinkFaults → Hub (store in `region`) → RollupOutbox (its disk) → SimulatedCity (its book)
///                                                                └────── receipts ──────────┘
///
/// The region, the outbox's disk and the book outlive the gateway's process; all else ends with it.
package final class SimulatedWorld<Book: RollupBook> {
    private let plan: SimulationPlan
    private let configuration: Configuration
    private let region: any Region
    private let sha256: SHA256
    private let source = RollupSource(gateway: "simulation", software: Version.number, tzdata: "simulation")
    private var now: Now
    private var lab: SimulatedLab
    private var link: LinkFaults
    private var hub: Hub
    private var disk = OutboxDisk()
    private var outbox: RollupOutbox
    private var city: SimulatedCity<Book>
    private var calendar: MishapCalendar
    private var killing: SeededRandom
    /// The gateway's process is dead until then.
    private var isDeadUntil: Instant?
    /// What the broker keeps for it meanwhile.
    private var queue: [(topic: String, payload: [UInt8])] = []
    package private(set) var audit: SimulationAudit
    /// The book at the end.
    package var book: Book { city.collector.book }

    /// `region` is empty and at least 32 MiB long.
    package init(
        _ plan: SimulationPlan, _ configuration: Configuration, region: any Region, book: Book,
        sha256: @escaping SHA256
    ) throws {
        self.plan = plan
        self.configuration = configuration
        self.region = region
        self.sha256 = sha256
        let start = SimulationPlan.start
        now = Now(moment: Moment(nanoseconds: 1_000_000_000), wall: start)
        lab = SimulatedLab(seed: plan.seed, start: start)
        link = LinkFaults(seed: plan.seed &+ 1, Self.rates(plan.faults))
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 7, count: 16))
        hub = Hub(configuration, store: store, at: now)
        outbox = RollupOutbox(epoch: 1, seed: plan.seed, sha256: sha256)
        city = try SimulatedCity(
            book, lab: configuration.lab.id, epochStart: start, isFaulty: plan.faults.contains(.city),
            seed: plan.seed &+ 2, sha256: sha256)
        calendar = MishapCalendar(plan.faults, seed: plan.seed &+ 3, start: start)
        killing = SeededRandom(plan.seed &+ 4)
        audit = SimulationAudit(plan)
        connect()
    }

    private static func rates(_ faults: Set<SimulatedFault>) -> LinkFaults.Rates {
        func rate(_ fault: SimulatedFault, _ value: Double) -> Double { faults.contains(fault) ? value : 0 }
        return LinkFaults.Rates(
            drop: rate(.drop, 0.01), duplicate: rate(.dup, 0.05), reorder: rate(.reorder, 0.02),
            replay: rate(.retain, 0.02))
    }

    // MARK: time

    /// Lives through the plan; `audit` knows then what was found.
    package func run() throws {
        for hour in 0..<plan.hours {
            let end = SimulationPlan.start + .hours(Int64(hour) + 1)
            try live(until: end)
            audit.hourEnded(hour, truth: lab.truth)
            audit.check(outbox: disk)
        }
        // The last day closes half an hour after its end.
        try live(until: plan.end + .minutes(41))
        audit.hourEnded(plan.hours, truth: lab.truth)
        drain()
        try audit.compare(book, lab: configuration.lab.id, zone: configuration.lab.zone)
    }

    private func live(until end: Instant) throws {
        while now.wall < end {
            pass(to: next(before: end))
            if let until = isDeadUntil, now.wall >= until { try revive() }
            while let mishap = calendar.take(by: now.wall), now.wall < plan.end { suffer(mishap) }
            var said: [Emission] = []
            lab.advance(to: now.wall) { said.append($0) }
            for emission in said { say(emission) }
            guard isDeadUntil == nil else { continue }
            if now.moment >= hub.deadline { hub.tick(at: now) }
            carryOut()
            _ = try hub.store.commit()
            deliver()
        }
    }

    private func next(before end: Instant) -> Instant {
        var next = min(end, lab.nextEvent, calendar.next)
        if let isDeadUntil {
            next = min(next, isDeadUntil)
        } else {
            next = min(next, now.wall + max(.milliseconds(1), hub.deadline - now.moment))
            if let answer = city.due {
                next = min(next, answer)
            } else if !disk.rows.isEmpty {
                next = min(next, now.wall + max(.seconds(1), outbox.nextAttempt - now.moment))
            }
        }
        return max(next, now.wall + .milliseconds(1))
    }

    private func pass(to time: Instant) {
        let step = time - now.wall
        now = Now(moment: now.moment + step, wall: time)
    }

    // MARK: the lab's links

    private func connect() {
        for broker in configuration.brokers.indices { hub.broker(broker, isUp: true, "connected", at: now) }
        for line in configuration.lines.indices { hub.line(line, isOpen: true, "open", at: now) }
    }

    private func say(_ emission: Emission) {
        var arrived = 0
        var heard: [Emission] = []
        link.pass(emission) {
            arrived += 1
            heard.append($0)
        }
        if arrived == 0, case .publish(let topic, _, _) = emission { audit.lost(topic: topic, at: now.wall) }
        for emission in heard { hear(emission) }
    }

    private func hear(_ emission: Emission) {
        switch emission {
        case .publish(let topic, let payload, let isRetained):
            // A broker hands on as retained only what it kept: `LinkFaults` says so of what it says again.
            let isReplay = isRetained && topic.hasSuffix("/SENSOR")
            if isDeadUntil != nil { return queue.append((topic, payload)) }
            hub.message(payload.span, topic: topic, isRetained: isReplay, broker: 0, at: now)
        case .serial(let wire, let bytes):
            guard isDeadUntil == nil, let line = configuration.lines.firstIndex(where: { $0.name == wire }) else {
                return
            }
            hub.bytes(bytes.span, line: line, at: now)
        }
    }

    private func carryOut() {
        var effects = hub.takeEffects()
        while !effects.isEmpty {
            for effect in effects {
                switch effect {
                case .write(let line, let bytes):
                    let wire = configuration.lines[line].name
                    for reply in lab.received(bytes, on: wire, at: now.wall) {
                        say(.serial(wire: wire, bytes: reply))
                    }
                case .window(let window): close(window)
                case .publish, .ask, .event, .log: break
                }
            }
            effects = hub.takeEffects()
        }
    }

    // MARK: the way to the city

    private func close(_ window: Window) {
        guard window.start >= SimulationPlan.start, window.end <= plan.end, hub.isWhole(window) else { return }
        let content = hub.content(of: window, source: source, showsMachines: true, at: now.wall)
        audit.closed(content)
        guard let row = outbox.offer(content, now: now.wall) else { return }
        audit.made(row, over: disk.windows[row.key]?.version)
        disk.write([.persist(row)])
        outbox.persisted(row.key, row.version)
        keepWhatCityNeeds()
        write(outbox.takeEffects())
    }

    private func keepWhatCityNeeds() {
        let accepted = [RollupGrain.hour, .day].compactMap(outbox.acceptedBefore)
        hub.store.mayOverwriteBefore = accepted.min() ?? .distantPast
    }

    private func deliver() {
        if let answer = city.receive(at: now.wall) {
            let effects = outbox.handle(answer, now: now)
            // A receipt that never reaches the disk is one that never came.
            if plan.faults.contains(.kill), Int.random(in: 0..<20, using: &killing) == 0 {
                return die(for: .seconds(3))
            }
            write(effects)
        }
        guard !city.isBusy, now.moment >= outbox.nextAttempt, let batch = outbox.nextBatch(now: now.moment) else {
            return
        }
        city.send(batch, at: now.wall)
    }

    private func write(_ effects: [OutboxEffect]) {
        for case .delete(let key, let version) in effects { audit.removed(key, version, book: book) }
        disk.write(effects)
    }

    /// Until nothing waits any more, over a line that works now; a day at most.
    private func drain() {
        city.settle(at: now.wall)
        for _ in 0..<8_640 where !disk.rows.isEmpty {
            pass(to: now.wall + .seconds(10))
            if isDeadUntil == nil { deliver() } else { try? revive() }
        }
        for row in disk.rows.values { audit.waits(row) }
    }

    // MARK: mishaps

    private func suffer(_ mishap: Mishap) {
        audit.suffered(mishap)
        switch mishap.kind {
        case .reset(let machine): _ = lab.resetCounter(of: machine)
        case .dip(let machine): _ = lab.cutPower(of: machine)
        case .kill(let length): if isDeadUntil == nil { die(for: length) }
        }
    }

    private func die(for length: Duration) {
        isDeadUntil = now.wall + length
        audit.died(at: now.wall, for: length)
        city.hangUp()
    }

    /// Another process starts with what the disks hold, and the broker hands over what it kept.
    private func revive() throws {
        isDeadUntil = nil
        hub = Hub(configuration, store: try RingStore(opening: region), at: now)
        outbox = RollupOutbox(
            epoch: 1, rows: Array(disk.rows.values), known: Array(disk.windows.values),
            seed: killing.next(), sha256: sha256)
        keepWhatCityNeeds()
        connect()
        for message in queue {
            hub.message(message.payload.span, topic: message.topic, isRetained: false, broker: 0, at: now)
        }
        queue.removeAll()
    }
}

/// What the outbox's database holds: it outlives the process.
struct OutboxDisk {
    private(set) var rows: [RollupKey: OutboxRow] = [:]
    private(set) var windows: [RollupKey: EmittedWindow] = [:]

    mutating func write(_ effects: [OutboxEffect]) {
        for effect in effects {
            switch effect {
            case .persist(let row):
                rows[row.key] = row
                if windows[row.key].map({ $0.version <= row.version }) ?? true {
                    windows[row.key] = EmittedWindow(
                        key: row.key, version: row.version, contentDigest: row.contentDigest, digest: row.digest,
                        isReceipted: false)
                }
            case .delete(let key, let version): if let row = rows[key], row.version <= version { rows[key] = nil }
            case .receipt(let record): if let window = record.window { windows[record.key] = window }
            case .note(let window): windows[window.key] = window
            case .forget(let before): windows = windows.filter { $0.key.start >= before }
            case .alarm: break
            }
        }
    }
}
