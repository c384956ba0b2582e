// Every page begins the same way. Integers are little-endian; checksums are CRC-32C.
//
//     0  "FGSP"        4  format  5 kind  6 used u16      8 header CRC u32     12 body CRC u32 (of 128..<4096)
//     16 identity of the store, 16 bytes
//     32 sequence u64: of the ring, or the generation of a catalog page
//     40 own page number u32   44 pages u32   48 journal pages u32   52 catalog pages u32   56 series limit u16
//     58 share of slots u8, in 1/256   59 share of days u8, in 1/1024   (both 0 in the first format)
//     60 epoch u32     64 epoch's first ordinal u64
//     72 first ordinal u64     80 end ordinal u64     88 ordinals below were durable when this was written u64
//     96 first time i64       104 last time i64
//     112 first series u16    114 last series u16    116 index in run u16    118 pages in run u16
//     120 samples in this page u32                   124 samples in the run u32
//
// A page of the journal belongs to no run: there, 118 is 1, and 1 more where it holds records of slots, 2 more where it
// holds records of days.
//
// The header CRC is that of bytes 0..<8 and 12..<128, as if they stood together.
//
// The own page number gives a misdirected write away, the sequence one that never happened. An **ordinal** counts the
// samples of the store in order of arrival: a missing number is a lost sample, and the same number is the same sample
// wherever it stands. An **epoch** lasts from one opening of the store to the next; it voids what older epochs left at
// its own ordinals.

/// What the first 128 bytes of a page say.
struct PageHeader {
    enum Kind: UInt8 {
        case superblock = 1
        case catalog, journal, archive, slots, days

        init(_ tier: Tier) { self = tier == .slots ? .slots : .days }
    }

    static let size = 128
    static let bodySize = Layout.pageSize - size
    static let format: UInt8 = 4
    /// Formats that are read. The first had neither tiers nor their shares; the second wrote a chunk of the archive sample
    /// by sample, the third a sample of the journal as varints.
    static let formats: ClosedRange<UInt8> = 1...4
    /// Archive pages of this format or later hold chunks as `Chunk.swift` draws them, older ones as `OldChunks.swift`.
    static let firstFormatOfColumns: UInt8 = 3
    /// Pages of the journal of this format or later hold samples as `JournalPage.swift` draws them, older ones as
    /// `OldJournal.swift`.
    static let firstFormatOfControls: UInt8 = 4
    static let magic: UInt32 = 0x5053_4746

    var kind: Kind
    var used = 0
    var sequence: UInt64 = 0
    var epoch: UInt32 = 0
    var epochFirst: UInt64 = 0
    var first: UInt64 = 0
    var end: UInt64 = 0
    var durable: UInt64 = 0
    var firstTime: Int64 = .max
    var lastTime: Int64 = .min
    var firstSeries: UInt16 = 0
    var lastSeries: UInt16 = 0
    var index = 0
    var runPages = 0
    var samples = 0
    var runSamples = 0

    /// Of a page of the journal: whether it may have records of a tier. Pages of earlier versions do not tell.
    func mayHold(_ tier: Tier) -> Bool { runPages == 0 || (runPages - 1) & 1 << Int(tier.rawValue) != 0 }

    /// The page of the journal has a record of this tier.
    mutating func holds(_ tier: Tier) { runPages = ((runPages - 1) | 1 << Int(tier.rawValue)) + 1 }

    init(_ kind: Kind) { self.kind = kind }

    /// Reads a header whose checksum, place and store are right; nil otherwise. The body is not looked at.
    init?(_ bytes: [UInt8], page: Int, identity: [UInt8]) {
        guard PageHeader.isSound(bytes), PageHeader.formats.contains(bytes[4]), let kind = Kind(rawValue: bytes[5]),
            Int(bytes.integer(UInt32.self, at: 40)) == page, bytes[16..<32].elementsEqual(identity)
        else { return nil }
        self.kind = kind
        used = Int(bytes.integer(UInt16.self, at: 6))
        sequence = bytes.integer(at: 32)
        epoch = bytes.integer(at: 60)
        epochFirst = bytes.integer(at: 64)
        first = bytes.integer(at: 72)
        end = bytes.integer(at: 80)
        durable = bytes.integer(at: 88)
        firstTime = Int64(bitPattern: bytes.integer(at: 96))
        lastTime = Int64(bitPattern: bytes.integer(at: 104))
        firstSeries = bytes.integer(at: 112)
        lastSeries = bytes.integer(at: 114)
        index = Int(bytes.integer(UInt16.self, at: 116))
        runPages = Int(bytes.integer(UInt16.self, at: 118))
        samples = Int(bytes.integer(UInt32.self, at: 120))
        runSamples = Int(bytes.integer(UInt32.self, at: 124))
        guard used <= PageHeader.bodySize, first <= end, end < 1 << 62, sequence < 1 << 62 else { return nil }
    }

