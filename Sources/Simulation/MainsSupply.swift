/// What comes out of the wall: voltage and frequency that wander, and what a load of some watts makes of them.
struct MainsSupply: Hashable, Sendable {
    private(set) var volts = 220.0
    private(set) var hertz = 60.0

    mutating func wander(_ random: inout SeededRandom) {
        volts = min(226, max(214, volts + random.between(-0.6, 0.6) + (220 - volts) * 0.05))
        hertz = min(60.06, max(59.94, hertz + random.between(-0.01, 0.01) + (60 - hertz) * 0.1))
    }
}

/// One moment of one load.
struct ElectricalLoad: Hashable, Sendable {
    let watts: Double
    let volts: Double
    let hertz: Double
    let factor: Double

    init(watts: Double, factor: Double, _ supply: MainsSupply) {
        self.watts = watts
        self.factor = watts > 0 ? factor : 0
        volts = supply.volts
        hertz = supply.hertz
    }

    var voltAmperes: Double { factor > 0 ? watts / factor : 0 }
    var reactive: Double { max(0, voltAmperes * voltAmperes - watts * watts).squareRoot() }
    var amperes: Double { volts > 0 ? voltAmperes / volts : 0 }
}
