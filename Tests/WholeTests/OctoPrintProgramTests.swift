import Foundation
import Model
import Ports
import Testing

/// A real OctoPrint with its virtual printer and the MQTT plugin, in a folder of its own.
private struct OctoPrintProgram {
    static let key = "0123456789ABCDEF0123456789ABCDEF"
    let port: UInt16
    let program: Program
    let folder: PrivateFolder

    /// The program that `FABGATE_OCTOPRINT` names: `octoprint` of an environment that holds OctoPrint and OctoPrint-MQTT.
    static let path = ProcessInfo.processInfo.environment["FABGATE_OCTOPRINT"]

    init(in folder: PrivateFolder, brokerPort: UInt16) throws {
        self.folder = folder
        port = try FreePort.loopback()
        let base = "\(folder.path)/octoprint"
        try FileManager.default.createDirectory(atPath: base, withIntermediateDirectories: true)
        _ = try folder.write(
            "octoprint/config.yaml",
            """
            api: { key: \(Self.key) }
            server: { firstRun: false, onlineCheck: { enabled: false }, pluginBlacklist: { enabled: false } }
            serial: { port: VIRTUAL, autoconnect: true }
            plugins:
              tracking: { enabled: false }
              virtual_printer: { enabled: true, throttle: 0.03 }
              mqtt: { broker: { url: 127.0.0.1, port: \(brokerPort) } }

            """)
        let octoprint = try #require(Self.path)
        let user = try ChildProcess(
            octoprint, ["--basedir", base, "user", "add", "admin", "--password", "not-secret", "--admin"],
            output: .discarded)
        #expect(user.wait() == 0)
        // As root it refuses otherwise.
        program = try Program(
            [octoprint, "serve", "--basedir", base, "--host", "127.0.0.1", "--port", "\(port)", "--iknowwhatimdoing"],
            in: folder, name: "octoprint")
    }

    private func curl(_ words: [String]) -> String? {
        let file = "\(folder.path)/answer-\(UUID().uuidString)"
        defer { try? FileManager.default.removeItem(atPath: file) }
        let always = ["-sf", "--max-time", "10", "-o", file, "-H", "X-Api-Key: \(Self.key)"]
        guard let curl = try? Program.find("curl"),
            let process = try? ChildProcess(curl, always + words, output: .discarded), process.wait() == 0
        else { return nil }
        return (try? String(contentsOfFile: file, encoding: .utf8)) ?? ""
    }

    var state: String? {
        curl(["http://127.0.0.1:\(port)/api/job"]).flatMap { JSON(Array($0.utf8)) }?["state"]?.text
    }

    func become(_ wanted: String, within seconds: Double = 120) async throws {
        try await eventually("OctoPrint's state \(wanted), which is \(state ?? "none")", within: seconds) {
            state == wanted ? true : nil
        }
    }

    /// Uploads a print of so many moves and starts it; about 30 moves take a second. OctoPrint tells of an end before it is
    /// ready for the next print, and starts none until then.
    func print(_ name: String, moves: Int) async throws {
        try await become("Operational")
        let lines = (0..<moves).map { "G1 X\($0 % 90 + 5) Y\($0 % 70 + 5) F6000" }
        let file = try folder.write(name, lines.joined(separator: "\n") + "\n")
        let url = "http://127.0.0.1:\(port)/api/files/local"
        #expect(curl(["-F", "file=@\(file)", "-F", "select=true", "-F", "print=true", url]) != nil)
    }

    func post(_ path: String, _ body: String) {
        let url = "http://127.0.0.1:\(port)\(path)"
        #expect(curl(["-H", "Content-Type: application/json", "-d", body, url]) != nil)
    }
}

/// The gateway that reads it, by messages and by its API.
private struct PrinterGateway {
    let port: UInt16
    let configuration: String
    let folder: PrivateFolder

