import Model

/// A Bambu Lab printer on its own broker. A P1 sends what changed, an X1 everything; both send everything on `pushall`:
///
///     device/SERIAL/report   {"print":{"nozzle_temper":218.4,"command":"push_status","msg":1,"sequence_id":"5512"}}
///
/// A cancel is error 50348044, then FAILED, then the error taken back: three messages, one print. The error of a print
/// that failed stays up, and the printer waits, until somebody has confirmed it.
struct BambuPrinter: LabPart {
    let serial: String
    private let sendsAll: Bool
    private var session: PrintSession
    private var sequence = 2000
    /// `gcode_state` as it stays up.
    private var word = "IDLE"
    private var error = 0
    /// The quantities that it told last.
    private var sent: [UInt8] = []
    private let topic: String
    private let requestTopic: String

    init(
        _ profile: LabProfile, serial: String, sendsAll: Bool = false, random: SeededRandom, start: Instant
    ) {
        self.serial = serial
        topic = "device/\(serial)/report"
        requestTopic = "device/\(serial)/request"
        self.sendsAll = sendsAll
        session = PrintSession(profile, random: random, start: start, failing: .blocked)
    }

    var record: MachineRecord { session.record }
    var power: Int64 { session.record.energy.power }
    func energy(at time: Instant) -> Int64 { session.record.energy.energy(at: time) }
    var next: Instant { session.next }
    var doing: String { "\(word) \(session.doing)" }

    mutating func tick(_ out: inout [Emission]) {
        for change in session.tick() { take(change, &out) }
        if sendsAll { return say("", isAll: true, &out) }
        let changed = quantities
        guard changed.bytes != sent else { return }
        sent = changed.bytes
        say(changed, isAll: false, &out)
    }

    /// A message on `device/SERIAL/request`.
    mutating func received(_ payload: [UInt8], topic: String, at: Instant) -> [Emission] {
        guard topic == requestTopic, JSON(payload)?["pushing"]?["command"] != nil else { return [] }
        var out: [Emission] = []
        say(everything, isAll: true, &out)
        return out
    }

    private mutating func take(_ change: PrintSession.Change, _ out: inout [Emission]) {
        switch change {
        case .began: become("PREPARE", &out)
        case .heated, .resumed: become("RUNNING", &out)
        case .paused: become("PAUSE", &out)
        case .ended(.completed): become("FINISH", &out)
        case .ended(let outcome):
            error = outcome == .cancelled ? 50_348_044 : 117_473_285
            say(#""print_error":\#(error)"#, isAll: false, &out)
            become("FAILED", &out)
            if outcome == .cancelled {
                error = 0
                say(#""print_error":0"#, isAll: false, &out)
            }
        case .confirmed:
            guard error != 0 else { break }
            error = 0
            say(#""print_error":0"#, isAll: false, &out)
        }
    }

    private mutating func become(_ word: String, _ out: inout [Emission]) {
        self.word = word
        say(#""gcode_state":"\#(word)""#, isAll: false, &out)
    }

    private var quantities: FirmwareText {
        var text = FirmwareText(capacity: 160)
        addQuantities(to: &text)
        return text
    }

    private func addQuantities(to text: inout FirmwareText) {
        text.add(#""nozzle_temper":"#)
        text.add(session.nozzle, places: 1)
        text.add(#","bed_temper":"#)
        text.add(session.bed, places: 1)
        guard session.isBusy else { return }
        text.add(#","mc_percent":"#)
        text.add(session.printed * 100 / session.whole)
        text.add(#","mc_remaining_time":"#)
        text.add(session.secondsLeft / 60)
        text.add(#","layer_num":"#)
        text.add(session.layer)
    }

    private var everything: FirmwareText {
        var text = FirmwareText(capacity: 512)
        addQuantities(to: &text)
        text.add(#","gcode_state":""#)
        text.add(text: word)
        text.add(#"","nozzle_target_temper":"#)
        text.add(session.nozzleTarget, places: 0)
        text.add(#","bed_target_temper":"#)
        text.add(session.bedTarget, places: 0)
        text.add(#","total_layer_num":"#)
        text.add(session.layers)
        text.add(#","print_type":"local","stg_cur":"#)
        text.add(session.isBusy ? 0 : 255)
        text.add(#","print_error":"#)
        text.add(Int64(error))
        text.add(#","hms":[],"subtask_id":"0","subtask_name":""#)
        text.add(text: session.file)
        text.add(#"","gcode_file":""#)
        text.add(text: session.file)
        text.add(Int64(session.number))
        text.add(#"","chamber_temper":5"#)
        return text
    }

    private mutating func say(_ members: FirmwareText, isAll: Bool, _ out: inout [Emission]) {
        sequence += 1
        // An X1 sends everything each time, also when one thing changed.
        let members = sendsAll ? everything : members
        var text = FirmwareText(capacity: members.bytes.count + 96)
        text.add(#"{"print":{"#)
        text.add(members.bytes)
        text.add(#","command":"push_status","msg":"#)
        text.add(isAll || sendsAll ? 0 : 1)
        text.add(#","sequence_id":""#)
        text.add(Int64(sequence))
        text.add(#""}}"#)
        out.append(.publish(topic: topic, payload: text.bytes, retain: false))
    }
}
