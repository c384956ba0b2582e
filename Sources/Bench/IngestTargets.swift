// The processes of the ingest benchmark: a private broker, what sends, and the two that receive.

@preconcurrency import Glibc
import Model
import Ports

enum Clock {
    /// Nanoseconds.
    static var monotonic: Double { read(CLOCK_MONOTONIC) }

    /// What a process has used so far, in nanoseconds of user and system time.
    static func cpu(of process: Int32) -> Double {
        var clock = clockid_t()
        return clock_getcpuclockid(process, &clock) == 0 ? read(clock) : 0
    }

    private static func read(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}

/// A private folder.
final class IngestFolder {
    let path: String
    init() throws { path = try Files.makeTemporaryFolder(prefix: "fabgate-ingest") }
    func remove() { Files.removeFolder(path) }

    /// What a file holds; nil where it cannot be read.
    static func text(_ path: String) -> String? {
        guard let file = fopen(path, "re") else { return nil }
        defer { fclose(file) }
        var text: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&bytes, 1, bytes.count, file), count > 0 { text += bytes[..<count] }
        return String(decoding: text, as: UTF8.self)
    }
}

/// A number that two processes see, in a file that both have mapped.
struct SharedCount {
    let place: UnsafeMutablePointer<UInt64>

    init?(path: String) {
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0, ftruncate(descriptor, 8) == 0 else { return nil }
        defer { close(descriptor) }
        guard let memory = mmap(nil, 8, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), memory != MAP_FAILED else {
            return nil
        }
        place = memory.assumingMemoryBound(to: UInt64.self)
    }
}

/// A mosquitto of the benchmark's own on a free port of the loopback interface, with the limits that a gateway ships.
final class IngestBroker {
    enum Event {
        /// A message of quality 1 went to the client, under this packet number.
        case sent(Int)
        case acknowledged(Int)
    }

    let port: UInt16
    private let child: ChildProcess
    private var text: [UInt8] = []
    private var at = 0

    init(in folder: IngestFolder, logs: Bool) throws {
        port = try FreePort.loopback()
        let limits = "\(try Installation.find().devices)/../deploy/mosquitto.d/fabgate.conf"
        guard let shipped = IngestFolder.text(limits) else { throw BenchFailure("cannot read \(limits)") }
        let file = "\(folder.path)/mosquitto.conf"
        try Files.write(
            """
            listener \(port) 127.0.0.1
            allow_anonymous true
            persistence false
            log_dest stderr
            log_timestamp false
            log_type \(logs ? "all" : "error")
            \(shipped)

            """, to: file)
        child = try ChildProcess("/usr/sbin/mosquitto", ["-c", file], output: logs ? .pipe : .discarded)
        // F_SETPIPE_SZ: a thousand plugs subscribe to five thousand topics, each a line, while nobody reads; a full pipe
        // would stop the broker.
        if let output = child.output { _ = fcntl(output, 1031, 1 << 20) }
        try awaitListening()
    }

    private func awaitListening() throws {
        for _ in 0..<500 {
            if TCP.connects(port) { return }
            usleep(10_000)
        }
        throw BenchFailure("mosquitto does not listen on port \(port)")
    }

    /// The next word of the broker about this client, and when it was read.
    func nextEvent(of client: String) throws -> (Event, at: Double) {
        while true {
            while let end = text[at...].firstIndex(of: 10) {
                let line = String(decoding: text[at..<end], as: UTF8.self)
                at = end + 1
                if let event = Self.event(line, client) { return (event, Clock.monotonic) }
            }
            text.removeFirst(at)
            at = 0
            try readMore()
        }
    }

    func forgetEvents() {
        var wait = pollfd(fd: child.output ?? -1, events: Int16(POLLIN), revents: 0)
        while poll(&wait, 1, 0) > 0, (try? readMore()) != nil {}
        text = []
        at = 0
    }

    private func readMore() throws {
        guard let output = child.output else { throw BenchFailure("this broker tells nothing") }
        var wait = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
        guard poll(&wait, 1, 30_000) > 0 else { throw BenchFailure("the broker has said nothing for 30 s") }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = read(output, &bytes, bytes.count)
        guard count > 0 else { throw BenchFailure("the broker has ended") }
        text += bytes[..<count]
    }

