import Foundation
import Model
import Ports
import Testing

/// Nobody's card, name or address is kept: not in the store, not in what is told live, not in what is logged.
@Suite struct AccessTests {
    private static let secrets = ["04A1B2C3D4E5F6", "04a1b2c3d4e5f6", "Lovelace", "ada@example.org", "M-4711"]

    @Test func nothingOfAPersonIsKept() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        let port = try FreePort.loopback()
        let file = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test lab, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(broker.port)" }]
            devices:
              - { id: laser-reader, driver: access-reader, model: fab-o-matic, mqtt: main, topic: machine/laser }
              - { id: door, driver: access-reader, model: tasmota-rfid, mqtt: main, topic: tele/door }
              - { id: saw, driver: access-reader, model: fabaccess, mqtt: main, topic: fabaccess/saw }
            machines:
              - { id: laser, name: Laser, class: laser, devices: [laser-reader], usage: { from: none } }
            store: { path: \(folder.path)/store, size: 8 MiB, sync: 50 ms }
            http: { listen: "127.0.0.1:\(port)" }

            """)
        let gateway = try Program(["fabgate", "run", "--config", file], in: folder, name: "gateway")
        try await eventually("the broker") {
            HTTPGet.body("http://127.0.0.1:\(port)/metrics")?.contains("fabgate_link_up{link=\"main\"} 1") == true
                ? true : nil
        }
        let curl = ["curl", "-sN", "--max-time", "60", "http://127.0.0.1:\(port)/api/v1/events"]
        let events = try Program(curl, in: folder, name: "events")
        // What is written down and shown on the way is no exception.
        let capture = "\(folder.path)/capture.jsonl"
        let recorder = try Program(
            ["fabgate", "record", "--out", capture, "--config", file, "--topic", "#"], in: folder, name: "recorder")
        let listener = try Program(["fabgate", "listen", "--config", file], in: folder, name: "listener")
        let person = #""uid":"04a1b2c3d4e5f6","name":"Ada Lovelace","email":"ada@example.org","member":"M-4711""#
        try await eventually("what the readers say") { () -> Bool? in
            try broker.publish("machine/laser", "{\"action\":\"startuse\",\(person)}")
            try broker.publish("machine/laser", "{\"action\":\"ada@example.org\",\(person)}")
            try broker.publish("machine/laser", "{\"action\":[\"startuse\"],\(person)")
            try broker.publish("tele/door/SENSOR", #"{"Time":"2026-11-23T18:00:05","PN532":{"UID":"04A1B2C3D4E5F6"}}"#)
            try broker.publish("tele/door/LWT", "04A1B2C3D4E5F6")
            try broker.publish("fabaccess/saw", "inuse Ada Lovelace")
            try broker.publish("fabaccess/saw", "Lovelace ada@example.org")
            let log = events.log
            try broker.publish(
                "another/reader", "{\"card_id\":\"04A1B2C3D4E5F6\",\"name\":\"Ada Lovelace\",\"volt\":5}")
            guard listener.log.contains("another/reader"), listener.log.contains("laser-reader: "),
                FileManager.default.contents(atPath: capture).map({ String(decoding: $0, as: UTF8.self) })?
                    .contains("another/reader") == true
            else { return nil }
            return ["laser-reader", "door", "saw"].allSatisfy {
                log.contains("\"device\":\"\($0)\",\"channel\":\"occupied\"")
            }
                && log.contains("started") ? true : nil
        }
        var seen = events.log + gateway.log
        for page in ["devices", "machines", "alerts", "series"] {
            seen += HTTPGet.body("http://127.0.0.1:\(port)/api/v1/\(page)") ?? ""
        }
        #expect(seen.contains("unknownValue") && seen.contains("\"occupied\""))
        gateway.end()
        recorder.end()
        listener.end()
        let recorded = try String(contentsOfFile: capture, encoding: .utf8)
        #expect(recorded.contains("startuse") && recorded.contains("volt") && listener.log.contains("occupied"))
        for secret in Self.secrets {
            #expect(!(recorded + listener.log).contains(secret), "\(secret) was recorded or shown")
        }
        // The recording is read like the messages.
        let lasers = recorded.split(separator: "\n").filter { $0.contains("machine/laser") }.joined(separator: "\n")
        let laserFile = try folder.write("laser.jsonl", lasers + "\n")
        let decoded = try Program(
            [
                "sh", "-c",
                "\(try Program.find("fabgate")) decode --driver access-reader --model fab-o-matic < \(laserFile)",
            ], in: folder,
            name: "decoded")
        #expect(try await decoded.status() == 0, "\(decoded.log)")
        #expect(
            decoded.log.contains("started") && decoded.log.contains("unknownValue") && decoded.log.contains("badFrame"))
        let store = try FileManager.default.subpathsOfDirectory(atPath: "\(folder.path)/store")
        #expect(!store.isEmpty)
        for path in store {
            guard let data = FileManager.default.contents(atPath: "\(folder.path)/store/\(path)") else { continue }
            for secret in Self.secrets {
                #expect(data.range(of: Data(secret.utf8)) == nil, "\(path) holds \(secret)")
            }
        }
        // As text, too: what is packed in the file is unpacked here.
        let export = try Program(
            ["fabgate", "store", "export", "--store", "\(folder.path)/store"], in: folder, name: "export")
        #expect(try await export.status() == 0, "\(export.log)")
        #expect(export.log.contains("started") && export.log.contains("laser-reader"))
        for secret in Self.secrets {
            #expect(!(seen + gateway.log + export.log).contains(secret), "\(secret) was told")
        }
    }
}
