/// The pages of the archive that were read last, checked: at most 256, 1 MiB. Charts ask for one series after the
/// other, and neighbours share pages. A sequence never comes again with other content.
struct PageCache {
    private struct Slot {
        var sequence: UInt64 = 0
        var used = 0
        var bytes: [UInt8] = []
    }

    private static let sets = 128
    /// Two slots a set, the one used last first.
    private var slots = [Slot](repeating: Slot(), count: 2 * sets)

    private static func first(_ sequence: UInt64) -> Int {
        Int(truncatingIfNeeded: (sequence &* 0x9E37_79B9_7F4A_7C15) >> 57) * 2
    }

    mutating func page(_ sequence: UInt64) -> (bytes: [UInt8], used: Int)? {
        let first = PageCache.first(sequence)
        if slots[first].sequence == sequence { return (slots[first].bytes, slots[first].used) }
        guard slots[first + 1].sequence == sequence else { return nil }
        slots.swapAt(first, first + 1)
        return (slots[first].bytes, slots[first].used)
    }

    /// A page's worth of bytes to read into: those of the slot that will be given up.
    mutating func storage(for sequence: UInt64) -> [UInt8] {
        let last = PageCache.first(sequence) + 1
        var bytes: [UInt8] = []
        swap(&bytes, &slots[last].bytes)
        slots[last].sequence = 0
        return bytes.count == Layout.pageSize ? bytes : [UInt8](repeating: 0, count: Layout.pageSize)
    }

    mutating func keep(_ bytes: [UInt8], _ used: Int, _ sequence: UInt64) {
        let first = PageCache.first(sequence)
        slots[first + 1] = Slot(sequence: sequence, used: used, bytes: bytes)
        slots.swapAt(first, first + 1)
    }
}
