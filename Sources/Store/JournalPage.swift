// The body of a journal page: samples in order of arrival.
//
//     base time i64, then for each sample
//     varint zigzag(series − series of the sample before)
//     varint zigzag(time − time of the sample before)
//     varint code: low three bits 0 unknown, 1 number as its 64 bits, 2 text, 3…7 a decimal with 0…4 places,
//                  the rest the length of the text or zigzag(whole number)
//     [8 bytes of the number | the text's bytes]

/// A journal page that grows with every commit until a sync has covered it.
struct JournalPage {
    private(set) var bytes = [UInt8](repeating: 0, count: Layout.pageSize)
    private var at = PageHeader.size + 8
    private var series: UInt16 = 0
    private var time: Int64 = 0
    private(set) var header = PageHeader(.journal)

    init(first: UInt64, sequence: UInt64) {
        header.first = first
        header.end = first
        header.sequence = sequence
    }

    /// The same samples, on another page.
    mutating func move(to sequence: UInt64) { header.sequence = sequence }

    /// False where the page has no room left.
    @inline(__always)
    mutating func append(_ record: Record, texts: [String]) -> Bool {
        guard at &+ 32 <= Layout.pageSize else { return false }
        if header.end == header.first {
            time = record.time
            bytes.put(UInt64(bitPattern: time), at: PageHeader.size)
        }
        let start = at
        bytes.putVarint(zigzag(Int64(record.series) &- Int64(series)), at: &at)
        bytes.putVarint(zigzag(record.time &- time), at: &at)
        guard putValue(record, texts: texts) else {
            at = start
            return false
        }
        series = record.series
        time = record.time
        header.end &+= 1
        if time < header.firstTime { header.firstTime = time }
        if time > header.lastTime { header.lastTime = time }
        return true
    }

    @inline(__always)
    private mutating func putValue(_ record: Record, texts: [String]) -> Bool {
        switch record.tag {
        case .number:
            let number = Double(bitPattern: record.bits)
            for places in 0...3 {
                if let whole = Decimal.whole(number, places: places) {
                    bytes.putVarint(zigzag(whole) << 3 | UInt64(3 &+ places), at: &at)
                    return true
                }
            }
            bytes.putVarint(1, at: &at)
            bytes.put(record.bits, at: at)
            at &+= 8
        case .unknown, .lost:
            bytes.putVarint(0, at: &at)
        case .text:
            let text = texts[Int(record.bits)].utf8
            guard at + 2 + text.count <= Layout.pageSize else { return false }
            bytes.putVarint(UInt64(text.count) << 3 | 2, at: &at)
            for byte in text {
                bytes[at] = byte
                at += 1
            }
        }
        return true
    }

    /// Makes the page ready to be written.
    mutating func finish(_ common: PageHeader, page: Int, identity: [UInt8], layout: Layout) -> [UInt8] {
        header.epoch = common.epoch
        header.epochFirst = common.epochFirst
        header.durable = common.durable
        header.used = at - PageHeader.size
        header.samples = Int(header.end - header.first)
        header.write(to: &bytes, page: page, identity: identity, layout: layout)
        return bytes
    }

    /// Calls `body` with each sample of a page whose checksums are right; false where it cannot be decoded.
    static func decode(
        _ bytes: [UInt8], _ header: PageHeader, _ body: (UInt64, UInt16, Int64, StoredValue) -> Void
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
            body(ordinal, UInt16(truncatingIfNeeded: series), time, value)
            ordinal += 1
        }
        return true
    }
}
