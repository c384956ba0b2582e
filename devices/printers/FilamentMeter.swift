/// Makes one advancing count of what each print says of itself: mm that fall back to 0 with the next print, and dip by
/// what is drawn back. It begins with 0: what was used before anybody looked is not claimed.
struct FilamentMeter {
    private var total: Double = 0
    /// The most of this print; nil before the first word.
    private var most: Double?

    var isKnown: Bool { most != nil }

    /// `TOTAL MOST` in mm, with a hyphen for what is not known: what outlives the gateway.
    var memory: String { "\(Self.tenths(total)) \(most.map(Self.tenths) ?? "-")" }

    /// Both words of `memory`; what was used since then is counted when the print says so.
    mutating func recall(_ total: Substring, _ most: Substring) {
        guard let total = Double(total), total.isFinite, (0..<1e12).contains(total) else { return }
        self.total = total
        self.most = Double(most).flatMap { $0.isFinite && (0..<1e8).contains($0) ? $0 : nil }
    }

    private static func tenths(_ millimetres: Double) -> String { "\((millimetres * 10).rounded() / 10)" }

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
        // Finer than any source; sums of fractions need no seventeen digits.
        return (total * 1000).rounded() / 1000
    }
}
