import Model
import Testing
import Workshop

private let idle = "<Idle|MPos:0.000,0.000,0.000|FS:0,0>"
private let run = "<Run|MPos:1.000,2.000,0.000|FS:800,9000>"
private let home = "<Home|MPos:0.000,0.000,0.000|FS:500,0>"

/// A controller that is asked once for every line it is to answer with.
private struct Session {
    var driver: Grbl
    var said: [String] = []
    var kinds: [Fault.Kind] = []

    init(_ model: String = "grbl-1.1", keys: String = "{}") throws {
        driver = try SerialBench.model(Grbl.self, "workshop/models/\(model)", keys: keys)
    }

    mutating func line(_ text: String, times: Int = 1) {
        for _ in 0..<times {
            let out = driver.says(text + "\r\n")
            said += driver.words(out)
            kinds += out.kinds
        }
    }

    /// What was said on one channel.
    func on(_ channel: String) -> [String] {
        said.filter { $0.hasPrefix(channel + "=") }.map { String($0.dropFirst(channel.count + 1)) }
    }

    /// Each change of state once.
    var states: [String] { on("state").reduce(into: []) { if $0.last != $1 { $0.append($1) } } }
}

@Suite struct GrblTests {
    @Test func asksWithOneByteAndNothingElse() throws {
        var session = try Session()
        var out = Outbox()
        session.driver.opened(&out)
        #expect(out == Outbox())
        session.driver.poll(&out)
        #expect(out.bytesToSend == [0x3F])
        out = session.driver.says(idle + "\r\n")
        #expect(out.isAnswered && out.isAlive)
    }

    @Test(arguments: [
        ("<Idle|MPos:0.000,0.000,0.000|FS:0,0|WCO:0.000,0.000,0.000>", "idle (Idle)"),
        ("<Run|WPos:12.310,-4.000,1.500|Bf:3,96|Ln:412|FS:1200,9000|Ov:100,100,100|A:SF>", "running (Run)"),
        ("<Hold:1|MPos:1.000,2.000,3.000|F:0>", "paused (Hold:1)"),
        ("<Alarm:1|MPos:0.000,0.000,0.000,0.000|FS:0,0|Pn:XZ>", "fault (Alarm:1)"),
        ("<Door:1|MPos:1,2,3|Pn:D>", "blocked (Door:1)"),
        ("<Door:0|MPos:1,2,3|Pn:D>", "paused (Door:0)"),
        ("<Tool|MPos:1,2,3|T:4|WCS:G54|H:1,7|MPG:0|FW:grblHAL>", "blocked (Tool)"),
        ("<Sleep>", "idle (Sleep)"),
        ("<Check|MPos:0,0,0>", "preparing (Check)"),
        ("<|MPos:0,0,0|FS:0,0>", "unknown ()"),
        ("<Run|MPos:10.500,3.000,0.000|FS:800,255,240|SD:42.15,/sd/pot, second.nc>", "running (Run)"),
    ])
    func statesInCommonWords(report: String, state: String) throws {
        var session = try Session()
        session.line(report)
        #expect(session.on("state") == [], "one report is not enough")
        session.line(report)
        #expect(session.on("state") == [state])
        #expect(session.kinds == [])
    }

    /// What cheap adapters beside a spindle really send.
    @Test(arguments: [
        "<Idle|MPs:0.000,0.000,0.000|FS:0,0>", "<IdleMPos:0.000,0.000,0.000|FS:0,0>", "<IdleMPos:0|FS:0,0>", "FS:400>",
        "<Ru|WPos:1.000,2.000,3.000|FS:0,0>", "<Run|WPos:25.1014.000,0.000|FS:0,0>",
        "<Run|WPos:1.000,2.000,3.000|F:40,>",
        "<Run|WPos:1.0002.000,3.000|FS:0,0>", "<Run|MPos:1.000,2.000,3.000|FS:8009000>", "<Run|MPos:1,2,3|FS:0,0",
        "<Run|MPos:1,2,3|WCO:1,2|FS:0,0>", "<Run|MPos:1,2,3|FS:nan,0>", "<Run|MPos:1,2,3|FS:1e3,0>", "<Run||FS:0,0>",
        "<Hold:|MPos:1,2,3>", "<Run|MPos:1,2,3|Bf:15>", "<Run|MPos:1,2,3|SD:101,a>", "<Run|MPos:1,2,3|Foo:1>", "<>|",
        "<Idle|MPos:0.0<Idle|MPos:0.000,0.000,0.000|FS:0,0>", "<Run|MPos:1,2,3|FS:0,0>ok",
    ])
    func damagedReportsAreDropped(report: String) throws {
        var session = try Session()
        session.line(run, times: 2)
        let before = session.said
        session.line(report)
        #expect(session.kinds == [.badFrame])
        #expect(session.said == before)
        session.line(run)
        #expect(session.on("state").count == 1, "a damaged report is no confirmation")
        session.line(run)
        #expect(session.on("state").count == 2)
    }

