import Hub
import Model
import Ports

/// `fabgate listen`: a dry run on the real wires.
enum ListenCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "listen", text: "a dry run on the real wires: who said what, and what was made of it; nothing is kept",
            options: WatchOptions.options + [
                .init("topic", "T", "only MQTT messages of this filter (default: #, everything)")
            ], example: "fabgate listen --config fabgate.yaml --seconds 60"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        try Listening(try WatchOptions(arguments)).run()
    }
}

/// One run of `fabgate listen`. The drivers ask their devices as in the gateway; what they make of the answers is said and
/// forgotten.
final class Listening {
    private let configuration: Configuration
    private let topic: String
    private let loop: Loop
    private let clock: SystemClock
    private var gateway: DryGateway
    private var wires: Wires?
    private var tally: ListenTally
    /// What came on each line since the last thing that was made of it.
    private var unread: [[UInt8]]

    init(_ options: WatchOptions) throws {
        configuration = options.configuration
        topic = options.topic ?? "#"
        loop = try Loop()
        try options.end(loop)
        clock = configuration.clock
        gateway = try DryGateway(configuration, at: clock.now())
        tally = ListenTally(configuration)
        unread = configuration.lines.map { _ in [] }
    }

    func run() throws -> ExitStatus {
        let wires = try Wires(
            configuration, loop: loop, purpose: "listen", filters: { [topic] _ in [topic] },
            onEvent: { [unowned self] in take($0) })
        self.wires = wires
        settle(gateway.openEndpoints(at: clock.now()))
        loop.beforeSleep = { [unowned self] in turn() }
        _ = loop.run()
        wires.close()
        for line in tally.summary(wires) { Console.print(Text.printable(line)) }
        return wires.neverOpen.isEmpty ? .done : .unavailable
    }

    private func turn() -> Model.Duration? {
        let now = clock.now()
        if now.moment >= gateway.hub.deadline {
            let outcome = gateway.tick(at: now)
            // What only time brings: a unit that does not answer, a device that went silent.
            for fault in outcome.faults {
                say(now, link(of: fault.device), ["\(fault.device): \(fault.kind): \(fault.detail)"])
            }
            settle(outcome)
        }
        return clock.realDelay(until: gateway.hub.deadline, from: clock.now())
    }

    private func take(_ event: Wires.Event) {
        let now = clock.now()
        let outcome = gateway.take(event, at: now)
        switch event {
        case .message(let broker, let topic, let payload, let isRetained):
            let shown = configuration.withoutPersons(payload, topic: topic, isRetained: isRetained, broker: broker)
            tell(message: topic, shown, isRetained, broker, outcome, now)
        case .bytes(let line, let bytes): tell(bytes: bytes, line, outcome, now)
        case .answered(let endpoint, _, let path, let result): tell(answer: result, path, endpoint, outcome, now)
        case .broker(_, let isUp, let reason): Log.write(isUp ? .notice : .warning, reason)
        case .line(_, let isOpen, let reason): Log.write(isOpen ? .notice : .warning, "serial \(reason)")
        }
        settle(outcome)
    }

    /// Counts, sends what drivers ask, and passes on what the hub has to say of devices and machines.
    private func settle(_ outcome: DryGateway.Outcome) {
        tally.count(outcome)
        for request in outcome.requests {
            switch request {
            case .write(let line, let bytes): _ = wires?.write(bytes, line: line)
            case .publish(let broker, let topic, let payload): wires?.publish(payload, topic: topic, broker: broker)
            case .ask(let endpoint, let number, let path, let headers, let timeout):
                wires?.ask(endpoint: endpoint, number: number, path: path, headers: headers, timeout: timeout)
            }
        }
        for log in outcome.logs where log.level == .info { Log.write(log.level, log.text) }
    }

    // MARK: saying it

