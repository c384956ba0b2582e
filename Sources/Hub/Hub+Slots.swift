package import Model
import Store
package import Usage

// Slots outlive the samples that they were made of: the store keeps them in a tier of its own, as the series
// `machine:ID/slots`, whatever devices the machine had. A window is computed from memory as far back as that reaches, and
// from the tier before.

/// What is kept of one day of a machine: its sums, and what it had done before, so that its hours are counted as long as
/// it lives.
package struct DayRecord: Hashable, Sendable {
    /// Milliseconds of running and mWh before this day.
    package var runningBefore: Int64 = 0
    package var energyBefore: Int64 = 0
    package var day = Slot()

    package init() {}

    /// `[1, running before, energy before]` and the fields of the day's slots together.
    package var fields: [Int64] { [1, runningBefore, energyBefore] + day.fields }

    package init?(fields: [Int64]) {
        guard fields.count > 3, fields[0] == 1, let day = Slot(fields: Array(fields[3...])) else { return nil }
        runningBefore = fields[1]
        energyBefore = fields[2]
        self.day = day
    }
}

extension Hub {
    /// Devices of this kind of name are machines: their series hold no samples.
    package static let machinePrefix = "machine:"
    /// After a restart counters and states need their first values: for so long the tier knows better.
    static let warmUp = Duration.hours(24)

    mutating func openSlotSeries() {
        for index in machines.indices {
            let device = Self.machinePrefix + machines[index].configuration.id
            func open(_ channel: String) -> SeriesID? {
                (try? store.series(SeriesKey(device: device, channel: channel), unit: nil, kind: .event)) ?? nil
            }
            machines[index].slotSeries = open("slots")
            machines[index].daySeries = open("days")
            machines[index].ruleSeries = open("rule")
        }
    }

    // MARK: writing

    /// Notes which slots of a machine changed: their windows are told again, and they are written.
    mutating func noteSlots(of machine: Int) {
        let changed = machines[machine].usage.takeDirtySlots()
        guard !changed.isEmpty else { return }
        windows.changed(slots: changed)
        for slot in changed { machines[machine].unwritten.insert(slot) }
    }

    /// Writes what is known of slots that began before `end` and are over, or of all that began, where the gateway ends.
    package mutating func writeSlots(upTo end: Instant, isEnd: Bool = false) {
        guard !isBeforeUsage else { return }
        for index in machines.indices {
            guard let series = machines[index].slotSeries, !machines[index].unwritten.isEmpty else { continue }
            let ready = machines[index].unwritten.filter { isEnd || Instant(milliseconds: $0) + Slot.length <= end }
            guard !ready.isEmpty else { continue }
            machines[index].unwritten.subtract(ready)
            // What was computed from half of its samples must not replace what was computed from all.
            writeSlots(ready.filter { Instant(milliseconds: $0) >= windows.wholeFrom }.sorted(), of: index, series)
        }
    }

    /// A restart computes days of slots again, and most of them are what they were: those are not written once more.
    private func writeSlots(_ starts: [Int64], of machine: Int, _ series: SeriesID) {
        guard let first = starts.first, let last = starts.last else { return }
        let slots = machines[machine].usage.slots
        var known: [Int64: [Int64]] = [:]
        if starts.count > 2 {
            let (from, to) = (Instant(milliseconds: first), Instant(milliseconds: last + 1))
            for record in store.records(series, in: .slots, from: from, to: to) {
                known[record.start.milliseconds] = record.fields
            }
        }
        for start in starts {
            let fields = slots.slot(startingAt: Instant(milliseconds: start)).fields
            guard known[start] != fields else { continue }
            store.put(
                TierRecord(series: series, start: Instant(milliseconds: start), fields: fields), in: .slots)
        }
    }

    /// A day is over or changed: its sums, and what was before them.
    mutating func writeDay(_ window: Window) {
        guard window.grain == .day, isWhole(window) else { return }
        for index in machines.indices {
            guard let series = machines[index].daySeries else { continue }
            var record = DayRecord()
            if let before = store.records(series, in: .days, from: window.start - .hours(24 * 60), to: window.start)
                .last,
                let earlier = DayRecord(fields: before.fields)
            {
                record.runningBefore = earlier.runningBefore + earlier.day[.running]
                record.energyBefore = earlier.energyBefore + earlier.day.energy
            }
            record.day = sum(of: index, from: window.start, to: window.end)
            put(record, series, window.start)
            // Days that were written after it stand on it.
            for later in store.records(series, in: .days, from: window.end, to: .distantFuture) {
                guard var day = DayRecord(fields: later.fields) else { continue }
                day.runningBefore = record.runningBefore + record.day[.running]
                day.energyBefore = record.energyBefore + record.day.energy
                put(day, series, later.start)
                record = day
            }
        }
    }

