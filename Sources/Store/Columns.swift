// Samples of one series as columns, for reading and writing without a value per sample on the heap.

/// Samples of one series. What a query decodes into, and what a question without a call per sample is answered with.
package struct Columns: Sendable {
    /// Milliseconds since 1970, each.
    package internal(set) var times: [Int64] = []
    /// Of a number, the bits of the Double; of a text, an index into `texts`.
    package internal(set) var bits: [UInt64] = []
    /// Empty while all are numbers.
    private(set) var tags: [ValueTag] = []
    var texts: [String] = []
    /// No time is before the one ahead of it, for certain.
    private var isOrdered = true

    package var count: Int { times.count }

    /// All are numbers, so `bits` is all there is to look at.
    package var areNumbers: Bool { tags.isEmpty }

    @inline(__always)
    func tag(_ index: Int) -> ValueTag { tags.isEmpty ? .number : tags[index] }

    package func value(_ index: Int) -> StoredValue {
        switch tag(index) {
        case .number: .number(Double(bitPattern: bits[index]))
        case .text: .text(texts[Int(bits[index])])
        case .unknown, .lost, .tier: .unknown
        }
    }

    // MARK: - Building

    mutating func removeAll() {
        times.removeAll(keepingCapacity: true)
        bits.removeAll(keepingCapacity: true)
        tags.removeAll(keepingCapacity: true)
        texts.removeAll(keepingCapacity: true)
        isOrdered = true
    }

    /// The next so many are numbers; to be called before their times come.
    @inline(__always)
    mutating func tagNumbers(_ count: Int) {
        if !tags.isEmpty { tags.append(contentsOf: repeatElement(.number, count: count)) }
    }

    /// A time and what its bits are.
    @inline(__always)
    mutating func append(_ time: Int64, _ tag: ValueTag) {
        if tag != .number, tags.isEmpty { tags.append(contentsOf: repeatElement(.number, count: times.count)) }
        if tag != .number || !tags.isEmpty { tags.append(tag) }
        if let last = times.last, time < last { isOrdered = false }
        times.append(time)
    }

    /// Whoever has put times at the end since then, not by `append`, says whether they are in order.
    @inline(__always)
    mutating func note(inOrder: Bool, since start: Int) {
        if !inOrder || start > 0 && start < times.count && times[start] < times[start - 1] { isOrdered = false }
    }

    /// The same for one who does not know.
    mutating func noteOrder(since start: Int) {
        guard start < times.count else { return }
        note(inOrder: !zip(times[start...], times[(start + 1)...]).contains { $1 < $0 }, since: start)
    }

    mutating func append(_ other: Columns, _ index: Int) {
        if other.tag(index) == .text {
            bits.append(UInt64(texts.count))
            texts.append(other.texts[Int(other.bits[index])])
        } else {
            bits.append(other.bits[index])
        }
        append(other.times[index], other.tag(index))
    }

    mutating func cut(to count: Int) {
        times.removeLast(max(0, times.count - count))
        bits.removeLast(max(0, bits.count - count))
        tags.removeLast(max(0, tags.count - count))
    }

    /// Calls `body` with time, tag and bits of each sample of a range.
    @inline(__always)
    func forEach(in range: Range<Int>, _ body: (Int64, ValueTag, UInt64) -> Void) {
        guard areNumbers else {
            for index in range { body(times[index], tags[index], bits[index]) }
            return
        }
        let times = times.span.extracting(range)
        let bits = bits.span.extracting(range)
        var index = 0
        while index < times.count, index < bits.count {
            body(times[index], .number, bits[index])
            index &+= 1
        }
    }

    func areAll(before time: Int64, since start: Int) -> Bool {
        for index in start..<times.count where times[index] >= time { return false }
        return true
    }

    /// Forgets what is outside of the range, from an index on.
    mutating func keep(_ from: Int64, _ to: Int64, since start: Int) {
        guard start < count else { return }
        if isOrdered {
            if times[count - 1] >= to { cut(to: max(start, firstIndex(notBefore: to))) }
            guard start < count, times[start] < from else { return }
            return remove(start..<max(start, firstIndex(notBefore: from)))
        }
        var first = start
        while first < count, times[first] >= from, times[first] < to { first += 1 }
        guard first < count else { return }
        var kept = first
        for index in first..<count where times[index] >= from && times[index] < to {
            times[kept] = times[index]
            bits[kept] = bits[index]
            if !tags.isEmpty { tags[kept] = tags[index] }
            kept += 1
        }
        cut(to: kept)
    }

    private mutating func remove(_ range: Range<Int>) {
        times.removeSubrange(range)
        bits.removeSubrange(range)
        if !tags.isEmpty { tags.removeSubrange(range) }
    }

    /// Keeps the order of equal times.
    mutating func sortByTime() {
        guard !isOrdered else { return }
        isOrdered = true
        let order = times.indices.sorted { (times[$0], $0) < (times[$1], $1) }
        times = order.map { times[$0] }
        bits = order.map { bits[$0] }
        if !tags.isEmpty { tags = order.map { tags[$0] } }
    }

    /// No time is before the one ahead of it, nor the first before `time`.
    func isInOrder(after time: Int64) -> Bool { times.first ?? time >= time && isOrdered }

    /// In sorted columns.
    func firstIndex(notBefore time: Int64) -> Int {
        var low = 0
        var high = count
        while low < high {
            let middle = (low + high) / 2
            if times[middle] < time { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func dropFirst(_ number: Int) {
        guard number > 0 else { return }
        if number == count { return removeAll() }
        remove(0..<number)
    }
}
