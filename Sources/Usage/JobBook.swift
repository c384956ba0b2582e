package import Model

/// One job or run of a machine.
package struct JobRecord: Hashable, Sendable {
    package let start: Instant
    /// nil while it goes on.
    package internal(set) var end: Instant?
    /// How it ended; nil where no device told, as with a run that only its power shows.
    package internal(set) var outcome: JobOutcome?
    /// mWh drawn between start and end; nil where no counter reaches into it.
    package internal(set) var energy: Int64?
}

/// The last jobs of a machine, with the energy of each: that part of every counter's step that lies between its start and
/// its end.
///
/// A job begins when the machine is used after it was not, or after it waited for a person without one, and ends with a
/// device's word or when the machine is free again. While nothing is known of the machine it goes on; should it be free
/// afterwards, it ended when it was lost.
struct JobBook: Hashable {
    private(set) var records: [JobRecord] = []
    private var lostAt: Instant?

    static let kept = 64
    /// A word about the end may come so much later than the end.
    private static let patience = Duration.seconds(120)

    private var isOpen: Bool { records.last.map { $0.end == nil } ?? false }

    mutating func entered(_ state: MachineState, from before: MachineState, at time: Instant) {
        if state.isBusy {
            // What waits for a person and was at no job may have ended one, or have its door open. A job that was on when
            // the gateway came begins when it goes on.
            if !isOpen, state != .blocked, !before.isBusy || before == .blocked { begin(at: time) }
            lostAt = nil
        } else if isOpen {
            if state == .unknown || state == .offline {
                lostAt = lostAt ?? time
            } else {
                end(at: lostAt ?? time, nil)
            }
        }
    }

    mutating func told(_ outcome: JobOutcome, at time: Instant) {
        if isOpen { return end(at: time, outcome) }
        if let last = records.last, last.outcome == nil, let end = last.end, time - end <= Self.patience {
            records[records.count - 1].outcome = outcome
        } else {
            begin(at: time)
            end(at: time, outcome)
        }
    }

    private mutating func begin(at time: Instant) {
        records.append(JobRecord(start: time))
        if records.count > Self.kept { records.removeFirst() }
    }

    private mutating func end(at time: Instant, _ outcome: JobOutcome?) {
        records[records.count - 1].end = max(time, records[records.count - 1].start)
        records[records.count - 1].outcome = outcome
        lostAt = nil
    }

    /// Energy that was drawn in one stretch without a change of state, up to now.
    mutating func drew(_ amount: Int64, from: Instant) {
        guard isOpen, lostAt == nil, records[records.count - 1].start <= from else { return }
        records[records.count - 1].energy = (records[records.count - 1].energy ?? 0) + amount
    }

    /// Energy that was drawn over `[from, to]`, of which `upTo` says how much came by when.
    mutating func spread(from: Instant, to: Instant, _ upTo: (Instant) -> Int64) {
        for index in records.indices.reversed() {
            let end = records[index].end ?? lostAt ?? .distantFuture
            if end <= from { return }
            guard records[index].start < to else { continue }
            let part = upTo(min(end, to)) - upTo(max(records[index].start, from))
            records[index].energy = (records[index].energy ?? 0) + part
        }
    }
}
