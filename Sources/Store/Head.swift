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
    /// A record of a tier: an index into a pool of them. Never in the archive.
    case tier

    var isSample: Bool { rawValue < ValueTag.lost.rawValue }
}

/// A sample of the head, on its way; `RecordList` keeps it.
struct Record {
    var time: Int64
    /// Of a number with decimal places: the whole number of its last place, as two's complement.
    var bits: UInt64
    /// How many ordinals before, the last sample of this series stands in the head; 0 for none.
    var back: UInt32
    var series: UInt16
    var tag: ValueTag
    /// Of a number, 0…4; `Record.noPlaces` where `bits` are those of a Double, and for everything that is no number.
    var places: UInt8 = Record.noPlaces

    static let noPlaces: UInt8 = 5

    /// Of a number, the bits of the Double.
    @inline(__always)
    var number: UInt64 {
        guard tag == .number, places < Record.noPlaces else { return bits }
        return Decimal.number(Int64(bitPattern: bits), places: Int(places)).bitPattern
    }
}

/// The samples that are not durable in the archive yet, in order of arrival.
struct Head {
    /// A number's weight: what it takes in the archive at worst, alone in its chunk.
    static let numberWeight = 56
    static let textWeight = 160

    enum Outcome { case added, duplicate, behind, unknownSeries, full }

    /// A series' last sample, in the head or before, to recognise it when it comes again.
    private struct Tail {
        var time: Int64 = 0
        var bits: UInt64 = 0
        /// What the bits of its last number are in a packed record with so many places, and these.
        var code: UInt64 = 0
        /// Of all its samples, as far as known.
        var newest = Int64.min
        /// Of those in the head.
        var oldest = Int64.max
        /// The index after it, where it stands in the head; 0 where it does not.
        var end: UInt32 = 0
        var tag: ValueTag = .lost
        /// The decimal places that its last number had, to be tried first with the next one. Whoever reads the records
        /// next, the journal and the archive, wants whole numbers.
        var places: UInt8 = 0
        var isKnown = false
    }

    /// The ordinal of `records[0]`.
    private(set) var first: UInt64
    private(set) var records = RecordList()
    private(set) var texts: [String] = []
    /// Of the records with the tag `tier`, whose bits count them from the first there ever was.
    private(set) var tierItems: [TierItem] = []
    /// Of each of these, its ordinal.
    private(set) var tierOrdinals: [UInt64] = []
    /// So many were there before these.
    private var itemsBefore = 0
    private var textIndex: [String: Int] = [:]
    private(set) var weight = 0
    /// At this weight the head is full.
    var limit = Int.max
    private(set) var added = 0
    private(set) var duplicates = 0
    private(set) var shortened = 0
    private var tails: [Tail] = []
    private var lastTexts: [UInt16: String] = [:]

    init(first: UInt64) { self.first = first }

    var end: UInt64 { first &+ UInt64(records.count) }

    @inline(__always)
    func index(_ ordinal: UInt64) -> Int { Int(truncatingIfNeeded: ordinal &- first) }

    // MARK: - Series

    func isKnown(_ series: UInt32) -> Bool { series < tails.count && tails[Int(series)].isKnown }

    /// There will be about so many series: a table of them that grows by itself has up to twice the room.
    mutating func reserve(series: Int) { tails.reserveCapacity(series) }

    /// From now on samples of this series are taken.
    mutating func know(_ series: UInt16) {
        if Int(series) == tails.count {
            tails.append(Tail())
        } else if Int(series) > tails.count {
            tails.append(contentsOf: repeatElement(Tail(), count: Int(series) + 1 - tails.count))
        }
        tails[Int(series)].isKnown = true
    }

    /// No sample is of this series, nor of a higher one.
    var seriesEnd: Int { tails.count }

    /// By number, whether a series is known and no sample of it has been seen.
    var withoutLast: [Bool] { tails.map { $0.isKnown && $0.tag == .lost } }

