import Model
import Printers
import Testing

@Suite struct MoonrakerTests {
    /// `name value` is `print_stats.state`, `{…` a combined status, `h …` an answer with these jobs of the history,
    /// `online`, `offline` the last will, `open` opens the link.
    private func hear(_ what: String, _ printer: inout Moonraker) -> [String] {
        switch what {
        case "open": return printer.words(printer.opens())
        case "online", "offline": return printer.hears("v/moonraker/status", #"{"server":"\#(what)"}"#)
        case _ where what.hasPrefix("{"):
            return printer.hears("v/klipper/status", #"{"eventtime":1.5,"status":\#(what)}"#)
        case _ where what.hasPrefix("h "):
            let jobs = what.dropFirst(2).split(separator: " ").map { job in
                let parts = job.split(separator: "@")
                return #"{"user":"mina","filename":"secret","status":"\#(parts[0])","start_time":\#(parts[1])}"#
            }
            return printer.hears(
                "v/moonraker/api/response",
                #"{"jsonrpc":"2.0","result":{"jobs":[\#(jobs.joined(separator: ","))]},"id":7102}"#)
        default:
            return printer.hears("v/klipper/status", #"{"status":{"print_stats":{"state":"\#(what)"}}}"#)
        }
    }

    private func made() throws -> Moonraker { try MessageBench.made(Moonraker.self, "topic: v") }

    private func jobs(_ story: String...) throws -> [String] {
        var printer = try made()
        let said = story.flatMap { hear($0, &printer) }
        for word in said { #expect(!word.contains("secret") && !word.contains("mina")) }
        return said.filter { $0.hasPrefix("job=") }.map { String($0.dropFirst(4)) }
    }

    @Test func asksForObjectsThenHistoryThenTotals() throws {
        var printer = try made()
        func method(_ out: Outbox) -> String? {
            guard case .publish("v/moonraker/api/request", let payload) = out.request else { return nil }
            return JSON(payload)?["method"]?.text
        }
        func answer(_ result: String, _ id: Int) -> Outbox {
            var out = Outbox()
            let bytes = Array(#"{"jsonrpc":"2.0",\#(result),"id":\#(id)}"#.utf8)
            let source = Source(topic: "v/moonraker/api/response", subscription: 3, isRetained: false)
            printer.receive(bytes.span, from: source, &out)
            return out
        }
        #expect(method(printer.opens()) == "printer.objects.query")
        #expect(method(answer(#""result":{"status":{}}"#, 7101)) == "server.history.list")
        #expect(method(answer(#""result":{"jobs":[]}"#, 7102)) == "server.history.totals")
        #expect(method(answer(#""result":{"job_totals":{"total_jobs":3}}"#, 7103)) == nil)
        // Another client's questions are answered on the same topic.
        #expect(method(answer(#""result":{"status":{}}"#, 5)) == nil)
        #expect(method(answer(#""result":{"jobs":[{"status":"completed","start_time":5e9}]}"#, 5)) == nil)
        #expect(method(answer(#""error":{"code":503,"message":"secret"}"#, 7101)) == "server.history.list")
        #expect(method(answer(#""error":{"code":1}"#, 7102)) == nil)
    }

    @Test func endsThatStayUpCountOnce() throws {
        #expect(try jobs("complete", "complete", "cancelled", "standby") == [])
        #expect(try jobs("standby", "printing", "complete", "complete", "standby") == ["completed"])
        #expect(
            try jobs("printing", "paused", "printing", "cancelled", "standby", "printing", "error") == [
                "cancelled", "failed",
            ])
        #expect(try jobs("printing", "standby") == ["interrupted"])
        #expect(try jobs("printing", #"{"webhooks":{"state":"shutdown"}}"#, "standby") == ["failed"])
    }

    @Test func withHistoryUnseenEndsAreLookedUp() throws {
        let base = "h completed@10"
        #expect(try jobs("standby", base) == [])
        #expect(try jobs("standby", base, "printing", "standby", "h cancelled@20 completed@10") == ["cancelled"])
        #expect(try jobs("standby", base, "printing", "complete", "h completed@20 completed@10") == ["completed"])
        // Missed while away, and seen ones not again.
        #expect(
            try jobs("standby", base, "printing", "complete", "open", "standby", "h error@40 completed@30 completed@20")
                == ["completed", "completed", "failed"])
        // The print that was on ended, another one runs.
        #expect(
            try jobs(
                base, "printing", #"{"print_stats":{"total_duration":900}}"#, "open",
                #"{"print_stats":{"state":"printing","total_duration":30}}"#,
                "h in_progress@30 server_exit@20 completed@10", "complete") == ["interrupted", "completed"])
        // The same one still runs.
        #expect(
            try jobs(
                base, "printing", #"{"print_stats":{"total_duration":900}}"#, "open",
                #"{"print_stats":{"state":"printing","total_duration":960}}"#, "h in_progress@20 completed@10",
                "complete")
                == ["completed"])
        // Deleting old entries adds none.
        #expect(try jobs(base, "standby", "open", "standby", "h completed@5 completed@4") == [])
        #expect(try jobs(base, "standby", "open", "h new_word@11") == ["unknown"])
    }

    @Test func withoutHistoryAnUnseenEndIsUnknown() throws {
        #expect(try jobs("printing", "open", "standby") == ["unknown"])
        #expect(try jobs("printing", "open", "complete") == ["completed"])
        #expect(try jobs("open", "complete", "open", "complete") == [])
        #expect(try jobs("printing", "offline", "online", "standby") == ["unknown"])
    }

    @Test func anAnswerThatNeverComesIsNotWaitedForEver() throws {
        var printer = try made()
        _ = ["h completed@10", "printing", "standby"].map { hear($0, &printer) }
        var said: [String] = []
        for _ in 0..<60 { said += hear(#"{"extruder":{"temperature":20}}"#, &printer) }
        #expect(said.filter { $0.hasPrefix("job=") } == ["job=interrupted"])
        // When it does come, the print is not counted again.
        #expect(hear("h klippy_disconnect@20 completed@10", &printer).filter { $0.hasPrefix("job=") } == [])
    }

    @Test func aSecondPrintWithinOneInterval() throws {
        #expect(
            try jobs(
                "printing", #"{"print_stats":{"total_duration":900}}"#, #"{"print_stats":{"total_duration":2}}"#,
                #"{"print_stats":{"total_duration":3}}"#, "complete") == ["unknown", "completed"])
        // A reset in pieces is one end.
        #expect(
            try jobs(
                "printing", #"{"print_stats":{"total_duration":900}}"#, #"{"print_stats":{"total_duration":0}}"#,
                "standby")
                == ["interrupted"])
    }

    @Test func keptValuesAreABaseline() throws {
        var printer = try made()
        let state = "v/klipper/state/print_stats/state"
        #expect(printer.hears(state, #"{"value":"printing"}"#, retained: true) == [])
        #expect(printer.hears("v/klipper/state/extruder/temperature", #"{"value":200}"#, retained: true) == [])
        #expect(
            printer.hears("v/moonraker/status", #"{"server":"online"}"#, retained: true)
                == ["online=1", "state=preparing (printing)"])
        // Its duration grows: it prints indeed.
        _ = printer.hears("v/klipper/state/print_stats/total_duration", #"{"value":60.0}"#)
        #expect(printer.hears(state, #"{"value":"complete"}"#).contains("job=completed"))

        var off = try made()
        _ = off.hears(state, #"{"value":"printing"}"#, retained: true)
        #expect(
            off.hears("v/moonraker/status", #"{"server":"offline"}"#, retained: true)
                == ["online=0", "state=offline (server offline)"])
        #expect(off.hears("v/moonraker/status", #"{"server":"online"}"#).last == "state=unknown (not told yet)")
        #expect(off.hears(state, #"{"value":"standby"}"#) == ["state=idle (standby)"])
    }

    @Test(arguments: [
        ("standby", "idle"), ("printing", "preparing"), ("paused", "paused"), ("complete", "idle"), ("error", "fault"),
        ("cancelled", "idle"), ("melting", "unknown"),
    ])
    func everyStateHasItsMeaning(_ word: String, _ state: String) throws {
        var printer = try made()
        let said = hear(word, &printer)
        #expect(said == ["state=\(state) (\(word))"] + (state == "unknown" ? ["!unknownValue"] : []))
    }

    @Test func klippersOwnStateComesFirst() throws {
        var printer = try made()
        func state(_ json: String) -> String? { hear(json, &printer).last { $0.hasPrefix("state=") } }
        #expect(state("printing") == "state=preparing (printing)")
        #expect(state(#"{"print_stats":{"print_duration":1.5}}"#) == "state=running (printing)")
        #expect(state(#"{"webhooks":{"state":"shutdown"}}"#) == "state=fault (klippy shutdown)")
        #expect(state("standby") == "state=idle (standby)")
        #expect(state(#"{"webhooks":{"state":"startup"}}"#) == "state=offline (klippy startup)")
        #expect(state(#"{"webhooks":{"state":"ready"}}"#) == "state=idle (standby)")
        #expect(state(#"{"webhooks":{"state":"odd"}}"#) == "state=unknown (klippy odd)")
    }

    @Test func filamentOnlyAdvances() throws {
        var printer = try made()
        func used(_ json: String) -> [String] {
            hear(#"{"print_stats":{\#(json)}}"#, &printer).filter { $0.hasPrefix("filament=") }
        }
        #expect(used(#""state":"complete","filament_used":8000"#) == ["filament=0"])
        #expect(used(#""state":"printing","filament_used":0"#) == [])
        #expect(used(#""filament_used":100.5"#) == ["filament=100.5"])
        #expect(used(#""filament_used":96"#) == [])
        #expect(used(#""filament_used":101"#) == ["filament=101"])
        #expect(used(#""state":"complete","filament_used":99"#) == [])
        #expect(used(#""state":"standby","filament_used":0"#) == [])
        #expect(used(#""state":"printing","filament_used":5"#) == ["filament=106"])
        // A print that is found running brings nothing of before.
        printer = try made()
        #expect(used(#""state":"printing","filament_used":700"#) == ["filament=0"])
        #expect(used(#""filament_used":-5"#) == [])
        #expect(used(#""filament_used":710"#) == ["filament=10"])
    }

    /// What is printed while the gateway is off is counted when it is back, and nothing twice.
    @Test func filamentOutlivesTheGateway() throws {
        var printer = try made()
        var memory = ""
        func used(_ json: String) -> String? {
            var out = Outbox()
            let body = #"{"status":{"print_stats":{\#(json)}}}"#
            printer.receive(
                Array(body.utf8).span, from: Source(topic: "v/klipper/status", subscription: 1, isRetained: false), &out
            )
            memory = out.memory ?? memory
            #expect(memory.utf8.count <= 96)
            return printer.words(out).last { $0.hasPrefix("filament=") }
        }
        func restart() throws {
            printer = try made()
            printer.recall(memory)
            _ = printer.opens()
        }
        _ = used(#""state":"standby","filament_used":0"#)
        _ = used(#""state":"printing","filename":"a","filament_used":0,"total_duration":0.1"#)
        #expect(used(#""filament_used":1234567.89,"total_duration":61"#) == "filament=1234567.89")
        try restart()
        #expect(
            used(#""state":"printing","filename":"a","filament_used":1234600,"total_duration":90"#)
                == "filament=1234600")
        #expect(used(#""state":"complete","filament_used":1235000,"total_duration":150"#) == "filament=1235000")
        try restart()
        #expect(used(#""state":"complete","filament_used":1235000"#) == nil)
        _ = used(#""state":"printing","filename":"b","filament_used":0,"total_duration":0.1"#)
        #expect(used(#""filament_used":50,"total_duration":61"#) == "filament=1235050")
        // Another print began meanwhile: all that it says of itself is new.
        try restart()
        #expect(
            used(#""state":"printing","filename":"c","filament_used":30,"total_duration":40"#) == "filament=1235080")
    }

    @Test(arguments: [
        ("topic: 'a/#'", "Moonraker's name"), ("{}", "needs 'topic'"), ("topci: a", "did you mean 'topic'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(Moonraker.self, keys)
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }
}
