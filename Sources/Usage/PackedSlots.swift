import Model

/// Slots one behind the other, each as the numbers that are not 0:
///
///     place     u8        in `Slot.fields`
///     number    varint    zigzag: 7 bits a byte, the lowest first, the top bit set where more follow
///
/// A slot of which nothing is known takes no byte; one of a machine that stood still, about twenty.
struct PackedSlots: Hashable, Sendable {
    private var bytes: [UInt8] = []
    /// Where each ends.
    private var ends: [Int32] = []

    var count: Int { ends.count }

    private func range(_ index: Int) -> Range<Int> {
        (index > 0 ? Int(ends[index - 1]) : 0)..<Int(ends[index])
    }

    subscript(index: Int) -> Slot { sum(index..<index + 1) }

    /// Some of them together.
    func sum(_ places: Range<Int>) -> Slot {
        var total = Slot()
        guard let last = places.last else { return total }
        var next = range(places.lowerBound).lowerBound
        let end = Int(ends[last])
        let bytes = bytes.span
        while next &+ 1 < end {
            let field = Int(bytes[next])
            var byte = bytes[next &+ 1]
            next &+= 2
            var (bits, shift) = (UInt64(byte & 0x7F), UInt64(7))
            while byte & 0x80 != 0 {
                byte = bytes[next]
                bits |= UInt64(byte & 0x7F) &<< shift
                shift &+= 7
                next &+= 1
            }
            total.add(Int64(bitPattern: bits >> 1) ^ -Int64(bits & 1), toField: field)
        }
        return total
    }

    private static func pack(_ slot: Slot, into bytes: inout [UInt8]) {
        let numbers = slot.numbers.span
        for field in 1..<numbers.count {
            let number = numbers[field]
            guard number != Slot.absent(field) else { continue }
            bytes.append(UInt8(truncatingIfNeeded: field))
            var rest = UInt64(bitPattern: number << 1 ^ number >> 63)
            while rest >= 0x80 {
                bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
                rest >>= 7
            }
            bytes.append(UInt8(rest))
        }
    }

    mutating func append(_ slots: ArraySlice<Slot>) {
        var more: [UInt8] = []
        ends.reserveCapacity(ends.count + slots.count)
        for slot in slots {
            Self.pack(slot, into: &more)
            ends.append(Int32(bytes.count + more.count))
        }
        // Twice the room that is needed would be half of it for nothing.
        bytes.reserveCapacity(bytes.count + more.count)
        bytes += more
    }

    mutating func replace(_ index: Int, by slot: Slot) {
        var new: [UInt8] = []
        Self.pack(slot, into: &new)
        let old = range(index)
        bytes.replaceSubrange(old, with: new)
        guard new.count != old.count else { return }
        for later in index..<ends.count { ends[later] += Int32(new.count - old.count) }
    }

    /// So many empty ones.
    mutating func putBefore(_ missing: Int) { ends.insert(contentsOf: repeatElement(0, count: missing), at: 0) }

    mutating func removeFirst(_ surplus: Int) {
        let gone = ends[surplus - 1]
        bytes.removeFirst(Int(gone))
        ends.removeFirst(surplus)
        for index in ends.indices { ends[index] -= gone }
    }
}
