import CityLink
@preconcurrency import Glibc
import Hub
import Model
import Ports
import Store
import Usage
import Web

/// One run of `fabgate replay`: a capture instead of the wires, and its times instead of a clock.
final class Replay {
    enum Output { case text, json }

    private let configuration: Configuration
    private var capture: ReplayCapture
    private let region: FileRegion?
    private let speed: Int?
    private let out: Output
    private let loop: Loop
    private let began = SystemClock.realNow().moment
    private var hub: Hub
    private var now: Now
    private var pending: CaptureLine?
    private var failure: (any Error)?
    private var played = 0
    /// Lines of wires that the configuration does not name, by wire.
    private var leftOut: [String: Int] = [:]
    private var told: [RollupKey: (content: RollupContent, revision: Int)] = [:]
    private let source: RollupSource

    /// `region` is what is behind the store, where that outlives this run.
    init(
        _ capture: ReplayCapture, _ configuration: Configuration, store: RingStore, region: FileRegion?, speed: Int?,
        out: Output
    ) throws {
        self.capture = capture
        self.configuration = configuration
        self.region = region
        self.speed = speed
        self.out = out
        source = CityPusher.ownSource(configuration)
        now = Now(moment: Moment(nanoseconds: 0), wall: capture.start)
        hub = Hub(configuration, store: store, at: now)
        // Also a state of less than a second is told.
        hub.isWatched = true
        loop = try Loop()
        for signal in [SIGINT, SIGTERM] { try loop.onSignal(signal) { [unowned loop] in loop.stop(0) } }
    }

    /// Plays to the end, or until somebody stops it, and says how things stand then.
    func run() throws -> ExitStatus {
        openLinks()
        pending = try capture.next()?.line
        loop.after(.zero) { [unowned self] in play() }
        let status = loop.run()
        if let failure { throw failure }
        hub.tick(at: now)
        hub.settle(at: now)
        hub.writeSlots(upTo: now.wall, isEnd: true)
        try carryOut()
        try region?.sync()
        finish(isWhole: status == 0 && pending == nil)
        return .done
    }

    private func openLinks() {
        if capture.hasMessages {
            for broker in configuration.brokers.indices { hub.broker(broker, isUp: true, "in the capture", at: now) }
        }
        for (index, endpoint) in configuration.endpoints.enumerated() where capture.hosts.contains(endpoint.name) {
            hub.playRecording(endpoint: index)
            hub.open(endpoint: index, at: now)
        }
        for (index, line) in configuration.lines.enumerated() {
            guard let hasQuestions = capture.ports[line.name] else { continue }
            hub.playRecording(line: index, hasQuestions: hasQuestions)
            hub.line(index, isOpen: true, "\(line.name) is in the capture", at: now)
            let users = configuration.devices.filter { $0.link == .line(index) }
            if !hasQuestions, users.count > 1 {
                Console.complain(
                    "the capture does not hold what was asked on \(line.name), so nothing tells which of its "
                        + "\(users.count) devices answered; record with --poll")
            }
        }
    }

    // MARK: playing

    /// Some steps, so that a signal is heard in between.
    private func play() {
        do {
            let limit = limit
            for _ in 0..<2000 {
                guard let line = pending else { return loop.stop(0) }
                let time = max(now.wall, line.time ?? now.wall)
                let tick = now.wall + max(.zero, min(hub.deadline - now.moment, .hours(1)))
                guard min(time, tick) <= limit else {
                    return _ = loop.after(delay(until: min(time, tick), limit)) { [unowned self] in play() }
                }
                if tick <= time { try self.tick(at: tick) } else { try self.play(line, at: time) }
            }
            loop.after(.zero) { [unowned self] in play() }
        } catch {
            failure = error
            loop.stop(1)
        }
    }

    /// How far the capture's clock has come by now.
    private var limit: Instant {
        guard let speed else { return .distantFuture }
        let passed = (SystemClock.realNow().moment - began).milliseconds
        return capture.start + .milliseconds(passed &* Int64(speed))
    }

    private func delay(until time: Instant, _ limit: Instant) -> Model.Duration {
        .milliseconds(max(1, (time - limit).milliseconds / Int64(speed ?? 1)))
    }

    private func pass(to time: Instant) {
        now = Now(moment: now.moment + (time - now.wall), wall: time)
    }

    private func tick(at time: Instant) throws {
        pass(to: time)
        hub.tick(at: now)
        try carryOut()
        // A hub that wants to be called again at once is, a millisecond later.
        if hub.deadline <= now.moment { pass(to: now.wall + .milliseconds(1)) }
    }

