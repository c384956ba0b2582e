import CityLink
package import Model
package import Simulation

/// Items and grams of one press over the whole simulation, as the city holds them and as they were.
package struct SimulationMaterial: Hashable, Sendable {
    package internal(set) var held = MaterialSums()
    package internal(set) var made = MaterialSums()
    /// What words that were lost leave open.
    var doubted = MaterialSums()
}

/// Items, and milligrams by what became of them and by polymer.
package struct MaterialSums: Hashable, Sendable {
    package enum Kind: String, CaseIterable, Sendable { case input = "in", product, scrap }
    package struct Mass: Hashable, Sendable {
        package let kind: Kind
        package let polymer: Polymer
    }

    package var items: Int64 = 0
    package var scrapItems: Int64 = 0
    package var masses: [Mass: Int64] = [:]

    package init() {}

    package init(_ truth: TrueMaterial) {
        items = truth.items
        scrapItems = truth.scrapItems
        for (kind, byPolymer) in zip(Kind.allCases, [truth.input, truth.product, truth.scrap]) {
            for (polymer, mass) in byPolymer { masses[Mass(kind: kind, polymer: polymer)] = mass }
        }
    }

    init(_ totals: UsageTotals) {
        items = totals.items ?? 0
        scrapItems = totals.scrap ?? 0
        for (kind, byName) in zip(Kind.allCases, [totals.massIn, totals.massProduct, totals.massScrap]) {
            for (name, mass) in byName {
                masses[Mass(kind: kind, polymer: Polymer(rawValue: name) ?? .other), default: 0] += mass
            }
        }
    }

    static func += (a: inout MaterialSums, b: MaterialSums) {
        a.items += b.items
        a.scrapItems += b.scrapItems
        a.masses.merge(b.masses, uniquingKeysWith: +)
    }

    /// Of one kind, whatever it is made of.
    func all(_ kind: Kind) -> Int64 { masses.reduce(0) { $1.key.kind == kind ? $0 + $1.value : $0 } }
}

/// What the gateway could know of a press's material: which words of its board and its scale arrived.
struct PressKnowledge {
    var board: [MachineKnowledge.Word] = []
    var scale: [MachineKnowledge.Word] = []
    /// Buttons that chose a mould.
    var choices: [MachineKnowledge.Word] = []
    /// Until now nobody could tell which mould is in it, for reasons that lie with the simulation.
    var doubts: [(from: Instant, to: Instant)] = []

    mutating func heard(_ sense: Audience.Sense, chooses: Bool, said: Instant, at time: Instant) {
        let word = MachineKnowledge.Word(said: said, arrived: time)
        if sense.contains(.shots) { board.append(word) }
        if sense.contains(.mass) { scale.append(word) }
        if chooses { choices.append(word) }
    }

    /// What arrived from `time` on was forgotten.
    mutating func forget(from time: Instant) {
        board.removeAll { $0.arrived >= time }
        scale.removeAll { $0.arrived >= time }
        choices.removeAll { $0.arrived >= time }
    }

    mutating func prune(before time: Instant) {
        board.removeAll { $0.arrived < time }
        scale.removeAll { $0.arrived < time }
    }

    /// When the first word arrived that was said at `time` or later; nil where none did.
    static func arrival(_ words: [MachineKnowledge.Word], _ time: Instant) -> Instant? {
        words.first { $0.said >= time }?.arrived
    }

    /// Whether a shot between a choice of a mould and the word about it, which may be that of a later choice.
    func isDoubtful(_ shot: Instant, chosen: [Instant]) -> Bool {
        if doubts.contains(where: { $0.from <= shot && shot < $0.to }) { return true }
        guard let last = chosen.last(where: { $0 <= shot }) else { return false }
        guard let word = choices.first(where: { $0.said >= last }) else { return true }
        return word.arrived > shot
    }
}

extension SimulationAudit {
    /// The display of a scale and the mould of a shot are no more exact than that: half a gram each time that the scale
    /// is emptied, a hundredth of what follows from the mould.
    private static func slack(_ mass: MaterialSums.Mass, _ made: Int64, boxes: Int) -> Int64 {
        mass.kind == .product ? 1000 + 500 * Int64(boxes) : made / 99 + 1
    }

