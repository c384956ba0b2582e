// The collector as a process: its socket, its lock, its end.

import City
@preconcurrency import Glibc
import Model
import Ports
import Synchronization

/// `fabcity run`: the collector.
enum RunCommand {
    static let help = CommandHelp(
        "run", text: "Takes rollups over HTTP and answers queries until SIGTERM.",
        options: [
            .init("listen", "ADDR:PORT", "where (default 127.0.0.1:8090; port 0 takes a free one)"),
            FabCity.databaseOption,
            .init("tls-cert", "F", "certificate chain in PEM; with --tls-key the collector speaks HTTPS"),
            .init("tls-key", "F", "its private key in PEM"),
            .init("read-token-file", "F", "a token that may read everything; without it only this machine may"),
            .init("nats", "URL", "not in this version; labs send over HTTP"),
        ],
        example: "fabcity run --listen 127.0.0.1:8090 --db sqlite:/var/lib/fabcity/city.sqlite")

    static func run(_ arguments: Arguments) throws -> ExitStatus {
        guard !arguments.has("nats") else {
            throw ToolFailure(
                .usage, "NATS is not in this version; labs send over HTTP: fabcity run --listen ADDR:PORT")
        }
        guard arguments.operands.isEmpty else {
            throw ToolFailure(.usage, "fabcity run takes no '\(arguments.operands[0])'")
        }
        let (address, port) = try endpoint(arguments["listen"] ?? "127.0.0.1:8090")
        let tls = try certificate(arguments)
        let readToken = try arguments["read-token-file"].map(secret)
        let path = try FabCity.databasePath(arguments)
        let office = Office(try FabCity.openBook(path), readToken: readToken)
        return try serve(office, address, port, tls, path)
    }

    private static func serve(
        _ office: Office, _ address: String, _ port: UInt16, _ tls: HTTPServerTLS?, _ path: String
    ) throws -> ExitStatus {
        let loop = try Loop()
        for signal in [SIGTERM, SIGINT] { try loop.onSignal(signal) { [unowned loop] in loop.stop(0) } }
        var desk: LocalServer?
        do throws(PortError) {
            desk = try LocalServer(path: AdminDesk.socketPath(of: path), loop: loop) { office.carryOut($0) }
        } catch {
            Console.complain("fabcity: \(error); fabcity lab and fabcity export need the collector stopped")
        }
        defer { desk?.stop() }
        let writer = Worker(name: "book")
        let server: HTTPServer
        do throws(HTTPServerError) {
            server = try HTTPServer(address: address, port: port, tls: tls, limits: limits) { request, reply in
                writer.run { reply.send(office.answer(request)) }
            }
        } catch {
            throw ToolFailure(.unavailable, error.description)
        }
        if tls == nil, !address.hasPrefix("127."), address != "::1" {
            Console.complain("fabcity: without --tls-cert and --tls-key tokens can be read on the way here")
        }
        let host = address.contains(":") ? "[\(address)]" : address
        Console.complain("fabcity listening on \(tls == nil ? "http" : "https")://\(host):\(server.port)")
        let status = loop.run()
        server.stop()
        writer.stop()
        return ExitStatus(rawValue: status) ?? .done
    }

    private static var limits: HTTPLimits {
        var limits = HTTPLimits()
        limits.connections = 512
        limits.bodyBytes = Collector<SQLiteBook>.mostBytes
        limits.allBodyBytes = 64 << 20
        return limits
    }

    // MARK: options

    private static func endpoint(_ text: String) throws(ToolFailure) -> (String, UInt16) {
        guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
            colon > text.startIndex
        else { throw ToolFailure(.usage, "--listen takes ADDR:PORT, for example 127.0.0.1:8090 or [::]:8090") }
        var address = String(text[..<colon])
        if address.hasPrefix("["), address.hasSuffix("]") { address = String(address.dropFirst().dropLast()) }
        if address == "localhost" { address = "127.0.0.1" }
        return (address, port)
    }

