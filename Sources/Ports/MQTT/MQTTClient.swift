// A connection to an MQTT broker that the loop drives, and that acknowledges what has been committed.

import CMosquitto
@preconcurrency import Glibc
import Model

/// Reads from one broker and publishes to it.
///
/// Messages that are there come in one go, then `onDrained` once, then their acknowledgements leave. So who commits in
/// `onDrained` never loses a message that the broker believes to be delivered; the broker sends it again, perhaps to a
/// new process. What comes again may have been committed already.
///
/// A broker that is not there is normal: attempts go on for ever, from 1 s to 60 s apart, at random within that, so that
/// not all gateways come back in the same second.
package final class MQTTClient {
    /// Longer payloads are dropped and counted. A broker that speaks MQTT 5 is told not to send them; with 3.1.1 they
    /// cross the wire and are thrown away as they come. With TLS libmosquitto allocates them first, and only the broker's
    /// `message_size_limit` bounds that.
    package static let longestPayload = 256 * 1024
    /// How long a broker that speaks MQTT 5 keeps what we have not had, seven days.
    static let sessionExpirySeconds: UInt32 = 7 * 86_400
    /// Messages of ours that may wait for the broker.
    package static let mostUnfinished = 1000
    /// Packets read in one turn, so that other descriptors have theirs.
    private static let batch = 1000
    /// The same where the relay reads, in buffers of 72 KiB.
    private static let reads = 4
    /// Messages of quality 1 that may be on their way to us; said to a broker that speaks MQTT 5.
    static let mostUnacknowledged: CInt = 200
    private static let slowAfter = Duration.seconds(10)
    private static let stableAfter = Duration.minutes(1)

    private enum State {
        case waiting(TimerID)
        case connecting
        /// Connected, and up once the broker has accepted us.
        case open(MQTTSession, descriptor: CInt)
        case closed
    }

    package typealias MessageHandler = (
        _ topic: borrowing Span<UInt8>, _ payload: borrowing Span<UInt8>, _ retained: Bool
    ) -> Void

    private let loop: Loop
    private let settings: MQTTSettings
    private let onMessage: MessageHandler
    private let onTooLong: () -> Void
    private let onDrained: () -> Void
    private let onConnection: (_ up: Bool, _ reason: String) -> Void
    private let worker: Worker

    private var state = State.closed
    /// Between libmosquitto and the socket of an open connection without TLS.
    private var relay: MQTTRelay?
    private var gathering = Gathering()
    private var attempts = 0
    private var stableTimer: TimerID?
    private var keepAliveTimer: TimerID?
    private var isWatchedForWriting = false
    private var isDraining = false
    private var closesAfterDraining = false
    private var messages = 0
    /// Reasons given since the last connection: each is said once.
    private var saidReasons: Set<String> = []
    private var refusalsSaid = 0

    /// True between the broker's acceptance and the loss of the connection.
    package private(set) var isUp = false
    /// Messages that were longer than `longestPayload`.
    package private(set) var oversized = 0

    /// Filters to be subscribed to, at quality 1. What MQTT does not allow as a filter is left out; see `isFilter`.
    package var subscriptions: [String] = [] {
        didSet { if subscriptions != oldValue { changeSubscriptions(from: oldValue) } }
    }

    /// Filters beside these, asked for with each connection: thousands of texts need not be kept for that.
    package var standing: () -> [String] = { [] }

    /// Starts to connect. `onConnection` hears of each change, and while there is no connection of each new reason, once.
    /// `onTooLong` hears of each message that was thrown away for its length. Handlers are called on the loop, not before
    /// `init` returns, and `close` may be called in them.
    package init(
        loop: Loop, settings: MQTTSettings, onMessage: @escaping MessageHandler, onTooLong: @escaping () -> Void = {},
        onDrained: @escaping () -> Void, onConnection: @escaping (_ up: Bool, _ reason: String) -> Void
    ) {
        self.loop = loop
        self.settings = settings
        self.onMessage = onMessage
        self.onTooLong = onTooLong
        self.onDrained = onDrained
        self.onConnection = onConnection
        worker = Worker(name: "mqtt \(settings.name)")
        retry(after: .zero)
    }

    /// Whether MQTT allows this as a filter of subscriptions.
    package static func isFilter(_ text: String) -> Bool {
        text.utf8.count <= 65_535 && !text.utf8.contains(0) && mosquitto_sub_topic_check(text) == 0
    }

    /// Whether MQTT allows this as the topic of a message.
    package static func isTopic(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.count <= 65_535 && !text.utf8.contains(0) && mosquitto_pub_topic_check(text) == 0
    }

    /// Sends a message. False, and nothing is kept, where there is no connection or too much waits already: what people
    /// asked of a machine must not reach it minutes later. What was not sent when the connection breaks is gone, too.
    @discardableResult
    package func publish(topic: String, payload: [UInt8], qos: Int = 0, retain: Bool = false) -> Bool {
        guard isUp, case .open(let session, _) = state, session.unfinished < MQTTClient.mostUnfinished,
            payload.count <= MQTTClient.longestPayload, MQTTClient.isTopic(topic),
            session.publish(topic, payload, qos: min(2, max(0, qos)), retain: retain)
        else { return false }
        // While messages are read, acknowledgements wait in the same queue: nothing leaves before `onDrained`.
        if !isDraining { flush(session) }
        return true
    }

    /// In `onDrained`, where the commit failed: what was read is not acknowledged before `acknowledge()`. The connection
    /// stays, and the broker sends as many more as it lets wait, none twice. With TLS libmosquitto acknowledges by
    /// itself, so there the connection breaks and the broker sends again what it got no word about.
    package func withhold() {
        guard let relay else { return dropUnacknowledged() }
        relay.isWithholding = true
    }

    /// Something was read and is not acknowledged yet.
    package var isWithholding: Bool { relay?.isWithholding == true }

    /// What was withheld is committed now.
    package func acknowledge() {
        guard case .open(let session, _) = state, isWithholding else { return }
        relay?.isWithholding = false
        if !isDraining { flush(session) }
    }

    /// Breaks the connection without acknowledging what this turn has read, or what was withheld, for one who has lost it:
    /// the broker sends it again.
    package func dropUnacknowledged() {
        guard case .open(let session, _) = state else { return }
        if let relay { relay.shutDown() } else { session.shutDown() }
    }

    /// Says goodbye to the broker and ends. In a handler, after what was read has been committed and acknowledged.
    package func close() {
        if isDraining {
            closesAfterDraining = true
            return
        }
        switch state {
        case .waiting(let timer): loop.cancel(timer)
        case .open(let session, let descriptor):
            session.sayGoodbye()
            relay?.write(isBetweenPackets: true)
            forget(descriptor)
        case .connecting, .closed: break
        }
        state = .closed
        isUp = false
    }

    // MARK: Connecting

    private func retry(after delay: Duration) {
        state = .waiting(loop.after(delay) { [self] in connect() })
    }

    private func connect() {
        guard let session = MQTTSession(settings) else {
            return failed("\(settings.place) cannot have the client id '\(settings.clientID)', or memory is short")
        }
        state = .connecting
        let slow = loop.after(MQTTClient.slowAfter) { [self] in
            say("\(settings.place) has not answered for \(MQTTClient.slowAfter.milliseconds / 1000) s; still trying")
        }
        loop.run(on: worker) {
            session.connect()
        } then: { [self] outcome in
            loop.cancel(slow)
            guard case .connecting = state else { return }
            guard outcome.code == 0, session.socket >= 0 else {
                return failed(settings.reason(outcome, log: session.lastError))
            }
            open(session)
        }
    }

    private func open(_ session: MQTTSession) {
        session.onMessage = { [unowned self] topic, payload, isRetained in
            topic.withMemoryRebound(to: UInt8.self, capacity: strlen(topic)) {
                received(UnsafeBufferPointer(start: $0, count: strlen(topic)), payload, isRetained)
            }
        }
        if settings.tls == nil {
            relay = MQTTRelay(
                session.socket, hasProperties: settings.version == .v5, longestPayload: MQTTClient.longestPayload)
        }
        let descriptor = relay?.socket ?? session.socket
        state = .open(session, descriptor: descriptor)
        isWatchedForWriting = false
        refusalsSaid = 0
        loop.watch(descriptor, .read) { [self] readiness in
            if readiness.contains(.write) { flush(session) }
            guard readiness != .write, isAlive(session, 0) else { return }
            gather()
            drain(session)
        }
        keepAlive(session)
        flush(session)
    }

    private func keepAlive(_ session: MQTTSession) {
        keepAliveTimer = loop.after(.seconds(1)) { [self] in
            guard case .open(let current, _) = state, current === session else { return }
            keepAlive(session)
            guard isAlive(session, session.keepAlive()) else { return }
            flush(session)
        }
    }

    /// Said once per reason, then tried again later.
    private func failed(_ reason: String, slowly: Bool = false) {
        isUp = false
        if let stableTimer { loop.cancel(stableTimer) }
        attempts = slowly ? 7 : min(attempts + 1, 7)
        let longest = min(60_000, Int64(1000) << Int64(attempts - 1))
        // Half of the range at least, where the broker refused us: it would hear the same password again and again.
        retry(after: .milliseconds(Int64.random(in: (slowly ? longest / 2 : 50)...longest)))
        say(reason)
    }

    private func say(_ reason: String) {
        if saidReasons.count < 20, saidReasons.insert(reason).inserted { onConnection(false, reason) }
    }

    private func forget(_ descriptor: CInt) {
        loop.unwatch(descriptor)
        relay = nil
        if let keepAliveTimer { loop.cancel(keepAliveTimer) }
        if let stableTimer { loop.cancel(stableTimer) }
    }

    /// Whether the connection is still there after a step that ended with `code`. If it is not, that is dealt with.
    private func isAlive(_ session: MQTTSession, _ code: Int32) -> Bool {
        guard case .open(let current, let descriptor) = state, current === session else { return false }
        if code == 0, session.socket >= 0 { return true }
        forget(descriptor)
        if let answer = session.answer, answer.code != 0 {
            failed(settings.reason(refusal: answer.code), slowly: true)
        } else if settings.version == .v5, session.farewell >= 128 {
            failed(settings.reason(refusal: session.farewell))
        } else {
            failed(settings.reason(code: code, log: session.lastError))
        }
        return false
    }

    private func accepted(_ session: MQTTSession) {
        isUp = true
        session.stopLogging()
        saidReasons = []
        session.subscribe((subscriptions + standing()).filter(MQTTClient.isFilter))
        stableTimer = loop.after(MQTTClient.stableAfter) { [self] in attempts = 0 }
        let isKept = session.answer?.isSessionPresent == true
        onConnection(true, isKept ? "\(settings.place) kept our session" : "\(settings.place) accepted us")
    }

    // MARK: Traffic

    /// Waits for more, where that is worth it.
    private func gather() {
        let pause = gathering.pause(at: SystemClock.realNow().moment)
        guard pause > 0 else { return }
        var time = timespec(tv_sec: 0, tv_nsec: pause)
        nanosleep(&time, nil)
    }

    /// Reads everything that is there, has it committed, and acknowledges it.
    private func drain(_ session: MQTTSession) {
        let start = SystemClock.realNow().moment
        isDraining = true
        messages = 0
        let (code, isCut) = relay.map { read(session, through: $0) } ?? read(session)
        sayRefusals(session)
        if messages > 0 { onDrained() }
        isDraining = false
        gathering.found(messages, isCut: isCut, at: start)
        if isAlive(session, code) {
            flush(session)
            // TLS may hold decrypted messages that the descriptor does not show.
            if isCut, relay == nil { loop.after(.zero) { [self] in if isAlive(session, 0) { drain(session) } } }
        }
        if closesAfterDraining {
            closesAfterDraining = false
            close()
        }
    }

    /// Packet after packet; `isCut` where there may be more.
    private func read(_ session: MQTTSession) -> (code: Int32, isCut: Bool) {
        var code: Int32 = 0
        var isDry = false
        var left = MQTTClient.batch
        while code == 0, !isDry, left > 0, session.socket >= 0 {
            (code, isDry) = session.read()
            left -= 1
            // During the handshake of TLS nothing tells when it is dry.
            if session.answer == nil { break }
            if !isUp, session.answer?.code == 0 { accepted(session) }
        }
        return (code, left == 0)
    }

    private func read(_ session: MQTTSession, through relay: MQTTRelay) -> (code: Int32, isCut: Bool) {
        var code: Int32 = 0
        var isCut = false
        for _ in 0..<MQTTClient.reads where code == 0 {
            guard relay.fill() else {
                isCut = false
                break
            }
            isCut = relay.isFull
            while code == 0, let item = relay.next(accepts: isUp) { code = take(item, session, relay) }
            if !isCut { break }
        }
        // libmosquitto says why.
        if code == 0, relay.isBroken { code = session.read().code }
        return (code, isCut)
    }

    private func take(_ item: MQTTRelay.Item, _ session: MQTTSession, _ relay: MQTTRelay) -> Int32 {
        switch item {
        case .message(let topic, let payload, let number, let isRetained):
            received(relay.bytes(topic), relay.bytes(payload), isRetained)
            if let number { relay.acknowledge(number) }
        case .tooLong(let number):
            tooLong()
            if let number { relay.acknowledge(number) }
        case .other(var rest):
            while !rest.isEmpty {
                let count = relay.pass(rest)
                rest.removeFirst(count)
                var (code, isDry): (Int32, Bool) = (0, false)
                while code == 0, !isDry, session.socket >= 0 {
                    (code, isDry) = session.read()
                    if !isUp, session.answer?.code == 0 { accepted(session) }
                }
                if code != 0 || session.socket < 0 { return code }
                // It has read everything and takes nothing: the system has no memory for it.
                if count == 0 { relay.shutDown() }
                if relay.isBroken { return session.read().code }
            }
        case .broken: relay.shutDown()
        }
        return 0
    }

    private func received(
        _ topic: UnsafeBufferPointer<UInt8>, _ payload: UnsafeBufferPointer<UInt8>, _ retained: Bool
    ) {
        guard payload.count <= MQTTClient.longestPayload else { return tooLong() }
        messages += 1
        onMessage(topic.span, payload.span, retained)
    }

    private func tooLong() {
        messages += 1
        oversized += 1
        onTooLong()
    }

    /// Sends what waits, and asks the loop for more room where not all of it went.
    private func flush(_ session: MQTTSession) {
        guard isAlive(session, session.write()) else { return }
        if let relay {
            relay.write(isBetweenPackets: !session.wantsToWrite)
            while session.wantsToWrite, !relay.wantsToWrite, !relay.isBroken, session.write() == 0 {
                relay.write(isBetweenPackets: !session.wantsToWrite)
            }
            if relay.isBroken { return _ = isAlive(session, session.read().code) }
        }
        guard case .open(_, let descriptor) = state else { return }
        let wants = session.wantsToWrite || relay?.wantsToWrite == true
        if wants != isWatchedForWriting {
            isWatchedForWriting = wants
            loop.change(descriptor, wants ? [.read, .write] : .read)
        }
    }

    private func sayRefusals(_ session: MQTTSession) {
        while refusalsSaid < session.refused.count {
            let filter = session.refused[refusalsSaid]
            refusalsSaid += 1
            onConnection(true, "\(settings.place) refuses the subscription to '\(filter)'; check its access list")
        }
    }

    private func changeSubscriptions(from old: [String]) {
        guard isUp, case .open(let session, _) = state else { return }
        for filter in old where !subscriptions.contains(filter) && MQTTClient.isFilter(filter) {
            session.unsubscribe(filter)
        }
        session.subscribe(subscriptions.filter { !old.contains($0) && MQTTClient.isFilter($0) })
        if !isDraining { flush(session) }
    }
}
