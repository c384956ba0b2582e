package import Model

/// Klipper printers through Moonraker's MQTT. `NAME` is `instance_name` in moonraker.conf, the host's name unless set.
///
///     NAME/moonraker/status             {"server":"online"}                                retained; the last will
///     NAME/klipper/status               {"eventtime":84290.11,"status":{"print_stats":{"state":"printing"}}}
///     NAME/klipper/state/OBJECT/FIELD   {"eventtime":84271.9,"value":1843.27}               retained; if split
///     NAME/moonraker/api/request        {"jsonrpc":"2.0","method":"printer.objects.query",…}
///     NAME/moonraker/api/response       MoonrakerAnswer.swift
///
/// Only changes are published, so they are laid over what is known. Split values outlive a printer that is off: a
/// retained one may say what the printer does, but is no sample. When the link is opened the driver asks what is, then
/// for the history, then for the totals; it asks nothing else. How prints are counted stands in MoonrakerJob.swift.
/// `eventtime` is the host's monotonic clock and not used. Names of files and people stop here.
package struct Moonraker: DeviceDriver {
    package static let info = DriverInfo(
        name: "moonraker", title: "Klipper printers through Moonraker's MQTT", link: .mqtt, family: "printers",
        // A cold printer is silent for minutes, and answers when it is asked.
        silence: .minutes(10), every: .seconds(60))

    /// So many jobs of the history are asked for and looked at.
    static let historyLength = 20

    package let channels = Self.allChannels
    package let subscriptions: [String]
    /// nil where nothing can be asked: in a recording.
    private let requestTopic: String?

    private var job = MoonrakerJob()
    private var filament = FilamentMeter()
    /// `print_stats.state`; nil while it is not known.
    private var word: String?
    /// `webhooks.state`; nil where nothing is wrong.
    private var klippyTrouble: String?
    /// What the last will says, or that something live came; nil where neither did.
    private var isHere: Bool?
    private var hasPrinted = false
    /// The display's progress counts more than the file's.
    private var hasDisplay = false
    private var hasProgress = false
    private var said: (state: MachineState, reason: String)?
    private var messagesSinceSaid = 0
    /// Messages since the last turn, and turns since the link was opened.
    private var heardSinceTurn = 0
    private var turn = 0
    /// The next answer about what is should be followed by the history.
    private var asksOn = true
    private var remembered = MoonrakerJob.Memory()

    /// Device key: `topic`, Moonraker's `instance_name`.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let place = setup.fields.place("topic")
        var bases = ["+", "+/+"]
        if !setup.takesAnyAddress || setup.fields.keys.contains("topic") {
            guard var base = setup.fields.requiredText("topic", &problems, example: "voron1") else { return nil }
            if base.last == "/" { base.removeLast() }
            guard TopicFilter.isTopic(base) else {
                problems.add(
                    place,
                    "'\(base)' cannot be Moonraker's name: it may not be empty nor hold + or #; give the "
                        + "instance_name of [mqtt] in moonraker.conf, or the host's name where there is none")
                return nil
            }
            bases = [base]
            requestTopic = "\(base)/moonraker/api/request"
        } else {
            requestTopic = nil
        }
        subscriptions = bases.flatMap {
            [
                "\($0)/moonraker/status", "\($0)/klipper/status", "\($0)/klipper/state/+/+",
                "\($0)/moonraker/api/response",
            ]
        }
    }

    package mutating func opened(_ out: inout Outbox) {
        job.away()
        word = nil
        klippyTrouble = nil
        isHere = nil
        said = nil
        asksOn = true
        turn = 0
        ask(.objects, &out)
    }

    package mutating func recall(_ memory: String) {
        let words = memory.split(separator: " ")
        job.recall(words.prefix(5).joined(separator: " "))
        if words.count == 7 { filament.recall(words[5], words[6]) }
        remembered = job.memory
    }

    /// About once a minute. A silent printer is asked whether it is there; some are not, and no last will says so. Every
    /// quarter of an hour everything is asked for, for what a lost message would leave wrong.
    package mutating func poll(_ out: inout Outbox) {
        turn &+= 1
        let isSilent = heardSinceTurn == 0
        heardSinceTurn = 0
        if turn % 15 == 0 { asksOn = true }
        if isSilent || turn % 15 == 0 { ask(.objects, &out) }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard !bytes.isEmpty, source.subscription >= 0 else { return }
        guard bytes.count <= 262_144 else { return out.note(.overrun, "a message longer than 256 KiB") }
        defer { remember(&out) }
        switch source.subscription % 4 {
        case 0: readLastWill(bytes, isRetained: source.isRetained, &out)
        case 1 where !source.isRetained: readCombined(bytes, &out)
        case 2: readSplit(bytes, source.topic, isRetained: source.isRetained, &out)
        case 3 where !source.isRetained: readAnswer(bytes, &out)
        default: break
        }
    }

    private mutating func remember(_ out: inout Outbox) {
        let memory = job.memory
        guard memory != remembered else { return }
        remembered = memory
        out.remember("\(memory.text) \(filament.memory)")
    }

    // MARK: questions

    private enum Question: Int {
        case objects = 7101
        case history = 7102
        case totals = 7103

        var method: String {
            switch self {
            case .objects:
                #""printer.objects.query","params":{"objects":{"print_stats":null,"webhooks":["state"],"#
                    + #""virtual_sdcard":["progress"],"display_status":["progress"],"#
                    + #""extruder":["temperature","target"],"extruder1":["temperature","target"],"#
                    + #""heater_bed":["temperature","target"]}}"#
            case .history: #""server.history.list","params":{"limit":\#(Moonraker.historyLength),"order":"desc"}"#
            case .totals: #""server.history.totals""#
            }
        }
    }

    private func ask(_ question: Question, _ out: inout Outbox) {
        guard let requestTopic else { return }
        let text = #"{"jsonrpc":"2.0","method":\#(question.method),"id":\#(question.rawValue)}"#
        out.send(.publish(topic: requestTopic, payload: Array(text.utf8)))
    }

    private mutating func readAnswer(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var answer = MoonrakerAnswer()
        guard answer.read(b) else { return out.note(.badFrame, "an answer is no JSON object") }
        heard(&out)
        if answer.isError { return refused(answer.id, &out) }
        if let status = answer.status {
            take(status, isRetained: false, &out)
            // Somebody else's question about the same is answered for all, and calls for nothing.
            if answer.id == Question.objects.rawValue, asksOn {
                asksOn = false
                ask(.history, &out)
            }
        }
        if let jobs = answer.jobs, answer.id == Question.history.rawValue || requestTopic == nil {
            for end in job.takeHistory(jobs) { out.report(Ch.job, event: end.outcome.rawValue, at: end.time) }
            ask(.totals, &out)
        }
        if let totals = answer.totals {
            out.report(totals.jobs, on: Ch.totalJobs, of: channels)
            out.report(totals.printTime, on: Ch.totalPrintTime, of: channels)
            out.report(totals.filament, on: Ch.totalFilament, of: channels)
        }
    }

    private mutating func refused(_ id: Int?, _ out: inout Outbox) {
        switch id.flatMap(Question.init) {
        case .objects:
            out.note(.refused, "printer.objects.query: Klipper does not answer Moonraker")
            klippyTrouble = "disconnected"
            sayState(&out)
            ask(.history, &out)
        case .history:
            out.note(.refused, "server.history.list: is [history] missing in moonraker.conf?")
            report(job.noHistory(), &out)
        case .totals: out.note(.refused, "server.history.totals")
        case nil: break
        }
    }

    // MARK: contact

    /// `{"server":"online"}`
    private mutating func readLastWill(_ b: borrowing Span<UInt8>, isRetained: Bool, _ out: inout Outbox) {
        var json = JSONScanner()
        var server: Range<Int>?
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "server", b), let text = json.string(b) {
                    server = text
                } else {
                    json.skip(b)
                }
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "the last will is no JSON object") }
        if let server, JSONScanner.equals(server, "online", b) {
            out.report(Ch.online, online: true)
            isHere = true
            if said?.state == .offline { word = nil }
            sayState(&out)
            guard !isRetained else { return }
            // Moonraker was started.
            job.away()
            asksOn = true
            ask(.objects, &out)
        } else if let server, JSONScanner.equals(server, "offline", b) {
            out.report(Ch.online, online: false)
            isHere = false
            job.away()
            sayState(&out)
        } else {
            out.note(.unknownValue, "the last will is neither online nor offline")
        }
    }

    /// Something live came, so Moonraker is there even if its last will still says otherwise.
    private mutating func heard(_ out: inout Outbox) {
        out.alive()
        messagesSinceSaid += 1
        heardSinceTurn += 1
        report(job.waited(), &out)
        defer { isHere = true }
        guard isHere == false else { return }
        isHere = true
        word = nil
        out.report(Ch.online, online: true)
        sayState(&out)
    }

    // MARK: objects

    private mutating func readCombined(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var report = MoonrakerReport()
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "status", b) { report.readObjects(&json, b) } else { json.skip(b) }
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "a status is no JSON object") }
        heard(&out)
        take(report, isRetained: false, &out)
    }

    /// One field; the names of its object and of itself are the last two levels of the topic.
    private mutating func readSplit(
        _ b: borrowing Span<UInt8>, _ topic: String, isRetained: Bool, _ out: inout Outbox
    ) {
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false).suffix(2)
        guard let object = levels.first, let name = levels.last else { return }
        let field = MoonrakerField(object: String(object), field: String(name))
        var json = JSONScanner()
        var report = MoonrakerReport()
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                if let field, JSONScanner.equals(key, "value", b) { report.read(field, &json, b) } else { json.skip(b) }
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "a value is no JSON object") }
        if !isRetained { heard(&out) }
        take(report, isRetained: isRetained, &out)
    }

    private mutating func take(_ report: MoonrakerReport, isRetained: Bool, _ out: inout Outbox) {
        if report.hasBadText { out.note(.badValue, "a state is no text") }
        let before = word
        if let state = report.state {
            word = state
            // Only a printer in order can stand by or print; that it is `ready` again is never published.
            if !isRetained, state == "standby" || state == "printing" { klippyTrouble = nil }
            if !Self.words.contains(state), state != before { out.note(.unknownValue, "print_stats.state \(state)") }
            // Until the new print says otherwise, it heats.
            if let before, !Self.active.contains(before) { hasPrinted = false }
        }
        if let klippy = report.klippyState { klippyTrouble = klippy == "ready" ? nil : klippy }
        if !isRetained, klippyTrouble == "shutdown" || klippyTrouble == "error" { job.klippyFailed() }
        if let duration = report.printDuration.number { hasPrinted = duration > 0 }
        follow(report, from: before, isRetained: isRetained, &out)
        // What the broker kept of a printer that may be off says nothing.
        if isHere == true { sayState(&out) }
        guard !isRetained else { return }
        let hasEnded = !isActive && before.map(Self.active.contains) ?? false
        reportQuantities(report, hasEnded: hasEnded, &out)
    }

    /// What it means for the print that is on.
    private mutating func follow(
        _ report: MoonrakerReport, from before: String?, isRetained: Bool, _ out: inout Outbox
    ) {
        let prints = job.prints
        if let state = report.state {
            let end = job.saw(state, isRetained: isRetained, report)
            self.report(end, &out)
            // So that the history's last job is the one just counted.
            if end != nil, job.hasHistory { ask(.history, &out) }
        } else if !isRetained {
            self.report(job.goesOn(report), &out)
        }
        if job.wantsHistory { ask(.history, &out) }
        guard !isRetained else { return }
        // Of a print that is found running, what it used before is not known to be new.
        let sawStart = before.map { !Self.active.contains($0) } ?? false
        if job.prints != prints, sawStart || filament.isKnown { filament.started() }
        if let used = report.filament.number, let total = filament.used(used) {
            out.report(Ch.filament, of: channels, total)
        }
        if report.filament == .wrong { out.note(.badValue, "filament_used is no number") }
    }

    private func report(_ end: MoonrakerJob.End?, _ out: inout Outbox) {
        guard let end else { return }
        out.report(Ch.job, event: end.outcome.rawValue, at: end.time)
    }

    private static let active: Set = ["printing", "paused"]
    private static let words: Set = ["standby", "printing", "paused", "complete", "error", "cancelled"]
    private var isActive: Bool { word.map(Self.active.contains) ?? false }

    // MARK: state

    private var state: (state: MachineState, reason: String) {
        if isHere == false { return (.offline, "server offline") }
        switch klippyTrouble {
        case nil: break
        case "startup", "disconnected": return (.offline, "klippy \(klippyTrouble ?? "")")
        case "shutdown", "error": return (.fault, "klippy \(klippyTrouble ?? "")")
        case let other?: return (.unknown, "klippy \(other)")
        }
        switch word {
        case nil: return (.unknown, "not told yet")
        case "standby", "complete", "cancelled": return (.idle, word ?? "")
        case "printing": return (hasPrinted ? .running : .preparing, "printing")
        case "paused": return (.paused, "paused")
        case "error": return (.fault, "error")
        case let other?: return (.unknown, other)
        }
    }

    /// Says a new state at once, and an old one now and then: the gateway may have taken the printer for lost.
    private mutating func sayState(_ out: inout Outbox) {
        let (state, reason) = state
        if let said, said.state == state, said.reason == reason, messagesSinceSaid < 10 { return }
        said = (state, reason)
        messagesSinceSaid = 0
        out.report(Ch.state, state, reason: reason)
    }

    // MARK: quantities

    private mutating func reportQuantities(_ report: MoonrakerReport, hasEnded: Bool, _ out: inout Outbox) {
        if isActive || hasEnded && word != "standby" { out.report(report.printDuration, on: Ch.jobTime, of: channels) }
        if report.displayProgress != .absent { hasDisplay = true }
        let progress = hasDisplay ? report.displayProgress : report.fileProgress
        if isActive {
            hasProgress = hasProgress || progress.number != nil
            out.report(progress, on: Ch.progress, of: channels)
            out.report(report.layer, on: Ch.layer, of: channels)
            out.report(report.layers, on: Ch.layers, of: channels)
        } else if hasProgress, word != nil {
            // What is said of progress between two prints is left from the last one.
            hasProgress = false
            for channel in [Ch.progress, Ch.layer, Ch.layers] { out.reportUnknown(channel) }
        }
        for part in report.temperatures.indices {
            out.report(report.temperatures[part], on: Ch.temperature + part, of: channels)
            out.report(report.targets[part], on: Ch.target + part, of: channels)
        }
    }

    /// Places in the list of channels.
    private enum Ch {
        static let state = 0
        static let job = 1
        static let jobTime = 2
        static let progress = 3
        static let layer = 4
        static let layers = 5
        static let filament = 6
        /// Of nozzle, second nozzle, bed, chamber.
        static let temperature = 7
        static let target = 11
        static let totalJobs = 15
        static let totalPrintTime = 16
        static let totalFilament = 17
        static let online = 18
    }

    private static let allChannels: [Channel] =
        [
            .state, .job, .gauge("job.time", .second, 0...1e8), .gauge("progress", .one, 0...1),
            .gauge("layer", .one, 0...1e6), .gauge("layer.total", .one, 0...1e6),
            .counter("filament", .millimetre, resolution: 0.01),
        ]
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("temperature.\($0)", .celsius, -50...600) }
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("target.\($0)", .celsius, 0...600) }
        + [
            .counter("total.jobs", .one, resolution: 1), .counter("total.print_time", .second),
            .counter("total.filament", .millimetre), .online,
        ]
}