    /// The series' last sample, from the archive; what is known already counts more.
    mutating func recall(_ series: UInt16, time: Int64, newest: Int64, _ value: StoredValue) {
        guard isKnown(UInt32(series)), tails[Int(series)].tag == .lost else { return }
        tails[Int(series)].newest = max(newest, time)
        tails[Int(series)].time = time
        switch value {
        case .number(let number):
            var tail = tails[Int(series)]
            tail.tag = .number
            tail.bits = number.bitPattern
            (tail.code, tail.places) = Head.otherDecimal(number, tail.places, 0)
            tails[Int(series)] = tail
        case .unknown: tails[Int(series)].tag = .unknown
        case .text(let text):
            tails[Int(series)].tag = .text
            lastTexts[series] = text
        }
    }

    // MARK: - Samples

    /// The newest moment of a known series.
    func newest(_ series: UInt32) -> Int64 { tails[Int(series)].newest }

    /// The first moment of all samples in the head, and the last, as far as known, of all that were ever seen; nil where
    /// the head has none.
    var span: (Int64, Int64)? {
        var span = (Int64.max, Int64.min)
        for tail in tails where tail.oldest < .max { span = (min(span.0, tail.oldest), max(span.1, tail.newest)) }
        return span.0 < .max ? span : nil
    }

    mutating func countDuplicate() { duplicates += 1 }

    /// Takes a sample unless it is the series' last one again. One that is older than another of its series is taken
    /// only with `isLate`: the caller has looked whether it is there already.
    @inline(__always)
    mutating func append(_ series: UInt32, time: Int64, _ value: StoredValue, isLate: Bool = false) -> Outcome {
        guard isKnown(series) else { return .unknownSeries }
        guard weight < limit else { return .full }
        guard case .number(let number) = value else {
            return appendOther(UInt16(truncatingIfNeeded: series), time, value, isLate)
        }
        let index = UInt32(truncatingIfNeeded: records.count)
        var back: UInt32 = 0
        let outcome = Head.take(number, time, &tails[Int(series)], index, isLate, &back)
        guard outcome == .added else {
            if outcome == .duplicate { duplicates &+= 1 }
            return outcome
        }
        push(number, UInt16(truncatingIfNeeded: series), time, back)
        weight &+= Head.numberWeight
        added &+= 1
        return .added
    }

    /// Whether a number is to be added; notes it as the one that will stand at `index`, and says how far `back` the one
    /// before it stands.
    @inline(__always)
    private static func take(
        _ number: Double, _ time: Int64, _ tail: inout Tail, _ index: UInt32, _ isLate: Bool, _ back: inout UInt32
    ) -> Outcome {
        let bits = number.bitPattern
        let isSame = tail.bits == bits && tail.tag == .number
        if isSame, tail.time == time { return .duplicate }
        guard time >= tail.newest || isLate else { return .behind }
        let end = index &+ 1
        back = tail.end > 0 ? end &- tail.end : 0
        // The same as before, as half of all samples are: a division less.
        if !isSame || tail.places == Record.noPlaces {
            if tail.places < Record.noPlaces,
                let whole = Decimal.whole(number, scale: Decimal.scale(Int(tail.places)))
            {
                tail.code = code(whole, tail.places)
            } else {
                (tail.code, tail.places) = otherDecimal(number, tail.places, Int(index))
            }
            tail.bits = bits
            tail.tag = .number
        }
        tail.time = time
        tail.end = end
        tail.newest = max(time, tail.newest)
        tail.oldest = min(time, tail.oldest)
        return .added
    }

    @inline(__always)
    private static func code(_ whole: Int64, _ places: UInt8) -> UInt64 { zigzag(whole) << 10 | UInt64(places) }

    /// The number that `take` has noted.
    @inline(__always)
    private mutating func push(_ number: Double, _ series: UInt16, _ time: Int64, _ back: UInt32) {
        let offset = records.offset(time)
        let code = tails[Int(series)].code
        guard offset < 1 << 32, back <= PackedRecord.mostBack, records.count > 0, code & 15 < PackedRecord.double else {
            return pushOther(number, series, time, back)
        }
        records.append(PackedRecord(code: code, series: series, back: back, offset: offset))
    }

