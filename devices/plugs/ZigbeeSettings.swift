import Model

/// What the configuration of a device and the profile of its model say, checked.
///
///     topic: 3dprinter-a       its friendly name
///     base: zigbee2mqtt        the bridge's base topic
///     endpoint: l2             of a device with several outlets this one: `power_l2`, `state_l2`
///     rating: 3680 W           what it can carry, for plausibility
///     energy_digits: 2         digits behind the point of its kWh
///     cache_state: true        as in the bridge's `advanced` settings
///     output: json             the same; attribute where each attribute has a topic of its own
///     tells_power: false       whether it tells its power in every message of its own, also when it has not changed
///
/// `settings` of a profile may hold `rating`, `energy_digits` and `tells_power`; the device's own keys go before them.
struct ZigbeeSettings {
    /// What comes on a topic.
    enum Message: Sendable {
        case state, attribute, availability, bridge, list
    }

    private enum Output: String, CaseIterable {
        case json, attribute
        case both = "attribute_and_json"
    }

    let subscriptions: [String]
    /// What comes by each of `subscriptions`.
    let messages: [Message]
    let channels: [Channel]
    let names: [[UInt8]]
    /// nil where a recording's is meant, whatever it is.
    let friendlyName: [UInt8]?
    let isUncached: Bool
    let alwaysTellsPower: Bool

    init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var rating: Double?
        var digits: Int?
        var tells: Bool?
        func read(_ fields: inout Fields, _ problems: inout Problems) {
            let place = fields.place("rating")
            if let watts = fields.quantity("rating", ["W": 1, "kW": 1000], example: "3680 W", &problems) {
                if !(1...1e7).contains(watts) { problems.add(place, "'rating' of \(fields.what) must be 1 W to 10 MW") }
                rating = watts
            }
            digits = fields.integer("energy_digits", in: 0...5, &problems) ?? digits
            tells = fields.flag("tells_power", &problems) ?? tells
        }
        if var settings = setup.profile?.map("settings", &problems) {
            read(&settings, &problems)
            settings.finish(&problems)
        }
        read(&setup.fields, &problems)
        isUncached = !(setup.fields.flag("cache_state", &problems) ?? true)
        let output = setup.fields.choice("output", of: Output.self, &problems) ?? .json
        let name = Self.topic("topic", "3dprinter-a", "the device's friendly name", &setup, &problems)
        let basePlace = setup.fields.place("base")
        let base = setup.fields.text("base", &problems) ?? "zigbee2mqtt"
        if !Self.isTopic(base) { problems.add(basePlace, "'\(base)' cannot be a base topic; usual is zigbee2mqtt") }
        let endpointPlace = setup.fields.place("endpoint")
        let endpoint = setup.fields.text("endpoint", &problems)
        if let endpoint, endpoint.isEmpty || endpoint.utf8.count > 16 {
            problems.add(endpointPlace, "'endpoint' must be as in the device's attributes: l2 for power_l2")
        }
        guard let name, problems.all.count == before else { return nil }
        let topics = Self.topics(base, name, output)
        subscriptions = topics.map(\.filter)
        messages = topics.map(\.message)
        friendlyName = name == "+" ? nil : Array(name.utf8)
        let suffix = endpoint.map { "_\($0)" } ?? ""
        names = (ZigbeeAttribute.measured.map(\.name) + ["state"]).map { Array("\($0)\(suffix)".utf8) }
        channels = Self.channels(rating: rating ?? 25_000, digits: digits ?? 2)
        alwaysTellsPower = tells ?? false
    }

    /// A recording may hold either form. Where both come, the object says all that the attributes say.
    private static func topics(_ base: String, _ name: String, _ output: Output) -> [(filter: String, message: Message)]
    {
        let bridge: [(String, Message)] = [("\(base)/bridge/state", .bridge), ("\(base)/bridge/devices", .list)]
        if name == "+" { return bridge + [("\(base)/+", .state), ("\(base)/+/+", .attribute)] }
        if output == .attribute { return [("\(base)/\(name)/+", .attribute)] + bridge }
        return [("\(base)/\(name)", .state), ("\(base)/\(name)/availability", .availability)] + bridge
    }

    private static func channels(rating: Double, digits: Int) -> [Channel] {
        let watts = -rating * 1.25...rating * 1.25
        var step = 1e6
        for _ in 0..<digits { step /= 10 }
        return ZigbeeAttribute.measured.map { attribute in
            switch attribute.channel {
            case "power": .gauge("power", .watt, watts)
            case "voltage": .gauge("voltage", .volt, 0...500)
            case "current": .gauge("current", .ampere, 0...1000)
            case "frequency": .gauge("frequency", .hertz, 0...100)
            case "power_factor": .gauge("power_factor", .one, -1.02...1.02)
            case "temperature": .gauge("temperature", .celsius, -60...200)
            default: .counter(attribute.channel, .milliwattHour, resolution: step)
            }
        } + [.online, .gauge("relay", .one, 0...1), .exchange]
    }

    private static func topic(
        _ key: String, _ example: String, _ what: String, _ setup: inout DeviceSetup, _ problems: inout Problems
    ) -> String? {
        let place = setup.fields.place(key)
        if setup.takesAnyAddress, !setup.fields.keys.contains(key) { return "+" }
        guard let topic = setup.fields.requiredText(key, &problems, example: example) else { return nil }
        guard isTopic(topic) else {
            problems.add(
                place,
                "'\(topic)' cannot be \(what): it may not hold + or # nor begin or end with /; "
                    + "give it as the bridge's page shows it, such as \(example)")
            return nil
        }
        return topic
    }

    private static func isTopic(_ text: String) -> Bool {
        TopicFilter.isTopic(text) && text.first != "/" && text.last != "/"
    }
}
