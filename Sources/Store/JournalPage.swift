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
        fill(&own, head, from: head.index(ordinal))
        swap(&own, &bytes)
    }

    private mutating func fill(_ own: inout [UInt8], _ head: Head, from first: Int) {
        let records = head.records.span
        var page = own.mutableSpan
        var index = first
        // Without its text a sample takes 22 bytes at most.
        while index < records.count, at &+ 22 <= page.count {
            let record = records[index]
            if record.tag == .text, at &+ 22 &+ head.texts[Int(record.bits)].utf8.count > page.count { return }
            if record.tag == .tier, at &+ 22 &+ 10 &* head.tierItems[Int(record.bits)].fields.count > page.count {
                return
            }
            JournalPage.put(zigzag(Int64(record.series) &- Int64(series)), &page, &at)
            JournalPage.put(zigzag(record.time &- time), &page, &at)
            JournalPage.put(record, head, &page, &at)
            series = record.series
            time = record.time
            header.end &+= 1
            if time < header.firstTime { header.firstTime = time }
            if time > header.lastTime { header.lastTime = time }
            index &+= 1
        }
    }

    @inline(__always)
    private static func put(_ value: UInt64, _ page: inout MutableSpan<UInt8>, _ at: inout Int) {
        var rest = value
        while rest >= 0x80 {
            page[at] = UInt8(truncatingIfNeeded: rest) | 0x80
            at &+= 1
            rest &>>= 7
        }
        page[at] = UInt8(truncatingIfNeeded: rest)
        at &+= 1
    }

    @inline(__always)
    private static func put(_ record: Record, _ head: Head, _ page: inout MutableSpan<UInt8>, _ at: inout Int) {
        switch record.tag {
        case .number:
            if record.places <= 4 {
                let whole = zigzag(Int64(bitPattern: record.bits))
                return put(whole << 3 | UInt64(3 &+ record.places), &page, &at)
            }
            put(1, &page, &at)
            for index in 0..<8 { page[at &+ index] = UInt8(truncatingIfNeeded: record.bits >> UInt64(8 &* index)) }
            at &+= 8
        case .unknown, .lost: put(0, &page, &at)
        case .tier:
            let item = head.tierItems[Int(record.bits)]
            put(UInt64(128 &* (1 &+ Int(item.tier.rawValue)) &+ item.fields.count) << 3 | 2, &page, &at)
            for field in item.fields { put(zigzag(field), &page, &at) }
        case .text:
            let text = head.texts[Int(record.bits)].utf8
            put(UInt64(text.count) << 3 | 2, &page, &at)
            for byte in text {
                page[at] = byte
                at &+= 1
            }
        }
    }

    /// Makes the page ready to be written.
    mutating func finish(_ common: PageHeader, page: Int, identity: [UInt8], layout: Layout) -> [UInt8] {
        header.epoch = common.epoch
        header.epochFirst = common.epochFirst
        header.durable = common.durable
        header.used = at - PageHeader.size
        header.samples = Int(header.end - header.first)
        checksum = Checksum.crc32c(bytes, checked..<at, after: checksum)
        checked = at
        header.write(to: &bytes, page: page, identity: identity, layout: layout, checked: checksum)
        return bytes
    }

    enum Content {
        case value(StoredValue)
        case tier(TierItem)
    }

    /// Calls `body` with each sample of a page whose checksums are right; false where it cannot be decoded.
    static func decode(
        _ bytes: [UInt8], _ header: PageHeader, _ body: (UInt64, UInt16, Int64, Content) -> Void
    )
        -> Bool
    {
        var at = PageHeader.size + 8
        let end = PageHeader.size + header.used
        var time = Int64(bitPattern: bytes.integer(UInt64.self, at: PageHeader.size))
        var series: Int64 = 0
        var ordinal = header.first
        while ordinal < header.end {
            guard let seriesStep = bytes.varint(at: &at, end: end), let timeStep = bytes.varint(at: &at, end: end),
                let code = bytes.varint(at: &at, end: end)
            else { return false }
            series = series &+ unzigzag(seriesStep)
            time = time &+ unzigzag(timeStep)
            guard (0...Int64(UInt16.max)).contains(series) else { return false }
            if code & 7 == 2, code >> 3 >= 128 {
                guard let item = tierItem(bytes, code >> 3, &at, end) else { return false }
                body(ordinal, UInt16(truncatingIfNeeded: series), time, .tier(item))
                ordinal += 1
                continue
            }
            let value: StoredValue
            switch code & 7 {
            case 0: value = .unknown
            case 1:
                guard at + 8 <= end else { return false }
                value = .number(Double(bitPattern: bytes.integer(at: at)))
                at += 8
            case 2:
                let length = Int(clamping: code >> 3)
                guard length <= StoredValue.longestText, at + length <= end else { return false }
                value = .text(String(decoding: bytes[at..<at + length], as: UTF8.self))
                at += length
            case let places:
                value = .number(Decimal.number(unzigzag(code >> 3), places: Int(places) - 3))
            }
            body(ordinal, UInt16(truncatingIfNeeded: series), time, .value(value))
            ordinal += 1
        }
        return true
    }

    private static func tierItem(_ bytes: [UInt8], _ code: UInt64, _ at: inout Int, _ end: Int) -> TierItem? {
        let count = Int(clamping: code & 127)
        guard code >> 7 <= 255, let tier = Tier(rawValue: UInt8(code >> 7 - 1)), count <= TierRecord.mostFields else {
            return nil
        }
        var fields: [Int64] = []
        fields.reserveCapacity(count)
        for _ in 0..<count {
            guard let field = bytes.varint(at: &at, end: end) else { return nil }
            fields.append(unzigzag(field))
        }
        return TierItem(tier: tier, fields: fields)
    }
}
