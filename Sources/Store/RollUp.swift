// Slots and days out of samples. A sealed run makes or changes the slots that it touches; samples that are not sealed
// yet are added when somebody asks. A day is written when the first slot of a later one comes, and again when a late
// sample changes one of its slots; until then it is the sum of its slots. `MendSlots.swift` tells what opening does.

package import Model

extension RingStore {
    func isNumeric(_ series: UInt16) -> Bool {
        guard let kind = catalog.kind(series) else { return false }
        return kind == .gauge || kind == .counter
    }

    var keepsSlots: Bool { layout.tierPages(.slots) > 0 }

    // MARK: - Sealed samples

    /// Sorts a stretch of the head into the pages of a run, and brings the slots up to its samples: both want them series
    /// by series, and to gather them is what costs most. Where the run cannot be written, its samples are in the journal
    /// and are sorted again, and `rolledEnd` tells that the slots have them. A slot that the run leaves open is recorded
    /// with the first run that has nothing for it: until then opening would compute it anew.
    func sortAndRollUp(from first: UInt64, to sealed: UInt64) -> RunBuilder {
        // Slots put records into the head meanwhile.
        let head = self.head.ofSamples
        let isNew = keepsSlots && rolledEnd < sealed
        var known = isNew ? RunBuilder.count(head, from: first, below: rolledEnd) : [:]
        rolledEnd = max(rolledEnd, sealed)
        if isNew { sealNumber &+= 1 }
        var late: Set<SlotKey> = []
        let builder = RunBuilder(head, from: first, to: sealed) { series, columns, count in
            guard isNew, isNumeric(series) else { return }
            let skipped = known.removeValue(forKey: series) ?? 0
            rollUp(columns, skipped..<count, series, &late)
        }
        guard isNew else { return builder }
        for slot in late { makeAnew(slot) }
        var open = OpenSlots()
        swap(&open, &openSlots)
        open.close(before: sealNumber, keep)
        openSlots = open
        keepDays()
        return builder
    }

    private func rollUp(_ columns: SortedColumns, _ range: Range<Int>, _ series: UInt16, _ late: inout Set<SlotKey>) {
        guard !range.isEmpty else { return }
        var open = openSlots.begun(series)
        let times = columns.times.span.extracting(range)
        let bits = columns.bits.span.extracting(range)
        let marks = columns.marks.span.extracting(range)
        var index = 0
        while index < times.count, index < bits.count, index < marks.count {
            let time = times[index]
            if time < open.state.start || time >= open.state.start &+ SlotState.length {
                if !open.isRecorded { keep(open.state, series) }
                let start = SlotState.start(of: time)
                open.newest = max(open.newest, open.state.start)
                // What is newer than all that there was has no record yet.
                let isNew = start > max(open.newest, newestAtOpening)
                open.state = isNew ? SlotState(start: start) : known(series, start)
            }
            open.isRecorded = false
            if time < open.state.lastTime {
                late.insert(SlotKey(series: series, start: open.state.start))
            } else {
                open.state.add(time, bits[index], mark: marks[index])
            }
            index = open.state.addDecimals(times, bits, marks, from: index &+ 1)
        }
        open.seal = sealNumber
        newestSlot = max(newestSlot, open.state.start)
        openSlots.put(open, series)
    }

    struct SlotKey: Hashable {
        let series: UInt16
        let start: Int64
    }

    /// The slot as its record has it, or an empty one.
    private func known(_ series: UInt16, _ start: Int64) -> SlotState {
        let record = records(series, in: .slots, start, start + 1).first
        return record.flatMap(SlotState.init) ?? SlotState(start: start)
    }

    private func keep(_ state: SlotState, _ series: UInt16) {
        guard !state.isEmpty else { return }
        putOwn(series, state.start, state.record, .slots)
        newestSlot = max(newestSlot, state.start)
        touchedSlots.append(SlotKey(series: series, start: state.start))
    }

    /// Computes a slot from all sealed samples.
    private func makeAnew(_ slot: SlotKey) {
        record(aggregate(slot.series, slot.start, below: rolledEnd), slot)
    }

    /// Notes what a slot is now, also that it is empty.
    func record(_ state: SlotState, _ slot: SlotKey) {
        if state.isEmpty {
            guard !records(slot.series, in: .slots, slot.start, slot.start + 1).isEmpty else { return }
            putOwn(slot.series, slot.start, [], .slots)
        } else {
            keep(state, slot.series)
        }
        if var open = openSlots[slot.series], open.state.start == slot.start {
            open.state = state
            open.isRecorded = true
            openSlots.put(open, slot.series)
        }
    }

    func aggregate(_ series: UInt16, _ start: Int64, below ordinal: UInt64) -> SlotState {
        var state = SlotState(start: start)
        sweep(
            SeriesID(raw: UInt32(series)), Instant(milliseconds: start),
            Instant(milliseconds: start + SlotState.length), below: ordinal
        ) { columns, range in
            state.add(columns, range)
            return true
        }
        return state
    }

