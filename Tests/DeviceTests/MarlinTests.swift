import Model
import Printers
import Testing

@Suite struct MarlinTests {
    private func made() throws -> Marlin { try SerialBench.model(Marlin.self, "printers/models/marlin") }

    private func hear(_ line: String, _ printer: inout Marlin) -> [String] {
        let out = printer.says(line + "\n")
        return printer.words(out) + out.faults.map { "!\($0.kind.rawValue)" }
    }

    /// What a story of lines says of jobs; `open` opens the line.
    private func jobs(_ story: String...) throws -> [String] {
        var printer = try made()
        return story.flatMap { $0 == "open" ? printer.words(printer.opens()) : hear($0, &printer) }
            .filter { $0.hasPrefix("job=") }.map { String($0.dropFirst(4)) }
    }

    /// After a stall of the computer everything comes at once: the job's end among it counts, and of each quantity the
    /// last value.
    @Test func aJobThatEndsWithinMuchAtOnceIsCounted() throws {
        var printer = try made()
        _ = printer.words(printer.opens())
        #expect(hear("SD printing byte 1000/90000", &printer).contains("state=running (SD printing)"))
        let warm = (0..<300).map { " T:\(200 + Double($0 % 10) / 10) /210.00 B:60.02 /60.00 @:87 B@:43\n" }.joined()
        let cool = (0..<300).map { " T:\(190 - $0 / 4).5 /0.00 B:\(50 - $0 / 10).0 /0.00 @:0 B@:0\n" }.joined()
        let much = warm + "Done printing file\n" + cool + "SD printing byte 5/40000\n" + warm
        let out = printer.says(much + "Error:Printer halted. kill() called!\nstart\nNot SD printing\n" + cool)
        let words = printer.words(out)
        #expect(words.filter { $0.hasPrefix("job=") } == ["job=completed", "job=failed"])
        #expect(words.last { $0.hasPrefix("temperature.nozzle=") } == "temperature.nozzle=116.5")
        #expect(words.last { $0.hasPrefix("state=") } == "state=idle (ready)")
        #expect(out.readings.count <= 64 && out.faults == [])
        // What follows is told as ever.
        #expect(hear("SD printing byte 7/900", &printer).contains("state=running (SD printing)"))
    }

    private let hot = "ok T:210.0 /210.0 B:60.0 /60.0"
    private let cold = "ok T:180.0 /0.0 B:55.0 /0.0"

    /// The example lines of the reference.
    @Test(arguments: [
        (
            "ok T:201.35 /210.00 B:60.02 /60.00 @:87 B@:43",
            ["temperature.nozzle=201.35", "target.nozzle=210", "temperature.bed=60.02", "target.bed=60"]
        ),
        (
            " T:25.31 /0.00 B:24.90 /0.00 @:0 B@:0",
            ["temperature.nozzle=25.31", "target.nozzle=0", "temperature.bed=24.9", "target.bed=0"]
        ),
        (
            " T:187.42 /210.00 B:59.98 /60.00 @:127 B@:20 W:?",
            ["temperature.nozzle=187.42", "target.nozzle=210", "temperature.bed=59.98", "target.bed=60"]
        ),
        (
            "ok T:25.3 /0.0 B:26.0 /0.0 T0:25.3 /0.0 @:0 B@:0 P:0.0 A:31.4",
            [
                "temperature.nozzle=25.3", "target.nozzle=0", "temperature.bed=26", "target.bed=0",
                "temperature.ambient=31.4",
            ]
        ),
        (
            "ok T0:200.1 /200.0 T1:25.0 /0.0 B:60.0 /60.0 @0:12 @1:0",
            [
                "temperature.nozzle=200.1", "target.nozzle=200", "temperature.nozzle1=25", "target.nozzle1=0",
                "temperature.bed=60", "target.bed=60",
            ]
        ),
        (
            "T:21.30/ 0.00 B:21.30/ 0.00 @:64",
            ["temperature.nozzle=21.3", "target.nozzle=0", "temperature.bed=21.3", "target.bed=0"]
        ),
        (
            "ok B:60.0 /60.0 T0:201.2 /210.0",
            ["temperature.nozzle=201.2", "target.nozzle=210", "temperature.bed=60", "target.bed=60"]
        ),
        (
            "ok P15 B3 T:25.0 (1022) /0.0 C:31.5",
            ["temperature.nozzle=25", "temperature.chamber=31.5"]
        ),
        (
            "ok T:nan /0.0 B:inf /0.0",
            ["temperature.nozzle=unknown", "temperature.bed=unknown", "!badValue", "!badValue"]
        ),
        ("ok T:-14.9 /0.0", ["temperature.nozzle=unknown", "target.nozzle=0", "!sensorFault"]),
        ("X:0.00 Y:127.00 Z:145.00 E:0.00 Count X:0 Y:10160 Z:116000", []), ("echo:  T:20 B:30", []),
        ("echo:SD card ok", []), ("", []),
    ])
    func temperatures(_ line: String, _ says: [String]) throws {
        var printer = try made()
        #expect(hear(line, &printer).filter { !$0.hasPrefix("state=") } == says)
    }

