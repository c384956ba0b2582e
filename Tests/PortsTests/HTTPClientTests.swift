@preconcurrency import Glibc
import Model
import Ports
import Testing

/// A loop and a client on it; requests run until all are answered.
final class ClientBench {
    typealias Outcome = Result<HTTPClient.Answer, HTTPClient.Failure>
    let loop: Loop
    let client: HTTPClient

    init() throws {
        loop = try Loop()
        client = HTTPClient(loop: loop)
    }

    /// The outcomes in the order of the requests.
    func run(_ requests: [HTTPClient.Outgoing]) throws -> [Outcome] {
        var outcomes = [Outcome?](repeating: nil, count: requests.count)
        var left = requests.count
        for (index, request) in requests.enumerated() {
            client.send(request) { [loop] outcome in
                #expect(outcomes[index] == nil, "completed twice")
                outcomes[index] = outcome
                left -= 1
                if left == 0 { loop.stop(0) }
            }
        }
        let guardian = loop.after(.seconds(20)) { [loop] in loop.stop(1) }
        try #require(left == 0 || loop.run() == 0, "no outcome in 20 s")
        loop.cancel(guardian)
        return outcomes.compactMap { $0 }
    }

    func run(_ request: HTTPClient.Outgoing) throws -> Outcome { try run([request])[0] }
    func answer(_ request: HTTPClient.Outgoing) throws -> HTTPClient.Answer { try run(request).get() }
    func failure(_ request: HTTPClient.Outgoing) throws -> HTTPClient.Failure? {
        if case .failure(let failure) = try run(request) { failure } else { nil }
    }
}

@Suite struct HTTPClientTests {
    private static func server(_ handler: @escaping @Sendable (HTTPRequest, HTTPReply) -> Void) throws -> HTTPServer {
        try HTTPServer(address: "127.0.0.1", port: 0, handler: handler)
    }

    private static func get(_ server: HTTPServer, _ path: String = "/") -> HTTPClient.Outgoing {
        HTTPClient.Outgoing(url: "http://127.0.0.1:\(server.port)\(path)")
    }

