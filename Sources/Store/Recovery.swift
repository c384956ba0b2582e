// What opening a store finds. Nothing is written.
//
// 1. Superblocks give identity and layout; without them, the pages themselves.
// 2. The newest sound slot of each catalog page names the series.
// 3. Runs of the archive are taken from the newest back. A run whose ordinals a newer one holds, or a newer epoch has
//    voided, is left out. A damaged run is left out where the journal still has what was durable of it; otherwise the
//    rest of it is used, and the missing samples are counted.
// 4. The rings of slots and days are taken the same way. What a run that was left out would have held, the journal has,
//    under ordinals before the end of the archive: such records are taken up again at the end.
// 5. The journal gives what came after the last run, in order of ordinals, up to the first gap. A gap below what was
//    once durable is a loss and not the end.

import Model

/// The state of a store as its region shows it.
struct Recovered {
    let layout: Layout
    let identity: [UInt8]
    var catalog: Catalog
    var archive: ArchiveIndex
    var journal: JournalRing
    var tiers: [TierStore]
    /// Records of tiers that only journal pages before the end of the archive have, in order of arrival.
    var oldItems: [OldItem] = []
    var head = Head(first: 0)
    var durable: UInt64 = 0
    var epoch: UInt32 = 1
    var report = RecoveryReport()
    var badSuperblocks: [Int] = []
    /// The superblocks say less than the store is now.
    var outdated = false
    var isNew = false

    private(set) var journalHeaders: [PageHeader] = []
    /// By place in the archive: the first sequence of the run that the page belongs to.
    private var runOf: [UInt64] = []
    /// By place in the archive: nothing was ever written there.
    private var isBlank: [Bool] = []
    private var candidates: [UInt64: PageHeader] = [:]
    /// First ordinals by epoch, in order of epochs.
    private var epochs: [UInt32: UInt64] = [:]
    private var unreadable = 0
    private var tierScans: [TierScan] = []

    /// An empty store.
    init(layout: Layout, identity: [UInt8]) {
        self.layout = layout
        self.identity = identity
        catalog = Catalog(layout)
        archive = ArchiveIndex(pages: layout.archivePages)
        journal = JournalRing(pages: layout.journalPages)
        tiers = Tier.allCases.map { TierStore(pages: max(1, layout.tierPages($0))) }
        isNew = true
    }

    /// A snapshot of one series.
    init(
        layout: Layout, identity: [UInt8], catalog: Catalog, head: Head, archive: ArchiveIndex, slots: TierStore
    ) {
        self.layout = layout
        self.identity = identity
        self.catalog = catalog
        self.head = head
        self.archive = archive
        journal = JournalRing(pages: 1)
        tiers = [slots, TierStore(pages: 1)]
    }

    init(_ region: any Region) throws(StoreError) {
        let found = try Recovered.locate(region)
        self.init(layout: found.layout, identity: found.identity)
        isNew = false
        badSuperblocks = found.bad
        report.rebuiltSuperblocks = found.bad.count == 2
        if found.bad.count == 1 {
            report.notes.append("superblock \(found.bad[0]) was unreadable, the other one is used")
        }
        outdated = found.outdated
        if region.size < layout.allPages * Layout.pageSize {
            report.notes.append(
                "the store was made with \(layout.allPages * Layout.pageSize) bytes and has \(region.size) now")
        }
        loadCatalog(region)
        loadJournal(region)
        loadArchive(region)
        for tier in Tier.allCases { tierScans.append(loadTier(tier, region)) }
        chooseRuns(region)
        for (tier, scan) in zip(Tier.allCases, tierScans) { chooseRuns(of: tier, scan, region) }
        reserveNumbers()
        replayJournal(region)
        takeTierStock()
        settleJournal()
        candidates = [:]
        runOf = []
        if unreadable > 0 { report.notes.append("\(unreadable) pages could not be read") }
    }

