// The body of an archive page since format 3: base time i64, then chunks, one after the other. A chunk holds samples of
// one series:
//
//     varint series − series of the chunk before (of the page's first: the series)
//     varint count, at most 1024
//     varint length of the bit stream in bytes
//     shape u16: bits 0…1 values are 0 decimals coded by their steps, 1 by the steps of their steps, 2 doubles, 3 decimals
//                that stay the same for long; 2…4 decimal places, of doubles 0; 5 all samples are numbers; 6…10 Rice
//                parameter of times; 11…15 of values. Since format 4, 2 with places is no double but a constant: a
//                decimal of one place less
//     varint zigzag(step of the grid in 1/16 ms − that of the chunk before (of the page's first: 0))
//     varint zigzag(first time − base time)
//     the bit stream, column after column:
//       [constant] 6 bits length less one and so many bits: zigzag(number); the same: zigzag(last time − due time); then
//                 the times as below, and nothing else
//       [not when all are numbers] for each sample 2 bits: 0 number, 1 unknown, 2 text
//       times:    from the second on Rice: zigzag(time − predicted time)
//       decimals: 6 bits length less one and so many bits: zigzag(first); then, for each from the second on,
//         0       Rice: zigzag(step)
//         1       Rice: zigzag(step − step before), the first step counted from 0
//         3       once 5 bits r, then Rice r: how many stay the same; Rice: zigzag(step) − 1 of the next one, and so on
//       doubles:  0 as before | 1, 6 bits of leading zeros, 6 bits of length less one, and the bits of the XOR with the
//                 number before (of the first: with 0)
//       texts:    Rice k = 2 of an index into the texts of this chunk; the next unused index (at most 64) is followed
//                 by a new text, 7 bits of length and its bytes

/// What the two bytes of a chunk's shape say.
struct ChunkShape {
    enum Values: UInt16 { case step, stepOfSteps, double, runs }

    let bits: UInt16

    init(bits: UInt16) { self.bits = bits }

    init(_ values: Values, places: Int, allNumbers: Bool, timeParameter: Int, valueParameter: Int) {
        bits =
            values.rawValue | UInt16(places) << 2 | (allNumbers ? 32 : 0) | UInt16(timeParameter) << 6
            | UInt16(valueParameter) << 11
    }

    /// Since format 4: all samples are the same decimal, and in order of time. Doubles with one place more than it has.
    init(constantWith places: Int, timeParameter: Int) {
        self.init(.double, places: places + 1, allNumbers: true, timeParameter: timeParameter, valueParameter: 0)
    }

    var isConstant: Bool { bits & 3 == Values.double.rawValue && bits >> 2 & 7 != 0 }
    var values: Values { Values(rawValue: bits & 3) ?? .step }
    var places: Int { Int(bits >> 2 & 7) - (isConstant ? 1 : 0) }
    var allNumbers: Bool { bits & 32 != 0 }
    /// When the last of so many samples is due, on a grid in 1/16 ms.
    static func due(_ first: Int64, step: Int64, count: Int) -> Int64 {
        first &+ (step &* Int64(truncatingIfNeeded: count &- 1)) >> 4
    }

    var timeParameter: Int { Int(bits >> 6 & 31) }
    var valueParameter: Int { Int(bits >> 11) }
}

/// Writes chunks.
struct ChunkWriter {
    /// Longer series make several chunks, so that parameters follow the signal.
    static let mostSamples = 1024
    /// Rice parameters have five bits.
    private static let mostParameter = 31
    /// Fewer samples are as short one way as the other.
    private static let leastConstant = 8

    /// Where the next chunk of a page goes, and what it counts from.
    struct Place {
        let base: Int64
        var at = PageHeader.size + 8
        var series: UInt16 = 0
        var step: Int64 = 0

        init(base: Int64) { self.base = base }
    }

    private var timeCodes = [UInt64](repeating: 0, count: mostSamples)
    private var steps = [UInt64](repeating: 0, count: mostSamples)
    private var stepsOfSteps = [UInt64](repeating: 0, count: mostSamples)
    private var wholes = [Int64](repeating: 0, count: mostSamples)
    /// The bit stream; longer than a page.
    private var words = [UInt64](repeating: 0, count: 640)

