// Bits, most significant first, and Rice codes: what the columns of the archive are made of.
//
// A Rice code of parameter k is z >> k in unary (ones, then a zero) and the low k bits. A unary part of 15 ones has no
// zero: six bits with the length less one and that many bits follow, so that no number costs more than 85 bits.

/// Writes bits into a page from `at` up to `limit`; sets `overflowed` instead of going further.
struct BitWriter {
    private(set) var at: Int
    private let limit: Int
    private var window: UInt64 = 0
    private var filled = 0
    private(set) var overflowed = false

    init(at: Int, limit: Int) {
        self.at = at
        self.limit = limit
    }

    /// The low `count` bits of `value`, at most 56.
    @inline(__always)
    mutating func put(_ value: UInt64, _ count: Int, _ page: inout MutableSpan<UInt8>) {
        window = window << UInt64(truncatingIfNeeded: count) | value
        filled &+= count
        if at &+ 8 <= limit, limit <= page.count {
            // All whole bytes at once, and what stands behind them as zeros or bits that are written again later. Bytes may
            // be any number.
            var bytes = unsafe page.mutableBytes
            let word = filled == 0 ? 0 : window &<< UInt64(truncatingIfNeeded: 64 &- filled)
            bytes.storeBytes(of: word.bigEndian, toByteOffset: at, as: UInt64.self)
            at &+= filled &>> 3
            filled &= 7
            return
        }
        while filled >= 8 {
            filled &-= 8
            guard at < limit else {
                overflowed = true
                return
            }
            page[at] = UInt8(truncatingIfNeeded: window >> UInt64(truncatingIfNeeded: filled))
            at &+= 1
        }
    }

    mutating func putLong(_ value: UInt64, _ count: Int, _ page: inout MutableSpan<UInt8>) {
        if count > 32 {
            put(value >> 32 & ((1 << UInt64(count - 32)) - 1), count - 32, &page)
            put(value & 0xFFFF_FFFF, 32, &page)
        } else {
            put(value & ((1 << UInt64(count)) - 1), count, &page)
        }
    }

    @inline(__always)
    mutating func putRice(_ value: UInt64, _ k: Int, _ page: inout MutableSpan<UInt8>) {
        let quotient = value >> UInt64(truncatingIfNeeded: k)
        if quotient < 15 {
            let q = UInt64(truncatingIfNeeded: quotient)
            put((1 << (q &+ 1)) &- 2, Int(truncatingIfNeeded: q) &+ 1, &page)
            if k > 0 { putLong(value, k, &page) }
        } else {
            let length = 64 - value.leadingZeroBitCount
            put(0x7FFF, 15, &page)
            put(UInt64(length - 1), 6, &page)
            putLong(value, length, &page)
        }
    }

    /// Whether all bits so far, flushed, stay below the limit.
    @inline(__always)
    var fits: Bool { !overflowed && (filled == 0 || at < limit) }

    /// Fills the last byte with zeros.
    mutating func flush(_ page: inout MutableSpan<UInt8>) {
        if filled > 0 { put(0, 8 - filled, &page) }
    }
}

/// Writes bits into words, the first bit the highest; a chunk's stream before it is known how long it gets.
struct WordWriter {
    private var at = 0
    /// The low `filled` bits count.
    private var window: UInt64 = 0
    private var filled = 0
    private var overflowed = false

    /// The low `count` bits of `value`, at most 64; the others must be zero.
    @inline(__always)
    mutating func put(_ value: UInt64, _ count: Int, _ words: inout MutableSpan<UInt64>) {
        let room = 64 &- filled
        if count < room {
            window = window &<< UInt64(truncatingIfNeeded: count) | value
            filled &+= count
            return
        }
        let rest = count &- room
        guard at < words.count else {
            overflowed = true
            return
        }
        words[at] = window << UInt64(truncatingIfNeeded: room) | value &>> UInt64(truncatingIfNeeded: rest)
        at &+= 1
        // What is above `rest` falls out at the top later.
        window = value
        filled = rest
    }

    @inline(__always)
    mutating func putRice(_ value: UInt64, _ k: Int, _ words: inout MutableSpan<UInt64>) {
        let quotient = value &>> UInt64(truncatingIfNeeded: k)
        if quotient < 15 {
            let ones = (2 &<< quotient) &- 2
            let low = value & ((1 &<< UInt64(truncatingIfNeeded: k)) &- 1)
            put(ones &<< UInt64(truncatingIfNeeded: k) | low, Int(truncatingIfNeeded: quotient) &+ 1 &+ k, &words)
        } else {
            let length = 64 - value.leadingZeroBitCount
            put(0x7FFF << 6 | UInt64(length - 1), 21, &words)
            put(value, length, &words)
        }
    }

