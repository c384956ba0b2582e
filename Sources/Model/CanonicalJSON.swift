// The canonical form of JSON (RFC 8785), which is hashed: compact, members sorted, numbers as ECMAScript writes them.

extension JSON {
    /// The canonical text of this value.
    package var canonical: [UInt8] {
        var out: [UInt8] = []
        var orders = CanonicalOrders()
        write(to: &out, &orders)
        return out
    }

    fileprivate func write(to out: inout [UInt8], _ orders: inout CanonicalOrders) {
        switch self {
        case .array(let items):
            out.append(0x5B)
            for index in items.indices {
                if index > 0 { out.append(0x2C) }
                items[index].write(to: &out, &orders)
            }
            out.append(0x5D)
        case .object(let members):
            guard !members.isEmpty else { return out.append(contentsOf: [0x7B, 0x7D]) }
            let shape = orders.shape(of: members)
            var head = 0
            for place in shape.order.indices {
                out.append(contentsOf: shape.heads[head..<shape.ends[place]])
                head = shape.ends[place]
                members[shape.order[place]].value.write(to: &out, &orders)
            }
            out.append(0x7D)
        default: writePlain(to: &out)
        }
    }
}

/// An object whose members are in canonical form one by one, so that what differs from it in a few members need not be
/// written anew.
package struct CanonicalObject: Sendable {
    private struct Member {
        let key: String
        /// Its canonical text, without the key.
        var value: [UInt8]
    }

    /// Sorted by key.
    private var members: [Member] = []

    package init(_ object: [JSON.Member]) {
        var orders = CanonicalOrders()
        members.reserveCapacity(object.count)
        for index in object.indices {
            var value: [UInt8] = []
            object[index].value.write(to: &value, &orders)
            members.append(Member(key: object[index].key, value: value))
        }
        members.sort { CanonicalOrders.precedes($0.key, $1.key) }
    }

    /// The same object with another value of a member that it has.
    package func replacing(_ key: String, _ value: JSON) -> CanonicalObject {
        var other = self
        for index in members.indices where members[index].key == key { other.members[index].value = value.canonical }
        return other
    }

    /// The canonical text of the object without some members.
    package func text(without keys: String...) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(members.reduce(2) { $0 + $1.value.count + $1.key.utf8.count + 4 })
        out.append(0x7B)
        for index in members.indices where !keys.contains(members[index].key) {
            if out.count > 1 { out.append(0x2C) }
            JSON.append(members[index].key, to: &out)
            out.append(0x3A)
            out.append(contentsOf: members[index].value)
        }
        out.append(0x7D)
        return out
    }
}

/// In which order the members of objects are written canonically. Objects of one text are mostly alike: what is the same
/// in them is made once.
private struct CanonicalOrders {
    /// A class, so that one that is known is handed out without copying what it holds.
    final class Shape {
        let keys: [String]
        /// Places of the members, sorted by key.
        let order: [Int]
        /// The bytes up to each value, `{"key":` or `,"key":`, one after the other, and where each ends.
        let heads: [UInt8]
        let ends: [Int]

        init(_ members: [JSON.Member]) {
            let order = members.indices.sorted { CanonicalOrders.precedes(members[$0].key, members[$1].key) }
            var heads: [UInt8] = []
            ends = order.indices.map { place in
                heads.append(place == 0 ? 0x7B : 0x2C)
                JSON.append(members[order[place]].key, to: &heads)
                heads.append(0x3A)
                return heads.count
            }
            self.heads = heads
            self.order = order
            keys = members.map(\.key)
        }

        func fits(_ members: [JSON.Member]) -> Bool {
            guard keys.count == members.count else { return false }
            for index in keys.indices where keys[index] != members[index].key { return false }
            return true
        }
    }

    private var known: [Shape] = []
    private static let most = 16

    mutating func shape(of members: [JSON.Member]) -> Shape {
        for index in known.indices where known[index].fits(members) { return known[index] }
        let shape = Shape(members)
        if known.count == Self.most { known.removeFirst() }
        known.append(shape)
        return shape
    }

    /// By UTF-16 code units, as RFC 8785 asks.
    static func precedes(_ a: String, _ b: String) -> Bool {
        let (left, right) = (a.utf8.span, b.utf8.span)
        // Up to the first byte beyond ASCII both orders are the same.
        for index in 0..<min(left.count, right.count) {
            let (x, y) = (left[index], right[index])
            if x >= 0x80 || y >= 0x80 { return a.utf16.lexicographicallyPrecedes(b.utf16) }
            if x != y { return x < y }
        }
        return left.count < right.count
    }
}
