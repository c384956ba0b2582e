import Model

/// A plastic shredder that nothing but its plug tells about: off, waiting, or running in bursts, with jams in which the
/// motor reverses for two seconds.
struct Shredder: PluggedPart {
    private enum Phase: Hashable { case off, waiting, running }

    private(set) var record: MachineRecord
    var plug: TasmotaPlug
    private(set) var next: Instant
    private let profile: LabProfile
    private var random: SeededRandom
    private var supply = MainsSupply()
    private var phase = Phase.off
    private var ends: Instant
    private var burstsLeft = 0
    private var burden = 1000.0
    private var jam: Int64 = 0
    private var ticks = 0

    init(_ profile: LabProfile, random: SeededRandom, start: Instant) {
        self.profile = profile
        self.random = random
        record = MachineRecord(.idle, at: start)
        plug = TasmotaPlug(
            topic: "shredder-plug", wattHours: 412_044, yesterday: 1902, today: 0, utcOffset: profile.utcOffset,
            start: start)
        next = start + .milliseconds(250)
        ends = next + .seconds(self.random.seconds(60, 240))
    }

    var load: ElectricalLoad {
        ElectricalLoad(watts: Double(record.energy.power) / 1000, factor: phase == .running ? 0.81 : 0.48, supply)
    }

    /// For people.
    var doing: String {
        switch phase {
        case .off: "switched off"
        case .waiting: "waits for plastic"
        case .running: jam > 0 ? "jammed, reverses" : "shreds"
        }
    }

    /// One second.
    mutating func tick(_ out: inout [Emission]) {
        let at = next
        next = at + .seconds(1)
        if ticks == 0 { plug.connect(at, load, 0, &out) }
        if at >= ends { proceed(at, &out) }
        if ticks % 5 == 0 {
            supply.wander(&random)
            burden = min(1500, max(750, burden + random.between(-160, 160)))
        }
        if jam > 0 { jam -= 1 } else if phase == .running, random.chance(0.004) { jam = 2 }
        record.set(watts: watts, at: at)
        plug.tick(at, load, record.energy.energy(at: at), &out)
        ticks += 1
    }

    private var watts: Double {
        switch phase {
        case .off: 0
        case .waiting: 6.4
        case .running: jam > 0 ? 620 : burden
        }
    }

    private mutating func proceed(_ at: Instant, _ out: inout [Emission]) {
        switch phase {
        case .off:
            guard profile.isOpen(at: at) else { return ends = at + .seconds(random.seconds(300, 900)) }
            plug.turn(on: true, &out)
            burstsLeft = Int(random.seconds(6, 18))
            go(.waiting, for: random.seconds(20, 90), at)
        case .waiting:
            if burstsLeft > 0, profile.isOpen(at: at) {
                burstsLeft -= 1
                go(.running, for: random.seconds(40, 260), at)
            } else {
                plug.turn(on: false, &out)
                go(.off, for: random.seconds(900, 3600), at)
            }
        case .running:
            jam = 0
            // A tired person takes a longer break.
            go(.waiting, for: random.chance(0.15) ? random.seconds(300, 700) : random.seconds(20, 150), at)
        }
    }

    private mutating func go(_ phase: Phase, for seconds: Int64, _ at: Instant) {
        self.phase = phase
        ends = at + .seconds(seconds)
        record.enter(phase == .running ? .running : .idle, at: at)
    }
}
