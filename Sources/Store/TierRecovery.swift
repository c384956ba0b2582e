// What opening a store finds of the tiers.

import Model

extension Recovered {
    /// A tier's pages as they stand, before it is decided which of them count.
    struct TierScan {
        /// By place in the ring: the first sequence of the run that the page belongs to.
        var runOf: [UInt64] = []
        /// By place in the ring: nothing was ever written there.
        var isBlank: [Bool] = []
        var candidates: [UInt64: PageHeader] = [:]
    }

    /// A record of a tier in a journal page before the end of the archive.
    struct OldItem {
        let ordinal: UInt64
        let series: UInt16
        let start: Int64
        let item: TierItem
    }

    /// Reads headers only.
    mutating func loadTier(_ tier: Tier, _ region: any Region) -> TierScan {
        let count = layout.tierPages(tier)
        var scan = TierScan()
        scan.runOf = [UInt64](repeating: 0, count: count)
        scan.isBlank = [Bool](repeating: false, count: count)
        var ring = ArchiveIndex(pages: max(1, count))
        readHeaders(region, from: layout.tierStart(tier), count: count) { found, index, bytes in
            guard !bytes.isEmpty else { return scan.isBlank[index] = true }
            let page = found.layout.tierStart(tier) + index
            guard let header = PageHeader(bytes, page: page, identity: found.identity),
                header.kind == PageHeader.Kind(tier), found.layout.tierPage(tier, header.sequence) == page,
                header.sequence > UInt64(header.index), header.index < header.runPages
            else { return }
            found.note(header)
            ring.insert(PageEntry(header))
            ring.next = max(ring.next, header.sequence + 1)
            scan.runOf[index] = header.sequence - UInt64(header.index)
            scan.candidates[header.sequence - UInt64(header.index)] = header
        }
        tiers[Int(tier.rawValue)].ring = ring
        return scan
    }

    /// As with the runs of the archive, from the newest back.
    mutating func chooseRuns(of tier: Tier, _ scan: TierScan, _ region: any Region) {
        guard !scan.runOf.isEmpty else { return }
        var ring = tiers[Int(tier.rawValue)].ring
        var torn: UInt64 = 0
        while torn < UInt64(scan.runOf.count), ring.entry(ring.next + torn) == nil,
            ring.entries[ring.place(ring.next + torn)].sequence == 0, !scan.isBlank[ring.place(ring.next + torn)]
        { torn += 1 }
        var chosen: [Run] = []
        var above: UInt64?
        for sequence in scan.candidates.keys.sorted(by: >) {
            guard let header = scan.candidates[sequence] else { continue }
            var run = Run(
                sequence: sequence, pages: header.runPages, first: header.first, end: header.end,
                samples: header.runSamples)
            var counts = false
            if run.end <= clip(header.epoch), run.end <= above ?? .max {
                counts = take(&run, of: tier, &ring, scan, isNewest: above == nil, torn: torn, region)
            }
            if counts {
                above = run.first
                chosen.append(run)
            } else {
                for page in run.sequence..<run.endSequence
                where scan.runOf[ring.place(page)] == run.sequence && ring.entry(page) != nil { _ = ring.clear(page) }
            }
        }
        for run in chosen.reversed() { ring.append(run) }
        tiers[Int(tier.rawValue)].ring = ring
        if let first = ring.runs.first?.sequence {
            // Places before it that are blank are such as the disk refused, and damaged ones are noted below.
            tiers[Int(tier.rawValue)].hadMore =
                first > UInt64(ring.pages) || (1..<first).contains { scan.runOf[ring.place($0)] != 0 }
                || ring.runs.last.map { $0.endSequence > UInt64(ring.pages) } ?? false
        }
        noteGaps(of: tier, ring, scan, torn: torn)
        for sequence in ring.next..<ring.next + torn { tiers[Int(tier.rawValue)].noteDamage(sequence) }
    }

    /// Between two runs, a page that cannot be read was a run of its own, or all that is left of one. Of a run that was
    /// left out on purpose, another page stands there; and a blank one is a place that the disk refused.
    private mutating func noteGaps(of tier: Tier, _ ring: ArchiveIndex, _ scan: TierScan, torn: UInt64) {
        let pages = UInt64(ring.pages)
        // What comes before has been written over.
        var end = ring.next + torn > pages ? ring.next + torn - pages : 1
        for run in ring.runs {
            for sequence in min(end, run.sequence)..<run.sequence
            where scan.runOf[ring.place(sequence)] == 0 && !scan.isBlank[ring.place(sequence)] {
                let isLeftOut = scan.candidates.contains { first, header in
                    (first..<first + UInt64(header.runPages)).contains(sequence)
                }
                guard !isLeftOut else { continue }
                report.lostRecords += 1
                tiers[Int(tier.rawValue)].noteDamage(sequence)
            }
            end = max(end, run.endSequence)
        }
    }