    /// Puts a record without asking whether there is room: there are never more of them than samples.
    private func putOwn(_ series: UInt16, _ start: Int64, _ fields: [Int64], _ tier: Tier) {
        guard layout.tierPages(tier) > 0 else { return }
        let item = TierItem(tier: tier, fields: fields)
        self[tier].head.put(series, start, item, ordinal: head.end)
        head.append(item, series: series, start: start)
    }

    // MARK: - Days

    private func keepDays() {
        guard newestSlot > .min, layout.tierPages(.days) > 0 else { return }
        let today = zone.date(at: Instant(milliseconds: newestSlot)).daysSince1970
        let last = lastDay ?? dayAtOpening ?? today
        lastDay = today
        var days: Set<SlotKey> = []
        var (start, day) = (Int64.min, today)
        for slot in touchedSlots {
            if slot.start != start {
                start = slot.start
                day = zone.date(at: Instant(milliseconds: start)).daysSince1970
            }
            if day < today, day != last {
                days.insert(SlotKey(series: slot.series, start: day))
            }
        }
        touchedSlots = []
        for day in days { keepDay(day.series, day.start) }
        guard today > last else { return }
        for info in allSeries { keepDay(UInt16(truncatingIfNeeded: info.id.raw), last) }
    }

    /// The day of the newest slot when the store was opened. Whether the one before it was written then is not known.
    private var dayAtOpening: Int64? {
        guard newestAtOpening > .min else { return nil }
        let day = zone.date(at: Instant(milliseconds: newestAtOpening)).daysSince1970
        for info in allSeries { keepDay(UInt16(truncatingIfNeeded: info.id.raw), day - 1) }
        return day
    }

    private func keepDay(_ series: UInt16, _ day: Int64) {
        guard isNumeric(series), let slot = sumOfSlots(series, day) else { return }
        putOwn(series, slot.start.milliseconds, SlotState(slot).record, .days)
    }

    /// nil where the day has no number.
    private func sumOfSlots(_ series: UInt16, _ day: Int64) -> ChannelSlot? {
        let start = zone.start(of: CivilDate(daysSince1970: day))
        var sum = ChannelSlot(start: start, end: zone.start(of: CivilDate(daysSince1970: day + 1)))
        for state in slotStates(series, start.milliseconds, sum.end.milliseconds) {
            sum.merge(state.slot(to: state.start + SlotState.length))
        }
        return sum.count > 0 ? sum : nil
    }

    // MARK: - Questions

    /// The quarters of an hour of a series of numbers that start in the range; none where there is no number. What
    /// holds, holds to the slot's end, or to `to` where that is earlier.
    package func slots(_ id: SeriesID, from: Instant, to: Instant) -> [ChannelSlot] {
        guard from < to, head.isKnown(id.raw) else { return [] }
        return slotStates(UInt16(truncatingIfNeeded: id.raw), from.milliseconds, to.milliseconds)
            .map { $0.slot(to: $0.start + SlotState.length, until: to.milliseconds) }.filter { $0.count > 0 }
    }

    /// The days, by the store's zone, of a series of numbers that start in the range.
    package func days(_ id: SeriesID, from: Instant, to: Instant) -> [ChannelSlot] {
        guard from < to, head.isKnown(id.raw) else { return [] }
        let series = UInt16(truncatingIfNeeded: id.raw)
        var days: [Int64: ChannelSlot] = [:]
        for record in records(series, in: .days, from.milliseconds, to.milliseconds) {
            let day = zone.date(at: record.start).daysSince1970
            let end = zone.start(of: CivilDate(daysSince1970: day + 1))
            guard let state = SlotState(record) else { continue }
            days[day] = state.slot(to: end.milliseconds)
        }
        // As far as slots reach back they are at least as new: the last days are not written yet, nor what is unsealed.
        var sums: [Int64: ChannelSlot] = [:]
        for state in slotStates(series, from.milliseconds, dayEnd(to).milliseconds) {
            let day = zone.date(at: Instant(milliseconds: state.start)).daysSince1970
            let start = zone.start(of: CivilDate(daysSince1970: day))
            let end = zone.start(of: CivilDate(daysSince1970: day + 1))
            guard start >= from, start < to else { continue }
            sums[day, default: ChannelSlot(start: start, end: end)].merge(
                state.slot(to: state.start + SlotState.length))
        }
        for (day, sum) in sums where sum.count >= days[day]?.count ?? 1 { days[day] = sum }
        return days.sorted { $0.key < $1.key }.map(\.value)
    }

    /// The days of a series of numbers that are over, as they were closed, each from its start on; for one who does not
    /// know the store's zone. Their ends are a day later.
    package func closedDays(_ id: SeriesID) -> [ChannelSlot] {
        guard head.isKnown(id.raw), isNumeric(UInt16(truncatingIfNeeded: id.raw)) else { return [] }
        return records(id, in: .days, from: .distantPast, to: .distantFuture).compactMap { record in
            SlotState(record)?.slot(to: record.start.milliseconds + 24 * 3_600_000)
        }
    }

