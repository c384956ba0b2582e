// Against a real mosquitto: what is acknowledged has been committed, and a broker that goes away comes back.

@preconcurrency import Glibc
import Model
import Ports
import Testing

@Suite(.timeLimit(.minutes(2))) struct MQTTClientTests {
    private func makeLoop() throws -> Loop {
        let loop = try Loop()
        loop.after(.seconds(30)) { loop.stop(99) }
        return loop
    }

    @Test(arguments: MQTTVersion.allCases, [0, 1, 2])
    func messagesComeInOrderAndAreCommittedInGroups(version: MQTTVersion, qos: Int) throws {
        let loop = try makeLoop()
        let broker = try Broker()
        defer { broker.end() }
        let reader = Inbox(loop, port: broker.port, id: "reader", version: version, subscriptions: ["lab/+/power"])
        let writer = Inbox(loop, port: broker.port, id: "writer", version: version)
        let count = 300
        var sent = 0
        func send() {
            while sent < count, writer.publish("lab/laser\(sent % 7)/power", "\(sent)", qos: qos) { sent += 1 }
            if sent < count { loop.after(.milliseconds(1), send) }
        }
        reader.onConnection = { up, _ in if up { loop.after(.milliseconds(50), send) } }
        reader.onDrained = { if reader.received.count == count { loop.stop(0) } }
        #expect(loop.run() == 0)
        let expected = (0..<count).map { Inbox.Message(topic: "lab/laser\($0 % 7)/power", text: "\($0)") }
        #expect(reader.received == expected)
        #expect(reader.drains >= 1 && reader.drains <= count)
    }

    /// A client that breaks before it has committed gets the same messages again; one that has committed does not.
    @Test(arguments: MQTTVersion.allCases) func whatWasNotCommittedComesAgain(version: MQTTVersion) throws {
        let loop = try makeLoop()
        let broker = try Broker()
        defer { broker.end() }
        let texts = (0..<5).map { "m\($0)" }
        let writer = Inbox(loop, port: broker.port, id: "writer", version: version)
        let reader = Inbox(loop, port: broker.port, id: "reader", version: version, subscriptions: ["t"])
        reader.onConnection = { up, _ in
            if up, reader.received.isEmpty {
                loop.after(.milliseconds(50)) { for text in texts { #expect(writer.publish("t", text)) } }
            }
        }
        var breaks = 0
        reader.onMessage = { message in
            guard message.text == "m0", breaks < 2 else { return }
            breaks += 1
            reader.client?.dropUnacknowledged()
        }
        var firstRounds: [String] = []
        reader.onDrained = {
            if breaks < 2 || !firstRounds.contains("second") {
                if breaks == 2 { firstRounds.append("second") }
                return
            }
            if reader.received.last?.text == "m4" { loop.after(.milliseconds(100)) { loop.stop(0) } }
        }
        #expect(loop.run() == 0)
        // Twice broken at m0, the third time all of them, each once.
        #expect(reader.received.suffix(5).map(\.text) == texts)
        #expect(reader.received.filter { $0.text == "m0" }.count == 3)

        // All of them were acknowledged now: the next connection gets none.
        let seen = reader.received.count
        reader.onConnection = { up, reason in
            guard up else { return }
            #expect(reason.contains("kept our session"))
            loop.after(.milliseconds(200)) { loop.stop(0) }
        }
        reader.client?.dropUnacknowledged()
        #expect(loop.run() == 0)
        #expect(reader.received.count == seen)
    }

    /// While a disk refuses, nothing that was read comes again over the same connection; once it is committed, nothing
    /// comes over the next one either.
    @Test(arguments: MQTTVersion.allCases, [true, false])
    func whatIsWithheldComesAgainOnlyIfItWasNeverCommitted(version: MQTTVersion, isCommitted: Bool) throws {
        let loop = try makeLoop()
        let broker = try Broker()
        defer { broker.end() }
        let texts = (0..<12).map { "m\($0)" }
        let writer = Inbox(loop, port: broker.port, id: "writer", version: version)
        let reader = Inbox(loop, port: broker.port, id: "reader", version: version, subscriptions: ["t"])
        reader.onConnection = { up, _ in
            if up { loop.after(.milliseconds(50)) { for text in texts { #expect(writer.publish("t", text)) } } }
        }
        reader.onDrained = {
            reader.client?.withhold()
            if reader.received.count == texts.count { loop.after(.milliseconds(300)) { loop.stop(0) } }
        }
        #expect(loop.run() == 0)
        #expect(reader.received.map(\.text) == texts)
        #expect(reader.connections.count == 1 && reader.client?.isWithholding == true)

        if isCommitted { reader.client?.acknowledge() }
        reader.onDrained = {}
        reader.onConnection = { up, _ in if up { loop.after(.milliseconds(300)) { loop.stop(0) } } }
        loop.after(.milliseconds(100)) { reader.client?.dropUnacknowledged() }
        #expect(loop.run() == 0)
        #expect(reader.received.map(\.text) == (isCommitted ? texts : texts + texts))
    }

    /// On the wire: what is said meanwhile leaves, and the acknowledgements with the next word that all is committed.
    @Test func acknowledgementsThatAreWithheldLeaveTogether() throws {
        let loop = try makeLoop()
        let fake = try FakeBroker(loop)
        let reader = Inbox(loop, port: fake.port, id: "reader", subscriptions: ["t"])
        var kinds: [UInt8] = []
        fake.handOverThree { kind in
            kinds.append(kind)
            // The word that was said meanwhile is here: there is time for more to come.
            if kind == 0x30 { loop.after(.milliseconds(100)) { reader.client?.acknowledge() } }
            if kinds.count == 4 { loop.stop(0) }
        }
        reader.onDrained = {
            reader.client?.withhold()
            #expect(reader.publish("answer", "x", qos: 0))
        }
        #expect(loop.run() == 0)
        #expect(kinds == [0x30, 0x40, 0x40, 0x40])
        #expect(fake.received.suffix(12) == [0x40, 2, 0, 1, 0x40, 2, 0, 2, 0x40, 2, 0, 3])
    }

    /// On the wire: as long as `onDrained` has not returned, not one byte of an acknowledgement has left.
    @Test func acknowledgementsLeaveAfterTheCommit() throws {
        let loop = try makeLoop()
        let fake = try FakeBroker(loop)
        let reader = Inbox(loop, port: fake.port, id: "reader", subscriptions: ["t"])
        var kinds: [UInt8] = []
        fake.handOverThree { kind in
            kinds.append(kind)
            if kinds.count == 6 { loop.stop(0) }
        }
        reader.onMessage = { _ in
            #expect(fake.waiting == 0)
            // What is published meanwhile waits for the commit, too.
            #expect(reader.publish("answer", "x", qos: 0))
        }
        reader.onDrained = { #expect(fake.waiting == 0) }
        #expect(loop.run() == 0)
        #expect(reader.committed.count == 3)
        #expect(reader.drains == 1)
        // PUBACK and PUBLISH, three of each.
        #expect(kinds.sorted() == [0x30, 0x30, 0x30, 0x40, 0x40, 0x40])
    }

    @Test(arguments: [(MQTTVersion.v5, 1), (.v311, 2)])
    func retainedMessagesComeAgainOnlyWhereTheProtocolKnowsNoBetter(version: MQTTVersion, times: Int) throws {
        let loop = try makeLoop()
        let broker = try Broker()
        defer { broker.end() }
        let reader = Inbox(loop, port: broker.port, id: "reader", version: version, subscriptions: ["r/#"])
        let writer = Inbox(loop, port: broker.port, id: "writer")
        writer.onConnection = { up, _ in if up { #expect(writer.publish("r/x", "kept", retain: true)) } }
        var connections = 0
        reader.onConnection = { up, _ in
            guard up else { return }
            connections += 1
            if connections == 1 { loop.after(.milliseconds(300)) { reader.client?.dropUnacknowledged() } }
            if connections == 2 { loop.after(.milliseconds(300)) { loop.stop(0) } }
        }
        #expect(loop.run() == 0)
        #expect(reader.received.map(\.text) == Array(repeating: "kept", count: times))
    }

    @Test func aBrokerMayBeAbsentAndGoAway() throws {
        let loop = try makeLoop()
        let broker = try Broker(starts: false)
        defer { broker.end() }
        let client = Inbox(loop, port: broker.port, id: "gateway", subscriptions: ["t"])
        var ups = 0
        client.onConnection = { up, _ in
            switch (up, client.connections.count) {
            case (false, 1):
                #expect(!client.publish("t", "into nothing"))
                // Several refused attempts are one report.
                loop.after(.milliseconds(1500)) { #expect(throws: Never.self) { try broker.start() } }
            case (true, _):
                ups += 1
                if ups == 1 { broker.stop() } else { loop.stop(0) }
            default: if ups == 1, client.connections.count == 3 { #expect(throws: Never.self) { try broker.start() } }
            }
        }
        #expect(loop.run() == 0)
        let place = "mqtt test (127.0.0.1:\(broker.port))"
        #expect(
            client.connections.first
                == "down: nothing listens at \(place): connection refused; is the broker running, and is the port right?"
        )
        #expect(client.connections.dropFirst().first == "up: \(place) accepted us")
        #expect(client.connections.dropFirst(2).first?.hasPrefix("down: \(place) closed the connection") == true)
        #expect(client.connections.last?.hasPrefix("up: ") == true)
    }

    @Test(arguments: MQTTVersion.allCases) func aRefusedLoginSaysWhatToCheck(version: MQTTVersion) throws {
        let loop = try makeLoop()
        let broker = try Broker("allow_anonymous false")
        defer { broker.end() }
        let client = Inbox(loop, port: broker.port, id: "gateway", version: version) {
            $0.username = "gateway"
            $0.password = "wrong"
        }
        client.onConnection = { _, _ in loop.stop(0) }
        #expect(loop.run() == 0)
        #expect(client.connections.count == 1)
        #expect(client.connections.first?.contains("refuses us") == true, "\(client.connections)")
        #expect(client.connections.first?.contains("check username and password_file") == true)
    }

    @Test func subscriptionsChangeWhileConnected() throws {
        let loop = try makeLoop()
        let broker = try Broker()
        defer { broker.end() }
        let client = Inbox(loop, port: broker.port, id: "gateway", subscriptions: ["a", "b", "not/#/valid"])
        client.onConnection = { up, _ in
            guard up else { return }
            client.client?.subscriptions = ["b", "c"]
            // Told in order: the broker has changed the subscriptions before it sees these.
            for topic in ["a", "b", "c"] { #expect(client.publish(topic, topic)) }
        }
        client.onMessage = { if $0.topic == "c" { loop.stop(0) } }
        #expect(loop.run() == 0)
        #expect(client.received.map(\.topic) == ["b", "c"])
    }

    @Test func longMessagesAreDroppedAndCounted() throws {
        let loop = try makeLoop()
        let broker = try Broker()
        defer { broker.end() }
        let client = Inbox(loop, port: broker.port, id: "gateway", subscriptions: ["t"])
        let fits = String(repeating: "x", count: MQTTClient.longestPayload)
        client.onConnection = { up, _ in
            guard up else { return }
            #expect(client.publish("t", fits))
            #expect(!client.publish("t", fits + "x"))
        }
        client.onMessage = { message in
            if message.text == "end" { return loop.stop(0) }
            // It has come back: the broker knows the subscription.
            let file = broker.folder.path + "/long"
            #expect(throws: Never.self) {
                _ = try broker.folder.write("long", [UInt8](repeating: 120, count: MQTTClient.longestPayload + 1))
                let arguments = ["-h", "127.0.0.1", "-p", "\(broker.port)", "-t", "t", "-q", "1", "-f", file]
                try ChildProcess("mosquitto_pub", arguments).onExit(loop) { status in
                    #expect(status == 0)
                    #expect(client.publish("t", "end"))
                }
            }
        }
        #expect(loop.run() == 0)
        #expect(client.received.map(\.text.utf8.count) == [fits.utf8.count, 3])
        #expect(client.client?.oversized == 1)
    }

    @Test func theWillIsSaidWhenTheConnectionBreaksAndNotAfterGoodbye() throws {
        let loop = try makeLoop()
        let broker = try Broker()
        defer { broker.end() }
        let watcher = Inbox(loop, port: broker.port, id: "watcher", subscriptions: ["online/#"])
        var clients: [Inbox] = []
        watcher.onConnection = { up, _ in
            guard up else { return }
            for name in ["polite", "broken"] {
                let client = Inbox(loop, port: broker.port, id: name) {
                    $0.will = MQTTWill(topic: "online/\(name)", payload: Array("gone".utf8))
                }
                client.onConnection = { up, _ in
                    guard up else { return }
                    if name == "polite" { client.client?.close() } else { client.client?.dropUnacknowledged() }
                    client.onConnection = { _, _ in }
                }
                clients.append(client)
            }
        }
        watcher.onMessage = { _ in loop.after(.milliseconds(200)) { loop.stop(0) } }
        #expect(loop.run() == 0)
        #expect(watcher.received.map(\.topic) == ["online/broken"])
    }

    @Test func theBrokersCertificateIsChecked() throws {
        let folder = try TemporaryFolder()
        let file = { (name: String) in folder.path + "/" + name }
        func openssl(_ arguments: String) throws {
            let words = arguments.replacing("FOLDER", with: folder.path).split(separator: " ").map(String.init)
            let status = try ChildProcess("openssl", words, output: .file(file("log"))).wait()
            try #require(status == 0)
        }
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
        for name in ["ca", "other"] {
            try openssl("req -x509 \(key) -keyout FOLDER/\(name).key -out FOLDER/\(name).crt -days 2 -subj /CN=\(name)")
        }
        _ = try folder.write("san", Array("subjectAltName=DNS:localhost".utf8))
        for name in ["localhost", "gateway"] {
            try openssl("req \(key) -keyout FOLDER/\(name).key -out FOLDER/\(name).csr -subj /CN=\(name)")
            try openssl(
                "x509 -req -in FOLDER/\(name).csr -CA FOLDER/ca.crt -CAkey FOLDER/ca.key -CAcreateserial -days 2"
                    + " -out FOLDER/\(name).crt -extfile FOLDER/san")
        }
        let broker = try Broker(
            """
            allow_anonymous true
            require_certificate true
            cafile FOLDER/ca.crt
            certfile FOLDER/localhost.crt
            keyfile FOLDER/localhost.key
            """, folder: folder)
        defer { broker.end() }
        let own = MQTTTLS(caFile: file("ca.crt"), certFile: file("gateway.crt"), keyFile: file("gateway.key"))
        let cases: [(name: String, host: String, tls: MQTTTLS, expected: String)] = [
            ("right", "localhost", own, "up: "),
            ("wrong authority", "localhost", MQTTTLS(caFile: file("other.crt")), "certificate verify failed"),
            ("wrong name", "127.0.0.1", own, "certificate verify failed"),
            ("no certificate", "localhost", MQTTTLS(caFile: file("ca.crt")), "down: "),
            ("no file", "localhost", MQTTTLS(caFile: file("none.crt")), "cannot use its TLS files"),
        ]
        for test in cases {
            let loop = try makeLoop()
            let client = Inbox(loop, port: broker.port, id: "gateway") {
                $0.host = test.host
                $0.tls = test.tls
            }
            client.onConnection = { _, _ in loop.stop(0) }
            #expect(loop.run() == 0)
            client.client?.close()
            #expect(client.connections.first?.contains(test.expected) == true, "\(test.name): \(client.connections)")
        }
    }

    /// The system does not answer, as behind a firewall: the loop goes on.
    @Test func aSilentHostDoesNotHoldTheLoop() throws {
        let loop = try makeLoop()
        let listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        // One connection fills the queue of a listener without any; the kernel drops the next ones' packets.
        var fillers: [CInt] = []
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length)
                getsockname(listener, $0, &length)
                listen(listener, 0)
                for _ in 0..<4 {
                    let filler = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue), 0)
                    _ = connect(filler, $0, length)
                    fillers.append(filler)
                }
            }
        }
        let client = Inbox(loop, port: UInt16(bigEndian: address.sin_port), id: "gateway")
        var ticks = 0
        func tick() {
            ticks += 1
            if ticks == 50 { loop.stop(0) } else { loop.after(.milliseconds(5), tick) }
        }
        tick()
        let start = SystemClock.realNow().moment
        #expect(loop.run() == 0)
        #expect(SystemClock.realNow().moment - start < .seconds(5))
        #expect(client.connections.isEmpty)
        client.client?.close()
        for descriptor in fillers + [listener] { close(descriptor) }
    }
}
