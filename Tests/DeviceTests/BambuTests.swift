import Model
import Printers
import Testing

@Suite struct BambuTests {
    private let topic = "device/01P00A000000000/report"

    /// A printer that says one delta for each entry; what it says of jobs, in order.
    private func jobs(_ deltas: String...) throws -> [String] {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        return deltas.flatMap { hear($0, &printer) }.filter { $0.hasPrefix("job=") }.map { String($0.dropFirst(4)) }
    }

    /// `open` opens the link; anything else are members of a report.
    private func hear(_ delta: String, _ printer: inout Bambu) -> [String] {
        if delta == "open" { return printer.words(printer.opens()) }
        let words = printer.hears(topic, #"{"print":{\#(delta),"subtask_name":"secret","command":"push_status"}}"#)
        for word in words { #expect(!word.contains("secret")) }
        #expect(words.contains("online=1") == delta.contains("gcode_state"))
        return words.filter { $0 != "online=1" }
    }

    private func state(_ word: String) -> String { #""gcode_state":"\#(word)""# }

    @Test func asksForEverythingWhenItIsOpened() throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        guard case .publish(let topic, let payload) = printer.opens().request else {
            Issue.record("nothing was asked")
            return
        }
        #expect(topic == "device/01P00A000000000/request")
        #expect(JSON(payload)?["pushing"]?["command"]?.text == "pushall")
    }

    @Test func readsThroughABridge() throws {
        var printer = try MessageBench.made(Bambu.self, "topic: lab/p1s/")
        #expect(printer.subscriptions == ["lab/p1s/report"])
        guard case .publish("lab/p1s/request", _) = printer.opens().request else {
            Issue.record("the bridge was not asked")
            return
        }
    }

    /// The sequence of the reference, message by message.
    @Test func aCancelIsOneJob() throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        var said: [String] = []
        for payload in [
            #"{"print":{"command":"push_status","msg":0,"gcode_state":"RUNNING","mc_percent":37,"stg_cur":0,"layer_num":61}}"#,
            #"{"print":{"nozzle_temper":218.40625,"command":"push_status","msg":1,"sequence_id":"5512"}}"#,
            #"{"print":{"mc_percent":38,"mc_remaining_time":82,"layer_num":63,"command":"push_status","msg":1}}"#,
            #"{"print":{"print_error":50348044,"command":"push_status","msg":1,"sequence_id":"5603"}}"#,
            #"{"print":{"gcode_state":"FAILED","mc_percent":0,"command":"push_status","msg":1}}"#,
            #"{"print":{"print_error":0,"command":"push_status","msg":1,"sequence_id":"5606"}}"#,
        ] { said += printer.hears(topic, payload) }
        #expect(said.filter { $0.hasPrefix("job=") } == ["job=cancelled"])
        #expect(said.filter { $0.hasPrefix("!") || $0.hasPrefix("error=") } == [])
        #expect(said.contains("progress=0.38") && said.contains("remaining=4920") && said.contains("layer=63"))
        #expect(said.last == "state=idle (FAILED)")
    }

    @Test func endsThatStayUpCountOnce() throws {
        let (finish, failed, run) = (state("FINISH"), state("FAILED"), state("RUNNING"))
        #expect(try jobs(finish, finish, failed, state("IDLE")) == [])
        #expect(try jobs(state("IDLE"), run, finish, finish, finish) == ["completed"])
        #expect(try jobs(run, failed, failed, finish) == ["failed"])
        #expect(
            try jobs(finish, state("PREPARE"), run, finish, state("PREPARE"), run, finish) == [
                "completed", "completed",
            ])
        #expect(try jobs(run, state("PAUSE"), state(""), state("UNKNOWN"), run, finish) == ["completed"])
    }

    @Test func aRestartInterrupts() throws {
        #expect(try jobs(state("PREPARE"), state("RUNNING"), state("IDLE"), state("IDLE")) == ["interrupted"])
    }

