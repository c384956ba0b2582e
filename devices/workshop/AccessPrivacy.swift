package import Model

// What may be shown or written down of a reader's message: what happened, and when. Everything else gives way to a mark,
// so that a recording is read like the message that it was made of, and tells nothing of anybody.

extension AccessReader {
    /// Stands where something was that is nobody's business.
    private static let mark = "…"

    package func withoutPersons(_ b: borrowing Span<UInt8>, from source: borrowing Source) -> [UInt8]? {
        guard !b.isEmpty else { return nil }
        // What is too long stays so, and what is no text stays none.
        let limit = 8192
        if let availability = settings.availability, ends(source.topic, with: availability.topic) {
            guard b.count <= 64 else { return [UInt8](repeating: 0x2E, count: min(b.count, limit)) }
            guard let word = JSONScanner.text(b.indices, b) else { return [0xFF] }
            return word == availability.online || word == availability.offline ? nil : Array(Self.mark.utf8)
        }
        guard b.count <= limit else { return [UInt8](repeating: 0x2E, count: limit + 1) }
        if settings.word == nil, settings.cards.isEmpty {
            var end = 0
            while end < b.count, b[end] > 0x20 { end += 1 }
            guard let word = JSONScanner.text(0..<end, b) else { return [0xFF] }
            return Array((settings.words[word] == nil ? Self.mark : word).utf8)
        }
        guard let json = JSON(span: b), json.members != nil else { return Array(Self.mark.utf8) }
        return cleaned(json, []).bytes
    }

    private func cleaned(_ json: JSON, _ path: [String]) -> JSON {
        switch json {
        case .object(let members):
            return .object(members.map { JSON.Member($0.key, cleaned($0.value, path + [$0.key])) })
        case .array(let items): return .array(items.map { cleaned($0, path + ["[]"]) })
        case .string(let text): return .string(isOurs(text, path) || text.isEmpty ? text : Self.mark)
        case .bool, .null: return json
        // A number may be a card's, too.
        default: return path == settings.word || path == settings.time ? json : .number(0)
        }
    }

    private func isOurs(_ text: String, _ path: [String]) -> Bool {
        if path == settings.word { return settings.words[text] != nil }
        return path == settings.time && Self.time(.string(text)) != nil
    }
}
