package import Model

/// Devices with ESPHome firmware that publish on MQTT:
///
///     cnc-meter/status                                  online | offline   retained; birth, shutdown and last will
///     cnc-meter/sensor/cnc_power/state                  741.3              retained by custom; nan where not known
///     cnc-meter/switch/cnc_relay/state                  ON | OFF
///     homeassistant/sensor/cnc-meter/cnc_power/config   {"unit_of_meas":"W","stat_t":"cnc-meter/sensor/cnc_power/state",…}
///
/// States carry no unit. It stands in the discovery message, where that is switched on, or in the entry of `values`,
/// which goes first. There the board gives its MAC address, too (`"dev":{"ids":"a8032ab1c0de",…}`): by that an exchanged
/// one is known. ESPHome retains its states; what the broker kept is of unknown age and is no sample.
///
///     topic: cnc-meter                                  its `topic_prefix`, by default its name
///     node: cnc-meter                                   its name, where that is another one
///     values:
///       - { channel: power, entity: cnc_power }
///       - { channel: energy, entity: _energy, unit: Wh }          any whose id ends so
///       - { channel: relay, entity: switch/cnc_relay }            where a switch and a sensor share an id
package struct ESPHome: DeviceDriver {
    package static let info = DriverInfo(
        name: "esphome", title: "Plugs, meters and boards with ESPHome", link: .mqtt, family: "plugs",
        silence: .minutes(10))

    private enum Message: Int, CaseIterable {
        case status, state, announcement
    }

    package let channels: [Channel]
    package let subscriptions: [String]

    private let values: [(value: WantedValue, address: Entity)]
    /// What the discovery says of the unit of each value.
    private var units: [String?]
    /// Which entity each value was found to mean, where only the end of its id is known.
    private var meant: [String?]
    /// Which board it is, as its discovery says.
    private var identity = Identity()

    private struct Entity: Sendable {
        /// `sensor`, `switch`; any without it.
        let component: String?
        let id: String
        let isEnding: Bool

        func fits(_ component: some StringProtocol, _ id: some StringProtocol) -> Bool {
            if let own = self.component, own != component { return false }
            return isEnding ? id.hasSuffix(self.id) || id == self.id.dropFirst() : id == self.id
        }
    }

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var fields = LayeredFields(&setup, &problems)
        let topic = setup.takesAnyAddress ? nil : fields.topic("topic", example: "cnc-meter", &problems)
        let node = fields.read { $0.text("node", &problems) }
        let prefix = fields.read { $0.text("prefix", &problems) } ?? "homeassistant"
        for (key, text) in [("node", node), ("prefix", prefix)] {
            guard let text, !TopicFilter.isTopic(text) else { continue }
            problems.add(fields.place(key), "'\(key)' cannot be '\(text)': it may not hold + or #")
        }
        if fields.hasValues || !setup.takesAnyAddress {
            values = fields.values(
                example: "{ channel: power, entity: cnc_power, unit: W }", saysUnit: true, &problems,
                address: Self.entity)
        } else {
            values = ["power", "voltage", "current", "frequency", "energy", "temperature"].compactMap { name in
                Channel.usual(name).map {
                    (WantedValue($0), Entity(component: "sensor", id: "_" + name, isEnding: true))
                }
            }
        }
        fields.finish(&setup, &problems)
        channels = values.map(\.value.channel) + [.online, .exchange]
        units = [String?](repeating: nil, count: values.count)
        meant = units
        guard problems.all.count == before else { return nil }
        if let topic {
            let name = node ?? topic.split(separator: "/").last.map(String.init) ?? topic
            subscriptions = ["\(topic)/status", "\(topic)/+/+/state", "\(prefix)/+/\(name)/+/config"]
        } else {
            // A recording may have any of the usual depths.
            subscriptions = ["+", "+/+"].flatMap { ["\($0)/status", "\($0)/+/+/state", "\(prefix)/+/+/+/config"] }
        }
    }

    private static func entity(_ fields: inout Fields, _ problems: inout Problems) -> Entity? {
        let place = fields.place("entity")
        guard let text = fields.requiredText("entity", &problems, example: "cnc_power") else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard (1...2).contains(parts.count), TopicFilter.isTopic(text), !parts.contains(""), parts.last != "_" else {
            problems.add(
                place, "'\(text)' is no entity; write its id, such as cnc_power, or with its kind: sensor/cnc_power")
            return nil
        }
        let id = parts[parts.count - 1]
        return Entity(component: parts.count == 2 ? parts[0] : nil, id: id, isEnding: id.hasPrefix("_"))
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard source.subscription >= 0,
            let message = Message(rawValue: source.subscription % Message.allCases.count)
        else { return }
        switch message {
        case .status: readStatus(bytes, &out)
        case .state:
            // An empty message only takes a retained one away.
            if !source.isRetained, !bytes.isEmpty { readState(bytes, source.topic, &out) }
        case .announcement: readAnnouncement(bytes, source.topic, &out)
        }
    }

    // MARK: messages

    private func readStatus(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        if JSONScanner.equals(b.indices, "online", b) {
            out.report(values.count, online: true)
        } else if JSONScanner.equals(b.indices, "offline", b) {
            out.report(values.count, online: false)
        } else if !b.isEmpty {
            out.note(.unknownValue, "status is neither online nor offline")
        }
    }

    private mutating func readState(_ b: borrowing Span<UInt8>, _ topic: String, _ out: inout Outbox) {
        out.alive()
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false)
        guard levels.count >= 4 else { return }
        let component = levels[levels.count - 3]
        let id = levels[levels.count - 2]
        for index in values.indices where isMeant(index, component, id, &out) {
            report(b, on: index, &out)
        }
    }

    /// Whether a value is this entity's. Where only the end of an id is known, the first one that fits is meant.
    private mutating func isMeant(
        _ index: Int, _ component: Substring, _ id: Substring, _ out: inout Outbox
    ) -> Bool {
        guard values[index].address.fits(component, id) else { return false }
        guard values[index].address.isEnding else { return true }
        let name = "\(component)/\(id)"
        if meant[index] == nil { meant[index] = name.clipped(to: 128) }
        if meant[index] == name { return true }
        out.note(
            .unknownValue,
            "\(values[index].value.channel.name) may be \(meant[index] ?? "") or \(name); name one as 'entity'")
        return false
    }

    private func report(_ b: borrowing Span<UInt8>, on index: Int, _ out: inout Outbox) {
        let value = values[index].value
        let isNumber = value.channel.unit != nil
        if isNumber, JSONScanner.equals(b.indices, "nan", b) || JSONScanner.equals(b.indices, "NaN", b) {
            return out.reportUnknown(index)
        }
        let unit =
            value.unit ?? (value.channel.unit == .one ? SourceUnit(.one) : units[index].flatMap(SourceUnit.named))
        if isNumber, let number = PlainNumber.parse(b) {
            guard unit == nil || unit?.unit == value.channel.unit else {
                return out.note(
                    .unknownValue,
                    "\(value.channel.name) is in '\(units[index] ?? "")', which is not what this channel measures")
            }
            return value.report(number, on: index, of: channels, unit: unit, &out)
        }
        guard b.count <= 1024, let text = JSONScanner.text(b.indices, b) else {
            return out.note(.badValue, "\(value.channel.name) is no short text in UTF-8")
        }
        value.reportText(text, on: index, of: channels, unit: unit, &out)
    }

    package mutating func recall(_ memory: String) { identity.recall(memory) }

    /// The board that gives a value is another one.
    private mutating func noteBoard(_ name: String, _ out: inout Outbox) {
        let bytes = Array(name.lowercased().utf8)
        let before = identity.memory
        if identity.isOther(Identity.hash(bytes.span, bytes.indices), isProved: true) {
            out.report(values.count + 1, event: "another board")
        }
        if let memory = identity.memory, memory != before { out.remember(memory) }
    }

    /// What Home Assistant is told of an entity: here its unit is taken, and which board it is.
    private mutating func readAnnouncement(_ b: borrowing Span<UInt8>, _ topic: String, _ out: inout Outbox) {
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false)
        guard levels.count >= 4 else { return }
        let component = levels[levels.count - 4]
        let meant = values.indices.filter { values[$0].address.fits(component, levels[levels.count - 2]) }
        guard !meant.isEmpty else { return }
        var unit: String?
        var board = ""
        if !b.isEmpty {
            guard b.count <= 16_384, let json = JSON(span: b), json.members != nil else {
                return out.note(.badFrame, "the discovery of \(levels[levels.count - 2].prefix(60)) is no JSON object")
            }
            let entity = DiscoveredEntity(component: String(component), json)
            unit = entity.unit?.clipped(to: 20)
            board = entity.deviceIdentifier ?? ""
        }
        for index in meant {
            let name = "\(component)/\(levels[levels.count - 2])"
            guard self.meant[index] == nil || self.meant[index] == name else { continue }
            units[index] = unit
            // Not of another entity: a broker keeps the discovery of one that the board has not got any more.
            if values[index].value.channel.kind == .counter, !board.isEmpty { noteBoard(board, &out) }
        }
    }
}
