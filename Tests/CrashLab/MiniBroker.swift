// The broker's end of MQTT 3.1.1 for one gateway, with an exact record of what was acknowledged.

@preconcurrency import Glibc
import Ports

/// Sends numbered messages at QoS 1 to whoever subscribes, a few at a time, and again what was not acknowledged when the
/// gateway comes back, as a broker does with a session that it kept. One thread; the owner calls `serve`.
final class MiniBroker {
    let port: UInt16
    /// Messages by number: `topic` and `payload` are made from it.
    private let message: (Int) -> (topic: String, payload: String)
    private let listener: CInt
    private var connection: CInt = -1
    private var input: [UInt8] = []
    private var isSubscribed = false
    private var hasSession = false
    /// Sent so far, in order: 0..<sent.
    private(set) var sent = 0
    private(set) var acknowledged = Set<Int>()
    /// Sent more than once.
    private(set) var redelivered = Set<Int>()
    private var inFlight = Set<Int>()
    /// How many messages may be sent in all.
    var limit = 0
    private static let window = 4
    /// Between two bursts, in milliseconds: a gateway at work hears something every few.
    private static let pace = 8
    /// When the next burst is sent; nil while one is on its way.
    private var burstAt: Int?

    init(_ message: @escaping (Int) -> (topic: String, payload: String)) throws {
        self.message = message
        port = try FreePort.loopback()
        listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var one: CInt = 1
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<CInt>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        address.sin_port = port.bigEndian
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard bound == 0, listen(listener, 4) == 0 else {
            throw CrashLab.Failure(description: "port \(port) cannot be listened on")
        }
    }

    deinit {
        close(listener)
        if connection >= 0 { close(connection) }
    }

    var isDone: Bool { acknowledged.count == limit }

    /// Serves the gateway until it has acknowledged everything, `ended` says that it is gone, or the time is over.
    func serve(milliseconds: Int, until ended: () -> Bool) {
        let end = Self.now() + milliseconds
        while !isDone, !ended(), Self.now() < end {
            var waits = [pollfd(fd: listener, events: Int16(POLLIN), revents: 0)]
            if connection >= 0 { waits.append(pollfd(fd: connection, events: Int16(POLLIN), revents: 0)) }
            let patience = burstAt.map { max(0, min(20, $0 - Self.now())) } ?? 20
            let ready = poll(&waits, nfds_t(waits.count), CInt(patience))
            if let due = burstAt, Self.now() >= due { burst() }
            guard ready > 0 else { continue }
            if waits[0].revents != 0 { take() }
            if waits.count > 1, waits[1].revents != 0 { receive() }
        }
    }

    /// The gateway is gone: what it had not acknowledged is sent again to the next.
    func drop() {
        if connection >= 0 { close(connection) }
        connection = -1
        isSubscribed = false
        input = []
        burstAt = nil
    }

    private static func now() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    }

    private func take() {
        drop()
        connection = accept(listener, nil, nil)
    }

    private func receive() {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(connection, &bytes, bytes.count)
        guard count > 0 else { return drop() }
        input += bytes[..<count]
        while let packet = nextPacket() { handle(packet.kind, packet.body) }
    }

    private func nextPacket() -> (kind: UInt8, body: [UInt8])? {
        var length = 0
        var at = 1
        while at < input.count, at < 5 {
            length |= Int(input[at] & 127) << (7 * (at - 1))
            at += 1
            guard input[at - 1] < 128 else { continue }
            guard input.count >= at + length else { return nil }
            let packet = (input[0], Array(input[at..<at + length]))
            input.removeFirst(at + length)
            return packet
        }
        return nil
    }

    private func handle(_ kind: UInt8, _ body: [UInt8]) {
        switch kind >> 4 {
        case 1:
            send([0x20, 2, hasSession ? 1 : 0, 0])
            hasSession = true
            if !inFlight.isEmpty {
                // The session kept its subscriptions.
                isSubscribed = true
                for number in inFlight.sorted() {
                    redelivered.insert(number)
                    publish(number, isAgain: true)
                }
            }
        case 8:
            guard body.count > 2 else { return }
            var at = 2
            var grants: [UInt8] = []
            while at + 2 < body.count {
                at += 3 + (Int(body[at]) << 8 | Int(body[at + 1]))
                grants.append(1)
            }
            send([0x90, UInt8(2 + grants.count), body[0], body[1]] + grants)
            isSubscribed = true
            fill()
        case 4:
            guard body.count >= 2 else { return }
            let number = (Int(body[0]) << 8 | Int(body[1])) - 1
            inFlight.remove(number)
            acknowledged.insert(number)
            fill()
        case 12: send([0xD0, 0])
        case 14: drop()
        default: break
        }
    }

    /// One burst after the other, so that there is a commit for each.
    private func fill() {
        guard isSubscribed, inFlight.isEmpty, burstAt == nil else { return }
        burstAt = Self.now() + Self.pace
    }

    private func burst() {
        burstAt = nil
        while inFlight.count < Self.window, sent < limit {
            inFlight.insert(sent)
            sent += 1
            publish(sent - 1, isAgain: false)
        }
    }

    private func publish(_ number: Int, isAgain: Bool) {
        let (topic, payload) = message(number)
        let name = Array(topic.utf8)
        let id = number + 1
        let body =
            [UInt8(name.count >> 8), UInt8(name.count & 255)] + name + [UInt8(id >> 8), UInt8(id & 255)]
            + Array(payload.utf8)
        var head: [UInt8] = [isAgain ? 0x3A : 0x32]
        var rest = body.count
        repeat {
            head.append(UInt8(rest & 127) | (rest > 127 ? 128 : 0))
            rest >>= 7
        } while rest > 0
        send(head + body)
    }

    private func send(_ bytes: [UInt8]) {
        if write(connection, bytes, bytes.count) != bytes.count { drop() }
    }
}
