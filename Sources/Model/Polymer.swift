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
