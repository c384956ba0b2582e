import Model

/// One job of Moonraker's history that has ended.
struct MoonrakerPastJob: Equatable {
    /// Seconds since 1970 by the printer's host.
    let start: Double
    let end: Double?
    let outcome: JobOutcome

    /// The history's own word for an end; nil for a job that goes on.
    static func outcome(_ status: Range<Int>, _ b: borrowing Span<UInt8>) -> JobOutcome? {
        func isWord(_ word: StaticString, _ b: borrowing Span<UInt8>) -> Bool { JSONScanner.equals(status, word, b) }
        if isWord("in_progress", b) { return nil }
        if isWord("completed", b) { return .completed }
        if isWord("cancelled", b) { return .cancelled }
        if isWord("error", b) || isWord("klippy_shutdown", b) { return .failed }
        if isWord("klippy_disconnect", b) || isWord("interrupted", b) || isWord("server_exit", b) {
            return .interrupted
        }
        return .unknown
    }

    /// When it ended, if that can be said.
    var endTime: Instant? {
        guard let end, end > 0, end < 1e11 else { return nil }
        return Instant(milliseconds: Int64(end * 1000))
    }
}

/// An answer on `moonraker/api/response`; of three questions, told apart by what is in it.
///
///     {"jsonrpc":"2.0","result":{"eventtime":84211.4,"status":{"print_stats":{…},…}},"id":7101}
///     {"jsonrpc":"2.0","result":{"count":214,"jobs":[{"job_id":"0000D6","status":"completed","start_time":…,…}]},"id":7102}
///     {"jsonrpc":"2.0","result":{"job_totals":{"total_jobs":214,"total_print_time":1644310.7,…}},"id":7103}
///     {"jsonrpc":"2.0","error":{"code":503,"message":"Klippy Host not connected"},"id":7101}
struct MoonrakerAnswer {
    private(set) var id: Int?
    private(set) var isError = false
    private(set) var status: MoonrakerReport?
    /// Ended jobs, in the order of the answer.
    private(set) var jobs: [MoonrakerPastJob]?
    private(set) var totals: Totals?

    struct Totals {
        var jobs = MessageNumber.absent
        /// s.
        var printTime = MessageNumber.absent
        /// mm.
        var filament = MessageNumber.absent
    }

    /// False where the message is no JSON object.
    mutating func read(_ b: borrowing Span<UInt8>) -> Bool {
        var json = JSONScanner()
        guard json.beginObject(b) else { return false }
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "id", b) {
                var number = MessageNumber.absent
                number.read(&json, b)
                id = number.integer
            } else if JSONScanner.equals(key, "error", b) {
                isError = true
                json.skip(b)
            } else if JSONScanner.equals(key, "result", b), json.beginObject(b) {
                while let key = json.nextKey(b) { readResult(key, &json, b) }
            } else {
                json.skip(b)
            }
        }
        return json.finish(b)
    }

    private mutating func readResult(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "status", b), json.peek(b) == .object {
            var report = MoonrakerReport()
            report.readObjects(&json, b)
            status = report
        } else if JSONScanner.equals(key, "jobs", b), json.beginArray(b) {
            var found: [MoonrakerPastJob] = []
            while json.nextElement(b) {
                if let job = Self.pastJob(&json, b), found.count < Moonraker.historyLength { found.append(job) }
            }
            jobs = found
        } else if JSONScanner.equals(key, "job_totals", b), json.beginObject(b) {
            var found = Totals()
            while let key = json.nextKey(b) {
                if JSONScanner.equals(key, "total_jobs", b) {
                    found.jobs.read(&json, b)
                } else if JSONScanner.equals(key, "total_print_time", b) {
                    found.printTime.read(&json, b)
                } else if JSONScanner.equals(key, "total_filament_used", b) {
                    found.filament.read(&json, b)
                } else {
                    json.skip(b)
                }
            }
            totals = found
        } else {
            json.skip(b)
        }
    }

    /// Of a job's members those that are kept; the name of the file and of its user are not.
    private static func pastJob(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> MoonrakerPastJob? {
        guard json.beginObject(b) else {
            json.skip(b)
            return nil
        }
        var status: Range<Int>?
        var start = MessageNumber.absent
        var end = MessageNumber.absent
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "status", b), let text = json.string(b) {
                status = text
            } else if JSONScanner.equals(key, "start_time", b) {
                start.read(&json, b)
            } else if JSONScanner.equals(key, "end_time", b) {
                end.read(&json, b)
            } else {
                json.skip(b)
            }
        }
        guard let status, let start = start.number, let outcome = MoonrakerPastJob.outcome(status, b) else {
            return nil
        }
        return MoonrakerPastJob(start: start, end: end.number, outcome: outcome)
    }
}
