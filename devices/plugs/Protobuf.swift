import Model

/// Reads the fields of a Protocol Buffers message one by one, without its description.
///
///     field = key value        key = number << 3 | wire type, as a varint
///     wire type 0  varint      7 bits a byte, the lowest first; the high bit says that more follow; at most 10 bytes
///               1  8 bytes     lowest first
///               2  length as a varint, then so many bytes
///               5  4 bytes     lowest first
///
/// Types 3 and 4 (groups) went out of use with version 2 and are an error here.
struct ProtobufReader {
    enum Content {
        case varint(UInt64)
        case fixed64(UInt64)
        case fixed32(UInt32)
        case bytes(Range<Int>)
    }

    private var at: Int
    private let end: Int
    /// The message ended inside a field, or is none.
    private(set) var failed = false

    /// Reads what stands in `range`, which lies within the bytes that every call is given.
    init(_ range: Range<Int>) {
        at = range.lowerBound
        end = range.upperBound
    }

    /// The next field; nil at the end, and where `failed` says that there is none.
    mutating func next(_ b: borrowing Span<UInt8>) -> (number: UInt64, content: Content)? {
        guard !failed, at < end, end <= b.count else { return nil }
        guard let key = varint(b), key >> 3 != 0 else { return fail() }
        switch key & 7 {
        case 0:
            guard let value = varint(b) else { return fail() }
            return (key >> 3, .varint(value))
        case 1:
            guard let value = fixed(8, b) else { return fail() }
            return (key >> 3, .fixed64(value))
        case 2:
            guard let length = varint(b), length <= UInt64(end - at) else { return fail() }
            let start = at
            at += Int(length)
            return (key >> 3, .bytes(start..<at))
        case 5:
            guard let value = fixed(4, b) else { return fail() }
            return (key >> 3, .fixed32(UInt32(truncatingIfNeeded: value)))
        default: return fail()
        }
    }

    private mutating func fail() -> (number: UInt64, content: Content)? {
        failed = true
        return nil
    }

    private mutating func varint(_ b: borrowing Span<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while at < end, shift < 64 {
            let byte = b[at]
            at += 1
            // The tenth byte has room for one bit.
            guard shift < 63 || byte <= 1 else { return nil }
            value |= UInt64(byte & 0x7F) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    private mutating func fixed(_ count: Int, _ b: borrowing Span<UInt8>) -> UInt64? {
        guard end - at >= count else { return nil }
        var value: UInt64 = 0
        for i in 0..<count { value |= UInt64(b[at + i]) << UInt64(8 * i) }
        at += count
        return value
    }

    /// The bytes of a field as text; nil where they are not UTF-8 or too many for a name.
    static func text(_ range: Range<Int>, _ b: borrowing Span<UInt8>) -> String? {
        guard range.count <= 1024 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(range.count)
        for i in range { bytes.append(b[i]) }
        return String(validating: bytes, as: UTF8.self)
    }
}

/// Writes the few fields that a request needs.
struct ProtobufWriter {
    private(set) var bytes: [UInt8] = []

    mutating func varint(_ number: UInt64, _ value: UInt64) {
        put(number << 3)
        put(value)
    }

    mutating func bytes(_ number: UInt64, _ content: [UInt8]) {
        put(number << 3 | 2)
        put(UInt64(content.count))
        bytes += content
    }

    private mutating func put(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
