// Configuration and profiles as a tree that remembers where everything stood, and a way to read it that reports every
// mistake with its place instead of stopping at the first.

/// A place in a file, counted from 1.
package struct Position: Hashable, Sendable, CustomStringConvertible {
    package let file: String
    package let line: Int
    package let column: Int

    package init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    package var description: String { "\(file):\(line):\(column)" }
}

/// A YAML or JSON value with its place.
package struct Document: Sendable {
    package enum Content: Sendable {
        case null
        /// Text as it stood. `isQuoted` tells `"5"` from `5`.
        case scalar(String, isQuoted: Bool)
        case list([Document])
        case map([Entry])
    }

    package struct Entry: Sendable {
        package let key: String
        package let keyPosition: Position
        package let value: Document
        package init(key: String, keyPosition: Position, value: Document) {
            self.key = key
            self.keyPosition = keyPosition
            self.value = value
        }
    }

    package let position: Position
    package let content: Content

    package init(_ content: Content, at position: Position) {
        self.content = content
        self.position = position
    }

    /// The value of a key, for a look ahead; nil where there is none or this is no map. `Fields` reads a map in earnest.
    package subscript(key: String) -> Document? {
        guard case .map(let entries) = content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    /// "a list", "a map", "text" or "nothing", for messages.
    package var kindInWords: String {
        switch content {
        case .null: "nothing"
        case .scalar(let text, _): "'\(text.prefix(40))'"
        case .list: "a list"
        case .map: "a map"
        }
    }
}

/// One mistake: where, what, and what to do.
package struct Problem: Hashable, Sendable, CustomStringConvertible {
    package let position: Position
    package let message: String

    package init(_ position: Position, _ message: String) {
        self.position = position
        self.message = message
    }

    package var description: String { "\(position): \(message)" }
}

/// Every mistake found so far.
package struct Problems: Sendable {
    package private(set) var all: [Problem] = []
    package init() {}
    package var isEmpty: Bool { all.isEmpty }
    package mutating func add(_ position: Position, _ message: String) {
        if all.count < 200 { all.append(Problem(position, message)) }
    }
}

/// The members of a map, read one by one; `finish` reports those that nobody asked for.
package struct Fields: Sendable {
    package let position: Position
    /// What is being read, for messages: "device laser-plug".
    package let what: String
    private let entries: [Document.Entry]
    private var asked: [String] = []

    /// Reports what is not a map, and keys that stand twice.
    package init?(_ document: Document, _ what: String, _ problems: inout Problems) {
        guard case .map(let entries) = document.content else {
            problems.add(document.position, "\(what) must be a map of keys and values, not \(document.kindInWords)")
            return nil
        }
        self.init(entries: entries, at: document.position, what)
        for (index, entry) in entries.enumerated() where entries[..<index].contains(where: { $0.key == entry.key }) {
            problems.add(entry.keyPosition, "'\(entry.key)' stands twice in \(what); keep one")
        }
    }

    package init(entries: [Document.Entry], at position: Position, _ what: String) {
        self.entries = entries
        self.position = position
        self.what = what
        asked.reserveCapacity(16)
    }

    /// `device laser-plug` rather than `device`, where the map says its id or name.
    package static func title(_ document: Document, _ what: String) -> String {
        guard case .map(let entries) = document.content else { return what }
        for key in ["id", "name"] {
            if case .scalar(let text, _)? = entries.first(where: { $0.key == key })?.value.content {
                return "\(what) \(text.prefix(40))"
            }
        }
        return what
    }

    /// The keys in their order.
    package var keys: [String] { entries.map(\.key) }

    /// The value of a key, or nil; a null counts as absent.
    package mutating func value(_ key: String) -> Document? {
        asked.append(key)
        // In place: a configuration of a thousand devices is asked ten thousand times.
        for index in entries.indices where entries[index].key == key {
            if case .null = entries[index].value.content { return nil }
            return entries[index].value
        }
        return nil
    }

    /// Where to point when a key is wrong or missing.
    package func place(_ key: String) -> Position {
        entries.first { $0.key == key }?.value.position ?? position
    }

    package mutating func text(_ key: String, _ problems: inout Problems) -> String? {
        guard let found = value(key) else { return nil }
        guard case .scalar(let text, _) = found.content else {
            problems.add(found.position, "'\(key)' of \(what) must be text, not \(found.kindInWords)")
            return nil
        }
        return text
    }

    package mutating func requiredText(_ key: String, _ problems: inout Problems, example: String) -> String? {
        let before = problems.all.count
        if let text = text(key, &problems), !text.isEmpty { return text }
        guard problems.all.count == before else { return nil }
        // A key that is nearly this one is the likelier mistake than a missing one.
        if let near = entries.first(where: {
            !asked.contains($0.key) && Suggestion.nearest(to: $0.key, among: [key]) != nil
        }) {
            asked.append(near.key)
            problems.add(near.keyPosition, "\(what) has no key '\(near.key)'; did you mean '\(key)'?")
        } else {
            problems.add(position, "\(what) needs '\(key)', for example `\(key): \(example)`")
        }
        return nil
    }

    package mutating func integer(
        _ key: String, in range: ClosedRange<Int>, _ problems: inout Problems
    ) -> Int? {
        guard let found = value(key) else { return nil }
        guard case .scalar(let text, _) = found.content, let number = Integers.parse(text), range.contains(number)
        else {
            problems.add(
                found.position,
                "'\(key)' of \(what) must be a whole number from \(range.lowerBound) to \(range.upperBound), not \(found.kindInWords)"
            )
            return nil
        }
        return number
    }

    package mutating func flag(_ key: String, _ problems: inout Problems) -> Bool? {
        guard let found = value(key) else { return nil }
        if case .scalar(let text, _) = found.content {
            if ["true", "yes", "on"].contains(text.lowercased()) { return true }
            if ["false", "no", "off"].contains(text.lowercased()) { return false }
        }
        problems.add(found.position, "'\(key)' of \(what) must be true or false, not \(found.kindInWords)")
        return nil
    }

    /// A quantity with its unit, such as `20 s`, `60 W` or `512 MiB`, in the unit that `units` gives as 1.
    package mutating func quantity(
        _ key: String, _ units: KeyValuePairs<String, Double>, example: String, _ problems: inout Problems
    ) -> Double? {
        guard let found = value(key) else { return nil }
        if case .scalar(let text, _) = found.content {
            let digits = text.utf8.prefix { $0 >= 48 && $0 <= 57 || $0 == 43 || $0 == 45 || $0 == 46 }
            let unit = Substring(text.utf8[digits.endIndex...].drop { $0 == 32 })
            if let value = Double(Substring(digits)), value.isFinite {
                if let factor = units.first(where: { $0.key == unit })?.value { return value * factor }
                let names = units.map(\.key)
                problems.add(
                    found.position,
                    unit.isEmpty
                        ? "'\(key)' of \(what) needs a unit (\(names.joined(separator: ", "))), for example `\(key): \(example)`"
                        : "'\(unit)' is no unit for '\(key)' of \(what); use \(names.joined(separator: ", "))"
                            + Suggestion.phrase(for: String(unit), among: names))
                return nil
            }
        }
        problems.add(
            found.position,
            "'\(key)' of \(what) must be a number with a unit, for example `\(key): \(example)`, not \(found.kindInWords)"
        )
        return nil
    }

    package mutating func duration(_ key: String, example: String = "20 s", _ problems: inout Problems) -> Duration? {
        let units: KeyValuePairs = ["ms": 1.0, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000]
        guard let ms = quantity(key, units, example: example, &problems) else { return nil }
        guard ms >= 0, ms < 1e14 else {
            problems.add(place(key), "'\(key)' of \(what) cannot be negative or longer than a thousand years")
            return nil
        }
        return Duration(milliseconds: Int64(ms.rounded()))
    }

    /// One of a few words.
    package mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, of _: Choice.Type, _ problems: inout Problems
    ) -> Choice? where Choice.RawValue == String {
        let place = place(key)
        guard let text = text(key, &problems) else { return nil }
        if let choice = Choice(rawValue: text) { return choice }
        let names = Choice.allCases.map(\.rawValue)
        problems.add(
            place,
            "'\(text)' is no \(key) for \(what); use \(names.joined(separator: ", "))"
                + Suggestion.phrase(for: text, among: names))
        return nil
    }

    package mutating func list(_ key: String, _ problems: inout Problems) -> [Document]? {
        guard let found = value(key) else { return nil }
        guard case .list(let items) = found.content else {
            problems.add(found.position, "'\(key)' of \(what) must be a list, not \(found.kindInWords)")
            return nil
        }
        return items
    }

    package mutating func map(_ key: String, _ problems: inout Problems) -> Fields? {
        guard let found = value(key) else { return nil }
        return Fields(found, "'\(key)' of \(what)", &problems)
    }

    /// Reports every key that was not asked for, with the nearest name that was.
    package func finish(_ problems: inout Problems) {
        for entry in entries where !asked.contains(entry.key) {
            problems.add(
                entry.keyPosition,
                "\(what) has no key '\(entry.key)'" + Suggestion.phrase(for: entry.key, among: asked)
                    + (asked.isEmpty ? "" : "; known keys: \(Array(Set(asked)).sorted().joined(separator: ", "))"))
        }
    }
}

