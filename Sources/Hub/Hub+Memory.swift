import Model
import Store
import Usage

// What is remembered, and what is computed again. A machine's usage is a function of its samples in the order of their
// times; so after a restart, and where samples came out of order, it is computed from the store.

/// Samples of one series, column by column.
struct Column {
    var times: [Int64] = []
    /// NaN where the value is no number; then it stands in `others`.
    var numbers: [Double] = []
    var others: [(index: Int, value: StoredValue)] = []
    var next = 0
    var nextOther = 0

    /// Loads what `[from, to)` holds. Where that is more than `most` samples, `to` becomes the time of the first that was
    /// left, and what was loaded of that time is to be cut off.
    mutating func load(_ input: UsageInput, of store: RingStore, from: Instant, to: inout Instant, most: Int) {
        times.removeAll(keepingCapacity: true)
        numbers.removeAll(keepingCapacity: true)
        others.removeAll(keepingCapacity: true)
        next = 0
        nextOther = 0
        guard let part = input.term.part(from: from, to: to) else { return }
        guard let id = input.series else {
            // Only the first instant of its term counts.
            guard part.from == input.term.from else { return }
            times.append(part.from.milliseconds)
            return numbers.append(1)
        }
        var left: Instant?
        store.stretches(id, from: part.from, to: part.to) { columns, range in
            var end = range.upperBound
            if times.count + range.count > most {
                end = range.lowerBound + max(0, most - times.count)
                while end < range.upperBound, columns.times[end] <= from.milliseconds { end += 1 }
            }
            take(columns, range.lowerBound..<end)
            if end < range.upperBound { left = Instant(milliseconds: columns.times[end]) }
            return end == range.upperBound
        }
        if let left { to = min(to, left) }
    }

    private mutating func take(_ columns: Columns, _ range: Range<Int>) {
        times.append(contentsOf: columns.times[range])
        guard columns.areNumbers else {
            for index in range {
                let value = columns.value(index)
                if case .number(let number) = value {
                    numbers.append(number)
                } else {
                    others.append((numbers.count, value))
                    numbers.append(.nan)
                }
            }
            return
        }
        numbers.append(contentsOf: columns.bits[range].lazy.map { Double(bitPattern: $0) })
    }

    /// Leaves only what lies before `end`.
    mutating func cut(at end: Instant) {
        while let last = times.last, last >= end.milliseconds {
            times.removeLast()
            numbers.removeLast()
            if others.last?.index == numbers.count { others.removeLast() }
        }
    }

    /// Of the next sample.
    var time: Int64? { next < times.count ? times[next] : nil }

    /// Takes the next sample; its number, or its value where that is none.
    mutating func take() -> (number: Double, other: StoredValue?) {
        defer { next += 1 }
        let number = numbers[next]
        guard number.isNaN, nextOther < others.count, others[nextOther].index == next else { return (number, nil) }
        defer { nextOther += 1 }
        return (number, others[nextOther].value)
    }
}

/// What a series tells about a machine, for a term; without a series, that a term begins or ended.
struct UsageInput {
    enum Meaning {
        case role(Role, Kind)
        case online(Presence)
        case mould
        case beat
        case join(DevicePart)
        case leave(DevicePart)
    }
    let series: SeriesID?
    let meaning: Meaning
    var term = Configuration.Term.always
}

extension Hub {
    /// Checkpoints are kept for a day and a bit: no sample is taken for as old as that. Those of the last hours each
    /// hour, because what is late is mostly a little late; older ones are so far apart.
    static let checkpointsKept = Duration.hours(31)
    static let checkpointsDense = Duration.hours(3)
    static let checkpointsApart = Duration.hours(6)
    /// Samples that came out of order are put right this often.
    static let orderEvery = Duration.seconds(60)
    /// The word by which a stored mark tells that the gateway knew nothing from then on.
    static let offReason = "gateway was off"
    /// So much is read at once.
    private static let stretch = Duration.hours(6)

    /// What the store remembers is computed a moment after the start, because brokers have kept messages meanwhile, and in
    /// slices, because with a thousand machines it takes a quarter of a second: machine after machine, each of which lives
    /// on from there.
    struct PendingMemory {
        /// Where the store ended when the process started.
        let newest: Instant
        let due: Moment
        /// How far back it goes; nil before the first slice.
        var start: Instant?
        /// The machine whose turn it is.
        var machine = 0
        /// All that is stored of it before this has been given to it.
        var given = Instant.distantPast
        /// The earliest of what came meanwhile and lies before that.
        var late: Instant?
        var replay: Replay?
        fileprivate var words: [UsageRule.Source: String] = [:]
    }

