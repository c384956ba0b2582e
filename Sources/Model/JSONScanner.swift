// A pull scanner for JSON (RFC 8259) that allocates nothing: drivers walk a message with it and pick what they know.

/// A cursor over one JSON text. The bytes are handed to every call, because a span cannot be kept.
///
/// A broken text sets `failed`, and from then on every call says "nothing more"; look at `failed` or `finish` once at
/// the end instead of at every step. Nesting deeper than 32 fails.
package struct JSONScanner {
    package enum Kind { case object, array, string, number, bool, null, none }

    private var at = 0
    private var depth = 0
    /// The next member or element needs no comma before it.
    private var first = true
    package private(set) var failed = false
    /// Some string holds bytes that must be UTF-8; looked at once, at the end.
    private var hasOtherThanASCII = false

    package init() {}

    /// What comes next, without taking it.
    package mutating func peek(_ b: borrowing Span<UInt8>) -> Kind {
        space(b)
        guard !failed, at < b.count else { return .none }
        switch b[at] {
        case 0x7B: return .object
        case 0x5B: return .array
        case 0x22: return .string
        case 0x2D, 0x30...0x39: return .number
        case 0x74, 0x66: return .bool
        case 0x6E: return .null
        default: return .none
        }
    }

    /// Takes `{`. False, without failing, where something else stands.
    package mutating func beginObject(_ b: borrowing Span<UInt8>) -> Bool { begin(0x7B, b) }

    /// Takes `[`. False, without failing, where something else stands.
    package mutating func beginArray(_ b: borrowing Span<UInt8>) -> Bool { begin(0x5B, b) }

    /// The next member's key (without quotes, escapes as they stand), or nil after taking the closing `}`.
    package mutating func nextKey(_ b: borrowing Span<UInt8>) -> Range<Int>? {
        guard next(closing: 0x7D, b) else { return nil }
        guard let key = string(b) else {
            failed = true
            return nil
        }
        space(b)
        guard at < b.count, b[at] == 0x3A else {
            failed = true
            return nil
        }
        at += 1
        return key
    }

    /// Whether there is one more element; takes the closing `]` if not.
    package mutating func nextElement(_ b: borrowing Span<UInt8>) -> Bool { next(closing: 0x5D, b) }

    /// A string's bytes between the quotes, escapes as they stand; nil, without failing, where none stands.
    package mutating func string(_ b: borrowing Span<UInt8>) -> Range<Int>? {
        space(b)
        guard !failed, at < b.count, b[at] == 0x22 else { return nil }
        let start = at + 1
        // In registers: the scanner itself stands in memory.
        var i = start
        var seen: UInt64 = 0
        while i < b.count {
            i = Self.plain(from: i, &seen, b)
            guard i < b.count else { break }
            let byte = b[i]
            if byte == 0x22 {
                at = i + 1
                if seen & Self.everyTop != 0 { hasOtherThanASCII = true }
                return start..<i
            }
            guard byte == 0x5C else { break }
            if i + 1 < b.count { seen |= UInt64(b[i + 1]) }
            i += 2
        }
        at = i
        failed = true
        return nil
    }

    private static let everyOne: UInt64 = 0x0101_0101_0101_0101
    private static let everyTop: UInt64 = 0x8080_8080_8080_8080

    /// The place from `start` on of the first quotation mark, backslash or control character, or the end. What stands
    /// before goes into `seen`. Eight bytes at a time: of a word less ones, a byte that was 0 has its top bit set and had
    /// not before, and the lowest such byte is always right.
    @inline(__always)
    private static func plain(from start: Int, _ seen: inout UInt64, _ b: borrowing Span<UInt8>) -> Int {
        var i = start
        while i &+ 8 <= b.count {
            // It is checked that they are there; any bits are a number.
            let word = unsafe b.bytes.unsafeLoadUnaligned(fromByteOffset: i, as: UInt64.self).littleEndian
            let quote = word ^ everyOne &* 0x22
            let backslash = word ^ everyOne &* 0x5C
            let ends =
                ((quote &- everyOne) & ~quote | (backslash &- everyOne) & ~backslash
                    | (word &- everyOne &* 0x20) & ~word) & everyTop
            guard ends == 0 else {
                let count = ends.trailingZeroBitCount >> 3
                seen |= word & ((1 &<< UInt64(truncatingIfNeeded: count &* 8)) &- 1)
                return i &+ count
            }
            seen |= word
            i &+= 8
        }
        while i < b.count, b[i] >= 0x20, b[i] != 0x22, b[i] != 0x5C {
            seen |= UInt64(b[i])
            i &+= 1
        }
        return i
    }

    /// A number; nil, without failing, where none stands.
    package mutating func number(_ b: borrowing Span<UInt8>) -> Double? {
        guard peek(b) == .number else { return nil }
        let start = at
        let negative = b[start] == 0x2D
        // In registers, as in a string.
        var i = negative ? start + 1 : start
        var mantissa: UInt64 = 0
        var digits = 0
        let whole = i
        var exponent = Self.digits(at: &i, b, &mantissa, &digits)
        guard i > whole, i - whole == 1 || b[whole] != 48 else { return fail(at: i) }
        if i < b.count, b[i] == 0x2E {
            i += 1
            let fraction = i
            let surplus = Self.digits(at: &i, b, &mantissa, &digits)
            guard i > fraction else { return fail(at: i) }
            exponent -= i - fraction - surplus
        }
        if i < b.count, b[i] | 0x20 == 0x65 {
            i += 1
            var down = false
            if i < b.count, b[i] == 0x2B || b[i] == 0x2D {
                down = b[i] == 0x2D
                i += 1
            }
            let power = i
            var e = 0
            while i < b.count, b[i] &- 48 <= 9 {
                e = min(e * 10 + Int(b[i] - 48), 9999)
                i += 1
            }
            guard i > power else { return fail(at: i) }
            exponent += down ? -e : e
        }
        at = i
        // Both numbers are exact in a Double, so that one rounding is left, as in a decimal conversion done well.
        if mantissa < 1 << 53, exponent >= -22, exponent <= 22 {
            let magnitude =
                exponent < 0 ? Double(mantissa) / Self.powers[-exponent] : Double(mantissa) * Self.powers[exponent]
            return negative ? -magnitude : magnitude
        }
        var text = ""
        for i in start..<at { text.unicodeScalars.append(Unicode.Scalar(b[i])) }
        return Double(text) ?? fail(at: at)
    }

    package mutating func bool(_ b: borrowing Span<UInt8>) -> Bool? {
        guard peek(b) == .bool else { return nil }
        let isTrue = b[at] == 0x74
        guard word(isTrue ? "true" : "false", b) else { return nil }
        return isTrue
    }

    /// Takes `null` if it stands there.
    package mutating func null(_ b: borrowing Span<UInt8>) -> Bool {
        guard peek(b) == .null else { return false }
        return word("null", b)
    }

    /// Takes one value of any kind; returns the bytes it stood in.
    @discardableResult package mutating func skip(_ b: borrowing Span<UInt8>) -> Range<Int>? {
        let kind = peek(b)
        let start = at
        switch kind {
        case .object:
            guard beginObject(b) else { return nil }
            while nextKey(b) != nil { skip(b) }
        case .array:
            guard beginArray(b) else { return nil }
            while nextElement(b) { skip(b) }
        case .string: _ = string(b)
        case .number: _ = number(b)
        case .bool: _ = bool(b)
        case .null: _ = null(b)
        case .none: failed = true
        }
        return failed ? nil : start..<at
    }

    /// Whether the whole text was one good value in UTF-8 and nothing but white space follows.
    package mutating func finish(_ b: borrowing Span<UInt8>) -> Bool {
        space(b)
        return !failed && depth == 0 && at == b.count && (!hasOtherThanASCII || Self.isUTF8(b))
    }

    /// Whether bytes are UTF-8 (RFC 3629, section 4: the shortest form, no surrogates, nothing above U+10FFFF).
    package static func isUTF8(_ b: borrowing Span<UInt8>) -> Bool {
        var i = 0
        while i < b.count {
            let first = b[i]
            i += 1
            if first < 0x80 { continue }
            // How many bytes follow, and what the first of them may be.
            let rest: Int
            var low: UInt8 = 0x80
            var high: UInt8 = 0xBF
            switch first {
            case 0xC2...0xDF: rest = 1
            case 0xE0...0xEF:
                rest = 2
                if first == 0xE0 { low = 0xA0 }
                if first == 0xED { high = 0x9F }
            case 0xF0...0xF4:
                rest = 3
                if first == 0xF0 { low = 0x90 }
                if first == 0xF4 { high = 0x8F }
            default: return false
            }
            guard i + rest <= b.count, b[i] >= low, b[i] <= high else { return false }
            for next in i + 1..<i + rest where b[next] & 0xC0 != 0x80 { return false }
            i += rest
        }
        return true
    }

    // MARK: what stands in a range

    /// Whether the bytes of a range are exactly this ASCII text.
    @inlinable @inline(__always)
    package static func equals(_ range: Range<Int>, _ text: StaticString, _ b: borrowing Span<UInt8>) -> Bool {
        range.count == text.utf8CodeUnitCount && stands(text, at: range, b)
    }

    /// The same of a text that is known to be as long.
    @usableFromInline
    static func stands(_ text: StaticString, at range: Range<Int>, _ b: borrowing Span<UInt8>) -> Bool {
        let part = b.extracting(range)
        // It is there as long as the program, and as long as the range.
        for i in part.indices where unsafe text.utf8Start[i] != part[i] { return false }
        return true
    }

    /// The text of a string's range with its escapes resolved; nil where it is not UTF-8.
    package static func text(_ range: Range<Int>, _ b: borrowing Span<UInt8>) -> String? {
        let plain = b.extracting(range)
        var hasEscape = false
        for i in plain.indices where plain[i] == 0x5C { hasEscape = true }
        if hasEscape { return unescaped(range, b) }
        guard let text = try? UTF8Span(validating: plain) else { return nil }
        return String(copying: text)
    }

    private static func unescaped(_ range: Range<Int>, _ b: borrowing Span<UInt8>) -> String? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        var i = range.lowerBound
        while i < range.upperBound {
            guard b[i] == 0x5C, i + 1 < range.upperBound else {
                bytes.append(b[i])
                i += 1
                continue
            }
            let escape = b[i + 1]
            i += 2
            switch escape {
            case 0x22, 0x5C, 0x2F: bytes.append(escape)
            case 0x62: bytes.append(8)
            case 0x66: bytes.append(12)
            case 0x6E: bytes.append(10)
            case 0x72: bytes.append(13)
            case 0x74: bytes.append(9)
            case 0x75:
                guard let (scalar, length) = escaped(at: i, before: range.upperBound, b) else { return nil }
                bytes.append(contentsOf: Array(String(Character(scalar)).utf8))
                i += length
            default: return nil
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The four hex digits after `\u`, with the second half of a surrogate pair where there is one.
    private static func escaped(
        at start: Int, before end: Int, _ b: borrowing Span<UInt8>
    ) -> (Unicode.Scalar, length: Int)? {
        func hex(_ from: Int) -> UInt32? {
            guard from + 4 <= end else { return nil }
            var value: UInt32 = 0
            for i in from..<from + 4 {
                switch b[i] {
                case 0x30...0x39: value = value << 4 | UInt32(b[i] - 0x30)
                case 0x41...0x46: value = value << 4 | UInt32(b[i] - 0x37)
                case 0x61...0x66: value = value << 4 | UInt32(b[i] - 0x57)
                default: return nil
                }
            }
            return value
        }
        guard let high = hex(start) else { return nil }
        if let scalar = Unicode.Scalar(high) { return (scalar, 4) }
        guard high < 0xDC00, start + 6 <= end, b[start + 4] == 0x5C, b[start + 5] == 0x75, let low = hex(start + 6),
            (0xDC00...0xDFFF).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (high - 0xD800) << 10 + (low - 0xDC00))
        else { return nil }
        return (scalar, 10)
    }

    // MARK: steps

    private static let powers: [Double] = [
        1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20,
        1e21, 1e22,
    ]

    private mutating func fail(at place: Int) -> Double? {
        at = place
        failed = true
        return nil
    }

    /// Takes digits into the mantissa, as long as it bears them: so many were too many.
    @inline(__always)
    private static func digits(
        at i: inout Int, _ b: borrowing Span<UInt8>, _ mantissa: inout UInt64, _ digits: inout Int
    ) -> Int {
        var surplus = 0
        while i < b.count, b[i] &- 48 <= 9 {
            if digits < 19 {
                mantissa = mantissa &* 10 &+ UInt64(b[i] &- 48)
                if mantissa != 0 { digits &+= 1 }
            } else {
                surplus &+= 1
            }
            i &+= 1
        }
        return surplus
    }

    private mutating func space(_ b: borrowing Span<UInt8>) {
        // Nearly never is there any, and all of it lies below the rest.
        while at < b.count, b[at] <= 0x20, b[at] == 0x20 || b[at] == 0x0A || b[at] == 0x0D || b[at] == 0x09 { at += 1 }
    }

    private mutating func begin(_ bracket: UInt8, _ b: borrowing Span<UInt8>) -> Bool {
        space(b)
        guard !failed, at < b.count, b[at] == bracket else { return false }
        guard depth < 32 else {
            failed = true
            return false
        }
        depth += 1
        at += 1
        first = true
        return true
    }

    private mutating func next(closing bracket: UInt8, _ b: borrowing Span<UInt8>) -> Bool {
        space(b)
        guard !failed, at < b.count else {
            failed = true
            return false
        }
        if b[at] == bracket {
            at += 1
            depth -= 1
            first = false
            return false
        }
        if !first {
            guard b[at] == 0x2C else {
                failed = true
                return false
            }
            at += 1
            space(b)
            guard at < b.count, b[at] != bracket else {
                failed = true
                return false
            }
        }
        first = false
        return true
    }

    private mutating func word(_ text: StaticString, _ b: borrowing Span<UInt8>) -> Bool {
        let end = at + text.utf8CodeUnitCount
        guard end <= b.count, Self.equals(at..<end, text, b) else {
            failed = true
            return false
        }
        at = end
        return true
    }
}
