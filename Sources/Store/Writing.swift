// How samples reach the region: commits to the journal, runs to the archive, syncs.

import Model

/// How far the store has come. Tickets of one store are in order.
package struct Ticket: Comparable, Hashable, Sendable {
    let end: UInt64
    package static func < (a: Ticket, b: Ticket) -> Bool { a.end < b.end }
}

/// A sync that is under way.
package struct SyncToken: Sendable {
    let number: UInt64
    let end: UInt64
    let run: UInt64?
}

/// Which pages of the journal are in use.
struct JournalRing {
    let pages: Int
    /// The next page's sequence. Sequences begin at 1.
    var next: UInt64 = 1
    /// The oldest page that still holds samples of the head.
    var floor: UInt64 = 1
    /// `next` when the last run was written.
    var sealed: UInt64 = 1
    /// By place in the ring: the end ordinal of the page there.
    var ends: [UInt64]
    /// The page that may still grow.
    var open: JournalPage?

    init(pages: Int) {
        self.pages = pages
        ends = [UInt64](repeating: 0, count: pages)
    }

    var hasRoom: Bool { next - floor < UInt64(pages) }

    func place(_ sequence: UInt64) -> Int { Int(sequence % UInt64(pages)) }

    /// Pages with nothing at or after `ordinal` may be used again.
    mutating func release(below ordinal: UInt64) {
        while floor < next, ends[place(floor)] <= ordinal { floor += 1 }
    }
}

extension RingStore {
    /// How often one batch is tried on a new page before the disk is given up.
    static let tries = 3

    /// Writes what is new. When it returns, a killed process loses nothing up to the ticket; once `durable` has reached
    /// it, neither does a power cut. Does nothing where nothing is new. After an error everything is kept, and the next
    /// commit tries again.
    /// - Parameter isLast: nobody will commit after this.
    @discardableResult
    package func commit(isLast: Bool = false) throws(StoreError) -> Ticket {
        noteDrops(isLast: isLast)
        guard cursor < head.end || catalog.isDirty else { return Ticket(end: cursor) }
        if !isSettled { try syncNow() }
        if isOutdated { try upgrade() }
        mendSuperblocks()
        try writeCatalog()
        try writeJournal()
        let unsealed = head.weight - (pending?.weight ?? 0)
        // A run that no sync confirms is written anew, in places where something else stands.
        guard !isSyncFailing else { return Ticket(end: cursor) }
        if unsealed >= layout.sealWeight || journal.next - journal.sealed >= UInt64(journal.pages / 2) {
            // The samples are safe in the journal. When that has no room left, the error comes out there.
            do { try seal() } catch {}
            // A sync that failed on the way took back what it should have covered.
            if cursor < head.end { try writeJournal() }
        }
        return Ticket(end: cursor)
    }

    var drops: Catalog.Drops {
        Catalog.Drops(
            tooLate: earlierDrops.tooLate + counters.tooLate, refused: earlierDrops.refused + counters.refused)
    }

    /// A disk that is worn by a page for each sample that comes too late would be badly served: so they are written when
    /// they are an eighth more than were written before, and at the end.
    private func noteDrops(isLast: Bool) {
        let (new, old) = (drops, catalog.drops)
        guard isLast || new.tooLate > old.tooLate + old.tooLate / 8 || new.refused > old.refused + old.refused / 8
        else {
            return
        }
        catalog.note(new)
    }

    /// There is something that a sync would make durable.
    package var unsynced: Bool { cursor > durableEnd || pending != nil || catalog.isUnsynced || !isSettled }

    /// A run was written, and its samples stay in memory until a sync covers it.
    package var holdsRun: Bool { pending != nil }

    /// Up to here a power cut loses nothing.
    package var durable: Ticket { Ticket(end: durableEnd) }

    /// Call before `region.sync()`, then that on any thread, then `finishedSync` or `failedSync` on this one. Appends
    /// and commits may go on meanwhile; they belong to the next sync.
    package func beginSync() -> SyncToken {
        lastToken += 1
        journal.open = nil
        catalog.beginSync()
        return SyncToken(number: lastToken, end: cursor, run: pending?.run.sequence)
    }

    /// The sync came back without an error.
    package func finishedSync(_ token: SyncToken) {
        guard token.number > settledToken else { return }
        settledToken = token.number
        isSettled = true
        isSyncFailing = false
        durableEnd = max(durableEnd, token.end)
        catalog.finishedSync()
        guard let pending, pending.run.sequence == token.run, token.end >= pending.needs else { return }
        publish(pending)
    }

