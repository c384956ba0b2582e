package import Model

/// Plugs, relays and meters of Shelly's first generation: one topic a value, bare words and numbers.
///
///     shellies/shellyplug-s-7A11C2/online            true | false   retained; the broker says false when it is gone
///     shellies/shellyplug-s-7A11C2/relay/0           on | off | overpower
///     shellies/shellyplug-s-7A11C2/relay/0/power     412.37         W
///     shellies/shellyplug-s-7A11C2/relay/0/energy    58214          watt-minutes since the plug started
///     shellies/shellyplug-s-7A11C2/temperature       31.42          °C
///     shellies/shellyem3-ECFABCC0FF01/emeter/1/total 1184203.6      Wh; total_returned for what was fed in
///     shellies/shellyplug-s-7A11C2/announce          {"id":"shellyplug-s-7A11C2","mac":"8CAAB57A11C2",…}
///
/// One watt-minute is 60 J or 16 2/3 mWh; the count is converted as a whole, so that no rounding adds up. A meter's
/// own `energy` begins anew at times that nobody documents, and is left for `total`. There is no time in a message.
package struct ShellyGen1: DeviceDriver {
    package static let info = DriverInfo(
        name: "shelly-gen1", title: "Plugs and meters of Shelly, first generation", link: .mqtt, family: "plugs",
        silence: .minutes(5))

    private enum Message: Int, CaseIterable {
        case lastWill, relay, relayValue, meterValue, temperature, overtemperature, announcement
    }

    package let channels: [Channel]
    package let subscriptions: [String]
    /// Where the gateway may ask for all values; nil where it may not.
    private let commandTopic: String?
    private let blank: ShellyStatus
    private var quantities: ShellyReport
    /// What is wrong now, as bits: a relay that was opened by too much power, and `tooHot`.
    private var alarms: UInt8 = 0
    private static let tooHot: UInt8 = 0x80

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        guard let settings = ShellySettings(&setup, example: "shellyplug-s-7A11C2", &problems) else { return nil }
        blank = settings.blank
        let step = settings.energyDigits.map(ShellySettings.step) ?? 1000.0 / 60
        quantities = ShellyReport(settings, tellsUptime: false, step: step)
        channels = quantities.channels
        let topic = settings.topic ?? "+"
        let base = topic.hasPrefix("shellies/") ? topic : "shellies/\(topic)"
        subscriptions = ["online", "relay/+", "relay/+/+", "emeter/+/+", "temperature", "overtemperature", "announce"]
            .map { "\(base)/\($0)" }
        commandTopic = settings.mayAsk && settings.topic != nil ? "\(base)/command" : nil
    }

    package mutating func opened(_ out: inout Outbox) {
        forget()
        if let commandTopic { out.send(.publish(topic: commandTopic, payload: Array("update".utf8))) }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        // An empty message only takes a retained one away.
        guard !bytes.isEmpty, let message = Message(rawValue: source.subscription),
            !source.isRetained || message == .lastWill || message == .announcement
        else { return }
        switch message {
        case .lastWill: readLastWill(bytes, &out)
        case .relay: readRelay(bytes, Address(source.topic).lastNumber, &out)
        case .relayValue: readRelayValue(bytes, Address(source.topic), &out)
        case .meterValue: readMeterValue(bytes, Address(source.topic), &out)
        case .temperature:
            var status = blank
            status.temperature = .readAll(bytes)
            quantities.report(status, from: .primary, at: nil, &out)
        case .overtemperature:
            out.alive()
            alarm(Self.tooHot, JSONScanner.equals(bytes.indices, "1", bytes), "overtemp", &out)
        case .announcement: readAnnouncement(bytes, isRetained: source.isRetained, &out)
        }
    }

    package mutating func recall(_ memory: String) { quantities.recall(memory) }

    /// Said when it connects: which plug it is, whatever it is called.
    private mutating func readAnnouncement(_ b: borrowing Span<UInt8>, isRetained: Bool, _ out: inout Outbox) {
        var json = JSONScanner()
        var address: UInt64?
        guard json.beginObject(b) else { return out.note(.badFrame, "announce is no JSON object") }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "mac", b), let text = json.string(b) {
                address = ShellyStatus.address(text, b)
            } else {
                json.skip(b)
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "announce is no JSON object") }
        if !isRetained { out.alive() }
        if let address { quantities.reportExchange(address, &out) }
    }

    private mutating func forget() {
        quantities.forget()
        alarms = 0
    }

    private mutating func readLastWill(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        if JSONScanner.equals(b.indices, "true", b) {
            out.report(quantities.places.online, online: true)
        } else if JSONScanner.equals(b.indices, "false", b) {
            forget()
            out.report(quantities.places.online, online: false)
        } else {
            out.note(.unknownValue, "online is neither true nor false")
        }
    }

    private mutating func readRelay(_ b: borrowing Span<UInt8>, _ number: Int?, _ out: inout Outbox) {
        guard let number else { return out.note(.badFrame, "a relay has no number") }
        var status = blank
        guard let place = status.place(number) else { return out.alive() }
        let isOver = JSONScanner.equals(b.indices, "overpower", b)
        if JSONScanner.equals(b.indices, "on", b) {
            status.relay[place] = .number(1)
        } else if isOver || JSONScanner.equals(b.indices, "off", b) {
            status.relay[place] = .number(0)
        } else {
            return out.note(.unknownValue, "a relay is neither on, off nor overpower")
        }
        quantities.report(status, from: .primary, at: nil, &out)
        alarm(1 << UInt8(place), isOver, "overpower", &out)
    }

    private mutating func readRelayValue(
        _ b: borrowing Span<UInt8>, _ address: Address, _ out: inout Outbox
    ) {
        let isPower = address.isNamed("power")
        guard isPower || address.isNamed("energy"), let number = address.number else { return out.alive() }
        var status = blank
        if let place = status.place(number) {
            if isPower {
                status.power[place] = .readAll(b)
                status.behindRelay = 1 << UInt8(place)
            } else {
                status.energy[place] = Self.whole(.readAll(b), times: 50, over: 3)
            }
        } else {
            status.hasOthers = isPower
        }
        quantities.report(status, from: .primary, at: nil, &out)
    }

    private mutating func readMeterValue(
        _ b: borrowing Span<UInt8>, _ address: Address, _ out: inout Outbox
    ) {
        guard let number = address.number else { return out.note(.badFrame, "a meter has no number") }
        var status = blank
        let isPower = address.isNamed("power")
        guard let place = status.place(number) else {
            status.hasOthers = isPower
            return quantities.report(status, from: .primary, at: nil, &out)
        }
        if isPower {
            status.power[place] = .readAll(b)
        } else if address.isNamed("voltage") {
            status.voltage[place] = .readAll(b)
        } else if address.isNamed("current") {
            status.current[place] = .readAll(b)
        } else if address.isNamed("pf") {
            status.factor[place] = .readAll(b)
        } else if address.isNamed("total") {
            status.energy[place] = Self.whole(.readAll(b), times: 1000, over: 1)
        } else if address.isNamed("total_returned") {
            status.export[place] = Self.whole(.readAll(b), times: 1000, over: 1)
        }
        quantities.report(status, from: .primary, at: nil, &out)
    }

    /// In whole mWh. Multiplied first: 58214 × 50 is exact, 58214 × 16.67 is not.
    private static func whole(_ said: Said, times factor: Double, over divisor: Double) -> Said {
        guard case .number(let number) = said else { return said }
        return .number((number * factor / divisor).rounded())
    }

    /// Something began or ceased to be wrong; the beginning is told.
    private mutating func alarm(_ bit: UInt8, _ isOn: Bool, _ word: String, _ out: inout Outbox) {
        if isOn, alarms & bit == 0 { out.report(quantities.places.alarm, event: word) }
        alarms = isOn ? alarms | bit : alarms & ~bit
    }
}

/// The last two levels of a topic: `…/0/power`.
private struct Address {
    private var name = InlineArray<16, UInt8>(repeating: 0)
    private var count = 0
    /// The level before the last, where it is a number.
    private(set) var number: Int?

    init(_ topic: String) {
        for byte in topic.utf8 {
            if byte == UInt8(ascii: "/") {
                number = lastNumber
                count = 0
            } else {
                if count < name.count { name[count] = byte }
                count += 1
            }
        }
    }

    /// The last level, where it is a number of at most two digits.
    var lastNumber: Int? {
        guard (1...2).contains(count) else { return nil }
        var number = 0
        for index in 0..<count {
            guard name[index] &- 48 <= 9 else { return nil }
            number = number * 10 + Int(name[index] &- 48)
        }
        return number
    }

    func isNamed(_ text: StaticString) -> Bool {
        count <= name.count && JSONScanner.equals(0..<count, text, name.span)
    }
}
