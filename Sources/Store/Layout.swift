// Where things stand in the region:
//
//     page 0  1   2 …                       …               …              … pages          …             … allPages
//     +----+----+--------------------------+---------------+--------------+----------------+--------------+
//     | sb | sb | catalog: 3 slots a page  | journal ring  | archive ring | ring of slots  | ring of days |
//     +----+----+--------------------------+---------------+--------------+----------------+--------------+
//                                            what came last  raw samples    quarters of an   days
//                                                                           hour
//
// Page n of a ring stands at sequence mod ring size. Two superblocks say the same; every other page repeats what they
// say, so that a store without superblocks is rebuilt from any good page. The rings of slots and days are shares of
// `pages`: a store of the first format has none, and gets them when its file has been made longer.

/// What a store is made for.
package struct StorePlan: Hashable, Sendable {
    /// At most this many series, ever; 1…20,000.
    package var seriesLimit: Int
    package init(seriesLimit: Int = 2000) { self.seriesLimit = seriesLimit }
}

/// How many pages the tiers have, by the pages of everything else.
struct TierShares: Hashable {
    /// In 1/256.
    var slots: UInt8 = 0
    /// In 1/1024.
    var days: UInt8 = 0

    /// 27 % and 2 % of the whole. Where a thousand series report every nine seconds, slots reach back three times as
    /// far as samples, at one a second thirty times, and days for some years.
    static let usual = TierShares(slots: 96, days: 32)
    static let none = TierShares()

    func pages(_ tier: Tier, of rest: Int) -> Int {
        let share = tier == .slots ? slots : days
        return share == 0 ? 0 : max(8, rest * Int(share) / (tier == .slots ? 256 : 1024))
    }

    func allPages(of rest: Int) -> Int { rest + pages(.slots, of: rest) + pages(.days, of: rest) }
}

/// The division of a region into areas.
struct Layout: Hashable {
    static let pageSize = 4096
    static let entriesPerCatalogPage = 22
    static let catalogSlots = 3
    static let catalogStart = 2
    /// Most series numbers that a page can name; numbers that were lost with their names are not used again.
    static let highestSeries = 65_000

    /// Without those of the tiers.
    let pages: Int
    let seriesLimit: Int
    /// In slots times logical pages.
    let catalogPages: Int
    let journalPages: Int
    var shares: TierShares

    var allPages: Int { shares.allPages(of: pages) }
    func tierPages(_ tier: Tier) -> Int { shares.pages(tier, of: pages) }
    func tierStart(_ tier: Tier) -> Int { tier == .slots ? pages : pages + tierPages(.slots) }
    func tierPage(_ tier: Tier, _ sequence: UInt64) -> Int {
        tierStart(tier) + Int(sequence % UInt64(max(1, tierPages(tier))))
    }

    var journalStart: Int { Layout.catalogStart + catalogPages }
    var archiveStart: Int { journalStart + journalPages }
    var archivePages: Int { pages - archiveStart }
    var catalogPageCount: Int { catalogPages / Layout.catalogSlots }

    /// Unsealed samples may weigh this much before they are sorted into the archive: their encoded size at worst, so
    /// that one run never takes more than a quarter of the ring, and 131,072 numbers at most.
    var sealWeight: Int { min(131_072 * Head.numberWeight, archivePages / 4 * 3900) }

    init(size: Int, plan: StorePlan) throws(StoreError) {
        guard (1...20_000).contains(plan.seriesLimit) else {
            throw StoreError(.plan, "a store holds 1 to 20000 series, not \(plan.seriesLimit); change series_limit")
        }
        let perPage = Layout.entriesPerCatalogPage
        let logical = (plan.seriesLimit + perPage - 1) / perPage
        shares = .usual
        let all = min(size / Layout.pageSize, Int(UInt32.max))
        var rest = max(0, all * 1024 / (1024 + 4 * 96 + 32) + 1)
        while rest > 0, TierShares.usual.allPages(of: rest) > all { rest -= 1 }
        pages = rest
        seriesLimit = plan.seriesLimit
        catalogPages = logical * Layout.catalogSlots
        journalPages = max(8, min(2048, pages / 16))
        let least = Layout.catalogStart + catalogPages + 8 + 16
        let leastOfAll = TierShares.usual.allPages(of: least)
        guard pages >= least, pages - Layout.catalogStart - catalogPages - journalPages >= 16 else {
            throw StoreError(
                .plan,
                "a store for \(plan.seriesLimit) series needs at least \((leastOfAll * 4 + 1023) / 1024) MiB, "
                    + "this one would have \(size / 1024) KiB; give it more room or lower its series limit")
        }
    }

    /// From a page's header; nil where it makes no sense.
    init?(pages: Int, seriesLimit: Int, catalogPages: Int, journalPages: Int, shares: TierShares) {
        guard pages > 0, (1...20_000).contains(seriesLimit), journalPages >= 8, journalPages <= 1 << 20,
            catalogPages >= 3, catalogPages <= 3 * 20_000, catalogPages % 3 == 0,
            catalogPages / 3 * Layout.entriesPerCatalogPage >= seriesLimit,
            pages - Layout.catalogStart - catalogPages - journalPages >= 16
        else { return nil }
        self.pages = pages
        self.seriesLimit = seriesLimit
        self.catalogPages = catalogPages
        self.journalPages = journalPages
        self.shares = shares
    }

    func catalogPage(_ logical: Int, slot: Int) -> Int { Layout.catalogStart + logical * Layout.catalogSlots + slot }
    func journalPage(_ sequence: UInt64) -> Int { journalStart + Int(sequence % UInt64(journalPages)) }
    func archivePage(_ sequence: UInt64) -> Int { archiveStart + Int(sequence % UInt64(archivePages)) }
}
