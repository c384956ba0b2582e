import Model
import Store
import Usage

// A page of the tier that has rotted takes slots of machines with it. A slot is a function of its samples: where these are
// still whole, the slots of that time are computed from them as memory is after a start, in slices, one machine after
// the other. What differs from what the tier has left is written again.
//
//     samples whole from                    the page's slots may lie here
//        │ 24 h until counters and states      │                 │
//        │ have their first values             │                 │
//     begin ────────────────────────────────► from ───────────► upTo ─ ─ ► until nothing before `upTo` is open
//
// That it was done is noted in the tier of days, with the pages that it was done for: they stay damaged until the ring
// comes round, and by then the samples may be gone.

/// Slots that were on a damaged page, on their way to be computed again.
struct SlotMending {
    /// Samples are given from here on.
    let begin: Instant
    /// Slots count from here on. Later than planned where less could be computed.
    var from: Instant
    let upTo: Instant
    /// The damaged pages.
    let pages: [UInt64]
    /// It begins with the first sample of all.
    let isFirst: Bool
    /// Where `from` has stayed there, nothing that stood on these pages is left out.
    var planned: Instant?
    /// The machine whose turn it is, and the slot.
    var machine = 0
    var next: Instant
    /// Up to there samples are given before it is looked what has come to its end.
    var stop: Instant
    var replay: Hub.Replay?
    /// Of all machines.
    var written: Set<Int64> = []
    /// Told when it is done.
    var waiting: [Window] = []

    func touches(_ window: Window) -> Bool { window.end > from && window.start < upTo }
}

extension Hub {
    /// Samples that tell what a machine does are given from so long before the first slot that counts, where there are any.
    private static let mendingRun = Duration.hours(72)
    /// A slot can be changed for so long after it.
    private static let slotsReach = Slot.length * Int64(SlotTable.capacity)
    /// So much is given between two looks at what has come to its end.
    private static let mendingStep = Duration.hours(6)
    /// Between two slices, for what the loop has to do beside it.
    private static let mendingPause = Duration.milliseconds(10)

    /// Looks whether pages of slots were found damaged since it looked last, and whether what they held can be computed again.
    mutating func noticeDamage(at now: Now) {
        guard mending == nil, !isBeforeUsage, let damage = store.damage(in: .slots),
            !damage.pages.allSatisfy(lookedAfter.contains)
        else { return }
        lookedAfter.formUnion(damage.pages)
        if let from = noted(damage.pages) { return store.wasPutAgain(damage.pages, in: .slots, from: from) }
        let border = machines.indices.reduce(Instant.distantPast) { max($0, known(of: $1)) }
        let upTo = min(damage.upTo.floor(to: Slot.length) + Slot.length, border)
        guard let slotsFrom, let oldest = store.oldest, store.droppedForRoom.samples == 0 else { return }
        let first = oldest.floor(to: Slot.length)
        let whole = store.samplesWholeFrom
        let least = damage.from?.floor(to: Slot.length) ?? (whole == .distantPast ? first : slotsFrom)
        // Where there never were older samples, the first ones begin as they did then.
        let isFirst = whole == .distantPast && least - Self.mendingRun <= first
        let begin = isFirst ? first : max(whole, least - Self.mendingRun).floor(to: Slot.length) + Slot.length
        let from = isFirst ? max(least, first) : max(least, begin + Self.warmUp)
        guard from < upTo else { return }
        mending = SlotMending(
            begin: begin, from: from, upTo: upTo, pages: damage.pages, isFirst: isFirst, next: from,
            stop: begin + Self.mendingStep)
        if from <= least || isFirst { mending?.planned = from }
        due.mending = now.moment
    }

    /// From where on memory knows better than the tier: its first day was taken from there.
    private func known(of machine: Int) -> Instant {
        max(memory(of: machine), windows.wholeFrom <= memoryFrom ? memoryFrom : memoryFrom + Self.warmUp)
    }

    /// Whether a window that lacks slots is told once these are computed again; it waits then.
    mutating func waitsForMending(_ window: Window) -> Bool {
        noticeDamage(at: lastLook)
        guard let mending, mending.touches(window) else { return false }
        if !mending.waiting.contains(window) { self.mending?.waiting.append(window) }
        return true
    }

    /// Computes so much of what is to be computed again.
    mutating func mendSlice(_ samples: Int, at now: Now) {
        guard var job = mending else { return due.mending = .never }
        // Else its columns would be copied.
        mending = nil
        var budget = samples
        while budget > 0, job.machine < machines.count { mendMore(&job, &budget, at: now) }
        guard job.machine == machines.count else {
            mending = job
            return due.mending = now.moment + Self.mendingPause
        }
        due.mending = .never
        endMending(job, at: now)
    }

