// Frames of Modbus RTU (Modbus over Serial Line V1.02, Modbus Application Protocol V1.1b3).
//
//     question   ┌──────┬──────────┬─────────┬─────────┬────────┐
//                │ unit │ function │ address │  count  │  CRC   │   8 bytes; address and count high byte first,
//                └──────┴──────────┴─────────┴─────────┴────────┘   CRC low byte first, over all before it
//                   1        1          2         2        2
//
//     answer     ┌──────┬──────────┬───┬─────────── n ──────────┬────────┐
//                │ unit │ function │ n │ registers, high first  │  CRC   │   5 + n bytes: n = 2 × count for registers,
//                └──────┴──────────┴───┴────────────────────────┴────────┘   n = ⌈count / 8⌉ for bits, lowest bit first
//
//     refusal    ┌──────┬────────────────┬──────┬────────┐
//                │ unit │ function | 80h │ code │  CRC   │               5 bytes
//                └──────┴────────────────┴──────┴────────┘
//
// An answer does not say which address it answers: only the open question does.

/// One question: which registers or bits of which unit.
package struct ModbusQuestion: Hashable, Sendable {
    package let unit: UInt8
    /// 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers.
    package let function: UInt8
    package let address: UInt16
    package let count: UInt16

    package init(unit: UInt8, function: UInt8, address: UInt16, count: UInt16) {
        self.unit = unit
        self.function = function
        self.address = address
        self.count = count
    }

    /// nil where the bytes are no reading question with a right CRC.
    package init?(_ b: borrowing Span<UInt8>) {
        guard b.count == 8, (1...4).contains(b[1]), CRC16.of(b, count: 6) == UInt16(b[6]) | UInt16(b[7]) << 8 else {
            return nil
        }
        unit = b[0]
        function = b[1]
        address = UInt16(b[2]) << 8 | UInt16(b[3])
        count = UInt16(b[4]) << 8 | UInt16(b[5])
        guard (1...(function <= 2 ? 2000 : 125)).contains(count) else { return nil }
    }

    /// The question as it goes on the wire.
    package var frame: [UInt8] {
        var frame = [
            unit, function, UInt8(address >> 8), UInt8(address & 0xFF), UInt8(count >> 8), UInt8(count & 0xFF),
        ]
        let crc = CRC16.of(frame.span, count: 6)
        frame.append(UInt8(crc & 0xFF))
        frame.append(UInt8(crc >> 8))
        return frame
    }

    /// How many bytes of data a fitting answer holds.
    package var dataBytes: Int { function <= 2 ? (Int(count) + 7) / 8 : Int(count) * 2 }

    /// Whether another question asks for the same, whichever unit.
    func asksTheSame(as other: ModbusQuestion) -> Bool {
        function == other.function && address == other.address && count == other.count
    }

    /// Whether an answer to this question holds the registers or bits from `first` to before `end`.
    package func covers(_ first: Int, before end: Int) -> Bool {
        first >= Int(address) && end <= Int(address) + Int(count)
    }

    /// "8 input registers from 0x03E8", for messages.
    package var inWords: String {
        let what = ["coils", "discrete inputs", "holding registers", "input registers"][Int(function &- 1) & 3]
        let hex = String(address, radix: 16, uppercase: true)
        return "\(count) \(what) from 0x" + String(repeating: "0", count: 4 - hex.count) + hex
    }
}

/// What a refusal's code means.
package enum ModbusException {
    package static func name(_ code: UInt8) -> String {
        switch code {
        case 1: "illegal function"
        case 2: "illegal data address"
        case 3: "illegal data value"
        case 4: "device failure"
        case 5: "acknowledge, not ready yet"
        case 6: "busy"
        case 7: "negative acknowledge"
        case 8: "memory parity error"
        case 10: "gateway path unavailable"
        case 11: "gateway target does not answer"
        default: "exception \(code)"
        }
    }
}

/// CRC-16/MODBUS: polynomial 0xA001 (reflected), start 0xFFFF.
package enum CRC16 {
    package static let start: UInt16 = 0xFFFF

    /// What each byte does to the remainder.
    package static let table: [UInt16] = (0..<256).map { byte in
        (0..<8).reduce(UInt16(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
    }

    package static func of(_ b: borrowing Span<UInt8>, count: Int) -> UInt16 {
        let table = table
        var crc = start
        for i in 0..<min(count, b.count) { crc = crc >> 8 ^ table[Int((crc ^ UInt16(b[i])) & 0xFF)] }
        return crc
    }
}
