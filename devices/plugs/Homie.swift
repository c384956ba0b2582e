package import Model

/// Devices that keep the Homie convention, versions 4 and 5:
///
///     homie/lathe/$state                 init ready disconnected sleeping lost alert   retained; `lost` is the last will
///     homie/lathe/meter/power/$unit      W                                             version 4
///     homie/5/lathe/$description         {"nodes":{"meter":{"properties":{"power":{"unit":"W"}}}},"root":"bridge"}
///     homie/5/lathe/meter/power          742.1                                         retained by custom
///
/// All values are retained, so that whoever comes gets the last one, of unknown age: those are no samples. A value
/// that is published while the gateway listens arrives without the flag. With version 5, a device below another is
/// gone when that one is.
///
///     topic: homie/5/lathe
///     values:
///       - { channel: power, property: meter/power }
package struct Homie: DeviceDriver {
    package static let info = DriverInfo(
        name: "homie", title: "Devices that keep the Homie convention 4 or 5", link: .mqtt, family: "plugs",
        silence: .seconds(1800))

    package let channels: [Channel]
    package let subscriptions: [String]

    private let values: [(value: WantedValue, address: Property)]
    /// `homie/5/lathe`; nil in a recording, which may have any.
    private let base: String?
    /// What the device says of the unit of each value.
    private var units: [String?]

    private var ownState: Lifecycle?
    /// The device that this one is below.
    private var root: String?
    /// What other devices said; which of them is the root may be told later.
    private var others: [String: Lifecycle] = [:]

    private static let mostOthers = 256

    private struct Property: Sendable {
        /// Any node without it.
        let node: String?
        let name: String
    }

    private enum Lifecycle: String {
        case beginning = "init"
        case ready, disconnected, sleeping, lost, alert

        /// Whether the device is there; nil where the word does not say.
        var isOnline: Bool? {
            switch self {
            case .ready, .alert: true
            case .disconnected, .lost: false
            case .beginning, .sleeping: nil
            }
        }
    }

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var fields = LayeredFields(&setup, &problems)
        let topic = setup.takesAnyAddress ? nil : fields.topic("topic", example: "homie/5/lathe", &problems)
        if fields.hasValues || !setup.takesAnyAddress {
            values = fields.values(
                example: "{ channel: power, property: meter/power }", saysUnit: true, &problems, address: Self.property)
        } else {
            let usual = [
                "power", "voltage", "current", "frequency", "energy", "temperature", "humidity", "relay",
            ]
            values = usual.compactMap { name in
                Channel.usual(name).map { (WantedValue($0), Property(node: nil, name: name)) }
            }
        }
        fields.finish(&setup, &problems)
        channels = values.map(\.value.channel) + [.online]
        units = [String?](repeating: nil, count: values.count)
        base = topic
        guard problems.all.count == before else { return nil }
        subscriptions = topic.map(Self.filters) ?? ["#"]
    }

    private static func property(_ fields: inout Fields, _ problems: inout Problems) -> Property? {
        let place = fields.place("property")
        guard let text = fields.requiredText("property", &problems, example: "meter/power") else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, TopicFilter.isTopic(text), !parts.contains("") else {
            problems.add(place, "'\(text)' is no property; write node/property, such as meter/power")
            return nil
        }
        return Property(node: parts[0], name: parts[1])
    }

    private static func filters(_ base: String) -> [String] {
        let levels = base.split(separator: "/", omittingEmptySubsequences: false)
        let values = base + "/+/+"
        guard levels.count > 2, levels[levels.count - 2] == "5" else {
            return [base + "/$state", values, base + "/+/+/$unit"]
        }
        // The device that this one is below has its own state, and which one that is stands in the description.
        let siblings = levels.dropLast().joined(separator: "/") + "/+/$state"
        return [siblings, base + "/$description", values]
    }

    package mutating func opened(_ out: inout Outbox) {
        ownState = nil
        others.removeAll()
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        let levels = source.topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard let last = levels.last, levels.count >= 3 else { return }
        switch last {
        case "$state": readState(bytes, of: levels, source.isRetained, &out)
        case "$description": readDescription(bytes, &out)
        case "$unit": readUnit(bytes, of: levels)
        default:
            // Attributes begin with `$`. An empty message takes a retained value away.
            guard !last.hasPrefix("$"), !source.isRetained, !bytes.isEmpty else { return }
            readValue(bytes, of: levels, &out)
        }
    }

    // MARK: messages

    private mutating func readState(
        _ b: borrowing Span<UInt8>, of levels: [String], _ isRetained: Bool, _ out: inout Outbox
    ) {
        let device = levels[levels.count - 2]
        let isOwn =
            base.map { $0.utf8.elementsEqual(levels.dropLast().joined(separator: "/").utf8) } ?? (device != root)
        // Without its state, a device has been taken away.
        let word = b.isEmpty ? "disconnected" : JSONScanner.text(b.indices, b)?.clipped(to: 40) ?? ""
        guard let state = Lifecycle(rawValue: word) else {
            if isOwn { out.note(.unknownValue, "$state is '\(word)', none of the words of Homie") }
            return
        }
        if isOwn {
            ownState = state
            if !isRetained, state.isOnline != false { out.alive() }
            return reportOnline(&out)
        }
        guard others.count < Self.mostOthers || others[device] != nil else { return }
        others[device] = state
        if device == root { reportOnline(&out) }
    }

    private func reportOnline(_ out: inout Outbox) {
        let rootState = root.flatMap { others[$0] }
        if rootState?.isOnline == false || ownState?.isOnline == false {
            out.report(values.count, online: false)
        } else if ownState?.isOnline == true, rootState == nil || rootState?.isOnline == true {
            out.report(values.count, online: true)
        }
    }

    /// Version 5: everything about the device at once.
    private mutating func readDescription(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        guard !b.isEmpty else { return }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(b.count)
        for i in b.indices { bytes.append(b[i]) }
        guard b.count <= 262_144, let description = JSON(bytes), let nodes = description["nodes"] else {
            return out.note(.badFrame, "$description is no JSON object with nodes")
        }
        let before = root
        root = description["root"]?.text?.clipped(to: 64)
        if root != before { reportOnline(&out) }
        for index in values.indices {
            let property = values[index].address
            guard let node = property.node else {
                units[index] =
                    nodes.members?.lazy.compactMap { $0.value["properties"]?[property.name]?["unit"]?.text }
                    .first
                continue
            }
            guard let found = nodes[node]?["properties"]?[property.name] else {
                units[index] = nil
                out.note(.unknownValue, "the device has no property \(node)/\(property.name)")
                continue
            }
            units[index] = found["unit"]?.text?.clipped(to: 40)
        }
    }

    /// Version 4: a message for each attribute.
    private mutating func readUnit(_ b: borrowing Span<UInt8>, of levels: [String]) {
        guard levels.count >= 4 else { return }
        for index in values.indices
        where isMeant(values[index].address, levels[levels.count - 3], levels[levels.count - 2]) {
            units[index] = b.isEmpty ? nil : JSONScanner.text(b.indices, b)?.clipped(to: 40)
        }
    }

    private mutating func readValue(_ b: borrowing Span<UInt8>, of levels: [String], _ out: inout Outbox) {
        for index in values.indices
        where isMeant(values[index].address, levels[levels.count - 2], levels[levels.count - 1]) {
            let value = values[index].value
            guard b.count <= 1024, let text = JSONScanner.text(b.indices, b) else {
                out.note(.badValue, "\(value.channel.name) is no short text in UTF-8")
                continue
            }
            var unit = value.unit
            if unit == nil, value.channel.unit != nil {
                let said = units[index] ?? ""
                // `#` is Homie's word for a count.
                unit = said == "#" ? SourceUnit(.one) : SourceUnit.named(said)
                guard unit?.unit == value.channel.unit else {
                    out.note(
                        .unknownValue,
                        said.isEmpty
                            ? "the device says no unit for \(value.channel.name); give its 'unit' in 'values'"
                            : "\(value.channel.name) is in '\(said)', which is not what this channel measures")
                    continue
                }
            }
            value.reportText(text, on: index, of: channels, unit: unit, &out)
        }
    }

    private func isMeant(_ property: Property, _ node: String, _ name: String) -> Bool {
        property.name == name && (property.node == nil || property.node == node)
    }
}
