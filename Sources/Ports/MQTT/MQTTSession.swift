// One attempt to talk to a broker: libmosquitto's handle and its callbacks.

import CMosquitto
@preconcurrency import Glibc
import Model

/// A handle from its making to its end. Every attempt to connect has its own, so that files of certificates are read again,
/// and nothing that was meant for a machine before a break is sent after it.
///
/// Used by one thread at a time: by the worker while it connects, by the loop before and after.
final class MQTTSession: @unchecked Sendable {
    /// How an attempt to connect ended.
    struct Outcome: Sendable {
        /// `MOSQ_ERR_…`, 0 is done.
        let code: Int32
        let systemError: Int32
    }

    /// What the broker answered to CONNECT.
    struct Answer {
        let code: Int32
        let isSessionPresent: Bool
    }

    let handle: OpaquePointer
    private let settings: MQTTSettings

    /// Called inside `read`.
    var onMessage: ((UnsafePointer<CChar>, UnsafeBufferPointer<UInt8>, Bool) -> Void)?
    /// Packets that `read` saw and told of, to notice whether it saw one.
    private(set) var events: UInt64 = 0
    private(set) var answer: Answer?
    /// The reason that a broker gave with a DISCONNECT of MQTT 5, 0 for none.
    private(set) var farewell: Int32 = 0
    /// What libmosquitto logged last about an error, such as OpenSSL's reason.
    private(set) var lastError = ""
    /// Filters of subscriptions on their way, and those that the broker refused.
    private var asked: [Int32: [String]] = [:]
    private(set) var refused: [String] = []
    /// Published and not yet sent (quality 0) or acknowledged (1 and 2).
    private(set) var unfinished = 0

    private static let library: Int32 = mosquitto_lib_init()

    /// nil where there is no memory, or the client id is not valid.
    init?(_ settings: MQTTSettings) {
        guard MQTTSession.library == 0, let handle = mosquitto_new(settings.clientID, settings.cleanSession, nil)
        else { return nil }
        self.handle = handle
        self.settings = settings
        mosquitto_user_data_set(handle, Unmanaged.passUnretained(self).toOpaque())
        setCallbacks()
    }

    deinit { mosquitto_destroy(handle) }

    // MARK: Connecting

    /// Resolves the name and connects; blocks for up to minutes.
    func connect() -> Outcome {
        if let failure = configure() { return Outcome(code: failure, systemError: errno) }
        var properties: OpaquePointer?
        defer { mosquitto_property_free_all(&properties) }
        if settings.version == .v5 { addProperties(&properties) }
        errno = 0
        let seconds = min(65_535, max(5, settings.keepAlive.milliseconds / 1000))
        let code = mosquitto_connect_bind_v5(
            handle, settings.host, CInt(settings.port), CInt(seconds), nil, properties)
        return Outcome(code: code, systemError: errno)
    }

    private func configure() -> Int32? {
        // Without it PUBACK is written before the message is handed over; with it only by `write`. libmosquitto does not
        // promise this, MQTTClientTests does.
        var results = [mosquitto_threaded_set(handle, true)]
        let version = settings.version == .v5 ? MQTT_PROTOCOL_V5 : MQTT_PROTOCOL_V311
        results.append(mosquitto_int_option(handle, MOSQ_OPT_PROTOCOL_VERSION, version))
        results.append(mosquitto_int_option(handle, MOSQ_OPT_TCP_NODELAY, 1))
        if settings.version == .v5 {
            results.append(mosquitto_int_option(handle, MOSQ_OPT_RECEIVE_MAXIMUM, MQTTClient.mostUnacknowledged))
        }
        if settings.username != nil {
            results.append(mosquitto_username_pw_set(handle, settings.username, settings.password))
        }
        if let will = settings.will {
            results.append(
                mosquitto_will_set(
                    handle, will.topic, CInt(will.payload.count), will.payload, CInt(will.qos), will.retain))
        }
        if let tls = settings.tls, let name = tls.serverName {
            results.append(fabgate_mosquitto_expect_name(handle, name, tls.caFile, tls.certFile, tls.keyFile))
        } else if let tls = settings.tls {
            let folder = tls.caFile == nil ? "/etc/ssl/certs" : nil
            results.append(mosquitto_tls_set(handle, tls.caFile, folder, tls.certFile, tls.keyFile, nil))
            // The oldest version that is allowed: by default it would be 1.1.
            results.append(mosquitto_tls_opts_set(handle, 1, "tlsv1.2", nil))
        }
        return results.first { $0 != 0 }
    }

