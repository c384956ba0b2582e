import Hub
import Model
import Ports
import Store
import Testing
import Usage

/// A meter that says that it is another one is believed: what it shows first was drawn by nobody.
@Suite struct ExchangedMeterTests {
    private struct Lab {
        let region = MemoryRegion(size: 8 << 20)
        let configuration: Configuration
        var hub: Hub
        var now: Now

        init() throws {
            let text = """
                lab: { id: "urn:x:lab", timezone: UTC }
                mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
                devices:
                  - { id: plug, driver: tasmota, mqtt: main, topic: saw, phases: 1 }
                machines: [{ id: saw, class: woodwork, devices: [plug] }]
                """
            var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
            configuration = try #require(
                reader.read([try YAML.parse(text, file: "lab.yaml")]), "\(reader.problems.all)")
            now = Now(moment: Moment(nanoseconds: 0), wall: try #require(Instant("2026-11-23T12:00:00Z")))
            let store = try RingStore.create(
                in: region, plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
            hub = Hub(configuration, store: store, at: now)
            hub.broker(0, isUp: true, "connected", at: now)
        }

        mutating func hear(_ start: String, _ total: Double) {
            now = Now(moment: now.moment + .minutes(1), wall: now.wall + .minutes(1))
            let text = #"{"ENERGY":{"TotalStartTime":"\#(start)","Total":\#(total),"Power":600}}"#
            hub.message(Array(text.utf8).span, topic: "tele/saw/SENSOR", isRetained: false, broker: 0, at: now)
            hub.tick(at: now)
        }

        /// mWh so far.
        mutating func energy() -> Int64 {
            hub.settle(at: now)
            return hub.machineViews(at: now)[0].today.energy
        }
    }

    @Test func whatAnExchangedMeterShowsFirstIsNoEnergy() throws {
        var lab = try Lab()
        lab.hear("2026-01-01T00:00:00", 100)
        lab.hear("2026-01-01T00:00:00", 100.01)
        // So little more that it could have been drawn in a minute; only the date tells.
        lab.hear("2026-11-23T12:02:30", 100.02)
        lab.hear("2026-11-23T12:02:30", 100.03)
        #expect(lab.energy() == 20_000)
        #expect(
            lab.hub.takeEffects().contains {
                if case .log(_, let text) = $0 { text.contains("exchanged") } else { false }
            })
        // The samples tell the same when they are read again: at equal times it is another one first.
        _ = try lab.hub.store.commit()
        let again = Hub(lab.configuration, store: try RingStore(opening: lab.region), at: lab.now)
        #expect(again.machineViews(at: lab.now)[0].today.energy == 20_000)
    }
}
