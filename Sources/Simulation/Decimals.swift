import Model

/// A number with a fixed count of decimal places, as firmware prints it.
func fixed(_ value: Double, _ places: Int) -> String {
    var scale: Int64 = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = (value * Double(scale)).rounded()
    guard scaled.magnitude < 1e15 else { return "0" }
    return fixed(Int64(scaled), over: scale, places)
}

private func fixed(_ scaled: Int64, over scale: Int64, _ places: Int) -> String {
    let whole = "\(scaled < 0 ? "-" : "")\(scaled.magnitude / UInt64(scale))"
    guard places > 0 else { return whole }
    let digits = "\(scaled.magnitude % UInt64(scale))"
    return whole + "." + String(repeating: "0", count: places - digits.utf8.count) + digits
}

/// Text as firmware prints it, made byte by byte: a year of a lab is millions of messages. A literal with numbers in it
/// becomes one, too, without a `String` between.
struct FirmwareText: ExpressibleByStringInterpolation, Sendable {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    init(_ text: String) { bytes = Array(text.utf8) }

    init(stringLiteral text: StaticString) { add(text) }

    init(stringInterpolation: Interpolation) { self = stringInterpolation.text }

    /// What stands in a literal, part by part.
    struct Interpolation: StringInterpolationProtocol {
        fileprivate var text: FirmwareText

        init(literalCapacity: Int, interpolationCount: Int) {
            text = FirmwareText(capacity: literalCapacity + 8 * interpolationCount)
        }

        mutating func appendLiteral(_ literal: StaticString) { text.add(literal) }
        mutating func appendInterpolation(_ text: FirmwareText) { self.text.add(text.bytes) }
        mutating func appendInterpolation(_ text: String) { self.text.add(text: text) }
        mutating func appendInterpolation(_ value: Int) { text.add(Int64(value)) }
        mutating func appendInterpolation(_ value: Int64) { text.add(value) }
        mutating func appendInterpolation(_ value: Double, places: Int) { text.add(value, places: places) }
    }

    mutating func add(_ text: StaticString) {
        // It is there as long as the program.
        unsafe bytes.append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func add(text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func add(_ text: [UInt8]) { bytes.append(contentsOf: text) }

    static func + (first: FirmwareText, second: FirmwareText) -> FirmwareText {
        var both = first
        both.add(second.bytes)
        return both
    }

    /// Rounded to so many decimals; 0 where that is beyond all sense.
    mutating func add(_ value: Double, places: Int) {
        var scale = 1.0
        for _ in 0..<places { scale *= 10 }
        let scaled = (value * scale).rounded()
        guard scaled.magnitude < 1e15 else { return add(0) }
        if places == 0 { add(Int64(scaled)) } else { add(Int64(scaled), places: places) }
    }

    /// With zeros in front up to so many digits.
    mutating func add(_ value: Int64, digits: Int = 1) {
        if value < 0 { bytes.append(45) }
        addDigits(value.magnitude, atLeast: digits)
    }

    private mutating func addDigits(_ value: UInt64, atLeast digits: Int) {
        // Eight of them at a time, the first one in the lowest byte.
        if value >= 100_000_000 || digits > 8 {
            addDigits(value / 100_000_000, atLeast: digits - 8)
            return addDigits(value % 100_000_000, atLeast: 8)
        }
        var rest = UInt32(value)
        var word: UInt64 = 0
        var count = 0
        repeat {
            word = word << 8 | UInt64(48 + rest % 10)
            rest /= 10
            count += 1
        } while rest > 0 || count < digits
        for _ in 0..<count {
            bytes.append(UInt8(truncatingIfNeeded: word))
            word >>= 8
        }
    }

    /// `scaled` with its last digits behind a point.
    mutating func add(_ scaled: Int64, places: Int) {
        var scale: Int64 = 1
        for _ in 0..<places { scale *= 10 }
        if scaled < 0, scaled > -scale { bytes.append(45) }
        add(scaled / scale)
        bytes.append(46)
        add(Int64((scaled % scale).magnitude), digits: places)
    }

    /// `2026-08-12T14:30:05`: without an offset, as Tasmota prints it by default.
    mutating func add(localTime: Instant) {
        localTime.appendRFC3339(to: &bytes)
        bytes.removeLast(5)
    }
}
