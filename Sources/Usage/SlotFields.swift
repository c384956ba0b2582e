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

    private static let fieldCount = 32 + 3 * Polymer.allCases.count

    /// All that is known of this slot, to be stored.
    package var fields: [Int64] {
        var fields: [Int64] = []
        fields.reserveCapacity(Self.fieldCount)
        fields.append(Self.layout)
        fields += stateMilliseconds
        fields += jobs
        fields += [energy, idleEnergy, energyCovered, corrections, shots, items, filament, late]
        fields += [faults, runs, off, scrap, massCovered, massByShots, massByScale]
        fields += [leastPower ?? Self.none, mostPower ?? Self.none]
        for index in massIn.indices {
            fields.append(massIn[index])
            fields.append(massProduct[index])
            fields.append(massScrap[index])
        }
        return fields
    }

    /// Reads `fields` back; nil where they are of another layout.
    package init?(fields: [Int64]) {
        guard fields.first == Self.layout else { return nil }
        self.init()
        for (field, number) in fields.prefix(Self.fieldCount).enumerated()
        where field > 0 && number != Self.absent(field) {
            add(number, toField: field)
        }
    }

    /// What stands in a field of which nothing is known.
    static func absent(_ field: Int) -> Int64 { field == 30 || field == 31 ? none : 0 }

    /// Adds what a field says to what is known.
    mutating func add(_ number: Int64, toField field: Int) {
        switch field {
        case 1...9: stateMilliseconds[field - 1] += number
        case 10...14: jobs[field - 10] += number
        case 15: energy += number
        case 16: idleEnergy += number
        case 17: energyCovered += number
        case 18: corrections += number
        case 19: shots += number
        case 20: items += number
        case 21: filament += number
        case 22: late += number
        case 23: faults += number
        case 24: runs += number
        case 25: off += number
        case 26: scrap += number
        case 27: massCovered += number
        case 28: massByShots += number
        case 29: massByScale += number
        case 30: leastPower = min(leastPower ?? number, number)
        case 31: mostPower = max(mostPower ?? number, number)
        default: addMass(number, field - 32)
        }
    }

    private mutating func addMass(_ milligrams: Int64, _ place: Int) {
        switch place % 3 {
        case 0: massIn[place / 3] += milligrams
        case 1: massProduct[place / 3] += milligrams
        default: massScrap[place / 3] += milligrams
        }
    }
}