    private func tell(
        message topic: String, _ payload: [UInt8], _ isRetained: Bool, _ broker: Int, _ outcome: DryGateway.Outcome,
        _ now: Now
    ) {
        let devices = configuration.devices.filter { device in
            device.link == .broker(broker) && device.driver.subscriptions.contains { TopicFilter.matches($0, topic) }
        }
        let link = "\(configuration.brokers[broker].name)  \(Text.line(topic))\(isRetained ? " (retained)" : "")"
        guard !devices.isEmpty else {
            // Once is enough to know of it; the summary counts them.
            guard tally.ignore(topic: topic) else { return }
            return say(now, link, ["no device listens here: \(Text.line(payload, limit: 80))"])
        }
        for device in devices { tally.heard[device.id, default: 0] += 1 }
        say(
            now, link,
            devices.map { device in
                words(of: device.id, outcome) ?? "\(device.id): no reading in \(Text.line(payload, limit: 80))"
            })
    }

    private func tell(bytes: [UInt8], _ line: Int, _ outcome: DryGateway.Outcome, _ now: Now) {
        let name = configuration.lines[line].name
        let devices = configuration.devices.filter { $0.link == .line(line) }
        tally.bytes[line] += bytes.count
        if devices.isEmpty {
            if tally.bytes[line] == bytes.count {
                say(now, name, ["no device is configured on this line: \(Text.line(bytes, limit: 80))"])
            }
            return
        }
        if outcome.unasked > 0 {
            return say(now, name, ["\(bytes.count) bytes while nobody was asked: \(Text.line(bytes, limit: 80))"])
        }
        unread[line] += bytes
        let told = devices.compactMap { words(of: $0.id, outcome) }
        for device in Set(outcome.readings.map(\.device)) { tally.heard[device, default: 0] += 1 }
        // A part of a frame or of a line says nothing yet.
        let isLineEnd = devices[0].info.link == .line && bytes.contains(10)
        guard !told.isEmpty || isLineEnd || unread[line].count > 1024 else { return }
        let raw = Text.line(unread[line], limit: 80)
        unread[line] = []
        say(now, name, told.isEmpty ? ["\(devices[0].id): no reading in \(raw)"] : told)
    }

    private func tell(
        answer: Asker.Result, _ path: String, _ endpoint: Int, _ outcome: DryGateway.Outcome, _ now: Now
    ) {
        let name = configuration.endpoints[endpoint].name
        switch answer {
        case .noAnswer(let reason): say(now, name, ["\(path): \(reason)"])
        case .answer(let status, let body):
            tally.heard[name, default: 0] += 1
            let raw = body.isEmpty ? "nothing" : Text.line(body, limit: 80)
            say(now, "\(name)  \(path) \(status)", [words(of: name, outcome) ?? "\(name): no reading in \(raw)"])
        }
    }

    /// What became of a device's words; nil where nothing did.
    private func words(of device: String, _ outcome: DryGateway.Outcome) -> String? {
        let faults = outcome.faults.filter { $0.device == device }.map { "\($0.kind): \($0.detail)" }
        let readings = outcome.readings.filter { $0.device == device }.map(\.text)
        // Some tell fifty values at once.
        let more = readings.count > 12 ? ["and \(readings.count - 12) more"] : []
        let all = readings.prefix(12) + more + faults
        return all.isEmpty ? nil : "\(device): \(all.joined(separator: ", "))"
    }

    private func link(of device: String) -> String {
        switch configuration.devices.first(where: { $0.id == device })?.link {
        case .broker(let broker)?: configuration.brokers[broker].name
        case .line(let line)?: configuration.lines[line].name
        case .http(let endpoint)?: configuration.endpoints[endpoint].name
        case nil: "-"
        }
    }

    private func say(_ now: Now, _ link: String, _ parts: [String]) {
        for part in parts { Console.print("\(now.wall)  \(link)  \(Text.line(part, limit: 2000))") }
    }
}

/// What was heard, for the summary.
struct ListenTally {
    private let configuration: Configuration
    /// Messages, or chunks with a reading, of each device.
    var heard: [String: Int] = [:]
    var bytes: [Int]
    private var readings: [String: Int] = [:]
    private var faults: [String: [String: Int]] = [:]
    private var lastFault: [String: String] = [:]
    private var ignored: [String: Int] = [:]
    private var ignoredMessages = 0
    private var unasked = 0
    /// Topics that are told apart; a flood of them is one number.
    private static let mostTopics = 10_000

