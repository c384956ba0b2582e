import Foundation
import Model
import Ports
import Testing

/// A real Moonraker (0.11 is on PyPI), with its MQTT and its history, between a played Klipper and the gateway. It needs
/// FABGATE_MOONRAKER=/path/to/moonraker.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["FABGATE_MOONRAKER"] != nil))
struct MoonrakerProgramTests {
    private struct Bench {
        let folder: PrivateFolder
        let brokerPort: UInt16
        let moonrakerPort: UInt16
        let port: UInt16

        init() throws {
            folder = try PrivateFolder()
            brokerPort = try FreePort.loopback()
            moonrakerPort = try FreePort.loopback()
            port = try FreePort.loopback()
        }

        func moonraker() throws -> Program {
            for name in ["config", "gcodes"] {
                try FileManager.default.createDirectory(
                    atPath: "\(folder.path)/data/\(name)", withIntermediateDirectories: true)
            }
            let file = try folder.write(
                "moonraker.conf",
                """
                [server]
                host: 127.0.0.1
                port: \(moonrakerPort)
                klippy_uds_address: \(folder.path)/klippy.sock
                [machine]
                provider: none
                validate_service: False
                validate_config: False
                [authorization]
                trusted_clients:
                  127.0.0.1
                [history]
                [mqtt]
                address: 127.0.0.1
                port: \(brokerPort)
                instance_name: voron1
                status_objects:
                  print_stats
                  virtual_sdcard=progress
                  webhooks=state
                  extruder=temperature,target
                  heater_bed=temperature,target

                """)
            let program = ProcessInfo.processInfo.environment["FABGATE_MOONRAKER"] ?? "moonraker"
            return try Program([program, "-d", "\(folder.path)/data", "-c", file, "-n"], in: folder, name: "moonraker")
        }

        func gateway(_ name: String) throws -> Program {
            let file = try folder.write(
                "fabgate.yaml",
                """
                lab: { id: "urn:fablabs:io:lab:test", timezone: Asia/Seoul }
                mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(brokerPort)" }]
                devices: [{ id: voron, driver: moonraker, mqtt: main, topic: voron1 }]
                machines: [{ id: voron, class: three_d_printing, devices: [voron] }]
                store: { path: \(folder.path)/store, size: 8 MiB }
                http: { listen: "127.0.0.1:\(port)" }

                """)
            return try Program(["fabgate", "run", "--config", file], in: folder, name: name)
        }

        func become(_ phase: String) throws { _ = try folder.write("phase", phase) }

        var machine: JSON? { HTTPGet.body("http://127.0.0.1:\(port)/api/v1/machines/voron").flatMap { JSON($0) } }

        /// How Moonraker's last jobs ended, the newest first.
        var history: [String] {
            let body = HTTPGet.body("http://127.0.0.1:\(moonrakerPort)/server/history/list?limit=9&order=desc")
            return body.flatMap { JSON($0)?["result"]?["jobs"]?.items }?.compactMap { $0["status"]?.text } ?? []
        }

        func jobs(_ outcome: String) -> Int64 { machine?["today"]?["jobs"]?[outcome]?.integer ?? 0 }

        /// A print until it is seen to print, and its end.
        func print(_ end: String, _ outcome: String) async throws {
            let before = jobs(outcome)
            try become("printing")
            try await eventually("a running print") { machine?["state"]?.text == "running" ? true : nil }
            try become(end)
            try await eventually("its end, \(outcome)") { jobs(outcome) == before + 1 ? true : nil }
        }
    }

    @Test func jobsAreThoseOfItsHistory() async throws {
        let bench = try Bench()
        let broker = try TestBroker(in: bench.folder, port: bench.brokerPort)
        let script = try bench.folder.write("klippy.py", klippyPeer)
        let klippy = try Program(["/usr/bin/python3", script, bench.folder.path], in: bench.folder, name: "klippy")
        try await eventually("Klipper's socket") { klippy.log.contains("listens") ? true : nil }
        let moonraker = try bench.moonraker()
        try await eventually("Moonraker's word with Klipper", within: 90) {
            moonraker.log.contains("Klippy ready") ? true : nil
        }
        var gateway = try bench.gateway("gateway-1")
        try await eventually("an idle printer") { bench.machine?["state"]?.text == "idle" ? true : nil }

        try await bench.print("complete", "completed")
        try await bench.print("cancelled", "cancelled")
        try await bench.print("error", "failed")

        // The gateway dies within a print; that one is completed, and another one begun and cancelled, without it.
        try bench.become("printing")
        try await eventually("a running print") { bench.machine?["state"]?.text == "running" ? true : nil }
        gateway.kill()
        for (end, status) in [("complete", "completed"), ("printing", "in_progress"), ("cancelled", "cancelled")] {
            try bench.become(end)
            try await eventually("\(status) in the history") { bench.history.first == status ? true : nil }
        }
        gateway = try bench.gateway("gateway-2")
        try await eventually("both, from the history") {
            bench.jobs("completed") == 2 && bench.jobs("cancelled") == 2 ? true : nil
        }
        #expect(bench.history.reversed() == ["completed", "cancelled", "error", "completed", "cancelled"])
        let today = try #require(bench.machine?["today"])
        let outcomes = ["completed", "cancelled", "failed", "interrupted", "unknown"]
        #expect(outcomes.map { today["jobs"]?[$0]?.integer } == [2, 2, 1, 0, 0])
        let filament = try #require(today["filament_mm"]?.number)
        #expect(filament > 0)
        withExtendedLifetime((broker, gateway)) {}
    }
}
