// The `channels` of a profile, for drivers whose models say as data what they give.

extension Fields {
    /// A plain number without a unit, such as a scale.
    package mutating func number(_ key: String, _ problems: inout Problems) -> Double? {
        guard let found = value(key) else { return nil }
        guard let number = found.number else {
            problems.add(found.position, "'\(key)' of \(what) must be a number, not \(found.kindInWords)")
            return nil
        }
        return number
    }

    /// The list under `channels`, each `{ name, unit, kind, plausible: [from, to], resolution, wraps_at }`; the last
    /// three may be left out. `kinds` are those that this driver can give. Mistakes go to `problems`.
    package mutating func channels(of kinds: [Kind], _ problems: inout Problems) -> [Channel] {
        guard let items = list("channels", &problems) else {
            problems.add(position, "\(what) needs 'channels', a list of what the device gives")
            return []
        }
        var channels: [Channel] = []
        for item in items {
            guard var fields = Fields(item, "a channel", &problems),
                let channel = Channel(&fields, kinds: kinds, &problems)
            else { continue }
            fields.finish(&problems)
            if channels.contains(where: { $0.name == channel.name }) {
                problems.add(item.position, "channel '\(channel.name)' stands twice; keep one")
            }
            channels.append(channel)
        }
        return channels
    }

    /// The index of the channel that `channel` names; a name that is not among them is a problem.
    package mutating func channel(among channels: [Channel], _ problems: inout Problems) -> Int? {
        let place = place("channel")
        guard let name = requiredText("channel", &problems, example: channels.first?.name ?? "power") else {
            return nil
        }
        if let index = channels.firstIndex(where: { $0.name == name }) { return index }
        problems.add(
            place,
            "'channels' has no '\(name)'" + Suggestion.phrase(for: name, among: channels.map(\.name)) + "; add it there"
        )
        return nil
    }
}

extension Channel {
    fileprivate init?(_ fields: inout Fields, kinds: [Kind], _ problems: inout Problems) {
        let before = problems.all.count
        let place = fields.place("name")
        let name = fields.requiredText("name", &problems, example: "temperature.zone1") ?? ""
        if problems.all.count == before, !Channel.isValidName(name) {
            problems.add(place, "'\(name)' is no channel name; use lower-case words joined by dots, such as power.l1")
        }
        let kind = fields.choice("kind", of: Kind.self, &problems)
        let unit = fields.choice("unit", of: Unit.self, &problems)
        let resolution = fields.number("resolution", &problems) ?? 0
        let plausible = fields.range("plausible", &problems)
        let wrapsPlace = fields.place("wraps_at")
        let wrapsAt = fields.number("wraps_at", &problems)
        if let wrapsAt, !(1...9e15).contains(wrapsAt) || kind != .counter {
            problems.add(wrapsPlace, "'wraps_at' is where a counter begins anew, in its unit, such as 1000000")
        }
        guard problems.all.count == before else { return nil }
        guard let kind, kinds.contains(kind) else {
            let words = kinds.map(\.rawValue).joined(separator: ", ")
            problems.add(fields.place("kind"), "channel '\(name)' needs a 'kind' that this driver can give: \(words)")
            return nil
        }
        let isNumber = kind == .gauge || kind == .counter
        guard isNumber == (unit != nil) else {
            problems.add(
                fields.place("unit"),
                isNumber ? "channel '\(name)' needs 'unit', such as °C or 1" : "\(kind.rawValue) '\(name)' has no unit")
            return nil
        }
        let widest = kind == .counter ? 0...9e15 : -1e15...1e15
        self.init(
            name, unit, kind, resolution: max(0, resolution), plausible: plausible ?? widest,
            wrapsAt: wrapsAt)
    }
}

extension Fields {
    fileprivate mutating func range(_ key: String, _ problems: inout Problems) -> ClosedRange<Double>? {
        guard let items = list(key, &problems) else { return nil }
        guard items.count == 2, let from = items[0].number, let to = items[1].number, from <= to else {
            problems.add(place(key), "'\(key)' of \(what) must be the least and the greatest value, such as [-20, 400]")
            return nil
        }
        return from...to
    }
}

extension Document {
    /// A finite number, decimal or `0x…`; nil where the value is anything else.
    package var number: Double? {
        guard case .scalar(let text, _) = content else { return nil }
        if let whole = Integers.parse(text) { return Double(whole) }
        guard let number = Double(text), number.isFinite else { return nil }
        return number
    }
}
