import Model

/// A number with a fixed count of decimal places, as firmware prints it.
func fixed(_ value: Double, _ places: Int) -> String {
    var scale: Int64 = 1
    for _ in 0..<places { scale *= 10 }
    let scaled = (value * Double(scale)).rounded()
    guard scaled.magnitude < 1e15 else { return "0" }
    return fixed(Int64(scaled), over: scale, places)
}

/// `thousandths` / 1000 with three places.
func fixed(thousandths: Int64) -> String { fixed(thousandths, over: 1000, 3) }

private func fixed(_ scaled: Int64, over scale: Int64, _ places: Int) -> String {
    let whole = "\(scaled < 0 ? "-" : "")\(scaled.magnitude / UInt64(scale))"
    guard places > 0 else { return whole }
    let digits = "\(scaled.magnitude % UInt64(scale))"
    return whole + "." + String(repeating: "0", count: places - digits.utf8.count) + digits
}

/// Text as firmware prints it, made byte by byte: a year of a lab is millions of messages.
struct FirmwareText {
    private(set) var bytes: [UInt8] = []

    init(capacity: Int) { bytes.reserveCapacity(capacity) }

    mutating func add(_ text: String) { bytes.append(contentsOf: text.utf8) }

    mutating func add(_ text: [UInt8]) { bytes.append(contentsOf: text) }

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
        var rest = value.magnitude
        var divisor: UInt64 = 1
        var count = 1
        while rest / divisor >= 10 || count < digits {
            divisor *= 10
            count += 1
        }
        while divisor > 0 {
            bytes.append(48 + UInt8(truncatingIfNeeded: rest / divisor))
            rest %= divisor
            divisor /= 10
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
