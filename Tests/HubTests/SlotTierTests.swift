import CityLink
import Hub
import Model
import Ports
import Simulation
import Store
import Testing
import Usage

/// What a machine did is known for as long as the store keeps its slots, which is far longer than its samples.
@Suite struct SlotTierTests {
    /// Lives for some days with a sample every five minutes.
    private func live(_ hub: inout MeteredHub, days: Int64, seed: UInt64 = 1) throws {
        var random = SeededRandom(seed)
        let from = hub.now.wall
        var count: Int64 = 1_000_000
        var watts = 0.0
        for step in 0..<days * 288 {
            try hub.pass(to: from + .seconds(step * 300 + 1))
            if Int.random(in: 0..<6, using: &random) == 0 {
                watts = [1, 4, 90, 700].randomElement(using: &random) ?? 0
            }
            hub.say([MeterSample(time: hub.now.wall, watts: watts, wattHours: Double(count) / 1000)])
            count += Int64(watts * 300 / 3.6)
        }
        try hub.pass(to: from + .hours(24 * days))
    }

    @Test func daysOfWeeksAgoAreTheSameAfterARestart() throws {
        var hub = try MeteredHub(try MeteredHub.configuration())
        try live(&hub, days: 16)
        try hub.pass(to: hub.now.wall + .hours(1))
        let days = hub.firstTold(.day)
        let hours = hub.firstTold(.hour)
        #expect(days.count == 16)
        #expect(hours.count >= 16 * 24 - 1)
        #expect(days.values.allSatisfy { ($0.totals.energyMilliwattHours ?? 0) > 0 })
        let before = hub.told.count
        let records = hub.hub.store.statistics.records
        try hub.restart()
        try hub.pass(to: hub.now.wall + .minutes(10))
        // Of the days that were computed again nothing is written again but what the end had left open.
        #expect(hub.hub.store.statistics.records <= records + 8)
        for (start, content) in days {
            #expect(hub.content(hub.window(.day, at: start)) == content.notFinal, "\(start)")
        }
        for (start, content) in hours {
            #expect(hub.content(hub.window(.hour, at: start)) == content.notFinal, "\(start)")
        }
        // What is looked at again after a restart is what was told before.
        for content in hub.told[before...] {
            let earlier = hub.told[..<before].last { $0.key == content.key }
            #expect(earlier == nil || earlier == content, "\(content.key)")
        }
    }

    /// A gateway that was installed in the afternoon says nothing of the morning, however often it is started again.
    @Test(arguments: [false, true]) func nothingIsToldOfHoursBeforeTheFirst(isWritten: Bool) throws {
        let first = MeteredHub.start + .minutes(14 * 60 + 20)
        var hub = try MeteredHub(try MeteredHub.configuration(), start: first)
        let minutes = isWritten ? 100 : 3
        for minute in 0..<minutes {
            hub.say([MeterSample(time: hub.now.wall, watts: 100, wattHours: Double(minute) * 100 / 60)])
            try hub.pass(to: hub.now.wall + .minutes(1))
        }
        try hub.restart()
        try hub.pass(to: hub.now.wall + .hours(20))
        try hub.restart()
        try hub.pass(to: first + .hours(9 * 24))
        #expect(hub.told.filter { $0.end <= first }.map(\.key) == [])
        // What it does tell begins with the hour and the day in which it was installed, first and at last.
        for isFinal in [false, true] {
            let hours = hub.told.filter { $0.isFinal == isFinal && $0.grain == .hour }.map(\.start)
            let days = hub.told.filter { $0.isFinal == isFinal && $0.grain == .day }.map(\.start)
            #expect(hours.min() == MeteredHub.start + .hours(14))
            #expect(days.min() == MeteredHub.start)
        }
    }

    @Test func aWindowTellsOnceMoreThatItIsFinal() throws {
        var hub = try MeteredHub(try MeteredHub.configuration())
        try live(&hub, days: 10)
        let first = hub.window(.day, at: MeteredHub.start)
        let told = hub.told.filter { $0.key.start == first.start && $0.grain == .day }
        #expect(told.map(\.isFinal) == [false, true])
        #expect(told.last?.notFinal == told.first)
        let newest = hub.told.filter { $0.grain == .day }.max { $0.start < $1.start }
        #expect(newest?.isFinal == false)
    }

