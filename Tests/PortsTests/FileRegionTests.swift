// The store's file: whole or not there, one owner, and nothing outside its size.

@preconcurrency import Glibc
import Ports
import Store
import Testing

@Suite struct FileRegionTests {
    /// Whatever makes it, a page's checksum is the same, also of a part and after another part.
    @Test func theMachinesChecksumIsThatOfTheTables() throws {
        let region = MemoryRegion(size: 4096)
        var seed: UInt64 = 0x9E37_79B9_7F4A_7C15
        func next() -> Int {
            seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(seed >> 40)
        }
        let bytes = (0..<8192).map { _ in UInt8(truncatingIfNeeded: next()) }
        for round in 0..<2000 {
            let from = next() % 5000
            let range = from..<from + (round < 100 ? round : next() % 5000)
            let before = UInt32(truncatingIfNeeded: next())
            #expect(
                region.crc32c(bytes, range, after: before) == Checksum.crc32c(bytes, range, after: before),
                "\(range) after \(before)")
        }
    }

    @Test func whatIsWrittenIsReadAfterReopening() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/store"
        let size = 3 << 20 | 4096
        var shares: [Double] = []
        do {
            let region = try FileRegion(creating: path, size: size) { shares.append($0) }
            try region.write([1, 2, 3], at: size - 3)
            try region.sync()
        }
        #expect(shares.count == 4)
        #expect(shares.last == 1)
        let region = try FileRegion(opening: path)
        #expect(region.size == size)
        var tail = [UInt8](repeating: 9, count: 5)
        try region.read(at: size - 5, into: &tail)
        #expect(tail == [0, 0, 1, 2, 3])
    }

    @Test func headsOfManyPiecesAreWhatEachHolds() throws {
        let folder = try TemporaryFolder()
        let region = try FileRegion(creating: folder.path + "/heads", size: 64 << 12)
        for page in 0..<64 {
            try region.write((0..<4096).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ page) }, at: page << 12)
        }
        for (first, count, length) in [(0, 64, 128), (3, 1, 1), (63, 1, 4095), (10, 20, 4000)] {
            let heads = try region.readHeads(at: first << 12, count: count, piece: 4096, length: length)
            let expected = (first..<first + count).flatMap { page in
                (0..<length).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ page) }
            }
            #expect(heads == expected)
        }
        // Beyond the end, and more than the system takes.
        #expect(throws: RegionError.self) {
            try region.readHeads(at: 60 << 12, count: 5, piece: 4096, length: 128)
        }
        #expect(throws: RegionError.self) { try region.readHeads(at: 0, count: 1000, piece: 64, length: 8) }
        #expect(throws: RegionError.self) { try region.readHeads(at: 0, count: 0, piece: 64, length: 8) }
    }

    @Test func nothingOutsideIsTouched() throws {
        let folder = try TemporaryFolder()
        let region = try FileRegion(creating: folder.path + "/store", size: 4096)
        for offset in [-1, 4090, 4096, Int.max - 4] {
            #expect(throws: RegionError.self) { try region.write([0, 0, 0, 0, 0, 0, 0], at: offset) }
            var buffer = [UInt8](repeating: 0, count: 7)
            #expect(throws: RegionError.self) { try region.read(at: offset, into: &buffer) }
        }
    }

    @Test func oneGatewayAtATime() throws {
        let folder = try TemporaryFolder()
        let path = folder.path + "/store"
        let region = try FileRegion(creating: path, size: 4096)
        #expect { try FileRegion(opening: path) } throws: {
            ($0 as? RegionError)?.code == EWOULDBLOCK && "\($0)".contains("in use by another fabgate")
        }
        #expect(try FileRegion(reading: path).size == 4096)
        #expect(throws: RegionError.self) { try FileRegion(creating: path, size: 4096) }
        try region.write([1], at: 0)
    }

    @Test func aMissingFileIsSaid() throws {
        let folder = try TemporaryFolder()
        #expect { try FileRegion(opening: folder.path + "/none") } throws: { "\($0)".contains("No such file") }
    }
}
