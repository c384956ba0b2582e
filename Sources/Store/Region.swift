import Model

/// Why bytes could not be read, written or made durable. Names the call, the file and the system's reason.
package struct RegionError: Error, CustomStringConvertible {
    package let description: String
    /// The system's error number, 0 where there is none.
    package let code: Int32

    package init(_ description: String, code: Int32 = 0) {
        self.description = description
        self.code = code
    }
}

/// A stretch of bytes of fixed size that outlives the process: a file in the gateway, memory with faults in tests.
package protocol Region: AnyObject, Sendable {
    /// In bytes.
    var size: Int { get }
    /// Fills all of `buffer` from `offset` on.
    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError)
    /// The first `length` bytes of each of `count` pieces that follow each other from `offset` on, each `piece` bytes long.
    func readHeads(at offset: Int, count: Int, piece: Int, length: Int) throws(RegionError) -> [UInt8]
    /// Afterwards a killed process has not lost them; a power cut may have.
    func write(_ bytes: [UInt8], at offset: Int) throws(RegionError)
    /// Afterwards all earlier writes survive a power cut. Slow: called off the loop, while the loop goes on writing.
    /// The loop calls it, too, when it must. Two calls never overlap: the second waits, and fails if the first failed,
    /// because a system reports a failed write-back only once.
    func sync() throws(RegionError)
    /// `Checksum.crc32c` of `bytes[range]`, by an instruction where the machine has one for it: of what a question
    /// costs, a third was the checksum of its pages.
    func crc32c(_ bytes: [UInt8], _ range: Range<Int>, after before: UInt32) -> UInt32
}

extension Region {
    package func crc32c(_ bytes: [UInt8], _ range: Range<Int>, after before: UInt32) -> UInt32 {
        Checksum.crc32c(bytes, range, after: before)
    }

    package func readHeads(at offset: Int, count: Int, piece: Int, length: Int) throws(RegionError) -> [UInt8] {
        var heads: [UInt8] = []
        heads.reserveCapacity(count * length)
        var head = [UInt8](repeating: 0, count: length)
        for index in 0..<count {
            try read(at: offset + index * piece, into: &head)
            heads += head
        }
        return heads
    }
}
