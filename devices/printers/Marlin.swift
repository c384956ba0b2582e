package import Model

/// Printers with Marlin or a relative of it on a serial line of their own, watched while they print from their own card.
///
/// It asks one command at a time and waits for `ok`: M115 once, M155 S5 and M27 S5 where the board can report by
/// itself, else M105 and M27 in turn; M31 within a print, M78 about once an hour. No line numbers, no motion, no heaters.
///
///     ok T:201.35 /210.00 B:60.02 /60.00 @:87 B@:43
///     SD printing byte 1234/56789        Not SD printing        Done printing file
///     Error:Printer halted. kill() called!
///     start                              the board was reset
///
/// Lines are told apart in MarlinLine.swift, prints are counted in MarlinJob.swift. A print that a host streams must be
/// read from that host: a port has one owner, and opening it resets most boards.
package struct Marlin: DeviceDriver {
    package static let info = DriverInfo(
        name: "marlin", title: "3D printers with Marlin on a serial line, printing from their own card", link: .line,
        family: "printers", silence: .seconds(60), every: .seconds(5))

    package let channels = Self.allChannels

    private var lines = LineBuffer(limit: 512)
    private var job = MarlinJob()
    private var plan = MarlinPlan()
    /// °C; nil before it was told, and after each word of printing: an older one says nothing about the end.
    private var nozzleTarget: Double?
    /// °C, of all heaters; nil before it was told, and after a print ended.
    private var highestTarget: Double?
    /// What is known while no target is.
    private var last: (state: MachineState, reason: String)?
    private var isHeatingUp = false
    /// Reports without `W:` since it was told that the board waits for heat.
    private var plainReports = 0
    private var remembered = MarlinJob.Memory()
    /// Whether anything prints was told.
    private var knowsCard = false
    private var fatal: String?
    private var okSinceFatal = 0
    /// What the printer waits for.
    private var waiting: String?
    private var isBusy = false
    /// Reports of a heater that is on while nothing prints.
    private var heatedReports = 0
    /// Half an hour of them at one in five seconds.
    private static let longHeated = 360
    private var hasProgress = false
    private var said: (state: MachineState, reason: String)?

    /// No keys of its own.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {}

    package mutating func recall(_ memory: String) {
        job.recall(memory)
        remembered = job.memory
    }

    package mutating func opened(_ out: inout Outbox) {
        lines.clear()
        job.opened()
        plan = MarlinPlan()
        nozzleTarget = nil
        highestTarget = nil
        last = nil
        isHeatingUp = false
        knowsCard = false
        waiting = nil
        isBusy = false
        said = nil
    }

    package mutating func poll(_ out: inout Outbox) {
        guard let command = plan.next(isPrinting: job.isOpen) else { return }
        out.send(.write(Array("\(command)\n".utf8), replyWithin: .seconds(15)))
    }

    package mutating func noReply(_ out: inout Outbox) {
        // A busy board answers when it is done.
        if !plan.wasBusy { out.note(.noReply, "no ok after \(plan.asked ?? "a command")") }
        plan.gotNoReply()
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        defer { remember(&out) }
        var late = Outbox()
        for i in bytes.indices {
            switch lines.take(bytes[i]) {
            case .more: break
            case .overlong: out.note(.overrun, "a line longer than 512 bytes")
            // More than a board says between two calls: the gateway was away. What happened meanwhile still counts.
            case .line where out.readings.count >= Self.usual:
                if !lines.line.isEmpty { take(MarlinLine(lines.line), &late) }
            case .line:
                if !lines.line.isEmpty { take(MarlinLine(lines.line), &out) }
            }
        }
        guard late != Outbox() else { return }
        out.add(latestOf: late, eventsOn: Ch.job, atMost: 16)
    }

    private mutating func remember(_ out: inout Outbox) {
        let memory = job.memory
        guard memory != remembered else { return }
        remembered = memory
        out.remember(memory.text)
    }

    /// After so many readings in one call, the last of each quantity is enough. With what one line may add to them, a
    /// last one of every channel and the jobs, they stay below 64.
    private static let usual = 16

    // MARK: lines

    private mutating func take(_ line: MarlinLine, _ out: inout Outbox) {
        if line == .noise { return out.note(.badFrame, "bytes that are no text; is the baud rate right?") }
        out.alive()
        switch line {
        case .ok: answered(&out)
        case .temperatures(let temperatures, let isAnswer):
            if isAnswer { answered(&out) }
            take(temperatures, &out)
        case .printing(let byte, let size): takePrinting(byte, size, &out)
        case .notPrinting:
            plan.heardCard()
            knowsCard = true
            check(isStopped: true, &out)
        case .done: end(.completed, &out)
        case .reset: takeReset(&out)
        case .fatal(let words):
            fatal = fatal ?? words
            okSinceFatal = 0
            end(.failed, &out)
        case .waitsForPerson(let what):
            waiting = what
            plan.wasBusy = true
        case .busy:
            isBusy = true
            plan.wasBusy = true
        // Pausing shows in the answers to M27.
        case .action(let action): if action == "cancel" { end(.cancelled, &out) }
        case .capability(let name, let isThere): plan.learned(name, isThere)
        case .refused(let command):
            plan.refused(command)
            if command.hasPrefix("M27") { knowsCard = true }
        case .printTime(let seconds):
            if job.isOpen { out.report(Ch.jobTime, of: channels, seconds) }
        case .remaining(let seconds):
            if job.isOpen { reportProgress(seconds, on: Ch.remaining, &out) }
        case .counts(let prints, let finished, let failed):
            out.report(Ch.totalJobs, of: channels, prints)
            out.report(Ch.totalFinished, of: channels, finished)
            out.report(Ch.totalFailed, of: channels, failed)
        case .totalTime(let seconds): out.report(Ch.totalPrintTime, of: channels, seconds)
        case .totalFilament(let millimetres): out.report(Ch.totalFilament, of: channels, millimetres)
        case .other, .noise: break
        }
        sayState(always: false, &out)
    }

    private mutating func answered(_ out: inout Outbox) {
        out.answered()
        plan.gotAnswer()
        // A board that waits for a person or for a heater does not answer.
        waiting = nil
        isBusy = false
        isHeatingUp = false
        guard fatal != nil else { return }
        // One ok may have been on its way; a halted board says no more.
        okSinceFatal += 1
        if okSinceFatal > 2 { fatal = nil }
    }

    private mutating func takePrinting(_ byte: Double, _ size: Double, _ out: inout Outbox) {
        plan.heardCard()
        knowsCard = true
        nozzleTarget = nil
        // What reads on waits for nobody; it may not have been asked anything meanwhile.
        if job.isStopped || byte > job.byte { waiting = nil }
        report(job.printing(byte: byte, of: size), &out)
        guard job.isOpen, byte <= size else { return }
        reportProgress(byte / size, on: Ch.progress, &out)
    }

    private mutating func takeReset(_ out: inout Outbox) {
        // What it was asked before it will never answer.
        out.answered()
        report(job.reset(), &out)
        clearProgress(&out)
        fatal = nil
        waiting = nil
        isBusy = false
        isHeatingUp = false
        nozzleTarget = nil
        highestTarget = nil
        last = (.unknown, "board was reset")
        knowsCard = false
        plan.boardWasReset()
    }

    // MARK: prints

    private mutating func check(isStopped: Bool, _ out: inout Outbox) {
        report(job.checked(isStopped: isStopped, target: nozzleTarget, waitsForPerson: waiting != nil), &out)
        if !job.isOpen { clearProgress(&out) }
    }

    private mutating func end(_ outcome: JobOutcome, _ out: inout Outbox) {
        report(job.end(outcome), &out)
        clearProgress(&out)
    }

    private mutating func report(_ outcome: JobOutcome?, _ out: inout Outbox) {
        guard let outcome else { return }
        out.report(Ch.job, event: outcome.rawValue)
        plan.printEnded()
        guard !job.isOpen else { return }
        // The heaters' targets were the print's.
        highestTarget = nil
        last = (.idle, "finished")
    }

    private mutating func reportProgress(_ value: Double, on channel: Int, _ out: inout Outbox) {
        hasProgress = true
        out.report(channel, of: channels, value)
    }

    private mutating func clearProgress(_ out: inout Outbox) {
        guard hasProgress else { return }
        hasProgress = false
        out.reportUnknown(Ch.progress)
        out.reportUnknown(Ch.remaining)
    }

    // MARK: temperatures

    private mutating func take(_ temperatures: MarlinTemperatures, _ out: inout Outbox) {
        plan.heardTemperature()
        if temperatures.isWaiting { plan.wasBusy = true }
        let parts = [temperatures.nozzle, temperatures["1"], temperatures["B"], temperatures["C"]]
        for (index, heater) in parts.enumerated() {
            guard let heater else { continue }
            report(heater.actual, on: Ch.temperature + index, &out)
            if let target = heater.target { out.report(Ch.target + index, of: channels, target) }
        }
        // A board without the sensor says 0.
        if let probe = temperatures["P"]?.actual, probe != 0 { report(probe, on: Ch.probe, &out) }
        if let ambient = temperatures["A"] { report(ambient.actual, on: Ch.ambient, &out) }
        let nozzles = [parts[0]?.target, parts[1]?.target].compactMap { $0 }
        nozzleTarget = nozzles.max() ?? nozzleTarget
        highestTarget = parts.compactMap { $0?.target }.max() ?? highestTarget
        let isHeated = (highestTarget ?? 0) > 0 && !job.isOpen && !temperatures.isWaiting
        heatedReports = isHeated ? min(heatedReports + 1, Self.longHeated) : 0
        followHeatingUp(temperatures)
        if !isHeatingUp { isBusy = false }
        let target = highestTarget
        check(isStopped: false, &out)
        highestTarget = target
        // Said with each report: the gateway may have taken the printer for lost in between.
        sayState(always: true, &out)
    }

    /// A board that waits for heat says so every second, and reports as ever in between.
    private mutating func followHeatingUp(_ temperatures: MarlinTemperatures) {
        guard !temperatures.isWaiting else {
            isHeatingUp = true
            plainReports = 0
            return
        }
        plainReports += 1
        let isCold = temperatures.heaters.values.contains { heater in
            guard let actual = heater.actual, let target = heater.target else { return false }
            return actual < target - 2.5
        }
        if !isCold || plainReports > 1 { isHeatingUp = false }
    }

    private func report(_ actual: Double?, on channel: Int, _ out: inout Outbox) {
        guard let actual else {
            out.reportUnknown(channel)
            return out.note(.badValue, "\(channels[channel].name) is no number")
        }
        // An open thermistor.
        guard actual > -14 else {
            out.reportUnknown(channel)
            return out.note(.sensorFault, "\(channels[channel].name) of \(actual): a broken sensor or its cable")
        }
        out.report(channel, of: channels, actual)
    }

    // MARK: state

    private var state: (state: MachineState, reason: String)? {
        if let fatal { return (.fault, fatal) }
        if let waiting { return (.blocked, waiting) }
        if job.isOpen {
            if job.isStopped { return (.paused, "Not SD printing") }
            return isHeatingUp ? (.preparing, "SD printing, heating") : (.running, "SD printing")
        }
        if isBusy || isHeatingUp { return (.preparing, isBusy ? "busy" : "heating") }
        guard let highestTarget else { return last }
        if highestTarget <= 0 { return (.idle, "ready") }
        // A hot printer may be printing; the answer is on its way.
        guard knowsCard else { return (.unknown, "not told yet") }
        return heatedReports < Self.longHeated ? (.preparing, "heating") : (.idle, "heated")
    }

    private mutating func sayState(always: Bool, _ out: inout Outbox) {
        guard let (state, reason) = state else { return }
        if !always, let said, said.state == state, said.reason == reason { return }
        said = (state, reason)
        out.report(Ch.state, state, reason: reason)
    }

    // MARK: channels

    /// Places in the list of channels.
    private enum Ch {
        static let state = 0
        static let job = 1
        static let jobTime = 2
        static let progress = 3
        static let remaining = 4
        /// Of nozzle, second nozzle, bed, chamber.
        static let temperature = 5
        static let target = 9
        static let probe = 13
        static let ambient = 14
        static let totalJobs = 15
        static let totalFinished = 16
        static let totalFailed = 17
        static let totalPrintTime = 18
        static let totalFilament = 19
    }

    private static let allChannels: [Channel] =
        [
            .state, .job, .gauge("job.time", .second, 0...1e8), .gauge("progress", .one, 0...1),
            .gauge("remaining", .second, 0...1e8),
        ]
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("temperature.\($0)", .celsius, -50...600) }
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("target.\($0)", .celsius, 0...600) }
        + ["probe", "ambient"].map { .gauge("temperature.\($0)", .celsius, -50...600) }
        + [
            .counter("total.jobs", .one, resolution: 1), .counter("total.finished", .one, resolution: 1),
            .counter("total.failed", .one, resolution: 1), .counter("total.print_time", .second, resolution: 1),
            .counter("total.filament", .millimetre, resolution: 10),
        ]
}
