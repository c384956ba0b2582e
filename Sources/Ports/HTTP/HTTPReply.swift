internal import CMicroHTTPD
internal import Synchronization

/// The right to answer one request, once: in the handler or later, from any thread. Until then the connection rests
/// and costs no thread. A client that left meanwhile is fine. Letting go of it without an answer answers 500.
package final class HTTPReply: Sendable {
    private let slot: HTTPReplySlot

    init(_ slot: HTTPReplySlot) { self.slot = slot }

    deinit {
        slot.fill(
            .problem(
                status: 500, title: "No answer",
                detail: "This request was taken, but no part of the program answered it."))
    }

    /// Answers. Only the first answer counts.
    package func send(_ response: HTTPResponse) { slot.fill(response) }
}

/// The library's connection. Its functions to suspend and to resume it may be called on any thread.
struct HTTPConnection: @unchecked Sendable {
    let pointer: OpaquePointer
}

/// Where an answer waits for its connection, or a connection for its answer.
final class HTTPReplySlot: Sendable {
    private enum State {
        case open
        /// The connection is suspended until the answer comes.
        case awaited(HTTPConnection)
        case filled(HTTPResponse)
        /// Answered, or the connection is gone.
        case closed
    }

    private let state = Mutex(State.open)

    func fill(_ response: HTTPResponse) {
        state.withLock { state in
            switch state {
            case .open: state = .filled(response)
            case .awaited(let connection):
                state = .filled(response)
                // Under the lock: the library cannot free the connection before it was resumed.
                MHD_resume_connection(connection.pointer)
            case .filled, .closed: break
            }
        }
    }

    /// The answer, or nil where it is not there yet; then the connection is suspended. On the server's thread.
    func take(orSuspend connection: OpaquePointer) -> HTTPResponse? {
        let connection = HTTPConnection(pointer: connection)
        return state.withLock { state in
            switch state {
            case .filled(let response):
                state = .closed
                return response
            case .open, .awaited:
                state = .awaited(connection)
                MHD_suspend_connection(connection.pointer)
                return nil
            case .closed: return nil
            }
        }
    }

    /// The connection is gone.
    func close() { state.withLock { $0 = .closed } }
}
