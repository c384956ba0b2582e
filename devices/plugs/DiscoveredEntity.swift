import Model

/// What a discovery message of Home Assistant says of one entity, with all abbreviations written out:
///
///     homeassistant/sensor/cnc1_energy/config
///     {"~":"gw1/cnc1","stat_t":"~/state","val_tpl":"{{value_json.energy_kwh}}","unit_of_meas":"kWh",
///      "dev_cla":"energy","stat_cla":"total_increasing","avty":[{"t":"gw1/status"},{"t":"~/availability"}],
///      "avty_mode":"all","dev":{…}}
///
///     homeassistant/device/cnc1/config
///     {"dev":{…},"o":{…},"cmps":{"energy":{"p":"sensor","stat_t":…},"power":{"p":"sensor",…}},"avty_t":…}
struct DiscoveredEntity: Sendable {
    /// A topic that says whether the entity is available.
    struct Availability: Sendable {
        let topic: String
        let template: String?
        let online: String
        let offline: String
    }

    /// How several availability topics go together.
    enum Mode: String { case all, any, latest }

    let component: String
    let stateTopic: String?
    let template: String?
    let unit: String?
    let deviceClass: String?
    let stateClass: String?
    let on: String
    let off: String
    let availability: [Availability]
    let mode: Mode
    /// Without a message for so long its value is not true any more; nil where it says nothing of that.
    let expiresAfter: Duration?
    /// How the device calls itself for good, such as by its MAC address; the first where it has several names.
    let deviceIdentifier: String?

    /// `shared`: what the device form says for all its components; it goes behind the entity's own words.
    init(component: String, _ own: JSON, shared: JSON? = nil) {
        let base = Self.text("~", "~", own, shared) ?? ""
        func text(_ long: String, _ short: String) -> String? { Self.text(long, short, own, shared) }
        func topic(_ long: String, _ short: String) -> String? { text(long, short).map { Self.expand($0, base) } }
        self.component = component
        stateTopic = topic("state_topic", "stat_t")
        template = text("value_template", "val_tpl")
        unit = text("unit_of_measurement", "unit_of_meas")
        deviceClass = text("device_class", "dev_cla")
        stateClass = text("state_class", "stat_cla")
        on = text("state_on", "stat_on") ?? text("payload_on", "pl_on") ?? "ON"
        off = text("state_off", "stat_off") ?? text("payload_off", "pl_off") ?? "OFF"
        mode = text("availability_mode", "avty_mode").flatMap(Mode.init) ?? .latest
        let seconds =
            (Self.member("expire_after", "exp_aft", own)
            ?? shared.flatMap { Self.member("expire_after", "exp_aft", $0) })?
            .number
        expiresAfter = seconds.flatMap { (1...1e8).contains($0) ? .milliseconds(Int64(($0 * 1000).rounded())) : nil }
        let device = Self.member("device", "dev", own) ?? shared.flatMap { Self.member("device", "dev", $0) }
        let names = device.flatMap { Self.member("identifiers", "ids", $0) }
        deviceIdentifier = names?.text ?? names?.items?.first?.text
        let online = text("payload_available", "pl_avail") ?? "online"
        let offline = text("payload_not_available", "pl_not_avail") ?? "offline"
        if let one = topic("availability_topic", "avty_t") {
            availability = [
                Availability(
                    topic: one, template: text("availability_template", "avty_tpl"), online: online, offline: offline)
            ]
        } else {
            let list =
                Self.member("availability", "avty", own) ?? shared.flatMap { Self.member("availability", "avty", $0) }
            let items = list?.items ?? (list?.members == nil ? [] : [list].compactMap { $0 })
            availability = items.prefix(8).compactMap { item in
                guard let topic = Self.text("topic", "t", item, nil) else { return nil }
                return Availability(
                    topic: Self.expand(topic, base), template: Self.text("value_template", "val_tpl", item, nil),
                    online: Self.text("payload_available", "pl_avail", item, nil) ?? "online",
                    offline: Self.text("payload_not_available", "pl_not_avail", item, nil) ?? "offline")
            }
        }
    }

    private static func member(_ long: String, _ short: String, _ json: JSON) -> JSON? { json[short] ?? json[long] }

    private static func text(_ long: String, _ short: String, _ own: JSON, _ shared: JSON?) -> String? {
        (member(long, short, own) ?? shared.flatMap { member(long, short, $0) })?.text
    }

    /// `~` at the start or the end of a topic stands for the base topic.
    private static func expand(_ topic: String, _ base: String) -> String {
        if topic.hasPrefix("~") { return base + topic.dropFirst() }
        return topic.hasSuffix("~") ? topic.dropLast() + base : topic
    }
}
