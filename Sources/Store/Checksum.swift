// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78, as in RFC 3720 B.4), eight bytes a step.

/// The checksum of every page.
package enum Checksum {
    /// `tables[k * 256 + b]` is the effect of byte `b` when k more bytes follow in the same step.
    private static let tables: [UInt32] = {
        var tables = [UInt32](repeating: 0, count: 8 * 256)
        for byte in 0..<256 {
            var crc = UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82F6_3B78 : crc >> 1 }
            tables[byte] = crc
        }
        for k in 1..<8 {
            for byte in 0..<256 {
                let before = tables[(k - 1) * 256 + byte]
                tables[k * 256 + byte] = before >> 8 ^ tables[Int(before & 0xFF)]
            }
        }
        return tables
    }()

    /// CRC-32C of `bytes[range]`; a range outside of the bytes is cut.
    package static func crc32c(_ bytes: [UInt8], _ range: Range<Int>) -> UInt32 {
        let all = bytes.span
        let part = all.extracting(range.clamped(to: 0..<all.count))
        let table = tables.span
        // Said once, so that the compiler need not check each of the eight look-ups.
        guard table.count == 2048 else { return 0 }
        var crc: UInt32 = 0xFFFF_FFFF
        var at = 0
        let whole = part.count & ~7
        while at < whole {
            let low =
                crc
                ^ (UInt32(part[at]) | UInt32(part[at + 1]) << 8 | UInt32(part[at + 2]) << 16
                    | UInt32(part[at + 3]) << 24)
            var next = table[1792 + Int(low & 0xFF)] ^ table[1536 + Int(low >> 8 & 0xFF)]
            next ^= table[1280 + Int(low >> 16 & 0xFF)] ^ table[1024 + Int(low >> 24)]
            next ^= table[768 + Int(part[at + 4])] ^ table[512 + Int(part[at + 5])]
            next ^= table[256 + Int(part[at + 6])] ^ table[Int(part[at + 7])]
            crc = next
            at += 8
        }
        while at < part.count {
            crc = crc >> 8 ^ table[Int((crc ^ UInt32(part[at])) & 0xFF)]
            at += 1
        }
        return ~crc
    }
}
