// The archive ring holds runs. A **run** is a stretch of arrival, sorted: up to 131,072 samples, all of one series
// together and in their order of arrival, in consecutive pages. So an hour of one series is a page or two of each run,
// and a page says by its first and last series whether it is one of them.

import Model

/// What is kept in memory of a page of the archive: 32 bytes.
struct PageEntry {
    /// 0 where the page holds nothing to read. Sequences begin at 1.
    var sequence: UInt64 = 0
    var firstTime: Int64 = 0
    var lastTime: Int64 = 0
    var firstSeries: UInt16 = 0
    var lastSeries: UInt16 = 0
    var samples: UInt16 = 0

    init() {}

    init(_ header: PageHeader) {
        sequence = header.sequence
        firstTime = header.firstTime
        lastTime = header.lastTime
        firstSeries = header.firstSeries
        lastSeries = header.lastSeries
        samples = UInt16(clamping: header.samples)
    }
}

/// What is kept in memory of a run.
struct Run {
    let sequence: UInt64
    let pages: Int
    let first: UInt64
    let end: UInt64
    let samples: Int
    var firstTime: Int64 = .max
    var lastTime: Int64 = .min

    var endSequence: UInt64 { sequence + UInt64(pages) }

    init(sequence: UInt64, pages: Int, first: UInt64, end: UInt64, samples: Int) {
        self.sequence = sequence
        self.pages = pages
        self.first = first
        self.end = end
        self.samples = samples
    }

    mutating func widen(_ entry: PageEntry) {
        firstTime = min(firstTime, entry.firstTime)
        lastTime = max(lastTime, entry.lastTime)
    }
}

/// Which pages of the archive hold what.
struct ArchiveIndex {
    /// By place in the ring.
    private(set) var entries: [PageEntry]
    /// In order of sequence.
    private(set) var runs: [Run] = []
    var next: UInt64 = 1
    /// Of the ring, also in the index of a snapshot.
    private(set) var pages: Int
    private(set) var samples = 0
    private(set) var usedPages = 0
    /// In order of sequence: all there is, in the index of a snapshot.
    private var few: [PageEntry]?

    /// Of a snapshot of `whole`, with these pages alone.
    init(few: [PageEntry], of whole: ArchiveIndex) {
        entries = [PageEntry()]
        self.few = few
        pages = whole.pages
        next = whole.next
    }

    init(pages: Int) {
        entries = [PageEntry](repeating: PageEntry(), count: pages)
        self.pages = pages
    }

    func place(_ sequence: UInt64) -> Int { Int(sequence % UInt64(entries.count)) }

    /// The page of this sequence, if it is there to be read.
    func entry(_ sequence: UInt64) -> PageEntry? {
        if let few { return ArchiveIndex.entry(sequence, in: few) }
        let entry = entries[place(sequence)]
        return entry.sequence == sequence && sequence != 0 ? entry : nil
    }

