// The body of a page of slots or days: base time i64, then chunks, one after the other. A chunk holds records of one
// series with the same number of fields, in order of start:
//
//     0 series u16   2 count u16   4 length of the chunk in bytes u16   6 fields u8
//     7 varint zigzag(first start − base time), varint zigzag(second start − first)
//     then a bit stream of columns, the starts and then each field:
//       6 bits k
//       [starts] for each from the second on, Rice k: zigzag(start − the one before − (second − first))
//       [a field] 6 bits length, so many bits: zigzag(first value); for each from the second on, Rice k:
//                 zigzag(value − the one before); k = 63 says that all are the same, and nothing follows

import Model

/// Sorts a tier's records into the pages of a run.
struct TierRunBuilder {
    fileprivate static let mostRecords = 256
    private static let leastRoom = 32
    fileprivate static let constant = 63

    private(set) var pages: [[UInt8]] = []
    private(set) var headers: [PageHeader] = []
    private(set) var firstOrdinal = UInt64.max

    private let kind: PageHeader.Kind
    private let base: Int64
    private var page = [UInt8](repeating: 0, count: Layout.pageSize)
    private var header: PageHeader
    private var at = PageHeader.size + 8

    /// `all` are in order of series and start.
    init(_ all: [RingStore.Standing], _ tier: Tier) {
        kind = PageHeader.Kind(tier)
        header = PageHeader(kind)
        base = all.first?.start ?? 0
        page.put(UInt64(bitPattern: base), at: PageHeader.size)
        for item in all { firstOrdinal = min(firstOrdinal, item.ordinal) }
        var start = 0
        while start < all.count {
            var end = start + 1
            while end < all.count, end - start < TierRunBuilder.mostRecords, all[end].series == all[start].series,
                all[end].item.fields.count == all[start].item.fields.count
            { end += 1 }
            start += add(all[start..<end])
        }
        if header.samples > 0 { finishPage() }
    }

    /// Writes as many of these as fit into the page, at least one; gives how many.
    private mutating func add(_ group: ArraySlice<RingStore.Standing>) -> Int {
        var count = group.count
        while true {
            if at + TierRunBuilder.leastRoom <= page.count, let end = write(group.prefix(count)) {
                at = end
                break
            }
            // What does not fit whole is parted rather than given a page of its own, where some room is left.
            if count > 1, page.count - at > Layout.pageSize / 8 {
                count = (count + 1) / 2
            } else {
                finishPage()
                count = group.count
            }
        }
        let series = group[group.startIndex].series
        if header.samples == 0 { header.firstSeries = series }
        header.lastSeries = series
        header.samples += count
        for item in group.prefix(count) {
            header.firstTime = min(header.firstTime, item.start)
            header.lastTime = max(header.lastTime, item.start)
        }
        return count
    }

    /// Where the chunk ends; nil, and nothing written, where it does not fit.
    private mutating func write(_ items: ArraySlice<RingStore.Standing>) -> Int? {
        let first = items.startIndex
        let fields = items[first].item.fields.count
        let step = items.count > 1 ? items[first + 1].start &- items[first].start : 0
        var stream = at + 7
        page.putVarint(zigzag(items[first].start &- base), at: &stream)
        page.putVarint(zigzag(step), at: &stream)
        // A span of one's own storage would lock all else that this struct holds.
        var own: [UInt8] = []
        swap(&own, &page)
        defer { swap(&own, &page) }
        guard let end = TierRunBuilder.writeBits(of: items, fields, step, at: stream, into: &own) else {
            for index in at..<own.count { own[index] = 0 }
            return nil
        }
        own.put(items[first].series, at: at)
        own.put(UInt16(items.count), at: at + 2)
        own.put(UInt16(end - at), at: at + 4)
        own[at + 6] = UInt8(fields)
        return end
    }

