// A store's bytes without a disk.

package import Store

/// Memory that ends with the process, for what is looked at and not kept. Used by one thread.
package final class MemoryRegion: Region, @unchecked Sendable {
    private var bytes: [UInt8]

    /// `size` bytes of zeros.
    package init(size: Int) { bytes = [UInt8](repeating: 0, count: max(0, size)) }

    package var size: Int { bytes.count }

    /// Fills `buffer` from `offset` on.
    package func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        let range = try range(offset, buffer.count)
        buffer.replaceSubrange(buffer.startIndex..<buffer.endIndex, with: bytes[range])
    }

    package func write(_ data: [UInt8], at offset: Int) throws(RegionError) {
        bytes.replaceSubrange(try range(offset, data.count), with: data)
    }

    package func crc32c(_ bytes: [UInt8], _ range: Range<Int>, after before: UInt32) -> UInt32 {
        MachineChecksum.crc32c(bytes, range, after: before)
    }

    /// There is nothing behind it that could be late.
    package func sync() throws(RegionError) {}

    private func range(_ offset: Int, _ count: Int) throws(RegionError) -> Range<Int> {
        guard offset >= 0, count <= bytes.count, offset <= bytes.count - count else {
            throw RegionError("\(count) bytes at \(offset) are outside of \(bytes.count) bytes of memory")
        }
        return offset..<offset + count
    }
}
