import Foundation
import Model
import Ports
import Testing

/// `fabgate discover` on a real broker and a bus of its own: what it prints is taken over unchanged and works.
@Suite(.serialized) struct DiscoverTests {
    private static let announced: [(topic: String, payload: String)] = [
        // Tasmota with its own discovery, with another layout of topics, and with Home Assistant's (SetOption19 1).
        (
            "tasmota/discovery/A1B2C3D4E5F6/config",
            #"{"dn":"Laser","md":"NOUS A1T","t":"laser","ft":"%prefix%/%topic%/","tp":["cmnd","stat","tele"],"rl":[1]}"#
        ),
        ("tasmota/discovery/A1B2C3D4E5F6/sensors", #"{"sn":{"ENERGY":{"Total":1.2,"Power":12}},"ver":1}"#),
        (
            "tasmota/discovery/A1B2C3D4E5F7/config",
            #"{"md":"4CH","t":"bench","ft":"shop/%topic%/%prefix%/","tp":["cmnd","stat","tele"]}"#
        ),
        ("tasmota/discovery/A1B2C3D4E5F7/sensors", #"{"sn":{"ENERGY":{"Total":1.2,"Power":[12,0]}},"ver":1}"#),
        (
            "homeassistant/sensor/B94927_ENERGY_Total/config",
            #"{"stat_t":"tele/old-saw/SENSOR","avty_t":"tele/old-saw/LWT","pl_avail":"Online","#
                + #""pl_not_avail":"Offline","dev":{"ids":["B94927"]},"unit_of_meas":"kWh","dev_cla":"energy","#
                + #""val_tpl":"{{value_json['ENERGY']['Total']}}"}"#
        ),
        ("shellies/shellyplug-s-7A11C2/online", "true"),
        ("shellyplusplugs-a8032ab1c0de/online", "true"),
        (
            "fablab/cnc/events/rpc",
            #"{"src":"shellypro2pm-1","dst":"x","method":"NotifyStatus","params":{"ts":1.0,"switch:0":{"id":0},"switch:1":{"id":1}}}"#
        ),
        (
            "zigbee2mqtt/bridge/devices",
            #"[{"friendly_name":"Coordinator"},{"friendly_name":"3D printer/A","definition":{"exposes":[{"features":"#
                + #"[{"property":"state"}]},{"property":"power"},{"property":"energy"}]}},"#
                + #"{"friendly_name":"lamp","definition":{"exposes":[{"property":"power_on_behavior"}]}}]"#
        ),
        (
            "homeassistant/sensor/cnc-meter/cnc_power/config",
            #"{"stat_t":"cnc-meter/sensor/cnc_power/state","avty_t":"cnc-meter/status","unit_of_meas":"W","#
                + #""dev_cla":"power","stat_cla":"measurement","dev":{"ids":"a8","sw":"esphome v2025.10.1"}}"#
        ),
        (
            "homeassistant/sensor/cnc-meter/cnc_energy/config",
            #"{"stat_t":"cnc-meter/sensor/cnc_energy/state","avty_t":"cnc-meter/status","unit_of_meas":"Wh","#
                + #""dev_cla":"energy","stat_cla":"total_increasing","dev":{"ids":"a8"}}"#
        ),
        (
            "homeassistant/sensor/gw_cnc1_energy/config",
            #"{"~":"gw/cnc1","stat_t":"~/state","val_tpl":"{{value_json.kwh}}","unit_of_meas":"kWh","dev_cla":"energy","#
                + #""stat_cla":"total_increasing","avty":[{"t":"gw/status"}],"dev":{"ids":["gw_cnc1"],"name":"CNC 1"}}"#
        ),
        (
            "homeassistant/sensor/gw_cnc1_power/config",
            #"{"~":"gw/cnc1","stat_t":"~/state","val_tpl":"{% if value %}{{value_json.w}}{% endif %}","unit_of_meas":"W","#
                + #""dev_cla":"power","dev":{"ids":["gw_cnc1"]}}"#
        ),
    ]

    private static let proposed = [
        "- { id: laser, driver: tasmota, model: nous-a1t, mqtt: main, topic: laser }",
        #"- { id: bench, driver: tasmota, mqtt: main, topic: bench, full_topic: "shop/%topic%/%prefix%/" }"#,
        "- { id: old-saw, driver: tasmota, mqtt: main, topic: old-saw }",
        "- { id: shellyplug-s-7a11c2, driver: shelly-gen1, mqtt: main, topic: shellyplug-s-7A11C2 }",
        "- { id: shellyplusplugs-a8032ab1c0de, driver: shelly, mqtt: main, topic: shellyplusplugs-a8032ab1c0de }",
        "- { id: fablab-cnc, driver: shelly, mqtt: main, topic: fablab/cnc, meters: 2 }",
        #"- { id: device-3d-printer-a, driver: zigbee2mqtt, mqtt: main, topic: "3D printer/A" }"#,
        "{ channel: energy, entity: sensor/cnc_energy, unit: Wh }, { channel: power, entity: sensor/cnc_power, unit: W }",
        "- { id: cnc-1, driver: homeassistant, mqtt: main, topic: gw/cnc1/state, also: [gw/status], ",
        "# gw_cnc1_power: its template is not understood: {% if value %}",
    ]

    private func fabgate(_ words: String..., in folder: PrivateFolder, name: String) throws -> Program {
        try Program(["fabgate"] + words, in: folder, name: name)
    }

    @Test func whatIsHeardBecomesConfigurationThatWorks() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        try await eventually("the broker") {
            let words = ["-h", "127.0.0.1", "-p", "\(broker.port)", "-t", "x", "-m", "1"]
            return try ChildProcess(Program.find("mosquitto_pub"), words, output: .discarded).wait() == 0 ? true : nil
        }
        for (topic, payload) in Self.announced {
            let words = ["-h", "127.0.0.1", "-p", "\(broker.port)", "-q", "1", "-r", "-t", topic, "-m", payload]
            #expect(try ChildProcess(try Program.find("mosquitto_pub"), words, output: .discarded).wait() == 0)
        }
        let lab = try folder.write(
            "lab.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test lab, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(broker.port)" }]
            store: { path: \(folder.path)/store, size: 8 MiB }

            """)
        let shell =
            "\(try Program.find("fabgate")) discover --config '\(lab)' --seconds 2 > '\(folder.path)/found.yaml'"
        let discover = try Program(["/bin/sh", "-c", shell], in: folder, name: "discover")
        #expect(try await discover.status() == 0, "\(discover.log)")
        let found = try String(contentsOfFile: "\(folder.path)/found.yaml", encoding: .utf8)
        for line in Self.proposed { #expect(found.contains(line), "lacks \(line)\n\(found)") }
        #expect(found.split(separator: "\n").count { $0.hasPrefix("  - {") } == 9, "\(found)")

        // Put behind the configuration as it is, it is right, and its devices are read.
        let both = try folder.write("both.yaml", try String(contentsOfFile: lab, encoding: .utf8) + found)
        let check = try fabgate("check", "--config", both, in: folder, name: "check")
        #expect(try await check.status() == 0, "\(check.log)")
        let listen = try fabgate("listen", "--config", both, "--seconds", "60", in: folder, name: "listen")
        try await eventually("the broker") { listen.log.contains("accepted us") ? true : nil }
        var watts = 118
        try await eventually("readings of what was found") { () -> Bool? in
            // The bridge repeats what it knows; only what changes was measured.
            watts += 1
            try broker.publish("tele/laser/SENSOR", #"{"Time":"x","ENERGY":{"Total":1.234,"Power":742}}"#)
            try broker.publish("shop/bench/tele/SENSOR", #"{"Time":"x","ENERGY":{"Total":1.234,"Power":[5,6]}}"#)
            try broker.publish("cnc-meter/sensor/cnc_energy/state", "48213")
            try broker.publish("zigbee2mqtt/3D printer/A", "{\"power\":\(watts),\"energy\":23.41}")
            try broker.publish("gw/cnc1/state", #"{"kwh":48.2}"#)
            let wanted = [
                "laser: power 742 W, energy 1234000 mWh", "bench: power 11 W", "cnc-meter: energy 48213000 mWh",
                "device-3d-printer-a: power 1", "cnc-1: energy 48200000 mWh",
            ]
            return wanted.allSatisfy(listen.log.contains) ? true : nil
        }
        // What is configured is not found a second time.
        let again = try fabgate("discover", "--config", both, "--seconds", "2", in: folder, name: "again")
        #expect(try await again.status() == 0)
        #expect(again.log.contains("# 9 devices that are configured already left out.") && !again.log.contains("- {"))
    }

    @Test func aNamedBusIsScannedAndNoOtherPortIsOpened() async throws {
        let folder = try PrivateFolder()
        let bus = try ModbusBus(refuses: true)
        let untouched = try PseudoTerminal()
        let lab = try folder.write(
            "lab.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test lab, timezone: Asia/Seoul }
            serial: [{ name: bus1, port: \(bus.terminal.path) }, { name: cnc, port: \(untouched.path) }]
            store: { path: \(folder.path)/store, size: 8 MiB }

            """)
        let unnamed = try fabgate("discover", "--config", lab, in: folder, name: "unnamed")
        #expect(try await unnamed.status() == 78)
        let wrong = try fabgate("discover", "--config", lab, "--scan", "bus2", in: folder, name: "wrong")
        #expect(try await wrong.status() == 64)
        #expect(wrong.log.contains("did you mean 'bus1'?"))

