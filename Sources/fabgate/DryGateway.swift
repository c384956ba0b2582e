import Hub
import Model
import Ports
import Store

/// The gateway's hub over memory instead of a disk: drivers read and take their turns as in `fabgate run`, and everything
/// is forgotten at the end.
struct DryGateway {
    private(set) var hub: Hub

    /// What one event brought, beside what must be sent on a wire.
    struct Outcome {
        struct Reading {
            let device: String
            /// `power 742 W`
            let text: String
        }
        struct Fault {
            let device: String
            let kind: String
            let detail: String
        }
        var readings: [Reading] = []
        var faults: [Fault] = []
        /// Bytes on a bus that nobody had asked for.
        var unasked = 0
        var logs: [(level: LogLevel, text: String)] = []
        var requests: [Request] = []
    }

    /// Something to be sent.
    enum Request {
        case write(line: Int, [UInt8])
        case publish(broker: Int, topic: String, [UInt8])
        case ask(endpoint: Int, number: UInt64, path: String, headers: [String], timeout: Duration)
    }

    init(_ configuration: Configuration, at now: Now) throws {
        hub = Hub(configuration, store: try Self.memory(for: configuration), at: now)
        hub.isWatched = true
        _ = outcome { _ in }
    }

    /// A store in memory with room for what these devices say in some hours; what is older gives way.
    static func memory(for configuration: Configuration, mebibytes: Int = 8) throws -> RingStore {
        let channels = configuration.devices.reduce(0) { $0 + $1.driver.channels.count + 1 }
        return try RingStore.create(
            in: MemoryRegion(size: mebibytes << 20), plan: StorePlan(seriesLimit: min(20_000, max(100, channels + 10))),
            identity: Digest.randomBytes(16))
    }

    mutating func take(_ event: Wires.Event, at now: Now) -> Outcome {
        outcome { hub in
            switch event {
            case .message(let broker, let topic, let payload, let isRetained):
                hub.message(payload.span, topic: topic, isRetained: isRetained, broker: broker, at: now)
            case .bytes(let line, let chunk): hub.bytes(chunk.span, line: line, at: now)
            case .broker(let broker, let isUp, let reason): hub.broker(broker, isUp: isUp, reason, at: now)
            case .line(let line, let isOpen, let reason): hub.line(line, isOpen: isOpen, reason, at: now)
            case .answered(let endpoint, let number, let path, .answer(let status, let body)):
                hub.answer(body.span, status: status, path: path, number: number, endpoint: endpoint, at: now)
            case .answered(let endpoint, let number, _, .noAnswer(let reason)):
                hub.noAnswer(reason, number: number, endpoint: endpoint, at: now)
            }
        }
    }

    /// From now on devices are asked over HTTP.
    mutating func openEndpoints(at now: Now) -> Outcome {
        outcome { hub in
            for endpoint in hub.configuration.endpoints.indices { hub.open(endpoint: endpoint, at: now) }
        }
    }

    /// Time has passed. The memory never fills: its oldest samples give way.
    mutating func tick(at now: Now) -> Outcome {
        outcome { hub in
            hub.tick(at: now)
            _ = try? hub.store.commit()
        }
    }

    private mutating func outcome(_ body: (inout Hub) -> Void) -> Outcome {
        var outcome = Outcome()
        let before = (hub.deviceViews().map(\.faultsByKind), hub.unaskedBytes)
        body(&hub)
        for effect in hub.takeEffects() {
            switch effect {
            case .write(let line, let bytes): outcome.requests.append(.write(line: line, bytes))
            case .publish(let broker, let topic, let payload):
                outcome.requests.append(.publish(broker: broker, topic: topic, payload))
            case .ask(let endpoint, let number, let path, let headers, let timeout):
                outcome.requests.append(
                    .ask(endpoint: endpoint, number: number, path: path, headers: headers, timeout: timeout))
            case .log(let level, let text): outcome.logs.append((level, text))
            case .event("reading", let data):
                if let reading = Self.reading(data) { outcome.readings.append(reading) }
            case .event, .window: break
            }
        }
        for (view, old) in zip(hub.deviceViews(), before.0) where view.faultsByKind != old {
            for (kind, count) in view.faultsByKind.sorted(by: { $0.key.rawValue < $1.key.rawValue })
            where count > old[kind, default: 0] {
                let last = view.lastFault.flatMap { $0.fault.kind == kind ? $0.fault.detail : nil }
                outcome.faults.append(.init(device: view.id, kind: kind.rawValue, detail: last ?? ""))
            }
        }
        outcome.unasked = hub.unaskedBytes - before.1
        return outcome
    }

    private static func reading(_ json: JSON) -> Outcome.Reading? {
        guard let device = json["device"]?.text, let channel = json["channel"]?.text else { return nil }
        var value = "unknown"
        switch json["value"] {
        case .number(let number)?: value = String(decoding: JSON.number(number).bytes, as: UTF8.self)
        case .string(let text)?: value = text
        default: break
        }
        let unit = json["unit"]?.text.flatMap { $0 == "1" || value == "unknown" ? nil : " \($0)" } ?? ""
        return .init(device: device, text: "\(channel) \(value)\(unit)")
    }
}
