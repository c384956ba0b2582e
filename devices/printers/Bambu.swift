package import Model

/// Bambu Lab printers on the printer's own broker in the local network (MQTT over TLS, port 8883), or through a
/// mosquitto bridge that owns the printer's few connections.
///
///     device/SERIAL/report    {"print":{"command":"push_status","msg":1,"nozzle_temper":218.4,…}}
///     device/SERIAL/request   {"pushing":{"command":"pushall",…}}                  the only thing that is ever said
///
/// The P1 and A1 series send only what changed, others the whole object each time; both are laid over what is known.
/// Nothing is retained, so the driver asks for everything when the link is opened. How jobs are counted stands in
/// BambuJob.swift, what states mean in BambuState.swift. Names of jobs and files stop here: no reading and no fault
/// holds them. Neither filament nor hours are in these messages.
package struct Bambu: DeviceDriver {
    package static let info = DriverInfo(
        name: "bambu", title: "Bambu Lab printers in the local network", link: .mqtt, family: "printers",
        // While it stands idle, a P1 or A1 says nothing for minutes.
        silence: .minutes(10), every: .seconds(60))

    package let channels = Self.allChannels
    package let subscriptions: [String]
    /// nil where nothing can be asked: in a recording.
    private let requestTopic: String?

    private var known = BambuState()
    private var job = BambuJob()
    /// Progress and layers of a job were told.
    private var hasProgress = false
    /// The printer has two nozzles, so that the plain members mean whichever is active.
    private var hasTwoNozzles = false
    /// Messages since everything was asked for.
    private var heardSinceAsked = 0
    /// Messages since the last turn, and turns since everything was asked for or told.
    private var heardSinceTurn = 0
    private var turnsSinceWhole = 0
    /// Turns in a row in which it said nothing.
    private var silentTurns = 0
    private var remembered = BambuJob.Memory()

    /// Device keys: `serial_number`, or `topic` for what stands in front of `/report` where a bridge renames it.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        guard let base = Self.base(&setup, &problems) else { return nil }
        if base.isEmpty {
            subscriptions = ["+/report", "+/+/report", "+/+/+/report"]
            requestTopic = nil
        } else {
            subscriptions = ["\(base)/report"]
            requestTopic = "\(base)/request"
        }
    }

    /// Empty where a recording's own address is meant.
    private static func base(_ setup: inout DeviceSetup, _ problems: inout Problems) -> String? {
        let before = problems.all.count
        let place = setup.fields.place("topic")
        if var base = setup.fields.text("topic", &problems) {
            _ = setup.fields.text("serial_number", &problems)
            if base.last == "/" { base.removeLast() }
            guard TopicFilter.isTopic(base) else {
                problems.add(
                    place,
                    "'\(base)' cannot stand in front of /report: it may not be empty nor hold + or #; give the bridge's "
                        + "local topic of the printer, such as lab/p1s")
                return nil
            }
            return base
        }
        guard problems.all.count == before else { return nil }
        if setup.takesAnyAddress, !setup.fields.keys.contains("serial_number") { return "" }
        let serialPlace = setup.fields.place("serial_number")
        guard
            let serial = setup.fields.requiredText("serial_number", &problems, example: "01P00A000000000")
        else { return nil }
        let isWord = serial.utf8.allSatisfy { ($0 >= 48 && $0 <= 57) || ($0 >= 65 && $0 <= 90) }
        guard isWord, (8...32).contains(serial.utf8.count) else {
            problems.add(
                serialPlace,
                "'\(serial.clipped(to: 40))' is no serial number of a Bambu Lab printer: it has 15 capital letters and "
                    + "digits and stands on the printer's screen under Device (3DP-… on the box is another name)")
            return nil
        }
        return "device/\(serial)"
    }

    package mutating func opened(_ out: inout Outbox) {
        known = BambuState()
        job.opened()
        askForAll(&out)
    }

    package mutating func recall(_ memory: String) {
        job.recall(memory)
        remembered = job.memory
    }

    /// About once a minute. A silent printer is told that somebody listens: some stop to publish until then. Everything is
    /// asked for at most every fifth turn, because a P1 or A1 stutters then; and every tenth where only changes came, so
    /// that a lost one does not last.
    package mutating func poll(_ out: inout Outbox) {
        turnsSinceWhole += 1
        let isSilent = heardSinceTurn == 0
        heardSinceTurn = 0
        silentTurns = isSilent ? silentTurns + 1 : 0
        // Within a print something changes each second.
        if isSilent { job.away() }
        if turnsSinceWhole >= (isSilent || known.word == nil ? 5 : 10) { return askForAll(&out) }
        if isSilent, let requestTopic { out.send(.publish(topic: requestTopic, payload: Array(Self.start.utf8))) }
    }

    /// So many turns without a word are no pause within a print.
    private static let longSilence = 3

    private static let start = #"{"pushing":{"sequence_id":"2","command":"start"}}"#

    private mutating func askForAll(_ out: inout Outbox) {
        heardSinceAsked = 0
        turnsSinceWhole = 0
        guard let requestTopic else { return }
        out.send(.publish(topic: requestTopic, payload: Array(Self.pushAll.utf8)))
    }

    private static let pushAll =
        #"{"pushing":{"sequence_id":"1","command":"pushall","version":1,"push_target":1}}"#

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        // A printer keeps nothing on its broker; what a bridge kept is of unknown age.
        guard !bytes.isEmpty, source.subscription >= 0, !source.isRetained else { return }
        guard bytes.count <= 262_144 else { return out.note(.overrun, "a report longer than 256 KiB") }
        var report = BambuReport()
        guard report.read(bytes) else { return out.note(.badFrame, "a report is no JSON object") }
        out.alive()
        heardSinceTurn += 1
        guard report.isStatus else { return }
        if report.isWhole { turnsSinceWhole = 0 }
        // A P1 or A1 that comes back from far away says only what changes from now on: not that another print began.
        if silentTurns >= Self.longSilence, !report.isWhole { askForAll(&out) }
        silentTurns = 0
        take(report, bytes, &out)
        if job.memory != remembered {
            remembered = job.memory
            out.remember(remembered.text)
        }
        heardSinceAsked += 1
        // The answer got lost. A P1 or A1 stutters when it is asked often.
        if known.word == nil, heardSinceAsked >= 300 { askForAll(&out) }
    }

    // MARK: one report

    private mutating func take(_ report: BambuReport, _ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        if report.state != nil { out.report(Ch.online, online: true) }
        merge(report, b, &out)
        if known.word != nil {
            let outcome = job.saw(
                known.sight, isOwnProgram: known.isOwnProgram, key: report.jobKey(b), progress: report.percent.number)
            if let outcome { out.report(Ch.job, event: outcome.rawValue) }
            // Said each time: the gateway may have taken the printer for lost between two messages.
            let (state, reason) = known.state
            out.report(Ch.state, state, reason: reason)
        }
        reportProgress(report, &out)
        reportHeaters(report, &out)
    }

    /// Lays the message over what was known.
    private mutating func merge(_ report: BambuReport, _ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        let before = known
        if let type = report.printType {
            // "idle" comes within a print, too.
            known.isOwnProgram =
                JSONScanner.equals(type, "system", b)
                ? true : JSONScanner.equals(type, "idle", b) || type.isEmpty ? nil : false
        }
        if let word = report.state {
            known.word = JSONScanner.text(word, b)?.clipped(to: 64) ?? "not UTF-8"
            if !known.isKnown, known.word != before.word {
                out.note(.unknownValue, "gcode_state \(known.word ?? "")")
            }
        }
        // The last print's layers are no layers of this one.
        if known.isActive, !before.isActive { known.layer = 0 }
        if let layer = report.layer.integer { known.layer = layer }
        if let stage = report.stage.integer { known.stage = stage == 255 || stage < 0 ? nil : stage }
        if let hasFatal = report.hasFatalHealth { known.hasFatalHealth = hasFatal }
        guard let error = report.error.integer else { return }
        known.error = error
        if error == BambuState.cancelCode {
            job.cancelled()
        } else if error != 0, error != before.error, before.word != nil {
            out.report(Ch.error, event: BambuState.code(error))
        }
    }

    /// What is said of progress between two jobs is left from the last one.
    private mutating func reportProgress(_ report: BambuReport, _ out: inout Outbox) {
        let isActive = known.isActive || known.sight == .unclear && known.word != nil && hasProgress
        guard isActive else {
            if hasProgress, known.word != nil {
                for channel in [Ch.progress, Ch.remaining, Ch.layer, Ch.layers] { out.reportUnknown(channel) }
                hasProgress = false
            }
            return
        }
        hasProgress = true
        out.report(report.percent.converted { $0 / 100 }, on: Ch.progress, of: channels)
        out.report(report.remaining.converted { $0 * 60 }, on: Ch.remaining, of: channels)
        out.report(report.layer, on: Ch.layer, of: channels)
        out.report(report.layers, on: Ch.layers, of: channels)
    }

    private mutating func reportHeaters(_ report: BambuReport, _ out: inout Outbox) {
        if report.extruders > 1 { hasTwoNozzles = true }
        // With two nozzles the plain members mean whichever is active.
        let (first, second) = report.packedNozzles
        var nozzle = hasTwoNozzles ? first : report.nozzle
        if nozzle.actual == .absent { nozzle.actual = first.actual }
        if nozzle.target == .absent { nozzle.target = first.target }
        for (index, heater) in [nozzle, second, report.bed, report.chamber].enumerated() {
            out.report(heater.actual, on: Ch.temperature + index, of: channels)
            out.report(heater.target, on: Ch.target + index, of: channels)
        }
    }

    // MARK: channels

    /// Places in the list of channels.
    private enum Ch {
        static let state = 0
        static let job = 1
        static let progress = 2
        static let remaining = 3
        static let layer = 4
        static let layers = 5
        /// Of the nozzle, the second one, the bed, the chamber.
        static let temperature = 6
        static let target = 10
        static let error = 14
        static let online = 15
    }

    private static let allChannels: [Channel] =
        [
            .state, .job, .gauge("progress", .one, 0...1), .gauge("remaining", .second, 0...1e8),
            .gauge("layer", .one, 0...1e6), .gauge("layer.total", .one, 0...1e6),
        ]
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("temperature.\($0)", .celsius, -50...600) }
        + ["nozzle", "nozzle1", "bed", "chamber"].map { .gauge("target.\($0)", .celsius, 0...600) }
        + [Channel("error", nil, .event), .online]
}