        let shell =
            "\(try Program.find("fabgate")) discover --config '\(lab)' --scan bus1 --units 1-4 > '\(folder.path)/found.yaml'"
        let units = AnsweringBus(bus)
        defer { units.stop() }
        let discover = try Program(["/bin/sh", "-c", shell], in: folder, name: "discover")
        try await eventually("the end of the scan", within: 120) { () -> Bool? in discover.isRunning ? nil : true }
        #expect(try await discover.status() == 0, "\(discover.log)")
        #expect(!discover.log.contains("["), "a progress bar is for terminals: \(discover.log)")
        let found = try String(contentsOfFile: "\(folder.path)/found.yaml", encoding: .utf8)
        #expect(found.contains("driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 1 }"), "\(found)")
        #expect(found.contains("driver: modbus-rtu, model: autonics-tk4, serial: bus1, unit: 3 }"), "\(found)")
        #expect(found.contains("# Line cnc was left alone"))
        // Every port that is opened is told of; nothing was said of this one, and nothing written on it.
        #expect(discover.log.contains("(\(bus.terminal.path)) is open"))
        #expect(!discover.log.contains(untouched.path) && untouched.read().isEmpty)
        let both = try folder.write("both.yaml", try String(contentsOfFile: lab, encoding: .utf8) + found)
        let check = try fabgate("check", "--config", both, in: folder, name: "check")
        #expect(try await check.status() == 0, "\(check.log)")
    }
}
