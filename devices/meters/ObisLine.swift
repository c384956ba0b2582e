import Model

/// One line of a meter that tells its registers as text (IEC 62056-21, DSMR):
///
///     1-0:1.8.1*255(001204.517*kWh)        medium-channel:C.D.E*history(value*unit)
///     1.8.0(004217.36*kWh)                 the same in short
///     0-0:1.0.0(260812143005S)             a value without a unit
///
/// nil where it is no such line.
struct ObisLine {
    /// The three numbers in the middle; nil where one is a letter, as in `C.1.0` and `F.F`.
    let code: ObisCode?
    /// Electricity as a whole, as it is now: no other medium, no value of a past month.
    let isPresentElectricity: Bool
    /// What stands between the first parentheses.
    let value: Range<Int>

    init?(_ b: borrowing Span<UInt8>) {
        guard let open = Self.first(0x28, b, from: 0), let close = Self.first(0x29, b, from: open), open > 0 else {
            return nil
        }
        value = open + 1..<close
        var at = 0
        var isElectricity = true
        if let colon = Self.first(0x3A, b, from: 0), colon < open {
            guard let medium = Self.number(b, &at), at < colon, b[at] == 0x2D else { return nil }
            at += 1
            guard let channel = Self.number(b, &at), at == colon else { return nil }
            isElectricity = medium == 1 && channel <= 1
            at = colon + 1
        }
        var end = open
        // A star tells whose month it is; & the same, after a reset by hand.
        for i in at..<open where b[i] == 0x2A || b[i] == 0x26 {
            var history = i + 1
            let isPresent = b[i] == 0x2A && Self.number(b, &history) == 255 && history == open
            isElectricity = isElectricity && isPresent
            end = i
            break
        }
        isPresentElectricity = isElectricity
        code = Self.code(b, at..<end)
    }

    private static func code(_ b: borrowing Span<UInt8>, _ range: Range<Int>) -> ObisCode? {
        var at = range.lowerBound
        guard let c = number(b, &at), at < range.upperBound, b[at] == 0x2E else { return nil }
        at += 1
        guard let d = number(b, &at) else { return nil }
        if at == range.upperBound { return ObisCode(c, d, 255) }
        guard b[at] == 0x2E else { return nil }
        at += 1
        guard let e = number(b, &at), at == range.upperBound else { return nil }
        return ObisCode(c, d, e)
    }

    private static func first(_ byte: UInt8, _ b: borrowing Span<UInt8>, from start: Int) -> Int? {
        for i in start..<b.count where b[i] == byte { return i }
        return nil
    }

    /// Up to three digits; `at` moves behind them.
    private static func number(_ b: borrowing Span<UInt8>, _ at: inout Int) -> UInt8? {
        var number = 0
        let start = at
        while at < b.count, (0x30...0x39).contains(b[at]), at - start < 3 {
            number = number * 10 + Int(b[at] - 0x30)
            at += 1
        }
        return at > start ? UInt8(exactly: number) : nil
    }

    /// `001204.517*kWh` in the unit of readings, exactly: digits and a power of ten, never a sum of
    /// fractions. A bare number has the unit 1.
    static func number(_ b: borrowing Span<UInt8>, _ range: Range<Int>) -> (value: Double, unit: Unit)? {
        var at = range.lowerBound
        let isNegative = at < range.upperBound && b[at] == 0x2D
        if isNegative { at += 1 }
        var digits: Int64 = 0
        var places = 0
        var divisor = 1.0
        var isFraction = false
        while at < range.upperBound, b[at] != 0x2A {
            if b[at] == 0x2E, !isFraction {
                isFraction = true
            } else {
                guard (0x30...0x39).contains(b[at]), places < 15 else { return nil }
                digits = digits * 10 + Int64(b[at] - 0x30)
                places += 1
                if isFraction { divisor *= 10 }
            }
            at += 1
        }
        guard places > 0 else { return nil }
        guard at < range.upperBound else {
            let value = Double(digits) / divisor
            return (isNegative && value != 0 ? -value : value, .one)
        }
        for (name, unit, factor) in units where name.utf8.count == range.upperBound - at - 1 {
            var i = at + 1
            var isSame = true
            for letter in name.utf8 {
                isSame = isSame && b[i] == letter
                i += 1
            }
            guard isSame else { continue }
            var value = Double(digits) * factor / divisor
            if unit == .milliwattHour { value = value.rounded() }
            return (isNegative && value != 0 ? -value : value, unit)
        }
        return nil
    }

    private static let units: [(String, Unit, Double)] = [
        ("kWh", .milliwattHour, 1e6), ("Wh", .milliwattHour, 1e3), ("MWh", .milliwattHour, 1e9), ("kW", .watt, 1e3),
        ("W", .watt, 1), ("MW", .watt, 1e6), ("V", .volt, 1), ("A", .ampere, 1), ("Hz", .hertz, 1),
    ]
}
