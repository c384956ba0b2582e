import Glibc
import Model
import Store
import Testing

/// What the seeded tests only sample: every subset of what was pending, every read of an opening, errors followed by a
/// power cut, every bit.
@Suite("RingStore exhaustively")
struct ExhaustiveTests {
    private static let isLong = getenv("FABGATE_LONG_TESTS") != nil

    /// Nothing durable is lost, nothing is made up, a second opening says the same, and the store takes new samples.
    private func check(
        _ disk: SimulatedDisk, _ entries: [Workload.Entry], durable: Int, mayMiss: Int = 0, _ context: String
    ) throws {
        let store = try RingStore(opening: disk)
        let missing = Workload.missing(store, entries, first: durable, context)
        #expect(missing <= mayMiss, "\(missing) missing, \(store.recovery), \(context)")
        #expect(store.recovery.lost == 0, "\(store.recovery), \(context)")
        #expect(Workload.answers(store) == Workload.answers(try RingStore(opening: disk)), "\(context)")
        guard let id = store.allSeries.first?.id else { return }
        store.append(id, Workload.start + .hours(1000), .number(1))
        #expect(throws: Never.self, "\(context)") { try store.commit() }
    }

    @Test("Every subset of the writes that no sync covered", arguments: seeds(7000, 1))
    func everySubset(seed: UInt64) throws {
        print("everySubset seed \(seed)")
        let work = try Workload(pages: CrashTests.pages, seed: seed)
        let start = work.disk.bytes
        try work.run(steps: 70, series: 6)
        var subsets = 0
        var widest = 0
        try work.disk.replayThrowing(from: start, skipping: 3) { state, mark in
            // Two to the eighth openings of a state are enough; wider ones are sampled elsewhere.
            guard state.pending.count <= 8, mark.overwritten == 0 else { return }
            widest = max(widest, state.pending.count)
            for mask in 0..<1 << state.pending.count {
                subsets += 1
                try check(
                    state.crashed(keeping: mask), work.entries, durable: mark.durable,
                    "seed \(seed), writes \(String(mask, radix: 2)) of \(state.pending.count)")
            }
        }
        #expect(subsets > 100 && widest >= 3, "\(subsets) subsets of at most \(widest) writes")
    }

    @Test("A power cut at any call after a call that failed", arguments: SimulatedDisk.Failure.allCases)
    func errorThenCrash(failure: SimulatedDisk.Failure) throws {
        var states = 0
        for number in stride(from: 3, to: 43, by: Self.isLong ? 1 : 4) {
            let work = try Workload(pages: CrashTests.pages, seed: 37)
            let start = work.disk.bytes
            work.disk.failing = number..<number + 1
            work.disk.failure = failure
            for step in 0..<16 {
                for _ in 0..<4 { try work.appendRandom(series: 5) }
                do { try work.commit() } catch let error as StoreError { #expect(error.kind == .io) }
                if step % 2 == 1 { do { try work.sync() } catch is RegionError {} }
            }
            var random = Seeded(UInt64(number))
            let crashes: [SimulatedDisk.Crash] = [.none, .all, .prefix, .subset, .reverse, .torn, .trashed]
            try work.disk.replayThrowing(from: start, skipping: 3) { state, mark in
                guard let crash = crashes.randomElement(using: &random) else { return }
                states += 1
                try check(
                    state.crashed(crash, &random), work.entries, durable: mark.durable, mayMiss: mark.overwritten,
                    "call \(number) failed with \(failure), then \(crash)")
            }
        }
        #expect(states > 100)
    }

    /// Opening reads and syncs and writes nothing, so these are all the calls of a recovery.
    @Test("A read that fails at each call of an opening hides nothing for good")
    func everyReadOfOpening() throws {
        let work = try Workload(pages: CrashTests.pages, seed: 43)
        for _ in 0..<10 {
            for _ in 0..<25 { try work.appendRandom(series: 6) }
            try work.commit()
            try work.sync()
        }
        var number = 1
        while true {
            let disk = SimulatedDisk(bytes: work.disk.bytes)
            disk.failingReads = number..<number + 1
            let store = try RingStore(opening: disk)
            let isReached = disk.reads >= number
            _ = Workload.missing(store, work.entries, first: 0, "read \(number)")
            #expect(disk.bytes == work.disk.bytes, "opening wrote something, read \(number)")
            disk.failingReads = 0..<0
            try check(disk, work.entries, durable: work.entries.count, "after read \(number) failed")
            if !isReached { break }
            number += 1
        }
        #expect(number > 10)
    }

    @Test("A sync that fails while opening, and a power cut at any call after", arguments: seeds(7100, 2))
    func syncOfOpening(seed: UInt64) throws {
        print("syncOfOpening seed \(seed)")
        let before = try Workload(pages: CrashTests.pages, seed: seed)
        try before.run(steps: 30, series: 5)
        try before.commit()
        try before.sync()
        let image = before.disk.bytes
        let disk = SimulatedDisk(bytes: image)
        disk.refusesSync = true
        let store = try RingStore(opening: disk)
        disk.refusesSync = false
        let work = Workload(disk, store, entries: before.entries, seed: seed &+ 1)
        try work.run(steps: 25, series: 5)
        var random = Seeded(seed)
        try disk.replayThrowing(from: image, skipping: 0) { state, mark in
            for crash in [SimulatedDisk.Crash.none, .subset, .reverse, .torn, .trashed] {
                try check(
                    state.crashed(crash, &random), work.entries, durable: max(mark.durable, before.entries.count),
                    mayMiss: mark.overwritten, "seed \(seed), \(crash)")
            }
        }
    }

    /// In the long check each bit of a page of each area once; else one in 331.
    @Test("Each bit of a page of each kind", arguments: 0..<4)
    func everyBit(kind: Int) throws {
        let work = try Workload(pages: CrashTests.pages, seed: 47)
        for _ in 0..<14 {
            for _ in 0..<20 { try work.appendRandom(series: 6) }
            try work.commit()
            try work.sync()
        }
        // The fifth byte of a page says of which kind it is; the first four are its magic.
        let bytes = work.disk.bytes
        let pages = (0..<bytes.count / 4096).filter { bytes[$0 * 4096] != 0 && bytes[$0 * 4096 + 5] == UInt8(kind + 1) }
        let page = try #require(pages.first)
        for bit in stride(from: kind, to: 4096 * 8, by: Self.isLong ? 1 : 331) {
            let disk = SimulatedDisk(bytes: bytes)
            disk.isRecording = false
            disk.flip(bit: page * 4096 * 8 + bit)
            let store = try RingStore(opening: disk)
            let context = "bit \(bit) of page \(page), \(store.recovery)"
            let missing = Workload.missing(store, work.entries, first: work.entries.count, context)
            // What is gone is counted, but for the newest page of the journal, which looks like an interrupted write.
            let counted = store.statistics.lost
            #expect(
                missing <= counted || store.recovery.unfinishedPages > 0, "\(missing) missing, \(counted), \(context)")
            #expect(missing == 0 || kind > 1, "\(missing) missing, \(context)")
        }
    }
}

extension SimulatedDisk.History {
    /// The disk with those of the pending writes whose bit is set.
    func crashed(keeping mask: Int) -> SimulatedDisk {
        var image = durable
        for (index, write) in pending.enumerated() where mask >> index & 1 == 1 {
            image.replaceSubrange(write.offset..<write.offset + write.bytes.count, with: write.bytes)
        }
        return SimulatedDisk(bytes: image)
    }
}
