import Model
import Testing

@Suite struct CaptureTests {
    private func problem(_ line: String) -> String {
        do {
            return "read as \(try CaptureLine(parsing: line))"
        } catch {
            return error.description
        }
    }

    @Test func readsMessages() throws {
        let line = try CaptureLine(
            parsing:
                #"{"t":"2026-11-23T18:00:00.123+09:00","via":"mqtt","topic":"a/b","payload":"{\"x\":1}","retain":true}"#
        )
        #expect(line.time?.description == "2026-11-23T09:00:00.123Z")
        #expect(line.link == .mqtt(topic: "a/b", payload: Array(#"{"x":1}"#.utf8), retained: true))
        // What may be left out, in any order, and what later versions may add.
        let short = try CaptureLine(parsing: #"{"payload_hex":"00fFa0","qos":1,"topic":"a","via":"mqtt"}"# + "\n")
        #expect(short == CaptureLine(time: nil, .mqtt(topic: "a", payload: [0, 255, 160], retained: false)))
    }

    @Test func readsSerialLines() throws {
        let text = try CaptureLine(parsing: #"{"via":"serial","port":"grbl","text":"ok\r\n"}"#)
        #expect(text.link == .serial(port: "grbl", bytes: Array("ok\r\n".utf8), direction: .rx))
        let hex = try CaptureLine(parsing: #"{"via":"serial","port":"bus1","dir":"tx","hex":"010403e8"}"#)
        #expect(hex.link == .serial(port: "bus1", bytes: [1, 4, 3, 0xE8], direction: .tx))
        let empty = try CaptureLine(parsing: #"{"via":"serial","port":"bus1","hex":""}"#)
        #expect(empty.link == .serial(port: "bus1", bytes: [], direction: .rx))
    }

    @Test(arguments: [
        ("", "no JSON"), ("hello", "no JSON"), ("{", "no JSON"), ("{}{}", "no JSON"), ("[]", "no object"),
        ("7", "no object"), ("{}", #"no "via""#), (#"{"via":"can","topic":"a"}"#, #""via" is "can""#),
        (#"{"via":7}"#, #""via" must be text"#), (#"{"via":"mqtt","payload":"x"}"#, #"no "topic""#),
        (#"{"via":"mqtt","topic":"","payload":"x"}"#, #"no "topic""#),
        (#"{"via":"mqtt","topic":"a"}"#, #"neither "payload" nor "payload_hex""#),
        (#"{"via":"mqtt","topic":"a","payload":"x","payload_hex":"00"}"#, "keep one"),
        (#"{"via":"mqtt","topic":"a","payload":1}"#, #""payload" must be text"#),
        (#"{"via":"mqtt","topic":"a","payload":"","retain":1}"#, #""retain""#),
        (#"{"via":"mqtt","topic":"a","payload_hex":"0"}"#, "no hex"),
        (#"{"via":"mqtt","topic":"a","payload_hex":"0g"}"#, "no hex"),
        (#"{"via":"mqtt","topic":"a","payload_hex":"00 11"}"#, "no hex"),
        (#"{"via":"serial","hex":"00"}"#, #"no "port""#),
        (#"{"via":"serial","port":"p"}"#, #"neither "text" nor "hex""#),
        (#"{"via":"serial","port":"p","hex":"00","dir":"in"}"#, #""dir" is "in""#),
        (#"{"t":"yesterday","via":"serial","port":"p","hex":"00"}"#, #""t" is "yesterday""#),
        (#"{"t":5,"via":"serial","port":"p","hex":"00"}"#, #""t" must be text"#),
        (#"{"via":"mqtt","via":"mqtt","topic":"a","payload":""}"#, "no JSON"),
    ])
    func saysWhatIsWrong(_ line: String, _ words: String) {
        #expect(problem(line).contains(words), "\(problem(line))")
    }

    @Test func writesAsTheContractSays() {
        let time = Instant(milliseconds: 1_795_424_400_123)
        let cases: [(CaptureLine, String)] = [
            (
                CaptureLine(time: time, .mqtt(topic: "t", payload: Array("{\"é\"}".utf8), retained: false)),
                #"{"t":"2026-11-23T09:00:00.123Z","via":"mqtt","topic":"t","payload":"{\"é\"}","retain":false}"#
            ),
            (
                CaptureLine(time: nil, .mqtt(topic: "t", payload: [0xC3, 0x28], retained: true)),
                #"{"via":"mqtt","topic":"t","payload_hex":"c328","retain":true}"#
            ),
            (
                CaptureLine(time: nil, .serial(port: "p", bytes: Array("ok\r\n".utf8), direction: .rx)),
                #"{"via":"serial","port":"p","dir":"rx","text":"ok\r\n"}"#
            ),
            (
                CaptureLine(time: nil, .serial(port: "p", bytes: [0x6F, 0x09], direction: .tx)),
                #"{"via":"serial","port":"p","dir":"tx","hex":"6f09"}"#
            ),
            (
                CaptureLine(time: nil, .serial(port: "p", bytes: [], direction: .rx)),
                #"{"via":"serial","port":"p","dir":"rx","hex":""}"#
            ),
        ]
        for (line, text) in cases { #expect(String(decoding: line.bytes, as: UTF8.self) == text) }
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        for seed in UInt64(1)...500 {
            var random = SeededRandom(seed)
            let printable = Bool.random(using: &random)
            let bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: printable ? 32...126 : 0...255, using: &random)
            }
            let time =
                Bool.random(using: &random)
                ? Instant(milliseconds: .random(in: 0...4_000_000_000_000, using: &random)) : nil
            let link: CaptureLine.Link =
                switch Int.random(in: 0..<5, using: &random) {
                case 0: .mqtt(topic: "a\"b/\u{1F600}", payload: bytes, retained: Bool.random(using: &random))
                case 1: .serial(port: "p\\q", bytes: bytes, direction: Bool.random(using: &random) ? .rx : .tx)
                case 2: .http(device: "m\"k", path: "/a?b=\"c\"", .question)
                case 3: .http(device: "m", path: "/", .noAnswer("no \"answer\""))
                default: .http(device: "m", path: "/", .answer(status: .random(in: 100...599, using: &random), bytes))
                }
            let line = CaptureLine(time: time, link)
            #expect(try CaptureLine(parsing: line.bytes) == line, "seed \(seed)")
        }
    }

    @Test func anyBytesAreRefusedOrRead() {
        for seed in UInt64(1)...3000 {
            var random = SeededRandom(seed)
            var bytes = Array(
                #"{"t":"2026-11-23T09:00:00Z","via":"mqtt","topic":"a","payload":"x","retain":false}"#.utf8)
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                bytes[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            _ = try? CaptureLine(parsing: bytes)
        }
    }
}

@Suite struct HTTPCaptureTests {
    @Test func readsQuestionsAnswersAndSilence() throws {
        func link(_ rest: String) throws -> CaptureLine.Link {
            try CaptureLine(parsing: #"{"via":"http","device":"mk4","path":"/api/v1/status"\#(rest)}"#).link
        }
        func same(_ exchange: CaptureLine.HTTP) -> CaptureLine.Link {
            .http(device: "mk4", path: "/api/v1/status", exchange)
        }
        #expect(try link(#","dir":"tx""#) == same(.question))
        #expect(try link(#","status":200,"payload":"{}""#) == same(.answer(status: 200, Array("{}".utf8))))
        #expect(try link(#","dir":"rx","status":204"#) == same(.answer(status: 204, [])))
        #expect(try link(#","status":200,"payload_hex":"ff00""#) == same(.answer(status: 200, [0xFF, 0])))
        #expect(try link(#","error":"no answer in time""#) == same(.noAnswer("no answer in time")))
    }

    @Test(arguments: [
        (#"{"via":"http","path":"/","status":200}"#, "device"), (#"{"via":"http","device":"d","status":200}"#, "path"),
        (#"{"via":"http","device":"d","path":"x","status":200}"#, "slash"),
        (#"{"via":"http","device":"d","path":"/"}"#, "status"),
        (#"{"via":"http","device":"d","path":"/","status":99}"#, "status"),
        (#"{"via":"http","device":"d","path":"/","status":200.5}"#, "status"),
    ])
    func saysWhatIsMissing(_ line: String, _ word: String) {
        #expect { try CaptureLine(parsing: line) } throws: { "\($0)".contains(word) }
    }
}

@Suite struct TopicFilterTests {
    // Examples of MQTT 3.1.1, section 4.7, and what lies beside them.
    @Test(arguments: [
        ("sport/tennis/player1/#", "sport/tennis/player1"), ("sport/tennis/player1/#", "sport/tennis/player1/ranking"),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"), ("sport/#", "sport"), ("#", "sport/tennis"),
        ("#", "/"), ("sport/tennis/+", "sport/tennis/player1"), ("sport/+", "sport/"), ("+/+", "/finance"),
        ("/+", "/finance"), ("+", "finance"), ("+/tennis/#", "sport/tennis"), ("+/monitor/+", "a/monitor/b"),
        ("$SYS/#", "$SYS/broker"), ("$SYS/monitor/+", "$SYS/monitor/Clients"), ("a/+/c", "a//c"), ("a/$b", "a/$b"),
        ("a/#", "a/$b"), ("/", "/"), ("é/+", "é/ü"), ("+/b/#", "/b/c"),
    ])
    func matches(_ filter: String, _ topic: String) {
        #expect(TopicFilter.matches(filter, topic))
        #expect(TopicFilter.isValid(filter))
    }

    @Test(arguments: [
        ("sport/tennis/+", "sport/tennis/player1/ranking"), ("sport/+", "sport"), ("+", "/finance"), ("#", "$SYS/a"),
        ("+/monitor/Clients", "$SYS/monitor/Clients"), ("sport/tennis/#", "sport"), ("a", "A"), ("a", "a/"),
        ("a/", "a"), ("a/b", "a"), ("a", "ab"), ("ab", "a"), ("a/+/c", "a/b/d"), ("", ""), ("", "a"), ("a", ""),
        ("sport/tennis#", "sport/tennis"), ("sport/tennis/#/ranking", "sport/tennis/a/ranking"), ("sport+", "sport"),
        ("sport+", "sports"), ("+a/b", "aa/b"), ("a#", "a"), ("#/a", "b/a"), ("a/b+", "a/bc"),
    ])
    func doesNotMatch(_ filter: String, _ topic: String) { #expect(!TopicFilter.matches(filter, topic)) }

    @Test(arguments: ["", "a#", "a/#/b", "+a", "a/b+", "#/a", "a\u{0}", "++"])
    func isNoFilter(_ filter: String) {
        #expect(!TopicFilter.isValid(filter))
        #expect(!TopicFilter.isTopic(filter))
    }

    @Test func aTopicHasNoWildCards() {
        #expect(TopicFilter.isTopic("a/b") && TopicFilter.isTopic("/") && !TopicFilter.isTopic("a/+"))
        #expect(!TopicFilter.isTopic(String(repeating: "a", count: 65_536)))
    }
}
