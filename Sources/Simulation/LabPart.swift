import Model

/// A machine with everything that tells about it. It lives from event to event: nobody needs to call it before `next`.
///
/// A value, as all of a simulated lab: it knows no clock, and its random numbers are its own.
protocol LabPart: Sendable {
    /// What it really does.
    var record: MachineRecord { get }
    /// What it draws now, mW, and what it has used until a time, µJ: known without a copy of all that it did.
    var power: Int64 { get }
    func energy(at time: Instant) -> Int64
    /// When it does or says something next.
    var next: Instant { get }
    /// For people: what it does now.
    var doing: String { get }
    /// mm of filament that it has really used; nil where none is.
    var filament: Double? { get }
    /// Lives up to `next`.
    mutating func tick(_ out: inout [Emission])
    /// Bytes on a wire, of which some may be for it; what it answers.
    mutating func received(_ bytes: [UInt8], on wire: String, at: Instant) -> [[UInt8]]
    /// A message of the gateway on the broker, which may be for it; what it answers there.
    mutating func received(_ payload: [UInt8], topic: String, at: Instant) -> [Emission]
    /// What it answers over HTTP to a question for a path; nil where it does not answer there.
    func answer(_ path: String, at: Instant) -> (status: Int, body: [UInt8])?
    /// A host opened the port of a wire, which pulses DTR; boards that it resets start anew.
    mutating func portOpened(_ wire: String, at: Instant)
    /// Its plug loses the mains for a moment; false where it has none.
    mutating func losePower(at: Instant, _ out: inout [Emission]) -> Bool
    /// Somebody sets the count of its plug to zero; false where it has none.
    mutating func resetCounter(at: Instant) -> Bool
}

extension LabPart {
    var power: Int64 { record.energy.power }
    func energy(at time: Instant) -> Int64 { record.energy.energy(at: time) }
    var filament: Double? { nil }

    /// The same, and when it does something next: asked in one go, as whoever holds many kinds copies one to ask it.
    mutating func live(_ out: inout [Emission]) -> Instant {
        tick(&out)
        return next
    }

    mutating func received(_ bytes: [UInt8], on wire: String, at: Instant) -> [[UInt8]] { [] }
    mutating func received(_ payload: [UInt8], topic: String, at: Instant) -> [Emission] { [] }
    func answer(_ path: String, at: Instant) -> (status: Int, body: [UInt8])? { nil }
    mutating func portOpened(_ wire: String, at: Instant) {}
    mutating func losePower(at: Instant, _ out: inout [Emission]) -> Bool { false }
    mutating func resetCounter(at: Instant) -> Bool { false }
}

/// A part behind a Tasmota plug, whose mishaps are those of the plug.
protocol PluggedPart: LabPart {
    var plug: TasmotaPlug { get set }
    /// What it draws now.
    var load: ElectricalLoad { get }
}

extension PluggedPart {
    mutating func losePower(at: Instant, _ out: inout [Emission]) -> Bool {
        dipPlug(at: at, &out)
        return true
    }

    mutating func resetCounter(at: Instant) -> Bool {
        plug.resetCounter(energy(at: at))
        return true
    }

    /// The plug starts anew.
    mutating func dipPlug(at: Instant, _ out: inout [Emission]) {
        plug.losePower(at: at, load, energy(at: at), &out)
    }
}