    /// Six bits of length less one, and the number.
    mutating func putLength(_ value: UInt64, _ words: inout [UInt64]) {
        var own = words.mutableSpan
        let length = max(1, 64 - value.leadingZeroBitCount)
        put(UInt64(length - 1), 6, &own)
        put(value, length, &own)
    }

    /// Fills the last word with zeros, and gives the bytes in use; nil where the words were not enough.
    mutating func finish(_ words: inout [UInt64]) -> Int? {
        let length = at * 8 + (filled + 7) / 8
        guard !overflowed, filled == 0 || at < words.count else { return nil }
        if filled > 0 { words[at] = window << UInt64(64 - filled) }
        return length
    }
}

/// Reads what the writers wrote. Beyond the end it gives whatever stands on the page there, zeros behind that, and has
/// `failed`: to look once at the end costs less than at every code.
struct BitReader {
    private var at: Int
    private let end: Int
    private var window: UInt64 = 0
    /// Below zero where the page had no more.
    private var filled = 0

    /// More was read than there is.
    var failed: Bool { at &* 8 &- filled > end &* 8 }

    init(at: Int, end: Int) {
        self.at = at
        self.end = end
    }

    /// Afterwards at least 56 bits stand at the top of the window, or all that are left. What is rare goes by value, so
    /// that a loop keeps its reader in registers.
    @inline(__always)
    mutating func refill(_ page: borrowing Span<UInt8>) {
        guard at &+ 8 <= page.count else {
            self = refilledSlowly(page)
            return
        }
        let eight = page.extracting(at..<at &+ 8)
        guard eight.count == 8 else { return }
        var word = UInt64(eight[0]) << 56 | UInt64(eight[1]) << 48 | UInt64(eight[2]) << 40 | UInt64(eight[3]) << 32
        word |= UInt64(eight[4]) << 24 | UInt64(eight[5]) << 16 | UInt64(eight[6]) << 8 | UInt64(eight[7])
        // Bits beyond `filled` are those that follow in the stream, so that they may come twice.
        window |= word &>> UInt64(truncatingIfNeeded: filled)
        let bytes = (63 &- filled) >> 3
        at &+= bytes
        filled &+= bytes &* 8
    }

    @inline(never)
    private func refilledSlowly(_ page: borrowing Span<UInt8>) -> BitReader {
        var reader = self
        while reader.filled <= 56, reader.at < page.count {
            reader.window |= UInt64(page[reader.at]) << UInt64(truncatingIfNeeded: 56 &- reader.filled)
            reader.filled &+= 8
            reader.at &+= 1
        }
        return reader
    }

    @inline(__always)
    private mutating func drop(_ count: Int) {
        window = window << UInt64(truncatingIfNeeded: count)
        filled &-= count
    }

    /// The next bits of a full window, at least one; they stay there.
    @inline(__always)
    func next(_ count: Int) -> Int { Int(truncatingIfNeeded: window &>> UInt64(truncatingIfNeeded: 64 &- count)) }

    /// Drops bits that were looked at.
    @inline(__always)
    mutating func skip(_ count: UInt64) {
        window = window &<< count
        filled &-= Int(truncatingIfNeeded: count)
    }

    /// At most 56 bits.
    @inline(__always)
    mutating func get(_ count: Int, _ page: borrowing Span<UInt8>) -> UInt64 {
        guard count > 0 else { return 0 }
        if filled < count { refill(page) }
        let value = window >> UInt64(truncatingIfNeeded: 64 &- count)
        drop(count)
        return value
    }

    mutating func getLong(_ count: Int, _ page: borrowing Span<UInt8>) -> UInt64 {
        guard count > 32 else { return get(count, page) }
        let high = get(count - 32, page)
        return high << 32 | get(32, page)
    }

    /// Six bits of length less one, and the number.
    mutating func getLength(_ page: borrowing Span<UInt8>) -> UInt64 {
        let length = Int(truncatingIfNeeded: get(6, page)) &+ 1
        return getLong(length, page)
    }

    @inline(__always)
    mutating func getRice(_ k: Int, _ page: borrowing Span<UInt8>) -> UInt64 {
        if filled < 48 { refill(page) }
        return takeRice(k, page)
    }

