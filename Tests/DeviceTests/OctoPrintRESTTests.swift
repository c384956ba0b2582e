import Model
import Printers
import Testing

@Suite struct OctoPrintRESTTests {
    /// What OctoPrint holds, and one driver that asks it as often as it likes.
    private struct Host {
        var driver: OctoPrint
        var state = "Operational"
        var path: String? = "꽃 병.gcode"
        var completion: Double?
        var success = 0
        var failure = 0
        var memory = "none"
        var asked: [String] = []
        var clock = 0

        var analysis = "null"
        /// What was said of filament last, in mm.
        var filament: String?

        init() throws { driver = try Self.made() }

        private static func made() throws -> OctoPrint {
            var problems = Problems()
            return try #require(
                try MessageBench.make(OctoPrint.self, "topic: o", takesAnyAddress: true, &problems), "\(problems.all)")
        }

        /// A turn, and every question that follows from it answered.
        mutating func turn() -> [String] {
            var out = Outbox()
            driver.poll(&out)
            var said = take(out)
            while case .ask(let path, _, _)? = out.request {
                asked.append(path)
                let (status, body) = answer(path)
                out = Outbox()
                driver.receive(Array(body.utf8).span, from: Source(path: path, status: status), &out)
                said += take(out)
            }
            return said
        }

        mutating func event(_ name: String, _ members: String = "") -> [String] {
            clock += 1
            var out = Outbox()
            let body = #"{\#(members.isEmpty ? "" : members + ",")"_event":"\#(name)","_timestamp":\#(clock)}"#
            let source = Source(topic: "o/event/\(name)", subscription: 1, isRetained: false)
            driver.receive(Array(body.utf8).span, from: source, &out)
            return take(out)
        }

        mutating func restart() throws {
            driver = try Self.made()
            driver.recall(memory)
            _ = driver.opens()
        }

