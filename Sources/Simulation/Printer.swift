import Model

/// A 3D printer that people use in sessions: switched on at its plug, connected, some prints, switched off. Prints heat
/// up, may be paused, and are completed, cancelled, or fail when the cable comes loose.
struct Printer: PluggedPart {
    private enum Phase: Hashable {
        case off
        case detecting, connecting
        case idle
        case starting
        case printing
        case pausing, paused, resuming
        case finishing, finished
        case cancelling
        /// The cable is loose.
        case lost
    }
    private struct Job: Hashable {
        let file: OctoPrintHost.File
        let outcome: JobOutcome
        /// Seconds of printing: of the whole file, and until this outcome.
        let whole: Int64
        let ends: Int64
        var pauseAt: Int64?
        var printed: Int64 = 0

        /// Seconds until something happens to it.
        var left: Int64 { min(pauseAt ?? ends, ends) - printed }
    }
    /// Something with a heater, a target and a loss to the room.
    private struct Heater: Hashable {
        let watts: Double
        /// °C a second at full power, and the part of the difference to the room that is lost in a second.
        let rate: Double
        let loss: Double
        var target = 0.0
        var temperature = 22.0
        var duty = 0.0

        mutating func second() {
            let hold = loss * (target - 22) / rate
            duty = target == 0 ? 0 : min(1, max(0, hold + (target - temperature) * 0.1))
            temperature += duty * rate - loss * (temperature - 22)
        }
        var isHot: Bool { temperature >= target - 1 }
        var isCold: Bool { target == 0 && temperature < 22.2 }
    }

    private(set) var record: MachineRecord
    var plug: TasmotaPlug
    private(set) var next: Instant
    private let profile: LabProfile
    private var random: SeededRandom
    private var host: OctoPrintHost
    private var supply = MainsSupply()
    private var state = OctoPrintState.offline
    private var phase = Phase.off
    private var ends: Instant
    private var nozzle = Heater(watts: 40, rate: 3, loss: 0.008)
    private var bed = Heater(watts: 220, rate: 0.45, loss: 0.0025)
    private var noise = 0.0
    private var job: Job?
    private var jobsLeft = 3
    /// The first outcomes, so that each occurs soon; later ones are drawn.
    private var firstOutcomes: [JobOutcome]
    private var ticks = 0
    /// Seconds that the next tick covers.
    private var passing: Int64 = 1

    init(
        _ profile: LabProfile, random: SeededRandom, start: Instant, plug topic: String = "printer-plug",
        base: String = "octoPrint"
    ) {
        self.profile = profile
        host = OctoPrintHost(base: base)
        self.random = random
        firstOutcomes = [.completed, .cancelled, .failed].shuffled(using: &self.random)
        record = MachineRecord(.offline, at: start)
        plug = TasmotaPlug(
            topic: topic, wattHours: 96_118, yesterday: 520, today: 311, utcOffset: profile.utcOffset,
            start: start, period: profile.isCoarse ? .seconds(300) : .seconds(10))
        next = start
        ends = start + .seconds(2)
    }

    var load: ElectricalLoad { ElectricalLoad(watts: Double(record.energy.power) / 1000, factor: 0.62, supply) }

    /// For people.
    var doing: String {
        guard let job, phase != .idle, phase != .off else { return state.text }
        return "\(state.text) \(job.file.name) \(job.printed * 100 / job.whole) %"
    }

    /// Some seconds; one where everything is played second by second.
    mutating func tick(_ out: inout [Emission]) {
        let at = next
        if ticks == 0 {
            host.connect(at, &out)
            plug.connect(at, load, 0, &out)
        }
        // Heaters follow every second; that is finer than any meter sees.
        for _ in 0..<(profile.isCoarse && isCold ? 0 : passing) {
            nozzle.second()
            bed.second()
        }
        follow(at, &out)
        let looks = profile.isCoarse || ticks % 5 == 0
        if looks {
            noise = random.between(-1, 1)
            supply.wander(&random)
            look(at, &out)
        }
        if looks || !plug.isOn { record.set(watts: watts, at: at) }
        plug.tick(at, load, record.energy.energy(at: at), &out)
        ticks += 1
        passing = profile.isCoarse ? pause(at) : 1
        next = at + .seconds(passing)
    }

    private var isCold: Bool { nozzle.isCold && bed.isCold }

