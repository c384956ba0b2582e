// Between libmosquitto and the broker: one large read instead of four or five small ones a message.
//
//     broker ══ TCP ══ relay ── socket pair ── libmosquitto
//                        └─► PUBLISH of quality 0 and 1, straight from the buffer
//
// libmosquitto reads the first byte of a packet, then each byte of its length, then the rest; every read is a system call
// on the TCP socket, and together they cost more than everything else that the gateway does with a message. So once it has
// connected, one end of a socket pair takes the place of its socket, under the same number. The relay reads the broker's
// socket, takes the messages out itself, and hands every other packet on. Connecting, logging in, subscriptions, keeping
// alive, quality 2 and all that is sent stay libmosquitto's; with TLS it keeps its socket, and there is no relay.
//
// Packets (MQTT 3.1.1 and 5, sections 2.2 and 3.3):
//
//     +--------------------+---------------------------+------------------------------------------------------------+
//     | type 4, flags 4    | remaining length          | PUBLISH: topic length u16, topic, packet number u16 (q > 0), |
//     | PUBLISH 3: d qq r  | 7 bits a byte, low first  | in MQTT 5 length of properties, properties; then the payload |
//     +--------------------+---------------------------+------------------------------------------------------------+

@preconcurrency import Glibc

/// Not copied, not shared: the loop's thread owns it.
final class MQTTRelay {
    /// What one look into the buffer found.
    enum Item {
        /// The places of the topic and the payload in the buffer; `number` is there at quality 1.
        case message(topic: Range<Int>, payload: Range<Int>, number: UInt16?, isRetained: Bool)
        /// A message whose payload is longer than anybody may send; its bytes are thrown away as they come.
        case tooLong(number: UInt16?)
        /// One packet, or the next part of one, for libmosquitto.
        case other(Range<Int>)
        /// Bytes that are no MQTT.
        case broken
    }

    /// Room for the longest topic with everything before the payload.
    private static let usual = 72 * 1024
    private static let longestHead = 5 + 2 + 65_535 + 2

    /// The broker's socket.
    let socket: CInt
    private let pair: CInt
    private let hasProperties: Bool
    private let longestPayload: Int

