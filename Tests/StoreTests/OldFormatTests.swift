import Foundation
import Model
import Store
import Testing

/// Stores that older versions wrote, kept as the pages that hold anything: one line each, the page's number and its
/// bytes in base64 without the zeros at the end. All hold the same samples; all but the first also a record of a tier.
enum OldFormat {
    static let pages = 2 + 3 + 8 + 27
    static let series = 6
    static let rounds = 700

    static func disk(_ format: Int) throws -> SimulatedDisk {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Fixtures/format-\(format).txt")
        var bytes = [UInt8](repeating: 0, count: (format == 1 ? pages : TierPuts.all(pages)) * 4096)
        for line in try String(contentsOf: file, encoding: .utf8).split(separator: "\n") {
            let parts = line.split(separator: " ")
            let page = try #require(Int(parts[0]))
            let data = try #require(Data(base64Encoded: String(parts[1])))
            bytes.replaceSubrange(page * 4096..<page * 4096 + data.count, with: data)
        }
        return SimulatedDisk(bytes: bytes)
    }

    /// What it holds: a formula, so that it need not be kept beside the bytes.
    static func entry(_ round: Int, _ number: Int) -> Workload.Entry {
        let late = (round + number) % 40 == 39 ? Int64(30_000) : 0
        let time = Workload.start + .milliseconds(Int64(round) * 10_000 + Int64(number * 7 + round * 31 % 11) - late)
        let value: StoredValue
        switch number {
        case 0: value = .number(Double(round * round % 997) / 10)
        case 1: value = .number(Double(round * 1_234_567))
        case 2: value = round % 50 == 0 ? .unknown : .text(["idle|", "running|PRINTING", "일시정지|"][round / 9 % 3])
        case 3: value = .number(Double(bitPattern: UInt64(round) &* 0x9E37_79B9_7F4A_7C15 >> 12))
        case 4: value = round % 3 == 0 ? .number(1.2) : .number(-0.0)
        default: value = .text("job \(round)")
        }
        return Workload.Entry(series: Workload.key(number), sample: Sample(time: time, value: value))
    }

    static var entries: [Workload.Entry] {
        (0..<rounds).flatMap { round in (0..<series).map { entry(round, $0) } }
    }
}

@Suite("Stores of older formats")
struct OldFormatTests {
    private let later = (0..<400).map { round in
        Workload.Entry(
            series: Workload.key(0),
            sample: Sample(
                time: Workload.start + .hours(3) + .seconds(Int64(round)), value: .number(Double(round))))
    }

    private func goOn(_ store: RingStore, _ disk: SimulatedDisk) throws {
        let id = try #require(store.find(Workload.key(0))?.id)
        for entry in later { store.append(id, entry.sample.time, entry.sample.value) }
        try store.commit()
        let token = store.beginSync()
        try disk.sync()
        store.finishedSync(token)
    }

    @Test("One of the first opens as it is, changed by nothing, and goes on without tiers where its file cannot grow")
    func asItIs() throws {
        let disk = try OldFormat.disk(1)
        let before = disk.bytes
        let store = try RingStore(opening: disk)
        #expect(disk.bytes == before)
        #expect(store.recovery.lost == 0, "\(store.recovery)")
        #expect(Workload.answers(store) == Workload.expected(OldFormat.entries))
        #expect(store.verify().isSound)
        try goOn(store, disk)
        let again = try RingStore(opening: disk)
        #expect(again.statistics.samples == OldFormat.entries.count + 400)
        #expect(again.recovery.lost == 0, "\(again.recovery)")
    }

    @Test(
        "One with room for tiers opens as it is; with the first commit it is of this format, and a crash loses nothing",
        arguments: [1, 2, 3])
    func becomesNew(format: Int) throws {
        var disk = try OldFormat.disk(format)
        if format == 1 {
            let size = try #require(RingStore.sizeWithTiers(disk))
            #expect(size == TierPuts.all(OldFormat.pages) * 4096)
            disk = SimulatedDisk(bytes: disk.bytes + [UInt8](repeating: 0, count: size - disk.size))
        }
        let image = disk.bytes
        let store = try RingStore(opening: disk)
        #expect(disk.bytes == image)
        #expect(store.recovery.lost == 0, "\(store.recovery)")
        #expect(Workload.answers(store) == Workload.expected(OldFormat.entries))
        SlotModel.check(store, "format \(format)")
        #expect(store.verify().isSound)
        // Those of later formats hold it already.
        let id = try #require(store.find(Workload.key(2))?.id)
        let record = TierRecord(series: id, start: Workload.start, fields: [1, -2, 3])
        if format == 1 { store.put(record, in: .slots) }
        #expect(store.records(id, in: .slots, from: .distantPast, to: .distantFuture) == [record])
        try goOn(store, disk)
        #expect(RingStore.sizeWithTiers(disk) == nil)
        #expect(image[4] == format && disk.bytes[4] == 4 && disk.bytes[4096 + 4] == 4)
        var random = Seeded(UInt64(4 + format))
        let all = OldFormat.entries + later
        try disk.replayThrowing(from: image, skipping: 0) { state, _ in
            for crash in SimulatedDisk.Crash.allCases where !crash.isLie {
                let store = try RingStore(opening: state.crashed(crash, &random))
                #expect(Workload.missing(store, all, first: OldFormat.entries.count, "\(crash)") == 0)
                #expect(store.recovery.lost == 0, "\(store.recovery), \(crash)")
            }
        }
        let again = try RingStore(opening: disk)
        #expect(again.records(id, in: .slots, from: .distantPast, to: .distantFuture) == [record])
        #expect(format > 1 || again.oldest(in: .slots) == Workload.start)
        #expect(Workload.answers(again) == Workload.expected(all))
    }
}
