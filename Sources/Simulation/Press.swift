import Model

/// A desk factory: a barrel and a nozzle with a TK4 each, units 3 and 4, and an SDM120, unit 5, on wire `bus2`, a scale
/// for its good parts on wire `scale`, and a board on wire `press` that counts shots and bad items and has a button for
/// each mould, one JSON object a line:
///
///     {"v":1,"id":"press","boot":3,"up":81234,"shots":1042,"scrap":12,"clamp":1,"in":[1,0]}
///     {"v":1,"id":"press","boot":3,"up":81235,"shots":1042,"scrap":12,"clamp":0,"in":[0,0],"button":"mould2"}
///
/// Whoever begins says which mould is in it, heats, lets it soak, makes some shots, judges each part when it is cool,
/// and lays the good ones on the scale.
///
/// Its true state follows the rule for presses: idle (off) while the set value is down, running while the last shot is
/// less than 15 minutes old, preparing until all zones were hot for 10 minutes, else idle (ready).
struct Press: LabPart {
    private enum Phase: Hashable { case off, heating, shooting, resting, lingering }

    private(set) var record: MachineRecord
    private(set) var next: Instant
    private let profile: LabProfile
    private var random: SeededRandom
    private var supply = MainsSupply()
    private var ear = ModbusEar()
    private let controllers = [AutonicsTK4(unit: 3), AutonicsTK4(unit: 4)]
    private let meter = EastronSDM120(unit: 5, firstKilowattHours: 87.902)
    private let bus: String
    private let board: String
    private var phase = Phase.off
    private var ends: Instant
    private var zones = [PressZone.barrel, .nozzle]
    private var hotSince: Instant?
    private var lastShot = Instant.distantPast
    private var shots: Int64 = 1041
    private var scrap: Int64 = 12
    private var mould = PressMould.all[0]
    private var scale: PressScale
    /// When what was shot last is cool, and somebody looks at it.
    private var judges: Instant?
    private var shotsLeft = 0
    private var isSecondSeries = false
    private var clampOpens: Instant?
    private var nextLine: Instant
    private var brokenUntil = Instant.distantPast
    private var breaksAt = Instant.distantFuture
    private var noise = 0.0
    private var ticks = 0
    private let start: Instant

    /// Its controllers and its meter are on wire `bus`, its counter on wire `board`, its scale on wire `scale`.
    init(
        _ profile: LabProfile, random: SeededRandom, start: Instant, bus: String = "bus2", board: String = "press",
        scale: String = "scale"
    ) {
        self.profile = profile
        self.bus = bus
        self.board = board
        self.random = random
        self.start = start
        record = MachineRecord(.idle, at: start)
        next = start + .milliseconds(750)
        nextLine = next
        self.scale = PressScale(wire: scale, pace: profile.isCoarse ? 120 : 5, start: next)
        ends = next + .seconds(self.random.seconds(30, 180))
    }

    /// For people.
    var doing: String {
        let barrel = zones[0]
        guard barrel.setpoint > 0 else { return "heater off, \(fixed(barrel.temperature, 0)) °C" }
        let sensor = isBroken ? ", sensor broken" : ""
        return "\(fixed(barrel.temperature, 1)) of \(fixed(barrel.setpoint, 0)) °C, \(mould.name), "
            + "\(shots) shots\(sensor)"
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
        for index in zones.indices { zones[index].heat(sees: index > 0 || !isBroken) }
        if ticks % 5 == 0 || zones[0].setpoint == 0 { draw(at) }
        settle(at)
        scale.tick(at: at, &out)
        if at >= nextLine { tell(at, &out) }
        ticks += 1
        if profile.isCoarse, zones.allSatisfy(\.isCold) { next = max(next, min(nextLine, ends, scale.next)) }
    }

    mutating func received(_ bytes: [UInt8], on wire: String, at: Instant) -> [[UInt8]] {
        guard wire == bus else { return [] }
        return ear.hear(bytes).compactMap { question in
            if let index = controllers.firstIndex(where: { $0.unit == question.unit }) {
                return controllers[index].answer(question, now(index))
            }
            guard question.unit == meter.unit else { return nil }
            let load = ElectricalLoad(watts: Double(record.energy.power) / 1000, factor: 0.99, supply)
            return meter.answer(question, load, microjoules: record.energy.energy(at: at))
        }
    }

    // MARK: heat

    /// The barrel's thermocouple is loose.
    private var isBroken: Bool { next <= brokenUntil }

    private func now(_ index: Int) -> AutonicsTK4.Now {
        let zone = zones[index]
        return AutonicsTK4.Now(
            temperature: index == 0 && isBroken ? nil : zone.shown(noise), setpoint: zone.setpoint, duty: zone.duty,
            amperes: zone.watts / supply.volts)
    }

