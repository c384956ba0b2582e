import Model

/// The middle of an OBIS code (IEC 62056-61): which quantity, how it is measured, which tariff.
struct ObisCode: Hashable, Sendable {
    let c: UInt8
    let d: UInt8
    let e: UInt8

    init(_ c: UInt8, _ d: UInt8, _ e: UInt8) {
        self.c = c
        self.d = d
        self.e = e
    }
}

/// What a meter's code means here. Phase 0 is all phases, tariff 0 all tariffs.
enum ObisQuantity: Hashable {
    case energyIn(tariff: Int), energyOut(tariff: Int)
    case powerIn(phase: Int), powerOut(phase: Int), powerSigned(phase: Int)
    case current(phase: Int), voltage(phase: Int)
    case frequency, powerFactor

    init?(_ code: ObisCode) {
        let phase = Int(code.c) / 20
        switch (code.c, code.d, code.e) {
        case (1, 8, 0...8): self = .energyIn(tariff: Int(code.e))
        case (2, 8, 0...8): self = .energyOut(tariff: Int(code.e))
        case (_, 7, let e) where e != 0 && e != 255: return nil
        case (1, 7, _), (21, 7, _), (41, 7, _), (61, 7, _): self = .powerIn(phase: phase)
        case (2, 7, _), (22, 7, _), (42, 7, _), (62, 7, _): self = .powerOut(phase: phase)
        case (16, 7, _), (36, 7, _), (56, 7, _), (76, 7, _): self = .powerSigned(phase: phase)
        case (31, 7, _), (51, 7, _), (71, 7, _): self = .current(phase: phase)
        case (32, 7, _), (52, 7, _), (72, 7, _): self = .voltage(phase: phase)
        case (14, 7, _): self = .frequency
        case (13, 7, _): self = .powerFactor
        default: return nil
        }
    }

    /// The unit that readings of it have.
    var unit: Unit {
        switch self {
        case .energyIn, .energyOut: .milliwattHour
        case .powerIn, .powerOut, .powerSigned: .watt
        case .current: .ampere
        case .voltage: .volt
        case .frequency: .hertz
        case .powerFactor: .one
        }
    }
}

/// What one telegram of a meter tells, gathered until the telegram has proved whole. Each register has one place, so
/// that a line that stands twice counts once.
struct MeterSnapshot: Sendable {
    /// What meters of this kind can give. Not every meter tells all of it.
    static let channels: [Channel] = [
        .gauge("power", .watt, -1e6...1e6), .gauge("power.l1", .watt, -1e6...1e6),
        .gauge("power.l2", .watt, -1e6...1e6),
        .gauge("power.l3", .watt, -1e6...1e6), .gauge("voltage.l1", .volt, 0...500),
        .gauge("voltage.l2", .volt, 0...500), .gauge("voltage.l3", .volt, 0...500),
        .gauge("current.l1", .ampere, -5000...5000), .gauge("current.l2", .ampere, -5000...5000),
        .gauge("current.l3", .ampere, -5000...5000), .gauge("frequency", .hertz, 40...70),
        .gauge("power_factor", .one, -1...1), .counter("energy", .milliwattHour, resolution: 1000),
        .counter("energy.export", .milliwattHour, resolution: 1000), .exchange,
    ]
    private static let voltage = 4, current = 7, frequency = 10, powerFactor = 11, energy = 12, export = 13
    private static let exchange = 14

    /// A hash of the serial number; nil where the telegram has none.
    var serial: UInt64?

    /// One for each channel before the energies.
    private var numbers = InlineArray<12, Double?>(repeating: nil)
    /// By phase; 0 is all of them.
    private var powerIn = InlineArray<4, Double?>(repeating: nil)
    private var powerOut = InlineArray<4, Double?>(repeating: nil)
    /// By tariff; 0 is the total.
    private var imported = InlineArray<9, Double?>(repeating: nil)
    private var exported = InlineArray<9, Double?>(repeating: nil)

    /// A register was there and no number: what would be computed from it is not told.
    private var hasSpoiledEnergy = false
    private var hasSpoiledPower = InlineArray<4, Bool>(repeating: false)

    mutating func clear() { self = MeterSnapshot() }

    /// `value` is in `quantity.unit`.
    mutating func take(_ quantity: ObisQuantity, _ value: Double) {
        switch quantity {
        case .energyIn(let tariff): imported[tariff] = value
        case .energyOut(let tariff): exported[tariff] = value
        case .powerIn(let phase): powerIn[phase] = value
        case .powerOut(let phase): powerOut[phase] = value
        case .powerSigned(let phase): numbers[phase] = value
        case .current(let phase): numbers[Self.current + phase - 1] = value
        case .voltage(let phase): numbers[Self.voltage + phase - 1] = value
        case .frequency: numbers[Self.frequency] = value
        case .powerFactor: numbers[Self.powerFactor] = value
        }
    }

    /// This register is no number in this telegram. A sum without one tariff would be a fall of the counter.
    mutating func spoil(_ quantity: ObisQuantity) {
        switch quantity {
        case .energyIn, .energyOut: hasSpoiledEnergy = true
        case .powerIn(let phase), .powerOut(let phase), .powerSigned(let phase): hasSpoiledPower[phase] = true
        default: break
        }
    }

    /// Which registers of energy this telegram holds. A lost line takes a tariff out of the sum, and this shows it.
    var energyRegisters: UInt32 {
        var mask: UInt32 = 0
        for i in 0..<9 {
            if imported[i] != nil { mask |= 1 << UInt32(i) }
            if exported[i] != nil { mask |= 1 << UInt32(16 + i) }
        }
        return mask
    }

    /// Says so where another meter speaks than before; comes before its values. `isProved` by a checksum.
    func reportExchange(_ identity: inout Identity, isProved: Bool, at time: Instant?, _ out: inout Outbox) {
        guard let serial else { return }
        let before = identity.memory
        if identity.isOther(serial, isProved: isProved) {
            out.report(Self.exchange, event: "another serial number", at: time)
        }
        if let memory = identity.memory, memory != before { out.remember(memory) }
    }

    /// Writes what is known. What comes in and what goes out are two registers; their difference is `power`. Where a
    /// meter has no total, the tariffs are added up.
    func report(withEnergy: Bool, at time: Instant?, _ out: inout Outbox) {
        let channels = Self.channels
        for i in 0..<numbers.count {
            var number = numbers[i]
            if i < 4, number == nil, let inward = powerIn[i] { number = inward - (powerOut[i] ?? 0) }
            if i < 4, number == nil, let outward = powerOut[i], outward > 0 { number = -outward }
            if i < 4, hasSpoiledPower[i] { continue }
            if let number { out.report(i, of: channels, number, at: time) }
        }
        guard withEnergy, !hasSpoiledEnergy else { return }
        if let total = Self.total(imported) { out.report(Self.energy, of: channels, total, at: time) }
        if let total = Self.total(exported) { out.report(Self.export, of: channels, total, at: time) }
    }

    private static func total(_ registers: InlineArray<9, Double?>) -> Double? {
        if let total = registers[0] { return total }
        var sum: Double?
        for i in 1..<9 { if let register = registers[i] { sum = (sum ?? 0) + register } }
        return sum
    }
}
