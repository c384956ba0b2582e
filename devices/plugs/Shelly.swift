package import Model

/// Plugs, relays and meters of Shelly's second generation and later, which speak JSON-RPC.
///
///     fablab/cnc/online           true | false                retained; the broker says false when the plug is gone
///     fablab/cnc/events/rpc       {"src":…,"method":"NotifyStatus","params":{"ts":1786512605.27,
///                                  "switch:0":{"id":0,"apower":1184.6,"current":5.411}}}
///     fablab/cnc/status/switch:0  {"id":0,"output":true,"apower":1184.6,"aenergy":{"total":48213.774,…},…}
///
/// `NotifyStatus` holds what has changed and nothing else, `NotifyFullStatus` all there is. `switch:N`, `pm1:N` and
/// `em1:N` with `em1data:N` are meters of their own; `em:0` with `emdata:0` is one of three phases and adds them up
/// itself. Energy is in Wh. A member that is `null` is not known. `src` and `sys` name the device by its MAC address: by
/// that an exchanged one is known.
///
/// Both ways tell the same: `status/…` speaks for a channel only until `events/rpc` has, which carries the device's
/// own time `ts`, in UTC where NTP has answered and otherwise far in the past. Power is told when it changes, energy
/// once a minute, so a steady plug is no silent one: its last will is what tells that it is gone.
package struct Shelly: DeviceDriver {
    package static let info = DriverInfo(
        name: "shelly", title: "Plugs and meters of Shelly, Gen2 and later", link: .mqtt, family: "plugs",
        silence: .hours(1))

    private enum Message: Int, CaseIterable {
        case lastWill, event, status
    }

    package let channels: [Channel]
    package let subscriptions: [String]
    /// Where the gateway may ask for a status; nil where it may not.
    private let commandTopic: String?
    private let blank: ShellyStatus
    private var quantities: ShellyReport

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        guard let settings = ShellySettings(&setup, example: "shellyplusplugs-a8032ab1c0de", &problems) else {
            return nil
        }
        let step = ShellySettings.step(digits: settings.energyDigits ?? 3)
        blank = settings.blank
        quantities = ShellyReport(settings, tellsUptime: true, step: step)
        channels = quantities.channels
        // A recording may have any of the usual depths.
        let prefixes = settings.topic.map { [$0] } ?? ["+", "+/+"]
        subscriptions = prefixes.flatMap { ["\($0)/online", "\($0)/events/rpc", "\($0)/status/+"] }
        commandTopic = settings.mayAsk ? settings.topic.map { "\($0)/command" } : nil
    }

    package mutating func opened(_ out: inout Outbox) {
        quantities.forget()
        if let commandTopic { out.send(.publish(topic: commandTopic, payload: Array("status_update".utf8))) }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        // An empty message only takes a retained one away.
        guard !bytes.isEmpty, source.subscription >= 0,
            let message = Message(rawValue: source.subscription % Message.allCases.count),
            !source.isRetained || message == .lastWill
        else { return }
        switch message {
        case .lastWill: readLastWill(bytes, &out)
        case .event: readEvent(bytes, &out)
        case .status: readStatus(bytes, source.topic, &out)
        }
    }

    package mutating func recall(_ memory: String) { quantities.recall(memory) }

    private mutating func readLastWill(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        if JSONScanner.equals(b.indices, "true", b) {
            out.report(quantities.places.online, online: true)
        } else if JSONScanner.equals(b.indices, "false", b) {
            quantities.forget()
            out.report(quantities.places.online, online: false)
        } else {
            out.note(.unknownValue, "online is neither true nor false")
        }
    }

    private mutating func readEvent(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var status = blank
        var isStatus = false
        var hasMethod = false
        var address: UInt64?
        guard json.beginObject(b) else { return out.note(.badFrame, "events/rpc is no JSON object") }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "method", b), let method = json.string(b) {
                hasMethod = true
                isStatus =
                    JSONScanner.equals(method, "NotifyStatus", b) || JSONScanner.equals(method, "NotifyFullStatus", b)
            } else if JSONScanner.equals(key, "src", b), let name = json.string(b) {
                address = ShellyStatus.address(name, b)
            } else if JSONScanner.equals(key, "params", b), json.beginObject(b) {
                Self.readComponents(&status, &json, b)
            } else {
                json.skip(b)
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "events/rpc is no JSON object") }
        guard hasMethod else { return out.note(.badFrame, "events/rpc without a method") }
        // A button or an update: the device lives, and that is all.
        guard isStatus else { return out.alive() }
        let time = Self.believable(status.time)
        status.address = address ?? status.address
        quantities.report(status, from: .primary, at: time, &out)
        if let errors = status.errors { quantities.reportErrors(errors, b, at: time, &out) }
    }

    private static func readComponents(
        _ status: inout ShellyStatus, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "ts", b) {
                status.time = .read(&json, b)
            } else if let component = ShellyComponent(key, b) {
                status.read(component, &json, b)
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func readStatus(_ b: borrowing Span<UInt8>, _ topic: String, _ out: inout Outbox) {
        guard let component = Self.component(topic) else { return out.alive() }
        var json = JSONScanner()
        var status = blank
        status.read(component, &json, b)
        guard json.finish(b), !status.isMisshapen else { return out.note(.badFrame, "a status is no JSON object") }
        quantities.report(status, from: .secondary, at: nil, &out)
        if let errors = status.errors { quantities.reportErrors(errors, b, &out) }
    }

    /// The component that the last level of a topic names.
    private static func component(_ topic: String) -> ShellyComponent? {
        var name = InlineArray<16, UInt8>(repeating: 0)
        var count = 0
        for byte in topic.utf8 {
            if byte == UInt8(ascii: "/") {
                count = 0
            } else {
                if count < name.count { name[count] = byte }
                count += 1
            }
        }
        guard count <= name.count else { return nil }
        return ShellyComponent(0..<count, name.span)
    }

    /// `ts` counts once a time server has answered; before that the device is in the seventies.
    private static func believable(_ time: Said) -> Instant? {
        guard case .number(let seconds) = time, (1_577_836_800...4_102_444_800).contains(seconds) else { return nil }
        return Instant(milliseconds: Int64((seconds * 1000).rounded()))
    }
}