    /// The sync came back with an error. What it should have made durable is in an unknown state: the next commit
    /// writes it to other pages, and the same pages are not synced again in the hope that it works this time.
    package func failedSync(_ token: SyncToken) {
        guard token.number > settledToken else { return }
        settledToken = token.number
        counters.failedSyncs += 1
        isSyncFailing = true
        journal.open = nil
        catalog.failedSync()
        pending = nil
        cursor = max(durableEnd, head.first)
    }

    /// A sync here and now, where there is no way on without one.
    func syncNow() throws(StoreError) {
        let token = beginSync()
        do {
            try region.sync()
        } catch {
            failedSync(token)
            throw StoreError(.io, "the disk did not confirm what was written; it will be written again: \(error)")
        }
        finishedSync(token)
    }

    // MARK: - Pages

    func write(_ bytes: [UInt8], page: Int) -> RegionError? {
        do {
            try region.write(bytes, at: page * Layout.pageSize)
            counters.writtenBytes += bytes.count
            return nil
        } catch {
            counters.refusedWrites += 1
            return error
        }
    }

    private var commonHeader: PageHeader {
        var header = PageHeader(.journal)
        header.epoch = epoch
        header.epochFirst = epochFirst
        header.durable = durableEnd
        return header
    }

    /// Before the first page of this format is written, both superblocks say so, one after the other. The pages of the
    /// older format stay as they are.
    private func upgrade() throws(StoreError) {
        for number in 0..<2 {
            if let error = write(superblock(number), page: number) {
                throw StoreError(.io, "cannot bring the store to the format of this version: \(error)")
            }
            try syncNow()
        }
        isOutdated = false
    }

    private func mendSuperblocks() {
        superblocksToMend.removeAll { write(superblock($0), page: $0) == nil }
    }

    private func writeCatalog() throws(StoreError) {
        for attempt in 1...RingStore.tries {
            var last: RegionError?
            for due in catalog.due(layout) {
                var header = commonHeader
                header.kind = .catalog
                header.sequence = due.generation
                header.used = due.used
                var bytes = due.body
                header.write(to: &bytes, page: due.page, identity: identity, layout: layout, region)
                if let error = write(bytes, page: due.page) {
                    catalog.refused(due)
                    last = error
                } else {
                    catalog.written(due)
                }
            }
            guard let last else { return }
            if attempt == RingStore.tries { throw StoreError(.io, "cannot write the names of the series: \(last)") }
        }
    }

    private func writeJournal() throws(StoreError) {
        while cursor < head.end {
            let sequence = try journal.open == nil ? nextJournalPage() : 0
            var page = journal.open ?? JournalPage(first: cursor, sequence: sequence)
            // One owner, or every commit copies the page.
            journal.open = nil
            page.append(head, from: cursor)
            let ordinal = page.header.end
            if ordinal > cursor { try write(&page) }
            cursor = ordinal
            journal.open = ordinal < head.end ? nil : page
        }
    }

    /// Writes a journal page, and where the disk refuses, the same samples to the next page.
    private func write(_ page: inout JournalPage) throws(StoreError) {
        for attempt in 1...RingStore.tries {
            let number = layout.journalPage(page.header.sequence)
            let bytes = page.finish(commonHeader, page: number, identity: identity, layout: layout, region)
            journal.ends[journal.place(page.header.sequence)] = page.header.end
            guard let error = write(bytes, page: number) else { return }
            // What the page held before may be gone with it.
            journal.open = nil
            cursor = max(page.header.first, head.first)
            if attempt == RingStore.tries {
                throw StoreError(
                    .io,
                    "\(page.header.end - page.header.first) samples could not be written to \(attempt) pages "
                        + "one after the other and stay in memory: \(error)")
            }
            page.move(to: try nextJournalPage())
        }
    }

    private func nextJournalPage() throws(StoreError) -> UInt64 {
        // First what is written already becomes durable, then what stands only in the journal moves to the archive.
        for _ in 0..<3 where !journal.hasRoom {
            // Its records of tiers wait for the very room that it should make.
            if let waiting = pending, waiting.needs > cursor { pending = nil }
            if pending == nil, !isSyncFailing { try seal(merging: true) }
            try syncNow()
            if cursor == head.first { try freeOldRecords() }
        }
        guard journal.hasRoom else {
            throw StoreError(.io, "the journal is full and the archive takes nothing; samples stay in memory")
        }
        defer { journal.next += 1 }
        journal.ends[journal.place(journal.next)] = 0
        return journal.next
    }

    // MARK: - Runs

