package import Model

/// Scales that print their display, one line a weighing or several a second, 9600 8N1 or 7E1:
///
///     ST,GS,+  0.042kg⏎           ST stable, US unstable, OL overload; GS gross, NT net (also TR: tared)
///     ST,GS,+00001.5,kg⏎          a comma before the unit
///     ST,NT,1L,   0.120 kg⏎       CAS, 22 bytes: a byte of the device, one of its lamps (also above 7F), 8 of weight
///        12.34 g ?⏎               without a head; ? is unstable
///
/// A weight counts when it is stable. What the pan shows on the way is no measurement, and overload is unknown, whatever
/// digits stand there.
package struct Scale: DeviceDriver {
    package static let info = DriverInfo(
        name: "scale", title: "Scales that print their display as text", link: .line, family: "workshop",
        silence: .minutes(2))

    package let channels: [Channel] = [
        .gauge("mass", .gram, -1e6...1e8), .gauge("stable", .one, 0...1), .gauge("net", .one, 0...1),
        .gauge("overload", .one, 0...1),
    ]
    private static let mass = 0, stable = 1, net = 2, overload = 3

    private var lines = LineBuffer(limit: 64)
    private var isFirstLine = true
    /// A scale that writes heads is not believed without: `042kg` may be the rest of a torn line.
    private var hasHeads = false

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {}

    package mutating func opened(_ out: inout Outbox) {
        lines.clear()
        isFirstLine = true
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        for i in bytes.indices {
            switch lines.take(bytes[i]) {
            case .more: break
            case .overlong: out.note(.overrun, "a line longer than 64 bytes; is it a scale?")
            case .line where out.readings.count + channels.count > 64: out.note(.overrun, "too many lines at once")
            case .line:
                take(lines.line, &out)
                isFirstLine = false
            }
        }
    }

    private mutating func take(_ line: [UInt8], _ out: inout Outbox) {
        // Some send STX before and ETX behind.
        let line = line.drop { $0 <= 0x20 }.dropLast(while: { $0 <= 0x20 })
        guard !line.isEmpty else { return }
        guard let weighing = Weighing(line), weighing.hasHead || !isFirstLine && !hasHeads else {
            guard !isFirstLine else { return }
            let isMisread = line.count { $0 >= 0x80 } > 2
            let words = String(decoding: line.prefix(40).map { $0 >= 0x20 && $0 < 0x7F ? $0 : 0x2E }, as: UTF8.self)
            return out.note(.badFrame, "no weight: \(words)" + (isMisread ? "; is the line 7E1 and not 8N1?" : ""))
        }
        hasHeads = weighing.hasHead
        out.alive()
        guard weighing.head != .counting else { return }
        let isOver = weighing.head == .overload
        if isOver {
            out.reportUnknown(Self.mass)
        } else if weighing.head == .stable {
            out.report(Self.mass, of: channels, weighing.grams)
        }
        out.report(Self.stable, of: channels, weighing.head == .stable ? 1 : 0)
        if let isNet = weighing.isNet { out.report(Self.net, of: channels, isNet ? 1 : 0) }
        out.report(Self.overload, of: channels, isOver ? 1 : 0)
    }
}

/// One line of a scale.
private struct Weighing {
    enum Head { case stable, unstable, overload, counting }

    let head: Head
    let hasHead: Bool
    /// nil where the line does not say.
    let isNet: Bool?
    /// 0 where there are none to be trusted: overload, counting.
    let grams: Double

    init?(_ line: ArraySlice<UInt8>) {
        var rest = line
        guard let first = line.first else { return nil }
        hasHead = (0x41...0x5A).contains(first)
        guard hasHead else {
            isNet = nil
            let isUnstable = line.last == 0x3F
            head = isUnstable ? .unstable : .stable
            guard let grams = Self.grams(isUnstable ? line.dropLast() : line) else { return nil }
            self.grams = grams
            return
        }
        switch Self.word(&rest) {
        case "ST": head = .stable
        case "US": head = .unstable
        case "OL": head = .overload
        case "QT": head = .counting
        default: return nil
        }
        var isNet: Bool?
        if let letter = rest.first, (0x41...0x5A).contains(letter) {
            switch Self.word(&rest) {
            case "GS": isNet = false
            case "NT", "TR": isNet = true
            default: return nil
            }
        }
        self.isNet = isNet
        // CAS: two bytes of any value, then a comma. No number has a comma there.
        if isNet != nil, line.count == 20, rest.count == 14, rest[rest.startIndex + 2] == 0x2C {
            rest = rest.dropFirst(3)
        }
        guard head == .stable || head == .unstable else {
            grams = 0
            return
        }
        guard let grams = Self.grams(rest) else { return nil }
        self.grams = grams
    }

    /// Two letters and a comma.
    private static func word(_ rest: inout ArraySlice<UInt8>) -> String? {
        guard rest.count > 3, rest[rest.startIndex + 2] == 0x2C else { return nil }
        defer { rest = rest.dropFirst(3) }
        return String(decoding: rest.prefix(2), as: UTF8.self)
    }

    /// `+  0.042kg`: sign, blanks, digits, perhaps a comma, unit.
    private static func grams(_ text: ArraySlice<UInt8>) -> Double? {
        var text = text.drop { $0 == 0x20 }
        let isNegative = text.first == 0x2D
        if isNegative || text.first == 0x2B { text = text.dropFirst() }
        text = text.drop { $0 == 0x20 }
        var digits: Int64 = 0
        var places = 0
        var divisor = 1.0
        var hasPoint = false
        while let byte = text.first, (0x30...0x39).contains(byte) || byte == 0x2E && !hasPoint && places > 0 {
            text = text.dropFirst()
            if byte == 0x2E {
                hasPoint = true
                continue
            }
            places += 1
            guard places <= 10 else { return nil }
            digits = digits * 10 + Int64(byte - 0x30)
            if hasPoint { divisor *= 10 }
        }
        guard places > 0, !hasPoint || divisor > 1 else { return nil }
        if text.first == 0x2C { text = text.dropFirst() }
        let factor: Double
        switch String(decoding: text.drop { $0 == 0x20 }.dropLast(while: { $0 == 0x20 }), as: UTF8.self) {
        case "g": factor = 1
        case "kg": factor = 1000
        case "t": factor = 1_000_000
        case "lb": factor = 453.59237
        case "oz": factor = 28.349523125
        default: return nil
        }
        // A pound has no end of decimals; nothing on a scale is finer than a microgram.
        let grams = (Double(digits) * factor / divisor * 1e6).rounded() / 1e6
        return isNegative && grams != 0 ? -grams : grams
    }
}

extension ArraySlice<UInt8> {
    fileprivate func dropLast(while predicate: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        var end = endIndex
        while end > startIndex, predicate(self[end - 1]) { end -= 1 }
        return self[startIndex..<end]
    }
}
