package import Model

/// A lab of up to thirty machines and more, as a maker space has them, each living from event to event:
///
///     printer-N   on Tasmota plug `printer-N-plug`: OctoPrint (base `octo/N`), or from the third on Bambu Lab (serial
///                 01P00A00000000N, 00M00A00000000N), Klipper (instance `klipper-N`) and PrusaLink, and beyond the
///                 eighth Marlin on wire `marlin-N`, too
///     a tool-N    Tasmota plug `tool-N`, or `tool-N-plug` where two tools have the same name
///     plant-N     PZEM-016, unit N on wire `bus1`
///     laser-1     Grbl on wire `grbl`, SDM120 unit 1 on wire `bus3`
///     press-N     TK4 units 3 and 4 and SDM120 unit 5 on wire `press-bus-N`, line JSON on wire `press-board-N`, a
///                 scale on wire `press-scale-N`; from the second on its thermocouple comes loose now and then
///     bench-N     card reader on `access/bench-N`
package struct MakerSpace: SimulatedPlace {
    /// One machine and how it is watched, for whoever writes the configuration.
    package struct Place: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            /// The class of what it does, and the power that tells it, W.
            case tool(machineClass: String, idleBelow: Int, runningAbove: Int)
            case printer
            case networkPrinter(PrinterLanguage)
            /// Marlin, which reports by itself or must be asked.
            case serialPrinter(reports: Bool)
            case plant(unit: Int)
            case laser
            case press
            case bench
        }
        /// What printers speak that are on the network by themselves.
        package enum PrinterLanguage: Hashable, Sendable { case bambuP1, bambuX1, klipper, prusa }
        package let machine: String
        package let kind: Kind
        /// Stands behind the names of its topics and wires.
        package let number: Int

        package init(machine: String, kind: Kind, number: Int) {
            self.machine = machine
            self.kind = kind
            self.number = number
        }

        /// Of a Bambu Lab printer.
        package var serialNumber: String {
            (kind == .networkPrinter(.bambuX1) ? "00M00A" : "01P00A") + String("00000000\(number)".suffix(9))
        }
    }

    package let places: [Place]
    package let start: Instant
    private var parts: [any LabPart] = []
    /// When each part lives next.
    private var nexts: Agenda
    private var waiting: [Emission] = []
    private var now: Instant
    /// Who is on each wire.
    private var wires: [String: [Int]] = [:]

    package static let most = 60
    package static let profile = LabProfile.makerSpace

    /// A printer of each protocol that the lab of four machines does not speak, each behind a plug `NAME-plug`: Bambu Lab
    /// (serial 01P00A000000001), Klipper (instance `klipper-1`), PrusaLink, and Marlin on wire `marlin-1`. Always in use,
    /// with short prints, so that within an hour some of them end.
    package static func printers(seed: UInt64, start: Instant) -> MakerSpace {
        let places = [
            Place(machine: "bambu", kind: .networkPrinter(.bambuP1), number: 1),
            Place(machine: "klipper", kind: .networkPrinter(.klipper), number: 1),
            Place(machine: "prusa", kind: .networkPrinter(.prusa), number: 1),
            Place(machine: "marlin", kind: .serialPrinter(reports: true), number: 1),
        ]
        var profile = LabProfile.demo
        profile.prints = 300...1200
        return MakerSpace(places, seed: seed, start: start, profile: profile)
    }

    /// The kinds in an order in which few machines are many kinds.
    private static let order: [(name: String, tool: ToolKind?)] = [
        ("printer", nil), ("shredder", .shredder), ("press", nil), ("laser", nil), ("plant", nil), ("mill", .mill),
        ("bench", nil), ("printer", nil), ("saw", .saw), ("sewing", .sewing), ("printer", nil), ("lathe", .lathe),
        ("cutter", .cutter), ("printer", nil), ("soldering", .soldering), ("sheet-press", .sheetPress),
        ("plant", nil), ("press", nil), ("printer", nil), ("extruder", .extruder), ("printer", nil),
        ("sewing", .sewing), ("bench", nil), ("printer", nil), ("soldering", .soldering), ("saw", .saw),
        ("plant", nil), ("printer", nil), ("mill", .mill), ("shredder", .shredder),
    ]
    /// The printers in their order. New ones stand at the end, so that a seed goes on meaning the same lab.
    private static let printers: [Place.Kind] = [
        .printer, .printer, .networkPrinter(.bambuP1), .networkPrinter(.klipper), .networkPrinter(.prusa),
        .networkPrinter(.bambuX1), .printer, .networkPrinter(.klipper), .serialPrinter(reports: true),
        .serialPrinter(reports: false),
    ]
    private static let plants: [ToolKind] = [.compressor, .extractor, .kiln]
    private static let classes: [String: (name: String, idle: Int, running: Int)] = [
        "shredder": ("plastic_shredding", 20, 150), "mill": ("cnc_milling", 100, 250),
        "saw": ("woodwork", 20, 150), "sewing": ("sewing", 15, 35), "lathe": ("woodwork", 30, 150),
        "cutter": ("vinyl_cutting", 20, 40), "soldering": ("electronics", 10, 25),
        "sheet-press": ("sheet_press", 30, 300), "extruder": ("plastic_extrusion", 40, 200),
    ]

    /// `machines` of them; 1 to `most`.
    package static func places(_ machines: Int) -> [Place] {
        var counts: [String: Int] = [:]
        return (0..<machines).map { index in
            var name = order[index % order.count].name
            // There is one laser; the next ones are mills.
            if name == "laser", index >= order.count { name = "mill" }
            counts[name, default: 0] += 1
            let number = counts[name] ?? 1
            let kind: Place.Kind
            switch name {
            case "printer": kind = printers[(number - 1) % printers.count]
            case "press": kind = .press
            case "laser": kind = .laser
            case "plant": kind = .plant(unit: number)
            case "bench": kind = .bench
            default:
                let levels = classes[name] ?? ("other", 5, 30)
                kind = .tool(machineClass: levels.0, idleBelow: levels.1, runningAbove: levels.2)
            }
            return Place(machine: "\(name)-\(number)", kind: kind, number: number)
        }
    }

    package init(seed: UInt64, start: Instant, machines: Int) {
        self.init(Self.places(machines), seed: seed, start: start, profile: Self.profile)
    }

    /// Some places alone.
    package init(_ places: [Place], seed: UInt64, start: Instant, profile: LabProfile) {
        self.start = start
        now = start
        self.places = places
        nexts = Agenda(places.count)
        var random = SeededRandom(seed)
        for (index, place) in places.enumerated() {
            parts.append(Self.part(place, index, random.fork(), start, profile))
            nexts[index] = parts[index].next
            for wire in Self.wires(of: place) { wires[wire, default: []].append(index) }
        }
    }

    private static func part(
        _ place: Place, _ index: Int, _ random: SeededRandom, _ start: Instant, _ profile: LabProfile
    ) -> any LabPart {
        switch place.kind {
        case .printer:
            return Printer(
                profile, random: random, start: start, plug: "\(place.machine)-plug", base: "octo/\(place.number)")
        case .networkPrinter(let language):
            let spoken: NetworkPrinter.Language =
                switch language {
                case .bambuP1: .bambu(serial: place.serialNumber, sendsAll: false)
                case .bambuX1: .bambu(serial: place.serialNumber, sendsAll: true)
                case .klipper: .klipper(name: "klipper-\(place.number)")
                case .prusa: .prusa
                }
            return NetworkPrinter(profile, spoken, plug: "\(place.machine)-plug", random: random, start: start)
        case .serialPrinter(let reports):
            return MarlinPrinter(
                profile, wire: "marlin-\(place.number)", reports: reports, plug: "\(place.machine)-plug",
                random: random, start: start)
        case .press:
            var profile = profile
            // The first one stays what it was, so that a seed goes on meaning the same lab.
            if place.number > 1 { profile.sensorBreaks = true }
            return Press(
                profile, random: random, start: start, bus: "press-bus-\(place.number)",
                board: "press-board-\(place.number)", scale: "press-scale-\(place.number)")
        case .laser: return Laser(profile, random: random, start: start, bus: "bus3")
        case .plant(let unit):
            return MeteredPlant(
                profile, plants[(place.number - 1) % plants.count], unit: UInt8(truncatingIfNeeded: unit), bus: "bus1",
                random: random, start: start)
        case .bench: return AccessReader(profile, topic: place.machine, random: random, start: start)
        case .tool:
            let kind = order[index % order.count].tool ?? .mill
            return Tool(profile, kind, plug: "\(place.machine)-plug", random: random, start: start)
        }
    }

    package var machines: [String] { places.map(\.machine) }

    // MARK: time

    package var nextEvent: Instant { waiting.isEmpty ? nexts.first.time : now }

    package mutating func live(quietlyBefore end: Instant) -> Instant {
        while waiting.isEmpty, nexts.first.time < end { tick(nexts.first.index, at: nexts.first.time) }
        guard waiting.isEmpty else { return min(now, end) }
        // Whatever befalls a machine at that time befalls it then, not when it was looked at last.
        let next = min(nexts.first.time, end)
        now = max(now, next - .milliseconds(1))
        return next
    }

    package mutating func advance(to time: Instant, _ emit: (Emission) -> Void) {
        flush(emit)
        while true {
            let (index, next) = nexts.first
            guard next <= time else { break }
            tick(index, at: next)
            flush(emit)
        }
        now = max(now, time)
    }

    private mutating func flush(_ emit: (Emission) -> Void) {
        guard !waiting.isEmpty else { return }
        for emission in waiting { emit(emission) }
        waiting.removeAll(keepingCapacity: true)
    }

    private mutating func tick(_ index: Int, at time: Instant) {
        now = max(now, time)
        nexts[index] = parts[index].live(&waiting)
    }

    package mutating func received(_ bytes: [UInt8], on wire: String, at time: Instant) -> [[UInt8]] {
        while nexts.first.time <= time { tick(nexts.first.index, at: nexts.first.time) }
        now = max(now, time)
        var replies: [[UInt8]] = []
        for index in wires[wire] ?? [] {
            replies += parts[index].received(bytes, on: wire, at: now)
            nexts[index] = parts[index].next
        }
        return replies
    }

    package mutating func received(_ payload: [UInt8], topic: String, at time: Instant) -> [Emission] {
        while nexts.first.time <= time { tick(nexts.first.index, at: nexts.first.time) }
        now = max(now, time)
        var answers: [Emission] = []
        for index in parts.indices {
            if case .networkPrinter = places[index].kind {
                answers += parts[index].received(payload, topic: topic, at: now)
            }
        }
        return answers
    }

    package func answer(_ path: String, of machine: String, at time: Instant) -> (status: Int, body: [UInt8])? {
        places.firstIndex { $0.machine == machine }.flatMap { parts[$0].answer(path, at: time) }
    }

    package mutating func portOpened(_ wire: String, at time: Instant) {
        while nexts.first.time <= time { tick(nexts.first.index, at: nexts.first.time) }
        now = max(now, time)
        for index in wires[wire] ?? [] {
            parts[index].portOpened(wire, at: now)
            nexts[index] = parts[index].next
        }
    }

    /// Those on which a place listens.
    private static func wires(of place: Place) -> [String] {
        switch place.kind {
        case .plant: ["bus1"]
        case .laser: ["grbl", "bus3"]
        case .press: ["press-bus-\(place.number)"]
        case .serialPrinter: ["marlin-\(place.number)"]
        case .tool, .printer, .networkPrinter, .bench: []
        }
    }

    package func word(on wire: String, unit: UInt8) -> WireWord? {
        for place in places {
            let (machine, number) = (place.machine, place.number)
            switch place.kind {
            case .plant(let own) where wire == "bus1" && Int(unit) == own:
                return WireWord(machine: machine, tellsState: true, tellsEnergy: true)
            case .laser where wire == "grbl" || wire == "bus3":
                let isReport = wire == "grbl" && unit == GrblController.reportMark
                return WireWord(machine: machine, tellsState: isReport, tellsEnergy: wire == "bus3")
            case .serialPrinter where wire == "marlin-\(number)":
                return WireWord(machine: machine, tellsState: true, tellsEnergy: false)
            case .press where wire == "press-bus-\(number)":
                return WireWord(machine: machine, tellsState: false, tellsEnergy: unit == 5)
            case .press where wire == "press-board-\(number)":
                return WireWord(machine: machine, tellsState: true, tellsEnergy: false, tellsShots: true)
            case .press where wire == "press-scale-\(number)":
                return WireWord(machine: machine, tellsState: false, tellsEnergy: false, tellsMass: true)
            default: continue
            }
        }
        return nil
    }

    // MARK: truth and mishaps

    package var truth: Truth {
        var records: [String: MachineRecord] = [:]
        for (place, part) in zip(places, parts) { records[place.machine] = part.record }
        return Truth(records, start: start, until: now)
    }

    /// mm of filament that a machine has really used; nil where nothing is printed, or nobody could know.
    package func filament(of machine: String) -> Double? {
        places.firstIndex { $0.machine == machine }.flatMap { parts[$0].filament }
    }

    package mutating func cutPower(of machine: String) -> Bool {
        guard let index = places.firstIndex(where: { $0.machine == machine }) else { return false }
        defer { nexts[index] = parts[index].next }
        return parts[index].losePower(at: now, &waiting)
    }

    package mutating func resetCounter(of machine: String) -> Bool {
        guard let index = places.firstIndex(where: { $0.machine == machine }) else { return false }
        return parts[index].resetCounter(at: now)
    }
}