    /// Whether the header's own checksum fits.
    static func isSound(_ bytes: [UInt8]) -> Bool {
        bytes.count >= size && bytes.integer(UInt32.self, at: 0) == magic
            && bytes.integer(UInt32.self, at: 8) == checksum(bytes)
    }

    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        Checksum.crc32c(bytes, 12..<size, after: Checksum.crc32c(bytes, 0..<8))
    }

    /// Whether the body's checksum fits; the header must be sound.
    static func isBodySound(_ bytes: [UInt8], _ region: any Region) -> Bool {
        bytes.count == Layout.pageSize
            && bytes.integer(UInt32.self, at: 12) == region.crc32c(bytes, size..<Layout.pageSize, after: 0)
    }

    /// The store's identity and division, from any sound page of it.
    static func store(_ bytes: [UInt8]) -> (identity: [UInt8], layout: Layout)? {
        guard isSound(bytes),
            let layout = Layout(
                pages: Int(bytes.integer(UInt32.self, at: 44)), seriesLimit: Int(bytes.integer(UInt16.self, at: 56)),
                catalogPages: Int(bytes.integer(UInt32.self, at: 52)),
                journalPages: Int(bytes.integer(UInt32.self, at: 48)),
                shares: TierShares(slots: bytes[58], days: bytes[59]))
        else { return nil }
        return (Array(bytes[16..<32]), layout)
    }

    /// Fills in the header and both checksums of a page whose body stands: `used` bytes, and zeros after them.
    /// - Parameter checked: the checksum of the used part, where it is known already.
    func write(
        to bytes: inout [UInt8], page: Int, identity: [UInt8], layout: Layout, _ region: any Region,
        checked: UInt32? = nil
    ) {
        writeFields(to: &bytes, page: page, identity: identity, layout: layout)
        let part = checked ?? region.crc32c(bytes, PageHeader.size..<PageHeader.size + used, after: 0)
        bytes.put(Checksum.crc32c(zeros: PageHeader.bodySize - used, after: part), at: 12)
        let start = region.crc32c(bytes, 0..<8, after: 0)
        bytes.put(region.crc32c(bytes, 12..<PageHeader.size, after: start), at: 8)
    }

    /// All but the checksums. Every commit writes a page: as one span, since an array would be asked at every field whether
    /// somebody else has it.
    private func writeFields(to bytes: inout [UInt8], page: Int, identity: [UInt8], layout: Layout) {
        var all = bytes.mutableSpan
        var header = unsafe all.mutableBytes
        guard header.byteCount >= PageHeader.size else { return }
        header.put(PageHeader.magic, at: 0)
        header.put(PageHeader.format, at: 4)
        header.put(kind.rawValue, at: 5)
        header.put(UInt16(truncatingIfNeeded: used), at: 6)
        for index in 0..<16 { header.put(identity[index], at: 16 + index) }
        header.put(sequence, at: 32)
        header.put(UInt32(truncatingIfNeeded: page), at: 40)
        header.put(UInt32(truncatingIfNeeded: layout.pages), at: 44)
        header.put(UInt32(truncatingIfNeeded: layout.journalPages), at: 48)
        header.put(UInt32(truncatingIfNeeded: layout.catalogPages), at: 52)
        header.put(UInt16(truncatingIfNeeded: layout.seriesLimit), at: 56)
        header.put(layout.shares.slots, at: 58)
        header.put(layout.shares.days, at: 59)
        header.put(epoch, at: 60)
        header.put(epochFirst, at: 64)
        header.put(first, at: 72)
        header.put(end, at: 80)
        header.put(durable, at: 88)
        header.put(UInt64(bitPattern: firstTime), at: 96)
        header.put(UInt64(bitPattern: lastTime), at: 104)
        header.put(firstSeries, at: 112)
        header.put(lastSeries, at: 114)
        header.put(UInt16(truncatingIfNeeded: index), at: 116)
        header.put(UInt16(truncatingIfNeeded: runPages), at: 118)
        header.put(UInt32(truncatingIfNeeded: samples), at: 120)
        header.put(UInt32(truncatingIfNeeded: runSamples), at: 124)
    }
}
