import Foundation
import Model
import Ports
import Testing

/// A printer that is asked over HTTP, by the programs that look at the wires: record, replay, decode and listen.
@Suite(.serialized) struct HTTPPrinterTests {
    /// The peer, and a configuration that knows its password.
    private struct Bench {
        let folder: PrivateFolder
        let peer: Program
        let file: String
        private let port: String

        init() async throws {
            let folder = try PrivateFolder()
            let script = try folder.write("prusa.py", prusaPeer)
            let peer = try Program(["/usr/bin/python3", script, folder.path], in: folder, name: "peer")
            port = try await eventually("the printer's port") {
                peer.log.split(separator: "\n").first { $0.hasPrefix("port ") }.map { String($0.dropFirst(5)) }
            }
            self.folder = folder
            self.peer = peer
            _ = try folder.write("password", "secret-of-mk4\n")
            file = try Self.configuration(folder, port, Self.login("\(folder.path)/password"), name: "fabgate.yaml")
        }

        private static func login(_ file: String) -> String { "username: maker, password_file: \(file)" }

        /// The same with another password file.
        func configuration(password: String, name: String) throws -> String {
            try Self.configuration(folder, port, Self.login("\(folder.path)/\(password)"), name: name)
        }

        /// The same with a key instead of a name and a password.
        func configuration(key: String, name: String) throws -> String {
            try Self.configuration(folder, port, "api_key_file: \(folder.path)/\(key)", name: name)
        }

        private static func configuration(
            _ folder: PrivateFolder, _ port: String, _ login: String, name: String
        ) throws -> String {
            try folder.write(
                name,
                """
                lab: { id: "urn:fablabs:io:lab:test", timezone: Asia/Seoul }
                devices:
                  - { id: mk4, driver: prusalink, url: "http://127.0.0.1:\(port)",
                      \(login), every: 1 s }
                machines: [{ id: mk4, class: three_d_printing, devices: [mk4] }]
                store: { path: \(folder.path)/store, size: 8 MiB }

                """)
        }

        /// What the printer does from now on.
        func become(_ phase: String) throws { _ = try folder.write("phase", phase) }

        func start(_ words: [String], _ configuration: String? = nil, name: String) throws -> Program {
            try Program(["fabgate"] + words + ["--config", configuration ?? file], in: folder, name: name)
        }
    }

