import Model

/// What one machine did, stretch after stretch, each booked once and without a gap.
///
/// A change that must last (`dwell`) is held back until it has, and then counts from its beginning; until then nothing
/// after that beginning is booked. So the stretches do not depend on when somebody looked.
struct Timeline: Hashable {
    private(set) var state = MachineState.unknown
    private(set) var reason = "not heard yet"
    private(set) var since: Instant
    /// Everything before is booked.
    private(set) var settled: Instant
    private var pending: Pending?

    private struct Pending: Hashable {
        let state: MachineState
        let reason: String
        let since: Instant
        let due: Instant
    }

    /// A stretch of one state.
    struct Stretch: Hashable {
        let state: MachineState
        let from: Instant
        let to: Instant
    }

    /// When the change that waits is certain.
    var due: Instant? { pending?.due }

    init(start: Instant) {
        since = start
        settled = start
    }

    /// Books up to `time` what is certain by then.
    mutating func advance(to time: Instant, _ book: (Stretch) -> Void) {
        if let change = pending, time >= change.due {
            become(change.state, change.reason, at: change.since, book)
            pending = nil
        }
        settle(min(time, pending?.since ?? time), book)
    }

    /// From `time` on the machine is in `state`, without waiting.
    mutating func enter(_ state: MachineState, _ reason: String, at time: Instant, _ book: (Stretch) -> Void) {
        advance(to: time, book)
        pending = nil
        become(state, reason, at: max(time, settled), book)
    }

    /// From `time` on the machine seems to be in `state`; it is, once that has lasted for `dwell`.
    mutating func propose(
        _ state: MachineState, _ reason: String, at time: Instant, dwell: Duration, _ book: (Stretch) -> Void
    ) {
        advance(to: time, book)
        if state == self.state {
            pending = nil
            settle(time, book)
            self.reason = reason
        } else if self.state == .unknown || self.state == .offline || dwell == .zero {
            pending = nil
            become(state, reason, at: max(time, settled), book)
        } else if pending?.state != state {
            let start = max(time, settled)
            pending = Pending(state: state, reason: reason, since: start, due: start + dwell)
        }
    }

    private mutating func become(
        _ state: MachineState, _ reason: String, at time: Instant, _ book: (Stretch) -> Void
    ) {
        settle(time, book)
        if state != self.state { since = time }
        self.state = state
        self.reason = reason
    }

    private mutating func settle(_ time: Instant, _ book: (Stretch) -> Void) {
        guard time > settled else { return }
        book(Stretch(state: state, from: settled, to: time))
        settled = time
    }
}
