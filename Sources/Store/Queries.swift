// Questions to the store. A range is half-open: `from` belongs to it, `to` does not.

package import Model

/// How a sweep over a range came to its end.
private enum Sweep {
    case done, stopped
    /// Too much lies out of order; everything before this instant has been delivered.
    case tooMuch(from: Int64)
}

extension RingStore {
    /// So many samples may wait for earlier ones before a range is taken in smaller pieces.
    private static let mostWaiting = 1 << 20

    /// Calls `body` with the samples of one series in order of time, a late one at its place, those of equal time in
    /// order of arrival, until it says false.
    package func scan(_ id: SeriesID, from: Instant, to: Instant, _ body: (Sample) -> Bool) {
        stretches(id, from: from, to: to) { columns, range in
            guard columns.areNumbers else {
                for index in range {
                    let sample = Sample(time: Instant(milliseconds: columns.times[index]), value: columns.value(index))
                    if !body(sample) { return false }
                }
                return true
            }
            let times = columns.times.span.extracting(range)
            let bits = columns.bits.span.extracting(range)
            var index = 0
            while index < times.count, index < bits.count {
                let number = StoredValue.number(Double(bitPattern: bits[index]))
                if !body(Sample(time: Instant(milliseconds: times[index]), value: number)) { return false }
                index &+= 1
            }
            return true
        }
    }

    /// The same without a call per sample: `body` gets some columns, and which part of them comes next.
    package func stretches(_ id: SeriesID, from: Instant, to: Instant, _ body: (Columns, Range<Int>) -> Bool) {
        sweep(id, from, to, body)
    }

    /// The range in buckets of `step` from `from` on, one point for each, also for empty ones; at most 100,000, and
    /// none where the range or the step is empty.
    package func points(_ id: SeriesID, from: Instant, to: Instant, step: Duration) -> [Point] {
        guard step > .zero, from < to, from >= .distantPast, to <= .distantFuture,
            (to - from).milliseconds / step.milliseconds < 100_000
        else { return [] }
        if let points = pointsOfSlots(id, from.milliseconds, to.milliseconds, step.milliseconds) { return points }
        var buckets = Buckets(from: from.milliseconds, to: to.milliseconds, step: step.milliseconds)
        if addInOrder(id, from.milliseconds, to.milliseconds, to: &buckets) { return buckets.finish() }
        buckets = Buckets(from: from.milliseconds, to: to.milliseconds, step: step.milliseconds)
        sweep(id, from, to) { columns, range in
            buckets.add(columns, range)
            return true
        }
        return buckets.finish()
    }

    /// Adds what there is of a range chunk by chunk, as long as it stands in order of time, which nearly all does; false
    /// where it does not, and what was added is worth nothing.
    private func addInOrder(_ id: SeriesID, _ from: Int64, _ to: Int64, to buckets: inout Buckets) -> Bool {
        guard head.isKnown(id.raw) else { return true }
        let series = UInt16(truncatingIfNeeded: id.raw)
        var columns = borrowColumns()
        defer { self.columns = columns }
        var latest = from
        for sequence in archive.pages(of: series, from, to) {
            guard let place = sound(sequence) else { continue }
            let page = cache.pages[place]
            let bytes = page.bytes.span
            var reader = chunks(page, place, of: series)
            while let chunk = reader.next(bytes), chunk.series <= series {
                guard chunk.series == series else { continue }
                if chunk.first >= latest, let same = reader.constant(chunk, bytes),
                    buckets.add(same.bits, count: chunk.count, first: chunk.first, last: same.last)
                {
                    latest = same.last
                    continue
                }
                columns.removeAll()
                guard reader.decode(chunk, bytes, from: from, to: to, into: &columns) else { continue }
                columns.keep(from, to, since: 0)
                guard let last = columns.times.last else { continue }
                guard columns.isInOrder(after: latest) else { return false }
                buckets.add(columns, 0..<columns.count)
                latest = last
            }
        }
        let fresh = recent(series, from, to, .max)
        guard fresh.count > 0 else { return true }
        guard fresh.isInOrder(after: latest) else { return false }
        buckets.add(fresh, 0..<fresh.count)
        return true
    }