    /// How many seconds nothing happens that could not wait.
    private func pause(_ at: Instant) -> Int64 {
        var until = plug.next
        switch phase {
        case .starting: until = min(until, at + .seconds(15))
        case .printing:
            let job = job?.left ?? 1
            until = min(until, at + .seconds(min(60, job)))
        case .off: until = min(until, ends)
        case .idle, .detecting, .connecting, .pausing, .paused, .resuming, .finishing, .finished, .cancelling, .lost:
            until = min(until, ends, at + .seconds(120))
        }
        return max(1, (until - at + .milliseconds(999)).milliseconds / 1000)
    }

    private var watts: Double {
        guard plug.isOn else { return 0 }
        let motors = state == .printing ? 24 + 9 * noise : 0
        return max(4, 7.5 + 0.6 * noise + nozzle.duty * nozzle.watts + bed.duty * bed.watts + motors)
    }

    /// What the plugin polls.
    private mutating func look(_ at: Instant, _ out: inout [Emission]) {
        guard state.meaning != .offline else { return }
        host.tellHeat(
            "tool0", nozzle.temperature + (profile.isCoarse ? 0.03 : 0.1) * noise, target: nozzle.target, at, &out)
        host.tellHeat("bed", bed.temperature, target: bed.target, at, &out)
        if let job { host.tellProgress(Int(job.printed * 100 / job.whole), job.file, at, &out) }
    }

    // MARK: the session

    private mutating func follow(_ at: Instant, _ out: inout [Emission]) {
        switch phase {
        case .starting:
            if nozzle.isHot, bed.isHot { beginPrinting(at, &out) }
        case .printing:
            print(at, &out)
        case .off, .detecting, .connecting, .idle, .pausing, .paused, .resuming, .finishing, .finished, .cancelling,
            .lost:
            if at >= ends { proceed(at, &out) }
        }
    }