    @Test func aCancelIsBelievedForAFewMessages() throws {
        let quiet = [String](repeating: #""nozzle_temper":200"#, count: 20)
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        let late =
            [state("RUNNING"), #""print_error":50348044"#, #""print_error":0"#] + quiet + [state("FAILED")]
        #expect(late.flatMap { hear($0, &printer) }.contains("job=failed"))
        let next = [state("RUNNING"), #""print_error":50348044"#, state("FAILED"), state("RUNNING"), state("FAILED")]
        #expect(next.flatMap { hear($0, &printer) }.filter { $0.hasPrefix("job=") } == ["job=cancelled", "job=failed"])
    }

    @Test func calibrationIsBusyButNoJob() throws {
        let system = #""print_type":"system","stg_cur":25"#
        #expect(try jobs(state("IDLE"), "\(state("RUNNING")),\(system)", #""layer_num":3"#, state("FINISH")) == [])
        #expect(try jobs(state("IDLE"), "\(state("RUNNING"))", system, state("FINISH")) == [])
        #expect(
            try jobs(
                state("RUNNING"), system, "\(state("FINISH")),\"print_type\":\"idle\"", state("RUNNING"),
                state("FINISH"))
                == ["completed"])
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        #expect(
            hear("\(state("RUNNING")),\(system)", &printer).contains(
                "state=preparing (RUNNING, calibrating motor noise)"))
    }

    @Test func aRushAfterConnectingIsNoJob() throws {
        #expect(try jobs("open", state("IDLE"), state("RUNNING"), state("PREPARE"), state("FINISH")) == [])
    }

    @Test func aGapOfTheGatewaysOwnLosesNoPrintAndInventsNone() throws {
        func full(_ word: String, _ id: String, _ percent: Int) -> String {
            #"\#(state(word)),"subtask_id":"\#(id)","mc_percent":\#(percent)"#
        }
        let run = full("RUNNING", "77", 40)
        #expect(try jobs(run, "open", full("RUNNING", "77", 60), state("FINISH")) == ["completed"])
        #expect(try jobs(run, "open", full("FINISH", "77", 100)) == ["completed"])
        #expect(try jobs(run, "open", full("FINISH", "78", 100)) == ["unknown"])
        #expect(try jobs(run, "open", full("FAILED", "77", 0)) == ["unknown"])
        #expect(try jobs(run, "open", full("IDLE", "0", 0)) == ["unknown"])
        #expect(try jobs(run, "open", full("RUNNING", "78", 60), state("FINISH")) == ["unknown", "completed"])
        #expect(try jobs(run, "open", full("RUNNING", "77", 3), state("FINISH")) == ["unknown", "completed"])
        #expect(try jobs("open", full("FINISH", "77", 100), "open", full("FINISH", "78", 100)) == [])
    }

    @Test(arguments: [
        ("IDLE", 255, 0, "idle (IDLE)"), ("FINISH", -1, 90, "idle (FINISH)"), ("PREPARE", -1, 0, "preparing (PREPARE)"),
        ("SLICING", 0, 0, "preparing (SLICING)"), ("INIT", 0, 0, "preparing (INIT)"),
        ("RUNNING", 0, 0, "running (RUNNING)"), ("RUNNING", 2, 0, "preparing (RUNNING, bed preheating)"),
        ("RUNNING", 14, 7, "running (RUNNING, cleaning nozzle)"), ("RUNNING", 99, 0, "preparing (RUNNING, stage 99)"),
        ("PAUSE", 16, 7, "paused (PAUSE, by user)"), ("PAUSE", 5, 7, "paused (PAUSE, M400 pause)"),
        ("PAUSE", 30, 7, "paused (PAUSE, by g-code)"), ("PAUSE", 255, 7, "paused (PAUSE)"),
        ("PAUSE", 6, 7, "blocked (PAUSE, filament runout)"), ("PAUSE", 35, 7, "blocked (PAUSE, nozzle clog)"),
        ("PAUSE", 77, 7, "blocked (PAUSE, preparing AMS)"),
        ("PAUSE", 20, 7, "fault (PAUSE, nozzle temperature malfunction)"), ("OFFLINE", 0, 0, "offline (OFFLINE)"),
        ("UNKNOWN", 0, 0, "unknown (UNKNOWN)"), ("", 0, 0, "unknown (no word)"),
    ])
    func everyStateHasItsMeaning(_ word: String, _ stage: Int, _ layer: Int, _ says: String) throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        let said = hear(#"\#(state(word)),"stg_cur":\#(stage),"layer_num":\#(layer)"#, &printer)
        #expect(said.contains("state=\(says)"), "\(said)")
        #expect(!said.contains { $0.hasPrefix("!") })
    }

    @Test func errorsAndHealth() throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        // What stands when the link is opened did not happen now.
        #expect(
            hear(#"\#(state("IDLE")),"print_error":50364420"#, &printer) == ["state=idle (IDLE)"])
        let failed = hear(#"\#(state("FAILED")),"print_error":50364428"#, &printer)
        #expect(failed.contains("error=0300-800C") && failed.contains("state=blocked (FAILED, error 0300-800C)"))
        #expect(hear(#""print_error":50364428"#, &printer) == ["state=blocked (FAILED, error 0300-800C)"])
        #expect(
            hear(#""print_error":0,"hms":[{"attr":1,"code":65543},{"code":"x"},5]"#, &printer)
                == ["state=fault (FAILED, health message)"])
        #expect(hear(#""hms":[{"attr":1,"code":196609}]"#, &printer) == ["state=idle (FAILED)"])
    }

    /// A P1 that comes back says only what changes: not that another print began while nobody heard it.
    @Test func afterALongSilenceEverythingIsAskedForAtOnce() throws {
        func isAsked(silentTurns: Int, then next: String) throws -> Bool {
            var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
            _ = hear(#"\#(state("FINISH")),"subtask_id":"41""#, &printer)
            var out = Outbox()
            for _ in 0...silentTurns { printer.poll(&out) }
            out.removeAll()
            let bytes = Array("{\"print\":{\"command\":\"push_status\",\"msg\":1,\(next)}}".utf8)
            printer.receive(
                bytes.span, from: Source(topic: "device/01P00A000000000/report", subscription: 0, isRetained: false),
                &out)
            guard case .publish(_, let payload) = out.request else { return false }
            return JSON(payload)?["pushing"]?["command"]?.text == "pushall"
        }
        #expect(try isAsked(silentTurns: 3, then: #""mc_percent":40"#))
        #expect(try !isAsked(silentTurns: 1, then: #""mc_percent":40"#), "it stutters when it is asked often")
    }

    /// Behind a bridge the link to the broker stays up while the printer is out of reach; its silence tells.
    @Test func aPrintThatBeganInASilenceIsAnotherOne() throws {
        func jobs(silentTurns: Int, then next: String) throws -> [String] {
            var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
            _ = hear(#"\#(state("RUNNING")),"subtask_id":"41","mc_percent":80"#, &printer)
            var out = Outbox()
            for _ in 0...silentTurns { printer.poll(&out) }
            return hear(next, &printer).filter { $0.hasPrefix("job=") }
        }
        let another = #"\#(state("RUNNING")),"subtask_id":"42","mc_percent":3"#
        #expect(try jobs(silentTurns: 2, then: another) == ["job=unknown"])
        #expect(try jobs(silentTurns: 2, then: #"\#(state("RUNNING")),"subtask_id":"41","mc_percent":85"#) == [])
        #expect(try jobs(silentTurns: 2, then: #"\#(state("FINISH")),"subtask_id":"41""#) == ["job=completed"])
        #expect(try jobs(silentTurns: 2, then: #"\#(state("FINISH")),"subtask_id":"42""#) == ["job=unknown"])
        #expect(try jobs(silentTurns: 2, then: state("FAILED")) == ["job=unknown"], "the code of a cancel may be lost")
        #expect(try jobs(silentTurns: 0, then: state("FAILED")) == ["job=failed"])
    }

    @Test func aNewWordIsUnknownAndKept() throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        #expect(hear(state("DRYING"), &printer) == ["state=unknown (DRYING)", "!unknownValue"])
        #expect(hear(#""nozzle_temper":30"#, &printer) == ["state=unknown (DRYING)", "temperature.nozzle=30"])
    }

    @Test func temperatures() throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        func said(_ delta: String) -> [String] { hear(delta, &printer) }
        #expect(
            said(#""nozzle_temper":27.8125,"nozzle_target_temper":220,"chamber_temper":5"#)
                == ["temperature.nozzle=27.8125", "target.nozzle=220"])
        #expect(
            said(#""bed_temper":null,"chamber_temper":31"#) == ["temperature.bed=unknown", "temperature.chamber=31"])
        #expect(said(#""bed_temper":"warm","nozzle_temper":9000"#) == ["!implausible", "!badValue"])
        let extruder = #""extruder":{"info":[{"id":0,"temp":4587590},{"id":1,"temp":14418139}]}"#
        #expect(
            said(#""nozzle_temper":219.5,"device":{"bed":{"info":{"temp":3932220}},\#(extruder)}"#) == [
                "temperature.nozzle=70", "target.nozzle=70", "temperature.nozzle1=219", "target.nozzle1=220",
                "temperature.bed=60", "target.bed=60",
            ])
    }

    @Test func whatIsLeftFromAPrintIsNoProgress() throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        #expect(
            hear(#"\#(state("FINISH")),"mc_percent":100,"mc_remaining_time":759"#, &printer) == ["state=idle (FINISH)"])
        #expect(
            hear(#"\#(state("RUNNING")),"mc_percent":"4""#, &printer) == ["state=running (RUNNING)", "progress=0.04"])
        let end = hear(#"\#(state("FINISH")),"mc_percent":100"#, &printer)
        #expect(end.first == "job=completed" && end.contains("progress=unknown") && !end.contains("progress=1"))
    }

    @Test func othersWordsAreIgnored() throws {
        var printer = try MessageBench.made(Bambu.self, "serial_number: 01P00A000000000")
        for payload in [
            #"{"print":{"command":"project_file","gcode_state":"RUNNING"}}"#, #"{"info":{"command":"get_version"}}"#,
            #"{"print":{"gcode_state":"RUNNING"}}"#, #"{"print":3}"#, "{}",
        ] { #expect(printer.hears(topic, payload) == []) }
        let status = #"{"print":{"command":"push_status","gcode_state":"RUNNING"}}"#
        #expect(printer.hears(topic, status, retained: true) == [])
        #expect(printer.hears(topic, "[1]") == ["!badFrame"])
        #expect(printer.hears(topic, String(repeating: " ", count: 262_144) + "{}") == ["!overrun"])
        let long = String(repeating: #"{"tray_type":"PLA"},"#, count: 13_000)
        #expect(
            printer.hears(topic, #"{"print":{"ams":[\#(long)1],"command":"push_status","gcode_state":"IDLE"}}"#)
                == ["online=1", "state=idle (IDLE)"])
    }

    @Test(arguments: [
        ("topic: 'a/#'", "in front of /report"), ("{}", "needs 'serial_number'"),
        ("serial_number: 3DP-000-000", "no serial number"), ("serial_numbre: 01P00A000000000", "did you mean"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(Bambu.self, keys)
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }
}
