import Model

/// A Prusa printer with PrusaLink: it says nothing, and answers when it is asked over HTTP.
///
///     GET /api/v1/status   {"job":{"id":420,"progress":12.0,…},"printer":{"state":"PRINTING","temp_nozzle":214.8,…}}
///     GET /api/v1/job      {"id":420,"state":"FINISHED",…}
struct PrusaPrinter: Sendable {
    private var session: PrintSession
    private var state = "IDLE"
    /// The last job and how it stands, as long as the printer keeps it.
    private var last: (id: Int, state: String)?

    init(_ profile: LabProfile, random: SeededRandom, start: Instant) {
        // It says PRINTING from the beginning on.
        session = PrintSession(profile, random: random, start: start, number: 400, heating: .running, failing: .fault)
    }

    var record: MachineRecord { session.record }
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
    func answer(_ path: String, at: Instant) -> (status: Int, body: [UInt8]) {
        switch path {
        case "/api/v1/status":
            let job =
                session.isBusy
                ? "\"job\":{\"id\":\(session.number),\"progress\":\(fixed(session.progress * 100, 1)),"
                    + "\"time_remaining\":\(session.secondsLeft),\"time_printing\":\(session.printed)}," : ""
            let text =
                "{\(job)\"printer\":{\"state\":\"\(state)\",\"temp_nozzle\":\(fixed(session.nozzle, 1)),"
                + "\"target_nozzle\":\(fixed(session.nozzleTarget, 1)),\"temp_bed\":\(fixed(session.bed, 1)),"
                + "\"target_bed\":\(fixed(session.bedTarget, 1))}}"
            return (200, Array(text.utf8))
        case "/api/v1/job":
            guard let last else { return (204, []) }
            return (200, Array("{\"id\":\(last.id),\"state\":\"\(last.state)\"}".utf8))
        default: return (404, [])
        }
    }
}
