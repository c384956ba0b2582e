/// A request that is answered by the server itself; the connection is closed after it, since nobody can know where the
/// next request on it begins.
struct HTTPRefusal: Error {
    let status: Int
    let title: String
    let detail: String

    init(_ status: Int, _ title: String, _ detail: String) {
        self.status = status
        self.title = title
        self.detail = detail
    }

    static func malformed(_ detail: String) -> HTTPRefusal { HTTPRefusal(400, "Malformed request", detail) }

    var response: HTTPResponse {
        var response = HTTPResponse.problem(status: status, title: title, detail: detail)
        response.headers.append(("Connection", "close"))
        return response
    }
}

/// Request line and headers (RFC 9112) as the library cut them, checked before anything else looks at them. The library
/// takes what two parsers can understand differently: two lengths, a length beside chunks, two hosts. Here each of them
/// is an error, so that nothing can be smuggled past a proxy and no second Host past the list of names.
struct HTTPHead {
    var method: [UInt8] = []
    var version: [UInt8] = []
    /// The request target as sent, not decoded: `/a%20b?c=d`.
    var target: [UInt8] = []
    var headers: [(name: [UInt8], value: [UInt8])] = []
    /// The whole block from the method on, as the library left it: it cuts the block into texts by writing zeros over
    /// separators, so a zero that the client sent ends a text early and hides what follows.
    var block: [UInt8] = []

    /// Checks everything; the request has no body yet.
    func request(_ limits: HTTPLimits, from address: String) throws(HTTPRefusal) -> HTTPRequest {
        let isLatest = try checkedVersion()
        guard !method.isEmpty, method.count <= 32, method.allSatisfy(isToken) else {
            throw .malformed("The method is no name.")
        }
        try checkSize(limits)
        try checkNothingHides()
        for (name, value) in headers { try check(name, value) }
        try checkLength(isLatest: isLatest)
        try checkHost(isLatest: isLatest, limits.hosts)
        let (path, query) = try splitTarget()
        return HTTPRequest(
            method: text(method), path: path, query: query,
            headers: headers.map { (name: text($0.name), value: text($0.value)) }, remoteAddress: address)
    }

    /// The length that a checked request gives for its body, nil where it gives none.
    var contentLength: Int? { values("content-length").first.flatMap { Int(text($0)) } }

    // MARK: Checks

    private func checkedVersion() throws(HTTPRefusal) -> Bool {
        switch text(version) {
        case "HTTP/1.1": return true
        case "HTTP/1.0": return false
        default: throw HTTPRefusal(505, "HTTP version not supported", "This server speaks HTTP/1.1.")
        }
    }

    private func checkSize(_ limits: HTTPLimits) throws(HTTPRefusal) {
        guard block.count <= limits.headerBytes, headers.count <= 100 else {
            throw HTTPRefusal(
                431, "Request header fields too large",
                "Request line and headers may have \(limits.headerBytes) bytes in 100 lines.")
        }
    }

    /// Every byte of the block that can mean something must stand in one of the texts that came out of it.
    private func checkNothingHides() throws(HTTPRefusal) {
        var hidden = count(block) - count(method) - count(target) - count(version)
        for (name, value) in headers { hidden -= count(name) + count(value) }
        guard hidden == 0 else { throw .malformed("A zero byte, or a line without a name, hides a part of the head.") }
    }

    /// How many bytes are no white space, no zero and none of the separators that the library may overwrite.
    private func count(_ bytes: [UInt8]) -> Int {
        bytes.count { byte in
            switch byte {
            case 0...0x20: false
            case UInt8(ascii: ":"), UInt8(ascii: "?"), UInt8(ascii: "&"), UInt8(ascii: "="), UInt8(ascii: "+"): false
            default: true
            }
        }
    }

    private func check(_ name: [UInt8], _ value: [UInt8]) throws(HTTPRefusal) {
        guard !name.isEmpty, name.allSatisfy(isToken) else { throw .malformed("A header's name is no name.") }
        guard value.allSatisfy({ ($0 >= 0x20 || $0 == 0x09) && $0 != 0x7F }) else {
            throw .malformed("The header \(text(name)) holds a control byte.")
        }
    }

