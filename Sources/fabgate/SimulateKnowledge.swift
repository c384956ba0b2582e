import Hub
import Model
import Simulation
import Usage

/// What the gateway could know of one machine: which words about it arrived, and when it was blind. From that follows
/// how far its account may differ from the truth, to the second and the watt-hour.
struct MachineKnowledge {
    /// Something that was said and arrived.
    struct Word {
        let said: Instant
        let arrived: Instant
    }

    /// Energy drawn in one stretch can be booked in another, or not at all.
    private struct Doubt {
        let from: Instant
        let to: Instant
        let drawn: (from: Instant, to: Instant)
    }

    /// Steps of its energy counter, mWh.
    let resolution: Double
    /// Silence that makes it offline.
    let silence: Duration
    /// Its state follows what was said by so much, beside the words' own delay.
    let afterwards: Duration
    /// Where it believes a state that two words in a row agree on: they are no further apart. A word that is missing
    /// between them says nothing, and the two around it are not in a row.
    let agreeWithin: Duration?
    /// So long a state must last, as far as words tell, before it is believed; zero where a word is enough.
    let dwell: Duration
    private(set) var states: [Word] = []
    private(set) var counters: [Word] = []
    /// Times of which its energy, or its state, can be wrong: the counter was in doubt, or the gateway off.
    private var doubts: [Doubt] = []
    private(set) var blind: [(from: Instant, to: Instant)] = []

    init(resolution: Double, silence: Duration, afterwards: Duration, agreeWithin: Duration?, dwell: Duration) {
        self.resolution = resolution
        self.dwell = dwell
        self.agreeWithin = agreeWithin
        self.silence = silence
        self.afterwards = afterwards
    }

    // MARK: what happens

    mutating func heard(state said: Instant, at time: Instant) { states.append(Word(said: said, arrived: time)) }

    mutating func heard(counter said: Instant, at time: Instant) {
        // A value that overtook another one may be held back until the next.
        if let last = counters.last, said < last.said { doubt(from: last.said, to: time + .minutes(30)) }
        counters.append(Word(said: said, arrived: time))
    }

    mutating func doubt(from: Instant, to: Instant) { doubt(from: from, to: to, drawnFrom: from, to: to) }
    /// What is drawn in one stretch may be booked in the other.
    mutating func doubt(from: Instant, to: Instant, drawnFrom begin: Instant, to end: Instant) {
        doubts.append(Doubt(from: from, to: to, drawn: (begin, end)))
    }
    /// What is in doubt at `time` stays so until `end`.
    mutating func prolongDoubts(at time: Instant, to end: Instant) {
        for doubt in doubts where doubt.from <= time && doubt.to > time && doubt.to < end {
            doubts.append(Doubt(from: doubt.from, to: end, drawn: (doubt.drawn.from, end)))
        }
    }
    mutating func blind(from: Instant, to: Instant) { blind.append((from, to)) }

    /// What arrived after `time` was forgotten: it was not durable.
    mutating func forget(after time: Instant) {
        states.removeAll { $0.arrived > time }
        counters.removeAll { $0.arrived > time }
    }

    mutating func prune(before time: Instant) {
        func cut(_ words: inout [Word]) {
            let first = words.firstIndex { $0.arrived >= time } ?? words.count
            if first > 1 { words.removeFirst(first - 1) }
        }
        cut(&states)
        cut(&counters)
        doubts.removeAll { $0.to < time }
        blind.removeAll { $0.to < time }
    }

    // MARK: what follows

    /// The counter as it can be booked up to `time`, mWh: straight between the two values around it. Before the first
    /// value nothing is known.
    func booked(by time: Instant, _ energy: (Instant) -> Double) -> Double? {
        guard let first = counters.first else { return nil }
        let after = counters.firstIndex { $0.arrived > time } ?? counters.count
        guard after > 0 else { return energy(first.said) }
        let a = counters[after - 1]
        guard after < counters.count else { return energy(a.said) }
        // What a broker had kept arrives in one go, and its last value is that of the time.
        var b = counters[after]
        for word in counters[after...] {
            guard word.arrived == b.arrived else { break }
            b = word
        }
        let length = Double((b.arrived - a.arrived).milliseconds)
        let from = energy(a.said)
        let part = length > 0 ? Double((time - a.arrived).milliseconds) / length : 1
        return from + (max(from, energy(b.said)) - from) * part
    }

    /// How much energy was drawn in doubt in [from, to), or so near that it can be booked there.
    func doubtful(from: Instant, to: Instant, _ energy: (Instant) -> Double) -> Double {
        doubts.reduce(0) { sum, doubt in
            // What was in doubt may be booked anywhere between the values around it, which are far apart where those
            // between them were lost.
            let begin = counters.last { $0.arrived <= doubt.drawn.from }?.said ?? doubt.drawn.from
            let end = counters.first { $0.arrived >= doubt.drawn.to }?.arrived ?? doubt.drawn.to
            guard max(doubt.to, end) > from, min(doubt.from, begin) < to else { return sum }
            return sum + energy(end) - energy(begin)
        }
    }

