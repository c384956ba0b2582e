import Model

/// What an event says that is kept. Where strings stand is noted.
struct OctoPrintEvent {
    /// By which a message that comes twice is known: all of its bytes, among them OctoPrint's own second. nil where it
    /// says no second.
    private(set) var identity: UInt64?
    /// OctoPrint's own time of it, in whole s since 1970.
    private(set) var second: Double?
    private(set) var stateID: Range<Int>?
    private(set) var reason: Range<Int>?
    /// The file's path, by which two prints are told apart; it goes no further.
    private(set) var path: Range<Int>?
    /// s that a print took, without its pauses.
    private(set) var time: Double?
    private(set) var hasBadTime = false

    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "_timestamp", b), let number = json.number(b) {
                second = number
                identity = JobKey.of([b.indices], b)
            } else if JSONScanner.equals(key, "state_id", b), let text = json.string(b) {
                stateID = text
            } else if JSONScanner.equals(key, "reason", b), let text = json.string(b) {
                reason = text
            } else if JSONScanner.equals(key, "path", b), let text = json.string(b) {
                path = text
            } else if JSONScanner.equals(key, "time", b) {
                readTime(&json, b)
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func readTime(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        var number = MessageNumber.absent
        number.read(&json, b)
        if case .value(let seconds) = number { time = seconds }
        if case .wrong = number { hasBadTime = true }
    }
}