    /// `Sending PUBLISH to NAME (d0, q1, r0, m17, 'topic', ... (301 bytes))`, `Received PUBACK from NAME (Mid: 17, RC:0)`
    private static func event(_ line: String, _ client: String) -> Event? {
        func number(after mark: String) -> Int? {
            guard let place = line.firstRange(of: mark) else { return nil }
            return Int(line[place.upperBound...].prefix { $0.isNumber })
        }
        if line.contains("Sending PUBLISH to \(client) (") { return number(after: ", m").map(Event.sent) }
        if line.contains("Received PUBACK from \(client) (") { return number(after: "Mid: ").map(Event.acknowledged) }
        return nil
    }
}

/// This program again, as the one that sends.
struct Publisher {
    private let child: ChildProcess

    init(_ broker: IngestBroker, prefix: String, messages: Int, qos: Int, rate: Double) throws {
        child = try ChildProcess(
            "/proc/self/exe",
            ["ingest-publish", "\(broker.port)", prefix, "\(messages)", "\(qos)", "\(Int(rate))"])
    }

    func wait() throws {
        guard child.wait() == 0 else { throw BenchFailure("the sending process failed") }
    }

    func end() {
        child.kill(SIGKILL)
        _ = child.wait()
    }
}

/// One who receives.
protocol IngestTarget: AnyObject {
    var process: Int32 { get }
    var clientID: String { get }
    /// What the topics meant for it begin with.
    var topicPrefix: String { get }
    /// Received so far.
    func messages() throws -> Int
}

extension IngestTarget {
    var cpu: Double { Clock.cpu(of: process) }

    /// Waits until it uses no more than a fiftieth of a CPU.
    func settle() throws {
        var last = cpu
        var quiet = 0
        for _ in 0..<3000 {
            usleep(50_000)
            let now = cpu
            quiet = now - last < 1e6 ? quiet + 1 : 0
            if quiet == 4 { return }
            last = now
        }
        throw BenchFailure("process \(process) does not come to rest")
    }

    /// Resident memory, now and at most so far.
    var residentKiB: Int { status("VmRSS:") }
    var peakKiB: Int { status("VmHWM:") }

    private func status(_ name: String) -> Int {
        guard let text = IngestFolder.text("/proc/\(process)/status"), let place = text.firstRange(of: name) else {
            return 0
        }
        return Int(text[place.upperBound...].drop { !$0.isNumber }.prefix { $0.isNumber }) ?? 0
    }
}

/// A libmosquitto subscriber that counts and does nothing else, in a process of its own.
final class IdleTarget: IngestTarget {
    static let prefix = "idle"

    private let child: ChildProcess
    private let count: SharedCount

    init(in folder: IngestFolder, broker: IngestBroker, qos: Int) throws {
        let file = "\(folder.path)/count-\(qos)"
        guard let count = SharedCount(path: file) else { throw BenchFailure("cannot map \(file)") }
        self.count = count
        child = try ChildProcess("/proc/self/exe", ["ingest-idle", "\(broker.port)", "\(qos)", file])
        // It has nobody to tell that it has subscribed: messages are sent until one comes.
        for _ in 0..<100 where count.place.pointee == 0 {
            try Publisher(broker, prefix: Self.prefix, messages: 1, qos: 1, rate: 0).wait()
            usleep(20_000)
        }
        guard count.place.pointee > 0 else { throw BenchFailure("the idle subscriber hears nothing") }
    }

    var process: Int32 { child.pid }
    var clientID: String { "idle-subscriber" }
    var topicPrefix: String { Self.prefix }
    func messages() -> Int { Int(count.place.pointee) }
}

/// `fabgate run` with a thousand plugs, each on a machine of its own.
final class GatewayTarget: IngestTarget {
    private let folder: IngestFolder
    private let broker: IngestBroker
    private let program: String
    private let port: UInt16
    private var brokerPort: UInt16
    private var child: ChildProcess?
    private(set) var clientID: String
    private var file: String { "\(folder.path)/fabgate.yaml" }
    private var log: String { IngestFolder.text("\(folder.path)/gateway.log") ?? "" }

