import Foundation
import Model
import Ports
import Testing

/// A press as a lab builds one: three controllers of three makers and a meter on one bus, played by somebody else's
/// Modbus (pymodbus), and a board that counts shots on a line of its own. The gateway is the real one.
@Suite(.serialized) struct PressBusTests {
    /// TK4 unit 1 (one decimal), TM4 unit 2 (its third and fourth input open), E5CC unit 3 (no decimals), SDM120 unit 5.
    /// Six shots, a second apart; with each the meter goes on by 1/256 kWh, which a float32 holds exactly. The board
    /// restarts in between and keeps its count. Once the file `break` is there, the second thermocouple of the TM4 tears.
    private static let peer =
        modbusWires + """
            folder = sys.argv[1]
            board, board_name, keep3 = pair()

            def block(first, words):
                return ModbusSparseDataBlock({first + 1 + i: word for i, word in enumerate(words)})

            def signed(value):
                return value & 0xFFFF

            tk4 = block(1000, [1987, 1, 0, 2000, 435, 0, 9, 12])
            tm4_words = [2003, 1, 0, 2000, 312, 0, 1995, 1, 0, 2000, 288, 0, 31000, 1, 0, 0, 0, 0,
                         signed(-125), 1, 0, 0, 0, 0, 3]
            tm4 = block(1000, tm4_words)
            e5cc = ModbusSparseDataBlock({0x2000 + 1 + i: word for i, word in enumerate([201, 0x0100, 205, 0, 387, 0])}
                                         | {0x2410 + 1: 0})

            def floats(values):
                words = {}
                for address in range(0, 400, 2):
                    high, low = struct.unpack(">HH", struct.pack(">f", values.get(address, 0.0)))
                    words[address + 1], words[address + 2] = high, low
                return words

            load = {0: 220.0, 6: 3.0, 12: 660.0, 18: 660.0, 30: 1.0, 70: 60.0, 72: 10.0}
            meter = ModbusSparseDataBlock(floats(load))
            slaves = {1: ModbusSlaveContext(ir=tk4, hr=tk4), 2: ModbusSlaveContext(ir=tm4, hr=tm4),
                      3: ModbusSlaveContext(ir=e5cc, hr=e5cc), 5: ModbusSlaveContext(ir=meter, hr=meter)}
            context = ModbusServerContext(slaves=slaves, single=False)

            async def pace(seconds):
                await asyncio.sleep(seconds)

            async def work():
                shots, boot, up = 1041, 3, 900
                def say():
                    line = '{"v":1,"id":"press","boot":%d,"up":%d,"shots":%d,"clamp":0}\\n' % (boot, up, shots)
                    os.write(board, line.encode())
                while not os.path.exists(folder + "/begin"):
                    say()
                    await pace(0.3)
                for shot in range(6):
                    await pace(1)
                    shots, up = shots + 1, up + 1
                    load[72] += 1 / 256
                    for address, word in floats(load).items():
                        meter.setValues(address, [word])
                    if shot == 3:
                        boot, up = boot + 1, 0
                        os.write(board, b'ets Jul 29 2019 12:21:46\\r\\n')
                    say()
                while True:
                    await pace(0.3)
                    up += 1
                    say()
                    if os.path.exists(folder + "/break"):
                        tm4.setValues(1007, [31000])

            async def main():
                print("bus " + gateway_name + " board " + board_name, flush=True)
                worker = asyncio.create_task(work())
                await StartAsyncSerialServer(context, framer=ModbusRtuFramer, port=units_name, baudrate=9600)
                await worker

            asyncio.run(main())

            """

    private static func gateway(
        _ folder: PrivateFolder, bus: String, board: String, port: UInt16
    ) throws -> Program {
        let file = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test lab, timezone: Asia/Seoul }
            serial:
              - { name: bus, port: \(bus), baud: 9600, format: 8N2 }
              - { name: board, port: \(board), baud: 115200 }
            devices:
              - { id: barrel, driver: modbus-rtu, model: autonics-tk4, serial: bus, unit: 1, every: 500 ms }
              - { id: block, driver: modbus-rtu, model: autonics-tm4, serial: bus, unit: 2, every: 500 ms, zone: 2 }
              - { id: nozzle, driver: modbus-rtu, model: omron-e5cc, serial: bus, unit: 3, every: 500 ms, zone: 6 }
              - { id: meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus, unit: 5, every: 500 ms }
              - { id: counter, driver: line-json, model: line-json-press, serial: board }
            moulds:
              pot-9cm: { item: pot, polymer: pp, shot_g: 62.5, items: 1 }
              coaster: { item: coaster, polymer: hdpe, shot_g: 25, items: 2 }
            machines:
              - { id: press, name: Press, class: injection_molding, devices: [barrel, block, nozzle, meter, counter],
                  usage: { from: press, zones: [1, 2, 3, 6] }, moulds: [pot-9cm, coaster], mould: pot-9cm }
            store: { path: \(folder.path)/store, size: 8 MiB }
            http: { listen: "127.0.0.1:\(port)" }

