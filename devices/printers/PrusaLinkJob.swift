import Model

/// Counts each print of a Prusa printer once.
///
/// `FINISHED`, `STOPPED` and `ERROR` stay up until a person confirms at the printer, so only the way there counts: a job
/// that was seen to be on, and then one of them. A job's `id` is its own, so that a job that ended unseen shows by
/// another one. Where the status alone does not tell how it ended, `/api/v1/job` is asked, which keeps the last one.
struct PrusaLinkJob {
    /// What a word shows of a job.
    enum Sight: Equatable {
        case printing, finished, stopped, failed, idle
        /// BUSY, ATTENTION or a new word: whatever was on is on.
        case unclear

        init(_ word: String) {
            switch word {
            case "PRINTING", "PAUSED": self = .printing
            case "FINISHED": self = .finished
            case "STOPPED": self = .stopped
            case "ERROR": self = .failed
            case "IDLE", "READY": self = .idle
            default: self = .unclear
            }
        }

        var outcome: JobOutcome? {
            switch self {
            case .finished: .completed
            case .stopped: .cancelled
            case .failed: .failed
            case .printing, .idle, .unclear: nil
            }
        }
    }

    /// What follows from a status.
    enum Step: Equatable {
        case nothing
        case ended([JobOutcome])
        /// The job's own record may tell.
        case ask
    }

    /// Why something may have been missed.
    private enum Gap {
        case none
        /// The printer did not answer for a while.
        case printerAway
        /// The gateway was away.
        case gatewayAway
    }

    private(set) var isOpen = false
    /// nil where the printer did not say.
    private var id: Int?
    private var gap = Gap.none
    /// An end that the job's own record may tell better, and how often that may be asked for yet.
    private var pending: (outcome: JobOutcome, triesLeft: Int)?

    mutating func lostContact() { if isOpen, gap == .none { gap = .printerAway } }

    // MARK: what outlives the gateway

    /// `open 420`, `open ?`, or `none`.
    var memory: String { isOpen ? "open \(id.map(String.init) ?? "?")" : "none" }

    mutating func recall(_ memory: String) {
        guard memory.hasPrefix("open ") else { return }
        isOpen = true
        id = Int(memory.dropFirst(5))
        gap = .gatewayAway
    }

    // MARK: what is seen

    mutating func saw(_ sight: Sight, id newID: Int?) -> Step {
        switch sight {
        case .unclear: return .nothing
        case .printing: return printing(newID)
        case .finished, .stopped, .failed, .idle:
            guard isOpen else { return .nothing }
            // The end of the very job that was on.
            if let outcome = sight.outcome, gap == .none || newID != nil && newID == id { return end(outcome) }
            let fallback: JobOutcome = sight == .idle && gap == .printerAway ? .interrupted : .unknown
            guard let tries = pending?.triesLeft else {
                pending = (fallback, 3)
                return .ask
            }
            guard tries > 1 else { return end(fallback) }
            pending = (fallback, tries - 1)
            return .ask
        }
    }

    private mutating func printing(_ newID: Int?) -> Step {
        defer {
            isOpen = true
            id = newID ?? id
            gap = .none
            pending = nil
        }
        guard isOpen, let id, let newID, id != newID else { return .nothing }
        self.id = nil
        return .ended([.unknown])
    }

    /// What `/api/v1/job` says; nil where it holds no job. Returns how the open job ended, where one did.
    mutating func resolve(id newID: Int?, _ sight: Sight?) -> JobOutcome? {
        guard isOpen, let pending else { return nil }
        if sight == .printing { return nil }
        let isSame = newID != nil && (id == nil || newID == id)
        let outcome = isSame ? sight?.outcome ?? pending.outcome : pending.outcome
        _ = end(outcome)
        return outcome
    }

    private mutating func end(_ outcome: JobOutcome) -> Step {
        isOpen = false
        id = nil
        gap = .none
        pending = nil
        return .ended([outcome])
    }
}
