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

    private var printer: any LabPart
    var plug: TasmotaPlug
    private var supply = MainsSupply()
    private var random: SeededRandom
    private var isNew = true

    init(
        _ profile: LabProfile, _ language: Language, plug topic: String, random: SeededRandom, start: Instant
    ) {
        self.random = random
        let own = self.random.fork()
        switch language {
        case .bambu(let serial, let sendsAll):
            printer = BambuPrinter(profile, serial: serial, sendsAll: sendsAll, random: own, start: start)
        case .klipper(let name): printer = KlipperPrinter(profile, name: name, random: own, start: start)
        case .prusa: printer = PrusaPrinter(profile, random: own, start: start)
        }
        plug = TasmotaPlug(
            topic: topic, wattHours: 41_300, yesterday: 700, today: 120, utcOffset: profile.utcOffset, start: start,
            period: profile.isCoarse ? .seconds(300) : .seconds(10))
    }

    var record: MachineRecord { printer.record }
    var power: Int64 { printer.power }
    func energy(at time: Instant) -> Int64 { printer.energy(at: time) }
    var next: Instant { isNew ? printer.next : min(printer.next, plug.next) }
    var doing: String { printer.doing }

    /// Only Klipper counts what it uses.
    var filament: Double? { printer.filament }

    var load: ElectricalLoad { ElectricalLoad(watts: Double(power) / 1000, factor: 0.62, supply) }

    mutating func tick(_ out: inout [Emission]) {
        let at = next
        if printer.next <= at {
            supply.wander(&random)
            printer.tick(&out)
        }
        if isNew {
            isNew = false
            plug.turn(on: true, &out)
            plug.connect(at, load, energy(at: at), &out)
        }
        plug.tick(at, load, energy(at: at), &out)
    }

    mutating func received(_ payload: [UInt8], topic: String, at: Instant) -> [Emission] {
        printer.received(payload, topic: topic, at: at)
    }

    func answer(_ path: String, at: Instant) -> (status: Int, body: [UInt8])? { printer.answer(path, at: at) }
}
