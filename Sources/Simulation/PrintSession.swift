import Model

/// What a printer that is on does, whatever it speaks: waits, heats, prints, is paused, and ends each print one way or
/// another. Lives in steps of five seconds while it is busy or hot, and of a minute while it is cold; in a lab that is
/// played coarsely in steps of half a minute, and from one event to the next.
struct PrintSession: Sendable {
    enum Phase: Hashable { case idle, heating, printing, paused }

    /// What a step brought.
    enum Change: Hashable {
        case began, heated, paused, resumed
        case ended(JobOutcome)
        /// The end of the last print is confirmed at the printer.
        case confirmed
    }

    private(set) var record: MachineRecord
    private(set) var next: Instant
    private(set) var phase = Phase.idle
    /// Counts the prints.
    private(set) var number: Int
    /// s of printing so far, and of the whole file.
    private(set) var printed: Int64 = 0
    private(set) var whole: Int64 = 1
    private(set) var began: Instant
    /// How the last print ended; nil once that is confirmed.
    private(set) var end: JobOutcome?
    private(set) var nozzle = 23.0
    private(set) var bed = 22.0
    private var filamentBefore = 0.0
    private var stops: Int64 = 1
    private var outcome = JobOutcome.completed
    private var pauseAt: Int64?
    private var phaseEnds: Instant
    private let profile: LabProfile
    private var random: SeededRandom
    /// What heating up is: most printers tell it from printing.
    private let heating: MachineState
    /// What it is after a print has failed, until somebody has confirmed that.
    private let failing: MachineState
    /// What it is while a print is paused.
    private var pausing = MachineState.paused
    /// Seconds, of which heaters take five at once.
    private let step: Int64

    init(
        _ profile: LabProfile, random: SeededRandom, start: Instant, number: Int = 100,
        heating: MachineState = .preparing, failing: MachineState = .idle
    ) {
        self.profile = profile
        self.heating = heating
        self.failing = failing
        step = profile.isCoarse ? 30 : 5
        self.random = random
        self.number = number
        began = start
        record = MachineRecord(.idle, at: start)
        record.set(watts: 8, at: start)
        next = start + .milliseconds(self.random.seconds(0, 4999))
        phaseEnds = start + .seconds(self.random.seconds(60, 900))
    }

    var isBusy: Bool { phase != .idle }
    var nozzleTarget: Double { isBusy ? 215 : 0 }
    var bedTarget: Double { isBusy ? 60 : 0 }
    /// 0…1.
    var progress: Double { Double(printed) / Double(whole) }
    var secondsLeft: Int64 { whole - printed }
    var layer: Int64 { printed / 90 + (phase == .printing ? 1 : 0) }
    var layers: Int64 { whole / 90 + 1 }
    /// mm that this print has used.
    var filament: Double { Double(printed) * 2.6 }
    /// mm that all prints together have used.
    var filamentInAll: Double { filamentBefore + filament }
    var file: String { ["pot", "hook", "gear", "화분", "lamp"][number % 5] + ".gcode" }

    var doing: String {
        isBusy ? "\(phase) \(file) \(printed * 100 / whole) %" : end.map { "\($0.rawValue)" } ?? "ready"
    }

    /// How long it has printed by `time`, which lies between two steps.
    func printed(at time: Instant) -> Duration {
        guard phase == .printing else { return .seconds(printed) }
        let now = (printed + step) * 1000 - (next - time).milliseconds
        return .milliseconds(min(stops * 1000, max(printed * 1000, now)))
    }

    /// From the next one on pauses are this.
    mutating func pauses(as state: MachineState) { pausing = state }

    /// The printer was reset: a print that is on is lost, and one that failed needs no confirming.
    mutating func interrupt(at time: Instant) {
        if isBusy {
            end = .interrupted
            phase = .idle
            phaseEnds = time + .seconds(random.seconds(120, 1800))
            record.ended(.interrupted, at: time)
            record.set(watts: 8, at: time)
        }
        record.enter(.idle, at: time)
    }

    /// Lives up to `next`.
    mutating func tick() -> [Change] {
        let at = next
        var changes: [Change] = []
        for _ in 0..<step / 5 { heat() }
        switch phase {
        case .idle: if at >= phaseEnds { rest(at, &changes) }
        case .heating:
            if nozzle > 213, bed > 58 {
                enter(.printing, .running, at)
                changes.append(.heated)
            }
        case .printing: print(at, &changes)
        case .paused:
            if at >= phaseEnds {
                enter(.printing, .running, at)
                changes.append(.resumed)
            }
        }
        let watts = isBusy ? (phase == .heating ? 240.0 : 95) : 8.0
        record.set(watts: watts, at: at)
        let pause = max(.seconds(step), phaseEnds - at)
        next = at + (isBusy || nozzle > 40 ? .seconds(step) : profile.isCoarse ? pause : min(.seconds(60), pause))
        return changes
    }

    private mutating func heat() {
        nozzle += (nozzleTarget > 0 ? min(12, nozzleTarget - nozzle) : (23 - nozzle) * 0.04)
        bed += (bedTarget > 0 ? min(2.5, bedTarget - bed) : (22 - bed) * 0.012)
    }

    private mutating func enter(_ phase: Phase, _ state: MachineState, _ at: Instant) {
        self.phase = phase
        record.enter(state, at: at)
    }

    /// The end of the last print is confirmed first, the next print begins later.
    private mutating func rest(_ at: Instant, _ changes: inout [Change]) {
        if end != nil {
            end = nil
            record.enter(.idle, at: at)
            phaseEnds = at + .seconds(random.seconds(30, 600))
            return changes.append(.confirmed)
        }
        guard profile.comes(at: at, &random) else {
            return phaseEnds = profile.nextOpening(after: at) + .seconds(random.seconds(300, 900))
        }
        let draw = random.between(0, 1)
        outcome = draw < 0.7 ? .completed : draw < 0.88 ? .cancelled : .failed
        whole = random.seconds(profile.prints.lowerBound, profile.prints.upperBound)
        stops = outcome == .completed ? whole : max(60, Int64(Double(whole) * random.between(0.1, 0.9)))
        pauseAt = random.chance(0.25) ? Int64(Double(stops) * random.between(0.2, 0.8)) : nil
        filamentBefore += filament
        printed = 0
        number += 1
        began = at
        enter(.heating, heating, at)
        changes.append(.began)
    }

    private mutating func print(_ at: Instant, _ changes: inout [Change]) {
        printed = min(stops, printed + step)
        if let pause = pauseAt, printed >= pause {
            pauseAt = nil
            phaseEnds = at + .seconds(random.seconds(60, 600))
            enter(.paused, pausing, at)
            return changes.append(.paused)
        }
        guard printed >= stops else { return }
        end = outcome
        phaseEnds = at + .seconds(random.seconds(120, 1800))
        enter(.idle, outcome == .failed ? failing : .idle, at)
        record.ended(outcome, at: at)
        changes.append(.ended(outcome))
    }
}
