package import Model

/// Smart Message Language (BSI TR-03109-1, annex IV): what German meters push over their infrared eye, 9600 8N1, every
/// one to four seconds.
///
///     1B 1B 1B 1B 01 01 01 01          begin
///     messages, filled with 00 to a multiple of four; four 1B inside are sent twice
///     1B 1B 1B 1B 1A pad lo hi         end, how many 00 were added, CRC-16/X-25 over all before it
///
/// What stands in a message is in SMLMessage.swift. Some meters compute the CRC after Kermit: taken as well.
///
/// Nothing is told before the CRC has proved the whole file. The step of a counter depends on whether the meter's PIN was
/// entered (1 kWh or 0.1 Wh) and may change while it runs. That is no reset: a register in steps of 1 kWh that shows
/// 5234 says "5234 to 5235", and if the finer number before lies there, it still holds.
package struct SML: DeviceDriver {
    package static let info = DriverInfo(
        name: "sml", title: "German smart meters that push SML", link: .line, family: "meters", silence: .minutes(1))

    package let channels = MeterSnapshot.channels

    private var frame = SMLFrame()
    private var snapshot = MeterSnapshot()
    /// What the totals of energy showed last, in and out.
    private var totals: [Total?] = [nil, nil]
    private var identity = Identity()

    private struct Total: Sendable {
        let scaler: Int
        let value: Double
    }

    /// Some DZG meters write 356.24 W, 35 624 steps, as a signed integer of two octets: −299.12 W.
    private let hasUnsignedPower: Bool

    /// Device key: `unsigned_power: true` for a meter with that mistake, which then cannot tell what flows out.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        hasUnsignedPower = setup.fields.flag("unsigned_power", &problems) ?? false
        guard problems.all.count == before else { return nil }
    }

    package mutating func opened(_ out: inout Outbox) { frame.clear() }

    package mutating func recall(_ memory: String) { identity.recall(memory) }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        for i in bytes.indices {
            switch frame.take(bytes[i]) {
            case .more: break
            case .cut: out.note(.badFrame, "a file without its end")
            case .overlong: out.note(.overrun, "a file longer than \(SMLFrame.limit) bytes")
            case .broken: out.note(.badFrame, "a 1B1B1B1B in a file that is neither data nor its end")
            case .badChecksum: out.note(.badChecksum, "the file's CRC does not fit")
            case .file: take(&out)
            }
        }
    }

    private mutating func take(_ out: inout Outbox) {
        guard out.readings.count + channels.count <= 64 else { return out.note(.overrun, "too many files at once") }
        snapshot.clear()
        let file = frame.payload
        var reader = SMLReader(count: file.count, hasUnsignedPower: hasUnsignedPower)
        var registers = 0
        while let entry = reader.nextEntry(file.span) {
            registers += 1
            take(entry, &out)
        }
        if reader.isBroken { out.note(.badFrame, "a file whose list ends early or is no list") }
        if registers > 0 { out.alive() }
        if let server = reader.server { snapshot.serial = Identity.hash(file.span, server) }
        snapshot.reportExchange(&identity, isProved: !reader.isBroken, at: nil, &out)
        // Half a list may lack a tariff.
        snapshot.report(withEnergy: !reader.isBroken, at: nil, &out)
    }

    private mutating func take(_ entry: SMLEntry, _ out: inout Outbox) {
        guard entry.isPresentElectricity, let quantity = ObisQuantity(entry.code) else { return }
        guard let value = entry.value(in: quantity.unit) else {
            snapshot.spoil(quantity)
            return out.note(.badValue, "register \(entry.code.inWords) has no number in a unit that fits it")
        }
        switch quantity {
        case .energyIn(tariff: 0): snapshot.take(quantity, refined(value, 0, entry, &out))
        case .energyOut(tariff: 0): snapshot.take(quantity, refined(value, 1, entry, &out))
        default: snapshot.take(quantity, value)
        }
    }

    /// The total, or the finer number before it that lies within the same step.
    private mutating func refined(_ value: Double, _ place: Int, _ entry: SMLEntry, _ out: inout Outbox) -> Double {
        var step = 1000.0
        for _ in 0..<max(0, entry.scaler) { step *= 10 }
        var best = value
        if let last = totals[place] {
            if entry.scaler > 0, last.value > value, last.value < value + step {
                best = last.value
            }
            if last.scaler != entry.scaler {
                out.note(
                    .unknownValue,
                    "register \(entry.code.inWords) now counts in steps of 10^\(entry.scaler) Wh, before in 10^\(last.scaler) Wh; a change of resolution, no reset"
                )
            }
        }
        totals[place] = Total(scaler: entry.scaler, value: best)
        return best
    }
}

