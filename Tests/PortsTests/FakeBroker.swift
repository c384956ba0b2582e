// The broker's end of one MQTT connection, by hand, to see what is on the wire and when.

@preconcurrency import Glibc
import Model
import Ports

final class FakeBroker {
    private(set) var port: UInt16 = 0
    /// Everything that came, in order.
    private(set) var received: [UInt8] = []
    /// Called with the first byte of each packet, whose length is below 128.
    var onPacket: (UInt8) -> Void = { _ in }

    private let listener: CInt
    private var connection: CInt = -1
    private var parsed = 0

    init(_ loop: Loop) throws {
        listener = socket(AF_INET, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length)
                getsockname(listener, $0, &length)
            }
        }
        try call("listen", on: "a test") { listen(listener, 1) }
        port = UInt16(bigEndian: address.sin_port)
        loop.watch(listener, .read) { [self] _ in
            connection = accept(listener, nil, nil)
            loop.watch(connection, .read) { [self] _ in read(loop) }
        }
    }

    deinit {
        close(listener)
        if connection >= 0 { close(connection) }
    }

    /// Bytes that have arrived and were not read here yet.
    var waiting: Int {
        var count: CInt = 0
        _ = ioctl(connection, UInt(FIONREAD), &count)
        return Int(count)
    }

    func send(_ bytes: [UInt8]) { _ = write(connection, bytes, bytes.count) }

    /// Lets a client in and answers its subscription with three messages at quality 1 in one piece: topic `t`, text `x`,
    /// packet numbers 1, 2 and 3. `then` is called with the first byte of each packet that comes after that.
    func handOverThree(then: @escaping (UInt8) -> Void) {
        let messages = (1...3).flatMap { number -> [UInt8] in
            [0x32, 0x06, 0x00, 0x01, 0x74, 0x00, UInt8(number), 0x78]
        }
        onPacket = { [unowned self] kind in
            switch kind {
            case 0x10: send([0x20, 0x02, 0x00, 0x00])
            case 0x80: send([0x90, 0x03, 0x00, 0x01, 0x01] + messages)
            default: then(kind)
            }
        }
    }

    private func read(_ loop: Loop) {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(connection, &bytes, bytes.count)
        guard count > 0 else { return loop.unwatch(connection) }
        received += bytes[..<count]
        while parsed + 2 <= received.count, parsed + 2 + Int(received[parsed + 1]) <= received.count {
            let kind = received[parsed] & 0xF0
            parsed += 2 + Int(received[parsed + 1])
            onPacket(kind)
        }
    }
}
