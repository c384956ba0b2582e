package import Model

/// The gateway's memory of samples: one region of fixed size that loses nothing durable when power goes at any instant.
///
/// `append` keeps a sample in memory; `commit` writes what is new into a fresh or still open page of the journal ring;
/// a sync, run by the owner on another thread between `beginSync` and `finishedSync`, makes it durable. When enough has
/// come together it is sorted by series and written as one run of compressed pages to the archive ring; once that is
/// durable, its journal pages may be used again. `PageHeader`, `JournalPage`, `Chunk` and `Catalog` draw the format.
///
/// Rules that make a power cut harmless:
/// 1. A page that a sync may have covered is never written again before its ring wraps, and the journal does not wrap
///    over samples that are not durable in the archive.
/// 2. Every sample has an ordinal, and every page says which it holds. So recovery takes each sample once, counts
///    exactly what is missing, and mends a damaged run from the journal while that still has it.
/// 3. What was never durable survives as a prefix in order of arrival, or not at all; epochs void the rest.
/// 4. Opening writes nothing. A crash during recovery changes nothing.
///
/// Beside samples it keeps records of whole numbers, far longer: quarters of an hour and days of every channel, which it
/// makes itself, and what callers put there. See `Tier` and `ChannelSlots.swift`.
///
/// Memory: 32 bytes a page of the archive and the tiers (40 while opening), 16 bytes a sample (texts up to about 200) of
/// at most two runs of 131,072 samples or a quarter of the ring, about 140 bytes a record of a tier that is not in its
/// ring yet (at most 768 KiB as they are journaled), one run's compressed pages and 4 bytes for each of its samples while
/// they are written, 1 MiB of pages that were read last, and about 450 bytes a series. A query adds what the widest run holds of one series; a scan over
/// samples that are badly out of order up to 50 MiB; a replay one run.
///
/// Not safe to be used from two threads: it belongs to the loop. Others ask a `SeriesSnapshot` that the loop took.
package final class RingStore {
    let region: any Region
    let layout: Layout
    let identity: [UInt8]
    /// What opening it found; empty for a new store.
    package let recovery: RecoveryReport

    var catalog: Catalog
    /// Each sample passes through here, so the run-time check that nobody else is in it meanwhile would cost as much as
    /// the rest. Nobody can be: a head has no way to its store, and no method of it is given a closure that changes one.
    @exclusivity(unchecked) private var unshared: Head
    var head: Head {
        _read { yield unsafe unshared }
        _modify { yield unsafe &unshared }
    }
    var journal: JournalRing
    var archive: ArchiveIndex
    /// By the tier's number.
    var tiers: [TierStore]
    /// Ordinals below are in the journal.
    var cursor: UInt64
    var durableEnd: UInt64
    let epoch: UInt32
    let epochFirst: UInt64
    /// The run that is written and not durable yet; its samples still stand in the head.
    var pending: PendingRun?
    /// Where a ring's page should have been written, which the disk refused last.
    var refusedPage: Int?
    /// The last sync came back with an error.
    var isSyncFailing = false
    /// What was found on opening has been synced: it may come from a killed process and be in the system's cache alone.
    var isSettled: Bool
    var superblocksToMend: [Int]
    /// The superblocks are of an older format, or say nothing of tiers that there is room for now.
    var isOutdated: Bool

    var lastToken: UInt64 = 0
    /// Pages of the run that was written last.
    var lastRunPages = 0
    var settledToken: UInt64 = 0
    var counters = StoreStatistics()
    var recordsWithoutRoom = 0
    /// The time of the sample for which room was sought last, where there was none.
    private var refusedAt: Instant?
    /// Before the store was opened.
    let earlierDrops: Catalog.Drops
    var unreadable: [UInt64: Int] = [:]
    var cache = PageCache()
    /// Where `verify` reads to: it shall see the disk and not the cache.
    var page = [UInt8](repeating: 0, count: Layout.pageSize)
    var columns = Columns()
    /// Storage that is used again.
    var tierColumns = TierColumns()
    /// What readers on other threads look at.
    let floors: PageFloors
    /// False for a snapshot: what it makes would go with it.
    var isRecording = true
    /// A page was gone that the ring has come round to: of a snapshot, the answer is none.
    var wasOvertaken = false

    var openSlots = OpenSlots()
    /// Slots are as a crash may have left them. It takes a while to look, so that is done when they are wanted.
    var needsMending = false
    /// How many runs were sealed.
    var sealNumber: UInt32 = 0
    /// Samples with ordinals below are in the slots.
    var rolledEnd: UInt64 = 0
    var newestSlot = Int64.min
    var newestAtOpening = Int64.min
    /// Since days were looked at.
    var touchedSlots: [SlotKey] = []
    /// The day of the newest slot, since 1970; nil until the first run after opening.
    var lastDay: Int64?
    /// Whose days are kept. To be set before samples come, and the same each time.
    package var zone = Zone.utc

    /// No record of a tier is put that starts so much earlier than one that was put before it.
    package var tierReach = Duration.hours(24 * 10_000)

    /// Samples before may be written over without further ado: what follows from them is rolled up and on the outbox's
    /// disk. What happens to newer ones when the ring is full, `whenFull` says.
    package var mayOverwriteBefore: Instant = .distantFuture
    package var whenFull = WhenFull.overwrite
    /// The ring is full, and its oldest samples may not be written over.
    package internal(set) var isHolding = false
    /// Samples that are further behind their series' newest one are dropped and counted; nil takes all.
    package var lateness: Duration?

    struct PendingRun {
        let run: Run
        let entries: [PageEntry]
        let weight: Int
        /// The journal must be durable up to here before the run's own pages of it can be given up.
        var needs: UInt64
        var tierRuns: [PendingTierRun] = []
    }

    // MARK: - Life

    /// Makes an empty store of a region whose bytes have all been written once, as zeros: a file without holes, so that
    /// later writes need no new blocks. What an older store left there does not matter. Syncs.
    /// - Parameter identity: 16 bytes that no other store has.
    package static func create(
        in region: any Region, plan: StorePlan, identity: [UInt8]
    ) throws(StoreError)
        -> RingStore
    {
        guard identity.count == 16 else {
            throw StoreError(.plan, "a store's identity has 16 bytes, not \(identity.count)")
        }
        let layout = try Layout(size: region.size, plan: plan)
        let store = RingStore(region, Recovered(layout: layout, identity: identity))
        do {
            for page in 0..<2 { try region.write(store.superblock(page), at: page * Layout.pageSize) }
            try region.sync()
        } catch {
            throw StoreError(.io, "cannot write a new store: \(error)")
        }
        return store
    }

    /// Opens what `create` made, after whatever happened to it. Only a region that holds no store, or one of a newer
    /// format, is refused; damage is not.
    package convenience init(opening region: any Region) throws(StoreError) {
        self.init(region, try Recovered(region))
        recallTails()
        prepareMending()
        do { try region.sync() } catch { return }
        isSettled = true
        durableEnd = cursor
    }

    /// What a new store of so many bytes has for samples, slots and days; nothing where it would be too small.
    package static func shares(of size: Int, seriesLimit: Int) -> (samples: Int, slots: Int, days: Int) {
        guard let layout = try? Layout(size: size, plan: StorePlan(seriesLimit: seriesLimit)) else { return (0, 0, 0) }
        return (
            layout.archivePages * Layout.pageSize, layout.tierPages(.slots) * Layout.pageSize,
            layout.tierPages(.days) * Layout.pageSize
        )
    }

    /// Whether a store, sound or damaged, is in this region.
    package static func isStore(_ region: any Region) -> Bool { Recovered.hasStore(region) }

    /// How long the region of a store of the first format must become, so that slots and days have room, too; nil where
    /// nothing is missing. A store that is opened without that room works without tiers.
    package static func sizeWithTiers(_ region: any Region) -> Int? { Recovered.sizeWithTiers(region) }

    init(_ region: any Region, _ found: Recovered, floors: PageFloors = PageFloors()) {
        self.region = region
        self.floors = floors
        layout = found.layout
        identity = found.identity
        recovery = found.report
        catalog = found.catalog
        earlierDrops = found.catalog.drops
        unsafe unshared = found.head
        journal = found.journal
        archive = found.archive
        tiers = found.tiers
        cursor = found.head.end
        durableEnd = found.durable
        epoch = found.epoch
        epochFirst = found.head.end
        superblocksToMend = found.badSuperblocks
        isOutdated = found.outdated
        isSettled = found.isNew
        counters.lost = found.report.lost
        head.limit = 2 * layout.sealWeight
        takeUp(found.oldItems)
    }

    func superblock(_ page: Int) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Layout.pageSize)
        PageHeader(.superblock).write(to: &bytes, page: page, identity: identity, layout: layout, region)
        return bytes
    }

    // MARK: - Series

    /// The number of a series, a new one where it is not known yet; nil where the limit of series is reached. A new
    /// one is written with the next commit. A channel that changed its unit or kind becomes a new series.
    package func series(_ key: SeriesKey, unit: Unit?, kind: Kind) throws(StoreError) -> SeriesID? {
        if let number = catalog.number(key), let info = catalog.info(number), info.unit == unit, info.kind == kind {
            return info.id
        }
        try checkLength(key)
        guard let number = catalog.add(key, unit: unit, kind: kind) else {
            counters.refusedSeries += 1
            return nil
        }
        head.know(number)
        return SeriesID(raw: UInt32(number))
    }

    /// Every series, in the order in which they came.
    package var allSeries: [SeriesInfo] { catalog.infos.compactMap { $0 } }

    /// The series that has this name now.
    package func find(_ key: SeriesKey) -> SeriesInfo? { catalog.number(key).flatMap { catalog.info($0) } }

    /// The series of a device or channel that has got another name go on under it; false where that name is taken, and
    /// nothing happened. Durable with the next commit and sync, like a new series.
    @discardableResult
    package func rename(_ old: SeriesKey, to new: SeriesKey) throws(StoreError) -> Bool {
        try checkLength(new)
        return catalog.rename(old, to: new)
    }

    private func checkLength(_ key: SeriesKey) throws(StoreError) {
        guard key.device.utf8.count <= Catalog.longestDevice, key.channel.utf8.count <= Catalog.longestChannel else {
            throw StoreError(
                .plan,
                "the series \(key.device.prefix(40)) \(key.channel.prefix(40)) cannot be stored: a device's name may "
                    + "have \(Catalog.longestDevice) bytes and a channel's \(Catalog.longestChannel); shorten it")
        }
    }

    // MARK: - Appending

    /// Takes a sample into memory, a late one, too. Dropped and counted: one that the series has already, with the same
    /// time and value, and one that is later than `lateness`. A number that `series` did not give is ignored.
    package func append(_ id: SeriesID, _ time: Instant, _ value: StoredValue) {
        let outcome = head.append(id.raw, time: time.milliseconds, value)
        if outcome == .behind || outcome == .full { appendSlowly(id, time, value, outcome) }
    }

    /// Apart, so that what is common stays short.
    @inline(never)
    private func appendSlowly(_ id: SeriesID, _ time: Instant, _ value: StoredValue, _ outcome: Head.Outcome) {
        guard outcome == .full else { return takeLate(id, time, value) }
        // What a disk refused a moment ago it will refuse again: by the samples' own time it is asked once a second.
        // Whoever commits meanwhile and succeeds has made room.
        if let refusedAt, time < refusedAt + .seconds(1) { return counters.refused += 1 }
        guard makeRoomInMemory({ head.weight < head.limit }) else {
            refusedAt = time
            return counters.refused += 1
        }
        refusedAt = nil
        append(id, time, value)
    }

    private func takeLate(_ id: SeriesID, _ time: Instant, _ value: StoredValue) {
        if let lateness, head.newest(id.raw) - time.milliseconds > lateness.milliseconds {
            return counters.tooLate += 1
        }
        var stored = value
        if case .text(let text) = value, text.utf8.count > StoredValue.longestText {
            stored = .text(StoredValue.shortened(text))
        }
        var isThere = false
        scan(id, from: time, to: time + .milliseconds(1)) { sample in
            isThere = sample.value == stored
            return !isThere
        }
        guard !isThere else { return head.countDuplicate() }
        if head.append(id.raw, time: time.milliseconds, value, isLate: true) == .full { counters.refused += 1 }
    }

    /// Memory holds all that it may, because nobody committed or synced: do it here, or say no. A run that waits for a
    /// sync may make room enough, but what came after it was written is no part of it; and a seal makes slots of its
    /// samples, which may be as many again.
    func makeRoomInMemory(_ isEnough: () -> Bool) -> Bool {
        do {
            for _ in 0..<3 where !isEnough() {
                try commit()
                if pending != nil { try syncNow() }
                guard !isEnough() else { break }
                if pending == nil, !isSyncFailing { try seal(merging: true) }
                try syncNow()
            }
        } catch {
            return false
        }
        return isEnough()
    }

    // MARK: - Numbers

    /// The first and last moment of all samples.
    package var oldest: Instant? { span.map { Instant(milliseconds: $0.0) } }
    package var newest: Instant? { span.map { Instant(milliseconds: $0.1) } }

    private var span: (Int64, Int64)? {
        var first = Int64.max
        var last = Int64.min
        for run in archive.runs {
            first = min(first, run.firstTime)
            last = max(last, run.lastTime)
        }
        if let (oldest, newest) = head.span {
            first = min(first, oldest)
            last = max(last, newest)
        }
        return first <= last ? (first, last) : nil
    }

    /// No sample from then on has been written over, or become unreadable as far as opening and reading found; far in the
    /// past where none ever has.
    package var samplesWholeFrom: Instant {
        var gone = Int64.min
        // What stood before a run is older than its newest sample.
        if let first = archive.runs.first {
            if first.sequence > 1 || archive.entry(first.sequence) == nil { gone = first.lastTime }
        } else if archive.next > 1 {
            gone = newest?.milliseconds ?? .max
        }
        return max(readableFrom, Self.after(gone))
    }

    /// No sample from then on has become unreadable, as far as opening and reading found; far in the past where none has.
    package var readableFrom: Instant {
        var gone = Int64.min
        for sequence in unreadable.keys { gone = max(gone, archive.entry(sequence)?.lastTime ?? .min) }
        for loss in recovery.losses { gone = max(gone, (loss.to ?? newest)?.milliseconds ?? .max) }
        return Self.after(gone)
    }

    private static func after(_ gone: Int64) -> Instant {
        switch gone {
        case .min: .distantPast
        case .max: .distantFuture
        default: Instant(milliseconds: gone + 1)
        }
    }

    /// Samples, and records of slots and days, that were dropped since the store was opened because memory was full and
    /// the disk took nothing.
    package var droppedForRoom: (samples: Int, records: Int) { (counters.refused, recordsWithoutRoom) }

    /// Pages with samples at or after `mayOverwriteBefore` that the ring wrote over.
    package var overwrittenUnconfirmed: Int { counters.overwrittenUnrolled }

    package var statistics: StoreStatistics {
        var numbers = counters
        numbers.pages = layout.archivePages
        numbers.usedPages = archive.usedPages
        numbers.pagesEverOverwritten = max(0, Int(archive.next) - 1 - layout.archivePages)
        numbers.bytes = layout.allPages * Layout.pageSize
        numbers.tierPages = Tier.allCases.map(layout.tierPages)
        numbers.usedTierPages = tiers.map(\.ring.usedPages)
        numbers.records = tiers.reduce(0) { $0 + $1.ring.samples + $1.head.count }
        numbers.tooLateEver = drops.tooLate
        numbers.refusedEver = drops.refused
        numbers.appended = head.added
        numbers.duplicates = head.duplicates
        numbers.shortened = head.shortened
        numbers.isHolding = isHolding
        numbers.samples = archive.samples + head.records.count { $0.tag.isSample }
        numbers.series = catalog.count
        numbers.seriesLimit = layout.seriesLimit
        numbers.lost += unreadable.values.reduce(0, +)
        if let (first, last) = span, archive.usedPages > 0, last > first {
            let length = Double(last) - Double(first)
            let full = length * Double(layout.archivePages) / Double(archive.usedPages)
            numbers.retention = Duration(milliseconds: full < 1e17 ? Int64(full) : Int64(1e17))
        }
        numbers.tierRetention = Tier.allCases.map { tier in
            let used = self[tier].ring.usedPages
            guard let (first, last) = self.span(in: tier), used > 0, last > first else { return nil }
            return .milliseconds(Int64(min(1e17, Double(last - first) * Double(layout.tierPages(tier)) / Double(used))))
        }
        return numbers
    }
}

extension StoredValue {
    /// Cut between characters to so many bytes.
    package static func shortened(_ text: String, to longest: Int = longestText) -> String {
        var cut = ""
        var bytes = 0
        for scalar in text.unicodeScalars {
            bytes += UTF8.width(scalar)
            guard bytes <= longest else { break }
            cut.unicodeScalars.append(scalar)
        }
        return cut
    }
}
