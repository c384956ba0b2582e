package import Model

/// Plugs, relays and meters with Tasmota firmware.
///
///     tele/laser/LWT      Online | Offline                 retained; the broker says Offline when the plug is gone
///     tele/laser/SENSOR   {"Time":…,"ENERGY":{…}}          every TelePeriod (300 s) and on PowerDelta
///     tele/laser/STATE    {…,"UptimeSec":1050250,"POWER":"ON"}
///     tele/laser/INFO3    {"Info3":{"RestartReason":"Power On","BootCount":41}}
///     stat/laser/POWER    ON | OFF                         at once when it is switched; also {"POWER":"ON"} in RESULT
///     stat/laser/STATUS10 {"StatusSNS":{…SENSOR…}}         the answer to `Status 10`, of old firmware to `Status 8`
///     stat/laser/STATUS11 {"StatusSTS":{…STATE…}}
///
/// PowerDelta does not report that the relay was switched off, so POWER OFF is read as 0 W. Retained messages other
/// than LWT are of unknown age and are no samples. The energy counter is reported as it is: it dips after a power cut
/// until NTP answers, and what that means is decided where counters are accounted for.
package struct Tasmota: DeviceDriver {
    package static let info = DriverInfo(
        name: "tasmota", title: "Plugs and meters with Tasmota firmware", link: .mqtt, family: "plugs",
        silence: .seconds(750))

    package var channels: [Channel] { quantities.channels }
    package var subscriptions: [String] { topics.filters }
    private let topics: TasmotaTopics
    /// `cmnd/laser/`, where the gateway may ask; nil where it may not.
    private let commandTopic: String?
    /// The relay before the meter: a number from 1, nil for any of them, 0 for none.
    private var relay: Int? { relayNumber.map(Int.init) }
    private let relayNumber: Int8?

    private var quantities: TasmotaReport
    private var relays = TasmotaRelays()
    private var wasOn: Bool?

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        guard let settings = TasmotaSettings(&setup, &problems) else { return nil }
        let places = TasmotaReport.Places(phases: settings.phases)
        let channels = places.channels(rating: settings.rating, digits: settings.energyDigits)
        topics = settings.topics
        commandTopic = settings.commandTopic
        relayNumber = settings.relay.map { Int8($0) }
        quantities = TasmotaReport(places: places, channels: channels, outlet: settings.outlet)
    }

    package mutating func opened(_ out: inout Outbox) {
        // What happened while nobody listened is not known.
        forgetRelays()
        quantities.forget()
        // Without a value it changes nothing, and brings STATE and SENSOR at once.
        if let commandTopic { out.send(.publish(topic: commandTopic + "TelePeriod", payload: [])) }
    }

    package mutating func poll(_ out: inout Outbox) {
        if let commandTopic { out.send(.publish(topic: commandTopic + "Status", payload: Array("10".utf8))) }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        // An empty message only takes a retained one away.
        guard !bytes.isEmpty, let message = TasmotaSettings.message(source.subscription),
            !source.isRetained || message == .lastWill
        else { return }
        switch message {
        case .sensor: readSensor(bytes, &out)
        case .state: readState(bytes, &out)
        case .lastWill: readLastWill(bytes, &out)
        case .restart: readRestart(bytes, &out)
        case .answer: readAnswer(bytes, source.topic, &out)
        }
    }

    // MARK: messages

    private mutating func readSensor(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var meter = TasmotaMeter()
        meter.read(&json, b)
        guard json.finish(b) else { return out.note(.badFrame, "SENSOR is no JSON object") }
        quantities.report(meter, &out)
    }

    private mutating func readState(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var state = TasmotaState()
        state.read(&json, b)
        guard json.finish(b) else { return out.note(.badFrame, "STATE is no JSON object") }
        report(state, &out)
    }

    private func readLastWill(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        if JSONScanner.equals(b.indices, "Online", b) {
            out.report(quantities.places.online, online: true)
        } else if JSONScanner.equals(b.indices, "Offline", b) {
            out.report(quantities.places.online, online: false)
        } else {
            out.note(.unknownValue, "LWT is neither Online nor Offline")
        }
    }

    /// `{"Info3":{"RestartReason":"Power On"}}`, or without the outer object; after a crash the reason is an object.
    private mutating func readRestart(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var reason: Range<Int>?
        Self.findReason(&json, b, &reason)
        guard json.finish(b) else { return out.note(.badFrame, "INFO3 is no JSON object") }
        forgetRelays()
        out.report(quantities.places.restart, event: reason.flatMap { JSONScanner.text($0, b) } ?? "unknown")
    }

    private static func findReason(
        _ json: inout JSONScanner, _ b: borrowing Span<UInt8>, _ reason: inout Range<Int>?
    ) {
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) {
            let isReason = JSONScanner.equals(key, "RestartReason", b) || JSONScanner.equals(key, "Reason", b)
            if isReason, let text = json.string(b) {
                if !text.isEmpty { reason = text }
            } else if json.peek(b) == .object {
                findReason(&json, b, &reason)
            } else {
                json.skip(b)
            }
        }
    }

    /// Everything below `stat`: a bare word for a relay, or an object that may hold any of the rest.
    private mutating func readAnswer(_ b: borrowing Span<UInt8>, _ topic: String, _ out: inout Outbox) {
        guard b[0] == UInt8(ascii: "{") else { return readWord(b, topic, &out) }
        var json = JSONScanner()
        var meter: TasmotaMeter?
        var state: TasmotaState?
        var switched = TasmotaState()
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "StatusSNS", b) {
                var found = TasmotaMeter()
                found.read(&json, b)
                meter = found
            } else if JSONScanner.equals(key, "StatusSTS", b) {
                var found = TasmotaState()
                found.read(&json, b)
                state = found
            } else {
                switched.readMember(key, &json, b)
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "an answer is no JSON object") }
        out.alive()
        if let meter { quantities.report(meter, &out) }
        if let state { report(state, &out) }
        if switched.hasUnknownWord { out.note(.unknownValue, "POWER is neither ON nor OFF") }
        self.switched(switched.relays, &out)
    }

    private mutating func readWord(_ b: borrowing Span<UInt8>, _ topic: String, _ out: inout Outbox) {
        out.alive()
        let name = Array(topic.utf8.split(separator: UInt8(ascii: "/")).last ?? [])
        guard let number = TasmotaRelays.number(0..<name.count, name.span) else { return }
        guard let isOn = TasmotaRelays.isOn(b.indices, b) else {
            return out.note(.unknownValue, "POWER is neither ON nor OFF")
        }
        var news = TasmotaRelays()
        news.set(number, isOn: isOn)
        switched(news, &out)
    }

    // MARK: relays

    private mutating func forgetRelays() {
        relays = TasmotaRelays()
        wasOn = nil
    }

    private mutating func report(_ state: TasmotaState, _ out: inout Outbox) {
        out.alive()
        relays.merge(state.relays, isList: true)
        if relay != 0, let isOn = relays.isOn(relay) {
            wasOn = isOn
            out.report(quantities.places.relay, of: channels, isOn ? 1 : 0)
        }
        if let uptime = state.uptime { out.report(quantities.places.uptime, of: channels, uptime) }
        if state.hasBadUptime { out.note(.badValue, "UptimeSec is no number") }
        if state.hasUnknownWord { out.note(.unknownValue, "POWER is neither ON nor OFF") }
    }

    /// Relays were switched just now. RESULT and POWER say so one after the other; the second brings nothing new.
    private mutating func switched(_ news: TasmotaRelays, _ out: inout Outbox) {
        guard !news.isEmpty else { return }
        relays.merge(news, isList: false)
        guard relay != 0, let isOn = relays.isOn(relay) else { return }
        if !isOn { quantities.switchedOff(&out) } else if wasOn == false { quantities.switchedOn(&out) }
        if isOn != wasOn { out.report(quantities.places.relay, of: channels, isOn ? 1 : 0) }
        wasOn = isOn
    }
}
