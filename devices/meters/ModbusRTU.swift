package import Model

/// Meters and controllers that speak Modbus RTU, each model a register map. Frames are drawn in ModbusFrame.swift.
///
/// A turn asks for one block after the other. An answer counts only if unit, function, length and CRC fit the open
/// question; whatever else arrives is a fault at most. Values are found by absolute address, so that any recorded
/// question that covers them will do.
///
/// Nothing is told by a pause between bytes: adapters split and join frames as they like.
package struct ModbusRTU: DeviceDriver {
    package static let info = DriverInfo(
        name: "modbus-rtu", title: "Modbus RTU: meters and controllers by register map", link: .bus, family: "meters",
        needsModel: true, silence: .seconds(30), every: .seconds(5))

    package let channels: [Channel]
    private let plan: RegisterPlan
    /// nil means that any unit is meant: there is no device but a recording.
    private let unit: UInt8?
    private let questions: [ModbusQuestion]
    private let frames: [[UInt8]]
    /// Which of the plan's values an answer to each question holds: those of one question stand together.
    private let covered: [Int]
    private let coverage: [Range<Int>]
    private let serialQuestion: ModbusQuestion?

    /// What stood in the plan's `kept` registers; nil where it was not read.
    private var kept: [UInt16?]
    /// The question whose answer is awaited.
    private var open: ModbusQuestion?
    /// The meter's serial number is asked when the line was opened and after a silence: it may be another meter then.
    private var asksSerial = false
    /// How often it was asked in this turn.
    private var serialTries = 0
    private var identity = Identity()
    /// The same as it went over the wire, to know its echo.
    private var sent = InlineArray<8, UInt8>(repeating: 0)
    /// Which block of the plan is asked in this turn; -1 is the serial number, before the first.
    private var turn: Int?
    /// Somebody else is talking; not our business.
    private var listensElsewhere = false
    /// The next question was overheard while half an answer was here; there was nowhere to say so.
    private var hasCutAnswer = false
    /// Once a question is enough; the bytes after a broken frame are broken, too.
    private var complaint: Fault.Kind?
    /// Twice the longest frame: a late answer and the right one fit.
    private var buffer = InlineArray<512, UInt8>(repeating: 0)
    private var count = 0

    /// Device keys: `unit` (1 to 247) and `zone`, the number that the model's first zone has on this machine.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        let unit = setup.fields.integer("unit", in: 1...247, &problems)
        let zone = setup.fields.integer("zone", in: 1...99, &problems) ?? 1
        if unit == nil, !setup.takesAnyAddress, problems.all.count == before {
            problems.add(
                setup.fields.position,
                "device \(setup.id) needs 'unit', its Modbus address from 1 to 247, for example `unit: 1`")
        }
        guard var profile = setup.profile else {
            problems.add(setup.fields.position, "device \(setup.id) needs 'model': its register map")
            return nil
        }
        var channels = profile.channels(of: [.gauge, .counter], &problems)
        let settings = profile.map("settings", &problems)
        setup.profile = profile
        guard var settings else {
            problems.add(profile.position, "\(profile.what) needs 'settings' with 'read', the blocks of registers")
            return nil
        }
        let plan = RegisterPlan(&settings, channels: channels, &problems)
        if plan.exchange != nil { channels.append(.exchange) }
        self.plan = plan
        settings.finish(&problems)
        guard problems.all.count == before else { return nil }
        self.unit = unit.map { UInt8($0) }
        self.channels = channels.enumerated().map { index, channel in
            let isFloat32 = plan.values.contains { $0.channel == index && $0.form == .float32 }
            return (isFloat32 ? channel.asFloat32 : channel).moved(toZone: zone)
        }
        let questions = plan.blocks.map { $0.question(to: UInt8(unit ?? 1)) }
        self.questions = questions
        kept = [UInt16?](repeating: nil, count: plan.kept.count)
        frames = questions.map(\.frame)
        var covered: [Int] = []
        var coverage: [Range<Int>] = []
        let values = plan.values
        for question in questions {
            let first = covered.count
            covered += values.indices.filter { values[$0].isCovered(by: question) }
            coverage.append(first..<covered.count)
        }
        self.covered = covered
        self.coverage = coverage
        serialQuestion = plan.serial?.question(to: UInt8(unit ?? 1))
    }

    package mutating func opened(_ out: inout Outbox) {
        forget()
        asksSerial = serialQuestion != nil
    }

    package mutating func recall(_ memory: String) { identity.recall(memory) }

    package mutating func poll(_ out: inout Outbox) {
        serialTries = 1
        ask(asksSerial ? -1 : 0, &out)
    }

    /// The turn is over: an answer that comes now would be taken for the next one's.
    package mutating func noReply(_ out: inout Outbox) {
        let how = count == 0 ? "did not answer in time" : "sent \(count) bytes that are no whole answer"
        out.note(.noReply, open.map { "unit \($0.unit) \(how) when asked for \($0.inWords)" } ?? "no answer in time")
        // A model may not know its number and say nothing: it must not cost every turn.
        asksSerial = turn != -1 && serialQuestion != nil
        forget()
    }

    package mutating func overheard(_ request: borrowing Span<UInt8>) {
        let isCut = open != nil && count > 0 && complaint == nil
        forget()
        hasCutAnswer = isCut
        open = ModbusQuestion(request)
        for i in 0..<min(request.count, sent.count) { sent[i] = request[i] }
        // A question to another unit, or something else than reading.
        if open.map({ unit != nil && $0.unit != unit }) ?? true {
            open = nil
            listensElsewhere = true
        }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        if hasCutAnswer {
            hasCutAnswer = false
            out.note(.badFrame, "the answer before this one was cut short")
        }
        guard !listensElsewhere else { return }
        for i in bytes.indices {
            if count == buffer.count {
                settle(&out)
                if count == buffer.count {
                    complain(.overrun, "a full buffer without an answer; forgotten", &out)
                    count = 0
                }
            }
            buffer[count] = bytes[i]
            count += 1
        }
        settle(&out)
    }

    // MARK: asking

    private mutating func ask(_ index: Int, _ out: inout Outbox) {
        forget()
        turn = index
        let question = index < 0 ? serialQuestion ?? questions[0] : questions[index]
        let frame = index < 0 ? question.frame : frames[index]
        open = question
        for i in sent.indices { sent[i] = frame[i] }
        out.send(.write(frame, replyWithin: plan.replyWithin))
    }

    private mutating func forget() {
        turn = nil
        open = nil
        listensElsewhere = false
        complaint = nil
        count = 0
    }

    private mutating func complain(_ kind: Fault.Kind, _ detail: String, _ out: inout Outbox) {
        guard complaint != kind, complaint == nil || kind != .badFrame else { return }
        complaint = kind
        out.note(kind, detail)
    }

    // MARK: finding the answer

    // What follows changes nothing and is mutating all the same: otherwise the whole driver, half a kilobyte, is copied
    // for each call.

    /// What may begin at one byte of the buffer.
    private enum Find {
        /// The whole answer or refusal to the open question.
        case answer(length: Int)
        /// The adapter sends back what we sent.
        case echo(length: Int)
        /// A whole frame that was not asked for.
        case stranger(length: Int)
        /// Looks like the answer, but the CRC is wrong.
        case broken
        /// May become a frame.
        case unfinished
        case noise
    }

    /// Takes what the buffer holds, and keeps what may still become a frame.
    private mutating func settle(_ out: inout Outbox) {
        var at = 0
        var unfinished: Int?
        var isAnswered = false
        while at < count {
            switch look(at) {
            case .answer(let length):
                if let unfinished, unfinished < at { complain(.badFrame, "bytes before the answer", &out) }
                takeAnswer(at, &out)
                isAnswered = true
                open = nil
                unfinished = nil
                at += length
            case .echo(let length) where unfinished == nil:
                at += length
            case .stranger(let length) where unfinished == nil:
                out.note(
                    .unexpectedReply, "an answer of unit \(buffer[at]) to function \(buffer[at + 1] & 0x7F)" + inVain)
                at += length
            case .broken:
                let from = buffer[at]
                complain(.badChecksum, "the CRC of unit \(from)'s answer is wrong", &out)
                at += 1
            case .noise:
                // A bus without bias reads as 00 or FF while nobody drives it.
                if buffer[at] != 0, buffer[at] != 0xFF, unfinished == nil {
                    complain(.badFrame, "bytes that belong to no answer", &out)
                }
                at += 1
            case .unfinished, .echo, .stranger:
                unfinished = unfinished ?? at
                at += 1
            }
        }
        drop(unfinished ?? count)
        guard isAnswered, let turn else { return }
        if turn == -1, asksSerial, serialTries < 3 {
            // Before anything is read that may be another meter's.
            serialTries += 1
            ask(-1, &out)
        } else if turn + 1 < questions.count {
            ask(turn + 1, &out)
        } else {
            forget()
            out.answered()
        }
    }

    private var inVain: String {
        open.map { " while unit \($0.unit) was asked for \($0.inWords)" } ?? " that nobody asked for"
    }

    /// Judges the bytes from `at` on.
    private mutating func look(_ at: Int) -> Find {
        let left = count - at
        skipSerial(at, left)
        if let open {
            if let found = lookForEcho(at, left) { return found }
            let isRefusal = left > 1 && buffer[at + 1] == open.function | 0x80
            let wanted = isRefusal ? 5 : 5 + open.dataBytes
            if isMeant(buffer[at], by: open), left < 2 || isRefusal || buffer[at + 1] == open.function,
                left < 3 || isRefusal || Int(buffer[at + 2]) == open.dataBytes
            {
                if left < wanted { return .unfinished }
                return hasRightCRC(at, length: wanted) ? .answer(length: wanted) : .broken
            }
        }
        return lookForStranger(at, left)
    }

    /// The first block's answer in place of the serial number: a recording of somebody who asked for no number.
    private mutating func skipSerial(_ at: Int, _ left: Int) {
        guard turn == -1, left > 2, buffer[at + 1] == questions[0].function,
            Int(buffer[at + 2]) == questions[0].dataBytes, isMeant(buffer[at], by: questions[0])
        else { return }
        turn = 0
        open = questions[0]
        asksSerial = false
    }

    private mutating func isMeant(_ from: UInt8, by question: ModbusQuestion) -> Bool {
        // A recording without questions does not say whom it asked.
        unit == nil && turn != nil ? (1...247).contains(from) : from == question.unit
    }

    private mutating func lookForEcho(_ at: Int, _ left: Int) -> Find? {
        for i in 0..<min(left, sent.count) where buffer[at + i] != sent[i] { return nil }
        if left >= sent.count { return .echo(length: sent.count) }
        // Until they differ, the bytes can be either; five are a refusal, which differs at the second.
        return .unfinished
    }

    private mutating func lookForStranger(_ at: Int, _ left: Int) -> Find {
        guard (1...247).contains(buffer[at]) else { return .noise }
        guard left > 1 else { return .unfinished }
        guard (1...4).contains(buffer[at + 1] & 0x7F) else { return .noise }
        let isRefusal = buffer[at + 1] & 0x80 != 0
        guard left > 2 || isRefusal else { return .unfinished }
        let length = isRefusal ? 5 : 5 + Int(buffer[at + 2])
        guard isRefusal || (1...250).contains(buffer[at + 2]) else { return .noise }
        guard left >= length else { return .unfinished }
        return hasRightCRC(at, length: length) ? .stranger(length: length) : .noise
    }

    private mutating func hasRightCRC(_ at: Int, length: Int) -> Bool {
        let table = CRC16.table
        var crc = CRC16.start
        for i in at..<at + length - 2 { crc = crc >> 8 ^ table[Int((crc ^ UInt16(buffer[i])) & 0xFF)] }
        return crc == UInt16(buffer[at + length - 2]) | UInt16(buffer[at + length - 1]) << 8
    }

    private mutating func drop(_ first: Int) {
        guard first > 0 else { return }
        for i in first..<count { buffer[i - first] = buffer[i] }
        count -= first
    }

    // MARK: reading it

    private mutating func takeAnswer(_ at: Int, _ out: inout Outbox) {
        guard let question = open else { return }
        out.alive()
        if let serialQuestion, question.asksTheSame(as: serialQuestion) { return takeSerial(at, question, &out) }
        keep(question, at)
        if buffer[at + 1] & 0x80 != 0 {
            let reason = ModbusException.name(buffer[at + 2])
            return out.note(.refused, "unit \(buffer[at]) refuses to give \(question.inWords): \(reason)")
        }
        if let place = questions.firstIndex(where: { $0.asksTheSame(as: question) }) {
            for index in coverage[place] { report(plan.values[covered[index]], question, data: at + 3, &out) }
        } else {
            for index in plan.values.indices where plan.values[index].isCovered(by: question) {
                report(plan.values[index], question, data: at + 3, &out)
            }
        }
    }

    /// Another number than before is another meter. One that refuses has none, and nothing is missed.
    private mutating func takeSerial(_ at: Int, _ question: ModbusQuestion, _ out: inout Outbox) {
        asksSerial = false
        guard buffer[at + 1] & 0x80 == 0, let exchange = plan.exchange else { return }
        var serial: UInt64 = 0
        for i in at + 3..<at + 3 + question.dataBytes { serial = serial << 8 | serial >> 56 ^ UInt64(buffer[i]) }
        let before = identity.memory
        if identity.isOther(serial, isProved: plan.isSerialDistinct) {
            out.report(exchange, event: "another serial number")
        }
        // Where another answer may have passed for it, it is asked once more.
        asksSerial = identity.isDoubtful
        if let memory = identity.memory, memory != before { out.remember(memory) }
    }

    /// Remembers what later answers need; a refusal takes it away.
    private mutating func keep(_ question: ModbusQuestion, _ at: Int) {
        for index in plan.kept.indices {
            let register = plan.kept[index]
            let address = Int(register.address)
            guard register.function == question.function, question.covers(address, before: address + 1) else {
                continue
            }
            let i = at + 3 + 2 * (address - Int(question.address))
            kept[index] = buffer[at + 1] & 0x80 == 0 ? UInt16(buffer[i]) << 8 | UInt16(buffer[i + 1]) : nil
        }
    }

    private mutating func report(_ value: RegisterValue, _ question: ModbusQuestion, data: Int, _ out: inout Outbox) {
        let offset = value.first - Int(question.address)
        if value.function <= 2 {
            let bit = buffer[data + offset / 8] >> UInt8(offset % 8) & 1
            return out.report(value.channel, of: channels, Double(bit))
        }
        func register(_ address: Int) -> UInt16 {
            let i = data + 2 * (address - Int(question.address))
            return UInt16(buffer[i]) << 8 | UInt16(buffer[i + 1])
        }
        if value.bits != 0 {
            return out.report(value.channel, of: channels, register(value.first) & value.bits == 0 ? 0 : 1)
        }
        if let at = value.flawsAt, let flaw = plan.flaws[value.flaws].first(where: { register(at) & $0.mask != 0 }) {
            out.note(.sensorFault, "\(channels[value.channel].name): \(flaw.words)")
            return out.reportUnknown(value.channel)
        }
        let raw = value.raw { register(value.first + $0) }
        if !value.marks.isEmpty, case .whole(let whole) = raw,
            let mark = plan.marks[value.marks].first(where: { $0.raw == whole })
        {
            if let words = mark.words { out.note(.sensorFault, "\(channels[value.channel].name): \(words)") }
            return out.reportUnknown(value.channel)
        }
        let decimals: Int
        switch value.decimals {
        case nil: decimals = 0
        case .at(let at): decimals = Int(register(at))
        case .kept(let index):
            guard let told = kept[index] else {
                return out.note(.badValue, "\(channels[value.channel].name): its decimals could not be read before it")
            }
            decimals = Int(told)
        }
        guard decimals <= 9 else {
            return out.note(.badValue, "\(channels[value.channel].name) would have \(decimals) decimals")
        }
        var number = value.number(raw, decimals: decimals)
        if let degrees = value.degrees {
            let told = register(degrees.at)
            if told == degrees.fahrenheit {
                // No controller knows its hundredths.
                number = ((number - 32) / 1.8 * 100).rounded() / 100
            } else if told != degrees.celsius {
                return out.note(.unknownValue, "\(channels[value.channel].name): \(told) stands for neither °C nor °F")
            }
        }
        out.report(value.channel, of: channels, number)
    }
}

extension Channel {
    /// The same channel with `zone1` counted from another number: `temperature.zone1` becomes `temperature.zone2`.
    fileprivate func moved(toZone first: Int) -> Channel {
        guard first != 1 else { return self }
        let parts = name.split(separator: ".").map { part in
            guard part.hasPrefix("zone"), let number = Int(part.dropFirst(4)), (1...99).contains(number) else {
                return String(part)
            }
            return "zone\(number + first - 1)"
        }
        return Channel(
            parts.joined(separator: "."), unit, kind, resolution: resolution, plausible: plausible, wrapsAt: wrapsAt,
            isFloat32: isFloat32)
    }
}
