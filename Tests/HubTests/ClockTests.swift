import Hub
import Model
import Ports
import Simulation
import Store
import Testing
import Usage

private let noon = MeteredHub.start + .hours(12)

/// A computer that asks a time server and has no clock with a battery.
private func system(_ isSynchronised: Bool) -> TimeKeeper.System {
    TimeKeeper.System(isSynchronised: isSynchronised, expectsSynchronisation: true, keepsTime: false)
}

private func read(_ seconds: Int64, _ wall: Instant) -> Now {
    Now(moment: Moment(nanoseconds: seconds * 1_000_000_000), wall: wall)
}

@Suite struct TimeKeeperTests {
    @Test func aSynchronisedClockIsFollowedAtOnce() {
        var keeper = TimeKeeper(read(0, noon), system(true), newest: nil, release: noon)
        #expect(keeper.doubt == nil)
        let shown = keeper.now(read(10, noon + .hours(5))) { system(true) }
        #expect(shown.wall == noon + .hours(5))
    }

    /// Set wrong and right again: nothing of it is seen.
    @Test func aShortMistakeMovesNothing() {
        var keeper = TimeKeeper(read(0, noon), system(true), newest: nil, release: noon)
        for second in 1...1700 {
            let shown = noon + .hours(-3) + .seconds(Int64(second))
            let given = keeper.now(read(Int64(second), shown)) { system(false) }
            #expect(given.wall == noon + .seconds(Int64(second)))
        }
        #expect(keeper.pendingJump == .hours(-3))
        let back = noon + .seconds(1701)
        let given = keeper.now(read(1701, back)) { system(false) }
        #expect(given.wall == back)
        #expect(keeper.pendingJump == nil)
    }

    /// Where nobody vouches for a clock, it is believed after half an hour.
    @Test func aLastingChangeIsFollowed() {
        var keeper = TimeKeeper(read(0, noon), system(true), newest: nil, release: noon)
        _ = keeper.now(read(1, noon + .hours(2))) { system(false) }
        let later = noon + .hours(2) + .minutes(30)
        let given = keeper.now(read(1801, later)) { system(false) }
        #expect(given.wall == later)
    }

    /// Drift is no jump.
    @Test func driftIsFollowed() {
        var keeper = TimeKeeper(read(0, noon), system(true), newest: nil, release: noon)
        for hour in 1...100 {
            let shown = noon + .hours(Int64(hour)) + .seconds(Int64(hour * 20))
            let given = keeper.now(read(Int64(hour) * 3600, shown)) { system(false) }
            #expect(given.wall == shown)
        }
    }

    @Test func aClockThatCannotBeRightIsWaitedFor() {
        let old = Instant(milliseconds: 1_000_000)
        var keeper = TimeKeeper(read(0, old), system(false), newest: noon, release: noon - .hours(24))
        #expect(keeper.doubt == .beforeRelease(noon - .hours(24)))
        // What is shown meanwhile goes on from the last sample.
        let meanwhile = keeper.now(read(5, old + .seconds(5))) { system(false) }
        #expect(meanwhile.wall == noon + .seconds(5))
        let tooEarly = keeper.settle(read(6, noon - .hours(1)), system(false))
        #expect(!tooEarly && keeper.doubt == .beforeSamples(noon))
        let isSettled = keeper.settle(read(7, noon + .hours(1)), system(true))
        let right = keeper.now(read(7, noon + .hours(1))) { system(true) }
        #expect(isSettled && right.wall == noon + .hours(1))
    }

    /// A computer that nobody ever sets right goes on by its own clock where that has one with a battery, or asks nobody.
    @Test func aClockOfItsOwnIsBelieved() {
        let own = TimeKeeper.System(isSynchronised: false, expectsSynchronisation: true, keepsTime: true)
        #expect(TimeKeeper(read(0, noon), own, newest: nil, release: noon).doubt == nil)
        let alone = TimeKeeper.System(isSynchronised: false, expectsSynchronisation: false, keepsTime: false)
        #expect(TimeKeeper(read(0, noon), alone, newest: noon + .minutes(1), release: noon).doubt == nil)
        #expect(TimeKeeper(read(0, noon), system(false), newest: nil, release: noon).doubt == .notSynchronised)
        #expect(
            TimeKeeper(read(0, noon), system(false), newest: nil, release: noon, isTrusted: true).doubt == nil)
    }
}