    /// A machine's samples on their way to its usage.
    struct Replay {
        var usage: MachineUsage
        let inputs: [UsageInput]
        /// By input.
        fileprivate let paths: [Path]
        var columns: [Column]
        var begin: Instant
        var checkpointAt: Instant

        /// Numbers of which there are most go straight to where they are used; to ask for the whole meaning of each would
        /// copy it.
        fileprivate enum Path {
            case power
            case energy(counter: Int)
            case other

            init(_ meaning: UsageInput.Meaning) {
                switch meaning {
                case .role(.power, _): self = .power
                case .role(.energy(let counter), _): self = .energy(counter: counter)
                default: self = .other
                }
            }
        }

        init(_ usage: MachineUsage, _ inputs: [UsageInput], from: Instant, to: Instant) {
            self.usage = usage
            self.inputs = inputs
            paths = inputs.map { Path($0.meaning) }
            columns = [Column](repeating: Column(), count: inputs.count)
            begin = from
            checkpointAt = max(from, to + .milliseconds(1) - Hub.checkpointsKept).floor(to: .hours(1)) + .hours(1)
        }
    }

    /// Longer than a start takes on a slow board that has much else to do.
    static let memoryDelay = Duration.seconds(1)
    /// So many samples are computed in one slice. 6000 take about 1.5 ms, and messages wait no longer for any.
    package static let usualSlice = 6000
    /// Looking for the samples of one series takes as long as computing so many.
    private static let lookingCost = 12

    /// Until then samples are stored as ever and make nothing else: it is computed from the store, they are part of it.
    mutating func putOff(newest: Instant, at now: Now) {
        memory = PendingMemory(newest: newest, due: now.moment + Self.memoryDelay)
        due.windows = .never
        due.beat = .never
    }

    /// Computes what was put off, or what is left of it.
    mutating func rememberNow(at now: Now) { rememberSlice(.max, at: now) }

    /// Computes so much of what was put off.
    mutating func rememberSlice(_ samples: Int, at now: Now) {
        guard memory != nil else { return }
        if memory?.start == nil { beginMemory(at: now) }
        var budget = samples
        while budget > 0, let machine = memory?.machine, machine < machines.count {
            rememberMore(of: machine, &budget, at: now)
        }
        if memory?.machine == machines.count { endMemory(at: now) }
    }

    private mutating func beginMemory(at now: Now) {
        guard let newest = memory?.newest else { return }
        let start = beginning(at: now, newest: newest)
        due.windows = .never
        due.beat = .never
        memory?.start = start
        // In its place among the samples: some of them were said since.
        let isAhead = store.newest.map { $0 > newest } ?? false
        if let beatSeries { store.append(beatSeries, isAhead ? newest : min(newest, now.wall), .text(Self.offReason)) }
        firstOldest = store.oldest
        openWindows(from: start, newest: newest, at: now)
    }

    private mutating func rememberMore(of machine: Int, _ budget: inout Int, at now: Now) {
        guard let start = memory?.start else { return }
        if memory?.replay == nil {
            forget(machine, start: start)
            recallMould(of: machine, before: start)
        }
        // Nothing older than what is there can be read; where there is nothing, there is nothing to read.
        if let oldest = firstOldest {
            var replay =
                memory?.replay
                ?? Replay(
                    machines[machine].usage, inputs(of: machine).inputs, from: max(oldest, start), to: now.wall)
            // Else the columns would be copied.
            memory?.replay = nil
            guard self.replay(machine, &replay, to: now.wall, &budget) else {
                memory?.given = replay.begin
                memory?.replay = replay
                return
            }
            machines[machine].usage = replay.usage
        }
        var words = memory?.words ?? [:]
        // Reading has shown by now which of its pages cannot be read.
        let damage = damage(newest: memory?.newest, start: start)
        recallSlots(of: machine, &words, from: start, damage: damage, at: now)
        keepCheckpoint(machine, at: now.wall)
        if let late = memory?.late { machines[machine].disorder = min(machines[machine].disorder ?? late, late) }
        memory?.words = words
        memory?.late = nil
        memory?.given = .distantPast
        memory?.machine = machine + 1
        // Here, and not of all machines when the last one is done: that would be a stretch of its own.
        tellTouched(machine, at: now)
        noteSlots(of: machine)
    }