    @Test func programThatEndsIsCompletedOnce() throws {
        var session = try Session()
        session.line(idle, times: 3)
        session.line(run, times: 5)
        session.line("[MSG:Pgm End]")
        session.line("[MSG:Pgm End]")
        session.line(run)
        session.line(idle, times: 30)
        #expect(session.on("job") == ["completed"])
        session.line(run, times: 2)
        session.line("[MSG:INFO: Program End]")
        #expect(session.on("job") == ["completed", "completed"])
        #expect(session.states.first == "idle (Idle)" && session.kinds == [])
    }

    @Test func programRightAfterAnotherCounts() throws {
        var session = try Session()
        session.line(run, times: 5)
        session.line("[MSG:Pgm End]")
        session.line(run, times: 8)
        session.line("[MSG:Pgm End]")
        #expect(session.on("job") == ["completed", "completed"])
    }

    @Test func endWordsWithoutAProgramAreNone() throws {
        var session = try Session()
        session.line(idle, times: 3)
        session.line("[MSG:Pgm End]")
        session.line("<Check|MPos:0,0,0|FS:0,0>", times: 9)
        session.line("[MSG:Pgm End]")
        session.line(home, times: 9)
        session.line(idle, times: 20)
        #expect(session.on("job") == [])
    }

    @Test func streamedJobEndsAfterTenQuietReports() throws {
        var session = try Session()
        session.line(run, times: 4)
        session.line("<Hold:0|MPos:1,2,3|FS:0,0>", times: 50)
        session.line(run)
        session.line(idle, times: 9)
        #expect(session.on("job") == [])
        session.line(idle)
        #expect(session.on("job") == ["unknown"])
        session.line(idle, times: 40)
        #expect(session.on("job") == ["unknown"])

        var patient = try Session(keys: "{ idle_reports: 30 }")
        patient.line(run, times: 4)
        patient.line(idle, times: 29)
        #expect(patient.on("job") == [])
    }

    @Test func alarmFailsTheJob() throws {
        var session = try Session()
        session.line(run, times: 4)
        session.line("ALARM:1")
        session.line("[MSG:Reset to continue]")
        session.line("<Alarm|MPos:1,2,3|FS:0,0>", times: 3)
        session.line("Grbl 1.1h ['$' for help]")
        session.line(idle, times: 2)
        #expect(session.on("alarm") == ["1 hard limit"])
        #expect(session.on("job") == ["failed"])
        #expect(session.states == ["running (Run)", "fault (Alarm 1: hard limit)", "idle (Idle)"])
    }

    @Test func alarmSeenOnlyInReportsFailsTheJob() throws {
        var session = try Session()
        session.line(run, times: 4)
        session.line("<Alarm|MPos:1,2,3|FS:0,0>")
        #expect(session.on("job") == [])
        session.line("<Alarm|MPos:1,2,3|FS:0,0>")
        #expect(session.on("job") == ["failed"])
    }

    @Test(arguments: [
        ("grbl-1.1", 14, "14"), ("grblhal", 14, "14 spindle"), ("fluidnc", 14, "14 not homed"),
        ("fluidnc", 2, "2 soft limit"),
    ])
    func alarmNumbersBelongToTheFirmware(model: String, number: Int, words: String) throws {
        var session = try Session(model)
        session.line("ALARM:\(number)")
        #expect(session.on("alarm") == [words])
        session.line("ALARM:\(number)7777")
        session.line("ALARM:x")
        #expect(session.kinds == [.badFrame, .badFrame])
    }

    @Test(arguments: [
        "Grbl 1.1h ['$' for help]", "GrblHAL 1.1f ['$' or '$HELP' for help]",
        "Grbl 3.9 [FluidNC v3.9.1 (esp32-wifi) '$' for help]", "rbl 1.1h ['$' for help]",
    ])
    func greetingInterruptsTheJob(greeting: String) throws {
        var session = try Session()
        session.line(greeting)
        #expect(session.said == [])
        session.line(run, times: 4)
        session.line(greeting)
        session.line(idle, times: 20)
        #expect(session.on("job") == ["interrupted"])
        #expect(session.kinds == [])
    }

    @Test func jobOfACardHasProgressAndAnEnd() throws {
        func report(_ percent: String) -> String { "<Run|MPos:1,2,3|FS:800,0|SD:\(percent),/sd/pot.nc>" }
        var session = try Session("fluidnc")
        session.line(idle, times: 2)
        for percent in ["0.00", "42.15", "99.60"] { session.line(report(percent)) }
        session.line("<Run|MPos:1,2,3|FS:800,0>")
        #expect(session.on("job") == [], "one report without it may be a mistake")
        session.line(idle)
        #expect(session.on("job") == ["completed"])
        #expect(session.on("progress") == ["0", "0.4215", "0.996", "unknown"])
        for percent in ["0.00", "12.00"] { session.line(report(percent)) }
        session.line(idle, times: 12)
        #expect(session.on("job") == ["completed", "unknown"])
        for percent in ["0.00", "50.00", "100"] { session.line(report(percent)) }
        session.line("[MSG:INFO: Program End]")
        session.line(report("100"), times: 5)
        session.line(idle, times: 12)
        #expect(session.on("job") == ["completed", "unknown", "completed"])
        #expect(session.on("progress").last == "unknown")
    }

