// Which MQTT topics a filter means (MQTT 3.1.1, section 4.7).

/// The rules of topic filters.
package enum TopicFilter {
    /// Whether a filter matches a topic. `+` stands for exactly one level, also an empty one; `#`, alone on the last
    /// level, for the parent and everything below it. Neither, on the first level, matches a topic that begins with
    /// `$`. A filter that is none matches nothing.
    package static func matches(_ filter: String, _ topic: String) -> Bool {
        let f = filter.utf8
        let t = topic.utf8
        guard !f.isEmpty, !t.isEmpty else { return false }
        var i = f.startIndex
        var j = t.startIndex
        if let first = f.first, first == plus || first == hash, t.first == dollar { return false }
        while true {
            // Both stand at the start of a level.
            if i < f.endIndex, f[i] == hash { return f.index(after: i) == f.endIndex }
            if i < f.endIndex, f[i] == plus {
                f.formIndex(after: &i)
                while j < t.endIndex, t[j] != slash { t.formIndex(after: &j) }
            } else {
                while i < f.endIndex, f[i] != slash {
                    guard j < t.endIndex, f[i] == t[j], f[i] != plus, f[i] != hash else { return false }
                    f.formIndex(after: &i)
                    t.formIndex(after: &j)
                }
            }
            // Both must stand at the end of that level.
            if j == t.endIndex {
                return i == f.endIndex || f[i...].elementsEqual(parent)
            }
            guard t[j] == slash, i < f.endIndex, f[i] == slash else { return false }
            f.formIndex(after: &i)
            t.formIndex(after: &j)
        }
    }

    /// Whether there may be a topic that both filters match.
    package static func overlap(_ one: String, _ other: String) -> Bool {
        let a = one.utf8.split(separator: slash, omittingEmptySubsequences: false)
        let b = other.utf8.split(separator: slash, omittingEmptySubsequences: false)
        for index in 0... {
            let x = index < a.count ? a[index] : nil
            let y = index < b.count ? b[index] : nil
            guard let x, let y else {
                // `#` stands for the parent as well.
                return x == nil && y == nil || (x ?? y)?.elementsEqual([hash]) == true
            }
            if x.elementsEqual([hash]) || y.elementsEqual([hash]) { return true }
            guard x.elementsEqual(y) || x.elementsEqual([plus]) || y.elementsEqual([plus]) else { return false }
        }
        return false
    }

    /// Whether a broker would take the text as a filter: wild cards fill whole levels, `#` only the last one.
    package static func isValid(_ filter: String) -> Bool {
        guard (1...65_535).contains(filter.utf8.count) else { return false }
        var last = slash
        for byte in filter.utf8 {
            // A wild card is a whole level, and nothing comes after `#`.
            let fits: Bool =
                switch last {
                case hash: false
                case plus: byte == slash
                case slash: byte != 0
                default: byte != 0 && byte != plus && byte != hash
                }
            guard fits else { return false }
            last = byte
        }
        return true
    }

    /// Whether a device could publish on this: not empty, no wild cards.
    package static func isTopic(_ text: String) -> Bool {
        isValid(text) && !text.utf8.contains(plus) && !text.utf8.contains(hash)
    }

    private static let plus = UInt8(ascii: "+")
    private static let hash = UInt8(ascii: "#")
    private static let slash = UInt8(ascii: "/")
    private static let dollar = UInt8(ascii: "$")
    /// What is left of `sport/#` where the topic `sport` ends.
    private static let parent = [slash, hash]
}
