import Model

/// One real-time status report of Grbl 1.1 and its relatives, already checked:
///
///     <Run|MPos:10.500,3.000,0.000|FS:800,255|Ov:100,100,100|A:S|SD:42.15,/sd/pot.nc>
///      └┬┘ └────────┬────────────┘ └────┬───┘                    └──────┬───────────┘
///     state       position        feed, spindle               percent and file of a job from a card
///     (:n)     (never published)
///
/// Bytes get lost on cheap adapters beside a spindle, and then numbers merge (`25.1014.000`), names shrink (`MPs:`) and
/// reports run into each other. So a report counts only as a whole: the state is known, every field is known, and every
/// field has the parts that it must have.
struct GrblReport: Equatable, Sendable {
    enum Word: String, Sendable {
        case idle = "Idle"
        case run = "Run"
        case hold = "Hold"
        case jog = "Jog"
        case alarm = "Alarm"
        case door = "Door"
        case check = "Check"
        case home = "Home"
        case sleep = "Sleep"
        /// grblHAL: waits for a tool change.
        case tool = "Tool"
        /// FluidNC.
        case starting = "Starting"
        /// FluidNC sends no word while it does not know.
        case none = ""
    }

    let word: Word
    let subState: Int?
    /// mm/min.
    private(set) var feed: Double?
    /// rpm; on a laser the S value.
    private(set) var spindle: Double?
    /// 0…1 of a job from a card.
    private(set) var progress: Double?
    private var axes: Int?

    /// nil where the line is no whole, known report. Takes nothing from the allocator: every machine reports each second,
    /// all day.
    init?(_ line: [UInt8]) {
        guard line.count >= 2, line.first == 0x3C, line.last == 0x3E else { return nil }
        let end = line.count - 1
        let head = Self.part(of: 1..<end, before: 0x7C, line)
        let state = Self.part(of: head, before: 0x3A, line)
        guard state.count <= 8, let word = Word(rawValue: Self.name(line, state)) else { return nil }
        self.word = word
        let hasSubState = state.upperBound < head.upperBound
        subState = hasSubState ? Self.whole(line, state.upperBound + 1..<head.upperBound) : nil
        guard !hasSubState || subState != nil else { return nil }
        var at = head.upperBound
        while at < end {
            let field = Self.part(of: at + 1..<end, before: 0x7C, line)
            guard read(line, field) else { return nil }
            at = field.upperBound
        }
    }

    /// The common word for the state.
    var state: MachineState {
        switch word {
        case .idle, .sleep: .idle
        case .home, .jog, .check, .starting: .preparing
        case .run: .running
        case .hold: .paused
        case .door: subState == 0 || subState == 2 || subState == 3 ? .paused : .blocked
        case .tool: .blocked
        case .alarm: .fault
        case .none: .unknown
        }
    }

    /// The device's own word: `Hold:1`.
    var reason: String { subState.map { "\(word.rawValue):\($0)" } ?? word.rawValue }

    /// A job can go on in this state; the others mean that there is none.
    var allowsJob: Bool {
        switch word {
        case .run, .hold, .door, .tool, .alarm, .none: true
        case .idle, .sleep, .jog, .home, .check, .starting: false
        }
    }

    private mutating func read(_ line: [UInt8], _ field: Range<Int>) -> Bool {
        let name = Self.part(of: field, before: 0x3A, line)
        let hasText = name.upperBound < field.upperBound
        let text = (name.upperBound + (hasText ? 1 : 0))..<field.upperBound
        guard name.count <= 4 else { return false }
        switch Self.name(line, name) {
        case "MPos", "WPos", "WCO", "DTG": return readPosition(line, text)
        case "FS": return readSpeeds(line, text)
        case "F":
            guard let numbers = Numbers(line, text), numbers.count == 1 else { return false }
            feed = numbers.first
            return true
        case "SD": return readCard(line, text)
        case "Bf": return Self.wholes(line, text) == 2
        case "Ov": return Self.wholes(line, text) == 3
        case "Ln", "T", "P", "MPG", "D", "TLR", "In", "ISRs", "Heap": return Self.wholes(line, text) == 1
        case "H": return (1...2).contains(Self.wholes(line, text) ?? 0)
        case "AR": return !hasText || Self.wholes(line, text) == 1
        case "Pn", "A", "Sc": return Self.isLetters(line, text, digits: false)
        case "WCS", "FW": return !text.isEmpty && Self.isLetters(line, text, digits: true)
        case "SP0", "SP1", "SP2", "SP3": return hasText
        default: return false
        }
    }

