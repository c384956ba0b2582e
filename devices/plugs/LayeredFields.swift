import Model

/// The keys of a device and, behind them, the `settings` of its model: what the device says goes first.
struct LayeredFields {
    private var device: Fields
    private var model: Fields?
    /// Where to point when both are silent.
    var position: Position { device.position }
    var what: String { device.what }

    init(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        device = setup.fields
        model = setup.profile?.map("settings", &problems)
    }

    /// Asks both for the same; the device's answer counts.
    mutating func read<Answer>(_ ask: (inout Fields) -> Answer?) -> Answer? {
        var below: Answer?
        if var fields = model {
            below = ask(&fields)
            model = fields
        }
        return ask(&device) ?? below
    }

    /// Where a key stands.
    func place(_ key: String) -> Position {
        if !device.keys.contains(key), let model, model.keys.contains(key) { return model.place(key) }
        return device.place(key)
    }

    /// An MQTT topic of the device, without wild cards; nil after a problem.
    mutating func topic(_ key: String, example: String, _ problems: inout Problems) -> String? {
        let place = place(key)
        guard let topic = read({ $0.text(key, &problems) }) else {
            // `requiredText` says what is missing, and looks for a slip of the pen.
            return device.requiredText(key, &problems, example: example)
        }
        if TopicFilter.isTopic(topic), topic.last != "/" { return topic }
        problems.add(
            place, "'\(topic)' cannot be '\(key)': it may not hold + or # nor end with /; for example \(example)")
        return nil
    }

    /// The entries of `values`, at least one, at most 60, no channel twice. `address` reads where a value is found,
    /// `saysUnit` whether the source itself may say a unit.
    mutating func values<Address>(
        example: String, saysUnit: Bool, _ problems: inout Problems, address: (inout Fields, inout Problems) -> Address?
    ) -> [(value: WantedValue, address: Address)] {
        let place = place("values")
        guard let items = read({ $0.list("values", &problems) }), !items.isEmpty else {
            problems.add(place, "\(what) needs 'values', what it shall give, for example `values: [\(example)]`")
            return []
        }
        if items.count > 60 { problems.add(place, "'values' has \(items.count) entries; a device has at most 60") }
        var wanted: [(value: WantedValue, address: Address)] = []
        for item in items.prefix(60) {
            guard var fields = Fields(item, "a value", &problems) else { continue }
            let found = address(&fields, &problems)
            let value = WantedValue(&fields, saysUnit: saysUnit, &problems)
            fields.finish(&problems)
            guard let found, let value else { continue }
            if wanted.contains(where: { $0.value.channel.name == value.channel.name }) {
                problems.add(item.position, "channel '\(value.channel.name)' stands twice; keep one")
            }
            wanted.append((value, found))
        }
        return wanted
    }

    /// Whether there is a `values` at all.
    var hasValues: Bool { device.keys.contains("values") || model?.keys.contains("values") == true }

    /// Gives the device's keys back to the caller, who reports those that nobody asked for.
    func finish(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        setup.fields = device
        model?.finish(&problems)
    }
}