    /// Up to this parameter two codes stand in one window.
    static let mostOfTwo = 12

    /// Two codes of a parameter up to `mostOfTwo`, one after the other.
    @inline(__always)
    mutating func getTwoRice(_ k: Int, _ page: borrowing Span<UInt8>) -> (UInt64, UInt64) {
        refill(page)
        let first = takeRice(k, page)
        return (first, takeRice(k, page))
    }

    /// A code that stands in the window as far as the stream has it, unless it is a long one.
    @inline(__always)
    private mutating func takeRice(_ k: Int, _ page: borrowing Span<UInt8>) -> UInt64 {
        let ones = (~window).leadingZeroBitCount
        guard ones < 15, k <= 32 else {
            let long = longRice(ones, k, page)
            self = long.reader
            return long.value
        }
        // At most 47 bits.
        window = window &<< UInt64(truncatingIfNeeded: ones &+ 1)
        let low = (window &>> 1) &>> UInt64(truncatingIfNeeded: 63 &- k)
        window = window &<< UInt64(truncatingIfNeeded: k)
        filled &-= ones &+ 1 &+ k
        return UInt64(truncatingIfNeeded: ones) &<< UInt64(truncatingIfNeeded: k) | low
    }

    /// The same for all codes; afterwards the window is full again.
    @inline(never)
    private func longRice(
        _ ones: Int, _ k: Int, _ page: borrowing Span<UInt8>
    ) -> (reader: BitReader, value: UInt64) {
        var reader = self
        var value: UInt64
        if ones < 15 {
            reader.drop(ones &+ 1)
            value = UInt64(truncatingIfNeeded: ones) << UInt64(truncatingIfNeeded: k) | reader.getLong(k, page)
        } else {
            reader.drop(15)
            value = reader.getLong(Int(truncatingIfNeeded: reader.get(6, page)) &+ 1, page)
        }
        reader.refill(page)
        return (reader, value)
    }
}

/// Counts how long numbers are, to choose how to code them.
struct LengthHistogram: ~Copyable {
    private var counts: InlineArray<65, Int32> = .init(repeating: 0)
    /// Every bit that any of them has.
    private var seen: UInt64 = 0
    private(set) var total = 0

    @inline(__always)
    mutating func add(_ value: UInt64) {
        let length = 64 &- value.leadingZeroBitCount
        counts[length] &+= 1
        total &+= length
        seen |= value
    }

    /// The same for so many zeros.
    @inline(__always)
    mutating func addZeros(_ count: Int) { counts[0] &+= Int32(truncatingIfNeeded: count) }

    /// The Rice parameter that codes these numbers in the fewest bits, near enough: each is taken as the middle of the
    /// numbers of its length.
    func bestParameter(count: Int) -> Int {
        let longest = 64 &- seen.leadingZeroBitCount
        guard longest > 0 else { return 0 }
        let counts = counts.span
        var median = 0
        var below = 0
        while median < longest {
            below &+= Int(counts[median])
            if below &* 2 >= count { break }
            median &+= 1
        }
        var best = (bits: Int.max, k: 0)
        var k = max(0, median &- 2)
        while k <= max(0, median &+ 1), k < 56 {
            let bits = LengthHistogram.cost(k, longest, counts)
            if bits < best.bits { best = (bits, k) }
            k &+= 1
        }
        return best.k
    }

    /// What these numbers take in bits with parameter k.
    func cost(_ k: Int) -> Int { LengthHistogram.cost(k, 64 &- seen.leadingZeroBitCount, counts.span) }

    /// By span, since a look at an array of a fixed size would copy all of it.
    @inline(__always)
    private static func cost(_ k: Int, _ longest: Int, _ counts: borrowing Span<Int32>) -> Int {
        guard counts.count == 65, k >= 0, longest <= 64 else { return 0 }
        // Up to k bits, numbers have no unary part; the middle of k + 1 bits has one, of one bit more three.
        var bits = 0
        var length = 0
        while length <= min(k, longest) {
            bits &+= Int(counts[length])
            length &+= 1
        }
        bits &*= k &+ 1
        while length <= longest {
            let over = length &- k
            let each = over > 4 ? 21 &+ length : (over == 4 ? 13 : over == 3 ? 7 : over == 2 ? 4 : 2) &+ k
            bits &+= Int(counts[length]) &* each
            length &+= 1
        }
        return bits
    }
}