    /// A change of the configuration changes what comes after it, and nothing that was told.
    @Test func anotherRuleChangesNoClosedHour() throws {
        var hub = try MeteredHub(try MeteredHub.configuration())
        try live(&hub, days: 2)
        try hub.pass(to: hub.now.wall + .minutes(10))
        // The last hour still gets what the meter counted until it was read again.
        let before = hub.firstTold(.hour).filter { $0.key < hub.now.wall - .hours(2) }
        #expect(before.count > 40)
        try hub.restart(try MeteredHub.configuration(", off_below: 1 W, stop_after: 10 min"))
        try live(&hub, days: 1, seed: 2)
        // And not after another restart either.
        try hub.restart()
        for (start, content) in before {
            #expect(hub.content(hub.window(.hour, at: start)) == content, "\(start)")
        }
    }

    /// A store that holds samples of weeks ago, and no slots of them: nothing can be told of that time.
    @Test func whatIsGoneIsNotTold() throws {
        var hub = try MeteredHub(try MeteredHub.configuration())
        let store = try RingStore.create(
            in: MemoryRegion(size: 8 << 20), plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
        let id = try #require(
            try store.series(SeriesKey(device: "meter", channel: "power"), unit: Unit.watt, kind: .gauge))
        for hour in 0..<24 * 20 { store.append(id, MeteredHub.start + .hours(Int64(hour)), .number(100)) }
        let now = Now(moment: Moment(nanoseconds: 1), wall: MeteredHub.start + .hours(24 * 20))
        var late = Hub(hub.configuration, store: store, at: now)
        let old = hub.window(.day, at: MeteredHub.start + .hours(48))
        let new = hub.window(.day, at: now.wall - .hours(30))
        #expect(!late.isWhole(old))
        #expect(late.isWhole(new))
        late.tick(at: now)
        for case .window(let window) in late.takeEffects() { #expect(window.start > now.wall - .hours(24 * 5)) }
        late.refuse(old)
        #expect(late.alerts().contains { $0.id.hasPrefix("slots/") && $0.severity == .error })
        hub.settle()
    }

    /// A disk that takes nothing until memory is full: what was dropped then is told, also when the disk works again.
    @Test func whatTheStoreDropsIsTold() throws {
        let disk = SimulatedDisk(size: 2 << 20)
        let store = try RingStore.create(
            in: disk, plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
        let id = try #require(
            try store.series(SeriesKey(device: "meter", channel: "power"), unit: Unit.watt, kind: .gauge))
        let now = Now(moment: Moment(nanoseconds: 1), wall: MeteredHub.start + .hours(2))
        let hub = Hub(try MeteredHub.configuration(), store: store, at: now)
        #expect(!hub.alerts().contains { $0.id == "store/dropped" })
        disk.fail(.ioError)
        for step in 0..<200_000 where store.droppedForRoom.samples < 3 {
            store.append(id, MeteredHub.start + .milliseconds(Int64(step)), .number(1))
        }
        disk.fail(nil)
        _ = try store.commit()
        let alert = try #require(hub.alerts().first { $0.id == "store/dropped" })
        let dropped = store.statistics.refused
        #expect(dropped > 0 && store.droppedForRoom.samples == dropped)
        #expect(alert.severity == .error)
        #expect(alert.english.contains("\(dropped) samples") && alert.korean.contains("측정값 \(dropped)개"))
    }

    /// Many times a second the same disk refuses another page: that is one thing to say.
    @Test func aDiskThatRefusesIsLoggedOncePerReason() throws {
        var hub = try MeteredHub(MeteredHub.configuration()).hub
        for page in 1...9 { hub.storeFails("write ring.fab at byte \(page * 4096): No space left on device") }
        hub.storeFails("write ring.fab at byte 4096: Input/output error")
        hub.storeWorks()
        hub.storeWorks()
        var logged: [String] = []
        for case .log(_, let text) in hub.takeEffects() where text.hasPrefix("store:") { logged.append(text) }
        #expect(
            logged == [
                "store: write ring.fab at byte 4096: No space left on device",
                "store: write ring.fab at byte 4096: Input/output error", "store: writing again",
            ])
    }

    @Test func hoursAreCountedForLife() throws {
        var hub = try MeteredHub(try MeteredHub.configuration(machine: "hours_before: 1000 h,"))
        try live(&hub, days: 12)
        try hub.pass(to: hub.now.wall + .hours(1))
        let ran = hub.firstTold(.day).values.reduce(Int64(0)) { $0 + $1.totals[.running] }
        hub.settle()
        let today = hub.hub.sum(of: 0, from: MeteredHub.start + .hours(24 * 12), to: .distantFuture)
        let life = hub.hub.lifetime(of: 0, at: hub.now.wall)
        #expect(life.running == 1000 * 3_600_000 + ran + today[.running])
        try hub.restart()
        #expect(hub.hub.lifetime(of: 0, at: hub.now.wall).running == life.running)
    }
}

extension RollupContent {
    fileprivate var notFinal: RollupContent {
        var copy = self
        copy.isFinal = false
        return copy
    }
}
