import Model

/// What a kind of power tool draws, and how it is used.
struct ToolKind: Sendable {
    let name: String
    /// W while it waits, and while it works.
    let standby: Double
    let working: ClosedRange<Double>
    let factor: Double
    /// Seconds of one run and of the pause after it.
    let run: ClosedRange<Int64>
    let pause: ClosedRange<Int64>
    /// Runs of one person, and seconds until the next one comes.
    let runs: ClosedRange<Int64>
    let gap: ClosedRange<Int64>
}

/// A power tool that nothing but its plug tells about: switched off, waiting, or working.
struct Tool: PluggedPart {
    private enum Phase: Hashable { case off, waiting, working }

    private(set) var record: MachineRecord
    private(set) var next: Instant
    private let profile: LabProfile
    private let kind: ToolKind
    private var random: SeededRandom
    private var supply = MainsSupply()
    var plug: TasmotaPlug
    private var phase = Phase.off
    private var ends: Instant
    private var loadChanges = Instant.distantFuture
    private var runsLeft: Int64 = 0
    private var isNew = true

    init(_ profile: LabProfile, _ kind: ToolKind, plug topic: String, random: SeededRandom, start: Instant) {
        self.profile = profile
        self.kind = kind
        self.random = random
        record = MachineRecord(.idle, at: start)
        plug = TasmotaPlug(
            topic: topic, wattHours: self.random.seconds(10_000, 900_000), yesterday: 300, today: 0,
            utcOffset: profile.utcOffset, start: start, period: .seconds(300))
        // Its own switch is used, never the plug's.
        var silence: [Emission] = []
        plug.turn(on: true, &silence)
        next = start + .milliseconds(self.random.seconds(0, 299_999))
        ends = next + .seconds(self.random.seconds(60, 7200))
    }

    var doing: String {
        switch phase {
        case .off: "switched off"
        case .waiting: "waits"
        case .working: "works"
        }
    }

    var load: ElectricalLoad {
        ElectricalLoad(
            watts: Double(record.energy.power) / 1000, factor: phase == .working ? kind.factor : 0.5, supply)
    }

    mutating func tick(_ out: inout [Emission]) {
        let at = next
        if isNew { plug.connect(at, load, 0, &out) }
        isNew = false
        let isOver = at >= ends
        if isOver { proceed(at) }
        if isOver || at >= loadChanges {
            supply.wander(&random)
            record.set(watts: watts, at: at)
            loadChanges = phase == .working ? at + .seconds(random.seconds(40, 400)) : .distantFuture
        }
        plug.tick(at, load, record.energy.energy(at: at), &out)
        next = max(at + .milliseconds(1), min(ends, loadChanges, plug.next))
    }

    private var watts: Double {
        switch phase {
        case .off: 0
        case .waiting: kind.standby
        case .working: kind.working.lowerBound + (kind.working.upperBound - kind.working.lowerBound) * burden
        }
    }

    /// Mostly near the middle.
    private var burden: Double { 0.5 + 0.5 * (supply.volts - 220) / 6 }

    private mutating func proceed(_ at: Instant) {
        switch phase {
        case .off:
            guard profile.comes(at: at, &random) else {
                return ends = profile.nextOpening(after: at) + .seconds(random.seconds(60, 3600))
            }
            runsLeft = Int64.random(in: kind.runs, using: &random)
            go(.waiting, for: kind.pause, at)
        case .waiting:
            guard runsLeft > 0, profile.isOpen(at: at) else { return go(.off, for: kind.gap, at) }
            runsLeft -= 1
            go(.working, for: kind.run, at)
        case .working: go(.waiting, for: kind.pause, at)
        }
    }

    private mutating func go(_ phase: Phase, for seconds: ClosedRange<Int64>, _ at: Instant) {
        self.phase = phase
        ends = at + .seconds(Int64.random(in: seconds, using: &random))
        record.enter(phase == .working ? .running : .idle, at: at)
    }

    mutating func losePower(at: Instant, _ out: inout [Emission]) -> Bool {
        dipPlug(at: at, &out)
        next = min(next, plug.next)
        return true
    }
}

extension ToolKind {
    static let shredder = ToolKind(
        name: "shredder", standby: 6.4, working: 800...1500, factor: 0.81, run: 60...300, pause: 30...200, runs: 4...12,
        gap: 3600...18_000)
    static let saw = ToolKind(
        name: "saw", standby: 3, working: 900...1700, factor: 0.88, run: 45...150, pause: 60...400, runs: 3...15,
        gap: 2400...14_400)
    static let mill = ToolKind(
        name: "mill", standby: 65, working: 420...900, factor: 0.78, run: 600...4200, pause: 180...900, runs: 1...4,
        gap: 5400...21_600)
    static let lathe = ToolKind(
        name: "lathe", standby: 12, working: 350...800, factor: 0.74, run: 90...700, pause: 60...500, runs: 3...10,
        gap: 5400...28_800)
    static let sewing = ToolKind(
        name: "sewing", standby: 8, working: 60...110, factor: 0.6, run: 45...240, pause: 40...300, runs: 5...20,
        gap: 3600...14_400)
    static let cutter = ToolKind(
        name: "cutter", standby: 9, working: 70...140, factor: 0.65, run: 120...900, pause: 120...600, runs: 1...5,
        gap: 5400...21_600)
    static let soldering = ToolKind(
        name: "soldering", standby: 4, working: 45...80, factor: 0.97, run: 400...2400, pause: 120...600, runs: 1...3,
        gap: 3600...10_800)
    static let sheetPress = ToolKind(
        name: "sheet-press", standby: 11, working: 1800...2600, factor: 0.99, run: 900...2700, pause: 240...900,
        runs: 2...5, gap: 7200...36_000)
    static let extruder = ToolKind(
        name: "extruder", standby: 14, working: 700...1400, factor: 0.9, run: 1200...5400, pause: 120...600,
        runs: 1...3,
        gap: 10_800...43_200)
}
