internal import CCurl
@preconcurrency internal import Glibc
package import Model

/// An HTTP/1.1 client on libcurl, driven by the loop: nothing here ever waits. Connections are kept and used again;
/// certificates are always verified; redirects are answers like any other, so nothing is sent to a host that nobody named.
package final class HTTPClient {
    /// A request.
    package struct Outgoing {
        package var method: String
        /// `http://` or `https://`.
        package var url: String
        package var headers: [(String, String)] = []
        package var body: [UInt8]?
        package var tls: ClientTLS?
        package var login: Login?
        package var connectTimeout: Duration = .seconds(10)
        package var totalTimeout: Duration = .seconds(120)
        /// The largest body that is taken, after unpacking.
        package var maxAnswerBytes = 1024 * 1024

        package init(method: String = "GET", url: String, headers: [(String, String)] = [], body: [UInt8]? = nil) {
            self.method = method
            self.url = url
            self.headers = headers
            self.body = body
        }
    }

    /// A name and a password that the server asks for by digest (RFC 7616). They never cross the wire themselves: a
    /// server that wants them in the clear does not get them.
    package struct Login: Hashable, Sendable {
        package var user: String
        package var password: String

        package init(user: String, password: String) {
            self.user = user
            self.password = password
        }
    }

    /// PEM files; each may be left out.
    package struct ClientTLS: Hashable, Sendable {
        /// Trust this authority alone, instead of the system's.
        package var caFile: String?
        /// Our own certificate and its key, for servers that ask who we are.
        package var certFile: String?
        package var keyFile: String?

        package init(caFile: String? = nil, certFile: String? = nil, keyFile: String? = nil) {
            self.caFile = caFile
            self.certFile = certFile
            self.keyFile = keyFile
        }
    }

    /// A whole answer, of any status.
    package struct Answer: Sendable {
        package let status: Int
        package let headers: [(name: String, value: String)]
        package let body: [UInt8]

        /// The first header of that name in any case, or nil.
        package func header(_ name: String) -> String? {
            headers.first { $0.name.isSameName(as: name) }?.value
        }

        /// What the log-in page of a guest network looks like to a program: 511 (RFC 6585), a redirect, or a web page.
        package var looksLikePortal: Bool {
            let type = header("Content-Type")?.lowercased() ?? ""
            return status == 511 || (300..<400).contains(status) || (status == 200 && type.hasPrefix("text/html"))
        }
    }

    private let loop: Loop
    private let multi: UnsafeMutableRawPointer
    private var transfers: [UnsafeMutableRawPointer: HTTPTransfer] = [:]
    private var watched: Set<CInt> = []
    private var timer: TimerID?

    private static let isCurlReady: Bool = curl_global_init(Int(CURL_GLOBAL_ALL)) == CURLE_OK

    /// On the loop's thread, as everything here.
    package init(loop: Loop) {
        precondition(HTTPClient.isCurlReady, "libcurl does not start")
        guard let multi = curl_multi_init() else { preconditionFailure("memory is short") }
        self.loop = loop
        self.multi = multi
        fabgate_curl_multi_callbacks(
            multi,
            { _, socket, what, context, _ in
                guard let context else { return 0 }
                Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue().watch(socket, what)
                return 0
            },
            { _, milliseconds, context in
                guard let context else { return 0 }
                Unmanaged<HTTPClient>.fromOpaque(context).takeUnretainedValue().setTimer(milliseconds)
                return 0
            }, Unmanaged.passUnretained(self).toOpaque())
        fabgate_curl_multi_long(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 16)
        fabgate_curl_multi_long(multi, CURLMOPT_MAXCONNECTS, 8)
    }

    deinit {
        // curl must not call an object that is going away.
        fabgate_curl_multi_callbacks(multi, nil, nil, nil)
        if let timer { loop.cancel(timer) }
        for socket in watched { loop.unwatch(socket) }
        for handle in transfers.keys { curl_multi_remove_handle(multi, handle) }
        transfers = [:]
        curl_multi_cleanup(multi)
    }

    /// Sends a request; `completion` is called once, later, on the loop.
    package func send(_ request: Outgoing, _ completion: @escaping (Result<Answer, Failure>) -> Void) {
        do {
            let transfer = try HTTPTransfer(request, completion)
            transfers[transfer.handle] = transfer
            curl_multi_add_handle(multi, transfer.handle)
        } catch {
            loop.after(.zero) { completion(.failure(error)) }
        }
    }

    /// Gives up every request; each is completed with `cancelled` before this returns.
    package func cancelAll() {
        let all = transfers
        transfers = [:]
        for (handle, transfer) in all {
            curl_multi_remove_handle(multi, handle)
            transfer.cancel()
        }
    }

    // MARK: Between curl and the loop

    /// curl tells what it waits for on a socket.
    private func watch(_ socket: CInt, _ what: CInt) {
        let interest: Readiness
        switch what {
        case CURL_POLL_IN: interest = .read
        case CURL_POLL_OUT: interest = .write
        case CURL_POLL_INOUT: interest = [.read, .write]
        default:
            if watched.remove(socket) != nil { loop.unwatch(socket) }
            return
        }
        if watched.insert(socket).inserted {
            loop.watch(socket, interest) { [unowned self] ready in
                // Where the other side hung up, reading tells why.
                let isReadable = ready.contains(.read) || ready.contains(.hangup)
                act(socket, (isReadable ? CURL_CSELECT_IN : 0) | (ready.contains(.write) ? CURL_CSELECT_OUT : 0))
            }
        } else {
            loop.change(socket, interest)
        }
    }

    /// curl wants to be called after a time; -1: no more. It must not be called from in here.
    private func setTimer(_ milliseconds: Int) {
        if let timer { loop.cancel(timer) }
        timer = nil
        guard milliseconds >= 0 else { return }
        timer = loop.after(.milliseconds(Int64(milliseconds))) { [unowned self] in
            timer = nil
            act(CURL_SOCKET_BAD, 0)
        }
    }

    private func act(_ socket: CInt, _ events: CInt) {
        var running: CInt = 0
        curl_multi_socket_action(multi, socket, events, &running)
        // A completion may send the next request, cancel all others, or let go of this client.
        var done: [(HTTPTransfer, CURLcode)] = []
        var left: CInt = 0
        while let message = curl_multi_info_read(multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            let code = message.pointee.data.result
            curl_multi_remove_handle(multi, handle)
            if let transfer = transfers.removeValue(forKey: handle) { done.append((transfer, code)) }
        }
        for (transfer, code) in done { transfer.finish(code) }
    }
}
