import Model

// A slot as it is kept for months: whole numbers in a fixed order.
//
//     0        the layout, 1
//     1…9      ms in each state, in the order of `MachineState.allCases`
//     10…14    jobs, in the order of `JobOutcome.allCases`
//     15…22    energy, idle energy (mWh), ms of known energy, corrections, shots, items, filament (µm), late
//     23…29    faults, runs, ms of idle time switched off, scrap, ms of known mass, mass by shots and by scale (mg)
//     30 31    least and most power (mW)
//     32…      mg in, product and scrap of each polymer, in the order of `Polymer.allCases`
//
// A new polymer comes at the end, and a record that ends earlier was written before there was one. Any other new number
// makes another layout, and a reader for this one.

extension Slot {
    private static let layout: Int64 = 1
    /// Stands for a number that is not known.
    static let none = Int64.min

    static let stateFields = 1..<10
    static let jobFields = 10..<15
    static let leastPowerField = 30
    static let mostPowerField = 31

    /// Of a polymer, by its place in `allCases`: what went in (0), product (1) or scrap (2).
    static func massField(_ polymer: Int, _ kind: Int) -> Int { 32 + polymer * 3 + kind }

    /// All that is known of this slot, to be stored.
    package var fields: [Int64] {
        let numbers = numbers.span
        var fields: [Int64] = []
        fields.reserveCapacity(numbers.count)
        fields.append(Self.layout)
        for field in 1..<numbers.count { fields.append(numbers[field]) }
        return fields
    }

    /// Reads `fields` back; nil where they are of another layout.
    package init?(fields: [Int64]) {
        guard fields.first == Self.layout else { return nil }
        self.init()
        var numbers = numbers.mutableSpan
        for field in 1..<min(fields.count, numbers.count) { numbers[field] = fields[field] }
    }

    /// What stands in a field of which nothing is known.
    static func absent(_ field: Int) -> Int64 { field == leastPowerField || field == mostPowerField ? none : 0 }

    /// Adds what a field says to what is known.
    mutating func add(_ number: Int64, toField field: Int) {
        var numbers = numbers.mutableSpan
        switch field {
        case Self.leastPowerField: numbers[field] = numbers[field] == Self.none ? number : min(numbers[field], number)
        // `none` is the least of all numbers.
        case Self.mostPowerField: numbers[field] = max(numbers[field], number)
        default: numbers[field] += number
        }
    }
}
