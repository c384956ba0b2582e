import Model

/// One point of the line protocol, as places in the message.
struct InfluxPoint {
    /// Names and tag values as they stand, with their `\`.
    private(set) var measurement = 0..<0
    private(set) var tags: [(key: Range<Int>, value: Range<Int>)] = []
    private(set) var fields: [(key: Range<Int>, value: Found)] = []
    /// In the sender's precision.
    private(set) var time: Double?
    /// What is wrong, where `read` says no.
    private(set) var mistake: StaticString = "nothing"

    /// More than a point in a maker space has.
    private static let most = 256

    /// Takes one line and its line feed. True without fields for an empty line or a comment.
    mutating func read(_ b: borrowing Span<UInt8>, from at: inout Int) -> Bool {
        while at < b.count, b[at] == 0x20 || b[at] == 0x0A || b[at] == 0x0D { at += 1 }
        guard at < b.count else { return true }
        if b[at] == UInt8(ascii: "#") {
            Self.skipLine(b, &at)
            return true
        }
        let isGood = readTags(b, &at) && readFields(b, &at) && readTime(b, &at)
        if !isGood { Self.skipLine(b, &at) }
        return isGood
    }

    private mutating func fail(_ mistake: StaticString) -> Bool {
        self.mistake = mistake
        fields.removeAll()
        return false
    }

    private mutating func readTags(_ b: borrowing Span<UInt8>, _ at: inout Int) -> Bool {
        measurement = Self.name(b, &at, stopsAtEqual: false)
        guard !measurement.isEmpty else { return fail("it has no measurement") }
        while at < b.count, b[at] == UInt8(ascii: ",") {
            at += 1
            let key = Self.name(b, &at, stopsAtEqual: true)
            guard !key.isEmpty, at < b.count, b[at] == UInt8(ascii: "=") else { return fail("a tag has no value") }
            at += 1
            let value = Self.name(b, &at, stopsAtEqual: true)
            guard !value.isEmpty else { return fail("a tag has no value") }
            guard tags.count < Self.most else { return fail("it has too many tags") }
            tags.append((key, value))
        }
        guard at < b.count, b[at] == 0x20 else { return fail("it has no fields") }
        while at < b.count, b[at] == 0x20 { at += 1 }
        return true
    }

    private mutating func readFields(_ b: borrowing Span<UInt8>, _ at: inout Int) -> Bool {
        while true {
            let key = Self.name(b, &at, stopsAtEqual: true)
            guard !key.isEmpty, at < b.count, b[at] == UInt8(ascii: "=") else { return fail("a field has no value") }
            at += 1
            guard let value = Self.value(b, &at) else { return fail("a field's value is none of the known kinds") }
            guard fields.count < Self.most else { return fail("it has too many fields") }
            fields.append((key, value))
            guard at < b.count, b[at] == UInt8(ascii: ",") else { break }
            at += 1
        }
        return at == b.count || b[at] == 0x20 || b[at] == 0x0A || b[at] == 0x0D || fail("a field's value does not end")
    }

    private mutating func readTime(_ b: borrowing Span<UInt8>, _ at: inout Int) -> Bool {
        while at < b.count, b[at] == 0x20 { at += 1 }
        let start = at
        while at < b.count, b[at] != 0x0A, b[at] != 0x0D, b[at] != 0x20 { at += 1 }
        let end = at
        while at < b.count, b[at] == 0x20 { at += 1 }
        guard at == b.count || b[at] == 0x0A || b[at] == 0x0D else { return fail("something follows its time") }
        guard end > start else { return true }
        var digits = start
        if b[start] == UInt8(ascii: "-") { digits += 1 }
        guard end > digits, end - digits <= 19 else { return fail("its time is no number") }
        var time = 0.0
        for i in digits..<end {
            guard (0x30...0x39).contains(b[i]) else { return fail("its time is no number") }
            time = time * 10 + Double(b[i] - 0x30)
        }
        self.time = digits > start ? -time : time
        return true
    }

    /// A measurement, key or tag value: up to a comma, a blank, the line's end or an equal sign without `\` before it.
    private static func name(_ b: borrowing Span<UInt8>, _ at: inout Int, stopsAtEqual: Bool) -> Range<Int> {
        let start = at
        while at < b.count {
            let byte = b[at]
            if byte == 0x5C, at + 1 < b.count, b[at + 1] != 0x0A {
                at += 2
                continue
            }
            if byte == UInt8(ascii: ",") || byte == 0x20 || byte == 0x0A || byte == 0x0D { break }
            if stopsAtEqual, byte == UInt8(ascii: "=") { break }
            at += 1
        }
        return start..<at
    }

    private static func value(_ b: borrowing Span<UInt8>, _ at: inout Int) -> Found? {
        if at < b.count, b[at] == UInt8(ascii: "\"") {
            let start = at + 1
            at = start
            while at < b.count, b[at] != UInt8(ascii: "\"") { at += b[at] == 0x5C ? 2 : 1 }
            guard at < b.count else { return nil }
            at += 1
            return .text(start..<at - 1)
        }
        let start = at
        while at < b.count, b[at] != UInt8(ascii: ","), b[at] != 0x20, b[at] != 0x0A, b[at] != 0x0D { at += 1 }
        guard at > start else { return nil }
        if let isOn = truth(start..<at, b) { return .bool(isOn) }
        let last = b[at - 1]
        guard last == UInt8(ascii: "i") || last == UInt8(ascii: "u") else {
            return PlainNumber.parse(b.extracting(start..<at)).map { .number($0) }
        }
        // Whole numbers have no point and no exponent, and unsigned ones no sign.
        for i in start..<at - 1 where !(0x30...0x39).contains(b[i]) {
            guard i == start, b[i] == UInt8(ascii: "-"), last == UInt8(ascii: "i") else { return nil }
        }
        return PlainNumber.parse(b.extracting(start..<at - 1)).map { .number($0) }
    }

    private static func truth(_ range: Range<Int>, _ b: borrowing Span<UInt8>) -> Bool? {
        for word: StaticString in ["t", "T", "true", "True", "TRUE"] where JSONScanner.equals(range, word, b) {
            return true
        }
        for word: StaticString in ["f", "F", "false", "False", "FALSE"] where JSONScanner.equals(range, word, b) {
            return false
        }
        return nil
    }

    private static func skipLine(_ b: borrowing Span<UInt8>, _ at: inout Int) {
        while at < b.count, b[at] != 0x0A { at += 1 }
    }

    /// Whether a name, with its `\` taken away where they mean something, is this text.
    static func equal(_ range: Range<Int>, _ text: [UInt8], _ b: borrowing Span<UInt8>) -> Bool {
        var place = 0
        var i = range.lowerBound
        while i < range.upperBound {
            if b[i] == 0x5C, i + 1 < range.upperBound,
                b[i + 1] == UInt8(ascii: ",") || b[i + 1] == UInt8(ascii: "=")
                    || b[i + 1] == 0x20
            {
                i += 1
            }
            guard place < text.count, text[place] == b[i] else { return false }
            place += 1
            i += 1
        }
        return place == text.count
    }
}
