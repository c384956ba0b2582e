import Model

/// A desk factory: a heated barrel with a TK4, unit 3, and an SDM120, unit 5, on wire `bus2`, and a board that counts
/// shots on wire `press`, one JSON object a line:
///
///     {"v":1,"id":"press","boot":3,"up":81234,"shots":1042,"clamp":1,"in":[1,0]}
///
/// Its true state follows the rule for presses: idle (off) while the set value is down, running while the last shot is
/// less than 15 minutes old, preparing until the barrel was hot for 10 minutes, else idle (ready).
struct Press: LabPart {
    private enum Phase: Hashable { case off, heating, shooting, resting, lingering }

    private(set) var record: MachineRecord
    private(set) var next: Instant
    private let profile: LabProfile
    private var random: SeededRandom
    private var supply = MainsSupply()
    private var ear = ModbusEar()
    private let controller = AutonicsTK4(unit: 3)
    private let meter = EastronSDM120(unit: 5, firstKilowattHours: 87.902)
    private let bus: String
    private let board: String
    private var phase = Phase.off
    private var ends: Instant
    private var setpoint = 0.0
    private var temperature = 22.0
    private var duty = 0.0
    private var hotSince: Instant?
    private var lastShot = Instant.distantPast
    private var shots: Int64 = 1041
    private var shotsLeft = 0
    private var isSecondSeries = false
    private var clampOpens: Instant?
    private var nextLine: Instant
    private var brokenUntil = Instant.distantPast
    private var breaksAt = Instant.distantFuture
    private var noise = 0.0
    private var ticks = 0
    private let start: Instant

    private static let heater = 760.0
    /// J/K of the barrel and W/K to the room.
    private static let capacity = 2200.0
    private static let loss = 1.0
    private static let room = 22.0

    /// Its controller and meter are on wire `bus`, its counter on wire `board`.
    init(
        _ profile: LabProfile, random: SeededRandom, start: Instant, bus: String = "bus2", board: String = "press"
    ) {
        self.profile = profile
        self.bus = bus
        self.board = board
        self.random = random
        self.start = start
        record = MachineRecord(.idle, at: start)
        next = start + .milliseconds(750)
        nextLine = next
        ends = next + .seconds(self.random.seconds(30, 180))
    }

    /// For people.
    var doing: String {
        guard setpoint > 0 else { return "heater off, \(fixed(temperature, 0)) °C" }
        let sensor = shown == nil ? ", sensor broken" : ""
        return "\(fixed(temperature, 1)) of \(fixed(setpoint, 0)) °C, \(shots) shots\(sensor)"
    }

    /// A second; in a coarse lab, a cold press waits until something happens.
    mutating func tick(_ out: inout [Emission]) {
        let at = next
        next = at + .seconds(1)
        if ticks % 5 == 0 {
            noise = random.between(-1, 1)
            supply.wander(&random)
        }
        follow(at, &out)
        breakSensor(at)
        heat()
        if ticks % 5 == 0 || setpoint == 0 { record.set(watts: watts, at: at) }
        settle(at)
        if at >= nextLine { tell(at, &out) }
        ticks += 1
        let isCold = setpoint == 0 && temperature < Self.room + 1
        if profile.isCoarse, isCold { next = max(next, min(nextLine, ends)) }
    }

    mutating func received(_ bytes: [UInt8], on wire: String, at: Instant) -> [[UInt8]] {
        guard wire == bus else { return [] }
        return ear.hear(bytes).compactMap { question in
            if question.unit == controller.unit {
                return controller.answer(
                    question,
                    AutonicsTK4.Now(
                        temperature: shown, setpoint: setpoint, duty: duty, amperes: duty * Self.heater / supply.volts))
            }
            guard question.unit == meter.unit else { return nil }
            let load = ElectricalLoad(watts: Double(record.energy.power) / 1000, factor: 0.99, supply)
            return meter.answer(question, load, microjoules: record.energy.energy(at: at))
        }
    }

    // MARK: heat

    /// What the controller shows: tenths of a degree, or nothing while its sensor is broken.
    private var shown: Double? {
        next <= brokenUntil ? nil : ((temperature + 0.1 * noise) * 10).rounded() / 10
    }

