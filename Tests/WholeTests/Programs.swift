import Foundation
import Ports
import Testing

/// A private folder that goes when the test does.
final class PrivateFolder {
    let path: String

    init() throws {
        path = NSTemporaryDirectory() + "fabgate-test-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ name: String, _ text: String) throws -> String {
        let file = "\(path)/\(name)"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }
}

/// A real program, started for one test and ended by its id.
final class Program {
    private let process: ChildProcess
    private let output: String

    /// `words[0]` is looked up beside the tests first, then on the PATH.
    init(_ words: [String], in folder: PrivateFolder, name: String) throws {
        output = "\(folder.path)/\(name).log"
        process = try ChildProcess(
            try Program.find(words[0]), Array(words.dropFirst()), output: .file(output))
    }

    deinit { end() }

    var id: pid_t { process.pid }
    var isRunning: Bool { process.poll() == nil }
    var log: String { (try? String(contentsOfFile: output, encoding: .utf8)) ?? "" }

    func end() {
        process.kill(SIGTERM)
        _ = process.wait()
    }

    func kill() {
        process.kill(SIGKILL)
        _ = process.wait()
    }

    /// The exit status, once it has ended by itself.
    func status(within seconds: Double = 30) async throws -> Int32 {
        try await eventually("the end of a program", within: seconds) { process.poll() }
    }

    static func find(_ name: String) throws -> String {
        if name.hasPrefix("/") { return name }
        let tests = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let beside = URL(fileURLWithPath: tests).deletingLastPathComponent().appendingPathComponent(name).path
        let folders = ["/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin"]
        for candidate in [beside] + folders.map({ "\($0)/\(name)" })
        where FileManager.default.isExecutableFile(atPath: candidate) {
            return candidate
        }
        throw ProgramMissing(name: name)
    }
}

struct ProgramMissing: Error, CustomStringConvertible {
    let name: String
    var description: String { "\(name) is not installed; deploy/prepare installs it" }
}

/// Asks again and again until there is an answer, and fails with what it waited for.
@discardableResult
func eventually<T>(
    _ what: String, within seconds: Double = 30, _ body: () async throws -> T?
) async throws -> T {
    let end = Date().addingTimeInterval(seconds)
    var looks = 0
    // Other tests may keep all threads busy for long: time that nobody could look in does not count.
    while Date() < end || looks < 100 {
        looks += 1
        if let result = try await body() { return result }
        // Nothing tells when a foreign program is ready but asking it.
        try await Task.sleep(nanoseconds: 20_000_000)
    }
    throw NeverCame(what: what)
}

struct NeverCame: Error, CustomStringConvertible {
    let what: String
    var description: String { "\(what) never came" }
}

/// A mosquitto of the test's own.
struct TestBroker {
    let port: UInt16
    let program: Program

    /// `more` are further lines of its configuration.
    init(in folder: PrivateFolder, port: UInt16? = nil, more: String = "") throws {
        self.port = try port ?? FreePort.loopback()
        let file = try folder.write(
            "mosquitto.conf", "listener \(self.port) 127.0.0.1\nallow_anonymous true\npersistence false\n\(more)")
        program = try Program(["mosquitto", "-c", file], in: folder, name: "mosquitto")
    }

    func publish(_ topic: String, _ payload: String) throws {
        let words = ["-h", "127.0.0.1", "-p", "\(port)", "-q", "1", "-t", topic, "-m", payload]
        let process = try ChildProcess(try Program.find("mosquitto_pub"), words, output: .discarded)
        #expect(process.wait() == 0)
    }
}

/// A gateway with a plug and a machine behind it.
struct TestGateway {
    let folder: PrivateFolder
    let port: UInt16
    let program: Program

    init(in folder: PrivateFolder, brokerPort: UInt16) throws {
        self.folder = folder
        port = try FreePort.loopback()
        let file = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test lab, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(brokerPort)" }]
            devices: [{ id: laser-plug, driver: tasmota, mqtt: main, topic: laser }]
            machines: [{ id: laser, name: Laser 60W, class: laser, devices: [laser-plug],
                         usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 1 s } }]
            store: { path: \(folder.path)/store, size: 8 MiB }
            http: { listen: "127.0.0.1:\(port)" }

            """)
        program = try Program(["fabgate", "run", "--config", file], in: folder, name: "gateway")
    }

    func get(_ path: String) -> String? { HTTPGet.body("http://127.0.0.1:\(port)\(path)") }

    /// The broker is connected and the plug's topics are asked for.
    func awaitBroker() async throws {
        try await eventually("the gateway's connection to its broker") {
            get("/metrics")?.contains("fabgate_link_up{link=\"main\"} 1") == true ? true : nil
        }
    }
}

enum HTTPGet {
    /// By curl, which is there because the gateway needs its library; nil where there is no good answer.
    static func body(_ url: String) -> String? {
        let file = NSTemporaryDirectory() + "fabgate-get-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: file) }
        guard let curl = try? Program.find("curl"),
            let process = try? ChildProcess(curl, ["-sf", "--max-time", "5", "-o", file, url], output: .discarded),
            process.wait() == 0
        else { return nil }
        return try? String(contentsOfFile: file, encoding: .utf8)
    }
}
