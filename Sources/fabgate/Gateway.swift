import CityLink
@preconcurrency import Glibc
import Hub
import Model
import Ports
import Store
import Usage
import Web

/// The running gateway: the hub, and the ports that feed it. Everything here happens on the loop's thread; what blocks
/// (making bytes durable, the outbox's database) is done by one worker, in order.
final class Gateway {
    /// What `run` returns when a new configuration is to be taken up.
    static let reload: Int32 = -1

    let configuration: Configuration
    let clock: SystemClock
    private var keeper: TimeKeeper
    let loop: Loop
    var hub: Hub
    let events: EventStream
    private let region: FileRegion
    private let disk: Worker
    /// Answers what takes long to answer from a snapshot of the store.
    private let queries: Worker
    private var brokers: [MQTTClient] = []
    private var lines: [SerialPort] = []
    private var asker: Asker?
    private var pusher: CityPusher?
    private var server: HTTPServer?
    private var isSyncing = false
    /// A run was written while the disk was busy with what came before.
    private var isRunWaiting = false
    /// Messages since the last look at how many come.
    private var heard = 0
    /// Samples that had found no room at the last commit.
    private var droppedAtCommit = 0
    /// More came at once than a lab sends, and what they took has not been given back.
    private var isSwollen = false
    /// When the messages came that are read now.
    private var arrival: Now?
    private var tickTimer: TimerID?
    private let pages: Pages

    /// - Parameters:
    ///   - ahead: opens the store already.
    ///   - isValid: says whether the configuration as it is on disk now could be taken up; it says itself why not.
    init(
        _ configuration: Configuration, installation: Installation, ahead: StoreOpening, isValid: @escaping () -> Bool
    ) throws {
        self.configuration = configuration
        clock = configuration.clock
        loop = try Loop()
        // Before any other thread starts, so that all of them leave these signals alone.
        for signal in [SIGTERM, SIGINT] {
            try loop.onSignal(signal) { [unowned loop] in
                Log.write(.notice, "stopping")
                loop.stop(0)
            }
        }
        try loop.onSignal(SIGHUP) { [unowned loop] in
            guard isValid() else { return Log.write(.error, "the configuration stays as it was") }
            Log.write(.notice, "taking up the new configuration")
            loop.stop(Self.reload)
        }
        disk = Worker(name: "disk")
        queries = Worker(name: "queries")
        pages = Pages(folder: installation.pages)
        try Files.makeFolder(configuration.store.path)
        let store: RingStore
        (region, store) = try ahead.finish(configuration)
        // A fast clock is a demonstration's own and right by definition.
        keeper = TimeKeeper(
            clock.now(), SystemClock.trust, newest: store.newest, release: Version.released,
            believed: Hub.believedOffset(in: store, boot: SystemClock.boot),
            isTrusted: configuration.lab.trustsClock || configuration.simulation != nil,
            speed: Int64(configuration.simulation?.speed ?? 1))
        let now = keeper.now(clock.now()) { SystemClock.trust }
        hub = Hub(configuration, store: store, at: now, doubt: keeper.doubt, boot: SystemClock.boot, isHasty: true)
        // Ids go on rising after a restart, so that a page that comes back is not told old news as new.
        events = EventStream(firstID: UInt64(max(0, now.wall.milliseconds)))
        if let city = configuration.cities.first {
            pusher = try CityPusher(
                city, configuration: configuration, clock: clock, now: { [unowned self] in self.now() }, loop: loop,
                disk: disk, isClockKnown: { [unowned self] in keeper.doubt == nil },
                onPersisted: { [unowned self] in keepWhatCityNeeds() }, onResult: { [unowned self] in told($0) },
                onMissing: { [unowned self] in tellAgain($0) })
            keepWhatCityNeeds()
        }
    }

    /// The ring may write over what the outbox's disk has rollups of.
    private func keepWhatCityNeeds() {
        guard let pusher else { return }
        hub.store.mayOverwriteBefore = pusher.mayOverwriteBefore
    }

    // MARK: start and stop

