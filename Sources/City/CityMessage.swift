// Requests and answers of the collector, without a socket.

package import Model

/// One request, unpacked and with its path decoded.
package struct CityRequest: Sendable {
    package var method: String
    package var path: String
    package var query: [(name: String, value: String)]
    /// The `Authorization` header.
    package var authorization: String?
    /// The `Content-Type` header.
    package var contentType: String?
    /// From this machine itself and through no proxy: whoever asks could read the database file as well.
    package var isLocal: Bool
    package var body: [UInt8]

    package init(
        _ method: String, _ path: String, query: [(name: String, value: String)] = [], authorization: String? = nil,
        contentType: String? = nil, isLocal: Bool = false, body: [UInt8] = []
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.authorization = authorization
        self.contentType = contentType
        self.isLocal = isLocal
        self.body = body
    }

    package subscript(parameter: String) -> String? {
        query.first { $0.name == parameter && !$0.value.isEmpty }?.value
    }

    /// The token of `Authorization: Bearer …`.
    package var token: String? {
        guard let authorization else { return nil }
        let words = authorization.split(separator: " ")
        guard words.count == 2, words[0].lowercased() == "bearer", words[1].utf8.count <= 512 else { return nil }
        return String(words[1])
    }
}

/// One answer.
package struct CityAnswer: Sendable {
    package var status: Int
    package var contentType: String
    package var headers: [(String, String)]
    package var body: [UInt8]

    package init(
        status: Int = 200, contentType: String = "application/json", headers: [(String, String)] = [], body: [UInt8]
    ) {
        self.status = status
        self.contentType = contentType
        self.headers = headers
        self.body = body
    }

    package static func json(_ json: JSON, status: Int = 200) -> CityAnswer {
        CityAnswer(status: status, headers: [("Cache-Control", "no-store")], body: json.bytes)
    }

    /// An error as RFC 9457 says; nothing was stored.
    package static func problem(
        _ status: Int, _ detail: String, headers: [(String, String)] = []
    ) -> CityAnswer {
        CityAnswer(
            status: status, contentType: "application/problem+json", headers: headers + [("Cache-Control", "no-store")],
            body: Self.problemBody(status, detail).bytes)
    }

    static func problemBody(_ status: Int, _ detail: String) -> JSON {
        .object([
            "type": .string("about:blank"), "title": .string(title(status)), "status": .integer(status),
            "detail": .string(detail),
        ])
    }

    private static func title(_ status: Int) -> String {
        switch status {
        case 400: "Bad request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not found"
        case 405: "Method not allowed"
        case 409: "Conflict"
        case 413: "Too large"
        case 415: "Unsupported media type"
        case 422: "Not a good rollup"
        case 503: "Not now"
        default: "Error"
        }
    }
}
