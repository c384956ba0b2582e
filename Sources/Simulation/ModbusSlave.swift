import Model

/// The listening side of Modbus RTU. Questions with function 1 to 6 all have one shape:
///
///     unit function address(2) count or value(2) CRC-16(2, low byte first)
///       01    04     00 48            00 02        F1 DD
///
/// Bytes come in any chunks. A question is found by its checksum, so that garbage, half frames and the other
/// stations' answers on the same wire pass by.
struct ModbusEar: Hashable, Sendable {
    struct Question: Hashable, Sendable {
        let unit: UInt8
        let function: UInt8
        let address: UInt16
        let count: UInt16
    }

    private var bytes: [UInt8] = []

    /// The questions that are complete with these bytes.
    mutating func hear(_ chunk: [UInt8]) -> [Question] {
        bytes += chunk
        var questions: [Question] = []
        var at = 0
        while at + 8 <= bytes.count {
            let frame = bytes[at..<at + 8]
            guard (1...6).contains(bytes[at + 1]), ModbusCRC.fits(frame) else {
                at += 1
                continue
            }
            questions.append(
                Question(
                    unit: bytes[at], function: bytes[at + 1], address: Self.word(bytes, at + 2),
                    count: Self.word(bytes, at + 4)))
            at += 8
        }
        bytes.removeFirst(at)
        return questions
    }

    private static func word(_ b: [UInt8], _ at: Int) -> UInt16 { UInt16(b[at]) << 8 | UInt16(b[at + 1]) }
}

/// A station's answers.
enum ModbusAnswer {
    /// `unit function count data… CRC`
    static func registers(_ values: [UInt16], to question: ModbusEar.Question) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(5 + values.count * 2)
        frame.append(question.unit)
        frame.append(question.function)
        frame.append(UInt8(truncatingIfNeeded: values.count * 2))
        for value in values {
            frame.append(UInt8(value >> 8))
            frame.append(UInt8(value & 0xFF))
        }
        return ModbusCRC.sealed(frame)
    }

    /// `unit function|0x80 code CRC`; 1 illegal function, 2 illegal data address, 3 illegal data value.
    static func exception(_ code: UInt8, to question: ModbusEar.Question) -> [UInt8] {
        ModbusCRC.sealed([question.unit, question.function | 0x80, code])
    }
}

/// CRC-16 of Modbus: polynomial 0x8005 mirrored, beginning with 0xFFFF, sent low byte first.
package enum ModbusCRC {
    package static func of(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var crc: UInt16 = 0xFFFF
        for byte in bytes { crc = crc >> 8 ^ table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] }
        return crc
    }

    /// What eight steps make of each byte.
    private static let table: [UInt16] = (0..<256).map { byte in
        var crc = UInt16(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
        return crc
    }

    /// The same bytes with their checksum.
    package static func sealed(_ bytes: [UInt8]) -> [UInt8] {
        let crc = of(bytes[...])
        var sealed = bytes
        sealed.append(UInt8(crc & 0xFF))
        sealed.append(UInt8(crc >> 8))
        return sealed
    }

    /// Whether the last two bytes are the checksum of those before.
    package static func fits(_ frame: ArraySlice<UInt8>) -> Bool {
        guard frame.count > 2 else { return false }
        let end = frame.endIndex
        return of(frame[..<(end - 2)]) == UInt16(frame[end - 2]) | UInt16(frame[end - 1]) << 8
    }
}
