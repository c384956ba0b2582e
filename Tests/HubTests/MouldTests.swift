import CityLink
import Hub
import Model
import Ports
import Store
import Testing
import Usage
import Web
import fabgate

/// A press of a controller, a board and a scale, and a panel of the lab that names moulds; a test that plays them.
private struct MouldLab {
    static let start = Instant("2026-11-23T01:00:00Z") ?? .distantPast
    static let text = """
        lab: { id: "urn:x:moulds", timezone: UTC }
        mqtt: [{ name: main, url: "mqtt://127.0.0.1" }]
        serial: [{ name: board, port: board, baud: 115200 }, { name: scale, port: scale }]
        devices:
          - { id: board, driver: line-json, model: line-json-press, serial: board, silence: 60 s }
          - { id: parts, driver: scale, serial: scale, silence: 60 s }
          - { id: panel, driver: mqtt-choice, mqtt: main, topic: lab/press/mould }
        moulds:
          pot-9cm: { item: pot, polymer: pp, shot_g: 62.5 }
          tiles: { item: tile, polymer: ps, shot_g: 40, items: 4 }
          coaster: { item: coaster, polymer: hdpe, shot_g: 25 }
        machines:
          - { id: press, name: Press, class: injection_molding, devices: [board, parts, panel], usage: { from: press },
              moulds: [pot-9cm, tiles], mass: { product: parts, step: 2 g, limit: 10 % } }

        """
    let configuration: Configuration
    let region = MemoryRegion(size: 8 << 20)
    var hub: Hub
    var now = Now(moment: Moment(nanoseconds: 0), wall: Self.start)
    private var up: Int64 = 100

    init() throws {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        configuration = try #require(
            reader.read([try YAML.parse(Self.text, file: "lab.yaml")]), "\(reader.problems.all)")
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 3, count: 16))
        hub = Hub(configuration, store: store, at: now)
        connect()
    }

    private mutating func connect() {
        hub.broker(0, isUp: true, "connected", at: now)
        for line in configuration.lines.indices { hub.line(line, isOpen: true, "open", at: now) }
        _ = hub.takeEffects()
    }

    mutating func restart() throws {
        _ = try hub.store.commit()
        hub = Hub(configuration, store: try RingStore(opening: region), at: now)
        connect()
    }

    mutating func pass(_ seconds: Int64, by step: Int64 = 1) {
        for _ in 0..<seconds / step {
            now = Now(moment: now.moment + .seconds(step), wall: now.wall + .seconds(step))
            if now.moment >= hub.deadline { hub.tick(at: now) }
        }
    }

    mutating func board(_ members: String) {
        up += 1
        let line = Array("{\"v\":1,\"boot\":1,\"up\":\(up),\"t\":[200,200],\"sv\":[200,200],\(members)}\n".utf8)
        hub.bytes(line.span, line: 0, at: now)
    }

    mutating func scale(_ grams: Int) {
        for _ in 0..<4 {
            hub.bytes(Array("ST,GS,+\(grams)g\r\n".utf8).span, line: 1, at: now)
            pass(1)
        }
    }

    mutating func panel(_ word: String, isRetained: Bool = false) {
        hub.message(Array(word.utf8).span, topic: "lab/press/mould", isRetained: isRetained, broker: 0, at: now)
    }

    var mould: String? { hub.machineViews(at: now)[0].material?.mould?.name }
    var press: MachineView { hub.machineViews(at: now)[0] }
    var alerts: [String] { hub.alerts().map(\.id) }

    /// The mould series as it is stored.
    var stored: [String] {
        guard let info = hub.store.find(SeriesKey(device: "machine:press", channel: "mould")) else { return [] }
        var names: [String] = []
        hub.store.scan(info.id, from: .distantPast, to: .distantFuture) { sample in
            if case .text(let name) = sample.value { names.append(name) }
            return true
        }
        return names
    }

    mutating func post(
        _ body: String, machine: String = "press", headers: [(name: String, value: String)] = [], isLocal: Bool = true
    ) -> WebAnswer? {
        WebAPI.change(
            WebRequest(
                method: "POST", path: "/api/v1/machines/\(machine)/mould", query: [],
                headers: [("Content-Type", "application/json"), ("Host", "127.0.0.1:8080")] + headers,
                body: Array(body.utf8)), &hub, at: now, isLocal: isLocal)
    }
}

