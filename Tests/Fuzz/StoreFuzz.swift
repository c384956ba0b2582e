import Model
import Ports
import Store

/// Pages of a store with right checksums and wrong content: what recovery and the page decoders must survive.
///
/// The input is a list of patches `page u8, offset u16, length u8, bytes` over a small store that was written before.
/// After each patch the page's checksums are made right again, so that the decoders behind them see it. That is the
/// only thing here that knows the format: the header's CRC at 8, the body's at 12, the body from 128 on.
enum StoreFuzz {
    private static let pages = 64
    private static let start = Instant(milliseconds: 1_795_000_000_000)
    /// Of one sample in eight each.
    private static let pace: Int64 = 34_971

    /// A store with samples of every kind in journal and archive, and with records in the rings of slots and days.
    private static let image: [UInt8] = {
        let region = MemoryRegion(size: pages * 4096)
        do {
            let store = try RingStore.create(
                in: region, plan: StorePlan(seriesLimit: 12), identity: [UInt8](1...16))
            let kinds: [Kind] = [.gauge, .counter, .state, .event]
            let ids = try (0..<8).compactMap {
                try store.series(SeriesKey(device: "d\($0)", channel: "c"), unit: nil, kind: kinds[$0 % 4])
            }
            for step in 0..<500 {
                store.append(ids[step % ids.count], time(step), value(step))
                // Records of the series whose slots are their owner's.
                store.put(record(ids[step % 2 * 4 + 2], step), in: step % 3 == 0 ? .days : .slots)
                if step % 30 == 29 {
                    try store.commit()
                    store.finishedSync(store.beginSync())
                }
            }
            try store.commit()
            guard store.statistics.usedTierPages.allSatisfy({ $0 > 0 }), store.statistics.usedPages > 0 else {
                FuzzTarget.broken("the store to begin with has an empty ring: \(store.statistics)")
            }
        } catch { FuzzTarget.broken("the store to begin with: \(error)") }
        return bytes(of: region)
    }()

    /// One in forty is late.
    private static func time(_ step: Int) -> Instant {
        start + .milliseconds(Int64(step) * pace - (step % 40 == 39 ? 300_000 : 0))
    }

    private static func value(_ step: Int) -> StoredValue {
        switch step % 8 {
        case 2, 6: .text(["idle|", "running|PRINTING", "fault|\(step)"][step / 8 % 3])
        case 3, 7: step % 5 == 0 ? .unknown : .text("shot")
        case 1: .number(Double(step) * 12.5)
        case 4: .number(230)
        default: .number(step % 7 == 0 ? Double(bitPattern: UInt64(step) << 40) : Double(step % 300) / 10)
        }
    }

    private static func record(_ series: SeriesID, _ step: Int) -> TierRecord {
        let fields = (0..<step % 9).map { Int64(step) * [1, -7, 90_000, 1 << 40][$0 % 4] }
        return TierRecord(series: series, start: start + .minutes(15 * Int64(step / 2)), fields: fields)
    }

