import Model

/// What a message says of one quantity.
enum Said: Equatable {
    /// It is not in the message.
    case nothing
    case number(Double)
    /// The device says that it does not know: `null`, `nan`.
    case unknown
    /// Something that is no number stands there.
    case unusable

    /// Takes the next value of a JSON text, whatever it is, times `scale`; rounded where `isWhole`.
    static func read(
        _ json: inout JSONScanner, _ b: borrowing Span<UInt8>, times scale: Double = 1, isWhole: Bool = false
    ) -> Said {
        if let number = json.number(b) {
            let scaled = number * scale
            return .number(isWhole ? scaled.rounded() : scaled)
        }
        if json.null(b) { return .unknown }
        json.skip(b)
        return .unusable
    }

    /// Takes `true` or `false` as 1 or 0.
    static func readFlag(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> Said {
        if let flag = json.bool(b) { return .number(flag ? 1 : 0) }
        if json.null(b) { return .unknown }
        json.skip(b)
        return .unusable
    }

    /// A bare number that is the whole message.
    static func readAll(_ b: borrowing Span<UInt8>) -> Said {
        var json = JSONScanner()
        guard let number = json.number(b), json.finish(b) else { return .unusable }
        return .number(number)
    }
}