    /// What of an hour's material can be told, and what is open.
    mutating func noteMaterial(
        _ hour: inout Hour, _ index: Int, _ from: Instant, _ to: Instant, _ truth: Truth
    ) {
        guard rows[index].material != nil, let known = presses[index] else { return }
        let machine = rows[index].machine
        let chosen = truth.choices(machine, until: to)
        let isDisturbed =
            MachineKnowledge.length(knowledge[index].blind, from - .hours(1), to + .hours(1)) > 0
            || drift(from, to) > .zero
        var told = TrueMaterial()
        var open = TrueMaterial()
        var doubted = TrueMaterial()
        for part in truth.parts(machine, from: from - .hours(8), to: to + .hours(1)) {
            let isDoubtful = known.isDoubtful(part.shot, chosen: chosen)
            if part.shot >= from, part.shot < to {
                made(part, index)
                if isDoubtful {
                    doubted.add(part)
                    doubted.addProduct(part)
                }
            }
            let weighed = part.judged.flatMap { PressKnowledge.arrival(known.scale, $0 + .seconds(2)) }
            // At the end a part may lie on the scale, and nobody has read it.
            if !isDoubtful, part.shot >= from, part.shot < to, part.judged != nil,
                weighed.map({ $0 >= plan.end }) ?? true
            {
                doubted.add(part)
                doubted.addProduct(part)
            }
            let arrival = PressKnowledge.arrival(known.board, part.shot)
            if let arrival, arrival >= from, arrival < to { told.add(part) }
            if let weighed, weighed >= from, weighed < to { told.addProduct(part) }
            // A bad item of which the next word about shots was the first to tell may be taken for the next shot's.
            if part.bad > 0, let arrival, let judged = part.judged,
                let word = PressKnowledge.arrival(known.board, judged), word - judged > .seconds(2),
                arrival < to, word >= from
            {
                open.add(part)
                open.addProduct(part)
            }
            let isNear = part.shot >= from - .hours(1) || (weighed ?? from) > from
            if isDoubtful && isNear || isDisturbed && part.shot >= from - .hours(1) {
                open.add(part)
                open.addProduct(part)
            }
        }
        hour.made = MaterialSums(told)
        hour.madeOpen = MaterialSums(open)
        hour.boxes = chosen.count { $0 >= from - .hours(1) }
        rows[index].material?.doubted += MaterialSums(doubted)
        presses[index]?.prune(before: from - .hours(1))
    }

    /// What really was made; a part that still cools counts as good.
    private mutating func made(_ part: TruePart, _ index: Int) {
        var material = TrueMaterial()
        material.add(part)
        if part.judged != nil { material.addProduct(part) }
        rows[index].material?.made += MaterialSums(material)
    }

    mutating func compareMaterial(_ totals: UsageTotals, _ index: Int, _ number: Int, _ start: Instant) {
        guard rows[index].material != nil else { return }
        let held = MaterialSums(totals)
        rows[index].material?.held += held
        let hour = hours[number][index]
        let place = "\(rows[index].machine), the hour from \(start)"
        for problem in differences(held, hour.made, open: hour.madeOpen, boxes: hour.boxes) {
            found(start, "\(place): \(problem)")
        }
    }

    /// How often the scale of a press was emptied.
    func boxes(_ index: Int) -> Int { hours.count { $0[index].boxes > 0 } + 1 }

    mutating func compareMaterialSums(_ index: Int, boxes: Int) {
        guard let material = rows[index].material else { return }
        for problem in differences(material.held, material.made, open: material.doubted, boxes: boxes) {
            found(plan.end - .milliseconds(1), "\(rows[index].machine), in all: \(problem)")
        }
    }

    private func differences(
        _ held: MaterialSums, _ told: MaterialSums, open: MaterialSums, boxes: Int
    ) -> [String] {
        var problems: [String] = []
        // A mould that nobody told may hold twice as many.
        let items = 2 * open.items + 2 * open.scrapItems
        if (held.items - told.items).magnitude > items.magnitude {
            problems.append("\(held.items) items held, \(told.items) made, \(items) are forgiven")
        }
        if (held.scrapItems - told.scrapItems).magnitude > items.magnitude {
            problems.append("\(held.scrapItems) bad items held, \(told.scrapItems) found, \(items) are forgiven")
        }
        for kind in MaterialSums.Kind.allCases {
            for polymer in Polymer.allCases {
                let mass = MaterialSums.Mass(kind: kind, polymer: polymer)
                let (is_, was) = (held.masses[mass] ?? 0, told.masses[mass] ?? 0)
                // What is open may be another polymer, and of another mass.
                let slack = Self.slack(mass, was, boxes: boxes) + 2 * open.all(.input)
                if (is_ - was).magnitude > slack.magnitude {
                    problems.append(
                        "\(kind.rawValue) \(polymer.rawValue): \(is_) mg held, \(was) were made, \(slack) are forgiven")
                }
            }
        }
        return problems
    }
}
