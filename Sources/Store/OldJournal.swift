// The body of a journal page of formats 1 to 3, which are read and not written any more: samples in order of arrival.
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

/// Decodes journal pages of formats 1 to 3.
enum OldJournal {
    /// Calls `body` with each sample of a page whose checksums are right; false where it cannot be decoded.
    static func decode(
        _ page: [UInt8], _ header: PageHeader, _ body: (UInt64, UInt16, Int64, JournalPage.Content) -> Void
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
    private static func content(_ code: UInt64, _ page: [UInt8], _ at: inout Int, _ end: Int) -> JournalPage.Content? {
        if code & 7 > 2 { return .value(.number(Decimal.number(unzigzag(code >> 3), places: Int(code & 7) &- 3))) }
        switch code & 7 {
        case 0: return .value(.unknown)
        case 1:
            guard at + 8 <= end else { return nil }
            defer { at += 8 }
            return .value(.number(Double(bitPattern: page.integer(at: at))))
        default:
            return JournalPage.textOrTier(page, code >> 3, &at, end)
        }
    }
}
