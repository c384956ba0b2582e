import Model
import Printers
import Testing

@Suite struct PrusaLinkTests {
    private let nothing: [UInt8] = []

    /// `WORD` or `WORD ID` is a status, `job WORD ID` the job's record, `no job` that there is none, `silence` no answer,
    /// `restart` another process of the gateway.
    private func jobs(_ story: String...) throws -> [String] {
        var printer = try MessageBench.made(PrusaLink.self)
        var memory = ""
        var said: [String] = []
        for what in story {
            var out = Outbox()
            let words = what.split(separator: " ").map(String.init)
            switch words[0] {
            case "silence": printer.noReply(&out)
            case "restart":
                printer = try MessageBench.made(PrusaLink.self)
                printer.recall(memory)
            case "no": printer.receive(nothing.span, from: Source(path: "/api/v1/job", status: 204), &out)
            case "job":
                let body = #"{"id":\#(words[2]),"state":"\#(words[1])","file":{"display_name":"secret"}}"#
                printer.receive(Array(body.utf8).span, from: Source(path: "/api/v1/job", status: 200), &out)
            default:
                let job = words.count > 1 ? #","job":{"id":\#(words[1]),"progress":10}"# : ""
                let body = #"{"printer":{"state":"\#(words[0])"}\#(job)}"#
                printer.receive(Array(body.utf8).span, from: Source(path: "/api/v1/status", status: 200), &out)
            }
            memory = out.memory ?? memory
            let read = printer.words(out)
            for word in read { #expect(!word.contains("secret")) }
            said += read.filter { $0.hasPrefix("job=") }.map { String($0.dropFirst(4)) }
            if case .ask("/api/v1/job", _, _)? = out.request { said.append("?") }
        }
        return said
    }

    @Test func endsThatStayUpCountOnce() throws {
        #expect(try jobs("FINISHED", "FINISHED", "IDLE", "STOPPED", "ERROR") == [])
        #expect(try jobs("IDLE", "PRINTING 1", "FINISHED", "FINISHED", "IDLE") == ["completed"])
        #expect(
            try jobs("PRINTING 1", "PAUSED 1", "STOPPED", "READY", "PRINTING 2", "ERROR") == ["cancelled", "failed"])
        #expect(try jobs("PRINTING 1", "ATTENTION", "BUSY", "PRINTING 1", "FINISHED") == ["completed"])
    }

    @Test func whatWasNotSeenIsLookedUp() throws {
        #expect(try jobs("PRINTING 1", "IDLE", "job FINISHED 1", "IDLE") == ["?", "completed"])
        #expect(try jobs("PRINTING 1", "IDLE", "job FINISHED 2", "IDLE") == ["?", "unknown"])
        #expect(try jobs("PRINTING 1", "IDLE", "no job") == ["?", "unknown"])
        #expect(try jobs("PRINTING 1", "silence", "IDLE", "no job") == ["?", "interrupted"])
        #expect(try jobs("PRINTING 1", "silence", "PRINTING 1", "FINISHED") == ["completed"])
        #expect(try jobs("PRINTING 1", "PRINTING 2", "STOPPED") == ["unknown", "cancelled"])
        // Nobody answers about the job: after three tries it is over.
        #expect(try jobs("PRINTING 1", "IDLE", "IDLE", "IDLE", "IDLE", "IDLE") == ["?", "?", "?", "unknown"])
    }

    @Test func aPrintOutlivesTheGateway() throws {
        #expect(try jobs("PRINTING 1", "restart", "PRINTING 1", "restart", "FINISHED 1", "FINISHED 1") == ["completed"])
        #expect(try jobs("PRINTING 1", "restart", "STOPPED", "job STOPPED 1") == ["?", "cancelled"])
        #expect(
            try jobs("PRINTING 1", "restart", "IDLE", "no job", "PRINTING 3", "FINISHED") == [
                "?", "unknown", "completed",
            ])
        #expect(try jobs("PRINTING 1", "restart", "PRINTING 2", "FINISHED") == ["unknown", "completed"])
        #expect(try jobs("PRINTING 1", "FINISHED", "restart", "FINISHED", "FINISHED 1") == ["completed"])
    }

    @Test func oneThatRefusesUsIsUnknown() throws {
        var printer = try MessageBench.made(PrusaLink.self)
        var out = Outbox()
        printer.receive(nothing.span, from: Source(path: "/api/v1/status", status: 401), &out)
        #expect(printer.words(out) == ["state=unknown (access refused)"])
        #expect(out.faults.map(\.kind) == [.refused])
    }
}
