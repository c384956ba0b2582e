// The body of an archive page: base time i64, then chunks, one after the other. A chunk holds samples of one series:
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

/// Samples of one series as columns, for reading and writing without a value per sample on the heap.
struct Columns {
    var times: [Int64] = []
    var bits: [UInt64] = []
    var tags: [ValueTag] = []
    /// `bits` of a text are an index here.
    var texts: [String] = []

    var count: Int { times.count }

    mutating func removeAll() {
        times.removeAll(keepingCapacity: true)
        bits.removeAll(keepingCapacity: true)
        tags.removeAll(keepingCapacity: true)
        texts.removeAll(keepingCapacity: true)
    }

    func value(_ index: Int) -> StoredValue {
        switch tags[index] {
        case .number: .number(Double(bitPattern: bits[index]))
        case .text: .text(texts[Int(bits[index])])
        case .unknown, .lost, .tier: .unknown
        }
    }
}

/// Writes chunks.
struct ChunkWriter {
    /// Longer series make several chunks, so that parameters follow the signal.
    static let mostSamples = 2048
    /// Less room than this is left empty at the end of a page.
    static let leastRoom = 48
    static let mostTexts = 64

    private enum Values { case step, stepOfSteps, double }

    private var timeCodes: [UInt64] = []
    private var steps: [UInt64] = []
    private var stepsOfSteps: [UInt64] = []
    private var wholes: [Int64] = []

    /// Writes as many samples of `columns` from `from` on as fit between `at` and the end of the page, and says how
    /// many that were: 0 where not even one did.
    mutating func write(
        _ series: UInt16, _ columns: Columns, from: Int, base: Int64, into page: inout [UInt8], at: inout Int
    ) -> Int {
        let count = min(ChunkWriter.mostSamples, columns.count - from)
        guard count > 0, at + ChunkWriter.leastRoom <= page.count else { return 0 }
        let range = from..<from + count
        let step = TimePredictor.step(of: columns.times.span.extracting(range))
        let timeParameter = codeTimes(columns, range, step: step)
        var allNumbers = true
        for index in range where columns.tags[index] != .number { allNumbers = false }
        let (values, places, valueParameter) = codeValues(columns, range)

        var stream = at + 9
        page.putVarint(zigzag(step), at: &stream)
        page.putVarint(zigzag(columns.times[from] &- base), at: &stream)
        let plan = Plan(
            timeParameter: timeParameter, values: values, valueParameter: valueParameter, allNumbers: allNumbers)
        let (written, end) = writeBits(of: columns, range, plan, at: stream, into: &page)
        guard written > 0 else { return 0 }
        page.put(series, at: at)
        page.put(UInt16(written), at: at + 2)
        page.put(UInt16(end - at), at: at + 4)
        let kind: UInt8 = values == .step ? 0 : values == .stepOfSteps ? 1 : 2
        page[at + 6] = kind | UInt8(places) << 2 | (allNumbers ? 32 : 0)
        page[at + 7] = UInt8(timeParameter)
        page[at + 8] = UInt8(valueParameter)
        at = end
        return written
    }

    private struct Plan {
        let timeParameter: Int
        let values: Values
        let valueParameter: Int
        let allNumbers: Bool
    }

    /// Writes the bits of as many samples as fit, and says where they end.
    private func writeBits(
        of columns: Columns, _ range: Range<Int>, _ plan: Plan, at: Int, into bytes: inout [UInt8]
    ) -> (written: Int, end: Int) {
        var page = bytes.mutableSpan
        let timeCodes = self.timeCodes.span
        let valueCodes = plan.values == .stepOfSteps ? stepsOfSteps.span : steps.span
        var writer = BitWriter(at: at, limit: page.count)
        var written = 0
        var end = writer
        var previous: UInt64 = 0
        var texts: [UInt64] = []
        for index in range {
            let place = index &- range.lowerBound
            if place > 0 { writer.putRice(timeCodes[place], plan.timeParameter, &page) }
            let tag = columns.tags[index]
            if !plan.allNumbers { writer.put(UInt64(tag.rawValue), 2, &page) }
            switch (tag, plan.values) {
            case (.number, .double):
                ChunkWriter.put(double: columns.bits[index] ^ previous, &writer, &page)
                previous = columns.bits[index]
            case (.number, _): writer.putRice(valueCodes[place], plan.valueParameter, &page)
            case (.text, _): ChunkWriter.put(text: columns.bits[index], of: columns.texts, &texts, &writer, &page)
            case (.unknown, _), (.lost, _), (.tier, _): break
            }
            guard writer.fits else { break }
            end = writer
            written += 1
        }
        end.flush(&page)
        // A sample that did not fit may have left bits behind.
        if written < range.count { for index in end.at..<page.count { page[index] = 0 } }
        return (written, end.at)
    }

