import Model
import Testing
import Usage

private let noon = Instant("2026-11-23T12:00:00Z") ?? .distantPast

private func at(_ seconds: Int64) -> Instant { noon + .seconds(seconds) }

private func usage(_ change: (inout PowerRule) -> Void) -> MachineUsage {
    var rule = PowerRule(idleBelow: 5, runningAbove: 60, dwell: .seconds(20))
    change(&rule)
    return MachineUsage(UsageRule(source: .power(rule), energy: []), start: noon)
}

@Suite struct PowerRuleTests {
    private func run(_ usage: inout MachineUsage, _ samples: [(Int64, Double)], until end: Int64) -> Slot {
        for (second, watts) in samples { usage.observe(power: watts, at: at(second)) }
        usage.advance(to: at(end))
        return usage.slots.sum(from: noon, to: noon + .hours(2))
    }

    @Test func offIsToldFromStandby() {
        var usage = usage { _ in }
        let sum = run(&usage, [(0, 0.5), (100, 4), (300, 1), (350, 3)], until: 400)
        #expect(sum[.idle] == 400_000)
        #expect(sum.off == 150_000)
        #expect(usage.reason == "standby")
    }

    @Test func startAndEndHaveTheirOwnTimes() {
        var usage = usage {
            $0.startAfter = .seconds(10)
            $0.stopAfter = .seconds(100)
        }
        // The quiet of 60 s is a pause in one run; the run ends where the long quiet begins.
        let sum = run(&usage, [(0, 1), (100, 500), (200, 1), (260, 500), (400, 1)], until: 1000)
        #expect(sum[.running] == 300_000)
        #expect(sum[.idle] == 700_000)
    }

    @Test func aShortRunIsNone() {
        var usage = usage { $0.minimumRun = .seconds(120) }
        let sum = run(&usage, [(0, 1), (100, 500), (190, 1), (600, 500), (700, 1), (710, 500), (760, 1)], until: 1000)
        // The second one is long enough with its break.
        #expect(sum[.running] == 160_000)
        #expect(usage.slots.sum(from: noon, to: noon + .hours(1)).runs == 1)
    }

    @Test func aRunWithoutEnergyIsNone() {
        var usage = usage { $0.minimumEnergy = 10 }
        // 500 W for 60 s are 8.3 Wh, for 100 s 13.9 Wh.
        let sum = run(&usage, [(0, 1), (100, 500), (160, 1), (300, 500), (400, 1)], until: 600)
        #expect(sum[.running] == 100_000)
    }

    @Test func faultsAndRunsAreCountedWhereTheyBegin() {
        var usage = MachineUsage(UsageRule(source: .state, energy: []), start: noon)
        let states: [MachineState] = [.idle, .preparing, .running, .paused, .running, .fault, .idle, .running, .fault]
        for (index, state) in states.enumerated() {
            usage.observe(state: state, reason: "", at: at(Int64(index) * 60))
        }
        usage.advance(to: at(1000))
        let sum = usage.slots.sum(from: noon, to: noon + .hours(1))
        #expect(sum.faults == 2)
        #expect(sum.runs == 2)
    }

    @Test func aMachineThatIdlesAndDrawsContradictsItself() {
        var usage = MachineUsage(UsageRule(source: .state, energy: [], disagreesAbove: 100), start: noon)
        usage.observe(state: .idle, reason: "OPERATIONAL", at: at(0))
        usage.observe(power: 8, at: at(10))
        #expect(usage.disagreesSince == nil)
        usage.observe(power: 200, at: at(20))
        usage.observe(power: 210, at: at(30))
        #expect(usage.disagreesSince == at(20))
        // The printer's own word wins all the same.
        #expect(usage.state == .idle)
        usage.observe(state: .running, reason: "PRINTING", at: at(40))
        #expect(usage.disagreesSince == nil)
        usage.observe(state: .idle, reason: "OPERATIONAL", at: at(50))
        #expect(usage.disagreesSince == at(50))
    }

    @Test func aReaderTellsMoreOfAnIdleMachineAndNoState() {
        var usage = MachineUsage(UsageRule(source: .state, energy: []), start: noon)
        usage.observe(state: .idle, reason: "ready", at: at(0))
        usage.observe(occupied: true, at: at(10))
        #expect(usage.state == .idle)
        #expect(usage.reason == "ready, occupied")
        usage.observe(occupied: false, at: at(20))
        #expect(usage.reason == "ready")
        var alone = MachineUsage(UsageRule(source: .occupied, energy: []), start: noon)
        alone.observe(occupied: true, at: at(0))
        #expect(alone.state == .running)
        alone.observe(occupied: false, at: at(60))
        alone.advance(to: at(100))
        #expect(alone.slots.slot(startingAt: noon)[.running] == 60_000)
        #expect(alone.slots.slot(startingAt: noon)[.idle] == 40_000)
    }

    /// With any rule, looking now and then changes nothing.
    @Test(arguments: 0..<60) func lookingChangesNothing(seed: UInt64) {
        var random = SeededRandom(seed)
        func length() -> Duration { .seconds(Int64.random(in: 0...300, using: &random)) }
        let (start, stop, run) = (length(), length(), length())
        let energy = Bool.random(using: &random) ? Double.random(in: 0...20, using: &random) : 0
        func make() -> MachineUsage {
            var rule = PowerRule(idleBelow: 5, runningAbove: 60, dwell: .zero)
            rule.startAfter = start
            rule.stopAfter = stop
            rule.minimumRun = run
            rule.minimumEnergy = energy
            return MachineUsage(
                UsageRule(source: .power(rule), energy: [.energy(watts: 4600, resolution: 1)]), start: noon)
        }
        var plain = make()
        var watched = make()
        var time: Int64 = 0
        var counter: Int64 = 1_000_000
        for _ in 0..<300 {
            let before = time
            time += Int64.random(in: 1...200, using: &random)
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                watched.advance(to: at(Int64.random(in: before...time, using: &random)))
            }
            if Int.random(in: 0..<3, using: &random) == 0 {
                counter += Int64.random(in: 0...20_000, using: &random)
                plain.observe(energy: counter, counter: 0, at: at(time))
                watched.observe(energy: counter, counter: 0, at: at(time))
            } else {
                let watts: Double = [0, 3, 30, 80, 500].randomElement(using: &random) ?? 0
                plain.observe(power: watts, at: at(time))
                watched.observe(power: watts, at: at(time))
            }
        }
        plain.advance(to: at(time + 4000))
        watched.advance(to: at(time + 4000))
        let slots = (0..<100).map { noon + Slot.length * Int64($0) }
        #expect(
            slots.map { plain.slots.slot(startingAt: $0) } == slots.map { watched.slots.slot(startingAt: $0) },
            "seed \(seed)")
    }
}
