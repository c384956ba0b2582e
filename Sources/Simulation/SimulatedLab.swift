package import Model

/// A maker space whose devices speak their real protocols byte for byte, and whose truth is known:
///
///     printer    OctoPrint over MQTT (`octoPrint/…`) on Tasmota plug `printer-plug`
///     shredder   Tasmota plug `shredder-plug`
///     laser      Grbl on wire `grbl`, SDM120 unit 1 on wire `bus1`
///     press      TK4 units 3 and 4 and SDM120 unit 5 on wire `bus2`, line JSON on wire `press`, a scale on `scale`
///
/// A value without a clock: the same seed gives the same lab, in whatever steps time is advanced and however often its
/// serial devices are asked.
package struct SimulatedLab: SimulatedPlace {
    package static let machines = ["printer", "shredder", "laser", "press"]

    package var machines: [String] { Self.machines }

    private let start: Instant
    private var now: Instant
    private var printer: Printer
    private var shredder: Shredder
    private var laser: Laser
    private var press: Press
    /// Said while somebody asked, before time was advanced that far.
    private var waiting: [Emission] = []
    /// Nobody took them for an hour; the oldest go.
    private static let mostWaiting = 10_000

    package init(seed: UInt64, start: Instant, profile: LabProfile = .demo) {
        self.start = start
        now = start
        var random = SeededRandom(seed)
        printer = Printer(profile, random: random.fork(), start: start)
        shredder = Shredder(profile, random: random.fork(), start: start)
        laser = Laser(profile, random: random.fork(), start: start)
        press = Press(profile, random: random.fork(), start: start)
    }

    /// When something happens next.
    package var nextEvent: Instant {
        waiting.isEmpty ? min(printer.next, shredder.next, laser.next, press.next) : now
    }

    package mutating func live(quietlyBefore end: Instant) -> Instant {
        while waiting.isEmpty, nextEvent < end { tick() }
        guard waiting.isEmpty else { return min(now, end) }
        let next = min(nextEvent, end)
        now = max(now, next - .milliseconds(1))
        return next
    }

    /// Plays up to and including `time`, and hands over what is said on the way, in the order of time.
    package mutating func advance(to time: Instant, _ emit: (Emission) -> Void) {
        for emission in waiting { emit(emission) }
        waiting.removeAll(keepingCapacity: true)
        while nextEvent <= time {
            tick()
            for emission in waiting { emit(emission) }
            waiting.removeAll(keepingCapacity: true)
        }
        now = max(now, time)
    }

    /// Bytes for the devices on a serial wire, and what they answer; nothing on a wire that does not exist.
    package mutating func received(_ bytes: [UInt8], on wire: String, at time: Instant) -> [[UInt8]] {
        while min(printer.next, shredder.next, laser.next, press.next) <= time {
            tick()
            if waiting.count > Self.mostWaiting { waiting.removeFirst(Self.mostWaiting / 2) }
        }
        now = max(now, time)
        return switch wire {
        case "bus1", "grbl": laser.received(bytes, on: wire, at: now)
        case "bus2": press.received(bytes, on: wire, at: now)
        default: []
        }
    }

    /// What really happened until now.
    package var truth: Truth {
        Truth(
            ["printer": printer.record, "shredder": shredder.record, "laser": laser.record, "press": press.record],
            start: start, until: now)
    }

    /// One line a machine: what it does now.
    package var description: [String] {
        func line(_ name: String, _ record: MachineRecord, _ doing: String) -> String {
            func padded(_ text: String, _ width: Int) -> String {
                text + String(repeating: " ", count: max(1, width - text.utf8.count))
            }
            let watts = fixed(Double(record.energy.power) / 1000, 1)
            return padded(name, 10) + padded(record.state.rawValue, 11) + padded("\(watts) W", 11) + doing
        }
        return [
            line("printer", printer.record, printer.doing), line("shredder", shredder.record, shredder.doing),
            line("laser", laser.record, laser.doing), line("press", press.record, press.doing),
        ]
    }

    package func word(on wire: String, unit: UInt8) -> WireWord? {
        switch wire {
        case "grbl": WireWord(machine: "laser", tellsState: unit == GrblController.reportMark, tellsEnergy: false)
        case "bus1": WireWord(machine: "laser", tellsState: false, tellsEnergy: true)
        case "bus2": WireWord(machine: "press", tellsState: false, tellsEnergy: unit == 5)
        case "press": WireWord(machine: "press", tellsState: true, tellsEnergy: false, tellsShots: true)
        case "scale": WireWord(machine: "press", tellsState: false, tellsEnergy: false, tellsMass: true)
        default: nil
        }
    }

    // MARK: mishaps

    /// The plug of a machine loses its mains for a moment: it restarts, and its count falls back by today's energy
    /// until its clock has found the time again. False where the machine has no plug.
    package mutating func cutPower(of machine: String) -> Bool {
        switch machine {
        case "printer": printer.losePower(at: now, &waiting)
        case "shredder": shredder.losePower(at: now, &waiting)
        default: false
        }
    }

    /// Somebody sets the count of a machine's plug to zero. False where the machine has no plug.
    package mutating func resetCounter(of machine: String) -> Bool {
        switch machine {
        case "printer": printer.resetCounter(at: now)
        case "shredder": shredder.resetCounter(at: now)
        default: false
        }
    }

    /// The machine whose turn it is lives for a second.
    private mutating func tick() {
        let next = min(printer.next, shredder.next, laser.next, press.next)
        now = max(now, next)
        if printer.next == next {
            printer.tick(&waiting)
        } else if shredder.next == next {
            shredder.tick(&waiting)
        } else if laser.next == next {
            laser.tick(&waiting)
        } else {
            press.tick(&waiting)
        }
    }
}
