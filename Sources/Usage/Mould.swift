package import Model

/// What one shot of a mould makes.
package struct Mould: Hashable, Sendable {
    package let name: String
    /// What the things are called.
    package let item: String
    package let polymer: Polymer
    /// Milligrams of one shot, sprue and all.
    package let shot: Int64
    /// Items that come out of one shot.
    package let items: Int64

    package init(name: String, item: String, polymer: Polymer, shot: Int64, items: Int64) {
        self.name = name
        self.item = item
        self.polymer = polymer
        self.shot = shot
        self.items = max(1, items)
    }
}

/// What lies on a scale.
package enum MassRole: String, CaseIterable, Sendable {
    /// The stock that is used up: what is taken away went into the machine.
    case input = "in"
    /// Good parts: what is added was made.
    case product
    /// Bad parts and sprues: what is added is scrap.
    case scrap
}

/// How the material of one machine is told.
package struct MaterialRule: Hashable, Sendable {
    /// The moulds that fit this machine.
    package var moulds: [Mould]
    /// The one that is taken to be in it until somebody chooses; an index, nil where that would be a guess.
    package var standard: Int?
    /// What is weighed here, where a mould does not say it.
    package var polymer: Polymer
    /// What scales of this machine weigh.
    package var weighed: [MassRole]
    /// Whether one of its devices counts shots.
    package var countsShots: Bool
    /// The least change of a scale that is no noise, in milligrams.
    package var step: Int64
    /// How far the mass by shots and the mass by scale may lie apart, as a part of the larger.
    package var limit: Double

    package init(
        moulds: [Mould] = [], standard: Int? = nil, polymer: Polymer = .other, weighed: [MassRole] = [],
        countsShots: Bool = false, step: Int64 = 2000, limit: Double = 0.1
    ) {
        self.moulds = moulds
        self.standard = standard
        self.polymer = polymer
        self.weighed = weighed
        self.countsShots = countsShots
        self.step = max(1, step)
        self.limit = limit
    }

    /// Shots tell mass where a mould says how much a shot is.
    package var tellsByShots: Bool { countsShots && !moulds.isEmpty }
    /// How many things tell mass; each covers time of its own.
    package var sources: Int64 { (tellsByShots ? 1 : 0) + Int64(weighed.count) }

    /// Whether mass is told twice: by shots and by a scale.
    package var mayDisagree: Bool { tellsByShots && (weighed.contains(.product) || weighed.contains(.input)) }

    /// The two accounts of a stretch of time, where there are two. `moving` is the mass that is still on its way from
    /// the machine to the scale.
    package func evidence(_ slot: Slot, moving: Int64 = 0) -> MassEvidence? {
        guard mayDisagree else { return nil }
        let larger = max(slot.massByShots, slot.massByScale)
        // At each end of the stretch a part may be made and not weighed yet.
        let onePart = moulds.map(\.shot).max() ?? 0
        let tolerance = max(Int64(limit * Double(larger)), onePart) + moving
        return MassEvidence(byShots: slot.massByShots, byScale: slot.massByScale, tolerance: tolerance)
    }
}

/// Mass that was reckoned from shots, held against mass that was weighed; milligrams.
package struct MassEvidence: Hashable, Sendable {
    package let byShots: Int64
    package let byScale: Int64
    /// As far apart as this they agree.
    package let tolerance: Int64

    package var agrees: Bool { (byShots - byScale).magnitude <= tolerance.magnitude }

    /// The part of `length` for which the mass is known: all of it where both agree, else the part on which they do.
    package func known(of length: Int64) -> Int64 {
        let larger = max(byShots, byScale)
        guard !agrees, larger > 0 else { return length }
        return Int64((Double(length) * Double(max(0, min(byShots, byScale))) / Double(larger)).rounded(.down))
    }
}