    private mutating func readPosition(_ line: [UInt8], _ text: Range<Int>) -> Bool {
        // All positions of one report have as many axes. A lost comma leaves one less.
        guard let numbers = Numbers(line, text), (3...9).contains(numbers.count), axes ?? numbers.count == numbers.count
        else { return false }
        axes = numbers.count
        return true
    }

    private mutating func readSpeeds(_ line: [UInt8], _ text: Range<Int>) -> Bool {
        // grblHAL adds the measured speed as a third.
        guard let numbers = Numbers(line, text), (2...3).contains(numbers.count) else { return false }
        feed = numbers.first
        spindle = numbers.second
        return true
    }

    /// grblHAL says `SD:Pending` while a program of the card that is over waits to be started again.
    private mutating func readCard(_ line: [UInt8], _ text: Range<Int>) -> Bool {
        if line[text].elementsEqual(Self.pending) { return true }
        guard let percent = Numbers.number(line, Self.part(of: text, before: 0x2C, line)), (0...100).contains(percent)
        else { return false }
        progress = percent / 100
        return true
    }

    private static let pending = Array("Pending".utf8)

    // MARK: parts of a line

    /// The range up to the first such byte; all of it where there is none.
    fileprivate static func part(of range: Range<Int>, before byte: UInt8, _ line: [UInt8]) -> Range<Int> {
        var at = range.lowerBound
        while at < range.upperBound, line[at] != byte { at += 1 }
        return range.lowerBound..<at
    }

    /// A few bytes as text, so short that it needs no memory.
    private static func name(_ line: [UInt8], _ range: Range<Int>) -> String {
        String(decoding: line[range], as: UTF8.self)
    }

    /// One to nine digits.
    static func whole(_ line: [UInt8], _ range: Range<Int>) -> Int? {
        guard (1...9).contains(range.count) else { return nil }
        var number = 0
        for at in range {
            guard (0x30...0x39).contains(line[at]) else { return nil }
            number = number * 10 + Int(line[at] - 0x30)
        }
        return number
    }

    /// How many whole numbers, with or without a minus, stand between commas; nil where anything else does.
    private static func wholes(_ line: [UInt8], _ text: Range<Int>) -> Int? {
        var count = 0
        var at = text.lowerBound
        while true {
            let number = part(of: at..<text.upperBound, before: 0x2C, line)
            let isNegative = !number.isEmpty && line[number.lowerBound] == 0x2D
            guard whole(line, number.lowerBound + (isNegative ? 1 : 0)..<number.upperBound) != nil else { return nil }
            count += 1
            guard number.upperBound < text.upperBound else { return count }
            at = number.upperBound + 1
        }
    }

    private static func isLetters(_ line: [UInt8], _ text: Range<Int>, digits: Bool) -> Bool {
        text.allSatisfy { at in
            let byte = line[at]
            return (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
                || digits && (0x2D...0x39).contains(byte)
        }
    }
}

/// Up to 16 decimal numbers with commas between, of which only the first two are of use.
private struct Numbers {
    private(set) var count = 0
    private(set) var first = 0.0
    private(set) var second = 0.0

    /// nil where anything else stands.
    init?(_ line: [UInt8], _ text: Range<Int>) {
        var at = text.lowerBound
        while true {
            let part = GrblReport.part(of: at..<text.upperBound, before: 0x2C, line)
            guard count < 16, let number = Self.number(line, part) else { return nil }
            if count == 0 { first = number }
            if count == 1 { second = number }
            count += 1
            guard part.upperBound < text.upperBound else { return }
            at = part.upperBound + 1
        }
    }

    /// `-12.310`: at most 16 characters; digits over a power of ten, which is the nearest Double for what machines send.
    static func number(_ line: [UInt8], _ part: Range<Int>) -> Double? {
        guard part.count <= 16 else { return nil }
        var digits: Int64 = 0
        var count = 0
        var divisor = 1.0
        var hasPoint = false
        for at in part {
            switch line[at] {
            case 0x30...0x39:
                digits = digits * 10 + Int64(line[at] - 0x30)
                count += 1
                if hasPoint { divisor *= 10 }
            case 0x2E where !hasPoint: hasPoint = true
            case 0x2D where at == part.lowerBound: break
            default: return nil
            }
        }
        guard count > 0 else { return nil }
        let number = Double(digits) / divisor
        return line[part.lowerBound] == 0x2D ? -number : number
    }
}
