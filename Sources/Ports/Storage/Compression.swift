internal import CZlib

/// gzip (RFC 1952) and zlib (RFC 1950), by zlib.
package enum Compression {
    /// Why bytes could not be unpacked.
    package enum Failure: Error, Equatable, CustomStringConvertible {
        /// More would come out than the caller allows.
        case tooLarge(limit: Int)
        /// Neither gzip nor zlib, or damaged on the way.
        case damaged(String)
        /// The end is missing.
        case truncated

        package var description: String {
            switch self {
            case .tooLarge(let limit): "the data unpacks to more than the \(limit) bytes that are allowed here"
            case .damaged(let reason): "the data is neither gzip nor zlib, or was damaged on the way: \(reason)"
            case .truncated: "the compressed data ends too early; was it cut off on the way?"
            }
        }
    }

    /// Unpacks gzip or zlib, told apart by their headers. Never holds more than `limit` bytes of output, whatever the
    /// input promises.
    package static func inflate(_ bytes: [UInt8], limit: Int) throws(Failure) -> [UInt8] {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        guard fabgate_inflate_init(stream) == Z_OK else { throw .damaged("zlib could not start; memory is short") }
        defer { inflateEnd(stream) }

        var output: [UInt8] = []
        let result = bytes.withUnsafeBufferPointer { input in
            stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
            stream.pointee.avail_in = UInt32(clamping: input.count)
            return unpack(stream, into: &output, limit: limit)
        }
        if let failure = result { throw failure }
        return output
    }

    private static func unpack(
        _ stream: UnsafeMutablePointer<z_stream>, into output: inout [UInt8], limit: Int
    ) -> Failure? {
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let (status, count) = chunk.withUnsafeMutableBufferPointer { buffer -> (Int32, Int) in
                stream.pointee.next_out = buffer.baseAddress
                stream.pointee.avail_out = UInt32(buffer.count)
                let status = CZlib.inflate(stream, Z_NO_FLUSH)
                return (status, buffer.count - Int(stream.pointee.avail_out))
            }
            guard output.count + count <= limit else { return .tooLarge(limit: limit) }
            output.append(contentsOf: chunk[..<count])
            switch status {
            case Z_OK: continue
            case Z_STREAM_END where stream.pointee.avail_in == 0: return nil
            case Z_STREAM_END:
                // gzip files may be joined end to end (RFC 1952 §2.2).
                guard stream.pointee.avail_in >= 2, stream.pointee.next_in[0] == 0x1F, stream.pointee.next_in[1] == 0x8B
                else { return .damaged("other bytes follow its end") }
                inflateReset(stream)
            case Z_BUF_ERROR: return .truncated
            case Z_NEED_DICT: return .damaged("it asks for a dictionary")
            default: return .damaged(stream.pointee.msg.map { String(cString: $0) } ?? "zlib error \(status)")
            }
        }
    }

    /// Packs bytes as one gzip member.
    package static func gzip(_ bytes: [UInt8]) -> [UInt8] {
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        precondition(fabgate_deflate_init(stream) == Z_OK, "zlib could not start: memory is short")
        defer { deflateEnd(stream) }
        // With room for the bound, zlib finishes in one call.
        let bound = Int(deflateBound(stream, UInt(bytes.count)))
        return [UInt8](unsafeUninitializedCapacity: bound) { output, count in
            bytes.withUnsafeBufferPointer { input in
                stream.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress)
                stream.pointee.avail_in = UInt32(input.count)
                stream.pointee.next_out = output.baseAddress
                stream.pointee.avail_out = UInt32(bound)
                _ = deflate(stream, Z_FINISH)
            }
            count = bound - Int(stream.pointee.avail_out)
        }
    }
}
