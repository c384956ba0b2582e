import Model

/// From the quantities of a message to readings: always in the order of the channels, whatever order the keys had.
struct TasmotaReport {
    let places: Places
    let channels: [Channel]
    /// Which of several outlets or phases is meant, counted from 1; nil for all of them together.
    var outlet: Int? { outletNumber.map(Int.init) }
    private let outletNumber: UInt8?
    private var hasToldOfSum = false
    /// How many channels per phase the last message had.
    private var phases: UInt8 = 0
    /// The last `power`; nil where it is not known.
    private(set) var lastPower: Double?
    private var identity = Identity()

    init(places: Places, channels: [Channel], outlet: Int?) {
        self.places = places
        self.channels = channels
        outletNumber = outlet.map { UInt8($0) }
    }

    /// A channel's place in the list. What Tasmota can give a phase has the channels of its phases after it.
    struct Places {
        /// How many phases have channels; 0 where one phase or outlet is all that there is.
        var phases: Int { Int(number) }
        private let number: UInt8
        private var step: Int { 1 + phases }
        var power: Int { 0 }
        var voltage: Int { step }
        var current: Int { 2 * step }
        var frequency: Int { 3 * step }
        var factor: Int { frequency + 1 }
        var energy: Int { factor + step }
        var export: Int { energy + step }
        var online: Int { export + 1 }
        var relay: Int { export + 2 }
        var uptime: Int { export + 3 }
        var restart: Int { export + 4 }
        var exchange: Int { export + 5 }

        init(phases: Int) { number = phases > 1 ? UInt8(phases) : 0 }

        /// `rating` in W bounds what is plausible; `digits` are those that the plug shows behind the point of a kWh.
        func channels(rating: Double, digits: Int) -> [Channel] {
            if phases < Self.usual.count, rating == 25_000, digits == 3 { return Self.usual[phases] }
            return listed(rating: rating, digits: digits)
        }

        /// By phases, of a plug whose rating nobody gave: a lab has many of them, and they share this.
        private static let usual = (0...3).map { Places(phases: $0).listed(rating: 25_000, digits: 3) }

        private func listed(rating: Double, digits: Int) -> [Channel] {
            // A plug survives some overload, and then it is a fact and no fault.
            let watts = -rating * 1.25...rating * 1.25
            var step = 1e6
            for _ in 0..<digits { step /= 10 }
            func each(_ name: String, _ make: (String) -> Channel) -> [Channel] {
                [make(name)] + (0..<phases).map { make("\(name).l\($0 + 1)") }
            }
            return each("power") { .gauge($0, .watt, watts) } + each("voltage") { .gauge($0, .volt, 0...500) }
                + each("current") { .gauge($0, .ampere, 0...1000) } + [.gauge("frequency", .hertz, 0...100)]
                + each("power_factor") { .gauge($0, .one, -1...1) }
                + each("energy") { Channel.counter($0, .milliwattHour, resolution: step).asFloat32 }
                + [
                    Channel.counter("energy.export", .milliwattHour, resolution: step).asFloat32, .online,
                    .gauge("relay", .one, 0...1),
                    .gauge("uptime", .second, 0...1e10), Channel("restart", nil, .event), .exchange,
                ]
        }
    }

    mutating func forget() { lastPower = nil }

    /// The relay before the meter was opened: nothing flows now, and the plug does not say so.
    mutating func switchedOff(_ out: inout Outbox) {
        guard lastPower != 0 else { return }
        for phase in 0...Int(phases) { out.report(places.power + phase, of: channels, 0) }
        lastPower = 0
    }

    /// The relay was closed. What flows now is not known before the meter's next message, which may take five minutes;
    /// without a meter never. Until then it is not the 0 W of the open relay.
    mutating func switchedOn(_ out: inout Outbox) {
        guard lastPower == 0 else { return }
        for phase in 0...Int(phases) { out.reportUnknown(places.power + phase) }
        lastPower = nil
    }

    mutating func report(_ meter: borrowing TasmotaMeter, _ out: inout Outbox) {
        out.alive()
        if let started = meter.started, identity.isOther(started, isProved: true) {
            out.report(places.exchange, event: "TotalStartTime")
        }
        if meter.isMisshapen { out.note(.badValue, "ENERGY is no object") }
        let hasOutlets = meter.power.isList
        reportParts(meter.power, "Power", on: places.power, adds: true, hasOutlets, &out)
        notePower(meter.power)
        reportCommon(meter.voltage, "Voltage", on: places.voltage, &out)
        reportParts(meter.current, "Current", on: places.current, hasOutlets, &out)
        if meter.frequency.count > 0 { put(meter.frequency[0], "Frequency", on: places.frequency, &out) }
        reportParts(meter.factor, "Factor", on: places.factor, hasOutlets, &out)
        reportParts(meter.drawn, "Total", on: places.energy, adds: true, scale: 1e6, hasOutlets, &out)
        reportExport(meter.fed, hasOutlets, &out)
    }

    private mutating func notePower(_ power: PhaseValues) {
        guard power.count > 0 else { return }
        phases = outlet == nil && power.isList ? UInt8(min(power.count, places.phases)) : 0
        let watts: Double
        if let outlet {
            watts = power[min(outlet, power.count) - 1]
        } else {
            watts = power.sum(times: 1, plausible: channels[places.power].plausible)
        }
        lastPower = watts.isFinite ? watts : nil
    }

    /// A quantity that each outlet or phase has for itself. A list goes to the channels after `first`, and its
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
            if index < places.phases {
                put(values[index], name, on: first + 1 + index, scale: scale, &out)
            } else if !values[index].isNaN, !channels[first].plausible.contains(values[index] * scale) {
                out.note(.badValue, "\(name) is no usable number")
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
        for index in 0..<min(values.count, places.phases) { put(values[index], name, on: first + 1 + index, &out) }
    }

    private mutating func reportExport(_ values: PhaseValues, _ hasOutlets: Bool, _ out: inout Outbox) {
        guard values.count > 0 else { return }
        if outlet != nil {
            if let value = pick(values, "ExportActive", hasOutlets, &out) {
                put(value, "ExportActive", on: places.export, scale: 1e6, &out)
            }
            return
        }
        let sum = values.sum(times: 1e6, plausible: channels[places.export].plausible)
        put(sum, "ExportActive", on: places.export, &out)
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
            out.note(.badValue, "\(name) is no usable number")
        } else {
            out.report(index, of: channels, scale == 1 ? value : (value * scale).rounded())
        }
    }
}
