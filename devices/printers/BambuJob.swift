import Model

/// Counts each print of a Bambu Lab printer once.
///
/// `FINISH` and `FAILED` stay up until the next print, so only the way there counts: a print that was seen to run, and
/// then one of them. What is up when the link is opened is a baseline. A print that runs then is adopted: its end counts.
struct BambuJob {
    /// What a message shows of a job.
    enum Sight {
        /// PREPARE, SLICING, INIT.
        case preparing
        /// RUNNING, PAUSE.
        case printing
        case finished, failed, idle
        /// Anything else, which says nothing about jobs.
        case unclear
    }

    private enum Phase: Equatable {
        case none
        /// A calibration or another program of the printer's own is busy time and no job.
        case open(isOwnProgram: Bool)
    }

    private var phase = Phase.none
    private var last = Sight.unclear
    /// A message came in which the job just went on.
    private var isConfirmed = false
    /// Something may have been missed since the job was last seen.
    private var hasGap = false
    private var key: UInt64?
    private var progress: Double = 0

    /// So many messages after its code a cancel is still believed; the printer takes the code back within seconds.
    private static let cancelLasts = 12
    private var cancelLeft = 0

    /// A job is on, for all that is known.
    var isOpen: Bool { phase != .none }

    // MARK: what outlives the gateway

    /// What is known of an open job; progress in steps of ten, so that it is not written with each percent.
    struct Memory: Equatable {
        var isOpen = false
        var isOwnProgram = false
        var key: UInt64?
        var tenths = 0

        /// `open print KEY 40`, `open own - 0`, or `none`.
        var text: String {
            guard isOpen else { return "none" }
            return "open \(isOwnProgram ? "own" : "print") \(key.map { String($0, radix: 16) } ?? "-") \(tenths * 10)"
        }
    }

    var memory: Memory {
        guard case .open(let isOwn) = phase else { return Memory() }
        return Memory(isOpen: true, isOwnProgram: isOwn, key: key, tenths: Int(min(max(progress, 0), 100) / 10))
    }

    mutating func recall(_ memory: String) {
        let words = memory.split(separator: " ")
        guard words.count == 4, words[0] == "open" else { return }
        phase = .open(isOwnProgram: words[1] == "own")
        key = UInt64(words[2], radix: 16)
        progress = min(max(Double(words[3]) ?? 0, 0), 100)
        isConfirmed = true
        hasGap = true
    }

    // MARK: what is seen

    mutating func opened() {
        hasGap = true
        last = .unclear
        cancelLeft = 0
    }

    /// Nothing was heard for so long that something may have been missed: a bridge lost the printer while the link to its
    /// broker stayed up.
    mutating func away() { hasGap = true }

    /// The code that tells a cancel from a failure came, just before FAILED or with it.
    mutating func cancelled() { cancelLeft = Self.cancelLasts }

    /// What one message showed. Returns how a job ended, where one did.
    ///
    /// - Parameters:
    ///   - isOwnProgram: the print is the printer's own; nil where the message does not tell.
    ///   - key: tells two jobs apart; nil where the message does not tell.
    ///   - progress: percent; nil where the message does not tell.
    mutating func saw(
        _ sight: Sight, isOwnProgram: Bool?, key newKey: UInt64?, progress newProgress: Double?
    )
        -> JobOutcome?
    {
        defer {
            last = sight
            if cancelLeft > 0 { cancelLeft -= 1 }
        }
        switch sight {
        case .unclear: return nil
        case .preparing, .printing:
            let missed = isAnother(newKey, newProgress) ? end(.unknown) : nil
            if case .open(let wasOwn) = phase {
                phase = .open(isOwnProgram: isOwnProgram ?? wasOwn)
                if last == sight { isConfirmed = true }
            } else {
                phase = .open(isOwnProgram: isOwnProgram ?? false)
                isConfirmed = false
                progress = 0
                // The code is left from the print before.
                cancelLeft = 0
            }
            hasGap = false
            key = newKey ?? key
            progress = newProgress ?? progress
            return missed
        case .finished:
            // Right after connecting some printers rush through IDLE, RUNNING, PREPARE, FINISH within milliseconds.
            // Nothing is finished from preparing.
            if last == .preparing, !isConfirmed { phase = .none }
            // If another job's end is up, the one that was seen ended before.
            return end(isOtherKey(newKey) ? .unknown : .completed)
        case .failed:
            if cancelLeft > 0 { return end(.cancelled) }
            // The code that tells a cancel may have come while nobody listened.
            return end(hasGap ? .unknown : .failed)
        case .idle:
            // Only a restart of the printer takes a job away without an end.
            return end(hasGap ? .unknown : .interrupted)
        }
    }

    /// After a gap: the print that runs is not the one that ran before.
    private func isAnother(_ newKey: UInt64?, _ newProgress: Double?) -> Bool {
        guard hasGap, isOpen else { return false }
        if isOtherKey(newKey) { return true }
        // The same file once more.
        return (newProgress ?? progress) < progress - 5
    }

    private func isOtherKey(_ newKey: UInt64?) -> Bool {
        guard hasGap, let key, let newKey else { return false }
        return key != newKey
    }

    private mutating func end(_ outcome: JobOutcome) -> JobOutcome? {
        defer {
            phase = .none
            hasGap = false
            key = nil
            cancelLeft = 0
        }
        return phase == .open(isOwnProgram: false) ? outcome : nil
    }
}
