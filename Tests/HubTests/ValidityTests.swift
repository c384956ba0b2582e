import Hub
import Model
import Ports
import Store
import Testing
import Usage

/// A value that its device says to be true for so long is unknown afterwards, whatever else the device goes on telling.
@Suite struct ValidityTests {
    private struct Lab {
        let region = MemoryRegion(size: 8 << 20)
        var hub: Hub
        var now: Now
        private let start: Now

        init() throws {
            let text = """
                lab: { id: "urn:x:lab", timezone: UTC }
                mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
                devices:
                  - id: meter
                    driver: homeassistant
                    mqtt: main
                    topic: gw
                    values: [{ channel: power, entity: saw_power }, { channel: voltage, entity: saw_voltage }]
                machines:
                  - { id: saw, class: woodwork, devices: [meter],
                      usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 5 s } }
                """
            var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
            let configuration = try #require(
                reader.read([try YAML.parse(text, file: "lab.yaml")]), "\(reader.problems.all)")
            start = Now(moment: Moment(nanoseconds: 0), wall: try #require(Instant("2026-11-23T12:00:00Z")))
            now = start
            let store = try RingStore.create(
                in: region, plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
            hub = Hub(configuration, store: store, at: now)
            hub.broker(0, isUp: true, "connected", at: now)
        }

        mutating func pass(to second: Int64) {
            let end = start.moment + .seconds(second)
            while true {
                let next = hub.tickIfDue(at: now)
                guard next <= end else { break }
                let moment = max(next, now.moment + .milliseconds(1))
                now = Now(moment: moment, wall: start.wall + (moment - start.moment))
            }
            now = Now(moment: end, wall: start.wall + .seconds(second))
            _ = hub.tickIfDue(at: now)
        }

        mutating func hear(_ topic: String, _ payload: String, retained: Bool = false) {
            hub.message(Array(payload.utf8).span, topic: topic, isRetained: retained, broker: 0, at: now)
        }

        mutating func announce(_ name: String, _ unit: String, _ more: String = "") {
            hear(
                "homeassistant/sensor/saw_\(name)/config",
                #"{"stat_t":"gw/\#(name)","unit_of_meas":"\#(unit)"\#(more)}"#, retained: true)
        }

        func samples(_ channel: String) throws -> [(second: Int64, value: StoredValue)] {
            let info = try #require(hub.store.find(SeriesKey(device: "meter", channel: channel)))
            var samples: [(Int64, StoredValue)] = []
            hub.store.scan(info.id, from: .distantPast, to: .distantFuture) { sample in
                samples.append(((sample.time - start.wall).milliseconds / 1000, sample.value))
                return true
            }
            return samples
        }

        mutating func state(_ second: Int64) -> MachineState {
            pass(to: second)
            hub.settle(at: now)
            return hub.machineViews(at: now)[0].state
        }
    }

    @Test func aValueIsUnknownWhenItsTimeIsOver() throws {
        var lab = try Lab()
        lab.announce("power", "W", #","exp_aft":60"#)
        lab.announce("voltage", "V")
        lab.hear("gw/power", "600")
        lab.hear("gw/voltage", "230")
        #expect(lab.state(59) == .running)
        lab.hear("gw/power", "600")
        // The voltage goes on, so the device is there.
        for second in Int64(60)...180 where second % 30 == 0 {
            lab.pass(to: second)
            lab.hear("gw/voltage", "230")
        }
        #expect(lab.state(181) == .unknown)
        #expect(lab.hub.machineViews(at: lab.now)[0].devices.first?.isOnline == true)
        let power = try lab.samples("power")
        #expect(power.map(\.second) == [0, 59, 119])
        #expect(power.map(\.value) == [.number(600), .number(600), .unknown])
        #expect(try lab.samples("voltage").allSatisfy { $0.value != .unknown })
        // It is told once, and a new value counts at once.
        lab.hear("gw/power", "2")
        #expect(lab.state(190) == .idle)
    }

    @Test func whatIsAnnouncedWithoutALimitHasNone() throws {
        var lab = try Lab()
        lab.announce("power", "W", #","exp_aft":60"#)
        lab.announce("voltage", "V")
        lab.hear("gw/power", "600")
        lab.announce("power", "W")
        lab.pass(to: 300)
        lab.hear("gw/voltage", "230")
        #expect(lab.state(600) == .running)
        // Announced while a value is known, the limit counts from then on.
        lab.announce("power", "W", #","exp_aft":60"#)
        #expect(lab.state(659) == .running)
        #expect(lab.state(662) == .unknown)
        #expect(try lab.samples("power").last?.second == 660)
    }

    @Test func anUnknownAndASilentDeviceAreNotToldTwice() throws {
        var lab = try Lab()
        lab.announce("power", "W", #","exp_aft":60"#)
        lab.hear("gw/power", "600")
        lab.hear("gw/power", "None")
        lab.pass(to: 4000)
        #expect(try lab.samples("power").map(\.value) == [.number(600), .unknown])
    }
}
