import Model

/// What a plug speaks on. Kept as its layouts, because a lab may have a thousand plugs, and each of their five filters a
/// layout would be a text of its own.
struct TasmotaTopics {
    /// Stands in a layout where the prefix does; no topic may hold it.
    static let prefix = "\0"

    /// With the plug's topic, and `prefix`: `\0/laser/`.
    let layouts: [String]
    let stat: String
    let tele: String

    var filters: [String] {
        layouts.flatMap { layout in
            let parts = layout.utf8.split(separator: 0, omittingEmptySubsequences: false).map { String(Substring($0)) }
            let stat = parts.joined(separator: stat)
            let tele = parts.joined(separator: tele)
            return [tele + "SENSOR", tele + "STATE", tele + "LWT", tele + "INFO3", stat + "+"]
        }
    }
}

/// What the configuration of a device and the profile of its model say, checked.
///
///     topic: laser                          the plug's own `Topic`
///     full_topic: "%prefix%/%topic%/"       the plug's `FullTopic`, in the same words
///     prefixes: [cmnd, stat, tele]          its `Prefix1` to `Prefix3`
///     channel: 2                            of several outlets or phases, this one; all together without it
///     relay: 2                              the relay before the meter; 0 where none is
///     rating: 3680 W                        what it can carry, for plausibility
///     energy_digits: 3                      its `EnergyRes`
///     phases: 3                             how many phases get channels of their own; their sum has one in any case
///     commands: false                       whether the gateway may ask for telemetry
///
/// `settings` of a profile may hold `rating`, `energy_digits`, `phases` and `relay`; the device's own keys go before
/// them.
struct TasmotaSettings {
    /// What the topics of one layout say, in the order of the subscriptions.
    enum Message: Int, CaseIterable {
        case sensor, state, lastWill, restart, answer
    }

    let topics: TasmotaTopics
    /// nil where the gateway may not ask.
    let commandTopic: String?
    let outlet: Int?
    let relay: Int?
    let rating: Double
    let energyDigits: Int
    let phases: Int

    init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var rating: Double?
        var digits: Int?
        var phases: Int?
        var relay: Int?
        func read(_ fields: inout Fields, _ problems: inout Problems) {
            if let watts = fields.quantity("rating", ["W": 1, "kW": 1000], example: "3680 W", &problems) {
                if !(1...1e7).contains(watts) {
                    problems.add(fields.place("rating"), "'rating' of \(fields.what) must be 1 W to 10 MW")
                }
                rating = watts
            }
            digits = fields.integer("energy_digits", in: 0...5, &problems) ?? digits
            phases = fields.integer("phases", in: 1...3, &problems) ?? phases
            relay = fields.integer("relay", in: 0...32, &problems) ?? relay
        }
        if var settings = setup.profile?.map("settings", &problems) {
            read(&settings, &problems)
            settings.finish(&problems)
        }
        read(&setup.fields, &problems)
        outlet = setup.fields.integer("channel", in: 1...PhaseValues.most, &problems)
        let mayAsk = setup.fields.flag("commands", &problems) ?? false
        let topic = Self.topic(&setup, &problems)
        let layouts = Self.layouts(&setup, &problems)
        let prefixes = Self.prefixes(&setup, &problems)
        guard let topic, let layouts, let prefixes, problems.all.count == before else { return nil }

        self.rating = rating ?? 25_000
        energyDigits = digits ?? 3
        // One outlet of several is one phase.
        self.phases = outlet == nil ? phases ?? 3 : 1
        // Outlet n is switched by relay n, unless somebody knows better.
        self.relay = relay ?? outlet
        commandTopic = mayAsk && topic != "+" ? Self.fill(layouts[0], prefixes[0], topic) : nil
        topics = TasmotaTopics(
            layouts: layouts.map { Self.fill($0, TasmotaTopics.prefix, topic) }, stat: prefixes[1], tele: prefixes[2])
    }

    /// What a message on a subscription is.
    static func message(_ subscription: Int) -> Message? {
        subscription < 0 ? nil : Message(rawValue: subscription % Message.allCases.count)
    }

    private static func topic(_ setup: inout DeviceSetup, _ problems: inout Problems) -> String? {
        if setup.takesAnyAddress, !setup.fields.keys.contains("topic") { return "+" }
        guard let topic = setup.fields.requiredText("topic", &problems, example: "laser") else { return nil }
        let slash = UInt8(ascii: "/")
        guard TopicFilter.isTopic(topic), topic.utf8.first != slash, topic.utf8.last != slash else {
            problems.add(
                setup.fields.place("topic"),
                "'\(topic)' cannot be a plug's topic: it may not hold + or # nor begin or end with /; "
                    + "give the plug's own Topic, such as laser, and its layout as 'full_topic'")
            return nil
        }
        return topic
    }

    /// What a layout is made of.
    private enum Part: Equatable {
        case prefix, topic
        case text(String)
    }

    private static let usual = [Part.prefix, .text("/"), .topic, .text("/")]

    /// The layouts of topics, each with its last `/`. A recording may have any of the usual ones.
    private static func layouts(_ setup: inout DeviceSetup, _ problems: inout Problems) -> [[Part]]? {
        guard var layout = setup.fields.text("full_topic", &problems) else {
            guard setup.takesAnyAddress else { return [usual] }
            return [usual] + ["%topic%/%prefix%/", "+/%topic%/%prefix%/", "+/%prefix%/%topic%/"].compactMap(parts)
        }
        if layout.utf8.last != UInt8(ascii: "/") { layout += "/" }
        guard let parts = parts(layout), parts.contains(.prefix), parts.contains(.topic),
            TopicFilter.isTopic(fill(parts, "p", "t"))
        else {
            problems.add(
                setup.fields.place("full_topic"),
                "'full_topic' must hold %prefix% and %topic%, no other %word% and no + or #, "
                    + "for example `full_topic: \"%prefix%/%topic%/\"`, not '\(layout)'")
            return nil
        }
        return [parts]
    }

    private static func prefixes(_ setup: inout DeviceSetup, _ problems: inout Problems) -> [String]? {
        guard let items = setup.fields.list("prefixes", &problems) else { return ["cmnd", "stat", "tele"] }
        let words = items.compactMap { item in
            if case .scalar(let text, _) = item.content, TopicFilter.isTopic(text) { text } else { nil }
        }
        guard words.count == 3, items.count == 3, Set(words).count == 3 else {
            problems.add(
                setup.fields.place("prefixes"),
                "'prefixes' must be three different words, the plug's Prefix1 to Prefix3, "
                    + "for example `prefixes: [cmnd, stat, tele]`")
            return nil
        }
        return words
    }

    /// Between two per cent signs stands a word: `%prefix%/%topic%/` is prefix, `/`, topic, `/`. nil where one is unknown,
    /// or has no end.
    private static func parts(_ layout: String) -> [Part]? {
        var parts: [Part] = []
        var isWord = true
        for piece in layout.utf8.split(separator: UInt8(ascii: "%"), omittingEmptySubsequences: false) {
            isWord.toggle()
            switch (isWord, String(Substring(piece))) {
            case (false, ""): break
            case (false, let text): parts.append(.text(text))
            case (true, "prefix"): parts.append(.prefix)
            case (true, "topic"): parts.append(.topic)
            case (true, _): return nil
            }
        }
        return isWord ? nil : parts
    }

    private static func fill(_ layout: [Part], _ prefix: String, _ topic: String) -> String {
        var filled = ""
        for part in layout {
            switch part {
            case .prefix: filled += prefix
            case .topic: filled += topic
            case .text(let text): filled += text
            }
        }
        return filled
    }
}
