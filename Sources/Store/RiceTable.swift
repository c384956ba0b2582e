// Most Rice codes are a few bits long, so that the next eleven bits of a stream hold two or three of them. To look these
// up takes as long as to read one bit by bit, and the wait for one code's length before the next can be looked at is
// what reading takes.

/// What the next bits of a stream of Rice codes of signed numbers say, for every parameter that lets two codes stand in
/// so few bits.
enum RiceTable {
    /// How many bits are looked up at once.
    static let bits = 11
    /// So many codes at most.
    static let most = 3
    /// Of larger parameters a table would give one code at a time.
    static let mostParameter = 5
    static let size = 1 << bits

    /// By parameter, then by bits; each entry has
    ///
    ///     bits 0…5 the length of its codes, 6…7 how many they are, and then 8 bits for each: the number
    ///
    /// It is 0 where the bits are not enough for one code. Of the processor's nearest memory a table takes a quarter.
    static let entries: [UInt32] = (0...mostParameter).flatMap { k in
        (0..<size).map { entry(UInt64($0) << UInt64(64 - bits), k) }
    }

    /// - Parameter window: the bits stand at its top.
    private static func entry(_ window: UInt64, _ k: Int) -> UInt32 {
        var rest = window
        var length = 0
        var count = 0
        var numbers: UInt32 = 0
        while count < most {
            let ones = (~rest).leadingZeroBitCount
            let own = ones + 1 + k
            guard length + own <= bits else { break }
            let low = ((rest << UInt64(ones + 1)) >> 1) &>> UInt64(63 - k)
            let number = unzigzag(UInt64(ones) << UInt64(k) | low)
            numbers |= UInt32(UInt8(bitPattern: Int8(number))) << UInt32(8 + 8 * count)
            rest <<= UInt64(own)
            length += own
            count += 1
        }
        return count > 0 ? numbers | UInt32(count) << 6 | UInt32(length) : 0
    }
}

extension BitReader {
    /// Reads Rice codes of signed numbers, as zigzag has them, to the end of `numbers`, from an index on.
    @inline(__always)
    mutating func getSigned<Number: FixedWidthInteger>(
        _ k: Int, _ page: borrowing Span<UInt8>, into numbers: inout MutableSpan<Number>, from first: Int
    ) {
        self = signed(k, page, &numbers, first)
    }

    /// A reader goes by value and comes back, so that it stays in registers.
    private func signed<Number: FixedWidthInteger>(
        _ k: Int, _ page: borrowing Span<UInt8>, _ numbers: inout MutableSpan<Number>, _ first: Int
    ) -> BitReader {
        var stream = self
        var index = first
        if k >= 0, k <= RiceTable.mostParameter {
            let entries = RiceTable.entries
            let table = entries.span.extracting(k * RiceTable.size..<(k + 1) * RiceTable.size)
            // A full window has the bits of five looks.
            while index &+ 5 * RiceTable.most <= numbers.count {
                stream.refill(page)
                stream.look(k, table, page, &numbers, &index)
                stream.look(k, table, page, &numbers, &index)
                stream.look(k, table, page, &numbers, &index)
                stream.look(k, table, page, &numbers, &index)
                stream.look(k, table, page, &numbers, &index)
            }
            while index &+ RiceTable.most <= numbers.count {
                stream.refill(page)
                stream.look(k, table, page, &numbers, &index)
            }
        } else if k <= BitReader.mostOfTwo {
            while index &+ 1 < numbers.count {
                let (one, two) = stream.getTwoRice(k, page)
                numbers[index] = Number(truncatingIfNeeded: unzigzag(one))
                numbers[index &+ 1] = Number(truncatingIfNeeded: unzigzag(two))
                index &+= 2
            }
        }
        while index < numbers.count {
            numbers[index] = Number(truncatingIfNeeded: unzigzag(stream.getRice(k, page)))
            index &+= 1
        }
        return stream
    }

