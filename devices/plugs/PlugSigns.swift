import Model

/// By what Tasmota is recognised: its own discovery, or with `SetOption19 1` Home Assistant's, or simply its last will.
///
///     tasmota/discovery/A1B2C3D4E5F6/config   {"t":"laser","ft":"%prefix%/%topic%/","tp":["cmnd","stat","tele"],"md":"…"}
///     tasmota/discovery/A1B2C3D4E5F6/sensors  {"sn":{"ENERGY":{"Power":[24,0],…}},"ver":1}
///     tele/laser/LWT                          Online
struct TasmotaSigns: Sendable {
    private struct Sign: Sendable {
        var topic: String
        var layout: String
        var prefixes: [String]
        var model = ""
        var reason: String
    }

    /// By address on the network, from the discovery, and by topic.
    private var discovered: [String: Sign] = [:]
    private var outlets: [String: Int] = [:]
    private var wills: [String: Sign] = [:]
    private static let usualLayout = "%prefix%/%topic%/"
    private static let usualPrefixes = ["cmnd", "stat", "tele"]
    private static let most = 2000

    mutating func hear(_ b: borrowing Span<UInt8>, _ levels: [String]) {
        if levels.count == 4, levels[0] == "tasmota", levels[1] == "discovery" {
            if levels[3] == "config" { hearConfig(b, levels[2]) }
            if levels[3] == "sensors" { hearSensors(b, levels[2]) }
        } else if levels.last == "LWT",
            JSONScanner.equals(b.indices, "Online", b) || JSONScanner.equals(b.indices, "Offline", b)
        {
            hearWill(levels, reason: levels.joined(separator: "/"))
        }
    }

    private mutating func hearConfig(_ b: borrowing Span<UInt8>, _ address: String) {
        if b.isEmpty { discovered[address] = nil }
        guard discovered.count < Self.most, b.count <= 65_536, let json = JSON(span: b), let topic = json["t"]?.text,
            TopicFilter.isTopic(topic)
        else { return }
        let prefixes = json["tp"]?.items?.compactMap(\.text) ?? []
        var layout = json["ft"]?.text ?? Self.usualLayout
        if layout.last != "/" { layout += "/" }
        discovered[address] = Sign(
            topic: topic, layout: layout, prefixes: prefixes.count == 3 ? prefixes : Self.usualPrefixes,
            model: json["md"]?.text ?? "", reason: "its own discovery, tasmota/discovery/\(address)")
    }

    private mutating func hearSensors(_ b: borrowing Span<UInt8>, _ address: String) {
        guard outlets.count < Self.most, b.count <= 65_536, let power = JSON(span: b)?["sn"]?["ENERGY"]?["Power"] else {
            return
        }
        outlets[address] = power.items?.count ?? 1
    }

    /// `tele/laser/LWT`, `laser/tele/LWT`, `shop/laser/tele/LWT`.
    private mutating func hearWill(_ levels: [String], reason: String) {
        guard levels.count >= 3, wills.count < Self.most else { return }
        let isFirst = levels[0] == "tele"
        guard isFirst || levels[levels.count - 2] == "tele" else { return }
        let words = isFirst ? levels[1..<(levels.count - 1)] : levels[0..<(levels.count - 2)]
        let topic = words.joined(separator: "/")
        guard TopicFilter.isTopic(topic), topic.first != "/", topic.last != "/" else { return }
        let will = Sign(
            topic: topic, layout: isFirst ? Self.usualLayout : "%topic%/%prefix%/", prefixes: Self.usualPrefixes,
            reason: reason)
        // Of two layouts with the same topic one is taken, whichever was heard first.
        if wills[topic].map({ reason < $0.reason }) ?? true { wills[topic] = will }
    }

    func proposals(_ announced: AnnouncedEntities) -> [Proposal] {
        var signs = discovered.sorted { $0.key < $1.key }.map { ($0.value, outlets[$0.key] ?? 1) }
        var others = self
        for entity in announced.all.map(\.entity) {
            // Old firmware announces itself to Home Assistant instead of by itself.
            for will in entity.availability where will.online == "Online" && will.topic.hasSuffix("/LWT") {
                let levels = will.topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
                others.hearWill(levels, reason: "announced to Home Assistant with \(will.topic)")
            }
        }
        let spoken = Set(signs.flatMap { Self.topics($0.0) })
        for (_, will) in others.wills.sorted(by: { $0.key < $1.key })
        where spoken.isDisjoint(with: Self.topics(will)) { signs.append((will, 1)) }
        return signs.map(Self.proposal)
    }

