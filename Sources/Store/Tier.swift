// Tiers: whole-number records beside the raw samples, kept far longer. A record goes the way of a sample: it takes an
// ordinal, is journaled with the next commit, and is durable with the next sync; what was not, survives or not. When
// a run of samples is sealed, the tier's records that stand in the journal go along: either to the journal's end again,
// under new ordinals, or, when enough have gathered, as one sorted run to the tier's own ring. So the journal can be
// given up, and a ring holds no page that is nearly empty.

package import Model

/// A store's rings of records, beside that of raw samples.
package enum Tier: UInt8, CaseIterable, Sendable {
    /// Quarters of an hour.
    case slots
    case days
}

/// Whole numbers of one series over one stretch of time. What they mean belongs to the caller.
package struct TierRecord: Hashable, Sendable {
    package static let mostFields = 64

    package var series: SeriesID
    package var start: Instant
    /// At most 64.
    package var fields: [Int64]

    package init(series: SeriesID, start: Instant, fields: [Int64]) {
        self.series = series
        self.start = start
        self.fields = fields
    }
}

/// A record of a tier on its way through the journal.
struct TierItem {
    let tier: Tier
    let fields: [Int64]

    /// About what it takes in the journal.
    var weight: Int { 12 + 5 * fields.count }
}

/// The newest version of each of a tier's records that is not in its ring yet, to be found by series.
struct TierHead {
    private struct Entry {
        let start: Int64
        var ordinal: UInt64
        var fields: [Int64]
    }

    /// By series, in order of `start`.
    private var entries: [UInt16: [Entry]] = [:]
    private(set) var count = 0
    private(set) var weight = 0

    private static func place(_ entries: [Entry], _ start: Int64) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].start < start { low = middle + 1 } else { high = middle }
        }
        return low
    }

    mutating func put(_ series: UInt16, _ start: Int64, _ item: TierItem, ordinal: UInt64) {
        let entry = Entry(start: start, ordinal: ordinal, fields: item.fields)
        weight += item.weight
        if let old = TierHead.put(entry, into: &entries[series, default: []]) {
            weight -= TierItem(tier: item.tier, fields: old.fields).weight
        } else {
            count += 1
        }
    }

    /// In place, so that a list is not copied for each record; the version that was there before.
    private static func put(_ entry: Entry, into list: inout [Entry]) -> Entry? {
        let place = place(list, entry.start)
        guard place < list.count, list[place].start == entry.start else {
            list.insert(entry, at: place)
            return nil
        }
        let old = list[place]
        list[place] = entry
        return old
    }

    /// The same version stands at another ordinal now; false where a later version has replaced it.
    mutating func move(_ series: UInt16, _ start: Int64, below: UInt64, to ordinal: UInt64) -> Bool {
        guard let index = entries.index(forKey: series) else { return false }
        return TierHead.move(&entries.values[index], start, below: below, to: ordinal)
    }

    /// In place, as above.
    private static func move(_ list: inout [Entry], _ start: Int64, below: UInt64, to ordinal: UInt64) -> Bool {
        let place = place(list, start)
        guard place < list.count, list[place].start == start, list[place].ordinal < below else { return false }
        list[place].ordinal = ordinal
        return true
    }

    func contains(_ series: UInt16, _ start: Int64) -> Bool {
        guard let old = entries[series] else { return false }
        let place = TierHead.place(old, start)
        return place < old.count && old[place].start == start
    }

    /// Those of one series alone.
    func only(_ series: UInt16) -> TierHead {
        var own = TierHead()
        own.entries[series] = entries[series]
        return own
    }

    /// What is below is in the ring.
    mutating func drop(below ordinal: UInt64) {
        var kept: [UInt16: [Entry]] = [:]
        count = 0
        weight = 0
        for (series, list) in entries {
            let rest = list.filter { $0.ordinal >= ordinal }
            guard !rest.isEmpty else { continue }
            kept[series] = rest
            count += rest.count
            for entry in rest { weight += TierItem(tier: .slots, fields: entry.fields).weight }
        }
        entries = kept
    }

    func records(_ series: UInt16, _ from: Int64, _ to: Int64) -> [TierRecord] {
        guard let list = entries[series] else { return [] }
        var found: [TierRecord] = []
        var place = TierHead.place(list, from)
        while place < list.count, list[place].start < to {
            found.append(
                TierRecord(
                    series: SeriesID(raw: UInt32(series)), start: Instant(milliseconds: list[place].start),
                    fields: list[place].fields))
            place += 1
        }
        return found
    }

    /// The first and last start of all.
    var span: (Int64, Int64)? {
        var first = Int64.max
        var last = Int64.min
        for list in entries.values {
            first = min(first, list.first?.start ?? .max)
            last = max(last, list.last?.start ?? .min)
        }
        return first <= last ? (first, last) : nil
    }
}

