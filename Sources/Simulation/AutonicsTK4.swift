/// Autonics TK4, a temperature controller with RS-485: input registers (function 4).
///
///     0x03E8 PV   0x03E9 decimal places   0x03EA unit (0 °C)   0x03EB SV   0x03EC heating, 0.1 %   0x03ED cooling
///     0x03EE indicators: bit 0 °C, 3 OUT1, 6 SV1, 9 AL1        0x03EF heater current, 0.1 A
///     0x0064…0x0071 serial number, versions, model name in ASCII
///
/// A PV of 31000 says that the sensor is broken (OPEN).
struct AutonicsTK4: Hashable, Sendable {
    let unit: UInt8

    /// What it shows and does now.
    struct Now: Hashable, Sendable {
        /// °C; nil where the thermocouple is broken.
        var temperature: Double?
        var setpoint: Double
        /// 0…1.
        var duty: Double
        var amperes: Double
    }

    func answer(_ question: ModbusEar.Question, _ now: Now) -> [UInt8] {
        guard question.function == 4 else { return ModbusAnswer.exception(1, to: question) }
        let first = Int(question.address)
        let wanted = first..<first + Int(question.count)
        guard !wanted.isEmpty, wanted.count <= 125 else { return ModbusAnswer.exception(3, to: question) }
        for (start, block) in [(0x03E8, measured(now)), (0x0064, Self.identity)]
        where wanted.lowerBound >= start && wanted.upperBound <= start + block.count {
            return ModbusAnswer.registers(
                Array(block[(wanted.lowerBound - start)..<(wanted.upperBound - start)]), to: question)
        }
        return ModbusAnswer.exception(2, to: question)
    }

    private func measured(_ now: Now) -> [UInt16] {
        func tenths(_ value: Double) -> UInt16 {
            UInt16(bitPattern: Int16(min(9999, max(-1999, (value * 10).rounded()))))
        }
        let isBroken = now.temperature == nil
        let indicators: UInt16 = 1 | (now.duty > 0 ? 1 << 3 : 0) | 1 << 6 | (isBroken ? 1 << 9 : 0)
        return [
            now.temperature.map(tenths) ?? 31_000, 1, 0, tenths(now.setpoint), tenths(now.duty * 100), 0, indicators,
            tenths(now.amperes),
        ]
    }

    /// Serial number, hardware and software version, then `TK4S-14RR` padded with blanks, two characters a register.
    private static let identity: [UInt16] = {
        let name = Array("TK4S-14RR           ".utf8)
        return [0x0012, 0x3456, 10, 12]
            + stride(from: 0, to: 20, by: 2).map { UInt16(name[$0]) << 8 | UInt16(name[$0 + 1]) }
    }()
}
