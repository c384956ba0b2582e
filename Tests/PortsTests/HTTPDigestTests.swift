import Model
import Ports
import Testing

/// MD5 (RFC 1321), which PrusaLink's digest is made with and nothing else here.
private func md5(_ text: String) -> String {
    let shifts: [UInt32] = [7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]
    // Binary integer parts of 2³² · |sin i| are what the standard prints; a power series is enough to compute them.
    func sine(_ x: Double) -> Double {
        let turn = 6.283185307179586
        let angle = x - (x / turn).rounded() * turn
        var (term, sum) = (angle, angle)
        for n in 1..<24 {
            term *= -angle * angle / Double(2 * n * (2 * n + 1))
            sum += term
        }
        return sum
    }
    var bytes = Array(text.utf8)
    let bits = UInt64(bytes.count * 8)
    bytes.append(0x80)
    while bytes.count % 64 != 56 { bytes.append(0) }
    for index in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: bits >> UInt64(8 * index))) }
    var state: [UInt32] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476]
    for start in stride(from: 0, to: bytes.count, by: 64) {
        let words = (0..<16).map { w in
            (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[start + 4 * w + $1]) << UInt32(8 * $1) }
        }
        var (a, b, c, d) = (state[0], state[1], state[2], state[3])
        for i in 0..<64 {
            let (mix, word): (UInt32, Int) =
                switch i / 16 {
                case 0: (b & c | ~b & d, i)
                case 1: (d & b | ~d & c, (5 * i + 1) % 16)
                case 2: (b ^ c ^ d, (3 * i + 5) % 16)
                default: (c ^ (b | ~d), 7 * i % 16)
                }
            let constant = UInt32(sine(Double(i + 1)).magnitude * 4_294_967_296)
            let sum = a &+ mix &+ constant &+ words[word]
            let shift = shifts[i / 16 * 4 + i % 4]
            (a, d, c, b) = (d, c, b, b &+ (sum << shift | sum >> (32 - shift)))
        }
        for (index, value) in [a, b, c, d].enumerated() { state[index] &+= value }
    }
    return Hex.text(state.flatMap { word in (0..<4).map { UInt8(truncatingIfNeeded: word >> UInt32(8 * $0)) } })
}

/// What a server with digest authentication makes of requests (RFC 7616, with MD5 as PrusaLink has it).
private struct Guard: Sendable {
    let user = "maker"
    let password = "8 letters"
    let realm = "Printer API"
    let nonce = "0123456789abcdef"

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        guard let given = request.header("Authorization"), given.hasPrefix("Digest ") else { return refusal }
        var members: [String: String] = [:]
        for part in given.dropFirst(7).split(separator: ",") {
            let sides = part.split(separator: "=", maxSplits: 1)
            guard sides.count == 2 else { continue }
            members[String(sides[0].drop { $0 == " " })] = sides[1].filter { $0 != "\"" }
        }
        let first = md5("\(user):\(realm):\(password)")
        let second = md5("\(request.method):\(members["uri"] ?? "")")
        let middle = "\(nonce):\(members["nc"] ?? ""):\(members["cnonce"] ?? ""):auth"
        guard members["username"] == user, members["nonce"] == nonce, members["uri"] == request.path,
            members["response"] == md5("\(first):\(middle):\(second)")
        else { return refusal }
        return .json(Array(#"{"printer":{"state":"IDLE"}}"#.utf8))
    }

    private var refusal: HTTPResponse {
        HTTPResponse(
            status: 401,
            headers: [("WWW-Authenticate", #"Digest realm="\#(realm)", nonce="\#(nonce)", qop="auth", stale="false""#)],
            body: .bytes(Array(#"{"title":"401: Unauthorized"}"#.utf8)))
    }
}

@Suite struct HTTPDigestTests {
    private func server(_ seen: Seen<HTTPRequest>) throws -> HTTPServer {
        try HTTPServer(address: "127.0.0.1", port: 0) { request, reply in
            seen.add(request)
            reply.send(Guard().answer(request))
        }
    }

    private func request(_ server: HTTPServer, _ password: String) -> HTTPClient.Outgoing {
        var request = HTTPClient.Outgoing(url: "http://127.0.0.1:\(server.port)/api/v1/status")
        request.login = HTTPClient.Login(user: "maker", password: password)
        return request
    }

    @Test func theHashOfTheTestIsTheStandards() {
        // RFC 1321, A.5.
        #expect(md5("") == "d41d8cd98f00b204e9800998ecf8427e")
        #expect(md5("message digest") == "f96b697d7cb7938d525a2f31aaf161d0")
    }

    @Test func theRightPasswordIsLetInAndNeverSent() throws {
        let seen = Seen<HTTPRequest>()
        let server = try server(seen)
        defer { server.stop() }
        let answer = try ClientBench().answer(request(server, Guard().password))
        #expect(answer.status == 200)
        #expect(String(decoding: answer.body, as: UTF8.self) == #"{"printer":{"state":"IDLE"}}"#)
        for request in seen.all {
            #expect(!request.headers.contains { $0.value.contains(Guard().password) || $0.value.hasPrefix("Basic") })
        }
    }

    @Test func theWrongPasswordIsAnAnswerOf401() throws {
        let server = try server(Seen())
        defer { server.stop() }
        #expect(try ClientBench().answer(request(server, "another")).status == 401)
    }

    @Test func aServerThatWantsThePasswordItselfDoesNotGetIt() throws {
        let seen = Seen<HTTPRequest>()
        let server = try HTTPServer(address: "127.0.0.1", port: 0) { request, reply in
            seen.add(request)
            reply.send(HTTPResponse(status: 401, headers: [("WWW-Authenticate", #"Basic realm="x""#)]))
        }
        defer { server.stop() }
        #expect(try ClientBench().answer(request(server, "secret")).status == 401)
        for request in seen.all { #expect(request.header("Authorization") == nil) }
    }
}
