// What it costs a driver to turn what arrived into readings: CPU time and calls of the allocator.

import AllocationCount
import Hub
import Model

/// A device and what it says, over and over.
private struct Speech {
    let name: String
    let driver: String
    var model: String?
    var keys = "{}"
    /// Empty on a serial line.
    var topic = ""
    /// On a bus, what the gateway asks before each answer.
    var question: [UInt8] = []
    let said: [[UInt8]]

    /// About 300 bytes, as a plug of 16 A sends it every ten seconds.
    static let tasmotaSensor = [61, 742].map { watts in
        """
        {"Time":"2026-11-23T18:00:00","ENERGY":{"TotalStartTime":"2026-01-03T09:12:44","Total":812.417,"Yesterday":3.902,\
        "Today":1.266,"Period":5,"Power":\(watts),"ApparentPower":764,"ReactivePower":200,"Factor":0.95,"Frequency":60,\
        "Voltage":219,"Current":3.301},"ESP32":{"Temperature":43.6},"TempUnit":"C","Switch1":"ON"}
        """
    }

    static let all = [
        Speech(
            name: "decode.tasmota_sensor", driver: "tasmota", keys: "{ topic: laser, phases: 1 }",
            topic: "tele/laser/SENSOR", said: tasmotaSensor.map { Array($0.utf8) }),
        Speech(
            name: "decode.shelly_notify_status", driver: "shelly", keys: "{ topic: fablab/cnc }",
            topic: "fablab/cnc/events/rpc",
            said: [1184.6, 1402.7].map { watts in
                Array(
                    """
                    {"src":"shelly1pmg3-dc06b1020304","dst":"fablab/cnc/events","method":"NotifyStatus","params":\
                    {"ts":1795424431.4,"switch:0":{"id":0,"apower":\(watts),"voltage":219.9,"freq":60.0,"current":5.411,\
                    "pf":0.99,"aenergy":{"total":48203.512,"by_minute":[9410.1,68.3,68.2],"minute_ts":1795424400}}}}
                    """.utf8)
            }),
        // Frequency, energy and exported energy: three floats of two registers.
        Speech(
            name: "decode.modbus_sdm120", driver: "modbus-rtu", model: "eastron-sdm120", keys: "{ unit: 1 }",
            question: Hex.bytes("01040046000691dd") ?? [],
            said: [Hex.bytes("01040c426feb85449a522500000000f7c0") ?? []]),
        // Eight registers, eight channels.
        Speech(
            name: "decode.modbus_tk4", driver: "modbus-rtu", model: "autonics-tk4", keys: "{ unit: 1 }",
            question: Hex.bytes("010403e8000871bc") ?? [],
            said: [Hex.bytes("01041000d50001000007d003e8000000090030" + "96e0") ?? []]),
        Speech(
            name: "decode.grbl_report", driver: "grbl",
            said: [Array("<Run|MPos:12.310,-4.000,1.500|Bf:3,96|FS:1200,9000|Ov:100,100,100>\r\n".utf8)]),
        // 5 234 187.7 Wh drawn, none fed in, 412 W flowing out.
        Speech(
            name: "decode.sml", driver: "sml",
            said: [
                Hex.bytes(
                    "1b1b1b1b0101010176030001620062007263010176010103002a0b0a014d4b53000102030401016388730076030002620062007263"
                        + "070177010b0a014d4b530001020304070100620affff726201650001e2407377070100010800ff650001010401621e52ff59"
                        + "00000000031eac750177070100020800ff0101621e52ff5900000000000000000177070100100700ff0101621b520055ffff"
                        + "fe6401010163db0000760300036200620072630201710163bdf0001b1b1b1b1a000561") ?? []
            ]),
        Speech(
            name: "decode.dsmr", driver: "dsmr",
            said: [
                Array(
                    ([
                        "/MKS5FABLAB-01", "", "1-3:0.2.8(50)", "0-0:1.0.0(260812143005S)",
                        "0-0:96.1.1(4D4B533030303031)",
                        "1-0:1.8.1(001204.517*kWh)", "1-0:1.8.2(000833.902*kWh)", "1-0:2.8.1(000000.000*kWh)",
                        "1-0:2.8.2(000000.000*kWh)", "0-0:96.14.0(0002)", "1-0:1.7.0(03.412*kW)",
                        "1-0:2.7.0(00.000*kW)",
                        "1-0:32.7.0(229.8*V)", "1-0:31.7.0(015*A)", "1-0:21.7.0(03.412*kW)", "!36B8", "",
                    ]).joined(separator: "\r\n").utf8)
            ]),
        Speech(
            name: "decode.iec62056", driver: "iec62056-21",
            said: [
                Array("/MKS5FAB01\r\n\u{2}".utf8)
                    + Array(
                        ([
                            "F.F(00)", "0.0.0(12345678)", "1.8.0(004217.36*kWh)", "2.8.0(000000.00*kWh)",
                            "1.7.0(01.284*kW)", "32.7.0(229.4*V)", "!", "\u{3}\u{5D}",
                        ]).joined(separator: "\r\n").utf8)
            ]),
        Speech(
            name: "decode.line_json", driver: "line-json", model: "line-json-press",
            said: [1040, 1041].map { shots in
                Array(
                    """
                    {"v":1,"id":"desk1","boot":3,"up":81230,"shots":\(shots),"clamp":0,"in":[0,0],"mass_g":0.1,\
                    "t":[200.1,199.2],"sv":[200,200]}\n
                    """.utf8)
            }),
        Speech(
            name: "decode.octoprint_temperature", driver: "octoprint", topic: "octoPrint/temperature/tool0",
            said: [("209.7", 1_795_424_462), ("210.2", 1_795_424_463)].map { degrees, time in
                Array(#"{"_timestamp":\#(time),"actual":\#(degrees),"target":210.0}"#.utf8)
            }),
    ]
}

/// Every driver that is common in a lab, and JSONDecoder on the first one's message.
func decodeBench() -> [BenchResult] {
    do {
        let catalog = try BenchLab.catalog(models: [
            "meters/models/eastron-sdm120", "desk-factories/models/autonics-tk4",
            "desk-factories/models/line-json-press",
        ])
        var results = try Speech.all.map { try decode($0, catalog) }
        results.insert(try jsonDecoderPeer(Speech.tasmotaSensor[0], beside: results[0]), at: 1)
        return results
    } catch {
        Bench.fail("the benchmark of the drivers stopped: \(error)")
    }
}

/// Many devices of one kind, each of which hears one message in a measured stretch; questions are asked outside of it.
private func decode(_ speech: Speech, _ catalog: Catalog) throws -> BenchResult {
    let first = try BenchLab.driver(speech.driver, model: speech.model, keys: speech.keys, catalog)
    var source = Source.line
    if !speech.topic.isEmpty {
        guard let index = first.subscriptions.firstIndex(where: { TopicFilter.matches($0, speech.topic) }) else {
            throw BenchFailure("\(speech.driver) does not hear \(speech.topic)")
        }
        source = Source(topic: speech.topic, subscription: index, isRetained: false)
    }
    // Made one by one: copies of one driver would share its storage until the first message.
    var devices: [any DeviceDriver] = try (0..<256).map { _ in
        try BenchLab.driver(speech.driver, model: speech.model, keys: speech.keys, catalog)
    }
    var outbox = Outbox()
    var readings = 0
    var faults = 0
    var allocations: UInt64 = 0
    var runs: [Measured] = []
    let warmUp = 20
    for round in 0..<420 {
        if !speech.question.isEmpty { for index in devices.indices { devices[index].overheard(speech.question.span) } }
        let bytes = speech.said[round % speech.said.count]
        if round == warmUp { (readings, faults, allocations) = (0, 0, 0) }
        let before = allocation_count()
        let measured = Bench.measure {
            for index in devices.indices {
                outbox.removeAll()
                devices[index].receive(bytes.span, from: source, &outbox)
                readings += outbox.readings.count
                faults += outbox.faults.count
            }
        }
        allocations += allocation_count() - before
        if round >= warmUp { runs.append(measured) }
    }
    guard faults == 0, readings > 0 else {
        throw BenchFailure("\(speech.name) read \(readings) values and counted \(faults) faults")
    }
    let count = runs.count * devices.count
    let middle = Bench.middle(of: runs)
    return BenchResult(
        name: speech.name, count: count, cpuNanoseconds: middle.cpu / Double(devices.count),
        wallNanoseconds: middle.wall / Double(devices.count),
        figures: [
            ("allocations_per_op", Double(allocations) / Double(count)),
            ("readings_per_op", Double(readings) / Double(count)), ("bytes", Double(speech.said[0].count)),
        ])
}
