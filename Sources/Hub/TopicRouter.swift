package import Model

// From a topic to the devices that hear it: a tree of filters, and the answers for the topics that came last.

/// Finds who hears a topic. A topic that came lately costs no allocation; one that nobody hears leaves nothing behind, and
/// however many topics there are, the memory is bounded by the number of filters.
package struct TopicRouter: Sendable {
    /// A device that hears a topic, and what its driver is told about where the message came from.
    package struct Route: Sendable {
        package let device: Int
        package let source: Source
    }

    /// A topic that was looked up before.
    private struct Known {
        var hash: UInt64 = 0
        var topic: [UInt8] = []
        var routes: [Route] = []
    }

    private let tree: FilterTree
    /// Pairs of places, the one filled last first.
    private var known: [Known]
    private let sets: UInt64

    /// The filters of each device, by its index.
    package init(_ devices: [(device: Int, filters: [String])]) {
        tree = FilterTree(devices)
        let filters = devices.reduce(0) { $0 + $1.filters.count }
        var sets = 64
        while sets < min(filters, 8192) { sets *= 2 }
        self.sets = UInt64(sets)
        known = [Known](repeating: Known(), count: 2 * sets)
    }

    /// The most topics whose answers are kept.
    package var capacity: Int { known.count }

    /// Where the routes of a topic stand until the next call; nil where nobody hears it.
    package mutating func find(_ topic: borrowing Span<UInt8>) -> Int? {
        let hash = Self.hash(topic)
        let first = Int(truncatingIfNeeded: (hash >> 32) & (sets - 1)) * 2
        if known[first].hash == hash, Self.equal(known[first].topic, topic) { return first }
        if known[first + 1].hash == hash, Self.equal(known[first + 1].topic, topic) { return first + 1 }
        return learn(topic, hash, first)
    }

    package func count(_ place: Int) -> Int { known[place].routes.count }

    package subscript(place: Int, index: Int) -> Route { known[place].routes[index] }

    private mutating func learn(_ topic: borrowing Span<UInt8>, _ hash: UInt64, _ first: Int) -> Int? {
        let bytes = topic.indices.map { topic[$0] }
        let heard = tree.listeners(bytes)
        guard !heard.isEmpty, let text = String(validating: bytes, as: UTF8.self) else { return nil }
        let routes = heard.map {
            Route(device: $0.device, source: Source(topic: text, subscription: $0.subscription, isRetained: false))
        }
        known[first + 1] = known[first]
        known[first] = Known(hash: hash, topic: bytes, routes: routes)
        return first
    }

    /// FNV-1a on every second byte twice over, so that two multiplications run side by side.
    private static func hash(_ topic: borrowing Span<UInt8>) -> UInt64 {
        var even: UInt64 = 0xCBF2_9CE4_8422_2325
        var odd: UInt64 = 0x8422_2325_CBF2_9CE4
        var at = 0
        while at + 1 < topic.count {
            even = (even ^ UInt64(topic[at])) &* 0x100_0000_01B3
            odd = (odd ^ UInt64(topic[at + 1])) &* 0x100_0000_01B3
            at += 2
        }
        if at < topic.count { even = (even ^ UInt64(topic[at])) &* 0x100_0000_01B3 }
        let mixed = (even ^ (odd << 29 | odd >> 35)) &* 0x9E37_79B9_7F4A_7C15
        // 0 stands for a place without a topic.
        return mixed | 1
    }

    private static func equal(_ known: [UInt8], _ topic: borrowing Span<UInt8>) -> Bool {
        guard known.count == topic.count else { return false }
        for index in known.indices where known[index] != topic[index] { return false }
        return true
    }
}

/// Topic filters by their levels, with what `TopicFilter.matches` says of each.
struct FilterTree: Sendable {
    struct Listener: Hashable, Sendable {
        let device: Int
        /// Which of its filters, the first that matches.
        let subscription: Int
    }

    private struct Node {
        var children: [[UInt8]: Int] = [:]
        /// Below `+`.
        var any: Int?
        /// Filters that end here.
        var here: [Listener] = []
        /// Filters that end here with `#`, which also means this level itself.
        var below: [Listener] = []
    }

    private var nodes = [Node()]
    /// The levels of the filter that was added last, with their nodes: a device's filters begin alike.
    private var last: [(level: ArraySlice<UInt8>, node: Int)] = []

    init(_ devices: [(device: Int, filters: [String])]) {
        for (device, filters) in devices {
            for (subscription, filter) in filters.enumerated() where TopicFilter.isValid(filter) {
                add(Array(filter.utf8), Listener(device: device, subscription: subscription))
            }
        }
        last = []
    }

    private static func levels(_ text: [UInt8]) -> [ArraySlice<UInt8>] {
        text.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
    }

    private mutating func add(_ filter: [UInt8], _ listener: Listener) {
        var node = 0
        var depth = 0
        for level in Self.levels(filter) {
            if Self.isWild(level, UInt8(ascii: "#")) { return nodes[node].below.append(listener) }
            if depth < last.count, last[depth].level == level {
                node = last[depth].node
            } else {
                last.removeSubrange(depth...)
                node = child(of: node, level)
                last.append((level, node))
            }
            depth += 1
        }
        nodes[node].here.append(listener)
    }

    private static func isWild(_ level: ArraySlice<UInt8>, _ card: UInt8) -> Bool {
        level.count == 1 && level.first == card
    }

    /// The node below `node`, made where there is none.
    private mutating func child(of node: Int, _ level: ArraySlice<UInt8>) -> Int {
        if Self.isWild(level, UInt8(ascii: "+")) {
            let any = nodes[node].any ?? grow()
            nodes[node].any = any
            return any
        }
        let key = Array(level)
        if let known = nodes[node].children[key] { return known }
        let new = grow()
        nodes[node].children[key] = new
        return new
    }

    private mutating func grow() -> Int {
        nodes.append(Node())
        return nodes.count - 1
    }

    /// Each device that hears the topic once, by its first filter that matches, in the order of devices.
    func listeners(_ topic: [UInt8]) -> [Listener] {
        guard let first = topic.first else { return [] }
        var found: [Int: Int] = [:]
        func take(_ listeners: [Listener]) {
            for listener in listeners {
                found[listener.device] = min(listener.subscription, found[listener.device] ?? .max)
            }
        }
        let levels = Self.levels(topic)
        // Wild cards on the first level do not mean what begins with $.
        let isHidden = first == UInt8(ascii: "$")
        func walk(_ node: Int, _ depth: Int) {
            let allowsWild = depth > 0 || !isHidden
            if allowsWild { take(nodes[node].below) }
            guard depth < levels.count else { return take(nodes[node].here) }
            if !nodes[node].children.isEmpty, let child = nodes[node].children[Array(levels[depth])] {
                walk(child, depth + 1)
            }
            if allowsWild, let any = nodes[node].any { walk(any, depth + 1) }
        }
        walk(0, 0)
        return found.map { Listener(device: $0.key, subscription: $0.value) }.sorted { $0.device < $1.device }
    }
}