    private mutating func endMemory(at now: Now) {
        let start = memory?.start ?? now.wall
        memory = nil
        markSlotsBegin(from: start, at: now)
        nextCheckpoint = now.wall.floor(to: .hours(1)) + .hours(1)
        due.windows = Moment(nanoseconds: .min)
        due.beat = Moment(nanoseconds: .min)
        if machines.contains(where: { $0.disorder != nil }) { due.order = now.moment }
        alertsMayDiffer = true
        noticeDamage(at: now)
    }

    /// Something was said about a machine while memory is computed. What has its place before what that has come to is
    /// put right afterwards, as everything that is late.
    mutating func noteDuringMemory(_ machine: Int, at time: Instant) {
        guard memory?.machine == machine, let given = memory?.given, time < given else { return }
        let late = memory?.late ?? time
        memory?.late = min(late, time)
    }

    /// Nothing follows from what machines do yet: their time is not known, or what they did before is not.
    var isBeforeUsage: Bool { isWaitingForClock || isRemembering }

    /// Computes all machines from the store, and marks the time since its last sample as not known.
    /// - Parameter newest: that sample; what is newer in the store was said since.
    mutating func remember(from start: Instant, newest: Instant?, at now: Now) {
        let isAhead = store.newest.map { $0 > newest ?? .distantFuture } ?? false
        if isAhead, let newest, let beatSeries { store.append(beatSeries, newest, .text(Self.offReason)) }
        for machine in machines.indices { recallMould(of: machine, before: start) }
        firstOldest = store.oldest
        // Nothing older than what is there can be read; where there is nothing, there is nothing to read.
        if let oldest = firstOldest {
            for machine in machines.indices {
                var usage = machines[machine].usage
                let begin = max(oldest, start)
                replay(machine, inputs(of: machine).inputs, &usage, from: begin, to: now.wall)
                machines[machine].usage = usage
            }
        }
        openWindows(from: start, newest: newest, at: now)
        var words: [UsageRule.Source: String] = [:]
        let damage = damage(newest: newest, start: start)
        for machine in machines.indices { recallSlots(of: machine, &words, from: start, damage: damage, at: now) }
        markSlotsBegin(from: start, at: now)
        if let newest, !isAhead { markBlind(Self.offReason, at: min(newest, now.wall)) }
        for machine in machines.indices { keepCheckpoint(machine, at: now.wall) }
        nextCheckpoint = now.wall.floor(to: .hours(1)) + .hours(1)
        noticeDamage(at: now)
    }

    /// Which windows can be told, by how far back samples and slots reach.
    private mutating func openWindows(from start: Instant, newest: Instant?, at now: Now) {
        slotsFrom = store.oldest(in: .slots)
        memoryFrom = start
        windows.begin(
            memory: max(store.oldest ?? now.wall, start), isWhole: store.oldest.map { $0 >= start } ?? true,
            newest: min(newest ?? now.wall, now.wall), slots: slotsFrom.map { firstKnown(from: $0, at: now.wall) })
    }

    /// The slots begin with the day of the first sample. Its hours before that are no window to tell of: nobody was there.
    private func firstKnown(from day: Instant, at now: Instant) -> Instant {
        // Later they are long final, and nobody need look.
        guard now < day + configuration.rollups.finalAfter + .hours(4 * 24) else { return day }
        let nothing = Slot().fields
        let first = machines.compactMap { machine in
            machine.slotSeries.flatMap { series in
                store.records(series, in: .slots, from: day, to: day + .hours(25)).first { $0.fields != nothing }?.start
            }
        }
        if let first = first.min() { return first }
        // Or none is written yet.
        guard let oldest = store.oldest, Window.containing(oldest, .day, in: configuration.lab.zone).start == day else {
            return day
        }
        return oldest
    }

    /// Where samples have become unreadable, slots that were written before that are better than what is left to compute.
    private func damage(newest: Instant?, start: Instant) -> Instant {
        store.statistics.lost > 0 ? (newest ?? start).floor(to: Slot.length) : start
    }

    private mutating func keepCheckpoint(_ machine: Int, at time: Instant) {
        machines[machine].checkpoints.append(UsageCheckpoint(machines[machine].usage, at: time))
        thinCheckpoints(of: machine, at: time)
    }

