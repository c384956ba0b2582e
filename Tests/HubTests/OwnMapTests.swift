import Hub
import Model
import Ports
import Testing

/// A controller of which there is no model, described where it stands in the configuration.
@Suite struct OwnMapTests {
    private static let text = """
        lab: { id: "urn:x:map", timezone: UTC }
        serial: [{ name: bus1, port: bus1 }]
        devices:
          - id: oven
            driver: modbus-rtu
            serial: bus1
            unit: 7
            zone: 2
            map:
              channels:
                - { name: temperature.zone1, unit: °C, kind: gauge, plausible: [-50, 450] }
                - { name: setpoint.zone1, unit: °C, kind: gauge, plausible: [-50, 450] }
              settings:
                read:
                  - { function: 3, address: 100, count: 2, values: [
                      { channel: temperature.zone1, at: 100, as: int16, scale: 0.1 },
                      { channel: setpoint.zone1, at: 101, as: int16, scale: 0.1 } ] }
        machines: [{ id: press, class: injection_molding, devices: [oven], usage: { from: press } }]

        """

    private func read(_ text: String) throws -> (configuration: Configuration?, problems: [String]) {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let configuration = reader.read([try YAML.parse(text, file: "lab.yaml")])
        return (configuration, reader.problems.all.map(\.description))
    }

    @Test func aMapInTheConfigurationIsADevice() throws {
        let (configuration, problems) = try read(Self.text)
        let device = try #require(configuration?.devices.first, "\(problems)")
        #expect(device.driver.channels.map(\.name) == ["temperature.zone2", "setpoint.zone2"])
        var driver = device.driver
        var out = Outbox()
        driver.poll(&out)
        guard case .write(let question, _, _) = out.request else { return _ = Issue.record("nothing is asked") }
        #expect(question.prefix(6) == [7, 3, 0, 100, 0, 2])
        out.removeAll()
        let answer: [UInt8] = [7, 3, 4, 0x07, 0xC3, 0x07, 0xD0]
        var crc: UInt16 = 0xFFFF
        for byte in answer {
            crc ^= UInt16(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
        }
        driver.receive((answer + [UInt8(crc & 0xFF), UInt8(crc >> 8)]).span, from: .line, &out)
        #expect(out.readings.map(\.value) == [.number(198.7), .number(200)])
    }

    /// Each mistake is told with its place and what to write.
    @Test(arguments: [
        ("as: int16, scale: 0.1 },", "as: int61, scale: 0.1 },", "int16"),
        ("{ channel: setpoint.zone1, at: 101", "{ channel: setpoint.zone3, at: 101", "setpoint.zone1"),
        ("unit: 7", "model: omron-e5cc\n    unit: 7", "both 'model' and 'map'"),
        ("map:", "mop:", "needs 'model'"),
        ("function: 3", "function: 9", "function"),
    ])
    func mistakesAreToldWithTheirPlace(old: String, new: String, expected: String) throws {
        let wrong = Self.text.replacing(old, with: new)
        #expect(wrong != Self.text)
        let (configuration, problems) = try read(wrong)
        #expect(configuration == nil)
        #expect(problems.contains { $0.hasPrefix("lab.yaml:") && $0.contains(expected) }, "\(problems)")
    }
}