    init(_ configuration: Configuration) {
        self.configuration = configuration
        bytes = configuration.lines.map { _ in 0 }
    }

    mutating func count(_ outcome: DryGateway.Outcome) {
        for reading in outcome.readings { readings[reading.device, default: 0] += 1 }
        for fault in outcome.faults {
            faults[fault.device, default: [:]][fault.kind, default: 0] += 1
            lastFault[fault.device] = fault.detail
        }
        unasked += outcome.unasked
    }

    /// Counts a message that is for nobody; true the first time.
    mutating func ignore(topic: String) -> Bool {
        ignoredMessages += 1
        guard ignored[topic] != nil || ignored.count < Self.mostTopics else { return false }
        ignored[topic, default: 0] += 1
        return ignored[topic] == 1
    }

    func summary(_ wires: Wires) -> [String] {
        var lines = ["", "devices"]
        for device in configuration.devices {
            let id = device.id
            let faults = (faults[id] ?? [:]).sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
            var text = "  \(id): \(heard[id] ?? 0) heard, \(Text.count(readings[id] ?? 0, "reading"))"
            if !faults.isEmpty {
                text += ", \(faults.joined(separator: ", ")) (last: \(Text.line(lastFault[id] ?? "", limit: 200)))"
            }
            if heard[id] == nil { text += Self.advice(device) }
            lines.append(text)
        }
        if !ignored.isEmpty {
            lines.append(
                "ignored: \(Text.count(ignoredMessages, "message")) on \(Text.count(ignored.count, "topic")) without a device"
            )
            let most = ignored.sorted { ($1.value, $0.key) < ($0.value, $1.key) }
            lines += most.prefix(20).map { "  \($0.value)  \(Text.line($0.key))" }
            if most.count > 20 { lines.append("  and \(most.count - 20) more topics") }
        }
        if unasked > 0 { lines.append("ignored: \(unasked) bytes on buses while nobody was asked") }
        for (index, line) in configuration.lines.enumerated()
        where bytes[index] > 0 && !configuration.devices.contains(where: { $0.link == .line(index) }) {
            lines.append("ignored: \(bytes[index]) bytes on \(line.name), which has no device")
        }
        if wires.oversized > 0 { lines.append("ignored: \(wires.oversized) messages of more than 256 KiB") }
        for name in wires.neverOpen { lines.append("never open: \(name)") }
        return lines
    }

    private static func advice(_ device: Configuration.Device) -> String {
        switch device.info.link {
        case .mqtt: "; is it on, and does it publish on \(device.driver.subscriptions.joined(separator: " or "))?"
        case .line: "; is it on, and are port and baud rate right?"
        case .bus: "; are its address, the baud rate, and A and B of the cable right?"
        case .http: "; is it on, and is its url right?"
        }
    }
}

extension Text {
    /// `1 line`, `2 lines`.
    static func count(_ number: Int, _ word: String) -> String { "\(number) \(word)\(number == 1 ? "" : "s")" }

    /// One line for a terminal: control characters as `\n`, `\r`, `\x1B`; bytes that are no text as hex.
    static func line(_ bytes: [UInt8], limit: Int) -> String {
        let part = Array(bytes.prefix(limit * 4))
        // Cut in the middle of a letter, it is text still.
        let isText = (0...3).contains { String(validating: part.dropLast($0), as: UTF8.self) != nil }
        let strange = part.count { $0 < 32 && $0 != 9 && $0 != 10 && $0 != 13 }
        guard isText, strange * 4 <= part.count else {
            return Hex.text(Array(bytes.prefix(limit / 2))) + (bytes.count > limit / 2 ? "…" : "")
        }
        return line(String(decoding: part, as: UTF8.self), limit: limit)
    }

    /// One line for a terminal, of at most about `limit` bytes.
    static func line(_ text: String, limit: Int = 200) -> String {
        var out = ""
        for scalar in text.unicodeScalars {
            guard out.utf8.count < limit else { return out + "…" }
            switch scalar {
            case "\n": out += "\\n"
            case "\r": out += "\\r"
            case "\t": out += "\\t"
            default: out += printable(String(scalar))
            }
        }
        return out
    }
}
