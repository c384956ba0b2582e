import Model
import Store
import Testing

/// What opening a store looks at.
@Suite("RingStore opening")
struct OpeningTests {
    private static let kindOfArchive: UInt8 = 4

    /// A store of so many pages, at least `archived` of them in its archive, and the samples it holds. Long texts, so that
    /// few samples fill many pages.
    private func filled(
        pages: Int, archived: Int, seed: UInt64
    ) throws -> (disk: SimulatedDisk, id: SeriesID, samples: [Sample]) {
        print("opening seed \(seed)")
        var random = Seeded(seed)
        let disk = SimulatedDisk(pages: pages)
        disk.isRecording = false
        let store = try RingStore.create(
            in: disk, plan: StorePlan(seriesLimit: 16), identity: [UInt8](repeating: 7, count: 16))
        let id = try #require(try store.series(SeriesKey(device: "a", channel: "said"), unit: nil, kind: .event))
        var samples: [Sample] = []
        while store.statistics.usedPages < archived {
            for _ in 0..<500 {
                let text = (0..<6).map { _ in String(random.next() | 1 << 63, radix: 16) }.joined()
                let sample = Sample(time: Workload.start + .seconds(Int64(samples.count)), value: .text(text))
                store.append(id, sample.time, sample.value)
                samples.append(sample)
            }
            try store.commit()
            let token = store.beginSync()
            try disk.sync()
            store.finishedSync(token)
        }
        return (disk, id, samples)
    }

    /// The pages of the archive that are written, in the order of the ring.
    private func archivePages(_ disk: SimulatedDisk) -> [Int] {
        (0..<disk.size / 4096).filter { disk.bytes[$0 * 4096 + 5] == Self.kindOfArchive && disk.bytes[$0 * 4096] != 0 }
    }

    @Test("Of the end of a ring that nothing was written to yet, a part is looked at")
    func blankEnd() throws {
        let pages = 4096
        let (disk, id, samples) = try filled(pages: pages, archived: 20, seed: 31)
        let before = disk.reads
        let store = try RingStore(opening: disk)
        #expect(disk.reads - before < pages / 2)
        #expect(Workload.everything(store, id) == samples)
        #expect(store.recovery.lost == 0)
    }

    @Test("What comes after a hole that is longer than any run is found, and the hole is told")
    func longHole() throws {
        let (disk, id, samples) = try filled(pages: 1400, archived: 480, seed: 32)
        let written = archivePages(disk)
        let hole = written[20]..<written[20] + 400
        try #require(written.contains(hole.upperBound + 32))
        disk.restore(disk.bytes)
        for page in hole { try disk.write([UInt8](repeating: 0, count: 4096), at: page * 4096) }
        let store = try RingStore(opening: disk)
        let found = Workload.everything(store, id)
        #expect(found.last == samples.last)
        #expect(found.first == samples.first)
        #expect(found.count < samples.count)
        #expect(store.recovery.lost > 0)
    }
}
