import CityLink
import Hub
import Model
import Plugs
import Ports
import Testing
import Usage

/// A machine outlives its plug.
@Suite struct SwapTests {
    private static let start = MeteredHub.start
    private static let exchanged = start + .hours(5) + .minutes(20)

    /// A saw whose plug is followed by another, which was at a drill until then.
    private static func configuration(_ saw: String, drill: String) throws -> Configuration {
        let values =
            "values: [{ channel: power, field: w, unit: W }, { channel: energy, field: wh, unit: Wh, resolution: 1 mWh }]"
        let text = """
            lab: { id: "urn:fablabs:io:lab:test", name: Test, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            devices:
              - { id: plug-a, driver: influx-line, mqtt: main, topic: sensors/a, precision: ms, \(values) }
              - { id: plug-b, driver: influx-line, mqtt: main, topic: sensors/b, precision: ms, \(values) }
            machines:
              - { id: saw, class: woodwork, devices: [\(saw)],
                  usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s } }
              - { id: drill, class: woodwork, devices: [\(drill)],
                  usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s } }
            """
        return try read(text)
    }

    private static func read(_ text: String) throws -> Configuration {
        var reader = ConfigurationReader(catalog: Catalog(drivers: plugDrivers)) { try CivilZone.load($0) }
        let configuration = reader.read([try YAML.parse(text, file: "fabgate.yaml")])
        guard let configuration else {
            throw Mistakes(description: reader.problems.all.map(\.message).joined(separator: "; "))
        }
        return configuration
    }

    private struct Mistakes: Error, CustomStringConvertible {
        let description: String
    }

    private static func swapped() throws -> Configuration {
        try configuration(
            "{ id: plug-a, until: \"\(exchanged)\" }, { id: plug-b, from: \"\(exchanged)\" }",
            drill: "{ id: plug-b, until: \"\(exchanged)\" }")
    }

    /// Both plugs speak each half minute, the one of 120 W, the other, whose counter stands elsewhere, of 600 W.
    private static func live(_ hub: inout MeteredHub, hours: Int64) throws {
        let end = hub.now.wall + .hours(hours)
        while hub.now.wall < end {
            try hub.pass(to: hub.now.wall + .seconds(30))
            let steps = (hub.now.wall - start).milliseconds / 30_000
            for (topic, watts, first) in [("sensors/a", 120.0, 5000.0), ("sensors/b", 600.0, 70.0)] {
                let count = first + Double(steps) * watts / 120
                hub.say([MeterSample(time: hub.now.wall, watts: watts, wattHours: count)], topic: topic)
            }
        }
    }

    private func hours(_ hub: MeteredHub, _ machine: Int) -> [Int64] {
        (0..<8).map { hub.hub.sum(of: machine, from: Self.start + .hours($0), to: Self.start + .hours($0 + 1)).energy }
    }

    @Test func eachPlugCountsForItsTime() throws {
        var hub = try MeteredHub(try Self.swapped())
        try Self.live(&hub, hours: 9)
        hub.settle()
        let (saw, drill) = (hours(hub, 0), hours(hub, 1))
        #expect(saw[1...4].allSatisfy { $0 == 120_000 }, "\(saw)")
        // Twenty minutes of the one, forty of the other but for its first half minute, from which it counts.
        #expect((429_000...440_000).contains(saw[5]), "\(saw)")
        #expect(saw[6...].allSatisfy { $0 == 600_000 }, "\(saw)")
        #expect(drill[1...4].allSatisfy { $0 == 600_000 } && drill[6...].allSatisfy { $0 == 0 }, "\(drill)")
        // It is no counter that jumped, and the machine was not lost for longer than until the next word.
        let hour = hub.hub.sum(of: 0, from: Self.start + .hours(5), to: Self.start + .hours(6))
        #expect(hour[.running] >= 3_500_000)
        let content = hub.content(hub.window(.hour, at: Self.exchanged + .hours(1)))
        #expect(content.totals.energyMilliwattHours == 600_000)
        #expect(content.coverage.energy == 1)
        let views = hub.hub.machineViews(at: hub.now)
        #expect(views.map { $0.devices.map(\.id) } == [["plug-b"], []])
        #expect(!hub.hub.alerts().contains { $0.id == "device/plug-a" })
    }

    /// It makes no difference whether the exchange was known before, while the gateway runs, or computed from the store.
    @Test func theSameWhenItIsComputedAgain() throws {
        var hub = try MeteredHub(try Self.swapped())
        try Self.live(&hub, hours: 9)
        hub.settle()
        let windows = (1..<8).map { hub.window(.hour, at: Self.start + .hours($0)) }
        let before = windows.map(hub.content)
        try hub.restart()
        hub.settle()
        #expect(windows.map(hub.content) == before)
    }

