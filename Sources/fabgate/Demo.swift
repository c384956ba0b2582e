@preconcurrency import Glibc
import CityLink
import Model
import Ports
import Simulation

/// Starts and watches the parts of the demonstration, plays the lab, and at the end compares what the city holds with
/// what the lab did.
final class Demo {
    private let plan: DemoPlan
    private let files: DemoFiles
    private let loop: Loop
    private var clock = SystemClock()
    private let client: HTTPClient
    private var parts: [Part] = []
    private var lab: DemoLab?
    private var isStopping = false
    /// How often a part died, and was started again.
    private var deaths = 0

    /// One of the programs that are started, and started again if they die.
    private final class Part {
        let name: String
        let program: String
        let words: [String]
        /// Only these lines of what it says are worth showing.
        let shows: (String) -> String?
        var process: ChildProcess?
        var said = Lines()
        init(_ name: String, _ program: String, _ words: [String], shows: @escaping (String) -> String?) {
            self.name = name
            self.program = program
            self.words = words
            self.shows = shows
        }
    }

    init(_ plan: DemoPlan) throws {
        self.plan = plan
        loop = try Loop()
        client = HTTPClient(loop: loop)
        files = try DemoFiles(port: plan.port)
        try files.writeBroker()
        try files.makeCertificate()
    }

    func run() throws -> ExitStatus {
        defer { Files.removeFolder(files.folder) }
        let programs = try Self.programs()
        try enrol(programs.fabcity)
        for signal in [SIGINT, SIGTERM] { try loop.onSignal(signal) { [unowned self] in finish() } }
        let lab = try DemoLab(plan, files, loop: loop)
        self.lab = lab
        defer { lab.end() }
        let collector = [
            "run", "--listen", "127.0.0.1:\(files.cityPort)", "--db", "sqlite:\(files.database)", "--tls-cert",
            files.certificate, "--tls-key", files.key,
        ]
        parts = [
            Part("broker", "mosquitto", ["-c", files.brokerConfiguration]) { _ in nil },
            Part("collector", programs.fabcity, collector) { $0.contains("listening") ? nil : $0 },
            Part("gateway", programs.fabgate, ["run", "--config", files.configuration]) { $0 },
        ]
        defer { endParts() }
        for part in parts.dropLast() { try start(part) }
        // The lab's machines are there before somebody listens to them, as in life.
        lab.join { [unowned self] in startGateway() }
        Console.print("dashboard  http://127.0.0.1:\(files.webPort)/")
        Console.print("city       https://127.0.0.1:\(files.cityPort)/  (its certificate is this demonstration's own)")
        if let seconds = plan.seconds { loop.after(.seconds(Int64(seconds))) { [unowned self] in finish() } }
        let status = loop.run()
        return ExitStatus(rawValue: status) ?? .software
    }

    // MARK: parts

    private static func programs() throws -> (fabgate: String, fabcity: String) {
        guard let own = Files.ownProgram else { throw ToolFailure(.software, "cannot tell where this program is") }
        let folder = own.lastIndex(of: "/").map { String(own[..<$0]) } ?? "."
        guard Files.exists("\(folder)/fabcity") else {
            throw ToolFailure(.unavailable, "fabcity is not beside fabgate in \(folder); build both (`swift build`)")
        }
        return (own, "\(folder)/fabcity")
    }

    private func enrol(_ fabcity: String) throws {
        let words = [
            "lab", "add", "--db", "sqlite:\(files.database)", "--id", DemoFiles.lab, "--name", "Demo maker space",
        ]
        let said = try files.run(fabcity, words, "the lab could not be enrolled")
        // The token is shown once, as one line of JSON.
        let line = said.split(separator: "\n").first { $0.hasPrefix("{") } ?? ""
        try Files.write(String(line), to: files.token, isSecret: true)
    }

    /// The lab's day begins just before nine, so that its first whole hour is over soon. The gateway has five seconds until
    /// nine to begin to listen.
    private func setClock() throws {
        let real = SystemClock.realNow().wall
        let zone = try CivilZone.load("Asia/Seoul")
        let nine = zone.start(of: zone.date(at: real)) + .hours(9)
        let origin = nine - .seconds(Int64(max(300, 5 * plan.speed)))
        clock = SystemClock(speed: Int64(plan.speed), realOrigin: real, labOrigin: origin)
        try files.writeConfiguration(speed: plan.speed, realOrigin: real, labOrigin: origin)
        Console.print("clock      \(plan.speed) times faster; the lab's day begins at \(origin)")
    }

    private func startGateway() {
        guard !isStopping, let part = parts.last else { return }
        do {
            try setClock()
            try start(part)
        } catch {
            Console.complain("the gateway cannot be started: \(error)")
            return loop.stop(ExitStatus.unavailable.rawValue)
        }
        awaitGateway()
    }

    private func start(_ part: Part) throws {
        let process = try ChildProcess(part.program, part.words, output: .pipe)
        part.process = process
        part.said = Lines()
        if let output = process.output { loop.watch(output, .read) { [unowned self] _ in hear(part, output) } }
        process.onExit(loop) { [unowned self] status in
            if let output = process.output { loop.unwatch(output) }
            guard !isStopping else { return }
            deaths += 1
            Console.print("\(part.name) ended with \(status); starting it again")
            do { try start(part) } catch {
                Console.complain("\(part.name) cannot be started again: \(error)")
                loop.stop(ExitStatus.unavailable.rawValue)
            }
        }
        Console.print("started    \(part.name) (pid \(process.pid))")
    }