    /// A chunk whose bits stand in `words`.
    private struct Draft {
        let shape: ChunkShape
        let step: Int64
        let length: Int
    }

    /// Writes as many samples of `columns[range]` as fit between `place` and the end of the page, and says how many that
    /// were: 0 where so few fit that the next page is better.
    mutating func write(
        _ series: UInt16, _ columns: SortedColumns, _ range: Range<Int>, into page: inout [UInt8], at place: inout Place
    ) -> Int {
        // With the longest of heads.
        let room = page.count - place.at - 30
        guard room > 16 else { return 0 }
        let isFirst = place.at == PageHeader.size + 8
        var count = min(ChunkWriter.mostSamples, range.count)
        while count > 0 {
            let part = range.lowerBound..<range.lowerBound + count
            guard let draft = encode(columns, part) else {
                count /= 2
                continue
            }
            if draft.length <= room {
                write(draft, series, columns.times[part.lowerBound], count, &page, &place)
                return count
            }
            // Near enough, and a little less.
            let fitting = (room - 16) * count / max(1, draft.length - 16)
            count = min(count * 15 / 16, fitting * 31 / 32)
            if count < 16, !isFirst { return 0 }
            count = max(1, count)
        }
        return 0
    }

    private func write(
        _ draft: Draft, _ series: UInt16, _ first: Int64, _ count: Int, _ page: inout [UInt8], _ place: inout Place
    ) {
        var at = place.at
        page.putVarint(UInt64(series &- place.series), at: &at)
        page.putVarint(UInt64(count), at: &at)
        page.putVarint(UInt64(draft.length), at: &at)
        page.put(draft.shape.bits, at: at)
        at += 2
        page.putVarint(zigzag(draft.step &- place.step), at: &at)
        page.putVarint(zigzag(first &- place.base), at: &at)
        var bytes = page.mutableSpan
        let words = words.span
        var rest = draft.length
        var index = 0
        while rest > 0, at < bytes.count {
            var word = words[index]
            for _ in 0..<min(8, rest) {
                bytes[at] = UInt8(truncatingIfNeeded: word >> 56)
                word <<= 8
                at &+= 1
            }
            rest &-= 8
            index &+= 1
        }
        place.at = at
        place.series = series
        place.step = draft.step
    }

    /// Fills `words`; nil where they are not enough.
    private mutating func encode(_ columns: SortedColumns, _ range: Range<Int>) -> Draft? {
        let times = columns.times.span.extracting(range)
        let step = TimePredictor.step(of: times)
        let timeParameter = min(ChunkWriter.mostParameter, ChunkWriter.code(times, step: step, &timeCodes))
        if let constant = constant(columns, range, step, timeParameter) { return constant }
        var kinds = 0
        let marks = columns.marks.span.extracting(range)
        for index in 0..<marks.count { kinds |= 1 << Int(marks[index] & 7) }
        let allNumbers = kinds >> Int(SortedColumns.unknown) == 0
        let decimals = takeWholes(columns, range, kinds)
        var writer = WordWriter()
        if !allNumbers { ChunkWriter.put(tags: marks, &writer, &words) }
        ChunkWriter.put(codes: timeCodes, from: 1, count: times.count, timeParameter, &writer, &words)
        var values = ChunkShape.Values.double
        var valueParameter = 0
        if let decimals {
            (values, valueParameter) = put(decimals: decimals.count, &writer)
        } else {
            ChunkWriter.put(doubles: columns, range, &writer, &words)
        }
        if kinds >> Int(SortedColumns.text) != 0 { ChunkWriter.put(texts: columns, range, &writer, &words) }
        guard let length = writer.finish(&words) else { return nil }
        let shape = ChunkShape(
            values, places: decimals?.places ?? 0, allNumbers: allNumbers, timeParameter: timeParameter,
            valueParameter: valueParameter)
        return Draft(shape: shape, step: step, length: length)
    }

