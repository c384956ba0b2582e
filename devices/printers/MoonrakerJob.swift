import Model

/// Counts each print of a Klipper printer once, with the help of Moonraker's history.
///
/// `complete`, `error` and `cancelled` stay up until the next print, so only the way there counts. Ends that were seen
/// are counted at once; those that were not (while nobody listened, or in a restart of Klipper) wait for the history.
/// There they are the jobs that ended after the last known one, without those that were seen.
struct MoonrakerJob {
    private enum Phase: Equatable {
        case none
        /// Kept by the broker: somebody saw it print at some time.
        case remembered
        case open
    }

    /// How a print ended.
    struct End: Equatable {
        let outcome: JobOutcome
        /// By the printer's host; nil for now.
        let time: Instant?
    }

    private var phase = Phase.none
    private var file: UInt64?
    /// s; by it a print is known again.
    private var duration: Double = 0
    /// The duration fell: another print, if it grows again before an end is told.
    private var wentBack = false
    /// Klipper shut itself down while it printed.
    private var hasFailed = false
    /// Nothing was heard for a while.
    private var hasGap = false

    /// An end that was not seen, and what it counts as if the history does not tell.
    private var pending: JobOutcome?
    private var patience = 0
    private static let patienceWithHistory = 40
    /// The start of the last ended job in the history; nil before the first answer.
    private var lastKnown: Double?
    /// Ends that were counted since then.
    private var counted = 0
    /// The history did not refuse to answer.
    private(set) var hasHistory = false

    // MARK: what outlives the gateway

    /// An open print, and how far the history is known; the duration in minutes, so that it is not written each second.
    struct Memory: Equatable {
        var isOpen = false
        var file: UInt64?
        var minutes = 0
        var lastKnown: Double?
        var counted = 0

        /// `open FILE MINUTES LAST COUNTED` or `none - 0 LAST COUNTED`, with a hyphen for what is not known.
        var text: String {
            let last = lastKnown.map { "\($0)" } ?? "-"
            let print = isOpen ? "open \(file.map { String($0, radix: 16) } ?? "-") \(minutes)" : "none - 0"
            return "\(print) \(last) \(counted)"
        }
    }

    var memory: Memory {
        let isOpen = phase == .open || pending != nil
        return Memory(
            isOpen: isOpen, file: isOpen ? file : nil, minutes: isOpen ? Int(min(max(duration, 0), 1e8) / 60) : 0,
            lastKnown: lastKnown, counted: counted)
    }

    mutating func recall(_ memory: String) {
        let words = memory.split(separator: " ")
        guard words.count == 5 else { return }
        lastKnown = Double(words[3]).flatMap { $0.isFinite ? $0 : nil }
        hasHistory = lastKnown != nil
        counted = max(0, Int(words[4]) ?? 0)
        guard words[0] == "open" else { return }
        phase = .open
        file = UInt64(words[1], radix: 16)
        duration = (Double(words[2]) ?? 0) * 60
        hasGap = true
    }

    /// How many prints were seen to be on.
    private(set) var prints = 0

    /// The history should be asked.
    var wantsHistory: Bool { pending != nil && patience == Self.patienceWithHistory }

    /// Something may have been missed: the link was opened again, or Moonraker was gone.
    mutating func away() { hasGap = true }

    /// Klipper says that it is shut down.
    mutating func klippyFailed() { if phase == .open { hasFailed = true } }

    // MARK: what is seen

    /// A word of `print_stats.state`. Returns how a print ended that was seen to end.
    mutating func saw(_ word: String, isRetained: Bool, _ report: MoonrakerReport) -> End? {
        guard !isRetained else {
            if phase == .none, word == "printing" || word == "paused" { phase = .remembered }
            return nil
        }
        defer { hasGap = false }
        switch word {
        case "printing", "paused": return isPrinting(report)
        case "complete": return ended(.completed, report)
        case "cancelled": return ended(.cancelled, report)
        case "error": return ended(.failed, report)
        case "standby":
            // Reset by a person, or Klipper was started again.
            guard phase == .open else {
                phase = .none
                return nil
            }
            return missed(hasFailed ? .failed : hasGap ? .unknown : .interrupted)
        default: return nil
        }
    }

