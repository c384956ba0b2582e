package import Model

/// Finds the units of a Modbus RTU bus. Each address is asked for one register; a unit that answers, with data or with
/// a refusal, is then read by each model in turn, as its driver would, and the model is the one whose every question is
/// answered and whose every value can be true. Registers are only read.
///
///     address 7  →  one input register? one holding register?  →  an answer: there is one
///                →  eastron-sdm120: 7 blocks …                  →  230.1 V, 60.0 Hz, … all plausible: it fits
package struct ModbusScan: BusScanner {
    package static let driver = ModbusRTU.info.name

    private enum Step {
        /// The register that most devices have, of the input and then of the holding registers.
        case probe(ModbusQuestion)
        case model(Int)
    }

    /// How a model fits a unit.
    private struct Fit {
        let model: String
        /// Values that a wrong map hardly gives: a mains voltage, a mains frequency.
        let telling: Int
        let readings: Int
    }

    private let models: [(name: String, profile: Fields)]
    private let units: [Int]
    /// Which of `units` is being looked at.
    private var at = 0
    private var step: Step?
    private var driver: ModbusRTU?
    private var request: (bytes: [UInt8], replyWithin: Duration)?
    private var buffer: [UInt8] = []
    private var readings: [Int: Double] = [:]
    private var hasFailed = false
    private var fits: [Fit] = []
    private var found: [(unit: Int, fits: [Fit])] = []

    /// Any meter answers one register in this time.
    private static let probeTime = Duration.milliseconds(120)

    package init(models: [(name: String, profile: Fields)], units: [Int]) {
        self.models = models.sorted { $0.name < $1.name }
        self.units = units
    }

    package var progress: (done: Int, of: Int) { (min(at, units.count), units.count) }

    package mutating func next() -> (bytes: [UInt8], replyWithin: Duration)? {
        if step == nil { begin() }
        // A model that fails leaves its place to the next one, until one asks something.
        while request == nil, at < units.count { advance() }
        defer { request = nil }
        return request
    }

    package mutating func receive(_ bytes: borrowing Span<UInt8>) -> Bool {
        switch step {
        case .probe(let question): return hearProbe(bytes, question)
        case .model: return hearModel(bytes)
        case nil: return false
        }
    }

    package mutating func noReply() {
        switch step {
        case .probe(let question) where question.function == 4: probe(3)
        case .probe:
            at += 1
            begin()
        case .model:
            hasFailed = true
            advance()
        case nil: break
        }
    }

    // MARK: one address

    private mutating func begin() {
        fits = []
        guard at < units.count else { return step = nil }
        probe(4)
    }

    private mutating func probe(_ function: UInt8) {
        let question = ModbusQuestion(unit: UInt8(units[at]), function: function, address: 0, count: 1)
        step = .probe(question)
        buffer = []
        request = (question.frame, Self.probeTime)
    }

    /// Whether the bytes so far hold a whole answer or refusal of this unit, whatever stands before it.
    private mutating func hearProbe(_ bytes: borrowing Span<UInt8>, _ question: ModbusQuestion) -> Bool {
        for i in bytes.indices where buffer.count < 256 { buffer.append(bytes[i]) }
        for start in buffer.indices where buffer[start] == question.unit {
            for length in [5, 7] where start + length <= buffer.count {
                let frame = Array(buffer[start..<start + length])
                let isRefusal = frame[1] == question.function | 0x80 && length == 5
                let isAnswer = frame[1] == question.function && frame[2] == 2 && length == 7
                guard isRefusal || isAnswer,
                    CRC16.of(frame.span, count: length - 2) == UInt16(frame[length - 2]) | UInt16(frame[length - 1])
                        << 8
                else { continue }
                found.append((units[at], []))
                tryModel(0)
                return true
            }
        }
        return false
    }

    // MARK: one model

    private mutating func tryModel(_ index: Int) {
        step = .model(index)
        driver = nil
        readings = [:]
        hasFailed = false
        guard index < models.count else { return finish() }
        var problems = Problems()
        let place = Position(file: "discover", line: 1, column: 1)
        let text = Document(.scalar("\(units[at])", isQuoted: false), at: place)
        let fields = Fields(
            entries: [.init(key: "unit", keyPosition: place, value: text)], at: place, "unit \(units[at])")
        var setup = DeviceSetup(id: "unit", fields: fields, profile: models[index].profile)
        driver = ModbusRTU(&setup, &problems)
        guard driver != nil else { return hasFailed = true }
        var out = Outbox()
        // Not `opened`, which asks for a serial number: not every meter of a model tells one.
        driver?.poll(&out)
        take(out)
    }

    private mutating func hearModel(_ bytes: borrowing Span<UInt8>) -> Bool {
        guard driver != nil, !hasFailed else { return true }
        var out = Outbox()
        driver?.receive(bytes, from: .line, &out)
        take(out)
        return out.isAnswered || request != nil || hasFailed
    }

    private mutating func take(_ out: Outbox) {
        // A refusal, or a value that cannot be: it is another model.
        if out.faults.contains(where: { [.refused, .implausible, .badValue, .unknownValue].contains($0.kind) }) {
            hasFailed = true
        }
        for reading in out.readings {
            if case .number(let value) = reading.value { readings[reading.channel] = value }
        }
        if !hasFailed, case .write(let bytes, let within, _)? = out.request {
            request = (bytes, within ?? Self.probeTime)
        }
    }

    /// The turn of a model is over.
    private mutating func advance() {
        guard case .model(let index) = step else { return }
        if let driver, !hasFailed, !readings.isEmpty {
            let telling = readings.count { channel, value in
                switch driver.channels[channel].unit {
                case .volt: (80...450).contains(value)
                case .hertz: (45...65).contains(value)
                default: false
                }
            }
            fits.append(Fit(model: models[index].name, telling: telling, readings: readings.count))
        }
        tryModel(index + 1)
    }

    private mutating func finish() {
        // The one that tells most; of the same map under several names, the first.
        fits.sort { ($1.telling, $1.readings, $0.model) < ($0.telling, $0.readings, $1.model) }
        if let last = found.indices.last { found[last].fits = fits }
        at += 1
        begin()
    }

    // MARK: what was found

    package var proposals: [Proposal] {
        found.compactMap { unit, fits in
            guard let best = fits.first else { return nil }
            let same = fits.dropFirst().filter { $0.telling == best.telling && $0.readings == best.readings }
            var remarks = same.isEmpty ? [] : ["the same registers fit \(same.map(\.model).joined(separator: ", "))"]
            if best.telling == 0 {
                remarks.append("nothing in its values speaks for this model but that they are possible")
            }
            return Proposal(
                name: "\(best.model)-\(unit)", driver: Self.driver, model: best.model,
                keys: [.init("unit", yaml: "\(unit)")], reason: "unit \(unit) answers every question of \(best.model)",
                remarks: remarks)
        }
    }

    package var strangers: [String] {
        found.filter(\.fits.isEmpty).map { "unit \($0.unit) answers, and no model that is installed fits it" }
    }
}
