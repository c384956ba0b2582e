import DeskFactories
@preconcurrency import Glibc
import Hub
import Meters
import Model
import Plugs
import Ports
import Printers
import Workshop

/// Every driver and every model of the tree, as fuzz targets with the models' recordings as seeds.
struct FuzzModels {
    private static let drivers = plugDrivers + meterDrivers + printerDrivers + deskFactoryDrivers + workshopDrivers
    private let devices: String
    /// Every model's folder.
    private let folders: [String]
    let catalog: Catalog

    init() throws {
        devices = try Installation.find().devices
        var catalog = Catalog(drivers: Self.drivers)
        var problems = Problems()
        var folders: [String] = []
        for family in try Files.folders(in: devices) {
            let models = "\(devices)/\(family)/models"
            guard Files.isFolder(models) else { continue }
            for model in try Files.folders(in: models) {
                folders.append("\(models)/\(model)")
                let profile = try YAML.load(path: "\(models)/\(model)/profile.yaml")
                catalog.add(model: model, family: family, profile, &problems)
            }
        }
        guard problems.isEmpty else { FuzzTarget.broken("\(problems.all)") }
        self.folders = folders
        self.catalog = catalog
    }

    /// One target for each driver.
    func targets() -> [FuzzTarget] {
        Self.drivers.map { type in
            let profiles = catalog.profiles.filter { $0.driver == type.info.name }
            let prototypes = profiles.compactMap { prototype(type.info.name, $0.name) }
            return FuzzTarget(
                name: "driver-\(type.info.name)",
                run: { DriverFuzz.run($0, prototypes, type.info) },
                seeds: {
                    try profiles.enumerated().flatMap { index, profile in
                        try recordings(of: profile.name).flatMap {
                            DriverFuzz.seeds(model: index, try lines(of: $0), type.info)
                        }
                    }
                })
        }
    }

    private func prototype(_ driver: String, _ model: String) -> (any DeviceDriver)? {
        var problems = Problems()
        let nowhere = Position(file: "fuzz", line: 1, column: 1)
        let made = catalog.makeDriver(
            named: driver, id: model, model: model, fields: Fields(entries: [], at: nowhere, "device"),
            takesAnyAddress: true, &problems)
        guard let made, problems.isEmpty else { FuzzTarget.broken("\(model): \(problems.all)") }
        return made.driver
    }

    private func recordings(of model: String) throws -> [String] {
        guard let folder = folders.first(where: { $0.hasSuffix("/\(model)") }) else { return [] }
        return try Files.names(in: "\(folder)/recordings")
            .filter { $0.hasSuffix(".jsonl") && !$0.hasSuffix(".readings.jsonl") }.sorted()
            .map { "\(folder)/recordings/\($0)" }
    }

    private func lines(of path: String) throws -> [CaptureLine] {
        try Console.read(path: path).split(separator: 10).map { try CaptureLine(parsing: Array($0)) }
    }

    // MARK: - Seeds for the parsers underneath

    private func allLines() throws -> [CaptureLine] {
        try catalog.profiles.flatMap { try recordings(of: $0.name) }.flatMap { try lines(of: $0).prefix(12) }
    }

    func captureLines() throws -> [[UInt8]] { try allLines().map(\.bytes) }

    func payloads() throws -> [[UInt8]] {
        try allLines().compactMap { line in
            guard case .mqtt(_, let payload, _) = line.link, payload.first == 0x7B || payload.first == 0x5B else {
                return nil
            }
            return payload
        }
    }

    func profiles() throws -> [[UInt8]] { try folders.map { try Console.read(path: "\($0)/profile.yaml") } }

    func configurations() throws -> [[UInt8]] {
        let text = """
            lab: { id: "urn:x", name: L, timezone: Asia/Seoul, open: {mon-fri: "10:00-22:00", sat: "10:00-18:00"} }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            serial: [{ name: bus1, port: /dev/ttyX, baud: 9600, format: 8N1 }]
            devices: [{ id: plug, driver: tasmota, mqtt: main, topic: laser },
                      { id: zone, driver: modbus-rtu, model: autonics-tk4, serial: bus1, unit: 3, every: 1s }]
            machines: [{ id: laser, name: Laser, class: laser, devices: [plug],
                         usage: {from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s} }]
            store: { path: /var/lib/fabgate, size: 512 MiB, sync: 1 s }
            http: { listen: "127.0.0.1:8080" }
            city: [{ name: seoul, kind: fabcity, url: "https://x", token_file: t, grains: [P1D], detail: class }]
            """
        return [Array(text.utf8)]
    }
}