    private mutating func isPrinting(_ report: MoonrakerReport) -> End? {
        var end: End?
        if phase == .open, hasGap, isAnother(report) { end = missed(.unknown) }
        if phase != .open {
            duration = 0
            file = nil
            wentBack = false
            hasFailed = false
            prints &+= 1
        }
        phase = .open
        advance(report)
        return end
    }

    /// After a gap: the print that runs is not the one that ran before.
    private func isAnother(_ report: MoonrakerReport) -> Bool {
        if let file, let other = report.file, file != other { return true }
        guard let now = report.totalDuration.number else { return false }
        return now < duration - 1
    }

    private mutating func advance(_ report: MoonrakerReport) {
        file = report.file ?? file
        if let now = report.totalDuration.number { duration = now }
    }

    /// Fields of a print that came without its state.
    mutating func goesOn(_ report: MoonrakerReport) -> End? {
        guard phase != .none, let now = report.totalDuration.number else { return nil }
        if hasGap || phase == .remembered {
            // Only while it prints does the duration change; a reset makes it 0.
            guard now > 0 else { return nil }
            defer { hasGap = false }
            return isPrinting(report)
        }
        var end: End?
        if now < duration - 1 {
            wentBack = true
        } else if wentBack, now > duration {
            wentBack = false
            end = missed(.unknown)
            phase = .open
            prints &+= 1
        }
        advance(report)
        return end
    }

    private mutating func ended(_ outcome: JobOutcome, _ report: MoonrakerReport) -> End? {
        defer { phase = .none }
        switch phase {
        case .none: return nil
        // It printed before, and ended before the eyes of the gateway: the broker's word is confirmed. Right after
        // connecting it may be long ago.
        case .remembered where hasGap: return nil
        case .open where hasGap:
            let isSame = report.file == nil || file == nil || report.file == file
            return missed(isSame ? outcome : .unknown)
        case .remembered, .open: return count(outcome)
        }
    }

    private mutating func count(_ outcome: JobOutcome, at time: Instant? = nil) -> End {
        counted += 1
        phase = .none
        return End(outcome: outcome, time: time)
    }

    // MARK: what was not seen

    /// A print ended unseen. Returns the end that is counted now: of an older one, or where there is no history.
    private mutating func missed(_ fallback: JobOutcome) -> End? {
        phase = .none
        guard hasHistory else { return count(fallback) }
        let older = pending.map { count($0) }
        pending = fallback
        patience = Self.patienceWithHistory
        return older
    }

    /// One more message came without the answer. Returns the end that is given up on.
    mutating func waited() -> End? {
        guard let outcome = pending else { return nil }
        patience -= 1
        return patience > 0 ? nil : giveUp(outcome)
    }

    /// There is no history to be had.
    mutating func noHistory() -> End? {
        hasHistory = false
        return pending.flatMap { giveUp($0) }
    }

    private mutating func giveUp(_ outcome: JobOutcome) -> End? {
        pending = nil
        counted += 1
        return End(outcome: outcome, time: nil)
    }

    /// The history's last jobs. Returns those that were missed, the oldest first.
    mutating func takeHistory(_ jobs: [MoonrakerPastJob]) -> [End] {
        hasHistory = true
        let ordered = jobs.sorted { $0.start < $1.start }
        let newest = ordered.last?.start ?? 0
        defer {
            pending = nil
            counted = 0
            lastKnown = max(lastKnown ?? 0, newest)
        }
        guard let lastKnown else {
            // The first answer is a baseline; only what was seen to be on can have been missed.
            guard pending != nil, let last = ordered.last else {
                return pending.map { [End(outcome: $0, time: nil)] } ?? []
            }
            return [End(outcome: last.outcome, time: last.endTime)]
        }
        let new = ordered.filter { $0.start > lastKnown }.dropFirst(counted)
        if new.isEmpty, let pending { return [End(outcome: pending, time: nil)] }
        return new.map { End(outcome: $0.outcome, time: $0.endTime) }
    }
}
