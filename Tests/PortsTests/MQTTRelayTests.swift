// What comes straight from the broker's socket: in any pieces, too long, not well made; and the limits that a broker gets.

@preconcurrency import Glibc
import Model
import Ports
import Testing

@Suite(.timeLimit(.minutes(2))) struct MQTTRelayTests {
    private static func publish(_ topic: String, _ payload: [UInt8], number: UInt16?) -> [UInt8] {
        let name = Array(topic.utf8)
        var body = [UInt8(name.count >> 8), UInt8(name.count & 255)] + name
        if let number { body += [UInt8(number >> 8), UInt8(number & 255)] }
        body += payload
        var packet: [UInt8] = [number == nil ? 0x30 : 0x32]
        var length = body.count
        repeat {
            packet.append(UInt8(length & 127) | (length > 127 ? 128 : 0))
            length >>= 7
        } while length > 0
        return packet + body
    }

    /// A client and a broker by hand; `run` is called once the client has subscribed.
    /// It ends when so many acknowledgements have come, or `body` says so.
    private func converse(
        until expected: Int = 0, _ body: @escaping (Loop, FakeBroker, Inbox) -> Void
    ) throws -> (Int32, Inbox, FakeBroker) {
        let loop = try Loop()
        loop.after(.seconds(30)) { loop.stop(99) }
        let fake = try FakeBroker(loop)
        let reader = Inbox(loop, port: fake.port, id: "reader", subscriptions: ["t"])
        var acknowledgements = 0
        fake.onPacket = { kind in
            switch kind {
            case 0x10: fake.send([0x20, 0x02, 0x00, 0x00])
            case 0x80:
                fake.send([0x90, 0x03, 0x00, 0x01, 0x01])
                body(loop, fake, reader)
            case 0x40:
                acknowledgements += 1
                if acknowledgements == expected { loop.stop(0) }
            default: break
            }
        }
        return (loop.run(), reader, fake)
    }

    @Test func packetsMayComeInAnyPieces() throws {
        let texts = (0..<39).map { String(repeating: "x", count: $0 * 9) + "\($0)" }
        let wire = texts.enumerated().flatMap { index, text in
            Self.publish("t/\(index)", Array(text.utf8), number: index % 2 == 0 ? UInt16(index + 1) : nil)
                // An answer to a ping that nobody sent, for libmosquitto, between the others.
                + (index % 7 == 0 ? [0xD0, 0x00] : [])
        }
        for seed in UInt64(1)...5 {
            var random = SplitMix(seed: seed)
            let (status, reader, fake) = try converse(until: (texts.count + 1) / 2) { loop, fake, _ in
                var rest = wire[...]
                func more() {
                    let count = min(rest.count, Int.random(in: 1...200, using: &random))
                    fake.send(Array(rest.prefix(count)))
                    rest = rest.dropFirst(count)
                    if !rest.isEmpty { loop.after(.zero, more) }
                }
                more()
            }
            #expect(status == 0, "seed \(seed)")
            #expect(reader.received.map(\.text) == texts, "seed \(seed)")
            #expect(reader.received.map(\.topic) == texts.indices.map { "t/\($0)" })
            // PUBACK of each second one, in their order.
            let acknowledged = fake.received.indices.filter {
                fake.received[$0] == 0x40 && $0 + 3 < fake.received.count && fake.received[$0 + 1] == 2
            }
            #expect(acknowledged.map { Int(fake.received[$0 + 3]) } == stride(from: 1, to: 41, by: 2).map { $0 })
        }
    }

    /// What is too long is thrown away as it comes, acknowledged, counted, and what follows is read.
    @Test(arguments: [MQTTClient.longestPayload + 1, 3 << 20]) func longPayloadsAreThrownAway(size: Int) throws {
        let long = Self.publish("t", [UInt8](repeating: 7, count: size), number: 5)
        let (status, reader, fake) = try converse { loop, fake, reader in
            reader.onMessage = { _ in loop.after(.milliseconds(50)) { loop.stop(0) } }
            var rest = long[...]
            func more() {
                fake.send(Array(rest.prefix(60_000)))
                rest = rest.dropFirst(60_000)
                loop.after(.milliseconds(1)) {
                    if rest.isEmpty { fake.send(Self.publish("t", [0x79], number: nil)) } else { more() }
                }
            }
            more()
        }
        #expect(status == 0)
        #expect(reader.received.map(\.text) == ["y"])
        #expect(reader.client?.oversized == 1)
        #expect(fake.received.suffix(4) == [0x40, 2, 0, 5])
    }

    @Test(arguments: [
        // A topic that is longer than its packet.
        [0x32, 0x04, 0x00, 0x09, 0x74, 0x00] as [UInt8],
        // No topic.
        [0x30, 0x03, 0x00, 0x00, 0x41],
        // A length of five bytes.
        [0x30, 0xFF, 0xFF, 0xFF, 0xFF, 0x01],
    ]) func whatIsNotWellMadeEndsTheConnection(bytes: [UInt8]) throws {
        let (status, reader, _) = try converse { loop, fake, reader in
            reader.onConnection = { up, _ in if !up { loop.stop(0) } }
            fake.send(bytes)
        }
        #expect(status == 0)
        #expect(reader.received.isEmpty)
    }

    /// The limits that a gateway ships: mosquitto takes the file, and a payload over the limit reaches nobody.
    @Test func mosquittoTakesOurLimits() throws {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let file = try #require(fopen("/\(root)/deploy/mosquitto.d/fabgate.conf", "r"))
        defer { fclose(file) }
        var text = [UInt8](repeating: 0, count: 65_536)
        text.removeLast(text.count - fread(&text, 1, text.count, file))
        let limits = String(decoding: text, as: UTF8.self)
        #expect(limits.contains("\nmessage_size_limit \(MQTTClient.longestPayload)\n"))
        let loop = try Loop()
        loop.after(.seconds(30)) { loop.stop(99) }
        let broker = try Broker("allow_anonymous true\n\(limits)")
        defer { broker.end() }
        let client = Inbox(loop, port: broker.port, id: "gateway", subscriptions: ["t"])
        client.onMessage = { if $0.text == "end" { loop.stop(0) } }
        client.onConnection = { up, _ in
            guard up else { return }
            let file = broker.folder.path + "/long"
            #expect(throws: Never.self) {
                _ = try broker.folder.write("long", [UInt8](repeating: 120, count: MQTTClient.longestPayload + 1))
                let arguments = ["-h", "127.0.0.1", "-p", "\(broker.port)", "-t", "t", "-q", "1", "-f", file]
                try ChildProcess("mosquitto_pub", arguments).onExit(loop) { _ in #expect(client.publish("t", "end")) }
            }
        }
        #expect(loop.run() == 0)
        #expect(client.received.map(\.text) == ["end"])
        #expect(client.client?.oversized == 0)
    }
}
