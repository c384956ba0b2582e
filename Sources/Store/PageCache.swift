/// The pages of the archive and the tiers that were read last, checked: at most 256, 1 MiB. Charts ask for one series
/// after the other, and neighbours share pages. A sequence never comes again with other content.
struct PageCache {
    struct Page {
        var bytes: [UInt8] = []
        var used = 0
        /// Where the chunks of the series begin that was asked for last: the next question is for the same or the next.
        var place = ChunkReader.Place()
    }

    private static let ways = 8
    private static let sets = 32
    /// By place; 0 where there is none.
    private var keys = [UInt64](repeating: 0, count: ways * sets)
    /// When a page was used last, by `clock`.
    private var uses = [UInt64](repeating: 0, count: ways * sets)
    private(set) var pages = [Page](repeating: Page(), count: ways * sets)
    private var clock: UInt64 = 0

    private static func places(_ key: UInt64) -> Range<Int> {
        let first = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 59) * ways
        return first..<first + ways
    }

    /// The place of a page.
    mutating func find(_ key: UInt64) -> Int? {
        for place in PageCache.places(key) where keys[place] == key {
            clock += 1
            uses[place] = clock
            return place
        }
        return nil
    }

    /// A page's worth of bytes to read into, and their place: of those that could stand there the one used longest ago
    /// is given up.
    mutating func storage(for key: UInt64) -> (place: Int, bytes: [UInt8]) {
        var oldest = PageCache.places(key).lowerBound
        for place in PageCache.places(key) where uses[place] < uses[oldest] { oldest = place }
        var bytes: [UInt8] = []
        swap(&bytes, &pages[oldest].bytes)
        keys[oldest] = 0
        uses[oldest] = 0
        return (oldest, bytes.count == Layout.pageSize ? bytes : [UInt8](repeating: 0, count: Layout.pageSize))
    }

    mutating func keep(_ bytes: [UInt8], _ used: Int, _ key: UInt64, at place: Int) {
        clock += 1
        keys[place] = key
        uses[place] = clock
        pages[place] = Page(bytes: bytes, used: used)
    }

    mutating func remember(_ chunks: ChunkReader.Place, at place: Int) { pages[place].place = chunks }
}

extension RingStore {
    /// Gives up what was kept of pages that were read, up to a mebibyte: the next question reads them again.
    package func forgetPages() { cache = PageCache() }
}
