import Model

/// A member of a message that should be a number.
enum MessageNumber: Equatable, Sendable {
    case absent
    case value(Double)
    /// null: the device does not know.
    case unknown
    case wrong

    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if let number = json.number(b) {
            self = .value(number)
        } else if json.null(b) {
            self = .unknown
        } else {
            json.skip(b)
            self = .wrong
        }
    }

    /// The same where some firmware writes the number as text: `"38"`.
    mutating func readLenient(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.peek(b) == .string, let range = json.string(b) else { return read(&json, b) }
        // No number is longer; what a stranger sends need not be copied.
        guard range.count <= 32, let text = JSONScanner.text(range, b), let number = Double(text), number.isFinite
        else {
            self = .wrong
            return
        }
        self = .value(number)
    }

    /// The number, where there is one.
    var number: Double? { if case .value(let number) = self { number } else { nil } }

    /// The same in another unit.
    func converted(_ convert: (Double) -> Double) -> MessageNumber {
        if case .value(let number) = self { .value(convert(number)) } else { self }
    }

    /// A whole number that fits 32 bits with or without a sign.
    var integer: Int? {
        guard let number, number == number.rounded(), number.magnitude <= 0xFFFF_FFFF else { return nil }
        return Int(number)
    }
}

extension Outbox {
    /// Reports what a message says of one channel; nothing where it says nothing.
    mutating func report(_ number: MessageNumber, on index: Int, of channels: [Channel]) {
        switch number {
        case .absent: break
        case .unknown: reportUnknown(index)
        case .wrong: note(.badValue, "\(channels[index].name) is no number")
        case .value(let value): report(index, of: channels, value)
        }
    }
}