    /// All samples are the same decimal: what is off stays off for hours, and half of what a lab measures is. Who asks for
    /// means need not look at the times of such a chunk, so that it says the last one beforehand. nil where they are not,
    /// or where it would be longer so.
    private mutating func constant(
        _ columns: SortedColumns, _ range: Range<Int>, _ step: Int64, _ timeParameter: Int
    ) -> Draft? {
        let times = columns.times.span.extracting(range)
        guard times.count >= ChunkWriter.leastConstant,
            ChunkWriter.areSame(columns.bits.span.extracting(range), columns.marks.span.extracting(range)),
            let last = columns.areInOrder ? times[times.count - 1] : ChunkWriter.lastInOrder(times)
        else { return nil }
        var places = Int(columns.marks[range.lowerBound])
        var whole = Int64(bitPattern: columns.bits[range.lowerBound])
        while places > 0, whole % 10 == 0 {
            whole /= 10
            places -= 1
        }
        let due = ChunkShape.due(times[0], step: step, count: times.count)
        var writer = WordWriter()
        writer.putLength(zigzag(whole), &words)
        writer.putLength(zigzag(last &- due), &words)
        ChunkWriter.put(codes: timeCodes, from: 1, count: times.count, timeParameter, &writer, &words)
        guard let length = writer.finish(&words) else { return nil }
        return Draft(
            shape: ChunkShape(constantWith: places, timeParameter: timeParameter), step: step, length: length)
    }

    private static func areSame(_ bits: borrowing Span<UInt64>, _ marks: borrowing Span<UInt8>) -> Bool {
        guard bits.count > 0, marks.count == bits.count, marks[0] < SortedColumns.double else { return false }
        let (first, mark) = (bits[0], marks[0])
        var index = 1
        while index < bits.count, bits[index] == first, marks[index] == mark { index &+= 1 }
        return index == bits.count
    }

    /// The last time; nil where one comes before the one ahead of it.
    private static func lastInOrder(_ times: borrowing Span<Int64>) -> Int64? {
        var index = 1
        while index < times.count {
            guard times[index] >= times[index &- 1] else { return nil }
            index &+= 1
        }
        return times[times.count - 1]
    }

    // MARK: - Times

    private static func code(_ times: borrowing Span<Int64>, step: Int64, _ codes: inout [UInt64]) -> Int {
        var own = codes.mutableSpan
        guard times.count > 0, times.count <= own.count else { return 0 }
        var predictor = TimePredictor(step: step, first: times[0])
        var lengths = LengthHistogram()
        var index = 1
        while index < times.count {
            let time = times[index]
            let error = time &- predictor.prediction
            predictor.advance(time: time, error: error)
            let code = zigzag(error)
            lengths.add(code)
            own[index] = code
            index &+= 1
        }
        return lengths.bestParameter(count: times.count - 1)
    }

    // MARK: - Decimals

    /// Fills `wholes` with the numbers of the range; nil where one of them is no such decimal, or none is there.
    private mutating func takeWholes(
        _ columns: SortedColumns, _ range: Range<Int>, _ kinds: Int
    ) -> (count: Int, places: Int)? {
        let decimalKinds = kinds & 31
        var places = decimalKinds == 0 ? 0 : Int.bitWidth - 1 - decimalKinds.leadingZeroBitCount
        var count = 0
        // Nearly always: all have the same places.
        if kinds == 1 << places {
            var own = wholes.mutableSpan
            let bits = columns.bits.span.extracting(range)
            var index = 0
            while index < bits.count, index < own.count {
                own[index] = Int64(bitPattern: bits[index])
                index &+= 1
            }
            count = bits.count
        } else {
            guard let found = takeMixed(columns, range, &places) else { return nil }
            count = found
        }
        guard count > 0 else { return nil }
        while places > 0, areTens(count) {
            for index in 0..<count { wholes[index] /= 10 }
            places -= 1
        }
        return (count, places)
    }

