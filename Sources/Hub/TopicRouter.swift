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

    /// A topic that was looked up before. Nearly always one device hears it.
    private struct Known {
        var hash: UInt64
        var first: Route
        var others: [Route]
    }

    private let tree: FilterTree
    /// In the order in which they came.
    private var known: [Known] = []
    /// Pairs of places, the one filled last first: an index into `known` plus one, 0 for none.
    private var places: [UInt16]
    private let sets: UInt64

    /// The filters of each device, by its index.
    package init(_ devices: [(device: Int, filters: [String])]) {
        tree = FilterTree(devices)
        let filters = devices.reduce(0) { $0 + $1.filters.count }
        var sets = 64
        // A device speaks on about half of the topics that it listens to.
        while 2 * sets < min(filters, 16_384) { sets *= 2 }
        self.sets = UInt64(sets)
        places = [UInt16](repeating: 0, count: 2 * sets)
    }

    /// The most topics whose answers are kept.
    package var capacity: Int { places.count }

    /// Where the routes of a topic stand until the next call; nil where nobody hears it.
    package mutating func find(_ topic: borrowing Span<UInt8>) -> Int? {
        let hash = Self.hash(topic)
        let first = Int(truncatingIfNeeded: (hash >> 32) & (sets - 1)) * 2
        if let place = place(first, hash, topic) ?? place(first + 1, hash, topic) { return place }
        return learn(topic, hash, first)
    }

    /// What is kept at a place, if that is of this topic.
    private func place(_ index: Int, _ hash: UInt64, _ topic: borrowing Span<UInt8>) -> Int? {
        let place = Int(places[index]) - 1
        guard place >= 0, known[place].hash == hash, Self.equal(known[place].first.source.topic.utf8.span, topic) else {
            return nil
        }
        return place
    }

    package func count(_ place: Int) -> Int { 1 + known[place].others.count }

    package subscript(place: Int, index: Int) -> Route {
        index == 0 ? known[place].first : known[place].others[index - 1]
    }

    private mutating func learn(_ topic: borrowing Span<UInt8>, _ hash: UInt64, _ first: Int) -> Int? {
        let bytes = topic.indices.map { topic[$0] }
        let heard = tree.listeners(bytes)
        guard !heard.isEmpty, let text = String(validating: bytes, as: UTF8.self) else { return nil }
        let routes = heard.map {
            Route(device: $0.device, source: Source(topic: text, subscription: $0.subscription, isRetained: false))
        }
        let new = Known(hash: hash, first: routes[0], others: Array(routes.dropFirst()))
        // The older of the two gives way.
        let given = Int(places[first + 1]) - 1
        places[first + 1] = places[first]
        if given >= 0 { known[given] = new } else { known.append(new) }
        let place = given >= 0 ? given : known.count - 1
        places[first] = UInt16(place + 1)
        return place
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
        return mixed
    }

    private static func equal(_ known: borrowing Span<UInt8>, _ topic: borrowing Span<UInt8>) -> Bool {
        guard known.count == topic.count else { return false }
        for index in known.indices where known[index] != topic[index] { return false }
        return true
    }
}

/// Topic filters by their levels, with what `TopicFilter.matches` says of each. A thousand plugs have five thousand filters
/// of four levels, so each word of a level is kept once, and nodes and listeners are a few numbers each.
struct FilterTree: Sendable {
    struct Listener: Hashable, Sendable {
        let device: Int
        /// Which of its filters, the first that matches.
        let subscription: Int
    }

    private struct Node {
        /// The node below `+`, as an index; below 0 where there is none.
        var any: Int32 = -1
        /// Filters that end here: the first of a chain of entries; below 0 for none.
        var here: Int32 = -1
        /// Filters that end here with `#`, which also means this level itself.
        var below: Int32 = -1
    }

    /// A listener, and the next one of the same chain.
    private struct Entry {
        let device: Int32
        let subscription: Int32
        let next: Int32
    }

    /// The way from a node down by a word.
    private struct Step: Hashable {
        let node: Int32
        let word: Int32
    }