    /// The chunks of a page that stands in the cache, from that of the series on.
    private func chunks(_ page: PageCache.Page, _ place: Int, of series: UInt16) -> ChunkReader {
        let bytes = page.bytes.span
        let isAfter = page.place.series < series
        var reader = ChunkReader(bytes, used: page.used, from: isAfter ? page.place : ChunkReader.Place())
        reader.skip(to: series, bytes)
        cache.remember(reader.place, at: place)
        return reader
    }

    /// The range in at most so many points, for a chart.
    package func points(_ id: SeriesID, from: Instant, to: Instant, atMost count: Int) -> [Point] {
        guard from < to, count > 0 else { return [] }
        let step = max(1, ((to - from).milliseconds - 1) / Int64(count) + 1)
        return points(id, from: from, to: to, step: .milliseconds(step))
    }

    /// Buckets of whole slots are made of these, not of their samples; nil where they are no such buckets.
    private func pointsOfSlots(_ id: SeriesID, _ from: Int64, _ to: Int64, _ step: Int64) -> [Point]? {
        let series = UInt16(truncatingIfNeeded: id.raw)
        guard step % SlotState.length == 0, SlotState.start(of: from) == from, head.isKnown(id.raw),
            layout.tierPages(.slots) > 0, isNumeric(series)
        else { return nil }
        let whole = SlotState.start(of: to)
        // A point does not say how it began.
        var states = slotStates(series, from, whole, fields: SlotState.fields - 1)
        if whole < to { states.append(partOfSlot(series, whole, to)) }
        var points: [Point] = []
        var index = 0
        for start in stride(from: from, to: to, by: Int(step)) {
            var sum = ChannelSlot(
                start: Instant(milliseconds: start), end: Instant(milliseconds: min(start + step, to)))
            while index < states.count, states[index].start < start + step {
                states[index].add(to: &sum, until: min(states[index].start + SlotState.length, to))
                index += 1
            }
            let isEmpty = sum.count == 0
            points.append(
                Point(
                    start: sum.start, count: sum.count, min: isEmpty ? nil : sum.min, max: isEmpty ? nil : sum.max,
                    mean: sum.mean, last: isEmpty ? nil : sum.last))
        }
        return points
    }

    private func partOfSlot(_ series: UInt16, _ start: Int64, _ to: Int64) -> SlotState {
        var state = SlotState(start: start)
        sweep(SeriesID(raw: UInt32(series)), Instant(milliseconds: start), Instant(milliseconds: to)) {
            columns, range in
            state.add(columns, range)
            return true
        }
        return state
    }

    /// Calls `body` with every sample at or after `from`, run by run as they arrived. Within a run, and it may reach
    /// back some hours, each series keeps its own order of arrival, and between series the time decides.
    package func replay(from: Instant, _ body: (SeriesID, Sample) -> Void) {
        for run in archive.runs where run.lastTime >= from.milliseconds { replay(run, from: from.milliseconds, body) }
        for record in head.records
        where record.tag.isSample && record.time >= from.milliseconds && catalog.kind(record.series) != nil {
            body(
                SeriesID(raw: UInt32(record.series)),
                Sample(time: Instant(milliseconds: record.time), value: head.value(record)))
        }
    }

