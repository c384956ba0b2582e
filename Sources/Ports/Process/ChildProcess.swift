// Other programs, started and ended by ours: the broker of a demonstration, and what tests need.

import CLinux
@preconcurrency import Glibc
import Model

/// One program that we started. It ends at the latest with this object. It does not end when our own process is killed:
/// posix_spawn has no way to ask the system for that (PR_SET_PDEATHSIG).
package final class ChildProcess {
    /// Where standard output and standard error go.
    package enum Output {
        case inherited
        case discarded
        /// Appended to a file.
        case file(String)
        /// To be read from `output`.
        case pipe
    }

    package let pid: Int32
    /// The reading end, not blocking, with `Output.pipe`; else nil. Closed with this object.
    package let output: CInt?
    private let name: String
    private var status: Int32?

    /// Starts `program`, a path or a name to look up in PATH. `environment` nil is ours. Standard input is empty, all
    /// signals are as the system starts with, and no other descriptor of ours stays open in it.
    package init(
        _ program: String, _ arguments: [String] = [], environment: [String: String]? = nil,
        output destination: Output = .inherited
    ) throws(PortError) {
        name = program
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        var pipe: [CInt] = [-1, -1]
        switch destination {
        case .inherited: break
        case .discarded: posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
        case .file(let path):
            posix_spawn_file_actions_addopen(&actions, 1, path, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        case .pipe:
            try call("pipe2", on: program) { fabgate_pipe(&pipe) }
            posix_spawn_file_actions_adddup2(&actions, pipe[1], 1)
        }
        if case .inherited = destination {} else { posix_spawn_file_actions_adddup2(&actions, 1, 2) }
        fabgate_spawn_closing_from(&actions, 3)

        let failure: CInt
        (pid, failure) = ChildProcess.spawn(program, arguments, environment, &actions)
        if pipe[1] >= 0 { close(pipe[1]) }
        output = pipe[0] >= 0 ? pipe[0] : nil
        guard failure == 0 else {
            // deinit runs also after this throw, and there is nobody to end: process 0 would be our own group.
            status = 127
            let hint = failure == ENOENT ? "is it installed?" : ""
            throw PortError(call: "start", subject: program, code: failure, hint: hint)
        }
        if let output { _ = fcntl(output, F_SETFL, O_NONBLOCK) }
    }

    deinit {
        if status == nil {
            kill(SIGKILL)
            _ = wait()
        }
        if let output { close(output) }
    }

    private static func spawn(
        _ program: String, _ arguments: [String], _ environment: [String: String]?,
        _ actions: inout posix_spawn_file_actions_t
    ) -> (pid: pid_t, failure: CInt) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // The loop blocks signals and ignores SIGPIPE; a child would inherit both.
        var none = fabgate_no_signals()
        var all = fabgate_no_signals()
        sigfillset(&all)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var pid: pid_t = 0
        var argv: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
        var envp = environment.map { $0.map { strdup("\($0.key)=\($0.value)") } + [nil] }
        defer { (argv + (envp ?? [])).forEach { free($0) } }
        let failure =
            if envp != nil {
                posix_spawnp(&pid, program, &actions, &attributes, &argv, &envp!)
            } else {
                posix_spawnp(&pid, program, &actions, &attributes, &argv, environ)
            }
        return (pid, failure)
    }

    /// Sends a signal; nothing where the program has ended.
    package func kill(_ signal: CInt) {
        if status == nil { _ = Glibc.kill(pid, signal) }
    }

    /// Waits for the end and returns the exit status, or 128 and the signal that ended it, as shells do.
    package func wait() -> Int32 { reap(0) ?? 0 }

    /// The exit status as in `wait`, nil while the program runs.
    package func poll() -> Int32? { reap(WNOHANG) }

    private func reap(_ options: CInt) -> Int32? {
        if let status { return status }
        var raw: CInt = 0
        var result: pid_t
        repeat { result = waitpid(pid, &raw, options) } while result < 0 && errno == EINTR
        if result == 0 { return nil }
        let signal = raw & 0x7F
        // Without a status to collect, somebody else has collected it.
        status = result < 0 ? 0 : signal == 0 ? raw >> 8 & 0xFF : 128 + signal
        return status
    }

    /// Calls `handler` on the loop with the exit status once the program has ended. One caller at a time.
    package func onExit(_ loop: Loop, _ handler: @escaping (Int32) -> Void) {
        let descriptor = fabgate_pidfd_open(pid)
        guard descriptor >= 0 else { return pollForExit(loop, handler) }
        loop.watch(descriptor, .read) { [self] _ in
            loop.unwatch(descriptor)
            close(descriptor)
            handler(wait())
        }
    }

    /// Where the system has no pidfd, or a sandbox refuses it.
    private func pollForExit(_ loop: Loop, _ handler: @escaping (Int32) -> Void) {
        loop.after(.milliseconds(100)) { [self] in
            if let status = poll() { handler(status) } else { pollForExit(loop, handler) }
        }
    }
}

/// Ports that nobody uses.
package enum FreePort {
    /// A TCP port on 127.0.0.1 that was free a moment ago.
    package static func loopback() throws(PortError) -> UInt16 {
        let subject = "127.0.0.1"
        let descriptor = try call("socket", on: subject) {
            socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        }
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        try withUnsafeMutablePointer(to: &address) { pointer throws(PortError) in
            try pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic throws(PortError) in
                try call("bind", on: subject) { bind(descriptor, generic, length) }
                try call("getsockname", on: subject) { getsockname(descriptor, generic, &length) }
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }
}