    /// The first one, and what is far or no decimal.
    @inline(never)
    private mutating func pushOther(_ number: Double, _ series: UInt16, _ time: Int64, _ back: UInt32) {
        let (code, places) = (tails[Int(series)].code, tails[Int(series)].places)
        let bits = places < Record.noPlaces ? UInt64(bitPattern: unzigzag(code >> 10)) : number.bitPattern
        records.append(Record(time: time, bits: bits, back: back, series: series, tag: .number, places: places))
    }

    @inline(never)
    private mutating func appendOther(
        _ series: UInt16, _ time: Int64, _ value: StoredValue, _ isLate: Bool
    ) -> Outcome {
        if case .text(let text) = value { return append(series, time, text, isLate) }
        let tail = tails[Int(series)]
        if tail.time == time, tail.tag == .unknown {
            duplicates &+= 1
            return .duplicate
        }
        guard time >= tail.newest || isLate else { return .behind }
        push(series, time, .unknown, 0, after: tail.end)
        note(series, time, .unknown)
        return .added
    }

    /// The record that was pushed last is the series' last sample, no number.
    private mutating func note(_ series: UInt16, _ time: Int64, _ tag: ValueTag) {
        var tail = tails[Int(series)]
        tail.time = time
        tail.bits = 0
        tail.end = UInt32(truncatingIfNeeded: records.count)
        tail.tag = tag
        tail.isKnown = true
        tail.newest = max(time, tail.newest)
        tail.oldest = min(time, tail.oldest)
        tails[Int(series)] = tail
    }

    /// A number that is no decimal of as many places as the one before it: as another decimal, or as it is. A series
    /// that sends no decimals is asked now and then, by its turn, whether it still does not.
    @inline(never)
    private static func otherDecimal(_ number: Double, _ places: UInt8, _ turn: Int) -> (code: UInt64, places: UInt8) {
        guard places < Record.noPlaces || turn & 15 == 0 else { return (PackedRecord.double, Record.noPlaces) }
        for places in 0...UInt8(Decimal.mostPlaces) {
            if let whole = Decimal.whole(number, places: Int(places)) { return (code(whole, places), places) }
        }
        return (PackedRecord.double, Record.noPlaces)
    }

    private mutating func append(_ series: UInt16, _ time: Int64, _ whole: String, _ isLate: Bool) -> Outcome {
        let text = whole.utf8.count <= StoredValue.longestText ? whole : StoredValue.shortened(whole)
        let tail = tails[Int(series)]
        if tail.time == time, tail.tag == .text, lastTexts[series].map({ $0.utf8.elementsEqual(text.utf8) }) ?? false {
            duplicates += 1
            return .duplicate
        }
        guard time >= tail.newest || isLate else { return .behind }
        if text.utf8.count < whole.utf8.count { shortened += 1 }
        push(series, time, .text, intern(text), after: tail.end)
        note(series, time, .text)
        lastTexts[series] = text
        return .added
    }

    @inline(__always)
    private mutating func push(
        _ series: UInt16, _ time: Int64, _ tag: ValueTag, _ bits: UInt64, after last: UInt32
    ) {
        let back = last > 0 ? UInt32(truncatingIfNeeded: records.count) &+ 1 &- last : 0
        records.append(Record(time: time, bits: bits, back: back, series: series, tag: tag))
        weight &+= tag == .text ? Head.textWeight : Head.numberWeight
        added &+= 1
    }

