package import Model

/// Anything that publishes JSON or bare numbers on MQTT, as its model or its entry in the configuration describes it:
///
///     topic: lab/heater                          what stands before every topic below
///     availability: status                       see `Availability`
///     values:                                    see `WantedValue` for what else an entry may say
///       - { channel: power, path: meter.w, unit: W }                  {"meter":{"w":742.1}} on lab/heater
///       - { channel: energy, topic: energy, unit: kWh }               48.213 on lab/heater/energy
///       - { channel: temperature, topic: sensors, path: "t[0]", unit: °C }
///
/// A value without `path` is the whole payload. Retained messages are of unknown age and are no samples; only the
/// availability counts. A member that a message does not have says nothing: many devices send what changed.
package struct MQTTJSON: DeviceDriver {
    package static let info = DriverInfo(
        name: "mqtt-json", title: "JSON or plain numbers on MQTT, described by a model or in the configuration",
        link: .mqtt, family: "plugs", silence: .seconds(900))

    package let channels: [Channel]
    package let subscriptions: [String]

    private let values: [WantedValue]
    private var topics: [Topic]
    private var availability: Availability?
    /// The device's own topic; empty for a recording.
    private let base: String
    /// A recording may have any topic before the described ones.
    private let takesAnyTopic: Bool

    /// What comes on one topic.
    private struct Topic: Sendable {
        /// Below the device's; empty for that itself.
        let suffix: String
        /// The values that are the whole payload, and those that stand in JSON, in the order of `pick`.
        var plain: [Int] = []
        var inside: [Int] = []
        var pick = JSONPick([])
    }

    private struct Address {
        let suffix: String
        let path: JSONPath?
    }

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var fields = LayeredFields(&setup, &problems)
        takesAnyTopic = setup.takesAnyAddress
        let base = takesAnyTopic ? "" : fields.topic("topic", example: "lab/heater", &problems)
        availability = Availability(&fields, &problems)
        var wanted: [(value: WantedValue, address: Address)] = []
        if takesAnyTopic, !fields.hasValues {
            // Nothing is described: what names itself and needs no unit to be guessed but the usual one.
            for name in ["power", "voltage", "current", "frequency", "temperature"] {
                guard let channel = Channel.usual(name), let unit = channel.unit else { continue }
                let value = WantedValue(channel, unit: SourceUnit(unit))
                wanted.append((value, Address(suffix: "", path: JSONPath(name))))
            }
        } else {
            wanted = fields.values(
                example: "{ channel: power, path: power, unit: W }", saysUnit: false, &problems, address: Self.address)
        }
        fields.finish(&setup, &problems)
        values = wanted.map(\.value)
        channels = values.map(\.channel) + [.online]
        var topics: [Topic] = []
        var paths: [[JSONPath]] = []
        for (index, entry) in wanted.enumerated() {
            let suffix = entry.address.suffix
            let place = topics.firstIndex { $0.suffix == suffix } ?? topics.count
            if place == topics.count {
                topics.append(Topic(suffix: suffix))
                paths.append([])
            }
            if let path = entry.address.path {
                topics[place].inside.append(index)
                paths[place].append(path)
            } else {
                topics[place].plain.append(index)
            }
        }
        for place in topics.indices { topics[place].pick = JSONPick(paths[place]) }
        self.topics = topics
        guard let base, problems.all.count == before else { return nil }
        self.base = base
        let suffixes = topics.map(\.suffix) + (availability.map { [$0.suffix] } ?? [])
        var filters: [String] = []
        for suffix in suffixes {
            let filter = suffix.isEmpty ? base : "\(base)/\(suffix)"
            if !filters.contains(filter) { filters.append(filter) }
        }
        subscriptions = takesAnyTopic ? ["#"] : filters
    }

    private static func address(_ fields: inout Fields, _ problems: inout Problems) -> Address? {
        let topicPlace = fields.place("topic")
        let pathPlace = fields.place("path")
        let suffix = fields.text("topic", &problems) ?? ""
        if !suffix.isEmpty, !TopicFilter.isTopic(suffix) || suffix.first == "/" {
            problems.add(
                topicPlace,
                "'\(suffix)' is no topic below the device's; write it without + or # and without a / before it")
        }
        guard let text = fields.text("path", &problems) else { return Address(suffix: suffix, path: nil) }
        guard let path = JSONPath(text) else {
            problems.add(
                pathPlace, "'\(text)' is no path into a message; write a.b[0], or ['a b'] for a key with blanks")
            return nil
        }
        return Address(suffix: suffix, path: path)
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard !bytes.isEmpty else { return }
        if let suffix = availability?.suffix, fits(suffix, source.topic) {
            availability?.receive(bytes, on: values.count, &out)
            return
        }
        guard !source.isRetained, let place = place(of: source.topic) else { return }
        for index in topics[place].plain { reportWhole(index, bytes, &out) }
        guard !topics[place].inside.isEmpty else { return }
        guard topics[place].pick.read(bytes) else {
            return out.note(.badFrame, "no JSON on \(source.topic.clipped(to: 100))")
        }
        out.alive()
        for (order, index) in topics[place].inside.enumerated() {
            let value = values[index]
            value.report(topics[place].pick.found[order], on: index, of: channels, unit: value.unit, bytes, &out)
        }
    }

    private func reportWhole(_ index: Int, _ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        let value = values[index]
        if value.channel.unit != nil, let number = PlainNumber.parse(b) {
            return value.report(number, on: index, of: channels, unit: value.unit, &out)
        }
        guard b.count <= 1024, let text = JSONScanner.text(b.indices, b) else {
            return out.note(.badValue, "\(value.channel.name) is no short text in UTF-8")
        }
        value.reportText(text, on: index, of: channels, unit: value.unit, &out)
    }

    /// Which of the topics this is. Where any may stand before the described one, the longest that fits.
    private func place(of topic: String) -> Int? {
        var best: Int?
        for place in topics.indices where fits(topics[place].suffix, topic) {
            if best.map({ topics[$0].suffix.utf8.count < topics[place].suffix.utf8.count }) ?? true { best = place }
        }
        return best
    }

    private func fits(_ suffix: String, _ topic: String) -> Bool {
        if takesAnyTopic, suffix.isEmpty { return true }
        // What stands before it is the device's own topic, as the subscription says.
        let t = topic.utf8
        let s = suffix.utf8
        if suffix.isEmpty { return t.elementsEqual(base.utf8) }
        guard t.count >= s.count, t.suffix(s.count).elementsEqual(s) else { return false }
        if takesAnyTopic { return t.count == s.count || t.dropLast(s.count).last == UInt8(ascii: "/") }
        return t.count == base.utf8.count + 1 + s.count
    }
}