    /// Milliseconds of [from, to) in which its state can be another one than in truth, whose `changes` are all that lie
    /// there or before and can still matter.
    func uncertain(from: Instant, to: Instant, changes: [Instant]) -> Int64 {
        var spans: [(from: Instant, to: Instant)] = []
        for (place, change) in changes.enumerated() {
            // It is known once something is told that was said after it.
            var known = arrival(after: change)
            if afterwards > .zero {
                let cause = change - afterwards
                known = max(known, change + (arrival(after: cause) - cause))
            }
            // Where the first words about it were lost, what is left of it can be too short.
            if dwell > .zero, place + 1 < changes.count {
                let end = arrival(after: changes[place + 1])
                if end < known + dwell { known = end }
            }
            spans.append((change, known))
        }
        for gap in blind { spans.append((gap.from, arrival(after: gap.to))) }
        var last = states.first?.arrived ?? .distantFuture
        if last > from { spans.append((from, last)) }
        var newest = Instant.distantPast
        for (index, word) in states.enumerated() {
            if word.arrived - last > silence { spans.append((last + silence, word.arrived)) }
            last = word.arrived
            newest = max(newest, word.said)
            // A word that was overtaken is believed until the next, and takes back what has not lasted yet.
            if word.said < newest {
                let end = states[index...].first { $0.said >= newest }?.arrived
                let begun = states[..<index].last { $0.said == newest }?.arrived ?? word.arrived
                spans.append((max(begun, word.arrived - dwell), end ?? .distantFuture))
            }
        }
        // Nothing more was heard.
        if last < to { spans.append((last + silence, to)) }
        return Self.length(spans, from, to)
    }

    private func arrival(after time: Instant) -> Instant {
        guard let first = states.firstIndex(where: { $0.said >= time }) else { return .distantFuture }
        guard let agreeWithin else { return states[first].arrived }
        let second = states.indices.dropFirst(first + 1).first { states[$0].said - states[$0 - 1].said <= agreeWithin }
        return second.map { states[$0].arrived } ?? .distantFuture
    }

    /// Milliseconds of [from, to) that the spans cover together.
    static func length(_ spans: [(from: Instant, to: Instant)], _ from: Instant, _ to: Instant) -> Int64 {
        var sum: Int64 = 0
        var end = from
        for span in spans.sorted(by: { $0.from < $1.from }) {
            let (a, b) = (max(span.from, end), min(span.to, to))
            if b > a {
                sum += (b - a).milliseconds
                end = b
            }
        }
        return sum
    }
}

/// Which words tell about which machine.
struct Audience {
    struct Sense: OptionSet {
        let rawValue: Int
        static let state = Sense(rawValue: 1)
        static let counter = Sense(rawValue: 2)
        static let jobEnd = Sense(rawValue: 4)
        static let shots = Sense(rawValue: 8)
        static let mass = Sense(rawValue: 16)
    }
    struct Listener {
        let machine: Int
        var sense: Sense
        /// The broker keeps it for a gateway that is away; printers on the network publish with QoS 0.
        var isKept = true
        /// Of what it tells, the message itself says more than its topic.
        var speaks: String?
    }

    private let configuration: Configuration
    private var known: [String: Listener?] = [:]
    private var units: [WireUnit: Listener?] = [:]
    private struct WireUnit: Hashable {
        let wire: String
        let unit: UInt8
    }

    /// Asked of one message several times.
    private var last: (topic: String, listener: Listener?) = ("", nil)
    private var marlins: [Int: MarlinEar] = [:]

    init(_ configuration: Configuration) { self.configuration = configuration }

    /// Whom a message tells something.
    mutating func listener(topic: String) -> Listener? {
        if topic == last.topic { return last.listener }
        if let listener = known[topic] {
            last = (topic, listener)
        } else {
            last = (topic, find(topic))
            known[topic] = .some(last.listener)
        }
        return last.listener
    }

    /// The same where what is told depends on the message.
    mutating func listener(topic: String, _ payload: [UInt8]) -> Listener? {
        guard var listener = listener(topic: topic) else { return nil }
        if let driver = listener.speaks { listener.sense = Self.sense(of: driver, payload) }
        return listener
    }

    /// Who is asked over HTTP by this device, and what the answer tells.
    func listener(device: Int, _ body: [UInt8]) -> Listener? {
        machine(of: device).map {
            Listener(machine: $0, sense: Self.sense(of: configuration.devices[device].driverName, body))
        }
    }