    private func areTens(_ count: Int) -> Bool {
        for index in 0..<count where wholes[index] % 10 != 0 { return false }
        return true
    }

    /// Brings numbers of different kinds to the same places.
    private mutating func takeMixed(_ columns: SortedColumns, _ range: Range<Int>, _ places: inout Int) -> Int? {
        while places <= Decimal.mostPlaces {
            var count = 0
            var fits = true
            for index in range where columns.marks[index] <= SortedColumns.double {
                guard let whole = ChunkWriter.whole(columns.bits[index], columns.marks[index], places) else {
                    fits = false
                    break
                }
                wholes[count] = whole
                count += 1
            }
            if fits { return count }
            places += 1
        }
        return nil
    }

    private static func whole(_ bits: UInt64, _ mark: UInt8, _ places: Int) -> Int64? {
        guard mark < SortedColumns.double else { return Decimal.whole(Double(bitPattern: bits), places: places) }
        let number = Decimal.number(Int64(bitPattern: bits), places: Int(mark))
        return Decimal.whole(number, places: places)
    }

    /// Writes the first so many of `wholes`, the way that takes the fewest bits.
    private mutating func put(decimals count: Int, _ writer: inout WordWriter) -> (ChunkShape.Values, Int) {
        writer.putLength(zigzag(wholes[0]), &words)
        let plan = ChunkWriter.plan(wholes, count, &steps, &stepsOfSteps)
        switch plan.values {
        case .runs: ChunkWriter.put(runs: steps, count: count, plan.runParameter, plan.parameter, &writer, &words)
        case .stepOfSteps: ChunkWriter.put(codes: stepsOfSteps, from: 1, count: count, plan.parameter, &writer, &words)
        case .step, .double: ChunkWriter.put(codes: steps, from: 1, count: count, plan.parameter, &writer, &words)
        }
        return (plan.values, plan.parameter)
    }

    private struct Plan {
        var values = ChunkShape.Values.step
        var parameter = 0
        var runParameter = 0
    }

    /// Fills `steps` and `stepsOfSteps`, and chooses.
    private static func plan(
        _ wholes: [Int64], _ count: Int, _ allSteps: inout [UInt64], _ allStepsOfSteps: inout [UInt64]
    ) -> Plan {
        let wholes = wholes.span
        var steps = allSteps.mutableSpan
        var stepsOfSteps = allStepsOfSteps.mutableSpan
        guard count > 1, count <= wholes.count, count <= steps.count, count <= stepsOfSteps.count else { return Plan() }
        var lengths = LengthHistogram()
        var changes = LengthHistogram()
        var runs = LengthHistogram()
        var changed = 0
        var run: UInt64 = 0
        var previousStep: Int64 = 0
        var stepLengths = 0
        var index = 1
        while index < count {
            let step = wholes[index] &- wholes[index &- 1]
            // What is off stays the same for hours.
            if step == 0, previousStep == 0 {
                steps[index] = 0
                stepsOfSteps[index] = 0
                lengths.addZeros(1)
                run &+= 1
                index &+= 1
                continue
            }
            let code = zigzag(step)
            let codeOfSteps = zigzag(step &- previousStep)
            previousStep = step
            steps[index] = code
            stepsOfSteps[index] = codeOfSteps
            stepLengths &+= 64 &- codeOfSteps.leadingZeroBitCount
            lengths.add(code)
            if code == 0 {
                run &+= 1
            } else {
                changes.add(code &- 1)
                runs.add(run)
                changed &+= 1
                run = 0
            }
            index &+= 1
        }
        if run > 0 { runs.add(run) }
        // As many stay the same as change, or more: runs may be shorter.
        var best = Plan()
        best.parameter = min(mostParameter, lengths.bestParameter(count: count - 1))
        if changed * 2 <= count {
            var plan = Plan(values: .runs)
            plan.parameter = min(mostParameter, changes.bestParameter(count: changed))
            plan.runParameter = min(mostParameter, runs.bestParameter(count: changed + (run > 0 ? 1 : 0)))
            let bits = 5 + changes.cost(plan.parameter) + runs.cost(plan.runParameter)
            if bits < lengths.cost(best.parameter) { best = plan }
        }
        if best.values == .step, stepLengths < lengths.total {
            var other = LengthHistogram()
            for index in 1..<count { other.add(stepsOfSteps[index]) }
            best.values = .stepOfSteps
            best.parameter = min(mostParameter, other.bestParameter(count: count - 1))
        }
        return best
    }

