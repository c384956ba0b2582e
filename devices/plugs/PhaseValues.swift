import Model

/// One quantity of one message as Tasmota writes it: a number, or one for each phase or outlet.
///
///     "Power":742              one number, also what stands for all phases together
///     "Power":[24,0]           a list
///     "Total":{"Phase1":1.2}   a list with names
///
/// An element that is `null` is kept as NaN, one that is no number as infinity.
struct PhaseValues {
    /// More than any Tasmota meter has.
    static let most = 8

    private var values = InlineArray<8, Double>(repeating: .nan)
    private(set) var count = 0
    /// More than one value, so that each has its own place.
    var isList: Bool { count > 1 }

    /// The value at a place, the first one at 0.
    subscript(index: Int) -> Double { values[index] }

    /// Takes what comes next, whatever it is.
    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        count = 0
        switch json.peek(b) {
        case .array:
            guard json.beginArray(b) else { return }
            while json.nextElement(b) { set(count, &json, b) }
        case .object:
            guard json.beginObject(b) else { return }
            while let key = json.nextKey(b) {
                // "Phase1" is the first.
                guard let digit = key.isEmpty ? nil : b[key.upperBound - 1], (0x31...0x38).contains(digit) else {
                    json.skip(b)
                    continue
                }
                set(Int(digit) - 0x31, &json, b)
            }
        default: set(0, &json, b)
        }
    }

    /// Takes what comes next as the value at a place; places left out before it are unknown.
    mutating func set(_ index: Int, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        let value: Double
        if let number = json.number(b) {
            value = number
        } else if json.null(b) {
            value = .nan
        } else {
            json.skip(b)
            value = .infinity
        }
        guard index < Self.most else { return }
        while count <= index {
            values[count] = .nan
            count += 1
        }
        values[index] = value
    }

    /// Everything together, each part multiplied with `scale` and, where that is not 1, rounded. NaN where a part is
    /// unknown, infinity where one is no number or not in `plausible`: a sum without a part would be a step back.
    func sum(times scale: Double, plausible: ClosedRange<Double>) -> Double {
        var sum = 0.0
        for index in 0..<count {
            let value = values[index] * scale
            if value.isNaN { return .nan }
            guard plausible.contains(value) else { return .infinity }
            sum += scale == 1 ? value : value.rounded()
        }
        return sum
    }

    /// The same as one number, for lists that are no phases.
    var together: PhaseValues {
        var one = PhaseValues()
        guard count > 0 else { return one }
        one.values[0] = sum(times: 1, plausible: -1e15...1e15)
        one.count = 1
        return one
    }
}
