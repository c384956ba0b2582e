import Model
import Store
import Testing

@Suite("Tiers")
struct TierTests {
    @Test("Any mixture of records, versions, syncs and restarts agrees with a dictionary", arguments: seeds(8000, 4))
    func agrees(seed: UInt64) throws {
        print("tiers seed \(seed)")
        let work = try Workload(pages: 2 + 3 + 8 + 120, seed: seed)
        work.disk.isRecording = false
        for _ in 0..<14 {
            for _ in 0..<Int.random(in: 1...30, using: &work.random) {
                try work.run(steps: 4, series: 7)
                for _ in 0..<6 { try work.putRandom(series: 7) }
            }
            #expect(TierPuts.answers(work.store) == TierPuts.expected(work.puts), "seed \(seed)")
            try work.restart()
            #expect(TierPuts.answers(work.store) == TierPuts.expected(work.puts), "opened, seed \(seed)")
        }
        #expect(work.store.statistics.usedTierPages[0] > 2)
        #expect(work.store.statistics.overwrittenRecords == 0)
        #expect(Workload.answers(work.store) == Workload.expected(work.entries))
        #expect(work.store.recovery.lostRecords == 0)
        let report = work.store.verify()
        #expect(report.isSound, "\(report)")
    }

    @Test("Slots outlive the samples, and their ring wraps by itself")
    func wraps() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 40, seed: 3)
        work.disk.isRecording = false
        for round in 0..<3000 {
            let start = Workload.start + .minutes(15 * Int64(round))
            for second in 0..<40 { try work.append(0, start + .seconds(Int64(second * 20)), work.value(0)) }
            let id = try #require(work.store.find(Workload.key(0))?.id)
            for version in 0..<2 {
                work.store.put(
                    TierRecord(series: id, start: start, fields: [Int64(round), Int64(version), 77]), in: .slots)
            }
            try work.commit()
            if round % 10 == 0 { try work.sync() }
        }
        for _ in 0..<2 {
            let store = work.store
            let id = try #require(store.find(Workload.key(0))?.id)
            let kept = store.records(id, in: .slots, from: .distantPast, to: .distantFuture)
            let oldest = try #require(store.oldest(in: .slots))
            #expect(oldest > Workload.start)
            #expect(oldest < (try #require(store.oldest)))
            #expect(kept.first?.start == oldest)
            #expect(kept.last?.fields == [2999, 1, 77])
            #expect(kept.allSatisfy { $0.fields[1] == 1 })
            #expect(kept.map { $0.fields[0] } == Array(kept[0].fields[0]...2999))
            try work.reopen()
        }
    }

    @Test("What cannot be kept is refused and counted; a series that nobody gave is ignored")
    func refusals() throws {
        let work = try Workload(pages: 128, seed: 4)
        try work.append(0, Workload.start, .number(1))
        let store = work.store
        let id = try #require(store.find(Workload.key(0))?.id)
        store.put(TierRecord(series: id, start: Workload.start, fields: [Int64](repeating: 1, count: 65)), in: .slots)
        #expect(store.statistics.refusedRecords == 1)
        store.put(TierRecord(series: SeriesID(raw: 77), start: Workload.start, fields: [1]), in: .slots)
        #expect(store.statistics.records == 0)
        let most = (0..<64).map { $0 % 2 == 0 ? Int64.min + Int64($0) : Int64.max - Int64($0) }
        store.put(TierRecord(series: id, start: Workload.start, fields: most), in: .slots)
        store.put(TierRecord(series: id, start: Workload.start, fields: []), in: .days)
        try work.commit()
        try work.reopen()
        let everything = (from: Instant.distantPast, to: Instant.distantFuture)
        #expect(work.store.records(id, in: .slots, from: everything.from, to: everything.to).first?.fields == most)
        #expect(work.store.records(id, in: .days, from: everything.from, to: everything.to).first?.fields == [])
        #expect(work.store.records(id, in: .days, from: Workload.start, to: Workload.start).isEmpty)
    }
}
