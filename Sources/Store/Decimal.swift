// Sensors send decimals: 231.5 is the whole number 2315 and one place. Whole numbers code short; the way back is
// checked bit by bit, and what does not come back exactly is stored as it is.

/// Whole numbers with 0…4 decimal places that stand for a Double exactly.
enum Decimal {
    static let mostPlaces = 4

    /// 10^places; more than four are taken as four.
    @inline(__always)
    static func scale(_ places: Int) -> Double {
        switch places {
        case 0: 1
        case 1: 10
        case 2: 100
        case 3: 1000
        default: 10_000
        }
    }

    /// nil where `number` is not exactly a whole number divided by 10^places; NaN, infinities and −0 never are.
    @inline(__always)
    static func whole(_ number: Double, places: Int) -> Int64? { whole(number, scale: scale(places)) }

    /// The same for one who has 10^places at hand.
    @inline(__always)
    static func whole(_ number: Double, scale: Double) -> Int64? {
        let scaled = number * scale
        guard scaled.magnitude < 4_503_599_627_370_496 else { return nil }
        let whole = Int64(scaled + Double(signOf: scaled, magnitudeOf: 0.5))
        return (Double(whole) / scale).bitPattern == number.bitPattern ? whole : nil
    }

    @inline(__always)
    static func number(_ whole: Int64, places: Int) -> Double {
        // By 1, too: which places come next, no processor can guess where many series take turns.
        Double(whole) / scale(places)
    }
}
