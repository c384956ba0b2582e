// What a device can tell: its channels.

/// The unit of every reading of a channel. Whatever a device speaks is converted to one of these by its driver.
package enum Unit: String, CaseIterable, Sendable {
    case watt = "W"
    case volt = "V"
    case ampere = "A"
    case hertz = "Hz"
    case one = "1"
    case milliwattHour = "mWh"
    case celsius = "°C"
    case second = "s"
    case millimetre = "mm"
    case gram = "g"
    case millimetrePerMinute = "mm/min"
    case revolutionsPerMinute = "rpm"
    case voltAmpere = "VA"
    case voltAmpereReactive = "var"
    case decibelMilliwatt = "dBm"
}

/// How the values of a channel behave.
package enum Kind: String, CaseIterable, Sendable {
    /// A quantity that is true now and until the next reading: power, temperature.
    case gauge
    /// A cumulative count: energy, shots. Only its advance means something.
    case counter
    /// A `MachineState` with a reason.
    case state
    /// Something that happened, by name.
    case event
}

/// One quantity that a device gives.
package struct Channel: Hashable, Sendable {
    /// Lower-case and dotted: `power`, `energy`, `temperature.zone1`.
    package let name: String
    /// nil for states and events.
    package let unit: Unit?
    package let kind: Kind
    /// The smallest step of the source, in the channel's unit; 0 where it is not known. Counters use it to tell
    /// jitter from a step back.
    package let resolution: Double
    /// Values outside are faults, never readings.
    package let plausible: ClosedRange<Double>
    /// Where a counter begins anew at zero, in the channel's unit; nil where it never does or nobody knows.
    package let wrapsAt: Double?
    /// The source keeps it as a float32, whose steps grow with the value: 0.98 Wh above 8192 kWh, 7.8 Wh above 65 536.
    package let isFloat32: Bool

    package init(
        _ name: String, _ unit: Unit?, _ kind: Kind, resolution: Double = 0,
        plausible: ClosedRange<Double> = -1e15...1e15, wrapsAt: Double? = nil, isFloat32: Bool = false
    ) {
        self.name = name
        self.unit = unit
        self.kind = kind
        self.resolution = resolution
        self.plausible = plausible
        self.wrapsAt = wrapsAt
        self.isFloat32 = isFloat32
    }

    /// The same, kept as a float32 by its source.
    package var asFloat32: Channel {
        Channel(
            name, unit, kind, resolution: resolution, plausible: plausible, wrapsAt: wrapsAt, isFloat32: true)
    }

    package static func gauge(
        _ name: String, _ unit: Unit, _ plausible: ClosedRange<Double> = -1e15...1e15
    ) -> Channel { Channel(name, unit, .gauge, plausible: plausible) }

    package static func counter(_ name: String, _ unit: Unit, resolution: Double = 0) -> Channel {
        Channel(name, unit, .counter, resolution: resolution, plausible: 0...9e15)
    }

    package static let state = Channel("state", nil, .state)
    package static let job = Channel("job", nil, .event)
    /// 1 while the device says that it is reachable, 0 from the moment it says or shows that it is not.
    package static let online = Channel("online", .one, .gauge, plausible: 0...1)

    /// A name is lower-case words of letters, digits and `_`, joined by dots.
    package static func isValidName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 64
            && name.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { part in
                !part.isEmpty
                    && part.utf8.allSatisfy { ($0 >= 97 && $0 <= 122) || ($0 >= 48 && $0 <= 57) || $0 == 95 }
            }
    }
}
