package import Model

/// Prusa printers through PrusaLink: the MK4, MK3.9, XL and MINI by themselves, the MK3 with a Raspberry Pi.
///
///     GET /api/v1/status    {"printer":{"state":"PRINTING","temp_nozzle":214.8,"target_nozzle":215.0,…},
///                            "job":{"id":420,"progress":12.0,"time_remaining":5100,"time_printing":702}}
///     GET /api/v1/job       {"id":420,"state":"FINISHED",…}, or status 204 and nothing
///
/// Nothing is ever pushed: the status is asked for at each turn, the job only where the status leaves open how one ended.
/// A printer's little server answers one question at a time, and so does this driver ask. How jobs are counted stands in
/// PrusaLinkJob.swift. Names of files stop here.
package struct PrusaLink: DeviceDriver {
    package static let info = DriverInfo(
        name: "prusalink", title: "Prusa printers through PrusaLink", link: .http, family: "printers",
        silence: .seconds(30), every: .seconds(5))

    package let channels = Self.allChannels

    private var job = PrusaLinkJob()
    private var hasProgress = false
    private var remembered = ""
    /// The last answer refused us.
    private var isRefused = false

    private static let status = "/api/v1/status"
    private static let jobPath = "/api/v1/job"
    private static let patience = Duration.seconds(5)

    /// No keys of its own.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {}

    package mutating func recall(_ memory: String) {
        remembered = memory
        job.recall(memory)
    }

    package mutating func poll(_ out: inout Outbox) { out.send(.ask(path: Self.status, replyWithin: Self.patience)) }

    package mutating func noReply(_ out: inout Outbox) {
        job.lostContact()
        out.note(.noReply, "no answer over HTTP")
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard let status = source.status else { return }
        switch (source.topic, status) {
        case (Self.status, 200): readStatus(bytes, &out)
        case (Self.jobPath, 200): readJob(bytes, &out)
        case (Self.jobPath, 204): resolve(id: nil, state: nil, &out)
        case (_, 401), (_, 403): refused(status, &out)
        default: out.note(.refused, "\(source.topic): HTTP status \(status)")
        }
    }

    /// It is there, and says nothing to us.
    private mutating func refused(_ status: Int, _ out: inout Outbox) {
        out.note(
            .refused,
            "HTTP status \(status): are user name and password, or the API key, those of the printer's screen?")
        if !isRefused { out.report(Ch.state, .unknown, reason: "access refused") }
        isRefused = true
    }

    // MARK: the status

    private mutating func readStatus(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var report = PrusaLinkReport()
        report.read(&json, b)
        guard json.finish(b) else { return out.note(.badFrame, "the status is no JSON object") }
        guard let word = report.state.flatMap({ JSONScanner.text($0, b) })?.clipped(to: 24) else {
            return out.note(.badFrame, "the status holds no printer.state")
        }
        isRefused = false
        let sight = PrusaLinkJob.Sight(word)
        if sight == .unclear, !Self.others.contains(word) { out.note(.unknownValue, "printer.state \(word)") }
        switch job.saw(sight, id: report.id.integer) {
        case .nothing: break
        case .ended(let outcomes): for outcome in outcomes { out.report(Ch.job, event: outcome.rawValue) }
        case .ask: out.send(.ask(path: Self.jobPath, replyWithin: Self.patience))
        }
        remember(&out)
        sayState(word, report, b, &out)
        reportQuantities(report, isInJob: job.isOpen, &out)
    }

    /// Words that say nothing of a job.
    private static let others: Set = ["BUSY", "ATTENTION"]

    private func sayState(
        _ word: String, _ report: PrusaLinkReport, _ b: borrowing Span<UInt8>, _ out: inout Outbox
    ) {
        var reason = word
        // The printer's own words for what it needs.
        if word == "ATTENTION" || word == "ERROR", let text = report.message.flatMap({ JSONScanner.text($0, b) }),
            !text.isEmpty
        {
            reason += ", \(text)"
        }
        let state: MachineState =
            switch word {
            case "IDLE", "READY", "FINISHED", "STOPPED": .idle
            case "BUSY": .preparing
            case "PRINTING": .running
            case "PAUSED": .paused
            case "ATTENTION": .blocked
            case "ERROR": .fault
            default: .unknown
            }
        out.report(Ch.state, state, reason: reason)
    }

    private mutating func reportQuantities(_ report: PrusaLinkReport, isInJob: Bool, _ out: inout Outbox) {
        if isInJob {
            out.report(report.time, on: Ch.jobTime, of: channels)
            out.report(report.progress.converted { $0 / 100 }, on: Ch.progress, of: channels)
            out.report(report.remaining, on: Ch.remaining, of: channels)
            if report.progress.number != nil { hasProgress = true }
        } else if hasProgress {
            hasProgress = false
            out.reportUnknown(Ch.progress)
            out.reportUnknown(Ch.remaining)
        }
        out.report(report.nozzle.actual, on: Ch.temperature, of: channels)
        out.report(report.bed.actual, on: Ch.temperature + 1, of: channels)
        out.report(report.nozzle.target, on: Ch.target, of: channels)
        out.report(report.bed.target, on: Ch.target + 1, of: channels)
    }

    // MARK: the job

    private mutating func readJob(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var id = MessageNumber.absent
        var state: Range<Int>?
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "id", b) {
                    id.read(&json, b)
                } else if JSONScanner.equals(key, "state", b), let text = json.string(b) {
                    state = text
                } else {
                    json.skip(b)
                }
            }
        }
        guard json.finish(b) else { return out.note(.badFrame, "the job is no JSON object") }
        resolve(id: id.integer, state: state.flatMap { JSONScanner.text($0, b) }, &out)
    }

    private mutating func resolve(id: Int?, state: String?, _ out: inout Outbox) {
        out.alive()
        if let outcome = job.resolve(id: id, state.map { PrusaLinkJob.Sight($0) }) {
            out.report(Ch.job, event: outcome.rawValue)
        }
        remember(&out)
    }

    private mutating func remember(_ out: inout Outbox) {
        guard job.memory != remembered else { return }
        remembered = job.memory
        out.remember(remembered)
    }

    // MARK: channels

    /// Places in the list of channels.
    private enum Ch {
        static let state = 0
        static let job = 1
        static let jobTime = 2
        static let progress = 3
        static let remaining = 4
        /// Of nozzle and bed.
        static let temperature = 5
        static let target = 7
    }

    private static let allChannels: [Channel] =
        [
            .state, .job, .gauge("job.time", .second, 0...1e8), .gauge("progress", .one, 0...1),
            .gauge("remaining", .second, 0...1e8),
        ]
        + ["nozzle", "bed"].map { .gauge("temperature.\($0)", .celsius, -50...600) }
        + ["nozzle", "bed"].map { .gauge("target.\($0)", .celsius, 0...600) }
}

