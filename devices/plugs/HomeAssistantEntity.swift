import Model

/// One entity as this gateway uses it: where its value stands, how it is written and whether it is available.
struct HomeAssistantEntity: Sendable {
    let announcedOn: String
    /// nil where it cannot be read.
    let stateTopic: String?
    let template: ValueTemplate
    /// Why it cannot be read.
    let trouble: String?
    /// How long its value is true without a message; nil for as long as the device is there.
    let expiresAfter: Duration?

    private let unit: SourceUnit?
    private let on: String
    private let off: String
    private let mode: DiscoveredEntity.Mode
    fileprivate var sources: [AvailabilitySource]
    /// What was said last, for mode `latest`.
    private var last: Bool?

    fileprivate struct AvailabilitySource: Sendable {
        let topic: String
        let online: String
        let offline: String
        var pick: JSONPick?
        var isOnline: Bool?
    }

    /// `reachable` tells whether this device listens to a topic.
    init(
        _ entity: DiscoveredEntity, named name: String, for value: WantedValue, announcedOn: String,
        reachable: (String) -> Bool
    ) {
        self.announcedOn = announcedOn
        expiresAfter = entity.expiresAfter
        on = entity.on
        off = entity.off
        mode = entity.mode
        let template = entity.template.map { ValueTemplate($0) } ?? .payload
        self.template = template ?? .payload
        let isSwitch = entity.component == "binary_sensor" || entity.component == "switch"
        let said = entity.unit.map { SourceUnit.named($0) } ?? (value.channel.unit == .one ? SourceUnit(.one) : nil)
        unit = isSwitch ? SourceUnit(.one) : value.unit ?? said
        sources = entity.availability.compactMap { source in
            let template = source.template.map { ValueTemplate($0) } ?? .payload
            // One that cannot be understood says nothing; `trouble` says so.
            guard let template, !template.computes else { return nil }
            return AvailabilitySource(
                topic: source.topic, online: source.online, offline: source.offline,
                pick: template.path.map { JSONPick([$0]) })
        }
        var trouble: String?
        let mute = entity.availability.first { !reachable($0.topic) }
        if entity.stateTopic == nil {
            trouble = "\(name) is announced without a state topic"
        } else if template == nil {
            trouble = "\(name) has an unsupported template: \((entity.template ?? "").clipped(to: 100))"
        } else if let topic = entity.stateTopic, !reachable(topic) {
            trouble =
                "\(name) speaks on '\(topic.clipped(to: 80))', which is not below 'topic'; change that or add 'also'"
        } else if value.channel.unit != nil, unit?.unit != value.channel.unit {
            let word = entity.unit.map { "is in '\($0.clipped(to: 20))'" } ?? "has no unit"
            trouble =
                "\(name) \(word) (\(entity.deviceClass?.clipped(to: 30) ?? "no class")), which is no \(value.channel.name)"
        } else if let other = Self.otherKind(entity.stateClass, value.channel.kind) {
            trouble = "\(name) is of state class \(other), which is no \(value.channel.kind.rawValue)"
        }
        self.trouble =
            trouble
            ?? mute.map { "the availability of \(name) is on '\($0.topic.clipped(to: 80))'; add it to 'also'" }
            ?? (sources.count < entity.availability.count
                ? "\(name) has an unsupported template for its availability" : nil)
        // What only lacks its availability is read all the same.
        stateTopic = trouble == nil ? entity.stateTopic : nil
    }

    /// A state class that contradicts the kind of the channel.
    private static func otherKind(_ stateClass: String?, _ kind: Kind) -> String? {
        switch (stateClass, kind) {
        case ("measurement"?, .counter), ("total"?, .gauge), ("total_increasing"?, .gauge): stateClass
        default: nil
        }
    }

    // MARK: availability

    /// nil where nothing is known.
    var isAvailable: Bool? {
        let said = sources.map(\.isOnline)
        switch mode {
        case .latest: return last
        case .all: return said.contains(false) ? false : said.isEmpty || said.contains(nil) ? nil : true
        case .any: return said.contains(true) ? true : said.isEmpty || said.contains(nil) ? nil : false
        }
    }

    /// Takes over what was known before it was announced again, as devices do when Home Assistant starts.
    mutating func remember(_ before: HomeAssistantEntity) {
        for index in sources.indices {
            let old = before.sources.first { $0.topic == sources[index].topic && $0.online == sources[index].online }
            sources[index].isOnline = old?.isOnline
        }
        if sources.contains(where: { $0.isOnline != nil }) { last = before.last }
    }

    /// Takes a message that may be about its availability; false where it is not, or says nothing.
    mutating func hearAvailability(_ b: borrowing Span<UInt8>, on topic: String) -> Bool {
        var isNews = false
        for index in sources.indices where sources[index].topic == topic {
            guard b.count <= 4096, let word = sources[index].word(b) else { continue }
            guard word == sources[index].online || word == sources[index].offline else { continue }
            sources[index].isOnline = word == sources[index].online
            last = sources[index].isOnline
            isNews = true
        }
        return isNews
    }

    // MARK: values

    /// Makes a reading of what its topic said.
    func report(
        _ found: Found, as value: WantedValue, on index: Int, of channels: [Channel], _ b: borrowing Span<UInt8>,
        _ out: inout Outbox
    ) {
        let number: Double?
        var word = ""
        switch found {
        case .absent: return
        case .null: return value.report(.null, on: index, of: channels, unit: unit, b, &out)
        case .unusable: return out.note(.badValue, "\(value.channel.name) is no single value")
        case .number(let found): number = found
        case .bool(let isOn):
            number = nil
            word = isOn ? "True" : "False"
        case .text(let range):
            guard range.count <= 1024, let text = JSONScanner.text(range, b) else {
                return out.note(.badValue, "\(value.channel.name) is no short text in UTF-8")
            }
            // Both are what a template of Home Assistant gives where there is nothing.
            if text.isEmpty { return }
            if text == "None" { return value.report(.null, on: index, of: channels, unit: unit, b, &out) }
            number = value.channel.unit == nil ? nil : PlainNumber.parse(Array(text.utf8).span)
            word = text
        }
        if let number {
            return value.report(.number(template.applied(to: number)), on: index, of: channels, unit: unit, b, &out)
        }
        guard !template.computes else {
            return out.note(.badValue, "\(value.channel.name) is '\(word.clipped(to: 60))' and no number")
        }
        if value.channel.unit == .one, word == on || word == off {
            return out.report(index, of: channels, word == on ? 1 : 0)
        }
        value.reportText(word, on: index, of: channels, unit: unit, &out)
    }
}

extension HomeAssistantEntity.AvailabilitySource {
    /// The word of a message, from JSON where a template says so.
    fileprivate mutating func word(_ b: borrowing Span<UInt8>) -> String? {
        guard pick != nil else { return JSONScanner.text(b.indices, b) }
        guard pick?.read(b) == true else { return nil }
        switch pick?.found[0] {
        case .text(let range): return JSONScanner.text(range, b)
        case .bool(let isOn): return isOn ? "True" : "False"
        case .number(let number): return Int64(exactly: number).map { "\($0)" } ?? "\(number)"
        default: return nil
        }
    }
}