    /// Opens every port and runs until told to stop; 0, or `reload`.
    func run() throws -> Int32 {
        try serve()
        for index in configuration.brokers.indices { brokers.append(try connect(index)) }
        for index in configuration.lines.indices { lines.append(open(index)) }
        try openEndpoints()
        loop.beforeSleep = { [unowned self] in turn() }
        scheduleSync()
        awaitClock()
        pusher?.start()
        // What the start took, and what it left for the first seconds.
        loop.after(.seconds(1)) { Memory.giveBack() }
        scheduleGiveBack(after: .seconds(5))
        Service.notify("READY=1")
        let status = loop.run()
        shutDown()
        return status
    }

    /// In the order in which data flows, so that what arrived last is kept, too.
    private func shutDown() {
        Service.notify("STOPPING=1")
        events.close()
        queries.stop()
        server?.stop()
        for line in lines { line.close() }
        for broker in brokers { broker.close() }
        asker = nil
        pusher?.stop()
        hub.settle(at: now())
        hub.writeSlots(upTo: now().wall, isEnd: true)
        commit(isLast: true)
        let region = region
        disk.run { try? region.sync() }
        disk.stop()
    }

    // MARK: time

    /// The lab's time, which does not jump with the system's clock.
    private func now() -> Now { keeper.now(clock.now()) { SystemClock.trust } }

    /// Once a second while the clock is not believed.
    private func awaitClock() {
        guard let doubt = keeper.doubt else { return }
        if keeper.settle(clock.now(), SystemClock.trust) { return hub.clockIsKnown(at: now()) }
        hub.clockIsDoubted(keeper.doubt ?? doubt)
        loop.after(.seconds(1)) { [unowned self] in awaitClock() }
    }

    // MARK: the turn of the loop

    /// After everything that was ready has been handled: time passes, effects are carried out.
    private func turn() -> Model.Duration? {
        let now = self.now()
        hub.isWatched = events.clients > 0
        let deadline = hub.tickIfDue(at: now)
        carryOut()
        commit()
        return clock.realDelay(until: deadline, from: clock.now())
    }

    private func carryOut() {
        for effect in hub.takeEffects() {
            switch effect {
            case .write(let line, let bytes): lines[line].write(bytes)
            case .publish(let broker, let topic, let payload):
                brokers[broker].publish(topic: topic, payload: payload, qos: 0, retain: false)
            case .ask(let endpoint, let number, let path, let headers, let timeout):
                asker?.ask(endpoint: endpoint, number: number, path: path, headers: headers, timeout: timeout)
            case .event(let name, let data): _ = events.publish(event: name, data: data.bytes)
            case .log(let level, let text): Log.write(level, text)
            case .window(let window): close(window)
            }
        }
    }

    /// What arrived survives the end of this process from here on; false where it does not.
    @discardableResult
    private func commit(isLast: Bool = false) -> Bool {
        do {
            _ = try hub.store.commit(isLast: isLast)
            hub.storeWorks()
            acknowledge()
            // Not with the next second: in a burst the next run is full before that, and would wait for the disk here.
            if hub.store.holdsRun, !isLast {
                isRunWaiting = isSyncing
                sync()
            }
            return true
        } catch {
            hub.storeFails("\(error)")
            return false
        }
    }

    /// What a broker sent while the disk refused stayed in memory and is committed now, unless there was no room left
    /// for some of it: then the broker sends all of it again.
    private func acknowledge() {
        let dropped = hub.store.droppedForRoom.samples
        for broker in brokers where broker.isWithholding {
            if dropped == droppedAtCommit { broker.acknowledge() } else { broker.dropUnacknowledged() }
        }
        droppedAtCommit = dropped
    }

    /// The configuration's tree, what recovery has read and the code that only a start runs; later what a question or the
    /// end of a day needed.
    private func scheduleGiveBack(after delay: Model.Duration) {
        loop.after(delay) { [unowned self] in
            hub.store.forgetPages()
            Memory.giveBack()
            scheduleGiveBack(after: .hours(1))
        }
    }

    private func scheduleSync() {
        loop.after(configuration.store.sync) { [unowned self] in
            sync()
            restAfterBurst()
            scheduleSync()
        }
    }