    private static func topics(_ sign: Sign) -> [String] {
        sign.prefixes.dropFirst().map { prefix in
            sign.layout.replacing("%prefix%", with: prefix).replacing("%topic%", with: sign.topic) + "#"
        }
    }

    private static func proposal(_ sign: Sign, _ outlets: Int) -> Proposal {
        var keys = [Proposal.Key("topic", sign.topic)]
        if sign.layout != usualLayout { keys.append(.init("full_topic", sign.layout)) }
        if sign.prefixes != usualPrefixes {
            keys.append(.init("prefixes", yaml: "[\(sign.prefixes.map(Proposal.quoted).joined(separator: ", "))]"))
        }
        let remark = "\(outlets) outlets or phases, added up here; `channel: 1` reads the first one alone"
        return Proposal(
            name: sign.topic, driver: Tasmota.info.name, model: sign.model == "NOUS A1T" ? "nous-a1t" : nil, keys: keys,
            reason: "Tasmota: \(sign.reason)", topics: topics(sign), remarks: outlets > 1 ? [remark] : [])
    }
}

/// By what a Shelly is recognised.
///
///     shellies/shellyplug-s-7A11C2/relay/0/power      the first generation
///     shellyplusplugs-a8032ab1c0de/online             later ones, by the name that they come with
///     fablab/cnc/events/rpc   {"src":"shelly1pmg3-…","method":"NotifyStatus",…}        or by what they say
///     fablab/cnc/status/switch:0
struct ShellySigns: Sendable {
    private struct Sign: Sendable {
        var source = ""
        /// Meters that were heard of, by the component's name.
        var meters: Set<String> = []
        var hasPhases = false
    }

    private var first: [String: Sign] = [:]
    private var later: [String: Sign] = [:]
    private static let most = 2000

    mutating func hear(_ b: borrowing Span<UInt8>, _ levels: [String]) {
        if levels[0] == "shellies" { return hearFirst(levels) }
        guard first.count + later.count < Self.most else { return }
        let count = levels.count
        if levels[count - 1] == "online", levels[count - 2].hasPrefix("shelly"),
            JSONScanner.equals(b.indices, "true", b) || JSONScanner.equals(b.indices, "false", b)
        {
            let topic = levels.dropLast().joined(separator: "/")
            if later[topic, default: Sign()].source.isEmpty { later[topic, default: Sign()].source = levels[count - 2] }
        } else if count > 2, levels[count - 2] == "events", levels[count - 1] == "rpc" {
            hearEvent(b, levels.dropLast(2).joined(separator: "/"))
        } else if count > 2, levels[count - 2] == "status" {
            let name = Array(levels[count - 1].utf8)
            guard ShellyComponent(0..<name.count, name.span) != nil, JSON(span: b)?.members != nil else { return }
            add(levels[count - 1], to: levels.dropLast(2).joined(separator: "/"))
        }
    }

    private mutating func hearFirst(_ levels: [String]) {
        guard levels.count >= 3, first.count < Self.most, !["command", "announce"].contains(levels[1]) else { return }
        var sign = first[levels[1]] ?? Sign(source: levels[1])
        if levels.count >= 4, levels[2] == "emeter" || levels.count == 5 && levels[4] == "power" {
            sign.meters.insert("\(levels[2])/\(levels[3])")
        }
        first[levels[1]] = sign
    }

    private mutating func hearEvent(_ b: borrowing Span<UInt8>, _ topic: String) {
        guard b.count <= 65_536, let json = JSON(span: b), let source = json["src"]?.text, json["method"] != nil else {
            return
        }
        later[topic, default: Sign()].source = source.clipped(to: 64)
        for member in (json["params"]?.members ?? []).prefix(64) { add(member.key, to: topic) }
    }

    private mutating func add(_ component: String, to topic: String) {
        guard TopicFilter.isTopic(topic), topic.first != "/" else { return }
        var sign = later[topic] ?? Sign()
        let kind = component.prefix { $0 != ":" }
        if ["switch", "pm1", "em1"].contains(kind), sign.meters.count < 16 { sign.meters.insert(component) }
        if kind == "em" { sign.hasPhases = true }
        later[topic] = sign
    }