    private mutating func mendMore(_ job: inout SlotMending, _ budget: inout Int, at now: Now) {
        let machine = job.machine
        guard let series = machines[machine].slotSeries, let since = ruleSince(of: machine, at: now.wall) else {
            job.from = job.upTo
            return nextMachine(&job)
        }
        job.from = max(job.from, since)
        guard job.from < job.upTo else { return nextMachine(&job) }
        var replay = job.replay ?? beginReplay(machine, job)
        job.replay = nil
        guard !replay.inputs.isEmpty else {
            job.from = job.upTo
            return nextMachine(&job)
        }
        let end = min(job.upTo + Self.slotsReach, now.wall)
        let stop = min(job.stop, end)
        let isThrough = self.replay(machine, &replay, to: stop, &budget)
        guard store.readableFrom <= job.begin else {
            // Some of the samples have rotted, too.
            job.from = job.upTo
            return nextMachine(&job)
        }
        if isThrough {
            // What is open longer than slots are kept stays as it is, here as when it was lived through.
            let closed = max(replay.usage.openSince, stop - Self.slotsReach + Self.mendingStep * 2)
            let isLast = stop >= end || closed >= job.upTo
            writeAgain(&job, upTo: isLast ? job.upTo : min(closed.floor(to: Slot.length), job.upTo), replay, series)
            job.stop = stop + Self.mendingStep
            budget -= 100
            if isLast { return nextMachine(&job) }
        }
        job.replay = replay
    }

    private func nextMachine(_ job: inout SlotMending) {
        job.machine += 1
        job.next = job.from
        job.stop = job.begin + Self.mendingStep
        job.replay = nil
    }

    /// Without inputs where not all that tells about the machine is stored.
    private func beginReplay(_ machine: Int, _ job: SlotMending) -> Replay {
        var usage = MachineUsage(machines[machine].rule, start: job.begin)
        if let mould = lastMould(of: machine, before: job.begin) {
            if case .text(let name) = mould.value { usage.observe(mould: name, at: mould.time) }
        }
        let (inputs, isWhole) = inputs(of: machine)
        var replay = Replay(
            usage, isWhole ? inputs : [], from: max(job.begin, store.oldest ?? job.begin), to: job.upTo)
        replay.checkpointAt = .distantFuture
        return replay
    }

    /// Compares what was computed with what the tier has, and writes what that lacks.
    private mutating func writeAgain(
        _ job: inout SlotMending, upTo end: Instant, _ replay: Replay, _ series: SeriesID
    ) {
        let from = max(job.next, job.from)
        let machine = job.machine
        let end = min(end, known(of: machine))
        guard from < end else { return }
        job.next = end
        let border = memory(of: machine)
        var known: [Int64: [Int64]] = [:]
        for record in store.records(series, in: .slots, from: from, to: end) {
            known[record.start.milliseconds] = record.fields
        }
        let slots = replay.usage.slots
        for start in stride(from: from.milliseconds, to: end.milliseconds, by: Int(Slot.length.milliseconds)) {
            let time = Instant(milliseconds: start)
            let slot = slots.slot(startingAt: time)
            if let fields = known[start], let old = Slot(fields: fields), slot.knowsLess(than: old) {
                // Whatever that was made of, it is not there any more.
                job.from = time + Slot.length
                continue
            }
            guard slot.observed > 0 else { continue }
            let fields = slot.fields
            if known[start] != fields {
                store.put(TierRecord(series: series, start: time, fields: fields), in: .slots)
                job.written.insert(start)
            }
            if time >= border, machines[machine].usage.slots.slot(startingAt: time) != slot {
                machines[machine].usage.recall(slot, at: time)
                job.written.insert(start)
            }
        }
    }

    private mutating func endMending(_ job: SlotMending, at now: Now) {
        if job.from < job.upTo {
            if job.isFirst, job.from == job.planned { recallBeginning(job) }
            let from = job.from == job.planned ? .distantPast : job.from
            store.wasPutAgain(job.pages, in: .slots, from: from)
            note(job, from: from)
            act(
                .log(
                    .notice,
                    "\(job.pages.count) pages of slots cannot be read; slots from \(job.from) on were computed again from their samples, and \(job.written.count) quarters of an hour are written again"
                ))
        }
        windows.changed(slots: Array(job.written))
        if let again = windows.changesDue { due.windows = min(due.windows, again) }
        for window in job.waiting { offer(window) }
        noticeDamage(at: now)
    }

    /// The tier reaches back to the first day again.
    private mutating func recallBeginning(_ job: SlotMending) {
        let day = Window.containing(job.from, .day, in: configuration.lab.zone).start
        if day < job.from, slotsFrom ?? job.from > day { markSlotsBegin(before: job.from) }
        slotsFrom = store.oldest(in: .slots)
    }

    // MARK: what was done before

    private static let mendedKey = SeriesKey(device: ownDevice, channel: "slots-mended")

    /// `[1, the first slot that counts, the damaged pages…]`. Written after the slots, so that it is durable after them.
    private mutating func note(_ job: SlotMending, from: Instant) {
        let fields = [1, from.milliseconds] + job.pages.map { Int64(bitPattern: $0) }
        guard fields.count <= TierRecord.mostFields,
            let series = (try? store.series(Self.mendedKey, unit: nil, kind: .event)) ?? nil
        else { return }
        store.put(TierRecord(series: series, start: job.upTo, fields: fields), in: .days)
    }

    /// From where on slots were put again when the same pages were damaged already; nil where they were not. A page that
    /// was damaged since may have held them.
    private func noted(_ pages: [UInt64]) -> Instant? {
        guard let series = store.find(Self.mendedKey) else { return nil }
        let notes = store.records(series.id, in: .days, from: .distantPast, to: .distantFuture)
        for note in notes where note.fields.count > 2 && note.fields[0] == 1 {
            let known = note.fields.dropFirst(2)
            if pages.allSatisfy({ known.contains(Int64(bitPattern: $0)) }) {
                return Instant(milliseconds: note.fields[1])
            }
        }
        return nil
    }
}
