// Questions to a program that runs, from the same machine and the same user.
//
//     question = bytes without a line feed, then a line feed
//     answer   = any bytes, then the end of the stream

@preconcurrency import Glibc
import Model

/// Answers questions on a Unix socket, on the loop. The socket is a file that its owner alone may use.
package final class LocalServer {
    /// A question is a command, not data.
    private static let mostQuestionBytes = 64 * 1024
    private static let mostClients = 16
    /// Whoever asks is on this machine; slower than this is stuck.
    private static let patience = Duration.seconds(10)

    private final class Client {
        var question: [UInt8] = []
        var answer: ArraySlice<UInt8> = []
        var deadline: TimerID?
    }

    package let path: String
    private let loop: Loop
    private let descriptor: CInt
    private let answer: ([UInt8]) -> [UInt8]
    private var clients: [CInt: Client] = [:]

    /// Listens at `path`. A socket that stands there is taken for a dead program's: hold a lock before.
    package init(path: String, loop: Loop, answer: @escaping ([UInt8]) -> [UInt8]) throws(PortError) {
        self.path = path
        self.loop = loop
        self.answer = answer
        var address = try LocalSocket.address(path)
        descriptor = try LocalSocket.open()
        unlink(path)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        // Nobody can connect before `listen`: there is no moment in which others could. A umask would be the whole
        // process's, also of a thread that makes a folder just then.
        guard bound == 0, chmod(path, 0o600) == 0, listen(descriptor, 8) == 0 else {
            let code = errno
            close(descriptor)
            throw PortError(call: "listen on", subject: path, code: code)
        }
        loop.watch(descriptor, .read) { [weak self] _ in self?.accept() }
    }

    /// Stops listening and removes the socket.
    package func stop() {
        for client in clients.keys { drop(client) }
        loop.unwatch(descriptor)
        close(descriptor)
        unlink(path)
    }

    private func accept() {
        while true {
            let client = Glibc.accept(descriptor, nil, nil)
            guard client >= 0 else { return }
            _ = fcntl(client, F_SETFD, FD_CLOEXEC)
            _ = fcntl(client, F_SETFL, O_NONBLOCK)
            guard clients.count < Self.mostClients else {
                close(client)
                continue
            }
            let state = Client()
            clients[client] = state
            state.deadline = loop.after(Self.patience) { [weak self] in self?.drop(client) }
            loop.watch(client, .read) { [weak self] _ in self?.turn(client) }
        }
    }

    private func drop(_ client: CInt) {
        guard let state = clients.removeValue(forKey: client) else { return }
        if let deadline = state.deadline { loop.cancel(deadline) }
        loop.unwatch(client)
        close(client)
    }

    private func turn(_ client: CInt) {
        guard let state = clients[client] else { return }
        if state.answer.isEmpty, !readQuestion(client, state) { return }
        write(client, state)
    }

    /// Whether the question is whole; then its answer is ready.
    private func readQuestion(_ client: CInt, _ state: Client) -> Bool {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
            let count = recv(client, &buffer, buffer.count, 0)
            if count < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { drop(client) }
                return false
            }
            guard count > 0, state.question.count + count <= Self.mostQuestionBytes else {
                drop(client)
                return false
            }
            state.question += buffer[..<count]
            guard let end = state.question.firstIndex(of: 10) else { continue }
            state.answer = answer(Array(state.question[..<end]))[...]
            loop.change(client, .write)
            return true
        }
    }

    private func write(_ client: CInt, _ state: Client) {
        while !state.answer.isEmpty {
            let count = state.answer.withUnsafeBytes {
                send(client, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            if count < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { drop(client) }
                return
            }
            state.answer = state.answer.dropFirst(count)
        }
        drop(client)
    }
}

/// Asks a program that runs.
package enum LocalSocket {
    /// The whole answer of whoever listens at `path`; nil where nobody does. Waits; not for the loop.
    package static func ask(_ path: String, _ question: [UInt8]) throws(PortError) -> [UInt8]? {
        var address = try address(path)
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw PortError(call: "open a socket for", subject: path, code: errno) }
        defer { close(descriptor) }
        var patience = timeval(tv_sec: 30, tv_usec: 0)
        for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
            setsockopt(descriptor, SOL_SOCKET, option, &patience, socklen_t(MemoryLayout<timeval>.size))
        }
        let connected = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        if connected < 0 {
            let code = errno
            if code == ENOENT || code == ECONNREFUSED { return nil }
            throw PortError(call: "connect to", subject: path, code: code)
        }
        var rest = (question + [10])[...]
        while !rest.isEmpty {
            let count = try call("ask", on: path) {
                rest.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL)) }
            }
            rest = rest.dropFirst(count)
        }
        var answer: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = try call("read the answer of", on: path) { recv(descriptor, &buffer, buffer.count, 0) }
            if count == 0 { return answer }
            answer += buffer[..<count]
        }
    }

    fileprivate static func open() throws(PortError) -> CInt {
        try call("open", on: "a local socket") {
            socket(AF_UNIX, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        }
    }

    fileprivate static func address(_ path: String) throws(PortError) -> sockaddr_un {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        let room = MemoryLayout.size(ofValue: address.sun_path)
        guard !bytes.isEmpty, bytes.count < room else {
            throw PortError(
                call: "use", subject: path, code: 0,
                hint: "the path of a local socket has at most \(room - 1) bytes; use a shorter folder")
        }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return address
    }
}
