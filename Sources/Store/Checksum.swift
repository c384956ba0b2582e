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
    static func crc32c(zeros count: Int, after before: UInt32) -> UInt32 {
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
        let whole = part.count & ~15
        while at < whole {
            let low =
                crc
                ^ (UInt32(part[at]) | UInt32(part[at + 1]) << 8 | UInt32(part[at + 2]) << 16
                    | UInt32(part[at + 3]) << 24)
            var rest = table[2816 + Int(part[at + 4])] ^ table[2560 + Int(part[at + 5])]
            rest ^= table[2304 + Int(part[at + 6])] ^ table[2048 + Int(part[at + 7])]
            rest ^= table[1792 + Int(part[at + 8])] ^ table[1536 + Int(part[at + 9])]
            rest ^= table[1280 + Int(part[at + 10])] ^ table[1024 + Int(part[at + 11])]
            rest ^= table[768 + Int(part[at + 12])] ^ table[512 + Int(part[at + 13])]
            rest ^= table[256 + Int(part[at + 14])] ^ table[Int(part[at + 15])]
            rest ^= table[3840 + Int(low & 0xFF)] ^ table[3584 + Int(low >> 8 & 0xFF)]
            crc = rest ^ table[3328 + Int(low >> 16 & 0xFF)] ^ table[3072 + Int(low >> 24)]
            at += 16
        }
        while at < part.count {
            crc = crc >> 8 ^ table[Int((crc ^ UInt32(part[at])) & 0xFF)]
            at += 1
        }
        return ~crc
    }
}
