import Model

/// One entry of `values`: what a source of any shape shall give, and how it writes it.
///
///     values:
///       - channel: energy             the name decides unit and kind where it is a usual one
///         unit: kWh                   as the source writes it; may be left out where the source says it
///         kind: counter               gauge, counter, state or event, for names of one's own
///         plausible: [0, 9e12]        in the unit of the readings
///         resolution: 1 Wh            the smallest step of a counter
///         words: { heating: 1 }       text that means a number, a state or an event
///
/// and, beside these, where the value is found, which each driver says for itself.
struct WantedValue: Sendable {
    private enum Meaning: Sendable {
        case number(Double)
        case state(MachineState)
        case event(String)
    }

    let channel: Channel
    /// The source's unit, where the entry names it.
    let unit: SourceUnit?
    private let words: [(text: [UInt8], meaning: Meaning)]

    /// A channel without anything special, for values that need no configuration.
    init(_ channel: Channel, unit: SourceUnit? = nil) {
        self.channel = channel
        self.unit = unit
        words = []
    }

    // MARK: reading the entry

    /// `saysUnit`: the source may say the unit with its values.
    init?(_ fields: inout Fields, saysUnit: Bool, _ problems: inout Problems) {
        let before = problems.all.count
        let place = fields.place("channel")
        guard let name = fields.requiredText("channel", &problems, example: "power") else { return nil }
        if !Channel.isValidName(name) {
            problems.add(place, "'\(name)' is no channel name; use lower-case words joined by dots, such as power.l1")
        } else if name == "online" {
            problems.add(place, "channel 'online' is there by itself; say with 'availability' where it comes from")
        }
        let usual = Channel.usual(name)
        let unit = Self.unit(&fields, &problems)
        let asked = fields.choice("kind", of: Kind.self, &problems)
        let kind = asked ?? (unit?.unit == .milliwattHour ? .counter : usual?.kind ?? .gauge)
        let plausible = Self.range(&fields, &problems)
        let resolution = Self.resolution(&fields, unit, &problems)
        words = Self.words(&fields, kind, isJob: name == "job", &problems)
        let isNumber = kind == .gauge || kind == .counter
        if isNumber, unit == nil, usual?.unit == nil || !saysUnit && usual?.unit != .one, problems.all.count == before {
            problems.add(
                place, "channel '\(name)' needs 'unit', as the source writes it, such as kWh; 1 where it has none")
        }
        if !isNumber, words.isEmpty, problems.all.count == before {
            problems.add(
                place, "\(kind.rawValue) '\(name)' needs 'words', for example `words: { RUN: running, STOP: idle }`")
        }
        guard problems.all.count == before else { return nil }
        let canonical = isNumber ? unit?.unit ?? usual?.unit : nil
        let widest: ClosedRange<Double> = kind == .counter ? 0...9e15 : -1e15...1e15
        let usualRange = usual?.unit == canonical && usual?.kind == kind ? usual?.plausible : nil
        channel = Channel(
            name, canonical, kind, resolution: resolution, plausible: plausible ?? usualRange ?? widest)
        self.unit = unit ?? (canonical == .one && !saysUnit ? SourceUnit(.one) : nil)
    }

    private static func unit(_ fields: inout Fields, _ problems: inout Problems) -> SourceUnit? {
        let place = fields.place("unit")
        guard let text = fields.text("unit", &problems) else { return nil }
        if let unit = SourceUnit.named(text) { return unit }
        problems.add(
            place,
            "'\(text)' is no unit that can be converted; use W, kW, Wh, kWh, J, V, A, Hz, VA, var, °C, °F, K, %, s, min, "
                + "mm, g, kg, rpm, mm/min, dBm or 1")
        return nil
    }

    private static func range(_ fields: inout Fields, _ problems: inout Problems) -> ClosedRange<Double>? {
        let place = fields.place("plausible")
        guard let items = fields.list("plausible", &problems) else { return nil }
        if items.count == 2, let from = items[0].number, let to = items[1].number, from <= to { return from...to }
        problems.add(place, "'plausible' must be the least and the greatest value, such as [-20, 400]")
        return nil
    }

    /// `1 Wh`, or a bare number in the source's unit.
    private static func resolution(
        _ fields: inout Fields, _ unit: SourceUnit?, _ problems: inout Problems
    ) -> Double {
        let place = fields.place("resolution")
        guard let text = fields.text("resolution", &problems) else { return 0 }
        let number = text.prefix { "+-.0123456789e".contains($0) }
        let rest = text.dropFirst(number.count).drop { $0 == " " }
        if let value = Double(number), value >= 0, value.isFinite {
            if rest.isEmpty { return unit?.step(of: value) ?? value }
            if let own = SourceUnit.named(String(rest)) { return own.step(of: value) }
        }
        problems.add(place, "'resolution' must be the source's smallest step, such as 1 Wh, not '\(text)'")
        return 0
    }

    private static func words(
        _ fields: inout Fields, _ kind: Kind, isJob: Bool, _ problems: inout Problems
    ) -> [(text: [UInt8], meaning: Meaning)] {
        guard var map = fields.map("words", &problems) else { return [] }
        var words: [(text: [UInt8], meaning: Meaning)] = []
        for key in map.keys {
            let place = map.place(key)
            guard let value = map.text(key, &problems) else { continue }
            if let meaning = meaning(of: value, kind, isJob: isJob) {
                words.append((Array(key.utf8), meaning))
            } else {
                problems.add(place, wrongMeaning(value, key, kind, isJob: isJob))
            }
        }
        return words
    }

