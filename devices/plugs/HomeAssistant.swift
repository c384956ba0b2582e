package import Model

/// Whatever announces itself to Home Assistant by MQTT discovery, read without knowing the device:
///
///     homeassistant/sensor/cnc1_energy/config      what there is and where, retained: see `DiscoveredEntity`
///     gw1/cnc1/state                               {"energy_kwh":48.213774,"power_w":1184.6}
///     gw1/cnc1/availability                        online | offline
///
/// The channels of a device are fixed before it says anything, so that its entry names the entities that it wants:
///
///     topic: gw1                                   what the device's own topics begin with
///     values:
///       - { channel: energy, entity: cnc1_energy }
///
/// Topics, units, templates and words come from the discovery message. A template that is none of the shapes of
/// `ValueTemplate` is told and never guessed. A value that is announced with `expire_after` is unknown when its topic has
/// been silent for so long. Retained discovery and availability count, retained states do not.
package struct HomeAssistant: DeviceDriver {
    package static let info = DriverInfo(
        name: "homeassistant", title: "Entities that announce themselves to Home Assistant", link: .mqtt,
        family: "plugs", silence: .seconds(1800))

    package let channels: [Channel]
    package let subscriptions: [String]

    private let values: [(value: WantedValue, address: String)]
    private let prefix: String
    /// In a recording, `power` means any entity whose name ends so.
    private let takesAnyEntity: Bool
    /// What is known of each of `values`.
    private var entities: [HomeAssistantEntity?]
    /// What comes on each state topic.
    private var topics: [String: Topic] = [:]

    private struct Topic: Sendable {
        var plain: [Int] = []
        var inside: [Int] = []
        var pick = JSONPick([])
    }

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var fields = LayeredFields(&setup, &problems)
        let topic = setup.takesAnyAddress ? "" : fields.topic("topic", example: "gw1", &problems)
        let prefixPlace = fields.place("prefix")
        prefix = fields.read { $0.text("prefix", &problems) } ?? "homeassistant"
        if !TopicFilter.isTopic(prefix) { problems.add(prefixPlace, "'prefix' must be a topic, such as homeassistant") }
        let more = Self.moreTopics(&fields, &problems)
        takesAnyEntity = setup.takesAnyAddress && !fields.hasValues
        if takesAnyEntity {
            values = ["power", "voltage", "current", "frequency", "energy", "temperature"].compactMap { name in
                Channel.usual(name).map { (WantedValue($0), name) }
            }
        } else {
            values = fields.values(example: "{ channel: energy, entity: cnc1_energy }", saysUnit: true, &problems) {
                $0.requiredText("entity", &$1, example: "cnc1_energy")
            }
        }
        fields.finish(&setup, &problems)
        channels = values.map(\.value.channel) + [.online]
        entities = [HomeAssistantEntity?](repeating: nil, count: values.count)
        guard let topic, problems.all.count == before else { return nil }
        let announcements = ["\(prefix)/+/+/config", "\(prefix)/+/+/+/config"]
        subscriptions = setup.takesAnyAddress ? ["#"] : announcements + ["\(topic)/#"] + more
    }

    /// Topics that are not below the device's, such as the availability of a bridge.
    private static func moreTopics(_ fields: inout LayeredFields, _ problems: inout Problems) -> [String] {
        let place = fields.place("also")
        let items = fields.read { $0.list("also", &problems) } ?? []
        return items.compactMap { item in
            if case .scalar(let text, _) = item.content, TopicFilter.isValid(text), text != "#" { return text }
            problems.add(place, "'also' lists topics that are not below 'topic', such as [bridge/state]")
            return nil
        }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        if let levels = announcement(source.topic) { return readAnnouncement(bytes, levels, source.topic, &out) }
        readAvailability(bytes, source.topic, &out)
        guard !source.isRetained, !bytes.isEmpty, topics[source.topic] != nil else { return }
        readState(bytes, source.topic, &out)
    }

    // MARK: announcements

    /// `[component, object]` or `[component, node, object]` of a discovery topic.
    private func announcement(_ topic: String) -> [String]? {
        let start = prefix.utf8.count + 1
        guard topic.utf8.count > start, topic.hasPrefix(prefix + "/"), topic.hasSuffix("/config") else { return nil }
        let levels = topic.dropFirst(prefix.count + 1).split(separator: "/", omittingEmptySubsequences: false)
        return levels.count == 3 || levels.count == 4 ? levels.dropLast().map(String.init) : nil
    }

    private mutating func readAnnouncement(
        _ b: borrowing Span<UInt8>, _ levels: [String], _ topic: String, _ out: inout Outbox
    ) {
        let object = levels[levels.count - 1]
        guard levels[0] != "device" else { return readDevice(b, object, topic, &out) }
        let names = [object] + (levels.count == 3 ? ["\(levels[1])/\(object)"] : [])
        let meant = values.indices.filter { fits(values[$0].address, names) }
        guard !meant.isEmpty else { return }
        guard !b.isEmpty else { return forget(topic, &out) }
        guard let json = Self.object(b) else {
            return out.note(.badFrame, "the discovery of \(object) is no JSON object")
        }
        let entity = DiscoveredEntity(component: levels[0], json)
        for index in meant { learn(entity, object, for: index, from: topic, &out) }
        arrangeTopics()
    }

    /// The form that holds a whole device: its components by name.
    private mutating func readDevice(
        _ b: borrowing Span<UInt8>, _ object: String, _ topic: String, _ out: inout Outbox
    ) {
        guard !b.isEmpty else { return forget(topic, &out) }
        guard let json = Self.object(b), let components = (json["cmps"] ?? json["components"])?.members else {
            return out.note(.badFrame, "the discovery of \(object.clipped(to: 60)) has no components")
        }
        for component in components.prefix(256) {
            let names = [component.key, "\(object)/\(component.key)"]
            let meant = values.indices.filter { fits(values[$0].address, names) }
            guard !meant.isEmpty else { continue }
            let platform = (component.value["p"] ?? component.value["platform"])?.text ?? ""
            let entity = DiscoveredEntity(component: platform, component.value, shared: json)
            for index in meant { learn(entity, component.key, for: index, from: topic, &out) }
        }
        arrangeTopics()
    }

    private static func object(_ b: borrowing Span<UInt8>) -> JSON? {
        guard b.count <= 262_144 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(b.count)
        for i in b.indices { bytes.append(b[i]) }
        guard let json = JSON(bytes), json.members != nil else { return nil }
        return json
    }

    private func fits(_ wanted: String, _ names: [String]) -> Bool {
        names.contains { $0 == wanted || takesAnyEntity && $0.hasSuffix("_" + wanted) }
    }

    private mutating func learn(
        _ entity: DiscoveredEntity, _ name: String, for index: Int, from topic: String, _ out: inout Outbox
    ) {
        if let known = entities[index], known.announcedOn != topic {
            return out.note(
                .unknownValue,
                "\(values[index].address) is announced twice; write node/object for one of them, as in its topic")
        }
        var made = HomeAssistantEntity(
            entity, named: name.clipped(to: 60), for: values[index].value, announcedOn: topic, reachable: isHeard)
        if let known = entities[index] { made.remember(known) }
        entities[index] = made
        if values[index].value.channel.kind != .event { out.keep(index, for: made.expiresAfter) }
        if let trouble = made.trouble { out.note(.unknownValue, trouble) }
    }

    /// Whether this device listens to a topic.
    private func isHeard(_ topic: String) -> Bool { subscriptions.contains { TopicFilter.matches($0, topic) } }

    private mutating func forget(_ topic: String, _ out: inout Outbox) {
        for index in entities.indices where entities[index]?.announcedOn == topic {
            entities[index] = nil
            out.keep(index, for: nil)
        }
        arrangeTopics()
    }

    /// Which values stand on which topic, so that a message is walked through once.
    private mutating func arrangeTopics() {
        topics.removeAll(keepingCapacity: true)
        var paths: [String: [JSONPath]] = [:]
        for index in entities.indices {
            guard let entity = entities[index], let topic = entity.stateTopic else { continue }
            if let path = entity.template.path {
                topics[topic, default: Topic()].inside.append(index)
                paths[topic, default: []].append(path)
            } else {
                topics[topic, default: Topic()].plain.append(index)
            }
        }
        for (topic, paths) in paths { topics[topic]?.pick = JSONPick(paths) }
    }

    // MARK: availability

    private mutating func readAvailability(_ b: borrowing Span<UInt8>, _ topic: String, _ out: inout Outbox) {
        var isNews = false
        for index in entities.indices {
            let was = entities[index]?.isAvailable
            guard let said = entities[index]?.hearAvailability(b, on: topic), said else { continue }
            isNews = true
            // The others may go on; this one is not known any more.
            if was == true, entities[index]?.isAvailable == false, values[index].value.channel.kind != .event,
                entities.contains(where: { $0?.isAvailable == true })
            {
                out.reportUnknown(index)
            }
        }
        guard isNews else { return }
        let known = entities.compactMap { $0?.isAvailable }
        if known.contains(true) {
            out.report(values.count, online: true)
        } else if !known.isEmpty {
            out.report(values.count, online: false)
        }
    }

    // MARK: states

    private mutating func readState(_ b: borrowing Span<UInt8>, _ topic: String, _ out: inout Outbox) {
        for index in topics[topic]?.plain ?? [] {
            entities[index]?.report(.text(b.indices), as: values[index].value, on: index, of: channels, b, &out)
        }
        guard let inside = topics[topic]?.inside, !inside.isEmpty else { return }
        guard topics[topic]?.pick.read(b) == true, let found = topics[topic]?.pick.found else {
            return out.note(.badFrame, "no JSON on \(topic.clipped(to: 100))")
        }
        out.alive()
        for (order, index) in inside.enumerated() {
            entities[index]?.report(found[order], as: values[index].value, on: index, of: channels, b, &out)
        }
    }
}
