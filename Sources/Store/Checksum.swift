// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, as in RFC 3720 B.4), sixteen bytes a step.

/// The checksum of every page.
package enum Checksum {
    /// `tables[k * 256 + b]` is the effect of byte `b` when k more bytes follow in the same step.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 16 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            tables[byte] = crc
        }
        for k in 1..<16 {
            for byte in 0..<256 {
                let before = tables[(k - 1) * 256 + byte]
                tables[k * 256 + byte] = before >> 8 ^ tables[Int(before & 0xFF)]
            }
        }
        return tables
    }()

    /// `zeroPowers[n]` is x^(8n) modulo the polynomial: what n zero bytes do to a checksum, as a factor.
    private static let zeroPowers: [UInt32] = {
        var powers: [UInt32] = [1 << 31]
        for _ in 0..<Layout.pageSize {
            let last = powers[powers.count - 1]
            powers.append(last >> 8 ^ tables[Int(last & 0xFF)])
        }
        return powers
    }()

    /// The checksum of what was checked to `before` and of so many zero bytes after it, without a look at them.
    package static func crc32c(zeros count: Int, after before: UInt32) -> UInt32 {
        guard count > 0, count < zeroPowers.count else { return before }
        var factor = ~before
        var bit = zeroPowers[count]
        var product: UInt32 = 0
        for _ in 0..<32 {
            product ^= bit & (0 &- (factor >> 31))
            factor <<= 1
            bit = bit >> 1 ^ (0x82F6_3B78 & (0 &- (bit & 1)))
        }
        return ~product
    }

    /// CRC-32C of `bytes[range]`, and of what was checked to `before` in front of it; a range outside of the bytes is
    /// cut.
    package static func crc32c(_ bytes: [UInt8], _ range: Range<Int>, after before: UInt32 = 0) -> UInt32 {
        let all = bytes.span
        let part = all.extracting(range.clamped(to: 0..<all.count))
        let table = tables.span
        // Said once, so that the compiler need not check each look-up.
        guard table.count == 4096 else { return 0 }
        var crc = ~before
        var at = 0
        // A step waits for the one before it, so that two halves at once take little longer than one.
        let half = part.count <= Layout.pageSize ? part.count / 2 & ~15 : 0
        if half >= 256 {
            var other: UInt32 = 0
            while at < half {
                crc = step(crc, part.extracting(at..<at &+ 16), table)
                other = step(other, part.extracting(half &+ at..<half &+ at &+ 16), table)
                at &+= 16
            }
            crc = ~crc32c(zeros: half, after: ~crc) ^ other
            at = 2 * half
        }
        while at &+ 16 <= part.count {
            crc = step(crc, part.extracting(at..<at &+ 16), table)
            at &+= 16
        }
        while at < part.count {
            crc = crc >> 8 ^ table[Int((crc ^ UInt32(part[at])) & 0xFF)]
            at += 1
        }
        return ~crc
    }

    /// Takes in sixteen bytes.
    @inline(__always)
    private static func step(_ crc: UInt32, _ part: Span<UInt8>, _ table: Span<UInt32>) -> UInt32 {
        // Said once as well.
        guard part.count == 16, table.count == 4096 else { return 0 }
        let low = crc ^ word(part, 0)
        let (second, third, fourth) = (word(part, 4), word(part, 8), word(part, 12))
        return look(low, 3072, table) ^ look(second, 2048, table) ^ look(third, 1024, table) ^ look(fourth, 0, table)
    }

    @inline(__always)
    private static func word(_ part: Span<UInt8>, _ at: Int) -> UInt32 {
        UInt32(part[at]) | UInt32(part[at + 1]) << 8 | UInt32(part[at + 2]) << 16 | UInt32(part[at + 3]) << 24
    }

    /// What four bytes do, with `place / 256` more after them.
    @inline(__always)
    private static func look(_ word: UInt32, _ place: Int, _ table: Span<UInt32>) -> UInt32 {
        table[place + 768 + Int(word & 0xFF)] ^ table[place + 512 + Int(word >> 8 & 0xFF)]
            ^ table[place + 256 + Int(word >> 16 & 0xFF)] ^ table[place + Int(word >> 24)]
    }
}