    private static func sense(of driver: String, _ payload: [UInt8]) -> Sense {
        func has(_ word: StaticString) -> Bool { holds(word, payload.span) }
        switch driver {
        case "bambu":
            guard let place = find("\"gcode_state\":", payload.span) else { return [] }
            let isOver = stands("\"FINISH\"", at: place, payload.span) || stands("\"FAILED\"", at: place, payload.span)
            return isOver ? [.state, .jobEnd] : .state
        case "moonraker":
            // A change without the state may follow a state that got lost, and a print that has not printed for a moment
            // yet may heat as well as print.
            guard has("\"state\":\""), has("\"standby\"") || !has("\"print_duration\":0,") else { return [] }
            let isOver =
                has("\"state\":\"complete\"") || has("\"state\":\"cancelled\"") || has("\"state\":\"error\"")
            return isOver ? [.state, .jobEnd] : .state
        case "prusalink":
            guard has("\"printer\"") else { return [] }
            return has("\"FINISHED\"") || has("\"STOPPED\"") || has("\"ERROR\"") ? [.state, .jobEnd] : .state
        default: return .state
        }
    }

    /// Whether a word stands in a message. It begins with a quotation mark, as every name and text does in JSON: most
    /// bytes are none, and printers on the network send half a kilobyte a second, each of which is looked through.
    static func holds(_ word: StaticString, _ b: borrowing Span<UInt8>) -> Bool { find(word, b) != nil }

    /// Where what follows the word begins.
    private static func find(_ word: StaticString, _ b: borrowing Span<UInt8>) -> Int? {
        let length = word.utf8CodeUnitCount
        guard length > 1, length <= b.count else { return nil }
        // It is there as long as the program.
        let second = unsafe word.utf8Start[1]
        for start in 0...b.count - length
        where b[start] == 0x22 && b[start &+ 1] == second && stands(word, at: start, b) {
            return start + length
        }
        return nil
    }

    private static func stands(_ word: StaticString, at start: Int, _ b: borrowing Span<UInt8>) -> Bool {
        start + word.utf8CodeUnitCount <= b.count && JSONScanner.equals(start..<start + word.utf8CodeUnitCount, word, b)
    }

    private func find(_ topic: String) -> Listener? {
        for (index, device) in configuration.devices.enumerated() {
            guard device.driver.subscriptions.contains(where: { TopicFilter.matches($0, topic) }),
                let machine = machine(of: index)
            else { continue }
            var sense: Sense = []
            let fromPower = if case .power = configuration.machines[machine].source { true } else { false }
            switch device.driverName {
            case "tasmota":
                if topic.hasSuffix("/SENSOR") { sense = fromPower ? [.state, .counter] : .counter }
                if topic.hasSuffix("/POWER"), fromPower { sense = .state }
            case "octoprint":
                if topic.hasSuffix("/PrinterStateChanged") { sense = .state }
                if ["PrintDone", "PrintFailed", "PrintCancelled"].contains(where: { topic.hasSuffix("/\($0)") }) {
                    sense = .jobEnd
                }
            case "bambu", "moonraker":
                return Listener(machine: machine, sense: [], isKept: false, speaks: device.driverName)
            default: sense = .state
            }
            return Listener(machine: machine, sense: sense)
        }
        return nil
    }

    /// Whom a line or a frame on a wire tells something, and of what time.
    mutating func listener(
        wire: String, _ bytes: [UInt8], said: Instant, in lab: any SimulatedPlace
    ) -> (Listener, said: Instant)? {
        guard var listener = listener(wire: wire, unit: bytes.first ?? 0, in: lab) else { return nil }
        // Each counter on a wire is that of such a meter, of whose answers some may be lost.
        if listener.sense.contains(.counter), !EastronSDM120.tellsEnergy(bytes) { listener.sense.remove(.counter) }
        guard listener.speaks == "marlin" else { return (listener, said) }
        let word = marlins[listener.machine, default: MarlinEar()].hear(bytes, said: said)
        listener.sense = word.sense
        return (listener, word.since)
    }

    /// Whom an answer on a wire tells something. On a bus its first byte names the unit.
    private mutating func listener(wire: String, unit: UInt8, in lab: any SimulatedPlace) -> Listener? {
        let name = WireUnit(wire: wire, unit: unit)
        if let known = units[name] { return known }
        var found: Listener?
        if let word = lab.word(on: wire, unit: unit),
            let machine = configuration.machines.firstIndex(where: { $0.id == word.machine })
        {
            var sense: Sense = []
            if word.tellsState { sense.insert(.state) }
            if word.tellsEnergy { sense.insert(.counter) }
            if word.tellsShots { sense.insert(.shots) }
            if word.tellsMass { sense.insert(.mass) }
            found = Listener(machine: machine, sense: sense)
            let devices = configuration.machines[machine].devices
            if devices.contains(where: { isMarlin($0, on: wire) }) { found?.speaks = "marlin" }
        }
        units[name] = .some(found)
        return found
    }

    private func isMarlin(_ device: Int, on wire: String) -> Bool {
        guard case .line(let line) = configuration.devices[device].link else { return false }
        return configuration.devices[device].driverName == "marlin" && configuration.lines[line].name == wire
    }

    private func machine(of device: Int) -> Int? {
        configuration.machines.firstIndex { $0.devices.contains(device) }
    }
}
