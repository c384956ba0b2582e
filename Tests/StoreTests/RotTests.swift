import Model
import Store
import Testing

@Suite("RingStore rot")
struct RotTests {
    /// A store with a full journal and some runs, all durable, and nothing of it in memory.
    private func aged(pages: Int = CrashTests.pages, seed: UInt64) throws -> Workload {
        let work = try Workload(pages: pages, seed: seed)
        for _ in 0..<14 {
            for _ in 0..<25 { try work.appendRandom(series: 6) }
            try work.commit()
            try work.sync()
        }
        try #require(work.store.statistics.usedPages > 2)
        try #require(work.store.statistics.overwrittenSamples == 0)
        return work
    }

    /// The journal's pages, the last written first.
    private func newestFirst(_ work: Workload) -> [Int] {
        work.disk.log.reversed().compactMap { event in
            guard case .write(let offset, _) = event, (5..<13).contains(offset / 4096) else { return nil }
            return offset / 4096
        }
    }

    /// Opens damaged bytes: whatever is wrong, it starts, serves no wrong sample, and says what is missing.
    private func check(_ disk: SimulatedDisk, _ work: Workload, damaged pages: Set<Int>, _ context: String) throws {
        let store = try RingStore(opening: disk)
        let missing = Workload.missing(store, work.entries, first: work.entries.count, context)
        let numbers = store.statistics
        // Damage of the newest journal pages looks like a write that a power cut interrupted.
        var silent = 0
        for page in newestFirst(work) {
            guard pages.contains(page) else { break }
            silent += 26
        }
        if store.recovery.unnamedSeries == 0 {
            #expect(
                missing - numbers.lost <= silent,
                "\(missing) missing, \(numbers.lost) lost, \(context), \(store.recovery)")
        } else {
            #expect(pages.count > 1, "one page took a name away, \(context)")
        }
        // It goes on working.
        guard let id = try store.series(SeriesKey(device: "later", channel: "x"), unit: nil, kind: .gauge) else {
            return
        }
        store.append(id, Workload.start, .number(1))
        try store.commit()
        let token = store.beginSync()
        try disk.sync()
        store.finishedSync(token)
        let again = try RingStore(opening: disk)
        #expect(Workload.everything(again, id).count == 1, "\(context)")
        #expect(Workload.missing(again, work.entries, first: work.entries.count, context) <= missing, "\(context)")
    }

    @Test("A flipped bit anywhere", arguments: seeds(51, 1))
    func flips(seed: UInt64) throws {
        print("flips seed \(seed)")
        let work = try aged(seed: seed)
        let bytes = work.disk.bytes
        var random = Seeded(seed)
        var bits: [Int] = []
        for page in 0..<bytes.count / 4096 where bytes[page * 4096..<page * 4096 + 4096].contains(where: { $0 != 0 }) {
            // Every byte of the header of some, and a few bytes of every body.
            for byte in stride(from: 0, to: 128, by: page % 5 == 0 ? 3 : 16) { bits.append((page * 4096 + byte) * 8) }
            for _ in 0..<10 { bits.append((page * 4096 + Int.random(in: 128..<4096, using: &random)) * 8) }
        }
        for bit in bits {
            let disk = SimulatedDisk(bytes: bytes)
            disk.isRecording = false
            disk.flip(bit: bit + Int.random(in: 0..<8, using: &random))
            try check(
                disk, work, damaged: [bit / 8 / 4096], "bit \(bit), page \(bit / 8 / 4096), byte \(bit / 8 % 4096)")
        }
    }

    @Test("Whole pages gone: zeros, garbage, another page's content", arguments: seeds(4000, 2))
    func pages(seed: UInt64) throws {
        print("pages seed \(seed)")
        let work = try aged(seed: seed)
        var random = Seeded(seed)
        let bytes = work.disk.bytes
        for round in 0..<120 {
            var damaged = bytes
            var gone = Set<Int>()
            let victims = round < 80 ? 1 : Int.random(in: 2...30, using: &random)
            for _ in 0..<victims {
                let page = Int.random(in: 0..<bytes.count / 4096, using: &random)
                let other = Int.random(in: 0..<bytes.count / 4096, using: &random)
                gone.insert(page)
                for index in 0..<4096 {
                    damaged[page * 4096 + index] =
                        round % 3 == 0
                        ? 0
                        : round % 3 == 1
                            ? UInt8.random(in: 0...255, using: &random)
                            : bytes[other * 4096 + index]
                }
            }
            let disk = SimulatedDisk(bytes: damaged)
            disk.isRecording = false
            do {
                try check(disk, work, damaged: gone, "seed \(seed), round \(round), \(victims) pages")
            } catch let error as StoreError where error.kind == .notAStore {
                Issue.record("refused to start, seed \(seed), round \(round)")
            }
        }
    }

    @Test("Both superblocks gone: rebuilt from the pages, and mended with the next commit")
    func superblocks() throws {
        let work = try aged(seed: 71)
        var bytes = work.disk.bytes
        for index in 0..<8192 { bytes[index] = 0xEE }
        let disk = SimulatedDisk(bytes: bytes)
        #expect(RingStore.isStore(disk))
        let store = try RingStore(opening: disk)
        #expect(store.recovery.rebuiltSuperblocks)
        #expect(Workload.answers(store) == Workload.expected(work.entries))
        #expect(disk.bytes == bytes)
        store.append(store.allSeries[0].id, Workload.start + .hours(9), .number(4))
        try store.commit()
        #expect(!(try RingStore(opening: disk)).recovery.rebuiltSuperblocks)
    }

    @Test("A name survives the loss of any one page of the catalog")
    func names() throws {
        let work = try aged(seed: 72)
        for slot in 2..<5 {
            let disk = SimulatedDisk(bytes: work.disk.bytes)
            disk.flip(bit: (slot * 4096 + 200) * 8)
            let store = try RingStore(opening: disk)
            #expect(Workload.answers(store) == Workload.expected(work.entries), "slot \(slot)")
        }
    }

    @Test("A shorter file still opens and says so")
    func truncated() throws {
        let work = try aged(seed: 73)
        for keep in [work.disk.size - 4096, work.disk.size / 2, 5 * 4096] {
            let disk = SimulatedDisk(bytes: Array(work.disk.bytes[..<keep]))
            let store = try RingStore(opening: disk)
            #expect(store.recovery.notes.contains { $0.contains("bytes and has") })
            _ = Workload.missing(store, work.entries, first: 0, "kept \(keep)")
        }
    }

    @Test("Read errors while opening and while asking", arguments: 1...30)
    func readErrors(number: Int) throws {
        let work = try aged(seed: 74)
        let disk = SimulatedDisk(bytes: work.disk.bytes)
        disk.failingReads = number * 2 - 1..<number * 2 + 1
        let store = try RingStore(opening: disk)
        _ = Workload.missing(store, work.entries, first: 0, "read \(number)")
        disk.failingReads = disk.reads + 2..<disk.reads + 4
        _ = Workload.missing(store, work.entries, first: 0, "read \(number)")
        // An error that went away leaves nothing behind.
        disk.failingReads = 0..<0
        if number > 27 { #expect(store.verify().isSound) }
    }

    @Test("Verify finds the damaged page and counts the rest")
    func verify() throws {
        let work = try aged(seed: 75)
        let store = try RingStore(opening: work.disk)
        #expect(store.verify().isSound)
        #expect(store.verify().samples == work.entries.count)
        let archive = (2 + 3 + 8 + 1) * 4096
        work.disk.flip(bit: (archive + 300) * 8)
        let report = store.verify()
        #expect(report.damaged.map(\.page) == [2 + 3 + 8 + 1])
        #expect(report.samples < work.entries.count)
        #expect(store.statistics.lost == work.entries.count - report.samples)
    }

    /// A store whose ring of slots has pages, all durable; and the numbers of these pages.
    private func withSlots() throws -> (work: Workload, pages: [Int]) {
        let work = try Workload(pages: 2 + 3 + 8 + 150, seed: 71)
        for second in stride(from: 0, to: 90 * 3600, by: 120) {
            for number in [0, 1] {
                let time = Workload.start + .seconds(Int64(second + number))
                try work.append(number, time, .number(Double(second * 7919 % 3001) / 10))
            }
            if second % 600 == 0 { try work.commit() }
            if second % 6000 == 0 { try work.sync() }
        }
        try work.commit()
        try work.sync()
        let bytes = work.disk.bytes
        let pages = (0..<bytes.count / 4096).filter { page in
            bytes[page * 4096..<page * 4096 + 4].contains { $0 != 0 } && bytes[page * 4096 + 5] == 5
        }
        try #require(pages.count == work.store.statistics.usedTierPages[0] && pages.count > 2, "\(pages)")
        return (work, pages)
    }

    @Test("Slots on a damaged page are made again of the samples that are still there")
    func slotsAgain() throws {
        let (work, pages) = try withSlots()
        SlotModel.check(work.store, "sound")
        for page in pages {
            // The header, the body, and the page as a whole.
            for place in [60, 700, nil] {
                let disk = SimulatedDisk(bytes: work.disk.bytes)
                for offset in place.map({ $0..<$0 + 1 }) ?? 0..<4096 { disk.flip(bit: (page * 4096 + offset) * 8 + 3) }
                let store = try RingStore(opening: disk)
                #expect(Workload.answers(store) == Workload.expected(work.entries))
                SlotModel.check(store, "page \(page), \(String(describing: place)), \(store.recovery)")
                // The newest page may be one that a power cut interrupted.
                #expect(place == 700 || page == pages.last || store.recovery.lostRecords > 0)
                let id = try #require(store.find(Workload.key(0))?.id)
                let start = Workload.start.floor(to: .hours(1))
                let snapshot = try #require(store.snapshot(id, from: start, to: start + .hours(90)))
                #expect(
                    snapshot.points(step: .hours(1))
                        == store.points(id, from: start, to: start + .hours(90), step: .hours(1)))
            }
        }
    }

    @Test("Slots that were made again are written again, and outlast the next opening")
    func slotsWrittenAgain() throws {
        let (work, pages) = try withSlots()
        func starts(_ store: RingStore) -> [[Instant: [Int64]]] {
            store.allSeries.map { info in
                let records = store.records(info.id, in: .slots, from: .distantPast, to: .distantFuture)
                return Dictionary(uniqueKeysWithValues: records.map { ($0.start, $0.fields) })
            }
        }
        let sound = starts(work.store)
        for page in pages {
            let disk = SimulatedDisk(bytes: work.disk.bytes)
            for offset in 0..<4096 { disk.flip(bit: (page * 4096 + offset) * 8 + 3) }
            let store = try RingStore(opening: disk)
            // The newest page may be one that a power cut interrupted: then the journal has its records.
            let isLacking = starts(store) != sound
            #expect(page == pages.last || isLacking, "page \(page) held nothing")
            // A snapshot is only asked.
            let id = try #require(store.find(Workload.key(0))?.id)
            let before = starts(store)
            _ = store.snapshot(id, from: .distantPast, to: .distantFuture)?.slotsOfStretch()
            let isUntouched = starts(store) == before
            #expect(isUntouched)
            SlotModel.check(store, "page \(page)")
            let isWrittenAgain = starts(store) == sound
            #expect(isWrittenAgain, "page \(page)")
            try store.commit()
            let token = store.beginSync()
            try disk.sync()
            store.finishedSync(token)
            let second = try RingStore(opening: SimulatedDisk(bytes: disk.bytes))
            // The commit has sealed what memory held, so that there are more.
            let isThere = zip(starts(second), sound).allSatisfy { found, sound in
                sound.allSatisfy { found[$0.key] == $0.value }
            }
            #expect(isThere, "page \(page), opened again: \(second.recovery)")
            SlotModel.check(second, "page \(page), opened again")
            // Nothing is written a second time.
            try second.commit()
            let written = second.statistics.writtenBytes
            SlotModel.check(second, "page \(page), asked again")
            try second.commit()
            #expect(second.statistics.writtenBytes == written)
        }
    }

    @Test("A page that claims more records than a writer puts together is not believed")
    func tooManyRecords() throws {
        let (work, pages) = try withSlots()
        let page = try #require(pages.first)
        var bytes = work.disk.bytes
        // A chunk of 4096 records of 64 fields, all of them equal, which takes 107 bytes.
        var bits = [Bool](repeating: true, count: 6)
        for _ in 0..<64 { bits += [Bool](repeating: true, count: 6) + [Bool](repeating: false, count: 7) }
        bits += [Bool](repeating: false, count: (8 - bits.count % 8) % 8)
        let stream = stride(from: 0, to: bits.count, by: 8).map { at in
            bits[at..<at + 8].reduce(UInt8(0)) { $0 << 1 | ($1 ? 1 : 0) }
        }
        let length = 9 + stream.count
        let series = bytes[page * 4096 + 112..<page * 4096 + 114]
        let chunk = series + [0, 16, UInt8(length & 255), UInt8(length >> 8), 64, 0, 0] + stream
        bytes.replaceSubrange(page * 4096 + 136..<page * 4096 + 136 + chunk.count, with: chunk)
        fixChecksums(&bytes, page)
        let store = try RingStore(opening: SimulatedDisk(bytes: bytes))
        for info in store.allSeries {
            let records = store.records(info.id, in: .slots, from: .distantPast, to: .distantFuture)
            #expect(records.allSatisfy { $0.fields.count < 64 })
        }
        let report = store.verify()
        #expect(report.damaged.map(\.page) == [page])
        #expect(report.records < 4096)
    }

    @Test("Garbage with right checksums is survived", arguments: seeds(5000, 2))
    func fuzz(seed: UInt64) throws {
        print("fuzz seed \(seed)")
        let work = try aged(seed: seed)
        var random = Seeded(seed)
        let bytes = work.disk.bytes
        let used = (0..<bytes.count / 4096).filter { page in bytes[page * 4096 + 4] == 1 }
        for _ in 0..<250 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                guard let page = used.randomElement(using: &random), page > 1 else { continue }
                for _ in 0..<Int.random(in: 1...6, using: &random) {
                    // Most of it where it hurts: lengths, counts, the first chunk.
                    let byte =
                        Bool.random(using: &random)
                        ? Int.random(in: 60..<160, using: &random) : Int.random(in: 6..<1500, using: &random)
                    if (8..<40).contains(byte) { continue }
                    damaged[page * 4096 + byte] =
                        [0, 0xFF, 0x80, UInt8.random(in: 0...255, using: &random)]
                        .randomElement(using: &random) ?? 0
                }
                fixChecksums(&damaged, page)
            }
            let disk = SimulatedDisk(bytes: damaged)
            disk.isRecording = false
            let store = try RingStore(opening: disk)
            for info in store.allSeries { _ = Workload.everything(store, info.id) }
            store.replay(from: .distantPast) { _, _ in }
            _ = store.verify()
            _ = store.statistics
            if let id = store.allSeries.first?.id {
                _ = store.points(id, from: Workload.start, to: Workload.start + .hours(1), step: .minutes(1))
                store.append(id, Workload.start, .number(5))
            }
            _ = try? store.commit()
        }
    }
}
