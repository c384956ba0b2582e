package import Model

// OctoPrint's own API, for what its messages leave open: what a printer does when the gateway starts, and how a print
// ended that nobody saw ending. Without the MQTT plugin it tells everything, only later.
//
//     GET /api/job                   {"job":{"file":{"origin":"local","path":"pot.gcode"}},
//                                     "progress":{"completion":22.1,"printTime":131,"printTimeLeft":460},"state":"Printing"}
//     GET /api/printer?exclude=sd    {"temperature":{"tool0":{"actual":214.8,"target":220.0},"bed":{…}}}, or status 409
//     GET /api/files/local/pot.gcode {"prints":{"success":3,"failure":1,"last":{…}},…}
//
// The counts of a file's prints are the history: noted when a print is found on, and compared when it is on no more.

extension OctoPrint {
    static let jobPath = "/api/job"
    static let printerPath = "/api/printer?exclude=sd"
    static let filesPath = "/api/files/"
    private static let patience = Duration.seconds(8)
    /// One look in so many turns is enough while messages tell what happens.
    private static let rarely = 6

    package mutating func poll(_ out: inout Outbox) {
        turn &+= 1
        isAsked = true
        let wantsCounts = job.isOpen && counts == nil
        let isDoubtful = state == nil || state == .unknown || doubt > 0 || pendingEnd != nil || wantsCounts
        guard isDoubtful || !hasMessages || turn % Self.rarely == 0 else { return }
        out.send(.ask(path: Self.jobPath, replyWithin: Self.patience))
    }

    package mutating func noReply(_ out: inout Outbox) { out.note(.noReply, "no answer over HTTP") }

    mutating func readAnswer(
        _ b: borrowing Span<UInt8>, _ path: String, _ status: Int, _ out: inout Outbox
    ) {
        out.alive()
        isAsked = true
        switch status {
        case 200 where path == Self.jobPath: readJob(b, &out)
        case 200 where path == Self.printerPath: readPrinter(b, &out)
        case 200 where path.hasPrefix(Self.filesPath): readFile(b, &out)
        // The file was deleted: nothing tells any more.
        case 404 where path.hasPrefix(Self.filesPath): took(nil, &out)
        // Not connected, which the job's state has said.
        case 409 where path == Self.printerPath: break
        case 401, 403:
            out.note(.refused, "HTTP status \(status): is the API key one of OctoPrint's, and does it allow reading?")
            if !hasMessages { become(.unknown, "access refused", &out) }
        default: out.note(.refused, "\(path.split(separator: "?")[0].prefix(12)): HTTP status \(status)")
        }
    }

    // MARK: the job

    private mutating func readJob(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var look = OctoPrintLook()
        look.read(&json, b)
        guard json.finish(b) else { return out.note(.badFrame, "the job is no JSON object") }
        guard let text = look.state.flatMap({ JSONScanner.text($0, b) }) else {
            return out.note(.badFrame, "the job says no state")
        }
        if let path = look.path.flatMap({ JSONScanner.text($0, b) }),
            let origin = look.origin.flatMap({ JSONScanner.text($0, b) })
        {
            file = (origin, path)
            wholeFile = look.filament.map { (JobKey.of(path), $0) }
        }
        guard let id = Self.stateID(text) else {
            out.note(.unknownValue, "state \(text.clipped(to: 64))")
            return become(.unknown, text, &out)
        }
        // A message may be on its way that says the same: it counts, if it comes until the next look.
        let isNews = Self.means(id) != state.map(Self.kind)
        doubt = isNews ? doubt + 1 : 0
        if !hasMessages || state == nil || state == .unknown || doubt > 1 {
            doubt = 0
            saw(id, &out)
        }
        if job.isOpen, job.key == nil { job.key = file.map { JobKey.of($0.path) } }
        if let completion = look.completion.number {
            pendingEnd?.progress = completion >= 100 ? .whole : .unknown
        } else {
            pendingEnd?.progress = .forgotten
        }
        if job.isOpen { reportProgress(look, &out) }
        if let completion = look.completion.number { used(share: completion / 100, &out) }
        guard out.request == nil else { return }
        if pendingEnd != nil || job.isOpen && counts == nil, askFile(&out) { return }
        if pendingEnd != nil { return took(nil, &out) }
        if !hasMessages { out.send(.ask(path: Self.printerPath, replyWithin: Self.patience)) }
    }

    /// What the API shows now.
    private mutating func saw(_ id: String, _ out: inout Outbox) {
        let isHere = Self.means(id) == .printing
        if isHere, job.isOpen, let key = job.key, let now = file.map({ JobKey.of($0.path) }), key != now {
            // Another file: the one before ended unseen.
            if let outcome = job.idle() { out.report(Ch.job, event: outcome.rawValue) }
            counts = nil
        }
        if !isHere, job.isOpen {
            pendingEnd = pendingEnd ?? PendingEnd(outcome: Self.means(id) == .gone ? .interrupted : job.guess)
        }
        changed(to: id, &out)
    }

