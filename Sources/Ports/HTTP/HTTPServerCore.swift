internal import CMicroHTTPD
@preconcurrency internal import Glibc
internal import Model
internal import Synchronization

/// What the library's callbacks and the server share.
final class HTTPServerCore: Sendable {
    let limits: HTTPLimits
    let handler: @Sendable (HTTPRequest, HTTPReply) -> Void

    fileprivate struct Sender {
        /// Since when (monotonic, in ms) it owes a complete request; nil while it owes none.
        var owesSince: Int64?
    }

    fileprivate struct State {
        var isStopping = false
        /// Requests whose answer is not there yet.
        var awaited: [ObjectIdentifier: HTTPReplySlot] = [:]
        var eventClients: [ObjectIdentifier: HTTPEventClient] = [:]
        var bodyBytes = 0
        var openRequests = 0
        /// Every connection, by its socket.
        var senders: [CInt: Sender] = [:]
    }

    fileprivate let state = Mutex(State())

    init(_ limits: HTTPLimits, _ handler: @escaping @Sendable (HTTPRequest, HTTPReply) -> Void) {
        self.limits = limits
        self.handler = handler
    }

    var openRequests: Int { state.withLock { $0.openRequests } }
    var connections: Int { state.withLock { $0.senders.count } }

    // MARK: Requests

    /// Notes that an answer is awaited; false while stopping, when none will come.
    func expect(_ slot: HTTPReplySlot) -> Bool {
        state.withLock { state in
            guard !state.isStopping else { return false }
            state.awaited[ObjectIdentifier(slot)] = slot
            return true
        }
    }

    func forget(_ slot: HTTPReplySlot) {
        _ = state.withLock { $0.awaited.removeValue(forKey: ObjectIdentifier(slot)) }
    }

    /// Room for a piece of a body; false where all bodies together would take too much.
    func reserve(bodyBytes count: Int) -> Bool {
        state.withLock { state in
            guard state.bodyBytes + count <= limits.allBodyBytes else { return false }
            state.bodyBytes += count
            return true
        }
    }

    func release(bodyBytes count: Int) { state.withLock { $0.bodyBytes -= count } }

    // MARK: Event clients

    func admit(_ client: HTTPEventClient) -> Bool {
        state.withLock { state in
            guard !state.isStopping, state.eventClients.count < limits.eventClients else { return false }
            state.eventClients[ObjectIdentifier(client)] = client
            return true
        }
    }

    func dismiss(_ client: HTTPEventClient) {
        _ = state.withLock { $0.eventClients.removeValue(forKey: ObjectIdentifier(client)) }
    }

    /// Gives every waiting connection its end. The library aborts the process where one is still suspended when it
    /// stops, so from here on none is suspended any more.
    func stop() {
        let (slots, clients) = state.withLock { state in
            state.isStopping = true
            return (Array(state.awaited.values), Array(state.eventClients.values))
        }
        for slot in slots { slot.fill(.unavailable("The server is stopping.", retryAfter: 5)) }
        for client in clients { client.end() }
    }
}

// MARK: Slow senders

extension HTTPServerCore {
    /// The request on this connection has arrived as a whole.
    func requestIsComplete(_ connection: OpaquePointer) {
        let socket = fabgate_mhd_socket(connection)
        state.withLock { $0.senders[socket]?.owesSince = nil }
    }

    /// Cuts off whoever takes longer for one request than is allowed, however steadily the bytes drip in. The library
    /// itself only counts silence, and 128 patient senders would keep everyone else out.
    func cutSlowSenders() {
        let latest = monotonicMilliseconds() - limits.request.milliseconds
        state.withLock { state in
            for (socket, sender) in state.senders {
                // Under the lock the socket cannot be closed and its number be given to another.
                if let since = sender.owesSince, since < latest { shutdown(socket, CInt(SHUT_RDWR)) }
            }
        }
    }
}

private func monotonicMilliseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
}

// MARK: The library's callbacks

extension HTTPServerCore {
    private static func core(_ context: UnsafeMutableRawPointer) -> HTTPServerCore {
        Unmanaged<HTTPServerCore>.fromOpaque(context).takeUnretainedValue()
    }

    private static func exchange(_ context: UnsafeMutableRawPointer) -> Unmanaged<HTTPExchange> {
        Unmanaged<HTTPExchange>.fromOpaque(context)
    }

    /// A request line has arrived: the exchange is made here, and given back in `completed`.
    static let target: fabgate_mhd_target = { context, target, _ in
        guard let context else { return nil }
        let core = core(context)
        core.state.withLock { $0.openRequests += 1 }
        let bytes = target.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? []
        return Unmanaged.passRetained(HTTPExchange(core, target: bytes)).toOpaque()
    }

    static let access: MHD_AccessHandlerCallback = { _, connection, _, method, version, data, count, request in
        guard let connection, let method, let version, let count, let exchange = request?.pointee else { return .NO }
        return HTTPServerCore.exchange(exchange).takeUnretainedValue()
            .proceed(connection, method: method, version: version, data: data, count: count)
    }

    static let completed: MHD_RequestCompletedCallback = { context, connection, request, _ in
        guard let context, let connection, let exchange = request?.pointee else { return }
        request?.pointee = nil
        HTTPServerCore.exchange(exchange).takeRetainedValue().complete()
        let socket = fabgate_mhd_socket(connection)
        core(context).state.withLock { state in
            state.openRequests -= 1
            state.senders[socket]?.owesSince = monotonicMilliseconds()
        }
    }

    static let connection: MHD_NotifyConnectionCallback = { context, connection, _, event in
        guard let context, let connection else { return }
        let socket = fabgate_mhd_socket(connection)
        core(context).state.withLock { state in
            state.senders[socket] =
                event == .CONNECTION_NOTIFY_STARTED ? Sender(owesSince: monotonicMilliseconds()) : nil
        }
    }
}
