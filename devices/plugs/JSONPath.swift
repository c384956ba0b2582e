import Model

/// What stands at one place of a message.
enum Found: Sendable, Equatable {
    case absent
    case null
    case number(Double)
    case bool(Bool)
    /// The bytes of a string, escapes as they stand.
    case text(Range<Int>)
    /// An object or a list where one value was expected.
    case unusable
}

/// The way to one value in a JSON text: `a.b[0]`, `a['b c'].d`, `["a"]`.
struct JSONPath: Sendable, Equatable {
    enum Step: Sendable, Equatable {
        case key([UInt8])
        case index(Int)
    }

    let steps: [Step]

    /// nil where the text is no path; an empty one is none, too.
    init?(_ text: some StringProtocol) {
        var steps: [Step] = []
        var rest = Array(text.utf8)[...]
        while let first = rest.first {
            if first == UInt8(ascii: "[") {
                guard let close = rest.firstIndex(of: UInt8(ascii: "]")), let step = Self.inBrackets(rest[..<close])
                else { return nil }
                steps.append(step)
                rest = rest[(close + 1)...]
            } else {
                if !steps.isEmpty {
                    guard first == UInt8(ascii: ".") else { return nil }
                    rest = rest.dropFirst()
                }
                let key = rest.prefix { $0 != UInt8(ascii: ".") && $0 != UInt8(ascii: "[") }
                guard !key.isEmpty else { return nil }
                steps.append(.key(Array(key)))
                rest = rest.dropFirst(key.count)
            }
        }
        guard (1...16).contains(steps.count) else { return nil }
        self.steps = steps
    }

    /// `[0]`, `['key']`, `["key"]`, without the closing bracket.
    private static func inBrackets(_ text: ArraySlice<UInt8>) -> Step? {
        let inner = text.dropFirst()
        if let quote = inner.first, quote == UInt8(ascii: "'") || quote == UInt8(ascii: "\"") {
            guard inner.count > 2, inner.last == quote else { return nil }
            return .key(Array(inner.dropFirst().dropLast()))
        }
        guard (1...4).contains(inner.count), inner.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return .index(inner.reduce(0) { $0 * 10 + Int($1 - 0x30) })
    }
}

/// Finds the values of up to 64 paths in one walk through a message.
struct JSONPick: Sendable {
    static let most = 64

    private let paths: [JSONPath]
    /// What the last message had, one for each path.
    private(set) var found: [Found]

    init(_ paths: [JSONPath]) {
        self.paths = Array(paths.prefix(Self.most))
        found = [Found](repeating: .absent, count: self.paths.count)
    }

    /// Takes a whole message; false where it is no JSON object or list.
    mutating func read(_ b: borrowing Span<UInt8>) -> Bool {
        for index in found.indices { found[index] = .absent }
        var json = JSONScanner()
        let kind = json.peek(b)
        guard kind == .object || kind == .array else { return false }
        walk(&json, b, depth: 0, mask: paths.count == 64 ? .max : 1 << UInt64(paths.count) - 1)
        return json.finish(b)
    }

    /// Goes through an object or a list. `mask`: the paths that lead into it.
    private mutating func walk(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>, depth: Int, mask: UInt64) {
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                var fitting: UInt64 = 0
                for index in paths.indices where mask & 1 << UInt64(index) != 0 && depth < paths[index].steps.count {
                    if case .key(let name) = paths[index].steps[depth], Self.equal(key, name, b) {
                        fitting |= 1 << UInt64(index)
                    }
                }
                take(&json, b, depth: depth + 1, mask: fitting)
            }
        } else if json.beginArray(b) {
            var place = 0
            while json.nextElement(b) {
                var fitting: UInt64 = 0
                for index in paths.indices where mask & 1 << UInt64(index) != 0 && depth < paths[index].steps.count {
                    if paths[index].steps[depth] == .index(place) { fitting |= 1 << UInt64(index) }
                }
                take(&json, b, depth: depth + 1, mask: fitting)
                place += 1
            }
        }
    }

    /// Takes one value. `mask`: the paths that end here or lead into it.
    private mutating func take(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>, depth: Int, mask: UInt64) {
        guard mask != 0 else {
            json.skip(b)
            return
        }
        let kind = json.peek(b)
        let isCompound = kind == .object || kind == .array
        if isCompound {
            for index in paths.indices where mask & 1 << UInt64(index) != 0 && paths[index].steps.count == depth {
                found[index] = .unusable
            }
            return walk(&json, b, depth: depth, mask: mask)
        }
        let value = Self.scalar(&json, b)
        for index in paths.indices where mask & 1 << UInt64(index) != 0 && paths[index].steps.count == depth {
            found[index] = value
        }
    }

    /// Takes a value; `unusable` for an object, a list, and where none stands.
    static func scalar(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> Found {
        switch json.peek(b) {
        case .number: return json.number(b).map { .number($0) } ?? .unusable
        case .bool: return json.bool(b).map { .bool($0) } ?? .unusable
        case .string: return json.string(b).map { .text($0) } ?? .unusable
        case .null: return json.null(b) ? .null : .unusable
        default:
            json.skip(b)
            return .unusable
        }
    }

    static func equal(_ range: Range<Int>, _ text: [UInt8], _ b: borrowing Span<UInt8>) -> Bool {
        guard range.count == text.count else { return false }
        for i in text.indices where text[i] != b[range.lowerBound + i] { return false }
        return true
    }
}
