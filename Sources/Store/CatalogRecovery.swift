// What opening a store finds of its catalog.

extension Recovered {
    /// The newest sound slot of each catalog page names its series.
    mutating func loadCatalog(_ region: any Region) {
        let slots = Layout.catalogSlots
        let size = Layout.pageSize
        var many: [UInt8] = []
        // A catalog for many series is thousands of pages, most of them never written.
        for first in stride(from: 0, to: layout.catalogPageCount, by: Recovered.catalogAtOnce) {
            let part = min(Recovered.catalogAtOnce, layout.catalogPageCount - first)
            if many.count != part * slots * size { many = [UInt8](repeating: 0, count: part * slots * size) }
            let isRead = (try? region.read(at: layout.catalogPage(first, slot: 0) * size, into: &many)) != nil
            for logical in first..<first + part {
                loadCatalog(logical, region) { reader, slot in
                    // One of them cannot be read; which, is seen only one by one.
                    guard isRead else {
                        return reader.read(region, page: reader.layout.catalogPage(logical, slot: slot))
                    }
                    let start = ((logical - first) * slots + slot) * size
                    // Where nothing was ever written there is no header either.
                    guard many[start] != 0 else { return nil }
                    return Array(many[start..<start + size])
                }
            }
        }
        catalog.finishLoading()
    }

    private static let catalogAtOnce = 32

    /// Takes the newest sound slot of a logical page; `bytes` gives what stands in a slot, nil for nothing of use.
    private mutating func loadCatalog(
        _ logical: Int, _ region: any Region, _ bytes: (inout Recovered, _ slot: Int) -> [UInt8]?
    ) {
        var best: (slot: Int, header: PageHeader, bytes: [UInt8])?
        var copies = 0
        for slot in 0..<Layout.catalogSlots {
            let page = layout.catalogPage(logical, slot: slot)
            guard let bytes = bytes(&self, slot),
                let header = PageHeader(bytes, page: page, identity: identity), header.kind == .catalog,
                PageHeader.isBodySound(bytes, region)
            else { continue }
            note(header)
            if let known = best, known.header.sequence >= header.sequence {
                if Recovered.haveSameBody(bytes, known.bytes) { copies += 1 }
                continue
            }
            copies = best.map { Recovered.haveSameBody($0.bytes, bytes) } ?? false ? copies + 1 : 1
            best = (slot, header, bytes)
        }
        if let best { catalog.load(logical, slot: best.slot, best.header, best.bytes, copies: copies) }
    }

    /// Both are sound, so that their checksums tell; to look at each byte would cost more than all the rest.
    private static func haveSameBody(_ a: [UInt8], _ b: [UInt8]) -> Bool {
        a.integer(UInt32.self, at: 12) == b.integer(UInt32.self, at: 12)
    }
}
