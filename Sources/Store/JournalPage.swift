// The body of a journal page since format 4: samples in order of arrival.
//
//     base time i64, then for each sample
//     control u8: bits 0…2 mark   3…5 bytes of the number   6…7 way of the steps:
//                 0 series before plus one, the same time as the sample before
//                 1 series before plus one, u8 zigzag(time − time of the sample before)
//                 2 series before plus one, the same in three bytes, low ones first
//                 3 varint zigzag(series − series of the sample before), varint zigzag(time step)
//     the steps
//     the number, low bytes first:
//       mark 0…4  zigzag(whole number) of a decimal with so many places
//            5    eight bytes, the bits of a double; bits 3…5 of the control are 0
//            6    unknown, no bytes
//            7    length of a text, followed by it
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
        // Of its own, so that it stays in registers.
        var (at, series, offset) = (UInt32(self.at), self.series, time &- base)
        var (earliest, latest) = (header.firstTime &- base, header.lastTime &- base)
        if header.firstTime > header.lastTime { (earliest, latest) = (.max, .min) }
        var index = first
        while index < records.count, Int(at) + JournalPage.most <= page.count {
            let record = records[index]
            let number = record.number
            let step = zigzag(record.offset &- offset)
            guard record.isDecimal else { break }
            let length = UInt32(truncatingIfNeeded: 71 &- number.leadingZeroBitCount) >> 3
            let control = record.mark | UInt64(length) << 3
            if record.series == series &+ 1, step < 1 << 24 {
                // Nearly always. How long steps and numbers are nobody can guess, so it is done without a branch.
                let isLong: UInt32 = step < 256 ? 0 : 1
                let way = isLong &+ (step == 0 ? 0 : 1)
                JournalPage.put(control | UInt64(way) << 6 | step << 8, &page, at)
                at &+= 1 &+ way &+ isLong
            } else {
                at = JournalPage.put(control, zigzag(Int64(record.series) &- Int64(series)), step, &page, at)
            }
            JournalPage.put(number, &page, at)
            at &+= length
            series = record.series
            offset = record.offset
            earliest = min(earliest, offset)
            latest = max(latest, offset)
            index &+= 1
        }
        (self.at, self.series, self.time) = (Int(at), series, base &+ offset)
        if index > first { (header.firstTime, header.lastTime) = (base &+ earliest, base &+ latest) }
        return index
    }

    /// The control and both steps, the fourth way; gives the place after them.
    @inline(never)
    private static func put(
        _ control: UInt64, _ series: UInt64, _ time: UInt64, _ page: inout MutableSpan<UInt8>, _ start: UInt32
    ) -> UInt32 {
        var at = Int(start)
        page[at] = UInt8(truncatingIfNeeded: control | 3 << 6)
        at &+= 1
        putVarint(series, &page, &at)
        putVarint(time, &page, &at)
        return UInt32(truncatingIfNeeded: at)
    }

    /// Eight bytes, low ones first; what is too much are zeros where zeros are. It is checked that the page has them; what
    /// the language takes for unsafe is that a type might not allow every bit, which bytes do.
    @inline(__always)
    private static func put(_ word: UInt64, _ page: inout MutableSpan<UInt8>, _ at: UInt32) {
        var bytes = unsafe page.mutableBytes
        bytes.storeBytes(of: word.littleEndian, toByteOffset: Int(at), as: UInt64.self)
    }

    private static let double: UInt64 = 5
    private static let unknown: UInt64 = 6
    private static let text: UInt64 = 7

    /// Without its text or fields a sample takes so many bytes.
    private static let most = 24

    private func hasRoom(for record: Record, _ head: Head, _ end: Int) -> Bool {
        switch record.tag {
        case .number, .unknown, .lost: at + JournalPage.most <= end
        case .text: at + JournalPage.most + head.texts[Int(record.bits)].utf8.count <= end
        case .tier: at + JournalPage.most + 10 * head.item(record).fields.count <= end
        }
    }

    private mutating func putAny(_ record: Record, _ head: Head, _ page: inout MutableSpan<UInt8>) {
        var (mark, number, length) = (JournalPage.unknown, UInt64(0), 0)
        switch record.tag {
        case .number where record.places < Record.noPlaces:
            (mark, number) = (UInt64(record.places), zigzag(Int64(bitPattern: record.bits)))
        case .number: (mark, number, length) = (JournalPage.double, record.bits, 8)
        case .unknown, .lost: break
        case .text: (mark, number) = (JournalPage.text, UInt64(head.texts[Int(record.bits)].utf8.count))
        case .tier:
            let item = head.item(record)
            header.holds(item.tier)
            (mark, number) = (JournalPage.text, UInt64(128 * (1 + Int(item.tier.rawValue)) + item.fields.count))
        }
        if mark != JournalPage.double { length = (71 - number.leadingZeroBitCount) >> 3 }
        let place = JournalPage.put(
            mark | UInt64(length & 7) << 3, zigzag(Int64(record.series) &- Int64(series)),
            zigzag(record.time &- time), &page, UInt32(at))
        JournalPage.put(number, &page, place)
        at = Int(place) + length
        if record.tag == .tier {
            for field in head.item(record).fields { JournalPage.putVarint(zigzag(field), &page, &at) }
        } else if record.tag == .text {
            let text = head.texts[Int(record.bits)].utf8.span
            for index in text.indices { page[at &+ index] = text[index] }
            at += text.count
        }
        series = record.series
        time = record.time
        header.firstTime = min(header.firstTime, time)
        header.lastTime = max(header.lastTime, time)
    }

    private static func putVarint(_ value: UInt64, _ page: inout MutableSpan<UInt8>, _ at: inout Int) {
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
}