    var proposals: [Proposal] {
        first.sorted { $0.key < $1.key }.map { Self.firstProposal($0.key, $0.value) }
            + later.sorted { $0.key < $1.key }.map { Self.laterProposal($0.key, $0.value) }
    }

    private static func firstProposal(_ id: String, _ sign: Sign) -> Proposal {
        let isThree = id.hasPrefix("shellyem3")
        var keys = [Proposal.Key("topic", id)]
        if !isThree, sign.meters.count > 1 { keys.append(meters(sign)) }
        return Proposal(
            name: id, driver: ShellyGen1.info.name, model: isThree ? "shelly-3em" : nil, keys: keys,
            reason: "Shelly, first generation: shellies/\(id)", topics: ["shellies/\(id)/#"], remarks: remarks(sign))
    }

    private static func laterProposal(_ topic: String, _ sign: Sign) -> Proposal {
        let isThree = sign.hasPhases || sign.source.hasPrefix("shellypro3em")
        var keys = [Proposal.Key("topic", topic)]
        if !isThree, sign.meters.count > 1 { keys.append(meters(sign)) }
        return Proposal(
            name: topic, driver: Shelly.info.name, model: isThree ? "shelly-pro-3em" : nil, keys: keys,
            reason: "Shelly\(sign.source.isEmpty ? "" : " \(sign.source)"): \(topic)", topics: ["\(topic)/#"],
            remarks: isThree ? [] : remarks(sign))
    }

    private static func meters(_ sign: Sign) -> Proposal.Key {
        Proposal.Key("meters", yaml: "\(min(sign.meters.count, ShellyStatus.most))")
    }

    private static func remarks(_ sign: Sign) -> [String] {
        sign.meters.count > 1
            ? ["\(sign.meters.count) meters, added up here; `channel: 0` reads the first one alone"] : []
    }
}

/// By what devices behind Zigbee2MQTT are recognised: the bridge's own list.
///
///     zigbee2mqtt/bridge/devices   [{"friendly_name":"3dprinter-a","definition":{"exposes":[{"property":"power",…},…]}},…]
///     zigbee2mqtt/bridge/info      {"config":{"advanced":{"output":"attribute",…},…},…}
struct ZigbeeSigns: Sendable {
    private struct Sign: Sendable {
        let base: String
        let name: String
        /// nil for one outlet alone; otherwise the endings of its attributes.
        let endpoints: [String]
    }

    private var bridges: [String: [Sign]] = [:]
    /// Base topics of bridges that give each attribute a topic of its own, and nothing else.
    private var splitting: Set<String> = []
    /// The endings that the bridge gives to attributes of one outlet of several; `power_on_behavior` is none.
    private static let endpoints: Set<String> = [
        "l1", "l2", "l3", "l4", "l5", "l6", "l7", "l8", "left", "right", "center", "top", "bottom",
    ]

    mutating func hear(_ b: borrowing Span<UInt8>, _ levels: [String]) {
        guard levels.count >= 3, levels[levels.count - 2] == "bridge", b.count <= 1 << 20 else { return }
        let base = levels.dropLast(2).joined(separator: "/")
        if levels.last == "info", splitting.count < 16,
            JSON(span: b)?["config"]?["advanced"]?["output"]?.text == "attribute"
        {
            splitting.insert(base)
        }
        guard levels.last == "devices", bridges.count < 16, let items = JSON(span: b)?.items else { return }
        bridges[base] = items.prefix(500).compactMap { item in
            guard let name = item["friendly_name"]?.text, TopicFilter.isTopic(name),
                let exposes = item["definition"]?["exposes"]?.items, item["disabled"] != .bool(true)
            else { return nil }
            var properties: [String] = []
            Self.collect(exposes, &properties, depth: 0)
            let measured = properties.compactMap { property -> String? in
                guard let word = ["power", "energy"].first(where: { property.hasPrefix($0) }) else { return nil }
                if property.utf8.count == word.utf8.count { return "" }
                let ending = String(property.dropFirst(word.count + 1))
                return Self.endpoints.contains(ending) ? ending : nil
            }
            guard !measured.isEmpty else { return nil }
            let endpoints = measured.contains("") ? [] : Set(measured).sorted()
            return Sign(base: base, name: name, endpoints: endpoints)
        }
    }

    private static func collect(_ exposes: [JSON], _ properties: inout [String], depth: Int) {
        for expose in exposes.prefix(100) {
            if let property = expose["property"]?.text { properties.append(property) }
            if depth < 3, let features = expose["features"]?.items { collect(features, &properties, depth: depth + 1) }
        }
    }

