@preconcurrency import Glibc
import Model
import Ports
import Testing

@Suite struct EventStreamTests {
    private static func server(_ stream: EventStream, _ limits: HTTPLimits = HTTPLimits()) throws -> HTTPServer {
        try HTTPServer(address: "127.0.0.1", port: 0, limits: limits) { request, reply in
            reply.send(HTTPResponse(body: .events(stream, after: request.lastEventID)))
        }
    }

    /// A listener that has read the preface, so that it is attached. In HTTP/1.0, where no chunk sizes stand in between.
    private static func listener(
        _ server: HTTPServer, _ target: String = "/", headers: String = "", receiveBuffer: CInt? = nil
    ) throws -> HTTPRawClient {
        let client = try HTTPRawClient(port: server.port, receiveBuffer: receiveBuffer)
        client.send("GET \(target) HTTP/1.0\r\n\(headers)\r\n")
        let head = try client.head()
        try #require(head.status == 200)
        #expect(head.headers.contains { $0 == ("Content-Type", "text/event-stream") })
        _ = try client.read(until: "retry: 3000\n\n")
        return client
    }

    /// The next event; heartbeats between events are skipped.
    private static func event(_ client: HTTPRawClient) throws -> String {
        while true {
            let text = try client.read(until: "\n\n")
            if text.hasPrefix("id: ") { return String(text.dropLast(2)) }
        }
    }