    init(in folder: IngestFolder, broker: IngestBroker, name: String) throws {
        self.folder = folder
        self.broker = broker
        brokerPort = broker.port
        clientID = name
        port = try FreePort.loopback()
        let own = Files.ownProgram ?? ""
        program = own.prefix(upTo: own.lastIndex(of: "/") ?? own.startIndex) + "/fabgate"
        guard Files.exists(program) else {
            throw BenchFailure(
                "there is no \(program); build it, too: swift build -c release --static-swift-stdlib --product fabgate")
        }
        try configure()
    }

    deinit { stop() }

    var process: Int32 { child?.pid ?? 0 }
    var topicPrefix: String { "gate" }

    /// Connects under this name from the next start on, to the broker or what stands before it.
    func rename(_ name: String, reaching port: UInt16) throws {
        clientID = name
        brokerPort = port
        try configure()
    }

    private func configure() throws {
        var text = """
            lab: { id: "urn:fablabs:io:lab:bench", name: Bench, timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(brokerPort)", client_id: \(clientID) }]
            store: { path: \(folder.path)/store, size: 64 MiB, series_limit: 16000 }
            http: { listen: "127.0.0.1:\(port)" }
            devices:

            """
        let names = (0..<IngestLoad.plugs).map { index in
            let digits = "\(index)"
            return "plug-" + String(repeating: "0", count: 4 - digits.count) + digits
        }
        for name in names {
            text +=
                "  - { id: \(name), driver: tasmota, mqtt: main, topic: \(name), phases: 1, "
                + "full_topic: \"\(topicPrefix)/%prefix%/%topic%/\" }\n"
        }
        text += "machines:\n"
        for name in names {
            text +=
                "  - { id: machine-\(name), class: laser, devices: [\(name)], "
                + "usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s } }\n"
        }
        try Files.write(text, to: file)
    }

    /// Starts it; it may not be there yet.
    func launch() throws {
        child = try ChildProcess(program, ["run", "--config", file], output: .file("\(folder.path)/gateway.log"))
    }

    /// Starts it and waits until it has heard its first message.
    func start() throws {
        try launch()
        try awaitAnswer()
        for _ in 0..<200 {
            try Publisher(broker, prefix: topicPrefix, messages: 1, qos: 1, rate: 0).wait()
            if try messages() > 0 { return }
            usleep(50_000)
        }
        throw BenchFailure("the gateway hears nothing: \(log)")
    }

    func awaitAnswer() throws {
        for _ in 0..<1000 {
            if TCP.connects(port) { return }
            usleep(10_000)
        }
        throw BenchFailure("the gateway does not answer: \(log)")
    }

    func stop() {
        child?.kill(SIGTERM)
        _ = child?.wait()
        child = nil
    }

    func messages() throws -> Int {
        let text = try TCP.get("/metrics", port)
        guard let place = text.firstRange(of: "\nfabgate_mqtt_messages_total ") else {
            throw BenchFailure("the gateway's /metrics has no fabgate_mqtt_messages_total")
        }
        return Int(text[place.upperBound...].prefix { $0.isNumber }) ?? 0
    }
}

/// The least of TCP and HTTP that a benchmark needs.
enum TCP {
    static func connects(_ port: UInt16) -> Bool {
        let descriptor = open(port)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }

    /// The whole answer, its head included.
    static func get(_ path: String, _ port: UInt16) throws -> String {
        let descriptor = open(port)
        guard descriptor >= 0 else { throw BenchFailure("nothing listens on port \(port)") }
        defer { close(descriptor) }
        let request = Array("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\nConnection: close\r\n\r\n".utf8)
        guard write(descriptor, request, request.count) == request.count else {
            throw BenchFailure("cannot ask port \(port) for \(path)")
        }
        var answer: [UInt8] = []
        var bytes = [UInt8](repeating: 0, count: 65_536)
        while case let count = read(descriptor, &bytes, bytes.count), count > 0 { answer += bytes[..<count] }
        return String(decoding: answer, as: UTF8.self)
    }

    /// A connection; negative where nothing listens.
    static func open(_ port: UInt16) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        let result = at(port) { connect(descriptor, $0, $1) }
        if result == 0 { return descriptor }
        close(descriptor)
        return -1
    }

    /// Gives `body` the address of this port on the loopback interface, and its length.
    static func at<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