    /// Once what a broker had kept, or a thousand plugs at once, is over, the room that it took goes back.
    private func restAfterBurst() {
        let rate = Double(heard) * 1000 / Double(max(1, configuration.store.sync.milliseconds))
        heard = 0
        if rate > Self.burst {
            isSwollen = true
        } else if isSwollen, rate < Gathering.quiet {
            isSwollen = false
            Memory.giveBack()
        }
    }

    /// Messages a second.
    private static let burst = 5000.0

    /// What was committed survives a power cut, once the worker has been there and back.
    private func sync() {
        guard !isSyncing, hub.store.unsynced else { return }
        isSyncing = true
        let token = hub.store.beginSync()
        let region = region
        loop.run(on: disk) { () -> String? in
            do { try region.sync() } catch { return "\(error)" }
            return nil
        } then: { [unowned self] trouble in
            synced(token, trouble)
        }
    }

    private func synced(_ token: SyncToken, _ trouble: String?) {
        isSyncing = false
        if let trouble {
            hub.store.failedSync(token)
            hub.storeFails(trouble)
        } else {
            hub.store.finishedSync(token)
            if isRunWaiting {
                isRunWaiting = false
                sync()
            }
        }
    }

    // MARK: rollups

    /// A window is closed or changed: its content goes to the outbox once the samples behind it are durable.
    private func close(_ window: Window) {
        guard let pusher, pusher.city.grains.contains(window.grain) else { return }
        guard hub.isWhole(window) || !pusher.knows(window, lab: configuration.lab.id) else { return hub.refuse(window) }
        commit()
        pusher.offer(
            hub.told(
                window, to: pusher.city, source: pusher.source,
                already: pusher.suppressed(window, lab: configuration.lab.id), at: now().wall),
            after: { [region] in try region.sync() })
    }

    /// The city lacks these, or could not be asked before whether it does.
    private func tellAgain(_ keys: [RollupKey]) {
        hub.settle(at: now())
        for key in keys {
            let grain: Window.Grain = key.grain == .hour ? .hour : .day
            close(Window.containing(key.start, grain, in: configuration.lab.zone))
        }
        carryOut()
    }

    private func told(_ result: CityPusher.Result) {
        _ = events.publish(event: "rollup", data: result.json.bytes)
    }

    // MARK: ports

    private func connect(_ index: Int) throws -> MQTTClient {
        let broker = configuration.brokers[index]
        // One name for ever, so that the broker keeps what comes while we are away.
        let clientID = broker.clientID ?? "fabgate-\(Text.plain(configuration.lab.id))-\(broker.name)"
        let client = MQTTClient(
            loop: loop, settings: try broker.settings(clientID: clientID, cleanSession: false),
            onMessage: { [unowned self] topic, payload, isRetained in
                // What came in one go came at one time.
                let now = arrival ?? self.now()
                arrival = now
                heard += 1
                hub.message(payload, topic: topic, isRetained: isRetained, broker: index, at: now)
            },
            onTooLong: { [unowned self] in hub.tooLong() },
            // Acknowledgements leave after this: what they speak of is in the journal.
            onDrained: { [unowned self] in
                arrival = nil
                if !commit() { brokers[index].withhold() }
            },
            onConnection: { [unowned self] isUp, reason in
                hub.broker(index, isUp: isUp, reason, at: now())
            })
        client.standing = { [unowned self] in hub.subscriptions(broker: index) }
        return client
    }

    private func open(_ index: Int) -> SerialPort {
        SerialPort(
            loop: loop, settings: configuration.lines[index].settings,
            onBytes: { [unowned self] chunk in hub.bytes(chunk, line: index, at: now()) },
            onChange: { [unowned self] isOpen, reason in hub.line(index, isOpen: isOpen, reason, at: now()) })
    }

