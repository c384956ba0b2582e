import Model

/// A card reader at a bench that has no power of its own: somebody is there, or nobody is. It says so when that changes
/// and every ten minutes, and its broker keeps the last word.
///
///     access/sewing-bench   {"occupied":1,"mode":"in"}
struct AccessReader: LabPart {
    private(set) var record: MachineRecord
    private(set) var next: Instant
    private let profile: LabProfile
    private let topic: String
    private var random: SeededRandom
    private var isOccupied = false
    private var ends: Instant
    private var tells: Instant

    init(_ profile: LabProfile, topic: String, random: SeededRandom, start: Instant) {
        self.profile = profile
        self.topic = topic
        self.random = random
        record = MachineRecord(.idle, at: start)
        next = start + .milliseconds(self.random.seconds(0, 600_000))
        tells = next
        ends = next + .seconds(self.random.seconds(60, 7200))
    }

    var doing: String { isOccupied ? "somebody is there" : "nobody is there" }

    mutating func tick(_ out: inout [Emission]) {
        let at = next
        if at >= ends {
            isOccupied = !isOccupied && profile.comes(at: at, &random)
            record.enter(isOccupied ? .running : .idle, at: at)
            let begin = isOccupied || profile.isOpen(at: at) ? at : profile.nextOpening(after: at)
            ends = begin + .seconds(isOccupied ? random.seconds(600, 7200) : random.seconds(900, 14_400))
            tells = at
        }
        if at >= tells {
            tells = at + .minutes(10)
            let word: FirmwareText = isOccupied ? #"{"occupied":1,"mode":"in"}"# : #"{"occupied":0,"mode":"out"}"#
            out.append(.publish("access/\(topic)", word))
        }
        next = min(ends, tells)
    }
}
