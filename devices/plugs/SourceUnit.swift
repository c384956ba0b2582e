import Model

/// A unit as a source writes it, and the way from there to the unit of readings:
///
///     reading = value × multiplier ÷ divisor + offset
///
/// Two factors, because 5 ÷ 60 is what one means and 5 × 0.01666… is not.
struct SourceUnit: Hashable, Sendable {
    /// The unit of the readings.
    let unit: Unit
    private let multiplier: Double
    private let divisor: Double
    private let offset: Double

    init(_ unit: Unit, times multiplier: Double = 1, over divisor: Double = 1, plus offset: Double = 0) {
        self.unit = unit
        self.multiplier = multiplier
        self.divisor = divisor
        self.offset = offset
    }

    /// The value in `unit`; whole numbers for mWh, as everywhere.
    func reading(of value: Double) -> Double {
        let result = value * multiplier / divisor + offset
        return unit == .milliwattHour ? result.rounded() : result
    }

    /// A difference of two values, which knows no offset: the step of a counter.
    func step(of value: Double) -> Double { value * multiplier / divisor }

    /// The unit of the integral of this quantity over seconds: J for W. nil where it is none of ours.
    var overTime: SourceUnit? {
        // 1 W·s is 1/3.6 mWh.
        unit == .watt ? SourceUnit(.milliwattHour, times: multiplier, over: divisor * 3.6) : nil
    }

    /// What a spelling means; nil for one that is no unit of ours. `mW` and `MW` differ, `kwh` and `kWh` do not.
    static func named(_ text: String) -> SourceUnit? {
        let name = String(
            String.UnicodeScalarView(
                text.unicodeScalars.compactMap { scalar in
                    // Blanks, also the ones that do not break; the micro sign and the letter that looks like it.
                    scalar == " " || scalar == "\u{A0}" ? nil : scalar == "\u{3BC}" ? "\u{B5}" : scalar
                }))
        if let unit = spellings[name] { return unit }
        let lower = name.lowercased()
        return sameInAnyCase[lower].flatMap { spellings[$0] }
    }

    private static let sameInAnyCase = [
        "w": "W", "kw": "kW", "wh": "Wh", "kwh": "kWh", "v": "V", "a": "A", "hz": "Hz", "khz": "kHz", "va": "VA",
        "kva": "kVA", "var": "var", "kvar": "kvar", "dbm": "dBm", "rpm": "rpm",
    ]