    private static func wrongMeaning(_ value: String, _ word: String, _ kind: Kind, isJob: Bool) -> String {
        switch kind {
        case .gauge, .counter: "'\(value)' for the word '\(word)' must be a number"
        case .state: "'\(value)' is no state; use \(MachineState.allCases.map(\.rawValue).joined(separator: ", "))"
        case .event where isJob:
            "'\(value)' is no outcome; use \(JobOutcome.allCases.map(\.rawValue).joined(separator: ", "))"
        case .event: "'\(value)' is no name of an event; use up to 64 letters"
        }
    }

    private static func meaning(of text: String, _ kind: Kind, isJob: Bool) -> Meaning? {
        switch kind {
        case .gauge, .counter: Double(text).flatMap { $0.isFinite ? .number($0) : nil }
        case .state: MachineState(rawValue: text).map { .state($0) }
        case .event:
            (isJob ? JobOutcome(rawValue: text) != nil : (1...64).contains(text.utf8.count)) ? .event(text) : nil
        }
    }

    // MARK: reporting

    /// Makes a reading or a fault of what was found. `unit`: as the source says it, or as the entry does; nil where
    /// neither does.
    func report(
        _ found: Found, on index: Int, of channels: [Channel], unit: SourceUnit?, at time: Instant? = nil,
        _ b: borrowing Span<UInt8>, _ out: inout Outbox
    ) {
        switch found {
        case .absent: break
        case .null: if channel.kind != .event { out.reportUnknown(index) }
        case .unusable: out.note(.badValue, "\(channel.name) is no single value")
        case .bool(let isOn):
            if channel.unit == .one { return report(isOn ? 1 : 0, on: index, of: channels, unit: unit, at: time, &out) }
            reportText(isOn ? "true" : "false", on: index, of: channels, unit: unit, at: time, &out)
        case .number(let number):
            if channel.unit != nil { return report(number, on: index, of: channels, unit: unit, at: time, &out) }
            // A state may be a number; its words then are numbers, too.
            let whole = Int64(exactly: number).map { "\($0)" }
            reportText(whole ?? "\(number)", on: index, of: channels, unit: unit, at: time, &out)
        case .text(let range):
            guard let text = JSONScanner.text(range, b) else {
                return out.note(.badValue, "\(channel.name) is no text in UTF-8")
            }
            reportText(text, on: index, of: channels, unit: unit, at: time, &out)
        }
    }

    /// A number in the source's unit.
    func report(
        _ number: Double, on index: Int, of channels: [Channel], unit: SourceUnit?, at time: Instant? = nil,
        _ out: inout Outbox
    ) {
        guard let unit, unit.unit == channel.unit else {
            return out.note(.unknownValue, "\(channel.name) came without a unit; give its 'unit' in 'values'")
        }
        out.report(index, of: channels, unit.reading(of: number), at: time)
    }

    /// A word that the entry knows, on and off for what has no unit, or a number in digits.
    func reportText(
        _ text: String, on index: Int, of channels: [Channel], unit: SourceUnit?, at time: Instant? = nil,
        _ out: inout Outbox
    ) {
        if let word = words.first(where: { $0.text.elementsEqual(text.utf8) }) {
            switch word.meaning {
            case .number(let number): out.report(index, of: channels, number, at: time)
            case .state(let state): out.report(index, state, reason: text, at: time)
            case .event(let name): out.report(index, event: name, at: time)
            }
        } else if channel.unit != nil, let number = PlainNumber.parse(Array(text.utf8).span) {
            report(number, on: index, of: channels, unit: unit, at: time, &out)
        } else if channel.unit == .one, let isOn = PlainNumber.isOn(text) {
            out.report(index, of: channels, isOn ? 1 : 0, at: time)
        } else {
            out.note(
                channel.unit == nil ? .unknownValue : .badValue,
                "\(channel.name) is '\(text.clipped(to: 60))', neither a number nor a known word")
        }
    }
}

/// Numbers that are a text of their own: the payload of a topic, a value in quotes.
enum PlainNumber {
    /// Digits with a sign, a point and an exponent, blanks around them; nil for anything else, such as `nan`, `0x10`
    /// or `1,5`.
    static func parse(_ b: borrowing Span<UInt8>) -> Double? {
        var start = 0
        var end = b.count
        while start < end, b[start] <= 0x20 { start += 1 }
        while end > start, b[end - 1] <= 0x20 || b[end - 1] == 0 { end -= 1 }
        guard (1...64).contains(end - start) else { return nil }
        var text = ""
        for i in start..<end {
            switch b[i] {
            case 0x30...0x39, 0x2B, 0x2D, 0x2E, 0x45, 0x65: text.unicodeScalars.append(Unicode.Scalar(b[i]))
            default: return nil
            }
        }
        return Double(text)
    }

    /// `on`, `true`, `off`, `false`, in any case.
    static func isOn(_ text: String) -> Bool? {
        switch text.lowercased() {
        case "on", "true": true
        case "off", "false": false
        default: nil
        }
    }
}
