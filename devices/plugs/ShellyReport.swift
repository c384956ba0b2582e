import Model

/// From a message of a Shelly to readings: always in the order of the channels, whatever order the keys had.
struct ShellyReport {
    /// Which of its two ways a message came.
    enum Path {
        /// `events/rpc`, with the device's own time.
        case primary
        /// `status/…`. The same news, told again; it counts for a channel only until the first way has told of it.
        case secondary
    }

    let places: Places
    let channels: [Channel]
    private let meters: Int

    /// What each meter said last, for sums; NaN where that is not known.
    private var watts = InlineArray<4, Double>(repeating: .nan)
    private var drawn = InlineArray<4, Double>(repeating: .nan)
    private var fed = InlineArray<4, Double>(repeating: .nan)
    /// The meters, as bits, that lie behind the relay with their number.
    private var behindRelay: UInt8 = 0
    /// The channels, as bits, that the primary way has told of.
    private var isPrimary: UInt64 = 0
    /// Messages of the second way since the last one of the first.
    private var alone = 0
    private var lastUptime: Double?
    private var lastErrors: UInt64 = 0
    private var hasToldOfOthers = false
    /// Which device it is, by its MAC address: another one in its place has another counter.
    private var identity = Identity()
    private var speaker: UInt64?
    private var remembered: String?

    init(_ settings: ShellySettings, tellsUptime: Bool, step: Double) {
        meters = settings.meters
        places = Places(meters: settings.meters, tellsUptime: tellsUptime)
        channels = places.channels(rating: settings.rating, step: step)
    }

    /// A channel's place in the list. What several meters have one each of has their channels after it.
    struct Places {
        let meters: Int
        let tellsUptime: Bool
        /// From one quantity to the next.
        private var step: Int { meters > 1 ? 1 + meters : 1 }
        var power: Int { 0 }
        var voltage: Int { step }
        var current: Int { 2 * step }
        var frequency: Int { 3 * step }
        var factor: Int { 3 * step + 1 }
        var energy: Int { 4 * step + 1 }
        var export: Int { 5 * step + 1 }
        var relay: Int { 5 * step + 2 }
        var online: Int { 6 * step + 2 }
        var temperature: Int { online + 1 }
        var alarm: Int { online + 2 }
        var uptime: Int { online + 3 }
        var restart: Int { online + 4 }
        var exchange: Int { tellsUptime ? online + 5 : online + 3 }

        /// A single meter has the plain name.
        func part(_ first: Int, _ meter: Int) -> Int { meters > 1 ? first + 1 + meter : first }

        /// `rating` in W bounds what is plausible; `step` is the least advance of the counters, in mWh.
        func channels(rating: Double, step: Double) -> [Channel] {
            // A plug survives some overload, and then it is a fact and no fault.
            let watts = -rating * 1.25...rating * 1.25
            func each(_ name: String, _ make: (String) -> Channel) -> [Channel] {
                [make(name)] + (meters > 1 ? (1...meters).map { make("\(name).l\($0)") } : [])
            }
            let measured =
                each("power") { .gauge($0, .watt, watts) } + each("voltage") { .gauge($0, .volt, 0...500) }
                + each("current") { .gauge($0, .ampere, -1000...1000) } + [.gauge("frequency", .hertz, 0...100)]
                + each("power_factor") { .gauge($0, .one, -1.02...1.02) }
                + each("energy") { .counter($0, .milliwattHour, resolution: step) }
                + [.counter("energy.export", .milliwattHour, resolution: step)]
            let told =
                each("relay") { .gauge($0, .one, 0...1) } + [
                    .online, .gauge("temperature", .celsius, -60...200), Channel("alarm", nil, .event),
                ]
            return measured + told
                + (tellsUptime ? [.gauge("uptime", .second, 0...1e10), Channel("restart", nil, .event)] : [])
                + [.exchange]
        }
    }

    /// The connection is new, or the device was away: what it said before may not be true any more.
    mutating func forget() {
        watts = InlineArray(repeating: .nan)
        drawn = InlineArray(repeating: .nan)
        fed = InlineArray(repeating: .nan)
        isPrimary = 0
        alone = 0
        lastErrors = 0
    }

