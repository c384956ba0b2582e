/// SplitMix64 (Steele, Lea, Flood 2014): the same numbers from the same seed, everywhere.
package struct SeededRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    package init(_ seed: UInt64) { state = seed }

    package mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A generator of its own, so that one part of the lab never shifts the numbers of another.
    package mutating func fork() -> SeededRandom { SeededRandom(next()) }

    /// Evenly between two numbers.
    mutating func between(_ low: Double, _ high: Double) -> Double {
        low + (high - low) * (Double(next() >> 11) / 9_007_199_254_740_992)
    }

    /// Whole seconds, evenly between two numbers of them.
    mutating func seconds(_ low: Int64, _ high: Int64) -> Int64 { Int64.random(in: low...high, using: &self) }

    mutating func chance(_ probability: Double) -> Bool { between(0, 1) < probability }
}