    private func openEndpoints() throws {
        guard !configuration.endpoints.isEmpty else { return }
        asker = try Asker(configuration, loop: loop) { [unowned self] endpoint, number, path, result in
            let now = self.now()
            switch result {
            case .answer(let status, let body):
                hub.answer(body.span, status: status, path: path, number: number, endpoint: endpoint, at: now)
            case .noAnswer(let reason):
                hub.noAnswer(reason, number: number, endpoint: endpoint, at: now)
            }
        }
        for endpoint in configuration.endpoints.indices { hub.open(endpoint: endpoint, at: now()) }
    }

    private func serve() throws {
        let home = Confined(self)
        let remote = loop.remote
        let pages = pages
        let queries = queries
        let events = events
        // A page elsewhere must not be able to make a browser ask us under its own name.
        var limits = HTTPLimits()
        if configuration.http.isLocal || !configuration.http.hosts.isEmpty {
            limits.hosts = ["127.0.0.1", "localhost", "::1", configuration.http.address] + configuration.http.hosts
        }
        let server = try HTTPServer(
            address: configuration.http.address, port: UInt16(configuration.http.port), tls: nil, limits: limits,
            handler: { request, reply in
                // Files and the event stream need nothing of the hub; everything else is answered on its thread.
                if let file = pages.response(request) { return reply.send(file) }
                if request.path == "/api/v1/events" {
                    let after = (request.header("Last-Event-ID") ?? request.query.first { $0.name == "after" }?.value)
                        .flatMap { UInt64($0) }
                    return reply.send(pages.secured(HTTPResponse(status: 200, body: .events(events, after: after))))
                }
                remote.post {
                    guard let answer = home.value.deferred(request) else {
                        return reply.send(home.value.answer(request))
                    }
                    queries.run {
                        if let response = answer() { return reply.send(response) }
                        remote.post { reply.send(home.value.answer(request)) }
                    }
                }
            })
        self.server = server
        scheduleHeartbeat()
        Log.write(.notice, "listening on http://\(configuration.http.address):\(server.port)/")
    }

    /// A page that vanished is noticed when something is written to it.
    private func scheduleHeartbeat() {
        loop.after(.seconds(15)) { [unowned self] in
            events.heartbeat()
            scheduleHeartbeat()
        }
    }

    private func answer(_ request: HTTPRequest) -> HTTPResponse {
        let pusher = pusher
        let now = self.now()
        hub.settle(at: now)
        let around = WebSurroundings(
            now: now, software: Version.number, outbox: pusher?.outboxJSON ?? CityPusher.emptyOutbox,
            rollups: { [hub] from, to, grain in
                let source = pusher?.source ?? CityPusher.ownSource(hub.configuration)
                return RollupListing.json(hub, from: from, to: to, grain: grain, source: source)
            },
            preview: { [hub] in
                let source = pusher?.source ?? CityPusher.ownSource(hub.configuration)
                return RollupListing.preview(hub, source: source, at: now.wall)
            })
        let asked = WebRequest(
            method: request.method, path: request.path, query: request.query, headers: request.headers,
            body: request.body)
        let changed = WebAPI.change(asked, &hub, at: around.now, isLocal: configuration.http.isLocal)
        // What is answered with yes is in the journal.
        if changed != nil { commit() }
        return Self.response(changed ?? WebAPI.answer(asked, hub, around), pages)
    }

    /// What answers the request on another thread; nil where the loop answers it.
    private func deferred(_ request: HTTPRequest) -> (@Sendable () -> HTTPResponse?)? {
        let asked = WebRequest(method: request.method, path: request.path, query: request.query)
        guard let answer = WebAPI.deferred(asked, hub, clock.now()) else { return nil }
        return { [pages] in answer().map { Self.response($0, pages) } }
    }

    private static func response(_ answer: WebAnswer, _ pages: Pages) -> HTTPResponse {
        pages.secured(
            HTTPResponse(
                status: answer.status,
                headers: [("Content-Type", answer.contentType), ("Cache-Control", "no-store")],
                body: .bytes(answer.body)))
    }
}

/// Carries a reference of the loop's thread through code that runs elsewhere and brings it back unopened: only work
/// that was posted to the loop looks inside.
struct Confined<Value: AnyObject>: @unchecked Sendable {
    unowned let value: Value
    init(_ value: Value) { self.value = value }
}