    mutating func report(_ status: borrowing ShellyStatus, from path: Path, at time: Instant?, _ out: inout Outbox) {
        out.alive()
        if status.isMisshapen { out.note(.badValue, "a component is no object") }
        noteOthers(status, &out)
        if let address = status.address { reportExchange(address, at: time, &out) }
        follow(path)
        behindRelay |= status.behindRelay
        var power = status.power
        for meter in 0..<meters where status.relay[meter] == .number(0) && power[meter] == .nothing {
            // The relay before the meter was opened: nothing flows, whenever the meter will say so.
            if behindRelay & 1 << UInt8(meter) != 0, watts[meter] != 0 { power[meter] = .number(0) }
        }
        let sums = !status.hasPhases
        put(status.totalPower, on: places.power, path, time, &out)
        watts = report(power, on: places.power, after: watts, sums, path, time, &out)
        report(status.voltage, on: places.voltage, path, time, &out)
        report(status.current, on: places.current, path, time, &out)
        put(status.frequency[0], on: places.frequency, path, time, &out)
        report(status.factor, on: places.factor, path, time, &out)
        put(status.totalEnergy, on: places.energy, path, time, &out)
        drawn = report(status.energy, on: places.energy, after: drawn, sums, path, time, &out)
        put(status.totalExport, on: places.export, path, time, &out)
        fed = reportExport(status.export, sums, path, time, &out)
        report(status.relay, on: places.relay, path, time, &out)
        put(status.temperature, on: places.temperature, path, time, &out)
        if places.tellsUptime { reportUptime(status.uptime, path, time, &out) }
    }

