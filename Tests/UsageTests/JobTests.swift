import Model
import Testing
import Usage

private let noon = Instant("2026-11-23T12:00:00Z") ?? .distantPast

private func at(_ seconds: Int64) -> Instant { noon + .seconds(seconds) }

private func printer() -> MachineUsage {
    MachineUsage(UsageRule(source: .state, energy: [.energy(watts: 4600, resolution: 1)]), start: noon)
}

@Suite struct JobTests {
    /// The meter is read every five minutes; the job begins and ends in between.
    @Test func energyIsThatPartOfEachStepThatLiesInTheJob() throws {
        var usage = printer()
        usage.observe(state: .idle, reason: "", at: at(0))
        usage.observe(energy: 1_000_000, counter: 0, at: at(0))
        usage.observe(state: .preparing, reason: "", at: at(100))
        usage.observe(state: .running, reason: "", at: at(200))
        usage.observe(energy: 1_030_000, counter: 0, at: at(300))
        usage.observe(energy: 1_060_000, counter: 0, at: at(600))
        usage.observe(job: .completed, at: at(750))
        usage.observe(state: .idle, reason: "", at: at(751))
        usage.observe(energy: 1_090_000, counter: 0, at: at(900))
        usage.advance(to: at(1000))
        let job = try #require(usage.jobs.first)
        #expect(usage.jobs.count == 1)
        #expect(job.start == at(100))
        #expect(job.end == at(750))
        #expect(job.outcome == .completed)
        // 200 of 300 s, then all, then 150 of 300 s.
        #expect(try #require(job.energy) == 65_000)
    }

    @Test func aWordAboutTheEndMayComeAfterIt() {
        var usage = printer()
        usage.observe(state: .running, reason: "", at: at(0))
        usage.observe(state: .idle, reason: "", at: at(100))
        usage.observe(job: .failed, at: at(101))
        #expect(usage.jobs.map(\.outcome) == [.failed])
        #expect(usage.jobs.first?.end == at(100))
    }

    @Test func aLostPrinterMayGoOnOrNot() {
        var usage = printer()
        usage.observe(state: .running, reason: "", at: at(0))
        usage.lost("silent", at: at(100))
        usage.observe(state: .running, reason: "", at: at(200))
        usage.observe(job: .completed, at: at(300))
        #expect(usage.jobs.count == 1)
        usage.observe(state: .idle, reason: "", at: at(301))
        usage.observe(state: .running, reason: "", at: at(400))
        usage.lost("silent", at: at(500))
        usage.observe(state: .idle, reason: "", at: at(900))
        // Nobody told of an end; it was over when it was lost.
        #expect(usage.jobs.last?.end == at(500))
        #expect(usage.jobs.last?.outcome == nil)
    }

    /// A print that failed waits for somebody, and a machine's door is opened between two jobs: neither is a job. The next
    /// one begins although nobody saw the machine idle.
    @Test func waitingForAPersonIsNoJob() {
        var usage = printer()
        usage.observe(state: .blocked, reason: "FAILED", at: at(0))
        usage.observe(state: .idle, reason: "", at: at(100))
        #expect(usage.jobs.isEmpty)
        usage.observe(state: .running, reason: "", at: at(200))
        usage.observe(state: .blocked, reason: "runout", at: at(250))
        usage.observe(state: .running, reason: "", at: at(280))
        usage.observe(job: .failed, at: at(300))
        usage.observe(state: .blocked, reason: "FAILED", at: at(300))
        usage.observe(state: .preparing, reason: "", at: at(400))
        usage.observe(job: .completed, at: at(500))
        usage.observe(state: .idle, reason: "", at: at(501))
        #expect(usage.jobs.map(\.start) == [at(200), at(400)])
        #expect(usage.jobs.map(\.end) == [at(300), at(500)])
        #expect(usage.jobs.map(\.outcome) == [.failed, .completed])
    }

