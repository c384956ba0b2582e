import Model
import Printers
import Testing

@Suite struct OctoPrintTests {
    /// One step of a story: what comes, and what it must say.
    private typealias Story = [(what: String, says: [String])]

    /// `>X` is PrinterStateChanged, `%N` progress of a file, `connected` and such the last will; anything else an event.
    private func tell(_ story: Story, _ line: SourceLocation = #_sourceLocation) throws {
        var printer = try MessageBench.made(OctoPrint.self)
        var time = 1_795_424_400
        for (what, says) in story {
            time += 10
            let said: [String]
            switch what {
            case "open": said = printer.words(printer.opens())
            case "connected", "disconnected": said = printer.hears("octoPrint/mqtt", what)
            case _ where what.hasPrefix(">"):
                said = printer.hears(
                    "octoPrint/event/PrinterStateChanged",
                    #"{"state_id":"\#(what.dropFirst())","state_string":"x","_timestamp":\#(time)}"#)
            case _ where what.hasPrefix("%"):
                said = printer.hears(
                    "octoPrint/progress/printing",
                    #"{"location":"local","path":"secret.gcode","progress":\#(what.dropFirst())}"#)
            default:
                let parts = what.split(separator: " ", maxSplits: 1)
                let members = parts.count > 1 ? ",\(parts[1])" : ""
                said = printer.hears(
                    "octoPrint/event/\(parts[0])",
                    #"{"name":"secret.gcode","owner":"mina"\#(members),"_timestamp":\#(time)}"#)
            }
            #expect(said == says, "after \(what)", sourceLocation: line)
            for line in said { #expect(!line.contains("secret") && !line.contains("mina")) }
        }
    }

    private let print: Story = [
        ("connected", ["online=1", "state=unknown (connected)"]),
        (">OPERATIONAL", ["state=idle (OPERATIONAL)"]),
        (">STARTING", ["state=preparing (STARTING)"]), ("PrintStarted", []),
        (">PRINTING", ["state=running (PRINTING)"]), ("%40", ["progress=0.4"]),
    ]

    @Test func aPrintIsOneJob() throws {
        try tell(
            print + [
                (">FINISHING", ["state=running (FINISHING)"]),
                (#"PrintDone "time":24.5"#, ["job=completed", "job.time=24.5", "state=idle (PrintDone)"]),
                (">OPERATIONAL", ["state=idle (OPERATIONAL)"]), ("%100", ["progress=1"]),
            ])
    }

    @Test func aCancelIsOneJob() throws {
        try tell(
            print + [
                ("PrintCancelling", []), (">CANCELLING", ["state=running (CANCELLING)"]),
                (#"PrintCancelled "time":7.5,"reason":"cancelled""#, []),
                (
                    #"PrintFailed "time":7.5,"reason":"cancelled","progress":27"#,
                    ["job=cancelled", "job.time=7.5", "state=idle (PrintFailed)"]
                ),
                (">OPERATIONAL", ["state=idle (OPERATIONAL)"]), ("%0", ["progress=0"]),
            ])
    }

    @Test func aPulledCableIsAFailure() throws {
        try tell(
            print + [
                ("Disconnecting", []), ("Disconnected", ["state=offline (Disconnected)"]),
                (">OFFLINE", ["state=offline (OFFLINE)"]),
                (#"PrintFailed "reason":"error","error":"","progress":0.19"#, ["job=failed"]),
                (">OPERATIONAL", ["state=idle (OPERATIONAL)"]),
            ])
    }

    @Test func aVanishedHostInterrupts() throws {
        try tell(
            print + [
                ("disconnected", ["online=0", "state=offline (disconnected)"]),
                ("connected", ["online=1", "state=unknown (connected)"]),
                (">DETECT_SERIAL", ["state=offline (DETECT_SERIAL)"]),
                (">OPERATIONAL", ["job=interrupted", "state=idle (OPERATIONAL)"]),
                // Should the end still be told, it is the same print.
                (#"PrintFailed "reason":"error""#, ["state=unknown (PrintFailed)"]),
            ])
    }

    @Test func aHostThatComesBackPrintingGoesOn() throws {
        try tell(
            print + [
                ("disconnected", ["online=0", "state=offline (disconnected)"]),
                ("connected", ["online=1", "state=unknown (connected)"]),
                ("%41", ["progress=0.41", "state=running (progress)"]),
                ("PrintDone", ["job=completed", "state=idle (PrintDone)"]),
            ])
    }

    @Test func aLiveMessageMeansThatTheHostIsBack() throws {
        try tell(
            print + [
                ("disconnected", ["online=0", "state=offline (disconnected)"]),
                ("%41", ["online=1", "state=unknown (connected)", "progress=0.41", "state=running (progress)"]),
            ])
    }

    @Test func aMissedEndIsUnknown() throws {
        try tell(print + [(">OPERATIONAL", ["job=unknown", "state=idle (OPERATIONAL)"])])
        try tell(
            print + [("PrintStarted", ["job=unknown"]), ("PrintDone", ["job=completed", "state=idle (PrintDone)"])])
    }

    @Test func aGapOfTheGatewaysOwnLosesNoPrintAndInventsNone() throws {
        try tell(
            print + [
                ("open", []), ("connected", ["online=1", "state=unknown (connected)"]),
                ("PrintDone", ["job=completed", "state=idle (PrintDone)"]),
            ])
        try tell(print + [("open", []), (">OPERATIONAL", ["job=unknown", "state=idle (OPERATIONAL)"])])
    }

    @Test func theFirstMessageIsNoJob() throws {
        try tell([("PrintDone", ["state=idle (PrintDone)"])])
        try tell([("connected", ["online=1", "state=unknown (connected)"]), ("PrintDone", ["state=idle (PrintDone)"])])
        try tell([(">OPERATIONAL", ["state=idle (OPERATIONAL)"]), ("%91", ["progress=0.91"])])
    }

    @Test func aGatewayThatStartsWithinAPrintCountsItsEnd() throws {
        try tell([
            ("%53", ["progress=0.53", "state=running (progress)"]),
            ("PrintDone", ["job=completed", "state=idle (PrintDone)"]),
        ])
        try tell([
            (">FINISHING", ["state=running (FINISHING)"]),
            ("PrintDone", ["job=completed", "state=idle (PrintDone)"]),
        ])
    }

    @Test func zeroAndHundredAreNoSignOfPrinting() throws {
        try tell([
            ("%0", ["progress=0"]), ("%100", ["progress=1"]), ("%101", ["!implausible"]), ("%\"a\"", ["!badValue"]),
        ])
        var printer = try MessageBench.made(OctoPrint.self)
        #expect(printer.hears("octoPrint/progress/printing", #"{"location":"","path":"","progress":0}"#) == [])
        #expect(printer.hears("octoPrint/progress/printing", #"{"location":"","path":"","progress":40}"#) == [])
    }

    @Test func oldVersionsSayPrintingBeforeTheStart() throws {
        try tell([
            (">OPERATIONAL", ["state=idle (OPERATIONAL)"]), (">PRINTING", ["state=running (PRINTING)"]),
            ("PrintStarted", []), ("PrintDone", ["job=completed", "state=idle (PrintDone)"]),
        ])
    }

    @Test func anEndThatComesTwiceCountsOnce() throws {
        var printer = try MessageBench.made(OctoPrint.self)
        _ = printer.hears("octoPrint/event/PrintStarted", #"{"_timestamp":1}"#)
        #expect(printer.hears("octoPrint/event/PrintStarted", #"{"_timestamp":1}"#) == [])
        #expect(printer.hears("octoPrint/event/PrintDone", #"{"_timestamp":9}"#).contains("job=completed"))
        #expect(printer.hears("octoPrint/event/PrintDone", #"{"_timestamp":9}"#) == [])
        #expect(
            printer.hears("octoPrint/event/PrintStarted", #"{"_timestamp":20}"#) == ["state=preparing (PrintStarted)"])
        #expect(printer.hears("octoPrint/event/PrintDone", #"{}"#).contains("job=completed"))
        #expect(printer.hears("octoPrint/event/PrintDone", #"{}"#) == [])
    }

    /// A broker says again all that was not confirmed to it: two prints, in their order.
    @Test func printsThatAreToldAgainCountOnce() throws {
        var printer = try MessageBench.made(OctoPrint.self)
        func tell() -> [String] {
            [10, 30].flatMap { time in
                printer.hears("octoPrint/event/PrintStarted", "{\"_timestamp\":\(time)}")
                    + printer.hears(
                        "octoPrint/event/PrinterStateChanged", "{\"state_id\":\"PRINTING\",\"_timestamp\":\(time)}")
                    + printer.hears("octoPrint/event/PrintDone", "{\"_timestamp\":\(time + 9)}")
            }
        }
        #expect(tell().filter { $0.hasPrefix("job=") } == ["job=completed", "job=completed"])
        #expect(tell().filter { $0.hasPrefix("job=") } == [])
    }

    /// Also while the next one is on, which goes on.
    @Test func whatIsToldAgainIsNotAboutThePrintThatIsOn() throws {
        var printer = try MessageBench.made(OctoPrint.self)
        let words = [
            ("PrintStarted", 10, #""path":"a""#), ("PrinterStateChanged", 10, #""state_id":"PRINTING""#),
            ("PrintPaused", 12, ""), ("PrintResumed", 13, ""), ("PrintDone", 15, #""path":"a""#),
            ("PrinterStateChanged", 15, #""state_id":"OPERATIONAL""#), ("PrintStarted", 20, #""path":"b""#),
            ("PrinterStateChanged", 20, #""state_id":"PRINTING""#),
        ]
        func tell(from first: Int) -> [String] {
            words[first...].flatMap { name, time, more in
                printer.hears(
                    "octoPrint/event/\(name)", "{\(more)\(more.isEmpty ? "" : ",")\"_timestamp\":\(time)}")
            }
        }
        #expect(tell(from: 0).filter { $0.hasPrefix("job=") } == ["job=completed"])
        for first in words.indices { #expect(tell(from: first) == [], "from \(first) on") }
        #expect(printer.hears("octoPrint/event/PrintDone", #"{"path":"b","_timestamp":30}"#).contains("job=completed"))
    }

    /// FINISHING is said just before the end. After it, or once more, it begins no print.
    @Test func whatComesAfterAnEndBeginsNoPrint() throws {
        var printer = try MessageBench.made(OctoPrint.self)
        func says(_ state: String, _ time: Int) -> [String] {
            printer.hears(
                "octoPrint/event/PrinterStateChanged", "{\"state_id\":\"\(state)\",\"_timestamp\":\(time)}")
        }
        _ = printer.hears("octoPrint/event/PrintStarted", #"{"_timestamp":10}"#)
        _ = says("PRINTING", 10)
        #expect(printer.hears("octoPrint/event/PrintDone", #"{"_timestamp":19}"#).contains("job=completed"))
        #expect(says("FINISHING", 19) == [])
        #expect(says("OPERATIONAL", 19) == ["state=idle (OPERATIONAL)"])
        // The end of the next is lost.
        _ = printer.hears("octoPrint/event/PrintStarted", #"{"_timestamp":30}"#)
        #expect(says("FINISHING", 38) == ["state=running (FINISHING)"])
        #expect(says("OPERATIONAL", 39) == ["job=unknown", "state=idle (OPERATIONAL)"])
        #expect(says("FINISHING", 38) == [])
    }

    /// OctoPrint's clock has whole seconds; the messages differ all the same.
    @Test func twoPrintsThatEndWithinASecondCountBoth() throws {
        var printer = try MessageBench.made(OctoPrint.self)
        func tell() -> [String] {
            [(8, "a", "cancelled"), (9, "b", "error")].flatMap { start, file, reason in
                printer.hears("octoPrint/event/PrintStarted", "{\"path\":\"\(file)\",\"_timestamp\":\(start)}")
                    + printer.hears(
                        "octoPrint/event/PrintFailed",
                        "{\"path\":\"\(file)\",\"reason\":\"\(reason)\",\"_timestamp\":9}")
            }
        }
        #expect(tell().filter { $0.hasPrefix("job=") } == ["job=cancelled", "job=failed"])
        #expect(tell().filter { $0.hasPrefix("job=") } == [])
    }

    @Test func waitingForAPersonIsBlocked() throws {
        try tell(
            print + [
                ("FilamentChange", ["state=blocked (FilamentChange)"]), (">PAUSING", []), ("PrintPaused", []),
                (">PAUSED", []), (">RESUMING", ["state=running (RESUMING)"]), ("PrintResumed", []),
                (">PAUSING", ["state=paused (PAUSING)"]), ("PrintPaused", []), (">PAUSED", ["state=paused (PAUSED)"]),
                ("PrintResumed", ["state=running (PrintResumed)"]),
                ("PausedForUser", ["state=blocked (PausedForUser)"]), ("%41", ["progress=0.41"]),
                ("%42", ["progress=0.42", "state=running (progress)"]),
                ("PausedForUser", ["state=blocked (PausedForUser)"]),
                (#"ZChange "new":1.2,"old":1.0"#, ["state=running (ZChange)"]),
            ])
    }

    @Test(arguments: [
        ("OPERATIONAL", MachineState.idle), ("STARTING", .preparing), ("TRANSFERING_FILE", .preparing),
        ("PRINTING", .running), ("RESUMING", .running), ("FINISHING", .running), ("CANCELLING", .running),
        ("PAUSING", .paused), ("PAUSED", .paused), ("ERROR", .fault), ("CLOSED_WITH_ERROR", .fault),
        ("OFFLINE", .offline), ("CLOSED", .offline), ("NONE", .offline), ("OPEN_SERIAL", .offline),
        ("DETECT_SERIAL", .offline), ("CONNECTING", .offline),
    ])
    func everyStateHasItsMeaning(_ id: String, _ state: MachineState) throws {
        try tell([(">\(id)", ["state=\(state.rawValue) (\(id))"])])
    }

    @Test func aNewWordIsUnknownAndKept() throws {
        try tell([(">LEVELLING", ["state=unknown (LEVELLING)", "!unknownValue"])])
        try tell([
            (
                ">\(String(repeating: "x", count: 300))",
                [
                    "state=unknown (\(String(repeating: "x", count: 64)))", "!unknownValue",
                ]
            )
        ])
    }

    @Test func retainedMessagesAreNoSamples() throws {
        var printer = try MessageBench.made(OctoPrint.self)
        let progress = #"{"path":"a","progress":52}"#
        #expect(printer.hears("octoPrint/progress/printing", progress, retained: true) == [])
        #expect(printer.hears("octoPrint/temperature/bed", #"{"actual":60}"#, retained: true) == [])
        #expect(printer.hears("octoPrint/event/ZChange", "{}", retained: true) == [])
        #expect(
            printer.hears("octoPrint/mqtt", "disconnected", retained: true) == [
                "online=0", "state=offline (disconnected)",
            ])
    }

    @Test func temperatures() throws {
        var printer = try MessageBench.made(OctoPrint.self, "topic: lab/mk3/")
        func hear(_ part: String, _ text: String) -> [String] { printer.hears("lab/mk3/temperature/\(part)", text) }
        #expect(hear("tool0", #"{"actual":21.5,"target":60}"#) == ["temperature.nozzle=21.5", "target.nozzle=60"])
        #expect(hear("tool1", #"{"target":0,"actual":20}"#) == ["temperature.nozzle1=20", "target.nozzle1=0"])
        #expect(hear("bed", #"{"actual":null}"#) == ["temperature.bed=unknown"])
        #expect(hear("chamber", #"{"actual":900,"target":"x"}"#) == ["!implausible", "!badValue"])
        #expect(hear("tool7", #"{"actual":20}"#) == [])
        #expect(hear("bed", "[") == ["!badFrame"])
    }

    @Test(arguments: [
        ("topic: 'a/#'", "base topic"), ("topic: ''", "base topic"), ("topics: a", "did you mean 'topic'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(OctoPrint.self, keys)
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }
}
