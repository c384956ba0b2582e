// The catalog says which series a number means. It is a few logical pages, each with three slots in the file: one that
// is durable, one that a running sync may be making durable, and one that may be written now. The newest sound slot of
// the three counts, so no slot that might be the last good one is ever written over. After a new content has become
// durable it is written a second time, with the next commit, so that rot in one page loses no name.
//
// The body of a catalog page is entries, one after the other:
//
//     series u16, kind u8 (0 gauge, 1 counter, 2 state, 3 event), then three texts, each one byte of length and UTF-8:
//     unit (empty for none), device, channel
//
// The last entry of the first page may be of kind 255, series 0: no series, but what was dropped since the store was
// made, as decimals: unit "dropped", in the place of the device what came too late, of the channel what found no room.
// A reader that does not know the kind stops there.

import Model

/// The names of the series.
struct Catalog {
    private struct Page {
        var members: [UInt16] = []
        var generation: UInt64 = 0
        /// Slots, 0…2.
        var durable: Int8?
        var syncing: Int8?
        var open: Int8?
        var isDirty = false
        /// The durable content stands in the file only once.
        var wantsCopy = false
        var isCopy = false
        /// The last write to this slot was refused.
        var refused: Int8?

        /// Neither durable nor on its way there; one that was refused only where there is no other.
        var freeSlot: Int8? {
            let free = (0..<Int8(Layout.catalogSlots)).filter { $0 != durable && $0 != syncing }
            return free.first { $0 != refused } ?? free.first
        }
    }

    static let longestDevice = 96
    static let longestChannel = 64
    private static let kinds: [Kind] = [.gauge, .counter, .state, .event]
    private static let dropsKind: UInt8 = 255

    /// Samples that were dropped since the store was made.
    struct Drops: Equatable {
        var tooLate = 0
        /// Memory was full, and the disk took nothing or the ring might not be written over.
        var refused = 0
    }

    private var pages: [Page]
    /// Where it is false, no page is dirty or wants a copy, and a commit need not look at each.
    private var mayBeDue = true
    private let limit: Int
    private var names = SeriesNames()
    private(set) var count = 0
    /// As they are or will be on the disk.
    private(set) var drops = Drops()

    init(_ layout: Layout) {
        pages = [Page](repeating: Page(), count: layout.catalogPageCount)
        limit = layout.seriesLimit
    }

    var isDirty: Bool { pages.contains { $0.isDirty } }
    /// Something is written that no sync has covered.
    var isUnsynced: Bool { pages.contains { $0.open != nil || $0.syncing != nil } }

    /// By number; nil where no series has it.
    var infos: LazyMapCollection<Range<Int>, SeriesInfo?> { (0..<names.end).lazy.map { [names] in names[$0] } }

    func number(_ key: SeriesKey) -> UInt16? { names.number(key) }

    func info(_ number: UInt16) -> SeriesInfo? { names[Int(number)] }

    /// What kind of values a series has, without a copy of its names; nil where there is none.
    func kind(_ number: UInt16) -> Kind? { names.kind(Int(number)) }

    /// Whether there is such a series; without a copy of what its name is.
    func has(_ number: UInt16) -> Bool { kind(number) != nil }

    /// No series gets a number below again: samples without a name have it.
    mutating func reserve(below number: Int) { names.reserve(below: number) }

    /// nil where there is no room for another.
    mutating func add(_ key: SeriesKey, unit: Unit?, kind: Kind) -> UInt16? {
        guard count < limit, names.end < Layout.highestSeries,
            let page = pages.firstIndex(where: { $0.members.count < Layout.entriesPerCatalogPage })
        else { return nil }
        let number = UInt16(names.end)
        insert(number, key, unit, kind, page)
        // A channel that changed its unit is a new series under the old name; the newest is the one meant by it.
        names.find(number)
        pages[page].isDirty = true
        mayBeDue = true
        return number
    }

    /// All series of this name, those of earlier units, too; false where the new name is taken or the old one unknown.
    mutating func rename(_ old: SeriesKey, to new: SeriesKey) -> Bool {
        guard number(new) == nil, number(old) != nil else { return false }
        mayBeDue = true
        for index in pages.indices where pages[index].members.contains(where: { names[Int($0)]?.key == old }) {
            pages[index].isDirty = true
        }
        names.rename(old, to: new)
        return true
    }

    /// The name does not mean it yet; the caller sees to that.
    private mutating func insert(_ number: UInt16, _ key: SeriesKey, _ unit: Unit?, _ kind: Kind, _ page: Int) {
        guard !has(number) else { return }
        names.name(number, key, unit: unit, kind: kind)
        pages[page].members.append(number)
        count += 1
    }

    // MARK: - Writing

    /// To be written with the next commit.
    mutating func note(_ new: Drops) {
        guard new != drops else { return }
        drops = new
        pages[0].isDirty = true
        mayBeDue = true
    }

    struct Write {
        fileprivate let logical: Int
        fileprivate let slot: Int8
        let page: Int
        let generation: UInt64
        var body: [UInt8]
        let used: Int
    }

