// Reading the bodies of archive pages of every format. `Chunk.swift` draws them.

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
    private(set) var place: ChunkReader.Place
    private let end: Int
    /// The shortest that a chunk can be.
    private let least: Int

    /// From a place on that an earlier reader of this page came to.
    init(_ page: borrowing Span<UInt8>, used: Int, least: Int, from place: ChunkReader.Place = ChunkReader.Place()) {
        end = min(page.count, PageHeader.size + used)
        self.least = least
        self.place = place
        var base: UInt64 = 0
        if end >= PageHeader.size + 8 {
            for index in 0..<8 { base |= UInt64(page[PageHeader.size + index]) << UInt64(8 * index) }
        }
        self.base = Int64(bitPattern: base)
    }

    private static func u16(_ page: borrowing Span<UInt8>, _ at: Int) -> Int { Int(page[at]) | Int(page[at + 1]) << 8 }

    /// The next chunk, not decoded; nil after the last one, and where the rest makes no sense.
    mutating func next(_ page: borrowing Span<UInt8>) -> Chunk? {
        let at = place.at
        guard at + least <= end else { return nil }
        let length = PageChunks.u16(page, at + 4)
        guard length >= least, at + length <= end else { return nil }
        place.at = at + length
        place.series = UInt16(PageChunks.u16(page, at))
        return Chunk(series: place.series, count: PageChunks.u16(page, at + 2), at: at, end: place.at)
    }

    /// Goes on to the first chunk of this series or a later one.
    mutating func skip(to series: UInt16, _ page: borrowing Span<UInt8>) {
        while place.at + least <= end, PageChunks.u16(page, place.at) < series, next(page) != nil {}
    }
}

/// Reads chunks from the body of an archive page whose checksum is right.
struct ChunkReader {
    static let mostTexts = 64

    /// A chunk that is not decoded yet.
    struct Chunk {
        let series: UInt16
        let count: Int
        /// Of the bit stream; of a chunk of an older format, of all of it.
        let at: Int
        let end: Int
        fileprivate let shape: ChunkShape
        fileprivate let step: Int64
        /// The first time.
        let first: Int64
    }

    /// Between two chunks of a page, and what the next one counts from.
    struct Place {
        fileprivate var at = PageHeader.size + 8
        /// Of the chunk before.
        fileprivate(set) var series: UInt16 = 0
        fileprivate var step: Int64 = 0
    }

    private let isOld: Bool
    private let base: Int64
    private var old: PageChunks
    private let end: Int
    /// Of a page of an older format, the start.
    private(set) var place = Place()

    /// From a place on that an earlier reader of this page came to.
    init(_ page: borrowing Span<UInt8>, used: Int, from place: Place = Place()) {
        self.place = place
        old = PageChunks(page, used: used, least: 11)
        isOld = page.count > 4 && page[4] < PageHeader.firstFormatOfColumns
        base = old.base
        end = min(page.count, PageHeader.size + used)
    }

    /// The next chunk, not decoded; nil after the last one, and where the rest makes no sense.
    mutating func next(_ page: borrowing Span<UInt8>) -> Chunk? {
        if isOld {
            return old.next(page).map {
                Chunk(
                    series: $0.series, count: $0.count, at: $0.at, end: $0.end, shape: ChunkShape(bits: 0), step: 0,
                    first: 0)
            }
        }
        var at = place.at
        guard at < end, let seriesStep = ChunkReader.varint(page, &at, end),
            let count = ChunkReader.varint(page, &at, end), let length = ChunkReader.varint(page, &at, end),
            at + 2 <= end
        else { return nil }
        let shape = ChunkShape(bits: UInt16(page[at]) | UInt16(page[at + 1]) << 8)
        at += 2
        // A time takes a bit at least.
        guard let stepChange = ChunkReader.varint(page, &at, end), let first = ChunkReader.varint(page, &at, end),
            length <= UInt64(end - at), count > 0, count <= UInt64(ChunkWriter.mostSamples), count <= 1 + 8 * length
        else { return nil }
        place.series = place.series &+ UInt16(truncatingIfNeeded: seriesStep)
        place.step = place.step &+ unzigzag(stepChange)
        place.at = at + Int(length)
        return Chunk(
            series: place.series, count: Int(count), at: at, end: place.at, shape: shape, step: place.step,
            first: base &+ unzigzag(first))
    }

