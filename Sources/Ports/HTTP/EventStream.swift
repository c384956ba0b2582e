internal import Synchronization

/// Server-sent events (WHATWG HTML, §9.2) for any number of clients: bounded in every direction, and no client can
/// hold up the publisher or another client.
///
///     retry: 3000                         asks clients to come back after three seconds
///
///     id: 42                              ids rise by one; a client that comes back names the last one it saw
///     event: state
///     data: {"id":"laser","state":"running"}
///
///     :                                   heartbeat, so that a client that vanished is noticed
///
/// It knows no socket: a client is what reads bytes from here, and two closures that say "there is more" and "cut it".
package final class EventStream: Sendable {
    private struct Client {
        var pending = FrameQueue()
        /// Bytes that may wait: the cap, and what a replay brought until the client has read everything once.
        var allowance: Int
        var isWaiting = false
        var isEnded = false
        let wake: @Sendable () -> Void
        let cut: @Sendable () -> Void
    }

    private struct State {
        var nextID: UInt64
        /// The last frames; the newest has the id before `nextID`.
        var history = FrameQueue()
        var clients: [UInt64: Client] = [:]
        var nextClient: UInt64 = 0
        var dropped = 0
        var isClosed = false
    }

    private let historyEvents: Int
    private let historyBytes: Int
    private let clientBytes: Int
    private let state: Mutex<State>

    /// Keeps the last `history` events (of at most `historyBytes` together) for clients that come back, and holds up to
    /// `clientBytes` for one that reads slowly. `firstID` is the id of the first event; take it above all ids of the
    /// run before, so that clients see them rise over a restart.
    package init(
        history: Int = 1000, clientBytes: Int = 256 * 1024, firstID: UInt64 = 1, historyBytes: Int = 4 * 1024 * 1024
    ) {
        self.historyEvents = max(0, history)
        self.historyBytes = max(0, historyBytes)
        self.clientBytes = max(0, clientBytes)
        state = Mutex(State(nextID: max(1, firstID)))
    }

    // MARK: Publishing

    /// Sends an event to every client and keeps it in the history; from any thread, never blocking. Gives its id.
    @discardableResult
    package func publish(event: String, data: [UInt8]) -> UInt64 {
        state.withLock { state in
            let id = state.nextID
            state.nextID &+= 1
            let frame = EventStream.frame(id: id, event: event, data: data)
            state.history.append(frame)
            while state.history.count > historyEvents || state.history.bytes > historyBytes {
                state.history.removeFirst()
            }
            for key in Array(state.clients.keys) { deliver(frame, to: key, &state) }
            return id
        }
    }

    /// A comment line to every client that has nothing else to read. Call it every 15 to 30 s: a client that vanished
    /// is only noticed by writing to it.
    package func heartbeat() {
        state.withLock { state in
            for (key, client) in state.clients where client.pending.isEmpty {
                deliver(Array(":\n\n".utf8), to: key, &state)
            }
        }
    }

    /// Ends the answer of every client after what waits for it; later clients are turned away.
    package func close() {
        state.withLock { state in
            state.isClosed = true
            for key in Array(state.clients.keys) { end(key, &state) }
        }
    }

    /// Clients that listen now.
    package var clients: Int { state.withLock { $0.clients.values.count { !$0.isEnded } } }

    /// Clients that were cut off since the start because they read too slowly.
    package var dropped: Int { state.withLock { $0.dropped } }

    private func deliver(_ frame: [UInt8], to key: UInt64, _ state: inout State) {
        guard var client = state.clients[key], !client.isEnded else { return }
        if client.pending.bytes + frame.count > client.allowance {
            state.dropped += 1
            client.isEnded = true
            client.pending = FrameQueue()
            client.cut()
        } else {
            client.pending.append(frame)
        }
        EventStream.wakeIfWaiting(&client)
        state.clients[key] = client
    }

    private func end(_ key: UInt64, _ state: inout State) {
        guard var client = state.clients[key] else { return }
        client.isEnded = true
        EventStream.wakeIfWaiting(&client)
        state.clients[key] = client
    }

    private static func wakeIfWaiting(_ client: inout Client) {
        guard client.isWaiting else { return }
        client.isWaiting = false
        client.wake()
    }

    // MARK: Reading, for the server

    /// Adds a client that saw event `after` last (nil: it is new, and gets what comes from now on). nil where the
    /// stream is closed. `wake` and `cut` are called under the stream's lock: they may only signal.
    func attach(
        after: UInt64?, wake: @escaping @Sendable () -> Void, cut: @escaping @Sendable () -> Void
    ) -> UInt64? {
        state.withLock { state in
            guard !state.isClosed else { return nil }
            var client = Client(allowance: clientBytes, wake: wake, cut: cut)
            client.pending.append(Array("retry: 3000\n\n".utf8))
            if let after {
                let missed = state.nextID &- 1 &- after
                if after < state.nextID, missed <= UInt64(state.history.count) {
                    for frame in state.history.last(Int(missed)) { client.pending.append(frame) }
                } else {
                    // It missed more than is left here (or comes from another life of this gateway): it has to fetch
                    // the present state, and goes on from there.
                    client.pending.append(
                        EventStream.frame(id: state.nextID &- 1, event: "reset", data: Array("{}".utf8)))
                }
            }
            client.allowance += client.pending.bytes
            let key = state.nextClient
            state.nextClient += 1
            state.clients[key] = client
            return key
        }
    }

    /// What a read gave.
    enum Portion: Equatable {
        case bytes(Int)
        /// Nothing now; `wake` comes when there is.
        case later
        case end
    }

    /// Copies what waits for a client, at most as much as fits. `whenEmpty` runs under the lock before `later` is
    /// given, so that no wake can come before it.
    func read(_ key: UInt64, into buffer: UnsafeMutableRawBufferPointer, whenEmpty: () -> Void) -> Portion {
        state.withLock { state in
            guard var client = state.clients[key] else { return .end }
            defer { state.clients[key] = client }
            let count = client.pending.read(into: buffer)
            if client.pending.isEmpty { client.allowance = clientBytes }
            guard count == 0 else { return .bytes(count) }
            if client.isEnded { return .end }
            client.isWaiting = true
            whenEmpty()
            return .later
        }
    }

    /// Ends one client's answer, after what waits for it.
    func end(_ key: UInt64) { state.withLock { end(key, &$0) } }

    /// Forgets a client; neither closure is called after this returned.
    func detach(_ key: UInt64) { _ = state.withLock { $0.clients.removeValue(forKey: key) } }

    // MARK: Format

    /// One event; a line break in the data starts another `data` line, one in the name cannot stand.
    static func frame(id: UInt64, event: String, data: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(data.count + event.utf8.count + 48)
        out += "id: \(id)\nevent: ".utf8
        out += event.utf8.lazy.filter { $0 >= 0x20 }
        out += "\ndata: ".utf8
        var at = 0
        while at < data.count {
            let byte = data[at]
            at += 1
            if byte == 0x0D || byte == 0x0A {
                if byte == 0x0D, at < data.count, data[at] == 0x0A { at += 1 }
                out += "\ndata: ".utf8
            } else {
                out.append(byte)
            }
        }
        out += "\n\n".utf8
        return out
    }
}

