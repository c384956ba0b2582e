import Foundation
import Hub
import Model
import Plugs
import Ports
import Store
import Testing
import Usage

/// Reads configuration text as the program does.
private func read(_ text: String, more: [String] = []) -> (Configuration?, [String]) {
    var documents: [Document] = []
    for (index, text) in ([text] + more).enumerated() {
        do { documents.append(try YAML.parse(text, file: index == 0 ? "fabgate.yaml" : "conf.d/\(index).yaml")) } catch
        {
            return (nil, ["\(error)"])
        }
    }
    var reader = ConfigurationReader(catalog: Catalog(drivers: plugDrivers)) { name in
        guard name == "Asia/Seoul" else { throw ZoneUnknown(name: name) }
        return Zone(name: name, changes: [.init(at: .distantPast, offsetSeconds: 9 * 3600)])
    }
    let configuration = reader.read(documents)
    return (configuration, reader.problems.all.map(\.description))
}

private struct ZoneUnknown: Error, CustomStringConvertible {
    let name: String
    var description: String { "there is no time zone '\(name)'" }
}

private let good = """
    lab:      { id: "urn:fablabs:io:lab:test", name: Test, timezone: Asia/Seoul, open: { mon-fri: "10:00-22:00", sat: "10:00-18:00" } }
    mqtt:     [{ name: main, url: "mqtt://127.0.0.1:1883" }]
    serial:   [{ name: bus1, port: /dev/ttyUSB0, baud: 9600, format: 8N1 }]
    devices:  [{ id: laser-plug, driver: tasmota, mqtt: main, topic: laser }]
    machines: [{ id: laser, name: "Laser 60W", class: laser, devices: [laser-plug],
                 usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 20 s } }]
    store:    { path: /tmp/x, size: 512 MiB, sync: 1 s }
    http:     { listen: "127.0.0.1:8080" }
    city:     [{ name: seoul, kind: fabcity, url: "https://city.example", token_file: token, grains: [P1D], detail: class }]

    """

/// One change of the good text, and what must be said about it.
struct Mistake: Sendable, CustomTestStringConvertible {
    let old: String
    let new: String
    let expected: String
    /// What stands at the place that is named.
    let place: String
    var testDescription: String { new.isEmpty ? "without \(old)" : new }
    init(_ old: String, _ new: String, at place: String = "", _ expected: String) {
        self.place = place
        self.old = old
        self.new = new
        self.expected = expected
    }
}

