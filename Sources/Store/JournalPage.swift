// The body of a journal page: samples in order of arrival.
//
//     base time i64, then for each sample
//     varint zigzag(series − series of the sample before)
//     varint zigzag(time − time of the sample before)
//     varint code: low three bits 0 unknown, 1 number as its 64 bits, 2 text, 3…7 a decimal with 0…4 places,
//                  the rest the length of the text or zigzag(whole number)
//     [8 bytes of the number | the text's bytes]
//
// A length of 128 or more is no text but 128 × (1 + tier) + number of fields: then the time is the start of a record of
// a tier (0 slots, 1 days), and its fields follow, each a varint of zigzag.

/// A journal page that grows with every commit until a sync has covered it.
struct JournalPage {
    private(set) var bytes = [UInt8](repeating: 0, count: Layout.pageSize)
    private var at = PageHeader.size + 8
    private var series: UInt16 = 0
    private var time: Int64 = 0
    private(set) var header = PageHeader(.journal)
    /// The body's checksum up to `checked`, so that a commit looks at its own samples only.
    private var checksum: UInt32 = 0
    private var checked = PageHeader.size

    init(first: UInt64, sequence: UInt64) {
        header.first = first
        header.end = first
        header.sequence = sequence
        header.runPages = 1
    }

    /// The same samples, on another page.
    mutating func move(to sequence: UInt64) { header.sequence = sequence }

    /// Takes as many samples of the head from `ordinal` on as fit.
    mutating func append(_ head: Head, from ordinal: UInt64) {
        if header.end == header.first, ordinal < head.end {
            time = head.records[head.index(ordinal)].time
            bytes.put(UInt64(bitPattern: time), at: PageHeader.size)
        }
        // A span of one's own storage would lock all else that this struct holds.
        var own: [UInt8] = []
        swap(&own, &bytes)
        var index = head.index(ordinal)
        var page = own.mutableSpan
        var isFull = false
        while index < head.records.count, !isFull {
            let part = head.records.stretch(from: index)
            isFull = put(part.span, at: &index, head, &page)
        }
        swap(&own, &bytes)
    }

    /// Takes records that stand in the head from `index` on, and moves that on; true where not all of them fit.
    private mutating func put(
        _ records: borrowing Span<PackedRecord>, at index: inout Int, _ head: Head, _ page: inout MutableSpan<UInt8>
    ) -> Bool {
        var done = putDecimals(records, from: 0, head.records.base, &page)
        while done < records.count {
            let record = head.records[index + done]
            guard hasRoom(for: record, head, page.count) else { break }
            putAny(record, head, &page)
            done = putDecimals(records, from: done + 1, head.records.base, &page)
        }
        header.end &+= UInt64(done)
        index += done
        return done < records.count
    }

    /// Takes what nearly every sample is, as long as it is and fits, and gives the place of the first other record.
    private mutating func putDecimals(
        _ records: borrowing Span<PackedRecord>, from first: Int, _ base: Int64, _ page: inout MutableSpan<UInt8>
    ) -> Int {
        var index = first
        // Of its own, so that it stays in registers.
        var (at, series, time) = (UInt32(self.at), self.series, self.time)
        var (earliest, latest) = (header.firstTime, header.lastTime)
        while index < records.count, Int(at) + JournalPage.most <= page.count {
            let record = records[index]
            let recordTime = base &+ record.offset
            let step = zigzag(recordTime &- time)
            guard record.isDecimal, step < 1 << 35, record.number < 1 << 53 else { break }
            let code = record.number << 3 | (3 &+ record.mark)
            let seriesStep = zigzag(Int64(record.series) &- Int64(series))
            if (seriesStep | step) < 128 {
                // Nearly always: a byte each.
                let (value, length) = JournalPage.varint(code)
                page[Int(at)] = UInt8(truncatingIfNeeded: seriesStep)
                page[Int(at) &+ 1] = UInt8(truncatingIfNeeded: step)
                JournalPage.put(value, &page, at &+ 2)
                at &+= UInt32(truncatingIfNeeded: 2 &+ length)
            } else {
                // Series and time take eight bytes together.
                let (place, placeLength) = JournalPage.varint(seriesStep)
                let (moment, momentLength) = JournalPage.varint(step)
                JournalPage.put(place | moment &<< (placeLength &* 8), &page, at)
                at &+= UInt32(truncatingIfNeeded: placeLength &+ momentLength)
                let (value, valueLength) = JournalPage.varint(code)
                JournalPage.put(value, &page, at)
                at &+= UInt32(truncatingIfNeeded: valueLength)
            }
            series = record.series
            time = recordTime
            earliest = min(earliest, time)
            latest = max(latest, time)
            index &+= 1
        }
        (self.at, self.series, self.time) = (Int(at), series, time)
        (header.firstTime, header.lastTime) = (earliest, latest)
        return index
    }

