// Finds out what store stands in a region, and how it is divided: by its superblocks, and without them by what most of
// its pages say.

extension Recovered {
    /// Identity and layout, which superblocks are bad, and whether they say less than the store is now.
    static func locate(
        _ region: any Region
    ) throws(StoreError)
        -> (identity: [UInt8], layout: Layout, bad: [Int], outdated: Bool)
    {
        var good: (identity: [UInt8], layout: Layout)?
        var format = UInt8.max
        var bad: [Int] = []
        var newer = 0
        for page in 0..<2 {
            var bytes = [UInt8](repeating: 0, count: PageHeader.size)
            let isRead = (try? region.read(at: page * Layout.pageSize, into: &bytes)) != nil
            let isMarked = isRead && bytes.integer(UInt32.self, at: 0) == PageHeader.magic
            if isMarked, bytes[4] > PageHeader.format { newer += PageHeader.isSound(bytes) ? 2 : 1 }
            if isMarked, PageHeader.formats.contains(bytes[4]), bytes[5] == PageHeader.Kind.superblock.rawValue,
                Int(bytes.integer(UInt32.self, at: 40)) == page, let store = PageHeader.store(bytes),
                isPlausible(store.layout, region)
            {
                // One of the two may have been written anew already.
                if store.layout.allPages > good?.layout.allPages ?? 0 { good = store }
                format = min(format, bytes[4])
            } else {
                bad.append(page)
            }
        }
        if let good { return longer((good.identity, good.layout, bad, format < PageHeader.format), region) }
        guard newer < 2 else {
            throw StoreError(
                .newerFormat,
                "this store was written by a newer version of fabgate, in a format that this version does not know; "
                    + "install the newer version again, or point store.path at another directory. Nothing was changed")
        }
        guard let store = survey(region) else {
            throw StoreError(.notAStore, "there is no store here: neither a superblock nor any page of one")
        }
        return longer((store.identity, store.layout, bad, false), region)
    }

    /// Memory goes by the number of pages, so that one who claims any number must not be believed. A file may have been cut
    /// off, though: up to 4 GiB, or sixteen times what is there, a store opens with what is left.
    private static func isPlausible(_ layout: Layout, _ region: any Region) -> Bool {
        layout.allPages <= max(1 << 20, 16 * (region.size / Layout.pageSize))
    }

    /// A store without tiers gets them where its region has become long enough.
    private static func longer(
        _ found: (identity: [UInt8], layout: Layout, bad: [Int], outdated: Bool), _ region: any Region
    ) -> (identity: [UInt8], layout: Layout, bad: [Int], outdated: Bool) {
        guard found.layout.shares == .none else { return found }
        var found = found
        found.layout.shares = .usual
        guard region.size >= found.layout.allPages * Layout.pageSize else {
            found.layout.shares = .none
            return found
        }
        found.outdated = true
        return found
    }

    /// How long a region must be that the store in it has tiers, too; nil where there is no store of the first format.
    static func sizeWithTiers(_ region: any Region) -> Int? {
        guard var layout = (try? locate(region))?.layout,
            layout.shares == .none || layout.allPages * Layout.pageSize > region.size
        else { return nil }
        layout.shares = .usual
        return layout.allPages * Layout.pageSize
    }

    /// What most sound pages say.
    private static func survey(_ region: any Region) -> (identity: [UInt8], layout: Layout)? {
        var votes: [[UInt8]: (count: Int, layout: Layout)] = [:]
        var bytes = [UInt8](repeating: 0, count: PageHeader.size)
        for page in 0..<max(0, region.size / Layout.pageSize) {
            guard (try? region.read(at: page * Layout.pageSize, into: &bytes)) != nil,
                PageHeader.formats.contains(bytes[4]),
                Int(bytes.integer(UInt32.self, at: 40)) == page, let store = PageHeader.store(bytes),
                isPlausible(store.layout, region)
            else { continue }
            votes[store.identity, default: (0, store.layout)].count += 1
            if store.layout.shares != .none { votes[store.identity]?.layout = store.layout }
        }
        return votes.max { $0.value.count < $1.value.count }.map { ($0.key, $0.value.layout) }
    }

    static func hasStore(_ region: any Region) -> Bool {
        do throws(StoreError) {
            _ = try locate(region)
            return true
        } catch {
            return error.kind == .newerFormat
        }
    }
}
