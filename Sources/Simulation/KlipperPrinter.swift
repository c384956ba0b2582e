import Model

/// A printer with Klipper behind Moonraker, with its combined status and its API over MQTT:
///
///     NAME/moonraker/status         {"server":"online"}                              retained
///     NAME/klipper/status           {"eventtime":84290.11,"status":{"print_stats":{"print_duration":1510.2}}}
///     NAME/moonraker/api/request    {"jsonrpc":"2.0","method":"server.history.list",…,"id":7102}
///
/// Its history keeps every print, also those that nobody heard of.
struct KlipperPrinter: LabPart {
    private struct Past: Sendable {
        let status: String
        let start: Instant
        let end: Instant
    }

    let name: String
    private let start: Instant
    private var session: PrintSession
    private var state = "standby"
    private var history: [Past] = []
    private var isNew = true
    /// The quantities that it told last.
    private var sent: [UInt8] = []
    private let statusTopic: String
    private let requestTopic: String
    private let responseTopic: String

    init(_ profile: LabProfile, name: String, random: SeededRandom, start: Instant) {
        self.name = name
        statusTopic = "\(name)/klipper/status"
        requestTopic = "\(name)/moonraker/api/request"
        responseTopic = "\(name)/moonraker/api/response"
        self.start = start
        session = PrintSession(profile, random: random, start: start, failing: .fault)
    }

    var record: MachineRecord { session.record }
    var power: Int64 { session.record.energy.power }
    func energy(at time: Instant) -> Int64 { session.record.energy.energy(at: time) }
    var filament: Double? { session.filamentInAll }
    var next: Instant { session.next }
    var doing: String { "\(state) \(session.doing)" }

    mutating func tick(_ out: inout [Emission]) {
        let at = session.next
        if isNew {
            isNew = false
            out.append(.publish("\(name)/moonraker/status", #"{"server":"online"}"#, retain: true))
        }
        for change in session.tick() {
            switch change {
            case .began: state = "printing"
            case .heated, .resumed: state = "printing"
            case .paused: state = "paused"
            case .ended(let outcome):
                state = outcome == .completed ? "complete" : outcome == .cancelled ? "cancelled" : "error"
                history.append(
                    Past(
                        status: outcome.rawValue == "failed" ? "error" : outcome.rawValue, start: session.began, end: at
                    ))
                if history.count > 50 { history.removeFirst() }
            case .confirmed: state = "standby"
            }
            publish(#""print_stats":{\#(printStats)}"#, at, &out)
        }
        let quantities = quantities
        guard quantities.bytes != sent else { return }
        sent = quantities.bytes
        publish(quantities, at, &out)
    }

    private var quantities: FirmwareText {
        var text = FirmwareText(capacity: 240)
        if session.isBusy {
            text.add(#""virtual_sdcard":{"progress":"#)
            text.add(session.progress, places: 4)
            text.add(#"},"print_stats":{"print_duration":"#)
            text.add(session.phase == .heating ? 0 : session.printed)
            text.add(#","total_duration":"#)
            text.add(session.printed + 60)
            text.add(#","filament_used":"#)
            text.add(session.filament, places: 2)
            text.add("},")
        }
        text.add(#""extruder":{"temperature":"#)
        text.add(session.nozzle, places: 1)
        text.add(#"},"heater_bed":{"temperature":"#)
        text.add(session.bed, places: 1)
        text.add("}")
        return text
    }

    private func publish(_ objects: FirmwareText, _ at: Instant, _ out: inout [Emission]) {
        var text = FirmwareText(capacity: objects.bytes.count + 48)
        text.add(#"{"eventtime":"#)
        text.add(Double((at - start).milliseconds) / 1000 + 800, places: 2)
        text.add(#","status":{"#)
        text.add(objects.bytes)
        text.add("}}")
        out.append(.publish(topic: statusTopic, payload: text.bytes, retain: false))
    }

    /// A message on `NAME/moonraker/api/request`.
    mutating func received(_ payload: [UInt8], topic: String, at: Instant) -> [Emission] {
        guard topic == requestTopic, let request = JSON(payload), let id = request["id"]?.number
        else { return [] }
        let result: FirmwareText
        switch request["method"]?.text {
        case "printer.objects.query": result = status(at)
        case "server.history.list":
            var jobs = FirmwareText(capacity: 2048)
            for job in history.suffix(20).reversed() {
                if !jobs.bytes.isEmpty { jobs.add(",") }
                jobs.add(#"{"status":""#)
                jobs.add(text: job.status)
                jobs.add(#"","start_time":"#)
                jobs.add(job.start.milliseconds, places: 3)
                jobs.add(#","end_time":"#)
                jobs.add(job.end.milliseconds, places: 3)
                jobs.add("}")
            }
            result = #"{"count":\#(min(history.count, 20)),"jobs":[\#(jobs)]}"#
        case "server.history.totals":
            result =
                #"{"job_totals":{"total_jobs":\#(session.number),"total_print_time":0,"total_filament_used":0}}"#
        default: return []
        }
        return [
            .publish(responseTopic, #"{"jsonrpc":"2.0","result":\#(result),"id":\#(Int(id))}"#)
        ]
    }

    private var durations: FirmwareText {
        #""print_duration":\#(session.phase == .heating ? 0 : session.printed),"total_duration":\#(session.printed + 60),"filament_used":\#(session.filament, places: 2)"#
    }

    private var printStats: FirmwareText {
        state == "standby"
            ? #""state":"standby","filename":"","print_duration":0,"total_duration":0,"filament_used":0"#
            : #""state":"\#(state)","filename":"\#(session.file)",\#(durations)"#
    }

    /// Everything that it knows of itself.
    private func status(_ at: Instant) -> FirmwareText {
        var text: FirmwareText = #"{"eventtime":\#(Double((at - start).milliseconds) / 1000 + 800, places: 2),"#
        text.add(#""status":{"print_stats":{"#)
        text.add(printStats.bytes)
        text.add(#"},"webhooks":{"state":"ready"},"virtual_sdcard":{"progress":"#)
        text.add(session.isBusy ? session.progress : 0, places: 4)
        text.add(#"},"extruder":{"temperature":"#)
        text.add(session.nozzle, places: 1)
        text.add(#","target":"#)
        text.add(session.nozzleTarget, places: 1)
        text.add(#"},"heater_bed":{"temperature":"#)
        text.add(session.bed, places: 1)
        text.add(#","target":"#)
        text.add(session.bedTarget, places: 1)
        text.add("}}}")
        return text
    }
}