    private static func writeBits(
        of items: ArraySlice<RingStore.Standing>, _ fields: Int, _ step: Int64, at: Int, into page: inout [UInt8]
    ) -> Int? {
        let count = items.count
        var bytes = page.mutableSpan
        var writer = BitWriter(at: at, limit: bytes.count)
        var codes = [UInt64](repeating: 0, count: count - 1)
        // Column after column, so that each is read in one go.
        var columns = [Int64](repeating: 0, count: count * (fields + 1))
        fill(&columns, items, fields)
        for column in 0...fields {
            let values = columns.span.extracting(column * count..<(column + 1) * count)
            let usual = column == 0 ? step : 0
            var own = codes.mutableSpan
            for index in own.indices { own[index] = zigzag(values[index &+ 1] &- values[index] &- usual) }
            put(codes, column == 0 ? nil : values[0], &writer, &bytes)
        }
        guard writer.fits else { return nil }
        writer.flush(&bytes)
        return writer.at
    }

    /// The starts of the records, then their fields one after the other.
    private static func fill(_ columns: inout [Int64], _ items: ArraySlice<RingStore.Standing>, _ fields: Int) {
        var own = columns.mutableSpan
        for (index, place) in items.indices.enumerated() {
            own[index] = items[place].start
            let record = items[place].item.fields
            let values = record.span
            for field in 0..<fields { own[(field &+ 1) &* items.count &+ index] = values[field] }
        }
    }

    private static func put(
        _ codes: [UInt64], _ first: Int64?, _ writer: inout BitWriter, _ page: inout MutableSpan<UInt8>
    ) {
        var lengths = LengthHistogram()
        for code in codes { lengths.add(code) }
        let isConstant = lengths.total == 0
        let k = isConstant ? constant : lengths.bestParameter(count: codes.count)
        writer.put(UInt64(k), 6, &page)
        if let first {
            let code = zigzag(first)
            let length = max(1, 64 - code.leadingZeroBitCount)
            writer.put(UInt64(length - 1), 6, &page)
            writer.putLong(code, length, &page)
        }
        guard !isConstant else { return }
        for code in codes where !writer.overflowed { writer.putRice(code, k, &page) }
    }

    private mutating func finishPage() {
        header.used = at - PageHeader.size
        // What did not fit may have left something behind.
        for index in at..<page.count { page[index] = 0 }
        pages.append(page)
        headers.append(header)
        header = PageHeader(kind)
        page = [UInt8](repeating: 0, count: Layout.pageSize)
        page.put(UInt64(bitPattern: base), at: PageHeader.size)
        at = PageHeader.size + 8
    }
}

/// Records of one series as columns.
struct TierColumns {
    private(set) var count = 0
    private(set) var fields = 0
    /// Of the records; storage is used again, so that there may be more.
    fileprivate(set) var starts: [Int64] = []
    /// Column after column, and perhaps more.
    fileprivate(set) var values: [Int64] = []

    /// Room for so many records, at least one, of which the first starts then; the rest is to be filled in.
    fileprivate mutating func begin(_ start: Int64, count: Int, fields: Int) {
        (self.count, self.fields) = (count, fields)
        if starts.count < count { starts.append(contentsOf: repeatElement(0, count: count - starts.count)) }
        let all = count * fields
        if values.count < all { values.append(contentsOf: repeatElement(0, count: all - values.count)) }
        starts[0] = start
    }

    /// Adds what the records that start in the range say as slots.
    func addStates(_ from: Int64, _ to: Int64, to states: inout [SlotState]) {
        let starts = starts.span.extracting(first: count)
        let values = values.span.extracting(first: count * fields)
        guard starts.count == count, values.count == count * fields else { return }
        for index in 0..<count where starts[index] >= from && starts[index] < to {
            let state = SlotState(start: starts[index], count: fields) { values[$0 &* count &+ index] }
            states.append(state ?? SlotState(start: starts[index]))
        }
    }

    func record(_ index: Int, _ series: UInt16) -> TierRecord {
        TierRecord(
            series: SeriesID(raw: UInt32(series)), start: Instant(milliseconds: starts[index]),
            fields: (0..<fields).map { values[$0 * count + index] })
    }
}

/// Reads chunks from the body of a tier's page whose checksum is right.
struct TierChunkReader {
    typealias Chunk = PageChunks.Chunk

    private var chunks: PageChunks
    private var base: Int64 { chunks.base }

    /// From a place on that an earlier reader of this page came to.
    init(_ page: borrowing Span<UInt8>, used: Int, from place: ChunkReader.Place = ChunkReader.Place()) {
        chunks = PageChunks(page, used: used, least: 9, from: place)
    }

