/// What a thing is made of, as far as a city's books tell materials apart. The order is that of arrays by polymer and
/// of stored records, so a new one is added at the end.
package enum Polymer: String, CaseIterable, Sendable {
    case pp, hdpe, ldpe, ps, pla, pet, abs
    /// Another material, or one that nobody named.
    case other

    /// The place in `allCases`.
    package var index: Int {
        switch self {
        case .pp: 0
        case .hdpe: 1
        case .ldpe: 2
        case .ps: 3
        case .pla: 4
        case .pet: 5
        case .abs: 6
        case .other: 7
        }
    }
}

/// Temperatures of a polymer in a hand press, in °C: to be shown and warned of, never to be set.
///
/// Softening is what the Precious Plastic poster says; the range in which it flows is the melt range that makers of
/// moulding machines give, cut at what a hand press may be heated to.
package struct PolymerHeat: Hashable, Sendable {
    package let softens: Double
    package let flows: ClosedRange<Double>

    /// Whatever is in it, a hand press that is hotter than this makes fumes.
    package static let most = 260.0
}

extension Polymer {
    /// nil where nothing is known of it in a hand press: PET and ABS do not belong into one.
    package var heat: PolymerHeat? {
        switch self {
        case .pp: PolymerHeat(softens: 170, flows: 190...260)
        case .hdpe: PolymerHeat(softens: 120, flows: 180...260)
        case .ldpe: PolymerHeat(softens: 120, flows: 180...260)
        case .ps: PolymerHeat(softens: 140, flows: 200...250)
        case .pla: PolymerHeat(softens: 160, flows: 210...240)
        case .pet, .abs, .other: nil
        }
    }

    /// A zone that is hotter than this is told to people.
    package var most: Double { heat?.flows.upperBound ?? PolymerHeat.most }
}