    /// Takes stock of a run; false where it is better read from the journal.
    private mutating func take(
        _ run: inout Run, of tier: Tier, _ ring: inout ArchiveIndex, _ scan: TierScan, isNewest: Bool, torn: UInt64,
        _ region: any Region
    ) -> Bool {
        var found = 0
        var missing: [UInt64] = []
        var overwritten = 0
        var isNamed = true
        for sequence in run.sequence..<run.endSequence {
            let isOwn = scan.runOf[ring.place(sequence)] == run.sequence
            if isOwn, ring.entry(sequence) != nil, isNewest || run.end > durable {
                switch isNamedAndSound(layout.tierPage(tier, sequence), region) {
                case nil: _ = ring.clear(sequence)
                case let named?: isNamed = isNamed && named
                }
            }
            if isOwn, let entry = ring.entry(sequence) {
                found += Int(entry.samples)
                run.widen(entry)
            } else if sequence + UInt64(ring.entries.count) < ring.next + torn {
                overwritten += 1
            } else {
                missing.append(sequence)
            }
        }
        if !missing.isEmpty || !isNamed, isNewest, isJournaled(run.first, min(run.end, durable)) {
            report.unfinishedPages += run.pages - missing.count - overwritten
            return false
        }
        guard !missing.isEmpty else { return true }
        report.lostRecords += max(1, (run.samples - found) * missing.count / (missing.count + overwritten))
        for sequence in missing { tiers[Int(tier.rawValue)].noteDamage(sequence) }
        return true
    }

    /// Whether all series in a page have a name; nil where its body is wrong.
    private mutating func isNamedAndSound(_ page: Int, _ region: any Region) -> Bool? {
        guard let bytes = read(region, page: page), PageHeader.isBodySound(bytes, region) else { return nil }
        var isNamed = true
        let span = bytes.span
        var reader = TierChunkReader(span, used: Int(bytes.integer(UInt16.self, at: 6)))
        while let chunk = reader.next(span) { isNamed = isNamed && catalog.has(chunk.series) }
        return isNamed
    }

    /// What of the tiers is gone.
    mutating func takeTierStock() {
        let samples = max(archive.runs.last?.lastTime ?? .min, head.records.map(\.time).max() ?? .min)
        for tier in tiers.indices {
            let newest = max(samples, tiers[tier].ring.runs.last?.lastTime ?? .min)
            tiers[tier].takeStock(newest: newest, hasAll: isJournaled(tiers[tier].end, durable))
        }
    }

    /// Keeps the records of tiers before the end of the archive that no ring has.
    mutating func takeOldItems(_ header: PageHeader, end: UInt64, _ region: any Region) {
        let (first, ends) = (head.first, tiers.map(\.end))
        let isOfUse = Tier.allCases.contains { header.mayHold($0) && ends[Int($0.rawValue)] < end }
        guard header.first < first, isOfUse, let bytes = read(region, page: layout.journalPage(header.sequence)) else {
            return
        }
        var found: [OldItem] = []
        _ = JournalPage.decode(bytes, header) { [catalog] ordinal, series, start, content in
            guard case .tier(let item) = content, ordinal < min(first, end), ordinal >= ends[Int(item.tier.rawValue)],
                catalog.has(series)
            else { return }
            found.append(OldItem(ordinal: ordinal, series: series, start: start, item: item))
        }
        oldItems += found
    }
}

extension RingStore {
    /// Records that were on their way to a ring when the power went: they are journaled again with the next commit,
    /// unless the journal has them later, too.
    func takeUp(_ items: [Recovered.OldItem]) {
        var kept: [Recovered.OldItem] = []
        var places: [Recovered.OldItem.Key: Int] = [:]
        for item in items where !self[item.item.tier].head.contains(item.series, item.start) {
            if let place = places[item.key] {
                kept[place] = item
            } else {
                places[item.key] = kept.count
                kept.append(item)
            }
        }
        for item in kept {
            self[item.item.tier].head.put(item.series, item.start, item.item, ordinal: head.end)
            head.append(item.item, series: item.series, start: item.start)
        }
    }
}

extension Recovered.OldItem {
    struct Key: Hashable {
        let tier: Tier
        let series: UInt16
        let start: Int64
    }

    var key: Key { Key(tier: item.tier, series: series, start: start) }
}
