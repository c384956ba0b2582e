@preconcurrency internal import Glibc
internal import Model

/// A thread that now and then cuts off the connections whose request takes too long to arrive.
final class HTTPSlowSenderWatch: Sendable {
    private let worker = Worker(name: "http-watch")
    /// A pair of sockets; closing the first one ends the thread.
    private let stopping: (mine: CInt, its: CInt)

    /// nil where the system gives no descriptors.
    init?(_ core: HTTPServerCore) {
        var pair: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else { return nil }
        stopping = (pair[0], pair[1])
        let its = pair[1]
        let pause = CInt(clamping: min(5000, max(50, core.limits.request.milliseconds / 4)))
        worker.run {
            var end = pollfd(fd: its, events: Int16(POLLIN), revents: 0)
            // Signals go to the loop's thread, so a wait here ends with its time or with the end.
            while poll(&end, 1, pause) == 0 { core.cutSlowSenders() }
        }
    }

    /// Returns when the thread has ended. Once.
    func stop() {
        close(stopping.mine)
        worker.stop()
        close(stopping.its)
    }
}