    // MARK: - Bits

    private static func put(
        codes: [UInt64], from first: Int, count: Int, _ k: Int, _ writer: inout WordWriter, _ words: inout [UInt64]
    ) {
        let codes = codes.span
        var own = words.mutableSpan
        var stream = writer
        var index = first
        while index < count, index < codes.count {
            stream.putRice(codes[index], k, &own)
            index &+= 1
        }
        writer = stream
    }

    private static func put(
        runs steps: [UInt64], count: Int, _ runParameter: Int, _ k: Int, _ writer: inout WordWriter,
        _ words: inout [UInt64]
    ) {
        let steps = steps.span
        var own = words.mutableSpan
        var stream = writer
        stream.put(UInt64(runParameter), 5, &own)
        var run: UInt64 = 0
        var index = 1
        while index < count, index < steps.count {
            let step = steps[index]
            if step == 0 {
                run &+= 1
            } else {
                stream.putRice(run, runParameter, &own)
                stream.putRice(step &- 1, k, &own)
                run = 0
            }
            index &+= 1
        }
        if run > 0 { stream.putRice(run, runParameter, &own) }
        writer = stream
    }

    private static func put(tags marks: borrowing Span<UInt8>, _ writer: inout WordWriter, _ words: inout [UInt64]) {
        var own = words.mutableSpan
        for index in 0..<marks.count {
            let tag: ValueTag =
                marks[index] == SortedColumns.text ? .text : marks[index] == SortedColumns.unknown ? .unknown : .number
            writer.put(UInt64(tag.rawValue), 2, &own)
        }
    }

    private static func put(
        doubles columns: SortedColumns, _ range: Range<Int>, _ writer: inout WordWriter, _ words: inout [UInt64]
    ) {
        var own = words.mutableSpan
        var previous: UInt64 = 0
        for index in range where columns.marks[index] <= SortedColumns.double {
            var bits = columns.bits[index]
            if columns.marks[index] < SortedColumns.double {
                bits = Decimal.number(Int64(bitPattern: bits), places: Int(columns.marks[index])).bitPattern
            }
            let difference = bits ^ previous
            previous = bits
            guard difference != 0 else {
                writer.put(0, 1, &own)
                continue
            }
            let leading = difference.leadingZeroBitCount
            let length = 64 - leading - difference.trailingZeroBitCount
            writer.put(1 << 12 | UInt64(leading) << 6 | UInt64(length - 1), 13, &own)
            writer.put(difference >> UInt64(64 - leading - length), length, &own)
        }
    }

    private static func put(
        texts columns: SortedColumns, _ range: Range<Int>, _ writer: inout WordWriter, _ words: inout [UInt64]
    ) {
        var own = words.mutableSpan
        var seen: [UInt64] = []
        for index in range where columns.marks[index] == SortedColumns.text {
            if let known = seen.firstIndex(of: columns.bits[index]) {
                writer.putRice(UInt64(known), 2, &own)
                continue
            }
            let text = columns.texts[Int(columns.bits[index])].utf8
            writer.putRice(UInt64(seen.count), 2, &own)
            writer.put(UInt64(text.count), 7, &own)
            // Seven bytes at a time.
            var (word, bits) = (UInt64(0), 0)
            for byte in text {
                word = word &<< 8 | UInt64(byte)
                bits &+= 8
                if bits == 56 {
                    writer.put(word, bits, &own)
                    (word, bits) = (0, 0)
                }
            }
            writer.put(word, bits, &own)
            if seen.count < ChunkReader.mostTexts { seen.append(columns.bits[index]) }
        }
    }
}
