import CityLink
@preconcurrency import Glibc
import Model
import Ports
import Testing

/// `fabcity` as people run it: started, asked over its socket, ended by its process id.
private final class Program {
    let folder: String
    private(set) var url = ""
    private var child: ChildProcess?

    init() throws {
        folder = try Files.makeTemporaryFolder(prefix: "fabcity-test-")
    }

    deinit {
        child?.kill(SIGKILL)
        _ = child?.wait()
        Files.removeFolder(folder)
    }

    /// The program that was built with these tests; it lies beside them.
    static let path: String = {
        let own = Files.ownProgram ?? ""
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") } ?? own
        var folder = bundle.split(separator: "/", omittingEmptySubsequences: false).dropLast()
        while !folder.isEmpty {
            let candidate = folder.joined(separator: "/") + "/fabcity"
            if Files.exists(candidate), !Files.isFolder(candidate) { return candidate }
            folder.removeLast()
        }
        return "fabcity"
    }()

    var database: String { "sqlite:\(folder)/city.sqlite" }

    /// Runs to the end; its status and all that it printed.
    func run(_ words: String...) throws -> (status: Int32, text: String) {
        let child = try ChildProcess(Self.path, words, output: .pipe)
        var text: [UInt8] = []
        while let more = try read(child) { text += more }
        return (child.wait(), String(decoding: text, as: UTF8.self))
    }

    /// Starts the collector and waits for the line that says where it listens.
    func start(_ more: String...) throws {
        let child = try ChildProcess(
            Self.path, ["run", "--listen", "127.0.0.1:0", "--db", database] + more, output: .pipe)
        self.child = child
        var text = ""
        while let bytes = try read(child) {
            text += String(decoding: bytes, as: UTF8.self)
            guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("fabcity listening on ") }),
                text.hasSuffix("\n")
            else { continue }
            url = String(line.dropFirst("fabcity listening on ".count))
            return
        }
        Issue.record("the collector ended with status \(child.wait()): \(text)")
    }

    /// Its exit status after a signal.
    func end(_ signal: Int32) -> Int32 {
        child?.kill(signal)
        defer { child = nil }
        return child?.wait() ?? -1
    }

    var processID: Int32 { child?.pid ?? 0 }

    private func read(_ child: ChildProcess) throws -> [UInt8]? {
        guard let output = child.output else { return nil }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            var ready = pollfd(fd: output, events: Int16(POLLIN), revents: 0)
            guard poll(&ready, 1, 20_000) > 0 else { return nil }
            let count = Glibc.read(output, &buffer, buffer.count)
            if count < 0, errno == EAGAIN || errno == EINTR { continue }
            return count > 0 ? Array(buffer[..<count]) : nil
        }
    }

    /// One request; nil where no whole answer came.
    func fetch(_ request: HTTPClient.Outgoing) throws -> HTTPClient.Answer? {
        let loop = try Loop()
        let client = HTTPClient(loop: loop)
        var answer: HTTPClient.Answer?
        var request = request
        request.totalTimeout = .seconds(30)
        client.send(request) { result in
            answer = try? result.get()
            loop.stop(0)
        }
        _ = loop.run()
        return answer
    }

    func get(_ path: String) throws -> HTTPClient.Answer {
        try #require(try fetch(HTTPClient.Outgoing(url: url + path)))
    }

    func push(_ body: [UInt8], token: String, gzip: Bool = false) throws -> HTTPClient.Answer? {
        var headers = [("Authorization", "Bearer \(token)"), ("Content-Type", "application/json")]
        if gzip { headers.append(("Content-Encoding", "gzip")) }
        return try fetch(
            HTTPClient.Outgoing(
                method: "POST", url: url + "/v1/rollups", headers: headers, body: gzip ? Compression.gzip(body) : body))
    }

    func enrol(_ lab: String = seoul) throws -> String {
        let (status, text) = try run("lab", "add", "--db", database, "--id", lab)
        try #require(status == 0, "\(text)")
        return try #require(JSON(text)?["token"]?.text)
    }
}

