internal import CCurl
@preconcurrency internal import Glibc
internal import Model

/// One request on its way: curl's easy handle and what came back so far. On the loop's thread.
final class HTTPTransfer {
    private let library: CurlLibrary
    let handle: UnsafeMutableRawPointer
    private let completion: (Result<HTTPClient.Answer, HTTPClient.Failure>) -> Void
    private let host: String
    private let limit: Int
    private var headerLines: UnsafeMutablePointer<curl_slist>?
    private let message: UnsafeMutablePointer<CChar>
    private var headers: [(name: String, value: String)] = []
    /// The empty line after the headers has come. Without it curl takes what it got for an answer without a body.
    private var isHeadComplete = false
    private var body: [UInt8] = []

    /// Throws where the request cannot be made at all.
    init(
        _ request: HTTPClient.Outgoing, _ library: CurlLibrary,
        _ completion: @escaping (Result<HTTPClient.Answer, HTTPClient.Failure>) -> Void
    ) throws(HTTPClient.Failure) {
        host = HTTPTransfer.host(request.url)
        try HTTPTransfer.check(request, host)
        guard let handle = library.functions.pointee.easy_init() else {
            throw .init(.badRequest, host, "curl gives no handle; memory is short")
        }
        self.library = library
        self.handle = handle
        self.completion = completion
        limit = request.maxAnswerBytes
        message = .allocate(capacity: Int(CURL_ERROR_SIZE))
        message[0] = 0
        setConnection(request)
        setContent(request)
    }

    deinit {
        curl.pointee.easy_cleanup(handle)
        curl.pointee.slist_free_all(headerLines)
        message.deallocate()
    }

    /// Tells the owner how it ended.
    func finish(_ code: CURLcode) {
        guard code == CURLE_OK else {
            let known = message[0] == 0 ? curl.pointee.easy_strerror(code) : nil
            let words = String(cString: known ?? UnsafePointer(message))
            return completion(
                .failure(
                    .init(
                        code, host: host, detail: words,
                        verification: fabgate_curl_info_long(curl, handle, CURLINFO_SSL_VERIFYRESULT),
                        systemError: Int32(truncatingIfNeeded: fabgate_curl_info_long(curl, handle, CURLINFO_OS_ERRNO)))
                ))
        }
        guard isHeadComplete else {
            return completion(.failure(.init(.broken, host, "the answer was cut off in its headers; send it again")))
        }
        let status = fabgate_curl_info_long(curl, handle, CURLINFO_RESPONSE_CODE)
        completion(.success(.init(status: status, headers: headers, body: body)))
    }

    func cancel() { completion(.failure(.cancelled(host))) }

    // MARK: Options

    private var curl: UnsafePointer<fabgate_curl> { library.functions }

