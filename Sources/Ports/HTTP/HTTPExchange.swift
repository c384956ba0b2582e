internal import CMicroHTTPD
@preconcurrency internal import Glibc
internal import Model

/// One request on its way through the library. Made when its target was read, gone when the library says that the
/// request is over, whatever became of it; touched by the server's thread alone.
///
///     target → head (checked) → body, in pieces → handler → [suspended until the answer is there] → answer
final class HTTPExchange {
    private enum Phase {
        case head
        case body(HTTPRequest)
        case asked
    }

    private let server: HTTPServerCore
    private var head = HTTPHead()
    private var phase = Phase.head
    private var body: [UInt8] = []
    /// Why the body is not kept any more; said when it has passed, since the library takes no answer in the middle.
    private var refusal: HTTPRefusal?
    private var passed = 0
    private let slot = HTTPReplySlot()

    init(_ server: HTTPServerCore, target: [UInt8]) {
        self.server = server
        head.target = target
    }

    /// The library's access handler: called with the head, with each piece of the body, at its end, and again when a
    /// suspended connection was resumed.
    func proceed(
        _ connection: OpaquePointer, method: UnsafePointer<CChar>, version: UnsafePointer<CChar>,
        data: UnsafePointer<CChar>?, count: UnsafeMutablePointer<Int>
    ) -> MHD_Result {
        switch phase {
        case .head:
            do {
                phase = .body(try readHead(connection, method, version))
                // Answering now would close the connection: the library takes it for a refusal of the body. So also a
                // request without one is answered in the next call, which follows at once.
                return .YES
            } catch {
                return HTTPAnswer.queue(error.response, connection, server)
            }
        case .body(let request):
            guard count.pointee == 0 else {
                defer { count.pointee = 0 }
                return keep(UnsafeRawBufferPointer(start: data, count: count.pointee))
            }
            server.requestIsComplete(connection)
            phase = .asked
            return ask(request, connection)
        case .asked:
            return answer(connection)
        }
    }

    /// The library is done with the request.
    func complete() {
        slot.close()
        server.forget(slot)
        server.release(bodyBytes: body.count)
        body = []
    }

    private func readHead(
        _ connection: OpaquePointer, _ method: UnsafePointer<CChar>, _ version: UnsafePointer<CChar>
    ) throws(HTTPRefusal) -> HTTPRequest {
        head.method = bytes(method, strlen(method))
        head.version = bytes(version, strlen(version))
        // The library measures its block from the method on, so this stays inside its memory.
        head.block = bytes(method, fabgate_mhd_head_bytes(connection))
        withUnsafeMutablePointer(to: &head.headers) { headers in
            _ = MHD_get_connection_values_n(
                connection, .HEADER_KIND,
                { headers, _, name, nameCount, value, valueCount in
                    headers?.assumingMemoryBound(to: [(name: [UInt8], value: [UInt8])].self).pointee
                        .append((name: bytes(name, nameCount), value: bytes(value, valueCount)))
                    return .YES
                }, headers)
        }
        let request = try head.request(server.limits, from: HTTPAddress.text(fabgate_mhd_client(connection)))
        if let length = head.contentLength {
            guard length <= server.limits.bodyBytes else { throw tooLarge }
            body.reserveCapacity(min(length, 64 * 1024))
        }
        return request
    }

    private var tooLarge: HTTPRefusal {
        HTTPRefusal(
            413, "Content too large", "The body of a request may have \(server.limits.bodyBytes) bytes; split it.")
    }

    private func keep(_ piece: UnsafeRawBufferPointer) -> MHD_Result {
        passed += piece.count
        if refusal == nil {
            if passed > server.limits.bodyBytes {
                refusal = tooLarge
            } else if !server.reserve(bodyBytes: piece.count) {
                refusal = HTTPRefusal(503, "Not now", "Too many uploads at once; send it again in a few seconds.")
            } else {
                body.append(contentsOf: piece)
                return .YES
            }
            server.release(bodyBytes: body.count)
            body = []
        }
        // A sender of endless chunks gets no second chance to hear why.
        return passed > 2 * server.limits.bodyBytes ? .NO : .YES
    }

    private func ask(_ request: HTTPRequest, _ connection: OpaquePointer) -> MHD_Result {
        if let refusal { return HTTPAnswer.queue(refusal.response, connection, server) }
        var request = request
        request.body = body
        server.handler(request, HTTPReply(slot))
        return answer(connection)
    }

    private func answer(_ connection: OpaquePointer) -> MHD_Result {
        guard server.expect(slot) else {
            return HTTPAnswer.queue(.unavailable("The server is stopping.", retryAfter: 5), connection, server)
        }
        guard let response = slot.take(orSuspend: connection) else { return .YES }
        server.forget(slot)
        return HTTPAnswer.queue(response, connection, server)
    }
}

private func bytes(_ start: UnsafePointer<CChar>?, _ count: Int) -> [UInt8] {
    [UInt8](UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
}
