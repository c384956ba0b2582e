// A thread of our own for calls that block.

import CLinux
@preconcurrency import Glibc
import Synchronization

/// One named thread that runs what it is given, one after the other. Calls that block, such as fsync, a commit or a name
/// look-up, go here: never on the loop, and never on Swift's own pool, which has as few threads as the machine has cores.
package final class Worker: Sendable {
    private final class Shared: Sendable {
        struct State {
            var queue: [@Sendable () -> Void] = []
            var isStopping = false
        }

        let name: String
        let state = Mutex(State())
        /// Counts what was queued. Lives as long as this object, at one place.
        nonisolated(unsafe) let queued: UnsafeMutablePointer<sem_t>

        init(name: String) {
            self.name = name
            queued = .allocate(capacity: 1)
            sem_init(queued, 0, 0)
        }

        deinit {
            sem_destroy(queued)
            queued.deallocate()
        }

        /// Runs until it is told to stop and nothing is left.
        func serve() {
            showName()
            while true {
                let (work, isStopping) = state.withLock { state in
                    let work = state.queue
                    state.queue = []
                    return (work, state.isStopping)
                }
                for item in work { item() }
                if work.isEmpty {
                    if isStopping { return }
                    while sem_wait(queued) != 0 {}
                }
            }
        }

        /// For `top -H` and debuggers; the system keeps 15 bytes.
        private func showName() {
            let file = open("/proc/thread-self/comm", O_WRONLY | O_CLOEXEC)
            guard file >= 0 else { return }
            var text = String(name.prefix(15))
            text.withUTF8 { _ = write(file, $0.baseAddress, $0.count) }
            close(file)
        }
    }

    /// Enough for getaddrinfo and for OpenSSL's handshakes.
    private static let stackBytes = 512 * 1024

    private let shared: Shared
    private let thread: pthread_t
    private let isJoined = Mutex(false)

    /// Starts the thread. It takes no signals: those are the loop's.
    package init(name: String) {
        let shared = Shared(name: name)
        var thread = pthread_t()
        let context = Unmanaged.passRetained(shared).toOpaque()
        let failure = fabgate_start_thread(
            &thread, Worker.stackBytes,
            { context in
                if let context { Unmanaged<Shared>.fromOpaque(context).takeRetainedValue().serve() }
                return nil
            }, context)
        precondition(failure == 0, "the system has no thread left for \(name): \(PortError.words(for: failure))")
        self.shared = shared
        self.thread = thread
    }

    /// A worker that nobody stopped finishes what is queued and goes by itself.
    deinit {
        guard !isJoined.withLock({ $0 }) else { return }
        requestStop()
        pthread_detach(thread)
    }

    /// Queues work. After `stop` it is never run.
    package func run(_ work: @escaping @Sendable () -> Void) {
        let isTaken = shared.state.withLock { state in
            if state.isStopping { return false }
            state.queue.append(work)
            return true
        }
        if isTaken { sem_post(shared.queued) }
    }

    /// Waits until everything queued is done and ends the thread. Not from the worker's own work.
    package func stop() {
        precondition(pthread_equal(thread, pthread_self()) == 0, "worker \(shared.name) cannot wait for itself")
        isJoined.withLock { isJoined in
            guard !isJoined else { return }
            requestStop()
            pthread_join(thread, nil)
            isJoined = true
        }
    }

    private func requestStop() {
        shared.state.withLock { $0.isStopping = true }
        sem_post(shared.queued)
    }
}
