package import Model

/// The customer port (P1) of smart meters in the Netherlands, Belgium, Luxembourg, Sweden, Hungary and elsewhere. The
/// meter pushes a telegram every second (version 5) or ten (before):
///
///     /MKS5FABLAB-01⏎                     /, maker, baud, name
///     ⏎
///     1-3:0.2.8(50)⏎                      version
///     0-0:1.0.0(260812143005S)⏎           local time; S summer, W winter
///     0-0:96.1.1(4D4B533030303031)⏎       serial number: another one is another meter
///     1-0:1.8.1(001204.517*kWh)⏎          tariffs, which are added up
///     1-0:1.7.0(03.412*kW)⏎
///     !36B8⏎                              CRC-16 (0xA001, from 0) over / to !, hex, some meters without leading zeros
///
/// Versions 2 and 3 have no CRC. There, a tariff that fails to arrive would make the sum fall, so that energy counts
/// only when the same tariffs stood in the telegram before.
package struct DSMR: DeviceDriver {
    package static let info = DriverInfo(
        name: "dsmr", title: "Smart meters with a P1 port (DSMR 2 to 5)", link: .line, family: "meters",
        silence: .minutes(1))

    package let channels = MeterSnapshot.channels
    /// Local winter time against UTC.
    private let winterOffset: Duration

    private var lines = LineBuffer(limit: 3072)
    private var isInside = false
    /// Bytes since the slash.
    private var length = 0
    private var crc: UInt16 = 0
    private var isCRCOpen = false
    private var snapshot = MeterSnapshot()
    private var time: Instant?
    /// This telegram is of a version that has a CRC; or one before was.
    private var needsCRC = false
    private var energyBefore: UInt32?
    private var hasDamage = false
    private var identity = Identity()

    /// Device key: `winter_offset`, how far local winter time is ahead of UTC (1 h).
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        winterOffset = setup.fields.duration("winter_offset", example: "1 h", &problems) ?? .hours(1)
        guard problems.all.count == before else { return nil }
    }

    package mutating func opened(_ out: inout Outbox) {
        lines.clear()
        isInside = false
    }

    package mutating func recall(_ memory: String) { identity.recall(memory) }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        for i in bytes.indices {
            let byte = bytes[i]
            if byte == 0x2F { begin(&out) }
            guard isInside else { continue }
            length += 1
            if isCRCOpen { crc = crc >> 8 ^ CRC16.table[Int((crc ^ UInt16(byte)) & 0xFF)] }
            // A telegram has one such mark, at the beginning of its last line; what follows is the CRC itself.
            if byte == 0x21 { isCRCOpen = false }
            switch lines.take(byte) {
            case .more: break
            case .line: take(&out)
            case .overlong: drop(.overrun, "a line longer than 3072 bytes", &out)
            }
            if isInside, length > 16_384 { drop(.overrun, "a telegram longer than 16384 bytes", &out) }
        }
    }

    private mutating func begin(_ out: inout Outbox) {
        if isInside { out.note(.badFrame, "a telegram without its end, after \(length) bytes") }
        lines.clear()
        isInside = true
        isCRCOpen = true
        length = 0
        crc = 0
        hasDamage = false
        time = nil
        snapshot.clear()
    }

    private mutating func drop(_ kind: Fault.Kind, _ detail: String, _ out: inout Outbox) {
        out.note(kind, detail)
        lines.clear()
        isInside = false
    }

    private mutating func take(_ out: inout Outbox) {
        let line = lines.line
        guard let first = line.first else { return }
        if first == 0x21 { return finish(line, &out) }
        guard first != 0x2F, let parsed = ObisLine(line.span) else {
            // The head, or the second line of a gas meter.
            if first != 0x2F, first != 0x28 { hasDamage = true }
            return
        }
        guard parsed.isPresentElectricity, let code = parsed.code, let quantity = ObisQuantity(code) else {
            return takeOther(line, parsed)
        }
        guard let number = ObisLine.number(line.span, parsed.value), number.unit == quantity.unit else {
            hasDamage = true
            snapshot.spoil(quantity)
            return out.note(.badValue, "no number with a fitting unit: \(Self.text(line))")
        }
        snapshot.take(quantity, number.value)
    }

    /// `1-3:0.2.8(50)`, `0-0:1.0.0(260812143005S)` and `0-0:96.1.1(4D4B533030303031)`.
    private mutating func takeOther(_ line: [UInt8], _ parsed: ObisLine) {
        if line.starts(with: Self.versionLine) { needsCRC = true }
        if line.starts(with: Self.timeLine) { time = timeStamp(line[parsed.value]) }
        if line.starts(with: Self.serialLine), !parsed.value.isEmpty {
            snapshot.serial = Identity.hash(line.span, parsed.value)
        }
    }

    private static let versionLine = Array("1-3:0.2.8(".utf8)
    private static let timeLine = Array("0-0:1.0.0(".utf8)
    private static let serialLine = Array("0-0:96.1.1(".utf8)

    private mutating func finish(_ line: [UInt8], _ out: inout Outbox) {
        isInside = false
        let digits = line.dropFirst().filter { $0 != 0x20 }
        if digits.isEmpty {
            guard !needsCRC else { return out.note(.badChecksum, "a telegram of version 4 or later without its CRC") }
        } else {
            guard let told = Self.hex(digits), told == crc else {
                return out.note(.badChecksum, "the telegram's CRC is not \(Self.text(Array(digits.prefix(8))))")
            }
            needsCRC = true
        }
        guard out.readings.count + channels.count <= 64 else {
            return out.note(.overrun, "too many telegrams at once")
        }
        if digits.isEmpty, hasDamage { out.note(.badFrame, "a telegram with a line that is no register") }
        let registers = snapshot.energyRegisters
        let isWhole = !digits.isEmpty || (!hasDamage && registers == energyBefore)
        energyBefore = registers
        out.alive()
        snapshot.reportExchange(&identity, isProved: !digits.isEmpty, at: time, &out)
        snapshot.report(withEnergy: isWhole, at: time, &out)
    }

    /// `YYMMDDhhmmss` and S or W; anything else is no time that can be trusted.
    private func timeStamp(_ b: ArraySlice<UInt8>) -> Instant? {
        let b = Array(b)
        guard b.count == 13, b.dropLast().allSatisfy({ (0x30...0x39).contains($0) }), b[12] == 0x53 || b[12] == 0x57
        else {
            return nil
        }
        func pair(_ at: Int) -> Int { Int(b[at] - 0x30) * 10 + Int(b[at + 1] - 0x30) }
        guard let date = CivilDate(year: 2000 + pair(0), month: pair(2), day: pair(4)), pair(6) < 24, pair(8) < 60,
            pair(10) < 60
        else { return nil }
        let seconds = date.daysSince1970 * 86_400 + Int64(pair(6) * 3600 + pair(8) * 60 + pair(10))
        let summer = Duration.hours(b[12] == 0x53 ? 1 : 0)
        return Instant(milliseconds: seconds * 1000) - winterOffset - summer
    }

    /// One to four hex digits.
    private static func hex(_ digits: some Collection<UInt8>) -> UInt16? {
        guard (1...4).contains(digits.count) else { return nil }
        return UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    }

    private static func text(_ line: [UInt8]) -> String {
        String(decoding: line.prefix(60).map { $0 >= 0x20 && $0 < 0x7F ? $0 : 0x2E }, as: UTF8.self)
    }
}
