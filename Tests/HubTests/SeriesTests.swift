// When a channel gets its series, and what happens where there is no room for one.

import Hub
import Model
import Plugs
import Ports
import Store
import Testing

@Suite struct SeriesTests {
    private static let now = Now(
        moment: Moment(nanoseconds: 1_000_000_000), wall: Instant("2026-11-23T01:00:00Z") ?? .distantPast)

    private static func hub(seriesLimit: Int) throws -> Hub {
        let text = """
            lab: { id: "urn:fablabs:io:lab:test", name: Test, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            devices: [{ id: plug, driver: tasmota, mqtt: main, topic: plug }]
            machines:
              - { id: saw, class: woodwork, devices: [plug],
                  usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s } }
            """
        var reader = ConfigurationReader(catalog: Catalog(drivers: plugDrivers)) { try CivilZone.load($0) }
        let configuration = try #require(reader.read([try YAML.parse(text, file: "fabgate.yaml")]))
        let store = try RingStore.create(
            in: MemoryRegion(size: 8 << 20), plan: StorePlan(seriesLimit: seriesLimit),
            identity: [UInt8](repeating: 7, count: 16))
        return Hub(configuration, store: store, at: now)
    }

    private static func hears(_ hub: inout Hub, _ power: Int) {
        let report = Array(#"{"ENERGY":{"Total":1.5,"Power":\#(power),"Voltage":221,"Current":0.3}}"#.utf8)
        hub.message(report.span, topic: "tele/plug/SENSOR", isRetained: false, broker: 0, at: now)
    }

    private static func channels(_ hub: Hub) -> Set<String> {
        Set(hub.store.allSeries.filter { $0.key.device == "plug" }.map(\.key.channel))
    }

    @Test func aChannelGetsItsSeriesWhenItSpeaks() throws {
        var hub = try Self.hub(seriesLimit: 200)
        let before = Self.channels(hub)
        // What usage follows from is there, so that a gap in it is known for one.
        #expect(before.isSuperset(of: ["power", "energy", "online"]))
        #expect(before.isDisjoint(with: ["voltage", "current", "power.l3", "frequency"]))
        Self.hears(&hub, 61)
        #expect(Self.channels(hub) == before.union(["voltage", "current"]))
        #expect(hub.tally.stored == 4 && hub.tally.noSeries == 0)
        Self.hears(&hub, 62)
        #expect(Self.channels(hub) == before.union(["voltage", "current"]))
        #expect(hub.tally.stored == 8 && hub.storeTrouble == nil)
    }

    @Test func whereThereIsNoRoomItIsCountedAndSaid() throws {
        let fixed = try Self.hub(seriesLimit: 200).store.allSeries.count
        var hub = try Self.hub(seriesLimit: fixed + 1)
        #expect(hub.storeTrouble == nil)
        Self.hears(&hub, 61)
        Self.hears(&hub, 62)
        // One of voltage and current had room.
        #expect(hub.tally.stored == 6 && hub.tally.noSeries == 2)
        #expect(hub.storeTrouble?.contains("1 channels are not stored. Raise store.series_limit") == true)
    }
}
