/// Which individual speaks under a device's address, as it says itself: a meter's serial number, or since when it counts.
/// By it another meter in the same place is told from one that has lost its memory. What it says is kept as a hash of 64
/// bits; two that differ only in what the hash does not show are one in 10¹⁹.
package struct Identity: Sendable {
    private var known: UInt64?
    /// Another one, said once, where once is not enough.
    private var doubtful: UInt64?

    package init() {}

    /// What is said now; true where it is another individual than before. Where no checksum proves it, it must be said
    /// twice in a row: a damaged digit is no new meter.
    package mutating func isOther(_ said: UInt64, isProved: Bool) -> Bool {
        defer { doubtful = said == known ? nil : said }
        guard said != known, isProved || doubtful == said else { return false }
        defer { known = said }
        return known != nil
    }

    /// What was said last must be said once more to count.
    package var isDoubtful: Bool { doubtful != nil }

    /// For `Outbox.remember`, where it is known; 16 hex digits.
    package var memory: String? {
        known.map { hash in
            let digits = String(hash, radix: 16)
            return String(repeating: "0", count: 16 - digits.count) + digits
        }
    }

    /// Takes back what `memory` gave. Anything else is forgotten.
    package mutating func recall(_ memory: some StringProtocol) {
        if memory.utf8.count == 16, let hash = UInt64(memory, radix: 16) { known = hash }
    }

    /// FNV-1a over some bytes.
    package static func hash(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for i in range { hash = (hash ^ UInt64(bytes[i])) &* 0x100_0000_01B3 }
        return hash
    }
}

extension Channel {
    /// Something else counts here from now on: another meter, or one that somebody has set. A counter's first value after
    /// it is no advance.
    package static let exchange = Channel("exchange", nil, .event)
}
