import Model

/// A printer with Marlin that prints from its own card, on a serial line of its own and behind a Tasmota plug that stays
/// on. People begin, pause and stop prints at its screen, and it says what the firmware says by itself:
///
///     File opened: pot.gco Size: 56789        a print begins
///      T:187.42 /215.00 … W:?                 every second while the print waits for heat
///     echo:busy: paused for user              every two seconds while it waits for somebody to change the filament
///     echo: M73 Progress: 25%; Time left: 43m;
///     Done printing file                      the end; of a print that was stopped sometimes //action:cancel
///     Error:Thermal Runaway, system stopped! Heater_ID: E0
///     Error:Printer halted. kill() called!    and not a word until somebody resets it
///     start                                   two seconds after a reset: by somebody, a mains dip, or a port that is opened
struct MarlinPrinter: PluggedPart {
    private let wire: String
    private var session: PrintSession
    private var board: MarlinBoard
    var plug: TasmotaPlug
    private var supply = MainsSupply()
    private var random: SeededRandom
    private var isNew = true
    private var life = MarlinBoard.Life()
    /// The board starts until then.
    private var bootEnds: Instant?
    private var isHalted = false
    /// When it says next what it waits for.
    private var nextWord: Instant?
    private var saidMinutes: Int64 = -1

    private static let bytesPerSecond: Int64 = 640
    private static let boot = Duration.seconds(2)

    /// `reports` says whether its firmware can report by itself.
    init(
        _ profile: LabProfile, wire: String, reports: Bool = true, plug topic: String, random: SeededRandom,
        start: Instant
    ) {
        self.wire = wire
        self.random = random
        session = PrintSession(profile, random: self.random.fork(), start: start, number: 700, failing: .fault)
        board = MarlinBoard(reports: reports)
        plug = TasmotaPlug(
            topic: topic, wattHours: 28_050, yesterday: 410, today: 95, utcOffset: profile.utcOffset, start: start,
            period: profile.isCoarse ? .seconds(300) : .seconds(10))
    }

    var record: MachineRecord { session.record }
    var doing: String { isHalted ? "halted" : session.doing }
    var filament: Double? { session.filamentInAll }
    var load: ElectricalLoad {
        ElectricalLoad(watts: Double(record.energy.power) / 1000, factor: 0.62, supply)
    }
    var next: Instant {
        if isNew { return session.next }
        let word = min(nextWord ?? .distantFuture, bootEnds ?? board.next)
        return min(session.next, plug.next, isHalted ? .distantFuture : word)
    }

    mutating func tick(_ out: inout [Emission]) {
        let at = next
        if let end = bootEnds, end <= at {
            bootEnds = nil
            say(MarlinBoard.banner, &out)
        }
        if session.next <= at {
            supply.wander(&random)
            session.pauses(as: session.number % 2 == 0 ? .blocked : .paused)
            for change in session.tick() { tell(change, at, &out) }
            tellProgress(&out)
        }
        if let word = nextWord, word <= at { tellWaiting(at, &out) }
        if canSpeak, board.next <= at { say(board.report(moment(at), at: at), &out) }
        if isNew {
            isNew = false
            plug.turn(on: true, &out)
            plug.connect(at, load, record.energy.energy(at: at), &out)
        }
        plug.tick(at, load, record.energy.energy(at: at), &out)
    }

    mutating func received(_ bytes: [UInt8], on wire: String, at: Instant) -> [[UInt8]] {
        guard wire == self.wire, canSpeak else { return [] }
        return board.hear(bytes, isOccupied: nextWord != nil, moment(at), at: at).map { Array("\($0)\n".utf8) }
    }

    mutating func losePower(at: Instant, _ out: inout [Emission]) -> Bool {
        dipPlug(at: at, &out)
        reset(at)
        return true
    }

    mutating func portOpened(_ wire: String, at: Instant) { if wire == self.wire { reset(at) } }

    // MARK: what it is at

    private var canSpeak: Bool { bootEnds == nil && !isHalted }

    private func moment(_ at: Instant) -> MarlinBoard.Moment {
        let printed = session.printed(at: at)
        var life = life
        if session.isBusy {
            life.prints += 1
            life.seconds += printed.milliseconds / 1000
            life.filament += session.filament
        }
        // What is read ahead of the first move.
        let byte = 210 + printed.milliseconds * Self.bytesPerSecond / 1000
        let isOnCard = session.phase == .heating || session.phase == .printing
        return MarlinBoard.Moment(
            nozzle: session.nozzle, nozzleTarget: session.nozzleTarget, bed: session.bed,
            bedTarget: session.bedTarget, card: isOnCard ? (byte, size) : nil, printed: printed.milliseconds / 1000,
            life: life)
    }

    private var size: Int64 { 420 + session.whole * Self.bytesPerSecond }

    /// The print that is on is lost, and what was switched on is off.
    private mutating func reset(_ at: Instant) {
        session.interrupt(at: at)
        board = MarlinBoard(reports: board.reports)
        isHalted = false
        nextWord = nil
        bootEnds = at + Self.boot
    }

    // MARK: what it says

    private func say(_ lines: [String], _ out: inout [Emission]) {
        guard canSpeak else { return }
        for line in lines { out.append(.line(wire, FirmwareText(line), end: "\n")) }
    }

    private mutating func tell(_ change: PrintSession.Change, _ at: Instant, _ out: inout [Emission]) {
        switch change {
        case .began:
            saidMinutes = -1
            say(
                [
                    "echo:Now fresh file: \(session.file)", "File opened: \(session.file) Size: \(size)",
                    "File selected",
                ], &out)
            nextWord = at
        case .heated, .resumed:
            nextWord = nil
            if canSpeak { say(board.goOn(moment(at), at: at), &out) }
        case .paused: if record.state == .blocked { nextWord = at + .seconds(2) }
        case .ended(let outcome): tellEnd(outcome, at, &out)
        case .confirmed: if isHalted { reset(at) }
        }
    }

    private mutating func tellEnd(_ outcome: JobOutcome, _ at: Instant, _ out: inout [Emission]) {
        if outcome == .failed {
            say(["Error:Thermal Runaway, system stopped! Heater_ID: E0", "Error:Printer halted. kill() called!"], &out)
            isHalted = true
            return
        }
        life.prints += 1
        if outcome == .completed { life.finished += 1 }
        life.seconds += session.printed
        life.filament += session.filament
        if outcome == .completed {
            say(["Done printing file", "echo:Print time: " + MarlinBoard.time(session.printed)], &out)
        } else if session.number % 3 != 0 {
            say(["//action:cancel"], &out)
        }
    }

    private mutating func tellProgress(_ out: inout [Emission]) {
        let minutes = session.secondsLeft / 60
        guard session.phase == .printing, minutes != saidMinutes else { return }
        saidMinutes = minutes
        let percent = Int64(session.progress * 100)
        let left = minutes < 60 ? "\(minutes)m" : "\(minutes / 60)h \(minutes % 60)m"
        say(["echo: M73 Progress: \(percent)%; Time left: \(left);"], &out)
    }

    private mutating func tellWaiting(_ at: Instant, _ out: inout [Emission]) {
        if session.phase == .heating {
            say([" " + MarlinBoard.heat(moment(at)) + " W:?"], &out)
            nextWord = at + .seconds(1)
        } else {
            say(["echo:busy: paused for user"], &out)
            nextWord = at + .seconds(2)
        }
    }
}
