import Model

/// What the configuration of a Shelly and the profile of its model say, checked.
///
///     topic: fablab/cnc      Gen2 and later: its `topic_prefix`; Gen1: its id, with or without `shellies/` before it
///     channel: 1             of several meters the one with this number, as the device counts, from 0
///     meters: 2              without `channel`: how many meters (outlets, clamps, phases) there are
///     rating: 3680 W         what it can carry, for plausibility
///     energy_digits: 3       digits behind the point of its Wh
///     commands: false        whether the gateway may ask for a status
///
/// `settings` of a profile may hold `meters`, `rating` and `energy_digits`; the device's own keys go before them.
struct ShellySettings {
    /// nil where a recording may hold any.
    let topic: String?
    /// nil for all meters together.
    let channel: Int?
    let meters: Int
    let rating: Double
    /// nil where nobody said it.
    let energyDigits: Int?
    let mayAsk: Bool

    init?(_ setup: inout DeviceSetup, example: String, _ problems: inout Problems) {
        let before = problems.all.count
        var rating: Double?
        var digits: Int?
        var meters: Int?
        func read(_ fields: inout Fields, _ problems: inout Problems) {
            let place = fields.place("rating")
            if let watts = fields.quantity("rating", ["W": 1, "kW": 1000], example: "3680 W", &problems) {
                if !(1...1e7).contains(watts) { problems.add(place, "'rating' of \(fields.what) must be 1 W to 10 MW") }
                rating = watts
            }
            digits = fields.integer("energy_digits", in: 0...3, &problems) ?? digits
            meters = fields.integer("meters", in: 1...ShellyStatus.most, &problems) ?? meters
        }
        if var settings = setup.profile?.map("settings", &problems) {
            read(&settings, &problems)
            settings.finish(&problems)
        }
        read(&setup.fields, &problems)
        channel = setup.fields.integer("channel", in: 0...99, &problems)
        mayAsk = setup.fields.flag("commands", &problems) ?? false
        topic = Self.topic(&setup, example: example, &problems)
        guard problems.all.count == before else { return nil }
        self.rating = rating ?? 25_000
        energyDigits = digits
        self.meters = channel == nil ? meters ?? 1 : 1
    }

    /// The least advance of a counter with so many digits behind the point of a Wh, in mWh.
    static func step(digits: Int) -> Double { [1000, 100, 10, 1][min(max(digits, 0), 3)] }

    /// An empty message for the meters that are wanted.
    var blank: ShellyStatus { ShellyStatus(first: channel ?? 0, count: meters, isOne: channel != nil) }

    private static func topic(_ setup: inout DeviceSetup, example: String, _ problems: inout Problems) -> String? {
        let place = setup.fields.place("topic")
        if setup.takesAnyAddress, !setup.fields.keys.contains("topic") { return nil }
        guard let topic = setup.fields.requiredText("topic", &problems, example: example) else { return nil }
        guard TopicFilter.isTopic(topic), topic.first != "/", topic.last != "/" else {
            problems.add(
                place,
                "'\(topic)' cannot be what a Shelly's topics begin with: it may not hold + or # nor begin or end "
                    + "with /; give it as the plug's MQTT settings show it, such as \(example)")
            return nil
        }
        return topic
    }
}
