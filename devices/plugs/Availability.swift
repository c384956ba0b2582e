import Model

/// How a source says that it is reachable: the word on a topic of its own, mostly a last will.
///
///     availability: status                                            online and offline, as most do
///     availability: { topic: LWT, online: Online, offline: Offline }
///     availability: { topic: status, path: state }                    {"state":"online"}
struct Availability: Sendable {
    /// Below the device's topic.
    let suffix: String
    private let online: String
    private let offline: String
    private var pick: JSONPick?

    /// nil, without a problem, where there is no such key.
    init?(_ fields: inout LayeredFields, _ problems: inout Problems) {
        let place = fields.place("availability")
        guard let document = fields.read({ $0.value("availability") }) else { return nil }
        if case .scalar(let text, _) = document.content {
            guard TopicFilter.isTopic(text) else {
                problems.add(place, "'availability' must be a topic below the device's, such as status, not '\(text)'")
                return nil
            }
            suffix = text
            online = "online"
            offline = "offline"
            return
        }
        guard var map = Fields(document, "'availability'", &problems) else { return nil }
        let topic = map.requiredText("topic", &problems, example: "status")
        online = map.text("online", &problems) ?? "online"
        offline = map.text("offline", &problems) ?? "offline"
        let pathPlace = map.place("path")
        if let text = map.text("path", &problems) {
            if let path = JSONPath(text) {
                pick = JSONPick([path])
            } else {
                problems.add(pathPlace, "'\(text)' is no path into a message; write a.b[0]")
            }
        }
        map.finish(&problems)
        guard let topic else { return nil }
        if !TopicFilter.isTopic(topic) { problems.add(place, "'\(topic)' is no topic: it may not hold + or #") }
        suffix = topic
    }

    mutating func receive(_ b: borrowing Span<UInt8>, on channel: Int, _ out: inout Outbox) {
        guard let word = word(b) else { return out.note(.badFrame, "the availability is no text") }
        if word == online {
            out.report(channel, online: true)
        } else if word == offline {
            out.report(channel, online: false)
        } else {
            out.note(.unknownValue, "the availability is '\(word.clipped(to: 60))', neither \(online) nor \(offline)")
        }
    }

    private mutating func word(_ b: borrowing Span<UInt8>) -> String? {
        guard b.count <= 1024 else { return nil }
        guard pick != nil else { return JSONScanner.text(b.indices, b) }
        guard pick?.read(b) == true else { return nil }
        switch pick?.found[0] {
        case .text(let range): return JSONScanner.text(range, b)
        case .bool(let isOn): return isOn ? "true" : "false"
        case .number(let number): return Int64(exactly: number).map { "\($0)" } ?? "\(number)"
        default: return nil
        }
    }
}