    /// Somebody writes down two hours later that there is another plug. Nothing that was told of before is changed.
    @Test func whatWasWrittenDownLateIsPutRight() throws {
        var hub = try MeteredHub(try Self.configuration("plug-a", drill: "plug-b"))
        try Self.live(&hub, hours: 8)
        hub.settle()
        let windows = (1..<5).map { hub.window(.hour, at: Self.start + .hours($0)) }
        let before = windows.map(hub.content)
        #expect(hours(hub, 0)[6] == 120_000)
        try hub.restart(try Self.swapped())
        try Self.live(&hub, hours: 1)
        hub.settle()
        #expect(windows.map(hub.content) == before)
        #expect(hours(hub, 0)[6...].allSatisfy { $0 == 600_000 }, "\(hours(hub, 0))")
        #expect(hours(hub, 1)[6...].allSatisfy { $0 == 0 })
        let told = hub.told.last { $0.grain == .hour && $0.start == Self.start + .hours(6) }
        #expect(told?.totals.energyMilliwattHours == 600_000)
        // Nor does the next start take it back.
        let after = hours(hub, 0)
        try hub.restart()
        hub.settle()
        #expect(hours(hub, 0) == after)
    }

    @Test(arguments: [
        ("plug-a, plug-b", "plug-b", "belongs to machine 'saw' already"),
        ("plug-a", "plug-b, { id: plug-a, from: \"2026-11-27T00:00:00Z\" }", "one machine at a time"),
        ("plug-a, { id: plug-a, until: \"2026-11-27T00:00:00Z\" }", "plug-b", "stands twice"),
        ("{ id: plug-a, until: yesterday }", "plug-b", "'yesterday' is no RFC 3339 time"),
        (
            "{ id: plug-a, from: \"2026-11-27T00:00:00Z\", until: \"2026-11-26T00:00:00Z\" }", "plug-b",
            "'from' must be earlier"
        ),
    ])
    func aDeviceHasOneMachineAtATime(_ saw: String, _ drill: String, _ words: String) {
        let mistakes = #expect(throws: Mistakes.self) { try Self.configuration(saw, drill: drill) }
        #expect(mistakes?.description.contains(words) == true, "\(mistakes.map { "\($0)" } ?? "")")
    }

    private static let texts: [(before: String, after: [String])] = [
        ("devices: [plug-a]", ["devices: [{ id: plug-a, until: \"T\" }, { id: plug-b, from: \"T\" }]"]),
        (
            "devices: [ 'plug-a' , reader ]  # 문 옆",
            ["devices: [ { id: plug-a, until: \"T\" }, { id: plug-b, from: \"T\" } , reader ]  # 문 옆"]
        ),
        (
            "devices:\n      - plug-a  # 톱 by the door\n      - reader",
            [
                "devices:", "      - { id: plug-a, until: \"T\" }  # 톱 by the door",
                "      - { id: plug-b, from: \"T\" }", "      - reader",
            ]
        ),
        (
            "devices: [{ id: plug-a, from: \"2026-01-01T00:00:00Z\" }, reader]",
            [
                "devices: [{ id: plug-a, from: \"2026-01-01T00:00:00Z\", until: \"T\" }, { id: plug-b, from: \"T\" }, reader]"
            ]
        ),
        (
            "devices:\n      - id: plug-a\n        from: \"2026-01-01T00:00:00Z\"\n      - reader",
            [
                "devices:", "      - id: plug-a", "        from: \"2026-01-01T00:00:00Z\"", "        until: \"T\"",
                "      - { id: plug-b, from: \"T\" }", "      - reader",
            ]
        ),
        (
            "devices:\n      - { id: plug-a, from: \"2026-01-01T00:00:00Z\" }",
            [
                "devices:", "      - { id: plug-a, from: \"2026-01-01T00:00:00Z\", until: \"T\" }",
                "      - { id: plug-b, from: \"T\" }",
            ]
        ),
    ]

    @Test(arguments: texts) func onlyTheListOfTheMachineChanges(_ text: (before: String, after: [String])) throws {
        let time = Instant("2026-11-27T01:00:00Z") ?? .distantPast
        let whole = "# 랩\nmachines:\n  - id: saw\n    \(text.before)\n  - { id: drill, devices: [plug-b] }\n"
        let swap = MachineSwap(machine: "saw", old: "plug-a", new: "plug-b", at: time)
        let result = try swap.applied(to: whole, try YAML.parse(whole, file: "fabgate.yaml"))
        let stamp = "\(time)"
        let expected =
            "# 랩\nmachines:\n  - id: saw\n    "
            + text.after.joined(separator: "\n").replacing("\"T\"", with: "\"\(stamp)\"")
            + "\n  - { id: drill, devices: [{ id: plug-b, until: \"\(stamp)\" }] }\n"
        #expect(result == expected)
        _ = try YAML.parse(result, file: "fabgate.yaml")
    }
}