    @Test func reachesEveryClient() throws {
        let stream = EventStream(firstID: 500)
        let server = try Self.server(stream)
        defer { server.stop() }
        let clients = [try Self.listener(server), try Self.listener(server)]
        #expect(stream.clients == 2)
        #expect(stream.publish(event: "state", data: Array("{\"a\":1}".utf8)) == 500)
        #expect(stream.publish(event: "two\nlines", data: Array("x\r\ny\nz".utf8)) == 501)
        for client in clients {
            #expect(try Self.event(client) == "id: 500\nevent: state\ndata: {\"a\":1}")
            #expect(try Self.event(client) == "id: 501\nevent: twolines\ndata: x\ndata: y\ndata: z")
        }
        stream.heartbeat()
        for client in clients { _ = try client.read(until: ":\n\n") }
        stream.close()
        for client in clients { #expect(try client.readToEnd() == "") }
        #expect(stream.clients == 0)
        let late = try HTTPRawClient(port: server.port).get("/")
        #expect(late.status == 503)
        #expect(late.header("Retry-After") == "30")
    }

    @Test func givesWhatWasMissed() throws {
        let stream = EventStream(history: 10, firstID: 100)
        let server = try Self.server(stream)
        defer { server.stop() }
        for number in 100..<120 { stream.publish(event: "n", data: Array("\(number)".utf8)) }
        func first(_ target: String, _ headers: String = "") throws -> String {
            try Self.event(try Self.listener(server, target, headers: headers))
        }
        // The history holds 110 to 119.
        #expect(try first("/", "Last-Event-ID: 115\r\n") == "id: 116\nevent: n\ndata: 116")
        #expect(try first("/?after=109") == "id: 110\nevent: n\ndata: 110")
        #expect(try first("/?after=108") == "id: 119\nevent: reset\ndata: {}")
        #expect(try first("/?after=0") == "id: 119\nevent: reset\ndata: {}")
        #expect(try first("/?after=120") == "id: 119\nevent: reset\ndata: {}")
        #expect(try first("/?after=18446744073709551615") == "id: 119\nevent: reset\ndata: {}")

        let client = try Self.listener(server, "/?after=117")
        #expect(try Self.event(client) == "id: 118\nevent: n\ndata: 118")
        #expect(try Self.event(client) == "id: 119\nevent: n\ndata: 119")
        stream.publish(event: "n", data: Array("new".utf8))
        #expect(try Self.event(client) == "id: 120\nevent: n\ndata: new")
        let upToDate = try Self.listener(server, "/?after=120")
        stream.publish(event: "n", data: Array("newer".utf8))
        #expect(try Self.event(upToDate) == "id: 121\nevent: n\ndata: newer")
        let reset = try Self.listener(server, "/?after=1")
        _ = try Self.event(reset)
        stream.publish(event: "n", data: Array("newest".utf8))
        #expect(try Self.event(reset) == "id: 122\nevent: n\ndata: newest")
    }

    @Test func historyIsBoundedInBytes() throws {
        let stream = EventStream(history: 1000, historyBytes: 1000)
        let server = try Self.server(stream)
        defer { server.stop() }
        for _ in 0..<10 { stream.publish(event: "big", data: [UInt8](repeating: 0x61, count: 400)) }
        #expect(try Self.event(try Self.listener(server, "/?after=7")).hasPrefix("id: 10\nevent: reset"))
        #expect(try Self.event(try Self.listener(server, "/?after=8")).hasPrefix("id: 9\nevent: big"))
    }

    /// A replay may be longer than what a live client may leave unread.
    @Test func replaysMoreThanTheCap() throws {
        let stream = EventStream(history: 1000, clientBytes: 10_000)
        let server = try Self.server(stream)
        defer { server.stop() }
        let data = [UInt8](repeating: 0x62, count: 100)
        for _ in 0..<900 { stream.publish(event: "e", data: data) }
        let client = try Self.listener(server, "/?after=1")
        for number in 2...900 { #expect(try Self.event(client).hasPrefix("id: \(number)\n")) }
        #expect(stream.dropped == 0)
    }

    @Test func dropsASlowClientAlone() throws {
        let stream = EventStream(clientBytes: 64 * 1024)
        let server = try Self.server(stream)
        defer { server.stop() }
        let slow = try Self.listener(server, receiveBuffer: 4096)
        let quick = try Self.listener(server)
        let data = [UInt8](repeating: 0x63, count: 20_000)
        var published: UInt64 = 0
        while stream.dropped == 0, published < 5000 {
            published = stream.publish(event: "e", data: data)
            #expect(try Self.event(quick).hasPrefix("id: \(published)\n"))
        }
        #expect(stream.dropped == 1)
        #expect(stream.clients == 1)
        // It is not left hanging either.
        _ = try slow.readToEnd()
        #expect(eventually { server.connections == 1 })
        stream.publish(event: "last", data: [])
        #expect(try Self.event(quick) == "id: \(published + 1)\nevent: last\ndata: ")
    }

    @Test func noticesAClientThatLeft() throws {
        let stream = EventStream()
        let server = try Self.server(stream)
        defer { server.stop() }
        do {
            let client = try Self.listener(server)
            #expect(stream.clients == 1)
            _ = client
        }
        #expect(
            eventually {
                stream.heartbeat()
                return stream.clients == 0 && server.openRequests == 0
            })
    }

    @Test func limitsClients() throws {
        let stream = EventStream()
        var limits = HTTPLimits()
        limits.eventClients = 2
        let server = try Self.server(stream, limits)
        defer { server.stop() }
        let first = try Self.listener(server)
        let second = try Self.listener(server)
        let third = try HTTPRawClient(port: server.port)
        let refused = try third.get("/")
        #expect(refused.status == 503)
        #expect(refused.header("Retry-After") == "30")
        #expect(stream.clients == 2)
        stream.publish(event: "e", data: [])
        for client in [first, second] { _ = try Self.event(client) }
    }

    @Test func manyClientsComeAndGo() throws {
        let stream = EventStream()
        var limits = HTTPLimits()
        limits.eventClients = 64
        let server = try Self.server(stream, limits)
        defer { server.stop() }
        let worker = Worker(name: "publisher")
        defer { worker.stop() }
        worker.run { for _ in 0..<20_000 { stream.publish(event: "e", data: Array("{\"x\":1}".utf8)) } }
        for _ in 0..<10 {
            let clients = try (0..<20).map { _ in try Self.listener(server) }
            _ = clients
        }
        #expect(
            eventually {
                stream.heartbeat()
                return stream.clients == 0 && server.openRequests == 0
            })
    }
}