@Suite struct UnknownClockTests {
    /// One meter, whose power decides what its machine does.
    private func hub(_ region: MemoryRegion, at now: Now, doubt: TimeKeeper.Doubt?, boot: String) throws -> Hub {
        var hub = Hub(
            try MeteredHub.configuration(), store: try RingStore(opening: region), at: now, doubt: doubt, boot: boot)
        hub.broker(0, isUp: true, "connected", at: now)
        return hub
    }

    private func region() throws -> MemoryRegion {
        let region = MemoryRegion(size: 16 << 20)
        _ = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 7, count: 16))
        return region
    }

    private func say(_ watts: Int, _ wattHours: Int, to hub: inout Hub, at now: Now) {
        let text = "power w=\(watts),wh=\(wattHours)"
        hub.message(Array(text.utf8).span, topic: "sensors/power", isRetained: false, broker: 0, at: now)
        hub.tick(at: now)
    }

    private func samples(_ hub: Hub, _ channel: String) -> [Sample] {
        guard let info = hub.store.find(SeriesKey(device: "meter", channel: channel)) else { return [] }
        var found: [Sample] = []
        hub.store.scan(info.id, from: .distantPast, to: .distantFuture) {
            found.append($0)
            return true
        }
        return found
    }

    /// Said before the time was known, and dated to the second once it is; also if the process dies meanwhile.
    @Test(arguments: [false, true]) func whatWaitsGetsItsTime(dies: Bool) throws {
        let region = try region()
        let wrong = Instant("2026-11-02T00:00:00Z") ?? .distantPast
        var gateway = try hub(region, at: read(100, wrong), doubt: .notSynchronised, boot: "a")
        for second in 0..<60 {
            say(400, second, to: &gateway, at: read(101 + Int64(second), wrong + .seconds(1 + Int64(second))))
        }
        #expect(samples(gateway, "power").isEmpty)
        #expect(gateway.alerts().contains { $0.id == "clock" })
        let effects = gateway.takeEffects()
        #expect(effects.allSatisfy { if case .window = $0 { false } else { true } })
        _ = try gateway.store.commit()
        if dies { gateway = try hub(region, at: read(170, wrong), doubt: .notSynchronised, boot: "a") }
        let known = read(200, noon + .seconds(200))
        gateway.clockIsKnown(at: known)
        let power = samples(gateway, "power")
        #expect(power.count == 60)
        #expect(power.first?.time == noon + .seconds(101))
        #expect(!gateway.alerts().contains { $0.id == "clock" })
        gateway.settle(at: known)
        let slot = gateway.sum(of: 0, from: noon, to: noon + .minutes(15))
        #expect(slot.energy == 59_000)
        _ = try gateway.store.commit()
        // Nothing is stamped twice.
        let again = try hub(region, at: read(300, noon + .seconds(300)), doubt: nil, boot: "a")
        #expect(samples(again, "power").count == 60)
    }

    /// The process dies while samples wait, after others that have their times: what it heard until then counts, and what
    /// happened between the last of it and the next word nobody knows.
    @Test func whileNobodyListenedNothingIsKnown() throws {
        let region = try region()
        var gateway = try hub(region, at: read(0, noon), doubt: nil, boot: "a")
        say(400, 0, to: &gateway, at: read(1, noon + .seconds(1)))
        _ = try gateway.store.commit()
        // A quarter of an hour later, after a cut of the power, at noon by the computer's clock. Its plug tells who it is.
        let wrong = noon
        gateway = try hub(region, at: read(10, wrong), doubt: .notSynchronised, boot: "b")
        let (before, told) = (gateway.store.newest, #"{"id":"plug","model":"SHPLG-S","mac":"8CAAB57A11C2"}"#)
        for second in Int64(100)...220 {
            let now = read(second, wrong + .seconds(second - 10))
            say(400, 10 + Int(second), to: &gateway, at: now)
            guard second == 160 else { continue }
            let payload = Array(told.utf8)
            gateway.message(
                payload.span, topic: "shellies/plug/announce", isRetained: false, broker: 0, at: now)
        }
        _ = try gateway.store.commit()
        gateway = try hub(region, at: read(250, wrong + .seconds(240)), doubt: .notSynchronised, boot: "b")
        let newest = try #require(gateway.store.newest)
        #expect(newest - (try #require(before)) < .seconds(1), "nothing stands where it cannot be dated")
        say(400, 300, to: &gateway, at: read(280, wrong + .seconds(270)))
        let start = noon + .minutes(15)
        let known = read(290, start + .seconds(290))
        gateway.clockIsKnown(at: known)
        gateway.settle(at: known)
        let slot = gateway.sum(of: 0, from: start, to: start + .minutes(15))
        #expect(slot[.running] == 120_000 + 10_000, "\(slot)")
    }

    /// The internet is away and the gateway is started again: the computer's clock was right before, and still is. Set
    /// wrong meanwhile, it is not followed at once; and after another start of the computer nothing is known.
    @Test func aClockThatWasBelievedStillIs() throws {
        let region = try region()
        var first = try hub(region, at: read(100, noon + .seconds(100)), doubt: nil, boot: "a")
        first.tick(at: read(161, noon + .seconds(161)))
        _ = try first.store.commit()
        let store = try RingStore(opening: region)
        let believed = try #require(Hub.believedOffset(in: store, boot: "a"))
        #expect(believed == noon.milliseconds)
        #expect(Hub.believedOffset(in: store, boot: "b") == nil)
        for wall in [noon + .seconds(400), noon - .hours(5)] {
            var keeper = TimeKeeper(
                read(400, wall), system(false), newest: store.newest, release: noon - .hours(24), believed: believed)
            #expect(keeper.doubt == nil)
            #expect(keeper.now(read(401, wall + .seconds(1))) { system(false) }.wall == noon + .seconds(401))
        }
        // The clock is set while the gateway runs, and believed.
        first.tick(at: read(300, noon + .seconds(900)))
        first.tick(at: read(400, noon + .seconds(1000)))
        _ = try first.store.commit()
        #expect(Hub.believedOffset(in: try RingStore(opening: region), boot: "a") == noon.milliseconds + 600_000)
        // And another process notes it once more, although it was set back.
        var second = try hub(region, at: read(410, noon + .seconds(10)), doubt: nil, boot: "a")
        second.tick(at: read(480, noon + .seconds(80)))
        _ = try second.store.commit()
        #expect(Hub.believedOffset(in: try RingStore(opening: region), boot: "a") == noon.milliseconds - 400_000)
    }

    /// Also a text as long as the store takes it, of characters of any length, waits whole.
    @Test(arguments: 0..<40) func noTextIsCutByWaiting(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let letters = ["a", " ", "é", "금", "형", "👩‍🔧", "e\u{301}"]
        var words = ""
        while let letter = letters.randomElement(using: &random),
            (words + letter).utf8.count <= StoredValue.longestText
        {
            words += letter
        }
        let value = WaitingValue(
            boot: "0f3c9a1b", series: .random(in: 0...2000, using: &random),
            moment: .random(in: 0...9_999_999_999, using: &random), value: .text(words))
        var begun: [WaitingValue.Place: String] = [:]
        let texts = value.texts
        #expect(texts.allSatisfy { $0.utf8.count <= StoredValue.longestText }, "seed \(seed)")
        #expect(texts.compactMap { WaitingValue($0, &begun) } == [value], "seed \(seed): \(texts)")
    }

    /// Nobody can date what an earlier start of the computer said.
    @Test func whatNobodyCanDateIsLeftOutAndTold() throws {
        let region = try region()
        let wrong = Instant("2026-11-02T00:00:00Z") ?? .distantPast
        var gateway = try hub(region, at: read(100, wrong), doubt: .notSynchronised, boot: "a")
        say(400, 1, to: &gateway, at: read(101, wrong + .seconds(1)))
        _ = try gateway.store.commit()
        let later = try hub(region, at: read(5, noon), doubt: nil, boot: "b")
        #expect(samples(later, "power").isEmpty)
        #expect(later.tally.undated > 0)
    }
}
