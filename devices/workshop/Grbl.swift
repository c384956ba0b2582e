package import Model

/// Grbl 1.1, grblHAL and FluidNC: asked with `?`, which is harmless at any time; nothing else is ever sent.
///
/// Only a whole, known report counts (GrblReport.swift), and a state only when two reports in a row agree; what the
/// controller says of itself (a greeting, `ALARM:n`, `[MSG:Pgm End]`) counts at once. Positions are not published: with
/// `$13=1` they are inches, and nothing in a report says so. The same holds for the feed, so a person can say it.
///
/// A job that is streamed has no name and no beginning in the protocol. It begins with the third report of Run in a
/// row, or the first one with a turning spindle, or when the `SD` field appears. It ends with
///
///     [MSG:Pgm End]                          completed; FluidNC says Program End
///     SD gone for two reports                completed if the last percentage was at least 99, else unknown
///     ALARM:n, or state Alarm                failed
///     a greeting: the controller was reset   interrupted
///     ten reports without work (Idle, Jog…)  unknown: ten seconds at the usual rate of one question a second
package struct Grbl: DeviceDriver {
    package static let info = DriverInfo(
        name: "grbl", title: "CNC and laser controllers with Grbl 1.1, grblHAL or FluidNC", link: .line,
        family: "workshop", silence: .seconds(15), every: .seconds(1))

    package let channels: [Channel] = [
        .state,
        .job,
        .gauge("feed", .millimetrePerMinute, 0...200_000),
        .gauge("spindle", .revolutionsPerMinute, 0...500_000),
        .gauge("progress", .one, 0...1),
        Channel("alarm", nil, .event),
    ]
    private enum At {
        static let state = 0
        static let job = 1
        static let feed = 2
        static let spindle = 3
        static let progress = 4
        static let alarm = 5
    }

    /// What the model calls its alarms from 10 on; the first nine are the same everywhere.
    private let alarms: [Int: String]
    /// So many reports without work end a streamed job.
    private let idleReports: Int
    private let millimetresPerUnit: Double

    private var lines = LineBuffer(limit: 512)
    /// The last good report's state, not yet believed.
    private var candidate: MachineState?
    /// What the last alarm line said; reports only repeat that there is an alarm.
    private var alarm: String?
    private var job = Job.none
    /// Good reports of Run in a row, before there is a job.
    private var runReports = 0
    /// Good reports in a row that show no work during a job.
    private var quietReports = 0
    /// A program has ended; the reports still on their way belong to it.
    private var waitsForQuiet = false

    private enum Job: Equatable, Sendable {
        case none
        case streamed
        /// From a card; how far it was.
        case card(progress: Double)
    }

    /// Device keys: `idle_reports`, how many reports without work end a streamed job (10); `inches: true` where the
    /// controller is set to `$13=1`. Profile: `alarms`, a map of numbers to words.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        idleReports = setup.fields.integer("idle_reports", in: 2...3600, &problems) ?? 10
        millimetresPerUnit = setup.fields.flag("inches", &problems) == true ? 25.4 : 1
        var alarms: [Int: String] = [:]
        if var map = setup.profile?.map("alarms", &problems) {
            for key in map.keys {
                guard let words = map.text(key, &problems) else { continue }
                if let number = Integers.parse(key), (1...255).contains(number) {
                    alarms[number] = words
                } else {
                    problems.add(map.place(key), "'alarms' names alarm numbers from 1 to 255; '\(key)' is none")
                }
            }
        }
        self.alarms = alarms
        guard problems.all.count == before else { return nil }
    }

    package mutating func opened(_ out: inout Outbox) {
        lines.clear()
        candidate = nil
        runReports = 0
        quietReports = 0
    }

    package mutating func poll(_ out: inout Outbox) { out.send(.write([0x3F], replyWithin: .milliseconds(500))) }

    package mutating func noReply(_ out: inout Outbox) {
        candidate = nil
        out.note(.noReply, "no status report after '?'")
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        var at = 0
        var late = Outbox()
        while at < bytes.count {
            switch lines.take(bytes, from: &at) {
            case .more: break
            case .overlong: out.note(.overrun, "a line longer than 512 bytes")
            // More than a controller says between two calls: the gateway was away. What happened meanwhile still counts.
            case .line where out.readings.count >= Self.usual:
                take(lines.line, &late)
            case .line: take(lines.line, &out)
            }
        }
        guard late != Outbox() else { return }
        out.add(latestOf: late, eventsOn: At.job, atMost: 16)
    }

    /// After so many readings in one call, the last of each quantity is enough. With what one line may add to them, a
    /// last one of every channel and the jobs, they stay below 64.
    private static let usual = 24

    // MARK: lines

    private mutating func take(_ line: [UInt8], _ out: inout Outbox) {
        guard let first = line.first else { return }
        if first == 0x3C {
            guard let report = GrblReport(line) else {
                candidate = nil
                // An answer all the same: no use in waiting for another.
                out.answered()
                return out.note(.badFrame, "a damaged status report: \(Self.text(line))")
            }
            out.alive()
            out.answered()
            return take(report, &out)
        }
        let text = Self.text(line)
        if text.hasPrefix("ALARM:") {
            guard let number = GrblReport.whole(line, 6..<line.count), (1...255).contains(number) else {
                return out.note(.badFrame, "a damaged alarm: \(text)")
            }
            out.alive()
            takeAlarm(number, &out)
        } else if text.hasPrefix("[MSG:"), text.hasSuffix("Pgm End]") || text.hasSuffix("Program End]") {
            out.alive()
            takeProgramEnd(&out)
        } else if text.hasSuffix("for help]") {
            out.alive()
            // A controller that starts has forgotten what it was asked.
            out.answered()
            takeGreeting(&out)
        } else if Self.isForOthers(text) {
            out.alive()
        } else {
            // The rest of a report whose beginning was lost.
            if line.last == 0x3E { candidate = nil }
            out.note(.badFrame, "no line of Grbl: \(text)")
        }
    }

    /// Answers to whoever else is on this channel: `ok`, `error:9`, `[GC:G0 G54]`, a setting `$10=1`, and a start-up block
    /// with its answer, `>G20G54:ok`.
    private static func isForOthers(_ text: String) -> Bool {
        if text == "ok" || text.hasPrefix("error:") || text.hasPrefix("[") && text.hasSuffix("]") { return true }
        if text.hasPrefix("$") { return text.contains("=") }
        return text.hasPrefix(">") && (text.hasSuffix(":ok") || text.contains(":error:"))
    }

    private mutating func take(_ report: GrblReport, _ out: inout Outbox) {
        if let feed = report.feed { out.report(At.feed, of: channels, feed * millimetresPerUnit) }
        if let spindle = report.spindle { out.report(At.spindle, of: channels, spindle) }
        if let progress = report.progress, !waitsForQuiet { out.report(At.progress, of: channels, progress) }
        let state = report.state
        let isConfirmed = candidate == state
        candidate = state
        if isConfirmed, state != .fault { alarm = nil }
        if isConfirmed { out.report(At.state, state, reason: alarm ?? report.reason) }
        follow(report, isConfirmed: isConfirmed, &out)
    }

    // MARK: jobs

    private mutating func follow(_ report: GrblReport, isConfirmed: Bool, _ out: inout Outbox) {
        runReports = report.word == .run ? runReports + 1 : 0
        if waitsForQuiet {
            // Three more reports of Run are another program, started at once.
            waitsForQuiet = report.progress != nil || report.allowsJob && runReports < 3
            return
        }
        if report.word == .alarm, isConfirmed { return end(.failed, &out) }
        switch job {
        case .none:
            quietReports = 0
            if let progress = report.progress {
                // The first report may be wrong; the second one is not.
                if isConfirmed { job = .card(progress: progress) }
            } else if runReports >= 3 || runReports >= 2 && (report.spindle ?? 0) > 0 {
                job = .streamed
            }
        case .card(let last):
            quietReports = report.progress == nil ? quietReports + 1 : 0
            if let progress = report.progress {
                job = .card(progress: progress)
            } else if quietReports >= 2 {
                end(last >= 0.99 ? .completed : .unknown, &out)
            }
        case .streamed:
            quietReports = report.allowsJob ? 0 : quietReports + 1
            if quietReports >= idleReports { end(.unknown, &out) }
        }
    }

    private mutating func end(_ outcome: JobOutcome, _ out: inout Outbox) {
        guard job != .none else { return }
        if case .card = job { out.reportUnknown(At.progress) }
        job = .none
        runReports = 0
        quietReports = 0
        out.report(At.job, event: outcome.rawValue)
    }

    private mutating func takeProgramEnd(_ out: inout Outbox) {
        // A dry run in Check mode ends with the same words, and so does a program twice over. A short program may end
        // before it was seen to be a job.
        if job == .none, runReports > 0, !waitsForQuiet { job = .streamed }
        guard job != .none else { return }
        end(.completed, &out)
        waitsForQuiet = true
    }

    private mutating func takeAlarm(_ number: Int, _ out: inout Outbox) {
        let words = alarms[number] ?? Self.commonAlarm(number)
        let reason = words.map { "Alarm \(number): \($0)" } ?? "Alarm \(number)"
        alarm = reason
        out.report(At.alarm, event: words.map { "\(number) \($0)" } ?? "\(number)")
        out.report(At.state, .fault, reason: reason)
        candidate = .fault
        end(.failed, &out)
    }

    private mutating func takeGreeting(_ out: inout Outbox) {
        candidate = nil
        waitsForQuiet = false
        runReports = 0
        end(.interrupted, &out)
    }

    private static func commonAlarm(_ number: Int) -> String? {
        switch number {
        case 1: "hard limit"
        case 2: "soft limit"
        case 3: "abort during cycle"
        case 4: "probe in the wrong state"
        case 5: "probe found nothing"
        case 6: "homing reset"
        case 7: "homing with open door"
        case 8: "homing pull-off"
        case 9: "homing found no switch"
        default: nil
        }
    }

    /// A line for a message or a comparison; what is not printable becomes a dot.
    private static func text(_ line: [UInt8]) -> String {
        var text = ""
        for byte in line.prefix(80) {
            text.unicodeScalars.append(byte >= 0x20 && byte < 0x7F ? Unicode.Scalar(byte) : ".")
        }
        return text
    }
}