@Suite(.serialized) struct ProgramTests {
    @Test func aRollupGoesInAndComesOut() throws {
        let program = try Program()
        try program.start()
        // The collector has the database; enrolment reaches it all the same.
        let token = try program.enrol()
        let body = push((0..<40).map { wire(day($0)) })
        let answer = try #require(try program.push(body, token: token, gzip: true))
        #expect(answer.status == 200)
        #expect(RollupReceipt.all(contentType: answer.header("Content-Type") ?? "", body: answer.body)?.count == 40)
        let again = try #require(try program.push(body, token: token))
        #expect(String(decoding: again.body, as: UTF8.self).contains("duplicate"))
        #expect(try program.push(body, token: "wrong")?.status == 401)
        #expect(try program.get("/v1/rollups?format=csv").body.count { $0 == 10 } == 41)
        let export = try program.run("export", "--db", program.database, "--format", "json")
        #expect(export.status == 0)
        #expect(export.text.split(separator: "\n").count == 40)
        #expect(program.end(SIGTERM) == 0)
        // And after a restart, by the file alone.
        let offline = try program.run("export", "--db", program.database, "--from", "2026-11-24", "--to", "2026-11-26")
        #expect(offline.text.split(separator: "\r\n").count == 3)
        #expect(try program.run("lab", "list", "--db", program.database).text.contains(seoul))
        try program.start()
        let third = try #require(try program.push(push([wire(day(running: 5), revision: 2)]), token: token))
        #expect(String(decoding: third.body, as: UTF8.self).contains("applied"))
        #expect(try program.get("/healthz").status == 200)
    }

    @Test func bodiesHaveTheirBounds() throws {
        let program = try Program()
        try program.start()
        let token = try program.enrol()
        let large = [UInt8](repeating: 0x20, count: 3 << 20)
        #expect(try program.push(large, token: token, gzip: true)?.status == 413)
        #expect(try program.push(large, token: token)?.status == 413)
        var broken = HTTPClient.Outgoing(method: "POST", url: program.url + "/v1/rollups", body: Array("nonsense".utf8))
        broken.headers = [
            ("Authorization", "Bearer \(token)"), ("Content-Type", "application/json"), ("Content-Encoding", "gzip"),
        ]
        #expect(try program.fetch(broken)?.status == 400)
        broken.headers[2].1 = "br"
        #expect(try program.fetch(broken)?.status == 415)
        #expect(try program.get("/v1/rollups").body.count < 100)
        // A stranger behind a proxy on this machine, and a page led here by a foreign name, are not this machine.
        var forwarded = HTTPClient.Outgoing(url: program.url + "/v1/rollups")
        forwarded.headers = [("X-Forwarded-For", "203.0.113.9")]
        #expect(try program.fetch(forwarded)?.status == 401)
        forwarded.headers = [("Host", "evil.example")]
        #expect(try program.fetch(forwarded)?.status == 401)
    }