    private func replay(_ run: Run, from: Int64, _ body: (SeriesID, Sample) -> Void) {
        struct Item {
            var key: Int64
            var index: UInt32
        }
        var columns = borrowColumns()
        defer { self.columns = columns }
        var series: [UInt16] = []
        for sequence in run.sequence..<run.endSequence {
            guard archive.entry(sequence) != nil else { continue }
            readChunks(sequence, of: nil, into: &columns) { number, count in
                series.append(contentsOf: repeatElement(number, count: count))
            }
        }
        var items: [Item] = []
        items.reserveCapacity(series.count)
        var latest = Int64.min
        for index in series.indices {
            // A late sample stays behind those of its series that came before it.
            if index == 0 || series[index] != series[index - 1] { latest = .min }
            latest = max(latest, columns.times[index])
            items.append(Item(key: latest, index: UInt32(index)))
        }
        items.sort { ($0.key, $0.index) < ($1.key, $1.index) }
        for item in items {
            let index = Int(item.index)
            guard columns.times[index] >= from, catalog.has(series[index]) else { continue }
            body(
                SeriesID(raw: UInt32(series[index])),
                Sample(time: Instant(milliseconds: columns.times[index]), value: columns.value(index)))
        }
    }

    /// Finds each series' last sample in the newest pages, 256 at most, so that what is sent again after a restart is
    /// recognised.
    func recallTails() {
        var columns = borrowColumns()
        defer { self.columns = columns }
        var pages = 0
        var isWanted = head.withoutLast
        for run in archive.runs.reversed() where isWanted.contains(true) {
            var tails: [UInt16: (index: Int, newest: Int64)] = [:]
            columns.removeAll()
            for sequence in run.sequence..<run.endSequence where archive.entry(sequence) != nil {
                pages += 1
                guard let place = sound(sequence) else { continue }
                let page = cache.pages[place]
                let bytes = page.bytes.span
                var reader = ChunkReader(bytes, used: page.used)
                while let chunk = reader.next(bytes) {
                    // Most stand in the newest run, so that of older ones hardly anything is read.
                    guard Int(chunk.series) < isWanted.count, isWanted[Int(chunk.series)] else { continue }
                    let before = columns.count
                    guard reader.decode(chunk, bytes, into: &columns), columns.count > before else { continue }
                    var newest = tails[chunk.series]?.newest ?? .min
                    for time in columns.times[before...] { newest = max(newest, time) }
                    tails[chunk.series] = (columns.count - 1, newest)
                }
            }
            for (series, tail) in tails {
                isWanted[Int(series)] = false
                head.recall(
                    series, time: columns.times[tail.index], newest: tail.newest, columns.value(tail.index))
            }
            if pages >= 256 { return }
        }
    }

    // MARK: - Sweeping

    /// Calls `visit` with stretches of samples in order of time until it says false.
    /// Of what is not in the archive yet, only ordinals below `limit` count.
    func sweep(
        _ id: SeriesID, _ from: Instant, _ to: Instant, below limit: UInt64 = .max,
        _ visit: (Columns, Range<Int>) -> Bool
    ) {
        guard from < to, head.isKnown(id.raw) else { return }
        var pieces = [(from: from.milliseconds, to: to.milliseconds)]
        while let piece = pieces.popLast() {
            switch sweep(UInt16(id.raw), piece.from, piece.to, limit, visit) {
            case .done: break
            case .stopped: return
            case .tooMuch(let reached):
                let middle = reached / 2 + piece.to / 2
                pieces.append((middle, piece.to))
                pieces.append((reached, middle))
            }
        }
    }