    var proposals: [Proposal] {
        bridges.sorted { $0.key < $1.key }.flatMap { base, signs in
            signs.sorted { $0.name < $1.name }.flatMap { sign -> [Proposal] in
                (sign.endpoints.isEmpty ? [nil] : sign.endpoints.map(Optional.some)).map { endpoint in
                    var keys = [Proposal.Key("topic", sign.name)]
                    if base != "zigbee2mqtt" { keys.append(.init("base", base)) }
                    if splitting.contains(base) { keys.append(.init("output", "attribute")) }
                    if let endpoint { keys.append(.init("endpoint", endpoint)) }
                    return Proposal(
                        name: sign.name + (endpoint.map { "-\($0)" } ?? ""), driver: Zigbee2MQTT.info.name, keys: keys,
                        reason: "listed on \(base)/bridge/devices",
                        topics: ["\(base)/\(sign.name)"] + (splitting.contains(base) ? ["\(base)/\(sign.name)/+"] : []))
                }
            }
        }
    }
}

/// By what ESPHome is recognised: topics of its own shape, and what they announce.
///
///     cnc-meter/sensor/cnc_power/state
///     cnc-meter/status
struct ESPHomeSigns: Sendable {
    /// Entities by the device's topic, as `sensor/cnc_power`.
    private var devices: [String: Set<String>] = [:]
    private static let components: Set<String> = ["sensor", "switch", "binary_sensor", "text_sensor"]
    private static let most = 2000

    mutating func hear(_ levels: [String]) {
        guard levels.count >= 4, levels.last == "state", Self.components.contains(levels[levels.count - 3]) else {
            return
        }
        let topic = levels.dropLast(3).joined(separator: "/")
        guard devices[topic] != nil || devices.count < Self.most, devices[topic]?.count ?? 0 < 200 else { return }
        devices[topic, default: []].insert("\(levels[levels.count - 3])/\(levels[levels.count - 2])")
    }

    func proposals(_ announced: AnnouncedEntities) -> [Proposal] {
        var all = self
        var entities: [String: DiscoveredEntity] = [:]
        for entity in announced.all.map(\.entity) {
            guard let topic = entity.stateTopic else { continue }
            entities[topic] = entity
            // Nothing but ESPHome says its availability on a `status` of the same device in this shape.
            let levels = topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            if entity.availability.contains(where: { $0.topic == levels.dropLast(3).joined(separator: "/") + "/status" }
            ) {
                all.hear(levels)
            }
        }
        return all.devices.sorted { $0.key < $1.key }.compactMap { Self.proposal($0.key, $0.value, entities) }
    }

    private static func proposal(
        _ topic: String, _ ids: Set<String>, _ entities: [String: DiscoveredEntity]
    ) -> Proposal? {
        guard TopicFilter.isTopic(topic) else { return nil }
        var values = ProposedValues(addressKey: "entity")
        for id in ids.sorted() {
            let word = id.split(separator: "/").last.map(String.init) ?? id
            if let entity = entities["\(topic)/\(id)/state"] {
                guard let channel = ProposedValues.channel(entity) else { continue }
                values.add(channel, address: id, suffix: word, unit: channel == "relay" ? nil : entity.unit)
            } else if id.hasPrefix("switch/") {
                values.add("relay", address: id, suffix: word)
            } else if let (channel, unit) = usual(word) {
                values.add(channel, address: id, suffix: word, unit: unit)
                values.remarks.append("\(word) is taken to be in \(unit): it is not announced")
            } else if word.contains("energy") {
                values.remarks.append("\(id) may be energy; add it with its unit, kWh or Wh")
            }
        }
        guard !values.isEmpty else { return nil }
        return Proposal(
            name: topic, driver: ESPHome.info.name, keys: [.init("topic", topic), values.key],
            reason: "ESPHome: \(topic)/…/state", topics: ["\(topic)/#"], remarks: values.remarks)
    }

    /// Where nothing is announced, the end of an id tells the quantity, and ESPHome's usual unit goes with it. Energy
    /// has none: some sensors count Wh, some kWh.
    private static func usual(_ id: String) -> (channel: String, unit: String)? {
        let units: KeyValuePairs = ["power": "W", "voltage": "V", "current": "A", "frequency": "Hz"]
        for (name, unit) in units where id == name || id.hasSuffix("_" + name) { return (name, unit) }
        return nil
    }
}
