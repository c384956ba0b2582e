package import Model

/// Plugs and meters behind a Zigbee2MQTT bridge.
///
///     zigbee2mqtt/3dprinter-a               {"state":"ON","power":118,"voltage":221,"current":0.55,"energy":23.41,
///                                            "linkquality":142,"last_seen":"2026-08-12T05:30:05.114Z"}
///     zigbee2mqtt/3dprinter-a/availability  {"state":"online"} or online    retained
///     zigbee2mqtt/3dprinter-a/power         118        instead of the first with the bridge's `output: attribute`
///     zigbee2mqtt/bridge/state              {"state":"offline"} or offline  retained; the bridge's last will
///     zigbee2mqtt/bridge/devices            retained: what each device is and can tell, see ZigbeeListing.swift
///
/// The bridge repeats all that it last heard of a device whenever one attribute comes in, and once more when it
/// starts: that `power` stands in a message does not mean that it was measured. What is fresh is judged by
/// `ZigbeeMemory`. `last_seen`, where the bridge is told to write it, is the time of the readings.
package struct Zigbee2MQTT: DeviceDriver {
    package static let info = DriverInfo(
        name: "zigbee2mqtt", title: "Plugs and meters behind Zigbee2MQTT", link: .mqtt, family: "plugs",
        silence: .hours(1))

    package let channels: [Channel]
    package let subscriptions: [String]
    private let messages: [ZigbeeSettings.Message]
    private let names: [[UInt8]]
    /// Every message holds only what was heard just now: the bridge's `cache_state` is off.
    private let isUncached: Bool
    private var memory: ZigbeeMemory
    /// The relay is open, and 0 W was reported because of it.
    private var isCut = false
    private let friendlyName: [UInt8]?
    /// What the bridge's list said of the units.
    private var scales = InlineArray<8, Double?>(repeating: nil)
    private var identity = Identity()
    /// What was wrong with the list, said once.
    private var complaint = ""

    private static let online = ZigbeeAttribute.measured.count
    private static let relay = online + 1
    private static let exchange = relay + 1
    private static let power = 0

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        guard let settings = ZigbeeSettings(&setup, &problems) else { return nil }
        channels = settings.channels
        subscriptions = settings.subscriptions
        messages = settings.messages
        names = settings.names
        friendlyName = settings.friendlyName
        isUncached = settings.isUncached
        memory = ZigbeeMemory(alwaysTellsPower: settings.alwaysTellsPower)
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard messages.indices.contains(source.subscription) else { return }
        let message = messages[source.subscription]
        // An empty message only takes a retained one away; of an attribute it is `null`.
        guard !bytes.isEmpty || message == .attribute else { return }
        switch message {
        case .state:
            if !source.isRetained { readState(bytes, &out) }
        case .attribute: readAttribute(bytes, source, &out)
        case .availability: readAvailability(bytes, &out)
        case .bridge: readBridge(bytes, &out)
        case .list: readList(bytes, &out)
        }
    }

    // MARK: messages

    private mutating func readState(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var heard = ZigbeeMessage()
        heard.read(names, scales, &json, b)
        guard json.finish(b), heard.isObject else { return out.note(.badFrame, "a state is no JSON object") }
        if heard.hasBadTime { out.note(.badValue, "last_seen is no time") }
        if heard.relay == .unusable { out.note(.unknownValue, "state is neither ON nor OFF") }
        strike(&heard, &out)
        let judged = memory.judge(heard)
        tell(heard, isUncached ? .all : judged, &out)
    }

    /// A topic for each attribute. What the bridge repeats comes so, too, and `last_seen` after the attributes that it is
    /// about: so only what differs was measured, and nothing but its arrival dates it.
    private mutating func readAttribute(
        _ b: borrowing Span<UInt8>, _ source: borrowing Source, _ out: inout Outbox
    ) {
        guard let slash = source.topic.utf8.lastIndex(of: 0x2F) else { return }
        let name = Array(source.topic.utf8[slash...].dropFirst())
        if name == Self.availability { return b.isEmpty ? () : readAvailability(b, &out) }
        guard !source.isRetained else { return }
        var heard = ZigbeeMessage()
        heard.read(attribute: name, names, scales, b)
        if heard.hasBadTime { out.note(.badValue, "last_seen is no time") }
        if heard.relay == .unusable { out.note(.unknownValue, "state is neither ON nor OFF") }
        strike(&heard, &out)
        let judged = memory.judge(attribute: heard)
        tell(heard, isUncached ? .all : judged, &out)
    }

    private static let availability = Array("availability".utf8)

    private mutating func tell(_ heard: ZigbeeMessage, _ fresh: ZigbeeFresh, _ out: inout Outbox) {
        guard fresh.isAlive else { return }
        out.alive()
        reportRelay(heard, fresh, &out)
        for index in heard.values.indices where fresh.contains(index) {
            let said = heard.values[index]
            if index == Self.power, said != .nothing {
                // Cached power of a plug that is switched off by now.
                if isCut, !fresh.hasChanged(index) { continue }
                isCut = false
            }
            report(said, on: index, heard.lastSeen, &out)
        }
    }

    /// Takes out what is no number or cannot be true, so that it is not remembered either.
    private func strike(_ heard: inout ZigbeeMessage, _ out: inout Outbox) {
        for index in heard.values.indices {
            let channel = channels[index]
            switch heard.values[index] {
            case .unusable: out.note(.badValue, "\(channel.name) is no number")
            case .number(let value) where !value.isFinite: out.note(.badValue, "\(channel.name) is \(value)")
            case .number(let value) where !channel.plausible.contains(value):
                out.note(.implausible, "\(channel.name) of \(value)")
            default: continue
            }
            heard.values[index] = .nothing
        }
    }

    /// The relay before the meter: what it lets through is 0 from the moment at which it opens, although the bridge
    /// goes on repeating the last power, and not known from the moment at which it closes.
    private mutating func reportRelay(_ heard: ZigbeeMessage, _ fresh: ZigbeeFresh, _ out: inout Outbox) {
        guard fresh.contains(ZigbeeAttribute.relay) else { return }
        let tellsPower = heard.values[Self.power] != .nothing && fresh.hasChanged(Self.power)
        if !tellsPower, fresh.hasChanged(ZigbeeAttribute.relay) {
            if heard.relay == .number(0), !isCut, memory.hasPower {
                out.report(Self.power, of: channels, 0, at: heard.lastSeen)
                isCut = true
            } else if heard.relay == .number(1), isCut {
                out.reportUnknown(Self.power, at: heard.lastSeen)
                isCut = false
            }
        }
        report(heard.relay, on: Self.relay, heard.lastSeen, &out)
    }

    private func report(_ said: Said, on index: Int, _ time: Instant?, _ out: inout Outbox) {
        switch said {
        case .nothing, .unusable: break  // What is unusable was told and struck out.
        case .number(let value): out.report(index, of: channels, value, at: time)
        case .unknown: out.reportUnknown(index, at: time)
        }
    }

    private mutating func readAvailability(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        guard let isOnline = Self.isOnline(b) else {
            return out.note(.unknownValue, "availability is neither online nor offline")
        }
        out.report(Self.online, online: isOnline)
    }

    /// Without its bridge a device cannot be heard; that the bridge is back says nothing of the device.
    private mutating func readBridge(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        guard let isOnline = Self.isOnline(b) else {
            return out.note(.unknownValue, "the bridge is neither online nor offline")
        }
        if !isOnline { out.report(Self.online, online: false) }
    }

    /// The list tells what stands behind the name: its make, its units, and whether it is there at all.
    private mutating func readList(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        guard let friendlyName else { return }
        let (listing, isWhole) = ZigbeeListing.find(friendlyName, names, b)
        guard isWhole else { return out.note(.badFrame, "bridge/devices is no JSON list") }
        guard let listing else {
            let name = String(decoding: friendlyName, as: UTF8.self)
            return complain("no device is called '\(name)' on the bridge; compare 'topic' with its page", &out)
        }
        guard !listing.isDisabled else {
            out.report(Self.online, online: false)
            return complain("the bridge has this device disabled; enable it there", &out)
        }
        scales = listing.scales
        if !listing.description.isEmpty { out.describe(listing.description) }
        if let address = listing.address {
            let before = identity.memory
            if identity.isOther(address, isProved: true) { out.report(Self.exchange, event: "another address") }
            if let memory = identity.memory, memory != before { out.remember(memory) }
        }
        if !listing.strange.isEmpty {
            complain("the bridge tells \(listing.strange.joined(separator: ", ")), which cannot be converted", &out)
        } else if listing.measuresNothing {
            complain("\(listing.description) tells neither power nor energy", &out)
        } else {
            complaint = ""
        }
    }

    private mutating func complain(_ words: String, _ out: inout Outbox) {
        guard complaint != words else { return }
        complaint = words
        out.note(.unknownValue, words)
    }

    package mutating func recall(_ memory: String) { identity.recall(memory) }

    /// `{"state":"online"}`, or the bare word of older versions.
    private static func isOnline(_ b: borrowing Span<UInt8>) -> Bool? {
        var word: Range<Int>? = b.indices
        if b[0] == UInt8(ascii: "{") {
            var json = JSONScanner()
            word = nil
            guard json.beginObject(b) else { return nil }
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "state", b), let found = json.string(b) {
                    word = found
                } else {
                    json.skip(b)
                }
            }
            guard json.finish(b) else { return nil }
        }
        guard let word else { return nil }
        if JSONScanner.equals(word, "online", b) { return true }
        return JSONScanner.equals(word, "offline", b) ? false : nil
    }
}