    private static let plus = UInt8(ascii: "+")
    private static let hash = UInt8(ascii: "#")

    private var nodes = [Node()]
    private var entries: [Entry] = []
    private var words: [ArraySlice<UInt8>: Int32] = [:]
    private var steps: [Step: Int32] = [:]
    /// The levels of the filter that was added last, with their nodes: a device's filters begin alike.
    private var last: [(level: ArraySlice<UInt8>, node: Int32)] = []

    init(_ devices: [(device: Int, filters: [String])]) {
        let count = devices.reduce(0) { $0 + $1.filters.count }
        entries.reserveCapacity(count)
        steps.reserveCapacity(count)
        words.reserveCapacity(devices.count)
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

    private static func isWild(_ level: ArraySlice<UInt8>, _ card: UInt8) -> Bool {
        level.count == 1 && level.first == card
    }

    private mutating func add(_ filter: [UInt8], _ listener: Listener) {
        var node: Int32 = 0
        var depth = 0
        var start = 0
        while start <= filter.count {
            var end = start
            while end < filter.count, filter[end] != UInt8(ascii: "/") { end += 1 }
            let level = filter[start..<end]
            if Self.isWild(level, Self.hash) {
                return nodes[Int(node)].below = chain(listener, before: nodes[Int(node)].below)
            }
            if depth < last.count, last[depth].level == level {
                node = last[depth].node
            } else {
                last.removeLast(last.count - depth)
                node = child(of: node, level)
                last.append((level, node))
            }
            depth += 1
            start = end + 1
        }
        nodes[Int(node)].here = chain(listener, before: nodes[Int(node)].here)
    }

    private mutating func chain(_ listener: Listener, before next: Int32) -> Int32 {
        entries.append(
            Entry(device: Int32(listener.device), subscription: Int32(listener.subscription), next: next))
        return Int32(entries.count - 1)
    }

    /// The node below `node`, made where there is none.
    private mutating func child(of node: Int32, _ level: ArraySlice<UInt8>) -> Int32 {
        if Self.isWild(level, Self.plus) {
            if nodes[Int(node)].any < 0 { nodes[Int(node)].any = grow() }
            return nodes[Int(node)].any
        }
        let step = Step(node: node, word: word(level))
        if let known = steps[step] { return known }
        let new = grow()
        steps[step] = new
        return new
    }

    private mutating func word(_ level: ArraySlice<UInt8>) -> Int32 {
        if let known = words[level] { return known }
        // A copy: the slice would keep its whole filter.
        words[ArraySlice(Array(level))] = Int32(words.count)
        return Int32(words.count - 1)
    }

    private mutating func grow() -> Int32 {
        nodes.append(Node())
        return Int32(nodes.count - 1)
    }

    /// Each device that hears the topic once, by its first filter that matches, in the order of devices.
    func listeners(_ topic: [UInt8]) -> [Listener] {
        guard let first = topic.first else { return [] }
        var found: [Int: Int] = [:]
        func take(_ chain: Int32) {
            var at = chain
            while at >= 0 {
                let entry = entries[Int(at)]
                found[Int(entry.device)] = min(Int(entry.subscription), found[Int(entry.device)] ?? .max)
                at = entry.next
            }
        }
        let levels = Self.levels(topic).map { words[$0] }
        // Wild cards on the first level do not mean what begins with $.
        let isHidden = first == UInt8(ascii: "$")
        func walk(_ node: Int32, _ depth: Int) {
            let allowsWild = depth > 0 || !isHidden
            if allowsWild { take(nodes[Int(node)].below) }
            guard depth < levels.count else { return take(nodes[Int(node)].here) }
            if let word = levels[depth], let child = steps[Step(node: node, word: word)] { walk(child, depth + 1) }
            if allowsWild, nodes[Int(node)].any >= 0 { walk(nodes[Int(node)].any, depth + 1) }
        }
        walk(0, 0)
        return found.map { Listener(device: $0.key, subscription: $0.value) }.sorted { $0.device < $1.device }
    }
}
