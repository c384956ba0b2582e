// JSON as a value, for everything that is not on the hot path. Its canonical form stands in CanonicalJSON.swift.

/// One JSON value. Objects keep the order of their members; a text with a key twice is refused.
package enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    package struct Member: Hashable, Sendable {
        package let key: String
        package let value: JSON
        package init(_ key: String, _ value: JSON) {
            self.key = key
            self.value = value
        }
    }

    package static func object(_ members: KeyValuePairs<String, JSON>) -> JSON {
        .object(members.map { Member($0.key, $0.value) })
    }
    package static func integer(_ value: some BinaryInteger) -> JSON { .number(Double(value)) }
    /// null where there is no value.
    package static func optional(_ value: Double?) -> JSON { value.map(JSON.number) ?? .null }
    package static func optional(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }

    package subscript(key: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        // By index: a search that is handed members copies each of them. The length tells most keys apart at once.
        let length = key.utf8.count
        for index in members.indices where members[index].key.utf8.count == length && members[index].key == key {
            return members[index].value
        }
        return nil
    }
    package var text: String? { if case .string(let text) = self { text } else { nil } }
    package var number: Double? { if case .number(let number) = self { number } else { nil } }
    package var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    package var items: [JSON]? { if case .array(let items) = self { items } else { nil } }
    package var members: [Member]? { if case .object(let members) = self { members } else { nil } }
    /// A whole number that a Double holds exactly.
    package var integer: Int64? {
        guard case .number(let n) = self, n.magnitude <= 9_007_199_254_740_992, n == n.rounded() else { return nil }
        return Int64(n)
    }

    /// The same object without some members.
    package func without(_ keys: String...) -> JSON {
        guard case .object(let members) = self else { return self }
        return .object(members.filter { !keys.contains($0.key) })
    }

    /// Reads one JSON text; nil where it is broken, nested deeper than 32, not UTF-8, or has a key twice.
    package init?(_ bytes: [UInt8]) {
        let span = bytes.span
        var scanner = JSONScanner()
        var keys = KeyTree()
        guard let value = JSON(&scanner, span, &keys), scanner.finish(span) else { return nil }
        self = value
    }

    package init?(_ text: String) { self.init(Array(text.utf8)) }

    /// The same, of bytes that are not an array.
    package init?(span: borrowing Span<UInt8>) {
        var scanner = JSONScanner()
        var keys = KeyTree()
        guard let value = JSON(&scanner, span, &keys), scanner.finish(span) else { return nil }
        self = value
    }

    private init?(_ scanner: inout JSONScanner, _ b: borrowing Span<UInt8>, _ keys: inout KeyTree) {
        switch scanner.peek(b) {
        case .object:
            guard let members = JSON.members(&scanner, b, &keys) else { return nil }
            self = .object(members)
        case .array:
            guard scanner.beginArray(b) else { return nil }
            var items: [JSON] = []
            while scanner.nextElement(b) {
                guard let item = JSON(&scanner, b, &keys) else { return nil }
                items.append(item)
            }
            self = .array(items)
        case .string:
            guard let range = scanner.string(b), let text = JSONScanner.text(range, b) else { return nil }
            self = .string(text)
        case .number:
            guard let number = scanner.number(b), number.isFinite else { return nil }
            self = .number(number)
        case .bool:
            guard let flag = scanner.bool(b) else { return nil }
            self = .bool(flag)
        case .null:
            guard scanner.null(b) else { return nil }
            self = .null
        case .none:
            return nil
        }
        guard !scanner.failed else { return nil }
    }

    private static func members(
        _ scanner: inout JSONScanner, _ b: borrowing Span<UInt8>, _ keys: inout KeyTree
    ) -> [Member]? {
        guard scanner.beginObject(b) else { return nil }
        var members: [Member] = []
        var known = KnownKeys()
        var place = KeyTree.root
        var first = KeyTree.root
        while let range = scanner.nextKey(b) {
            let key: String
            if let next = keys.next(after: place, range, b) {
                place = next
                key = keys.key(next)
            } else {
                guard let text = JSONScanner.text(range, b), known.insert(text, beside: members) else { return nil }
                key = text
                place = keys.add(text, range, after: place)
            }
            if members.isEmpty {
                first = place
                members.reserveCapacity(keys.length(from: first))
            }
            guard let value = JSON(&scanner, b, &keys) else { return nil }
            members.append(Member(key, value))
        }
        keys.note(length: members.count, from: first)
        return members
    }

    /// Compact text, members in their order.
    package var bytes: [UInt8] {
        var out: [UInt8] = []
        write(to: &out)
        return out
    }

    private func write(to out: inout [UInt8]) {
        switch self {
        case .array(let items):
            out.append(0x5B)
            for (index, item) in items.enumerated() {
                if index > 0 { out.append(0x2C) }
                item.write(to: &out)
            }
            out.append(0x5D)
        case .object(let members):
            out.append(0x7B)
            for (index, member) in members.enumerated() {
                if index > 0 { out.append(0x2C) }
                JSON.append(member.key, to: &out)
                out.append(0x3A)
                member.value.write(to: &out)
            }
            out.append(0x7D)
        default: writePlain(to: &out)
        }
    }

    /// What has nothing inside.
    func writePlain(to out: inout [UInt8]) {
        switch self {
        case .bool(let flag): out.append(contentsOf: (flag ? "true" : "false").utf8)
        case .number(let number): JSON.append(number, to: &out)
        case .string(let text): JSON.append(text, to: &out)
        case .null, .array, .object: out.append(contentsOf: "null".utf8)
        }
    }

    /// A string with its quotes; escapes only what must be.
    package static func append(_ text: String, to out: inout [UInt8]) {
        out.append(0x22)
        if isPlain(text) {
            out.append(contentsOf: text.utf8)
            return out.append(0x22)
        }
        for byte in text.utf8 {
            switch byte {
            case 0x22: out.append(contentsOf: [0x5C, 0x22])
            case 0x5C: out.append(contentsOf: [0x5C, 0x5C])
            case 0x08: out.append(contentsOf: [0x5C, 0x62])
            case 0x09: out.append(contentsOf: [0x5C, 0x74])
            case 0x0A: out.append(contentsOf: [0x5C, 0x6E])
            case 0x0C: out.append(contentsOf: [0x5C, 0x66])
            case 0x0D: out.append(contentsOf: [0x5C, 0x72])
            case 0..<0x20:
                let hex = Array("0123456789abcdef".utf8)
                out.append(contentsOf: [0x5C, 0x75, 0x30, 0x30, hex[Int(byte >> 4)], hex[Int(byte & 15)]])
            default: out.append(byte)
            }
        }
        out.append(0x22)
    }

    /// Whether nothing in a text must be escaped.
    private static func isPlain(_ text: String) -> Bool {
        let utf8 = text.utf8.span
        for index in utf8.indices {
            let byte = utf8[index]
            if byte < 0x20 || byte == 0x22 || byte == 0x5C { return false }
        }
        return true
    }

    /// A number as ECMAScript writes it: `1234`, `0.5`, `1e+21`; NaN and infinities, which JSON lacks, as `null`.
    package static func append(_ number: Double, to out: inout [UInt8]) {
        guard number.isFinite else { return out.append(contentsOf: "null".utf8) }
        // Most numbers here are whole, or have three decimals. Up to 15 digits there is one decimal number only for each
        // Double, so these digits are the shortest.
        if number.magnitude < 1e12 {
            let thousandths = (number * 1000).rounded()
            if thousandths / 1000 == number { return append(thousandths: Int64(thousandths), to: &out) }
        }
        if number == number.rounded(), number.magnitude < 1e15 {
            out.append(contentsOf: String(Int64(number)).utf8)
            return
        }
        // Swift prints the shortest digits that read back the same, as ECMAScript does; only the layout differs.
        let text = Array(number.magnitude.description.utf8)
        var digits: [UInt8] = []
        var point = 0
        var exponent = 0
        var index = 0
        var seenPoint = false
        while index < text.count, text[index] != 0x65 {
            if text[index] == 0x2E {
                seenPoint = true
            } else {
                digits.append(text[index])
                if !seenPoint { point += 1 }
            }
            index += 1
        }
        if index < text.count { exponent = Int(String(decoding: text[(index + 1)...], as: UTF8.self)) ?? 0 }
        let leading = digits.prefix { $0 == 48 }.count
        digits.removeFirst(leading)
        point += exponent - leading
        while digits.last == 48 { digits.removeLast() }
        if number < 0 { out.append(0x2D) }
        let count = digits.count
        switch point {
        case count...21:
            out.append(contentsOf: digits)
            out.append(contentsOf: [UInt8](repeating: 48, count: point - count))
        case 1..<max(count, 1) where point <= 21:
            out.append(contentsOf: digits[..<point])
            out.append(0x2E)
            out.append(contentsOf: digits[point...])
        case -5...0:
            out.append(contentsOf: [48, 0x2E])
            out.append(contentsOf: [UInt8](repeating: 48, count: -point))
            out.append(contentsOf: digits)
        default:
            out.append(digits[0])
            if count > 1 {
                out.append(0x2E)
                out.append(contentsOf: digits[1...])
            }
            out.append(0x65)
            out.append(point - 1 < 0 ? 0x2D : 0x2B)
            out.append(contentsOf: String(abs(point - 1)).utf8)
        }
    }

    /// A number of thousandths with the decimals that it needs.
    private static func append(thousandths: Int64, to out: inout [UInt8]) {
        if thousandths < 0 { out.append(0x2D) }
        var (whole, rest) = thousandths.magnitude.quotientAndRemainder(dividingBy: 1000)
        var divisor: UInt64 = 1
        while divisor <= whole / 10 { divisor *= 10 }
        while divisor > 0 {
            out.append(48 + UInt8(truncatingIfNeeded: whole / divisor))
            whole %= divisor
            divisor /= 10
        }
        guard rest > 0 else { return }
        out.append(0x2E)
        while rest > 0 {
            out.append(48 + UInt8(truncatingIfNeeded: rest / 100))
            rest = rest % 100 * 10
        }
    }
}
