import Model

// The fields of SML. Each begins with a type and a length, the latter over all of the field but for lists:
//
//     ┌───┬────────┬───────┐
//     │ m │  type  │ length│   m: another such byte follows with four more bits of length
//     └───┴────────┴───────┘   type 0 octets, 4 bool, 5 integer, 6 unsigned, 7 list (length counts its members)
//       1     3        4       01 is a member left out, 00 the end of a message
//
// A file is messages of six members; the fourth is a list of a tag (0x0701: values) and a body. The body of 0x0701 is
//
//     client, server, list's name, time, [entry, entry, …], signature, gateway's time
//     entry: OBIS code (6 octets), status, time, unit (DLMS number), scaler, value, signature
//
// Integers may be of any length from 1 to 8 octets, high octet first.

/// One register of a list, as it stands there.
struct SMLEntry {
    let code: ObisCode
    /// Electricity as a whole, as it is now.
    let isPresentElectricity: Bool
    /// The DLMS number of the unit.
    let unit: Int?
    /// The value counts in steps of ten to this power.
    let scaler: Int
    /// nil where the value is no integer.
    let digits: Int64?

    /// In a unit of readings; nil where this register has another one.
    func value(in wanted: Unit) -> Double? {
        guard let digits, (-9...9).contains(scaler) else { return nil }
        let power: Int
        switch (unit, wanted) {
        // mWh: three digits more than Wh.
        case (30, .milliwattHour): power = scaler + 3
        case (27, .watt), (33, .ampere), (35, .volt), (44, .hertz), (255, .one), (nil, .one): power = scaler
        default: return nil
        }
        var factor = 1.0
        for _ in 0..<abs(power) { factor *= 10 }
        let value = power < 0 ? Double(digits) / factor : Double(digits) * factor
        return wanted == .milliwattHour ? value.rounded() : value
    }
}

/// Walks over a file's messages and gives the registers of their lists. It never goes beyond the file's end and never
/// deeper than lists are.
struct SMLReader {
    private let count: Int
    private var at = 0
    /// Entries that are left of the list at hand.
    private var entriesLeft = 0
    /// Members behind the list: of the body, and of the message.
    private var membersBehind = 0
    /// The octets that name the meter; nil before they were met, or where they are left out.
    private(set) var server: Range<Int>?
    /// Something did not fit; nothing follows then.
    private(set) var isBroken = false

    private let hasUnsignedPower: Bool

    init(count: Int, hasUnsignedPower: Bool = false) {
        self.count = count
        self.hasUnsignedPower = hasUnsignedPower
    }

    private enum Field: Equatable {
        case list(Int)
        case octets(Range<Int>)
        case integer(Range<Int>, isSigned: Bool)
        case other
        case missing
        case endOfMessage
    }

    mutating func nextEntry(_ b: borrowing Span<UInt8>) -> SMLEntry? {
        while !isBroken {
            if entriesLeft > 0 {
                entriesLeft -= 1
                if let entry = entry(b) { return entry }
                continue
            }
            if membersBehind > 0 {
                for _ in 0..<membersBehind { skip(b) }
                membersBehind = 0
                expectEnd(b)
                continue
            }
            // What is left may be filled with 00.
            while at < count, b[at] == 0 { at += 1 }
            guard at < count else { return nil }
            beginMessage(b)
        }
        return nil
    }

    private mutating func beginMessage(_ b: borrowing Span<UInt8>) {
        guard field(b) == .list(6) else { return isBroken = true }
        for _ in 0..<3 { skip(b) }
        guard field(b) == .list(2), case .integer(let tag, isSigned: false) = field(b) else { return isBroken = true }
        guard Self.number(b, tag, isSigned: false) == 0x0701 else {
            skip(b)
            skip(b)
            return expectEnd(b)
        }
        guard field(b) == .list(7) else { return isBroken = true }
        skip(b)
        if case .octets(let name) = field(b) { server = name }
        for _ in 0..<2 { skip(b) }
        guard case .list(let entries) = field(b) else { return isBroken = true }
        entriesLeft = entries
        // Signature and gateway's time, then the message's own CRC.
        membersBehind = 3
    }

    private mutating func expectEnd(_ b: borrowing Span<UInt8>) {
        if !isBroken, field(b) != .endOfMessage { isBroken = true }
    }

    private mutating func entry(_ b: borrowing Span<UInt8>) -> SMLEntry? {
        guard field(b) == .list(7), case .octets(let name) = field(b) else {
            isBroken = true
            return nil
        }
        skip(b)
        skip(b)
        let unit = integer(b)
        let scaler = integer(b)
        let value = integer(b, isUnsigned: hasUnsignedPower && unit == 27)
        skip(b)
        guard !isBroken, name.count == 6 else { return nil }
        let first = name.lowerBound
        return SMLEntry(
            code: ObisCode(b[first + 2], b[first + 3], b[first + 4]),
            isPresentElectricity: b[first] == 1 && b[first + 1] <= 1 && b[first + 5] == 255,
            unit: unit.flatMap { Int(exactly: $0) }, scaler: scaler.flatMap { Int(exactly: $0) } ?? 0, digits: value)
    }

    /// An integer; nil for any other field.
    private mutating func integer(_ b: borrowing Span<UInt8>, isUnsigned: Bool = false) -> Int64? {
        let start = at
        switch field(b) {
        case .integer(let range, let isSigned): return Self.number(b, range, isSigned: isSigned && !isUnsigned)
        case .list:
            at = start
            skip(b)
            return nil
        default: return nil
        }
    }

    private static func number(_ b: borrowing Span<UInt8>, _ range: Range<Int>, isSigned: Bool) -> Int64? {
        guard (1...8).contains(range.count) else { return nil }
        var pattern: UInt64 = isSigned && b[range.lowerBound] & 0x80 != 0 ? .max : 0
        for i in range { pattern = pattern << 8 | UInt64(b[i]) }
        return isSigned ? Int64(bitPattern: pattern) : Int64(exactly: pattern)
    }

    /// Passes over a field with everything inside it.
    private mutating func skip(_ b: borrowing Span<UInt8>) {
        var open = 1
        while open > 0, !isBroken {
            open -= 1
            switch field(b) {
            case .list(let members): open += members
            case .endOfMessage: isBroken = true
            default: break
            }
        }
    }

    private mutating func field(_ b: borrowing Span<UInt8>) -> Field {
        guard at < count else {
            isBroken = true
            return .other
        }
        let start = at
        let type = b[at] >> 4 & 7
        var length = Int(b[at] & 0x0F)
        var hasMore = b[at] & 0x80 != 0
        at += 1
        if !hasMore, type == 0, length == 0 { return .endOfMessage }
        while hasMore {
            guard at < count, at - start < 3 else {
                isBroken = true
                return .other
            }
            hasMore = b[at] & 0x80 != 0
            length = length << 4 | Int(b[at] & 0x0F)
            at += 1
        }
        // A list has at least as many bytes as members.
        if type == 7, length <= count - at { return .list(length) }
        let end = start + length
        guard type != 7, end >= at, end <= count else {
            isBroken = true
            return .other
        }
        let content = at..<end
        at = end
        switch type {
        case 0: return content.isEmpty ? .missing : .octets(content)
        case 5: return .integer(content, isSigned: true)
        case 6: return .integer(content, isSigned: false)
        default: return .other
        }
    }
}
