import Model

/// PZEM-016, a meter with a split core on RS-485: ten input registers (function 4) from 0, low word first.
///
///     0 0.1 V   1–2 mA   3–4 0.1 W   5–6 Wh   7 0.1 Hz   8 power factor, 0.01   9 alarm (0xFFFF or 0)
struct PZEM016: Hashable, Sendable {
    let unit: UInt8
    /// What the register showed before the simulation began.
    let firstWattHours: Int64

    func answer(_ question: ModbusEar.Question, _ load: ElectricalLoad, microjoules: Int64) -> [UInt8] {
        guard question.function == 4 else { return ModbusAnswer.exception(1, to: question) }
        let first = Int(question.address)
        let end = first + Int(question.count)
        guard question.count >= 1, end <= 10 else { return ModbusAnswer.exception(2, to: question) }
        let amperes = Int64((load.amperes * 1000).rounded())
        let watts = Int64((load.watts * 10).rounded())
        let energy = firstWattHours + microjoules / 3_600_000_000
        func low(_ value: Int64) -> UInt16 { UInt16(truncatingIfNeeded: value) }
        func high(_ value: Int64) -> UInt16 { UInt16(truncatingIfNeeded: value >> 16) }
        let all = [
            low(Int64((load.volts * 10).rounded())), low(amperes), high(amperes), low(watts), high(watts),
            low(energy), high(energy), low(Int64((load.hertz * 10).rounded())),
            low(Int64((load.factor * 100).rounded())), 0,
        ]
        return ModbusAnswer.registers(Array(all[first..<end]), to: question)
    }
}

/// Something big that runs by itself while people are there, such as a compressor or an extractor, with a PZEM-016 on a
/// bus that it shares with others. Nothing tells its state but the power that is asked for now and then.
struct MeteredPlant: LabPart {
    private(set) var record: MachineRecord
    private(set) var next: Instant
    private let profile: LabProfile
    private let bus: String
    private let kind: ToolKind
    private let meter: PZEM016
    private var random: SeededRandom
    private var supply = MainsSupply()
    private var ear = ModbusEar()
    private var isWorking = false

    init(
        _ profile: LabProfile, _ kind: ToolKind, unit: UInt8, bus: String, random: SeededRandom, start: Instant
    ) {
        self.profile = profile
        self.kind = kind
        self.bus = bus
        self.random = random
        meter = PZEM016(unit: unit, firstWattHours: self.random.seconds(1000, 900_000))
        record = MachineRecord(.idle, at: start)
        next = start + .milliseconds(self.random.seconds(0, 60_000))
    }

    var doing: String { isWorking ? "works" : "waits" }

    mutating func tick(_ out: inout [Emission]) {
        let at = next
        supply.wander(&random)
        isWorking = !isWorking && profile.comes(at: at, &random)
        record.enter(isWorking ? .running : .idle, at: at)
        let range = kind.working
        record.set(watts: isWorking ? random.between(range.lowerBound, range.upperBound) : kind.standby, at: at)
        let length = Int64.random(in: isWorking ? kind.run : kind.pause, using: &random)
        let begin = isWorking || profile.isOpen(at: at) ? at : profile.nextOpening(after: at)
        next = begin + .seconds(length)
    }

    mutating func received(_ bytes: [UInt8], on wire: String, at: Instant) -> [[UInt8]] {
        guard wire == bus else { return [] }
        return ear.hear(bytes).filter { $0.unit == meter.unit }.map { question in
            let load = ElectricalLoad(
                watts: Double(record.energy.power) / 1000, factor: isWorking ? kind.factor : 0.5, supply)
            return meter.answer(question, load, microjoules: record.energy.energy(at: at))
        }
    }
}

extension ToolKind {
    static let compressor = ToolKind(
        name: "compressor", standby: 4, working: 2100...2400, factor: 0.83, run: 900...2400, pause: 1800...7200,
        runs: 1...1, gap: 1...1)
    static let extractor = ToolKind(
        name: "extractor", standby: 2, working: 1050...1200, factor: 0.8, run: 1800...7200, pause: 1800...10_800,
        runs: 1...1, gap: 1...1)
    static let kiln = ToolKind(
        name: "kiln", standby: 6, working: 3000...3400, factor: 1, run: 7200...18_000, pause: 36_000...86_400,
        runs: 1...1, gap: 1...1)
}