    init(in folder: PrivateFolder, brokerPort: UInt16, octoPrint: UInt16) throws {
        self.folder = folder
        port = try FreePort.loopback()
        let key = try folder.write("octoprint.key", OctoPrintProgram.key + "\n")
        configuration = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test lab, timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(brokerPort)" }]
            devices:
              - { id: octo, driver: octoprint, mqtt: main, url: "http://127.0.0.1:\(octoPrint)", api_key_file: \(key), every: 1 s }
            machines: [{ id: octo, class: three_d_printing, devices: [octo] }]
            store: { path: \(folder.path)/store, size: 8 MiB }
            http: { listen: "127.0.0.1:\(port)" }

            """)
    }

    func start(_ name: String) throws -> Program {
        try Program(["fabgate", "run", "--config", configuration], in: folder, name: name)
    }

    private var machine: JSON? {
        HTTPGet.body("http://127.0.0.1:\(port)/api/v1/machines/octo").flatMap { JSON(Array($0.utf8)) }
    }

    /// Jobs by outcome since the day began, none left out.
    var jobs: [String: Int]? {
        guard let jobs = machine?["today"]?["jobs"], case .object(let members) = jobs else { return nil }
        return members.reduce(into: [:]) { counts, member in
            if let count = member.value.number, count > 0 { counts[member.key] = Int(count) }
        }
    }

    /// Answers over HTTP so far.
    var answers: Int? {
        let text = HTTPGet.body("http://127.0.0.1:\(port)/metrics") ?? ""
        let line = text.split(separator: "\n").first { $0.hasPrefix("fabgate_http_answers_total ") }
        return line.flatMap { Int($0.split(separator: " ")[1]) }
    }

    func see(_ wanted: String) async throws {
        try await eventually("the gateway's state \(wanted)", within: 90) {
            machine?["state"]?.text == wanted ? true : nil
        }
    }

    func count(_ wanted: [String: Int]) async throws {
        try await eventually("\(wanted) at the gateway, which has \(jobs ?? [:])", within: 90) {
            jobs == wanted ? true : nil
        }
    }
}

@Suite struct OctoPrintProgramTests {
    /// One print is done, one cancelled, one fails, one goes on while the gateway is killed and started again, and one ends
    /// while it is away. Takes some minutes; near midnight in UTC the counts of the day begin anew.
    @Test(.enabled(if: OctoPrintProgram.path != nil, "FABGATE_OCTOPRINT names no OctoPrint"))
    func aRealOctoPrintsJobsAreExactlyThose() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        // Also keeps it alive until then: nothing else here holds it.
        defer { broker.program.end() }
        let octoPrint = try OctoPrintProgram(in: folder, brokerPort: broker.port)
        defer { octoPrint.program.end() }
        let gateway = try PrinterGateway(in: folder, brokerPort: broker.port, octoPrint: octoPrint.port)
        var process = try gateway.start("gateway-1")
        try await octoPrint.become("Operational")
        try await gateway.see("idle")

        try await octoPrint.print("done.gcode", moves: 900)
        try await gateway.see("running")
        try await gateway.count(["completed": 1])

        try await octoPrint.print("cancelled.gcode", moves: 3000)
        try await gateway.see("running")
        octoPrint.post("/api/job", #"{"command":"cancel"}"#)
        try await gateway.count(["completed": 1, "cancelled": 1])
        try await octoPrint.become("Operational")

        try await octoPrint.print("failed.gcode", moves: 3000)
        try await gateway.see("running")
        // The cable comes loose.
        octoPrint.post("/api/connection", #"{"command":"disconnect"}"#)
        try await gateway.count(["completed": 1, "cancelled": 1, "failed": 1])
        octoPrint.post("/api/connection", #"{"command":"connect","port":"VIRTUAL"}"#)
        try await octoPrint.become("Operational")
        try await gateway.see("idle")

        // Killed within a print that goes on.
        try await octoPrint.print("goes-on.gcode", moves: 1200)
        try await gateway.see("running")
        process.kill()
        process = try gateway.start("gateway-2")
        try await gateway.see("running")
        try await gateway.count(["completed": 2, "cancelled": 1, "failed": 1])
        try await octoPrint.become("Operational")

        // Killed within a print that ends meanwhile: the file's history knows how.
        try await octoPrint.print("meanwhile.gcode", moves: 1200)
        try await gateway.see("running")
        // How often the file was printed is noted with the first answers of the API.
        let before = try #require(gateway.answers)
        try await eventually("more answers of the API", within: 90) {
            (gateway.answers ?? 0) >= before + 6 ? true : nil
        }
        process.kill()
        try await octoPrint.become("Operational")
        process = try gateway.start("gateway-3")
        try await gateway.see("idle")
        try await gateway.count(["completed": 3, "cancelled": 1, "failed": 1])

        // And not once more.
        process.kill()
        process = try gateway.start("gateway-4")
        try await gateway.see("idle")
        try await gateway.count(["completed": 3, "cancelled": 1, "failed": 1])
        process.end()
    }
}
