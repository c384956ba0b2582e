package import Model

/// What the simulated machines really did: what a gateway's account is compared with.
package struct Truth: Sendable {
    private let records: [String: MachineRecord]
    /// The truth is known from here on,
    package let start: Instant
    /// up to here.
    package let until: Instant

    init(_ records: [String: MachineRecord], start: Instant, until: Instant) {
        self.records = records
        self.start = start
        self.until = until
    }

    /// This and what is known of other machines, as far as both are known.
    package func joined(with other: Truth) -> Truth {
        Truth(
            records.merging(other.records) { own, _ in own }, start: max(start, other.start),
            until: min(until, other.until))
    }

    /// Energy used in [from, to); 0 for a machine that is not here.
    package func energyMilliwattHours(_ machine: String, from: Instant, to: Instant) -> Double {
        guard let record = records[machine], from < to else { return 0 }
        let microjoules = record.energy.energy(at: clamped(to)) - record.energy.energy(at: clamped(from))
        return Double(microjoules) / Double(microjoulesPerMilliwattHour)
    }

    /// How long each state held in [from, to). The sum is the length of the window: what lies before the start or
    /// after the last advance is `unknown`.
    package func stateMilliseconds(_ machine: String, from: Instant, to: Instant) -> [MachineState: Int64] {
        guard from < to else { return [:] }
        let (a, b) = (clamped(from), clamped(to))
        var sums = records[machine]?.states(from: a, to: b) ?? [:]
        let told = sums.values.reduce(0, +)
        let rest = (to - from).milliseconds - told
        if rest > 0 { sums[.unknown, default: 0] += rest }
        return sums
    }

    /// How many jobs ended in [from, to), by outcome.
    package func jobs(_ machine: String, from: Instant, to: Instant) -> [JobOutcome: Int] {
        var counts: [JobOutcome: Int] = [:]
        for job in jobList(machine, from: from, to: to) { counts[job.outcome, default: 0] += 1 }
        return counts
    }

    /// When jobs ended in [from, to), oldest first.
    package func jobEnds(_ machine: String, from: Instant, to: Instant) -> [Instant] {
        jobList(machine, from: from, to: to).map(\.time)
    }

    /// The jobs that ended in [from, to), oldest first.
    package func jobsWhole(_ machine: String, from: Instant, to: Instant) -> [TrueJob] {
        guard let record = records[machine] else { return [] }
        return jobList(machine, from: from, to: to).map { job in
            TrueJob(start: record.busySince(before: job.time), end: job.time, outcome: job.outcome)
        }
    }

    private func jobList(_ machine: String, from: Instant, to: Instant) -> ArraySlice<MachineRecord.Job> {
        let jobs = records[machine]?.jobs ?? []
        let first = MachineRecord.first(in: jobs) { $0.time >= from }
        return jobs[first..<max(first, MachineRecord.first(in: jobs) { $0.time >= to })]
    }

    /// When it entered or left state `running` in [from, to), oldest first.
    package func busyChanges(_ machine: String, from: Instant, to: Instant) -> [Instant] {
        guard let changes = records[machine]?.changes else { return [] }
        var times: [Instant] = []
        var index = max(1, MachineRecord.first(in: changes) { $0.time >= from })
        while index < changes.count, changes[index].time < to {
            if (changes[index].state == .running) != (changes[index - 1].state == .running) {
                times.append(changes[index].time)
            }
            index += 1
        }
        return times
    }

    /// How many shots were made in [from, to).
    package func shots(_ machine: String, from: Instant, to: Instant) -> Int {
        let shots = records[machine]?.shots ?? []
        let first = MachineRecord.first(in: shots) { $0 >= from }
        return max(0, MachineRecord.first(in: shots) { $0 >= to } - first)
    }

    /// What was made in [from, to): material is taken in, and items are made, when they are shot; what a part weighs is
    /// known when it is judged.
    package func material(_ machine: String, from: Instant, to: Instant) -> TrueMaterial {
        var sum = TrueMaterial()
        for part in parts(machine, from: from - .hours(1), to: to) {
            if part.shot >= from { sum.add(part) }
            if let judged = part.judged, judged >= from, judged < to { sum.addProduct(part) }
        }
        return sum
    }

    /// What was shot in [from, to), oldest first.
    package func parts(_ machine: String, from: Instant, to: Instant) -> ArraySlice<TruePart> {
        let parts = records[machine]?.parts ?? []
        let first = MachineRecord.first(in: parts) { $0.shot >= from }
        return parts[first..<max(first, MachineRecord.first(in: parts) { $0.shot >= to })]
    }

    /// When somebody chose a mould until `to`, oldest first.
    package func choices(_ machine: String, until to: Instant) -> [Instant] {
        (records[machine]?.choices ?? []).filter { $0 < to }
    }

    private func clamped(_ time: Instant) -> Instant { min(max(time, start), until) }
}

/// A job as it really was.
package struct TrueJob: Hashable, Sendable {
    /// When the machine was taken into use for it.
    package let start: Instant
    package let end: Instant
    package let outcome: JobOutcome
}

