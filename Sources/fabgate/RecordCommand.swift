import Hub
import Model
import Ports

/// `fabgate record`: what comes over the wires, as it comes, into a capture file.
enum RecordCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "record", text: "writes the raw traffic of the configured brokers and lines into a capture file",
            options: [.init("out", "F", "the file to make; - is standard output")] + WatchOptions.options + [
                .init("topic", "T", "MQTT messages of this filter instead of those that the devices publish"),
                .init("poll", nil, "let the drivers ask their devices, and record the questions, too"),
            ], example: "fabgate record --out evening.jsonl --config fabgate.yaml --seconds 600"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        guard let out = arguments["out"] else {
            throw ToolFailure(.usage, "where to? Give --out FILE, or --out - for standard output")
        }
        let options = try WatchOptions(arguments)
        let recording = try Recording(options, out: out, asks: arguments.has("poll"))
        return try recording.run()
    }
}

/// One run of `fabgate record`.
final class Recording {
    private let options: WatchOptions
    private let loop: Loop
    private let clock: SystemClock
    private let file: OutputFile
    /// With `--poll`: who asks.
    private var gateway: DryGateway?
    private var wires: Wires?
    private var trouble: PortError?
    private var messages = 0
    private var topics: Set<String> = []
    private var payloadBytes = 0
    /// Over HTTP; `answers` counts also what did not come.
    private var questions = 0
    private var answers = 0
    /// Of each line: chunks and bytes from the device, and questions.
    private var chunks: [(heard: Int, bytes: Int, asked: Int)]

    init(_ options: WatchOptions, out: String, asks: Bool) throws {
        self.options = options
        loop = try Loop()
        try options.end(loop)
        clock = options.configuration.clock
        file = try OutputFile(creating: out)
        chunks = options.configuration.lines.map { _ in (0, 0, 0) }
        if asks { gateway = try DryGateway(options.configuration, at: clock.now()) }
    }

    func run() throws -> ExitStatus {
        let wires = try Wires(
            options.configuration, loop: loop, purpose: "record", filters: { filters(broker: $0) },
            onEvent: { [unowned self] in take($0) })
        self.wires = wires
        if let outcome = gateway?.openEndpoints(at: clock.now()) { send(outcome.requests) }
        loop.beforeSleep = { [unowned self] in turn() }
        _ = loop.run()
        wires.close()
        flush()
        report(wires)
        if let trouble { throw ToolFailure(.ioError, "\(trouble); what was written before is whole") }
        return wires.neverOpen.isEmpty ? .done : .unavailable
    }

    /// What its devices publish on; at a broker without devices, everything.
    private func filters(broker: Int) -> [String] {
        if let topic = options.topic { return [topic] }
        let filters = options.configuration.filters(broker: broker)
        return filters.isEmpty ? ["#"] : filters
    }

    private func take(_ event: Wires.Event) {
        let now = clock.now()
        switch event {
        case .message(let broker, let topic, let raw, let isRetained):
            messages += 1
            let payload = options.configuration.withoutPersons(
                raw, topic: topic, isRetained: isRetained, broker: broker)
            payloadBytes += payload.count
            // Enough to tell a lab from a flood.
            if topics.count < 10_000 { topics.insert(topic) }
            write(CaptureLine(time: now.wall, .mqtt(topic: topic, payload: payload, retained: isRetained)))
        case .bytes(let line, let bytes):
            chunks[line].heard += 1
            chunks[line].bytes += bytes.count
            write(.init(time: now.wall, .serial(port: name(line), bytes: bytes, direction: .rx)))
        case .answered(let endpoint, _, let path, let result):
            answers += 1
            let name = options.configuration.endpoints[endpoint].name
            switch result {
            case .answer(let status, let body):
                write(.init(time: now.wall, .http(device: name, path: path, .answer(status: status, body))))
            case .noAnswer(let reason):
                write(.init(time: now.wall, .http(device: name, path: path, .noAnswer(reason))))
            }
        case .broker(_, let isUp, let reason): Log.write(isUp ? .notice : .warning, reason)
        case .line(_, let isOpen, let reason): Log.write(isOpen ? .notice : .warning, "serial \(reason)")
        }
        if let outcome = gateway?.take(event, at: now) { send(outcome.requests) }
    }

    private func turn() -> Model.Duration? {
        defer { flush() }
        guard gateway != nil else { return nil }
        let now = clock.now()
        if let deadline = gateway?.hub.deadline, now.moment >= deadline, let outcome = gateway?.tick(at: now) {
            send(outcome.requests)
        }
        return gateway.map { clock.realDelay(until: $0.hub.deadline, from: clock.now()) }
    }

    private func send(_ requests: [DryGateway.Request]) {
        for request in requests {
            switch request {
            case .write(let line, let bytes):
                guard wires?.write(bytes, line: line) == true else { continue }
                chunks[line].asked += 1
                write(.init(time: clock.now().wall, .serial(port: name(line), bytes: bytes, direction: .tx)))
            case .publish(let broker, let topic, let payload): wires?.publish(payload, topic: topic, broker: broker)
            case .ask(let endpoint, let number, let path, let headers, let timeout):
                let name = options.configuration.endpoints[endpoint].name
                write(.init(time: clock.now().wall, .http(device: name, path: path, .question)))
                questions += 1
                wires?.ask(endpoint: endpoint, number: number, path: path, headers: headers, timeout: timeout)
            }
        }
    }

    private func name(_ line: Int) -> String { options.configuration.lines[line].name }

    private func write(_ line: CaptureLine) { file.append(line.bytes + [10]) }

    /// A file that cannot be written any more ends the recording.
    private func flush() {
        guard trouble == nil else { return }
        do { try file.flush() } catch {
            trouble = error
            loop.stop(1)
        }
    }

    private func report(_ wires: Wires) {
        let lines = messages + questions + answers + chunks.reduce(0) { $0 + $1.heard + $1.asked }
        Console.complain("wrote \(Text.count(lines, "line")) to \(file.path)")
        if !options.configuration.brokers.isEmpty {
            Console.complain(
                "  MQTT: \(Text.count(messages, "message")) on \(Text.count(topics.count, "topic")), \(payloadBytes) bytes of payload"
            )
        }
        for (index, count) in chunks.enumerated() {
            let asked = gateway == nil ? "" : ", \(Text.count(count.asked, "question"))"
            Console.complain(
                "  \(name(index)): \(Text.count(count.heard, "chunk")), \(Text.count(count.bytes, "byte"))\(asked)")
        }
        if !options.configuration.endpoints.isEmpty {
            Console.complain(
                gateway == nil
                    ? "  HTTP: nobody was asked, so nobody answered; record with --poll"
                    : "  HTTP: \(Text.count(questions, "question")), \(Text.count(answers, "answer"))")
        }
        if wires.oversized > 0 { Console.complain("  left out: \(wires.oversized) messages of more than 256 KiB") }
        if !wires.neverOpen.isEmpty {
            Console.complain("never open, so nothing of it is here: \(wires.neverOpen.joined(separator: ", "))")
        }
    }
}

extension Configuration {
    /// The topic filters that the devices of a broker speak on, each once.
    func filters(broker: Int) -> [String] {
        var filters: [String] = []
        for device in devices where device.link == .broker(broker) {
            for filter in device.driver.subscriptions where !filters.contains(filter) { filters.append(filter) }
        }
        return filters
    }
}
