import Model
import Testing
import Usage

private let noon = Instant("2026-11-23T12:00:00Z") ?? .distantPast

private func at(_ seconds: Int64) -> Instant { noon + .seconds(seconds) }

private func powered(dwell: Int64 = 20) -> MachineUsage {
    let levels = PowerRule(idleBelow: 5, runningAbove: 60, dwell: .seconds(dwell))
    return MachineUsage(
        UsageRule(source: .power(levels), energy: [.energy(watts: 4600, resolution: 1)]), start: noon)
}

@Suite struct MachineUsageTests {
    /// A print's filament is what its count went on by: what is drawn back is no loss, a printer that was started anew
    /// counts on from there, and one that runs and never tells has used nobody knows how much.
    @Test func filamentIsWhatTheCountWentOnBy() {
        var usage = MachineUsage(UsageRule(source: .state, energy: []), start: at(0))
        func sum() -> Slot { usage.slots.sum(from: at(0), to: at(3600)) }
        usage.observe(state: .running, reason: "", at: at(1))
        usage.observe(filament: 5_000_000, at: at(10))
        usage.advance(to: at(11))
        #expect(sum().filament == 0 && sum().knownFilament == nil)
        for (second, raw) in [(20, 5_400_000), (30, 5_399_000), (40, 5_900_000), (40, 5_900_000)] as [(Int64, Int64)] {
            usage.observe(filament: raw, at: at(second))
        }
        #expect(sum().filament == 900_000 && sum().knownFilament == 900_000)
        // The count begins anew; nobody said when, so that what it shows first may be an old value.
        for second in stride(from: 60, through: 300, by: 10) as StrideThrough<Int64> {
            usage.observe(filament: (second - 60) * 5000, at: at(second))
        }
        let after = sum().filament
        #expect(after > 900_000 && after <= 900_000 + 240 * 5000)
        usage.observe(state: .idle, reason: "", at: at(1000))
        usage.advance(to: at(3600))
        #expect(usage.slots.slot(startingAt: at(2700).floor(to: Slot.length)).knownFilament == 0)
    }

    @Test func changeCountsFromItsBeginning() {
        var usage = powered()
        usage.observe(power: 1, at: at(0))
        usage.observe(power: 800, at: at(100))
        usage.advance(to: at(110))
        #expect(usage.state == .idle)
        usage.advance(to: at(300))
        #expect(usage.state == .running)
        #expect(usage.since == at(100))
        let slot = usage.slots.slot(startingAt: noon)
        #expect(slot[.idle] == 100_000)
        #expect(slot[.running] == 200_000)
    }

    @Test func shortPeakIsNoRun() {
        var usage = powered()
        usage.observe(power: 1, at: at(0))
        usage.observe(power: 800, at: at(100))
        usage.observe(power: 1, at: at(110))
        usage.advance(to: at(300))
        let slot = usage.slots.slot(startingAt: noon)
        #expect(slot[.idle] == 300_000)
        #expect(slot[.running] == 0)
    }

    @Test func betweenTheLevelsItStaysAsItWas() {
        var usage = powered(dwell: 0)
        usage.observe(power: 100, at: at(0))
        usage.observe(power: 30, at: at(10))
        #expect(usage.state == .running)
        usage.observe(power: 4, at: at(20))
        usage.observe(power: 30, at: at(30))
        #expect(usage.state == .idle)
        #expect(usage.reason == "standby")
        usage.observe(power: 0.5, at: at(40))
        #expect(usage.reason == "off")
    }

    @Test func silenceIsNeverIdle() {
        var usage = powered()
        usage.observe(power: 1, at: at(0))
        usage.lost("silent", at: at(60))
        usage.advance(to: at(600))
        #expect(usage.slots.slot(startingAt: noon)[.offline] == 540_000)
        usage.back(at: at(600))
        usage.observe(power: 1, at: at(600))
        usage.advance(to: at(900))
        #expect(usage.slots.slot(startingAt: noon)[.idle] == 360_000)
    }

    @Test func idleEnergyIsWhatWasDrawnIdle() {
        var usage = powered(dwell: 20)
        usage.observe(power: 4, at: at(0))
        usage.observe(energy: 1_000_000, counter: 0, at: at(0))
        usage.observe(power: 4, at: at(90))
        usage.observe(energy: 1_000_100, counter: 0, at: at(100))
        usage.observe(power: 1000, at: at(100))
        usage.observe(energy: 1_027_900, counter: 0, at: at(200))
        usage.observe(power: 1000, at: at(200))
        usage.advance(to: at(300))
        let slot = usage.slots.slot(startingAt: noon)
        #expect(slot.energy == 27_900)
        #expect(slot.idleEnergy == 100)
        #expect(slot.energyCovered == 200_000)
    }

    @Test func energyAcrossSlotsIsCutByTimeToTheLastUnit() {
        var usage = powered()
        usage.observe(power: 100, at: at(0))
        usage.observe(energy: 0, counter: 0, at: at(600))
        usage.observe(energy: 1_000_001, counter: 0, at: at(600 + 3600))
        usage.observe(power: 100, at: at(600 + 3600))
        usage.advance(to: at(5000))
        let parts = (0..<5).map { usage.slots.slot(startingAt: noon + Slot.length * $0).energy }
        #expect(parts.reduce(0, +) == 1_000_001)
        #expect(parts == [83_333, 250_000, 250_000, 250_001, 166_667])
    }

