import Model
import Store
import Testing

@Suite("What a store does when it has no room, and what it knows of many series")
struct RefusalTests {
    @Test(
        "A disk that refuses everything is asked for room once a second of the samples' time, and is used when it takes"
    )
    func asksOnceASecond() throws {
        let disk = SimulatedDisk(pages: TierPuts.all(128))
        let store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: 8), identity: Workload.identity)
        let id = try #require(try store.series(Workload.key(0), unit: .watt, kind: .gauge))
        try store.commit()
        try disk.sync()
        store.finishedSync(store.beginSync())
        disk.refusesWrites = true
        var time = Workload.start
        while store.droppedForRoom.samples == 0, time < Workload.start + .hours(1) {
            time = time + .milliseconds(5)
            store.append(id, time, .number(Double(time.milliseconds % 977)))
        }
        try #require(store.droppedForRoom.samples == 1)
        let asked = disk.calls
        for _ in 0..<900 {
            time = time + .milliseconds(1)
            store.append(id, time, .number(1))
        }
        #expect(store.droppedForRoom.samples == 901)
        #expect(disk.calls == asked)
        time = time + .milliseconds(200)
        store.append(id, time, .number(2))
        #expect(disk.calls > asked)
        #expect(store.droppedForRoom.samples == 902)

        disk.refusesWrites = false
        time = time + .seconds(2)
        store.append(id, time, .number(3))
        #expect(store.droppedForRoom.samples == 902)
        var last: Sample?
        store.scan(id, from: time, to: time + .seconds(1)) {
            last = $0
            return true
        }
        #expect(last == Sample(time: time, value: .number(3)))
    }

    @Test("Names, units and kinds of many series come back; of two units under one name the newer is meant")
    func manySeries() throws {
        let disk = SimulatedDisk(pages: TierPuts.all(512))
        let store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: 900), identity: Workload.identity)
        let units = [nil] + Unit.allCases.map { Optional($0) }
        var expected: [SeriesInfo] = []
        for number in 0..<900 {
            // Every ninth is a name that was there before.
            let key = SeriesKey(device: "기기-\(number % 9 == 8 ? number - 8 : number)", channel: "c")
            let (unit, kind) = (units[number % units.count], Kind.allCases[number / 7 % Kind.allCases.count])
            let known = store.find(key)
            let id = try #require(try store.series(key, unit: unit, kind: kind))
            if known?.id != id { expected.append(SeriesInfo(id: id, key: key, unit: unit, kind: kind)) }
        }
        try store.commit()
        try disk.sync()
        store.finishedSync(store.beginSync())
        let again = try RingStore(opening: disk)
        #expect(again.allSeries == expected)
        var newest: [SeriesKey: SeriesInfo] = [:]
        for info in expected { newest[info.key] = info }
        for (key, info) in newest { #expect(again.find(key) == info) }
        #expect(again.find(SeriesKey(device: "기기-900", channel: "c")) == nil)
    }

    @Test("Superblocks that claim far more pages than there are, with right checksums, are not believed")
    func hugeClaim() throws {
        let disk = SimulatedDisk(pages: TierPuts.all(128))
        let store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: 8), identity: Workload.identity)
        let id = try #require(try store.series(Workload.key(0), unit: .watt, kind: .gauge))
        let sample = Sample(time: Workload.start, value: .number(231.5))
        store.append(id, sample.time, sample.value)
        try store.commit()
        try disk.sync()
        store.finishedSync(store.beginSync())
        var bytes = disk.bytes
        for page in 0..<2 {
            // Two million pages, in the place of the store's number of them.
            for (index, byte) in [0, 0, 32, 0].enumerated() { bytes[page * 4096 + 44 + index] = UInt8(byte) }
            fixChecksums(&bytes, page)
        }
        let again = try RingStore(opening: SimulatedDisk(bytes: bytes))
        var found: [Sample] = []
        again.scan(id, from: .distantPast, to: .distantFuture) {
            found.append($0)
            return true
        }
        #expect(found == [sample])
    }
}