    var place: ChunkReader.Place { chunks.place }

    /// Goes on to the first chunk of this series or a later one.
    mutating func skip(to series: UInt16, _ page: borrowing Span<UInt8>) { chunks.skip(to: series, page) }

    /// The next chunk, not decoded; nil after the last one, and where the rest makes no sense.
    mutating func next(_ page: borrowing Span<UInt8>) -> Chunk? { chunks.next(page) }

    /// The records of a chunk; nil where they cannot be decoded.
    func decode(_ chunk: Chunk, _ page: borrowing Span<UInt8>) -> TierColumns? {
        var columns = TierColumns()
        return decode(chunk, page, mostFields: TierRecord.mostFields, into: &columns) ? columns : nil
    }

    /// Puts the records of a chunk, at most the first `mostFields` fields of each, in the place of what `columns` held;
    /// false where they cannot be decoded.
    func decode(
        _ chunk: Chunk, _ page: borrowing Span<UInt8>, mostFields: Int, into columns: inout TierColumns
    ) -> Bool {
        var at = chunk.at + 7
        // Columns of equal numbers take no room, so that the number of records alone says what a chunk costs.
        guard chunk.count > 0, chunk.count <= TierRunBuilder.mostRecords,
            let first = ChunkReader.varint(page, &at, chunk.end), let step = ChunkReader.varint(page, &at, chunk.end)
        else { return false }
        let fields = min(mostFields, Int(page[chunk.at + 6]), TierRecord.mostFields)
        columns.begin(base &+ unzigzag(first), count: chunk.count, fields: fields)
        let reader = TierChunkReader.decode(
            chunk.count, fields, by: unzigzag(step), BitReader(at: at, end: chunk.end), page, &columns.starts,
            &columns.values)
        return !reader.failed
    }

    /// Fills in all columns. A reader goes by value and comes back, so that it stays in registers from column to column:
    /// these are short.
    private static func decode(
        _ count: Int, _ fields: Int, by step: Int64, _ reader: BitReader, _ page: borrowing Span<UInt8>,
        _ allStarts: inout [Int64], _ allValues: inout [Int64]
    ) -> BitReader {
        var stream = reader
        var starts = allStarts.mutableSpan
        stream.getColumn(Int(truncatingIfNeeded: stream.get(6, page)), by: step, page, 0..<count, &starts)
        var values = allValues.mutableSpan
        var first = 0
        var field = 0
        while field < fields, !stream.failed {
            stream.refill(page)
            let k = stream.next(6)
            stream.skip(6)
            let length = stream.next(6) &+ 1
            stream.skip(6)
            let code: UInt64
            if length <= 44 {
                code = UInt64(truncatingIfNeeded: stream.next(length))
                stream.skip(UInt64(truncatingIfNeeded: length))
            } else {
                code = stream.getLong(length, page)
            }
            values[first] = unzigzag(code)
            stream.getColumn(k, by: 0, page, first..<first &+ count, &values)
            first &+= count
            field &+= 1
        }
        return stream
    }
}

extension BitReader {
    /// A column whose first value stands already: each next one is `step` more, and what its code says.
    @inline(__always)
    fileprivate mutating func getColumn(
        _ k: Int, by step: Int64, _ page: borrowing Span<UInt8>, _ range: Range<Int>, _ own: inout MutableSpan<Int64>
    ) {
        guard range.lowerBound >= 0, range.lowerBound < range.upperBound, range.upperBound <= own.count else { return }
        var value = own[range.lowerBound]
        var index = range.lowerBound &+ 1
        if k == TierRunBuilder.constant {
            while index < range.upperBound {
                value = value &+ step
                own[index] = value
                index &+= 1
            }
            return
        }
        if k <= BitReader.mostOfTwo {
            while index &+ 1 < range.upperBound {
                let (one, two) = getTwoRice(k, page)
                value = value &+ step &+ unzigzag(one)
                own[index] = value
                value = value &+ step &+ unzigzag(two)
                own[index &+ 1] = value
                index &+= 2
            }
        }
        while index < range.upperBound {
            value = value &+ step &+ unzigzag(getRice(k, page))
            own[index] = value
            index &+= 1
        }
    }
}