    private mutating func reportProgress(_ look: OctoPrintLook, _ out: inout Outbox) {
        out.report(look.completion.converted { $0 / 100 }, on: Ch.progress, of: channels)
        if case .value = look.time { out.report(look.time, on: Ch.jobTime, of: channels) }
        if case .value = look.left { out.report(look.left, on: Ch.remaining, of: channels) }
    }

    /// The states of `/api/job` are the sentences behind the states of the events.
    static func stateID(_ text: String) -> String? {
        let known: KeyValuePairs = [
            "Operational": "OPERATIONAL", "Printing": "PRINTING", "Sending file": "PRINTING", "Starting": "STARTING",
            "Pausing": "PAUSING", "Paused": "PAUSED", "Resuming": "RESUMING", "Finishing": "FINISHING",
            "Cancelling": "CANCELLING", "Transfer": "TRANSFERING_FILE", "Offline": "OFFLINE", "Error": "ERROR",
            "Detecting": "DETECT_SERIAL", "Opening": "OPEN_SERIAL", "Connecting": "CONNECTING",
        ]
        return known.first { text.hasPrefix($0.key) }?.value
    }

    /// What two states have in common for the question whether something was missed.
    enum Meaning { case printing, free, gone }

    private static func means(_ id: String) -> Meaning {
        switch id {
        case "OPERATIONAL": .free
        case "OFFLINE", "ERROR", "DETECT_SERIAL", "OPEN_SERIAL", "CONNECTING": .gone
        default: .printing
        }
    }

    private static func kind(_ state: MachineState) -> Meaning {
        switch state {
        case .idle: .free
        case .offline, .fault, .unknown, .maintenance: .gone
        case .preparing, .running, .paused, .blocked: .printing
        }
    }

    // MARK: the file's history

    /// False where another file is selected by now; then nothing tells.
    private func askFile(_ out: inout Outbox) -> Bool {
        guard let file, job.key == nil || job.key == JobKey.of(file.path) else { return false }
        let path = "\(Self.filesPath)\(Self.encoded(file.origin))/\(Self.encoded(file.path))"
        out.send(.ask(path: path, replyWithin: Self.patience))
        return true
    }

    /// Everything but letters, digits and a few signs as %XX (RFC 3986).
    static func encoded(_ path: String) -> String {
        var out = ""
        for byte in path.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x2F, 0x5F, 0x7E:
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default: out += "%" + Hex.text([byte]).uppercased()
            }
        }
        return out
    }

    private mutating func readFile(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        var read = OctoPrintCounts()
        read.read(&json, b)
        guard json.finish(b) else { return out.note(.badFrame, "the file's record is no JSON object") }
        took(read, &out)
    }

    /// nil where there is no history to be had.
    private mutating func took(_ now: OctoPrintCounts?, _ out: inout Outbox) {
        guard let pending = pendingEnd else {
            if job.isOpen, counts == nil { counts = now }
            return
        }
        if let now, let before = counts {
            if now.success > before.success { return resolve(.completed, &out) }
            if now.failure > before.failure {
                // A cancelled print is counted among the failed ones; only a cancel forgets how far it was, and leaves the
                // printer in order.
                let isCancelled = pending.progress == .forgotten && state == .idle
                return resolve(isCancelled ? .cancelled : .failed, &out)
            }
            // It may not have been written yet.
            pendingEnd?.triesLeft -= 1
            if pending.triesLeft > 1 { return }
        } else if now != nil, pending.progress == .whole {
            // Nobody noted the counts before, but all of this very file was printed.
            return resolve(.completed, &out)
        }
        resolve(pending.outcome, &out)
    }

    /// The end that nobody saw is decided.
    mutating func resolve(_ outcome: JobOutcome, _ out: inout Outbox) {
        if outcome == .completed { used(share: 1, &out) }
        pendingEnd = nil
        counts = nil
        guard job.idle() != nil else { return }
        out.report(Ch.job, event: outcome.rawValue)
    }

    /// Another print is on before the history was asked.
    mutating func settlePending(_ out: inout Outbox) {
        if let pending = pendingEnd { resolve(pending.outcome, &out) }
    }

    // MARK: what outlives the gateway

    /// `open KEY SUCCESSES FAILURES`, with a hyphen for what is not known, or `none`, and then what FilamentMeter keeps.
    mutating func keep(_ out: inout Outbox) {
        let now = Kept(isOpen: job.isOpen, key: job.key, counts: job.isOpen ? counts : nil)
        guard now != kept else { return }
        let isFirst = kept == nil
        kept = now
        guard now.isOpen else { return isFirst ? () : out.remember("none \(filament.memory)") }
        let key = now.key.map { key in Hex.text((0..<8).map { UInt8(truncatingIfNeeded: key >> UInt64(8 * $0)) }) }
        let counts = now.counts.map { "\($0.success) \($0.failure)" } ?? "- -"
        out.remember("open \(key ?? "-") \(counts) \(filament.memory)")
    }

    package mutating func recall(_ memory: String) {
        let words = memory.split(separator: " ")
        if words.count == 3 || words.count == 6 { filament.recall(words[words.count - 2], words[words.count - 1]) }
        guard words.count >= 4, words[0] == "open" else { return }
        let bytes = Hex.bytes(String(words[1])) ?? []
        let key: UInt64? =
            bytes.count == 8 ? bytes.enumerated().reduce(0) { $0 | UInt64($1.element) << UInt64(8 * $1.offset) } : nil
        job.recall(key)
        meteredPrint = job.prints
        if let success = Int(words[2]), let failure = Int(words[3]) {
            counts = OctoPrintCounts(success: success, failure: failure)
        }
        kept = Kept(isOpen: true, key: key, counts: counts)
    }

    // MARK: temperatures

    private mutating func readPrinter(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var json = JSONScanner()
        if json.beginObject(b) {
            while let key = json.nextKey(b) {
                guard JSONScanner.equals(key, "temperature", b), json.beginObject(b) else {
                    json.skip(b)
                    continue
                }
                while let key = json.nextKey(b) {
                    let name = key.count <= 16 ? JSONScanner.text(key, b) : nil
                    guard let index = name.flatMap({ Ch.parts.firstIndex(of: $0) }) else {
                        json.skip(b)
                        continue
                    }
                    let (actual, target) = Self.heater(&json, b)
                    report(index, actual, target, &out)
                }
            }
        }
        if !json.finish(b) { out.note(.badFrame, "the printer's state is no JSON object") }
    }
}