/// A tier: what waits in the journal, and what its ring holds.
struct TierStore {
    var head = TierHead()
    var ring: ArchiveIndex
    /// The ring's pages that opening or reading found damaged, until others stand in their places.
    private var damaged: [Damage] = []
    /// The latest start that a page may have had which others stand in the place of.
    private var goneUpTo = Int64.min
    /// What stood before the first run has been written over, or part of that run has.
    var hadMore = false

    /// A page that cannot be read, and what may have stood there.
    struct Damage {
        let sequence: UInt64
        /// The newest start of what had been written before it.
        var before = Int64.min
        /// No record that stood there begins later.
        var upTo = Int64.min
        /// What stood there and begins no earlier has been put again.
        var putFrom = Int64.max

        /// No record that stood there begins earlier.
        func from(_ reach: Int64) -> Int64 { before == .min ? .min : before - reach }
    }

    init(pages: Int) { ring = ArchiveIndex(pages: pages) }

    /// Opening found a page that should be there and is not, after the runs were chosen.
    mutating func noteDamage(_ sequence: UInt64) { damaged.append(Damage(sequence: sequence)) }

    /// Whether of records that start in the range some may be missing, or be older versions.
    func lacks(_ from: Int64, _ to: Int64, _ reach: Int64) -> Bool {
        from <= goneUpTo || damaged.contains { from <= $0.upTo && to > $0.from(reach) && from < $0.putFrom }
    }

    /// Pages that held something and are damaged, whether or not that has been put again.
    var missed: [Damage] { damaged.filter { $0.upTo > .min } }

    /// What these pages held from a start on has been put again.
    mutating func putAgain(_ pages: [UInt64], from start: Int64) {
        for index in damaged.indices where pages.contains(damaged[index].sequence) { damaged[index].putFrom = start }
    }

    /// After opening: what is gone, by what is there.
    /// - Parameter newest: no record begins later.
    /// - Parameter hasAll: the journal has all that came after the last run.
    mutating func takeStock(newest: Int64, hasAll: Bool) {
        if hadMore { lost(upTo: last(after: 0, newest)) }
        for (index, sequence) in damaged.map(\.sequence).enumerated() {
            guard let end = ring.runs.last?.endSequence, sequence < end else {
                // A run was begun, in the place of the oldest pages if there were any; or it was there, and has rotted.
                let old = sequence - min(sequence, UInt64(ring.pages))
                if !hasAll { miss(index, upTo: newest) } else if old > 0 { lost(upTo: last(after: old, newest)) }
                continue
            }
            miss(index, upTo: last(after: sequence, newest))
        }
    }

    private mutating func miss(_ index: Int, upTo start: Int64) {
        let sequence = damaged[index].sequence
        let before = ring.runs.last { $0.endSequence <= sequence && $0.lastTime > .min }?.lastTime ?? .min
        damaged[index].upTo = start
        // A clock that went back says nothing.
        damaged[index].before = before <= start ? before : .min
    }

