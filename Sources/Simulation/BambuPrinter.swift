import Model

/// A Bambu Lab printer on its own broker. A P1 sends what changed, an X1 everything; both send everything on `pushall`:
///
///     device/SERIAL/report   {"print":{"nozzle_temper":218.4,"command":"push_status","msg":1,"sequence_id":"5512"}}
///
/// A cancel is error 50348044, then FAILED, then the error taken back: three messages, one print. The error of a print
/// that failed stays up, and the printer waits, until somebody has confirmed it.
struct BambuPrinter: Sendable {
    let serial: String
    private let sendsAll: Bool
    private var session: PrintSession
    private var sequence = 2000
    /// `gcode_state` as it stays up.
    private var word = "IDLE"
    private var error = 0
    private var sent = ""

    init(
        _ profile: LabProfile, serial: String, sendsAll: Bool = false, random: SeededRandom, start: Instant
    ) {
        self.serial = serial
        self.sendsAll = sendsAll
        session = PrintSession(profile, random: random, start: start, failing: .blocked)
    }

    var record: MachineRecord { session.record }
    var next: Instant { session.next }
    var doing: String { "\(word) \(session.doing)" }

    mutating func tick(_ out: inout [Emission]) {
        for change in session.tick() { take(change, &out) }
        if sendsAll { return say(everything, isAll: true, &out) }
        let changed = quantities
        guard changed != sent else { return }
        sent = changed
        say(changed, isAll: false, &out)
    }

    /// A message on `device/SERIAL/request`.
    mutating func received(_ topic: String, _ payload: [UInt8], at: Instant) -> [Emission] {
        guard topic == "device/\(serial)/request", JSON(payload)?["pushing"]?["command"] != nil else { return [] }
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
            say("\"print_error\":\(error)", isAll: false, &out)
            become("FAILED", &out)
            if outcome == .cancelled {
                error = 0
                say("\"print_error\":0", isAll: false, &out)
            }
        case .confirmed:
            guard error != 0 else { break }
            error = 0
            say("\"print_error\":0", isAll: false, &out)
        }
    }

    private mutating func become(_ word: String, _ out: inout [Emission]) {
        self.word = word
        say("\"gcode_state\":\"\(word)\"", isAll: false, &out)
    }

    private var quantities: String {
        "\"nozzle_temper\":\(fixed(session.nozzle, 1)),\"bed_temper\":\(fixed(session.bed, 1))"
            + (session.isBusy
                ? ",\"mc_percent\":\(session.printed * 100 / session.whole),"
                    + "\"mc_remaining_time\":\(session.secondsLeft / 60),\"layer_num\":\(session.layer)" : "")
    }

    private var everything: String {
        quantities + ",\"gcode_state\":\"\(word)\",\"nozzle_target_temper\":\(fixed(session.nozzleTarget, 0)),"
            + "\"bed_target_temper\":\(fixed(session.bedTarget, 0)),\"total_layer_num\":\(session.layers),"
            + "\"print_type\":\"local\",\"stg_cur\":\(session.isBusy ? 0 : 255),\"print_error\":\(error),\"hms\":[],"
            + "\"subtask_id\":\"0\",\"subtask_name\":\"\(session.file)\",\"gcode_file\":\"\(session.file)\(session.number)\","
            + "\"chamber_temper\":5"
    }

    private mutating func say(_ members: String, isAll: Bool, _ out: inout [Emission]) {
        sequence += 1
        // An X1 sends everything each time, also when one thing changed.
        let members = sendsAll ? everything : members
        out.append(
            .publish(
                "device/\(serial)/report",
                "{\"print\":{\(members),\"command\":\"push_status\",\"msg\":\(isAll || sendsAll ? 0 : 1),"
                    + "\"sequence_id\":\"\(sequence)\"}}"))
    }
}