    /// The whole page, nil where the system refuses.
    mutating func read(_ region: any Region, page: Int, count: Int = Layout.pageSize) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        do {
            try region.read(at: page * Layout.pageSize, into: &bytes)
            return bytes
        } catch {
            unreadable += 1
            return nil
        }
    }

    /// Gives `take` the header of each of some pages that follow each other, or nothing where nothing was ever written;
    /// pages that cannot be read are left out. Many are read in one go: a ring of a gigabyte has a quarter of a million.
    mutating func readHeaders(
        _ region: any Region, from start: Int, count: Int, _ take: (inout Recovered, _ index: Int, [UInt8]) -> Void
    ) {
        var blanks = 0
        let believed = min(Recovered.blanksBelieved, max(2 * Recovered.headersAtOnce, count / 4))
        for first in stride(from: 0, to: count, by: Recovered.headersAtOnce) {
            if blanks >= believed, isBlank(region, from: start + first, count: count - first) {
                for index in first..<count { take(&self, index, []) }
                return
            }
            let part = min(Recovered.headersAtOnce, count - first)
            let heads = try? region.readHeads(
                at: (start + first) * Layout.pageSize, count: part, piece: Layout.pageSize, length: PageHeader.size)
            for index in 0..<part {
                guard let heads else {
                    // One of them cannot be read; which, is seen only one by one.
                    if let bytes = read(region, page: start + first + index, count: PageHeader.size) {
                        take(&self, first + index, bytes.allSatisfy { $0 == 0 } ? [] : bytes)
                    }
                    continue
                }
                let place = index * PageHeader.size..<(index + 1) * PageHeader.size
                let isBlank = heads[place].allSatisfy { $0 == 0 }
                blanks = isBlank ? blanks + 1 : 0
                take(&self, first + index, isBlank ? [] : Array(heads[place]))
            }
        }
    }

    private static let headersAtOnce = 128

    /// A ring is written from its beginning on, so that until it is full for the first time, which takes years, its end is
    /// blank. After so many blank pages, or a quarter of the ring, more than a run may have, only each 32nd of the rest is
    /// looked at: what is spared there could only stand alone beyond a hole that has swallowed all before it.
    private static let blanksBelieved = 2048
    private static let probeDistance = 32

    /// Whether all pages of a sample, evenly spread, are blank.
    private func isBlank(_ region: any Region, from start: Int, count: Int) -> Bool {
        var header = [UInt8](repeating: 0, count: PageHeader.size)
        for page in stride(from: start, to: start + count, by: Recovered.probeDistance) {
            guard (try? region.read(at: page * Layout.pageSize, into: &header)) != nil,
                header.allSatisfy({ $0 == 0 })
            else { return false }
        }
        return true
    }

    mutating func note(_ header: PageHeader) {
        epochs[header.epoch] = min(epochs[header.epoch] ?? .max, header.epochFirst)
        epoch = max(epoch, header.epoch &+ 1)
        durable = max(durable, header.durable)
    }

    /// Ordinals at or above were given again in a later epoch.
    func clip(_ epoch: UInt32) -> UInt64 {
        epochs.reduce(UInt64.max) { $1.key > epoch ? min($0, $1.value) : $0 }
    }

    // MARK: - Loading

    private mutating func loadJournal(_ region: any Region) {
        for index in 0..<layout.journalPages {
            let page = layout.journalStart + index
            guard let bytes = read(region, page: page),
                let header = PageHeader(bytes, page: page, identity: identity), header.kind == .journal,
                header.sequence > 0, layout.journalPage(header.sequence) == page, PageHeader.isBodySound(bytes, region)
            else { continue }
            note(header)
            journalHeaders.append(header)
            journal.next = max(journal.next, header.sequence + 1)
        }
        // What an older lap left is where a newer page should be.
        let lap = UInt64(layout.journalPages)
        journalHeaders.removeAll { [next = journal.next] in $0.sequence + lap < next }
        journalHeaders.sort { ($0.first, $0.sequence) < ($1.first, $1.sequence) }
    }

    /// Reads headers only: with a page of 4 KiB each, the rest would be everything.
    private mutating func loadArchive(_ region: any Region) {
        runOf = [UInt64](repeating: 0, count: layout.archivePages)
        isBlank = [Bool](repeating: false, count: layout.archivePages)
        readHeaders(region, from: layout.archiveStart, count: layout.archivePages) { found, index, bytes in
            guard !bytes.isEmpty else { return found.isBlank[index] = true }
            found.takeArchiveHeader(bytes, page: found.layout.archiveStart + index)
        }
    }

    private mutating func takeArchiveHeader(_ bytes: [UInt8], page: Int) {
        guard let header = PageHeader(bytes, page: page, identity: identity), header.kind == .archive,
            layout.archivePage(header.sequence) == page, header.sequence > UInt64(header.index),
            header.index < header.runPages
        else { return }
        note(header)
        archive.insert(PageEntry(header))
        archive.next = max(archive.next, header.sequence + 1)
        runOf[archive.place(header.sequence)] = header.sequence - UInt64(header.index)
        candidates[header.sequence - UInt64(header.index)] = header
    }

    // MARK: - Runs

    private mutating func chooseRuns(_ region: any Region) {
        let torn = tornPages()
        let oldestJournal = journalHeaders.first?.first ?? .max
        var chosen: [Run] = []
        var above: (first: UInt64, time: Int64)?
        for sequence in candidates.keys.sorted(by: >) {
            guard let header = candidates[sequence] else { continue }
            var run = Run(
                sequence: sequence, pages: header.runPages, first: header.first, end: header.end,
                samples: header.runSamples)
            guard run.end <= clip(header.epoch), run.end <= above?.first ?? .max else {
                leaveOut(run)
                continue
            }
            var isNamed = true
            if run.end > durable || oldestJournal <= run.first { isNamed = checkBodies(of: run, region) }
            let (found, missing, overwritten) = takeStock(of: &run, torn: torn)
            // A name that is missing was lost with the sync that would have covered the run, too.
            if missing > 0 || !isNamed, above == nil, isJournaled(run.first, min(run.end, durable)) {
                report.unfinishedPages += run.pages - missing - overwritten
                leaveOut(run)
                continue
            }
            if missing > 0 {
                let gone = run.samples - found
                lose(max(1, gone * missing / (missing + overwritten)), run.firstTime, run.lastTime)
            }
            if let above, above.first > run.end { lose(Int(clamping: above.first - run.end), run.lastTime, above.time) }
            above = (run.first, run.firstTime)
            report.archived += found
            chosen.append(run)
        }
        if let above, above.first > 0, archive.next + torn <= UInt64(layout.archivePages) + 1 {
            lose(Int(clamping: above.first), nil, above.time)
        }
        for run in chosen.reversed() { archive.append(run) }
    }

    /// Pages after the newest that an interrupted run may have begun to write over.
    private func tornPages() -> UInt64 {
        var torn: UInt64 = 0
        while torn < UInt64(layout.archivePages) {
            let place = archive.place(archive.next + torn)
            guard archive.entries[place].sequence == 0, !isBlank[place] else { break }
            torn += 1
        }
        return torn
    }

    private mutating func leaveOut(_ run: Run) {
        for sequence in run.sequence..<run.endSequence where runOf[archive.place(sequence)] == run.sequence {
            if archive.entry(sequence) != nil { _ = archive.clear(sequence) }
        }
    }

    /// Forgets pages with a wrong body, and says whether all series in the others have a name.
    private mutating func checkBodies(of run: Run, _ region: any Region) -> Bool {
        var isNamed = true
        for sequence in run.sequence..<run.endSequence where runOf[archive.place(sequence)] == run.sequence {
            guard archive.entry(sequence) != nil else { continue }
            guard let bytes = read(region, page: layout.archivePage(sequence)), PageHeader.isBodySound(bytes, region)
            else {
                _ = archive.clear(sequence)
                continue
            }
            var chunks = ChunkReader(bytes.span, used: Int(bytes.integer(UInt16.self, at: 6)))
            while let chunk = chunks.next(bytes.span) { isNamed = isNamed && catalog.has(chunk.series) }
        }
        return isNamed
    }

    /// Samples that are there, pages that should be, pages that newer ones have replaced.
    private func takeStock(of run: inout Run, torn: UInt64) -> (found: Int, missing: Int, overwritten: Int) {
        var found = 0
        var missing = 0
        var overwritten = 0
        for sequence in run.sequence..<run.endSequence {
            if let entry = archive.entry(sequence), runOf[archive.place(sequence)] == run.sequence {
                found += Int(entry.samples)
                run.widen(entry)
            } else if sequence + UInt64(layout.archivePages) < archive.next + torn {
                overwritten += 1
            } else {
                missing += 1
            }
        }
        return (found, missing, overwritten)
    }

    /// Whether the journal has all ordinals of `from ..< to`.
    func isJournaled(_ from: UInt64, _ to: UInt64) -> Bool {
        var reached = from
        for header in journalHeaders where header.first <= reached {
            reached = max(reached, min(header.end, clip(header.epoch)))
        }
        return reached >= to
    }

    private mutating func reserveNumbers() {
        var highest = -1
        for entry in archive.entries where entry.sequence != 0 { highest = max(highest, Int(entry.lastSeries)) }
        for tier in tiers {
            for entry in tier.ring.entries where entry.sequence != 0 { highest = max(highest, Int(entry.lastSeries)) }
        }
        report.unnamedSeries = max(0, highest + 1 - catalog.infos.count)
        catalog.reserve(below: highest + 1)
    }

    private mutating func lose(_ samples: Int, _ from: Int64?, _ to: Int64?) {
        func instant(_ time: Int64?) -> Instant? {
            time.flatMap { $0 == .max || $0 == .min ? nil : Instant(milliseconds: $0) }
        }
        report.losses.append(Loss(samples: samples, from: instant(from), to: instant(to)))
    }

    // MARK: - Journal

    private mutating func replayJournal(_ region: any Region) {
        var start = archive.runs.last?.end
        if start == nil {
            // Without an archive the journal must begin at the first sample; what begins later was never durable.
            start = min(journalHeaders.first?.first ?? durable, durable)
            if let start, start > 0 { lose(Int(clamping: start), nil, journalHeaders.first?.firstTime) }
        }
        head = Head(first: start ?? 0)
        head.reserve(series: catalog.infos.count)
        for info in catalog.infos { if let info { head.know(UInt16(truncatingIfNeeded: info.id.raw)) } }
        var time = archive.runs.last?.lastTime
        for header in journalHeaders {
            let end = min(header.end, clip(header.epoch))
            takeOldItems(header, end: end, region)
            guard end > head.end else { continue }
            if header.first > head.end {
                guard header.first <= durable, header.first - head.end < 1 << 20 else { break }
                lose(Int(header.first - head.end), time, header.firstTime)
                while head.end < header.first { head.appendLost() }
            }
            guard take(header, end: end, region) else { break }
            time = header.lastTime
        }
        oldItems.sort { $0.ordinal < $1.ordinal }
        report.journaled = head.records.count { $0.tag.isSample }
        report.unfinishedPages += journalHeaders.count {
            $0.first >= head.end && $0.end <= clip($0.epoch) && $0.end > 0
        }
        if head.end < durable, durable - head.end < 1 << 20 {
            lose(Int(durable - head.end), time, nil)
            while head.end < durable { head.appendLost() }
        }
    }

    /// False where the journal ends in this page.
    private mutating func take(_ header: PageHeader, end: UInt64, _ region: any Region) -> Bool {
        guard let bytes = read(region, page: layout.journalPage(header.sequence)) else { return false }
        var goesOn = true
        var head = self.head
        var highest = -1
        self.head = Head(first: 0)
        var tiers = self.tiers
        self.tiers = []
        let isSound = JournalPage.decode(bytes, header) { [catalog, durable] ordinal, series, time, content in
            guard goesOn, ordinal == head.end, ordinal < end else { return }
            guard catalog.has(series) else {
                // Its name was never durable, so neither was the sample; or the catalog is damaged.
                highest = max(highest, Int(series))
                if ordinal < durable { head.appendLost() } else { goesOn = false }
                return
            }
            switch content {
            case .value(let value): head.restore(series, time: time, value)
            case .tier(let item):
                let tier = Int(item.tier.rawValue)
                if ordinal >= tiers[tier].end { tiers[tier].head.put(series, time, item, ordinal: ordinal) }
                head.append(item, series: series, start: time)
            }
        }
        self.head = head
        self.tiers = tiers
        if highest >= catalog.infos.count {
            report.unnamedSeries += highest + 1 - catalog.infos.count
            if highest < Layout.highestSeries { catalog.reserve(below: highest + 1) }
        }
        return isSound && goesOn
    }

    private mutating func settleJournal() {
        journal.floor = journal.next
        for header in journalHeaders {
            journal.ends[journal.place(header.sequence)] = header.end
            if header.end > min(head.first, oldItems.first?.ordinal ?? .max) {
                journal.floor = min(journal.floor, header.sequence)
            }
        }
        journal.sealed = journal.floor
        durable = min(durable, head.end)
    }
}