    private func play(_ line: CaptureLine, at time: Instant) throws {
        pass(to: time)
        switch line.link {
        case .mqtt(let topic, let payload, let isRetained):
            let brokers = brokers(for: topic)
            if brokers.isEmpty { leftOut["MQTT", default: 0] += 1 }
            for broker in brokers {
                hub.message(payload.span, topic: topic, isRetained: isRetained, broker: broker, at: now)
            }
        case .serial(let port, let bytes, let direction):
            guard let index = configuration.lines.firstIndex(where: { $0.name == port }) else {
                leftOut[port, default: 0] += 1
                break
            }
            switch direction {
            case .rx: hub.bytes(bytes.span, line: index, at: now)
            case .tx: hub.overheard(bytes.span, line: index)
            }
        case .http(let device, let path, let exchange):
            guard let index = configuration.endpoints.firstIndex(where: { $0.name == device }) else {
                leftOut["HTTP device \(device)", default: 0] += 1
                break
            }
            switch exchange {
            case .question: break
            case .answer(let status, let body):
                hub.answer(body.span, status: status, path: path, number: 0, endpoint: index, at: now)
            case .noAnswer(let reason): hub.noAnswer(reason, number: 0, endpoint: index, at: now)
            }
        }
        played += 1
        pending = try capture.next()?.line
        try carryOut(commits: false)
    }

    /// A capture does not say which broker a message came from: those whose devices listen to it, else the first.
    private func brokers(for topic: String) -> [Int] {
        let all = configuration.brokers.indices
        guard all.count > 1 else { return Array(all) }
        let meant = all.filter { broker in
            configuration.filters(broker: broker).contains { TopicFilter.matches($0, topic) }
        }
        return meant.isEmpty ? [0] : meant
    }

    // MARK: what comes out

    private func carryOut(commits: Bool = true) throws {
        for effect in hub.takeEffects() {
            switch effect {
            // The devices are not there to be asked; what they answered is in the capture.
            case .write, .publish, .ask: break
            case .event(let name, let data):
                if name == "state" || name == "job" { tell(name, data) }
            case .log(let level, let text):
                if level.rawValue <= LogLevel.warning.rawValue { Log.write(level, text) }
            case .window(let window): tell(window)
            }
        }
        if commits { _ = try hub.store.commit() }
    }

    private func tell(_ event: String, _ json: JSON) {
        guard out == .text else { return emit(event, json) }
        let time = json["t"]?.text ?? ""
        let machine = json["machine"]?.text ?? ""
        let what =
            event == "job"
            ? "job \(json["outcome"]?.text ?? "")" : "\(json["state"]?.text ?? "") (\(json["reason"]?.text ?? ""))"
        Console.print(Text.line("\(time)  \(machine)  \(what)", limit: 500))
    }

    /// The content of a window that closed; again only where it is another one than before.
    private func tell(_ window: Window) {
        let content = hub.content(of: window, source: source, showsMachines: true)
        let before = told[content.key]
        guard before?.content != content else { return }
        let revision = (before?.revision ?? 0) + 1
        told[content.key] = (content, revision)
        let item = content.item(epoch: 0, revision: Int64(revision), emitted: now.wall)
        guard out == .text else { return emit("rollup", .object(["rollup": item.without("epoch", "emitted")])) }
        let totals = content.totals
        let states = MachineState.allCases.filter { totals[$0] > 0 }.map { "\($0.rawValue) \(totals[$0] / 1000) s" }
        let energy = totals.energyMilliwattHours.map { "\(Double($0) / 1000) Wh" } ?? "energy unknown"
        let again = revision > 1 ? " revision \(revision)" : ""
        Console.print(
            "\(now.wall)  rollup \(content.grain.rawValue) \(content.start)\(again): "
                + (states + [energy]).joined(separator: ", "))
    }

    private func emit(_ event: String, _ json: JSON) {
        guard case .object(let members) = json else { return }
        Console.print(bytes: JSON.object([.init("event", .string(event))] + members).bytes + [10])
    }

    /// The machines as they stand at the end, and on standard error what became of the lines.
    private func finish(isWhole: Bool) {
        let around = WebSurroundings(
            now: now, software: Version.number, outbox: CityPusher.emptyOutbox, rollups: { _, _, _ in .null })
        let answer = WebAPI.answer(WebRequest(method: "GET", path: "/api/v1/machines", query: []), hub, around)
        if let json = JSON(answer.body) {
            if out == .json {
                for machine in json["machines"]?.items ?? [] { emit("machine", machine) }
            } else if let table = MachineTable(json) {
                Console.print("")
                for line in table.lines() { Console.print(line) }
            }
        }
        let tally = hub.tally
        Console.complain(
            "replayed \(Text.count(played, "line"))\(isWhole ? "" : ", not all of them,") from \(capture.start) to \(now.wall): "
                + "\(Text.count(tally.messages, "message")), \(Text.count(tally.chunks, "chunk")), "
                + "\(Text.count(tally.readings, "reading")), \(Text.count(tally.faults, "fault"))"
        )
        func say(_ number: Int, _ word: String, _ one: String, _ many: String) {
            if number > 0 { Console.complain("  \(Text.count(number, word)) \(number == 1 ? one : many)") }
        }
        say(tally.unrouted, "message", "was for no device", "were for no device")
        say(hub.unaskedBytes, "byte", "came while nobody was asked", "came while nobody was asked")
        for (wire, count) in leftOut.sorted(by: { $0.key < $1.key }) {
            let which = "of \(Text.line(wire)), which the configuration does not name,"
            say(count, "line", "\(which) was left out", "\(which) were left out")
        }
        let order = "earlier than the one above"
        say(
            capture.backward, "line", "is \(order) and counts as of its time", "are \(order) and count as of its time")
    }
}
