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
    private(set) var samples = 0
    private(set) var usedPages = 0

    init(pages: Int) { entries = [PageEntry](repeating: PageEntry(), count: pages) }

    func place(_ sequence: UInt64) -> Int { Int(sequence % UInt64(entries.count)) }

    /// The page of this sequence, if it is there to be read.
    func entry(_ sequence: UInt64) -> PageEntry? {
        let entry = entries[place(sequence)]
        return entry.sequence == sequence && sequence != 0 ? entry : nil
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
    /// Indices into the head's records, by series.
    private(set) var order: [UInt32] = []
    /// Each series that has samples, and its part of `order`.
    private(set) var groups: [(series: UInt16, range: Range<Int>)] = []

    private var page = [UInt8](repeating: 0, count: Layout.pageSize)
    private var header = PageHeader(.archive)
    private var at = PageHeader.size + 8
    private var writer = ChunkWriter()
    private let base: Int64

    /// `from ..< to` are ordinals.
    init(_ head: Head, from: UInt64, to: UInt64) {
        let range = head.index(from)..<head.index(to)
        let records = head.records[range]
        base = records.first { $0.tag.isSample }?.time ?? 0
        page.put(UInt64(bitPattern: base), at: PageHeader.size)

        // A counting sort keeps the order of arrival within each series.
        var highest = 0
        for record in records where record.tag.isSample { highest = max(highest, Int(record.series)) }
        var starts = [Int](repeating: 0, count: highest + 2)
        for record in records where record.tag.isSample { starts[Int(record.series) + 1] += 1 }
        for series in 1..<starts.count { starts[series] += starts[series - 1] }
        samples = starts[starts.count - 1]
        order = [UInt32](repeating: 0, count: samples)
        var places = starts
        for index in range where head.records[index].tag.isSample {
            let series = Int(head.records[index].series)
            order[places[series]] = UInt32(index)
            places[series] += 1
        }

        var columns = Columns()
        columns.texts = head.texts
        for series in 0..<starts.count - 1 where starts[series] < starts[series + 1] {
            columns.removeSamples()
            groups.append((UInt16(series), starts[series]..<starts[series + 1]))
            for place in starts[series]..<starts[series + 1] {
                let record = head.records[Int(order[place])]
                columns.times.append(record.time)
                columns.bits.append(record.number)
                columns.tags.append(record.tag)
            }
            add(UInt16(series), columns)
        }
        // Without any sample, a page still says which ordinals are done.
        if header.samples > 0 || pages.isEmpty { finishPage() }
    }

    private mutating func add(_ series: UInt16, _ columns: Columns) {
        var done = 0
        while done < columns.count {
            let written = writer.write(series, columns, from: done, base: base, into: &page, at: &at)
            guard written > 0 else {
                guard header.samples > 0 else { return }
                finishPage()
                continue
            }
            if header.samples == 0 { header.firstSeries = series }
            header.lastSeries = series
            header.samples += written
            for time in columns.times[done..<done + written] {
                if time < header.firstTime { header.firstTime = time }
                if time > header.lastTime { header.lastTime = time }
            }
            done += written
        }
    }

    private mutating func finishPage() {
        header.used = at - PageHeader.size
        // What did not fit may have left something behind.
        for index in at..<page.count { page[index] = 0 }
        pages.append(page)
        headers.append(header)
        header = PageHeader(.archive)
        page = [UInt8](repeating: 0, count: Layout.pageSize)
        page.put(UInt64(bitPattern: base), at: PageHeader.size)
        at = PageHeader.size + 8
    }
}

extension Columns {
    /// Keeps the texts.
    mutating func removeSamples() {
        times.removeAll(keepingCapacity: true)
        bits.removeAll(keepingCapacity: true)
        tags.removeAll(keepingCapacity: true)
    }
}