    /// Words of the device for what is wrong with it, in a list as it stands in the message. Told when it changes.
    mutating func reportErrors(
        _ list: Range<Int>, _ b: borrowing Span<UInt8>, at time: Instant? = nil, _ out: inout Outbox
    ) {
        var hash: UInt64 = 0
        for index in list { hash = (hash ^ UInt64(b[index])) &* 0x100_0000_01B3 &+ 1 }
        guard hash != lastErrors else { return }
        lastErrors = hash
        var start = list.lowerBound
        var told = 0
        for index in list.lowerBound..<list.upperBound + 1 {
            if index < list.upperBound, Self.isLetter(b[index]) { continue }
            if index > start, told < 4 {
                told += 1
                var word = ""
                for at in start..<min(index, start + 32) { word.unicodeScalars.append(Unicode.Scalar(b[at])) }
                out.report(places.alarm, event: word, at: time)
            }
            start = index + 1
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool {
        (0x61...0x7A).contains(byte) || (0x30...0x3A).contains(byte) || byte == UInt8(ascii: "_")
    }

    /// Who speaks now; before what it says is read. What says so is whole JSON, no checksum is needed.
    mutating func reportExchange(_ address: UInt64, at time: Instant? = nil, _ out: inout Outbox) {
        // Nearly always: nobody is asked for a text of it then.
        guard address != speaker else { return }
        speaker = address
        if identity.isOther(address, isProved: true) {
            out.report(places.exchange, event: "another MAC address", at: time)
        }
        if let memory = identity.memory, memory != remembered {
            remembered = memory
            out.remember(memory)
        }
    }

    /// After a restart: who spoke last.
    mutating func recall(_ memory: String) {
        identity.recall(memory)
        remembered = identity.memory
    }

    // MARK: steps

    /// Where the first way has fallen silent for long, because it was switched off, the second one counts again.
    private mutating func follow(_ path: Path) {
        alone = path == .primary ? 0 : alone + 1
        if alone > 16 {
            isPrimary = 0
            alone = 0
        }
    }

    private mutating func noteOthers(_ status: borrowing ShellyStatus, _ out: inout Outbox) {
        guard status.hasOthers, !status.isOne, !hasToldOfOthers else { return }
        hasToldOfOthers = true
        out.note(
            .badValue,
            "it has more meters than are read here (\(meters)): give `meters`, or `channel` for one of them")
    }

    /// Whether this way may speak for a channel; the first one takes it over by speaking.
    private mutating func accepts(_ index: Int, _ path: Path) -> Bool {
        let bit: UInt64 = 1 << UInt64(index)
        if path == .secondary { return isPrimary & bit == 0 }
        isPrimary |= bit
        return true
    }

    private mutating func put(_ said: Said, on index: Int, _ path: Path, _ time: Instant?, _ out: inout Outbox) {
        guard said != .nothing, accepts(index, path) else { return }
        emit(said, on: index, time, &out)
    }

    private func emit(_ said: Said, on index: Int, _ time: Instant?, _ out: inout Outbox) {
        switch said {
        case .nothing: break
        case .number(let value): out.report(index, of: channels, value, at: time)
        case .unknown: out.reportUnknown(index, at: time)
        case .unusable: out.note(.badValue, "\(channels[index].name) is no number")
        }
    }

    /// A quantity that each meter has for itself.
    private mutating func report(
        _ values: ShellyStatus.Each, on first: Int, _ path: Path, _ time: Instant?, _ out: inout Outbox
    ) {
        for meter in 0..<meters { put(values[meter], on: places.part(first, meter), path, time, &out) }
    }

    /// The same with the sum of all meters before them; gives back what is known of each now.
    private mutating func report(
        _ values: ShellyStatus.Each, on first: Int, after old: InlineArray<4, Double>, _ sums: Bool, _ path: Path,
        _ time: Instant?, _ out: inout Outbox
    ) -> InlineArray<4, Double> {
        var known = old
        var news = ShellyStatus.Each(repeating: .nothing)
        for meter in 0..<meters where values[meter] != .nothing && accepts(places.part(first, meter), path) {
            news[meter] = values[meter]
            learn(values[meter], of: channels[first].plausible, &known[meter])
        }
        if meters > 1, sums { reportSum(news, known, on: first, time, &out) }
        for meter in 0..<meters { emit(news[meter], on: places.part(first, meter), time, &out) }
        return known
    }

    /// What was fed in has one channel, for all together.
    private mutating func reportExport(
        _ values: ShellyStatus.Each, _ sums: Bool, _ path: Path, _ time: Instant?, _ out: inout Outbox
    ) -> InlineArray<4, Double> {
        var known = fed
        guard meters == 1 || sums else { return known }
        guard meters > 1 else {
            put(values[0], on: places.export, path, time, &out)
            return known
        }
        var news = ShellyStatus.Each(repeating: .nothing)
        // The channel is the sum of them all, so that it cannot be taken over by one of them.
        for meter in 0..<meters where values[meter] != .nothing && accepts(places.part(places.energy, meter), path) {
            news[meter] = values[meter]
            learn(values[meter], of: channels[places.export].plausible, &known[meter])
            if values[meter] == .unusable { emit(.unusable, on: places.export, time, &out) }
        }
        reportSum(news, known, on: places.export, time, &out)
        return known
    }

    private func learn(_ said: Said, of plausible: ClosedRange<Double>, _ known: inout Double) {
        switch said {
        case .number(let value) where plausible.contains(value): known = value
        case .unknown: known = .nan
        default: break
        }
    }

    /// A sum is told when one of its parts was, and when all of them are known.
    private func reportSum(
        _ news: ShellyStatus.Each, _ known: InlineArray<4, Double>, on index: Int, _ time: Instant?,
        _ out: inout Outbox
    ) {
        var sum = 0.0
        var hasNews = false
        var isUnknown = false
        for meter in 0..<meters {
            if case .number(let value) = news[meter], value == known[meter] { hasNews = true }
            if news[meter] == .unknown { isUnknown = true }
            sum += known[meter]
        }
        if isUnknown {
            out.reportUnknown(index, at: time)
        } else if hasNews, !sum.isNaN {
            out.report(index, of: channels, sum, at: time)
        }
    }

    private mutating func reportUptime(_ said: Said, _ path: Path, _ time: Instant?, _ out: inout Outbox) {
        put(said, on: places.uptime, path, time, &out)
        guard case .number(let uptime) = said, uptime >= 0 else { return }
        if let lastUptime, uptime < lastUptime { out.report(places.restart, event: "restarted", at: time) }
        lastUptime = uptime
    }
}
