import Model

/// What the profile of a reader and the entry of a device say, checked; see `AccessReader`.
struct AccessSettings: Sendable {
    /// What a word of the reader means here.
    enum Meaning: String, CaseIterable, Sendable {
        /// Somebody takes the machine, or gives it back, just now.
        case started, ended
        /// It is taken, or free, and may have been before.
        case occupied, free
        /// A card was let in, refused, or just read.
        case granted, denied, read
        /// A sign of life.
        case nothing
    }

    struct Availability: Sendable {
        let topic: String
        let online: String
        let offline: String
    }

    /// nil where a recording may hold any.
    let topic: String?
    let below: String?
    let word: [String]?
    let words: [String: Meaning]
    let cards: [[String]]
    let time: [String]?
    let toggles: Bool
    let repeatsWithin: Duration
    let availability: Availability?

    private enum Taps: String, CaseIterable { case toggle, event }

    init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        topic = Self.topic(&setup, &problems)
        let ownTaps = setup.fields.choice("taps", of: Taps.self, &problems)
        guard var settings = setup.profile?.map("settings", &problems) else {
            problems.add(
                setup.fields.position, "device \(setup.id) needs a 'model' with 'settings': what its words mean")
            return nil
        }
        let belowPlace = settings.place("below")
        below = settings.text("below", &problems)
        if let below, !TopicFilter.isTopic(below) {
            problems.add(belowPlace, "'below' must be a topic below the device's, such as SENSOR, not '\(below)'")
        }
        word = settings.text("word", &problems).map(Self.path)
        words = Self.words(&settings, &problems)
        cards = Self.cards(&settings, &problems)
        time = settings.text("time", &problems).map(Self.path)
        let taps = settings.choice("taps", of: Taps.self, &problems)
        toggles = (ownTaps ?? taps) == .toggle
        repeatsWithin = settings.duration("repeats_within", example: "5 s", &problems) ?? .seconds(5)
        availability = Self.availability(&settings, &problems)
        if words.isEmpty, cards.isEmpty, problems.all.count == before {
            problems.add(settings.position, "\(settings.what) needs 'words', such as { startuse: started }, or 'card'")
        }
        settings.finish(&problems)
        guard problems.all.count == before else { return nil }
    }

    private static func path(_ text: String) -> [String] {
        text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    }

    private static func topic(_ setup: inout DeviceSetup, _ problems: inout Problems) -> String? {
        let place = setup.fields.place("topic")
        if setup.takesAnyAddress, !setup.fields.keys.contains("topic") { return nil }
        guard let topic = setup.fields.requiredText("topic", &problems, example: "machine/laser") else { return nil }
        if TopicFilter.isTopic(topic), topic.last != "/" { return topic }
        problems.add(place, "'\(topic)' cannot be 'topic': it may not hold + or # nor end with /")
        return nil
    }

    private static func words(_ settings: inout Fields, _ problems: inout Problems) -> [String: Meaning] {
        guard var map = settings.map("words", &problems) else { return [:] }
        var words: [String: Meaning] = [:]
        for key in map.keys {
            let place = map.place(key)
            guard let text = map.text(key, &problems) else { continue }
            if let meaning = Meaning(rawValue: text) {
                words[key] = meaning
            } else {
                let known = Meaning.allCases.map(\.rawValue)
                problems.add(
                    place,
                    "'\(text)' is nothing that a reader can say" + Suggestion.phrase(for: text, among: known)
                        + "; use \(known.joined(separator: ", "))")
            }
        }
        return words
    }

    private static func cards(_ settings: inout Fields, _ problems: inout Problems) -> [[String]] {
        (settings.list("card", &problems) ?? []).compactMap { item in
            if case .scalar(let text, _) = item.content { return path(text) }
            problems.add(item.position, "'card' lists members, such as [RC522.UID], not \(item.kindInWords)")
            return nil
        }
    }

    private static func availability(_ settings: inout Fields, _ problems: inout Problems) -> Availability? {
        guard var map = settings.map("availability", &problems) else { return nil }
        let topic = map.requiredText("topic", &problems, example: "LWT")
        let online = map.text("online", &problems) ?? "online"
        let offline = map.text("offline", &problems) ?? "offline"
        map.finish(&problems)
        return topic.map { Availability(topic: $0, online: online, offline: offline) }
    }
}