    private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: usual, alignment: 16)
    /// What of the buffer was read and not taken yet.
    private var start = 0
    private var end = 0
    /// Bytes of a packet that is too long for the buffer: to be thrown away, or to be handed on.
    private var skipping = 0
    private var passing = 0
    private(set) var isBroken = false

    private var outgoing: [UInt8] = []
    private var sent = 0
    /// PUBACKs that may not leave before the commit.
    private var acknowledgements: [UInt8] = []
    /// They do not leave with `write` either: the commit failed.
    var isWithholding = false

    /// Takes the place of the socket with this number; nil where the system has no descriptors left, and nothing is
    /// changed then.
    init?(_ descriptor: CInt, hasProperties: Bool, longestPayload: Int) {
        var ends: [CInt] = [-1, -1]
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_NONBLOCK.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { return nil }
        let own = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard own >= 0, dup2(ends[1], descriptor) >= 0 else {
            for end in ends + [own] where end >= 0 { close(end) }
            return nil
        }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        close(ends[1])
        socket = own
        pair = ends[0]
        self.hasProperties = hasProperties
        self.longestPayload = longestPayload
    }

    deinit {
        close(socket)
        close(pair)
        buffer.deallocate()
    }

    /// Breaks the connection, also for libmosquitto; acknowledgements that have not left are dropped.
    func shutDown() {
        isBroken = true
        acknowledgements = []
        shutdown(socket, CInt(SHUT_RDWR))
        shutdown(pair, CInt(SHUT_RDWR))
    }

    // MARK: reading

    /// Reads what is there; false where nothing was. The end of the connection is told to libmosquitto, whose next read
    /// finds it.
    func fill() -> Bool {
        guard !isBroken else { return false }
        makeRoom()
        while true {
            let count = recv(socket, buffer.baseAddress?.advanced(by: end), buffer.count - end, 0)
            if count > 0 {
                end += count
                return true
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return false }
            shutDown()
            return false
        }
    }

    /// Whether the last read filled the buffer, so that there may be more.
    var isFull: Bool { end == buffer.count }

    private func makeRoom() {
        if start == end {
            (start, end) = (0, 0)
            if buffer.count > MQTTRelay.usual { resize(MQTTRelay.usual) }
        } else if start > 0 {
            buffer.baseAddress?.copyMemory(from: buffer.baseAddress! + start, byteCount: end - start)
            (start, end) = (0, end - start)
        }
        // A whole buffer without a whole packet in it.
        if end == buffer.count { resize(2 * buffer.count) }
    }

    private func resize(_ size: Int) {
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
        buffer.deallocate()
        buffer = larger
        (start, end) = (0, end - start)
    }

    /// Takes the next item out of the buffer; nil where none is whole. `accepts` false hands every packet on, as before
    /// the broker has accepted us.
    func next(accepts: Bool) -> Item? {
        guard !isBroken else { return nil }
        if skipping > 0 {
            let count = min(skipping, end - start)
            start += count
            skipping -= count
            if skipping > 0 { return nil }
        }
        if passing > 0 {
            let count = min(passing, end - start)
            guard count > 0 else { return nil }
            passing -= count
            start += count
            return .other(start - count..<start)
        }
        guard end - start >= 2 else { return nil }
        var length = 0
        var at = start + 1
        var shift = 0
        while true {
            guard at < end else { return nil }
            let byte = Int(buffer[at])
            at += 1
            length |= (byte & 127) << shift
            if byte < 128 { break }
            shift += 7
            if shift == 28 { return .broken }
        }
        let first = buffer[start]
        let isMessage = accepts && first >> 4 == 3 && first & 6 < 4
        if at + length <= end {
            defer { start = at + length }
            if isMessage, let message = message(first, at..<at + length) { return message }
            return .other(start..<at + length)
        }
        return isMessage ? longMessage(first, at, length) : longOther(at, length)
    }

    /// What a whole PUBLISH holds; nil where it is not well made: libmosquitto knows what to say then.
    private func message(_ first: UInt8, _ body: Range<Int>) -> Item? {
        guard let (topic, number, after) = head(first, body) else { return nil }
        var payload = after
        if hasProperties {
            guard let length = variable(&payload, before: body.upperBound), length <= body.upperBound - payload else {
                return nil
            }
            payload += length
        }
        guard body.upperBound - payload <= longestPayload else { return .tooLong(number: number) }
        return .message(topic: topic, payload: payload..<body.upperBound, number: number, isRetained: first & 1 != 0)
    }

    /// The topic, the packet number and where what follows begins; nil where that is not there.
    private func head(_ first: UInt8, _ body: Range<Int>) -> (topic: Range<Int>, number: UInt16?, after: Int)? {
        guard body.count >= 2 else { return nil }
        let topic = body.lowerBound + 2..<body.lowerBound + 2 + Int(word(body.lowerBound))
        guard topic.upperBound <= body.upperBound, !topic.isEmpty else { return nil }
        guard first & 6 != 0 else { return (topic, nil, topic.upperBound) }
        guard topic.upperBound + 2 <= body.upperBound else { return nil }
        return (topic, word(topic.upperBound), topic.upperBound + 2)
    }

    private func word(_ at: Int) -> UInt16 { UInt16(buffer[at]) << 8 | UInt16(buffer[at + 1]) }

    private func variable(_ at: inout Int, before limit: Int) -> Int? {
        var value = 0
        for shift in stride(from: 0, through: 21, by: 7) {
            guard at < limit else { return nil }
            let byte = Int(buffer[at])
            at += 1
            value |= (byte & 127) << shift
            if byte < 128 { return value }
        }
        return nil
    }

    /// A PUBLISH that is not whole yet: waited for, unless even with the longest topic and properties no payload of it
    /// would be allowed.
    private func longMessage(_ first: UInt8, _ at: Int, _ length: Int) -> Item? {
        guard length > longestPayload + 2 * MQTTRelay.longestHead else { return nil }
        guard let (_, number, _) = head(first, at..<end) else {
            // Its head may still be on the way; it has room in any buffer.
            return end - at < MQTTRelay.longestHead ? nil : .broken
        }
        skipping = length - (end - at)
        start = end
        return .tooLong(number: number)
    }

    /// A packet for libmosquitto may be handed on in parts.
    private func longOther(_ at: Int, _ length: Int) -> Item? {
        let part = start..<end
        passing = at + length - end
        start = end
        return .other(part)
    }

    /// The bytes of an item, as long as nothing else is read.
    func bytes(_ range: Range<Int>) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: UnsafeRawBufferPointer(buffer).bindMemory(to: UInt8.self)[range])
    }

    /// Hands bytes on to libmosquitto; returns how many it has room for before it must read.
    func pass(_ range: Range<Int>) -> Int {
        let count = send(
            pair, buffer.baseAddress?.advanced(by: range.lowerBound), range.count, CInt(MSG_NOSIGNAL))
        return max(0, count)
    }

    // MARK: writing

    /// Remembers to acknowledge a message with the next `write`.
    func acknowledge(_ number: UInt16) {
        // PUBACK, two more bytes.
        acknowledgements.append(0x40)
        acknowledgements.append(2)
        acknowledgements.append(UInt8(number >> 8))
        acknowledgements.append(UInt8(truncatingIfNeeded: number))
    }

    /// Sends what libmosquitto has written and the acknowledgements, all in one, unless those are withheld.
    /// `isBetweenPackets` says that libmosquitto has written all that it wanted to, so that acknowledgements cannot fall
    /// into one of its packets.
    func write(isBetweenPackets: Bool) {
        guard !isBroken else { return }
        collect()
        if isBetweenPackets, !isWithholding, !acknowledgements.isEmpty {
            outgoing += acknowledgements
            acknowledgements.removeAll(keepingCapacity: true)
        }
        while sent < outgoing.count {
            let count = outgoing.withUnsafeBytes {
                send(socket, $0.baseAddress?.advanced(by: sent), $0.count - sent, CInt(MSG_NOSIGNAL))
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return }
            guard count > 0 else { return shutDown() }
            sent += count
        }
        outgoing.removeAll(keepingCapacity: outgoing.count <= 65_536)
        sent = 0
    }

    /// Something waits for room in the broker's socket.
    var wantsToWrite: Bool { sent < outgoing.count }

    /// Takes what libmosquitto has written, unless a megabyte of it waits already.
    private func collect() {
        withUnsafeTemporaryAllocation(byteCount: 16_384, alignment: 16) { part in
            while outgoing.count - sent < 1 << 20 {
                let count = recv(pair, part.baseAddress, part.count, 0)
                guard count > 0 else { return }
                outgoing.append(contentsOf: part[..<count])
            }
        }
    }
}