    /// Goes on to the first chunk of this series or a later one. Of a page of an older format it stays at the start.
    mutating func skip(to series: UInt16, _ page: borrowing Span<UInt8>) {
        guard !isOld else { return }
        var next = place
        while true {
            var at = next.at
            guard at < end, let seriesStep = ChunkReader.varint(page, &at, end) else { return }
            next.series = next.series &+ UInt16(truncatingIfNeeded: seriesStep)
            guard next.series < series, ChunkReader.varint(page, &at, end) != nil,
                let length = ChunkReader.varint(page, &at, end)
            else { return }
            at &+= 2
            guard let stepChange = ChunkReader.varint(page, &at, end), ChunkReader.varint(page, &at, end) != nil,
                length <= UInt64(end &- at)
            else { return }
            next.step = next.step &+ unzigzag(stepChange)
            next.at = at &+ Int(truncatingIfNeeded: length)
            place = next
        }
    }

    @inline(__always)
    static func varint(_ page: borrowing Span<UInt8>, _ at: inout Int, _ end: Int) -> UInt64? {
        // Most of them.
        if at < end, page[at] < 0x80 {
            at &+= 1
            return UInt64(page[at &- 1])
        }
        return longVarint(page, &at, end)
    }

    private static func longVarint(_ page: borrowing Span<UInt8>, _ at: inout Int, _ end: Int) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < end, shift < 64 {
            let byte = page[at]
            at &+= 1
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift &+= 7
        }
        return nil
    }

    /// Appends the samples of a chunk to `columns`, those outside of the range not necessarily; false where they cannot
    /// be decoded, with nothing appended.
    func decode(
        _ chunk: Chunk, _ page: borrowing Span<UInt8>, from: Int64 = .min, to: Int64 = .max, into columns: inout Columns
    ) -> Bool {
        guard !isOld else {
            return OldChunks.decode(
                at: chunk.at, count: chunk.count, end: chunk.end, base: base, page, into: &columns)
        }
        guard chunk.shape.places <= Decimal.mostPlaces else { return false }
        var reader = BitReader(at: chunk.at, end: chunk.end)
        let before = columns.count
        let same = chunk.shape.isConstant ? ChunkReader.constant(chunk, &reader, page).bits : nil
        if chunk.shape.allNumbers {
            let isOrdered = ChunkReader.decodeTimes(chunk, &reader, page, &columns.times)
            columns.note(inOrder: isOrdered, since: before)
            var count = chunk.count
            while count > 1, columns.times[before + count - 1] >= to { count -= 1 }
            columns.times.removeLast(chunk.count - count)
            if columns.times[before + count - 1] < from, columns.areAll(before: from, since: before) {
                columns.times.removeLast(count)
                return !reader.failed
            }
            columns.tagNumbers(count)
            if let same {
                columns.bits.append(contentsOf: repeatElement(same, count: count))
            } else {
                ChunkReader.decodeNumbers(chunk, count, &reader, page, &columns.bits)
            }
        } else if !ChunkReader.decodeMixed(chunk, &reader, page, &columns) {
            columns.cut(to: before)
            return false
        }
        if reader.failed { columns.cut(to: before) }
        return !reader.failed
    }

    /// Of a chunk whose samples are all the same number, in order of time, the bits of that and the last time; nil of
    /// others. Its times need not be looked at.
    func constant(_ chunk: Chunk, _ page: borrowing Span<UInt8>) -> (bits: UInt64, last: Int64)? {
        guard !isOld, chunk.shape.isConstant, chunk.shape.places <= Decimal.mostPlaces else { return nil }
        var reader = BitReader(at: chunk.at, end: chunk.end)
        let found = ChunkReader.constant(chunk, &reader, page)
        return reader.failed ? nil : found
    }

    private static func constant(
        _ chunk: Chunk, _ reader: inout BitReader, _ page: borrowing Span<UInt8>
    ) -> (bits: UInt64, last: Int64) {
        let whole = unzigzag(reader.getLength(page))
        let due = ChunkShape.due(chunk.first, step: chunk.step, count: chunk.count)
        return (
            Decimal.number(whole, places: chunk.shape.places).bitPattern, due &+ unzigzag(reader.getLength(page))
        )
    }

    /// Appends the times of a chunk; whether they are in order.
    private static func decodeTimes(
        _ chunk: Chunk, _ reader: inout BitReader, _ page: borrowing Span<UInt8>, _ times: inout [Int64]
    ) -> Bool {
        let before = times.count
        times.append(contentsOf: repeatElement(chunk.first, count: chunk.count))
        var own = times.mutableSpan
        let predictor = TimePredictor(step: chunk.step, first: chunk.first)
        reader.getTimes(chunk.shape.timeParameter, page, predictor, into: &own, from: before &+ 1)
        let all = times.span.extracting(before..<times.count)
        // Its top bit tells of a time before the one ahead of it; a loop without a way out is far shorter.
        var steps: Int64 = 0
        var index = 1
        while index < all.count {
            steps |= all[index] &- all[index &- 1]
            index &+= 1
        }
        // Beyond these, a difference may have wrapped.
        return steps >= 0 && steps < 1 << 50 && chunk.first.magnitude < 1 << 61
    }

    /// The bits of the first `count` numbers.
    private static func decodeNumbers(
        _ chunk: Chunk, _ count: Int, _ reader: inout BitReader, _ page: borrowing Span<UInt8>, _ bits: inout [UInt64]
    ) {
        guard count > 0 else { return }
        let before = bits.count
        if chunk.shape.values == .double {
            var number: UInt64 = 0
            for _ in 0..<count {
                number ^= double(&reader, page)
                bits.append(number)
            }
            return
        }
        var stream = reader
        let length = Int(truncatingIfNeeded: stream.get(6, page)) &+ 1
        var whole = unzigzag(stream.getLong(length, page))
        let scale = Decimal.scale(chunk.shape.places)
        let k = chunk.shape.valueParameter
        bits.append(contentsOf: repeatElement((Double(whole) / scale).bitPattern, count: count))
        var own = bits.mutableSpan
        var index = before &+ 1
        switch chunk.shape.values {
        case .step:
            stream.getSigned(k, page, into: &own, from: index)
            while index < own.count {
                whole = whole &+ Int64(bitPattern: own[index])
                own[index] = (Double(whole) / scale).bitPattern
                index &+= 1
            }
        case .stepOfSteps:
            stream.getSigned(k, page, into: &own, from: index)
            var step: Int64 = 0
            while index < own.count {
                step = step &+ Int64(bitPattern: own[index])
                whole = whole &+ step
                own[index] = (Double(whole) / scale).bitPattern
                index &+= 1
            }
        case .runs, .double:
            let runs = Int(truncatingIfNeeded: stream.get(5, page))
            var number = (Double(whole) / scale).bitPattern
            while index < own.count, !stream.failed {
                let run = Int(truncatingIfNeeded: min(stream.getRice(runs, page), UInt64(own.count &- index)))
                let next = index &+ run
                while index < next {
                    own[index] = number
                    index &+= 1
                }
                guard index < own.count else { break }
                whole = whole &+ unzigzag(stream.getRice(k, page) &+ 1)
                number = (Double(whole) / scale).bitPattern
                own[index] = number
                index &+= 1
            }
        }
        reader = stream
    }

    /// What a double's bits differ by from those of the one before.
    private static func double(_ reader: inout BitReader, _ page: borrowing Span<UInt8>) -> UInt64 {
        guard reader.get(1, page) == 1 else { return 0 }
        let leading = Int(truncatingIfNeeded: reader.get(6, page))
        let length = Int(truncatingIfNeeded: reader.get(6, page)) + 1
        guard leading + length <= 64 else { return 0 }
        return reader.getLong(length, page) << UInt64(64 - leading - length)
    }

    private static func decodeMixed(
        _ chunk: Chunk, _ reader: inout BitReader, _ page: borrowing Span<UInt8>, _ columns: inout Columns
    ) -> Bool {
        var tags: [ValueTag] = []
        for _ in 0..<chunk.count {
            guard let tag = ValueTag(rawValue: UInt8(truncatingIfNeeded: reader.get(2, page))), tag.isSample else {
                return false
            }
            tags.append(tag)
        }
        var times: [Int64] = []
        _ = decodeTimes(chunk, &reader, page, &times)
        var numbers: [UInt64] = []
        decodeNumbers(chunk, tags.count { $0 == .number }, &reader, page, &numbers)
        let textBase = columns.texts.count
        var number = 0
        for (index, tag) in tags.enumerated() {
            switch tag {
            case .number:
                columns.bits.append(numbers[number])
                number += 1
            case .text:
                guard let text = text(&reader, page, textBase, &columns.texts) else { return false }
                columns.bits.append(UInt64(text))
            case .unknown, .lost, .tier: columns.bits.append(0)
            }
            columns.append(times[index], tag)
        }
        return true
    }

    /// The index of the next text, which may be a new one.
    static func text(
        _ reader: inout BitReader, _ page: borrowing Span<UInt8>, _ textBase: Int, _ texts: inout [String]
    ) -> Int? {
        let index = Int(clamping: reader.getRice(2, page))
        let known = min(texts.count - textBase, mostTexts)
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
