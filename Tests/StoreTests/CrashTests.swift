import Model
import Store
import Testing

@Suite("RingStore crashes")
struct CrashTests {
    /// 2 superblocks, 3 slots of one catalog page, 8 journal pages, and the archive.
    static let pages = 2 + 3 + 8 + 27

    /// Opens what a crash left and holds it against the array.
    private func check(
        _ disk: SimulatedDisk, _ crash: SimulatedDisk.Crash, _ entries: [Workload.Entry], _ puts: [TierPuts.Put],
        _ mark: SimulatedDisk.Mark,
        _ context: String
    ) throws -> (store: RingStore, kept: Int) {
        let before = disk.bytes
        let store = try RingStore(opening: disk)
        let again = try RingStore(opening: disk)
        #expect(disk.bytes == before, "opening wrote something, \(context)")
        TierPuts.check(store, puts, mark, isSound: !crash.isLie, context)
        let answers = Workload.answers(store)
        #expect(answers == Workload.answers(again), "a second opening gives other answers, \(context)")
        guard !crash.isLie, mark.overwritten == 0 else {
            let missing = Workload.missing(store, entries, first: mark.durable, context)
            let lost = store.recovery.lost + store.statistics.lost + again.verify().damaged.count
            if !crash.isLie {
                #expect(missing <= mark.overwritten + 60, "\(context)")
                #expect(store.recovery.lost == 0, "\(store.recovery), \(context)")
            } else if mark.overwritten == 0, missing > 0, store.recovery.unnamedSeries == 0 {
                // Nothing tells of the last thing that a disk pretended to write.
                #expect(lost > 0 || missing <= entries.count - mark.committed + 60, "\(missing) missing, \(context)")
            }
            return (store, -1)
        }
        // Nothing was lost that was durable, and what survived is a prefix of what arrived.
        SlotModel.check(store, context)
        let kept = store.statistics.samples
        #expect(kept >= mark.durable, "\(kept) kept of \(mark.durable) durable, \(store.recovery), \(context)")
        if crash == .all { #expect(kept >= mark.committed, "\(kept) of \(mark.committed) committed, \(context)") }
        #expect(kept <= entries.count, "\(context)")
        #expect(
            answers == Workload.expected(entries.prefix(kept)), "no prefix of \(kept), \(store.recovery), \(context)")
        #expect(store.recovery.lost == 0, "\(store.recovery), \(context)")
        return (store, kept)
    }

    @Test("After every call, in every way", arguments: seeds(1, 3))
    func everyCall(seed: UInt64) throws {
        print("everyCall seed \(seed)")
        let work = try Workload(pages: CrashTests.pages, seed: seed)
        let start = work.disk.bytes
        try work.run(steps: 60, series: 6)
        var random = Seeded(seed ^ 0xABCD)
        var states = 0
        try work.disk.replayThrowing(from: start, skipping: 3) { state, mark in
            for crash in SimulatedDisk.Crash.allCases {
                states += 1
                let disk = state.crashed(crash, &random)
                _ = try check(disk, crash, work.entries, work.puts, mark, "seed \(seed), state \(states), \(crash)")
            }
        }
        #expect(states > 100)
        #expect(work.puts.count > 10)
    }

