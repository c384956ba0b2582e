import Model

/// A laser cutter: a Grbl controller on wire `grbl` and an SDM120, unit 1, on wire `bus1`. It homes, cuts, is held and
/// opened in mid-job, and jobs end well, in an alarm, or by somebody's reset.
struct Laser: LabPart {
    private enum Phase: Hashable { case off, idle, homing, cutting, held, open, closed, alarm }
    private struct Job: Hashable {
        let outcome: JobOutcome
        /// Seconds of cutting in all, and the ones at which it is interrupted.
        let seconds: Int64
        var holdAt: Int64?
        var openAt: Int64?
        var cut: Int64 = 0

        /// A job that ends badly does so at two thirds.
        var isOver: Int64 { outcome == .completed ? seconds : seconds * 2 / 3 }
    }

    private(set) var record: MachineRecord
    private(set) var next: Instant
    private let profile: LabProfile
    private var random: SeededRandom
    private var supply = MainsSupply()
    private var controller = GrblController()
    private var ear = ModbusEar()
    private let meter = EastronSDM120(unit: 1, firstKilowattHours: 321.447)
    private var phase = Phase.off
    private var ends: Instant
    private var isHomed = false
    private var job: Job?
    private var jobsLeft = 6
    private var firstOutcomes: [JobOutcome]
    private var beam = 300.0
    private var noise = 0.0
    private var ticks = 0
    /// Seconds that the next tick covers.
    private var passing: Int64 = 1
    private let bus: String

    init(_ profile: LabProfile, random: SeededRandom, start: Instant, bus: String = "bus1") {
        self.profile = profile
        self.bus = bus
        self.random = random
        firstOutcomes = [.completed, .failed, .interrupted].shuffled(using: &self.random)
        record = MachineRecord(.offline, at: start)
        next = start + .milliseconds(500)
        ends = next + .seconds(self.random.seconds(30, 180))
    }

    /// For people.
    var doing: String {
        guard phase != .off else { return "switched off" }
        guard let job, phase != .idle, phase != .alarm else { return controller.word.rawValue }
        return "\(controller.word.rawValue) \(job.cut * 100 / job.seconds) %"
    }

    /// A second, or in a coarse lab as long as nothing happens.
    mutating func tick(_ out: inout [Emission]) {
        let at = next
        if phase == .cutting { cut(at, &out) } else if at >= ends { proceed(at, &out) }
        if profile.isCoarse || ticks % 5 == 0 {
            noise = random.between(-1, 1)
            supply.wander(&random)
            beam = min(520, max(160, beam + random.between(-90, 90)))
        }
        record.set(watts: watts, at: at)
        ticks += 1
        passing = profile.isCoarse ? pause(at) : 1
        next = at + .seconds(passing)
    }

    private func pause(_ at: Instant) -> Int64 {
        guard phase != .cutting else {
            guard let job else { return 1 }
            let marks = [job.holdAt, job.openAt, job.isOver].compactMap { $0 }.filter { $0 > job.cut }
            return min(60, (marks.min() ?? job.cut + 1) - job.cut)
        }
        return max(1, min(600, (ends - at).milliseconds / 1000))
    }

    mutating func received(_ bytes: [UInt8], on wire: String, at: Instant) -> [[UInt8]] {
        if wire == "grbl" { return phase == .off ? [] : controller.hear(bytes) }
        guard wire == bus else { return [] }
        return ear.hear(bytes).filter { $0.unit == meter.unit }.map { question in
            let load = ElectricalLoad(watts: Double(record.energy.power) / 1000, factor: 0.93, supply)
            return meter.answer(question, load, microjoules: record.energy.energy(at: at))
        }
    }

    private var watts: Double {
        // Chiller, exhaust and electronics, and what the tube adds.
        switch phase {
        case .off: 1.2
        case .idle, .alarm: 138 + 6 * noise
        case .homing: 165 + 6 * noise
        case .held, .open, .closed: 180 + 6 * noise
        case .cutting: 210 + beam
        }
    }

    // MARK: the session

