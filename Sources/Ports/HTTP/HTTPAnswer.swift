internal import CMicroHTTPD
@preconcurrency internal import Glibc

/// Turns responses into the library's.
enum HTTPAnswer {
    /// Queues an answer on a connection; the library sends it.
    static func queue(_ response: HTTPResponse, _ connection: OpaquePointer, _ server: HTTPServerCore) -> MHD_Result {
        let made: OpaquePointer?
        var headers = response.headers
        switch response.body {
        case .bytes(let bytes):
            made = bytes.withUnsafeBytes {
                MHD_create_response_from_buffer(
                    $0.count, UnsafeMutableRawPointer(mutating: $0.baseAddress), .RESPMEM_MUST_COPY)
            }
        case .file(let path):
            guard let file = openFile(path) else {
                return queue(
                    .problem(status: 404, title: "Not found", detail: "There is no such file here."), connection, server
                )
            }
            made = MHD_create_response_from_fd64(file.size, file.descriptor)
            if made == nil { close(file.descriptor) }
        case .events(let stream, let after):
            guard let client = HTTPEventClient.attach(to: stream, after: after, connection, server) else {
                return queue(
                    .unavailable("Too many clients listen to events, or the stream has ended.", retryAfter: 30),
                    connection, server)
            }
            headers += [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")]
            made = client.response()
        }
        guard let made else { return .NO }
        defer { MHD_destroy_response(made) }
        for (name, value) in headers { add(name, value, to: made) }
        add("X-Content-Type-Options", "nosniff", to: made)
        return MHD_queue_response(connection, UInt32(clamping: response.status), made)
    }

    /// A line break in a value would let it write headers of its own.
    private static func add(_ name: String, _ value: String, to response: OpaquePointer) {
        let isClean = value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        let safe =
            isClean ? value : String(decoding: value.utf8.map { $0 < 0x20 || $0 == 0x7F ? 0x20 : $0 }, as: UTF8.self)
        MHD_add_response_header(response, name, safe)
    }

    private static func openFile(_ path: String) -> (descriptor: CInt, size: UInt64)? {
        // O_NONBLOCK: a FIFO of that name must not stop the server's thread.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { return nil }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            close(descriptor)
            return nil
        }
        return (descriptor, UInt64(clamping: status.st_size))
    }
}

/// A connection that listens to an event stream: suspended while it has read everything.
final class HTTPEventClient: Sendable {
    private let stream: EventStream
    private let key: UInt64
    /// The library keeps it until the response was destroyed, which ends this client.
    private let connection: HTTPConnection
    private let server: HTTPServerCore

    private init(_ stream: EventStream, _ key: UInt64, _ connection: HTTPConnection, _ server: HTTPServerCore) {
        self.stream = stream
        self.key = key
        self.connection = connection
        self.server = server
    }

    /// nil where the server has its fill of event clients, or the stream or the server is closing.
    static func attach(
        to stream: EventStream, after: UInt64?, _ connection: OpaquePointer, _ server: HTTPServerCore
    ) -> HTTPEventClient? {
        let socket = fabgate_mhd_socket(connection)
        let connection = HTTPConnection(pointer: connection)
        guard
            let key = stream.attach(
                after: after, wake: { MHD_resume_connection(connection.pointer) },
                // The client reads nothing, so it would not read an end either.
                cut: { shutdown(socket, CInt(SHUT_RDWR)) })
        else { return nil }
        let client = HTTPEventClient(stream, key, connection, server)
        guard server.admit(client) else {
            stream.detach(key)
            return nil
        }
        return client
    }

    func response() -> OpaquePointer? {
        let context = Unmanaged.passRetained(self)
        let unknownSize = UInt64.max  // MHD_SIZE_UNKNOWN is a cast macro
        let made = MHD_create_response_from_callback(
            unknownSize, 16 * 1024,
            { context, _, buffer, room in
                guard let context, let buffer else { return -1 }
                return Unmanaged<HTTPEventClient>.fromOpaque(context).takeUnretainedValue().read(buffer, room)
            }, context.toOpaque(),
            { context in
                guard let context else { return }
                Unmanaged<HTTPEventClient>.fromOpaque(context).takeRetainedValue().leave()
            })
        if made == nil { context.takeRetainedValue().leave() }
        return made
    }

    /// Lets the client read what waits, then ends.
    func end() { stream.end(key) }

    private func read(_ buffer: UnsafeMutablePointer<CChar>, _ room: Int) -> Int {
        let portion = stream.read(key, into: UnsafeMutableRawBufferPointer(start: buffer, count: room)) {
            MHD_suspend_connection(connection.pointer)
        }
        switch portion {
        case .bytes(let count): return count
        case .later: return 0
        case .end: return -1  // MHD_CONTENT_READER_END_OF_STREAM
        }
    }

    private func leave() {
        stream.detach(key)
        server.dismiss(self)
    }
}
