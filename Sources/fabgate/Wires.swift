@preconcurrency import Glibc
import Hub
import Model
import Ports

/// Every broker, serial line and HTTP endpoint of a configuration, opened to listen beside the gateway or in its place: with a client id
/// of its own and a clean session, so that nothing that waits for the gateway is taken away.
final class Wires {
    /// What happened on a wire; indices are those of the configuration.
    enum Event {
        case message(broker: Int, topic: String, payload: [UInt8], isRetained: Bool)
        case bytes(line: Int, [UInt8])
        case broker(Int, isUp: Bool, reason: String)
        case line(Int, isOpen: Bool, reason: String)
        case answered(endpoint: Int, number: UInt64, path: String, Asker.Result)
    }

    private let configuration: Configuration
    private var brokers: [MQTTClient] = []
    private var lines: [SerialPort] = []
    private var asker: Asker?
    /// Those that answered, and those that were asked.
    private var answering: Set<Int> = []
    private var asked: Set<Int> = []
    private var openedBrokers: Set<Int> = []
    private var openedLines: Set<Int> = []

    /// Starts to open everything. `filters` says what is subscribed to at each broker; `purpose` is part of the client id.
    init(
        _ configuration: Configuration, loop: Loop, purpose: String, filters: (Int) -> [String],
        onEvent: @escaping (Event) -> Void
    ) throws {
        self.configuration = configuration
        guard !configuration.brokers.isEmpty || !configuration.lines.isEmpty || !configuration.endpoints.isEmpty else {
            throw ToolFailure(
                .configuration,
                "the configuration names no broker (mqtt), no line (serial) and no device with a url to listen to")
        }
        if !configuration.endpoints.isEmpty {
            asker = try Asker(configuration, loop: loop) { [unowned self] endpoint, number, path, result in
                if case .answer = result { answering.insert(endpoint) }
                onEvent(.answered(endpoint: endpoint, number: number, path: path, result))
            }
        }
        for (index, broker) in configuration.brokers.enumerated() {
            let client = MQTTClient(
                // Its own name, so that it takes nothing from the gateway that may run beside it.
                loop: loop,
                settings: try broker.settings(
                    clientID: "fabgate-\(purpose)-\(Hex.text(Digest.randomBytes(4)))", cleanSession: true),
                onMessage: { topic, payload, isRetained in
                    let bytes = payload.indices.map { payload[$0] }
                    let name = String(decoding: topic.indices.map { topic[$0] }, as: UTF8.self)
                    onEvent(.message(broker: index, topic: name, payload: bytes, isRetained: isRetained))
                }, onDrained: {},
                onConnection: { [unowned self] isUp, reason in
                    if isUp { openedBrokers.insert(index) }
                    onEvent(.broker(index, isUp: isUp, reason: reason))
                })
            client.subscriptions = filters(index)
            brokers.append(client)
        }
        for (index, line) in configuration.lines.enumerated() {
            lines.append(
                SerialPort(
                    loop: loop, settings: line.settings,
                    onBytes: { chunk in onEvent(.bytes(line: index, chunk.indices.map { chunk[$0] })) },
                    onChange: { [unowned self] isOpen, reason in
                        if isOpen { openedLines.insert(index) }
                        onEvent(.line(index, isOpen: isOpen, reason: reason))
                    }))
        }
    }

    /// False, and nothing is sent, where the line is closed.
    func write(_ bytes: [UInt8], line: Int) -> Bool { lines[line].write(bytes) }

    func ask(endpoint: Int, number: UInt64, path: String, headers: [String], timeout: Model.Duration) {
        asked.insert(endpoint)
        asker?.ask(endpoint: endpoint, number: number, path: path, headers: headers, timeout: timeout)
    }

    func publish(_ payload: [UInt8], topic: String, broker: Int) {
        brokers[broker].publish(topic: topic, payload: payload, qos: 0, retain: false)
    }

    /// Those that were not open for a moment, by name.
    var neverOpen: [String] {
        let shut = configuration.brokers.indices.filter { !openedBrokers.contains($0) }
        let gone = configuration.lines.indices.filter { !openedLines.contains($0) }
        return shut.map { "broker \(configuration.brokers[$0].name)" }
            + gone.map { "line \(configuration.lines[$0].name)" }
            + asked.subtracting(answering).sorted().map {
                "\(configuration.endpoints[$0].name) at \(configuration.endpoints[$0].url)"
            }
    }

    /// Messages too long to be handed over.
    var oversized: Int { brokers.reduce(0) { $0 + $1.oversized } }

    func close() {
        for broker in brokers { broker.close() }
        for line in lines { line.close() }
        asker = nil
    }
}

/// What `record` and `listen` have in common on the command line.
struct WatchOptions {
    static let options: [CommandHelp.Option] = [
        .init("config", "F", "the configuration file (default: \(Setup.defaultConfiguration))"),
        .init("seconds", "S", "ends by itself after S seconds (default: at Ctrl-C)"),
    ]

    let configuration: Configuration
    let seconds: Int?
    /// A topic filter instead of the usual ones.
    let topic: String?

    init(_ arguments: Arguments) throws {
        seconds = try arguments.integer("seconds", in: 1...31_536_000)
        topic = arguments["topic"]
        if let word = arguments.operands.first {
            throw ToolFailure(.usage, "'\(word)' is not understood; this command takes options only")
        }
        if let topic, !TopicFilter.isValid(topic) {
            throw ToolFailure(
                .usage, "--topic '\(topic)' is no MQTT topic filter; write such as 'tele/#' or 'shop/+/state'")
        }
        configuration = try Setup().configuration(arguments["config"])
    }

    /// Ends the loop at Ctrl-C, at SIGTERM, and when the time is up. Comes before other threads start.
    func end(_ loop: Loop) throws {
        for signal in [SIGINT, SIGTERM] { try loop.onSignal(signal) { [unowned loop] in loop.stop(0) } }
        if let seconds { loop.after(.seconds(Int64(seconds))) { [unowned loop] in loop.stop(0) } }
    }
}
