package import Model

/// Recognises what this family reads: Tasmota, Shelly of all generations, Zigbee2MQTT, ESPHome, and whatever else
/// announces itself to Home Assistant. What one of the first recognises is not proposed a second time as the last.
package struct PlugRecogniser: Recogniser {
    private var tasmota = TasmotaSigns()
    private var shelly = ShellySigns()
    private var zigbee = ZigbeeSigns()
    private var esphome = ESPHomeSigns()
    private var announced = AnnouncedEntities()

    package init() {}

    package mutating func hear(_ payload: borrowing Span<UInt8>, on topic: String) {
        guard TopicFilter.isTopic(topic) else { return }
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard levels.count >= 2, levels.count <= 16 else { return }
        if announced.hear(payload, levels) { return }
        tasmota.hear(payload, levels)
        shelly.hear(payload, levels)
        zigbee.hear(payload, levels)
        esphome.hear(levels)
    }

    package var proposals: [Proposal] {
        var known = tasmota.proposals(announced) + shelly.proposals + zigbee.proposals + esphome.proposals(announced)
        known += announced.proposals { topic in
            known.contains { $0.topics.contains { TopicFilter.matches($0, topic) } }
        }
        return known
    }
}

/// Everything that was announced to Home Assistant, by the topic of the announcement.
struct AnnouncedEntities: Sendable {
    struct Announced: Sendable {
        let name: String
        let entity: DiscoveredEntity
        /// The first identifier of the device that it belongs to, and the device's name.
        let device: String
        let title: String
        let software: String
    }

    private(set) var entities: [String: [Announced]] = [:]
    private static let most = 4000

    /// In the order of their topics.
    var all: [Announced] { entities.sorted { $0.key < $1.key }.flatMap(\.value) }

    /// Takes an announcement; false where the message is something else.
    mutating func hear(_ b: borrowing Span<UInt8>, _ levels: [String]) -> Bool {
        guard levels[0] == "homeassistant", levels.last == "config", (4...5).contains(levels.count) else {
            return false
        }
        let topic = levels.joined(separator: "/")
        if b.isEmpty { entities[topic] = nil }
        guard b.count <= 262_144, entities.count < Self.most || entities[topic] != nil, let json = JSON(span: b) else {
            return true
        }
        let object = levels[levels.count - 2]
        let name = levels.count == 5 ? "\(levels[2])/\(object)" : object
        if levels[1] == "device" {
            let components = (json["cmps"] ?? json["components"])?.members ?? []
            entities[topic] = components.prefix(64).map { component in
                let platform = (component.value["p"] ?? component.value["platform"])?.text ?? ""
                let entity = DiscoveredEntity(component: platform, component.value, shared: json)
                return Self.announced("\(object)/\(component.key)", entity, json)
            }
        } else {
            entities[topic] = [Self.announced(name, DiscoveredEntity(component: levels[1], json), json)]
        }
        return true
    }

    private static func announced(_ name: String, _ entity: DiscoveredEntity, _ json: JSON) -> Announced {
        let device = json["dev"] ?? json["device"]
        let identifiers = device?["ids"] ?? device?["identifiers"]
        return Announced(
            name: name.clipped(to: 120), entity: entity,
            device: (identifiers?.text ?? identifiers?.items?.first?.text ?? "").clipped(to: 64),
            title: (device?["name"]?.text ?? "").clipped(to: 64),
            software: (device?["sw"] ?? device?["sw_version"])?.text?.clipped(to: 64) ?? "")
    }

    /// One proposal a device, of those entities that measure something and that `isTaken` does not know.
    func proposals(isTaken: (String) -> Bool) -> [Proposal] {
        var devices: [String: [Announced]] = [:]
        for announced in all {
            guard let topic = announced.entity.stateTopic, TopicFilter.isTopic(topic), !isTaken(topic) else { continue }
            let device = announced.device.isEmpty ? topic : announced.device
            devices[device, default: []].append(announced)
        }
        return devices.sorted { $0.key < $1.key }.compactMap { Self.proposal($0.key, $0.value) }
    }