    @Test(arguments: ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]) func sends(_ method: String) throws {
        let seen = Seen<HTTPRequest>()
        let server = try Self.server { request, reply in
            seen.add(request)
            var response = HTTPResponse.json(Array("{\"ok\":true}".utf8), status: 429)
            response.headers.append(("Retry-After", "17"))
            reply.send(response)
        }
        defer { server.stop() }
        let bench = try ClientBench()
        var request = Self.get(server, "/v1/rollups?x=1")
        request.method = method
        request.headers = [("Authorization", "Bearer abc"), ("X-Empty", "")]
        if method.hasPrefix("P") { request.body = Array("body of \(method)".utf8) }
        let answer = try bench.answer(request)
        #expect(answer.status == 429)
        #expect(answer.header("retry-after") == "17")
        #expect(answer.body == (method == "HEAD" ? [] : Array("{\"ok\":true}".utf8)))
        let arrived = try #require(seen.all.first)
        #expect(arrived.method == method && arrived.path == "/v1/rollups")
        #expect(arrived.header("Authorization") == "Bearer abc")
        #expect(arrived.header("X-Empty") == "")
        #expect(arrived.body == request.body ?? [])
        #expect(arrived.header("Content-Type") == nil)
        #expect(arrived.header("Accept-Encoding") == "gzip, deflate")
    }

    @Test func usesAConnectionAgain() throws {
        let server = try Self.server { request, reply in reply.send(.json(request.body)) }
        defer { server.stop() }
        let bench = try ClientBench()
        for number in 0..<100 {
            var request = Self.get(server)
            request.method = "POST"
            request.body = Array("\(number)".utf8)
            #expect(try bench.answer(request).body == request.body)
            #expect(server.connections == 1)
        }
    }

    @Test func sendsManyAtOnce() throws {
        let worker = Worker(name: "answers")
        let server = try Self.server { request, reply in worker.run { reply.send(.json(request.body)) } }
        defer {
            server.stop()
            worker.stop()
        }
        let bench = try ClientBench()
        let requests = (0..<100).map { number in
            var request = Self.get(server)
            request.method = "PUT"
            request.body = [UInt8](repeating: UInt8(number), count: number * 2000)
            return request
        }
        for (request, outcome) in zip(requests, try bench.run(requests)) {
            #expect(try outcome.get().body == request.body)
        }
        #expect(server.connections <= 16)
    }

    @Test func aCompletionMaySendTheNext() throws {
        let server = try Self.server { request, reply in reply.send(.json(Array(request.path.utf8))) }
        defer { server.stop() }
        let bench = try ClientBench()
        var paths: [String] = []
        func next(_ number: Int) {
            guard number < 20 else { return bench.loop.stop(0) }
            bench.client.send(Self.get(server, "/\(number)")) { outcome in
                paths.append((try? outcome.get()).map { String(decoding: $0.body, as: UTF8.self) } ?? "failed")
                next(number + 1)
            }
        }
        next(0)
        bench.loop.after(.seconds(20)) { bench.loop.stop(1) }
        #expect(bench.loop.run() == 0)
        #expect(paths == (0..<20).map { "/\($0)" })
    }

    @Test func unpacksWithinTheLimit() throws {
        let server = try Self.server { request, reply in
            let content = [UInt8](repeating: 0x41, count: request.path == "/bomb" ? 10_000_000 : 5000)
            reply.send(HTTPResponse(headers: [("Content-Encoding", "gzip")], body: .bytes(Compression.gzip(content))))
        }
        defer { server.stop() }
        let bench = try ClientBench()
        #expect(try bench.answer(Self.get(server)).body == [UInt8](repeating: 0x41, count: 5000))
        #expect(try bench.failure(Self.get(server, "/bomb"))?.kind == .tooLarge)
        var small = Self.get(server)
        small.maxAnswerBytes = 4999
        #expect(try bench.failure(small)?.kind == .tooLarge)
        small.maxAnswerBytes = 5000
        #expect(try bench.answer(small).body.count == 5000)
    }

    @Test func followsNobody() throws {
        let seen = Seen<String>()
        let server = try Self.server { request, reply in
            seen.add(request.path)
            reply.send(HTTPResponse(status: 302, headers: [("Location", "/elsewhere")]))
        }
        defer { server.stop() }
        let answer = try ClientBench().answer(Self.get(server, "/here"))
        #expect(answer.status == 302)
        #expect(answer.looksLikePortal)
        #expect(seen.all == ["/here"])
    }

    @Test func knowsAPortal() throws {
        let server = try Self.server { request, reply in
            let type = request.path == "/page" ? "text/html; charset=utf-8" : "application/json"
            reply.send(HTTPResponse(headers: [("Content-Type", type)], body: .bytes([0x3C])))
        }
        defer { server.stop() }
        let bench = try ClientBench()
        #expect(try bench.answer(Self.get(server, "/page")).looksLikePortal)
        #expect(try !bench.answer(Self.get(server, "/json")).looksLikePortal)
    }

    @Test func saysWhyThereIsNoAnswer() throws {
        let waiting = Seen<HTTPReply>()
        let server = try Self.server { _, reply in waiting.add(reply) }
        defer { server.stop() }
        let bench = try ClientBench()
        var patient = Self.get(server)
        patient.totalTimeout = .milliseconds(150)
        let late = try bench.failure(patient)
        #expect(late?.kind == .timedOut)
        #expect(late?.description.hasPrefix("127.0.0.1:\(server.port): ") == true)

        let port = try FreePort.loopback()
        let refused = try bench.failure(.init(url: "http://user:secret@127.0.0.1:\(port)/p?token=secret"))
        #expect(refused?.kind == .refused)
        #expect(refused?.description.contains("nothing listens there") == true)
        #expect(refused?.description.contains("secret") == false)

        // A label of more than 63 letters is no name, which needs no name server to find out.
        let name = try bench.failure(.init(url: "http://\(String(repeating: "x", count: 70)).example/"))
        #expect(name?.kind == .nameNotFound)

        for url in ["ftp://127.0.0.1/", "file:///etc/passwd", "", "http://", "nonsense:", "http://127.0.0.1:99999/"] {
            #expect(try bench.failure(.init(url: url))?.kind == .badRequest, "\(url)")
        }
        for header in [("X", "a\r\nY: b"), ("X\r\nY", "b"), ("", "b")] {
            #expect(try bench.failure(.init(url: "http://127.0.0.1:\(port)/", headers: [header]))?.kind == .badRequest)
        }
        #expect(try bench.failure(.init(method: "GET / HTTP/1.1\r\n", url: "http://a/"))?.kind == .badRequest)
    }

    /// What is cut off anywhere is no answer.
    @Test func aTruncatedAnswerIsAFailure() throws {
        let whole = Array(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"results\":1".utf8)
        let server = try CannedServer((0...whole.count).map { Array(whole[..<$0]) })
        defer { server.stop() }
        let bench = try ClientBench()
        for count in 0..<whole.count {
            let failure = try bench.failure(.init(url: "http://127.0.0.1:\(server.port)/"))
            #expect(failure?.kind == .broken, "cut after \(count) bytes: \(failure?.description ?? "an answer")")
        }
        #expect(try bench.answer(.init(url: "http://127.0.0.1:\(server.port)/")).body.count == 12)
    }

    @Test func whatIsNoHTTPIsAFailure() throws {
        let nonsense = [
            "SSH-2.0-OpenSSH\r\n", "\u{0}\u{1}\u{2}", "HTTP/1.1 abc\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ]
        let server = try CannedServer(nonsense.map { Array($0.utf8) })
        defer { server.stop() }
        let bench = try ClientBench()
        for text in nonsense {
            #expect(try bench.failure(.init(url: "http://127.0.0.1:\(server.port)/"))?.kind == .broken, "\(text)")
        }
    }

    @Test func givesUpEverything() throws {
        let waiting = Seen<HTTPReply>()
        let server = try Self.server { _, reply in waiting.add(reply) }
        defer { server.stop() }
        let bench = try ClientBench()
        var kinds: [HTTPClient.Failure.Kind] = []
        for _ in 0..<3 {
            bench.client.send(Self.get(server)) { if case .failure(let failure) = $0 { kinds.append(failure.kind) } }
        }
        bench.loop.after(.milliseconds(50)) {
            bench.client.cancelAll()
            bench.loop.stop(0)
        }
        #expect(bench.loop.run() == 0)
        #expect(kinds == [.cancelled, .cancelled, .cancelled])
        // And is of use afterwards.
        let port = try FreePort.loopback()
        #expect(try bench.failure(.init(url: "http://127.0.0.1:\(port)/"))?.kind == .refused)
    }

    @Test func saysWhichLibraryIsMissing() throws {
        let loop = try Loop()
        let client = HTTPClient(loop: loop, library: "libcurl-of-nobody.so.4")
        var failures: [HTTPClient.Failure] = []
        func ask(_ host: String, then: @escaping () -> Void) {
            client.send(.init(url: "http://\(host)/")) {
                if case .failure(let failure) = $0 { failures.append(failure) }
                then()
            }
        }
        // Also the second time, and nobody else is held up by it.
        ask("one.example") { ask("two.example") { loop.stop(0) } }
        #expect(loop.run() == 0)
        #expect(failures.map(\.kind) == [.noLibrary, .noLibrary])
        let words = try #require(failures.last?.description)
        #expect(
            words.hasPrefix("two.example: cannot ask over HTTP without libcurl: libcurl-of-nobody.so.4: cannot open"))
        #expect(words.hasSuffix("install Debian's package libcurl4"))
    }

    @Test func mayGiveUpBeforeTheLibraryIsOpen() throws {
        let loop = try Loop()
        let client = HTTPClient(loop: loop)
        var kinds: [HTTPClient.Failure.Kind] = []
        for _ in 0..<3 {
            client.send(.init(url: "http://127.0.0.1:1/")) {
                if case .failure(let failure) = $0 { kinds.append(failure.kind) }
            }
        }
        client.cancelAll()
        #expect(kinds == [.cancelled, .cancelled, .cancelled])
    }

    @Test func mayGoAwayWithRequestsOnTheirWay() throws {
        let waiting = Seen<HTTPReply>()
        let server = try Self.server { _, reply in waiting.add(reply) }
        defer { server.stop() }
        let loop = try Loop()
        var client: HTTPClient? = HTTPClient(loop: loop)
        for _ in 0..<3 { client?.send(Self.get(server)) { _ in Issue.record("completed after its client had gone") } }
        loop.after(.milliseconds(50)) { client = nil }
        loop.after(.milliseconds(100)) { loop.stop(0) }
        #expect(loop.run() == 0)
        #expect(client == nil)
    }
}

/// Accepts one connection after the other, reads a request's head, sends given bytes and closes.
final class CannedServer: Sendable {
    let port: UInt16
    private let worker = Worker(name: "canned")

    init(_ answers: [[UInt8]]) throws {
        let listening = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutableBytes(of: &address) { bytes in
            let address = bytes.bindMemory(to: sockaddr.self).baseAddress!
            try call("bind", on: "loopback") { bind(listening, address, length) }
            try call("listen", on: "loopback") { listen(listening, 16) }
            try call("getsockname", on: "loopback") { getsockname(listening, address, &length) }
        }
        port = UInt16(bigEndian: address.sin_port)
        worker.run {
            for answer in answers {
                let peer = accept(listening, nil, nil)
                guard peer >= 0 else { break }
                var buffer = [UInt8](repeating: 0, count: 4096)
                _ = recv(peer, &buffer, buffer.count, 0)
                _ = send(peer, answer, answer.count, CInt(MSG_NOSIGNAL))
                close(peer)
            }
            close(listening)
        }
    }

    func stop() { worker.stop() }
}
