// The body of an archive page of formats 1 and 2, which are read and not written any more: base time i64, then chunks,
// one after the other. A chunk holds samples of one series:
//
//     0 series u16   2 count u16   4 length of the chunk in bytes u16
//     6 flags u8: bits 0…1 values are 0 decimals coded by their steps, 1 decimals coded by the steps of their steps,
//                 2 doubles; bits 2…4 decimal places; bit 5 all samples are numbers
//     7 Rice parameter of times u8   8 of values u8
//     9 varint zigzag(step of the grid in 1/16 ms), varint zigzag(first time − base time)
//     then a bit stream, for each sample:
//       [not for the first] Rice: zigzag(time − predicted time)
//       [not when all are numbers] 2 bits: 0 number, 1 unknown, 2 text
//       decimal: Rice of zigzag(step) or zigzag(step of steps)
//       double:  0 as before | 1, 6 bits of leading zeros, 6 bits of length less one, and the bits of the XOR with the
//                number before
//       text:    Rice k = 2 of an index into the texts of this chunk; the next unused index (at most 64) is followed
//                by a new text, 7 bits of length and its bytes

/// Decodes chunks of formats 1 and 2.
enum OldChunks {
    /// Appends the samples of a chunk to `columns`; false where they cannot be decoded, with nothing appended.
    static func decode(
        at chunkAt: Int, count: Int, end chunkEnd: Int, base: Int64, _ page: borrowing Span<UInt8>,
        into columns: inout Columns
    ) -> Bool {
        let flags = page[chunkAt + 6]
        let timeParameter = Int(page[chunkAt + 7])
        let valueParameter = Int(page[chunkAt + 8])
        let places = Int(flags >> 2 & 7)
        var at = chunkAt + 9
        // From the second sample on each takes a bit for its time at least; what claims more is no chunk.
        guard timeParameter < 56, valueParameter < 56, places <= Decimal.mostPlaces, flags & 3 < 3, count > 0,
            count <= 1 + 8 * (chunkEnd - chunkAt),
            let step = ChunkReader.varint(page, &at, chunkEnd), let first = ChunkReader.varint(page, &at, chunkEnd)
        else { return false }
        var reader = BitReader(at: at, end: chunkEnd)
        let before = columns.count
        var time = base &+ unzigzag(first)
        var predictor = TimePredictor(step: unzigzag(step), first: time)
        var values = ValueDecoder(kind: flags & 3, places: places, parameter: valueParameter)
        let allNumbers = flags & 32 != 0
        if allNumbers, flags & 3 < 2 {
            columns.tagNumbers(count)
            columns.times.append(contentsOf: repeatElement(time, count: count))
            columns.bits.append(contentsOf: repeatElement(0, count: count))
            decodeDecimals(
                from: before, &reader, page, predictor, values, timeParameter, &columns.times, &columns.bits)
            columns.noteOrder(since: before)
            if reader.failed { columns.cut(to: before) }
            return !reader.failed
        }
        let textBase = columns.texts.count
        for index in 0..<count {
            if index > 0 {
                let error = unzigzag(reader.getRice(timeParameter, page))
                time = predictor.prediction &+ error
                predictor.advance(time: time, error: error)
            }
            let tag = allNumbers ? .number : ValueTag(rawValue: UInt8(truncatingIfNeeded: reader.get(2, page)))
            guard let tag, tag.isSample, !reader.failed else {
                columns.cut(to: before)
                return false
            }
            switch tag {
            case .number: columns.bits.append(values.next(&reader, page))
            case .text:
                guard let text = ChunkReader.text(&reader, page, textBase, &columns.texts) else {
                    columns.bits.append(0)
                    columns.cut(to: before)
                    return false
                }
                columns.bits.append(UInt64(text))
            case .unknown, .lost, .tier: columns.bits.append(0)
            }
            columns.append(time, tag)
        }
        if reader.failed { columns.cut(to: before) }
        return !reader.failed
    }

    /// Nearly all that sensors send, without a decision per sample. The first time stands already.
    private static func decodeDecimals(
        from first: Int, _ reader: inout BitReader, _ page: borrowing Span<UInt8>, _ predictor: TimePredictor,
        _ values: ValueDecoder, _ timeParameter: Int, _ allTimes: inout [Int64], _ allBits: inout [UInt64]
    ) {
        var times = allTimes.mutableSpan
        var bits = allBits.mutableSpan
        var predictor = predictor
        var values = values
        bits[first] = values.nextDecimal(&reader, page)
        var index = first &+ 1
        while index < times.count, index < bits.count {
            let error = unzigzag(reader.getRice(timeParameter, page))
            let time = predictor.prediction &+ error
            predictor.advance(time: time, error: error)
            times[index] = time
            bits[index] = values.nextDecimal(&reader, page)
            index &+= 1
        }
    }
}

/// Makes the bits of numbers again.
private struct ValueDecoder {
    let kind: UInt8
    let places: Int
    let parameter: Int
    private var whole: Int64 = 0
    private var step: Int64 = 0
    private var isFirst = true
    private var bits: UInt64 = 0

    init(kind: UInt8, places: Int, parameter: Int) {
        self.kind = kind
        self.places = places
        self.parameter = parameter
    }

    @inline(__always)
    mutating func next(_ reader: inout BitReader, _ page: borrowing Span<UInt8>) -> UInt64 {
        if kind == 2 {
            guard reader.get(1, page) == 1 else { return bits }
            let leading = Int(reader.get(6, page))
            let length = Int(reader.get(6, page)) + 1
            guard leading + length <= 64 else { return bits }
            bits ^= reader.getLong(length, page) << UInt64(64 - leading - length)
            return bits
        }
        return nextDecimal(&reader, page)
    }

    @inline(__always)
    mutating func nextDecimal(_ reader: inout BitReader, _ page: borrowing Span<UInt8>) -> UInt64 {
        let code = unzigzag(reader.getRice(parameter, page))
        if kind == 0 {
            whole = whole &+ code
        } else {
            step = step &+ code
            whole = whole &+ step
            if isFirst { step = 0 }
        }
        isFirst = false
        return Decimal.number(whole, places: places).bitPattern
    }
}
