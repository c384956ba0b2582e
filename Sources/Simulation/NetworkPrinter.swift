import Model

/// A printer that is on a network by itself, behind a Tasmota plug that stays on.
struct NetworkPrinter: PluggedPart {
    /// What it speaks.
    package enum Language: Hashable, Sendable {
        /// Bambu Lab: changes only, or everything each time; with this serial number.
        case bambu(serial: String, sendsAll: Bool)
        /// Klipper behind Moonraker, with this instance name.
        case klipper(name: String)
        /// PrusaLink: it answers over HTTP, and says nothing by itself.
        case prusa
    }

    // One of the three.
    private var bambu: BambuPrinter?
    private var klipper: KlipperPrinter?
    private var prusa: PrusaPrinter?
    var plug: TasmotaPlug
    private var supply = MainsSupply()
    private var random: SeededRandom
    private var isNew = true
    private let start: Instant

    init(
        _ profile: LabProfile, _ language: Language, plug topic: String, random: SeededRandom, start: Instant
    ) {
        self.start = start
        self.random = random
        let own = self.random.fork()
        switch language {
        case .bambu(let serial, let sendsAll):
            bambu = BambuPrinter(profile, serial: serial, sendsAll: sendsAll, random: own, start: start)
        case .klipper(let name): klipper = KlipperPrinter(profile, name: name, random: own, start: start)
        case .prusa: prusa = PrusaPrinter(profile, random: own, start: start)
        }
        plug = TasmotaPlug(
            topic: topic, wattHours: 41_300, yesterday: 700, today: 120, utcOffset: profile.utcOffset, start: start,
            period: profile.isCoarse ? .seconds(300) : .seconds(10))
    }

    var record: MachineRecord {
        bambu?.record ?? klipper?.record ?? prusa?.record ?? MachineRecord(.idle, at: start)
    }
    var next: Instant { min(printerNext, isNew ? printerNext : plug.next) }
    var doing: String { bambu?.doing ?? klipper?.doing ?? prusa?.doing ?? "" }

    /// Only Klipper counts what it uses.
    var filament: Double? { klipper?.filament }

    private var printerNext: Instant { bambu?.next ?? klipper?.next ?? prusa?.next ?? .distantFuture }
    var load: ElectricalLoad {
        ElectricalLoad(watts: Double(record.energy.power) / 1000, factor: 0.62, supply)
    }

    mutating func tick(_ out: inout [Emission]) {
        let at = next
        if printerNext <= at {
            supply.wander(&random)
            bambu?.tick(&out)
            klipper?.tick(&out)
            prusa?.tick(&out)
        }
        if isNew {
            isNew = false
            plug.turn(on: true, &out)
            plug.connect(at, load, record.energy.energy(at: at), &out)
        }
        plug.tick(at, load, record.energy.energy(at: at), &out)
    }

    mutating func received(_ payload: [UInt8], topic: String, at: Instant) -> [Emission] {
        bambu?.received(topic, payload, at: at) ?? klipper?.received(topic, payload, at: at) ?? []
    }

    func answer(_ path: String, at: Instant) -> (status: Int, body: [UInt8])? { prusa?.answer(path, at: at) }
}