    private func sweep(
        _ series: UInt16, _ from: Int64, _ to: Int64, _ limit: UInt64, _ visit: (Columns, Range<Int>) -> Bool
    ) -> Sweep {
        let fresh = recent(series, from, to, limit)
        let pages = archive.pages(of: series, from, to)
        // After a page, what is earlier than everything still to come can go.
        var horizons = [Int64](repeating: fresh.times.min() ?? .max, count: pages.count + 1)
        for index in pages.indices.reversed() {
            horizons[index] = min(horizons[index + 1], archive.entry(pages[index])?.firstTime ?? .max)
        }
        var columns = borrowColumns()
        defer { self.columns = columns }
        for (index, sequence) in pages.enumerated() {
            let before = columns.count
            readChunks(sequence, of: series, from: from, to: to, into: &columns) { _, _ in }
            columns.keep(from, to, since: before)
            if index + 1 < pages.count || fresh.count > 0 {
                let horizon = horizons[index + 1]
                columns.sortByTime()
                let ready = columns.firstIndex(notBefore: horizon)
                if ready > 0, !visit(columns, 0..<ready) { return .stopped }
                columns.dropFirst(ready)
                if columns.count > RingStore.mostWaiting, horizon > from, to / 2 - horizon / 2 > 1 {
                    return .tooMuch(from: horizon)
                }
                if columns.count > RingStore.mostWaiting, horizon <= from, to / 2 - from / 2 > 1 {
                    return .tooMuch(from: from)
                }
            }
        }
        for index in fresh.times.indices { columns.append(fresh, index) }
        columns.sortByTime()
        guard columns.count == 0 || visit(columns, 0..<columns.count) else { return .stopped }
        return .done
    }

    /// Storage that is used again; `body` may ask the store something else meanwhile.
    func borrowColumns() -> Columns {
        var columns = self.columns
        self.columns = Columns()
        columns.removeAll()
        return columns
    }

    /// What the head has of the range, in order of arrival.
    private func recent(_ series: UInt16, _ from: Int64, _ to: Int64, _ limit: UInt64) -> Columns {
        guard head.mayHold(series, before: to) else { return Columns() }
        var found: [Record] = []
        head.backwards(series) { ordinal, record in
            if ordinal < limit, record.time >= from, record.time < to, record.tag.isSample { found.append(record) }
        }
        var columns = Columns()
        for record in found.reversed() {
            if record.tag == .text {
                columns.bits.append(UInt64(columns.texts.count))
                columns.texts.append(head.texts[Int(record.bits)])
            } else {
                columns.bits.append(record.number)
            }
            columns.append(record.time, record.tag)
        }
        return columns
    }

    /// The place in the cache of a page of the archive or a tier whose checksums are right, read where it is not there.
    func sound(_ sequence: UInt64, _ tier: Tier? = nil) -> Int? {
        let key = sequence | (tier.map { UInt64($0.rawValue + 1) << 62 } ?? 0)
        if let known = cache.find(key) { return known }
        var (place, bytes) = cache.storage(for: key)
        guard let header = load(sequence, tier, into: &bytes) else { return nil }
        cache.keep(bytes, header.used, key, at: place)
        return place
    }

    /// Reads a page of the archive, or of a tier, and gives its header; nil, and counted, where it is damaged.
    func load(_ sequence: UInt64, _ tier: Tier?, into page: inout [UInt8]) -> PageHeader? {
        let number = tier.map { layout.tierPage($0, sequence) } ?? layout.archivePage(sequence)
        let isRead = (try? region.read(at: number * Layout.pageSize, into: &page)) != nil
        guard isRead, let header = PageHeader(page, page: number, identity: identity), header.sequence == sequence,
            header.kind == tier.map(PageHeader.Kind.init) ?? .archive, PageHeader.isBodySound(page, region)
        else {
            if floors.isGone(sequence, tier) { wasOvertaken = true }
            if let tier {
                self[tier].noteUnreadable(sequence)
            } else {
                unreadable[sequence] = archive.entry(sequence).map { Int($0.samples) } ?? 0
            }
            return nil
        }
        if tier == nil, !unreadable.isEmpty { unreadable[sequence] = nil }
        return header
    }

