import Model
import Store
import Testing

@Suite("A store without room")
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
}
