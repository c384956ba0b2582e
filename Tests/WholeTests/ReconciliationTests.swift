import Foundation
import Model
import Ports
import Testing

/// A real gateway and a real collector that do not remember the same.
@Suite(.serialized) struct ReconciliationTests {
    private static let lab = "urn:fablabs:io:lab:test"

    /// A gateway with three hours in its store, and a collector; both can be started and ended.
    private struct City {
        let folder: PrivateFolder
        let port: UInt16
        let start: Instant
        let gatewayFile: String
        private let webPort: UInt16
        var tokenFile: String { "\(folder.path)/city.token" }
        var database: String { "sqlite:\(folder.path)/city.sqlite" }

        init() async throws {
            folder = try PrivateFolder()
            port = try FreePort.loopback()
            webPort = try FreePort.loopback()
            let now = Instant(milliseconds: Int64(Date().timeIntervalSince1970 * 1000))
            start = now.floor(to: .hours(1)) - .hours(5)
            gatewayFile = "\(folder.path)/fabgate.yaml"
            try configure()
            let capture = try folder.write("hours.jsonl", PlugCapture.text(from: start) { _ in "laser" })
            let replay = try Program(
                ["fabgate", "replay", capture, "--config", gatewayFile, "--store", "\(folder.path)/store"], in: folder,
                name: "replay")
            try #require(try await replay.status() == 0, "\(replay.log)")
        }

        /// The configuration of the gateway; the machine may have another class.
        func configure(class name: String = "laser") throws {
            _ = try folder.write(
                "fabgate.yaml",
                """
                lab: { id: "\(lab)", name: 시험 랩, timezone: Asia/Seoul }
                mqtt: [{ name: main, url: "mqtt://127.0.0.1:1" }]
                devices: [{ id: plug, driver: tasmota, mqtt: main, topic: laser }]
                machines:
                  - { id: laser, class: \(name), devices: [plug],
                      usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s } }
                store: { path: \(folder.path)/store, size: 8 MiB }
                http: { listen: "127.0.0.1:\(webPort)" }
                city: [{ name: seoul, kind: fabcity, url: "http://127.0.0.1:\(port)", token_file: \(tokenFile),
                         grains: [PT1H], privacy: { threshold: 1, dominance: 100 } }]

                """)
        }

        /// Enrols the lab, or gives its gateway the next epoch; what is printed is the gateway's token.
        func enrol(_ verb: String = "add", name: String) async throws {
            let desk = try Program(
                ["fabcity", "lab", verb, "--db", database, "--id", lab], in: folder, name: "lab-\(name)")
            try #require(try await desk.status() == 0, "\(desk.log)")
            _ = try folder.write("city.token", desk.log)
        }

        func startCity(name: String) async throws -> Program {
            let city = try Program(
                ["fabcity", "run", "--listen", "127.0.0.1:\(port)", "--db", database], in: folder, name: "city-\(name)")
            try await eventually("the collector") { city.log.contains("listening on") ? true : nil }
            return city
        }

        func startGateway(name: String) throws -> Program {
            try Program(["fabgate", "run", "--config", gatewayFile], in: folder, name: "gateway-\(name)")
        }

        /// The rollups of the three hours as the collector has them, oldest first.
        func held() async throws -> [JSON] {
            let export = try Program(
                [
                    "fabcity", "export", "--db", database, "--format", "json", "--from", "\(start)", "--to",
                    "\(start + .hours(3))",
                ], in: folder, name: "export-\(UUID().uuidString)")
            try #require(try await export.status() == 0, "\(export.log)")
            return export.log.split(separator: "\n").compactMap { JSON(String($0))?["rollup"] }
                .sorted { ($0["start"]?.text ?? "") < ($1["start"]?.text ?? "") }
        }

        /// The three hours at the city, once the gateway has its receipts for all that it told.
        func delivered() async throws -> [JSON] {
            try await eventually("receipts for three hours") {
                let outbox = HTTPGet.body("http://127.0.0.1:\(webPort)/api/v1/outbox").flatMap { JSON($0) }
                guard outbox?["pending"]?.number == 0, outbox?["received"]?.items?.isEmpty == false else { return nil }
                let held = try await held()
                return held.count == 3 ? held : nil
            }
        }

        func outbox(_ words: String..., name: String) async throws -> (status: Int32, log: String) {
            let program = try Program(
                ["fabgate", "outbox"] + words + ["--store", "\(folder.path)/store"], in: folder, name: "outbox-\(name)")
            return (try await program.status(), program.log)
        }
    }

    private func classes(_ held: [JSON]) -> [String?] { held.map { $0["classes"]?.items?.first?["class"]?.text } }

    @Test func aCityThatForgotIsToldAgain() async throws {
        let both = try await City()
        try await both.enrol(name: "first")
        let first = try await both.startCity(name: "first")
        let gateway = try both.startGateway(name: "first")
        let before = try await both.delivered()
        gateway.end()
        first.end()
        // The city's disk is gone, and nobody tells the gateway.
        for file in try FileManager.default.contentsOfDirectory(atPath: both.folder.path)
        where file.hasPrefix("city.sqlite") {
            try FileManager.default.removeItem(atPath: "\(both.folder.path)/\(file)")
        }
        try await both.enrol(name: "second")
        let second = try await both.startCity(name: "second")
        defer { second.end() }
        #expect(try await both.held().isEmpty)
        let again = try both.startGateway(name: "second")
        defer { again.end() }
        let after = try await both.delivered()
        #expect(again.log.contains("are told again"))
        for (old, new) in zip(before, after) {
            #expect(new["totals"] == old["totals"])
            #expect(try #require(new["revision"]?.number) > #require(old["revision"]?.number))
        }
    }

    /// A gateway whose outbox is lost got the next epoch. What the city has of another account stays, until a person says
    /// that this gateway's is right.
    @Test func whatSomebodyElseMadeStaysUntilItIsClaimed() async throws {
        let both = try await City()
        try await both.enrol(name: "first")
        let city = try await both.startCity(name: "first")
        defer { city.end() }
        let first = try both.startGateway(name: "first")
        _ = try await both.delivered()
        first.end()
        for file in try FileManager.default.contentsOfDirectory(atPath: "\(both.folder.path)/store")
        where file.hasPrefix("outbox.db") {
            try FileManager.default.removeItem(atPath: "\(both.folder.path)/store/\(file)")
        }
        try both.configure(class: "woodwork")
        try await both.enrol("rotate", name: "rotated")
        let second = try both.startGateway(name: "second")
        try await eventually("the alarm") { second.log.contains("outbox claim` replaces it") ? true : nil }
        second.end()
        #expect(classes(try await both.held()) == ["laser", "laser", "laser"])

        let unknown = try await both.outbox("claim", "nothing", name: "unknown")
        #expect(unknown.status == 1 && unknown.log.contains("none of the windows that somebody else made"))
        let claim = try await both.outbox("claim", "all", name: "claim")
        #expect(claim.status == 0 && claim.log.contains("will be told as this gateway has them"), "\(claim.log)")
        let third = try both.startGateway(name: "third")
        defer { third.end() }
        try await eventually("this gateway's account") {
            classes(try await both.held()) == ["woodwork", "woodwork", "woodwork"] ? true : nil
        }
    }
}
