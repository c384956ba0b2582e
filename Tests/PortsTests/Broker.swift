// A real mosquitto for tests, on a free port, with its files in a private folder.

@preconcurrency import Glibc
import Model
import Ports

final class Broker {
    let port: UInt16
    let folder: TemporaryFolder
    private let configuration: String
    private var child: ChildProcess?

    /// Starts a broker; `extra` are further lines of its configuration, in which `FOLDER` stands for its folder.
    init(_ extra: String = "allow_anonymous true", starts: Bool = true, folder: TemporaryFolder? = nil) throws {
        self.folder = try folder ?? TemporaryFolder()
        port = try FreePort.loopback()
        let text = """
            user root
            listener \(port) 127.0.0.1
            persistence true
            persistence_location \(self.folder.path)/
            max_queued_messages 100000
            log_dest stderr
            log_type information
            log_type error
            connection_messages false
            \(extra.replacing("FOLDER", with: self.folder.path))

            """
        configuration = try self.folder.write("mosquitto.conf", Array(text.utf8))
        if starts { try start() }
    }

    /// Returns once the broker listens.
    func start() throws {
        let child = try ChildProcess("/usr/sbin/mosquitto", ["-c", configuration], output: .pipe)
        self.child = child
        guard let output = child.output else { return }
        var text: [UInt8] = []
        while !String(decoding: text, as: UTF8.self).contains(" running") {
            var wait = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            guard poll(&wait, 1, 10_000) > 0 else { break }
            var bytes = [UInt8](repeating: 0, count: 4096)
            let count = read(output, &bytes, bytes.count)
            guard count > 0 else {
                throw PortError(
                    call: "start", subject: "mosquitto", code: 0, hint: String(decoding: text, as: UTF8.self))
            }
            text += bytes[..<count]
        }
    }

    /// Ends it so that it writes down what it keeps.
    func stop() {
        child?.kill(SIGTERM)
        _ = child?.wait()
        child = nil
    }

    /// Ends it and removes its files. Handlers of a test often hold the broker and each other, so tests say so themselves.
    func end() {
        stop()
        folder.remove()
    }
}

/// What one client saw.
final class Inbox {
    struct Message: Equatable {
        var topic: String
        var text: String
        var retained = false
    }

    var received: [Message] = []
    /// What had been received when `onDrained` was called.
    var committed: [Message] = []
    var drains = 0
    var connections: [String] = []
    var client: MQTTClient?
    var onMessage: (Message) -> Void = { _ in }
    var onDrained: () -> Void = {}
    var onConnection: (Bool, String) -> Void = { _, _ in }

    /// Connects to 127.0.0.1 (`localhost` with TLS, for the name in the certificate).
    init(
        _ loop: Loop, port: UInt16, id: String, version: MQTTVersion = .v311, subscriptions: [String] = [],
        adjust: (inout MQTTSettings) -> Void = { _ in }
    ) {
        var settings = MQTTSettings(name: "test", host: "127.0.0.1", port: port, version: version, clientID: id)
        adjust(&settings)
        client = MQTTClient(loop: loop, settings: settings) { [unowned self] topic, payload, retained in
            let bytes = payload.indices.map { payload[$0] }
            let name = topic.indices.map { topic[$0] }
            let message = Message(
                topic: String(decoding: name, as: UTF8.self), text: String(decoding: bytes, as: UTF8.self),
                retained: retained)
            received.append(message)
            onMessage(message)
        } onDrained: { [unowned self] in
            drains += 1
            onDrained()
            committed = received
        } onConnection: { [unowned self] up, reason in
            connections.append((up ? "up: " : "down: ") + reason)
            onConnection(up, reason)
        }
        client?.subscriptions = subscriptions
    }

    func publish(_ topic: String, _ text: String, qos: Int = 1, retain: Bool = false) -> Bool {
        client?.publish(topic: topic, payload: Array(text.utf8), qos: qos, retain: retain) ?? false
    }
}