    @Test func aProgramThatWaitsToRunAgainIsOver() throws {
        var session = try Session("grblhal")
        for percent in ["10.0", "60.0", "99.9"] { session.line("<Run|MPos:1,2,3|FS:800,0|SD:\(percent),pot.nc>") }
        session.line("<Idle|MPos:1,2,3|FS:0,0|SD:Pending>", times: 3)
        #expect(session.on("job") == ["completed"] && session.on("state").last?.hasPrefix("idle") == true)
        #expect(session.kinds == [])
        session.line("<Idle|MPos:1,2,3|FS:0,0|SD:Pend>")
        #expect(session.kinds == [.badFrame])
    }

    /// Somebody else looks at the settings on the same channel.
    @Test(arguments: ["$10=1", "$110=500.000 (X max rate, mm/min)", ">G54G20:ok", ">G99:error:20", "[GC:G0 G54]", "ok"])
    func answersToOthersAreNoFaults(line: String) throws {
        var session = try Session()
        session.line(line)
        #expect(session.kinds == [])
    }

    @Test func jobOutlivesTheLink() throws {
        var session = try Session()
        session.line(run, times: 4)
        var out = Outbox()
        session.driver.opened(&out)
        session.line("Grbl 1.1h ['$' for help]")
        #expect(session.on("job") == ["interrupted"])
    }

    @Test func inchesAreSaidByAPerson() throws {
        var session = try Session(keys: "{ inches: true }")
        session.line("<Run|MPos:1,2,3|FS:10,9000>")
        #expect(session.said == ["feed=254", "spindle=9000"])
    }

    /// After a stall of the computer everything comes at once: the job's end among it counts, and of each quantity the
    /// last value.
    @Test func aJobThatEndsWithinMuchAtOnceIsCounted() throws {
        var session = try Session()
        session.line(run, times: 4)
        let busy = String(repeating: "<Run|MPos:1,2,3|FS:1200,9000>\n", count: 200)
        let still = String(repeating: "<Idle|MPos:1,2,3|FS:0,0>\n", count: 200)
        let out = session.driver.says(busy + "[MSG:Pgm End]\n" + still + busy + "ALARM:1\n")
        let words = out.readings.map { "\(session.driver.channels[$0.channel].name)=\($0.value)" }
        #expect(words.filter { $0.hasPrefix("job=") }.count == 2, "\(words)")
        #expect(words.last { $0.hasPrefix("state=") }?.contains("fault") == true, "\(words)")
        #expect(out.readings.count <= 64)
    }

    @Test func floodsAreBounded() throws {
        var driver = try Session().driver
        let out = driver.says(String(repeating: "ALARM:1\n<Idle|FS:1,1>\n", count: 500))
        #expect(out.readings.count <= 64)
    }

    @Test func silenceIsNoConfirmation() throws {
        var session = try Session()
        session.line(run)
        var out = Outbox()
        session.driver.noReply(&out)
        #expect(out.kinds == [.noReply])
        session.line(run)
        #expect(session.on("state") == [])
    }

    @Test(arguments: 1...9) func piecesDoNotMatter(size: Int) throws {
        var whole = try Session()
        for line in [idle, run, run, "ok", "ALARM:2", idle, idle] { whole.line(line) }
        var driver = try Session().driver
        let text = [idle, run, run, "ok", "ALARM:2", idle, idle].map { $0 + "\r\n" }.joined()
        let bytes = Array(text.utf8)
        var said: [String] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            let out = driver.says(Array(bytes[start..<min(start + size, bytes.count)]))
            said += driver.words(out)
        }
        #expect(said == whole.said)
    }

    @Test(arguments: [UInt64.random(in: 0...UInt64.max), 1, 2]) func damageNeverTrapsNorLasts(seed: UInt64) throws {
        var state = seed
        func random(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % below
        }
        let lines = [idle, run, home, "ALARM:1", "[MSG:Pgm End]", "Grbl 1.1h ['$' for help]", "ok", "<Run|SD:1,a>"]
        var driver = try Session().driver
        for _ in 0..<3000 {
            var bytes = Array(lines[random(lines.count)].utf8)
            for _ in 0..<random(4) {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = UInt8(random(256))
                case 1 where bytes.count > 1: bytes.remove(at: random(bytes.count))
                default: bytes.insert(UInt8(random(256)), at: random(bytes.count))
                }
            }
            let out = driver.says(bytes + [0x0D, 0x0A])
            #expect(out.readings.count <= 64 && out.faults.count <= 16, "seed \(seed)")
        }
        _ = driver.says("\n" + idle + "\n" + idle + "\n")
        let out = driver.says(idle + "\n")
        #expect(driver.words(out).last == "state=idle (Idle)", "seed \(seed)")
    }
}