/// What one shot of a press made.
package struct TruePart: Hashable, Sendable {
    package let shot: Instant
    package let polymer: Polymer
    /// Milligrams of the whole shot, and its items.
    package let mass: Int64
    package let items: Int64
    /// When somebody looked at it; nil as long as it cools.
    package fileprivate(set) var judged: Instant?
    /// Items that were no good.
    package fileprivate(set) var bad: Int64 = 0

    init(shot: Instant, polymer: Polymer, mass: Int64, items: Int64) {
        self.shot = shot
        self.polymer = polymer
        self.mass = mass
        self.items = items
    }

    package var scrap: Int64 { mass / items * bad }
    package var product: Int64 { mass - scrap }
}

/// What a press really took in and gave out, milligrams by polymer, and the items, good and bad.
package struct TrueMaterial: Hashable, Sendable {
    package private(set) var input: [Polymer: Int64] = [:]
    package private(set) var product: [Polymer: Int64] = [:]
    package private(set) var scrap: [Polymer: Int64] = [:]
    package private(set) var items: Int64 = 0
    package private(set) var scrapItems: Int64 = 0

    package init() {}

    /// All of a part but its product.
    package mutating func add(_ part: TruePart) {
        input[part.polymer, default: 0] += part.mass
        if part.bad > 0 { scrap[part.polymer, default: 0] += part.scrap }
        items += part.items - part.bad
        scrapItems += part.bad
    }

    package mutating func addProduct(_ part: TruePart) {
        if part.product > 0 { product[part.polymer, default: 0] += part.product }
    }

    package static func += (a: inout TrueMaterial, b: TrueMaterial) {
        a.input.merge(b.input, uniquingKeysWith: +)
        a.product.merge(b.product, uniquingKeysWith: +)
        a.scrap.merge(b.scrap, uniquingKeysWith: +)
        a.items += b.items
        a.scrapItems += b.scrapItems
    }
}

/// One machine's truth, as it grows.
struct MachineRecord: Sendable {
    struct Change: Hashable, Sendable {
        let time: Instant
        let state: MachineState
    }
    struct Job: Hashable, Sendable {
        let time: Instant
        let outcome: JobOutcome
    }
    /// How far back the truth is remembered.
    static let memory = Duration.hours(40 * 24)

    private(set) var energy: EnergyTrace
    private(set) var changes: [Change]
    private(set) var jobs: [Job] = []
    private(set) var shots: [Instant] = []
    private(set) var parts: [TruePart] = []
    private(set) var choices: [Instant] = []
    private var nextCleaning: Instant

    init(_ state: MachineState, at start: Instant) {
        energy = EnergyTrace(start: start)
        changes = [Change(time: start, state: state)]
        nextCleaning = start + Self.memory + .hours(24)
    }

    var state: MachineState { changes[changes.count - 1].state }
    var since: Instant { changes[changes.count - 1].time }

    mutating func enter(_ state: MachineState, at time: Instant) {
        guard state != self.state else { return }
        if since == time { changes.removeLast() }
        if changes.last?.state != state { changes.append(Change(time: time, state: state)) }
    }

    mutating func ended(_ outcome: JobOutcome, at time: Instant) { jobs.append(Job(time: time, outcome: outcome)) }

    mutating func shot(_ part: TruePart) {
        shots.append(part.shot)
        parts.append(part)
    }

    /// So many items of the last shot are no good.
    mutating func judged(bad: Int64, at time: Instant) {
        guard !parts.isEmpty else { return }
        parts[parts.count - 1].judged = time
        parts[parts.count - 1].bad = bad
    }

    /// Somebody said which mould is in it.
    mutating func chose(at time: Instant) { choices.append(time) }

    mutating func set(watts: Double, at time: Instant) {
        energy.set(Int64((watts * 1000).rounded()), at: time)
        if time >= nextCleaning { clean(at: time) }
    }

    func states(from: Instant, to: Instant) -> [MachineState: Int64] {
        var sums: [MachineState: Int64] = [:]
        var index = max(0, Self.first(in: changes) { $0.time > from } - 1)
        while index < changes.count, changes[index].time < to {
            let end = index + 1 < changes.count ? min(to, changes[index + 1].time) : to
            let begin = max(from, changes[index].time)
            if begin < end { sums[changes[index].state, default: 0] += (end - begin).milliseconds }
            index += 1
        }
        return sums
    }

    /// Since when it was in use without a break just before `time`; `time` where it was not.
    func busySince(before time: Instant) -> Instant {
        var index = Self.first(in: changes) { $0.time >= time } - 1
        var since = time
        while index >= 0, [.preparing, .running, .paused, .blocked].contains(changes[index].state) {
            since = changes[index].time
            index -= 1
        }
        return since
    }

    /// The index of the first one that is late enough, in a list by time.
    static func first<Item>(in list: [Item], where isLate: (Item) -> Bool) -> Int {
        var low = 0
        var high = list.count
        while low < high {
            let middle = (low + high) / 2
            if isLate(list[middle]) { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// Once a day, so that it costs nothing.
    private mutating func clean(at time: Instant) {
        nextCleaning = time + .hours(24)
        let oldest = time - Self.memory
        energy.forget(before: oldest)
        let gone = changes.firstIndex { $0.time > oldest } ?? changes.count
        if gone > 1 { changes.removeFirst(gone - 1) }
        jobs.removeAll { $0.time < oldest }
        shots.removeAll { $0 < oldest }
        parts.removeAll { $0.shot < oldest }
        choices.removeAll { $0 < oldest }
    }
}