extension ObisCode {
    /// `1.8.0`
    var inWords: String { "\(c).\(d).\(e)" }
}

/// Cuts bytes into SML files and takes the doubled escapes out.
struct SMLFrame: Sendable {
    enum Step { case more, file, cut, overlong, broken, badChecksum }

    /// More than ten times what a meter sends.
    static let limit = 4096

    /// The file's messages, and the 00 behind them, after `.file`.
    private(set) var payload: [UInt8] = []
    private var isInside = false
    /// How many 1B in a row, outside of an escape.
    private var escapes = 0
    /// The four bytes behind an escape.
    private var tail: [UInt8] = []
    private var isTail = false
    private var crc = Checksum()

    mutating func clear() {
        payload.removeAll(keepingCapacity: true)
        tail.removeAll(keepingCapacity: true)
        isInside = false
        isTail = false
        escapes = 0
    }

    mutating func take(_ byte: UInt8) -> Step {
        if isTail { return takeTail(byte) }
        if isInside { crc.take(byte) }
        if byte == 0x1B {
            escapes += 1
            guard escapes == 4 else { return .more }
            escapes = 0
            isTail = true
            tail.removeAll(keepingCapacity: true)
            return .more
        }
        guard isInside else {
            escapes = 0
            return .more
        }
        guard payload.count + escapes < Self.limit else {
            clear()
            return .overlong
        }
        for _ in 0..<escapes { payload.append(0x1B) }
        escapes = 0
        payload.append(byte)
        return .more
    }

    private mutating func takeTail(_ byte: UInt8) -> Step {
        // Noise before a file may end with the byte that files begin with.
        if !isInside, tail.isEmpty, byte == 0x1B { return .more }
        tail.append(byte)
        // The last two bytes of the end are the CRC of all before them.
        if isInside, tail[0] != 0x1A || tail.count <= 2 { crc.take(byte) }
        guard tail.count == 4 else { return .more }
        isTail = false
        if tail == [1, 1, 1, 1] {
            let wasInside = isInside
            clear()
            isInside = true
            crc = Checksum()
            for start: UInt8 in [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1] { crc.take(start) }
            return wasInside ? .cut : .more
        }
        guard isInside else { return .more }
        if tail == [0x1B, 0x1B, 0x1B, 0x1B], payload.count + 4 <= Self.limit {
            payload.append(contentsOf: tail)
            return .more
        }
        let end = tail
        isInside = false
        guard end[0] == 0x1A, end[1] <= 3, Int(end[1]) <= payload.count else {
            clear()
            return .broken
        }
        return crc.fits(UInt16(end[2]) | UInt16(end[3]) << 8) ? .file : .badChecksum
    }

    /// CRC-16 with the reflected polynomial 0x8408, as X-25 (from FFFF, inverted) and as Kermit (from 0) at once.
    private struct Checksum: Sendable {
        private var x25: UInt16 = 0xFFFF
        private var kermit: UInt16 = 0

        private static let table: [UInt16] = (0..<256).map { byte in
            (0..<8).reduce(UInt16(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x8408 : crc >> 1 }
        }

        mutating func take(_ byte: UInt8) {
            x25 = x25 >> 8 ^ Self.table[Int((x25 ^ UInt16(byte)) & 0xFF)]
            kermit = kermit >> 8 ^ Self.table[Int((kermit ^ UInt16(byte)) & 0xFF)]
        }

        /// Low byte first, as on the wire.
        func fits(_ told: UInt16) -> Bool { told == ~x25 || told == kermit }
    }
}