    private mutating func heat() {
        if setpoint == 0 || shown == nil {
            duty = 0
        } else {
            let hold = Self.loss * (setpoint - Self.room) / Self.heater
            duty = min(1, max(0, hold + (setpoint - temperature) * 0.06))
        }
        temperature += (duty * Self.heater - Self.loss * (temperature - Self.room)) / Self.capacity
    }

    private var watts: Double {
        guard setpoint > 0 else { return 2.5 }
        // The compressor runs while the clamp is shut.
        return max(2.5, 9 + duty * Self.heater * (1 + 0.01 * noise) + (clampOpens == nil ? 0 : 340 + 12 * noise))
    }

    private mutating func breakSensor(_ at: Instant) {
        guard at >= breaksAt else { return }
        brokenUntil = at + .seconds(random.seconds(60, 180))
        breaksAt = .distantFuture
    }

    // MARK: what people do

    private mutating func follow(_ at: Instant, _ out: inout [Emission]) {
        if let opens = clampOpens, at >= opens {
            clampOpens = nil
            tell(at, &out)
        }
        switch phase {
        case .off: if at >= ends { begin(at) }
        case .heating:
            guard let hotSince, at >= hotSince + .seconds(640) else { return }
            beginSeries(random.seconds(8, 14), at)
        case .shooting: if at >= ends { shoot(at, &out) }
        case .resting:
            guard at >= ends else { return }
            if temperature >= setpoint - 5 { beginSeries(random.seconds(4, 8), at) }
        case .lingering: if at >= ends { leave(at) }
        }
    }

    private mutating func begin(_ at: Instant) {
        guard profile.comes(at: at, &random) else {
            return ends = profile.nextOpening(after: at) + .seconds(random.seconds(300, 900))
        }
        // Polypropylene, most of the time.
        setpoint = random.chance(0.7) ? 200 : 190
        isSecondSeries = false
        phase = .heating
    }

    private mutating func beginSeries(_ count: Int64, _ at: Instant) {
        phase = .shooting
        shotsLeft = Int(count)
        ends = at + .seconds(random.seconds(10, 120))
        if profile.sensorBreaks { breaksAt = at + .seconds(random.seconds(300, 900)) }
    }

    private mutating func shoot(_ at: Instant, _ out: inout [Emission]) {
        shots += 1
        shotsLeft -= 1
        lastShot = at
        record.shot(at: at)
        // Cold pellets.
        temperature -= random.between(1.5, 3)
        clampOpens = at + .seconds(random.seconds(25, 40))
        tell(at, &out)
        ends = at + .seconds(random.seconds(110, 270))
        guard shotsLeft == 0 else { return }
        phase = isSecondSeries || !profile.isOpen(at: at) ? .lingering : .resting
        isSecondSeries = true
        ends = at + .seconds(random.seconds(1200, 1700))
    }

    private mutating func leave(_ at: Instant) {
        setpoint = 0
        phase = .off
        ends = at + .seconds(profile.isCoarse ? random.seconds(7200, 28_800) : random.seconds(1800, 3600))
    }

    // MARK: what follows

    private mutating func settle(_ at: Instant) {
        let isHot = setpoint > 0 && (shown.map { $0 >= setpoint - 5 } ?? false)
        hotSince = isHot ? hotSince ?? at : nil
        record.enter(trueState(at), at: at)
    }

    private func trueState(_ at: Instant) -> MachineState {
        if shown == nil { return .fault }
        if setpoint == 0 { return .idle }
        if at < lastShot + .minutes(15) { return .running }
        guard let hotSince, at >= hotSince + .minutes(10) else { return .preparing }
        return .idle
    }

    private mutating func tell(_ at: Instant, _ out: inout [Emission]) {
        nextLine = at + .seconds(profile.isCoarse ? 120 : 5)
        let clamp = clampOpens == nil ? 0 : 1
        let up = (at - start).milliseconds / 1000 + 81_234
        out.append(
            .line(
                board,
                #"{"v":1,"id":"press","boot":3,"up":\#(up),"shots":\#(shots),"clamp":\#(clamp),"in":[\#(clamp),0]}"#,
                end: "\n"))
    }
}