    /// A number below 2^56 as varint, low byte first, and how many bytes that takes. Nobody can guess that, so it is
    /// done without a branch.
    @inline(__always)
    private static func varint(_ value: UInt64) -> (word: UInt64, length: UInt64) {
        // Halves of 28 bits, quarters of 14, and then seven bits a byte.
        var word = (value & 0x00FF_FFFF_F000_0000) << 4 | value & 0x0FFF_FFFF
        word = (word & 0x0FFF_C000_0FFF_C000) << 2 | word & 0x0000_3FFF_0000_3FFF
        word = (word & 0x3F80_3F80_3F80_3F80) << 1 | word & 0x007F_007F_007F_007F
        // The number of the highest bit by seven; 9 / 64 is near enough.
        let more = UInt64(truncatingIfNeeded: ((63 &- (value | 1).leadingZeroBitCount) &* 9 &+ 9) >> 6)
        word |= 0x8080_8080_8080_8080 & ((1 &<< (more &* 8)) &- 1)
        // Nothing stands above. Without these words the compiler thinks about the highest byte, and makes eight stores.
        return (word & (UInt64.max &>> (56 &- more &* 8)), more &+ 1)
    }

    /// Eight bytes, low ones first; what is too much are zeros where zeros are. The compiler makes one store of them
    /// where it sees that none is beyond the end.
    @inline(__always)
    private static func put(_ word: UInt64, _ page: inout MutableSpan<UInt8>, _ at: UInt32) {
        let at = Int(at)
        guard page.count >= at + 8 else { return }
        page[at + 0] = UInt8(truncatingIfNeeded: word)
        page[at + 1] = UInt8(truncatingIfNeeded: word >> 8)
        page[at + 2] = UInt8(truncatingIfNeeded: word >> 16)
        page[at + 3] = UInt8(truncatingIfNeeded: word >> 24)
        page[at + 4] = UInt8(truncatingIfNeeded: word >> 32)
        page[at + 5] = UInt8(truncatingIfNeeded: word >> 40)
        page[at + 6] = UInt8(truncatingIfNeeded: word >> 48)
        page[at + 7] = UInt8(truncatingIfNeeded: word >> 56)
    }

    /// Without its text a sample takes so many bytes.
    private static let most = 22

    private func hasRoom(for record: Record, _ head: Head, _ end: Int) -> Bool {
        switch record.tag {
        case .number, .unknown, .lost: at + JournalPage.most <= end
        case .text: at + JournalPage.most + head.texts[Int(record.bits)].utf8.count <= end
        case .tier: at + JournalPage.most + 10 * head.tierItems[Int(record.bits)].fields.count <= end
        }
    }

    private mutating func putAny(_ record: Record, _ head: Head, _ page: inout MutableSpan<UInt8>) {
        put(zigzag(Int64(record.series) &- Int64(series)), &page)
        put(zigzag(record.time &- time), &page)
        switch record.tag {
        case .number where record.places < Record.noPlaces:
            put(zigzag(Int64(bitPattern: record.bits)) << 3 | UInt64(3 + record.places), &page)
        case .number:
            put(1, &page)
            JournalPage.put(record.bits, &page, UInt32(at))
            at += 8
        case .unknown, .lost: put(0, &page)
        case .tier:
            let item = head.tierItems[Int(record.bits)]
            header.holds(item.tier)
            put(UInt64(128 * (1 + Int(item.tier.rawValue)) + item.fields.count) << 3 | 2, &page)
            for field in item.fields { put(zigzag(field), &page) }
        case .text:
            let text = head.texts[Int(record.bits)].utf8
            put(UInt64(text.count) << 3 | 2, &page)
            for byte in text {
                page[at] = byte
                at += 1
            }
        }
        series = record.series
        time = record.time
        header.firstTime = min(header.firstTime, time)
        header.lastTime = max(header.lastTime, time)
    }