            """)
        return try Program(["fabgate", "run", "--config", file], in: folder, name: "gateway")
    }

    private static func press(_ port: UInt16) -> JSON? {
        HTTPGet.body("http://127.0.0.1:\(port)/api/v1/machines/press").flatMap { JSON($0) }
    }

    /// A person looks at the press in a browser, and chooses another mould there.
    private static func usePage(_ folder: PrivateFolder, _ port: UInt16) async throws {
        let browser = try Browser(in: folder)
        try browser.open("http://127.0.0.1:\(port)/")
        let card = ".machine[data-id=\"press\"]"
        let text = try await eventually("the press on the page") {
            try browser.text(card).flatMap { $0.contains("375 g PP") ? $0 : nil }
        }
        for part in ["Zone 1", "198.7 °C", "set 200", "Zone 6", "set 205", "Shots: 6", "Items: 6", "0.004 kWh"] {
            #expect(text.contains(part), "\(part) in \(text)")
        }
        let select = "document.querySelector('\(card) select')"
        #expect(try browser.evaluate("\(select).value") == "pot-9cm")
        _ = try browser.evaluate("(\(select).value = 'coaster', \(select).dispatchEvent(new Event('change')))")
        try await eventually("the other mould") {
            try browser.text("\(card) .mould .hint").flatMap { $0.contains("25 g") && $0.contains("HDPE") ? true : nil }
        }
        #expect(try browser.evaluate("\(select).value") == "coaster")
        #expect(try browser.evaluate("\(select).closest('.press').querySelector('.bad[role=alert]').hidden") == "true")
    }

    /// What one can ask about the press from its store alone.
    private static func askTheStore(_ folder: PrivateFolder) async throws {
        func ask(_ format: String) async throws -> String {
            let query = try Program(
                ["fabgate", "query", "press", "--config", "\(folder.path)/fabgate.yaml", "--format", format],
                in: folder,
                name: "query-\(format)")
            #expect(try await query.status() == 0, "\(query.log)")
            return query.log
        }
        let json = try #require(JSON(try await ask("json")), "the answer is JSON")
        func value(_ name: String) -> Double? {
            json["quantities"]?.items?.first { $0["quantity"]?.text == name }?["value"]?.number
        }
        #expect(value("zone1 temperature") == 198.7 && value("zone1 set value") == 200)
        #expect(value("zone6 temperature") == 201 && value("zone6 set value") == 205)
        #expect(value("shots") == 6 && value("items") == 6)
        #expect(value("mass in pp") == 375 && value("mass product pp") == 375)
        #expect(value("energy") == 0.023438 && value("energy an item") == 0.003906)
        let table = try await ask("table")
        #expect(table.contains("zone6 set value") && table.contains("205 °C") && table.contains("375 g"), "\(table)")
        #expect(try await ask("csv").contains("energy an item,0.003906,kWh,"))
    }

    @Test func threeControllersAMeterAndABoardAreOnePress() async throws {
        let folder = try PrivateFolder()
        let script = try folder.write("peer.py", Self.peer)
        // Debian's interpreter, which has Debian's pymodbus.
        let peer = try Program(["/usr/bin/python3", script, folder.path], in: folder, name: "peer")
        let names = try await eventually("the peer's wires") { () -> [String]? in
            let words = peer.log.split(separator: "\n").first { $0.hasPrefix("bus ") }?.split(separator: " ")
            return words?.count == 4 ? words?.map(String.init) : nil
        }
        let port = try FreePort.loopback()
        let gateway = try Self.gateway(folder, bus: names[1], board: names[3], port: port)

        // All have spoken: four zones, the meter's first value, and a count to start from.
        try await eventually("four zones, a meter and a count") { () -> Bool? in
            let press = Self.press(port)
            let zones = press?["zones"]?.items ?? []
            let isWhole =
                zones.count == 4 && zones.allSatisfy { $0["setpoint_c"]?.number != nil }
                && press?["power_w"]?.number == 660 && press?["today"]?["shots"]?.integer == 0
            return isWhole ? true : nil
        }
        let zones = try #require(Self.press(port)?["zones"]?.items)
        #expect(zones.map { $0["zone"]?.text } == ["zone1", "zone2", "zone3", "zone6"])
        #expect(zones.map { $0["temperature_c"]?.number } == [198.7, 200.3, 199.5, 201])
        #expect(zones.map { $0["setpoint_c"]?.number } == [200, 200, 200, 205])
        #expect(Self.press(port)?["state"]?.text == "preparing")

        _ = try folder.write("begin", "")
        let done = try await eventually("six shots and their energy", within: 60) { () -> JSON? in
            guard let press = Self.press(port), press["today"]?["shots"]?.integer == 6,
                press["today"]?["energy_wh"]?.number.map({ $0 >= 23.43 }) == true
            else { return nil }
            return press
        }
        #expect(done["state"]?.text == "running")
        #expect(done["today"]?["items"]?.integer == 6)
        #expect(done["today"]?["mass_in_g"]?["pp"]?.number == 375)
        #expect(done["today"]?["mass_product_g"]?["pp"]?.number == 375)
        // 6/256 kWh, to the milliwatt-hour that the counter's first and last value round to.
        #expect(done["today"]?["energy_wh"]?.number == 23.438)

        // The rest goes for coasters, and a zone that breaks is named.
        #expect(done["today"]?["energy_per_item_wh"]?.number == 3.906)
        try await Self.usePage(folder, port)
        #expect(Self.press(port)?["material"]?["mould"]?.text == "coaster")
        _ = try folder.write("break", "")
        let broken = try await eventually("the fault of a zone") { () -> JSON? in
            Self.press(port).flatMap { $0["state"]?.text == "fault" ? $0 : nil }
        }
        #expect(broken["reason"]?.text == "zone3 sensor")
        #expect(broken["zones"]?.items?[2]["broken"]?.flag == true)
        // What one can ask the store afterwards.
        let query = try Program(
            ["fabgate", "query", "machine:press/mould", "--store", "\(folder.path)/store"], in: folder, name: "query")
        #expect(try await query.status() == 0)
        #expect(query.log.contains("coaster"), "\(query.log)")
        try await Self.askTheStore(folder)
        withExtendedLifetime(gateway) {}
    }
}