    private func addProperties(_ properties: inout OpaquePointer?) {
        if !settings.cleanSession {
            mosquitto_property_add_int32(
                &properties, CInt(MQTT_PROP_SESSION_EXPIRY_INTERVAL.rawValue), MQTTClient.sessionExpirySeconds)
        }
        mosquitto_property_add_int32(
            &properties, CInt(MQTT_PROP_MAXIMUM_PACKET_SIZE.rawValue), UInt32(MQTTClient.longestPayload + 65_536))
    }

    // MARK: Traffic

    /// Below 0 once the connection is gone.
    var socket: CInt { mosquitto_socket(handle) }
    var wantsToWrite: Bool { mosquitto_want_write(handle) }

    /// Reads one packet, if a whole one is there. `isDry` says that nothing was.
    func read() -> (code: Int32, isDry: Bool) {
        let before = events
        errno = 0
        let code = mosquitto_loop_read(handle, 1)
        // Queued acknowledgements also leave EAGAIN, by libmosquitto's own wake-up pipe, which nobody empties here; so a
        // packet that was told of counts more.
        return (code, errno == EAGAIN && events == before)
    }

    func write() -> Int32 { mosquitto_loop_write(handle, 1) }

    /// Keeps the connection alive; to be called about once a second.
    func keepAlive() -> Int32 { mosquitto_loop_misc(handle) }

    /// Many filters go in one packet: a thousand plugs have five thousand.
    func subscribe(_ filters: [String]) {
        // 0x10: retained messages only where the session did not have this subscription before.
        let options: CInt = settings.version == .v5 ? 0x10 : 0
        var rest = filters[...]
        while !rest.isEmpty {
            var bytes = 0
            var part = rest.prefix {
                bytes += $0.utf8.count + 3
                return bytes <= 16_384
            }
            // One filter may be longer than that.
            if part.isEmpty { part = rest.prefix(1) }
            rest = rest.dropFirst(part.count)
            var number: CInt = 0
            var texts: [UnsafeMutablePointer<CChar>?] = part.map { strdup($0) }
            defer { texts.forEach { free($0) } }
            let code = mosquitto_subscribe_multiple(handle, &number, CInt(texts.count), &texts, 1, options, nil)
            if code == 0 { asked[number] = Array(part) }
        }
    }

    /// From now on nothing is formatted for a log: with one, libmosquitto writes a line a packet.
    func stopLogging() { mosquitto_log_callback_set(handle, nil) }

    func unsubscribe(_ filter: String) { mosquitto_unsubscribe(handle, nil, filter) }

    func publish(_ topic: String, _ payload: [UInt8], qos: Int, retain: Bool) -> Bool {
        let code = mosquitto_publish(handle, nil, topic, CInt(payload.count), payload, CInt(qos), retain)
        if code == 0 { unfinished += 1 }
        return code == 0
    }

    /// Breaks the connection now; what was not acknowledged comes again with the next one.
    func shutDown() { shutdown(socket, CInt(SHUT_RDWR)) }

    func sayGoodbye() {
        mosquitto_disconnect(handle)
        _ = write()
    }

    // MARK: Callbacks, all on the thread that calls `connect`, `read`, `write` or `keepAlive`

    private static func session(_ context: UnsafeMutableRawPointer?) -> MQTTSession? {
        context.map { Unmanaged<MQTTSession>.fromOpaque($0).takeUnretainedValue() }
    }

    private func setCallbacks() {
        mosquitto_message_callback_set(handle) { _, context, message in
            guard let session = MQTTSession.session(context), let message = message?.pointee, let topic = message.topic
            else { return }
            session.events &+= 1
            let payload = UnsafeBufferPointer(
                start: message.payload?.assumingMemoryBound(to: UInt8.self), count: Int(max(0, message.payloadlen)))
            session.onMessage?(topic, payload, message.retain)
        }
        mosquitto_connect_v5_callback_set(handle) { _, context, code, flags, _ in
            guard let session = MQTTSession.session(context) else { return }
            session.events &+= 1
            session.answer = Answer(code: code, isSessionPresent: flags & 1 != 0)
        }
        mosquitto_disconnect_v5_callback_set(handle) { _, context, code, _ in
            MQTTSession.session(context)?.farewell = code
        }
        mosquitto_subscribe_callback_set(handle) { _, context, number, count, granted in
            guard let session = MQTTSession.session(context) else { return }
            session.events &+= 1
            guard let filters = session.asked.removeValue(forKey: number), let granted else { return }
            for (index, filter) in filters.enumerated() where index < Int(count) && granted[index] >= 128 {
                session.refused.append(filter)
            }
        }
        mosquitto_publish_callback_set(handle) { _, context, _ in
            guard let session = MQTTSession.session(context) else { return }
            session.unfinished -= 1
        }
        mosquitto_log_callback_set(handle) { _, context, level, text in
            guard let session = MQTTSession.session(context), level & MOSQ_LOG_ERR != 0, let text else { return }
            session.lastError = String(cString: text)
        }
    }
}