    private func checkLength(isLatest: Bool) throws(HTTPRefusal) {
        let lengths = values("content-length")
        let encodings = values("transfer-encoding")
        guard lengths.count <= 1 else { throw .malformed("Content-Length stands twice.") }
        guard lengths.isEmpty || encodings.isEmpty else {
            throw .malformed("Content-Length and Transfer-Encoding contradict each other.")
        }
        if let length = lengths.first {
            guard !length.isEmpty, length.count <= 18, length.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }) else {
                throw .malformed("Content-Length is no number.")
            }
        }
        guard let encoding = encodings.first else { return }
        guard encodings.count == 1, isLatest, text(encoding).isSameName(as: "chunked") else {
            throw .malformed("Transfer-Encoding may only be chunked, once, in HTTP/1.1.")
        }
    }

    private func checkHost(isLatest: Bool, _ allowed: [String]?) throws(HTTPRefusal) {
        let hosts = values("host")
        guard hosts.count <= 1 else { throw .malformed("Host stands twice.") }
        guard let host = hosts.first else {
            guard !isLatest, allowed == nil else { throw .malformed("Host is missing.") }
            return
        }
        guard host.allSatisfy(isHostByte) else { throw .malformed("Host is no name and no address.") }
        guard let allowed else { return }
        var name = host[...]
        if name.first == UInt8(ascii: "[") {
            // An IPv6 address: the port is behind the bracket.
            name = name.dropFirst().prefix { $0 != UInt8(ascii: "]") }
        } else {
            name = name.prefix { $0 != UInt8(ascii: ":") }
        }
        if name.last == UInt8(ascii: ".") { name = name.dropLast() }
        let found = text(Array(name))
        guard allowed.contains(where: { $0.isSameName(as: found) }) else {
            throw HTTPRefusal(
                421, "Misdirected request",
                "'\(found)' is not a name of this server. Whoever runs it can add the name to its configuration.")
        }
    }

    /// The values of every header of that (lower-case) name.
    private func values(_ name: StaticString) -> [[UInt8]] {
        let wanted = name.withUTF8Buffer { Array($0) }
        return headers.filter { header in
            header.name.count == wanted.count && zip(header.name, wanted).allSatisfy { $0 | 0x20 == $1 }
        }.map(\.value)
    }

    // MARK: Target

    private func splitTarget() throws(HTTPRefusal) -> (String, [(name: String, value: String)]) {
        if target == [UInt8(ascii: "*")], text(method) == "OPTIONS" { return ("*", []) }
        guard target.first == UInt8(ascii: "/"),
            target.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "#") })
        else { throw .malformed("The target must be a path, with everything unusual percent-encoded.") }
        let rawPath = target.prefix { $0 != UInt8(ascii: "?") }
        let path = try decode(rawPath, isQuery: false)
        // Also behind an encoded slash, and the way that other systems write it.
        let segments = path.split(whereSeparator: { $0 == "/" || $0 == "\\" })
        guard !segments.contains("..") else { throw .malformed("A path may not climb with '..'.") }

        var query: [(name: String, value: String)] = []
        for part in target.dropFirst(rawPath.count + 1).split(separator: UInt8(ascii: "&")) {
            let name = part.prefix { $0 != UInt8(ascii: "=") }
            query.append(
                (
                    name: try decode(name, isQuery: true),
                    value: try decode(part.dropFirst(name.count + 1), isQuery: true)
                ))
        }
        return (path, query)
    }

    private func decode(_ raw: ArraySlice<UInt8>, isQuery: Bool) throws(HTTPRefusal) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(raw.count)
        var at = raw.startIndex
        while at < raw.endIndex {
            var byte = raw[at]
            at += 1
            if byte == UInt8(ascii: "%") {
                guard raw.endIndex - at >= 2, let high = hexDigit(raw[at]), let low = hexDigit(raw[at + 1]) else {
                    throw .malformed("A '%' in the target must be followed by two hexadecimal digits.")
                }
                byte = high << 4 | low
                at += 2
                guard byte >= 0x20, byte != 0x7F else { throw .malformed("The target holds a control byte.") }
            } else if byte == UInt8(ascii: "+"), isQuery {
                byte = 0x20
            }
            out.append(byte)
        }
        guard let decoded = String(validating: out, as: UTF8.self) else { throw .malformed("The target is not UTF-8.") }
        return decoded
    }
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }

private func hexDigit(_ byte: UInt8) -> UInt8? {
    switch byte {
    case 0x30...0x39: byte - 0x30
    case 0x41...0x46: byte - 0x37
    case 0x61...0x66: byte - 0x57
    default: nil
    }
}

private func isLetterOrDigit(_ byte: UInt8) -> Bool {
    switch byte {
    case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
    default: false
    }
}

/// `tchar` of RFC 9110 §5.6.2.
private func isToken(_ byte: UInt8) -> Bool {
    isLetterOrDigit(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
}

/// Names, IPv4, `[IPv6]` and a port.
private func isHostByte(_ byte: UInt8) -> Bool { isLetterOrDigit(byte) || "-._:[]".utf8.contains(byte) }
