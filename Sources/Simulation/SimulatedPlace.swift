package import Model

/// What is to be learned from an answer on a wire.
package struct WireWord: Hashable, Sendable {
    package let machine: String
    package let tellsState: Bool
    package let tellsEnergy: Bool
    /// Shots, bad items and the mould are told; or what was made is weighed.
    package var tellsShots = false
    package var tellsMass = false
}

/// A lab that can be played: machines that speak their real protocols byte for byte, and the truth about them.
///
/// A value without a clock: the same seed gives the same lab, in whatever steps time is advanced and however often its
/// serial devices are asked.
package protocol SimulatedPlace: Sendable {
    var machines: [String] { get }
    /// When something happens next.
    var nextEvent: Instant { get }
    /// Plays up to what is said next, or to what happens at `end` or after it; when that is.
    mutating func live(quietlyBefore end: Instant) -> Instant
    /// Plays up to and including `time`, and hands over what is said on the way, in the order of time.
    mutating func advance(to time: Instant, _ emit: (Emission) -> Void)
    /// Bytes for the devices on a serial wire, and what they answer; nothing on a wire that does not exist.
    mutating func received(_ bytes: [UInt8], on wire: String, at time: Instant) -> [[UInt8]]
    /// A message of the gateway on the broker, and what the devices that it is for answer there.
    mutating func received(_ payload: [UInt8], topic: String, at time: Instant) -> [Emission]
    /// What a machine answers over HTTP to a question for a path; nil where it does not answer there.
    func answer(_ path: String, of machine: String, at time: Instant) -> (status: Int, body: [UInt8])?
    /// A host opened the port of a wire after its own power was gone, which pulses DTR and resets most boards. A process
    /// that opens it again does not: the host keeps DTR up.
    mutating func portOpened(_ wire: String, at time: Instant)
    /// What really happened until now.
    var truth: Truth { get }
    /// What an answer on a wire tells, whose first byte is `unit`: on a bus the number of who answers. nil where nobody
    /// does.
    func word(on wire: String, unit: UInt8) -> WireWord?
    /// The plug of a machine loses its mains for a moment: it restarts, and its count falls back by today's energy
    /// until its clock has found the time again. False where the machine has no plug.
    mutating func cutPower(of machine: String) -> Bool
    /// Somebody sets the count of a machine's plug to zero. False where the machine has no plug.
    mutating func resetCounter(of machine: String) -> Bool
}

extension SimulatedPlace {
    package mutating func received(_ payload: [UInt8], topic: String, at time: Instant) -> [Emission] { [] }
    package mutating func portOpened(_ wire: String, at time: Instant) {}
    package func answer(_ path: String, of machine: String, at time: Instant) -> (status: Int, body: [UInt8])? { nil }
}
