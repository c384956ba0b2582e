import Model
import Testing
import Usage

/// A table beside a plain list of the same slots.
private struct Tables {
    var table = SlotTable()
    var list: [Int64: Slot] = [:]
    var random: SeededRandom

    /// A quarter of an hour; those a day back are as likely as the newest.
    mutating func change(at quarter: Int64, _ body: (inout Slot) -> Void) -> Bool {
        let start = quarter * Slot.length.milliseconds
        let time = Instant(milliseconds: start + .random(in: 0..<Slot.length.milliseconds, using: &random))
        let isThere = table.change(at: time, body)
        let (newest, oldest) = (list.keys.max() ?? start, list.keys.min() ?? start)
        let bound = Int64(SlotTable.capacity) * Slot.length.milliseconds
        guard start > newest - bound else { return isThere == false }
        // In between lie empty ones; after a longer silence it begins anew.
        if start > newest + bound { list = [:] }
        for between in stride(from: min(start, oldest), to: max(start, newest) + 1, by: Int(Slot.length.milliseconds))
        where list[between] == nil && !(start > newest + bound) { list[between] = Slot() }
        body(&list[start, default: Slot()])
        list = list.filter { $0.key > max(start, newest) - bound }
        return isThere
    }

    func sum(_ from: Int64, _ to: Int64) -> Slot {
        list.filter { $0.key >= from && $0.key < to }.sorted { $0.key < $1.key }.reduce(into: Slot()) { $0 += $1.value }
    }
}

@Suite struct SlotTableTests {
    private func touch(_ slot: inout Slot, _ random: inout SeededRandom) {
        switch Int.random(in: 0..<6, using: &random) {
        case 0: slot[.running] += .random(in: 0...900_000, using: &random)
        case 1: slot.energy += .random(in: -3...2_000_000, using: &random)
        case 2: slot.leastPower = min(slot.leastPower ?? .max, .random(in: -5...300_000, using: &random))
        case 3: slot.massProduct[Polymer.pet.index] += .random(in: 0...Int64(1 << 50), using: &random)
        case 4: slot = Slot()
        default: slot.mostPower = .random(in: 0...1, using: &random)
        }
    }

    @Test("Whatever is changed in any order, a table says what a list of all slots says", arguments: 0..<16)
    func sameAsAList(seed: UInt64) {
        var tables = Tables(random: SeededRandom(seed))
        var (random, now) = (SeededRandom(seed + 1000), Int64(1_900_000))
        for _ in 0..<300 {
            if Int.random(in: 0..<3, using: &random) == 0 { now += .random(in: 0...3, using: &random) }
            if Int.random(in: 0..<150, using: &random) == 0 { now += .random(in: 300...340, using: &random) }
            let back: Int64 = [0, 0, 0, 4, 20, 100, 330].randomElement(using: &random) ?? 0
            let quarter = now - .random(in: 0...back, using: &random)
            let before = random
            let isSame = tables.change(at: quarter) { slot in
                var random = before
                touch(&slot, &random)
            }
            _ = random.next()
            #expect(isSame, "seed \(seed): a slot is gone, or not")
            let length = Slot.length.milliseconds
            let from = (now - .random(in: -2...340, using: &random)) * length
            let to = from + .random(in: 0...340, using: &random) * length
            let (begin, end) = (Instant(milliseconds: from), Instant(milliseconds: to))
            #expect(tables.table.sum(from: begin, to: end) == tables.sum(from, to), "seed \(seed)")
            let slots = tables.table.slots(from: begin, to: end)
            #expect(slots.map(\.start.milliseconds) == tables.list.keys.filter { $0 >= from && $0 < to }.sorted())
            #expect(slots.allSatisfy { tables.list[$0.start.milliseconds] == $0.slot }, "seed \(seed)")
            #expect(tables.table.slot(startingAt: begin) == tables.list[from] ?? Slot(), "seed \(seed)")
            #expect(tables.table.oldest?.milliseconds == tables.list.keys.min(), "seed \(seed)")
        }
    }

    @Test("What is replaced counts as changed where it differs, and the table is the other one from there on")
    func replaced() {
        var (a, b) = (SlotTable(), SlotTable())
        let start = Instant(milliseconds: 1_900_000 * Slot.length.milliseconds)
        for number in Int64(0)..<40 {
            let time = start + Slot.length * number
            _ = a.change(at: time) { $0.energy = number }
            if number >= 10 { _ = b.change(at: time) { $0.energy = number == 20 ? 7 : number } }
        }
        _ = a.takeDirty()
        a.replace(from: start + Slot.length * 10, with: b)
        #expect(a.takeDirty() == [(start + Slot.length * 20).milliseconds])
        #expect(a.sum(from: start, to: start + Slot.length * 40).energy == 40 * 39 / 2 - 13)
        a.recall(Slot(), at: start + Slot.length * 3)
        #expect(a.takeDirty().isEmpty && a.slot(startingAt: start + Slot.length * 3) == Slot())
    }
}
