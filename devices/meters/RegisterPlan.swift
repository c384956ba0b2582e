import Model

/// What to read from one model, and what the registers mean: the `settings` of its profile, checked.
struct RegisterPlan: Sendable {
    /// Registers or bits that one question asks for.
    struct Block: Hashable, Sendable {
        let function: UInt8
        let address: UInt16
        let count: UInt16

        func question(to unit: UInt8) -> ModbusQuestion {
            ModbusQuestion(unit: unit, function: function, address: address, count: count)
        }
    }

    /// A raw value that is no measurement. Without words it only means "not available now".
    struct Mark: Hashable, Sendable {
        let raw: Int64
        let words: String?
    }

    /// A bit of a status register that says that a value is no measurement.
    struct Flaw: Hashable, Sendable {
        let mask: UInt16
        let words: String
    }

    private(set) var blocks: [Block] = []
    private(set) var values: [RegisterValue] = []
    /// Those of all values, one after the other; `RegisterValue.marks` says which.
    private(set) var marks: [Mark] = []
    /// Those of all values, one after the other; `RegisterValue.flaws` says which.
    private(set) var flaws: [Flaw] = []
    /// Registers with decimals of values of later blocks; `RegisterValue.Decimals.kept` says which.
    private(set) var kept: [Block] = []
    /// The registers with the meter's own number.
    private(set) var serial: Block?
    /// No answer to a block is as long as one to `serial`. Otherwise a late one could pass for it.
    private(set) var isSerialDistinct = true
    /// The channel that says when that number is another one; it comes after those of the profile.
    private(set) var exchange: Int?
    let replyWithin: Duration

    /// Reads `settings`. Adds what is wrong to `problems`.
    init(_ settings: inout Fields, channels: [Channel], _ problems: inout Problems) {
        // For people who set up the line; the line's own entry in the configuration decides.
        _ = settings.integer("baud", in: 300...4_000_000, &problems)
        _ = settings.choice("format", of: LineFormat.self, &problems)
        _ = settings.duration("gap", example: "5 ms", &problems)
        replyWithin = settings.duration("reply_within", example: "500 ms", &problems) ?? .milliseconds(500)
        guard let items = settings.list("read", &problems), !items.isEmpty else {
            problems.add(settings.position, "\(settings.what) needs 'read', a list of blocks of registers")
            return
        }
        for item in items {
            guard var fields = Fields(item, "a block", &problems) else { continue }
            readBlock(&fields, channels, &problems)
            fields.finish(&problems)
        }
        if var fields = settings.map("serial", &problems) {
            readSerial(&fields, &problems)
            fields.finish(&problems)
            exchange = channels.count
        }
        for (index, channel) in channels.enumerated() where !values.contains(where: { $0.channel == index }) {
            problems.add(settings.position, "channel '\(channel.name)' is read nowhere; add it to a block's 'values'")
        }
        if values.count > 64 {
            problems.add(settings.position, "more than 64 values; a device gives at most 64 readings at a time")
        }
    }

    enum LineFormat: String, CaseIterable {
        case none8 = "8N1"
        case even8 = "8E1"
        case odd8 = "8O1"
        case none8TwoStops = "8N2"
    }

    /// `serial: { function: 3, address: 0xFC00, count: 2 }`
    private mutating func readSerial(_ fields: inout Fields, _ problems: inout Problems) {
        let function = fields.integer("function", in: 3...4, &problems)
        let address = fields.integer("address", in: 0...0xFFFF, &problems)
        let count = fields.integer("count", in: 1...16, &problems)
        guard let function, let address, let count, address + count <= 0x10000 else {
            return problems.add(
                fields.position,
                "'serial' needs 'function' 3 or 4, 'address' and 'count' of the registers with the meter's number, such as `{ function: 3, address: 0xFC00, count: 2 }`"
            )
        }
        serial = Block(function: UInt8(function), address: UInt16(address), count: UInt16(count))
        isSerialDistinct = !blocks.contains { $0.function == function && $0.question(to: 1).dataBytes == 2 * count }
    }

