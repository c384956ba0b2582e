import Model
import Store
import Testing

@Suite("RingStore")
struct RingStoreTests {
    @Test("A checksum is CRC-32C")
    func checksum() {
        // RFC 3720, B.4.
        #expect(Checksum.crc32c(Array("123456789".utf8), 0..<9) == 0xE306_9283)
        #expect(Checksum.crc32c([UInt8](repeating: 0, count: 32), 0..<32) == 0x8A91_36AA)
        #expect(Checksum.crc32c([UInt8](repeating: 0xFF, count: 32), 0..<32) == 0x62A8_AB43)
        #expect(Checksum.crc32c(Array(0..<32), 0..<32) == 0x46DD_794E)
    }

    @Test("A checksum is the same in steps of one byte, of sixteen and of two halves", arguments: [7400 as UInt64])
    func longChecksum(seed: UInt64) {
        print("checksum seed \(seed)")
        var random = Seeded(seed)
        for _ in 0..<300 {
            let bytes = (0..<Int.random(in: 0...9000, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            let from = Int.random(in: 0...min(200, bytes.count), using: &random)
            let before = UInt32.random(in: 0...UInt32.max, using: &random)
            var bytewise = before
            for index in from..<bytes.count { bytewise = Checksum.crc32c(bytes, index..<index + 1, after: bytewise) }
            #expect(
                Checksum.crc32c(bytes, from..<bytes.count, after: before) == bytewise, "\(bytes.count) from \(from)")
        }
    }

    @Test("What goes in comes out, before and after a commit, a run and a restart")
    func roundTrip() throws {
        let work = try Workload(pages: 256, seed: 1)
        for step in 0..<6 {
            for _ in 0..<300 { try work.appendRandom(series: 8) }
            #expect(Workload.answers(work.store) == Workload.expected(work.entries), "appended, step \(step)")
            try work.commit()
            try work.sync()
            #expect(Workload.answers(work.store) == Workload.expected(work.entries), "synced, step \(step)")
            if step % 2 == 1 {
                try work.reopen()
                #expect(Workload.answers(work.store) == Workload.expected(work.entries), "opened, step \(step)")
            }
        }
        #expect(work.store.verify().isSound)
        #expect(work.store.statistics.samples == work.entries.count)
        #expect(work.store.statistics.usedPages > 0)
    }

    @Test("Numbers keep every bit", arguments: [UInt64(1), 2, 3])
    func bits(seed: UInt64) throws {
        let work = try Workload(pages: 512, seed: seed)
        var random = Seeded(seed)
        let shapes: [(Int) -> Double] = [
            { Double($0) }, { Double($0) / 10 }, { Double($0 * 7919 % 100_000) / 1000 }, { sin(Double($0)) },
            { _ in Double(bitPattern: random.next()) }, { $0 % 50 == 0 ? .nan : 1e15 + Double($0) },
            { $0 % 9 == 0 ? -0.0 : 0 }, { Double($0) * 1e300 },
        ]
        for index in 0..<400 {
            for (series, shape) in shapes.enumerated() {
                try work.append(
                    series, Workload.start + .milliseconds(Int64(index) * 8640 + Int64(random.next() % 7)),
                    .number(shape(index)))
            }
            if index % 50 == 0 { try work.commit() }
        }
        try work.commit()
        try work.sync()
        try work.reopen()
        #expect(Workload.answers(work.store) == Workload.expected(work.entries))
    }

    private func sin(_ x: Double) -> Double { x - x * x * x / 6 + x * x * x * x * x / 120 }

    @Test("A range is half-open and a scan stops when told")
    func ranges() throws {
        let work = try Workload(pages: 128, seed: 2)
        for second in 0..<1000 { try work.append(0, Workload.start + .seconds(Int64(second)), .number(Double(second))) }
        try work.commit()
        for _ in 0..<2 {
            let id = try #require(work.store.find(Workload.key(0))?.id)
            var seen: [Double] = []
            work.store.scan(id, from: Workload.start + .seconds(10), to: Workload.start + .seconds(13)) {
                if case .number(let number) = $0.value { seen.append(number) }
                return true
            }
            #expect(seen == [10, 11, 12])
            var count = 0
            work.store.scan(id, from: .distantPast, to: .distantFuture) { _ in
                count += 1
                return count < 5
            }
            #expect(count == 5)
            try work.reopen()
        }
    }

    @Test("A scan inside of a scan gives both their answers")
    func nested() throws {
        let work = try Workload(pages: 128, seed: 3)
        for second in 0..<800 {
            for series in 0..<2 {
                try work.append(series, Workload.start + .seconds(Int64(second)), .number(Double(second)))
            }
        }
        try work.commit()
        try work.sync()
        let ids = work.store.allSeries.map(\.id)
        var outer = 0
        work.store.scan(ids[0], from: .distantPast, to: .distantFuture) { _ in
            outer += 1
            if outer % 100 == 0 { #expect(Workload.everything(work.store, ids[1]).count == 800) }
            return true
        }
        #expect(outer == 800)
    }

    @Test("Series: the limit, a changed unit, names that are too long, and names after a restart")
    func series() throws {
        let work = try Workload(pages: 128, series: 30, seed: 4)
        for number in 0..<30 { try work.append(number, Workload.start, .number(1)) }
        #expect(try work.store.series(SeriesKey(device: "one", channel: "more"), unit: nil, kind: .gauge) == nil)
        try work.commit()
        try work.sync()
        try work.reopen()
        #expect(work.store.allSeries.count == 30)
        #expect(work.store.find(Workload.key(7))?.kind == .event)
        let key = SeriesKey(device: "a", channel: "b")
        let other = try Workload(pages: 128, seed: 4).store
        let first = try #require(try other.series(key, unit: .watt, kind: .gauge))
        #expect(try other.series(key, unit: .watt, kind: .gauge) == first)
        let second = try #require(try other.series(key, unit: .volt, kind: .gauge))
        #expect(first != second)
        #expect(other.find(key)?.id == second)
        #expect(throws: StoreError.self) {
            try other.series(
                SeriesKey(device: String(repeating: "x", count: 97), channel: "b"), unit: nil, kind: .gauge)
        }
        other.append(SeriesID(raw: 99), Workload.start, .number(1))
        #expect(other.statistics.appended == 0)
    }

    @Test("Duplicates of the last sample are dropped and counted, long texts are cut between characters")
    func duplicates() throws {
        let store = try Workload(pages: 128, seed: 5).store
        let id = try #require(try store.series(Workload.key(2), unit: nil, kind: .state))
        for value: StoredValue in [.number(1), .number(1), .text("a"), .text("a"), .unknown, .unknown, .number(1)] {
            store.append(id, Workload.start, value)
        }
        #expect(store.statistics.duplicates == 3)
        store.append(id, Workload.start, .text(String(repeating: "가", count: 40)))
        #expect(Workload.everything(store, id).last?.value == .text(String(repeating: "가", count: 32)))
        #expect(store.statistics.shortened == 1)
    }

    @Test("A late sample is stored once at its place; one that is too late is counted")
    func late() throws {
        let work = try Workload(pages: 256, seed: 15)
        work.store.lateness = .hours(1)
        func at(_ minute: Int64) -> Instant { Workload.start + .minutes(minute) }
        for minute in 0..<90 { try work.append(0, at(Int64(minute * 2)), .number(Double(minute))) }
        let id = try #require(work.store.find(Workload.key(0))?.id)
        for _ in 0..<2 {
            for minute in [1, 171, 151, 171, 119, 117] as [Int64] {
                work.store.append(id, at(minute), .number(7))
                work.store.append(id, at(minute), .text("late \(minute)"))
            }
            try work.commit()
            try work.sync()
            let counts = work.store.statistics
            #expect(counts.tooLate == 4)
            let late = Workload.everything(work.store, id).filter {
                $0.time.milliseconds / 60_000 % 2 != at(0).milliseconds / 60_000 % 2
            }
            #expect(late.map(\.time) == [119, 119, 151, 151, 171, 171].map(at))
            let times = Workload.everything(work.store, id).map(\.time)
            #expect(times == times.sorted())
            try work.reopen()
            work.store.lateness = .hours(1)
        }
    }

    @Test("What was dropped is told to one who opens the store later, and costs few pages")
    func dropsAreKept() throws {
        let work = try Workload(pages: 256, seed: 17)
        work.store.lateness = .hours(1)
        for hour in 0..<3 { try work.append(0, Workload.start + .hours(Int64(hour)), .number(1)) }
        try work.commit()
        try work.sync()
        try work.commit()
        let id = try #require(work.store.find(Workload.key(0))?.id)
        let before = work.store.statistics.writtenBytes
        for second in 0..<1000 {
            work.store.append(id, Workload.start + .seconds(Int64(second)), .number(2))
            try work.store.commit()
            work.store.finishedSync(work.store.beginSync())
        }
        let dropped = work.store.statistics.tooLate
        #expect(dropped > 990)
        #expect(work.store.statistics.writtenBytes - before < 120 * 4096)
        let killed = try RingStore(opening: work.disk)
        #expect(killed.statistics.tooLate == 0)
        #expect((dropped * 8 / 9...dropped).contains(killed.statistics.tooLateEver))
        #expect(killed.find(Workload.key(0))?.id == id)
        try work.store.commit(isLast: true)
        let ended = try RingStore(opening: work.disk)
        #expect(ended.statistics.tooLateEver == dropped)
        #expect(ended.statistics.refusedEver == 0)
        // Another series finds its place in front of the entry, and the count goes on.
        ended.lateness = .hours(1)
        let other = try #require(try ended.series(Workload.key(1), unit: nil, kind: .state))
        ended.append(id, Workload.start + .seconds(5000), .number(2))
        try ended.commit(isLast: true)
        let again = try RingStore(opening: work.disk)
        #expect(again.find(Workload.key(1))?.id == other)
        #expect(again.statistics.tooLateEver == dropped + ended.statistics.tooLate)
    }

    @Test("A full ring that holds writes over nothing, counts what it cannot take, and goes on when it may")
    func holds() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 24, seed: 16)
        work.disk.isRecording = false
        work.store.whenFull = .hold
        work.store.mayOverwriteBefore = Workload.start
        var trouble: StoreError?
        for _ in 0..<400 where trouble == nil || work.store.statistics.refused == 0 {
            for _ in 0..<60 { try work.appendRandom(series: 6) }
            do { try work.commit() } catch let error as StoreError { trouble = error }
            try work.sync()
        }
        #expect(trouble?.kind == .held)
        #expect(work.store.isHolding && work.store.statistics.isHolding)
        #expect(work.store.statistics.overwrittenSamples == 0)
        #expect(work.store.statistics.refused > 0)
        let kept = work.store.statistics.samples
        #expect(Workload.missing(work.store, work.entries, first: work.entries.count, "") == work.entries.count - kept)
        // The outbox has taken everything.
        work.store.mayOverwriteBefore = .distantFuture
        for _ in 0..<10 {
            for _ in 0..<60 { try work.appendRandom(series: 6) }
            try work.commit()
            try work.sync()
        }
        #expect(!work.store.isHolding)
        #expect(work.store.statistics.overwrittenSamples > 0)
        #expect(work.store.statistics.overwrittenUnrolled == 0)
    }

    @Test("A renamed series keeps its number and samples, also after a restart; a taken name is refused")
    func renamed() throws {
        let work = try Workload(pages: 128, seed: 17)
        try work.append(0, Workload.start, .number(1))
        try work.append(1, Workload.start, .number(2))
        try work.commit()
        try work.sync()
        let id = try #require(work.store.find(Workload.key(0))?.id)
        let new = SeriesKey(device: "laser", channel: "power")
        #expect(!(try work.store.rename(Workload.key(0), to: Workload.key(1))))
        #expect(!(try work.store.rename(Workload.key(5), to: new)))
        #expect(try work.store.rename(Workload.key(0), to: new))
        #expect(work.store.find(Workload.key(0)) == nil)
        try work.commit()
        try work.reopen()
        #expect(work.store.find(new)?.id == id)
        #expect(work.store.find(Workload.key(0)) == nil)
        #expect(Workload.everything(work.store, id).map(\.value) == [.number(1)])
        #expect(throws: StoreError.self) {
            try work.store.rename(new, to: SeriesKey(device: "x", channel: String(repeating: "x", count: 65)))
        }
    }

    @Test("A flood of new names grows neither memory nor disk, and is counted")
    func flood() throws {
        let work = try Workload(pages: 128, series: 20, seed: 18)
        for number in 0..<20 { try work.append(number, Workload.start, .number(1)) }
        try work.commit()
        let written = work.store.statistics.writtenBytes
        for number in 0..<20_000 {
            #expect(
                try work.store.series(SeriesKey(device: "new-\(number)", channel: "x"), unit: nil, kind: .gauge) == nil)
        }
        try work.commit()
        #expect(work.store.statistics.series == 20)
        #expect(work.store.statistics.refusedSeries == 20_000)
        #expect(work.store.statistics.writtenBytes == written)
    }

    @Test("A commit of nothing writes nothing")
    func idle() throws {
        let work = try Workload(pages: 128, seed: 6)
        try work.appendRandom(series: 3)
        try work.commit()
        let calls = work.disk.calls
        let ticket = try work.store.commit()
        #expect(work.disk.calls == calls)
        #expect(work.store.durable < ticket)
        #expect(work.store.unsynced)
        try work.sync()
        #expect(work.store.durable == ticket)
        #expect(!work.store.unsynced)
    }

    @Test("Between two syncs a page grows in place; after one, it is left alone")
    func freshPages() throws {
        let work = try Workload(pages: 128, seed: 7)
        try work.append(0, Workload.start, .number(1))
        try work.commit()
        try work.sync()
        var offsets: [Int] = []
        for second in 1...3 {
            try work.append(0, Workload.start + .seconds(Int64(second)), .number(1))
            try work.commit()
            if case .write(let offset, _) = work.disk.log.last(where: { if case .write = $0 { true } else { false } }) {
                offsets.append(offset)
            }
            if second == 2 { try work.sync() }
        }
        #expect(offsets[0] == offsets[1])
        #expect(offsets[1] != offsets[2])
    }

    @Test("What is committed after a sync began is not durable when it ends")
    func overlap() throws {
        let work = try Workload(pages: 128, seed: 8)
        try work.append(0, Workload.start, .number(1))
        let first = try work.store.commit()
        let token = work.store.beginSync()
        try work.append(0, Workload.start + .seconds(1), .number(2))
        let second = try work.store.commit()
        work.store.finishedSync(token)
        #expect(work.store.durable >= first)
        #expect(work.store.durable < second)
        #expect(work.store.unsynced)
    }

    @Test("The ring wraps, counts what it writes over, and keeps the newest", arguments: [UInt64(1), 2])
    func wrap(seed: UInt64) throws {
        print("wrap seed \(seed)")
        let work = try Workload(pages: 2 + 3 + 8 + 24, seed: seed)
        work.disk.isRecording = false
        work.store.mayOverwriteBefore = Workload.start
        for _ in 0..<160 {
            for _ in 0..<60 { try work.appendRandom(series: 6) }
            try work.commit()
            try work.sync()
        }
        let numbers = work.store.statistics
        #expect(numbers.overwrittenSamples > 0)
        #expect(numbers.overwrittenUnrolled > 0)
        #expect(numbers.samples + numbers.overwrittenSamples == work.entries.count)
        let missing = Workload.missing(work.store, work.entries, first: work.entries.count, "wrap")
        #expect(missing == numbers.overwrittenSamples)
        let newest = Array(work.entries.suffix(300))
        #expect(
            Workload.missing(work.store, work.entries, first: work.entries.count, "")
                == Workload.missing(work.store, work.entries, first: work.entries.count - newest.count, ""))
        let before = Workload.answers(work.store)
        try work.reopen()
        #expect(Workload.answers(work.store) == before)
        #expect(work.store.recovery.lost == 0, "\(work.store.recovery)")
    }

    @Test("Replay gives each series in its order of arrival")
    func replay() throws {
        let work = try Workload(pages: 256, seed: 9)
        for _ in 0..<5 {
            for _ in 0..<400 { try work.appendRandom(series: 7) }
            try work.commit()
            try work.sync()
        }
        for _ in 0..<2 {
            var seen: [SeriesID: [Sample]] = [:]
            work.store.replay(from: .distantPast) { seen[$0, default: []].append($1) }
            for info in work.store.allSeries {
                #expect(seen[info.id] == work.entries.filter { $0.series == info.key }.map(\.sample))
            }
            try work.reopen()
        }
    }

    @Test("Points: sample and hold within a bucket, gaps stay gaps")
    func points() throws {
        let work = try Workload(pages: 128, seed: 10)
        func at(_ second: Int64) -> Instant { Workload.start + .seconds(second) }
        for (second, value) in [(0, 10.0), (5, 20), (31, 4), (39, 8)] {
            try work.append(0, at(Int64(second)), .number(value))
        }
        try work.append(0, at(45), .number(6))
        try work.append(0, at(48), .unknown)
        let id = try #require(work.store.find(Workload.key(0))?.id)
        let points = work.store.points(id, from: at(0), to: at(50), step: .seconds(10))
        #expect(points.map(\.count) == [2, 0, 0, 2, 1])
        let means: [Double?] = [15, nil, nil, 40.0 / 9, 6]
        #expect(points.map(\.mean) == means)
        #expect(points[0].min == 10 && points[0].max == 20 && points[0].last == 20)
        #expect(points[1].min == nil && points[1].start == at(10))
        #expect(work.store.points(id, from: at(0), to: at(50), step: .zero).isEmpty)
        #expect(work.store.points(id, from: at(5), to: at(5), step: .seconds(1)).isEmpty)
    }

    @Test("Points agree with a plain model", arguments: [UInt64(1), 2, 3])
    func pointsAgree(seed: UInt64) throws {
        let work = try Workload(pages: 256, seed: seed)
        var time = Workload.start
        for _ in 0..<1500 {
            time = time + .milliseconds(Int64.random(in: 1...9000, using: &work.random))
            try work.append(0, time, .number(Double(Int.random(in: 0...999, using: &work.random)) / 10))
        }
        try work.commit()
        try work.sync()
        let id = try #require(work.store.find(Workload.key(0))?.id)
        let samples = Workload.expected(work.entries, Workload.key(0))
        for point in work.store.points(id, from: Workload.start, to: time, step: .seconds(60)) {
            let end = min(point.start + .seconds(60), time)
            let inside = samples.filter { $0.time >= point.start && $0.time < end }
            #expect(inside.count == point.count)
            var area = 0.0
            for (index, sample) in inside.enumerated() {
                let next = index + 1 < inside.count ? inside[index + 1].time : end
                guard case .number(let number) = sample.value else { continue }
                area += number * Double((next - sample.time).milliseconds)
            }
            if let first = inside.first, let mean = point.mean {
                #expect(abs(mean - area / Double((end - first.time).milliseconds)) < 1e-9)
            }
        }
    }

    @Test("Too small a region is refused in words, and so is one without a store")
    func refusals() throws {
        let small = SimulatedDisk(pages: 100)
        #expect(throws: StoreError.self) {
            try RingStore.create(in: small, plan: StorePlan(), identity: Workload.identity)
        }
        #expect(!RingStore.isStore(small))
        do {
            _ = try RingStore(opening: small)
            Issue.record("opened nothing")
        } catch {
            #expect(error.kind == .notAStore)
        }
        for index in 0..<small.size { small.flip(bit: index * 8 + index % 8) }
        #expect(!RingStore.isStore(small))
    }

    @Test("A newer format is refused, says what to do, and changes nothing")
    func newerFormat() throws {
        let work = try Workload(pages: 128, seed: 11)
        var bytes = work.disk.bytes
        for page in 0..<2 {
            bytes[page * 4096 + 4] += 1
            fixChecksums(&bytes, page)
        }
        let disk = SimulatedDisk(bytes: bytes)
        do {
            _ = try RingStore(opening: disk)
            Issue.record("opened a newer format")
        } catch {
            #expect(error.kind == .newerFormat)
            #expect(error.description.contains("newer version"))
        }
        #expect(RingStore.isStore(disk))
        #expect(disk.bytes == bytes)
    }
}

/// Makes a page's checksums right again after its bytes were changed.
func fixChecksums(_ bytes: inout [UInt8], _ page: Int) {
    func put(_ value: UInt32, _ offset: Int) {
        for index in 0..<4 {
            bytes[page * 4096 + offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index))
        }
    }
    put(Checksum.crc32c(bytes, page * 4096 + 128..<page * 4096 + 4096), 12)
    let start = Checksum.crc32c(bytes, page * 4096..<page * 4096 + 8)
    put(Checksum.crc32c(bytes, page * 4096 + 12..<page * 4096 + 128, after: start), 8)
}
