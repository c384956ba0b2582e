internal import CLinux
internal import CMicroHTTPD
@preconcurrency internal import Glibc
internal import Model
internal import Synchronization

/// An HTTP/1.1 server on libmicrohttpd, with one thread of its own.
///
/// The handler runs on that thread: it answers at once from what it has at hand, or passes the reply on and returns; it
/// never waits. Requests that two parsers could understand differently never reach it (see `HTTPHead`).
package final class HTTPServer: Sendable {
    /// Where it listens; the free port that was found for port 0.
    package let port: UInt16
    private let core: HTTPServerCore
    private let daemon: Mutex<Running?>
    private let watch: HTTPSlowSenderWatch

    /// The library's daemon, and the PEM texts, which it reads for as long as it runs.
    private struct Running: @unchecked Sendable {
        let daemon: OpaquePointer
        let texts: [UnsafeMutablePointer<CChar>]
    }

    /// Listens on a numeric IPv4 or IPv6 address, with TLS (1.2 and 1.3) where a certificate is given.
    package init(
        address: String, port: UInt16, tls: HTTPServerTLS? = nil, limits: HTTPLimits = HTTPLimits(),
        handler: @escaping @Sendable (HTTPRequest, HTTPReply) -> Void
    ) throws(HTTPServerError) {
        let listening = try HTTPAddress.listen(address, port)
        core = HTTPServerCore(limits, handler)
        self.port = listening.port
        guard let watch = HTTPSlowSenderWatch(core) else {
            close(listening.socket)
            throw HTTPServerError(
                description: "HTTP server: cannot start on \(address) port \(port); descriptors or threads are short")
        }
        self.watch = watch
        guard let running = HTTPServer.start(core, listening.socket, tls) else {
            // The library has closed the socket.
            watch.stop()
            throw HTTPServerError(
                description: "HTTP server: cannot start on \(address) port \(port)"
                    + (tls == nil
                        ? "; memory or descriptors are short"
                        : ": the certificate and the key must be PEM texts that belong together"))
        }
        daemon = Mutex(running)
    }

    deinit { stop() }

    /// Stops listening, answers what still waits with 503, ends event streams, and closes every connection; returns
    /// when no callback runs any more. Not from the handler, which it would wait for.
    package func stop() {
        guard let running = daemon.withLock({ $0.take() }) else { return }
        let listening = MHD_quiesce_daemon(running.daemon)
        watch.stop()
        core.stop()
        // Answers on their way get a moment to leave; idle connections do not count.
        for _ in 0..<500 where core.openRequests > 0 { poll(nil, 0, 1) }
        MHD_stop_daemon(running.daemon)
        if listening >= 0 { close(listening) }
        running.texts.forEach { free($0) }
    }

    /// Requests that have begun and are not over.
    package var openRequests: Int { core.openRequests }
    /// Connections that are open now.
    package var connections: Int { core.connections }

    private static func start(_ core: HTTPServerCore, _ listening: CInt, _ tls: HTTPServerTLS?) -> Running? {
        // With epoll, which it uses edge-triggered, the library misses that a client left where the end comes together
        // with data (300 of 300 aborted uploads kept their connection until the idle limit), and with poll it does not.
        var flags =
            MHD_USE_POLL_INTERNAL_THREAD.rawValue | MHD_ALLOW_SUSPEND_RESUME.rawValue | MHD_USE_ITC.rawValue
        func number(_ option: MHD_OPTION, _ value: Int) -> MHD_OptionItem {
            MHD_OptionItem(option: option, value: value, ptr_value: nil)
        }
        let limits = core.limits
        var options = [
            number(.CONNECTION_LIMIT, limits.connections),
            number(.PER_IP_CONNECTION_LIMIT, limits.connectionsPerAddress),
            number(.CONNECTION_TIMEOUT, Int(max(1, limits.idle.milliseconds / 1000))),
            // One block holds the head of a request and then the head of its answer.
            number(.CONNECTION_MEMORY_LIMIT, limits.headerBytes + 16 * 1024),
            number(.STRICT_FOR_CLIENT, 1),
        ]
        var texts: [UnsafeMutablePointer<CChar>] = []
        if let tls {
            flags |= MHD_USE_TLS.rawValue
            let values: [(MHD_OPTION, String)] = [
                (.HTTPS_MEM_CERT, tls.certificate), (.HTTPS_MEM_KEY, tls.key),
                (.HTTPS_PRIORITIES, "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"),
            ]
            for (option, value) in values {
                guard let copy = strdup(value) else { continue }
                texts.append(copy)
                options.append(MHD_OptionItem(option: option, value: 0, ptr_value: copy))
            }
        }
        options.append(number(.END, 0))

        // Signals are for the main loop; the library's thread inherits this mask.
        var all = fabgate_no_signals()
        var before = fabgate_no_signals()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
        let daemon = fabgate_mhd_start(
            flags, listening, Unmanaged.passUnretained(core).toOpaque(), HTTPServerCore.target,
            { _, _, text in text.map { strlen($0) } ?? 0 }, HTTPServerCore.access, HTTPServerCore.completed,
            HTTPServerCore.connection, &options)
        guard let daemon else {
            texts.forEach { free($0) }
            return nil
        }
        return Running(daemon: daemon, texts: texts)
    }
}
