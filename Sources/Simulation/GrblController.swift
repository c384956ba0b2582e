import Model

/// The serial side of Grbl 1.1h: answers `?` at once, everything else line by line.
///
///     ?  →  <Run|MPos:10.500,3.000,0.000|FS:800,255|WCO:0.000,0.000,0.000>
///
/// WCO comes with every 30th report while busy and every 10th otherwise, Ov with every 20th or 10th that has no WCO.
struct GrblController: Hashable, Sendable {
    /// `<` begins every report of its state.
    static let reportMark: UInt8 = 0x3C
    static let greeting: FirmwareText = "\r\nGrbl 1.1h ['$' for help]"

    /// The words of the protocol that occur here.
    enum Word: String, Sendable {
        case idle = "Idle"
        case run = "Run"
        case hold = "Hold:0"
        case home = "Home"
        case ajar = "Door:1"
        case closed = "Door:0"
        case alarm = "Alarm"

        var meaning: MachineState {
            switch self {
            case .idle: .idle
            case .run: .running
            case .hold, .closed: .paused
            case .home: .preparing
            case .ajar: .blocked
            case .alarm: .fault
            }
        }
    }

    var word = Word.idle
    var x = 0.0
    var y = 0.0
    var feed = 0
    /// The laser's S value.
    var power = 0
    private var line: [UInt8] = []
    private var untilOffset = 0
    private var untilOverride = 0

    /// As after a reset.
    mutating func restart() {
        self = GrblController()
    }

    mutating func hear(_ chunk: [UInt8]) -> [[UInt8]] {
        var replies: [[UInt8]] = []
        for byte in chunk {
            switch byte {
            case 0x3F: replies.append(report().bytes)
            // Hold, resume, reset and overrides: nobody here may steer.
            case 0x21, 0x7E, 0x18, 0x80...0xFF: break
            case 0x0A, 0x0D:
                if let reply = answer() { replies.append(reply) }
                line.removeAll()
            default: if line.count < 80 { line.append(byte) }
            }
        }
        return replies
    }

    private mutating func report() -> FirmwareText {
        let isBusy = word != .idle && word != .alarm
        var text: FirmwareText =
            "<\(word.rawValue)|MPos:\(x, places: 3),\(y, places: 3),0.000|FS:\(feed),\(power)"
        if untilOffset == 0 {
            untilOffset = isBusy ? 30 : 10
            text.add("|WCO:0.000,0.000,0.000")
        } else if untilOverride == 0 {
            untilOverride = isBusy ? 20 : 10
            text.add("|Ov:100,100,100")
            if power > 0 { text.add("|A:S") }
        }
        untilOffset = max(0, untilOffset - 1)
        untilOverride = max(0, untilOverride - 1)
        text.add(">\r\n")
        return text
    }

    private func answer() -> [UInt8]? {
        guard !line.isEmpty else { return nil }
        let text =
            switch String(decoding: line, as: UTF8.self) {
            case "$I": "[VER:1.1h.20190830:]\r\n[OPT:VM,15,128]\r\nok\r\n"
            case "$G": "[GC:G0 G54 G17 G21 G90 G94 M5 M9 T0 F\(feed) S\(power)]\r\nok\r\n"
            // Locked in an alarm, or not meant for a spectator.
            default: word == .alarm ? "error:9\r\n" : "error:3\r\n"
            }
        return Array(text.utf8)
    }
}
