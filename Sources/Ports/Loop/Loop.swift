// One thread that waits for everything at once: descriptors, timers, signals and what other threads hand over.

import CLinux
@preconcurrency import Glibc
package import Model

/// What a descriptor is ready for.
package struct Readiness: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package static let read = Readiness(rawValue: 1)
    package static let write = Readiness(rawValue: 2)
    /// The other side went away, or the descriptor failed. Reported also where nobody asked; what it left to read can
    /// still be read. A handler that does not unwatch the descriptor then is called again at once.
    package static let hangup = Readiness(rawValue: 4)
}

/// The event loop, over epoll. It belongs to the thread that runs it, and so does everything that it calls; other threads
/// reach it through `remote`. Durations here are real ones, whatever clock the gateway runs by.
package final class Loop {
    private struct Watch {
        /// Tells this watch from an earlier one on the same number: descriptors are reused at once.
        let generation: UInt32
        let handler: (Readiness) -> Void
    }

    /// Events taken from the system in one turn.
    private static let batch = 64
    /// The longest sleep in one turn, in milliseconds.
    private static let longestSleep: Int64 = 3_600_000

    /// How other threads reach the loop.
    package let remote: LoopRemote
    /// Called before every wait. It may return the longest time to sleep, for one who has deadlines of its own.
    package var beforeSleep: (() -> Duration?)?

    private let poller: CInt
    private let events: UnsafeMutableBufferPointer<epoll_event>
    private var watches: [CInt: Watch] = [:]
    private var generation: UInt32 = 0
    private var timers = TimerQueue()
    private var signals: SignalSource?
    private var completions: [UInt64: (any Sendable) -> Void] = [:]
    private var nextCompletion: UInt64 = 0
    private var status: Int32?

    /// Throws where the system has no descriptors left. Afterwards the process no longer dies of SIGPIPE and SIGXFSZ: a
    /// peer that goes away, or a file that may not grow, is an error of one write.
    package init() throws(PortError) {
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        remote = try LoopRemote()
        poller = try call("epoll_create1", on: "the event loop") { epoll_create1(CInt(EPOLL_CLOEXEC)) }
        events = .allocate(capacity: Loop.batch)
        watch(remote.descriptor, .read) { [unowned self] _ in drainRemote() }
    }

    deinit {
        close(poller)
        events.deallocate()
    }

    // MARK: Descriptors

    /// Calls `handler` whenever `fd` is ready for something in `interest`, or hung up. A descriptor that the system cannot
    /// wait for, such as a file, reports `.hangup` once.
    package func watch(_ fd: CInt, _ interest: Readiness, _ handler: @escaping (Readiness) -> Void) {
        precondition(watches[fd] == nil, "descriptor \(fd) is watched already; unwatch it before it is closed")
        generation &+= 1
        watches[fd] = Watch(generation: generation, handler: handler)
        if !control(EPOLL_CTL_ADD, fd, interest, generation) {
            let mine = generation
            after(.zero) { [unowned self] in
                if let watch = watches[fd], watch.generation == mine { watch.handler(.hangup) }
            }
        }
    }

    /// Changes what a watched descriptor is watched for.
    package func change(_ fd: CInt, _ interest: Readiness) {
        guard let watch = watches[fd] else { return }
        _ = control(EPOLL_CTL_MOD, fd, interest, watch.generation)
    }

    /// Ends a watch; its handler is not called again, not even for what this turn has already found. Comes before `close`.
    package func unwatch(_ fd: CInt) {
        guard watches.removeValue(forKey: fd) != nil else { return }
        _ = control(EPOLL_CTL_DEL, fd, [], 0)
    }

    private func control(_ operation: CInt, _ fd: CInt, _ interest: Readiness, _ generation: UInt32) -> Bool {
        var wanted: UInt32 = 0
        if interest.contains(.read) { wanted |= EPOLLIN.rawValue }
        if interest.contains(.write) { wanted |= EPOLLOUT.rawValue }
        if interest.contains(.hangup) { wanted |= EPOLLRDHUP.rawValue }
        var event = epoll_event()
        event.events = wanted
        event.data.u64 = UInt64(generation) << 32 | UInt64(UInt32(bitPattern: fd))
        return epoll_ctl(poller, operation, fd, &event) == 0
    }

    // MARK: Timers

    /// Calls `handler` once, not before `delay` has passed.
    @discardableResult
    package func after(_ delay: Duration, _ handler: @escaping () -> Void) -> TimerID {
        timers.add(at: SystemClock.realNow().moment, after: delay, handler)
    }

    /// Afterwards the timer does not fire. One that has fired or was cancelled already is no mistake.
    package func cancel(_ timer: TimerID) { timers.cancel(timer) }

    // MARK: Signals

    /// Calls `handler` on the loop when the process gets the signal, instead of what the system would do. Comes before
    /// other threads start, which then leave the signal alone, too.
    package func onSignal(_ number: CInt, _ handler: @escaping () -> Void) throws(PortError) {
        if let signals { return try signals.add(number, handler) }
        let source = try SignalSource()
        try source.add(number, handler)
        signals = source
        watch(source.descriptor, .read) { _ in source.read() }
    }

    // MARK: Other threads

    /// Runs `work` on a worker and `then`, with its result, back on the loop.
    package func run<Result: Sendable>(
        on worker: Worker, _ work: @escaping @Sendable () -> Result, then: @escaping (Result) -> Void
    ) {
        let number = nextCompletion
        nextCompletion += 1
        completions[number] = { result in
            if let result = result as? Result { then(result) }
        }
        let remote = remote
        worker.run { remote.complete(number, with: work()) }
    }

    private func drainRemote() {
        for item in remote.take() {
            switch item {
            case .work(let work): work()
            case .result(let number, let result): completions.removeValue(forKey: number)?(result)
            }
        }
    }

    // MARK: Running

    /// Runs until `stop` and returns its status.
    package func run() -> Int32 {
        while true {
            if let status {
                self.status = nil
                return status
            }
            turn()
        }
    }

    /// Makes `run` return after the handler that is running now.
    package func stop(_ status: Int32) { self.status = status }

    /// Waits once and calls the handlers of what happened.
    private func turn() {
        let limit = beforeSleep?()
        guard status == nil else { return }
        let sleep = timeout(limit: limit)
        let count = epoll_wait(poller, events.baseAddress, CInt(Loop.batch), sleep)
        for index in 0..<max(0, Int(count)) where status == nil {
            dispatch(events[index])
        }
        fireTimers()
    }

    /// A handler may set and cancel timers, so the queue is left alone while one runs.
    private func fireTimers() {
        guard timers.next != nil else { return }
        let now = SystemClock.realNow().moment
        let limit = timers.limit
        while status == nil, let handler = timers.take(at: now, before: limit) { handler() }
    }

    private func timeout(limit: Duration?) -> CInt {
        var longest = Loop.longestSleep
        if let limit { longest = min(longest, max(0, limit.milliseconds)) }
        if let next = timers.next {
            let left = next.nanoseconds - SystemClock.realNow().moment.nanoseconds
            longest = min(longest, left <= 0 ? 0 : (left - 1) / 1_000_000 + 1)
        }
        return CInt(longest)
    }

    private func dispatch(_ event: epoll_event) {
        let fd = CInt(bitPattern: UInt32(truncatingIfNeeded: event.data.u64))
        let generation = UInt32(truncatingIfNeeded: event.data.u64 >> 32)
        guard let watch = watches[fd], watch.generation == generation else { return }
        var readiness: Readiness = []
        if event.events & EPOLLIN.rawValue != 0 { readiness.insert(.read) }
        if event.events & EPOLLOUT.rawValue != 0 { readiness.insert(.write) }
        if event.events & (EPOLLHUP.rawValue | EPOLLRDHUP.rawValue | EPOLLERR.rawValue) != 0 {
            readiness.insert(.hangup)
        }
        watch.handler(readiness)
    }
}