/// Whole numbers as people write them in register maps: `17`, `0x11`.
package enum Integers {
    package static func parse(_ text: String) -> Int? {
        if text.hasPrefix("0x") || text.hasPrefix("0X") { return Int(text.dropFirst(2), radix: 16) }
        return Int(text)
    }
}

/// "did you mean": the nearest of some names, if one is near.
package enum Suggestion {
    package static func nearest(to word: String, among names: [String]) -> String? {
        let limit = max(1, word.count / 3)
        return names.map { ($0, distance(word, $0)) }.filter { $0.1 <= limit }.min { $0.1 < $1.1 }?.0
    }

    /// `; did you mean 'x'?` or nothing.
    package static func phrase(for word: String, among names: [String]) -> String {
        nearest(to: word, among: names).map { "; did you mean '\($0)'?" } ?? ""
    }

    /// Edits (insert, delete, replace, swap neighbours) between two words.
    private static func distance(_ a: String, _ b: String) -> Int {
        let a = Array(a.lowercased().utf8)
        let b = Array(b.lowercased().utf8)
        guard !a.isEmpty, !b.isEmpty else { return max(a.count, b.count) }
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 1...a.count {
            var current = [i] + [Int](repeating: 0, count: b.count)
            for j in 1...b.count {
                current[j] = min(last[j] + 1, current[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1))
                if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
                    current[j] = min(current[j], beforeLast[j - 2] + 1)
                }
            }
            beforeLast = last
            last = current
        }
        return last[b.count]
    }
}
