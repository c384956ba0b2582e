import Model

/// A part of a Shelly that has a status of its own, by its name: `switch:0`, `emdata:0`.
struct ShellyComponent {
    enum Kind {
        case relay, meter, clamp, clampData, phases, phasesData, system
    }

    let kind: Kind
    let id: Int

    /// nil for the many that measure nothing: `wifi`, `input:0`, `cloud`.
    init?(_ name: Range<Int>, _ b: borrowing Span<UInt8>) {
        var colon = name.lowerBound
        while colon < name.upperBound, b[colon] != UInt8(ascii: ":") { colon += 1 }
        var id = 0
        let digits = min(colon + 1, name.upperBound)..<name.upperBound
        guard digits.count <= 3 else { return nil }
        for index in digits {
            guard b[index] &- 48 <= 9 else { return nil }
            id = id * 10 + Int(b[index] &- 48)
        }
        let word = name.lowerBound..<colon
        if JSONScanner.equals(name, "sys", b) {
            kind = .system
        } else if digits.isEmpty {
            return nil
        } else if JSONScanner.equals(word, "switch", b) {
            kind = .relay
        } else if JSONScanner.equals(word, "pm1", b) {
            kind = .meter
        } else if JSONScanner.equals(word, "em1", b) {
            kind = .clamp
        } else if JSONScanner.equals(word, "em1data", b) {
            kind = .clampData
        } else if JSONScanner.equals(word, "em", b) {
            kind = .phases
        } else if JSONScanner.equals(word, "emdata", b) {
            kind = .phasesData
        } else {
            return nil
        }
        self.id = id
    }
}

/// The quantities of one message of a Shelly of any generation, for at most four meters. Nothing is reported before
/// the whole message was read and found whole.
struct ShellyStatus {
    /// More than any Shelly has of one kind.
    static let most = 4
    typealias Each = InlineArray<4, Said>

    /// Which meters are wanted: those with the numbers `first ..< first + count`.
    let first: Int
    let count: Int
    /// One meter of several was named, so that what stands for all together says nothing of it.
    let isOne: Bool

    var power = Each(repeating: .nothing)  // W
    var voltage = Each(repeating: .nothing)  // V
    var current = Each(repeating: .nothing)  // A
    var frequency = Each(repeating: .nothing)  // Hz
    var factor = Each(repeating: .nothing)  // 1
    var energy = Each(repeating: .nothing)  // mWh
    var export = Each(repeating: .nothing)  // mWh
    var relay = Each(repeating: .nothing)  // 0 or 1
    /// The meters, as bits, that lie behind the relay with their number.
    var behindRelay: UInt8 = 0

    var totalPower = Said.nothing  // W
    var totalEnergy = Said.nothing  // mWh
    var totalExport = Said.nothing  // mWh
    /// The device adds its phases up by itself.
    var hasPhases = false

    var temperature = Said.nothing  // °C
    var uptime = Said.nothing  // s
    /// The device's own clock, s since 1970.
    var time = Said.nothing
    /// Where the words of a list of errors stand; empty where the list is.
    var errors: Range<Int>?
    /// A meter that is not wanted has a number, too.
    var hasOthers = false
    /// A component that is no object.
    var isMisshapen = false
    /// The MAC address of the device that speaks.
    var address: UInt64?

    init(first: Int, count: Int, isOne: Bool) {
        self.first = first
        self.count = count
        self.isOne = isOne
    }

    /// The place of a meter with this number; nil where it is not wanted.
    func place(_ number: Int) -> Int? {
        let place = number - first
        return place >= 0 && place < count ? place : nil
    }

    // MARK: Gen2 and later

    /// Takes the status object of one component.
    mutating func read(_ component: ShellyComponent, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if json.null(b) { return forget(component) }
        guard json.beginObject(b) else {
            isMisshapen = true
            json.skip(b)
            return
        }
        switch component.kind {
        case .relay, .meter: readMeter(component, &json, b)
        case .clamp, .clampData: readClamp(component, &json, b)
        case .phases, .phasesData: readPhases(component, &json, b)
        case .system: readSystem(&json, b)
        }
    }

    /// A component is `null`: it has gone, and with it what it measured.
    private mutating func forget(_ component: ShellyComponent) {
        guard component.kind != .system, component.kind != .phases, component.kind != .phasesData else { return }
        guard let place = place(component.id) else { return }
        if component.kind == .clampData {
            energy[place] = .unknown
            export[place] = .unknown
        } else {
            power[place] = .unknown
            voltage[place] = .unknown
            current[place] = .unknown
        }
    }