    private mutating func readBlock(_ fields: inout Fields, _ channels: [Channel], _ problems: inout Problems) {
        let function = fields.integer("function", in: 1...4, &problems)
        let address = fields.integer("address", in: 0...0xFFFF, &problems)
        let count = fields.integer("count", in: 1...((function ?? 3) <= 2 ? 2000 : 125), &problems)
        let items = fields.list("values", &problems) ?? []
        guard let function, let address, let count, address + count <= 0x10000 else {
            return problems.add(
                fields.position,
                "a block needs 'function' 1 to 4, 'address' and 'count', such as `function: 4, address: 0x0000, count: 2`"
            )
        }
        let block = Block(function: UInt8(function), address: UInt16(address), count: UInt16(count))
        // An answer names no address, but a device answers in order. If no answer is as long as the first, a late one
        // cannot pass for the first, and it comes before the first: it never meets an open question that it fits.
        if let first = blocks.first, first.question(to: 1).dataBytes == block.question(to: 1).dataBytes {
            problems.add(
                fields.position,
                "this block expects an answer of \(block.question(to: 1).dataBytes) bytes like the first block, so that a late one could be taken for the other; begin with a block whose length is its own"
            )
        }
        blocks.append(block)
        for item in items {
            guard var value = Fields(item, "a value", &problems) else { continue }
            readValue(&value, in: block, channels, &problems)
            value.finish(&problems)
        }
    }

    private mutating func readValue(
        _ fields: inout Fields, in block: Block, _ channels: [Channel], _ problems: inout Problems
    ) {
        let channel = fields.channel(among: channels, &problems)
        let first = fields.integer("at", in: 0...0xFFFF, &problems)
        let form = fields.choice("as", of: RegisterValue.Form.self, &problems)
        let order = fields.choice("order", of: RegisterValue.Order.self, &problems) ?? .abcd
        let scale = fields.number("scale", &problems) ?? 1
        let bits = readBits(&fields, &problems)
        let decimals = readDecimals(&fields, of: block, &problems)
        let degrees = readDegrees(&fields, &problems)
        let firstMark = marks.count
        readMarks(&fields, &problems)
        let firstFlaw = flaws.count
        let flawsAt = readFlaws(&fields, &problems)
        guard let channel else { return }
        guard let first else { return problems.add(fields.position, "a value needs 'at', the address of its register") }
        let isBits = block.function <= 2 || bits != 0
        guard isBits || form != nil else {
            return problems.add(fields.position, "a value needs 'as', such as uint16 or float32, or 'bits'")
        }
        if isBits, form != nil || decimals != nil || degrees != nil || block.function <= 2 && bits != 0 {
            problems.add(fields.position, "a value made of bits is 0 or 1; it has no 'as', 'decimals_at' or 'units_at'")
        }
        if scale == 0 { problems.add(fields.place("scale"), "'scale' cannot be 0") }
        let value = RegisterValue(
            channel: channel, function: block.function, first: first, form: form ?? .uint16, order: order, bits: bits,
            scale: scale == 0 ? 1 : scale, divisor: RegisterValue.divisor(scale == 0 ? 1 : scale), decimals: decimals,
            degrees: degrees,
            isWhole: channels[channel].unit == .milliwattHour, marks: firstMark..<marks.count, flawsAt: flawsAt,
            flaws: firstFlaw..<flaws.count)
        if !value.isCovered(by: block.question(to: 1)) {
            problems.add(fields.position, "this value, or a register that it needs, lies outside its block")
        }
        if values.contains(where: { $0.channel == channel }) {
            problems.add(fields.place("channel"), "channel '\(channels[channel].name)' is read twice")
        }
        values.append(value)
    }

    private func readBits(_ fields: inout Fields, _ problems: inout Problems) -> UInt16 {
        var mask: UInt16 = 0
        for item in fields.list("bits", &problems) ?? [] {
            guard let bit = item.number, (0...15).contains(bit), bit == bit.rounded() else {
                problems.add(item.position, "a bit is a number from 0, the lowest, to 15, not \(item.kindInWords)")
                continue
            }
            mask |= 1 << UInt16(bit)
        }
        return mask
    }