    /// What has to be written now. Each is either `written` or still due the next time.
    mutating func due(_ layout: Layout) -> [Write] {
        // Asked with every commit, when there is hardly ever anything.
        guard mayBeDue else { return [] }
        mayBeDue = false
        var due: [Write] = []
        for logical in pages.indices where pages[logical].isDirty || pages[logical].wantsCopy {
            mayBeDue = true
            let page = pages[logical]
            guard page.isDirty || page.syncing == nil, let slot = page.open ?? page.freeSlot else { continue }
            let (body, used) = encode(page.members, isFirst: logical == 0)
            due.append(
                Write(
                    logical: logical, slot: slot, page: layout.catalogPage(logical, slot: Int(slot)),
                    generation: page.generation + 1, body: body, used: used))
        }
        return due
    }

    mutating func written(_ write: Write) {
        pages[write.logical].isCopy = !pages[write.logical].isDirty
        pages[write.logical].open = write.slot
        pages[write.logical].generation = write.generation
        pages[write.logical].isDirty = false
        pages[write.logical].wantsCopy = false
    }

    mutating func refused(_ write: Write) {
        pages[write.logical].refused = write.slot
        pages[write.logical].open = nil
        // What stood in the slot may be gone.
        pages[write.logical].isDirty = true
        mayBeDue = true
    }

    mutating func beginSync() {
        for index in pages.indices where pages[index].open != nil {
            pages[index].syncing = pages[index].open
            pages[index].open = nil
        }
    }

    mutating func finishedSync() {
        for index in pages.indices {
            guard let slot = pages[index].syncing else { continue }
            mayBeDue = true
            pages[index].durable = slot
            pages[index].syncing = nil
            pages[index].wantsCopy = !pages[index].isCopy && !pages[index].isDirty && pages[index].open == nil
        }
    }

    /// What is not durable may be gone, whatever the file shows: it has to be written again.
    mutating func failedSync() {
        mayBeDue = true
        for index in pages.indices where pages[index].syncing != nil || pages[index].open != nil {
            pages[index].syncing = nil
            pages[index].open = nil
            pages[index].isDirty = true
        }
    }

    private func encode(_ members: [UInt16], isFirst: Bool) -> (body: [UInt8], used: Int) {
        var bytes = [UInt8](repeating: 0, count: PageHeader.size)
        for number in members {
            guard let info = names[Int(number)] else { continue }
            bytes += Catalog.entry(
                number, UInt8(Catalog.kinds.firstIndex(of: info.kind) ?? 0),
                [info.unit?.rawValue ?? "", info.key.device, info.key.channel])
        }
        if isFirst, drops != Drops() {
            let entry = Catalog.entry(0, Catalog.dropsKind, ["dropped", "\(drops.tooLate)", "\(drops.refused)"])
            // A page of the longest names has no room; then these stay unknown to the next one who opens.
            if bytes.count + entry.count <= Layout.pageSize { bytes += entry }
        }
        let used = bytes.count - PageHeader.size
        bytes.append(contentsOf: repeatElement(0, count: Layout.pageSize - bytes.count))
        return (bytes, used)
    }

    private static func entry(_ number: UInt16, _ kind: UInt8, _ texts: [String]) -> [UInt8] {
        var bytes = [UInt8(truncatingIfNeeded: number), UInt8(truncatingIfNeeded: number >> 8), kind]
        for text in texts {
            bytes.append(UInt8(truncatingIfNeeded: text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        return bytes
    }

    // MARK: - Reading

    /// Units by what an entry says, low byte first; none takes more than eight bytes.
    private static let units: [(word: UInt64, unit: Unit)] = Unit.allCases.map { unit in
        (unit.rawValue.utf8.reversed().reduce(0) { $0 << 8 | UInt64($1) }, unit)
    }

    /// After all pages are loaded: the names.
    mutating func finishLoading() { names.findAll() }

    /// Takes the newest of a logical page's sound slots. Afterwards, `finishLoading`.
    mutating func load(_ logical: Int, slot: Int, _ header: PageHeader, _ bytes: [UInt8], copies: Int) {
        pages[logical].generation = header.sequence
        pages[logical].durable = Int8(slot)
        pages[logical].wantsCopy = copies < 2
        var at = PageHeader.size
        let end = PageHeader.size + header.used
        func text() -> String? {
            guard at < end, at + 1 + Int(bytes[at]) <= end else { return nil }
            defer { at += 1 + Int(bytes[at]) }
            return String(decoding: bytes[at + 1..<at + 1 + Int(bytes[at])], as: UTF8.self)
        }
        while at + 6 <= end {
            let number: UInt16 = bytes.integer(at: at)
            let kind = Int(bytes[at + 2])
            at += 3
            let unitLength = Int(bytes[at])
            guard at + 1 + unitLength <= end else { return }
            var word: UInt64 = 0
            for index in 0..<min(8, unitLength) { word |= UInt64(bytes[at + 1 + index]) << UInt64(8 * index) }
            at += 1 + unitLength
            guard let device = text(), let channel = text() else { return }
            if kind == Int(Catalog.dropsKind), logical == 0 {
                drops = Drops(tooLate: max(0, Int(device) ?? 0), refused: max(0, Int(channel) ?? 0))
                return
            }
            guard kind < Catalog.kinds.count, number < Layout.highestSeries,
                pages[logical].members.count < Layout.entriesPerCatalogPage
            else { return }
            insert(
                number, SeriesKey(device: device, channel: channel),
                unitLength > 8 ? nil : Catalog.units.first { $0.word == word }?.unit, Catalog.kinds[kind], logical)
        }
    }
}