    private mutating func codeTimes(_ columns: Columns, _ range: Range<Int>, step: Int64) -> Int {
        timeCodes.removeAll(keepingCapacity: true)
        timeCodes.append(0)
        var predictor = TimePredictor(step: step, first: columns.times[range.lowerBound])
        var lengths = LengthHistogram()
        for index in range.dropFirst() {
            let time = columns.times[index]
            let error = time &- predictor.prediction
            predictor.advance(time: time, error: error)
            let code = zigzag(error)
            lengths.add(code)
            timeCodes.append(code)
        }
        return lengths.bestParameter(count: range.count - 1)
    }

    /// Fills `steps` and `stepsOfSteps`, where the numbers are decimals, and chooses.
    private mutating func codeValues(_ columns: Columns, _ range: Range<Int>) -> (Values, Int, Int) {
        guard let places = codeWholes(columns, range) else { return (.double, 0, 0) }
        steps.removeAll(keepingCapacity: true)
        stepsOfSteps.removeAll(keepingCapacity: true)
        var stepLengths = LengthHistogram()
        var stepStepLengths = LengthHistogram()
        var previous: Int64 = 0
        var previousStep: Int64 = 0
        var isFirst = true
        for (offset, index) in range.enumerated() {
            guard columns.tags[index] == .number else {
                steps.append(0)
                stepsOfSteps.append(0)
                continue
            }
            let step = wholes[offset] &- previous
            let stepOfSteps = step &- previousStep
            previous = wholes[offset]
            steps.append(zigzag(step))
            stepsOfSteps.append(zigzag(stepOfSteps))
            if isFirst {
                isFirst = false
            } else {
                previousStep = step
                stepLengths.add(steps[offset])
                stepStepLengths.add(stepsOfSteps[offset])
            }
        }
        let useSteps = stepLengths.total <= stepStepLengths.total
        let parameter = (useSteps ? stepLengths : stepStepLengths).bestParameter(count: range.count - 1)
        return (useSteps ? .step : .stepOfSteps, places, parameter)
    }

    /// Fills `wholes` and says with how many decimal places; nil where a number is no such decimal.
    private mutating func codeWholes(_ columns: Columns, _ range: Range<Int>) -> Int? {
        wholes.removeAll(keepingCapacity: true)
        var places = 0
        for index in range {
            guard columns.tags[index] == .number else {
                wholes.append(0)
                continue
            }
            let number = Double(bitPattern: columns.bits[index])
            var whole = Decimal.whole(number, places: places)
            while whole == nil {
                places += 1
                guard places <= Decimal.mostPlaces else { return nil }
                for earlier in wholes.indices {
                    guard wholes[earlier].magnitude < 400_000_000_000_000 else { return nil }
                    wholes[earlier] *= 10
                }
                whole = Decimal.whole(number, places: places)
            }
            wholes.append(whole ?? 0)
        }
        return places
    }

    private static func put(double difference: UInt64, _ writer: inout BitWriter, _ page: inout MutableSpan<UInt8>) {
        guard difference != 0 else { return writer.put(0, 1, &page) }
        let leading = difference.leadingZeroBitCount
        let length = 64 - leading - difference.trailingZeroBitCount
        writer.put(1, 1, &page)
        writer.put(UInt64(leading), 6, &page)
        writer.put(UInt64(length - 1), 6, &page)
        writer.putLong(difference >> UInt64(64 - leading - length), length, &page)
    }

    private static func put(
        text index: UInt64, of all: [String], _ seen: inout [UInt64], _ writer: inout BitWriter,
        _ page: inout MutableSpan<UInt8>
    ) {
        if let known = seen.firstIndex(of: index) { return writer.putRice(UInt64(known), 2, &page) }
        let text = all[Int(index)].utf8
        writer.putRice(UInt64(seen.count), 2, &page)
        writer.put(UInt64(text.count), 7, &page)
        for byte in text { writer.put(UInt64(byte), 8, &page) }
        if seen.count < mostTexts { seen.append(index) }
    }
}

/// Walks over the chunks in the body of a page whose checksum is right. Pages of samples and of tiers begin alike:
///
///     base u64 | series u16, count u16, length u16, …what the kind of page says… | series …
struct PageChunks {
    struct Chunk {
        let series: UInt16
        let count: Int
        let at: Int
        let end: Int
    }