    private static func certificate(_ arguments: Arguments) throws(ToolFailure) -> HTTPServerTLS? {
        switch (arguments["tls-cert"], arguments["tls-key"]) {
        case (nil, nil): return nil
        case (let certificate?, let key?):
            return HTTPServerTLS(
                certificate: String(decoding: try Console.read(path: certificate, limit: 1 << 20), as: UTF8.self),
                key: String(decoding: try Console.read(path: key, limit: 1 << 20), as: UTF8.self))
        default: throw ToolFailure(.usage, "--tls-cert and --tls-key belong together")
        }
    }

    private static func secret(_ path: String) throws(ToolFailure) -> String {
        let text: String
        do throws(PortError) {
            text = try Files.secret(path)
        } catch {
            throw ToolFailure(.ioError, error.description)
        }
        guard text.utf8.count >= 16, !text.contains(" ") else {
            throw ToolFailure(.configuration, "\(path) must hold one token of at least 16 characters and nothing else")
        }
        return text
    }
}

/// The collector behind its lock, and requests in the words of HTTP.
final class Office: Sendable {
    private let collector: Mutex<Collector<SQLiteBook>>
    private let trouble = Mutex(RepeatedTrouble())
    private let clock = SystemClock()

    init(_ book: sending SQLiteBook, readToken: String?) {
        collector = Mutex(
            Collector(book: book, software: FabCity.version, readToken: readToken, sha256: { Digest.sha256($0) }))
    }

    /// Answers a command from this machine's own user.
    func carryOut(_ question: [UInt8]) -> [UInt8] {
        let now = clock.now().wall
        return collector.withLock { AdminDesk.answer(question, $0, now: now) }
    }

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        var body = request.body
        switch (request.header("Content-Encoding") ?? "identity").lowercased() {
        case "identity": break
        case "gzip", "x-gzip":
            do throws(Compression.Failure) {
                body = try Compression.inflate(body, limit: Collector<SQLiteBook>.mostBytes)
            } catch {
                if case .tooLarge = error {
                    return .problem(status: 413, title: "Too large", detail: error.description)
                }
                return .problem(status: 400, title: "Bad request", detail: error.description)
            }
        default:
            var response = HTTPResponse.problem(
                status: 415, title: "Unsupported media type", detail: "bodies come as they are or with gzip")
            response.headers.append(("Accept-Encoding", "gzip"))
            return response
        }
        let question = CityRequest(
            request.method, request.path, query: request.query, authorization: request.header("Authorization"),
            contentType: request.header("Content-Type"), isLocal: isLocal(request), body: body)
        let now = clock.now().wall
        let answer = collector.withLock { $0.answer(question, now: now) { complain($0, at: now) } }
        return response(answer, to: request)
    }

    private func complain(_ text: String, at now: Instant) {
        guard let news = trouble.withLock({ $0.news(text, at: now) }) else { return }
        Console.complain("fabcity: \(news)")
    }

    private func response(_ answer: CityAnswer, to request: HTTPRequest) -> HTTPResponse {
        var headers = [("Content-Type", answer.contentType)] + answer.headers
        var body = answer.body
        if body.count > 4096, (request.header("Accept-Encoding") ?? "").lowercased().contains("gzip") {
            body = Compression.gzip(body)
            headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
        }
        return HTTPResponse(status: answer.status, headers: headers, body: .bytes(body))
    }

    /// From this machine, asked by one of its names and through no proxy: a page in a browser that was led here by a
    /// foreign name is not, and neither is a stranger behind a proxy on this machine.
    private func isLocal(_ request: HTTPRequest) -> Bool {
        let from = request.remoteAddress
        guard from.hasPrefix("127.") || from == "::1" || from.hasPrefix("::ffff:127.") else { return false }
        let proxies = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"]
        guard !proxies.contains(where: { request.header($0) != nil }) else { return false }
        let host = (request.header("Host") ?? "").lowercased()
        return ["127.0.0.1", "localhost", "[::1]"].contains { host == $0 || host.hasPrefix($0 + ":") }
    }
}
