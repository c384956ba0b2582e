import Model

/// A number by which two jobs are told apart without keeping their names: FNV-1a over some texts.
enum JobKey {
    static func of(_ texts: [Range<Int>], _ b: borrowing Span<UInt8>) -> UInt64 {
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for range in texts {
            for index in range { hash = (hash ^ UInt64(b[index])) &* 0x100_0000_01B3 }
            // No text of UTF-8 holds this byte, so that "a", "bc" is not "ab", "c".
            hash = (hash ^ 0xFF) &* 0x100_0000_01B3
        }
        return hash
    }

    static func of(_ text: String) -> UInt64 {
        text.utf8.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