/// Frames in the order they came; the clients' queues share the frames' memory with the history.
private struct FrameQueue {
    private var frames: [[UInt8]] = []
    private var head = 0
    /// Bytes of the first frame that were read already.
    private var offset = 0
    private(set) var bytes = 0

    var count: Int { frames.count - head }
    var isEmpty: Bool { head == frames.count }

    mutating func append(_ frame: [UInt8]) {
        frames.append(frame)
        bytes += frame.count
    }

    mutating func removeFirst() {
        guard head < frames.count else { return }
        bytes -= frames[head].count - offset
        frames[head] = []
        offset = 0
        head += 1
        // Moves the rest down only when it is the smaller half, so that a frame is moved once on average.
        if head * 2 >= frames.count {
            frames.removeFirst(head)
            head = 0
        }
    }

    func last(_ count: Int) -> ArraySlice<[UInt8]> { frames[head...].suffix(count) }

    mutating func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        var written = 0
        while written < buffer.count, !isEmpty {
            let frame = frames[head]
            let part = min(buffer.count - written, frame.count - offset)
            UnsafeMutableRawBufferPointer(rebasing: buffer[written..<written + part])
                .copyBytes(from: frame[offset..<offset + part])
            written += part
            if offset + part == frame.count {
                removeFirst()
            } else {
                offset += part
                bytes -= part
            }
        }
        return written
    }
}
