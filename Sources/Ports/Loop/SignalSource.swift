// Signals as something to read.

import CLinux
@preconcurrency import Glibc

/// Takes signals from the process and gives them to handlers on the loop. The signals are blocked for this thread, and for
/// threads that it starts later; they come back with `deinit`.
final class SignalSource {
    private(set) var descriptor: CInt
    private var handlers: [CInt: () -> Void] = [:]
    private var taken = fabgate_no_signals()
    private var before = fabgate_no_signals()

    init() throws(PortError) {
        pthread_sigmask(SIG_SETMASK, nil, &before)
        let flags = CInt(SFD_CLOEXEC) | CInt(SFD_NONBLOCK)
        var set = taken
        descriptor = try call("signalfd", on: "the event loop") { signalfd(-1, &set, flags) }
    }

    deinit {
        close(descriptor)
        pthread_sigmask(SIG_SETMASK, &before, nil)
    }

    func add(_ number: CInt, _ handler: @escaping () -> Void) throws(PortError) {
        guard sigaddset(&taken, number) == 0 else {
            throw PortError(call: "watch", subject: "signal \(number)", code: errno)
        }
        handlers[number] = handler
        pthread_sigmask(SIG_BLOCK, &taken, nil)
        var set = taken
        try call("signalfd", on: "signal \(number)") { signalfd(descriptor, &set, 0) }
    }

    /// Calls the handlers of all signals that have come.
    func read() {
        var information = signalfd_siginfo()
        while Glibc.read(descriptor, &information, MemoryLayout<signalfd_siginfo>.size)
            == MemoryLayout<signalfd_siginfo>.size
        {
            handlers[CInt(information.ssi_signo)]?()
        }
    }
}