    /// Takes the codes that the top of the window has; a longer one by itself. There must be room for three numbers, and
    /// what is no number yet may change.
    @inline(__always)
    private mutating func look<Number: FixedWidthInteger>(
        _ k: Int, _ table: borrowing Span<UInt32>, _ page: borrowing Span<UInt8>,
        _ numbers: inout MutableSpan<Number>, _ index: inout Int
    ) {
        let entry = table[next(RiceTable.bits)]
        guard entry != 0 else {
            let long = longCode(k, page)
            self = long.reader
            numbers[index] = Number(truncatingIfNeeded: unzigzag(long.value))
            index &+= 1
            return
        }
        numbers[index] = Number(truncatingIfNeeded: Int8(truncatingIfNeeded: entry >> 8))
        numbers[index &+ 1] = Number(truncatingIfNeeded: Int8(truncatingIfNeeded: entry >> 16))
        numbers[index &+ 2] = Number(truncatingIfNeeded: Int8(truncatingIfNeeded: entry >> 24))
        skip(UInt64(entry & 63))
        index &+= Int(truncatingIfNeeded: entry >> 6 & 3)
    }

    /// A code that the table does not have; afterwards the window is full again, whatever the looks before it took.
    @inline(never)
    private func longCode(_ k: Int, _ page: borrowing Span<UInt8>) -> (reader: BitReader, value: UInt64) {
        var reader = self
        reader.refill(page)
        let value = reader.getRice(k, page)
        reader.refill(page)
        return (reader, value)
    }

    /// Reads Rice codes of what a predictor missed each time by, and puts these times to the end of `times`, from an
    /// index on.
    mutating func getTimes(
        _ k: Int, _ page: borrowing Span<UInt8>, _ predictor: TimePredictor, into times: inout MutableSpan<Int64>,
        from first: Int
    ) {
        guard TimePredictor.parametersOfJitter.contains(k) else {
            getSigned(k, page, into: &times, from: first)
            var own = predictor
            for index in first..<times.count { times[index] = own.time(times[index]) }
            return
        }
        self = jitter(k, page, predictor, &times, first)
    }

    private func jitter(
        _ k: Int, _ page: borrowing Span<UInt8>, _ predictor: TimePredictor, _ times: inout MutableSpan<Int64>,
        _ first: Int
    ) -> BitReader {
        var stream = self
        var own = predictor
        var index = first
        let entries = RiceTable.entries
        let table = entries.span.extracting(k * RiceTable.size..<(k + 1) * RiceTable.size)
        while index &+ 10 <= times.count {
            stream.refill(page)
            stream.look(k, table, page, &own, &times, &index)
            stream.look(k, table, page, &own, &times, &index)
            stream.look(k, table, page, &own, &times, &index)
            stream.look(k, table, page, &own, &times, &index)
            stream.look(k, table, page, &own, &times, &index)
        }
        while index &+ 2 <= times.count {
            stream.refill(page)
            stream.look(k, table, page, &own, &times, &index)
        }
        while index < times.count {
            times[index] = own.time(unzigzag(stream.getRice(k, page)))
            index &+= 1
        }
        return stream
    }

    /// The same for times, of which an entry has no more than two. They are jitter, so that nothing is to be decided.
    @inline(__always)
    private mutating func look(
        _ k: Int, _ table: borrowing Span<UInt32>, _ page: borrowing Span<UInt8>, _ predictor: inout TimePredictor,
        _ times: inout MutableSpan<Int64>, _ index: inout Int
    ) {
        let entry = table[next(RiceTable.bits)]
        guard entry != 0 else {
            let long = longCode(k, page)
            self = long.reader
            times[index] = predictor.time(unzigzag(long.value))
            index &+= 1
            return
        }
        let count = Int(truncatingIfNeeded: entry >> 6 & 3)
        let (one, two) = predictor.jitter(
            Int64(Int8(truncatingIfNeeded: entry >> 8)), Int64(Int8(truncatingIfNeeded: entry >> 16)), count: count)
        times[index] = one
        times[index &+ 1] = two
        skip(UInt64(entry & 63))
        index &+= count
    }
}
