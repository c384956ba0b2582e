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

    /// nil where the line is no whole, known report.
    init?(_ line: [UInt8]) {
        guard line.count >= 2, line.first == 0x3C, line.last == 0x3E else { return nil }
        let fields = line[1..<line.count - 1].split(separator: 0x7C, omittingEmptySubsequences: false)
        guard let head = fields.first else { return nil }
        let parts = head.split(separator: 0x3A, maxSplits: 1, omittingEmptySubsequences: false)
        guard let word = Word(rawValue: String(decoding: parts[0], as: UTF8.self)) else { return nil }
        self.word = word
        subState = parts.count > 1 ? Self.whole(parts[1]) : nil
        guard parts.count == 1 || subState != nil else { return nil }
        for field in fields.dropFirst() {
            guard read(field) else { return nil }
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

    private mutating func read(_ field: ArraySlice<UInt8>) -> Bool {
        let parts = field.split(separator: 0x3A, maxSplits: 1, omittingEmptySubsequences: false)
        let text = parts.count > 1 ? parts[1] : []
        switch String(decoding: parts[0], as: UTF8.self) {
        case "MPos", "WPos", "WCO", "DTG": return readPosition(text)
        case "FS": return readSpeeds(text)
        case "F":
            guard let numbers = Self.numbers(text), numbers.count == 1 else { return false }
            feed = numbers[0]
            return true
        case "SD": return readCard(text)
        case "Bf": return Self.isWholes(text, 2...2)
        case "Ov": return Self.isWholes(text, 3...3)
        case "Ln", "T", "P", "MPG", "D", "TLR", "In", "ISRs", "Heap": return Self.isWholes(text, 1...1)
        case "H": return Self.isWholes(text, 1...2)
        case "AR": return parts.count == 1 || Self.isWholes(text, 1...1)
        case "Pn", "A", "Sc": return Self.isLetters(text, digits: false)
        case "WCS", "FW": return !text.isEmpty && Self.isLetters(text, digits: true)
        case "SP0", "SP1", "SP2", "SP3": return parts.count > 1
        default: return false
        }
    }

    private mutating func readPosition(_ text: ArraySlice<UInt8>) -> Bool {
        // All positions of one report have as many axes. A lost comma leaves one less.
        guard let numbers = Self.numbers(text), (3...9).contains(numbers.count), axes ?? numbers.count == numbers.count
        else { return false }
        axes = numbers.count
        return true
    }

    private mutating func readSpeeds(_ text: ArraySlice<UInt8>) -> Bool {
        // grblHAL adds the measured speed as a third.
        guard let numbers = Self.numbers(text), (2...3).contains(numbers.count) else { return false }
        feed = numbers[0]
        spindle = numbers[1]
        return true
    }

    private mutating func readCard(_ text: ArraySlice<UInt8>) -> Bool {
        let percent = text.prefix { $0 != 0x2C }
        guard let numbers = Self.numbers(percent), numbers.count == 1, (0...100).contains(numbers[0]) else {
            return false
        }
        progress = numbers[0] / 100
        return true
    }

    /// Decimal numbers with commas between; nil where anything else stands.
    private static func numbers(_ text: ArraySlice<UInt8>) -> [Double]? {
        var numbers: [Double] = []
        for part in text.split(separator: 0x2C, omittingEmptySubsequences: false) {
            guard part.count <= 16, part.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x2D }),
                let number = Double(String(decoding: part, as: UTF8.self)), numbers.count < 16
            else { return nil }
            numbers.append(number)
        }
        return numbers
    }

    static func whole(_ text: ArraySlice<UInt8>) -> Int? {
        guard (1...9).contains(text.count), text.allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return Int(String(decoding: text, as: UTF8.self))
    }

    private static func isWholes(_ text: ArraySlice<UInt8>, _ count: ClosedRange<Int>) -> Bool {
        let parts = text.split(separator: 0x2C, omittingEmptySubsequences: false)
        return count.contains(parts.count)
            && parts.allSatisfy { part in whole(part.first == 0x2D ? part.dropFirst() : part) != nil }
    }

    private static func isLetters(_ text: ArraySlice<UInt8>, digits: Bool) -> Bool {
        text.allSatisfy { byte in
            (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || digits && (0x2D...0x39).contains(byte)
        }
    }
}