    /// `decimals_at: 0x03E9`, in the value's own block or in one before it.
    private mutating func readDecimals(
        _ fields: inout Fields, of block: Block, _ problems: inout Problems
    ) -> RegisterValue.Decimals? {
        guard let at = fields.integer("decimals_at", in: 0...0xFFFF, &problems) else { return nil }
        if block.question(to: 1).covers(at, before: at + 1) { return .at(at) }
        guard
            let other = blocks.dropLast().first(where: {
                $0.function == block.function && $0.question(to: 1).covers(at, before: at + 1)
            })
        else { return .at(at) }
        let register = Block(function: other.function, address: UInt16(at), count: 1)
        if let index = kept.firstIndex(of: register) { return .kept(index) }
        kept.append(register)
        return .kept(kept.count - 1)
    }

    /// `faults_at: 0x2001` with `faults: { 6: "input error" }`.
    private mutating func readFlaws(_ fields: inout Fields, _ problems: inout Problems) -> Int? {
        let at = fields.integer("faults_at", in: 0...0xFFFF, &problems)
        guard var map = fields.map("faults", &problems) else {
            if at != nil { problems.add(fields.position, "'faults_at' needs 'faults', such as { 6: \"input error\" }") }
            return nil
        }
        for key in map.keys {
            guard let words = map.text(key, &problems) else { continue }
            if let bit = Integers.parse(key), (0...15).contains(bit) {
                flaws.append(Flaw(mask: 1 << UInt16(bit), words: words))
            } else {
                problems.add(map.place(key), "'faults' says what bits 0 to 15 of a register mean; '\(key)' is none")
            }
        }
        if at == nil { problems.add(map.position, "'faults' needs 'faults_at', the register with these bits") }
        return at
    }

    /// `units_at: 0x03EA` with `units: { 0: °C, 1: °F }`.
    private func readDegrees(_ fields: inout Fields, _ problems: inout Problems) -> RegisterValue.Degrees? {
        let at = fields.integer("units_at", in: 0...0xFFFF, &problems)
        guard var map = fields.map("units", &problems) else {
            if at != nil { problems.add(fields.position, "'units_at' needs 'units', such as { 0: °C, 1: °F }") }
            return nil
        }
        var celsius: UInt16?
        var fahrenheit: UInt16?
        for key in map.keys {
            let raw = Integers.parse(key).flatMap(UInt16.init(exactly:))
            switch map.text(key, &problems) {
            case "°C" where raw != nil: celsius = raw
            case "°F" where raw != nil: fahrenheit = raw
            default:
                problems.add(map.place(key), "'units' gives °C or °F for a register's value, such as { 0: °C, 1: °F }")
            }
        }
        guard let at else {
            problems.add(map.position, "'units' needs 'units_at', the register that tells the unit")
            return nil
        }
        return RegisterValue.Degrees(at: at, celsius: celsius, fahrenheit: fahrenheit)
    }

    /// `unavailable: [0xFFFF]` and `special: { 31000: "sensor open" }`.
    private mutating func readMarks(_ fields: inout Fields, _ problems: inout Problems) {
        for item in fields.list("unavailable", &problems) ?? [] {
            if case .scalar(let text, _) = item.content, let raw = Integers.parse(text) {
                marks.append(Mark(raw: Int64(raw), words: nil))
            } else {
                problems.add(item.position, "'unavailable' lists raw whole numbers, not \(item.kindInWords)")
            }
        }
        guard var map = fields.map("special", &problems) else { return }
        for key in map.keys {
            guard let words = map.text(key, &problems) else { continue }
            if let raw = Integers.parse(key) {
                marks.append(Mark(raw: Int64(raw), words: words))
            } else {
                problems.add(map.place(key), "'special' says what raw whole numbers mean; '\(key)' is none")
            }
        }
    }
}
