import Model
import Testing
import Usage

@Suite struct SlotFieldsTests {
    @Test(arguments: 0..<200) func whatIsStoredComesBack(seed: UInt64) {
        var random = SeededRandom(seed)
        var slot = Slot()
        func any() -> Int64 { Int64.random(in: -5...1_000_000_000_000, using: &random) }
        for state in MachineState.allCases { slot[state] = any() }
        for outcome in JobOutcome.allCases { slot[outcome] = any() }
        slot.energy = any()
        slot.idleEnergy = any()
        slot.energyCovered = any()
        slot.corrections = any()
        slot.shots = any()
        slot.items = any()
        slot.filament = any()
        slot.late = any()
        slot.faults = any()
        slot.off = any()
        slot.runs = any()
        slot.scrap = any()
        slot.massCovered = any()
        slot.massByShots = any()
        slot.massByScale = any()
        for polymer in Polymer.allCases {
            slot.massIn[polymer.index] = any()
            slot.massProduct[polymer.index] = any()
            slot.massScrap[polymer.index] = any()
        }
        if Bool.random(using: &random) { slot.leastPower = any() }
        if Bool.random(using: &random) { slot.mostPower = any() }
        #expect(Slot(fields: slot.fields) == slot, "seed \(seed)")
        #expect(slot.fields.count <= 64)
        // A new polymer asks for three numbers more in a slot.
        #expect(slot.fields.count == 32 + 3 * Polymer.allCases.count)
        // The same in memory, once newer ones have come.
        var table = SlotTable()
        let start = Instant(milliseconds: 1_900_000 * Slot.length.milliseconds)
        for number in Int64(0)...20 { _ = table.change(at: start + Slot.length * number) { $0 = slot } }
        #expect(table.slot(startingAt: start) == slot, "seed \(seed)")
        #expect(table.sum(from: start, to: start + Slot.length) == slot, "seed \(seed)")
        // A record of an older program has fewer numbers, one of a newer program more.
        let length = Int.random(in: 1..<slot.fields.count, using: &random)
        let older = Slot(fields: Array(slot.fields[..<length]))
        #expect(older?.fields.prefix(length) == slot.fields.prefix(length)[...], "seed \(seed)")
        #expect(Slot(fields: slot.fields + [7, 8]) == slot, "seed \(seed)")
    }

    @Test func nothingIsAnEmptySlotAndAnotherLayoutIsNone() {
        #expect(Slot(fields: Slot().fields) == Slot())
        #expect(Slot(fields: []) == nil)
        #expect(Slot(fields: [2, 3, 4]) == nil)
    }

    @Test func sumsKeepTheExtremes() {
        var a = Slot()
        a.mostPower = 5
        var b = Slot()
        b.leastPower = -3
        b.mostPower = 4
        a += b
        #expect(a.leastPower == -3)
        #expect(a.mostPower == 5)
        a += Slot()
        #expect(a.leastPower == -3)
    }

    @Test("Of two accounts of a slot, one knows less where less of its time or of its energy is known")
    func knowsLess() {
        func slot(_ lost: MachineState = .unknown, _ time: Int64 = 0, running: Int64, energyCovered: Int64) -> Slot {
            var slot = Slot()
            slot[lost] = time
            slot[.running] = running
            slot.energyCovered = energyCovered
            return slot
        }
        let whole = slot(running: 900_000, energyCovered: 900_000)
        // Written while it lasted, and before its counter spoke again.
        let early = slot(running: 760_000, energyCovered: 760_000)
        let waiting = slot(running: 900_000, energyCovered: 760_000)
        for other in [early, waiting] {
            #expect(other.knowsLess(than: whole))
            #expect(!whole.knowsLess(than: other))
        }
        #expect(!whole.knowsLess(than: whole))
        // Where samples are gone, time that nobody told about is no knowledge; each knows something that the other does not.
        for lost in [MachineState.unknown, .offline] {
            let gone = slot(lost, 500_000, running: 400_000, energyCovered: 900_000)
            #expect(gone.knowsLess(than: early))
            #expect(early.knowsLess(than: gone))
        }
    }
}
