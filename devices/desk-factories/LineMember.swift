import Model

/// Which part of a line feeds which channel: one entry of a profile's `members`.
struct LineMember: Sendable {
    /// A member's value itself, or one inside an array or an object.
    enum Part: Sendable {
        case whole
        case index(Int)
        /// The bytes of a key inside.
        case name(Range<Int>)
    }

    let channel: Int
    private let key: [UInt8]
    /// The place in an array.
    private let index: Int?
    /// The key in an object.
    private let inner: [UInt8]?
    private let scale: Double
    /// Numbers with which a sensor says that it is broken.
    let unavailable: [Double]
    /// What an event may be called.
    let words: [String]

    /// Reads `members`: a list of `{ member, channel }` with `index`, `scale`, `unavailable` or `words` where needed.
    static func list(_ settings: inout Fields, channels: [Channel], _ problems: inout Problems) -> [LineMember] {
        guard let items = settings.list("members", &problems), !items.isEmpty else {
            problems.add(
                settings.position, "\(settings.what) needs 'members', such as [{ member: shots, channel: shots }]")
            return []
        }
        var members: [LineMember] = []
        for item in items {
            guard var fields = Fields(item, "a member", &problems) else { continue }
            if let member = LineMember(&fields, channels, &problems) {
                if members.contains(where: { $0.channel == member.channel }) {
                    problems.add(item.position, "channel '\(channels[member.channel].name)' is fed twice")
                }
                members.append(member)
            }
            fields.finish(&problems)
        }
        for (index, channel) in channels.enumerated() where !members.contains(where: { $0.channel == index }) {
            problems.add(settings.position, "no member feeds channel '\(channel.name)'")
        }
        return members
    }

    private init?(_ fields: inout Fields, _ channels: [Channel], _ problems: inout Problems) {
        let name = fields.requiredText("member", &problems, example: "shots")
        let channel = fields.channel(among: channels, &problems)
        index = fields.integer("index", in: 0...63, &problems)
        scale = fields.number("scale", &problems) ?? 1
        unavailable = (fields.list("unavailable", &problems) ?? []).compactMap { item in
            if item.number == nil {
                problems.add(item.position, "'unavailable' lists numbers, not \(item.kindInWords)")
            }
            return item.number
        }
        words = (fields.list("words", &problems) ?? []).compactMap { item in
            if case .scalar(let word, _) = item.content, !word.isEmpty, word.utf8.count <= 32 { return word }
            problems.add(item.position, "'words' lists words of up to 32 letters, not \(item.kindInWords)")
            return nil
        }
        if scale == 0 { problems.add(fields.place("scale"), "'scale' cannot be 0") }
        guard let name, let channel else { return nil }
        guard channels[channel].kind != .event || !words.isEmpty else {
            problems.add(
                fields.position, "event '\(channels[channel].name)' needs 'words', those that may become events")
            return nil
        }
        let parts = name.split(separator: ".", maxSplits: 1)
        self.channel = channel
        key = Array((parts.first ?? "").utf8)
        inner = parts.count > 1 ? Array(parts[1].utf8) : nil
        if inner != nil, index != nil { problems.add(fields.position, "a member has either an 'index' or a dot") }
    }

    func fits(_ found: Range<Int>, _ part: Part, _ b: borrowing Span<UInt8>) -> Bool {
        guard Self.equal(found, key, b) else { return false }
        switch part {
        case .whole: return index == nil && inner == nil
        case .index(let place): return index == place
        case .name(let range): return inner.map { Self.equal(range, $0, b) } ?? false
        }
    }

    /// The place of a string in `words`.
    func word(_ range: Range<Int>, _ b: borrowing Span<UInt8>) -> Int? {
        for (place, word) in words.enumerated() where Self.equal(range, Array(word.utf8), b) { return place }
        return nil
    }

    func scaled(_ number: Double) -> Double {
        // 124 / 10 is 12.4, but 124 × 0.1 is not always what one writes.
        let divisor = (1 / scale).rounded()
        return divisor.magnitude > 1 && (divisor * scale - 1).magnitude < 1e-9 ? number / divisor : number * scale
    }

    static func equal(_ range: Range<Int>, _ text: [UInt8], _ b: borrowing Span<UInt8>) -> Bool {
        guard range.count == text.count else { return false }
        for i in text.indices where text[i] != b[range.lowerBound + i] { return false }
        return true
    }
}