    /// Appends the samples of a page to `columns`: those of one series or all, those outside of the range not
    /// necessarily. `found` hears of each chunk.
    func readChunks(
        _ sequence: UInt64, of series: UInt16?, from: Int64 = .min, to: Int64 = .max, into columns: inout Columns,
        _ found: (UInt16, Int) -> Void
    ) {
        guard let place = sound(sequence) else { return }
        let page = cache.pages[place]
        let bytes = page.bytes.span
        let isAfter = series.map { page.place.series < $0 } ?? false
        var reader = ChunkReader(bytes, used: page.used, from: isAfter ? page.place : ChunkReader.Place())
        if let series {
            reader.skip(to: series, bytes)
            cache.remember(reader.place, at: place)
        }
        while let chunk = reader.next(bytes) {
            if let series, chunk.series != series {
                if chunk.series < series { continue }
                break
            }
            let count = columns.count
            if reader.decode(chunk, bytes, from: from, to: to, into: &columns) {
                found(chunk.series, columns.count - count)
            }
        }
    }

    // MARK: - Verifying

    /// Reads every page that should hold something.
    package func verify() -> VerifyReport {
        var report = VerifyReport()
        for number in 0..<2 where !isSound(number, .superblock, &report) && superblocksToMend.isEmpty {
            superblocksToMend.append(number)
        }
        for sequence in journal.floor..<journal.next where journal.ends[journal.place(sequence)] > head.first {
            _ = isSound(layout.journalPage(sequence), .journal, &report)
        }
        for run in archive.runs {
            for sequence in run.sequence..<run.endSequence where archive.entry(sequence) != nil {
                verifyArchivePage(sequence, &report)
            }
        }
        for tier in Tier.allCases {
            for run in self[tier].ring.runs {
                for sequence in run.sequence..<run.endSequence where self[tier].ring.entry(sequence) != nil {
                    verifyTierPage(sequence, tier, &report)
                }
            }
            // Opening looked at the newest ones, and put what it found damaged out of use.
            for page in self[tier].missed where self[tier].ring.entry(page.sequence) == nil {
                report.pages += 1
                report.damaged.append(
                    (layout.tierPage(tier, page.sequence), "its checksum, place or sequence is wrong"))
            }
        }
        report.samples += head.records.count { $0.tag.isSample }
        return report
    }

    private func verifyTierPage(_ sequence: UInt64, _ tier: Tier, _ report: inout VerifyReport) {
        report.pages += 1
        var page = [UInt8](repeating: 0, count: Layout.pageSize)
        guard let header = load(sequence, tier, into: &page) else {
            return report.damaged.append((layout.tierPage(tier, sequence), "its checksum, place or sequence is wrong"))
        }
        var found = 0
        let bytes = page.span
        var reader = TierChunkReader(bytes, used: header.used)
        while let chunk = reader.next(bytes) { found += reader.decode(chunk, bytes)?.count ?? 0 }
        report.records += found
        if found != self[tier].ring.entry(sequence).map({ Int($0.samples) }) {
            report.damaged.append((layout.tierPage(tier, sequence), "not all records can be decoded"))
        }
    }

    private func isSound(_ number: Int, _ kind: PageHeader.Kind, _ report: inout VerifyReport) -> Bool {
        report.pages += 1
        do {
            try region.read(at: number * Layout.pageSize, into: &page)
        } catch {
            report.damaged.append((number, "cannot be read: \(error)"))
            return false
        }
        guard let header = PageHeader(page, page: number, identity: identity), header.kind == kind,
            PageHeader.isBodySound(page, region)
        else {
            report.damaged.append((number, "its checksum, place or kind is wrong"))
            return false
        }
        return true
    }

    private func verifyArchivePage(_ sequence: UInt64, _ report: inout VerifyReport) {
        report.pages += 1
        var columns = borrowColumns()
        defer { self.columns = columns }
        guard load(sequence, nil, into: &page) != nil else {
            return report.damaged.append((layout.archivePage(sequence), "its checksum, place or sequence is wrong"))
        }
        readChunks(sequence, of: nil, into: &columns) { _, _ in }
        report.samples += columns.count
        if columns.count != archive.entry(sequence).map({ Int($0.samples) }) {
            report.damaged.append((layout.archivePage(sequence), "not all samples can be decoded"))
        }
    }
}