    private static func bytes(of region: MemoryRegion) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: region.size)
        do { try region.read(at: 0, into: &bytes) } catch { FuzzTarget.broken("\(error)") }
        return bytes
    }

    /// A patch of nothing for every page that was written, and a few where lengths and counts stand.
    static func seeds() -> [[UInt8]] { seeds(of: image, at: [6, 72, 96, 112, 120, 128, 140, 200, 900]) }

    private static func seeds(of image: [UInt8], at offsets: [Int]) -> [[UInt8]] {
        let used = (0..<image.count / 4096).filter { page in image[page * 4096..<page * 4096 + 4].contains { $0 != 0 } }
        return used.flatMap { page in
            offsets.map { offset in
                let bytes = image[page * 4096 + offset..<page * 4096 + offset + 8]
                return [UInt8(page), UInt8(offset & 255), UInt8(offset >> 8), 8] + bytes
            }
        }
    }

    static func run(_ input: [UInt8]) { run(input[...], over: image) }

    // MARK: - Older formats

    /// The stores that older versions wrote, which the tests keep.
    private static let oldImages: [[UInt8]] = {
        do {
            let folder = try Installation.find().devices + "/../Tests/StoreTests/Fixtures"
            return try (1...3).map { format in
                var image = [UInt8](repeating: 0, count: 63 * 4096)
                for line in try Console.read(path: "\(folder)/format-\(format).txt").split(separator: 10) {
                    let parts = line.split(separator: 32)
                    guard parts.count == 2, let page = Int(String(decoding: parts[0], as: UTF8.self)), page < 63 else {
                        FuzzTarget.broken("a page of format \(format) is not where it should be")
                    }
                    let bytes = base64(parts[1])
                    image.replaceSubrange(page * 4096..<page * 4096 + bytes.count, with: bytes)
                }
                return image
            }
        } catch { FuzzTarget.broken("the stores of older formats: \(error)") }
    }()

    private static func base64(_ text: ArraySlice<UInt8>) -> [UInt8] {
        let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for letter in text {
            guard let value = letters.firstIndex(of: letter) else { break }
            bits = bits << 6 | UInt32(value)
            count += 6
            guard count >= 8 else { continue }
            count -= 8
            bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
        }
        return bytes
    }

    /// As above, and a byte before it that says which format; few, as each takes a tenth of a second.
    static func oldSeeds() -> [[UInt8]] {
        oldImages.indices.flatMap { format in seeds(of: oldImages[format], at: [140]).map { [UInt8(format)] + $0 } }
    }

    static func runOld(_ input: [UInt8]) {
        guard let format = input.first else { return }
        run(input.dropFirst(), over: oldImages[Int(format) % oldImages.count])
    }

    // MARK: - One run

    private static func run(_ input: ArraySlice<UInt8>, over image: [UInt8]) {
        let input = Array(input)
        var bytes = image
        var at = 0
        var touched = Set<Int>()
        while at + 4 <= input.count, touched.count < 8 {
            let page = Int(input[at]) % (image.count / 4096)
            let offset = (Int(input[at + 1]) | Int(input[at + 2]) << 8) % 4096
            let count = min(Int(input[at + 3]), input.count - at - 4, 4096 - offset)
            for index in 0..<count { bytes[page * 4096 + offset + index] = input[at + 4 + index] }
            touched.insert(page)
            at += 4 + count
        }
        for page in touched { mend(&bytes, page) }
        let region = MemoryRegion(size: bytes.count)
        do { try region.write(bytes, at: 0) } catch { FuzzTarget.broken("\(error)") }
        guard let store = try? RingStore(opening: region) else { return }
        use(store, region)
    }

    /// Asks for everything and goes on writing.
    private static func use(_ store: RingStore, _ region: MemoryRegion) {
        ask(store)
        guard let id = store.allSeries.first?.id else { return }
        for step in 0..<20 { store.append(id, start + .hours(1) + .seconds(Int64(step)), .number(Double(step))) }
        _ = try? store.commit()
        store.finishedSync(store.beginSync())
        // What was written over a liar's pages can be opened again.
        if let again = try? RingStore(opening: region) { _ = again.verify() }
    }

    private static func ask(_ store: RingStore) {
        for info in store.allSeries {
            // The order of what a liar wrote is nobody's promise; that a scan ends is.
            var count = 0
            store.scan(info.id, from: .distantPast, to: .distantFuture) { _ in
                count += 1
                return true
            }
            if count > pages * 65_536 { FuzzTarget.broken("\(count) samples of \(pages) pages") }
            // By samples, and by whole slots.
            _ = store.points(info.id, from: start, to: start + .minutes(20), step: .minutes(1))
            _ = store.points(info.id, from: start, to: start + .hours(6), step: .hours(1))
            _ = store.slots(info.id, from: .distantPast, to: .distantFuture)
            _ = store.days(info.id, from: .distantPast, to: .distantFuture)
            _ = store.closedDays(info.id)
            for tier in Tier.allCases {
                _ = store.records(info.id, in: tier, from: .distantPast, to: .distantFuture)
            }
        }
        if let id = store.allSeries.first?.id, let snapshot = store.snapshot(id, from: start, to: start + .hours(2)) {
            _ = snapshot.points(step: .minutes(15))
            _ = snapshot.slotsOfStretch()
        }
        store.replay(from: .distantPast) { _, _ in }
        _ = store.verify()
        _ = store.statistics
    }

    private static func mend(_ bytes: inout [UInt8], _ page: Int) {
        let base = page * 4096
        put(Checksum.crc32c(bytes, base + 128..<base + 4096), base + 12, &bytes)
        let start = Checksum.crc32c(bytes, base..<base + 8)
        put(Checksum.crc32c(bytes, base + 12..<base + 128, after: start), base + 8, &bytes)
    }

    private static func put(_ value: UInt32, _ offset: Int, _ bytes: inout [UInt8]) {
        for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
    }
}