    /// No record of this page begins later: a page tells nothing any more, but the run after its own does.
    private func last(after sequence: UInt64, _ newest: Int64) -> Int64 {
        guard let own = ring.runs.firstIndex(where: { sequence < $0.endSequence }) else { return newest }
        return ring.runs[(own + 1)...].first { $0.lastTime > .min }?.lastTime ?? newest
    }

    private mutating func lost(upTo start: Int64) { goneUpTo = max(goneUpTo, start) }

    /// A page is about to be written, perhaps in the place of a damaged one. Gives back what the ring had there.
    mutating func willWrite(_ sequence: UInt64) -> PageEntry? {
        for old in damaged where old.sequence % UInt64(ring.pages) == sequence % UInt64(ring.pages) {
            lost(upTo: old.upTo)
        }
        damaged.removeAll { $0.sequence % UInt64(ring.pages) == sequence % UInt64(ring.pages) }
        guard let old = ring.clear(sequence) else { return nil }
        lost(upTo: old.lastTime)
        return old
    }

    /// Reading found a page damaged.
    mutating func noteUnreadable(_ sequence: UInt64) {
        guard let entry = ring.entry(sequence), !isDamaged(sequence) else { return }
        // What was put again may have stood there.
        for index in damaged.indices { damaged[index].putFrom = .max }
        damaged.append(Damage(sequence: sequence))
        miss(damaged.count - 1, upTo: entry.lastTime)
    }

    func isDamaged(_ sequence: UInt64) -> Bool { damaged.contains { $0.sequence == sequence } }

    /// The ring lacks a page: what stood there must come from elsewhere.
    var hasHoles: Bool { !damaged.isEmpty }

    /// Ordinals below are in the ring, as far as they are of this tier.
    var end: UInt64 { ring.runs.last?.end ?? 0 }
}

extension RingStore {
    /// Takes a record into memory; the next commit journals it. A later record of the same series and start replaces an
    /// earlier one. Refused and counted: a series that this store did not give, more than 64 fields, and a store of the
    /// first format that found no room for tiers.
    package func put(_ record: TierRecord, in tier: Tier) {
        guard head.isKnown(record.series.raw) else { return }
        put(UInt16(truncatingIfNeeded: record.series.raw), record.start.milliseconds, record.fields, tier)
    }

    func put(_ series: UInt16, _ start: Int64, _ fields: [Int64], _ tier: Tier) {
        let limit = layout.tierWeight(tier)
        guard limit > 0, fields.count <= TierRecord.mostFields else {
            counters.refusedRecords += 1
            return
        }
        guard self[tier].head.weight < 2 * limit || makeRoomInMemory({ self[tier].head.weight < 2 * limit }) else {
            counters.refusedRecords += 1
            recordsWithoutRoom += 1
            return
        }
        let item = TierItem(tier: tier, fields: fields)
        self[tier].head.put(series, start, item, ordinal: head.end)
        head.append(item, series: series, start: start)
    }

    /// The records of one series that start in the range, by start, the newest version of each.
    package func records(_ id: SeriesID, in tier: Tier, from: Instant, to: Instant) -> [TierRecord] {
        guard from < to, head.isKnown(id.raw) else { return [] }
        return records(UInt16(truncatingIfNeeded: id.raw), in: tier, from.milliseconds, to.milliseconds)
    }

    func records(_ series: UInt16, in tier: Tier, _ from: Int64, _ to: Int64) -> [TierRecord] {
        var found: [TierRecord] = []
        eachInRing(series, tier, from, to) { columns in
            for index in 0..<columns.count where columns.starts[index] >= from && columns.starts[index] < to {
                found.append(columns.record(index, series))
            }
        }
        found += self[tier].head.records(series, from, to)
        return RingStore.newest(found)
    }

