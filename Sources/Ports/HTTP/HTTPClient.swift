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

    private typealias Completion = (Result<Answer, Failure>) -> Void

    /// The library, once it is open, and our handle of it.
    private struct Curl {
        let library: CurlLibrary
        let multi: UnsafeMutableRawPointer
        var functions: fabgate_curl { library.functions.pointee }
    }

    private let loop: Loop
    private let libraryName: String
    private var curl: Curl?
    /// Opens the library, while there are requests that wait for it.
    private var opener: Worker?
    private var waiting: [(request: Outgoing, completion: Completion)] = []
    private var transfers: [UnsafeMutableRawPointer: HTTPTransfer] = [:]
    private var watched: Set<CInt> = []
    private var timer: TimerID?

    /// On the loop's thread, as everything here. libcurl is opened for the first request.
    package convenience init(loop: Loop) { self.init(loop: loop, library: CurlLibrary.name) }

    package init(loop: Loop, library: String) {
        self.loop = loop
        libraryName = library
    }

    deinit {
        if let timer { loop.cancel(timer) }
        guard let curl else { return }
        // curl must not call an object that is going away.
        fabgate_curl_multi_callbacks(curl.library.functions, curl.multi, nil, nil, nil)
        for socket in watched { loop.unwatch(socket) }
        for handle in transfers.keys { _ = curl.functions.multi_remove_handle(curl.multi, handle) }
        transfers = [:]
        _ = curl.functions.multi_cleanup(curl.multi)
    }

    /// Sends a request; `completion` is called once, later, on the loop.
    package func send(_ request: Outgoing, _ completion: @escaping (Result<Answer, Failure>) -> Void) {
        guard let curl else {
            waiting.append((request, completion))
            return openLibrary()
        }
        do {
            let transfer = try HTTPTransfer(request, curl.library, completion)
            transfers[transfer.handle] = transfer
            _ = curl.functions.multi_add_handle(curl.multi, transfer.handle)
        } catch {
            loop.after(.zero) { completion(.failure(error)) }
        }
    }

    /// On a thread of its own: the loop has others to serve meanwhile.
    private func openLibrary() {
        guard opener == nil else { return }
        let opener = Worker(name: "curl")
        self.opener = opener
        let name = libraryName
        loop.run(on: opener) {
            Result { () throws(CurlLibrary.Missing) in try CurlLibrary(name) }
        } then: { [weak self] library in
            self?.opened(library)
        }
    }

    private func opened(_ result: Result<CurlLibrary, CurlLibrary.Missing>) {
        opener = nil
        let waiting = waiting
        self.waiting = []
        switch result {
        case .success(let library):
            prepare(library)
            for (request, completion) in waiting { send(request, completion) }
        case .failure(let missing):
            for (request, completion) in waiting {
                completion(.failure(.init(.noLibrary, HTTPTransfer.host(request.url), missing.description)))
            }
        }
    }

    private func prepare(_ library: CurlLibrary) {
        let functions = library.functions
        guard let multi = functions.pointee.multi_init() else { preconditionFailure("memory is short") }
        fabgate_curl_multi_callbacks(
            functions, multi,
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
        fabgate_curl_multi_long(functions, multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, 16)
        fabgate_curl_multi_long(functions, multi, CURLMOPT_MAXCONNECTS, 8)
        curl = Curl(library: library, multi: multi)
    }

    /// Gives up every request; each is completed with `cancelled` before this returns.
    package func cancelAll() {
        let unsent = waiting
        waiting = []
        for (request, completion) in unsent { completion(.failure(.cancelled(HTTPTransfer.host(request.url)))) }
        guard let curl else { return }
        let all = transfers
        transfers = [:]
        for (handle, transfer) in all {
            _ = curl.functions.multi_remove_handle(curl.multi, handle)
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
        guard let curl else { return }
        var running: CInt = 0
        _ = curl.functions.multi_socket_action(curl.multi, socket, events, &running)
        // A completion may send the next request, cancel all others, or let go of this client.
        var done: [(HTTPTransfer, CURLcode)] = []
        var left: CInt = 0
        while let message = curl.functions.multi_info_read(curl.multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let handle = message.pointee.easy_handle else { continue }
            let code = message.pointee.data.result
            _ = curl.functions.multi_remove_handle(curl.multi, handle)
            if let transfer = transfers.removeValue(forKey: handle) { done.append((transfer, code)) }
        }
        for (transfer, code) in done { transfer.finish(code) }
    }
}
