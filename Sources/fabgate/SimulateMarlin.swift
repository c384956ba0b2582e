import Model

/// What the lines of a Marlin printer tell: its state follows from the card and the heaters together, so that it is known
/// as it was when the older of the two was said.
struct MarlinEar {
    private var card: (said: Instant, prints: Bool)?
    private var heat: (said: Instant, isOn: Bool)?
    /// A print was told of, of which no end was told yet. One that is reset while it heats up may never have been.
    private var isOpen = false
    /// Reports since the last print was over by what they say.
    private var reportsOver = Self.most
    /// One of so many tells of the end of a print.
    private static let most = 6

    /// What one line tells, and of what time.
    mutating func hear(_ line: [UInt8], said: Instant) -> (sense: Audience.Sense, since: Instant) {
        let text = String(decoding: line, as: UTF8.self)
        for word in ["Done printing", "//action:cancel", "Error:", "start"] where text.hasPrefix(word) {
            defer { isOpen = false }
            return (isOpen ? .jobEnd : [], said)
        }
        if text.hasPrefix("SD printing") || text.hasPrefix("Not SD printing") {
            card = (said, text.hasPrefix("SD"))
        } else if text.hasPrefix(" T:") || text.hasPrefix("ok T:") {
            heat = (said, !text.contains("/0.00 B:"))
        } else {
            return ([], said)
        }
        guard let card, let heat else { return ([], said) }
        if card.prints { isOpen = true }
        reportsOver = card.prints || heat.isOn ? 0 : min(Self.most, reportsOver + 1)
        let isEnd = isOpen && reportsOver > 0 && reportsOver < Self.most
        if reportsOver == Self.most { isOpen = false }
        return (isEnd ? [.state, .jobEnd] : .state, min(card.said, heat.said))
    }
}