    private static func entry(_ sequence: UInt64, in few: [PageEntry]) -> PageEntry? {
        var low = 0
        var high = few.count
        while low < high {
            let middle = (low + high) / 2
            if few[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < few.count && few[low].sequence == sequence ? few[low] : nil
    }

    /// Forgets what stands where `sequence` will be written, and gives it back.
    mutating func clear(_ sequence: UInt64) -> PageEntry? {
        let place = place(sequence)
        let old = entries[place]
        guard old.sequence != 0 else { return nil }
        entries[place] = PageEntry()
        samples -= Int(old.samples)
        usedPages -= 1
        return old
    }

    mutating func insert(_ entry: PageEntry) {
        _ = clear(entry.sequence)
        entries[place(entry.sequence)] = entry
        samples += Int(entry.samples)
        usedPages += 1
    }

    mutating func append(_ run: Run) { runs.append(run) }

    /// The pages that may hold something of the series in the range, oldest run first.
    func pages(of series: UInt16, _ from: Int64, _ to: Int64) -> [UInt64] {
        if let few { return few.filter { $0.firstTime < to && $0.lastTime >= from }.map(\.sequence) }
        var found: [UInt64] = []
        for run in runs where run.firstTime < to && run.lastTime >= from {
            var sequence = firstPage(of: series, in: run)
            while sequence < run.endSequence {
                if let entry = entry(sequence) {
                    if entry.firstSeries > series { break }
                    if entry.lastSeries >= series, entry.firstTime < to, entry.lastTime >= from {
                        found.append(sequence)
                    }
                }
                sequence += 1
            }
        }
        return found
    }

    /// The pages that hold something of this time, of whatever series, in order of sequence.
    func pages(from: Int64, to: Int64) -> [UInt64] {
        var found: [UInt64] = []
        for run in runs where run.firstTime < to && run.lastTime >= from {
            for sequence in run.sequence..<run.endSequence {
                if let entry = entry(sequence), entry.firstTime < to, entry.lastTime >= from { found.append(sequence) }
            }
        }
        return found
    }

    /// Pages of the run before this one end below the series.
    private func firstPage(of series: UInt16, in run: Run) -> UInt64 {
        var low = run.sequence
        var high = run.endSequence
        while low < high {
            let middle = (low + high) / 2
            // Where a page is missing, nothing tells on which side to go on.
            guard let entry = entry(middle) else { return low }
            if entry.lastSeries < series { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Forgets runs of which every page has been overwritten.
    mutating func prune() {
        let count = runs.prefix { $0.endSequence + UInt64(entries.count) <= next }.count
        if count > 0 { runs.removeFirst(count) }
    }
}

/// Sorts a stretch of the head into the pages of a run.
struct RunBuilder {
    private(set) var pages: [[UInt8]] = []
    private(set) var headers: [PageHeader] = []
    private(set) var samples = 0

    /// The samples of one series, and perhaps more.
    private var columns = SortedColumns()
    private var page = [UInt8](repeating: 0, count: Layout.pageSize)
    private var header = PageHeader(.archive)
    private var place: ChunkWriter.Place
    private var writer = ChunkWriter()

    /// `from ..< to` are ordinals. `each` gets the samples of one series after the other: the first so many of the columns.
    init(_ head: Head, from: UInt64, to: UInt64, _ each: (UInt16, SortedColumns, Int) -> Void) {
        let range = head.index(from)..<head.index(to)
        place = ChunkWriter.Place(base: head.records[range].first { $0.tag.isSample }?.time ?? 0)
        beginPage()
        columns.texts = head.texts
        let (sorted, starts) = RunBuilder.sort(head, range)
        samples = sorted.count
        for series in 0..<starts.count - 1 where starts[series] < starts[series + 1] {
            let group = starts[series]..<starts[series + 1]
            columns.makeRoom(group.count)
            columns.areInOrder = RunBuilder.fill(
                sorted.span.extracting(group), head, &columns.times, &columns.bits, &columns.marks)
            add(UInt16(series), group.count)
            each(UInt16(series), columns, group.count)
        }
        // Without any sample, a page still says which ordinals are done.
        if header.samples > 0 || pages.isEmpty { finishPage() }
    }

    /// A sample on its way from the head to its series, which is half of what it is there:
    ///
    ///     bits 0…3 mark of a decimal   4…31 zigzag(whole)   32…63 offset, as in `PackedRecord`
    ///     bits 0…3 15                  4…31 0               32…63 where the sample stands in the head
    private struct Sorted {
        let word: UInt64

        @inline(__always)
        init(_ record: PackedRecord, at index: Int) {
            let isShort = record.isDecimal && record.number < 1 << 28
            word =
                isShort
                ? UInt64(bitPattern: record.offset << 32) | record.number << 4 | record.mark
                : UInt64(truncatingIfNeeded: index) << 32 | 15
        }

        @inline(__always)
        var mark: UInt8 { UInt8(truncatingIfNeeded: word & 15) }
        @inline(__always)
        var number: UInt64 { word >> 4 & 0xFFF_FFFF }
        @inline(__always)
        var place: Int64 { Int64(bitPattern: word >> 32) }
    }

    /// The samples, series by series, and where each series begins, and the end. A counting sort keeps the order of arrival
    /// within each.
    private static func sort(_ head: Head, _ range: Range<Int>) -> (sorted: [Sorted], starts: [Int]) {
        var starts = [Int](repeating: 0, count: head.seriesEnd + 1)
        var index = range.lowerBound
        while index < range.upperBound {
            let part = head.records.stretch(from: index).prefix(range.upperBound - index)
            count(part.span, &starts)
            index += part.count
        }
        for series in 1..<starts.count { starts[series] += starts[series - 1] }
        let none = Sorted(PackedRecord(code: 0, series: 0, back: 0, offset: 0), at: 0)
        var sorted = [Sorted](repeating: none, count: starts[starts.count - 1])
        var places = starts
        index = range.lowerBound
        while index < range.upperBound {
            let part = head.records.stretch(from: index).prefix(range.upperBound - index)
            scatter(part.span, index, &places, &sorted)
            index += part.count
        }
        return (sorted, starts)
    }

    private static func count(_ records: borrowing Span<PackedRecord>, _ starts: inout [Int]) {
        var counts = starts.mutableSpan
        var index = 0
        while index < records.count {
            let record = records[index]
            if record.isSample { counts[Int(record.series) &+ 1] &+= 1 }
            index &+= 1
        }
    }

    /// - Parameter first: where these stand in the head.
    private static func scatter(
        _ records: borrowing Span<PackedRecord>, _ first: Int, _ allPlaces: inout [Int], _ all: inout [Sorted]
    ) {
        var places = allPlaces.mutableSpan
        var sorted = all.mutableSpan
        var index = 0
        while index < records.count {
            let record = records[index]
            if record.isSample {
                let place = places[Int(record.series)]
                places[Int(record.series)] = place &+ 1
                sorted[place] = Sorted(record, at: first &+ index)
            }
            index &+= 1
        }
    }

    /// Whether the times are in order.
    private static func fill(
        _ sorted: borrowing Span<Sorted>, _ head: Head, _ allTimes: inout [Int64], _ allBits: inout [UInt64],
        _ allMarks: inout [UInt8]
    ) -> Bool {
        var times = allTimes.mutableSpan
        var bits = allBits.mutableSpan
        var marks = allMarks.mutableSpan
        guard sorted.count <= times.count, sorted.count <= bits.count, sorted.count <= marks.count else { return false }
        let base = head.records.base
        var areInOrder = true
        var before = Int64.min
        var index = 0
        while index < sorted.count {
            let sample = sorted[index]
            if sample.mark < SortedColumns.double {
                let time = base &+ sample.place
                if time < before { areInOrder = false }
                before = time
                times[index] = time
                bits[index] = UInt64(bitPattern: unzigzag(sample.number))
                marks[index] = sample.mark
            } else {
                let whole = head.records[Int(sample.place)]
                if whole.time < before { areInOrder = false }
                before = whole.time
                times[index] = whole.time
                bits[index] = whole.bits
                marks[index] = SortedColumns.mark(whole)
            }
            index &+= 1
        }
        return areInOrder
    }

    /// How many of each series' samples have ordinals in this range; nothing where it is none.
    static func count(_ head: Head, from first: UInt64, below end: UInt64) -> [UInt16: Int] {
        var counts: [UInt16: Int] = [:]
        guard end > first else { return counts }
        for record in head.records[head.index(first)..<head.index(end)] where record.tag.isSample {
            counts[record.series, default: 0] += 1
        }
        return counts
    }

    /// Adds the first so many samples of the columns.
    private mutating func add(_ series: UInt16, _ count: Int) {
        var done = 0
        while done < count {
            let written = writer.write(series, columns, done..<count, into: &page, at: &place)
            guard written > 0 else {
                guard header.samples > 0 else { return }
                finishPage()
                continue
            }
            if header.samples == 0 { header.firstSeries = series }
            header.lastSeries = series
            header.samples += written
            let span =
                columns.areInOrder
                ? (columns.times[done], columns.times[done + written - 1])
                : RunBuilder.span(of: columns.times.span.extracting(done..<done + written))
            header.firstTime = min(header.firstTime, span.0)
            header.lastTime = max(header.lastTime, span.1)
            done += written
        }
    }

    /// The first and the last moment.
    private static func span(of times: borrowing Span<Int64>) -> (Int64, Int64) {
        var first = Int64.max
        var last = Int64.min
        for index in 0..<times.count {
            first = min(first, times[index])
            last = max(last, times[index])
        }
        return (first, last)
    }

    private mutating func beginPage() {
        page = [UInt8](repeating: 0, count: Layout.pageSize)
        page.put(UInt64(bitPattern: place.base), at: PageHeader.size)
        place = ChunkWriter.Place(base: place.base)
        header = PageHeader(.archive)
    }

    private mutating func finishPage() {
        header.used = place.at - PageHeader.size
        pages.append(page)
        headers.append(header)
        beginPage()
    }
}