    /// What all jobs drew is what the machine drew while it was busy.
    @Test(arguments: 0..<40) func jobsShareTheEnergyOfUse(seed: UInt64) {
        var random = SeededRandom(seed)
        let rule = PowerRule(idleBelow: 5, runningAbove: 60, dwell: .seconds(20))
        var usage = MachineUsage(
            UsageRule(source: .power(rule), energy: [.energy(watts: 4600, resolution: 1)]), start: noon)
        var time: Int64 = 0
        var counter: Int64 = 1_000_000
        for _ in 0..<150 {
            time += Int64.random(in: 5...120, using: &random)
            counter += Int64.random(in: 0...3000, using: &random)
            usage.observe(energy: counter, counter: 0, at: at(time))
            if Int.random(in: 0..<3, using: &random) == 0 {
                usage.observe(power: [1, 30, 700].randomElement(using: &random) ?? 1, at: at(time))
            }
        }
        usage.observe(power: 1, at: at(time))
        usage.advance(to: at(time + 60))
        let sum = usage.slots.sum(from: noon, to: noon + .hours(24))
        let jobs = usage.jobs.reduce(Int64(0)) { $0 + ($1.energy ?? 0) }
        // Before the first power value nothing was known, and that energy is neither idle nor a job's.
        let first = usage.jobs.first.map { $0.start } ?? noon
        #expect(jobs <= sum.energy - sum.idleEnergy, "seed \(seed) \(first)")
        let ran = usage.jobs.reduce(Int64(0)) { $0 + (($1.end ?? $1.start) - $1.start).milliseconds }
        #expect(ran == sum[.running], "seed \(seed)")
        #expect(Int64(usage.jobs.count) == sum.runs, "seed \(seed)")
    }
}

@Suite struct LearningTests {
    private func histogram(_ parts: [(watts: ClosedRange<Double>, minutes: Int)], seed: UInt64 = 1) -> PowerHistogram {
        var random = SeededRandom(seed)
        var histogram = PowerHistogram()
        for part in parts {
            for _ in 0..<part.minutes * 6 { histogram.add(.random(in: part.watts, using: &random), for: .seconds(10)) }
        }
        return histogram
    }

    @Test func twoLevelsAreFoundWithRoomBetween() throws {
        let levels = try #require(histogram([(7...9, 600), (60...90, 60)]).levels())
        #expect(levels.isClear)
        #expect(levels.idleBelow > 9 && levels.idleBelow < levels.runningAbove && levels.runningAbove < 60)
        #expect(abs(levels.low - 8) < 1)
        #expect(levels.quality > 0.9)
        #expect(levels.valley == 1)
    }

    @Test(arguments: 0..<40) func anyTwoLevelsAreTold(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let low = Double.random(in: 1...50, using: &random)
        let high = low * .random(in: 4...60, using: &random)
        let levels = try #require(
            histogram(
                [
                    (low * 0.9...low * 1.1, .random(in: 20...900, using: &random)),
                    (high * 0.85...high * 1.15, .random(in: 20...900, using: &random)),
                ], seed: seed
            ).levels())
        #expect(levels.idleBelow > low * 0.9, "seed \(seed)")
        #expect(levels.runningAbove < high * 1.15, "seed \(seed)")
        #expect(levels.runningAbove >= levels.idleBelow * 1.4, "seed \(seed)")
    }

    /// A heater that draws everything between nothing and all has no valley.
    @Test func whereThereIsNoValleyItIsSaid() throws {
        let parts: [(watts: ClosedRange<Double>, minutes: Int)] = (0..<60).map { step in
            let watts = Double(step + 1) * 8
            return (watts: watts...(watts + 8), minutes: 10)
        }
        let levels = try #require(histogram(parts).levels())
        #expect(!levels.isClear)
    }

    @Test func oneLevelOrTooLittleIsNoAnswer() {
        #expect(histogram([(100...101, 600)]).levels() == nil)
        #expect(histogram([(1...2, 2), (100...101, 2)]).levels() == nil)
        #expect(PowerHistogram().levels() == nil)
    }
}
