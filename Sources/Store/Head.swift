import Model

/// What a stored value is, beside its 64 bits.
enum ValueTag: UInt8 {
    /// The bits of a Double.
    case number = 0
    case unknown
    /// An index into a pool of texts.
    case text
    /// A sample that recovery knows to be missing: it keeps its ordinal, so that loss is counted only once.
    case lost
}

/// A sample in memory, 24 bytes.
struct Record {
    var time: Int64
    var bits: UInt64
    /// How many ordinals before, the last sample of this series stands in the head; 0 for none.
    var back: UInt32
    var series: UInt16
    var tag: ValueTag
}

/// The samples that are not durable in the archive yet, in order of arrival.
struct Head {
    /// A number's weight: what it takes in the archive at worst, alone in its chunk.
    static let numberWeight = 56
    static let textWeight = 160

    /// The ordinal of `records[0]`.
    private(set) var first: UInt64
    private(set) var records: [Record] = []
    private(set) var texts: [String] = []
    private var textIndex: [String: Int] = [:]
    private(set) var weight = 0
    /// By series: the ordinal after its last sample in the head, 0 for none.
    private var lastEnds: [UInt64] = []

    init(first: UInt64) { self.first = first }

    var end: UInt64 { first &+ UInt64(records.count) }

    @inline(__always)
    func index(_ ordinal: UInt64) -> Int { Int(truncatingIfNeeded: ordinal &- first) }

    @inline(__always)
    mutating func append(_ series: UInt16, time: Int64, tag: ValueTag, bits: UInt64) {
        let index = Int(series)
        if index >= lastEnds.count {
            lastEnds.append(contentsOf: repeatElement(0, count: index + 1 - lastEnds.count))
        }
        let ordinal = end
        let last = lastEnds[index]
        let back = last > first ? ordinal &+ 1 &- last : 0
        lastEnds[index] = ordinal &+ 1
        records.append(
            Record(time: time, bits: bits, back: UInt32(truncatingIfNeeded: back), series: series, tag: tag))
        weight &+= tag == .text ? Head.textWeight : Head.numberWeight
    }

    /// Keeps the ordinal of a sample that is gone.
    mutating func appendLost() {
        records.append(Record(time: 0, bits: 0, back: 0, series: .max, tag: .lost))
    }

    mutating func intern(_ text: String) -> UInt64 {
        if let index = textIndex[text] { return UInt64(index) }
        textIndex[text] = texts.count
        texts.append(text)
        return UInt64(texts.count - 1)
    }

    /// Forgets everything below `ordinal`, which is durable elsewhere.
    mutating func drop(below ordinal: UInt64) {
        let count = min(max(0, index(ordinal)), records.count)
        records.removeFirst(count)
        first = first &+ UInt64(count)
        let oldTexts = texts
        texts.removeAll(keepingCapacity: true)
        textIndex.removeAll(keepingCapacity: true)
        weight = 0
        for index in records.indices {
            let record = records[index]
            if record.tag == .text { records[index].bits = intern(oldTexts[Int(record.bits)]) }
            weight += record.tag == .text ? Head.textWeight : Head.numberWeight
        }
    }

    /// What the records below `ordinal` weigh of all.
    func weight(from ordinal: UInt64) -> Int {
        var sum = 0
        for record in records[min(max(0, index(ordinal)), records.count)...] {
            sum += record.tag == .text ? Head.textWeight : Head.numberWeight
        }
        return sum
    }

    func value(_ record: Record) -> StoredValue {
        switch record.tag {
        case .number: .number(Double(bitPattern: record.bits))
        case .text: .text(texts[Int(record.bits)])
        case .unknown, .lost: .unknown
        }
    }

    /// Calls `body` with the series' records from the newest back.
    func backwards(_ series: UInt16, _ body: (Record) -> Void) {
        guard Int(series) < lastEnds.count else { return }
        var after = lastEnds[Int(series)]
        while after > first {
            let record = records[index(after &- 1)]
            body(record)
            guard record.back > 0 else { return }
            after = after &- UInt64(record.back)
        }
    }
}
