import Model
import Testing

/// A bus device that answers one byte to each question, for what the decoder itself does.
private struct Echo: DeviceDriver {
    static let info = DriverInfo(name: "echo", title: "Echo", link: .bus, family: "test", silence: .seconds(1))
    let channels: [Channel] = [.gauge("power", .watt), .state, .job, .gauge("asked", .one)]
    var asked = 0
    var isOpen = false

    init() {}
    init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {}

    mutating func poll(_ out: inout Outbox) {
        asked += 1
        isOpen = true
        out.send(.write([1], replyWithin: .milliseconds(300)))
    }

    mutating func overheard(_ request: borrowing Span<UInt8>) { isOpen = true }

    mutating func noReply(_ out: inout Outbox) {
        isOpen = false
        out.note(.noReply, "no answer")
    }

    mutating func receive(_ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox) {
        for index in bytes.indices {
            guard isOpen else {
                out.note(.unexpectedReply, "byte \"\(bytes[index])\"")
                continue
            }
            switch bytes[index] {
            case 0: break
            case 1: out.report(1, .running, reason: "a \"b\"")
            case 2: out.report(2, event: "completed", at: Instant(milliseconds: 0))
            case 3: out.reportUnknown(0)
            default: out.report(0, of: channels, Double(bytes[index]) / 8)
            }
            out.report(3, of: channels, Double(asked))
            guard bytes[index] != 0 else { continue }
            isOpen = false
            out.answered()
        }
    }
}

@Suite struct DecoderTests {
    private func decode(_ lines: [CaptureLine]) -> [String] {
        var decoder = Decoder(driver: Echo(), info: Echo.info, device: "e")
        var out: [String] = []
        for line in lines { decoder.feed(line) { out.append(String(decoding: $0, as: UTF8.self)) } }
        return out.filter { !$0.contains("asked") || $0.contains("asked\",\"value\":9") }
    }

    private func rx(_ bytes: [UInt8], _ ms: Int64? = nil, port: String = "p") -> CaptureLine {
        CaptureLine(
            time: ms.map(Instant.init(milliseconds:)), .serial(port: port, bytes: bytes, direction: .rx))
    }

    private func tx(_ ms: Int64? = nil) -> CaptureLine {
        CaptureLine(time: ms.map(Instant.init(milliseconds:)), .serial(port: "p", bytes: [1], direction: .tx))
    }

    @Test func linesAreAsTheContractSays() {
        #expect(
            decode([rx([9], 1000), rx([1]), rx([2], 5), rx([3], 6)]) == [
                #"{"t":"1970-01-01T00:00:01.000Z","device":"e","channel":"power","value":1.125,"unit":"W","kind":"gauge"}"#,
                #"{"device":"e","channel":"state","value":"running","kind":"state","reason":"a \"b\""}"#,
                #"{"t":"1970-01-01T00:00:00.000Z","device":"e","channel":"job","value":"completed","kind":"event"}"#,
                #"{"t":"1970-01-01T00:00:00.006Z","device":"e","channel":"power","value":null,"unit":"W","kind":"gauge"}"#,
            ])
    }

    @Test func withoutQuestionsTheDriverAsks() {
        #expect(decode([rx([8]), rx([8])]).count == 2)
        // Two answers to one question: the second was not asked for.
        #expect(decode([rx([8, 8])]).last == #"{"device":"e","fault":"unexpectedReply","detail":"byte \"8\""}"#)
    }

    @Test func withQuestionsOnlyTheyCount() {
        #expect(decode([tx(), rx([8]), tx(), rx([8])]).filter { $0.contains("fault") }.isEmpty)
        #expect(decode([tx(), rx([8]), rx([8])]).filter { $0.contains("unexpectedReply") }.count == 1)
    }

    @Test func aLateAnswerIsNoneWhereTimesShowIt() {
        // 0 begins an answer that does not end.
        #expect(decode([rx([0], 0), rx([8], 300)]).filter { $0.contains("noReply") }.isEmpty)
        let late = decode([rx([0], 0), rx([8], 301)])
        #expect(late.count == 2 && late[0].contains("noReply") && late[1].contains("power"))
        #expect(decode([rx([0]), rx([8])]).filter { $0.contains("noReply") }.isEmpty)
    }

    @Test func oneLineIsFollowed() {
        #expect(decode([rx([8]), rx([9], port: "q"), rx([8])]).count == 2)
        let mqtt = CaptureLine(time: nil, .mqtt(topic: "a", payload: [8], retained: false))
        #expect(decode([mqtt]) == [])
    }
}
