import Model

/// Where one value lies and how it becomes a number in its channel's unit. Plain numbers only, so that walking over
/// them touches no reference count.
struct RegisterValue: Sendable {
    enum Form: String, CaseIterable, Sendable {
        case uint16, int16, uint32, int32, uint64, int64, float32

        var registers: Int {
            switch self {
            case .uint16, .int16: 1
            case .uint32, .int32, .float32: 2
            case .uint64, .int64: 4
            }
        }
    }

    /// How the bytes of 0xAABBCCDD stand on the wire. Four registers follow the same pattern.
    enum Order: String, CaseIterable, Sendable {
        case abcd, cdab, badc, dcba

        var isLowRegisterFirst: Bool { self == .cdab || self == .dcba }
        var isLowByteFirst: Bool { self == .badc || self == .dcba }
    }

    /// A register that tells whether a temperature is in °C or °F.
    struct Degrees: Hashable, Sendable {
        let at: Int
        let celsius: UInt16?
        let fahrenheit: UInt16?
    }

    /// Where the number of decimals stands: value = raw / 10ⁿ.
    enum Decimals: Hashable, Sendable {
        /// In this register of the same answer.
        case at(Int)
        /// In an answer before it; an index into the plan's `kept`.
        case kept(Int)
    }

    /// What stands in the registers, before any scale.
    enum Raw: Equatable {
        case whole(Int64)
        case real(Double)
    }

    let channel: Int
    let function: UInt8
    /// The absolute address of the first register or of the bit.
    let first: Int
    let form: Form
    let order: Order
    /// 1 if any of these bits of the register is set; 0 where the value is no bit.
    let bits: UInt16
    let scale: Double
    /// 10 where the scale is 0.1; nil where the scale is no part of one. 1987 / 10 is 198.7, but 1987 × 0.1 is not.
    let divisor: Double?
    let decimals: Decimals?
    let degrees: Degrees?
    /// Rounded to a whole number of the channel's unit.
    let isWhole: Bool
    let marks: Range<Int>
    /// The register whose bits tell that this is no measurement.
    let flawsAt: Int?
    let flaws: Range<Int>

    /// Whether an answer to this question holds everything that the value needs.
    func isCovered(by question: ModbusQuestion) -> Bool {
        guard question.function == function,
            question.covers(first, before: first + (function <= 2 || bits != 0 ? 1 : form.registers))
        else { return false }
        if case .at(let at)? = decimals, !question.covers(at, before: at + 1) { return false }
        if let flawsAt, !question.covers(flawsAt, before: flawsAt + 1) { return false }
        if let degrees, !question.covers(degrees.at, before: degrees.at + 1) { return false }
        return true
    }

    /// Puts registers together; `register` gives one by its distance from `first`.
    func raw(_ register: (Int) -> UInt16) -> Raw {
        var pattern: UInt64 = 0
        let count = form.registers
        for i in 0..<count {
            let word = register(order.isLowRegisterFirst ? count - 1 - i : i)
            pattern = pattern << 16 | UInt64(order.isLowByteFirst ? word.byteSwapped : word)
        }
        switch form {
        case .uint16, .uint32: return .whole(Int64(pattern))
        case .int16: return .whole(Int64(Int16(truncatingIfNeeded: pattern)))
        case .int32: return .whole(Int64(Int32(truncatingIfNeeded: pattern)))
        case .int64: return .whole(Int64(bitPattern: pattern))
        case .uint64: return Int64(exactly: pattern).map { .whole($0) } ?? .real(Double(pattern))
        case .float32: return .real(Double(Float(bitPattern: UInt32(truncatingIfNeeded: pattern))))
        }
    }

    /// A raw value in the channel's unit. `decimals` is what stands in the register that tells them.
    func number(_ raw: Raw, decimals: Int) -> Double {
        var number: Double
        switch raw {
        case .whole(let whole): number = Double(whole)
        case .real(let real): number = isWhole ? real : Self.sevenDigits(real)
        }
        for _ in 0..<decimals { number /= 10 }
        if let divisor { number /= divisor } else if scale != 1 { number *= scale }
        return isWhole ? number.rounded() : number
    }

    /// What to divide by instead of multiplying by a scale.
    static func divisor(_ scale: Double) -> Double? {
        let divisor = (1 / scale).rounded()
        return divisor.magnitude > 1 && (divisor * scale - 1).magnitude < 1e-9 ? divisor : nil
    }

    /// The decimal number that a float32 stands for: 218.7 instead of 218.6999969482422.
    static func sevenDigits(_ number: Double) -> Double {
        guard number.magnitude >= 1e-6, number.magnitude < 1e6 else { return number }
        var factor = 1.0
        while number.magnitude * factor < 1e6 { factor *= 10 }
        return (number * factor).rounded() / factor
    }
}