    /// Calls `body` with columns in which stands every version of each record of the range that the tier's ring has, and
    /// others of the series. False where a page of the ring is damaged, so that there may have been more.
    @discardableResult
    func eachInRing(
        _ series: UInt16, _ tier: Tier, _ from: Int64, _ to: Int64, mostFields: Int = TierRecord.mostFields,
        _ body: (TierColumns) -> Void
    ) -> Bool {
        var isWhole = !self[tier].hasHoles
        var columns = TierColumns()
        swap(&columns, &tierColumns)
        defer { swap(&columns, &tierColumns) }
        for sequence in self[tier].ring.pages(of: series, from, to) {
            guard let place = sound(sequence, tier) else {
                isWhole = false
                continue
            }
            let page = cache.pages[place]
            let bytes = page.bytes.span
            let isAfter = page.place.series < series
            var reader = TierChunkReader(
                bytes, used: page.used, from: isAfter ? page.place : ChunkReader.Place())
            reader.skip(to: series, bytes)
            cache.remember(reader.place, at: place)
            while let chunk = reader.next(bytes), chunk.series == series {
                if reader.decode(chunk, bytes, mostFields: mostFields, into: &columns) { body(columns) }
            }
        }
        return isWhole
    }

    /// Of records that come in order of version, the last of each start, in order of start.
    private static func newest(_ all: [TierRecord]) -> [TierRecord] {
        var isSorted = true
        for index in all.indices.dropFirst() where all[index].start <= all[index - 1].start { isSorted = false }
        guard !isSorted else { return all }
        let order = all.indices.sorted { (all[$0].start, $0) < (all[$1].start, $1) }
        var kept: [TierRecord] = []
        for index in order {
            if kept.last?.start == all[index].start { kept.removeLast() }
            kept.append(all[index])
        }
        return kept
    }

    /// The earliest start of all the tier's records.
    package func oldest(in tier: Tier) -> Instant? { span(in: tier).map { Instant(milliseconds: $0.0) } }

    /// The first and last start of all the tier's records.
    package func span(of tier: Tier) -> (Instant, Instant)? {
        span(in: tier).map { (Instant(milliseconds: $0.0), Instant(milliseconds: $0.1)) }
    }

    func span(in tier: Tier) -> (Int64, Int64)? {
        var span = self[tier].head.span
        for run in self[tier].ring.runs where run.firstTime <= run.lastTime {
            span = (min(span?.0 ?? .max, run.firstTime), max(span?.1 ?? .min, run.lastTime))
        }
        return span
    }

    subscript(tier: Tier) -> TierStore {
        _read { yield tiers[Int(tier.rawValue)] }
        _modify { yield &tiers[Int(tier.rawValue)] }
    }

    // MARK: - Sealing

    /// A tier's records in the journal, the newest version of each, by series and start.
    struct Standing {
        let series: UInt16
        let start: Int64
        let ordinal: UInt64
        let item: TierItem
    }

    func standing(_ tier: Tier) -> [Standing] {
        struct Place {
            let series: UInt16
            let start: Int64
            /// Among the items, which are in order of ordinal.
            let index: Int
        }
        let end = max(self[tier].end, head.first)
        var all: [Place] = []
        for (index, ordinal) in head.tierOrdinals.enumerated() where ordinal >= end && ordinal < cursor {
            guard head.tierItems[index].tier == tier else { continue }
            let record = head.records[head.index(ordinal)]
            all.append(Place(series: record.series, start: record.time, index: index))
        }
        all.sort { ($0.series, $0.start, $0.index) < ($1.series, $1.start, $1.index) }
        var kept: [Standing] = []
        kept.reserveCapacity(all.count)
        for (place, item) in all.enumerated() {
            // The one after it is a later version of the same.
            let next = place + 1 < all.count ? all[place + 1] : nil
            if let next, next.series == item.series, next.start == item.start { continue }
            kept.append(
                Standing(
                    series: item.series, start: item.start, ordinal: head.tierOrdinals[item.index],
                    item: head.tierItems[item.index]))
        }
        return kept
    }

