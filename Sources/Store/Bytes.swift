// Little-endian integers and varints in a page. Reading beyond the end gives nil or zero, never a trap.

extension [UInt8] {
    /// Zero where the bytes end before.
    func integer<T: FixedWidthInteger & UnsignedInteger>(_ type: T.Type = T.self, at offset: Int) -> T {
        let size = T.bitWidth / 8
        guard offset >= 0, offset <= count - size else { return 0 }
        var value: T = 0
        for index in 0..<size { value |= T(truncatingIfNeeded: self[offset + index]) << T(8 * index) }
        return value
    }

    /// Does nothing where the bytes end before.
    mutating func put<T: FixedWidthInteger & UnsignedInteger>(_ value: T, at offset: Int) {
        let size = T.bitWidth / 8
        guard offset >= 0, offset <= count - size else { return }
        for index in 0..<size { self[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index)) }
    }

    /// Writes seven bits a byte, low bits first, the top bit set on all but the last. The caller has checked that
    /// ten bytes are left.
    @inline(__always)
    mutating func putVarint(_ value: UInt64, at offset: inout Int) {
        var rest = value
        while rest >= 0x80 {
            self[offset] = UInt8(truncatingIfNeeded: rest) | 0x80
            offset &+= 1
            rest >>= 7
        }
        self[offset] = UInt8(truncatingIfNeeded: rest)
        offset &+= 1
    }
}

extension MutableRawSpan {
    /// It is checked that the span has room for it; what the language takes for unsafe is that a type might not allow every
    /// bit, which bytes do.
    @inline(__always)
    mutating func put<T: FixedWidthInteger & UnsignedInteger & BitwiseCopyable>(_ value: T, at offset: Int) {
        storeBytes(of: value.littleEndian, toByteOffset: offset, as: T.self)
    }
}

/// Small magnitudes of either sign become small numbers: 0, −1, 1, −2 … → 0, 1, 2, 3 …
@inline(__always)
func zigzag(_ value: Int64) -> UInt64 { UInt64(bitPattern: value << 1 ^ value >> 63) }

@inline(__always)
func unzigzag(_ value: UInt64) -> Int64 { Int64(bitPattern: value >> 1) ^ -Int64(bitPattern: value & 1) }
