import Model

/// A Prusa printer with PrusaLink: it says nothing, and answers when it is asked over HTTP.
///
///     GET /api/v1/status   {"job":{"id":420,"progress":12.0,…},"printer":{"state":"PRINTING","temp_nozzle":214.8,…}}
///     GET /api/v1/job      {"id":420,"state":"FINISHED",…}
struct PrusaPrinter: LabPart {
    private var session: PrintSession
    private var state = "IDLE"
    /// The last job and how it stands, as long as the printer keeps it.
    private var last: (id: Int, state: String)?

    init(_ profile: LabProfile, random: SeededRandom, start: Instant) {
        // It says PRINTING from the beginning on.
        session = PrintSession(profile, random: random, start: start, number: 400, heating: .running, failing: .fault)
    }

    var record: MachineRecord { session.record }
    var power: Int64 { session.record.energy.power }
    func energy(at time: Instant) -> Int64 { session.record.energy.energy(at: time) }
    var next: Instant { session.next }
    var doing: String { "\(state) \(session.doing)" }

    mutating func tick(_ out: inout [Emission]) {
        for change in session.tick() {
            switch change {
            case .began, .heated, .resumed: state = "PRINTING"
            case .paused: state = "PAUSED"
            case .ended(let outcome):
                state = outcome == .completed ? "FINISHED" : outcome == .cancelled ? "STOPPED" : "ERROR"
            case .confirmed: state = "IDLE"
            }
            if state != "IDLE" { last = (session.number, state) }
        }
    }

    /// What it answers to a question for this path: a status and a body.
    func answer(_ path: String, at: Instant) -> (status: Int, body: [UInt8])? {
        switch path {
        case "/api/v1/status": return (200, status.bytes)
        case "/api/v1/job":
            guard let last else { return (204, []) }
            let text: FirmwareText = #"{"id":\#(last.id),"state":"\#(last.state)"}"#
            return (200, text.bytes)
        default: return (404, [])
        }
    }

    private var status: FirmwareText {
        var text = FirmwareText(capacity: 300)
        text.add("{")
        if session.isBusy {
            text.add(#""job":{"id":"#)
            text.add(Int64(session.number))
            text.add(#","progress":"#)
            text.add(session.progress * 100, places: 1)
            text.add(#","time_remaining":"#)
            text.add(session.secondsLeft)
            text.add(#","time_printing":"#)
            text.add(session.printed)
            text.add("},")
        }
        text.add(#""printer":{"state":""#)
        text.add(text: state)
        text.add(#"","temp_nozzle":"#)
        text.add(session.nozzle, places: 1)
        text.add(#","target_nozzle":"#)
        text.add(session.nozzleTarget, places: 1)
        text.add(#","temp_bed":"#)
        text.add(session.bed, places: 1)
        text.add(#","target_bed":"#)
        text.add(session.bedTarget, places: 1)
        text.add("}}")
        return text
    }
}