        private mutating func take(_ out: Outbox) -> [String] {
            memory = out.memory ?? memory
            let words = driver.words(out)
            for word in words + [memory] { #expect(!word.contains("gcode") && memory.utf8.count <= 96) }
            filament = words.last { $0.hasPrefix("filament=") }.map { String($0.dropFirst(9)) } ?? filament
            return words.filter { $0.hasPrefix("job=") }.map { String($0.dropFirst(4)) }
        }

        private func answer(_ asked: String) -> (Int, String) {
            let path = path.map { "\"\($0)\"" } ?? "null"
            let done = completion.map { "\($0)" } ?? "null"
            switch asked {
            case "/api/job":
                return (
                    200,
                    #"{"job":{"filament":\#(analysis),"file":{"origin":"local","path":\#(path)}},"progress":{"completion":\#(done)},"state":"\#(state)"}"#
                )
            case "/api/printer?exclude=sd": return (200, #"{"temperature":{"tool0":{"actual":20,"target":0}}}"#)
            case "/api/files/local/%EA%BD%83%20%EB%B3%91.gcode":
                return (200, #"{"prints":{"success":\#(success),"failure":\#(failure)}}"#)
            default: return (404, "")
            }
        }
    }

    @Test func withoutMessagesTheFilesHistoryTellsHowAPrintEnded() throws {
        var host = try Host()
        #expect(host.turn() == [])
        (host.state, host.completion) = ("Printing", 3)
        #expect(host.turn() == [])
        (host.state, host.completion, host.success) = ("Operational", 100, 1)
        #expect(host.turn() == ["completed"])
        #expect(host.turn() == [])
        (host.state, host.completion) = ("Printing", 3)
        #expect(host.turn() == [])
        (host.state, host.completion, host.failure) = ("Operational", nil, 1)
        #expect(host.turn() == ["cancelled"])
        (host.state, host.completion) = ("Printing", 3)
        #expect(host.turn() == [])
        (host.state, host.failure) = ("Offline after error", 2)
        #expect(host.turn() == ["failed"])
        #expect(host.turn() == [])
    }

    @Test func withMessagesItIsAskedRarelyAndAnEndCountsOnce() throws {
        var host = try Host()
        #expect(host.turn() == [])
        #expect(host.event("PrintStarted", #""path":"꽃 병.gcode""#) == [])
        #expect(host.event("PrinterStateChanged", #""state_id":"PRINTING""#) == [])
        (host.state, host.completion) = ("Printing", 3)
        for _ in 0..<30 { #expect(host.turn() == []) }
        #expect(host.asked.count < 12, "\(host.asked)")
        (host.state, host.completion, host.success) = ("Operational", 100, 1)
        #expect(host.event("PrintDone", #""time":20"#) == ["completed"])
        for _ in 0..<12 { #expect(host.turn() == []) }
    }

    @Test func aMessageThatGotLostIsMadeUpFor() throws {
        var host = try Host()
        _ = host.turn()
        _ = host.event("PrinterStateChanged", #""state_id":"OPERATIONAL""#)
        // PrintStarted never came.
        (host.state, host.completion) = ("Printing", 3)
        for _ in 0..<12 { #expect(host.turn() == []) }
        #expect(host.driver.words(host.driver.opens()) == [])
        // Nor did PrintFailed.
        (host.state, host.completion, host.failure) = ("Operational", nil, 1)
        var said: [String] = []
        for _ in 0..<12 { said += host.turn() }
        #expect(said == ["cancelled"])
    }

    @Test(arguments: [true, false]) func aPrintOutlivesTheGateway(_ hasMessages: Bool) throws {
        func begun() throws -> Host {
            var host = try Host()
            _ = host.turn()
            if hasMessages { _ = host.event("PrintStarted", #""path":"꽃 병.gcode""#) }
            (host.state, host.completion) = ("Printing", 3)
            for _ in 0..<7 { #expect(host.turn() == []) }
            return host
        }
        // Still on: it ends before the eyes of the new process.
        var host = try begun()
        try host.restart()
        #expect(host.turn() == [])
        (host.state, host.completion, host.success) = ("Operational", 100, 1)
        #expect(host.turn() + host.turn() + host.turn() == ["completed"])
        // Ended meanwhile.
        host = try begun()
        (host.state, host.completion, host.failure) = ("Operational", nil, 1)
        try host.restart()
        #expect(host.turn() + host.turn() == ["cancelled"])
        try host.restart()
        #expect(host.turn() + host.turn() == [])
        // Ended, and another file is selected: nothing tells.
        host = try begun()
        (host.state, host.completion, host.path) = ("Operational", nil, nil)
        try host.restart()
        #expect(host.turn() + host.turn() == ["unknown"])
    }

    /// Nothing measures filament: it is that part of the analysed length that is printed, and all of it at a good end.
    @Test(arguments: [true, false]) func filamentFollowsFromTheAnalysis(_ hasMessages: Bool) throws {
        var host = try Host()
        host.analysis = #"{"tool0":{"length":4000.0,"volume":9.6},"tool1":{"length":1000.0,"volume":2.4}}"#
        _ = host.turn()
        #expect(host.filament == nil)
        if hasMessages { _ = host.event("PrintStarted", #""path":"꽃 병.gcode""#) }
        (host.state, host.completion) = ("Printing", 10)
        for _ in 0..<7 { _ = host.turn() }
        #expect(host.filament == "500")
        // The gateway is off for a while; the print goes on.
        host.completion = 50
        try host.restart()
        _ = host.turn()
        #expect(host.filament == "2500")
        (host.state, host.completion, host.success) = ("Operational", 100, 1)
        if hasMessages { _ = host.event("PrintDone", #""time":20"#) }
        for _ in 0..<7 { _ = host.turn() }
        #expect(host.filament == "5000")
        // What a cancelled print used is what was last seen of it.
        if hasMessages { _ = host.event("PrintStarted", #""path":"꽃 병.gcode""#) }
        (host.state, host.completion) = ("Printing", 20)
        for _ in 0..<7 { _ = host.turn() }
        #expect(host.filament == "6000")
        (host.state, host.completion, host.failure) = ("Operational", nil, 1)
        if hasMessages { _ = host.event("PrintFailed", #""reason":"cancelled""#) }
        for _ in 0..<7 { _ = host.turn() }
        #expect(host.filament == "6000")
        // Another file, of which nothing is known: it says nothing.
        host.analysis = "null"
        host.path = "b.gcode"
        _ = host.turn()
        (host.state, host.completion) = ("Printing", 60)
        for _ in 0..<7 { _ = host.turn() }
        #expect(host.filament == "6000")
    }
}
