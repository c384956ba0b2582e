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
        let rounds = 7000
        for round in 0..<rounds {
            let start = Workload.start + .minutes(15 * Int64(round))
            for second in 0..<40 { try work.append(2, start + .seconds(Int64(second * 20)), work.value(2)) }
            let id = try #require(work.store.find(Workload.key(2))?.id)
            for version in 0..<2 {
                work.store.put(
                    TierRecord(series: id, start: start, fields: [Int64(round), Int64(version), 77]), in: .slots)
            }
            try work.commit()
            if round % 10 == 0 { try work.sync() }
        }
        for _ in 0..<2 {
            let store = work.store
            let id = try #require(store.find(Workload.key(2))?.id)
            let kept = store.records(id, in: .slots, from: .distantPast, to: .distantFuture)
            let oldest = try #require(store.oldest(in: .slots))
            #expect(oldest > Workload.start)
            #expect(oldest < (try #require(store.oldest)))
            #expect(kept.first?.start == oldest)
            #expect(kept.last?.fields == [Int64(rounds - 1), 1, 77])
            #expect(kept.allSatisfy { $0.fields[1] == 1 })
            #expect(kept.map { $0.fields[0] } == Array(kept[0].fields[0]...Int64(rounds - 1)))
            try work.reopen()
        }
    }

    enum Stubbornness: CaseIterable { case takesNothing, confirmsNothing, neither }

    @Test("A disk that refuses for hours costs nothing that is stored", arguments: Stubbornness.allCases)
    func refuses(how: Stubbornness) throws {
        let work = try Workload(pages: 2 + 3 + 8 + 200, seed: 11)
        work.disk.isRecording = false
        var id: SeriesID?
        var second = Int64(0)
        func live(_ rounds: Int) throws {
            for _ in 0..<rounds {
                for _ in 0..<12 {
                    second += 5
                    try work.append(2, Workload.start + .seconds(second), .number(Double(second % 977) * 1.37))
                }
                id = work.store.find(Workload.key(2))?.id
                let slot = Instant(milliseconds: (Workload.start + .seconds(second)).milliseconds / 900_000 * 900_000)
                work.store.put(TierRecord(series: try #require(id), start: slot, fields: [second, 77]), in: .slots)
                do { try work.store.commit() } catch {}
            }
        }
        for _ in 0..<200 {
            try live(10)
            try work.sync()
        }
        let series = try #require(id)
        let before = work.store.records(series, in: .slots, from: .distantPast, to: .distantFuture)
        let used = work.store.statistics.usedPages
        #expect(before.count > 100)
        #expect(work.store.statistics.overwrittenSamples == 0)
        work.disk.refusesWrites = how != .confirmsNothing
        work.disk.refusesSync = how != .takesNothing
        for round in 0..<3000 {
            if round % 10 == 0 { try live(1) }
            do { try work.store.commit() } catch {}
            let token = work.store.beginSync()
            do {
                try work.disk.sync()
                work.store.finishedSync(token)
            } catch {
                work.store.failedSync(token)
            }
        }
        work.disk.refusesWrites = false
        work.disk.refusesSync = false
        try live(10)
        try work.sync()
        // Some places were tried, and lie ahead of what is stored.
        #expect(work.store.statistics.overwrittenSamples == 0)
        #expect(work.store.statistics.overwrittenRecords == 0)
        #expect(work.store.statistics.usedPages >= used)
        #expect(work.store.isWhole(series, in: .slots, from: Workload.start, to: .distantFuture))
        #expect(Workload.answers(work.store) == Workload.expected(work.entries))
        try work.reopen()
        #expect(Workload.answers(work.store) == Workload.expected(work.entries))
        let after = work.store.records(series, in: .slots, from: .distantPast, to: .distantFuture)
        #expect(after.prefix(before.count - 1) == before.prefix(before.count - 1))
        #expect(work.store.isWhole(series, in: .slots, from: Workload.start, to: .distantFuture))
        #expect(work.store.recovery.lostRecords == 0)
    }

    @Test("What was written over or has rotted is not whole, nor what came before it")
    func knowsWhatIsGone() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 40, seed: 3)
        for round in 0..<2000 {
            let start = Workload.start + .minutes(15 * Int64(round))
            for second in 0..<10 { try work.append(2, start + .seconds(Int64(second * 80)), work.value(2)) }
            let id = try #require(work.store.find(Workload.key(2))?.id)
            work.store.put(
                TierRecord(
                    series: id, start: start,
                    fields: [Int64](repeating: 0, count: 12).map { _ in
                        Int64.random(in: 0..<1 << 40, using: &work.random)
                    }), in: .slots)
            try work.commit()
            if round % 10 == 0 { try work.sync() }
        }
        try work.sync()
        let end = Workload.start + .minutes(15 * 2000)
        let id = try #require(work.store.find(Workload.key(2))?.id)
        var oldest = Workload.start
        for store in [work.store, try RingStore(opening: SimulatedDisk(bytes: work.disk.bytes))] {
            oldest = try #require(store.oldest(in: .slots))
            #expect(oldest > Workload.start)
            #expect(!store.isWhole(id, in: .slots, from: oldest - .minutes(15), to: end))
            let middle = oldest + (end - oldest) / 2
            #expect(store.isWhole(id, in: .slots, from: middle, to: end))
        }
        // One page after the other rots under the open store and before it is opened.
        var lost = 0
        for page in 13..<work.disk.size / 4096 {
            var bytes = work.disk.bytes
            bytes[page * 4096 + 1500] ^= 4
            let store = try RingStore(opening: SimulatedDisk(bytes: bytes))
            let kept = store.records(id, in: .slots, from: .distantPast, to: .distantFuture).map(\.start)
            for round in 0..<2000 {
                let start = Workload.start + .minutes(15 * Int64(round))
                guard start >= oldest, !kept.contains(start) else { continue }
                lost += 1
                #expect(!store.isWhole(id, in: .slots, from: start, to: start + .minutes(15)), "page \(page), \(start)")
            }
        }
        #expect(lost > 100)
    }

    @Test("Nothing is refused where nobody syncs: a run that waits for one is not all that can make room")
    func fillsWithoutSync() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 400, seed: 5)
        work.disk.isRecording = false
        try work.append(2, Workload.start, .number(1))
        let store = work.store
        let id = try #require(store.find(Workload.key(2))?.id)
        // Some rounds long samples fill the memory, so that a commit leaves a run behind; then records do.
        for round in 0..<400 {
            let start = Workload.start + .minutes(15 * Int64(round))
            for second in 1..<(round % 40 < 20 ? 900 : 20) {
                store.append(id, start + .seconds(Int64(second)), .number(Double(second) * 1.37))
            }
            for tier in 0..<4 {
                let fields = [Int64](repeating: Int64(round), count: 64)
                store.put(
                    TierRecord(series: id, start: start + .hours(24 * 365 * Int64(tier)), fields: fields), in: .slots)
            }
            try store.commit()
        }
        #expect(store.statistics.refusedRecords == 0)
        #expect(store.statistics.refused == 0)
        #expect(store.statistics.overwrittenRecords == 0)
        for tier in 0..<4 {
            let from = Workload.start + .hours(24 * 365 * Int64(tier))
            let kept = store.records(id, in: .slots, from: from, to: from + .hours(24 * 300))
            #expect(kept.filter { $0.fields.count == 64 }.map { $0.fields[0] } == Array(0..<400))
        }
    }

    @Test("A record finds room where the seal that makes it has made more slots of its samples than may wait")
    func findsRoomAfterASealOfManySlots() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 120, seed: 6)
        work.disk.isRecording = false
        try work.append(0, Workload.start, .number(1))
        let store = work.store
        let id = try #require(store.find(Workload.key(0))?.id)
        // Each in a quarter of an hour of its own, and the disk confirms nothing.
        let start = Workload.start.floor(to: .minutes(15))
        for quarter in 1..<1500 { store.append(id, start + .minutes(15 * Int64(quarter)), .number(1.5)) }
        let far = Workload.start + .hours(24 * 3650)
        for index in 0..<1000 {
            store.put(
                TierRecord(
                    series: id, start: far + .minutes(15 * Int64(index)), fields: [Int64](repeating: 7, count: 9)),
                in: .slots)
        }
        #expect(store.statistics.refusedRecords == 0)
        try store.commit()
        let kept = store.records(id, in: .slots, from: far, to: far + .minutes(15 * 1000))
        #expect(kept.map { $0.start } == (0..<1000).map { far + .minutes(15 * Int64($0)) })
        // Slots of its own are there, too, each made of one sample.
        let slots = store.slots(id, from: start + .minutes(15), to: start + .minutes(15 * 1500))
        #expect(slots.map { $0.count } == [Int](repeating: 1, count: 1499))
    }

    @Test("What cannot be kept is refused and counted; a series that nobody gave is ignored")
    func refusals() throws {
        let work = try Workload(pages: 128, seed: 4)
        try work.append(2, Workload.start, .number(1))
        let store = work.store
        let id = try #require(store.find(Workload.key(2))?.id)
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

@Suite("Slots and days of channels")
struct ChannelSlotTests {
    @Test("Always what the samples say, whatever was late, committed, synced or restarted", arguments: seeds(9000, 4))
    func agree(seed: UInt64) throws {
        print("slots seed \(seed)")
        let work = try Workload(pages: 2 + 3 + 8 + 150, seed: seed)
        work.disk.isRecording = false
        for round in 0..<8 {
            try work.run(steps: 60, series: 6)
            // Weeks go by, so that days are closed.
            work.skip(.hours(Int64.random(in: 0...40, using: &work.random)))
            SlotModel.check(work.store, "seed \(seed), round \(round)")
            if round % 2 == 1 {
                try work.restart()
                SlotModel.check(work.store, "seed \(seed), opened in round \(round)")
            }
        }
        #expect(work.store.statistics.overwrittenSamples == 0)
        let numbers = try #require(work.store.find(Workload.key(0))?.id)
        #expect(work.store.records(numbers, in: .days, from: .distantPast, to: .distantFuture).count > 1)
    }

    @Test("A late sample makes a record of a slot that lasts through many runs, and none of these brings it back")
    func lateInALongSlot() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 150, seed: 21)
        work.disk.isRecording = false
        for round in 0..<1500 {
            for number in [0, 1, 4, 5] {
                // One in ten is late, so that its slot is recorded before it is over.
                let late = (round + number) % 10 == 0 ? Int64(24) : 0
                try work.append(
                    number, Workload.start + .seconds(Int64(round * 20) - late), .number(Double(round + number)))
            }
            guard round % 5 == 4 else { continue }
            try work.commit()
            try work.sync()
            guard round % 150 == 149 else { continue }
            SlotModel.check(work.store, "round \(round)")
            SlotModel.check(try RingStore(opening: work.disk), "opened in round \(round)")
        }
        #expect(work.store.statistics.usedPages > 10)
        #expect(work.store.statistics.usedTierPages[0] > 0)
    }

    @Test("A slot's integral keeps the tenths that its first, last, least and most number do not have")
    func tenths() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 150, seed: 13)
        let start = Workload.start.floor(to: .hours(1))
        for (second, number) in [(0, 0.0), (7, 12.3), (19, 4.7), (31, 30.0)] {
            try work.append(0, start + .seconds(Int64(second)), .number(number))
        }
        // Until a run that has nothing for it has made a record of it.
        for second in 0..<9000 {
            try work.append(1, start + .hours(1) + .seconds(Int64(second)), .number(Double(second * 31 % 977)))
            if second % 50 == 0 { try work.commit() }
            if second % 500 == 0 { try work.sync() }
        }
        let id = try #require(work.store.find(Workload.key(0))?.id)
        #expect(work.store.records(id, in: .slots, from: .distantPast, to: .distantFuture).count == 1)
        let slot = try #require(work.store.slots(id, from: start, to: start + .hours(1)).first)
        #expect(slot.min == 0 && slot.max == 30 && slot.last == 30)
        #expect((slot.integral - (12.3 * 12_000 + 4.7 * 12_000 + 30 * 869_000)).magnitude < 1e-3)
    }

    @Test("A record that counts more numbers than any store holds is no slot", arguments: [Int64.max, 1 << 62])
    func impossibleCount(count: Int64) throws {
        let work = try Workload(pages: 2 + 3 + 8 + 150, seed: 14)
        let day = Workload.start.floor(to: .hours(24))
        let end = day + .hours(24)
        try work.append(0, day + .hours(12), .number(7))
        let id = try #require(work.store.find(Workload.key(0))?.id)
        let fields: [Int64] = [899_000, 230 * 899_000, 0, 899_000 * 2 + 1, 230, count, 230, 230, 230]
        for quarter in 0..<3 {
            let record = TierRecord(series: id, start: day + .minutes(Int64(quarter) * 15), fields: fields)
            work.store.put(record, in: .slots)
        }
        work.store.put(TierRecord(series: id, start: day - .hours(24), fields: fields), in: .days)
        try work.commit()
        for store in [work.store, try RingStore(opening: work.disk)] {
            #expect(store.slots(id, from: day, to: end).map(\.count) == [1])
            #expect(store.points(id, from: day, to: end, step: .hours(24)).map(\.count) == [1])
            #expect(store.days(id, from: day - .hours(48), to: end).map(\.count) == [1])
            #expect(store.closedDays(id).isEmpty)
        }
    }

    @Test("Points of whole slots say the same as points of samples, where nothing holds beyond a slot")
    func points() throws {
        let work = try Workload(pages: 2 + 3 + 8 + 150, seed: 12)
        let start = Workload.start.floor(to: .hours(1))
        for second in stride(from: 0, to: 30 * 3600, by: 10) {
            guard second / 7200 % 3 != 1 else { continue }
            try work.append(0, start + .seconds(Int64(second)), .number(Double(second * 7919 % 1000) / 10))
            if second % 500 == 0 { try work.commit() }
            if second % 2500 == 0 { try work.sync() }
        }
        for _ in 0..<2 {
            let id = try #require(work.store.find(Workload.key(0))?.id)
            let end = start + .hours(30)
            let fine = work.store.points(id, from: start, to: end, step: .minutes(5))
            let quarters = work.store.points(id, from: start, to: end, step: .minutes(15))
            let hours = work.store.points(id, from: start, to: end, step: .hours(1))
            #expect(quarters.count == 120 && hours.count == 30)
            for (index, hour) in hours.enumerated() {
                let parts = fine[index * 12..<index * 12 + 12].filter { $0.count > 0 }
                #expect(hour.count == parts.reduce(0) { $0 + $1.count })
                #expect(hour.min == parts.compactMap(\.min).min() && hour.max == parts.compactMap(\.max).max())
                #expect(hour.last == parts.last?.last)
                guard let mean = hour.mean else {
                    #expect(parts.isEmpty)
                    continue
                }
                #expect(
                    abs(mean - parts.compactMap(\.mean).reduce(0, +) / Double(parts.count)) < 1e-6,
                    "hour \(index), \(parts)")
                let four = quarters[index * 4..<index * 4 + 4].compactMap(\.mean)
                #expect(abs(mean - four.reduce(0, +) / 4) < 1e-6)
            }
            #expect(work.store.points(id, from: start, to: end, atMost: 500).count <= 500)
            #expect(work.store.points(id, from: start, to: end, atMost: 0).isEmpty)
            try work.commit()
            try work.reopen()
        }
    }

    @Test("Series are found in a tier's pages in whatever order they are asked for", arguments: seeds(8300, 4))
    func anyOrder(seed: UInt64) throws {
        print("order seed \(seed)")
        let work = try Workload(pages: 2 + 3 + 8 + 120, series: 60, seed: seed)
        work.disk.isRecording = false
        var expected: [Int: [TierRecord]] = [:]
        for round in 0..<60 {
            let start = Workload.start + .minutes(15 * Int64(round))
            // Some come rarely, so that pages lack them.
            for number in 0..<60 where number % 7 != 3 || round % 20 == 0 {
                try work.append(number, start + .seconds(Int64(number)), work.value(number))
                // Slots of numbers are the store's own.
                guard number % 4 >= 2, let id = work.store.find(Workload.key(number))?.id else { continue }
                let fields = (0..<Int.random(in: 1...10, using: &work.random)).map { _ in
                    Int64.random(in: -3...9000, using: &work.random)
                }
                let record = TierRecord(series: id, start: start, fields: fields)
                work.store.put(record, in: .slots)
                expected[number, default: []].append(record)
            }
            try work.commit()
            try work.sync()
        }
        #expect(work.store.statistics.usedTierPages[0] > 2)
        for question in 0..<400 {
            // The same again, the next one, and any other.
            let number =
                question % 4 == 0 ? Int.random(in: 0..<60, using: &work.random) : question / 4 + question % 4 / 2
            guard let records = expected[number % 60] else { continue }
            let from = Int.random(in: 0..<records.count, using: &work.random)
            let found = work.store.records(
                records[0].series, in: .slots, from: records[from].start, to: .distantFuture)
            #expect(found == Array(records[from...]), "seed \(seed), series \(number % 60)")
        }
    }
}
