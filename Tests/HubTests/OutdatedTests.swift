import Hub
import Model
import Ports
import Store
import Testing

/// Values with a time of their own: what is late is stored late, what is from another day is counted and left alone.
@Suite struct OutdatedTests {
    private func hub(at now: Now) throws -> Hub {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let text = """
            lab: { id: "urn:x:lab", timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            devices:
              - { id: logger, driver: senml, mqtt: main, topic: logger, values: [{ channel: power, name: p, unit: W }] }

            """
        let configuration = try #require(
            reader.read([try YAML.parse(text, file: "lab.yaml")]), "\(reader.problems.all)")
        let store = try RingStore.create(
            in: MemoryRegion(size: 8 << 20), plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
        return Hub(configuration, store: store, at: now)
    }

    @Test func aPackFromAnotherDayIsCountedAndNotStoredAsNow() throws {
        let wall = try #require(Instant("2026-11-23T12:00:00Z"))
        let now = Now(moment: Moment(nanoseconds: 0), wall: wall)
        var hub = try hub(at: now)
        func hear(_ times: [Double], _ watts: Double) {
            let records = times.map { "{\"n\":\"p\",\"u\":\"W\",\"t\":\($0),\"v\":\(watts)}" }.joined(separator: ",")
            hub.message(Array("[\(records)]".utf8).span, topic: "logger", isRetained: false, broker: 0, at: now)
        }
        let seconds = Double(wall.milliseconds / 1000)
        // Of last week; of an hour ago; of a clock that was never set, which says nothing but "now".
        hear([seconds - 7 * 86_400], 1)
        hear([seconds - 3600], 2)
        let view = try #require(hub.deviceViews().first)
        #expect(view.faultsByKind[.outdated] == 1)
        #expect(view.lastFault?.fault.detail.contains("power of 2026-11-16T12:00:00") == true)
        let power = try #require(view.values.first { $0.channel.name == "power" }?.latest)
        #expect(power.value == .number(2))
        #expect(power.time == wall - .hours(1))
    }
}
