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
    private static let none = Int64.min

    private static let counts: [any WritableKeyPath<Slot, Int64> & Sendable] = [
        \.energy, \.idleEnergy, \.energyCovered, \.corrections, \.shots, \.items, \.filament, \.late, \.faults, \.runs,
        \.off, \.scrap, \.massCovered, \.massByShots, \.massByScale,
    ]
    private static let maybes: [any WritableKeyPath<Slot, Int64?> & Sendable] = [\.leastPower, \.mostPower]

    /// All that is known of this slot, to be stored.
    package var fields: [Int64] {
        [Self.layout] + stateMilliseconds + jobs + Self.counts.map { self[keyPath: $0] }
            + Self.maybes.map { self[keyPath: $0] ?? Self.none }
            + massIn.indices.flatMap { [massIn[$0], massProduct[$0], massScrap[$0]] }
    }

    /// Reads `fields` back; nil where they are of another layout.
    package init?(fields: [Int64]) {
        guard fields.first == Self.layout else { return nil }
        self.init()
        var rest = fields.dropFirst()
        for index in stateMilliseconds.indices { if let value = rest.popFirst() { stateMilliseconds[index] = value } }
        for index in jobs.indices { if let value = rest.popFirst(), value != 0 { jobs[index] = value } }
        for path in Self.counts { if let value = rest.popFirst() { self[keyPath: path] = value } }
        for path in Self.maybes {
            if let value = rest.popFirst() { self[keyPath: path] = value == Self.none ? nil : value }
        }
        for index in massIn.indices {
            if let value = rest.popFirst(), value != 0 { massIn[index] = value }
            if let value = rest.popFirst(), value != 0 { massProduct[index] = value }
            if let value = rest.popFirst(), value != 0 { massScrap[index] = value }
        }
    }
}
