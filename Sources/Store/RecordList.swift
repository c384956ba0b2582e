// The head's samples in memory: 16 bytes each, in blocks, so that their room is what they need and goes back block by
// block. A record has two words:
//
//     code   bits 0…3 mark   4…9 back, its high six bits   10…63 number
//     place  bits 0…15 series   16…31 back, its low 16 bits   32…63 time − base of the list
//
//     mark   0…4  a decimal with so many places; number: zigzag(whole)
//            5    a double; number: where its bits stand in `doubles`
//            6    unknown        7  text; number: where it stands in the head's texts
//            8    a sample, and 10 a record of a tier, that does not fit here: number: where it stands in `far`
//            9    a record of a tier; number: where it stands in the head's items
//            11   lost
//
// A whole number has 53 bits and its sign (see `Decimal`), times reach 24 days from the base to either side, and no head
// has four million records. What is beyond that is far.

/// A record in two words.
struct PackedRecord {
    var code: UInt64
    var place: UInt64

    static let double: UInt64 = 5
    static let unknown: UInt64 = 6
    static let text: UInt64 = 7
    static let far: UInt64 = 8
    static let tier: UInt64 = 9
    static let farTier: UInt64 = 10
    static let lost: UInt64 = 11

    /// `back` has 22 bits.
    static let mostBack: UInt32 = 1 << 22 - 1

    /// `offset` and `back` fit; `code` has no `back` yet.
    @inline(__always)
    init(code: UInt64, series: UInt16, back: UInt32, offset: UInt64) {
        self.code = code | UInt64(back >> 16) << 4
        place = offset << 32 | UInt64(back & 0xFFFF) << 16 | UInt64(series)
    }

    @inline(__always)
    var mark: UInt64 { code & 15 }
    @inline(__always)
    var number: UInt64 { code >> 10 }
    @inline(__always)
    var series: UInt16 { UInt16(truncatingIfNeeded: place) }
    @inline(__always)
    var offset: Int64 { Int64(bitPattern: place >> 32) }
    @inline(__always)
    var back: UInt32 {
        UInt32(truncatingIfNeeded: code >> 4 & 63) << 16 | UInt32(truncatingIfNeeded: place >> 16 & 0xFFFF)
    }
    @inline(__always)
    var isSample: Bool { mark <= PackedRecord.far }
    @inline(__always)
    var isDecimal: Bool { mark < PackedRecord.double }
}

/// The records of a head in order of arrival; as a collection, each as a `Record`.
struct RecordList: RandomAccessCollection {
    /// As a power of two; a block has 64 KiB.
    static let shift = 12
    static let blockSize = 1 << shift

    private(set) var count = 0
    /// Offsets count from here; of an empty list without meaning.
    private(set) var base: Int64 = 0
    /// Each is full.
    private var blocks: [[PackedRecord]] = []
    /// The last one, which grows.
    private var open: [PackedRecord] = []
    /// So many records at the start of the first block are gone.
    private var skipped = 0
    /// Empty ones, for what comes next.
    private var spares: [[PackedRecord]] = []
    private var doubles: [UInt64] = []
    private var far: [Record] = []
    /// The most records that there were before some were dropped the last time.
    private var mostBefore = 0

    var startIndex: Int { 0 }
    var endIndex: Int { count }

    subscript(index: Int) -> Record {
        let packed = packed(index)
        return packed.isDecimal ? decimal(packed) : other(packed)
    }

    func packed(_ index: Int) -> PackedRecord {
        let place = index + skipped
        let block = place >> RecordList.shift
        return block < blocks.count
            ? blocks[block][place & (RecordList.blockSize - 1)]
            : open[place & (RecordList.blockSize - 1)]
    }

    /// The records from an index on, to the end of a block.
    func stretch(from index: Int) -> ArraySlice<PackedRecord> {
        let place = index + skipped
        let block = place >> RecordList.shift
        let rest = block < blocks.count ? blocks[block] : open
        return rest[(place & (RecordList.blockSize - 1))...]
    }

    private func decimal(_ packed: PackedRecord) -> Record {
        Record(
            time: base &+ packed.offset, bits: UInt64(bitPattern: unzigzag(packed.number)), back: packed.back,
            series: packed.series, tag: .number, places: UInt8(truncatingIfNeeded: packed.mark))
    }