/// What one status says. Texts are noted by where they stand.
struct PrusaLinkReport {
    struct Heater {
        var actual = MessageNumber.absent
        var target = MessageNumber.absent
    }

    private(set) var state: Range<Int>?
    private(set) var message: Range<Int>?
    private(set) var nozzle = Heater()
    private(set) var bed = Heater()
    private(set) var id = MessageNumber.absent
    /// Percent.
    private(set) var progress = MessageNumber.absent
    /// s.
    private(set) var remaining = MessageNumber.absent
    private(set) var time = MessageNumber.absent

    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "printer", b), json.beginObject(b) {
                while let key = json.nextKey(b) { readPrinter(key, &json, b) }
            } else if JSONScanner.equals(key, "job", b), json.beginObject(b) {
                while let key = json.nextKey(b) { readJob(key, &json, b) }
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func readPrinter(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "state", b), let text = json.string(b) {
            state = text
        } else if JSONScanner.equals(key, "temp_nozzle", b) {
            nozzle.actual.read(&json, b)
        } else if JSONScanner.equals(key, "target_nozzle", b) {
            nozzle.target.read(&json, b)
        } else if JSONScanner.equals(key, "temp_bed", b) {
            bed.actual.read(&json, b)
        } else if JSONScanner.equals(key, "target_bed", b) {
            bed.target.read(&json, b)
        } else if JSONScanner.equals(key, "status_printer", b), json.beginObject(b) {
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "message", b), let text = json.string(b) {
                    message = text
                } else {
                    json.skip(b)
                }
            }
        } else {
            json.skip(b)
        }
    }

    private mutating func readJob(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "id", b) {
            id.read(&json, b)
        } else if JSONScanner.equals(key, "progress", b) {
            progress.read(&json, b)
        } else if JSONScanner.equals(key, "time_remaining", b) {
            remaining.read(&json, b)
        } else if JSONScanner.equals(key, "time_printing", b) {
            time.read(&json, b)
        } else {
            json.skip(b)
        }
    }
}