    /// The end of the day in which an instant is.
    private func dayEnd(_ instant: Instant) -> Instant {
        guard instant < .distantFuture - .hours(48) else { return .distantFuture }
        return zone.start(of: CivilDate(daysSince1970: zone.date(at: instant).daysSince1970 + 1))
    }

    /// Slots that start in the range, in order, with what is not sealed yet. Before the first record, samples tell, and
    /// so they do in between where a page of the ring is damaged.
    /// - Parameter fields: of those that are read of each; see `SlotState`.
    func slotStates(
        _ series: UInt16, _ from: Int64, _ to: Int64, fields: Int = TierRecord.mostFields
    ) -> [SlotState] {
        guard isNumeric(series) else { return [] }
        mendSlots()
        let from = SlotState.start(of: from) < from ? SlotState.start(of: from) + SlotState.length : from
        var states: [SlotState] = []
        states.reserveCapacity(Int(max(0, min(256, (to &- from) / SlotState.length))))
        let isWhole = eachInRing(series, .slots, from, to, mostFields: fields) { $0.addStates(from, to, to: &states) }
        for record in self[.slots].head.records(series, from, to) {
            states.append(SlotState(record) ?? SlotState(start: record.start.milliseconds))
        }
        if let open = openSlots[series], !open.isRecorded {
            let state = open.state
            if state.start >= from, state.start < to, !state.isEmpty { states.append(state) }
        }
        if !RingStore.isRising(states) { states = RingStore.newest(states) }
        if isWhole {
            let known = states.first?.start ?? to
            if known > from { states.insert(contentsOf: statesOfSamples(series, from, known), at: 0) }
        } else {
            // Records count more than samples: these may be gone already.
            let again = statesOfSamples(series, from, to)
            writeAgain(again, series, besides: states)
            states = RingStore.newest(again + states)
        }
        addUnsealed(series, from, to, &states)
        return states
    }

    /// Slots that a damaged page had become records again, so that they outlive their samples: those alone of which no
    /// sample can be gone.
    private func writeAgain(_ again: [SlotState], _ series: UInt16, besides known: [SlotState]) {
        guard isRecording, keepsSlots, unreadable.isEmpty, recovery.losses.isEmpty else { return }
        // What the ring wrote over came before the end of the oldest run that is left.
        let reach = archive.next > UInt64(archive.pages) ? archive.runs.first?.lastTime ?? .max : .min
        let starts = Set(known.map(\.start))
        for state in again where state.start > reach && !starts.contains(state.start) {
            putOwn(series, state.start, state.record, .slots)
        }
    }

    private static func isRising(_ states: [SlotState]) -> Bool {
        for index in states.indices.dropFirst() where states[index].start <= states[index - 1].start { return false }
        return true
    }

    /// Of states that come in order of version, the last of each start, in order of start.
    private static func newest(_ all: [SlotState]) -> [SlotState] {
        var kept: [SlotState] = []
        for index in all.indices.sorted(by: { (all[$0].start, $0) < (all[$1].start, $1) }) {
            if kept.last?.start == all[index].start { kept.removeLast() }
            kept.append(all[index])
        }
        return kept
    }

    private func statesOfSamples(_ series: UInt16, _ from: Int64, _ to: Int64) -> [SlotState] {
        var states: [SlotState] = []
        sweep(
            SeriesID(raw: UInt32(series)), Instant(milliseconds: from), Instant(milliseconds: to), below: rolledEnd
        ) { columns, range in
            for index in range {
                let time = columns.times[index]
                if states.isEmpty || time >= states[states.count - 1].start + SlotState.length {
                    states.append(SlotState(start: SlotState.start(of: time)))
                }
                states[states.count - 1].add(time, columns.tag(index), columns.bits[index])
            }
            return true
        }
        return states.filter { !$0.isEmpty }
    }

    private func addUnsealed(_ series: UInt16, _ from: Int64, _ to: Int64, _ states: inout [SlotState]) {
        guard head.mayHold(series, before: to) else { return }
        var records: [Record] = []
        head.backwards(series, from: rolledEnd) { _, record in
            if record.tag.isSample { records.append(record) }
        }
        var late: Set<Int64> = []
        for record in records.reversed() {
            let start = SlotState.start(of: record.time)
            guard start >= from, start < to else { continue }
            var place = states.count
            while place > 0, states[place - 1].start >= start { place -= 1 }
            if place == states.count || states[place].start != start {
                states.insert(SlotState(start: start), at: place)
            }
            if record.time < states[place].lastTime {
                late.insert(start)
            } else {
                states[place].add(record.time, record.tag, record.number)
            }
        }
        guard !late.isEmpty else { return }
        for place in states.indices where late.contains(states[place].start) {
            states[place] = aggregate(series, states[place].start, below: .max)
        }
    }
}
