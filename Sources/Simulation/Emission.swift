package import Model

/// What a simulated device says without being asked.
package enum Emission: Hashable, Sendable {
    /// A message for the broker.
    case publish(topic: String, payload: [UInt8], retain: Bool)
    /// Bytes on a serial wire.
    case serial(wire: String, bytes: [UInt8])

    static func publish(_ topic: String, _ text: String, retain: Bool = false) -> Emission {
        .publish(topic: topic, payload: Array(text.utf8), retain: retain)
    }

    static func line(_ wire: String, _ text: String, end: String = "\r\n") -> Emission {
        .serial(wire: wire, bytes: Array((text + end).utf8))
    }
}

/// What kind of lab is played.
package struct LabProfile: Hashable, Sendable {
    /// What the devices' own clocks add to UTC; plugs print it and begin their day by it.
    package var utcOffset: Duration
    /// When people are there, since midnight on those clocks; nil where they never go home.
    package var hours: Range<Duration>?
    /// Whether the press's thermocouple comes loose now and then.
    package var sensorBreaks: Bool

    package init(utcOffset: Duration = .hours(9), hours: Range<Duration>? = nil, sensorBreaks: Bool = false) {
        self.utcOffset = utcOffset
        self.hours = hours
        self.sensorBreaks = sensorBreaks
    }

    /// Never closed, so that within six hours from any start everything happens.
    package static let demo = LabProfile()

    func isOpen(at time: Instant) -> Bool {
        guard let hours else { return true }
        let local = time + utcOffset
        return hours.contains(local - local.floor(to: .hours(24)))
    }
}
