package import City
package import CityLink
package import Hub
package import Model
import Ports
import Simulation
import Store
import Usage

/// What is simulated: so many hours from a local midnight on, with these faults.
package struct SimulationPlan: Hashable, Sendable {
    package var hours: Int
    package var seed: UInt64
    package var faults: Set<SimulatedFault>
    /// Of a maker space; nil for the four of the demonstration.
    package var machines: Int?

    package init(hours: Int, seed: UInt64, faults: Set<SimulatedFault> = [], machines: Int? = nil) {
        self.hours = hours
        self.seed = seed
        self.faults = faults
        self.machines = machines
    }

    /// Midnight in Seoul, so that hours and days begin together. The Monday of a week in November.
    package static let start = Instant("2026-11-22T15:00:00Z") ?? .distantPast

    package var end: Instant { Self.start + .hours(Int64(hours)) }
}

/// The whole gateway under a virtual clock, in one thread:
///
///     SimulatedPlace → LinkFaults → Hub (store in `region`) → RollupOutbox (its disk) → SimulatedCity (its book)
///                                                                └────── receipts ──────────┘
///
/// The region, the outbox's disk and the book outlive the gateway's process; all else ends with it.
package struct SimulatedWorld<Book: RollupBook> {
    let plan: SimulationPlan
    package let configuration: Configuration
    private let region: any Region
    /// The same, where it can fail.
    let storeDisk: SimulatedDisk?
    private let sha256: SHA256
    private let source = RollupSource(gateway: "simulation", software: Version.number, tzdata: "simulation")
    /// The true time, and what the gateway's clocks show.
    private(set) var time: Instant
    private(set) var now: Now
    private var keeper: TimeKeeper
    var clockError = Duration.zero
    var clockIsWrongUntil: Instant?
    /// Its clocks run so many millionths too fast, and nobody corrects them.
    var drift: (since: Instant, millionths: Int64)?
    /// Starts of the computer. After one its clock stands where it stood, until a time server is heard.
    private var boots = 0
    /// Samples wait for their times since then.
    private var waitsSince: Instant?
    var isSynchronised = true
    var lab: any SimulatedPlace
    private var link: LinkFaults
    private var audience: Audience
    /// By endpoint: who is asked there, and its machine.
    private let asked: [Int: (device: Int, machine: Int)]
    var hub: Hub
    private(set) var disk = OutboxDisk()
    private var outbox: RollupOutbox
    var city: SimulatedCity<Book>
    /// When the city is asked again what it holds.
    private var nextQuestion: Instant
    private var calendar: MishapCalendar
    var random: SeededRandom
    /// The gateway's process is dead until then.
    private(set) var isDeadUntil: Instant?
    private var hasNoPower = false
    var diskFailsUntil: Instant?
    /// What a machine's devices say is held back until then.
    var held: [Int: Instant] = [:]
    /// What the broker keeps: for a gateway that is away, or did not acknowledge it, or behind a link that is held.
    private var queue: [Message] = []
    private var unacknowledged: [Message] = []
    private var lastSync: Instant
    private var lastCommit: Instant
    /// When the hub has to be looked at again.
    private var hubDeadline = Moment(nanoseconds: 0)
    package internal(set) var audit: SimulationAudit
    /// The book at the end.
    package var book: Book { city.collector.book }

    struct Message {
        let topic: String
        let payload: [UInt8]
        let said: Instant
        var machine: Int?
    }

    /// `configuration` is that of the plan's lab, where it was read already.
    package init(
        _ plan: SimulationPlan, _ configuration: Configuration? = nil, book: Book, sha256: @escaping SHA256
    ) throws {
        self.plan = plan
        self.sha256 = sha256
        self.configuration = try configuration ?? SimulatedLabs.configuration(plan.machines)
        let configuration = self.configuration
        let isUnsafe = !plan.faults.isDisjoint(with: [.power, .disk])
        // Three days, which is what a restart reads, fit several times.
        let size = plan.hours <= 72 ? 16 << 20 : 64 << 20
        storeDisk = isUnsafe ? SimulatedDisk(size: size) : nil
        region = storeDisk ?? MemoryRegion(size: size)
        let start = SimulationPlan.start
        time = start
        nextQuestion = start
        lastSync = start
        lastCommit = start
        now = Now(moment: Moment(nanoseconds: 1_000_000_000), wall: start)
        keeper = TimeKeeper(now, Self.system(isSynchronised: true), newest: nil, release: start)
        lab = SimulatedLabs.place(plan.machines, seed: plan.seed, start: start)
        link = LinkFaults(seed: plan.seed &+ 1, Self.rates(plan.faults))
        audience = Audience(configuration)
        var asked: [Int: (device: Int, machine: Int)] = [:]
        for (machine, members) in configuration.machines.map(\.devices).enumerated() {
            for device in members {
                if let endpoint = configuration.devices[device].endpoint { asked[endpoint] = (device, machine) }
            }
        }
        self.asked = asked
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 7, count: 16))
        hub = Hub(configuration, store: store, at: now, boot: "0")
        outbox = RollupOutbox(epoch: 1, seed: plan.seed, sha256: sha256)
        city = try SimulatedCity(
            book, lab: configuration.lab.id, epochStart: start, isFaulty: plan.faults.contains(.city),
            seed: plan.seed &+ 2, sha256: sha256)
        calendar = MishapCalendar(plan.faults, machines: lab.machines, seed: plan.seed &+ 3, start: start)
        random = SeededRandom(plan.seed &+ 4)
        audit = SimulationAudit(plan, configuration)
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
    package mutating func run() throws {
        for hour in 0..<plan.hours {
            try live(until: SimulationPlan.start + .hours(Int64(hour) + 1))
            audit.hourEnded(hour, truth: lab.truth)
            audit.check(outbox: disk, waiting: outbox.rows.count, hub.tally)
        }
        // The last day closes half an hour after its end.
        try live(until: plan.end + .minutes(41))
        audit.end(truth: lab.truth)
        try drain()
        try audit.compare(book, lab: configuration.lab.id)
    }

    private mutating func live(until end: Instant) throws {
        while time < end {
            pass(to: max(lab.live(quietlyBefore: next(before: end)), time + .milliseconds(1)))
            if let until = isDeadUntil, time >= until { try revive() }
            while time < plan.end, let mishap = calendar.take(by: time) { suffer(mishap) }
            recover()
            var said: [Emission] = []
            lab.advance(to: time) { said.append($0) }
            for emission in said { say(emission) }
            guard isDeadUntil == nil else { continue }
            hubDeadline = hub.tickIfDue(at: now)
            carryOut()
            if storeDisk != nil { commit() }
            if time >= nextQuestion { askCity() }
            deliver()
        }
    }

    private mutating func next(before end: Instant) -> Instant {
        var next = min(end, calendar.next)
        // What its clock shows, and whether that is right, is looked at all the while it is in doubt.
        if keeper.doubt != nil || !isSynchronised || clockError != .zero { next = min(next, time + .seconds(1)) }
        if let clockIsWrongUntil { next = min(next, clockIsWrongUntil) }
        if let diskFailsUntil { next = min(next, diskFailsUntil) }
        if !held.isEmpty { for until in held.values { next = min(next, until) } }
        if let isDeadUntil {
            next = min(next, isDeadUntil)
        } else {
            next = min(next, nextQuestion, time + max(.milliseconds(1), hubDeadline - now.moment))
            if let answer = city.due {
                next = min(next, answer)
            } else if !disk.rows.isEmpty {
                next = min(next, time + max(.seconds(1), outbox.nextAttempt - now.moment))
            }
            if storeDisk != nil, hub.store.unsynced { next = min(next, lastSync + .seconds(1)) }
        }
        return max(next, time + .milliseconds(1))
    }

    private mutating func pass(to end: Instant) {
        var passed = end - time
        if let drift {
            let error = (end - drift.since) * drift.millionths / 1_000_000
            passed = passed + (error - clockError)
            clockError = error
        }
        now.moment = now.moment + passed
        time = end
        lookAtClock()
    }

    /// The computer's wall clock shows now what `clockError` says.
    mutating func lookAtClock() {
        let read = Now(moment: now.moment, wall: time + clockError)
        if isDeadUntil == nil, keeper.settle(read, Self.system(isSynchronised: isSynchronised)) {
            now = read
            waitsSince = nil
            hub.clockIsKnown(at: now)
            hubDeadline = now.moment
        }
        now = keeper.now(read) { Self.system(isSynchronised: isSynchronised) }
    }

    /// A small computer without a battery for its clock.
    private static func system(isSynchronised: Bool) -> TimeKeeper.System {
        TimeKeeper.System(isSynchronised: isSynchronised, expectsSynchronisation: true, keepsTime: false)
    }

    // MARK: the lab's links

    private mutating func connect() {
        for broker in configuration.brokers.indices { hub.broker(broker, isUp: true, "connected", at: now) }
        for line in configuration.lines.indices { hub.line(line, isOpen: true, "open", at: now) }
        for endpoint in configuration.endpoints.indices { hub.open(endpoint: endpoint, at: now) }
    }

    private mutating func say(_ emission: Emission) {
        // Over one connection with QoS 0 a message gets lost, but comes neither twice nor late.
        if case .publish(let topic, _, _) = emission, audience.listener(topic: topic)?.isKept == false {
            return link.loses() ? () : hear(emission, said: time)
        }
        guard link.isBad else { return hear(emission, said: time) }
        var heard: [(Emission, Instant)] = []
        link.pass(emission, said: time) { heard.append(($0, $1)) }
        for (emission, said) in heard { hear(emission, said: said) }
    }

    private mutating func hear(_ emission: Emission, said: Instant) {
        switch emission {
        case .publish(let topic, let payload, let isRetained):
            // A broker hands on as retained only what it kept: `LinkFaults` says so of what it says again.
            if isRetained, topic.hasSuffix("/SENSOR") {
                if isDeadUntil == nil {
                    hub.message(payload.span, topic: topic, isRetained: true, broker: 0, at: now)
                }
                return
            }
            let listener = audience.listener(topic: topic)
            let isAway = isDeadUntil != nil || listener.map { held[$0.machine] != nil } ?? false
            if isAway, listener?.isKept == false { return }
            let message = Message(topic: topic, payload: payload, said: said, machine: listener?.machine)
            if let machine = listener?.machine, held[machine] != nil { return queue.append(message) }
            if isDeadUntil != nil {
                // The broker stands on the same computer.
                if !hasNoPower { queue.append(message) }
                return
            }
            take(message)
        case .serial(let wire, let bytes):
            guard isDeadUntil == nil, let line = configuration.lines.firstIndex(where: { $0.name == wire }) else {
                return
            }
            if let (listener, said) = audience.listener(wire: wire, bytes, said: said, in: lab) {
                audit.heard(
                    listener, chooses: listener.sense.contains(.shots) && Self.chooses(bytes), said: said, at: time)
            }
            hub.bytes(bytes.span, line: line, at: now)
        }
    }

    /// Whether a board's line tells of a button that chooses a mould.
    private static func chooses(_ line: [UInt8]) -> Bool {
        Audience.holds("\"button\"", line.span) && JSON(line)?["button"]?.text?.hasPrefix("mould") ?? false
    }

    private mutating func take(_ message: Message) {
        let listener = audience.listener(topic: message.topic, message.payload)
        if let listener { audit.heard(listener, said: message.said, at: time) }
        hub.message(message.payload.span, topic: message.topic, isRetained: false, broker: 0, at: now)
        if storeDisk != nil, listener?.isKept ?? true { unacknowledged.append(message) }
    }

    /// The broker hands over what it kept and may.
    mutating func release() {
        let kept = queue
        queue.removeAll()
        for message in kept {
            if let machine = message.machine, held[machine] != nil { queue.append(message) } else { take(message) }
        }
    }

    private mutating func carryOut() {
        var effects = hub.takeEffects()
        while !effects.isEmpty {
            for effect in effects {
                switch effect {
                case .write(let line, let bytes):
                    let wire = configuration.lines[line].name
                    for reply in lab.received(bytes, on: wire, at: time) {
                        say(.serial(wire: wire, bytes: reply))
                        hubDeadline = now.moment
                    }
                case .window(let window): close(window)
                case .publish(_, let topic, let payload):
                    for emission in lab.received(payload, topic: topic, at: time) {
                        say(emission)
                        hubDeadline = now.moment
                    }
                case .ask(let endpoint, let number, let path, _, _): ask(endpoint, number, path)
                case .event, .log: break
                }
            }
            effects = hub.takeEffects()
        }
    }

    /// A question over HTTP, which is answered at once or not at all.
    private mutating func ask(_ endpoint: Int, _ number: UInt64, _ path: String) {
        hubDeadline = now.moment
        guard let (device, machine) = asked[endpoint], held[machine] == nil, !link.loses(),
            let (status, body) = lab.answer(path, of: configuration.machines[machine].id, at: time)
        else { return hub.noAnswer("no answer in time", number: number, endpoint: endpoint, at: now) }
        if let listener = audience.listener(device: device, body) { audit.heard(listener, said: time, at: time) }
        hub.answer(body.span, status: status, path: path, number: number, endpoint: endpoint, at: now)
    }

    // MARK: the store

    /// As the gateway does it after each turn, and once a second where anything waits for a sync. Where no write can
    /// fail, it is enough to do it before the gateway's death.
    private mutating func commit() {
        do {
            _ = try hub.store.commit()
            lastCommit = time
            hub.storeWorks()
            unacknowledged.removeAll(keepingCapacity: true)
        } catch {
            hub.storeFails("\(error)")
        }
        guard storeDisk != nil, hub.store.unsynced, time >= lastSync + .seconds(1) else { return }
        sync()
    }

    private mutating func sync() {
        lastSync = time
        let token = hub.store.beginSync()
        do {
            try region.sync()
            hub.store.finishedSync(token)
            audit.synced(at: time)
        } catch {
            hub.store.failedSync(token)
            hub.storeFails("\(error)")
        }
    }

    /// Messages that the broker got no word about come again, as over TLS, where acknowledgements cannot wait.
    mutating func redeliver() {
        let again = unacknowledged
        unacknowledged.removeAll()
        for message in again { take(message) }
    }

    // MARK: the way to the city

    private mutating func close(_ window: Window) {
        guard window.start >= SimulationPlan.start, window.end <= plan.end else { return }
        let key = RollupKey(lab: configuration.lab.id, grain: RollupGrain(window.grain), start: window.start)
        guard hub.isWhole(window) || outbox.known[key] == nil else {
            hub.refuse(window)
            return hubDeadline = now.moment
        }
        if storeDisk != nil {
            commit()
            sync()
        }
        let content = hub.content(of: window, source: source, showsMachines: true, at: now.wall)
        audit.closed(content)
        guard let row = outbox.offer(content, now: now.wall) else { return }
        audit.made(row, over: disk.windows[row.key]?.version)
        disk.write([.persist(row)])
        outbox.persisted(row.key, row.version)
        keepWhatCityNeeds()
        write(outbox.takeEffects())
    }

    private mutating func keepWhatCityNeeds() {
        let accepted = [RollupGrain.hour, .day].compactMap(outbox.acceptedBefore)
        hub.store.mayOverwriteBefore = accepted.min() ?? .distantPast
    }

    private mutating func deliver() {
        if city.isBusy, let answer = city.receive(at: time) {
            let effects = outbox.handle(answer, now: now)
            // A receipt that never reaches the disk is one that never came.
            if plan.faults.contains(.kill), Int.random(in: 0..<20, using: &random) == 0 {
                return die(for: .seconds(3))
            }
            write(effects)
        }
        guard !city.isBusy, !disk.rows.isEmpty, now.moment >= outbox.nextAttempt,
            let batch = outbox.nextBatch(now: now.moment)
        else { return }
        city.send(batch, at: time)
    }

    /// As the gateway does at its start and once a day: what the city lacks goes again.
    private mutating func askCity() {
        // Without the time no window can be told again.
        guard !hub.isWaitingForClock else { return nextQuestion = time + .seconds(10) }
        nextQuestion = time + .hours(24)
        let lab = configuration.lab.id
        let (from, to) = (now.wall - .hours(40 * 24), now.wall)
        for grain in [RollupGrain.hour, .day] {
            guard let summary = city.summary(lab: lab, grain, from: from, to: to, at: time) else {
                nextQuestion = time + .minutes(1)
                continue
            }
            let missing = outbox.reconcile(summary, lab: lab, grain: grain, from: from, to: to)
            write(outbox.takeEffects())
            if !missing.isEmpty { hub.settle(at: now) }
            for key in missing {
                close(Window.containing(key.start, grain == .hour ? .hour : .day, in: configuration.lab.zone))
            }
        }
    }

    private mutating func write(_ effects: [OutboxEffect]) {
        for case .delete(let key, let version) in effects { audit.removed(key, version, book: book) }
        disk.write(effects)
    }

    /// Until nothing waits any more, over a line that works now; a day at most.
    private mutating func drain() throws {
        city.settle(at: time)
        if isDeadUntil != nil { try revive() }
        askCity()
        for _ in 0..<8_640 where !disk.rows.isEmpty {
            pass(to: time + .seconds(10))
            if isDeadUntil == nil { deliver() } else { try revive() }
        }
        for row in disk.rows.values { audit.waits(row) }
    }

    // MARK: the gateway's process

    mutating func die(for length: Duration, losesPower: Bool = false) {
        guard isDeadUntil == nil else { return }
        if storeDisk == nil { commit() }
        isDeadUntil = time + length
        hasNoPower = losesPower
        city.hangUp()
        if losesPower {
            storeDisk?.cutPower(&random)
            audit.lostPower(at: time, for: length, undated: waitsSince)
            waitsSince = nil
            unacknowledged.removeAll()
            boots += 1
            if plan.faults.contains(.clock) {
                // It goes on from where it stood, and is right once a time server is heard.
                clockError = .zero - length
                drift = nil
                isSynchronised = false
                clockIsWrongUntil = time + length + .seconds(Int64.random(in: 5...900, using: &random))
            }
            queue.removeAll { $0.machine.map { held[$0] == nil } ?? true }
        } else {
            audit.died(at: time, for: length, committed: diskFailsUntil == nil ? time : lastCommit)
            // What was not acknowledged comes again, in front of what is said meanwhile.
            queue.insert(contentsOf: unacknowledged, at: 0)
            unacknowledged.removeAll()
        }
    }

    /// Another process starts with what the disks hold, and the broker hands over what it kept.
    private mutating func revive() throws {
        isDeadUntil = nil
        if hasNoPower { for line in configuration.lines { lab.portOpened(line.name, at: time) } }
        hasNoPower = false
        let store = try RingStore(opening: region)
        let read = Now(moment: now.moment, wall: time + clockError)
        keeper = TimeKeeper(
            read, Self.system(isSynchronised: isSynchronised), newest: store.newest, release: SimulationPlan.start,
            believed: Hub.believedOffset(in: store, boot: "\(boots)"))
        lookAtClock()
        hub = Hub(configuration, store: store, at: now, doubt: keeper.doubt, boot: "\(boots)", isHasty: true)
        if keeper.doubt != nil { waitsSince = waitsSince ?? time }
        hubDeadline = now.moment
        nextQuestion = time
        audit.revived(hub.store.recovery.lost)
        outbox = RollupOutbox(
            epoch: 1, rows: Array(disk.rows.values), known: Array(disk.windows.values), seed: random.next(),
            sha256: sha256)
        keepWhatCityNeeds()
        connect()
        release()
    }
}
