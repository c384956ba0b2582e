// Between a gateway and its broker, to see when the gateway's first word about a message leaves it.

@preconcurrency import Glibc
import Ports

/// Passes the bytes of one connection on until the client has acknowledged a message.
final class IngestRelay {
    let port: UInt16
    private let broker: UInt16
    private let listener: Int32
    /// The connections to the client and to the broker; negative where none is open.
    private var ends: (client: Int32, server: Int32) = (-1, -1)

    init(to broker: UInt16) throws {
        self.broker = broker
        port = try FreePort.loopback()
        listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var reuse: Int32 = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        guard TCP.at(port, { bind(listener, $0, $1) }) == 0, listen(listener, 8) == 0 else {
            throw BenchFailure("cannot listen on port \(port): errno \(errno)")
        }
    }

    deinit {
        part()
        close(listener)
    }

    /// Waits for a client, and gives the time when its first acknowledgement of a message came out of it. After that
    /// nothing is passed on, but the connection stays until the next call, or the client would connect again.
    func awaitAcknowledgement() throws -> Double {
        part()
        try Self.await(listener)
        ends = (accept(listener, nil, nil), TCP.open(broker))
        let (client, server) = ends
        guard client >= 0, server >= 0 else { throw BenchFailure("cannot connect the gateway to its broker") }
        var packets = ClientPackets()
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while true {
            var both = [client, server].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&both, 2, 30_000) > 0 else { throw BenchFailure("the gateway acknowledges nothing for 30 s") }
            for (from, to) in [(both[0], server), (both[1], client)] where from.revents != 0 {
                let count = read(from.fd, &bytes, bytes.count)
                let time = Clock.monotonic
                guard count > 0 else { throw BenchFailure("the gateway and its broker have parted") }
                if from.fd == client, packets.hasAcknowledged(bytes[..<count]) { return time }
                guard write(to, bytes, count) == count else { throw BenchFailure("cannot pass on \(count) bytes") }
            }
        }
    }

    private func part() {
        for end in [ends.client, ends.server] where end >= 0 { close(end) }
        ends = (-1, -1)
    }

    private static func await(_ descriptor: Int32) throws {
        var wait = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, 30_000) > 0 else { throw BenchFailure("no gateway has connected for 30 s") }
    }
}

/// What a client sends, packet by packet (MQTT 3.1.1, 2.2): a byte whose upper half is the kind, the length of the rest in
/// up to four bytes of seven bits, low ones first, and the rest.
private struct ClientPackets {
    private var head: [UInt8] = []
    private var rest = 0

    /// Whether a PUBACK, kind 4, begins in these bytes, which follow those before.
    mutating func hasAcknowledged(_ bytes: ArraySlice<UInt8>) -> Bool {
        var bytes = bytes
        while !bytes.isEmpty {
            let skipped = min(rest, bytes.count)
            bytes = bytes.dropFirst(skipped)
            rest -= skipped
            guard let byte = bytes.popFirst() else { return false }
            head.append(byte)
            if head[0] >> 4 == 4 { return true }
            guard head.count > 1, byte < 0x80 else { continue }
            rest = head.dropFirst().reversed().reduce(0) { $0 << 7 | Int($1 & 0x7F) }
            head = []
        }
        return false
    }
}