    /// Writes the tier's journaled records to its ring, where they are many or `merging` says so; nil where they are
    /// better journaled again.
    func merge(_ all: [Standing], _ tier: Tier, merging: Bool) throws(StoreError) -> PendingTierRun? {
        guard !all.isEmpty, merging || all.reduce(0, { $0 + $1.item.weight }) >= layout.tierWeight(tier) else {
            return nil
        }
        let builder = TierRunBuilder(all, tier)
        var last: RegionError?
        for _ in 1...RingStore.tries {
            var run = Run(
                sequence: self[tier].ring.next, pages: builder.pages.count, first: builder.firstOrdinal, end: cursor,
                samples: all.count)
            var entries: [PageEntry] = []
            last = writeTier(builder, tier, &run, &entries)
            if last == nil { return PendingTierRun(tier: tier, run: run, entries: entries) }
        }
        throw StoreError(
            .io, "the ring of \(tier) takes no pages, they stay in the journal: \(last?.description ?? "")")
    }

    /// Its old journal page can be given up, once the next commit is durable. A later version, which the seal itself may
    /// have made, goes with that commit: behind it, the old one would pass for the newest.
    func journalAgain(_ old: Standing) {
        guard self[old.item.tier].head.move(old.series, old.start, below: cursor, to: head.end) else { return }
        head.append(old.item, series: old.series, start: old.start)
    }

    /// After a power cut the journal can be full of pages that nothing needs but records of tiers, which opening put at the
    /// end to be journaled again, for which there is no room: they go to their rings. They are journaled again all the
    /// same; a record twice is one.
    func freeOldRecords() throws(StoreError) {
        guard !journal.hasRoom, cursor == head.first, cursor > 0 else { return }
        struct Place: Hashable {
            let series: UInt16
            let start: Int64
        }
        var runs: [PendingTierRun] = []
        for tier in Tier.allCases {
            var newest: [Place: Standing] = [:]
            for record in head.records where record.tag == .tier {
                let item = head.item(record)
                guard item.tier == tier else { continue }
                // The ring holds what stood below the cursor, so that is where these count from.
                newest[Place(series: record.series, start: record.time)] = Standing(
                    series: record.series, start: record.time, ordinal: cursor - 1, item: item)
            }
            let all = newest.values.sorted { ($0.series, $0.start) < ($1.series, $1.start) }
            if let run = try merge(all, tier, merging: true) { runs.append(run) }
        }
        try syncNow()
        for run in runs { publish(run) }
        journal.release(below: head.first)
    }

    private func writeTier(
        _ builder: TierRunBuilder, _ tier: Tier, _ run: inout Run, _ entries: inout [PageEntry]
    ) -> RegionError? {
        for (index, body) in builder.pages.enumerated() {
            var header = builder.headers[index]
            complete(&header, index, of: run)
            let page = layout.tierPage(tier, header.sequence)
            var bytes = body
            header.write(to: &bytes, page: page, identity: identity, layout: layout, region)
            self[tier].ring.next = header.sequence + 1
            floors.willWrite(header.sequence, tier, pages: layout.tierPages(tier))
            if let old = self[tier].willWrite(header.sequence) { counters.overwrittenRecords += Int(old.samples) }
            if let error = writeRing(bytes, page: page) { return error }
            entries.append(PageEntry(header))
            run.widen(entries[index])
        }
        self[tier].ring.prune()
        return nil
    }

    /// The run is durable: from now on it is read from the ring.
    func publish(_ done: PendingTierRun) {
        for entry in done.entries { self[done.tier].ring.insert(entry) }
        self[done.tier].ring.append(done.run)
        self[done.tier].head.drop(below: done.run.end)
    }
}

/// A run of a tier that is written and not durable yet.
struct PendingTierRun {
    let tier: Tier
    let run: Run
    let entries: [PageEntry]
}

extension Layout {
    /// So much of a tier, by its items' weights, is gathered for one run; 0 where there is no tier.
    func tierWeight(_ tier: Tier) -> Int {
        min(768 << 10, journalPages * 3900 / 8, tierPages(tier) / 8 * 3900)
    }
}
