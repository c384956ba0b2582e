package import Model

/// Meters with an optical eye or a serial port after IEC 62056-21, 7E1: registers as text.
///
///     we     /?⏎ … in full /?ADDRESS!⏎             request, mode C only
///     meter  /MKS5FAB01⏎                           maker, baud proposal (5: 9600), name
///     we     06 30 Z 30 ⏎                          acknowledge: readout at the rate Z
///     meter  02 F.F(00)⏎
///               1.8.0(004217.36*kWh)⏎
///               !⏎
///            03 BCC                                XOR of all bytes after 02 up to 03
///
/// In mode D a meter sends head and block by itself, most without 02, 03 and BCC: there the block ends with the `!` line.
///
/// Between head and acknowledge lies the meter's reaction time, see `reactionTime`.
///
/// A driver cannot change its line's speed. So the acknowledge proposes the rate at which the line already is (`rate`,
/// 300 baud unless set), which a meter must follow; or the meter pushes and nothing is asked.
package struct IEC62056: DeviceDriver {
    package static let info = DriverInfo(
        name: "iec62056-21", title: "Meters after IEC 62056-21: mode D, which push, and mode C, which are asked",
        link: .line, family: "meters", silence: .minutes(20), every: .minutes(1))

    package let channels = MeterSnapshot.channels
    /// `/?!⏎`; nil in mode D.
    private let request: [UInt8]?
    /// `06 30 Z 30 ⏎`
    private let acknowledge: [UInt8]

    private enum Part { case outside, head, body, check }

    private var lines = LineBuffer(limit: 256)
    private var part = Part.outside
    /// XOR of what came behind the 02.
    private var sum: UInt8 = 0
    private var isSummed = false
    private var hasDamage = false
    private var hasRegisters = false
    private var length = 0
    /// A meter that sends a BCC once is believed only with it.
    private var needsBCC = false
    private var snapshot = MeterSnapshot()
    private var energyBefore: UInt32?
    private var identity = Identity()
    private var isAsked = false

    /// Rates and their letters in head and acknowledge.
    private enum Rate: String, CaseIterable {
        case baud300 = "300"
        case baud600 = "600"
        case baud1200 = "1200"
        case baud2400 = "2400"
        case baud4800 = "4800"
        case baud9600 = "9600"
        case baud19200 = "19200"
    }

    private enum Mode: String, CaseIterable { case push, readout }

    /// Device keys: `mode`: `push` (D, the default) or `readout` (C); for the latter `address`, the meter's number, where
    /// several share a line, and `rate`, the speed that the line has (300).
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        let mode = setup.fields.choice("mode", of: Mode.self, &problems) ?? .push
        let rate = setup.fields.choice("rate", of: Rate.self, &problems) ?? .baud300
        let place = setup.fields.place("address")
        let address = setup.fields.text("address", &problems) ?? ""
        if address.utf8.count > 32
            || !address.utf8.allSatisfy({
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
            })
        {
            problems.add(
                place, "'address' is a meter's number, up to 32 digits or letters, not '\(address.clipped(to: 40))'")
        }
        guard problems.all.count == before else { return nil }
        request = mode == .push ? nil : Array("/?\(address)!\r\n".utf8)
        let letter = 0x30 + UInt8(Rate.allCases.firstIndex(of: rate) ?? 0)
        acknowledge = [0x06, 0x30, letter, 0x30, 0x0D, 0x0A]
    }

    package mutating func opened(_ out: inout Outbox) { leave() }

    package mutating func poll(_ out: inout Outbox) {
        guard let request else { return }
        leave()
        isAsked = true
        out.send(.write(request, replyWithin: .seconds(5)))
    }

    package mutating func noReply(_ out: inout Outbox) {
        isAsked = false
        out.note(.noReply, part == .body ? "the meter's list did not end in time" : "no answer to the request /?!")
    }

    /// In a recording with its questions, what was asked needs no asking again.
    package mutating func overheard(_ request: borrowing Span<UInt8>) { isAsked = false }

    package mutating func recall(_ memory: String) { identity.recall(memory) }

    private mutating func leave() {
        lines.clear()
        part = .outside
        isAsked = false
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        for i in bytes.indices { take(bytes[i], &out) }
    }

    private mutating func take(_ byte: UInt8, _ out: inout Outbox) {
        switch part {
        case .check: return finish(byte, &out)
        case _ where byte == 0x2F:
            if part == .body { out.note(.badFrame, "a list without its end, after \(length) bytes") }
            begin()
        case .outside: return
        case _ where byte == 0x02:
            sum = 0
            isSummed = true
            part = .body
            return lines.clear()
        default: break
        }
        length += 1
        sum ^= byte
        if byte == 0x03, isSummed {
            part = .check
            return
        }
        // Filling that wakes up battery meters.
        guard byte != 0x7F else { return }
        switch lines.take(byte) {
        case .more: break
        case .line: takeLine(&out)
        case .overlong: drop("a line longer than 256 bytes", &out)
        }
        if part != .outside, length > 16_384 { drop("a list longer than 16384 bytes", &out) }
    }

    private mutating func begin() {
        lines.clear()
        part = .head
        length = 0
        isSummed = false
        hasDamage = false
        hasRegisters = false
        snapshot.clear()
    }

    private mutating func drop(_ detail: String, _ out: inout Outbox) {
        out.note(.overrun, detail)
        lines.clear()
        part = .outside
    }

    private mutating func takeLine(_ out: inout Outbox) {
        let line = lines.line
        guard let first = line.first else { return }
        if first == 0x2F {
            // Our own request comes back through some heads.
            if line.count > 1, line[1] == 0x3F { return part = .outside }
            part = .body
            guard line.count >= 5 else { return part = .outside }
            out.alive()
            if isAsked {
                isAsked = false
                // A long list at 300 baud takes more than a minute.
                out.send(.write(acknowledge, replyWithin: .seconds(90), after: Self.reactionTime(line)))
            }
            return
        }
        if first == 0x21 {
            // With 02 before, 03 and BCC follow.
            if !isSummed { publish(isProved: false, &out) }
            return
        }
        takeRegister(line, &out)
    }

    /// A meter that has spoken listens again after 200 ms at the earliest, one whose maker's third letter is small after
    /// 20 ms. An acknowledge before that is lost.
    private static func reactionTime(_ head: [UInt8]) -> Duration {
        (0x61...0x7A).contains(head[3]) ? .milliseconds(30) : .milliseconds(220)
    }

    private mutating func takeRegister(_ line: [UInt8], _ out: inout Outbox) {
        // More values of the line before, such as a load profile's.
        guard line.first != 0x28 else { return }
        guard let parsed = ObisLine(line.span) else { return hasDamage = true }
        hasRegisters = true
        if Self.isSerial(line.span), !parsed.value.isEmpty {
            snapshot.serial = Identity.hash(line.span, parsed.value)
            return
        }
        if Self.isErrors(line), line[parsed.value].contains(where: { $0 != 0x30 }) {
            out.note(
                .sensorFault,
                "the meter's error register shows \(String(decoding: line[parsed.value].prefix(24), as: UTF8.self))")
        }
        guard parsed.isPresentElectricity, let code = parsed.code, let quantity = ObisQuantity(code) else { return }
        guard let number = ObisLine.number(line.span, parsed.value), number.unit == quantity.unit else {
            snapshot.spoil(quantity)
            hasDamage = true
            return out.note(.badValue, "register \(code.inWords) has no number with a fitting unit")
        }
        snapshot.take(quantity, number.value)
    }

    /// `0.0.0(12345678)`, `C.1.0(12345678)` or `C.1(12345678)`, in short or with a medium before: the meter's number.
    private static func isSerial(_ line: borrowing Span<UInt8>) -> Bool {
        var end = 0
        while end < line.count, line[end] != 0x28, line[end] != 0x2A { end += 1 }
        if end >= 3, line[end - 3] == 0x43, line[end - 2] == 0x2E, line[end - 1] == 0x31 {
            return end == 3 || line[end - 4] == 0x3A
        }
        guard end >= 5, end == 5 || line[end - 6] == 0x3A else { return false }
        let isNumbered =
            line[end - 5] == 0x30 && line[end - 3] == 0x30 || line[end - 5] == 0x43 && line[end - 3] == 0x31
        return isNumbered && line[end - 4] == 0x2E && line[end - 2] == 0x2E && line[end - 1] == 0x30
    }

    /// `F.F(00)`, in short or with a medium before and a star behind: `1-0:F.F*255(00000000)`.
    private static func isErrors(_ line: [UInt8]) -> Bool {
        let name = line.prefix { $0 != 0x28 && $0 != 0x2A }
        return name.drop { $0 != 0x46 }.elementsEqual(errors) && (name.count == errors.count || name.contains(0x3A))
    }

    private static let errors = Array("F.F".utf8)

    private mutating func finish(_ byte: UInt8, _ out: inout Outbox) {
        out.answered()
        guard byte & 0x7F == sum & 0x7F else {
            part = .outside
            return out.note(.badChecksum, "the list's BCC does not fit")
        }
        needsBCC = true
        publish(isProved: true, &out)
    }

    private mutating func publish(isProved: Bool, _ out: inout Outbox) {
        part = .outside
        guard isProved || !needsBCC else { return out.note(.badChecksum, "a list without its BCC") }
        guard hasRegisters else { return }
        guard out.readings.count + channels.count <= 64 else { return out.note(.overrun, "too many lists at once") }
        if hasDamage, !isProved { out.note(.badFrame, "a list with a line that is no register") }
        let registers = snapshot.energyRegisters
        let isWhole = isProved || (!hasDamage && registers == energyBefore)
        energyBefore = registers
        out.alive()
        out.answered()
        snapshot.reportExchange(&identity, isProved: isProved, at: nil, &out)
        snapshot.report(withEnergy: isWhole, at: nil, &out)
    }
}
