@preconcurrency import Glibc
import Hub
import Model
import Ports
import Store

/// `fabgate replay`: a capture through the whole gateway, by its own clock.
enum ReplayCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "replay", "CAPTURE",
            text: "a capture through the whole gateway, by its own clock; nothing is sent anywhere",
            options: [
                .init("config", "F", "the configuration file (default: \(Setup.defaultConfiguration))"),
                .init("store", "DIR", "keeps the samples in this folder (default: in memory, for this run)"),
                .init("speed", "N", "N times as fast as it was recorded (default: as fast as possible)"),
                .init("format", "F", "text or json, one object a line (default: text)"),
            ], example: "fabgate replay evening.jsonl --config fabgate.yaml"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        guard let path = arguments.operands.first, arguments.operands.count == 1 else {
            throw ToolFailure(.usage, "which capture? Give one file, or - for standard input")
        }
        let format = arguments["format"] ?? "text"
        guard ["text", "json"].contains(format) else {
            throw ToolFailure(.usage, "--format is text or json, not '\(format)'")
        }
        let speed = try arguments.integer("speed", in: 1...1_000_000)
        var configuration = try Setup().configuration(arguments["config"])
        let capture = try ReplayCapture(try Console.read(path: path), name: path)
        var region: FileRegion?
        let store: RingStore
        if let folder = arguments["store"] {
            configuration.store.path = folder
            (region, store) = try open(configuration, for: capture)
        } else {
            store = try DryGateway.memory(for: configuration, mebibytes: 32)
        }
        let replay = try Replay(
            capture, configuration, store: store, region: region, speed: speed,
            out: format == "json" ? .json : .text)
        return try replay.run()
    }

    /// The store in a folder: a new one, or one that ends before the capture begins.
    private static func open(
        _ configuration: Configuration, for capture: ReplayCapture
    ) throws -> (FileRegion, RingStore) {
        let path = configuration.storeFile
        guard Files.exists(path) else {
            try Files.makeFolder(configuration.store.path)
            return try NewStore.make(configuration)
        }
        let region = try FileRegion(opening: path)
        let store = try openStore(in: region, path)
        if let newest = store.newest, newest > capture.start {
            throw ToolFailure(
                .usage,
                "the store in \(configuration.store.path) holds samples up to \(newest), and the capture begins at "
                    + "\(capture.start); a store only goes forward, so give an empty folder")
        }
        return (region, store)
    }
}

/// A capture that was looked through: every line is one, has a time, and no gap is too long to be played.
struct ReplayCapture {
    /// Time passes in steps of a second also where nothing was recorded.
    static let longestGap = Duration.hours(24 * 7)

    private let bytes: [UInt8]
    private var position = 0
    private(set) var lines = 0
    let start: Instant
    let end: Instant
    /// Lines whose time is before that of the line above.
    let backward: Int
    /// The serial lines that it holds, and whether it holds what was asked on them.
    let ports: [String: Bool]
    let hasMessages: Bool
    /// The devices that answered over HTTP.
    let hosts: Set<String>

    init(_ bytes: [UInt8], name: String) throws {
        self.bytes = bytes
        var reader = ReplayCapture(unchecked: bytes)
        var first: Instant?
        var last = Instant.distantPast
        var (backward, ports, hasMessages, hosts) = (0, [String: Bool](), false, Set<String>())
        while let (number, line) = try reader.next() {
            guard let time = line.time else {
                throw ToolFailure(
                    .badData, "line \(number) of \(name) has no time \"t\"; a replay goes by the capture's own clock")
            }
            if first == nil { (first, last) = (time, time) }
            if time - last > Self.longestGap {
                throw ToolFailure(
                    .badData,
                    "line \(number) of \(name) comes more than 7 days after the one before (\(last), then \(time)); "
                        + "cut the capture there and replay the parts one after the other into one --store")
            }
            if time < last { backward += 1 }
            last = max(last, time)
            switch line.link {
            case .mqtt: hasMessages = true
            case .serial(let port, _, let direction): ports[port] = ports[port] ?? false || direction == .tx
            case .http(let device, _, _): hosts.insert(device)
            }
        }
        guard let first else { throw ToolFailure(.badData, "\(name) holds no capture line") }
        (start, end) = (first, last)
        (self.backward, self.ports, self.hasMessages, self.hosts) = (backward, ports, hasMessages, hosts)
    }

    private init(unchecked bytes: [UInt8]) {
        self.bytes = bytes
        (start, end, backward, ports, hasMessages, hosts) = (.distantPast, .distantPast, 0, [:], false, [])
    }

    /// The next line with its number; nil at the end. Empty lines are passed over.
    mutating func next() throws -> (number: Int, line: CaptureLine)? {
        while position < bytes.count {
            let end = bytes[position...].firstIndex(of: 10) ?? bytes.count
            let line = bytes[position..<end]
            position = end + 1
            lines += 1
            if line.allSatisfy({ $0 == 32 || $0 == 13 || $0 == 9 }) { continue }
            do { return (lines, try CaptureLine(parsing: Array(line))) } catch {
                throw ToolFailure(.usage, "line \(lines) of the capture: \(error)")
            }
        }
        return nil
    }
}