    @Test func pressHeatsSoaksRunsAndRests() {
        let rule = PressRule(soak: .minutes(2), shotsWithin: .minutes(5))
        var usage = MachineUsage(UsageRule(source: .press(rule), energy: [], itemsPerShot: 1), start: noon)
        usage.observe(setpoint: 200, zone: "zone1", at: at(0))
        usage.observe(temperature: 25, zone: "zone1", at: at(0))
        usage.observe(shots: 1000, at: at(1))
        #expect(usage.state == .preparing)
        usage.observe(temperature: 198, zone: "zone1", at: at(60))
        #expect(usage.reason == "soaking")
        usage.observe(shots: 1001, at: at(300))
        #expect(usage.state == .running)
        usage.advance(to: at(900))
        #expect(usage.state == .idle)
        #expect(usage.reason == "ready")
        let slot = usage.slots.slot(startingAt: noon)
        // Ready after two minutes of soak, running for five minutes from the shot on, then ready again.
        #expect(slot[.preparing] == 180_000)
        #expect(slot[.running] == 300_000)
        #expect(slot[.idle] == 900_000 - 480_000)
        #expect(slot.shots == 1)
        #expect(slot.items == 1)
        usage.observe(temperature: nil, zone: "zone1", at: at(950))
        #expect(usage.state == .fault)
        #expect(usage.reason == "zone1 sensor")
    }

    /// Looking at it now and then changes nothing: slots are a function of the samples.
    @Test(arguments: 0..<60) func lookingChangesNothing(seed: UInt64) {
        var random = SeededRandom(seed)
        var undisturbed = powered()
        var watched = powered()
        var time: Int64 = 0
        var counter: Int64 = 5_000_000
        for _ in 0..<400 {
            time += Int64.random(in: 1...90, using: &random)
            for moment in 0..<Int64.random(in: 0...3, using: &random) { watched.advance(to: at(max(0, time - moment))) }
            switch Int.random(in: 0..<10, using: &random) {
            case 0:
                undisturbed.lost("x", at: at(time))
                watched.lost("x", at: at(time))
                undisturbed.back(at: at(time + 1))
                watched.back(at: at(time + 1))
                time += 1
            case 1...5:
                let watts: Double = [0, 3, 30, 80, 500].randomElement(using: &random) ?? 0
                undisturbed.observe(power: watts, at: at(time))
                watched.observe(power: watts, at: at(time))
            default:
                counter += Int64.random(in: 0...20_000, using: &random)
                undisturbed.observe(energy: counter, counter: 0, at: at(time))
                watched.observe(energy: counter, counter: 0, at: at(time))
            }
        }
        let end = at(time + 3600)
        undisturbed.advance(to: end)
        watched.advance(to: end)
        for index in 0..<80 {
            let start = noon + Slot.length * Int64(index)
            #expect(undisturbed.slots.slot(startingAt: start) == watched.slots.slot(startingAt: start), "seed \(seed)")
        }
    }

    /// An independent reckoning from the raw list of samples agrees on random days.
    @Test(arguments: 0..<25) func agreesWithPlainReckoning(seed: UInt64) {
        var random = SeededRandom(seed &+ 1000)
        var samples: [(second: Int64, watts: Double)] = []
        var second: Int64 = 0
        let end: Int64 = 4 * 3600
        // The last change has had its dwell before the end.
        while second < end - 60 {
            samples.append((second, [1, 4, 90, 700].randomElement(using: &random) ?? 0))
            second += Int64.random(in: 5...400, using: &random)
        }
        var usage = powered(dwell: 20)
        for sample in samples { usage.observe(power: sample.watts, at: at(sample.second)) }
        usage.advance(to: at(end))

        // Every second for itself: what the last sample said; then stretches shorter than the dwell are given to the
        // state before.
        var perSecond: [Bool] = []
        var isRunning = false
        var next = 0
        for now in 0..<end {
            while next < samples.count, samples[next].second <= now {
                let watts = samples[next].watts
                if watts >= 60 { isRunning = true } else if watts <= 5 { isRunning = false }
                next += 1
            }
            perSecond.append(isRunning)
        }
        var decided = perSecond
        var current = perSecond[0]
        var index = 0
        while index < perSecond.count {
            var end = index
            while end < perSecond.count, perSecond[end] == perSecond[index] { end += 1 }
            if perSecond[index] != current, end - index >= 20 { current = perSecond[index] }
            for place in index..<end { decided[place] = current }
            index = end
        }
        let running = Int64(decided.filter { $0 }.count)
        let sum = usage.slots.sum(from: noon, to: at(end))
        #expect(sum[.running] == running * 1000, "seed \(seed)")
        #expect(sum.observed <= end * 1000, "seed \(seed)")
        #expect(sum.observed >= end * 1000 - 20_000, "seed \(seed)")
    }
}