    private func lines(_ path: String) throws -> [CaptureLine] {
        try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
            try CaptureLine(parsing: String($0))
        }
    }

    private func interrupt(_ program: Program) async throws -> Int32 {
        _ = Foundation.kill(program.id, SIGINT)
        return try await program.status()
    }

    @Test func aPrintIsRecordedReplayedAndDecoded() async throws {
        let bench = try await Bench()
        let out = "\(bench.folder.path)/mk4.jsonl"
        let record = try bench.start(["record", "--poll", "--out", out], name: "record")
        for (phase, word) in [("IDLE", "IDLE"), ("PRINTING", "PRINTING"), ("FINISHED", "FINISHED"), ("IDLE", "IDLE")] {
            try bench.become(phase)
            let before = (try? lines(out).count) ?? 0
            try await eventually("two answers in phase \(phase)") {
                let told = try? lines(out).dropFirst(before).count { line in
                    guard case .http("mk4", "/api/v1/status", .answer(200, let body)) = line.link else { return false }
                    return JSON(body)?["printer"]?["state"]?.text == word
                }
                return told ?? 0 >= 2 ? true : nil
            }
        }
        #expect(try await interrupt(record) == 0)
        let captured = try lines(out)
        let questions = captured.count { if case .http(_, _, .question) = $0.link { true } else { false } }
        #expect(record.log.contains("HTTP: \(questions) questions, "), "\(record.log)")
        let text = try String(contentsOfFile: out, encoding: .utf8)
        #expect(!text.contains("secret-of-mk4") && !text.contains("Digest"), "no word of the login is written down")

        // Through the whole gateway, by the recording's own clock.
        let store = "\(bench.folder.path)/kept"
        let replay = try bench.start(["replay", out, "--format", "json", "--store", store], name: "replay")
        #expect(try await replay.status() == 0, "\(replay.log)")
        let events = replay.log.split(separator: "\n").compactMap { JSON(String($0)) }
        let states = events.filter { $0["event"]?.text == "state" }.compactMap { $0["state"]?.text }
        // Idle twice: finished, and then confirmed at the printer.
        #expect(states.filter { $0 != "unknown" } == ["idle", "running", "idle", "idle"], "\(replay.log)")
        #expect(replay.log.contains(" 0 faults") && !replay.log.contains("nobody was asked"), "\(replay.log)")
        let query = try Program(
            ["fabgate", "query", "mk4/job", "--store", store, "--format", "csv"], in: bench.folder, name: "query")
        #expect(try await query.status() == 0)
        #expect(
            query.log.split(separator: "\n").dropFirst().compactMap { $0.split(separator: ",").last } == ["completed"])

        // The driver alone, without a gateway.
        let decode = try Program(
            ["/bin/sh", "-c", "\(try Program.find("fabgate")) decode --driver prusalink < \(out)"], in: bench.folder,
            name: "decode")
        #expect(try await decode.status() == 0)
        let readings = decode.log.split(separator: "\n").compactMap { JSON(String($0)) }
        #expect(readings.allSatisfy { $0["fault"] == nil && $0["device"]?.text != nil }, "\(decode.log)")
        #expect(readings.filter { $0["channel"]?.text == "job" }.compactMap { $0["value"]?.text } == ["completed"])
        #expect(readings.contains { $0["channel"]?.text == "temperature.nozzle" && $0["value"]?.number == 214.8 })
        #expect(!decode.log.contains("geheim"))
    }

    @Test func listenSaysWhatWasAnsweredAndWhyNot() async throws {
        let bench = try await Bench()
        try bench.become("PRINTING")
        let listen = try bench.start(["listen"], name: "listen")
        try await eventually("an answer") { listen.log.contains("mk4  /api/v1/status 200") ? true : nil }
        #expect(listen.log.contains("mk4: ") && listen.log.contains("temperature.nozzle 214.8 °C"), "\(listen.log)")
        // The printer is switched off.
        bench.peer.end()
        try await eventually("its silence") { listen.log.contains("nothing listens there") ? true : nil }
        #expect(try await interrupt(listen) == 0)
        #expect(!FileManager.default.fileExists(atPath: "\(bench.folder.path)/store"))
    }

    /// A technician sees on a phone how far a print is, in both languages, and that it is over.
    @Test func thePageTellsHowFarAPrintIs() async throws {
        let bench = try await Bench()
        try bench.become("PRINTING")
        let port = try FreePort.loopback()
        let text = try String(contentsOfFile: bench.file, encoding: .utf8)
        let file = try bench.folder.write("page.yaml", text + "http: { listen: \"127.0.0.1:\(port)\" }\n")
        let gateway = try bench.start(["run"], file, name: "gateway")
        func machine() -> JSON? { HTTPGet.body("http://127.0.0.1:\(port)/api/v1/machines/mk4").flatMap { JSON($0) } }
        let told = try await eventually("the print's progress") { () -> JSON? in
            machine()?["progress"].flatMap { $0["share"]?.number == 0.12 ? $0 : nil }
        }
        #expect(told["remaining_s"]?.number == 5100 && told["layer"]?.number == nil && told["t"]?.text != nil)
        let heaters = try #require(told["heaters"]?.items)
        #expect(heaters.map { $0["name"]?.text } == ["nozzle", "bed"])
        #expect(heaters.map { $0["temperature_c"]?.number } == [214.8, 60.1])
        #expect(heaters.map { $0["target_c"]?.number } == [215, 60])

        let browser = try Browser(in: bench.folder, width: 360, height: 740)
        try browser.open("http://127.0.0.1:\(port)/")
        let line = ".machine[data-id=\"mk4\"] .progress"
        func shown(_ what: String, _ parts: [String]) async throws {
            try await eventually("\(what) on the page") {
                try browser.text(line).flatMap { text in parts.allSatisfy { text.contains($0) } ? true : nil }
            }
        }
        try await shown("the print", ["12 % done", "1 h 25 min left", "nozzle 214.8 °C, set 215.0 °C", "bed 60.1 °C"])
        _ = try browser.evaluate("document.querySelector('[data-language=ko]').click()")
        try await shown("the same in Korean", ["12 % 완료", "1시간 25분 남음", "노즐 214.8 °C", "베드 60.1 °C", "설정 60.0 °C"])
        #expect(try browser.evaluate("document.documentElement.scrollWidth <= window.innerWidth") == "true")
        try bench.become("FINISHED")
        try await eventually("the end of the print on the page") {
            try browser.evaluate("document.querySelector('\(line)').hidden").flatMap { $0 == "true" ? true : nil }
        }
        // A member that is null is none: nothing is told between two prints.
        #expect(machine()?["progress"]?["share"] == nil)
        withExtendedLifetime(gateway) {}
    }

    @Test func aKeyOpensAsWellAsAPassword() async throws {
        let bench = try await Bench()
        try bench.become("PRINTING")
        for (name, key, told) in [
            ("right", "key-of-mk4", "mk4  /api/v1/status 200"), ("wrong", "another-key", "/api/v1/status 401"),
        ] {
            _ = try bench.folder.write("\(name)-key", "\(key)\n")
            let file = try bench.configuration(key: "\(name)-key", name: "\(name).yaml")
            let listen = try bench.start(["listen"], file, name: name)
            try await eventually("the answer to the \(name) key") { listen.log.contains(told) ? true : nil }
            #expect(try await interrupt(listen) == 0)
            #expect(!listen.log.contains(key), "\(listen.log)")
        }
    }

    @Test func aWrongPasswordIsToldAsOne() async throws {
        let bench = try await Bench()
        _ = try bench.folder.write("wrong", "guessed\n")
        let file = try bench.configuration(password: "wrong", name: "wrong.yaml")
        let listen = try bench.start(["listen"], file, name: "listen")
        try await eventually("the refusal") { listen.log.contains("/api/v1/status 401") ? true : nil }
        #expect(try await interrupt(listen) == 0)
        #expect(listen.log.contains("refused: ") && !listen.log.contains("guessed"), "\(listen.log)")
        // Without --poll nobody is asked, and record says so.
        let record = try bench.start(
            ["record", "--out", "\(bench.folder.path)/none.jsonl", "--seconds", "1"], name: "record")
        #expect(try await record.status() == 0)
        #expect(record.log.contains("HTTP: nobody was asked, so nobody answered; record with --poll"))
    }
}