    private func put(_ record: DayRecord, _ series: SeriesID, _ start: Instant) {
        store.put(TierRecord(series: series, start: start, fields: record.fields), in: .days)
    }

    // MARK: reading

    /// From where on memory holds a machine's slots as they are known best.
    func memory(of machine: Int) -> Instant {
        max(memoryFrom, machines[machine].usage.oldestSlot ?? .distantFuture)
    }

    /// A machine's slots in a stretch whose ends lie on slots, by their starts; what is not there is not known.
    package func slots(of machine: Int, from: Instant, to: Instant) -> [(start: Instant, slot: Slot)] {
        let border = memory(of: machine)
        var found: [(start: Instant, slot: Slot)] = []
        if from < border, let series = machines[machine].slotSeries {
            for record in store.records(series, in: .slots, from: from, to: min(to, border)) {
                if let slot = Slot(fields: record.fields) { found.append((record.start, slot)) }
            }
        }
        return found + machines[machine].usage.slots.slots(from: max(from, border), to: to)
    }

    /// The sum of a machine's slots over a stretch whose ends lie on slots.
    package func sum(of machine: Int, from: Instant, to: Instant) -> Slot {
        let border = memory(of: machine)
        if from >= border { return machines[machine].usage.slots.sum(from: from, to: to) }
        var total = Slot()
        for (_, slot) in slots(of: machine, from: from, to: to) { total += slot }
        return total
    }

    /// Milliseconds that a machine has run and mWh that it has drawn since it is known, with what its configuration
    /// carries over from before.
    package func lifetime(of machine: Int, at now: Instant) -> (running: Int64, energy: Int64) {
        let base = machines[machine].configuration.runningBefore.milliseconds
        guard let series = machines[machine].daySeries,
            let last = store.records(series, in: .days, from: now - .hours(24 * 400), to: .distantFuture).last,
            let record = DayRecord(fields: last.fields)
        else {
            let all = sum(of: machine, from: store.oldest(in: .slots) ?? memoryFrom, to: .distantFuture)
            return (base + all[.running], all.energy)
        }
        let end = Window.containing(last.start, .day, in: configuration.lab.zone).end
        let since = sum(of: machine, from: end, to: .distantFuture)
        return (
            base + record.runningBefore + record.day[.running] + since[.running],
            record.energyBefore + record.day.energy + since.energy
        )
    }

    /// How far back anything is known; nil where nothing is.
    package var knownFrom: Instant? {
        let memory = machines.compactMap(\.usage.oldestSlot).min()
        guard let slotsFrom else { return memory }
        return min(slotsFrom, memory ?? slotsFrom)
    }

    /// Whether everything that was ever known of a window still is, so that it can be computed whole: memory has it, or
    /// the tier, of which nothing is gone since.
    package func isWhole(_ window: Window) -> Bool {
        guard window.start >= windows.wholeFrom || slotsFrom.map({ $0 <= window.start }) ?? false else { return false }
        if let mending, mending.touches(window) { return false }
        return machines.indices.allSatisfy { index in
            let border = memory(of: index)
            guard window.start < border, let series = machines[index].slotSeries else { return true }
            return store.isWhole(series, in: .slots, from: window.start, to: min(window.end, border))
        }
    }

    /// A window that was told before cannot be computed whole any more, and is not told again; or later, where its slots
    /// can be computed again from samples.
    package mutating func refuse(_ window: Window) {
        guard !waitsForMending(window) else { return }
        let name = "\(window.grain.rawValue) \(window.start)"
        guard !refused.contains(name) else { return }
        if refused.count >= 20 { refused.removeFirst() }
        refused.append(name)
        act(
            .log(
                .error,
                "the window \(name) is not told again, because it would be smaller than it was: some of its slots, or of those after it, have been written over or cannot be read any more. A larger store keeps slots longer; `fabgate store verify` names pages that cannot be read"
            ))
    }

    // MARK: after a restart

    /// Takes slots from the tier where it knows better than what was computed from samples: while counters and states
    /// were still waiting for their first values, before the configuration of the machine was changed, and where samples
    /// have become unreadable since.
    mutating func recallSlots(
        of index: Int, _ words: inout [UsageRule.Source: String], from start: Instant, damage: Instant, at now: Now
    ) {
        let changed = noteRule(of: index, &words, from: start, at: now)
        guard let series = machines[index].slotSeries else { return }
        let isWarm = windows.wholeFrom <= start
        let known = isWarm ? start : min(now.wall, start + Self.warmUp)
        let border = max(known, changed?.floor(to: Slot.length) ?? known)
        let computed = damage > border ? machines[index].usage.slots : SlotTable()
        for record in store.records(series, in: .slots, from: start, to: max(border, damage)) {
            guard let slot = Slot(fields: record.fields) else { continue }
            // One that was written while it lasted, or before its counter spoke again, may say less than what is left of
            // its samples.
            let own = computed.slot(startingAt: record.start)
            let isEarly = slot.observed < own.observed || slot.energyCovered < own.energyCovered
            if record.start >= border, isEarly, !own.knowsLess(than: slot) { continue }
            machines[index].usage.recall(slot, at: record.start)
        }
    }

