// The keys of the objects of one JSON text while it is read.

/// Objects of one text are mostly alike: a key that follows the same keys as before is neither made again nor compared
/// with all before it.
struct KeyTree {
    /// Where every object begins.
    static let root = 0
    /// Of a text whose objects are all different, the later ones are not noted.
    private static let most = 256
    private static let none = -1

    private struct Node {
        let key: String
        /// Where it stands in the text. It is the same key where the same bytes stand.
        let range: Range<Int>
        /// The first of the keys that followed it, and the next of those that follow the same one.
        var child = KeyTree.none
        var sibling = KeyTree.none
        /// Of the first key of an object, how many members the last one had.
        var length = 0
    }

    private var nodes = [Node(key: "", range: 0..<0)]

    /// The same key after the same keys, none of which it is thus; nil where this is new.
    func next(after place: Int, _ range: Range<Int>, _ b: borrowing Span<UInt8>) -> Int? {
        guard place != Self.none else { return nil }
        var next = nodes[place].child
        while next != Self.none {
            if Self.alike(nodes[next].range, range, b) { return next }
            next = nodes[next].sibling
        }
        return nil
    }

    /// Notes a key that is none of those before it. Returns the place after which the next one is looked for.
    mutating func add(_ key: String, _ range: Range<Int>, after place: Int) -> Int {
        guard place != Self.none, nodes.count < Self.most else { return Self.none }
        nodes.append(Node(key: key, range: range, sibling: nodes[place].child))
        nodes[place].child = nodes.count - 1
        return nodes.count - 1
    }

    func key(_ place: Int) -> String { nodes[place].key }

    func length(from first: Int) -> Int { first == Self.none ? 0 : nodes[first].length }

    mutating func note(length: Int, from first: Int) {
        if first > Self.root { nodes[first].length = length }
    }

    private static func alike(_ a: Range<Int>, _ c: Range<Int>, _ b: borrowing Span<UInt8>) -> Bool {
        guard a.count == c.count else { return false }
        for index in 0..<a.count where b[a.lowerBound &+ index] != b[c.lowerBound &+ index] { return false }
        return true
    }
}

/// The keys of one object that is like none before. Most objects are small: there looking through them is faster than a
/// hash.
struct KnownKeys {
    private var many: Set<String> = []

    /// False where the object has this key already.
    mutating func insert(_ key: String, beside members: [JSON.Member]) -> Bool {
        if members.count < 24 {
            for index in members.indices where members[index].key == key { return false }
            return true
        }
        if many.isEmpty { many = Set(members.map(\.key)) }
        return many.insert(key).inserted
    }
}