    @Test("A power cut after the process was killed, some times over", arguments: seeds(2000, 2))
    func killed(seed: UInt64) throws {
        print("killed seed \(seed)")
        let work = try Workload(pages: 2 + 3 + 8 + 60, seed: seed)
        let start = work.disk.bytes
        for _ in 0..<9 {
            try work.run(steps: 9, series: 6)
            try work.restart()
        }
        var random = Seeded(seed)
        var states = 0
        try work.disk.replayThrowing(from: start, skipping: 3) { state, mark in
            for crash in SimulatedDisk.Crash.allCases where !crash.isLie && Bool.random(using: &random) {
                states += 1
                let disk = state.crashed(crash, &random)
                _ = try check(disk, crash, work.entries, work.puts, mark, "seed \(seed), state \(states), \(crash)")
            }
        }
        if seed == 2000 { #expect(states > 60) }
    }

    @Test("Again after going on: a crash after a crash", arguments: seeds(1000, 4))
    func twice(seed: UInt64) throws {
        print("twice seed \(seed)")
        let work = try Workload(pages: CrashTests.pages, seed: seed)
        let start = work.disk.bytes
        try work.run(steps: 60, series: 5)
        var random = Seeded(seed ^ 0x1234)
        var states = 0
        let crashes: [SimulatedDisk.Crash] = [.none, .prefix, .subset, .reverse, .torn, .trashed]
        try work.disk.replayThrowing(from: start, skipping: 3) { state, mark in
            guard Int.random(in: 0..<3, using: &random) == 0, let crash = crashes.randomElement(using: &random) else {
                return
            }
            let disk = state.crashed(crash, &random)
            let first = "seed \(seed), state \(states), \(crash)"
            let (store, kept) = try check(disk, crash, work.entries, work.puts, mark, first)
            guard kept >= 0 else { return }
            let image = disk.bytes
            let keptPuts = try #require(TierPuts.survivors(store, work.puts, durable: mark.durablePuts))
            let next = Workload(
                disk, store, entries: Array(work.entries.prefix(kept)), puts: keptPuts,
                seed: seed &+ UInt64(states))
            try next.run(steps: 12, series: 5)
            var startMark = SimulatedDisk.Mark()
            startMark.durable = mark.durable
            startMark.committed = kept
            startMark.durablePuts = mark.durablePuts
            try disk.replayThrowing(from: image, skipping: 0) { state, mark in
                states += 1
                guard let crash = crashes.randomElement(using: &random) else { return }
                let known = mark.appended == 0 ? startMark : mark
                let again = state.crashed(crash, &random)
                _ = try check(again, crash, next.entries, next.puts, known, "\(first), then \(states) \(crash)")
            }
        }
        if seed == 1000 { #expect(states > 20) }
    }

    @Test("While the ring wraps", arguments: seeds(3000, 1))
    func wrapping(seed: UInt64) throws {
        print("wrapping seed \(seed)")
        let work = try Workload(pages: 2 + 3 + 8 + 16, seed: seed)
        work.disk.isRecording = false
        for _ in 0..<110 {
            for _ in 0..<60 { try work.appendRandom(series: 6) }
            try work.commit()
            try work.sync()
        }
        #expect(work.store.statistics.overwrittenSamples > 0)
        work.disk.isRecording = true
        let start = work.disk.bytes
        try work.commit()
        try work.sync()
        for _ in 0..<9 {
            for _ in 0..<60 { try work.appendRandom(series: 6) }
            try work.commit()
            try work.sync()
        }
        var random = Seeded(seed)
        var states = 0
        let final = work.store.statistics.overwrittenSamples
        try work.disk.replayThrowing(from: start, skipping: 0) { state, mark in
            guard mark.appended > 0 else { return }
            for crash in SimulatedDisk.Crash.allCases where !crash.isLie {
                states += 1
                let disk = state.crashed(crash, &random)
                let store = try RingStore(opening: disk)
                let context = "seed \(seed), state \(states), \(crash)"
                let missing = Workload.missing(store, work.entries, first: mark.durable, context)
                #expect(missing <= final, "\(context)")
                #expect(store.recovery.lost == 0, "\(store.recovery), \(context)")
                // The newest are never the ones that the ring gives up.
                let recent = Workload.missing(store, work.entries, first: max(0, mark.durable - 600), "")
                #expect(recent == missing, "\(context)")
            }
        }
        #expect(states > 50)
    }

    @Test("An error at the nth call, once", arguments: SimulatedDisk.Failure.allCases)
    func errorOnce(failure: SimulatedDisk.Failure) throws {
        var number = 3
        var reached = true
        while reached {
            reached = try survive(failing: number..<number + 1, failure)
            number += 1
        }
        #expect(number > 20)
    }

    @Test("Errors from the nth call on, for a while", arguments: SimulatedDisk.Failure.allCases)
    func errorForAWhile(failure: SimulatedDisk.Failure) throws {
        for number in stride(from: 3, to: 40, by: 2) { _ = try survive(failing: number..<number + 7, failure) }
    }

    /// Runs a workload over failing calls; false where they were never reached.
    private func survive(failing: Range<Int>, _ failure: SimulatedDisk.Failure) throws -> Bool {
        let context = "calls \(failing) fail with \(failure)"
        let work = try Workload(pages: CrashTests.pages, seed: 31)
        let start = work.disk.bytes
        work.disk.failing = failing
        work.disk.failure = failure
        for step in 0..<24 {
            for _ in 0..<4 { try work.appendRandom(series: 5) }
            do { try work.commit() } catch let error as StoreError { #expect(error.kind == .io) }
            if step % 2 == 1 { do { try work.sync() } catch is RegionError {} }
            try work.putRandom(series: 5)
            #expect(Workload.answers(work.store) == Workload.expected(work.entries), "\(context)")
            #expect(TierPuts.answers(work.store) == TierPuts.expected(work.puts), "\(context)")
        }
        work.disk.failing = 0..<0
        try work.commit()
        #expect(work.store.durable <= (try work.store.commit()))
        try work.sync()
        #expect(!work.store.unsynced)
        let reached = work.disk.calls >= failing.lowerBound
        var random = Seeded(UInt64(failing.lowerBound))
        var last: SimulatedDisk.History?
        work.disk.replay(from: start) { state, _ in last = state }
        let disk = try #require(last).crashed(.none, &random)
        let store = try RingStore(opening: disk)
        #expect(Workload.answers(store) == Workload.expected(work.entries), "\(store.recovery), \(context)")
        #expect(TierPuts.answers(store) == TierPuts.expected(work.puts), "\(store.recovery), \(context)")
        #expect(store.recovery.lost == 0, "\(store.recovery), \(context)")
        return reached
    }

    @Test("A disk that confirms nothing for long loses nothing that was durable", arguments: seeds(6000, 4))
    func nothingConfirmed(seed: UInt64) throws {
        print("nothingConfirmed seed \(seed)")
        let work = try Workload(pages: 2 + 3 + 8 + 60, seed: seed)
        let start = work.disk.bytes
        for round in 0..<24 {
            work.disk.refusesSync = round > 7 + Int(seed % 10) / 2
            for _ in 0..<4 { try work.appendRandom(series: 5) }
            // Every other time the sync begins before the commit and does not cover it.
            if seed % 2 == 1 { work.beginSync() }
            do { try work.commit() } catch let error as StoreError { #expect(error.kind == .io) }
            do { try work.sync() } catch is RegionError {}
        }
        #expect(Workload.answers(work.store) == Workload.expected(work.entries))
        var random = Seeded(seed)
        try work.disk.replayThrowing(from: start, skipping: 20) { state, mark in
            for crash in [SimulatedDisk.Crash.none, .all, .subset, .subset, .subset, .subset, .reverse, .trashed] {
                let disk = state.crashed(crash, &random)
                let store = try RingStore(opening: disk)
                let missing = Workload.missing(store, work.entries, first: mark.durable, "seed \(seed), \(crash)")
                #expect(missing == 0, "\(missing) missing, seed \(seed), \(crash), \(store.recovery)")
            }
        }
    }

    @Test("A failed sync may have dropped everything; nothing durable is lost and all is written again")
    func failedSync() throws {
        for number in 4..<60 {
            let work = try Workload(pages: CrashTests.pages, seed: 41)
            for step in 0..<20 {
                for _ in 0..<4 { try work.appendRandom(series: 5) }
                try work.commit()
                if step == number % 20 {
                    // The system says "failed" once, and from then on shows a clean page that never reached the disk.
                    _ = work.store.beginSync()
                    let token = work.store.beginSync()
                    work.disk.forgetPending(seed: UInt64(number))
                    work.store.failedSync(token)
                } else {
                    try work.sync()
                }
            }
            try work.commit()
            try work.sync()
            #expect(Workload.answers(work.store) == Workload.expected(work.entries), "number \(number)")
            try work.reopen()
            #expect(Workload.answers(work.store) == Workload.expected(work.entries), "number \(number)")
            #expect(work.store.recovery.lost == 0, "\(work.store.recovery)")
        }
    }
}

extension SimulatedDisk {
    func replayThrowing(from start: [UInt8], skipping: Int, _ body: (History, Mark) throws -> Void) throws {
        var failed: (any Error)?
        var number = 0
        replay(from: start) { state, mark in
            number += 1
            // `start` already holds what making the store wrote.
            guard failed == nil, number > skipping else { return }
            do { try body(state, mark) } catch { failed = error }
        }
        if let failed { throw failed }
    }

    /// Some of the writes since the last sync are gone, as after a failed write-back.
    func forgetPending(seed: UInt64) {
        var random = Seeded(seed)
        var history = History(durable: [UInt8](repeating: 0, count: size))
        for event in log {
            switch event {
            case .write(let offset, let bytes): history.write(offset, bytes)
            case .sync: history.sync()
            case .mark: break
            }
        }
        restore(history.crashed(.subset, &random).bytes)
    }
}