@Suite struct ConfigurationTests {
    @Test func storeAndFormerNamesAreRead() throws {
        let text = good.replacingOccurrences(of: "sync: 1 s", with: "sync: 1 s, when_full: hold")
            .replacingOccurrences(of: "id: laser-plug, driver", with: "id: laser-plug, was: old-plug, driver")
        let configuration = try #require(read(text).0)
        #expect(configuration.store.whenFull == .hold)
        #expect(configuration.devices.first?.formerID == "old-plug")
        let wrong = read(text.replacingOccurrences(of: "hold", with: "holds")).1
        #expect(wrong.contains { $0.contains("overwrite, hold") })
        // What is stored under the earlier name goes on under the new one.
        let region = MemoryRegion(size: 8 << 20)
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
        let now = Now(moment: Moment(nanoseconds: 0), wall: Instant(milliseconds: 1_795_000_000_000))
        let id = try #require(
            try store.series(SeriesKey(device: "old-plug", channel: "power"), unit: .watt, kind: .gauge))
        store.append(id, now.wall - .hours(1), .number(5))
        let hub = Hub(configuration, store: store, at: now)
        #expect(hub.store.find(SeriesKey(device: "laser-plug", channel: "power"))?.id == id)
        #expect(hub.store.find(SeriesKey(device: "old-plug", channel: "power")) == nil)
    }

    @Test func goodConfigurationIsTaken() throws {
        let (configuration, problems) = read(good)
        #expect(problems == [])
        let made = try #require(configuration)
        #expect(made.machines[0].source == .power(.init(idleBelow: 5, runningAbove: 60, dwell: .seconds(20))))
        #expect(made.store.size == 512 << 20)
        #expect(made.lab.open.days[5] == [.init(from: 600, to: 1080)])
        #expect(made.lab.open.days[6].isEmpty)
    }

    static let mistakes = [
        Mistake(
            "topic: laser", "topik: laser", at: "topik", "device laser-plug has no key 'topik'; did you mean 'topic'?"),
        Mistake(
            "driver: tasmota", "driver: tasmoto", at: "tasmoto",
            "no driver is called 'tasmoto'; did you mean 'tasmota'?"),
        Mistake(
            "mqtt: main, topic", "mqtt: mian, topic", at: "mian", "no broker is called 'mian'; did you mean 'main'?"),
        Mistake(
            "devices: [laser-plug]", "devices: [laser-plugg]", at: "laser-plugg",
            "no device is called 'laser-plugg'; did you mean 'laser-plug'?"),
        Mistake("idle_below: 5 W", "idle_below: 5 Wat", at: "5 Wat", "'Wat' is no unit for 'idle_below'"),
        Mistake(
            "idle_below: 5 W", "idle_below: 5", at: "5, running",
            "'idle_below' of 'usage' of machine laser needs a unit (W, kW)"),
        Mistake("idle_below: 5 W", "idle_below: 500 W", "'running_above' (60.0 W) must be more than 'idle_below'"),
        Mistake(
            "dwell: 20 s", "dwell: soon", at: "soon", "'dwell' of 'usage' of machine laser must be a number with a unit"
        ),
        Mistake("class: laser", "class: lazer", at: "lazer", "'lazer' is no class for machine laser; use"),
        Mistake("Asia/Seoul", "Asia/Soul", at: "Asia/Soul", "there is no time zone 'Asia/Soul'"),
        Mistake(
            "\"mqtt://127.0.0.1:1883\"", "\"http://127.0.0.1\"", at: "\"http://127",
            "is no broker; write mqtt://HOST:1883"),
        Mistake("format: 8N1", "format: 8X1", at: "8X1", "'8X1' is no serial format"),
        Mistake("baud: 9600", "baud: fast", at: "fast", "'baud' of serial line bus1 must be a whole number from 300"),
        Mistake(
            "size: 512 MiB", "size: 512 MB", at: "512 MB",
            "'MB' is no unit for 'size' of 'store' of the configuration; use KiB, MiB, GiB"),
        Mistake(
            "\"https://city.example\"", "\"http://city.example\"", at: "\"http://city", "must be an https:// address"),
        Mistake("grains: [P1D]", "grains: [P1W]", at: "P1W", "a grain is PT1H or P1D"),
        Mistake("mon-fri:", "mon-fry:", "'mon-fry' is no day or range of days"),
        Mistake("10:00-18:00", "18:00-10:00", "are no hours"),
        Mistake("from: power", "from: powder", "'powder' cannot tell use"),
        Mistake("store:  ", "stoer:  ", at: "stoer", "the configuration has no key 'stoer'; did you mean 'store'?"),
        Mistake("listen: \"127.0.0.1:8080\"", "listen: 8080", at: "8080", "'listen' must be ADDRESS:PORT"),
        Mistake("id: laser-plug, ", "", "device needs 'name', for example `name: laser-plug`"),
    ]

    @Test(arguments: mistakes) func mistakeIsNamedWithItsPlace(mistake: Mistake) {
        #expect(good.contains(mistake.old), "the good text has no '\(mistake.old)'")
        let text = good.replacing(mistake.old, with: mistake.new, maxReplacements: 1)
        let (configuration, problems) = read(text)
        #expect(configuration == nil)
        #expect(problems.contains { $0.contains(mistake.expected) }, "\(problems)")
        #expect(problems.allSatisfy { $0.hasPrefix("fabgate.yaml:") })
        guard !mistake.place.isEmpty, let range = text.range(of: mistake.place) else { return }
        let before = text[..<range.lowerBound].split(separator: "\n", omittingEmptySubsequences: false)
        let place = "fabgate.yaml:\(before.count):\((before.last?.count ?? 0) + 1): "
        #expect(problems.contains { $0.hasPrefix(place) }, "\(place) \(problems)")
    }

    @Test func allMistakesAreToldAtOnce() {
        let text = good.replacing("8N1", with: "8X1").replacing("topic: laser", with: "topik: laser")
        #expect(read(text).1.count >= 2)
    }

    @Test func filesBesideAreJoined() throws {
        let more = """
            devices:  [{ id: second, driver: tasmota, mqtt: main, topic: second }]
            machines: [{ id: saw, devices: [second] }]

            """
        let (configuration, problems) = read(good, more: [more])
        #expect(problems == [])
        #expect(try #require(configuration).machines.map(\.id) == ["laser", "saw"])
        let twice = read(good, more: ["store: { size: 1 GiB }\n"]).1
        #expect(twice.contains { $0.hasPrefix("conf.d/1.yaml:1:") && $0.contains("stands in another file already") })
    }

    @Test func aDeviceOverHTTPHasItsAddressAndItsKeys() throws {
        func read(_ device: String) throws -> (Configuration?, [String]) {
            var reader = ConfigurationReader(catalog: try loadCatalog()) { _ in .utc }
            let text = "lab: { id: x, timezone: UTC }\ndevices: [{ id: mk4, driver: prusalink\(device) }]\n"
            let configuration = reader.read([try YAML.parse(text, file: "http.yaml")])
            return (configuration, reader.problems.all.map(\.description))
        }
        let made = try #require(try read(#", url: "http://mk4.local/", username: maker, password_file: secret"#).0)
        let endpoint = try #require(made.endpoints.first)
        #expect(endpoint.name == "mk4" && endpoint.url == "http://mk4.local" && endpoint.passwordFile == "secret")
        #expect(made.devices[0].link == .http(0) && made.devices[0].endpoint == 0)
        for (keys, words) in [
            ("", "needs 'url'"), (#", url: "mk4.local""#, "no address to ask"), (", mqtt: main", "needs 'url'"),
            (#", url: "http://maker:secret@mk4.local""#, "does not belong into a 'url'"),
            (#", url: "http://mk4.local", username: maker"#, "go together"),
            (#", url: "http://mk4.local", username: m, password_file: p, api_key_file: k"#, "both an API key"),
            (#", url: "http://mk4.local", tls: { ca: x }"#, "write https"),
            (#", url: "http://mk4.local?x=1""#, "no address to ask"), (", api_key_file: k", "no 'url' to go to"),
        ] {
            let problems = try read(keys).1
            #expect(problems.contains { $0.contains(words) && !$0.contains("secret") }, "\(keys): \(problems)")
        }
        // Other drivers know no such key.
        var reader = ConfigurationReader(catalog: try loadCatalog()) { _ in .utc }
        let text = """
            lab: { id: x, timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1" }]
            devices: [{ id: plug, driver: tasmota, mqtt: main, topic: plug, url: "http://plug" }]

            """
        #expect(reader.read([try YAML.parse(text, file: "http.yaml")]) == nil)
        #expect(reader.problems.all.contains { $0.message.contains("no key 'url'") })
    }

    @Test func emptyConfigurationSaysWhatIsNeeded() {
        #expect(read("").1.contains { $0.contains("needs 'lab'") })
    }

    @Test func openingHoursAddUp() throws {
        let made = try #require(read(good).0)
        let monday = made.lab.zone.start(of: try #require(CivilDate(year: 2026, month: 11, day: 23)))
        #expect(made.lab.open.open(from: monday, to: monday + .hours(24), in: made.lab.zone) == .hours(12))
        #expect(made.lab.open.open(from: monday + .hours(9), to: monday + .hours(11), in: made.lab.zone) == .hours(1))
        let sunday = monday - .hours(24)
        #expect(made.lab.open.open(from: sunday, to: sunday + .hours(24), in: made.lab.zone) == .zero)
    }
}