/// A conversation with one driver. The first byte picks the model; then come steps
/// `what u8, length u16, bytes`: received, received as retained, the driver's turn, no reply, link opened, overheard.
/// Over MQTT the bytes are a topic, a line feed and the payload; over HTTP the path, a space and the status stand for the
/// topic.
enum DriverFuzz {
    private enum Step: UInt8, CaseIterable { case receive, retained, poll, noReply, opened, overheard }

    /// A recording as conversations: short ones, which libFuzzer gets through faster.
    static func seeds(model: Int, _ lines: [CaptureLine], _ info: DriverInfo) -> [[UInt8]] {
        var seeds: [[UInt8]] = []
        var out = [UInt8(model % 256)]
        let hasQuestions = lines.contains {
            if case .serial(_, _, .tx) = $0.link { true } else { false }
        }
        for line in lines {
            if out.count > 600 {
                seeds.append(out)
                out = [UInt8(model % 256)]
            }
            switch line.link {
            case .mqtt(let topic, let payload, let retained):
                append(retained ? .retained : .receive, Array(topic.utf8) + [10] + payload, &out)
            case .serial(_, let bytes, .tx): append(.overheard, bytes, &out)
            case .serial(_, let bytes, .rx):
                if info.link == .bus, !hasQuestions { append(.poll, [], &out) }
                append(.receive, bytes, &out)
            case .http(_, let path, .answer(let status, let body)):
                append(.receive, Array("\(path) \(status)\n".utf8) + body, &out)
            case .http(_, _, .noAnswer): append(.noReply, [], &out)
            case .http(_, _, .question): append(.poll, [], &out)
            }
        }
        return seeds + [out]
    }

    private static func append(_ step: Step, _ bytes: [UInt8], _ out: inout [UInt8]) {
        let bytes = bytes.prefix(0xFFFF)
        out += [step.rawValue, UInt8(bytes.count & 255), UInt8(bytes.count >> 8)] + bytes
    }

    static func run(_ input: [UInt8], _ prototypes: [any DeviceDriver], _ info: DriverInfo) {
        guard let first = input.first, !prototypes.isEmpty else { return }
        var watch = Watch(prototypes[Int(first) % prototypes.count], isLine: info.link == .line)
        var at = 1
        watch.opened()
        while at + 3 <= input.count {
            let step = Step.allCases[Int(input[at]) % Step.allCases.count]
            let count = min(Int(input[at + 1]) | Int(input[at + 2]) << 8, input.count - at - 3)
            let bytes = Array(input[at + 3..<at + 3 + count])
            at += 3 + count
            switch step {
            case .receive, .retained:
                if info.asksHTTP, watch.answer(bytes) { continue }
                if info.link == .mqtt {
                    watch.message(bytes, isRetained: step == .retained)
                } else if info.link != .http {
                    watch.bytes(bytes)
                }
            case .poll: watch.poll()
            case .noReply: watch.noReply()
            case .opened: watch.opened()
            case .overheard: watch.overheard(bytes)
            }
        }
    }

    /// A driver and what every driver promises. Beside it runs one that gets the bytes of a line one by one: it must read
    /// the same. On a bus it need not: where noise holds frames inside frames, what is an answer depends on the question
    /// that is open when it is complete.
    private struct Watch {
        private var driver: any DeviceDriver
        private var slow: any DeviceDriver
        private let channels: [Channel]
        private let filters: [String]
        private let isLine: Bool
        private var out = Outbox()

        init(_ prototype: any DeviceDriver, isLine: Bool) {
            self.isLine = isLine
            driver = prototype
            slow = prototype
            channels = prototype.channels
            filters = prototype.subscriptions
        }