    /// Each takes some kilobytes, and there are as many machines as there are.
    private mutating func thinCheckpoints(of machine: Int, at time: Instant) {
        var kept = Instant.distantPast
        machines[machine].checkpoints.removeAll { checkpoint in
            let isTooOld = checkpoint.time < time - Self.checkpointsKept
            let isCrowded =
                checkpoint.time < time - Self.checkpointsDense
                && checkpoint.time.floor(to: Self.checkpointsApart) <= kept
            if !isTooOld, !isCrowded { kept = checkpoint.time.floor(to: Self.checkpointsApart) }
            return isTooOld || isCrowded
        }
    }

    /// Notes that something came out of order.
    mutating func noteOrder(of machine: Int, at now: Now) {
        guard let late = machines[machine].usage.takeDisorder() else { return }
        machines[machine].disorder = min(machines[machine].disorder ?? late, late)
        due.order = min(due.order, now.moment + Self.orderEvery)
    }

    /// Puts right what came out of order, and keeps, once an hour, a place from which that can be done.
    mutating func keepOrder(at now: Now) {
        due.order = .never
        for machine in machines.indices {
            noteOrder(of: machine, at: now)
            if let late = machines[machine].disorder { computeAgain(machine, from: late, at: now) }
            machines[machine].disorder = nil
            noteSlots(of: machine)
        }
        due.order = .never
        writeSlots(upTo: now.wall)
        guard now.wall >= nextCheckpoint else { return }
        nextCheckpoint = now.wall.floor(to: .hours(1)) + .hours(1)
        firstOldest = firstOldest ?? store.oldest
        for machine in machines.indices { keepCheckpoint(machine, at: now.wall) }
        noticeDamage(at: now)
    }

    /// Where that is not possible any more, what was late stays counted as late.
    private mutating func computeAgain(_ machine: Int, from late: Instant, at now: Now) {
        // While the clock stands before what was heard already, nothing has an order.
        let (inputs, isWhole) = inputs(of: machine)
        guard isWhole, machines[machine].usage.settled <= now.wall + .seconds(2),
            let place = machines[machine].checkpoints.lastIndex(where: { $0.time < late })
        else { return }
        let checkpoint = machines[machine].checkpoints[place]
        // The ring may have written over what came after it.
        guard let oldest = store.oldest, oldest <= max(checkpoint.time, firstOldest ?? oldest) else { return }
        let kept = machines[machine].checkpoints
        machines[machine].checkpoints.removeSubrange((place + 1)...)
        var usage = checkpoint.usage
        replay(machine, inputs, &usage, from: max(checkpoint.time + .milliseconds(1), oldest), to: now.wall)
        // Samples that cannot be read any more were there when it was lived through.
        guard store.readableFrom <= checkpoint.time else { return machines[machine].checkpoints = kept }
        usage.advance(to: min(now.wall, machines[machine].usage.settled))
        machines[machine].usage.adopt(usage, from: checkpoint)
        _ = machines[machine].usage.takeDisorder()
    }

    /// The series that tell about a machine, and whether all that tells about it is stored.
    func inputs(of machine: Int) -> (inputs: [UsageInput], isWhole: Bool) {
        var inputs: [UsageInput] = []
        var isWhole = true
        if let series = machines[machine].mouldSeries { inputs.append(UsageInput(series: series, meaning: .mould)) }
        var parts: [(device: Int, part: DevicePart)] = []
        for index in configuration.machines[machine].devices {
            let terms = devices[index].terms.isEmpty ? [devices[index].part] : devices[index].terms
            parts += terms.filter { $0.machine == machine }.map { (index, $0) }
        }
        // Who goes goes before anybody comes.
        for (_, part) in parts where part.term.until < .distantFuture {
            inputs.append(
                UsageInput(series: nil, meaning: .leave(part), term: Configuration.Term(from: part.term.until)))
        }
        for (_, part) in parts where part.term.from > .distantPast {
            inputs.append(UsageInput(series: nil, meaning: .join(part), term: part.term))
        }
        for (index, part) in parts where !listen(to: index, part, &inputs) { isWhole = false }
        if let beatSeries { inputs.append(UsageInput(series: beatSeries, meaning: .beat)) }
        return (inputs, isWhole)
    }

    /// Adds the series by which a device tells about a machine; false where not all are stored.
    private func listen(to index: Int, _ part: DevicePart, _ inputs: inout [UsageInput]) -> Bool {
        let device = devices[index]
        var isWhole = true
        func add(_ series: SeriesID?, _ meaning: UsageInput.Meaning) {
            guard let series else { return isWhole = false }
            inputs.append(UsageInput(series: series, meaning: meaning, term: part.term))
        }
        // In this order where times are equal: it is there, it says that it is another one, then it speaks.
        if !part.presence.isIdle { add(device.onlineSeries, .online(part.presence)) }
        let channels = part.roles.indices.filter { part.roles[$0] != .none && part.roles[$0] != .online }
        let (first, rest) = (channels.filter { part.roles[$0].isExchange }, channels)
        for channel in first + rest.filter({ !part.roles[$0].isExchange }) {
            add(device.series[channel], .role(part.roles[channel], device.channels[channel].kind))
        }
        return isWhole
    }

