// A power cut may part a run from its slots. So opening computes the slots anew that the two newest runs, and what stands
// in the journal, have touched; older ones were recorded with a run that is durable since. A run touches one quarter of
// an hour of every series, or two: those are computed together, each page read once.

import Model

extension RingStore {
    /// What touched a slot.
    private struct Touch: OptionSet {
        let rawValue: UInt8
        static let sample = Touch(rawValue: 1)
        /// Of the newest run: the slot may be open still.
        static let newestRun = Touch(rawValue: 2)
    }

    /// By a slot's start, then by the series' number.
    private typealias Touched = [Int64: [Touch]]

    /// Fewer series than these are quicker asked one by one.
    private static let fewTouched = 8

    /// After opening: what `mendSlots` stands on.
    func prepareMending() {
        rolledEnd = max(head.first, archive.runs.last?.end ?? 0)
        newestSlot = span(in: .slots)?.1 ?? .min
        newestAtOpening = newestSlot
        needsMending = keepsSlots
    }

    /// Once after opening, before slots are looked at or made. A slot that the newest run has left open is so again: it
    /// is recorded later, as it would have been.
    func mendSlots() {
        guard needsMending else { return }
        needsMending = false
        openSlots = OpenSlots()
        var touched: Touched = [:]
        for run in archive.runs.suffix(2) {
            let isNewest = run.sequence == archive.runs.last?.sequence
            for sequence in run.sequence..<run.endSequence where archive.entry(sequence) != nil {
                touch(sequence, isNewest ? [.sample, .newestRun] : .sample, &touched)
            }
        }
        for record in head.records where record.tag.isSample && isNumeric(record.series) {
            touch(record.series, SlotState.start(of: record.time), .sample, &touched)
        }
        // The newest first: only that of each series can be open.
        for (start, series) in touched.sorted(by: { $0.key > $1.key }) { mend(start, series) }
    }

    private func touch(_ series: UInt16, _ start: Int64, _ touch: Touch, _ touched: inout Touched) {
        let count = catalog.infos.count
        touched[start, default: [Touch](repeating: [], count: count)][Int(series)].formUnion(touch)
    }

    /// Adds the slots of all samples in a page.
    private func touch(_ sequence: UInt64, _ with: Touch, _ touched: inout Touched) {
        var columns = borrowColumns()
        var chunks: [(series: UInt16, count: Int)] = []
        readChunks(sequence, of: nil, into: &columns) { chunks.append(($0, $1)) }
        var at = 0
        for chunk in chunks {
            var last = Int64.min
            for time in columns.times[at..<at + chunk.count] where isNumeric(chunk.series) {
                if time >= last, time < last &+ SlotState.length { continue }
                last = SlotState.start(of: time)
                touch(chunk.series, last, with, &touched)
            }
            at += chunk.count
        }
        self.columns = columns
    }

    private func mend(_ start: Int64, _ touched: [Touch]) {
        let series = touched.indices.filter { !touched[$0].isEmpty }
        let states = series.count > RingStore.fewTouched ? aggregate(touched, start) : [:]
        for number in series {
            let slot = SlotKey(series: UInt16(number), start: start)
            let state = states[slot.series] ?? aggregate(slot.series, start, below: rolledEnd)
            if touched[number].contains(.newestRun), openSlots[slot.series]?.isRecorded ?? true, !state.isEmpty {
                openSlots.put(OpenSlot(state: state, isRecorded: false), slot.series)
                newestSlot = max(newestSlot, start)
            } else if differs(state, slot) {
                record(state, slot)
            }
        }
    }

    /// The sealed samples of one slot of many series; one whose samples did not come in order of time is left out.
    private func aggregate(_ touched: [Touch], _ start: Int64) -> [UInt16: SlotState] {
        var states: [UInt16: SlotState] = [:]
        var late: Set<UInt16> = []
        var columns = borrowColumns()
        for sequence in archive.pages(from: start, to: start + SlotState.length) {
            guard let place = sound(sequence) else { continue }
            let page = cache.pages[place]
            let bytes = page.bytes.span
            var reader = ChunkReader(bytes, used: page.used)
            while let chunk = reader.next(bytes) {
                guard chunk.series < touched.count, !touched[Int(chunk.series)].isEmpty else { continue }
                columns.removeAll()
                let end = start + SlotState.length
                guard reader.decode(chunk, bytes, from: start, to: end, into: &columns) else { continue }
                columns.keep(start, end, since: 0)
                guard columns.count > 0 else { continue }
                var state = states[chunk.series] ?? SlotState(start: start)
                if !columns.isInOrder(after: state.lastTime) { late.insert(chunk.series) }
                state.add(columns, 0..<columns.count)
                states[chunk.series] = state
            }
        }
        self.columns = columns
        for series in late { states[series] = nil }
        return states
    }

    private func differs(_ state: SlotState, _ slot: SlotKey) -> Bool {
        let record = records(slot.series, in: .slots, slot.start, slot.start + 1).first?.fields ?? []
        return state.isEmpty ? !record.isEmpty : state.record != record
    }
}
