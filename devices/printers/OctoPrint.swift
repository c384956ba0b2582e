package import Model

/// 3D printers behind OctoPrint with its MQTT plugin. `BASE` is `octoPrint` unless the plugin says otherwise.
///
///     BASE/mqtt                  connected | disconnected                   retained; the last will
///     BASE/event/NAME            {"…":…,"_event":"PrintDone","_timestamp":1795452605}
///     BASE/progress/printing     {"location":"local","path":"pot.gcode","progress":91,"_timestamp":…}   retained
///     BASE/temperature/tool0     {"actual":21.3,"target":60.0,"_timestamp":…}                           retained
///
/// Events are not retained, so nothing says what the printer does when the gateway starts: `unknown` holds until
/// something shows it, or OctoPrint's own API is asked, which stands in OctoPrintREST.swift. Retained progress and
/// temperatures are of unknown age and are no samples. Names of files, paths and users stop here: no reading and no fault
/// holds them.
package struct OctoPrint: DeviceDriver {
    package static let info = DriverInfo(
        name: "octoprint", title: "3D printers behind OctoPrint, by its MQTT plugin, its API, or both", link: .mqtt,
        asksHTTP: true, family: "printers",
        // A cold printer says nothing for days; that it is gone is said by the last will.
        silence: .hours(30 * 24), every: .seconds(10))

    package let channels: [Channel]
    package let subscriptions: [String]

    var job = OctoPrintJob()
    /// nil where nothing is known since the link was opened.
    private(set) var state: MachineState?
    private var reason = ""
    /// The last will said that OctoPrint is gone.
    private var isGone = false
    /// The printer waits for a person inside a print.
    private var needsPerson = false
    /// Percent; the last one, and the one when the printer began to wait.
    private var progress: Double = 0
    private var progressWhenBlocked: Double = 0

    // What OctoPrintREST.swift needs.
    /// There is somebody who can ask the API.
    var isAsked = false
    /// Messages tell what happens; else only the API does.
    var hasMessages = false
    var turn = 0
    /// So many looks in a row have shown something else than the messages.
    var doubt = 0
    /// Of the file that is selected.
    var file: (origin: String, path: String)?
    /// How often the file had been printed when its print was found on.
    var counts: OctoPrintCounts?
    var filament = FilamentMeter()
    /// mm that the whole file takes, by OctoPrint's analysis, and the file's key; nil before it is analysed.
    var wholeFile: (key: UInt64, length: Double)?
    /// The print that the filament is counted for, and the state before what came last.
    var meteredPrint = 0
    private var stateBefore: MachineState?
    var pendingEnd: PendingEnd?
    var kept: Kept?

    /// An end that nobody saw, and what it counts as if the file's history does not tell.
    struct PendingEnd {
        var outcome: JobOutcome
        var progress = Progress.unknown
        var triesLeft = 3

        /// What OctoPrint still shows of it: all of the file, nothing any more, or something else.
        enum Progress { case whole, forgotten, unknown }
    }

    /// What outlives the gateway.
    struct Kept: Equatable {
        var isOpen: Bool
        var key: UInt64?
        var counts: OctoPrintCounts?
    }

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        // Only the API knows of filament.
        let isAsked = setup.takesAnyAddress || setup.fields.keys.contains("url")
        channels = isAsked ? Self.allChannels : Array(Self.allChannels.dropLast())
        guard let bases = Self.bases(&setup, &problems) else { return nil }
        subscriptions = bases.flatMap {
            ["\($0)/mqtt", "\($0)/event/+", "\($0)/progress/printing", "\($0)/temperature/+"]
        }
    }

    /// The base topics; in a recording one of up to three levels.
    private static func bases(_ setup: inout DeviceSetup, _ problems: inout Problems) -> [String]? {
        let place = setup.fields.place("topic")
        let before = problems.all.count
        guard var base = setup.fields.text("topic", &problems) else {
            if problems.all.count > before { return nil }
            return setup.takesAnyAddress ? ["+", "+/+", "+/+/+"] : ["octoPrint"]
        }
        if base.last == "/" { base.removeLast() }
        guard TopicFilter.isTopic(base) else {
            problems.add(
                place,
                "'\(base)' cannot be OctoPrint's base topic: it may not be empty nor hold + or #; "
                    + "give the base of the MQTT plugin's settings, such as octoPrint")
            return nil
        }
        return [base]
    }

    package mutating func opened(_ out: inout Outbox) {
        job.opened()
        state = nil
        isGone = false
        needsPerson = false
        progress = 0
        hasMessages = false
        doubt = 0
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        stateBefore = state
        defer {
            followPrint()
            keep(&out)
        }
        if let status = source.status { return readAnswer(bytes, source.topic, status, &out) }
        guard !bytes.isEmpty, source.subscription >= 0 else { return }
        let topic = source.subscription % 4
        if topic == 0 { return readLastWill(bytes, &out) }
        guard !source.isRetained else { return }
        heard(&out)
        switch topic {
        case 1: readEvent(bytes, String(Self.lastLevel(source.topic)), &out)
        case 2: readProgress(bytes, &out)
        default: readTemperature(bytes, Self.lastLevel(source.topic), &out)
        }
    }

    private static func lastLevel(_ topic: String) -> Substring { topic.split(separator: "/").last ?? "" }

    // MARK: contact

    private mutating func readLastWill(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        if JSONScanner.equals(b.indices, "connected", b) {
            out.report(Ch.online, online: true)
            isBack(&out)
        } else if JSONScanner.equals(b.indices, "disconnected", b) {
            out.report(Ch.online, online: false)
            job.away()
            isGone = true
            hasMessages = false
            become(.offline, "disconnected", &out)
        } else {
            out.note(.unknownValue, "the last will is neither connected nor disconnected")
        }
    }

    /// Something live came, so OctoPrint is there even if its last will still says otherwise.
    private mutating func heard(_ out: inout Outbox) {
        out.alive()
        hasMessages = true
        doubt = 0
        guard isGone else { return }
        out.report(Ch.online, online: true)
        isBack(&out)
    }

    private mutating func isBack(_ out: inout Outbox) {
        // What the printer said since it came counts for more than a message that the broker kept.
        if isGone || state == nil { become(.unknown, "connected", &out) }
        isGone = false
    }

    // MARK: events

    private mutating func readEvent(_ b: borrowing Span<UInt8>, _ name: String, _ out: inout Outbox) {
        var json = JSONScanner()
        var event = OctoPrintEvent()
        event.read(&json, b)
        guard json.finish(b) else { return out.note(.badFrame, "event \(name) is no JSON object") }
        switch name {
        case "PrintDone": return ended(.completed, event, &out)
        case "PrintFailed": return failed(event, b, &out)
        case "PrintStarted":
            let path = event.path.flatMap { JSONScanner.text($0, b) }
            settlePending(&out)
            if let outcome = job.started(event.identity, key: path.map { JobKey.of($0) }) {
                out.report(Ch.job, event: outcome.rawValue)
            }
            if job.isNew { counts = nil }
            needsPerson = false
            progress = 0
            if state != .running { become(.preparing, name, &out) }
        case _ where job.isOld(event.identity): break
        case "PrinterStateChanged":
            guard let id = event.stateID.flatMap({ JSONScanner.text($0, b) }) else {
                return out.note(.badValue, "PrinterStateChanged has no state_id")
            }
            if id == "FINISHING" || id == "CANCELLING", job.hasEnded(since: event.second) { break }
            changed(to: id, &out)
        case "PrintPaused": paused(name, &out)
        case "PrintResumed": printing(name, &out)
        case "PausedForUser", "FilamentChange": waits(name, &out)
        case "ZChange":
            // The next layer: whoever was needed was there.
            if state == .blocked { printing(name, &out) }
        case "Error", "EStop":
            job.away()
            if state != .offline { become(.fault, name, &out) }
        case "Disconnected":
            job.away()
            become(.offline, name, &out)
        default: break
        }
        job.heard()
    }

    mutating func changed(to id: String, _ out: inout Outbox) {
        switch id {
        case "OPERATIONAL":
            if job.isOpen, isAsked {
                // Its file's history knows how it ended.
                pendingEnd = pendingEnd ?? PendingEnd(outcome: job.guess)
            } else if let outcome = job.idle() {
                out.report(Ch.job, event: outcome.rawValue)
            }
            needsPerson = false
            become(.idle, id, isStateID: true, &out)
        case "STARTING", "TRANSFERING_FILE", "TRANSFERRING_FILE": become(.preparing, id, isStateID: true, &out)
        case "PRINTING", "RESUMING", "FINISHING", "CANCELLING": printing(id, isStateID: true, &out)
        case "PAUSING", "PAUSED": paused(id, isStateID: true, &out)
        case "ERROR", "CLOSED_WITH_ERROR":
            job.away()
            become(.fault, id, isStateID: true, &out)
        case "OFFLINE", "CLOSED", "NONE", "OPEN_SERIAL", "DETECT_SERIAL", "CONNECTING":
            job.away()
            become(.offline, id, isStateID: true, &out)
        default:
            out.note(.unknownValue, "state_id \(id.clipped(to: 64))")
            become(.unknown, id, isStateID: true, &out)
        }
    }

    private mutating func printing(_ why: String, isStateID: Bool = false, _ out: inout Outbox) {
        settlePending(&out)
        job.printing()
        needsPerson = false
        become(.running, why, isStateID: isStateID, &out)
    }

    private mutating func paused(_ why: String, isStateID: Bool = false, _ out: inout Outbox) {
        settlePending(&out)
        job.printing()
        // What the printer waits for says more than PAUSED.
        if needsPerson { return become(.blocked, why, &out) }
        become(.paused, why, isStateID: isStateID, &out)
    }

    /// The printer asks for a person. OctoPrint's own state may stay PRINTING and nothing says when it goes on.
    private mutating func waits(_ why: String, _ out: inout Outbox) {
        guard state != .idle, state != .offline, state != .fault else { return }
        needsPerson = true
        progressWhenBlocked = progress
        become(.blocked, why, &out)
    }

    private mutating func failed(_ event: OctoPrintEvent, _ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        guard let reason = event.reason else { return ended(.failed, event, &out) }
        if JSONScanner.equals(reason, "cancelled", b) { return ended(.cancelled, event, &out) }
        if !JSONScanner.equals(reason, "error", b) { out.note(.unknownValue, "PrintFailed for a new reason") }
        ended(.failed, event, &out)
    }

    private mutating func ended(_ outcome: JobOutcome, _ event: OctoPrintEvent, _ out: inout Outbox) {
        if job.isPast(end: event.identity) {
            if let time = event.time { out.report(Ch.jobTime, of: channels, time) }
            return
        }
        if outcome == .completed { used(share: 1, &out) }
        pendingEnd = nil
        counts = nil
        let isCounted = job.ended(event.identity, at: event.second)
        if isCounted { out.report(Ch.job, event: outcome.rawValue) }
        if let time = event.time, isCounted || job.wasToldAgain { out.report(Ch.jobTime, of: channels, time) }
        if isCounted, event.hasBadTime { out.note(.badValue, "the time of a print is no number") }
        needsPerson = false
        guard state != .offline, state != .fault else { return }
        // After an error OctoPrint has said OFFLINE or ERROR before; if it has not, that message is lost.
        if outcome == .failed {
            become(.unknown, "PrintFailed", &out)
        } else {
            become(.idle, outcome == .completed ? "PrintDone" : "PrintFailed", &out)
        }
    }

    /// Every new state is reported, and of an unchanged one OctoPrint's new word for it.
    mutating func become(
        _ new: MachineState, _ why: String, isStateID: Bool = false, _ out: inout Outbox
    ) {
        guard new != state || isStateID && why != reason else { return }
        state = new
        reason = why
        out.report(Ch.state, new, reason: why)
    }

    // MARK: quantities

    private mutating func readProgress(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var percent: Double?
        var hasPath = false
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "progress", b), let number = json.number(b) {
                    percent = number
                } else if JSONScanner.equals(key, "path", b), let path = json.string(b) {
                    hasPath = !path.isEmpty
                } else {
                    json.skip(b)
                }
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "progress is no JSON object") }
        job.heard()
        guard let percent else { return out.note(.badValue, "progress is no number") }
        // Zero without a file is what OctoPrint says when it connects, whatever the printer does.
        guard hasPath else { return }
        out.report(Ch.progress, of: channels, percent / 100)
        used(share: percent / 100, &out)
        // Zero also comes after a cancelled print, and a hundred after a finished one.
        let isInside = percent > 0 && percent < 100
        let wentOn = state == .blocked && needsPerson && percent >= progressWhenBlocked + 2
        if isInside, state == nil || state == .unknown || state == .preparing || wentOn { printing("progress", &out) }
        progress = percent
    }

    private mutating func readTemperature(_ b: borrowing Span<UInt8>, _ part: Substring, _ out: inout Outbox) {
        guard let index = Ch.parts.firstIndex(of: String(part)) else { return }
        var json = JSONScanner()
        let (actual, target) = Self.heater(&json, b)
        guard json.finish(b) else { return out.note(.badFrame, "temperature is no JSON object") }
        job.heard()
        report(index, actual, target, &out)
    }

    /// `{"actual":214.8,"target":220.0}`
    static func heater(
        _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) -> (actual: MessageNumber, target: MessageNumber) {
        var actual = MessageNumber.absent
        var target = MessageNumber.absent
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "actual", b) {
                    actual.read(&json, b)
                } else if JSONScanner.equals(key, "target", b) {
                    target.read(&json, b)
                } else {
                    json.skip(b)
                }
            }
        }
        return (actual, target)
    }

    mutating func report(_ index: Int, _ actual: MessageNumber, _ target: MessageNumber, _ out: inout Outbox) {
        out.report(actual, on: Ch.temperature + index, of: channels)
        out.report(target, on: Ch.target + index, of: channels)
    }

    // MARK: filament

    /// Another print begins to be counted. Of one that is found on, what it used before is not known to be new.
    private mutating func followPrint() {
        guard job.prints != meteredPrint else { return }
        meteredPrint = job.prints
        if job.isNew || stateBefore == .idle || filament.isKnown { filament.started() }
    }

    /// A part of the file is printed, 0…1: nothing measures filament, it follows from the file's analysis.
    mutating func used(share: Double, _ out: inout Outbox) {
        followPrint()
        guard channels.count > Ch.filament, job.isOpen, let wholeFile, job.key == nil || job.key == wholeFile.key,
            (0...1).contains(share),
            let total = filament.used(wholeFile.length * share)
        else { return }
        out.report(Ch.filament, of: channels, total)
    }

    // MARK: channels

    /// Places in the list of channels.
    enum Ch {
        static let state = 0
        static let job = 1
        static let jobTime = 2
        static let progress = 3
        /// Of the part with the same index.
        static let temperature = 4
        static let target = 8
        static let online = 12
        static let remaining = 13
        /// The last one, and only where the API is asked.
        static let filament = 14
        static let parts = ["tool0", "tool1", "bed", "chamber"]
    }

    private static let allChannels: [Channel] =
        [.state, .job, .gauge("job.time", .second, 0...1e8), .gauge("progress", .one, 0...1)]
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("temperature.\($0)", .celsius, -50...600) }
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("target.\($0)", .celsius, 0...600) }
        + [.online, .gauge("remaining", .second, 0...1e8), .counter("filament", .millimetre, resolution: 0.01)]
}
