/// Eastron SDM120, the single-phase meter on a rail: input registers (function 4), IEEE 754 single precision, high word
/// first, two registers a value.
///
///     0x0000 V   0x0006 A   0x000C W   0x0012 VA   0x0018 var   0x001E power factor   0x0024 phase angle
///     0x0046 Hz  0x0048 import kWh  0x004A export kWh  0x004C, 0x004E kvarh  0x0156 total kWh  0x0158 total kvarh
///
/// As on real ones, a read across the gaps between them works and shows zeros there.
package struct EastronSDM120: Hashable, Sendable {
    let unit: UInt8
    /// What the register showed before the simulation began, in kWh.
    let firstKilowattHours: Double

    /// Whether an answer has the energy among its registers. The gateway asks for it together with what stands before it,
    /// and for everything else alone: two registers, 4 bytes, which the third byte of an answer counts.
    package static func tellsEnergy(_ answer: [UInt8]) -> Bool { answer.count > 2 && answer[2] > 4 }

    func answer(_ question: ModbusEar.Question, _ load: ElectricalLoad, microjoules: Int64) -> [UInt8] {
        guard question.function == 4 else { return ModbusAnswer.exception(1, to: question) }
        guard question.count >= 1, question.count <= 80 else { return ModbusAnswer.exception(3, to: question) }
        let first = Int(question.address)
        let end = first + Int(question.count)
        guard first % 2 == 0,
            [0x0000..<0x0060, 0x0150..<0x0160].contains(where: { $0.contains(first) && end <= $0.upperBound })
        else { return ModbusAnswer.exception(2, to: question) }
        let values = (first..<end).map { address -> UInt16 in
            let bits = value(at: address & ~1, load, microjoules).bitPattern
            return UInt16(truncatingIfNeeded: address % 2 == 0 ? bits >> 16 : bits)
        }
        return ModbusAnswer.registers(values, to: question)
    }

    private func value(at address: Int, _ load: ElectricalLoad, _ microjoules: Int64) -> Float {
        switch address {
        case 0x0000: Float(load.volts)
        case 0x0006: Float(load.amperes)
        case 0x000C: Float(load.watts)
        case 0x0012: Float(load.voltAmperes)
        case 0x0018: Float(load.reactive)
        case 0x001E: Float(load.factor)
        case 0x0046: Float(load.hertz)
        case 0x0048, 0x0156: Float(firstKilowattHours + Double(microjoules) / 3.6e12)
        default: 0
        }
    }
}
