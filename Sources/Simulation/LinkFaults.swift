package import Model

/// A bad link between the simulated devices and the gateway: what they say is lost, doubled, swapped, kept too long by
/// the broker, or damaged on the wire. A value: the same seed spoils the same words.
package struct LinkFaults: Sendable {
    /// The probability of each fault, for each thing that is said.
    package struct Rates: Hashable, Sendable {
        package var drop: Double
        package var duplicate: Double
        /// A message comes after the next one.
        package var reorder: Double
        /// The broker says an old SENSOR again, as retained.
        package var replay: Double
        /// A byte on a serial wire is another one, or missing.
        package var damage: Double

        package init(
            drop: Double = 0, duplicate: Double = 0, reorder: Double = 0, replay: Double = 0, damage: Double = 0
        ) {
            self.drop = drop
            self.duplicate = duplicate
            self.reorder = reorder
            self.replay = replay
            self.damage = damage
        }
    }

    private let rates: Rates
    /// Something gets lost, doubled, late or broken; otherwise all arrives as it was said.
    package let isBad: Bool
    private var random: SeededRandom
    private var late: (emission: Emission, said: Instant)?
    private var old: Emission?

    package init(seed: UInt64, _ rates: Rates) {
        self.rates = rates
        isBad = rates != Rates()
        random = SeededRandom(seed)
    }

    /// Whether a question over HTTP, or its answer, gets lost.
    package mutating func loses() -> Bool { isBad && random.chance(rates.drop) }

    /// What arrives of one thing that was said.
    package mutating func pass(_ emission: Emission, _ emit: (Emission) -> Void) {
        pass(emission, said: .distantPast) { arrived, _ in emit(arrived) }
    }

    /// The same, and when each thing that arrives was said.
    package mutating func pass(_ emission: Emission, said: Instant, _ emit: (Emission, Instant) -> Void) {
        guard isBad else { return emit(emission, said) }
        if random.chance(rates.drop) { return }
        switch emission {
        case .serial(let wire, let bytes): emit(.serial(wire: wire, bytes: damaged(bytes)), said)
        case .publish(let topic, let payload, _):
            if late == nil, random.chance(rates.reorder) {
                late = (emission, said)
                return
            }
            emit(emission, said)
            if random.chance(rates.duplicate) { emit(emission, said) }
            if let late { emit(late.emission, late.said) }
            late = nil
            if let old, random.chance(rates.replay) { emit(old, said) }
            if topic.hasSuffix("/SENSOR"), old == nil || random.chance(0.01) {
                old = .publish(topic: topic, payload: payload, retain: true)
            }
        }
    }

    /// Bytes after a noisy wire: the same, or with one byte changed or gone.
    package mutating func damaged(_ bytes: [UInt8]) -> [UInt8] {
        guard !bytes.isEmpty, random.chance(rates.damage) else { return bytes }
        var bytes = bytes
        let place = Int.random(in: bytes.indices, using: &random)
        if random.chance(0.5) {
            bytes.remove(at: place)
        } else {
            bytes[place] ^= UInt8.random(in: 1...255, using: &random)
        }
        return bytes
    }
}