    /// Shows what is worth showing of what a part says.
    private func hear(_ part: Part, _ descriptor: CInt) {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = read(descriptor, &buffer, buffer.count)
        guard count > 0 else { return loop.unwatch(descriptor) }
        part.said.append(buffer[..<count]) { line in
            guard let shown = part.shows(String(decoding: line, as: UTF8.self)) else { return }
            Console.print(part.name + String(repeating: " ", count: 11 - part.name.count) + shown)
        }
    }

    /// Asks them to stop, the last started first, and waits until they have.
    private func endParts() {
        isStopping = true
        for part in parts.reversed() {
            part.process?.kill(SIGTERM)
            _ = part.process?.wait()
        }
    }

    /// The lab begins when the gateway listens: what is said before that is lost, as in life.
    private func awaitGateway() {
        let request = HTTPClient.Outgoing(url: "http://127.0.0.1:\(files.webPort)/api/v1/alerts")
        client.send(request) { [unowned self] result in
            if case .success(let answer) = result, JSON(answer.body)?["alerts"]?.items?.isEmpty == true {
                lab?.begin(clock)
            } else {
                loop.after(.milliseconds(100)) { [unowned self] in awaitGateway() }
            }
        }
    }

    // MARK: the end

    /// Asks the gateway for its jobs and the city for what it holds, compares, and stops.
    private func finish() {
        guard !isStopping else { return }
        isStopping = true
        guard let lab, let began = lab.began else {
            Console.complain("the lab never began")
            return loop.stop(ExitStatus.unavailable.rawValue)
        }
        lab.end()
        let end = clock.now().wall
        let url = "http://127.0.0.1:\(files.webPort)/api/v1/jobs?from=\(began - .hours(1))&to=\(end)"
        client.send(HTTPClient.Outgoing(url: url)) { [unowned self] result in
            var jobs: [JSON]?
            switch result {
            case .success(let answer): jobs = JSON(answer.body)?["jobs"]?.items
            case .failure(let failure): Console.complain("the gateway cannot be asked for its jobs: \(failure)")
            }
            askCity(from: began, to: end) { [unowned self] body in
                let report = DemoReport(body, truth: lab.truth, from: began)
                let prints = DemoPrints(
                    lab.printerNames, hours: report.hours, jobs: jobs, truth: lab.truth, speed: plan.speed)
                for line in report.lines + prints.lines { Console.print(line) }
                write(report, prints)
                loop.stop(judge(report, prints).rawValue)
            }
        }
    }

    private func askCity(from began: Instant, to end: Instant, _ body: @escaping ([UInt8]) -> Void) {
        var token = ""
        if let json = try? JSON(Files.secret(files.token)) { token = json["token"]?.text ?? "" }
        let query = "lab=\(DemoFiles.lab)&grain=PT1H&from=\(began - .hours(1))&to=\(end)&format=json"
        var request = HTTPClient.Outgoing(
            url: "https://127.0.0.1:\(files.cityPort)/v1/rollups?\(query)",
            headers: [("Authorization", "Bearer \(token)")])
        request.tls = HTTPClient.ClientTLS(caFile: files.certificate)
        client.send(request) { [unowned self] result in
            switch result {
            case .success(let answer): body(answer.body)
            case .failure(let failure):
                Console.complain("the city cannot be asked: \(failure)")
                loop.stop(ExitStatus.unavailable.rawValue)
            }
        }
    }

    /// Where a part was killed, what printers said meanwhile is lost, and prints may well be unknown.
    private func judge(_ report: DemoReport, _ prints: DemoPrints) -> ExitStatus {
        guard report.windows > 0 else { return .no }
        if prints.differences.isEmpty {
            Console.print("each print is told once, with its end, its time and its energy")
            return .done
        }
        for difference in prints.differences { Console.print("DIFFERENT  \(difference)") }
        guard deaths > 0 else { return .no }
        Console.print("parts died \(deaths) times and heard nothing meanwhile, so these differences are no failure")
        return .done
    }

    private func write(_ report: DemoReport, _ prints: DemoPrints) {
        guard let path = plan.report else { return }
        let all: JSON = .object([
            "received": .integer(report.windows), "whole": .integer(report.hours.count),
            "machines": .array(report.rows), "prints": .array(prints.rows),
            "differences": .array(prints.differences.map { .string($0) }),
        ])
        do { try Files.write(String(decoding: all.bytes, as: UTF8.self), to: path) } catch {
            Console.complain("\(error)")
        }
    }
}

/// Cuts what a part says into lines.
private struct Lines {
    private var rest: [UInt8] = []

    mutating func append(_ bytes: ArraySlice<UInt8>, _ body: (ArraySlice<UInt8>) -> Void) {
        rest += bytes
        while let end = rest.firstIndex(of: 10) {
            body(rest[..<end])
            rest.removeFirst(end + 1)
        }
        if rest.count > 65_536 { rest.removeAll() }
    }
}
