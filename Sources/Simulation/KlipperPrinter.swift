import Model

/// A printer with Klipper behind Moonraker, with its combined status and its API over MQTT:
///
///     NAME/moonraker/status         {"server":"online"}                              retained
///     NAME/klipper/status           {"eventtime":84290.11,"status":{"print_stats":{"print_duration":1510.2}}}
///     NAME/moonraker/api/request    {"jsonrpc":"2.0","method":"server.history.list",…,"id":7102}
///
/// Its history keeps every print, also those that nobody heard of.
struct KlipperPrinter: Sendable {
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

    init(_ profile: LabProfile, name: String, random: SeededRandom, start: Instant) {
        self.name = name
        statusTopic = "\(name)/klipper/status"
        requestTopic = "\(name)/moonraker/api/request"
        self.start = start
        session = PrintSession(profile, random: random, start: start, failing: .fault)
    }

    var record: MachineRecord { session.record }
    var filament: Double { session.filamentInAll }
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
            publish(Array("\"print_stats\":{\(printStats)}".utf8), at, &out)
        }
        let quantities = quantities
        guard quantities != sent else { return }
        sent = quantities
        publish(quantities, at, &out)
    }

    private var quantities: [UInt8] {
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
        return text.bytes
    }

    private func publish(_ objects: [UInt8], _ at: Instant, _ out: inout [Emission]) {
        var text = FirmwareText(capacity: objects.count + 48)
        text.add(#"{"eventtime":"#)
        text.add(Double((at - start).milliseconds) / 1000 + 800, places: 2)
        text.add(#","status":{"#)
        text.add(objects)
        text.add("}}")
        out.append(.publish(topic: statusTopic, payload: text.bytes, retain: false))
    }

    /// A message on `NAME/moonraker/api/request`.
    mutating func received(_ topic: String, _ payload: [UInt8], at: Instant) -> [Emission] {
        guard topic == requestTopic, let request = JSON(payload), let id = request["id"]?.number
        else { return [] }
        let result: String
        switch request["method"]?.text {
        case "printer.objects.query":
            result = status(
                "\"print_stats\":{\(printStats)},\"webhooks\":{\"state\":\"ready\"},"
                    + "\"virtual_sdcard\":{\"progress\":\(fixed(session.isBusy ? session.progress : 0, 4))},"
                    + "\"extruder\":{\"temperature\":\(fixed(session.nozzle, 1)),\"target\":\(fixed(session.nozzleTarget, 1))},"
                    + "\"heater_bed\":{\"temperature\":\(fixed(session.bed, 1)),\"target\":\(fixed(session.bedTarget, 1))}",
                at)
        case "server.history.list":
            let jobs = history.suffix(20).reversed().map { job in
                "{\"status\":\"\(job.status)\",\"start_time\":\(seconds(job.start)),\"end_time\":\(seconds(job.end))}"
            }
            result = "{\"count\":\(jobs.count),\"jobs\":[\(jobs.joined(separator: ","))]}"
        case "server.history.totals":
            result =
                "{\"job_totals\":{\"total_jobs\":\(session.number),\"total_print_time\":0,\"total_filament_used\":0}}"
        default: return []
        }
        let text = "{\"jsonrpc\":\"2.0\",\"result\":\(result),\"id\":\(Int(id))}"
        return [.publish("\(name)/moonraker/api/response", text)]
    }

    private var durations: String {
        "\"print_duration\":\(session.phase == .heating ? 0 : session.printed),\"total_duration\":\(session.printed + 60),"
            + "\"filament_used\":\(fixed(session.filament, 2))"
    }

    private var printStats: String {
        "\"state\":\"\(state)\",\"filename\":\"\(state == "standby" ? "" : session.file)\","
            + (state == "standby" ? "\"print_duration\":0,\"total_duration\":0,\"filament_used\":0" : durations)
    }

    private func status(_ objects: String, _ at: Instant) -> String {
        "{\"eventtime\":\(fixed(Double((at - start).milliseconds) / 1000 + 800, 2)),\"status\":{\(objects)}}"
    }

    private func seconds(_ time: Instant) -> String { fixed(thousandths: time.milliseconds) }
}