        mutating func opened() {
            driver.opened(&out)
            check()
            slow.opened(&out)
            check()
        }

        mutating func poll() {
            driver.poll(&out)
            check()
            slow.poll(&out)
            check()
        }

        mutating func noReply() {
            driver.noReply(&out)
            check()
            slow.noReply(&out)
            check()
        }

        mutating func overheard(_ bytes: [UInt8]) {
            driver.overheard(bytes.span)
            slow.overheard(bytes.span)
        }

        mutating func message(_ bytes: [UInt8], isRetained: Bool) {
            guard let end = bytes.firstIndex(of: 10) else { return }
            let topic = String(decoding: bytes[..<end], as: UTF8.self)
            guard let index = filters.firstIndex(where: { TopicFilter.matches($0, topic) }) else { return }
            let payload = Array(bytes[(end + 1)...])
            driver.receive(
                payload.span, from: Source(topic: topic, subscription: index, isRetained: isRetained), &out)
            check()
        }

        /// False where these bytes are no answer over HTTP.
        mutating func answer(_ bytes: [UInt8]) -> Bool {
            guard bytes.first == UInt8(ascii: "/"), let end = bytes.firstIndex(of: 10) else { return false }
            let parts = String(decoding: bytes[..<end], as: UTF8.self).split(separator: " ")
            guard parts.count == 2, let status = Int(parts[1]), (100...599).contains(status) else { return false }
            let body = Array(bytes[(end + 1)...])
            driver.receive(body.span, from: Source(path: String(parts[0]), status: status), &out)
            check()
            return true
        }

        mutating func bytes(_ bytes: [UInt8]) {
            // A driver may say "too much at once" to more than a port reads at a time.
            var whole: [Reading] = []
            var most = 0
            for start in stride(from: 0, to: bytes.count, by: 200) {
                driver.receive(Array(bytes[start..<min(start + 200, bytes.count)]).span, from: .line, &out)
                whole += out.readings
                most = max(most, out.readings.count)
                check()
            }
            var single: [Reading] = []
            for byte in bytes {
                slow.receive([byte].span, from: .line, &out)
                single += out.readings
                check()
            }
            // Of many readings in one call, the last of each quantity and all events are enough.
            let isSame = most < Self.many ? whole == single : gist(whole) == gist(single)
            if isLine, !isSame { FuzzTarget.broken("in one piece: \(whole); byte by byte: \(single)") }
        }

        /// So many readings of one call a driver need not give one by one any more.
        private static let many = 16

        /// What counts of readings in the end.
        private func gist(_ readings: [Reading]) -> (last: [Int: Reading], events: [Reading]) {
            var last: [Int: Reading] = [:]
            for reading in readings { last[reading.channel] = reading }
            return (
                last, readings.filter { channels.indices.contains($0.channel) && channels[$0.channel].kind == .event }
            )
        }

        private mutating func check() {
            if out.faults.count > 16 { FuzzTarget.broken("\(out.faults.count) faults of one call") }
            for reading in out.readings {
                guard channels.indices.contains(reading.channel) else {
                    FuzzTarget.broken("a reading on channel \(reading.channel) of \(channels.count)")
                }
                check(reading, channels[reading.channel])
            }
            if driver.channels.count != channels.count { FuzzTarget.broken("the channels of a device changed") }
            out.removeAll()
        }

        private func check(_ reading: Reading, _ channel: Channel) {
            switch (channel.kind, reading.value) {
            case (.gauge, .number(let value)), (.counter, .number(let value)):
                if !channel.plausible.contains(value) { FuzzTarget.broken("\(channel.name) of \(value)") }
            case (.state, .state(_, let reason)):
                if reason.utf8.count > 64 { FuzzTarget.broken("a reason of \(reason.utf8.count) bytes") }
            case (.event, .event(let name)):
                if name.isEmpty || name.utf8.count > 64 { FuzzTarget.broken("an event '\(name)'") }
            case (_, .unknown): break
            default: FuzzTarget.broken("\(reading.value) on \(channel.name), which is a \(channel.kind.rawValue)")
            }
        }
    }
}