    /// Sorts what is journaled into the archive, and moves the tiers' records on: with `merging` all of them to their
    /// rings, because the journal has no room for them.
    func seal(merging: Bool = false) throws(StoreError) {
        if pending != nil { try syncNow() }
        guard pending == nil, cursor > head.first else { return }
        try askDisk()
        // While the two newest runs are still those that opening found.
        mendSlots()
        try holdBack(2 * (lastRunPages + 1))
        let sealed = cursor
        let first = min(sealed, max(head.first, archive.runs.last?.end ?? 0))
        let builder = sortAndRollUp(from: first, to: sealed)
        try holdBack(builder.pages.count)
        let isFull = UInt64(journal.pages) - (journal.next - journal.floor) < UInt64(3 * journal.pages / 8)
        var moving: [Standing] = []
        var tierRuns: [PendingTierRun] = []
        for tier in Tier.allCases {
            let records = standing(tier)
            if let run = try merge(records, tier, merging: merging || isFull) {
                tierRuns.append(run)
            } else {
                moving += records
            }
        }
        var last: RegionError?
        for _ in 1...RingStore.tries {
            let run = Run(
                sequence: archive.next, pages: builder.pages.count, first: first, end: sealed,
                samples: builder.samples)
            last = write(run, builder)
            guard last == nil else { continue }
            lastRunPages = builder.pages.count
            for record in moving { journalAgain(record) }
            pending?.tierRuns = tierRuns
            pending?.needs = moving.isEmpty ? sealed : head.end
            return
        }
        throw StoreError(.io, "the archive takes no pages, samples stay in the journal: \(last?.description ?? "")")
    }

    /// Where the disk refused a page of a ring, its place is tried first. A run takes new places each time it is tried,
    /// and gives up what stood there: a disk that takes nothing for hours would cost all that is stored.
    private func askDisk() throws(StoreError) {
        guard let page = refusedPage else { return }
        if let error = write([UInt8](repeating: 0, count: Layout.pageSize), page: page) {
            throw StoreError(.io, "the rings still take no pages, samples stay in the journal: \(error)")
        }
        refusedPage = nil
    }

    /// Writes a page of a ring. What stood in its place has been given up.
    func writeRing(_ bytes: [UInt8], page: Int) -> RegionError? {
        let error = write(bytes, page: page)
        refusedPage = error == nil ? nil : page
        return error
    }

    /// Throws where so many more pages would write over samples that are still needed and the policy is to hold.
    private func holdBack(_ count: Int) throws(StoreError) {
        guard whenFull == .hold else { return isHolding = false }
        isHolding = (archive.next..<archive.next + UInt64(min(count, layout.archivePages))).contains { sequence in
            let old = archive.entries[archive.place(sequence)]
            return old.sequence != 0 && old.samples > 0 && old.lastTime >= mayOverwriteBefore.milliseconds
        }
        guard isHolding else { return }
        throw StoreError(
            .held,
            "the ring is full of samples that are not rolled up and accepted yet, and the configuration says to hold; "
                + "see `fabgate outbox list` for what is in the way, or set `when_full: overwrite`")
    }

    /// Fills in what all pages of a run have in common.
    func complete(_ header: inout PageHeader, _ index: Int, of run: Run) {
        header.sequence = run.sequence + UInt64(index)
        header.epoch = epoch
        header.epochFirst = epochFirst
        header.durable = durableEnd
        header.first = run.first
        header.end = run.end
        header.index = index
        header.runPages = run.pages
        header.runSamples = run.samples
    }

    private func write(_ run: Run, _ builder: RunBuilder) -> RegionError? {
        var run = run
        var entries: [PageEntry] = []
        for (index, body) in builder.pages.enumerated() {
            var header = builder.headers[index]
            complete(&header, index, of: run)
            let page = layout.archivePage(header.sequence)
            var bytes = body
            header.write(to: &bytes, page: page, identity: identity, layout: layout, region)
            archive.next = header.sequence + 1
            forget(header.sequence)
            if let error = writeRing(bytes, page: page) { return error }
            entries.append(PageEntry(header))
            run.widen(entries[index])
        }
        archive.prune()
        pending = PendingRun(
            run: run, entries: entries, weight: head.weight - head.weight(from: cursor), needs: run.end)
        journal.sealed = journal.next
        return nil
    }

    /// The page's old content is about to be written over.
    private func forget(_ sequence: UInt64) {
        floors.willWrite(sequence, nil, pages: layout.archivePages)
        guard let old = archive.clear(sequence) else { return }
        counters.overwrittenPages += 1
        counters.overwrittenSamples += Int(old.samples)
        if old.lastTime >= mayOverwriteBefore.milliseconds { counters.overwrittenUnrolled += 1 }
        unreadable[old.sequence] = nil
    }

    /// A run is durable: from now on it is read from the archive.
    private func publish(_ done: PendingRun) {
        for entry in done.entries { archive.insert(entry) }
        archive.append(done.run)
        for run in done.tierRuns { publish(run) }
        head.drop(below: done.run.end)
        journal.release(below: head.first)
        pending = nil
    }
}
