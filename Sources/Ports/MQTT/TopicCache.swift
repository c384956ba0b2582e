// Topics come again and again; their Strings are made once.

/// Strings by their bytes: 1,024 places, where a newer topic takes the place of an older one with the same hash.
package struct TopicCache {
    private var places = [String?](repeating: nil, count: 1024)

    package init() {}

    package mutating func string(for bytes: UnsafeBufferPointer<UInt8>) -> String {
        // FNV-1a
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        let place = Int(truncatingIfNeeded: (hash ^ hash >> 32) & 1023)
        if let known = places[place], TopicCache.holds(known, bytes) { return known }
        let made = String(decoding: bytes, as: UTF8.self)
        places[place] = made
        return made
    }

    private static func holds(_ string: String, _ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        guard string.utf8.count == bytes.count else { return false }
        let same = string.utf8.withContiguousStorageIfAvailable { known in
            zip(known, bytes).allSatisfy { $0 == $1 }
        }
        return same ?? string.utf8.elementsEqual(bytes)
    }
}