    /// Draws what it needs from now on.
    private mutating func draw(_ at: Instant) {
        guard zones[0].setpoint > 0 else { return record.set(watts: 2.5, at: at) }
        var heat = 0.0
        for index in zones.indices { heat += zones[index].watts }
        // The compressor runs while the clamp is shut.
        let watts = max(2.5, 9 + heat * (1 + 0.01 * noise) + (clampOpens == nil ? 0 : 340 + 12 * noise))
        record.set(watts: watts, at: at)
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
        if let judges, at >= judges { judge(at, &out) }
        switch phase {
        case .off: if at >= ends { begin(at, &out) }
        case .heating:
            guard let hotSince, at >= hotSince + .seconds(640) else { return }
            beginSeries(random.seconds(8, 14), at)
        case .shooting: if at >= ends { shoot(at, &out) }
        case .resting:
            guard at >= ends else { return }
            if zones[0].temperature >= zones[0].setpoint - 5 { beginSeries(random.seconds(4, 8), at) }
        case .lingering: if at >= ends { leave(at, &out) }
        }
    }

    private mutating func begin(_ at: Instant, _ out: inout [Emission]) {
        guard profile.comes(at: at, &random) else {
            return ends = profile.nextOpening(after: at) + .seconds(random.seconds(300, 900))
        }
        // Polypropylene, most of the time.
        let number = random.chance(0.7) ? 0 : 1
        mould = PressMould.all[number]
        for index in zones.indices { zones[index].setpoint = mould.heat }
        record.chose(at: at)
        tell(at, button: "mould\(number + 1)", &out)
        scale.begin(at: at, &out)
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
        // Cold pellets.
        zones[0].cool(by: random.between(1.5, 3))
        // No two shots weigh the same.
        let mass = Int64((mould.shot * 1000 * random.between(0.99, 1.01)).rounded())
        record.shot(TruePart(shot: at, polymer: mould.polymer, mass: mass, items: mould.items))
        judges = at + .seconds(random.seconds(45, 80))
        clampOpens = at + .seconds(random.seconds(25, 40))
        tell(at, &out)
        ends = at + .seconds(random.seconds(110, 270))
        guard shotsLeft == 0 else { return }
        phase = isSecondSeries || !profile.isOpen(at: at) ? .lingering : .resting
        isSecondSeries = true
        ends = at + .seconds(random.seconds(1200, 1700))
    }

    /// A cool part is good, or it is rejected at the board; of several in a shot perhaps only some are.
    private mutating func judge(_ at: Instant, _ out: inout [Emission]) {
        judges = nil
        let bad = random.chance(0.08) ? random.seconds(1, mould.items) : 0
        record.judged(bad: bad, at: at)
        if bad > 0 {
            scrap += bad
            tell(at, button: "reject", &out)
        }
        if let part = record.parts.last, part.product > 0 { scale.lay(part.product, at: at, &out) }
    }

    private mutating func leave(_ at: Instant, _ out: inout [Emission]) {
        for index in zones.indices { zones[index].setpoint = 0 }
        scale.empty(at: at, &out)
        phase = .off
        ends = at + .seconds(profile.isCoarse ? random.seconds(7200, 28_800) : random.seconds(1800, 3600))
    }

    // MARK: what follows

    private mutating func settle(_ at: Instant) {
        // By index, and not in a function of its own that changes nothing: that copied the whole press each time.
        let isBroken = next <= brokenUntil
        var isHot = !isBroken
        for index in zones.indices
        where zones[index].setpoint <= 0 || zones[index].shown(noise) < zones[index].setpoint - 5 {
            isHot = false
        }
        hotSince = isHot ? hotSince ?? at : nil
        var state = MachineState.preparing
        if isBroken {
            state = .fault
        } else if zones[0].setpoint == 0 {
            state = .idle
        } else if at < lastShot + .minutes(15) {
            state = .running
        } else if let hotSince, at >= hotSince + .minutes(10) {
            state = .idle
        }
        record.enter(state, at: at)
    }

    private mutating func tell(_ at: Instant, button: FirmwareText? = nil, _ out: inout [Emission]) {
        nextLine = at + .seconds(profile.isCoarse ? 120 : 5)
        let clamp = clampOpens == nil ? 0 : 1
        let up = (at - start).milliseconds / 1000 + 81_234
        var text: FirmwareText = #"{"v":1,"id":"press","boot":3,"up":\#(up),"shots":\#(shots),"scrap":\#(scrap),"#
        text.add(clamp == 0 ? #""clamp":0,"in":[0,0]"# : #""clamp":1,"in":[1,0]"#)
        if let button {
            text.add(#","button":""#)
            text.add(button.bytes)
            text.add(#"""#)
        }
        text.add("}")
        out.append(.line(board, text, end: "\n"))
    }
}
