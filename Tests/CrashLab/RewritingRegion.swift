import Store
import Synchronization

/// A region that writes pages again which an earlier sync has made durable, as a store does that fills a half-empty page.
/// The bytes are the same; what is spoilt is the promise that a page with acknowledged samples is left alone.
final class RewritingRegion: Region {
    private struct Pages {
        var fresh: [Int: [UInt8]] = [:]
        var durable: [Int: [UInt8]] = [:]
    }

    private let region: any Region
    private let pages = Mutex(Pages())

    init(_ region: any Region) { self.region = region }
    var size: Int { region.size }

    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        try region.read(at: offset, into: &buffer)
    }

    func write(_ bytes: [UInt8], at offset: Int) throws(RegionError) {
        pages.withLock { $0.fresh[offset] = bytes }
        try region.write(bytes, at: offset)
    }

    func sync() throws(RegionError) {
        let again = pages.withLock { pages in
            let again = pages.durable.filter { pages.fresh[$0.key] == nil }
            pages.durable = pages.fresh
            pages.fresh = [:]
            return again
        }
        for (offset, bytes) in again { try region.write(bytes, at: offset) }
        try region.sync()
    }
}
