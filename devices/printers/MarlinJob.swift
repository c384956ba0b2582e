import Model

/// Counts each print that the printer runs itself from its card.
///
/// Only `SD printing byte a/b` says that it prints. `Not SD printing` is also said of a paused print, so that the end is
/// taken from that together with the nozzle's target: still hot is paused; cold is completed where 99 % were read, else
/// cancelled. `Done printing file` is the printer's own word for the end, a fatal error and a reset end it at once.
struct MarlinJob {
    private(set) var isOpen = false
    /// It was said that nothing prints, since the last byte.
    private(set) var isStopped = false
    private(set) var byte: Double = 0
    private var size: Double = 0
    /// After an end, reports of it are still on their way.
    private var waitsForQuiet = false
    /// The link was opened again since the print was last seen.
    private var hasGap = false

    mutating func opened() { hasGap = true }

    /// What outlives the gateway's process, so that a print that ended meanwhile is not lost:
    ///
    ///     open 3 56789   of a file of 56789 bytes three tenths or more were read
    ///     none
    struct Memory: Equatable {
        var isOpen = false
        var tenths = 0
        var size: Double = 0

        var text: String { isOpen ? "open \(tenths) \(size)" : "none" }
    }

    var memory: Memory {
        guard isOpen, size > 0 else { return Memory() }
        return Memory(isOpen: true, tenths: Int(min(10, max(0, byte / size * 10))), size: size)
    }

    mutating func recall(_ memory: String) {
        let words = memory.split(separator: " ")
        guard words.count == 3, words[0] == "open", let tenths = Double(words[1]), let size = Double(words[2]),
            size > 0, size < 1e20, (0...10).contains(tenths)
        else { return }
        (isOpen, hasGap) = (true, true)
        // As it may have been rounded: another print of the same file begins far below.
        (self.byte, self.size) = ((size * tenths / 10).rounded(.down), size)
    }

    /// `SD printing byte a/b`. Returns how the print before ended, where that was missed.
    mutating func printing(byte newByte: Double, of newSize: Double) -> JobOutcome? {
        if waitsForQuiet, newSize == size, newByte >= byte { return nil }
        waitsForQuiet = false
        var missed: JobOutcome?
        if isOpen, newByte < byte || newSize != size { missed = end(isRead ? .completed : .unknown) }
        isOpen = true
        isStopped = false
        hasGap = false
        waitsForQuiet = false
        byte = newByte
        size = newSize
        return missed
    }

    /// 99 % or more were read.
    private var isRead: Bool { size > 0 && byte >= size * 0.99 }

    /// `Not SD printing`, or a new target of the nozzle, which is nil where it is not known.
    mutating func checked(isStopped stopped: Bool, target: Double?, waitsForPerson: Bool) -> JobOutcome? {
        if stopped {
            waitsForQuiet = false
            isStopped = true
        }
        guard isOpen, isStopped, !waitsForPerson, let target, target <= 0 else { return nil }
        return end(isRead ? .completed : hasGap ? .unknown : .cancelled)
    }

    /// The printer or a host says how it ended, or why it cannot go on.
    mutating func end(_ outcome: JobOutcome) -> JobOutcome? {
        defer {
            isOpen = false
            hasGap = false
            waitsForQuiet = true
        }
        return isOpen ? outcome : nil
    }

    /// The board was reset: whatever comes now is new. Opening the port resets many boards; whether a print that was not
    /// seen since was still on then, nobody knows.
    mutating func reset() -> JobOutcome? {
        defer { waitsForQuiet = false }
        return end(hasGap ? .unknown : .interrupted)
    }
}
