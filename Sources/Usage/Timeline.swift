import Model

/// What one machine did, stretch after stretch, each booked once and without a gap. While a change is being weighed
/// (`hold`), nothing after its possible beginning is settled. So the stretches do not depend on when somebody looked.
struct Timeline: Hashable {
    private(set) var state = MachineState.unknown
    private(set) var reason = "not heard yet"
    /// The machine is idle because it is switched off.
    private(set) var isOff = false
    private(set) var since: Instant
    /// Everything before is certain.
    private(set) var settled: Instant
    /// Everything before was given to be booked.
    private var booked: Instant
    /// Since when nothing was entered.
    private(set) var stretchStart: Instant
    private(set) var hold: Instant?

    /// A stretch of one state.
    struct Stretch: Hashable {
        let state: MachineState
        let isOff: Bool
        let from: Instant
        let to: Instant

        /// By its case: equality of what has a name compares by way of that, and this is asked for every step of a counter.
        var isIdle: Bool { if case .idle = state { true } else { false } }
    }

    init(start: Instant) {
        since = start
        settled = start
        booked = start
        stretchStart = start
    }

    /// Time passes, and nothing changes.
    mutating func pass(to time: Instant) {
        let reached = min(time, hold ?? time)
        if reached > settled { settled = reached }
    }

    /// A change that may have begun at `time` is being weighed; nil where none is.
    mutating func weigh(since time: Instant?) { hold = time.map { max($0, settled) } }

    /// From `time` on, or from what is settled already, the machine is in `state`. Says what begins with it.
    mutating func enter(
        _ state: MachineState, _ reason: String, isOff: Bool = false, at time: Instant, _ book: (Stretch) -> Void
    ) -> (isFault: Bool, isUse: Bool) {
        hold = nil
        pass(to: time)
        let begins = (state == .fault && self.state != .fault, state.isBusy && !self.state.isBusy)
        if state != self.state || isOff != self.isOff {
            flush(book)
            stretchStart = settled
        }
        if state != self.state { since = settled }
        self.state = state
        self.reason = reason
        self.isOff = isOff
        return begins
    }

    /// Gives what is settled and was not given yet.
    mutating func flush(_ book: (Stretch) -> Void) {
        guard settled > booked else { return }
        book(Stretch(state: state, isOff: isOff, from: booked, to: settled))
        booked = settled
    }

    /// Everything before will never be booked again.
    var bookedUntil: Instant { booked }
}
