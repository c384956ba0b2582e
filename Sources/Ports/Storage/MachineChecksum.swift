// The checksum of the store's pages by the processor's own instruction: SSE 4.2 and ARMv8 have one for this polynomial.

internal import CLinux
internal import Store

enum MachineChecksum {
    private static let isThere = fabgate_has_crc32c() != 0
    /// From here on three parts at once and two looks at how much zero bytes change take less than one part alone.
    private static let long = 1024

    /// The same as `Checksum.crc32c`.
    static func crc32c(_ bytes: [UInt8], _ range: Range<Int>, after before: UInt32) -> UInt32 {
        guard isThere else { return Checksum.crc32c(bytes, range, after: before) }
        let range = range.clamped(to: 0..<bytes.count)
        return bytes.withUnsafeBufferPointer { all in
            guard let start = all.baseAddress, !range.isEmpty else { return before }
            var place = start + range.lowerBound
            var rest = range.count
            var crc = ~before
            if rest >= long, rest <= 4096 {
                let third = rest / 24 * 8
                var three: [3 of UInt32] = [crc, 0, 0]
                var span = three.mutableSpan
                span.withUnsafeMutableBufferPointer { fabgate_crc32c_of_three($0.baseAddress, place, third) }
                crc = ~Checksum.crc32c(zeros: third, after: ~three[0]) ^ three[1]
                crc = ~Checksum.crc32c(zeros: third, after: ~crc) ^ three[2]
                place += 3 * third
                rest -= 3 * third
            }
            return ~fabgate_crc32c(crc, place, rest)
        }
    }
}
