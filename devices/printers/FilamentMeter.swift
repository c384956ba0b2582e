/// Makes one advancing count of what each print says of itself: mm that fall back to 0 with the next print, and dip by
/// what is drawn back. It begins with 0: what was used before anybody looked is not claimed.
struct FilamentMeter {
    private var total: Double = 0
    /// The most of this print; nil before the first word.
    private var most: Double?

    var isKnown: Bool { most != nil }

    /// A print began.
    mutating func started() { most = 0 }

    /// A print has used so many mm. Returns the count, or nil where it stays.
    mutating func used(_ millimetres: Double) -> Double? {
        guard millimetres.isFinite, millimetres >= 0, millimetres < 1e8 else { return nil }
        guard let before = most else {
            most = millimetres
            return total
        }
        guard millimetres > before else { return nil }
        most = millimetres
        total += millimetres - before
        return total
    }
}