    /// The phase's time is over.
    private mutating func proceed(_ at: Instant, _ out: inout [Emission]) {
        switch phase {
        case .off:
            guard profile.comes(at: at, &random) else {
                return ends = profile.nextOpening(after: at) + .seconds(random.seconds(300, 900))
            }
            plug.turn(on: true, &out)
            connect(at, &out)
        case .lost: connect(at, &out)
        case .detecting: go(.connecting, for: 3, .connecting, at, &out)
        case .connecting:
            host.tell("Connected", #""port":"/dev/ttyACM0","baudrate":115200"#, at, &out)
            go(.idle, for: random.seconds(60, 300), .operational, at, &out)
        case .idle: if jobsLeft > 0, profile.isOpen(at: at) { beginJob(at, &out) } else { leave(at, &out) }
        case .pausing:
            host.tell("PrintPaused", members, at, &out)
            go(.paused, for: random.seconds(90, 300), .paused, at, &out)
        case .paused: go(.resuming, for: 2, .resuming, at, &out)
        case .resuming:
            host.tell("PrintResumed", members, at, &out)
            go(.printing, for: 0, .printing, at, &out)
        case .finishing:
            host.tell("PrintDone", "\(members),\"time\":\(time)", at, &out)
            record.ended(.completed, at: at)
            go(.finished, for: 1, .finishing, at, &out)
        case .finished: rest(at, &out)
        case .cancelling:
            let reason = "\(members),\"time\":\(time),\"reason\":\"cancelled\""
            host.tell("PrintCancelled", reason, at, &out)
            host.tell("PrintFailed", "\(reason),\"progress\":\(percent)", at, &out)
            record.ended(.cancelled, at: at)
            job?.printed = 0
            rest(at, &out)
        case .starting, .printing: break
        }
    }

    private mutating func go(
        _ phase: Phase, for seconds: Int64, _ state: OctoPrintState, _ at: Instant, _ out: inout [Emission]
    ) {
        self.phase = phase
        ends = at + .seconds(seconds)
        guard state != self.state else { return }
        self.state = state
        host.tell(state, at, &out)
        record.enter(state.meaning, at: at)
    }

    private mutating func connect(_ at: Instant, _ out: inout [Emission]) {
        host.tell("Connecting", "", at, &out)
        go(.detecting, for: 2, .detecting, at, &out)
    }

    /// People go: the printer is disconnected and its plug switched off.
    private mutating func leave(_ at: Instant, _ out: inout [Emission]) {
        host.tell("Disconnecting", "", at, &out)
        host.tell("Disconnected", "", at, &out)
        let pause = profile.isCoarse ? random.seconds(1800, 14_400) : random.seconds(1200, 3000)
        go(.off, for: pause, .offline, at, &out)
        plug.turn(on: false, &out)
        job = nil
        jobsLeft = Int(random.seconds(2, 5))
    }

    // MARK: a print

    private static let names = ["pot", "hook", "gear", "phone-stand", "bracket", "name-plate", "lamp", "box-lid"]

    private mutating func beginJob(_ at: Instant, _ out: inout [Emission]) {
        jobsLeft -= 1
        let isFirst = !firstOutcomes.isEmpty
        let outcome = isFirst ? firstOutcomes.removeFirst() : drawOutcome()
        let whole = isFirst ? random.seconds(900, 1800) : random.seconds(1200, 7200)
        let part = outcome == .completed ? 1 : random.between(0.2, 0.8)
        let ends = max(60, Int64(Double(whole) * part))
        let pauses = outcome == .completed && (isFirst || random.chance(0.3))
        job = Job(
            file: OctoPrintHost.File(
                name: "\(Self.names[Int(random.seconds(0, Int64(Self.names.count) - 1))]).gcode",
                size: Int(whole * 900)),
            outcome: outcome, whole: whole, ends: ends,
            pauseAt: pauses ? Int64(Double(ends) * random.between(0.3, 0.7)) : nil)
        nozzle.target = 215
        bed.target = 60
        host.tell(
            "FileSelected", #""name":"\#(job?.file.name ?? "")","path":"\#(job?.file.name ?? "")","origin":"local""#,
            at, &out)
        go(.starting, for: 0, .starting, at, &out)
    }

    private mutating func drawOutcome() -> JobOutcome {
        let draw = random.between(0, 1)
        return draw < 0.72 ? .completed : draw < 0.88 ? .cancelled : .failed
    }

    private mutating func beginPrinting(_ at: Instant, _ out: inout [Emission]) {
        host.tell("PrintStarted", "\(members),\"user\":\"lab\"", at, &out)
        go(.printing, for: 0, .printing, at, &out)
    }

    private mutating func print(_ at: Instant, _ out: inout [Emission]) {
        guard var job else { return rest(at, &out) }
        job.printed += passing
        let pauses = job.pauseAt.map { $0 <= job.printed } ?? false
        if pauses { job.pauseAt = nil }
        self.job = job
        if pauses { return go(.pausing, for: 2, .pausing, at, &out) }
        guard job.printed >= job.ends else { return }
        switch job.outcome {
        case .completed: go(.finishing, for: 2, .finishing, at, &out)
        case .cancelled:
            host.tell("PrintCancelling", members, at, &out)
            go(.cancelling, for: 2, .cancelling, at, &out)
        case .failed, .interrupted, .unknown: loseCable(at, &out)
        }
    }

    private mutating func loseCable(_ at: Instant, _ out: inout [Emission]) {
        host.tell("Disconnecting", "", at, &out)
        host.tell("FileDeselected", "", at, &out)
        host.tell("Disconnected", "", at, &out)
        go(.lost, for: random.seconds(60, 180), .offline, at, &out)
        host.tell(
            "PrintFailed", "\(members),\"time\":\(time),\"reason\":\"error\",\"error\":\"\",\"progress\":\(fraction)",
            at,
            &out)
        record.ended(.failed, at: at)
        nozzle.target = 0
        bed.target = 0
        job = nil
    }

    /// After a print: cools down and waits for the next one.
    private mutating func rest(_ at: Instant, _ out: inout [Emission]) {
        nozzle.target = 0
        bed.target = 0
        go(.idle, for: random.seconds(90, 420), .operational, at, &out)
    }

    private var members: String { job?.file.members ?? OctoPrintHost.File(name: "", size: 0).members }
    /// Seconds of printing, pauses left out, with the digits that Python gives.
    private var time: String { "\(Double(job?.printed ?? 0) + 0.371_093_75)" }
    private var percent: Int64 { job.map { $0.printed * 100 / $0.whole } ?? 0 }
    private var fraction: Double { job.map { Double($0.printed) / Double($0.whole) } ?? 0 }
}