    /// Killed at any moment, the collector has what it said it has, and the gateway's outbox ends with one row a window.
    @Test(arguments: 0..<3 as Range<UInt64>) func whatWasAnsweredSurvivesAKill(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let program = try Program()
        try program.start()
        let token = try program.enrol()
        var limits = RollupOutbox.Limits()
        limits.batchItems = 5
        var box = outbox((0..<150).map { day($0) }, limits: limits)
        var now = start
        var confirmed: [RollupKey: RollupVersion] = [:]
        var kills = 0
        while !box.rows.isEmpty {
            now.moment = max(now.moment, box.nextAttempt)
            let batch = try must(box.nextBatch(now: now.moment))
            // Some kills hit the request on its way, some its commit, some the answer.
            let victim = kills < 6 && Int.random(in: 0..<3, using: &random) == 0
            if victim {
                let delay = Int64.random(in: 0...12, using: &random)
                let killer = Worker(name: "killer")
                let pid = program.processID
                killer.run {
                    guard let loop = try? Loop() else { return }
                    loop.after(.milliseconds(delay)) { [unowned loop] in
                        kill(pid, SIGKILL)
                        loop.stop(0)
                    }
                    _ = loop.run()
                }
                defer { killer.stop() }
                settle(try program.push(batch.body, token: token), batch, &box, now, &confirmed)
                killer.stop()
                _ = program.end(SIGKILL)
                kills += 1
                try program.start()
            } else {
                settle(try program.push(batch.body, token: token), batch, &box, now, &confirmed)
            }
        }
        #expect(kills > 0 && confirmed.count == 150, "seed \(seed)")
        #expect(program.end(SIGKILL) == 128 + SIGKILL)
        let export = try program.run("export", "--db", program.database, "--format", "json")
        let lines = export.text.split(separator: "\n").compactMap { JSON(String($0)) }
        #expect(lines.count == 150, "seed \(seed): \(export.status)")
        for line in lines {
            let (key, version) = try #require(RollupItem.claim(line["rollup"] ?? .null))
            #expect(confirmed[key] == version, "seed \(seed)")
            #expect(RollupContent.digest(of: line["rollup"] ?? .null, sha256) == line["digest"]?.text)
        }
    }

    private func settle(
        _ answer: HTTPClient.Answer?, _ batch: PushBatch, _ box: inout RollupOutbox, _ now: Now,
        _ confirmed: inout [RollupKey: RollupVersion]
    ) {
        let outcome: PushAnswer.Outcome =
            answer.map {
                .response(
                    status: $0.status, contentType: $0.header("Content-Type") ?? "", retryAfter: nil, body: $0.body)
            } ?? .failed("the connection broke")
        for case .receipt(let record) in box.handle(PushAnswer(batch: batch.id, outcome: outcome), now: now) {
            confirmed[record.key] = record.version
        }
    }

    @Test func itSaysWhatItDoesNotDo() throws {
        let program = try Program()
        for (words, status, says) in [
            (["run", "--db", "postgresql://localhost/city"], 64, "SQLite"),
            (["run", "--nats", "nats://localhost"], 64, "HTTP"), (["run", "--db", "city.sqlite"], 64, "sqlite:"),
            (["run", "--listen", "8080"], 64, "ADDR:PORT"), (["run", "--tls-cert", "x"], 64, "belong together"),
            (["export", "--format", "xml", "--db", program.database], 64, "csv or json"), (["lab"], 64, "add|list"),
            (["lab", "rotat", "--db", program.database], 64, "did you mean 'rotate'"),
            (["rnu"], 64, "did you mean 'run'"),
            (["lab", "rotate", "--id", seoul, "--db", program.database], 1, "not enrolled"),
            (["lab", "list", "--db", "sqlite:/nowhere/city.sqlite"], 74, "folder"),
            (["run", "--listen", "192.0.2.1:0", "--db", program.database], 69, "192.0.2.1"),
        ] as [([String], Int32, String)] {
            let child = try ChildProcess(Program.path, words, output: .file(program.folder + "/out"))
            #expect(child.wait() == status, "\(words)")
            let text = String(decoding: try Console.read(path: program.folder + "/out"), as: UTF8.self)
            #expect(text.contains(says), "\(words): \(text)")
        }
        for command in [["--help"], ["run", "--help"], ["lab", "--help"], ["export", "--help"]] {
            let child = try ChildProcess(Program.path, command, output: .file(program.folder + "/help"))
            #expect(child.wait() == 0)
        }
        let help = String(decoding: try Console.read(path: program.folder + "/help"), as: UTF8.self)
        #expect(help.components(of: "example: fabcity") == 4)
    }

    @Test func twoCollectorsDoNotShareABook() throws {
        let program = try Program()
        try program.start()
        let second = try program.run("run", "--listen", "127.0.0.1:0", "--db", program.database)
        #expect(second.status == 69)
        #expect(second.text.contains("another process"))
        #expect(try program.get("/healthz").status == 200, "the first does not mind")
    }
}

extension String {
    fileprivate func components(of word: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: word) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }
}