    private mutating func proceed(_ at: Instant, _ out: inout [Emission]) {
        switch phase {
        case .off:
            guard profile.comes(at: at, &random) else {
                return ends = profile.nextOpening(after: at) + .seconds(random.seconds(300, 900))
            }
            controller.restart()
            out.append(.line("grbl", GrblController.greeting))
            isHomed = false
            go(.idle, for: random.seconds(60, 180), .idle, at)
        case .idle:
            if !isHomed, jobsLeft > 0 { return go(.homing, for: random.seconds(25, 40), .home, at) }
            if jobsLeft > 0, profile.isOpen(at: at) { beginJob(at) } else { leave(at) }
        case .homing:
            isHomed = true
            (controller.x, controller.y) = (0, 0)
            go(.idle, for: random.seconds(20, 60), .idle, at)
        case .held, .closed: go(.cutting, for: 0, .run, at)
        case .open: go(.closed, for: random.seconds(4, 9), .closed, at)
        case .alarm:
            // Somebody resets it, which loses the position.
            controller.restart()
            out.append(.line("grbl", GrblController.greeting))
            isHomed = false
            go(.idle, for: random.seconds(30, 120), .idle, at)
        case .cutting: break
        }
    }

    private mutating func go(_ phase: Phase, for seconds: Int64, _ word: GrblController.Word, _ at: Instant) {
        self.phase = phase
        ends = at + .seconds(seconds)
        controller.word = word
        if word != .run { (controller.feed, controller.power) = (word == .home ? 1500 : 0, 0) }
        record.enter(word.meaning, at: at)
    }

    private mutating func leave(_ at: Instant) {
        go(.off, for: profile.isCoarse ? random.seconds(1800, 10_800) : random.seconds(900, 2700), .idle, at)
        record.enter(.offline, at: at)
        jobsLeft = Int(random.seconds(3, 9))
    }

    // MARK: a job

    private mutating func beginJob(_ at: Instant) {
        jobsLeft -= 1
        let isFirst = !firstOutcomes.isEmpty
        let outcome = isFirst ? firstOutcomes.removeFirst() : drawOutcome()
        let seconds = random.seconds(150, 900)
        let isSpecial = isFirst && outcome == .completed
        job = Job(
            outcome: outcome, seconds: seconds,
            holdAt: isSpecial || random.chance(0.3) ? Int64(Double(seconds) * random.between(0.2, 0.35)) : nil,
            openAt: isSpecial || random.chance(0.2) ? Int64(Double(seconds) * random.between(0.4, 0.55)) : nil)
        go(.cutting, for: 0, .run, at)
    }

    private mutating func drawOutcome() -> JobOutcome {
        let draw = random.between(0, 1)
        return draw < 0.86 ? .completed : draw < 0.94 ? .failed : .interrupted
    }

    private mutating func cut(_ at: Instant, _ out: inout [Emission]) {
        guard var job else { return go(.idle, for: 60, .idle, at) }
        job.cut += passing
        let (holds, opens) = (job.holdAt == job.cut, job.openAt == job.cut)
        self.job = job
        move()
        if holds { return go(.held, for: random.seconds(40, 120), .hold, at) }
        if opens { return go(.open, for: random.seconds(40, 120), .ajar, at) }
        guard job.cut >= job.isOver else { return }
        end(job.outcome, at, &out)
    }

    private mutating func move() {
        controller.feed = Int(random.seconds(8, 24)) * 100
        controller.power = Int(random.seconds(30, 90)) * 10
        let step = Double(controller.feed) / 60
        controller.x = min(600, max(0, controller.x + random.between(-step, step)))
        controller.y = min(400, max(0, controller.y + random.between(-step, step)))
    }

    private mutating func end(_ outcome: JobOutcome, _ at: Instant, _ out: inout [Emission]) {
        record.ended(outcome, at: at)
        switch outcome {
        case .completed:
            out.append(.line("grbl", "[MSG:Pgm End]"))
            go(.idle, for: random.seconds(60, 420), .idle, at)
        case .failed, .cancelled, .unknown:
            out.append(.line("grbl", "ALARM:1"))
            out.append(.line("grbl", "[MSG:Reset to continue]"))
            go(.alarm, for: random.seconds(60, 180), .alarm, at)
        case .interrupted:
            controller.restart()
            out.append(.line("grbl", GrblController.greeting))
            isHomed = false
            go(.idle, for: random.seconds(60, 180), .idle, at)
        }
    }
}
