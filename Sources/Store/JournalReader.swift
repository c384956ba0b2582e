// Reading the bodies of journal pages of every format. `JournalPage.swift` draws the present one.

extension JournalPage {
    enum Content {
        case value(StoredValue)
        case tier(TierItem)
    }

    /// Calls `body` with each sample of a page whose checksums are right; false where it cannot be decoded.
    static func decode(
        _ page: [UInt8], _ header: PageHeader, _ body: (UInt64, UInt16, Int64, Content) -> Void
    ) -> Bool {
        guard page[4] >= PageHeader.firstFormatOfControls else { return OldJournal.decode(page, header, body) }
        let bytes = page.span
        var at = PageHeader.size + 8
        let end = min(PageHeader.size + header.used, bytes.count)
        var time = Int64(bitPattern: page.integer(UInt64.self, at: PageHeader.size))
        var series: Int64 = 0
        var ordinal = header.first
        while ordinal < header.end {
            guard at < end else { return false }
            let control = bytes[at]
            at &+= 1
            guard let steps = steps(control >> 6, bytes, &at, end) else { return false }
            series = series &+ steps.series
            time = time &+ steps.time
            guard (0...Int64(UInt16.max)).contains(series), let content = content(control, page, &at, end) else {
                return false
            }
            body(ordinal, UInt16(truncatingIfNeeded: series), time, content)
            ordinal &+= 1
        }
        return true
    }

    @inline(__always)
    private static func steps(
        _ way: UInt8, _ page: borrowing Span<UInt8>, _ at: inout Int, _ end: Int
    ) -> (series: Int64, time: Int64)? {
        switch way {
        case 0: return (1, 0)
        case 1:
            guard at < end else { return nil }
            at &+= 1
            return (1, unzigzag(UInt64(page[at &- 1])))
        case 2:
            guard at &+ 2 < end else { return nil }
            at &+= 3
            let step = UInt64(page[at &- 3]) | UInt64(page[at &- 2]) << 8 | UInt64(page[at &- 1]) << 16
            return (1, unzigzag(step))
        default:
            guard let series = ChunkReader.varint(page, &at, end), let time = ChunkReader.varint(page, &at, end) else {
                return nil
            }
            return (unzigzag(series), unzigzag(time))
        }
    }

    /// What the number behind the steps means, with the bytes behind it; nil where these end too soon.
    @inline(__always)
    private static func content(_ control: UInt8, _ page: [UInt8], _ at: inout Int, _ end: Int) -> Content? {
        let mark = control & 7
        let length = mark == 5 ? 8 : Int(control >> 3 & 7)
        guard at &+ length <= end else { return nil }
        // All eight bytes of the page, of which those beyond the number are dropped; near its end one by one.
        var number: UInt64 = 0
        if at &+ 8 <= page.count {
            number = page.integer(at: at)
            if length < 8 { number &= 1 << UInt64(8 &* length) &- 1 }
        } else {
            for index in 0..<length { number |= UInt64(page[at &+ index]) << UInt64(8 &* index) }
        }
        at &+= length
        if mark < 5 { return .value(.number(Decimal.number(unzigzag(number), places: Int(mark)))) }
        switch mark {
        case 5: return .value(.number(Double(bitPattern: number)))
        case 6: return .value(.unknown)
        default: return textOrTier(page, number, &at, end)
        }
    }

    /// What stands behind its length.
    static func textOrTier(_ page: [UInt8], _ code: UInt64, _ at: inout Int, _ end: Int) -> Content? {
        guard code < 128 else { return tierItem(page, code, &at, end).map(Content.tier) }
        let length = Int(code)
        guard length <= StoredValue.longestText, at + length <= end else { return nil }
        defer { at += length }
        return .value(.text(String(decoding: page[at..<at + length], as: UTF8.self)))
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