    /// Gives a machine's usage all its samples of `[from, to]`, in the order of their times. There are none before `from`
    /// that it has not had.
    private mutating func replay(
        _ machine: Int, _ inputs: [UsageInput], _ usage: inout MachineUsage, from: Instant, to: Instant
    ) {
        var replay = Replay(usage, inputs, from: from, to: to)
        var budget = Int.max
        _ = self.replay(machine, &replay, to: to, &budget)
        usage = replay.usage
    }

    /// The same in pieces: gives about as many samples as `budget` has left. True where all up to `to` were given.
    mutating func replay(
        _ machine: Int, _ replay: inout Replay, to: Instant, _ budget: inout Int
    ) -> Bool {
        let end = to + .milliseconds(1)
        while replay.begin < end {
            guard budget > 0 else { return false }
            var stop = min(end, replay.begin + Self.stretch)
            let most = max(16, budget / max(1, replay.inputs.count))
            for index in replay.inputs.indices {
                replay.columns[index].load(
                    replay.inputs[index], of: store, from: replay.begin, to: &stop, most: most)
            }
            for index in replay.columns.indices {
                replay.columns[index].cut(at: stop)
                budget -= replay.columns[index].times.count + Self.lookingCost
            }
            while let (index, limit) = Self.earliest(replay.columns) {
                let path = replay.paths[index]
                // Its turn lasts until another one's begins: most of a machine's samples are of one or two series.
                while let time = replay.columns[index].time, time < limit {
                    let time = Instant(milliseconds: time)
                    if time > replay.checkpointAt {
                        machines[machine].checkpoints.append(UsageCheckpoint(replay.usage, at: replay.checkpointAt))
                        replay.checkpointAt = time.floor(to: .hours(1)) + .hours(1)
                    }
                    let (number, other) = replay.columns[index].take()
                    switch path {
                    case .power where other == nil: replay.usage.observe(power: number, at: time)
                    case .energy(let counter) where other == nil:
                        replay.usage.observe(energy: Int64(number.rounded()), counter: counter, at: time)
                    default: Self.give(number, other, replay.inputs[index].meaning, to: &replay.usage, at: time)
                    }
                }
            }
            replay.begin = stop
        }
        return true
    }

    /// Gives a usage the samples of a machine in `(after, to]` as they are stored, beside what the hub knows.
    func computed(_ machine: Int, _ usage: inout MachineUsage, after: Instant, to: Instant) {
        var copy = self
        let begin = max(after + .milliseconds(1), store.oldest ?? to)
        copy.replay(machine, inputs(of: machine).inputs, &usage, from: begin, to: to)
        usage.advance(to: to)
    }

    /// The column whose next sample is the earliest, of equal ones the first; and the time from which on it is another
    /// one's turn.
    private static func earliest(_ columns: [Column]) -> (index: Int, limit: Int64)? {
        var earliest: Int?
        var time = Int64.max
        var limit = Int64.max
        for index in columns.indices {
            guard let next = columns[index].time else { continue }
            if next < time {
                // Those before it win where times are equal.
                limit = earliest == nil ? limit : time
                time = next
                earliest = index
            } else {
                limit = min(limit, next &+ 1)
            }
        }
        return earliest.map { ($0, limit) }
    }

    private static func give(
        _ number: Double, _ other: StoredValue?, _ meaning: UsageInput.Meaning, to usage: inout MachineUsage,
        at time: Instant
    ) {
        switch meaning {
        case .role(let role, let kind):
            role.apply(other.map { $0.value(kind) } ?? .number(number), to: &usage, at: time)
        case .online(let presence): presence.apply(number > 0, to: &usage, at: time)
        case .join(let part): part.join(&usage, at: time)
        case .leave(let part): part.leave(&usage, at: time)
        case .mould: if case .text(let name)? = other { usage.observe(mould: name, at: time) }
        case .beat:
            if case .text(let reason)? = other {
                usage.blind(reason, clockWasSet: reason == clockReason, at: time)
            } else {
                usage.advance(to: time)
            }
        }
    }
}
