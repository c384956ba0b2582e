import Model
import Store
import Usage

// What is remembered, and what is computed again. A machine's usage is a function of its samples in the order of their
// times; so after a restart, and where samples came out of order, it is computed from the store.

/// Samples of one series, column by column.
private struct Column {
    var times: [Int64] = []
    /// NaN where the value is no number; then it stands in `others`.
    var numbers: [Double] = []
    var others: [(index: Int, value: StoredValue)] = []
    var next = 0
    var nextOther = 0

    mutating func load(_ input: UsageInput, of store: RingStore, from: Instant, to: Instant) {
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
        store.scan(id, from: part.from, to: part.to) { sample in
            times.append(sample.time.milliseconds)
            if case .number(let number) = sample.value {
                numbers.append(number)
            } else {
                others.append((numbers.count, sample.value))
                numbers.append(.nan)
            }
            return true
        }
    }

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
private struct UsageInput {
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

    /// What the store remembers is computed a moment after the start: brokers have kept messages meanwhile, and with a
    /// thousand machines it takes a quarter of a second.
    struct PendingMemory {
        /// Where the store ended when the process started.
        let newest: Instant
        let due: Moment
    }

    /// Longer than a start takes on a slow board that has much else to do.
    static let memoryDelay = Duration.seconds(1)

    /// Until then samples are stored as ever and make nothing else: it is computed from the store, they are part of it.
    mutating func putOff(newest: Instant, at now: Now) {
        memory = PendingMemory(newest: newest, due: now.moment + Self.memoryDelay)
        due.windows = .never
        due.beat = .never
    }

    /// Computes what was put off.
    mutating func rememberNow(at now: Now) {
        guard let memory else { return }
        self.memory = nil
        begin(at: now, newest: memory.newest)
        alertsMayDiffer = true
        touchAll()
    }

    /// Nothing follows from what machines do yet: their time is not known, or what they did before is not.
    var isBeforeUsage: Bool { isWaitingForClock || memory != nil }

    /// Computes all machines from the store, and marks the time since its last sample as not known.
    /// - Parameter newest: that sample; what is newer in the store was said since.
    mutating func remember(from start: Instant, newest: Instant?, at now: Now) {
        let isAhead = store.newest.map { $0 > newest ?? .distantFuture } ?? false
        if isAhead, let newest, let beatSeries { store.append(beatSeries, newest, .text(Self.offReason)) }
        recallMoulds(before: start)
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
        slotsFrom = store.oldest(in: .slots)
        windows.begin(
            memory: max(store.oldest ?? now.wall, start), isWhole: store.oldest.map { $0 >= start } ?? true,
            newest: min(newest ?? now.wall, now.wall), slots: slotsFrom)
        recallSlots(from: start, newest: newest, at: now)
        if let newest, !isAhead { markBlind(Self.offReason, at: min(newest, now.wall)) }
        for machine in machines.indices { keepCheckpoint(machine, at: now.wall) }
        nextCheckpoint = now.wall.floor(to: .hours(1)) + .hours(1)
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
        machines[machine].checkpoints.removeSubrange((place + 1)...)
        var usage = checkpoint.usage
        replay(machine, inputs, &usage, from: max(checkpoint.time + .milliseconds(1), oldest), to: now.wall)
        usage.advance(to: min(now.wall, machines[machine].usage.settled))
        machines[machine].usage.adopt(usage, from: checkpoint)
        _ = machines[machine].usage.takeDisorder()
    }

    /// The series that tell about a machine, and whether all that tells about it is stored.
    private func inputs(of machine: Int) -> (inputs: [UsageInput], isWhole: Bool) {
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
        var columns = [Column](repeating: Column(), count: inputs.count)
        var begin = from
        let end = to + .milliseconds(1)
        var checkpointAt = max(begin, end - Self.checkpointsKept).floor(to: .hours(1)) + .hours(1)
        while begin < end {
            let stop = min(end, begin + Self.stretch)
            for index in inputs.indices { columns[index].load(inputs[index], of: store, from: begin, to: stop) }
            while let index = Self.earliest(columns) {
                let time = Instant(milliseconds: columns[index].times[columns[index].next])
                if time > checkpointAt {
                    machines[machine].checkpoints.append(UsageCheckpoint(usage, at: checkpointAt))
                    checkpointAt = time.floor(to: .hours(1)) + .hours(1)
                }
                let (number, other) = columns[index].take()
                Self.give(number, other, inputs[index].meaning, to: &usage, at: time)
            }
            begin = stop
        }
    }

    /// Gives a usage the samples of a machine in `(after, to]` as they are stored, beside what the hub knows.
    func computed(_ machine: Int, _ usage: inout MachineUsage, after: Instant, to: Instant) {
        var copy = self
        let begin = max(after + .milliseconds(1), store.oldest ?? to)
        copy.replay(machine, inputs(of: machine).inputs, &usage, from: begin, to: to)
        usage.advance(to: to)
    }

    /// The column whose next sample is the earliest; of equal ones the first.
    private static func earliest(_ columns: [Column]) -> Int? {
        var earliest: Int?
        var time = Int64.max
        for index in columns.indices where columns[index].next < columns[index].times.count {
            let next = columns[index].times[columns[index].next]
            if next < time {
                time = next
                earliest = index
            }
        }
        return earliest
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
