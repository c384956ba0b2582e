import Model

/// Counts each print once, whatever was missed.
///
/// A print ends by exactly one `PrintDone` or `PrintFailed`; a cancelled one also says PrintCancelling and
/// PrintCancelled before. Where that one event was missed, the printer being idle again ends the print.
struct OctoPrintJob {
    private enum Phase {
        case none
        /// Its start was seen.
        case started
        /// It was found running.
        case found
        /// Its end was missed and counted when that showed; the event may still come.
        case guessed
    }

    private var phase = Phase.none
    /// The printer was gone while it printed.
    private var wasAway = false
    /// The gateway did not listen for a while.
    private var hasGap = false
    /// Nothing was heard since the link was opened. What comes first may be about anything.
    private var isFirst = true
    // OctoPrint's own seconds of the last two events, by which one that was delivered twice is known.
    private var lastStart: Double?
    private var lastEnd: Double?

    var isOpen: Bool { phase == .started || phase == .found }
    /// Nothing of it was missed so far.
    var isNew: Bool { phase == .started }
    /// What its end counts as where nothing tells.
    var guess: JobOutcome { wasAway ? .interrupted : .unknown }
    /// By its file; nil where that is not known.
    var key: UInt64?

    /// The link to the broker was opened again.
    mutating func opened() {
        isFirst = true
        hasGap = true
    }

    /// It was on before the gateway was started again.
    mutating func recall(_ key: UInt64?) {
        phase = .found
        hasGap = true
        self.key = key
    }

    /// Something live was heard that is no end.
    mutating func heard() { isFirst = false }

    /// PrintStarted. Returns how the print before ended, where that was missed.
    mutating func started(at time: Double?, key: UInt64?) -> JobOutcome? {
        if time != nil, time == lastStart { return nil }
        lastStart = time
        // Old versions say PRINTING before PrintStarted: that was this one.
        let isMissed = phase == .started || phase == .found && (hasGap || wasAway)
        defer {
            open(.started)
            self.key = key
        }
        return isMissed ? guess : nil
    }

    /// The printer shows that it prints.
    mutating func printing() { open(phase == .started ? .started : .found) }

    private mutating func open(_ new: Phase) {
        phase = new
        wasAway = false
        hasGap = false
    }

    /// The printer cannot be reached, or cannot print.
    mutating func away() { if isOpen { wasAway = true } }

    /// PrintDone or PrintFailed. Returns whether it counts.
    mutating func ended(at time: Double?) -> Bool {
        let counts =
            switch phase {
            case .started, .found: true
            case .guessed: false
            case .none: !isFirst && time != nil && time != lastEnd
            }
        phase = .none
        key = nil
        wasAway = false
        isFirst = false
        lastEnd = time
        return counts
    }

    /// The printer is idle. Returns how an open print ended, where that was missed.
    mutating func idle() -> JobOutcome? {
        guard isOpen else { return nil }
        defer {
            phase = .guessed
            key = nil
            wasAway = false
        }
        return guess
    }
}
