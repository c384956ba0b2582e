internal import CLinux
@preconcurrency internal import Glibc
internal import Model

/// A thread that now and then cuts off the connections whose request takes too long to arrive.
final class HTTPSlowSenderWatch: Sendable {
    private let thread: pthread_t
    /// A pair of sockets; closing the first one ends the thread.
    private let stopping: (mine: CInt, its: CInt)

    private final class Work {
        let core: HTTPServerCore
        let stopping: CInt
        init(_ core: HTTPServerCore, _ stopping: CInt) {
            self.core = core
            self.stopping = stopping
        }

        func run() {
            let pause = CInt(clamping: min(5000, max(50, core.limits.request.milliseconds / 4)))
            var event = pollfd(fd: stopping, events: Int16(POLLIN), revents: 0)
            while poll(&event, 1, pause) == 0 || (event.revents == 0 && errno == EINTR) { core.cutSlowSenders() }
        }
    }

    /// nil where the system gives no descriptors or no thread.
    init?(_ core: HTTPServerCore) {
        var pair: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &pair) == 0 else { return nil }
        stopping = (pair[0], pair[1])
        var made = pthread_t()
        let work = Unmanaged.passRetained(Work(core, stopping.its))
        var all = fabgate_no_signals()
        var before = fabgate_no_signals()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let failure = pthread_create(
            &made, nil,
            { context in
                if let context { Unmanaged<Work>.fromOpaque(context).takeRetainedValue().run() }
                return nil
            }, work.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard failure == 0 else {
            work.release()
            close(stopping.mine)
            close(stopping.its)
            return nil
        }
        thread = made
    }

    /// Returns when the thread has ended. Once.
    func stop() {
        close(stopping.mine)
        pthread_join(thread, nil)
        close(stopping.its)
    }
}