    private mutating func readMeter(
        _ component: ShellyComponent, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        guard let place = place(component.id) else { return passOver("apower", &json, b) }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "apower", b) {
                power[place] = .read(&json, b)
                if component.kind == .relay { behindRelay |= 1 << UInt8(place) }
            } else if JSONScanner.equals(key, "voltage", b) {
                voltage[place] = .read(&json, b)
            } else if JSONScanner.equals(key, "current", b) {
                current[place] = .read(&json, b)
            } else if JSONScanner.equals(key, "freq", b) {
                frequency[place] = .read(&json, b)
            } else if JSONScanner.equals(key, "pf", b) {
                factor[place] = .read(&json, b)
            } else if JSONScanner.equals(key, "aenergy", b) {
                energy[place] = Self.total(&json, b)
            } else if JSONScanner.equals(key, "ret_aenergy", b) {
                export[place] = Self.total(&json, b)
            } else if JSONScanner.equals(key, "output", b) {
                relay[place] = .readFlag(&json, b)
            } else if JSONScanner.equals(key, "temperature", b) {
                readTemperature(place, &json, b)
            } else if JSONScanner.equals(key, "errors", b) {
                readErrors(&json, b)
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func readClamp(
        _ component: ShellyComponent, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        guard let place = place(component.id) else { return passOver("act_power", &json, b) }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "errors", b) {
                readErrors(&json, b)
            } else {
                readQuantity(key, place, &json, b)
            }
        }
    }

    /// `em` and `emdata`: the members of a phase begin with `a_`, `b_` or `c_`, those of all with `total_`.
    private mutating func readPhases(
        _ component: ShellyComponent, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        guard component.id == 0 else { return passOver("total_act_power", &json, b) }
        hasPhases = true
        while let key = json.nextKey(b) {
            if key.count > 2, b[key.lowerBound + 1] == UInt8(ascii: "_"), (0x61...0x63).contains(b[key.lowerBound]) {
                readPhase(Int(b[key.lowerBound]) - 0x61, key.lowerBound + 2..<key.upperBound, &json, b)
            } else if JSONScanner.equals(key, "errors", b) {
                readErrors(&json, b)
            } else if isOne {
                json.skip(b)
            } else if JSONScanner.equals(key, "total_act_power", b) {
                totalPower = .read(&json, b)
            } else if JSONScanner.equals(key, "total_act", b) {
                totalEnergy = .read(&json, b, times: 1000, isWhole: true)
            } else if JSONScanner.equals(key, "total_act_ret", b) {
                totalExport = .read(&json, b, times: 1000, isWhole: true)
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func readPhase(
        _ phase: Int, _ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        // With one meter for all phases there is no place for a single one.
        guard isOne || count > 1, let place = place(phase) else {
            json.skip(b)
            return
        }
        readQuantity(key, place, &json, b)
    }

    /// One member of a clamp, or of a phase without its prefix.
    private mutating func readQuantity(
        _ key: Range<Int>, _ place: Int, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        if JSONScanner.equals(key, "act_power", b) {
            power[place] = .read(&json, b)
        } else if JSONScanner.equals(key, "voltage", b) {
            voltage[place] = .read(&json, b)
        } else if JSONScanner.equals(key, "current", b) {
            current[place] = .read(&json, b)
        } else if JSONScanner.equals(key, "freq", b) {
            frequency[place] = .read(&json, b)
        } else if JSONScanner.equals(key, "pf", b) {
            factor[place] = .read(&json, b)
        } else if JSONScanner.equals(key, "total_act_energy", b) {
            energy[place] = .read(&json, b, times: 1000, isWhole: true)
        } else if JSONScanner.equals(key, "total_act_ret_energy", b) {
            export[place] = .read(&json, b, times: 1000, isWhole: true)
        } else {
            json.skip(b)
        }
    }

    private mutating func readSystem(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "uptime", b) {
                uptime = .read(&json, b)
            } else if JSONScanner.equals(key, "mac", b), let text = json.string(b) {
                address = Self.address(text, b) ?? address
            } else {
                json.skip(b)
            }
        }
    }

    /// The MAC address that a text consists of, or ends with after a dash, as in `shellyplusplugs-a8032ab1c0de`: twelve
    /// hex digits in capitals or not.
    static func address(_ text: Range<Int>, _ b: borrowing Span<UInt8>) -> UInt64? {
        guard text.count == 12 || text.count > 12 && b[text.upperBound - 13] == UInt8(ascii: "-") else { return nil }
        var address: UInt64 = 0
        for index in text.upperBound - 12..<text.upperBound {
            let digit = b[index] &- 0x30
            let letter = (b[index] | 0x20) &- 0x61
            guard digit <= 9 || letter <= 5 else { return nil }
            address = address << 4 | UInt64(digit <= 9 ? digit : letter + 10)
        }
        return address
    }

    /// `{"total":48213.774,"by_minute":[…],"minute_ts":…}` in Wh; `by_minute` is in mWh and says nothing more.
    private static func total(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> Said {
        guard json.beginObject(b) else {
            if json.null(b) { return .unknown }
            json.skip(b)
            return .unusable
        }
        var total = Said.nothing
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "total", b) {
                total = .read(&json, b, times: 1000, isWhole: true)
            } else {
                json.skip(b)
            }
        }
        return total
    }

    /// `{"tC":48.2,"tF":118.8}`.
    private mutating func readTemperature(_ place: Int, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard place == 0, json.beginObject(b) else {
            json.skip(b)
            return
        }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "tC", b) {
                temperature = .read(&json, b)
            } else {
                json.skip(b)
            }
        }
    }

    /// `["overpower"]`; null or left out where all is well.
    private mutating func readErrors(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        let isList = json.peek(b) == .array
        guard let range = json.skip(b) else { return }
        let found = isList ? range.lowerBound + 1..<max(range.upperBound - 1, range.lowerBound + 1) : 0..<0
        if errors?.isEmpty ?? true { errors = found }
    }

    /// Steps over a component that is not wanted, but sees whether it measures.
    private mutating func passOver(
        _ quantity: StaticString, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, quantity, b), json.peek(b) == .number { hasOthers = true }
            json.skip(b)
        }
    }
}
