import Model

/// One record of a SenML pack as it stands: the fields of RFC 8428, table 1, that matter here.
struct SenMLRecord {
    /// What holds for this record and those after it.
    struct Base {
        var name = ""
        var time = 0.0
        var unit: String?
        var value: Double?
        var sum: Double?
    }

    /// The base name and the record's own.
    private(set) var name = ""
    private(set) var unit: String?
    /// s since 1970, or, below 2^28, from now on.
    private(set) var time = 0.0
    private(set) var value = Found.absent
    /// The integral of the value over time.
    private(set) var sum: Double?
    private(set) var version: Double?
    /// A label that ends in `_` and that nobody here knows: the record means something else than it seems.
    private(set) var unknownDemand: String?
    private(set) var isMisshapen = false

    private var ownName = ""
    private var ownUnit: String?
    private var ownTime = 0.0

    /// Takes one element of the pack.
    init(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>, _ base: inout Base) {
        guard json.beginObject(b) else {
            json.skip(b)
            isMisshapen = true
            return
        }
        while let key = json.nextKey(b) { take(key, &json, b, &base) }
        name = base.name + ownName
        unit = ownUnit ?? base.unit
        time = base.time + ownTime
        switch value {
        case .number(let number): value = .number(number + (base.value ?? 0))
        case .absent where sum == nil && !ownName.isEmpty: value = base.value.map { .number($0) } ?? .absent
        default: break
        }
        if sum != nil || base.sum != nil, !ownName.isEmpty || sum != nil { sum = (base.sum ?? 0) + (sum ?? 0) }
    }

    private mutating func take(
        _ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>, _ base: inout Base
    ) {
        if JSONScanner.equals(key, "n", b) {
            ownName = text(&json, b) ?? ""
        } else if JSONScanner.equals(key, "v", b) {
            if let number = number(&json, b) { value = .number(number) }
        } else if JSONScanner.equals(key, "u", b) {
            ownUnit = text(&json, b)
        } else if JSONScanner.equals(key, "t", b) {
            ownTime = number(&json, b) ?? 0
        } else if JSONScanner.equals(key, "s", b) {
            sum = number(&json, b)
        } else if JSONScanner.equals(key, "vb", b) || JSONScanner.equals(key, "vs", b) {
            value = JSONPick.scalar(&json, b)
        } else if JSONScanner.equals(key, "bn", b) {
            base.name = text(&json, b) ?? base.name
        } else if JSONScanner.equals(key, "bt", b) {
            base.time = number(&json, b) ?? base.time
        } else if JSONScanner.equals(key, "bu", b) {
            base.unit = text(&json, b) ?? base.unit
        } else if JSONScanner.equals(key, "bv", b) {
            base.value = number(&json, b) ?? base.value
        } else if JSONScanner.equals(key, "bs", b) {
            base.sum = number(&json, b) ?? base.sum
        } else if JSONScanner.equals(key, "bver", b) {
            version = number(&json, b)
        } else {
            // `vd` is data and `ut` a promise of the next record; neither is a measurement.
            if key.upperBound > key.lowerBound, b[key.upperBound - 1] == UInt8(ascii: "_") {
                unknownDemand = JSONScanner.text(key, b)?.clipped(to: 40) ?? "_"
            }
            json.skip(b)
        }
    }

    private mutating func number(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> Double? {
        if case .number(let number) = JSONPick.scalar(&json, b), number.isFinite { return number }
        isMisshapen = true
        return nil
    }

    private mutating func text(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> String? {
        if case .text(let range) = JSONPick.scalar(&json, b), range.count <= 256,
            let text = JSONScanner.text(range, b)
        {
            return text
        }
        isMisshapen = true
        return nil
    }
}