    private func setConnection(_ request: HTTPClient.Outgoing) {
        fabgate_curl_pointer(curl, handle, CURLOPT_ERRORBUFFER, message)
        fabgate_curl_text(curl, handle, CURLOPT_URL, request.url)
        fabgate_curl_text(curl, handle, CURLOPT_PROTOCOLS_STR, "http,https")
        fabgate_curl_long(curl, handle, CURLOPT_FOLLOWLOCATION, 0)
        fabgate_curl_long(curl, handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
        // What a service inherits in its environment must not redirect its secrets.
        fabgate_curl_text(curl, handle, CURLOPT_PROXY, "")
        fabgate_curl_long(curl, handle, CURLOPT_NOSIGNAL, 1)
        fabgate_curl_long(curl, handle, CURLOPT_TCP_KEEPALIVE, 1)
        fabgate_curl_long(curl, handle, CURLOPT_CONNECTTIMEOUT_MS, Int(max(1, request.connectTimeout.milliseconds)))
        fabgate_curl_long(curl, handle, CURLOPT_TIMEOUT_MS, Int(max(1, request.totalTimeout.milliseconds)))
        // Less than a byte a second for 30 s is a connection that hangs.
        fabgate_curl_long(curl, handle, CURLOPT_LOW_SPEED_LIMIT, 1)
        fabgate_curl_long(curl, handle, CURLOPT_LOW_SPEED_TIME, 30)

        fabgate_curl_long(curl, handle, CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        fabgate_curl_long(curl, handle, CURLOPT_SSL_VERIFYPEER, 1)
        fabgate_curl_long(curl, handle, CURLOPT_SSL_VERIFYHOST, 2)
        if let login = request.login {
            fabgate_curl_long(curl, handle, CURLOPT_HTTPAUTH, fabgate_curl_digest)
            fabgate_curl_text(curl, handle, CURLOPT_USERNAME, login.user)
            fabgate_curl_text(curl, handle, CURLOPT_PASSWORD, login.password)
        }
        guard let tls = request.tls else { return }
        if let file = tls.caFile {
            fabgate_curl_text(curl, handle, CURLOPT_CAINFO, file)
            // Debian's folder of authorities would be trusted beside the file.
            fabgate_curl_text(curl, handle, CURLOPT_CAPATH, nil)
        }
        if let file = tls.certFile { fabgate_curl_text(curl, handle, CURLOPT_SSLCERT, file) }
        if let file = tls.keyFile { fabgate_curl_text(curl, handle, CURLOPT_SSLKEY, file) }
    }

    private func setContent(_ request: HTTPClient.Outgoing) {
        var lines = request.headers.map { name, value in value.isEmpty ? "\(name);" : "\(name): \(value)" }
        // Waiting for "100 Continue" costs a second with servers that never say it, and no type is better than a wrong one.
        lines.append("Expect:")
        if !request.headers.contains(where: { $0.0.isSameName(as: "Content-Type") }) { lines.append("Content-Type:") }
        for line in lines { headerLines = curl.pointee.slist_append(headerLines, line) }
        fabgate_curl_pointer(curl, handle, CURLOPT_HTTPHEADER, headerLines)
        // Packed answers are unpacked on the way in; the limit below counts what comes out.
        fabgate_curl_text(curl, handle, CURLOPT_ACCEPT_ENCODING, "gzip, deflate")

        let isUpload = ["POST", "PUT", "PATCH"].contains(request.method)
        if let body = request.body ?? (isUpload ? [] : nil) {
            fabgate_curl_offset(curl, handle, CURLOPT_POSTFIELDSIZE_LARGE, body.count)
            body.withUnsafeBytes {
                // An empty body has no address; the copy of nothing needs one.
                _ = fabgate_curl_pointer(
                    curl, handle, CURLOPT_COPYPOSTFIELDS, $0.baseAddress ?? UnsafeRawPointer(message))
            }
        } else if request.method == "HEAD" {
            fabgate_curl_long(curl, handle, CURLOPT_NOBODY, 1)
        } else {
            fabgate_curl_long(curl, handle, CURLOPT_HTTPGET, 1)
        }
        if request.method != "HEAD" { fabgate_curl_text(curl, handle, CURLOPT_CUSTOMREQUEST, request.method) }

        let context = Unmanaged.passUnretained(self).toOpaque()
        fabgate_curl_write(
            curl, handle, CURLOPT_WRITEFUNCTION,
            { data, size, count, context in
                guard let data, let context else { return 0 }
                let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
                return transfer.receive(UnsafeRawBufferPointer(start: data, count: size * count))
            }, CURLOPT_WRITEDATA, context)
        fabgate_curl_write(
            curl, handle, CURLOPT_HEADERFUNCTION,
            { data, size, count, context in
                guard let data, let context else { return 0 }
                let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context).takeUnretainedValue()
                return transfer.receiveHeader(UnsafeRawBufferPointer(start: data, count: size * count))
            }, CURLOPT_HEADERDATA, context)
    }

    // MARK: What comes back

    /// Taking less than there is makes curl give up.
    private func receive(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard body.count + bytes.count <= limit else { return 0 }
        body.append(contentsOf: bytes)
        return bytes.count
    }

    private func receiveHeader(_ bytes: UnsafeRawBufferPointer) -> Int {
        let line = String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // Those before were of an interim answer (100, 103).
            headers = []
            isHeadComplete = false
        } else if line == "\r\n" || line == "\n" {
            isHeadComplete = true
        } else if let colon = line.firstIndex(of: ":") {
            headers.append((name: String(line[..<colon]), value: trimmed(line[line.index(after: colon)...])))
        }
        return headers.count <= 200 ? bytes.count : 0
    }

    private func trimmed(_ text: Substring) -> String {
        var text = text
        while let first = text.first, first.isWhitespace { text.removeFirst() }
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }

    // MARK: Checks

    /// Host and port of a URL, for messages; neither user nor password nor query.
    static func host(_ url: String) -> String {
        var rest = Substring(url)
        if let scheme = url.firstRange(of: "://") { rest = url[scheme.upperBound...] }
        rest = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        if let at = rest.lastIndex(of: "@") { rest = rest[rest.index(after: at)...] }
        return rest.isEmpty ? "(no host)" : String(rest)
    }

    /// A line break in a header or in the URL would start a line of its own.
    private static func check(_ request: HTTPClient.Outgoing, _ host: String) throws(HTTPClient.Failure) {
        func isClean(_ text: String) -> Bool { text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F } }
        guard isClean(request.url), isClean(request.method), !request.method.isEmpty else {
            throw .init(.badRequest, host, "the URL or the method holds a control character")
        }
        let scheme = request.url.prefix { $0 != ":" }.lowercased()
        guard scheme == "http" || scheme == "https" else {
            throw .init(.badRequest, host, "write the URL as http://… or https://…")
        }
        for (name, value) in request.headers where !isClean(name) || !isClean(value) || name.isEmpty {
            throw .init(
                .badRequest, host, "the header '\(name.filter { isClean(String($0)) })' holds a control character")
        }
    }
}
