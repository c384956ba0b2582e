package import Model

/// A whole request, checked: see `HTTPHead` for what never gets this far.
package struct HTTPRequest: Sendable {
    /// As sent: `GET`, `HEAD`, `POST`, …
    package let method: String
    /// Decoded; begins with `/`, holds no control byte and no `..` segment (or is `*` for OPTIONS).
    package let path: String
    /// Decoded, in the order of the target; a name without `=` has an empty value.
    package let query: [(name: String, value: String)]
    /// Every header line in its order.
    package let headers: [(name: String, value: String)]
    package internal(set) var body: [UInt8] = []
    /// The client's address without its port: `192.0.2.7`, `2001:db8::1`.
    package internal(set) var remoteAddress: String

    package init(
        method: String, path: String, query: [(name: String, value: String)] = [],
        headers: [(name: String, value: String)] = [], body: [UInt8] = [], remoteAddress: String = "127.0.0.1"
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.remoteAddress = remoteAddress
    }

    /// The first header of that name in any case, or nil.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.isSameName(as: name) }?.value
    }

    /// The first query parameter of that name, or nil.
    package func parameter(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// The event that a client saw last, from `Last-Event-ID` (a browser that comes back) or `?after=`.
    package var lastEventID: UInt64? { (header("Last-Event-ID") ?? parameter("after")).flatMap { UInt64($0) } }
}

/// An answer. `X-Content-Type-Options: nosniff`, `Date`, `Content-Length` and `Connection` are added by the server.
package struct HTTPResponse: Sendable {
    package enum Body: Sendable {
        case bytes([UInt8])
        /// A regular file, sent by the kernel; 404 where it cannot be opened.
        case file(path: String)
        /// Server-sent events, from the one after `after` on. Content-Type and Cache-Control are set.
        case events(EventStream, after: UInt64?)
    }

    package var status: Int
    package var headers: [(String, String)]
    package var body: Body

    package init(status: Int = 200, headers: [(String, String)] = [], body: Body = .bytes([])) {
        self.status = status
        self.headers = headers
        self.body = body
    }

    package static func json(_ bytes: [UInt8], status: Int = 200) -> HTTPResponse {
        HTTPResponse(status: status, headers: [("Content-Type", "application/json")], body: .bytes(bytes))
    }

    /// An error as `application/problem+json` (RFC 9457).
    package static func problem(status: Int, title: String, detail: String) -> HTTPResponse {
        let content: JSON = .object([
            "type": .string("about:blank"), "title": .string(title), "status": .integer(status),
            "detail": .string(detail),
        ])
        return HTTPResponse(
            status: status,
            headers: [("Content-Type", "application/problem+json"), ("Cache-Control", "no-store")],
            body: .bytes(content.bytes))
    }

    /// 503 with the time after which it is worth asking again.
    static func unavailable(_ detail: String, retryAfter seconds: Int) -> HTTPResponse {
        var response = problem(status: 503, title: "Not now", detail: detail)
        response.headers.append(("Retry-After", "\(seconds)"))
        return response
    }
}

/// Certificate chain and private key of a server, as PEM text.
package struct HTTPServerTLS: Sendable {
    package let certificate: String
    package let key: String
    package init(certificate: String, key: String) {
        self.certificate = certificate
        self.key = key
    }
}

/// What one server takes before it says no.
package struct HTTPLimits: Sendable {
    /// Connections at once; more wait in the kernel's queue.
    package var connections = 128
    /// Connections at once from one address; 0 is no limit. Behind a proxy all come from one.
    package var connectionsPerAddress = 0
    /// Request line and headers together; more is 431.
    package var headerBytes = 16 * 1024
    /// One body; more is 413.
    package var bodyBytes = 1024 * 1024
    /// All bodies that are in work together; more is 503.
    package var allBodyBytes = 16 * 1024 * 1024
    /// Without a byte in either direction a connection is closed after this.
    package var idle: Duration = .seconds(30)
    /// From connecting, or from the answer before, to the last byte of a request; slower senders are cut off.
    package var request: Duration = .seconds(60)
    /// Clients of event streams; one more is 503.
    package var eventClients = 64
    /// Names that `Host` may give, without port, in any case; nil takes all. A browser that was led here by a foreign
    /// name (DNS rebinding) gets 421.
    package var hosts: [String]?

    package init() {}
}

/// Why a server could not start.
package struct HTTPServerError: Error, CustomStringConvertible {
    package let description: String
}

extension String {
    /// Whether two header names are the same; they are ASCII and their case does not matter.
    func isSameName(as other: String) -> Bool {
        utf8.count == other.utf8.count && utf8.elementsEqual(other.utf8) { lower($0) == lower($1) }
    }
}

private func lower(_ byte: UInt8) -> UInt8 { byte >= 0x41 && byte <= 0x5A ? byte | 0x20 : byte }