/// What `/api/job` says. Texts are noted by where they stand.
struct OctoPrintLook {
    private(set) var state: Range<Int>?
    private(set) var path: Range<Int>?
    private(set) var origin: Range<Int>?
    /// Percent.
    private(set) var completion = MessageNumber.absent
    /// s.
    private(set) var time = MessageNumber.absent
    private(set) var left = MessageNumber.absent
    /// mm of all tools together; nil before the file is analysed.
    private(set) var filament: Double?

    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "state", b), let text = json.string(b) {
                state = text
            } else if JSONScanner.equals(key, "job", b), json.beginObject(b) {
                while let key = json.nextKey(b) {
                    if JSONScanner.equals(key, "file", b), json.beginObject(b) {
                        while let key = json.nextKey(b) { readFile(key, &json, b) }
                    } else if JSONScanner.equals(key, "filament", b), json.beginObject(b) {
                        while let key = json.nextKey(b) { readTool(key, &json, b) }
                    } else {
                        json.skip(b)
                    }
                }
            } else if JSONScanner.equals(key, "progress", b), json.beginObject(b) {
                while let key = json.nextKey(b) { readProgress(key, &json, b) }
            } else {
                json.skip(b)
            }
        }
    }

    private mutating func readFile(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "path", b), let text = json.string(b) {
            path = text
        } else if JSONScanner.equals(key, "origin", b), let text = json.string(b) {
            origin = text
        } else {
            json.skip(b)
        }
    }

    /// `"tool0":{"length":4200.5,"volume":10.1}`, or `"length":null` where no file was ever selected.
    private mutating func readTool(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return _ = json.skip(b) }
        while let key = json.nextKey(b) {
            var length = MessageNumber.absent
            guard JSONScanner.equals(key, "length", b) else {
                json.skip(b)
                continue
            }
            length.read(&json, b)
            if let more = length.number, (0..<1e8).contains(more) { filament = (filament ?? 0) + more }
        }
    }

    private mutating func readProgress(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "completion", b) {
            completion.read(&json, b)
        } else if JSONScanner.equals(key, "printTime", b) {
            time.read(&json, b)
        } else if JSONScanner.equals(key, "printTimeLeft", b) {
            left.read(&json, b)
        } else {
            json.skip(b)
        }
    }
}

/// How often a file was printed, as OctoPrint keeps it beside the file; 0 for one that never was.
struct OctoPrintCounts: Equatable {
    var success = 0
    var failure = 0

    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) {
            guard JSONScanner.equals(key, "prints", b), json.beginObject(b) else {
                json.skip(b)
                continue
            }
            while let key = json.nextKey(b) {
                var number = MessageNumber.absent
                if JSONScanner.equals(key, "success", b) {
                    number.read(&json, b)
                    success = number.integer ?? 0
                } else if JSONScanner.equals(key, "failure", b) {
                    number.read(&json, b)
                    failure = number.integer ?? 0
                } else {
                    json.skip(b)
                }
            }
        }
    }
}
