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

/// `2026-08-12T14:30:05`: local time without an offset, as Tasmota prints it by default.
func localTime(_ time: Instant, _ offset: Duration) -> String { String((time + offset).description.prefix(19)) }
