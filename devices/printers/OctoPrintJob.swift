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
    // The last events, by which one that was delivered twice is known: a broker repeats all that a gateway could not
    // confirm, a whole print among it. Their seconds alone would not do: two short prints end within one.
    private var starts = SeenEvents()
    private var ends = SeenEvents()
    private var others = SeenEvents()
    /// OctoPrint's second of the last end.
    private var lastEnd: Double?
    /// The last end was one that had been told before.
    private(set) var wasToldAgain = false

    /// How many prints were seen to be on.
    private(set) var prints = 0

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

    /// PrintStarted, `event` being the message's identity. Returns how the print before ended, where that was missed.
    mutating func started(_ event: UInt64?, key: UInt64?) -> JobOutcome? {
        guard starts.isNew(event) else { return nil }
        // Old versions say PRINTING before PrintStarted: that was this one.
        let isMissed = phase == .started || phase == .found && (hasGap || wasAway)
        defer {
            if isMissed { prints &+= 1 }
            open(.started)
            self.key = key
        }
        return isMissed ? guess : nil
    }

    /// Any other event. Returns whether it was told before: it is about the time before, or nothing new. What comes first
    /// after the link was opened counts all the same, because there is nothing better.
    mutating func isOld(_ event: UInt64?) -> Bool { !others.isNew(event) && (isOpen || !isFirst) }

    /// Whether a print that is about to end has ended already: the two messages came in the other order.
    func hasEnded(since second: Double?) -> Bool {
        guard let second, let lastEnd, !isOpen else { return false }
        return second <= lastEnd
    }

    /// The printer shows that it prints.
    mutating func printing() { open(phase == .started ? .started : .found) }

    private mutating func open(_ new: Phase) {
        if !isOpen { prints &+= 1 }
        phase = new
        wasAway = false
        hasGap = false
    }

    /// The printer cannot be reached, or cannot print.
    mutating func away() { if isOpen { wasAway = true } }

    /// Whether an end is one that was told before, and another print began since, which is still on.
    func isPast(end event: UInt64?) -> Bool { phase == .started && ends.contains(event) }

    /// PrintDone or PrintFailed, `event` being the message's identity and `second` its time. Returns whether it counts.
    mutating func ended(_ event: UInt64?, at second: Double?) -> Bool {
        let isNew = ends.isNew(event)
        if isNew { lastEnd = second }
        wasToldAgain = !isNew
        let counts =
            switch phase {
            case .started, .found: isNew
            case .guessed: false
            case .none: !isFirst && event != nil && isNew
            }
        phase = .none
        key = nil
        wasAway = false
        isFirst = false
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

/// The last events of a kind: as many as a printer tells while a gateway can confirm none.
private struct SeenEvents {
    private var events: [UInt64] = []

    func contains(_ event: UInt64?) -> Bool { event.map(events.contains) ?? false }

    /// Whether this is none of them; one that says no time is always new.
    mutating func isNew(_ event: UInt64?) -> Bool {
        guard let event else { return true }
        guard !events.contains(event) else { return false }
        if events.count == 32 { events.removeFirst() }
        events.append(event)
        return true
    }
}