    /// The moment from which the page's times count.
    let base: Int64
    private var at = PageHeader.size + 8
    private let end: Int
    /// The shortest that a chunk can be.
    private let least: Int

    init(_ page: borrowing Span<UInt8>, used: Int, least: Int) {
        end = min(page.count, PageHeader.size + used)
        self.least = least
        var base: UInt64 = 0
        if end >= PageHeader.size + 8 {
            for index in 0..<8 { base |= UInt64(page[PageHeader.size + index]) << UInt64(8 * index) }
        }
        self.base = Int64(bitPattern: base)
    }

    private static func u16(_ page: borrowing Span<UInt8>, _ at: Int) -> Int { Int(page[at]) | Int(page[at + 1]) << 8 }

    /// The next chunk, not decoded; nil after the last one, and where the rest makes no sense.
    mutating func next(_ page: borrowing Span<UInt8>) -> Chunk? {
        guard at + least <= end else { return nil }
        let length = PageChunks.u16(page, at + 4)
        guard length >= least, at + length <= end else { return nil }
        defer { at += length }
        return Chunk(
            series: UInt16(PageChunks.u16(page, at)), count: PageChunks.u16(page, at + 2), at: at, end: at + length)
    }
}

/// Reads chunks from the body of an archive page whose checksum is right.
struct ChunkReader {
    typealias Chunk = PageChunks.Chunk

    private var chunks: PageChunks
    private var base: Int64 { chunks.base }

    init(_ page: borrowing Span<UInt8>, used: Int) { chunks = PageChunks(page, used: used, least: 11) }

    /// The next chunk, not decoded; nil after the last one, and where the rest makes no sense.
    mutating func next(_ page: borrowing Span<UInt8>) -> Chunk? { chunks.next(page) }

    static func varint(_ page: borrowing Span<UInt8>, _ at: inout Int, _ end: Int) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < end, shift < 64 {
            let byte = page[at]
            at += 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    /// Appends the samples of a chunk to `columns`; false where they cannot be decoded, with nothing appended.
    func decode(_ chunk: Chunk, _ page: borrowing Span<UInt8>, into columns: inout Columns) -> Bool {
        let flags = page[chunk.at + 6]
        let timeParameter = Int(page[chunk.at + 7])
        let valueParameter = Int(page[chunk.at + 8])
        let places = Int(flags >> 2 & 7)
        var at = chunk.at + 9
        guard timeParameter < 56, valueParameter < 56, places <= Decimal.mostPlaces, flags & 3 < 3, chunk.count > 0,
            let step = ChunkReader.varint(page, &at, chunk.end), let first = ChunkReader.varint(page, &at, chunk.end)
        else { return false }
        var reader = BitReader(at: at, end: chunk.end)
        let before = columns.count
        var time = base &+ unzigzag(first)
        var predictor = TimePredictor(step: unzigzag(step), first: time)
        var values = ValueDecoder(kind: flags & 3, places: places, parameter: valueParameter)
        let allNumbers = flags & 32 != 0
        if allNumbers, flags & 3 < 2 {
            columns.tags.append(contentsOf: repeatElement(.number, count: chunk.count))
            columns.times.append(contentsOf: repeatElement(time, count: chunk.count))
            columns.bits.append(contentsOf: repeatElement(0, count: chunk.count))
            ChunkReader.decodeDecimals(
                from: before, &reader, page, predictor, values, timeParameter, &columns.times, &columns.bits)
            if reader.failed { columns.cut(to: before) }
            return !reader.failed
        }
        let textBase = columns.texts.count
        for index in 0..<chunk.count {
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
            columns.times.append(time)
            columns.tags.append(tag)
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

    private static func text(
        _ reader: inout BitReader, _ page: borrowing Span<UInt8>, _ textBase: Int, _ texts: inout [String]
    ) -> Int? {
        let index = Int(clamping: reader.getRice(2, page))
        let known = min(texts.count - textBase, ChunkWriter.mostTexts)
        if index < known { return textBase + index }
        guard index == known else { return nil }
        let length = Int(reader.get(7, page))
        guard length <= StoredValue.longestText, !reader.failed else { return nil }
        var bytes: [UInt8] = []
        for _ in 0..<length { bytes.append(UInt8(truncatingIfNeeded: reader.get(8, page))) }
        texts.append(String(decoding: bytes, as: UTF8.self))
        return texts.count - 1
    }
}

extension Columns {
    mutating func cut(to count: Int) {
        times.removeLast(max(0, times.count - count))
        tags.removeLast(max(0, tags.count - count))
        bits.removeLast(max(0, bits.count - count))
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