    private mutating func put(_ value: UInt64, _ page: inout MutableSpan<UInt8>) {
        var rest = value
        while rest >= 0x80 {
            page[at] = UInt8(truncatingIfNeeded: rest) | 0x80
            at &+= 1
            rest &>>= 7
        }
        page[at] = UInt8(truncatingIfNeeded: rest)
        at &+= 1
    }

    /// Makes the page ready to be written.
    mutating func finish(
        _ common: PageHeader, page: Int, identity: [UInt8], layout: Layout, _ region: any Region
    ) -> [UInt8] {
        header.epoch = common.epoch
        header.epochFirst = common.epochFirst
        header.durable = common.durable
        header.used = at - PageHeader.size
        header.samples = Int(header.end - header.first)
        checksum = region.crc32c(bytes, checked..<at, after: checksum)
        checked = at
        header.write(to: &bytes, page: page, identity: identity, layout: layout, region, checked: checksum)
        return bytes
    }

    enum Content {
        case value(StoredValue)
        case tier(TierItem)
    }

    /// Calls `body` with each sample of a page whose checksums are right; false where it cannot be decoded.
    static func decode(
        _ page: [UInt8], _ header: PageHeader, _ body: (UInt64, UInt16, Int64, Content) -> Void
    ) -> Bool {
        let bytes = page.span
        var at = PageHeader.size + 8
        let end = min(PageHeader.size + header.used, bytes.count)
        var time = Int64(bitPattern: page.integer(UInt64.self, at: PageHeader.size))
        var series: Int64 = 0
        var ordinal = header.first
        while ordinal < header.end {
            guard let seriesStep = ChunkReader.varint(bytes, &at, end),
                let timeStep = ChunkReader.varint(bytes, &at, end), let code = ChunkReader.varint(bytes, &at, end)
            else { return false }
            series = series &+ unzigzag(seriesStep)
            time = time &+ unzigzag(timeStep)
            guard (0...Int64(UInt16.max)).contains(series), let content = content(code, page, &at, end) else {
                return false
            }
            body(ordinal, UInt16(truncatingIfNeeded: series), time, content)
            ordinal &+= 1
        }
        return true
    }

    /// What a code means, with the bytes behind it; nil where these end too soon.
    @inline(__always)
    private static func content(_ code: UInt64, _ page: [UInt8], _ at: inout Int, _ end: Int) -> Content? {
        if code & 7 > 2 { return .value(.number(Decimal.number(unzigzag(code >> 3), places: Int(code & 7) &- 3))) }
        switch code & 7 {
        case 0: return .value(.unknown)
        case 1:
            guard at + 8 <= end else { return nil }
            defer { at += 8 }
            return .value(.number(Double(bitPattern: page.integer(at: at))))
        default:
            guard code >> 3 < 128 else { return tierItem(page, code >> 3, &at, end).map(Content.tier) }
            let length = Int(code >> 3)
            guard length <= StoredValue.longestText, at + length <= end else { return nil }
            defer { at += length }
            return .value(.text(String(decoding: page[at..<at + length], as: UTF8.self)))
        }
    }

    private static func tierItem(_ page: [UInt8], _ code: UInt64, _ at: inout Int, _ end: Int) -> TierItem? {
        let count = Int(clamping: code & 127)
        guard code >> 7 <= 255, let tier = Tier(rawValue: UInt8(code >> 7 - 1)), count <= TierRecord.mostFields else {
            return nil
        }
        var fields: [Int64] = []
        fields.reserveCapacity(count)
        for _ in 0..<count {
            guard let field = ChunkReader.varint(page.span, &at, end) else { return nil }
            fields.append(unzigzag(field))
        }
        return TierItem(tier: tier, fields: fields)
    }
}