@Suite struct MouldTests {
    @Test func everyWayToChooseIsOneSeries() throws {
        var lab = try MouldLab()
        #expect(lab.mould == nil)
        lab.board(#""shots":1"#)
        lab.pass(1)
        lab.panel("pot-9cm")
        #expect(lab.mould == "pot-9cm")
        lab.pass(1)
        lab.board(#""button":"mould2""#)
        #expect(lab.mould == "tiles")
        lab.pass(1)
        lab.board(#""button":"next""#)
        #expect(lab.mould == "pot-9cm")
        lab.pass(1)
        let answer = lab.post(#"{"mould":"tiles"}"#)
        #expect(answer?.status == 200)
        #expect(answer.flatMap { JSON($0.body) }?["material"]?["mould"]?.text == "tiles")
        #expect(lab.mould == "tiles")
        #expect(lab.stored == ["pot-9cm", "tiles", "pot-9cm", "tiles"])
        // Once more the same is no news.
        lab.pass(1)
        lab.panel("tiles")
        #expect(lab.stored.count == 4)
    }

    @Test func whatIsNoMouldIsNeitherTakenNorStored() throws {
        var lab = try MouldLab()
        lab.panel("coaster")
        lab.panel("Kim Minji")
        lab.panel("pot-9cm", isRetained: true)
        lab.board(#""button":"mould7""#)
        #expect(lab.mould == nil)
        #expect(lab.stored == [])
        let panel = try #require(lab.hub.deviceViews().first { $0.id == "panel" })
        #expect(panel.faults == 2)
        #expect(panel.lastFault?.fault.detail.contains("Kim") == false)
    }

    @Test func aChoiceSurvivesRestartsAndLongNights() throws {
        var lab = try MouldLab()
        lab.board(#""shots":1"#)
        lab.panel("tiles")
        try lab.restart()
        #expect(lab.mould == "tiles")
        // Five days on, all of them beyond what is replayed, and then a month without the gateway.
        for _ in 0..<5 * 24 {
            lab.pass(3600, by: 60)
            _ = try lab.hub.store.commit()
        }
        try lab.restart()
        #expect(lab.mould == "tiles")
        lab.now = Now(moment: lab.now.moment + .hours(24 * 30), wall: lab.now.wall + .hours(24 * 30))
        try lab.restart()
        #expect(lab.mould == "tiles")
    }

    /// Grams, items and known time of a day with changing moulds are the same after the gateway was started again.
    @Test func whatIsRememberedGivesTheSameGrams() throws {
        var lab = try MouldLab()
        var shots = 10
        lab.scale(0)
        for round in 0..<40 {
            if round % 7 == 0 { lab.panel(round % 2 == 0 ? "pot-9cm" : "tiles") }
            if round % 11 == 5 { lab.board(#""button":"reject""#) }
            lab.pass(20)
            shots += 1
            lab.board(#""shots":\#(shots)"#)
            lab.pass(30)
            lab.scale(round * 50)
        }
        lab.pass(3)
        let before = lab.press.today
        try lab.restart()
        lab.hub.tick(at: lab.now)
        let after = lab.press.today
        #expect(before.massIn == after.massIn)
        #expect(before.massProduct == after.massProduct)
        #expect(before.massScrap == after.massScrap)
        #expect(before.items == after.items && before.scrap == after.scrap && before.shots == after.shots)
        #expect(before.massCovered == after.massCovered)
        #expect(before.massByShots == after.massByShots && before.massByScale == after.massByScale)
        #expect(before.massProduct.reduce(0, +) == 39 * 50_000)
        #expect(before.scrap > 0)
    }

    @Test func accountsThatDisagreeLowerCoverageAndSayWhatToDo() throws {
        var lab = try MouldLab()
        lab.panel("pot-9cm")
        lab.scale(0)
        for shot in 1...40 {
            lab.board(#""shots":\#(shot)"#)
            lab.pass(56)
            // Every second part never comes onto the scale.
            lab.scale(shot / 2 * 62)
        }
        lab.pass(60)
        // Nobody makes anything for a while, so that nothing is on its way any more.
        for _ in 0..<45 {
            lab.board(#""shots":40"#)
            lab.scale(20 * 62)
            lab.pass(40)
        }
        let alert = try #require(lab.hub.alerts().first { $0.id == "mass/press" })
        #expect(alert.english.contains("2438 g") && alert.english.contains("1240 g"))
        #expect(alert.english.contains("Check the chosen mould (pot-9cm)"))
        #expect(alert.korean.contains("2438 g"))
        let source = RollupSource(gateway: "g", software: "s", tzdata: "t")
        let window = Window.containing(MouldLab.start, .hour, in: .utc)
        let content = lab.hub.content(of: window, source: source, showsMachines: true)
        let mass = try #require(content.coverage.mass)
        #expect(mass > 0.4 && mass < 0.55)
        #expect(content.totals.massProduct["pp"] == 1_240_000)
        #expect(content.totals.massIn["pp"] == 2_437_500)
        #expect(content.totals.items == 39)
        #expect(content.check() == [])
    }

    @Test func accountsThatAgreeAreKnownAlmostWhole() throws {
        var lab = try MouldLab()
        lab.panel("pot-9cm")
        lab.board(#""shots":0"#)
        lab.scale(0)
        for shot in 1...60 {
            lab.board(#""shots":\#(shot)"#)
            lab.pass(56)
            lab.scale(shot * 62)
        }
        let source = RollupSource(gateway: "g", software: "s", tzdata: "t")
        let window = Window.containing(MouldLab.start, .hour, in: .utc)
        let content = lab.hub.content(of: window, source: source, showsMachines: false)
        #expect(try #require(content.coverage.mass) > 0.98)
        #expect(!lab.alerts.contains("mass/press"))
    }

    @Test func shotsWithoutAMouldAreToldToPeople() throws {
        var lab = try MouldLab()
        lab.board(#""shots":0"#)
        lab.pass(1)
        lab.board(#""shots":1"#)
        lab.pass(1)
        #expect(lab.alerts.contains("mould/press"))
        lab.panel("tiles")
        lab.pass(1)
        #expect(!lab.alerts.contains("mould/press"))
    }

    @Test func whatAPolymerDoesNotBearIsToldToPeople() throws {
        var lab = try MouldLab()
        lab.panel("tiles")
        lab.board(#""shots":1"#)
        #expect(lab.alerts == [])
        let line = Array("{\"v\":1,\"boot\":1,\"up\":900,\"t\":[252,200],\"sv\":[200,255]}\n".utf8)
        lab.hub.bytes(line.span, line: 0, at: lab.now)
        let alerts = lab.hub.alerts()
        let hot = try #require(alerts.first { $0.id == "heat/press/zone1" })
        #expect(hot.severity == .error)
        #expect(hot.english == "Press: zone1 is at 252 °C, and PS bears 250 °C. Lower its set value and air the room")
        #expect(alerts.contains { $0.id == "setpoint/press/zone2" })
        lab.panel("pot-9cm")
        #expect(!lab.alerts.contains("heat/press/zone1"))
    }

    // MARK: who may choose

    @Test func onlyTheGatewaysOwnPageMayChoose() throws {
        var lab = try MouldLab()
        func status(
            _ headers: [(name: String, value: String)], isLocal: Bool = true, _ lab: inout MouldLab
        ) -> Int? { lab.post(#"{"mould":"tiles"}"#, headers: headers, isLocal: isLocal)?.status }
        #expect(status([("Origin", "https://elsewhere.example")], &lab) == 403)
        #expect(status([("Origin", "null")], &lab) == 403)
        #expect(status([("Sec-Fetch-Site", "cross-site")], &lab) == 403)
        #expect(status([("Sec-Fetch-Site", "same-site")], &lab) == 403)
        #expect(status([], isLocal: false, &lab) == 403)
        #expect(lab.mould == nil)
        #expect(status([("Origin", "http://127.0.0.1:8080"), ("Sec-Fetch-Site", "same-origin")], &lab) == 200)
        #expect(lab.mould == "tiles")
    }

    @Test func refusalsSayWhatToSend() throws {
        var lab = try MouldLab()
        let noJSON = lab.post("mould=tiles")
        #expect(noJSON?.status == 400)
        let nobody = lab.post(#"{"mould":"tiles"}"#, machine: "laser")
        #expect(nobody?.status == 404)
        let wrong = lab.post(#"{"mould":"coaster"}"#)
        #expect(wrong?.status == 422)
        #expect(wrong.flatMap { JSON($0.body) }?["detail"]?.text?.contains("pot-9cm, tiles") == true)
        let form = WebAPI.change(
            WebRequest(
                method: "POST", path: "/api/v1/machines/press/mould", query: [],
                headers: [("Content-Type", "text/plain")], body: Array(#"{"mould":"tiles"}"#.utf8)),
            &lab.hub, at: lab.now, isLocal: true)
        #expect(form?.status == 415)
        #expect(lab.mould == nil)
    }

    // MARK: configuration

    @Test(arguments: [
        ("shot_g: 62.5", "shot_g: 0", "grams of one shot"), ("polymer: pp", "polymer: pvc", "pp, hdpe"),
        ("moulds: [pot-9cm, tiles]", "moulds: [pot-9m, tiles]", "did you mean 'pot-9cm'?"),
        ("product: parts", "product: panel", "'panel' is none"), ("limit: 10 %", "limit: 10", "needs a unit"),
        ("pot-9cm: {", "\"Pot 9\": {", "cannot be a mould"), ("shot_g: 40, ", "", "needs 'shot_g'"),
        ("devices: [board, parts, panel]", "devices: [parts, panel]", "counts shots"),
    ])
    func mistakesAreNamed(old: String, new: String, said: String) throws {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let text = MouldLab.text.split(separator: old, maxSplits: 1).joined(separator: new)
        #expect(reader.read([try YAML.parse(text, file: "lab.yaml")]) == nil)
        #expect(reader.problems.all.contains { $0.message.contains(said) }, "\(reader.problems.all)")
    }

    @Test func twoControllersWithOneZoneAreAMistake() throws {
        let text = """
            lab: { id: "urn:x:zones", timezone: UTC }
            serial: [{ name: bus, port: bus }]
            devices:
              - { id: barrel, driver: modbus-rtu, model: autonics-tk4, serial: bus, unit: 1 }
              - { id: nozzle, driver: modbus-rtu, model: omron-e5cc, serial: bus, unit: 2 }
            machines: [{ id: press, devices: [barrel, nozzle] }]

            """
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        #expect(reader.read([try YAML.parse(text, file: "lab.yaml")]) == nil)
        #expect(reader.problems.all.first?.message.contains("zone: 2") == true)
        var second = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let mended = text.split(separator: "unit: 2", maxSplits: 1).joined(separator: "unit: 2, zone: 2")
        #expect(second.read([try YAML.parse(mended, file: "lab.yaml")]) != nil, "\(second.problems.all)")
    }
}
