import Foundation
import Model
import Ports
import Testing

/// A bus as it is: three units of somebody else's Modbus (pymodbus), one of them slower than it may be, and a fourth that
/// is dead. The gateway is the real one; between the two lies a pair of pseudo-terminals.
@Suite(.serialized) struct PymodbusTests {
    /// Every unit shows a voltage, a power and an energy of its own, so that one's answer taken for another's shows.
    ///
    /// - 1 and 2 answer at once, 3 is not there, and every third answer of 4 takes 1.4 s: its time is up by then, while
    ///   somebody else is asked.
    private static let peer =
        modbusWires + """
            class Registers(ModbusSparseDataBlock):
                def __init__(self, unit):
                    self.unit = unit
                    self.asked = 0
                    values = {}
                    # SDM120: 0 voltage, 6 current, 12 power, 18 VA, 24 var, 30 factor, 70 frequency, 72 and 74 kWh.
                    floats = {0: 220.0 + unit, 6: 1.0 * unit, 12: 100.0 * unit, 18: 100.0 * unit, 24: 0.0, 30: 1.0,
                              70: 60.0, 72: 1000.0 * unit, 74: 0.0}
                    for address in range(0, 400, 2):
                        words = struct.unpack(">HH", struct.pack(">f", floats.get(address, 0.0)))
                        values[address + 1], values[address + 2] = words
                    super().__init__(values)
                def getValues(self, address, count=1):
                    self.asked += 1
                    if self.unit == 4 and self.asked % 3 == 0:
                        time.sleep(1.4)
                    return super().getValues(address, count)

            slaves = {}
            for unit in (1, 2, 4):
                block = Registers(unit)
                slaves[unit] = ModbusSlaveContext(ir=block, hr=block)
            context = ModbusServerContext(slaves=slaves, single=False)

            async def main():
                print("bus " + gateway_name, flush=True)
                await StartAsyncSerialServer(context, framer=ModbusRtuFramer, port=units_name, baudrate=9600,
                                             ignore_missing_slaves=True)
                await asyncio.Event().wait()

            asyncio.run(main())

            """

    private static func gateway(_ folder: PrivateFolder, bus: String, port: UInt16) throws -> Program {
        let file = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: Test lab, timezone: Asia/Seoul }
            serial: [{ name: bus1, port: \(bus), baud: 9600, format: 8N1 }]
            devices:
              - { id: unit1, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 1, every: 1 s }
              - { id: unit2, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 2, every: 1 s }
              - { id: unit3, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 3, every: 1 s }
              - { id: unit4, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 4, every: 1 s }
            store: { path: \(folder.path)/store, size: 8 MiB }
            http: { listen: "127.0.0.1:\(port)" }

            """)
        return try Program(["fabgate", "run", "--config", file], in: folder, name: "gateway")
    }

    private static func devices(_ port: UInt16) -> [String: JSON] {
        guard let text = HTTPGet.body("http://127.0.0.1:\(port)/api/v1/devices"), let json = JSON(text) else {
            return [:]
        }
        let items = json.items ?? json["devices"]?.items ?? []
        return Dictionary(items.compactMap { item in item["id"]?.text.map { ($0, item) } }) { first, _ in first }
    }

    private static func value(_ channel: String, _ device: JSON?) -> Double? {
        device?["channels"]?.items?.first { $0["channel"]?.text == channel }?["value"]?.number
    }

    @Test func otherPeoplesUnitsAreReadAndALateOneIsNobodyElse() async throws {
        let folder = try PrivateFolder()
        let script = try folder.write("peer.py", Self.peer)
        // Debian's interpreter, which has Debian's pymodbus.
        let peer = try Program(["/usr/bin/python3", script], in: folder, name: "peer")
        let bus = try await eventually("the peer's bus") {
            peer.log.split(separator: "\n").first { $0.hasPrefix("bus ") }.map { String($0.dropFirst(4)) }
        }
        let port = try FreePort.loopback()
        let gateway = try Self.gateway(folder, bus: bus, port: port)

        // Long enough that the late unit was late several times and the dead one is asked more rarely.
        let devices = try await eventually("late and dead units", within: 90) { () -> [String: JSON]? in
            let devices = Self.devices(port)
            for unit in [1, 2, 4] {
                // At every look: what stands there is this unit's own, or nothing yet.
                for (channel, own) in [("voltage", 220 + Double(unit)), ("power", 100 * Double(unit))] {
                    if let value = Self.value(channel, devices["unit\(unit)"]) { #expect(value == own, "unit\(unit)") }
                }
            }
            #expect(Self.value("voltage", devices["unit3"]) == nil)
            guard let late = devices["unit4"]?["faults_by_kind"]?["noReply"]?.number, late >= 3,
                let interval = devices["unit3"]?["asked_every_s"]?.number, interval >= 8
            else { return nil }
            return devices
        }
        for unit in [1, 2, 4] {
            let device = devices["unit\(unit)"]
            #expect(Self.value("energy", device) == 1e9 * Double(unit))
            #expect(Self.value("frequency", device) == 60)
        }
        #expect(devices["unit3"]?["unanswered"]?.number ?? 0 >= 5)
        let alerts = HTTPGet.body("http://127.0.0.1:\(port)/api/v1/alerts") ?? ""
        #expect(alerts.contains("unit3 does not answer") && alerts.contains("초마다 묻습니다"))
        withExtendedLifetime(gateway) {}
    }
}