    @Test func asksOneCommandAtATime() throws {
        var printer = try made()
        func ask(_ answer: String...) -> String? {
            var out = Outbox()
            printer.poll(&out)
            let asked = out.bytesToSend.map { String(decoding: $0, as: UTF8.self) }
            for line in answer { _ = printer.says(line + "\n") }
            return asked
        }
        _ = printer.opens()
        #expect(ask("Cap:AUTOREPORT_TEMP:1", "Cap:AUTOREPORT_SD_STATUS:0", "ok") == "M115\n")
        #expect(ask("ok") == "M155 S5\n")
        let report = " T:25.0 /0.0"
        #expect(ask("Not SD printing", "ok", report) == "M27\n")
        #expect(ask("SD printing byte 5/900", "ok", report) == "M27\n")
        #expect(ask("echo:Unknown command: \"M78\"", "ok", report) == "M78\n")
        var asked = Set<String>()
        for _ in 0..<2000 { if let command = ask("SD printing byte 6/900", "ok", report) { asked.insert(command) } }
        #expect(asked == ["M27\n", "M31\n"])
        _ = printer.says("start\n")
        #expect(ask("ok") == "M155 S5\n", "a reset switches it off")
        // Without reports of its own, both are asked for in turn.
        printer = try made()
        #expect(
            (0..<8).map { _ in ask("ok") } == [
                "M115\n", "M27\n", "M105\n", "M78\n", "M27\n", "M105\n", "M27\n", "M105\n",
            ])
    }

    /// What a board was asked before it was reset it never answers; it can be asked anew at once.
    @Test func aResetEndsWhatWasAsked() throws {
        var printer = try made()
        var out = Outbox()
        printer.poll(&out)
        #expect(out.bytesToSend != nil)
        #expect(!printer.says("Error:Printer halted. kill() called!\n").isAnswered)
        #expect(printer.says("start\n").isAnswered)
        out = Outbox()
        printer.poll(&out)
        #expect(out.bytesToSend != nil)
    }

    @Test func aBusyBoardIsNotAskedAgain() throws {
        var printer = try made()
        var out = Outbox()
        printer.poll(&out)
        #expect(out.bytesToSend != nil)
        _ = printer.says("echo:busy: processing\n")
        out = Outbox()
        printer.noReply(&out)
        #expect(out.faults.isEmpty)
        printer.poll(&out)
        #expect(out.request == nil)
        #expect(printer.says("ok\n").isAnswered)
        printer.poll(&out)
        #expect(out.bytesToSend != nil)
        printer.noReply(&out)
        #expect(out.kinds == [.noReply])
    }

    @Test func endsAreToldApart() throws {
        let run = "SD printing byte 500/1000"
        let near = "SD printing byte 995/1000"
        let stop = "Not SD printing"
        #expect(try jobs(stop, cold, "Done printing file", stop) == [])
        #expect(try jobs(run, hot, "Done printing file", stop, cold, "SD printing byte 500/1000") == ["completed"])
        #expect(try jobs(near, hot, stop, hot, stop, cold, stop, cold) == ["completed"])
        #expect(try jobs(run, hot, stop, hot, run, hot, stop, cold, stop, cold) == ["cancelled"])
        #expect(try jobs(run, hot, "//action:cancel", "SD printing byte 510/1000", stop, cold) == ["cancelled"])
        #expect(try jobs(run, "start", " External Reset", "start") == ["interrupted"])
        #expect(
            try jobs(
                run, "Error:Heating failed, system stopped! Heater_ID: E0", "Error:Printer halted. kill() called!",
                "start") == ["failed"])
        #expect(try jobs(run, "Error:checksum mismatch, Last Line: 42", "Error:volume.init failed", "Resend: 43") == [])
        // A target from before the print says nothing.
        #expect(try jobs(cold, run, stop, hot, run) == [])
        // Another one began unseen.
        #expect(try jobs(near, hot, "SD printing byte 3/700") == ["completed"])
        #expect(try jobs(run, hot, "SD printing byte 3/1000", "Done printing file") == ["unknown", "completed"])
        #expect(try jobs("SD printing byte 0/0", cold) == [])
        // Waiting for a person lets the nozzle get cold.
        #expect(try jobs(run, "echo:busy: paused for user", stop, " T:180.0 /0.0", "ok", run, hot) == [])
    }

    @Test func aGapOfTheGatewaysOwnLosesNoPrintAndInventsNone() throws {
        let run = "SD printing byte 500/1000"
        #expect(try jobs(run, "open", "Not SD printing", cold) == ["unknown"])
        #expect(try jobs("SD printing byte 999/1000", "open", "Not SD printing", cold) == ["completed"])
        #expect(try jobs(run, "open", "SD printing byte 600/1000", "Done printing file") == ["completed"])
        // Opening the port resets most boards; whether the print was still on then, nobody knows.
        #expect(try jobs(run, "open", "start", "Not SD printing", cold) == ["unknown"])
        #expect(try jobs("open", "Not SD printing", cold, "open", cold) == [])
    }

    /// What the gateway's process kept of a print, and what its next one makes of it.
    @Test func aPrintOutlivesTheGateway() throws {
        var first = try made()
        _ = first.opens()
        #expect(first.says("SD printing byte 460/1000\n").memory == "open 4 1000.0")
        #expect(first.says("SD printing byte 480/1000\n").memory == nil)
        #expect(first.says("Done printing file\n").memory == "none")
        func after(_ memory: String, _ story: String...) throws -> [String] {
            var printer = try made()
            printer.recall(memory)
            _ = printer.opens()
            return story.flatMap { hear($0, &printer) }.filter { $0.hasPrefix("job=") }
        }
        let open = "open 4 1000.0"
        #expect(try after(open, "SD printing byte 700/1000", hot, "Done printing file") == ["job=completed"])
        #expect(
            try after(open, "Not SD printing", hot, "SD printing byte 470/1000", "//action:cancel") == ["job=cancelled"]
        )
        #expect(try after(open, "Not SD printing", cold) == ["job=unknown"])
        #expect(try after(open, "start", "Not SD printing", cold) == ["job=unknown"])
        #expect(try after(open, "SD printing byte 9/1000", "Done printing file") == ["job=unknown", "job=completed"])
        #expect(try after(open, "SD printing byte 500/7000", "start") == ["job=unknown", "job=interrupted"])
        for nonsense in ["none", "", "open", "open 4 -1", "open nan nan", "open 99 1000", "open 4 inf"] {
            #expect(try after(nonsense, "Not SD printing", cold, "start") == [], "\(nonsense)")
        }
    }

    /// Reports come in between while a board waits for heat; that it waits for a person ends when it reads on.
    @Test func whatABoardWaitsForIsOverWhenThatShows() throws {
        var printer = try made()
        func state(_ line: String) -> String? {
            hear(line, &printer).last { $0.hasPrefix("state=") }.map { String($0.dropFirst(6)) }
        }
        _ = state("SD printing byte 5/900")
        #expect(state(" T:60.0 /210.0 B:60.0 /60.0 W:?") == "preparing (SD printing, heating)")
        #expect(state(" T:64.0 /210.0 B:60.0 /60.0") == "preparing (SD printing, heating)")
        #expect(state(" T:66.0 /210.0 B:60.0 /60.0 W:?") == "preparing (SD printing, heating)")
        #expect(state(" T:209.0 /210.0 B:60.0 /60.0") == "running (SD printing)")
        _ = state(" T:60.0 /210.0 B:60.0 /60.0 W:?")
        _ = state(" T:64.0 /210.0 B:60.0 /60.0")
        #expect(state(" T:70.0 /210.0 B:60.0 /60.0") == "running (SD printing)", "it goes on without its heat")
        #expect(state("echo:busy: paused for user") == "blocked (paused for user)")
        #expect(state("SD printing byte 5/900") == nil, "it is still where it was")
        #expect(state("SD printing byte 6/900") == "running (SD printing)")
    }

    @Test func statesInCommonWords() throws {
        var printer = try made()
        func state(_ line: String) -> String? {
            hear(line, &printer).last { $0.hasPrefix("state=") }.map { String($0.dropFirst(6)) }
        }
        #expect(state(hot) == "unknown (not told yet)")
        #expect(state("Not SD printing") == "preparing (heating)")
        #expect(state(cold) == "idle (ready)")
        #expect(state("SD printing byte 5/900") == "running (SD printing)")
        #expect(state(" T:60.0 /210.0 W:?") == "preparing (SD printing, heating)")
        #expect(state(hot) == "running (SD printing)")
        #expect(state("echo:busy: paused for user") == "blocked (paused for user)")
        #expect(state("ok") == "running (SD printing)")
        #expect(state("Not SD printing") == "paused (Not SD printing)")
        #expect(state("Done printing file") == "idle (finished)")
        #expect(state(cold) == "idle (ready)")
        #expect(state("echo:busy: processing") == "preparing (busy)")
        #expect(state("!! MCU shutdown") == "fault (halted)")
        #expect(state(cold) == "fault (halted)")
        #expect(state("start") == "unknown (board was reset)")
        #expect(state(cold) == "idle (ready)")
        _ = state("Not SD printing")
        for _ in 0..<359 { #expect(state(hot) == "preparing (heating)") }
        #expect(state(hot) == "idle (heated)")
    }

    @Test func numbersOfPrintAndLife() throws {
        var printer = try made()
        #expect(hear("echo:Print time: 59s", &printer) == [])
        _ = hear("SD printing byte 250/1000", &printer)
        #expect(hear("echo:Print time: 1d 0h 0m 5s", &printer) == ["job.time=86405"])
        #expect(hear("echo: M73 Progress: 25%; Time left: 1h 3m;", &printer) == ["remaining=3780"])
        #expect(
            hear("NORMAL MODE: Percent done: 25; print time remaining in mins: 43; Change in mins: -1", &printer)
                == ["remaining=2580"])
        #expect(
            hear("NORMAL MODE: Percent done: -1; print time remaining in mins: -1; Change in mins: -1", &printer) == [])
        #expect(
            hear("Stats: Prints: 12, Finished: 10, Failed: 2", &printer)
                == ["total.jobs=12", "total.finished=10", "total.failed=2"])
        #expect(
            hear("Stats: Total time: 3d 4h 5m 6s, Longest job: 9h 8m 7s", &printer) == ["total.print_time=273906"])
        #expect(hear("Stats: Filament used: 128.34m", &printer) == ["total.filament=128340"])
    }

    @Test func noiseAndFloods() throws {
        var printer = try made()
        #expect(hear(String(repeating: "\u{1}", count: 20), &printer) == ["!badFrame"])
        #expect(hear(String(repeating: "x", count: 600), &printer) == ["!overrun"])
        #expect(printer.says("File deletedok\n").isAnswered)
        #expect(!printer.says("echo:SD card ok\n").isAnswered)
        let out = printer.says(String(repeating: "\(hot)\nSD printing byte 1/9\nStart\nstart\n", count: 300))
        #expect(out.readings.count <= 64 && out.faults.map(\.kind) == [.overrun], "no printer ends 300 prints at once")
    }

    @Test(arguments: [UInt64.random(in: 0...UInt64.max), 1, 2]) func damageNeverTrapsNorLasts(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        var printer = try made()
        let lines = [
            hot, cold, "SD printing byte 12345678901234567890/1",
            "Stats: Prints: 9999999999999999999, Finished: 1, Failed: 1",
            "Stats: Filament used: 1.2.3m", "echo:Print time: 99999999999999999999d", "start", "//action:cancel",
            "Cap:::",
            "echo:Unknown command: \"\"", "T:-/-", "ok T:", "Not SD printing", "Error:kill() called",
        ]
        for _ in 0..<500 {
            var bytes = Array((lines.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 0...3, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let out = printer.says(bytes + [10])
            #expect(out.readings.count <= 64 && out.faults.count <= 16, "seed \(seed)")
        }
        _ = printer.says("\nstart\nNot SD printing\n")
        #expect(printer.words(printer.says(cold + "\n")).last == "state=idle (ready)", "seed \(seed)")
    }

    @Test func needsNoKeys() throws {
        var problems = Problems()
        _ = try SerialBench.make(Marlin.self, profile: "{}", keys: "{ toppic: a }", &problems)
        #expect(problems.all.first?.message.contains("no key 'toppic'") == true)
    }
}
