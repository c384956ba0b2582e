@preconcurrency import Glibc
import Model
import Ports
import Synchronization
import Testing

/// What a handler saw, from any thread.
final class Seen<Value: Sendable>: Sendable {
    private let values = Mutex<[Value]>([])
    func add(_ value: Value) { values.withLock { $0.append(value) } }
    var all: [Value] { values.withLock { $0 } }
    func takeAll() -> [Value] {
        values.withLock { values in
            defer { values = [] }
            return values
        }
    }
}

private func server(
    limits: HTTPLimits = HTTPLimits(), address: String = "127.0.0.1",
    _ handler: @escaping @Sendable (HTTPRequest, HTTPReply) -> Void
) throws -> HTTPServer {
    try HTTPServer(address: address, port: 0, limits: limits, handler: handler)
}

/// Answers with what it understood.
@Sendable private func echo(_ request: HTTPRequest, _ reply: HTTPReply) {
    let query = request.query.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
    reply.send(
        .json(
            Array("\(request.method) \(request.path) [\(query)] \(String(decoding: request.body, as: UTF8.self))".utf8))
    )
}

/// Bytes of a request and the status that answers them.
struct RawRequest: CustomTestStringConvertible {
    let text: String
    let status: Int
    init(_ text: String, _ status: Int) {
        self.text = text
        self.status = status
    }
    var testDescription: String { "\(text.debugDescription) → \(status)" }
}

@Suite struct HTTPServerTests {
    @Test func keepsTheConnectionAndAnswersInOrder() throws {
        let server = try server(echo)
        defer { server.stop() }
        let client = try HTTPRawClient(port: server.port)
        let first = try client.get("/api/v1/machines?from=-2h&to=now&q=a%20b+c")
        #expect(first.status == 200)
        #expect(first.text == "GET /api/v1/machines [from=-2h,to=now,q=a b c] ")
        #expect(first.header("X-Content-Type-Options") == "nosniff")
        #expect(first.header("Connection")?.lowercased() != "close")
        client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
        #expect(try client.answer().text == "POST /x [] hello")
        client.send("POST /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        #expect(try client.answer().text == "POST /y [] abcde")
        let head = try client.get("/h", method: "HEAD")
        #expect(head.header("Content-Length") == "11")
        #expect(try client.get("/last").text == "GET /last [] ")
        #expect(server.connections == 1)
    }

    @Test func keepsHeadersAndAddress() throws {
        let server = try server { request, reply in
            reply.send(
                HTTPResponse(
                    headers: [("X-Token", request.header("aUTHORIZATION") ?? "none"), ("X-Split", "a\r\nX-Evil: b")],
                    body: .bytes(Array(request.remoteAddress.utf8))))
        }
        defer { server.stop() }
        let answer = try HTTPRawClient(port: server.port).get("/", headers: "Authorization: Bearer t\r\n")
        #expect(answer.text == "127.0.0.1")
        #expect(answer.header("X-Token") == "Bearer t")
        #expect(answer.header("X-Split") == "a  X-Evil: b")
        #expect(answer.header("X-Evil") == nil)
    }

    /// A request and what it must be answered with; each refusal also closes the connection before the smuggled GET
    /// behind it is read.
    static let refused: [RawRequest] = [
        RawRequest("GET / HTTP/1.1\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a/@b\r\n\r\n", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\ncontent-length: 30\r\n\r\nab", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2, 2\r\n\r\nab", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\nab", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x2\r\n\r\nab", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length : 2\r\n\r\nab", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 413),
        RawRequest(
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        RawRequest(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        RawRequest(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400),
        RawRequest("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{1}b\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{7F}b\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nX: a\u{0}b\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\u{0}b\r\n\r\n", 400),
        RawRequest("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\u{0}9\r\n\r\nab", 400),
        RawRequest("GET /a\u{0}b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("G\u{0}ET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\u{0}\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nX\u{0}Y: b\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nX Y: b\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        RawRequest("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", 400),
        RawRequest("GET /a%00b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /a%0d%0aX:b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /?q=%0a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /../etc/passwd HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /a/.. HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /%2e%2e/x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /a%2f..%2fx HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /a%5c..%5cx HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /%a HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /\u{e4} HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET http://evil.example/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GE<T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        RawRequest("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        RawRequest("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
        RawRequest("GET /\r\n\r\n", 400),
    ]

    @Test(arguments: refused) func refusesWhatTwoParsersCouldReadDifferently(_ request: RawRequest) throws {
        let seen = Seen<String>()
        let server = try server { request, reply in
            seen.add("\(request.method) \(request.path)")
            echo(request, reply)
        }
        defer { server.stop() }
        let client = try HTTPRawClient(port: server.port)
        client.send(request.text + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
        let answer = try client.readToEnd()
        #expect(answer.split(separator: " ").dropFirst().first.map(String.init) == "\(request.status)", "\(answer)")
        #expect(seen.all == [])
        #expect(eventually { server.openRequests == 0 })
    }

    /// Whatever bytes come, each request is over at some time, and the server answers the next one.
    @Test func survivesAnything() throws {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SplitMix(seed: seed)
        let server = try server(echo)
        defer { server.stop() }
        let valid = [
            "GET /a/b?c=d&e=%20 HTTP/1.1\r\nHost: a\r\nCookie: x=y\r\n\r\n",
            "POST /p HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\nExpect: 100-continue\r\n\r\n0123456789",
            "PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;x=y\r\nabcd\r\n0\r\nTrailer: z\r\n\r\n",
        ]
        for _ in 0..<500 {
            var bytes = Array((valid.randomElement(using: &random) ?? "").utf8)
            for _ in 0..<Int.random(in: 1...8, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
                case 2: bytes.removeSubrange(at..<min(bytes.count, at + 3))
                default: bytes.insert(contentsOf: bytes[at...], at: at)
                }
                if bytes.isEmpty { bytes = [0] }
            }
            let client = try HTTPRawClient(port: server.port)
            client.send(bytes)
        }
        #expect(eventually { server.openRequests == 0 && server.connections == 0 }, "seed \(seed)")
        #expect(try HTTPRawClient(port: server.port).get("/").status == 200, "seed \(seed)")
    }
}
