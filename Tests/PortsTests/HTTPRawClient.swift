@preconcurrency import Glibc

/// A client that sends exactly the bytes it is told to; blocking, with a limit of ten seconds for each read.
final class HTTPRawClient {
    let socket: CInt
    private var received: [UInt8] = []

    /// One answer as it came.
    struct Answer {
        let status: Int
        let headers: [(name: String, value: String)]
        let body: [UInt8]

        func header(_ name: String) -> String? {
            headers.first { $0.name.lowercased() == name.lowercased() }?.value
        }
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    init(port: UInt16, address: String = "127.0.0.1", receiveBuffer: CInt? = nil) throws {
        let isLatest = address.contains(":")
        socket = Glibc.socket(isLatest ? AF_INET6 : AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        if var size = receiveBuffer {
            setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<CInt>.size))
        }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var result: CInt
        if isLatest {
            var to = sockaddr_in6()
            to.sin6_family = sa_family_t(AF_INET6)
            to.sin6_port = port.bigEndian
            inet_pton(AF_INET6, address, &to.sin6_addr)
            result = withUnsafeBytes(of: &to) {
                connect(socket, $0.bindMemory(to: sockaddr.self).baseAddress!, socklen_t($0.count))
            }
        } else {
            var to = sockaddr_in()
            to.sin_family = sa_family_t(AF_INET)
            to.sin_port = port.bigEndian
            inet_pton(AF_INET, address, &to.sin_addr)
            result = withUnsafeBytes(of: &to) {
                connect(socket, $0.bindMemory(to: sockaddr.self).baseAddress!, socklen_t($0.count))
            }
        }
        guard result == 0 else { throw Broken("cannot connect: errno \(errno)") }
    }

    deinit { close(socket) }

    struct Broken: Error, CustomStringConvertible {
        let description: String
        init(_ description: String) { self.description = description }
    }

    func send(_ text: String) { send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) {
        var at = 0
        while at < bytes.count {
            let sent = bytes.withUnsafeBytes {
                Glibc.send(socket, $0.baseAddress! + at, bytes.count - at, CInt(MSG_NOSIGNAL))
            }
            guard sent > 0 else { return }
            at += sent
        }
    }

    /// A GET with a Host.
    func get(_ target: String, method: String = "GET", headers: String = "") throws -> Answer {
        send("\(method) \(target) HTTP/1.1\r\nHost: localhost\r\n\(headers)\r\n")
        return try answer(hasBody: method != "HEAD")
    }

    /// More bytes from the server; false at the end of the connection.
    @discardableResult
    func receive() throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65536)
        let count = recv(socket, &chunk, chunk.count, 0)
        if count > 0 {
            received += chunk[..<count]
            return true
        }
        if count < 0, errno == EAGAIN { throw Broken("nothing came for ten seconds; so far: \(text)") }
        return false
    }

    private var text: String { String(decoding: received, as: UTF8.self) }

    /// Reads until the text appears, and gives everything up to its end.
    func read(until mark: String) throws -> String {
        let mark = Array(mark.utf8)
        while true {
            if let end = received.end(of: mark) {
                defer { received.removeFirst(end) }
                return String(decoding: received[..<end], as: UTF8.self)
            }
            guard try receive() else { throw Broken("the connection ended before '\(mark)'; so far: \(text)") }
        }
    }

    func head() throws -> (status: Int, headers: [(name: String, value: String)]) {
        let lines = try read(until: "\r\n\r\n").split(separator: "\r\n")
        let status = Int(lines[0].split(separator: " ")[1]) ?? 0
        let headers = lines.dropFirst().map { line in
            let name = line.prefix { $0 != ":" }
            return (name: String(name), value: String(line.dropFirst(name.count + 2)))
        }
        return (status, headers)
    }

    func answer(hasBody: Bool = true) throws -> Answer {
        let (status, headers) = try head()
        let length = headers.first { $0.name.lowercased() == "content-length" }.flatMap { Int($0.value) } ?? 0
        guard hasBody else { return Answer(status: status, headers: headers, body: []) }
        while received.count < length {
            guard try receive() else { throw Broken("the connection ended inside a body") }
        }
        defer { received.removeFirst(length) }
        return Answer(status: status, headers: headers, body: Array(received[..<length]))
    }

    /// Everything until the server closes.
    func readToEnd() throws -> String {
        while try receive() {}
        defer { received = [] }
        return text
    }
}

extension [UInt8] {
    fileprivate func end(of mark: [UInt8]) -> Int? {
        guard count >= mark.count else { return nil }
        for start in 0...(count - mark.count) where self[start..<start + mark.count].elementsEqual(mark) {
            return start + mark.count
        }
        return nil
    }
}

/// Waits until something holds, at most ten seconds; false where it never does.
func eventually(_ holds: () -> Bool) -> Bool {
    for _ in 0..<5000 {
        if holds() { return true }
        poll(nil, 0, 2)
    }
    return holds()
}
