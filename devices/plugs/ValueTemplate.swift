import Model

/// The few shapes of Jinja2 templates that nearly all devices use in Home Assistant's discovery:
///
///     {{ value }}   {{ value_json.a.b }}   {{ value_json['A']['B'] }}   {{ value_json.a[0] }}
///
/// followed by any of `| float`, `| int`, `| round(2)`, `/ 60`, `* 1000`. Anything else is no template for us: what it
/// would mean must not be guessed.
struct ValueTemplate: Sendable, Equatable {
    private enum Step: Equatable {
        case truncate
        case round(Int)
        case multiply(Double)
        case divide(Double)
    }

    /// nil where the whole payload is meant.
    let path: JSONPath?
    private let steps: [Step]

    /// Without a template the payload is the value.
    static let payload = ValueTemplate(path: nil, steps: [])

    private init(path: JSONPath?, steps: [Step]) {
        self.path = path
        self.steps = steps
    }

    /// nil for every other shape.
    init?(_ text: String) {
        guard text.utf8.count <= 1024, var rest = Self.expression(text)?[...] else { return nil }
        if rest.starts(with: Array("value_json".utf8)) {
            rest = rest.dropFirst("value_json".utf8.count)
            guard let end = Self.endOfPath(rest) else { return nil }
            var path = rest[..<end]
            if path.first == UInt8(ascii: ".") { path = path.dropFirst() }
            guard let found = JSONPath(String(decoding: path, as: UTF8.self)) else { return nil }
            self.path = found
            rest = rest[end...]
        } else if rest.starts(with: Array("value".utf8)) {
            path = nil
            rest = rest.dropFirst("value".utf8.count)
        } else {
            return nil
        }
        guard let steps = Self.steps(rest) else { return nil }
        self.steps = steps
    }

    /// What stands between the braces, without blanks. nil where a blank parts two words, as in `a if b`.
    private static func expression(_ text: String) -> [UInt8]? {
        let trimmed = Array(text.utf8.drop { $0 <= 0x20 }.reversed().drop { $0 <= 0x20 }.reversed())
        guard trimmed.count > 4, trimmed.starts(with: [0x7B, 0x7B]), trimmed.suffix(2) == [0x7D, 0x7D] else {
            return nil
        }
        var out: [UInt8] = []
        var quote: UInt8?
        var hasBlank = false
        for byte in trimmed.dropFirst(2).dropLast(2) {
            if let open = quote {
                out.append(byte)
                if byte == open { quote = nil }
                continue
            }
            if byte <= 0x20 {
                hasBlank = true
                continue
            }
            if hasBlank, isWord(byte), out.last.map(isWord) == true { return nil }
            hasBlank = false
            if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") { quote = byte }
            out.append(byte)
        }
        return quote == nil ? out : nil
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
    }

    /// Where `.a['b'][0]` ends; nil where it holds what a path cannot.
    private static func endOfPath(_ text: ArraySlice<UInt8>) -> Int? {
        guard text.first == UInt8(ascii: ".") || text.first == UInt8(ascii: "[") else { return nil }
        var at = text.startIndex
        while at < text.endIndex {
            switch text[at] {
            case UInt8(ascii: "["):
                guard let close = text[at...].firstIndex(of: UInt8(ascii: "]")) else { return nil }
                at = close + 1
            case UInt8(ascii: "."): at += 1
            case let byte where isWord(byte): at += 1
            default: return at
            }
        }
        return at
    }

    private static func steps(_ text: ArraySlice<UInt8>) -> [Step]? {
        var steps: [Step] = []
        var rest = text
        while let first = rest.first {
            rest = rest.dropFirst()
            let end = rest.firstIndex { $0 == UInt8(ascii: "|") || $0 == UInt8(ascii: "/") || $0 == UInt8(ascii: "*") }
            let word = rest[..<(end ?? rest.endIndex)]
            rest = rest[(end ?? rest.endIndex)...]
            switch first {
            case UInt8(ascii: "|"):
                guard let filter = filter(word) else { return nil }
                // A filter binds tighter than a sign: after `/ 60` it means the 60.
                switch steps.last {
                case .divide(let number): steps[steps.count - 1] = .divide(apply(filter, to: number))
                case .multiply(let number): steps[steps.count - 1] = .multiply(apply(filter, to: number))
                default: if let step = filter { steps.append(step) }
                }
            case UInt8(ascii: "/"), UInt8(ascii: "*"):
                guard let number = PlainNumber.parse(Array(word).span), number.isFinite else { return nil }
                steps.append(first == UInt8(ascii: "/") ? .divide(number) : .multiply(number))
            default: return nil
            }
            guard steps.count <= 8, steps.last != .divide(0) else { return nil }
        }
        return steps
    }

    /// `float` changes nothing, which is the inner nil; the outer one is an unknown filter.
    private static func filter(_ word: ArraySlice<UInt8>) -> Step?? {
        if word.elementsEqual("float".utf8) { return .some(nil) }
        if word.elementsEqual("int".utf8) { return .truncate }
        let digits = word.dropFirst("round(".utf8.count).dropLast()
        guard word.starts(with: Array("round(".utf8)), word.last == UInt8(ascii: ")"), digits.count == 1,
            let digit = digits.first, (0x30...0x39).contains(digit)
        else { return nil }
        return .round(Int(digit) - 0x30)
    }

    private static func apply(_ step: Step?, to number: Double) -> Double {
        switch step {
        case nil: return number
        case .truncate: return number.rounded(.towardZero)
        case .multiply(let factor): return number * factor
        case .divide(let divisor): return number / divisor
        case .round(let digits):
            var scale = 1.0
            for _ in 0..<digits { scale *= 10 }
            return (number * scale).rounded(.toNearestOrEven) / scale
        }
    }

    /// Whether the value is computed with, and so must be a number.
    var computes: Bool { !steps.isEmpty }

    func applied(to number: Double) -> Double { steps.reduce(number) { Self.apply($1, to: $0) } }
}