    private func other(_ packed: PackedRecord) -> Record {
        let index = Int(packed.number)
        var record = Record(
            time: base &+ packed.offset, bits: packed.number, back: packed.back, series: packed.series, tag: .unknown)
        switch packed.mark {
        case PackedRecord.double:
            record.tag = .number
            record.bits = doubles[index]
        case PackedRecord.text: record.tag = .text
        case PackedRecord.tier: record.tag = .tier
        case PackedRecord.far, PackedRecord.farTier: return far[index]
        case PackedRecord.lost: (record.tag, record.time) = (.lost, 0)
        default: break
        }
        return record
    }

    // MARK: - Changing

    /// What a time counts from the base; at or above 2^32 where it does not fit.
    @inline(__always)
    func offset(_ time: Int64) -> UInt64 { UInt64(bitPattern: time &- base) }

    @inline(__always)
    mutating func append(_ packed: PackedRecord) {
        if open.count == RecordList.blockSize { closeBlock() }
        open.append(packed)
        count &+= 1
    }

    /// Of an empty list. Times near this one will fit.
    mutating func begin(at time: Int64) { base = time &- 1 << 31 }

    mutating func append(_ record: Record) {
        if count == 0 { begin(at: record.time) }
        let offset = record.tag == .lost ? 0 : offset(record.time)
        let isDecimal = record.tag == .number && record.places < Record.noPlaces
        let number = isDecimal ? zigzag(Int64(bitPattern: record.bits)) : 0
        guard offset < 1 << 32, record.back <= PackedRecord.mostBack, number < 1 << 54 else {
            let mark = record.tag == .tier ? PackedRecord.farTier : PackedRecord.far
            append(PackedRecord(code: UInt64(far.count) << 10 | mark, series: record.series, back: 0, offset: 0))
            far.append(record)
            return
        }
        let code: UInt64
        switch record.tag {
        case .number where isDecimal: code = number << 10 | UInt64(record.places)
        case .number:
            code = UInt64(doubles.count) << 10 | PackedRecord.double
            doubles.append(record.bits)
        case .unknown: code = PackedRecord.unknown
        case .text: code = record.bits << 10 | PackedRecord.text
        case .tier: code = record.bits << 10 | PackedRecord.tier
        case .lost: code = PackedRecord.lost
        }
        append(PackedRecord(code: code, series: record.series, back: record.back, offset: offset))
    }

    @inline(never)
    private mutating func closeBlock() {
        blocks.append(open)
        open = spares.popLast() ?? []
        // The first block grows by itself: a head of one series has only a few records.
        open.reserveCapacity(RecordList.blockSize)
    }

    /// Puts other numbers in the place of those of texts, in order.
    mutating func renumberTexts(_ number: (UInt64) -> UInt64) {
        for index in 0..<count {
            let packed = packed(index)
            if packed.mark == PackedRecord.far, far[Int(packed.number)].tag == .text {
                far[Int(packed.number)].bits = number(far[Int(packed.number)].bits)
            }
            guard packed.mark == PackedRecord.text else { continue }
            let code = number(packed.number) << 10 | packed.code & 1023
            let (block, place) = ((index + skipped) >> RecordList.shift, (index + skipped) & (RecordList.blockSize - 1))
            if block < blocks.count { blocks[block][place].code = code } else { open[place].code = code }
        }
    }

    /// Forgets the first so many. Their blocks are kept for as many as there were lately, and the rest goes back: after a
    /// burst that is several megabytes, and the next one may be days away.
    mutating func removeFirst(_ number: Int) {
        let most = Swift.max(count, mostBefore)
        mostBefore = count
        let isFar = number < count && (self[number].time &- base &- 1 << 31).magnitude > 1 << 30
        guard far.isEmpty, doubles.isEmpty, !isFar else { return makeAnew(number) }
        skipped += number
        count -= number
        let gone = Swift.min(skipped >> RecordList.shift, blocks.count)
        for var block in blocks[..<gone] {
            block.removeAll(keepingCapacity: true)
            spares.append(block)
        }
        blocks.removeFirst(gone)
        skipped -= gone << RecordList.shift
        if count == 0 {
            open.removeAll(keepingCapacity: true)
            skipped = 0
        }
        let room = most >> RecordList.shift + 1
        if blocks.count + spares.count > room {
            spares.removeLast(Swift.min(spares.count, blocks.count + spares.count - room))
        }
    }

    /// The same where records stand elsewhere, too: others may be near the new base, and their places change.
    private mutating func makeAnew(_ number: Int) {
        var list = RecordList()
        for record in dropFirst(number) { list.append(record) }
        list.mostBefore = mostBefore
        self = list
    }
}