    private static let spellings: [String: SourceUnit] = [
        "W": SourceUnit(.watt), "mW": SourceUnit(.watt, over: 1000), "kW": SourceUnit(.watt, times: 1000),
        "MW": SourceUnit(.watt, times: 1e6),
        "VA": SourceUnit(.voltAmpere), "kVA": SourceUnit(.voltAmpere, times: 1000),
        "var": SourceUnit(.voltAmpereReactive), "kvar": SourceUnit(.voltAmpereReactive, times: 1000),
        "V": SourceUnit(.volt), "mV": SourceUnit(.volt, over: 1000), "kV": SourceUnit(.volt, times: 1000),
        "uV": SourceUnit(.volt, over: 1e6), "\u{B5}V": SourceUnit(.volt, over: 1e6),
        "A": SourceUnit(.ampere), "mA": SourceUnit(.ampere, over: 1000),
        "Hz": SourceUnit(.hertz), "mHz": SourceUnit(.hertz, over: 1000), "kHz": SourceUnit(.hertz, times: 1000),
        "MHz": SourceUnit(.hertz, times: 1e6),
        // Energy. 1 J is 1/3.6 mWh.
        "mWh": SourceUnit(.milliwattHour), "Wh": SourceUnit(.milliwattHour, times: 1000),
        "kWh": SourceUnit(.milliwattHour, times: 1e6), "MWh": SourceUnit(.milliwattHour, times: 1e9),
        "GWh": SourceUnit(.milliwattHour, times: 1e12), "J": SourceUnit(.milliwattHour, over: 3.6),
        "Ws": SourceUnit(.milliwattHour, over: 3.6), "kJ": SourceUnit(.milliwattHour, times: 1000, over: 3.6),
        "MJ": SourceUnit(.milliwattHour, times: 1e6, over: 3.6),
        "GJ": SourceUnit(.milliwattHour, times: 1e9, over: 3.6),
        "Wmin": SourceUnit(.milliwattHour, times: 1000, over: 60),
        "W\u{B7}min": SourceUnit(.milliwattHour, times: 1000, over: 60),
        "Watt-minute": SourceUnit(.milliwattHour, times: 1000, over: 60),
        // Temperature.
        "°C": SourceUnit(.celsius), "C": SourceUnit(.celsius), "Cel": SourceUnit(.celsius),
        "K": SourceUnit(.celsius, plus: -273.15), "°F": SourceUnit(.celsius, times: 5, over: 9, plus: -160.0 / 9),
        "F": SourceUnit(.celsius, times: 5, over: 9, plus: -160.0 / 9),
        // Numbers without a dimension.
        "1": SourceUnit(.one), "": SourceUnit(.one), "/": SourceUnit(.one), "%": SourceUnit(.one, over: 100),
        "count": SourceUnit(.one), "/100": SourceUnit(.one, over: 100), "%RH": SourceUnit(.one, over: 100),
        "%EL": SourceUnit(.one, over: 100), "/1000": SourceUnit(.one, over: 1000), "ppm": SourceUnit(.one, over: 1e6),
        "\u{2030}": SourceUnit(.one, over: 1000), "permille": SourceUnit(.one, over: 1000),
        // Time, length, mass, speed.
        "s": SourceUnit(.second), "ms": SourceUnit(.second, over: 1000), "min": SourceUnit(.second, times: 60),
        "h": SourceUnit(.second, times: 3600), "d": SourceUnit(.second, times: 86_400),
        "mm": SourceUnit(.millimetre), "cm": SourceUnit(.millimetre, times: 10),
        "m": SourceUnit(.millimetre, times: 1000), "km": SourceUnit(.millimetre, times: 1e6),
        "g": SourceUnit(.gram), "mg": SourceUnit(.gram, over: 1000), "kg": SourceUnit(.gram, times: 1000),
        "mm/min": SourceUnit(.millimetrePerMinute), "mm/s": SourceUnit(.millimetrePerMinute, times: 60),
        "m/min": SourceUnit(.millimetrePerMinute, times: 1000),
        "m/s": SourceUnit(.millimetrePerMinute, times: 60_000),
        "rpm": SourceUnit(.revolutionsPerMinute), "1/min": SourceUnit(.revolutionsPerMinute),
        "dBm": SourceUnit(.decibelMilliwatt),
    ]
}

extension Channel {
    /// What the first word of a channel's name says about it: `power.l1` is a power. nil for names of one's own.
    static func usual(_ name: String) -> Channel? {
        let word = name.split(separator: ".").first.map(String.init) ?? name
        switch word {
        case "power" where name == "power.apparent": return .gauge(name, .voltAmpere, -1e7...1e7)
        case "power" where name == "power.reactive": return .gauge(name, .voltAmpereReactive, -1e7...1e7)
        case "power": return .gauge(name, .watt, -1e7...1e7)
        case "voltage": return .gauge(name, .volt, -1500...1500)
        case "current": return .gauge(name, .ampere, -5000...5000)
        case "frequency": return .gauge(name, .hertz, 0...1000)
        case "power_factor": return .gauge(name, .one, -1.02...1.02)
        case "energy": return .counter(name, .milliwattHour)
        case "temperature", "setpoint": return .gauge(name, .celsius, -273.15...3000)
        case "humidity", "progress": return .gauge(name, .one, 0...1)
        case "relay", "occupied": return .gauge(name, .one, 0...1)
        case "uptime", "remaining": return .gauge(name, .second, 0...1e10)
        case "shots", "items", "scrap", "pulses": return .counter(name, .one)
        case "mass": return .gauge(name, .gram, -1e7...1e7)
        case "filament": return .gauge(name, .millimetre)
        case "feed": return .gauge(name, .millimetrePerMinute)
        case "spindle": return .gauge(name, .revolutionsPerMinute)
        case "rssi": return .gauge(name, .decibelMilliwatt, -200...50)
        case "state": return Channel(name, nil, .state)
        case "job": return Channel(name, nil, .event)
        default: return nil
        }
    }
}