    /// A sample found in the journal: it is no duplicate, whatever it looks like.
    mutating func restore(_ series: UInt16, time: Int64, _ value: StoredValue) {
        defer { added = 0 }
        let last = tails[Int(series)].end
        switch value {
        case .number(let number):
            tails[Int(series)].tag = .lost
            var back: UInt32 = 0
            _ = Head.take(
                number, time, &tails[Int(series)], UInt32(truncatingIfNeeded: records.count), true, &back)
            tails[Int(series)].isKnown = true
            push(number, series, time, back)
            weight &+= Head.numberWeight
        case .unknown:
            push(series, time, .unknown, 0, after: last)
            note(series, time, .unknown)
        case .text(let text):
            lastTexts[series] = text
            push(series, time, .text, intern(text), after: last)
            note(series, time, .text)
        }
    }

    /// Takes a record of a tier; it weighs nothing, its own limit is that of the tier.
    mutating func append(_ item: TierItem, series: UInt16, start: Int64) {
        tierOrdinals.append(end)
        records.append(
            Record(time: start, bits: UInt64(itemsBefore + tierItems.count), back: 0, series: series, tag: .tier))
        tierItems.append(item)
    }

    /// Keeps the ordinal of a sample that is gone.
    mutating func appendLost() {
        records.append(Record(time: 0, bits: 0, back: 0, series: .max, tag: .lost))
    }

    private mutating func intern(_ text: String) -> UInt64 {
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
        weight = 0
        for series in tails.indices {
            tails[series].oldest = .max
            tails[series].end -= min(tails[series].end, UInt32(truncatingIfNeeded: count))
        }
        for record in records {
            if record.tag.isSample {
                tails[Int(record.series)].oldest = min(record.time, tails[Int(record.series)].oldest)
            }
            weight += Head.weight(record.tag)
        }
        numberAnew()
    }

    /// Keeps the texts and items of tiers that records still have.
    private mutating func numberAnew() {
        let gone = tierOrdinals.prefix { $0 < first }.count
        tierOrdinals.removeFirst(gone)
        tierItems.removeFirst(gone)
        itemsBefore += gone
        guard !texts.isEmpty else { return }
        let oldTexts = texts
        texts.removeAll(keepingCapacity: true)
        textIndex.removeAll(keepingCapacity: true)
        var list = RecordList()
        swap(&list, &records)
        list.renumberTexts { intern(oldTexts[Int($0)]) }
        swap(&list, &records)
    }

    /// Without what records of tiers hold, of which no copy is to be made.
    var ofSamples: Head {
        var own = self
        own.tierItems = []
        own.tierOrdinals = []
        return own
    }

    /// What a record of a tier holds.
    func item(_ record: Record) -> TierItem { tierItems[Int(record.bits) - itemsBefore] }

    /// What the records from `ordinal` on weigh.
    func weight(from ordinal: UInt64) -> Int {
        var sum = 0
        for record in records[min(max(0, index(ordinal)), records.count)...] {
            sum += Head.weight(record.tag)
        }
        return sum
    }

    private static func weight(_ tag: ValueTag) -> Int {
        switch tag {
        case .text: textWeight
        case .number, .unknown: numberWeight
        case .lost, .tier: 0
        }
    }

    func value(_ record: Record) -> StoredValue {
        switch record.tag {
        case .number: .number(Double(bitPattern: record.number))
        case .text: .text(texts[Int(record.bits)])
        case .unknown, .lost, .tier: .unknown
        }
    }

    /// Whether a sample of the series stands here that is earlier; also true where that is not known.
    func mayHold(_ series: UInt16, before time: Int64) -> Bool {
        isKnown(UInt32(series)) && tails[Int(series)].oldest < time
    }

    /// Calls `body` with the ordinals and records of the series from the newest back to the ordinal `from`.
    func backwards(_ series: UInt16, from: UInt64 = 0, _ body: (UInt64, Record) -> Void) {
        guard isKnown(UInt32(series)) else { return }
        var after = Int(tails[Int(series)].end)
        while after > 0, first &+ UInt64(after - 1) >= from {
            let record = records[after - 1]
            body(first &+ UInt64(after - 1), record)
            guard record.back > 0 else { return }
            after -= Int(record.back)
        }
    }
}