    /// Where there were no slots before, they begin with the day of the first sample.
    mutating func markSlotsBegin(from start: Instant, at now: Now) {
        guard slotsFrom == nil, windows.wholeFrom <= start else { return }
        markSlotsBegin(before: store.oldest ?? now.wall)
    }

    /// The first day begins before the first slot: so the tier is known to reach back to its beginning.
    mutating func markSlotsBegin(before first: Instant) {
        let day = Window.containing(first, .day, in: configuration.lab.zone)
        // All share it.
        let nothing = Slot().fields
        for machine in machines {
            guard let series = machine.slotSeries else { continue }
            store.put(TierRecord(series: series, start: day.start, fields: nothing), in: .slots)
        }
        slotsFrom = store.oldest(in: .slots)
    }

    /// Writes down under which rule a machine's slots are computed; when that changed last since `start`, if it did.
    private mutating func noteRule(
        of machine: Int, _ words: inout [UsageRule.Source: String], from start: Instant, at now: Now
    ) -> Instant? {
        guard let series = machines[machine].ruleSeries else { return nil }
        let own = machines[machine].configuration
        let rule = Self.fingerprint(own, configuration, at: now.wall, &words)
        var last: String?
        var lastTime = Instant.distantPast
        var changed: Instant?
        store.scan(series, from: .distantPast, to: .distantFuture) { sample in
            if case .text(let text) = sample.value {
                if let last, last != text, sample.time >= start { changed = sample.time }
                last = text
                lastTime = sample.time
            }
            return true
        }
        // Samples are written over much sooner than days.
        if last == nil, let kept = store.records(series, in: .days, from: .distantPast, to: .distantFuture).last {
            last = kept.fields == Self.fields(rule) ? rule : ""
        }
        guard last != rule else { return changed }
        // What was computed under the former rule stays, except where the configuration says itself that other devices
        // were there by then. Further back than the store takes samples nothing is put right.
        var time = max(now.wall, store.newest ?? now.wall)
        if last != nil, let era = Self.eraStart(own, at: now.wall), era > lastTime {
            time = max(era, now.wall - .hours(47))
        }
        store.append(series, time, .text(rule))
        store.put(TierRecord(series: series, start: time, fields: Self.fields(rule)), in: .days)
        return last == nil ? changed : time
    }

    /// The first slot that was computed under the rule of now, as all after it were; nil where that is not known.
    func ruleSince(of machine: Int, at now: Instant) -> Instant? {
        guard let series = machines[machine].ruleSeries else { return nil }
        var words: [UsageRule.Source: String] = [:]
        let rule = Self.fingerprint(machines[machine].configuration, configuration, at: now, &words)
        var said = store.records(series, in: .days, from: .distantPast, to: .distantFuture).map {
            (time: $0.start, isNow: $0.fields == Self.fields(rule))
        }
        store.scan(series, from: .distantPast, to: .distantFuture) { sample in
            if case .text(let text) = sample.value { said.append((sample.time, text == rule)) }
            return true
        }
        said.sort { $0.time < $1.time }
        let former = said.lastIndex { !$0.isNow }
        guard let first = said[(former.map { $0 + 1 } ?? 0)...].first?.time else { return nil }
        let slot = first.floor(to: Slot.length)
        return former == nil || slot == first ? slot : slot + Slot.length
    }

    /// A rule's fingerprint as it stands in the tier of days.
    private static func fields(_ rule: String) -> [Int64] { [Int64(bitPattern: UInt64(rule, radix: 16) ?? 0)] }

    /// What decides how samples become slots, as a few characters. Many machines have one rule, whose words are slow to
    /// come by.
    static func fingerprint(
        _ machine: Configuration.Machine, _ configuration: Configuration, at now: Instant,
        _ words: inout [UsageRule.Source: String]
    ) -> String {
        let source = words[machine.source] ?? "\(machine.source)"
        words[machine.source] = source
        func list(_ names: [String]) -> String { "[" + names.map(\.debugDescription).joined(separator: ", ") + "]" }
        let present = machine.members.filter { $0.term.holds(now) }.map(\.device)
        let devices = present.map { index in
            let device = configuration.devices[index]
            return "\(device.id) \(device.driverName) \(device.rating)"
        }
        let text =
            "\(source)|\(machine.itemsPerShot ?? 0)|\(list(devices))|\(list(machine.energy.filter(present.contains).map { configuration.devices[$0].id }))"
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        return String(hash, radix: 16)
    }
}