    private static func proposal(_ device: String, _ entities: [Announced]) -> Proposal? {
        var values = ProposedValues(addressKey: "entity")
        var topics: [String] = []
        for announced in entities {
            let entity = announced.entity
            guard let channel = ProposedValues.channel(entity), let topic = entity.stateTopic else { continue }
            if let template = entity.template, ValueTemplate(template) == nil {
                values.remarks.append("\(announced.name): its template is not understood: \(template.clipped(to: 80))")
                continue
            }
            values.add(channel, address: announced.name, suffix: announced.name)
            topics.append(topic)
        }
        guard !values.isEmpty else { return nil }
        let base = commonTopic(topics)
        guard !base.isEmpty else { return nil }
        let also = Set(entities.flatMap { $0.entity.availability.map(\.topic) }).sorted().filter {
            !TopicFilter.matches(base + "/#", $0) && TopicFilter.isTopic($0)
        }
        var keys = [Proposal.Key("topic", base)]
        if !also.isEmpty {
            keys.append(.init("also", yaml: "[\(also.map(Proposal.quoted).joined(separator: ", "))]"))
        }
        let title = entities.first { !$0.title.isEmpty }?.title ?? device
        return Proposal(
            name: title, driver: HomeAssistant.info.name, keys: keys + [values.key],
            reason: "announced to Home Assistant by \(device)", topics: topics, remarks: values.remarks)
    }

    /// The levels that all of them begin with.
    private static func commonTopic(_ topics: [String]) -> String {
        var common = topics.first?.split(separator: "/", omittingEmptySubsequences: false) ?? []
        for topic in topics {
            let levels = topic.split(separator: "/", omittingEmptySubsequences: false)
            let equal = zip(common, levels).prefix { $0 == $1 }.count
            common = Array(common.prefix(equal))
        }
        return common.joined(separator: "/")
    }
}

/// The entries of `values` of a proposal.
struct ProposedValues {
    private let addressKey: String
    private var entries: [String] = []
    private var channels: Set<String> = []
    var remarks: [String] = []

    init(addressKey: String) { self.addressKey = addressKey }

    var isEmpty: Bool { entries.isEmpty }
    var key: Proposal.Key { Proposal.Key("values", yaml: "[\(entries.joined(separator: ", "))]") }

    /// Adds a value. The first of a quantity gets its plain name, the next ones their own words behind it.
    mutating func add(_ channel: String, address: String, suffix: String, unit: String? = nil) {
        guard entries.count < 40 else { return }
        var name = channel
        if channels.contains(name) {
            let word = suffix.lowercased().utf8.map { byte -> UInt8 in
                (0x61...0x7A).contains(byte) || (0x30...0x39).contains(byte) ? byte : 0x5F
            }
            name = "\(channel).\(String(decoding: word.suffix(40), as: UTF8.self))"
        }
        guard Channel.isValidName(name), channels.insert(name).inserted else { return }
        let unit = unit.map { ", unit: \(Proposal.quoted($0))" } ?? ""
        entries.append("{ channel: \(name), \(addressKey): \(Proposal.quoted(address))\(unit) }")
    }

    /// The channel that an announced entity fits; nil for what this gateway has no use for.
    static func channel(_ entity: DiscoveredEntity) -> String? {
        if entity.component == "switch" { return "relay" }
        guard entity.component == "sensor", let unit = entity.unit.flatMap(SourceUnit.named) else { return nil }
        let isCount = entity.stateClass == "total" || entity.stateClass == "total_increasing"
        switch (entity.deviceClass, unit.unit) {
        case ("power"?, .watt): return isCount ? nil : "power"
        case ("voltage"?, .volt): return isCount ? nil : "voltage"
        case ("current"?, .ampere): return isCount ? nil : "current"
        case ("frequency"?, .hertz): return isCount ? nil : "frequency"
        case ("temperature"?, .celsius): return isCount ? nil : "temperature"
        case ("power_factor"?, .one): return isCount ? nil : "power_factor"
        // One that is measured anew each time is no counter.
        case ("energy"?, .milliwattHour): return entity.stateClass == "measurement" ? nil : "energy"
        default: return nil
        }
    }
}
