import Model

/// From the quantities of a message to readings: always in the order of the channels, whatever order the keys had.
struct TasmotaReport {
    let channels: [Channel]
    /// Which of several outlets or phases is meant, counted from 1; nil for all of them together.
    let outlet: Int?
    /// The last `power`; nil where it is not known.
    private(set) var lastPower: Double?
    /// There is a meter behind the relay, as a message has shown.
    private var hasMeter = false
    /// How many channels per phase the last message had.
    private var phases = 0
    private var hasToldOfSum = false

    init(channels: [Channel], outlet: Int?) {
        self.channels = channels
        self.outlet = outlet
    }

    // A channel's place in the list. What Tasmota can give a phase has the three phases after it.
    static let power = 0
    static let voltage = 4
    static let current = 8
    static let frequency = 12
    static let factor = 13
    static let energy = 17
    static let export = 21
    static let online = 22
    static let relay = 23
    static let uptime = 24
    static let restart = 25

    /// `rating` in W bounds what is plausible; `digits` are those that the plug shows behind the point of a kWh.
    static func channels(rating: Double, digits: Int) -> [Channel] {
        // A plug survives some overload, and then it is a fact and no fault.
        let watts = -rating * 1.25...rating * 1.25
        var step = 1e6
        for _ in 0..<digits { step /= 10 }
        func phases(_ name: String, _ make: (String) -> Channel) -> [Channel] {
            [make(name), make(name + ".l1"), make(name + ".l2"), make(name + ".l3")]
        }
        return phases("power") { .gauge($0, .watt, watts) } + phases("voltage") { .gauge($0, .volt, 0...500) }
            + phases("current") { .gauge($0, .ampere, 0...1000) } + [.gauge("frequency", .hertz, 0...100)]
            + phases("power_factor") { .gauge($0, .one, -1...1) }
            + phases("energy") { .counter($0, .milliwattHour, resolution: step) }
            + [
                .counter("energy.export", .milliwattHour, resolution: step), .online, .gauge("relay", .one, 0...1),
                .gauge("uptime", .second, 0...1e10), Channel("restart", nil, .event),
            ]
    }

    mutating func forget() { lastPower = nil }

    /// The relay before the meter was opened: nothing flows now, and the plug does not say so.
    mutating func switchedOff(_ out: inout Outbox) {
        guard lastPower != 0 else { return }
        for phase in 0...phases { out.report(Self.power + phase, of: channels, 0) }
        lastPower = 0
    }

    /// The relay was closed. What flows now is known from the meter's next message; without a meter never.
    mutating func switchedOn(_ out: inout Outbox) {
        guard !hasMeter, lastPower == 0 else { return }
        out.reportUnknown(Self.power)
        lastPower = nil
    }

    mutating func report(_ meter: borrowing TasmotaMeter, _ out: inout Outbox) {
        out.alive()
        if meter.isMisshapen { out.note(.badValue, "ENERGY is no object") }
        let hasOutlets = meter.power.isList
        reportParts(meter.power, "Power", on: Self.power, adds: true, hasOutlets, &out)
        notePower(meter.power)
        reportCommon(meter.voltage, "Voltage", on: Self.voltage, &out)
        reportParts(meter.current, "Current", on: Self.current, hasOutlets, &out)
        if meter.frequency.count > 0 { put(meter.frequency[0], "Frequency", on: Self.frequency, &out) }
        reportParts(meter.factor, "Factor", on: Self.factor, hasOutlets, &out)
        reportParts(meter.drawn, "Total", on: Self.energy, adds: true, scale: 1e6, hasOutlets, &out)
        reportExport(meter.fed, hasOutlets, &out)
    }

    private mutating func notePower(_ power: PhaseValues) {
        guard power.count > 0 else { return }
        hasMeter = true
        phases = outlet == nil && power.isList ? min(power.count, 3) : 0
        let watts: Double
        if let outlet {
            watts = power[min(outlet, power.count) - 1]
        } else {
            watts = power.sum(times: 1, plausible: channels[Self.power].plausible)
        }
        lastPower = watts.isFinite ? watts : nil
    }

    /// A quantity that each outlet or phase has for itself. A list goes to the three channels after `first`, and its
    /// sum to `first` where a sum means something.
    private mutating func reportParts(
        _ values: PhaseValues, _ name: StaticString, on first: Int, adds: Bool = false, scale: Double = 1,
        _ hasOutlets: Bool, _ out: inout Outbox
    ) {
        guard values.count > 0 else { return }
        if outlet != nil {
            if let value = pick(values, name, hasOutlets, &out) { put(value, name, on: first, scale: scale, &out) }
            return
        }
        guard values.isList else { return put(values[0], name, on: first, scale: scale, &out) }
        if adds {
            let sum = values.sum(times: scale, plausible: channels[first].plausible)
            // A part that is wrong says so itself below.
            if !sum.isInfinite { put(sum, name, on: first, &out) }
        }
        for index in 0..<values.count {
            if index < 3 {
                put(values[index], name, on: first + 1 + index, scale: scale, &out)
            } else if values[index].isInfinite {
                out.note(.badValue, "\(name) is no number")
            }
        }
    }

    /// A quantity of which one number holds for all outlets or phases.
    private func reportCommon(_ values: PhaseValues, _ name: StaticString, on first: Int, _ out: inout Outbox) {
        guard values.isList else {
            if values.count > 0 { put(values[0], name, on: first, &out) }
            return
        }
        if let outlet {
            if outlet <= values.count { put(values[outlet - 1], name, on: first, &out) }
            return
        }
        for index in 0..<min(values.count, 3) { put(values[index], name, on: first + 1 + index, &out) }
    }

    private mutating func reportExport(_ values: PhaseValues, _ hasOutlets: Bool, _ out: inout Outbox) {
        guard values.count > 0 else { return }
        if outlet != nil {
            if let value = pick(values, "ExportActive", hasOutlets, &out) {
                put(value, "ExportActive", on: Self.export, scale: 1e6, &out)
            }
            return
        }
        let sum = values.sum(times: 1e6, plausible: channels[Self.export].plausible)
        put(sum, "ExportActive", on: Self.export, &out)
    }

    /// The value of this outlet; nil, with a fault, where the message does not tell it.
    private mutating func pick(
        _ values: PhaseValues, _ name: StaticString, _ hasOutlets: Bool, _ out: inout Outbox
    ) -> Double? {
        guard let outlet else { return nil }
        if values.isList {
            if outlet <= values.count { return values[outlet - 1] }
            out.note(.badValue, "\(name) has \(values.count) values, and this device is channel \(outlet)")
            return nil
        }
        if !hasOutlets {
            if outlet == 1 { return values[0] }
            out.note(.badValue, "\(name) is one number, and this device is channel \(outlet)")
            return nil
        }
        // The sum of all outlets would charge this one for the others. That is how plugs come, so it is told once.
        if !hasToldOfSum {
            out.note(.badValue, "\(name) is one number for all channels; `SetOption129 1` gives one a channel")
            hasToldOfSum = true
        }
        return nil
    }

    private func put(
        _ value: Double, _ name: StaticString, on index: Int, scale: Double = 1, _ out: inout Outbox
    ) {
        if value.isNaN {
            out.reportUnknown(index)
        } else if value.isInfinite {
            out.note(.badValue, "\(name) is no number")
        } else {
            out.report(index, of: channels, scale == 1 ? value : (value * scale).rounded())
        }
    }
}
