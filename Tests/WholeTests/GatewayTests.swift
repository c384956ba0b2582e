import Foundation
import Ports
import Testing

/// A hand-written message of a plug that draws `watts` and has counted `total` kWh.
private func sensor(watts: Int, total: Double) -> String {
    """
    {"Time":"2026-11-23T14:30:05","ENERGY":{"TotalStartTime":"2026-01-03T09:12:44","Total":\(total),"Yesterday":3.902,\
    "Today":1.266,"Period":61,"Power":\(watts),"ApparentPower":781,"ReactivePower":243,"Factor":0.95,"Voltage":219,\
    "Current":3.566}}
    """
}

@Suite(.serialized) struct GatewayTests {
    @Test func messageShowsInTheAPIAndOnTheStream() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        let gateway = try TestGateway(in: folder, brokerPort: broker.port)
        try await gateway.awaitBroker()
        let stream = try Program(
            ["curl", "-sN", "http://127.0.0.1:\(gateway.port)/api/v1/events"], in: folder, name: "stream")
        try await eventually("the stream's first line") { stream.log.isEmpty ? nil : true }
        // Readings are told while somebody watches; the gateway notices at its next turn.
        let sent = Date()
        try await eventually("the reading on the stream") {
            if stream.log.contains("\"channel\":\"power\",\"value\":742") { return true }
            try broker.publish("tele/laser/SENSOR", sensor(watts: 742, total: 812.417))
            return nil
        }
        print(
            "from a plug's message to the stream: \(Int(Date().timeIntervalSince(sent) * 1000)) ms, with the program that sends it"
        )
        let machines = try #require(gateway.get("/api/v1/machines"))
        #expect(machines.contains("\"power_w\":742"))
        #expect(machines.contains("\"id\":\"laser\""))
        try await eventually("the state") {
            gateway.get("/api/v1/machines/laser")?.contains("\"state\":\"running\"") == true ? true : nil
        }
    }

    @Test func garbageIsCountedAndShown() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        let gateway = try TestGateway(in: folder, brokerPort: broker.port)
        try await gateway.awaitBroker()
        for junk in ["{\"ENERGY\":{\"Power\":", "\u{1}\u{2}", "[]", "{\"ENERGY\":{\"Power\":\"many\"}}"] {
            try broker.publish("tele/laser/SENSOR", junk)
        }
        try broker.publish("tele/laser/SENSOR", sensor(watts: 12, total: 1.5))
        let devices = try await eventually("the good message after the bad ones") {
            gateway.get("/api/v1/devices").flatMap { $0.contains("\"value\":12,") ? $0 : nil }
        }
        #expect(!devices.contains("\"faults\":0,"))
        #expect(gateway.program.isRunning)
    }

    /// What came while the disk refused is in the store once, and the broker is told so only then.
    @Test func whatTheDiskRefusesIsHeardOnceAndKept() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder, more: "log_type all")
        let gateway = try TestGateway(in: folder, brokerPort: broker.port)
        // It refuses as a full disk does.
        func limitFiles(_ size: String) throws {
            let words = ["--pid", "\(gateway.program.id)", "--fsize=\(size):unlimited"]
            #expect(try ChildProcess(try Program.find("prlimit"), words, output: .discarded).wait() == 0)
        }
        func acknowledged() -> Int { broker.program.log.matches(of: /Received PUBACK from fabgate/).count }
        func tell(_ watts: Int) async throws {
            try broker.publish("tele/laser/SENSOR", sensor(watts: watts, total: 812.417))
            try await eventually("\(watts) W") {
                gateway.get("/api/v1/machines")?.contains("\"power_w\":\(watts),") == true ? true : nil
            }
        }
        try await gateway.awaitBroker()
        let stream = try Program(
            ["curl", "-sN", "http://127.0.0.1:\(gateway.port)/api/v1/events"], in: folder, name: "stream")
        try await eventually("the stream's first line") { stream.log.isEmpty ? nil : true }
        try await tell(700)
        try await eventually("the first acknowledgement") { acknowledged() == 1 ? true : nil }
        try limitFiles("1024")
        for watts in 701...704 { try await tell(watts) }
        try await eventually("the alert about the store") {
            gateway.get("/api/v1/alerts")?.contains("\"id\":\"store\"") == true ? true : nil
        }
        #expect(acknowledged() == 1)
        try limitFiles("unlimited")
        try await eventually("all acknowledgements") { acknowledged() == 5 ? true : nil }
        try await tell(705)
        #expect(gateway.get("/api/v1/alerts")?.contains("\"id\":\"store\"") == false)
        #expect(broker.program.log.matches(of: /New client connected .* as fabgate/).count == 1)
        for watts in 702...705 {
            let told = stream.log.matches(of: try Regex("\"channel\":\"power\",\"value\":\(watts),")).count
            #expect(told == 1, "\(watts) W was told \(told) times")
        }
    }

    @Test func brokerMayBeAwayAtTheStart() async throws {
        let folder = try PrivateFolder()
        let port = try FreePort.loopback()
        let gateway = try TestGateway(in: folder, brokerPort: port)
        let alert = try await eventually("the alert about the broker") {
            gateway.get("/api/v1/alerts").flatMap { $0.contains("broker/main") ? $0 : nil }
        }
        #expect(alert.contains("text_ko"))
        let broker = try TestBroker(in: folder, port: port)
        try await gateway.awaitBroker()
        try broker.publish("tele/laser/SENSOR", sensor(watts: 7, total: 2))
        try await eventually("the reading") {
            gateway.get("/api/v1/machines")?.contains("\"power_w\":7,") == true ? true : nil
        }
    }

    @Test func brokenConfigurationStartsNothing() async throws {
        let folder = try PrivateFolder()
        let file = try folder.write(
            "bad.yaml", "lab: { id: x, timezone: Asia/Seoul }\nmachines: [{ id: a, klass: laser }]\n")
        let program = try Program(["fabgate", "run", "--config", file], in: folder, name: "bad")
        let status = try await program.status()
        #expect(status == 78)
        #expect(program.log.contains("bad.yaml:2:21: machine a has no key 'klass'; did you mean 'class'?"))
    }

    /// What stands in the store's place, and a disk without room for one, are told with what to do.
    @Test func aStoreThatCannotBeThereIsToldWithItsPlace() async throws {
        let folder = try PrivateFolder()
        let file = try folder.write(
            "fabgate.yaml",
            "lab: { id: x, timezone: Asia/Seoul }\nstore: { path: \(folder.path)/store, size: 8 MiB }\n")
        let run = [try Program.find("fabgate"), "run", "--config", file]
        // It refuses as a full disk does, beyond what the log needs.
        let full = try Program(["prlimit", "--fsize=65536"] + run, in: folder, name: "full")
        #expect(try await full.status() == 74)
        #expect(full.log.contains("there is no room for a store of 8 MiB") && full.log.contains("set store.size lower"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder.path)/store") == [])

        _ = try folder.write("store/ring.fab", "no store")
        let other = try Program(run, in: folder, name: "other")
        #expect(try await other.status() == 74)
        #expect(other.log.contains("\(folder.path)/store/ring.fab is no store") && other.log.contains("move it away"))
        #expect(try Files.text("\(folder.path)/store/ring.fab") == "no store")
    }

    /// A start reads only the models that are named; what is said about a wrong name knows all of them.
    @Test func wrongModelIsToldTheNearestOfAll() async throws {
        let folder = try PrivateFolder()
        let file = try folder.write(
            "bad.yaml",
            """
            lab: { id: x, timezone: Asia/Seoul }
            serial: [{ name: bus1, port: /dev/null }]
            devices: [{ id: meter, driver: modbus-rtu, model: eastron-sdm12, serial: bus1, unit: 1 }]

            """)
        let program = try Program(["fabgate", "run", "--config", file], in: folder, name: "bad")
        #expect(try await program.status() == 78)
        #expect(program.log.contains("bad.yaml:3:"))
        #expect(program.log.contains("no model 'eastron-sdm12'; did you mean 'eastron-sdm120'?"))
    }

    /// libcurl brings thirty libraries more: who asks nobody over HTTP does not have them in memory.
    @Test func librariesForHTTPAreNotLoadedWhereNobodyIsAsked() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        let gateway = try TestGateway(in: folder, brokerPort: broker.port)
        try await gateway.awaitBroker()
        let maps = try Files.text("/proc/\(gateway.program.id)/maps")
        #expect(maps.contains("libmosquitto"))
        #expect(!maps.contains("libcurl"))
    }

    @Test func newConfigurationIsTakenUpAndABrokenOneIsNot() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        let gateway = try TestGateway(in: folder, brokerPort: broker.port)
        try await gateway.awaitBroker()
        let file = "\(folder.path)/fabgate.yaml"
        let good = try String(contentsOfFile: file, encoding: .utf8)
        _ = try folder.write(
            "fabgate.yaml", good.replacing("Laser 60W", with: "Laser 90W").replacing("http:", with: "htpt:"))
        kill(gateway.program.id, SIGHUP)
        try await eventually("the words about the broken file") {
            gateway.program.log.contains("has no key 'htpt'; did you mean 'http'?") ? true : nil
        }
        #expect(gateway.get("/api/v1/machines")?.contains("Laser 60W") == true)
        _ = try folder.write("fabgate.yaml", good.replacing("Laser 60W", with: "Laser 90W"))
        kill(gateway.program.id, SIGHUP)
        try await eventually("the new name") {
            gateway.get("/api/v1/machines")?.contains("Laser 90W") == true ? true : nil
        }
        #expect(gateway.program.isRunning)
    }

    @Test func otherNamesForThisMachineAreRefused() async throws {
        let folder = try PrivateFolder()
        let gateway = try TestGateway(in: folder, brokerPort: try FreePort.loopback())
        try await eventually("the gateway") { gateway.get("/healthz") }
        let curl = try Program(
            ["curl", "-s", "-H", "Host: evil.example", "http://127.0.0.1:\(gateway.port)/api/v1/machines"], in: folder,
            name: "evil")
        _ = try await curl.status()
        #expect(curl.log.contains("421"))
    }

    @Test func readingsSurviveAKilledGateway() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        let gateway = try TestGateway(in: folder, brokerPort: broker.port)
        try await gateway.awaitBroker()
        try broker.publish("tele/laser/SENSOR", sensor(watts: 742, total: 812.417))
        try await eventually("the reading") {
            gateway.get("/api/v1/machines")?.contains("\"power_w\":742") == true ? true : nil
        }
        gateway.program.kill()
        let query = try Program(
            ["fabgate", "query", "laser-plug/power", "--format", "csv", "--store", "\(folder.path)/store"], in: folder,
            name: "query")
        let status = try await query.status()
        #expect(status == 0)
        #expect(query.log.contains(",742"))
    }

    /// Messages of quality 1 in bursts, and the gateway killed in each: what it acknowledged is in its store, and what it
    /// did not comes again.
    @Test func aKilledGatewayLosesNothingOfABurst() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder, more: "max_queued_messages 0\n")
        var gateway = try TestGateway(in: folder, brokerPort: broker.port)
        try await gateway.awaitBroker()
        let rounds = 3
        let each = 2000
        var heard: [Int] = []
        for round in 0..<rounds {
            // Every message is another power, so that each can be found again.
            let lines = (1...each).map { "{\"ENERGY\":{\"Power\":\(round * each + $0)}}" }
            let file = try folder.write("burst-\(round)", lines.joined(separator: "\n") + "\n")
            let words = "mosquitto_pub -h 127.0.0.1 -p \(broker.port) -q 1 -l -t tele/laser/SENSOR < \(file)"
            let publisher = try ChildProcess("/bin/sh", ["-c", words], output: .discarded)
            let first = "\nfabgate_mqtt_messages_total "
            let count = try await eventually("a message of the burst") { () -> Int? in
                guard let text = gateway.get("/metrics"), let place = text.range(of: first) else { return nil }
                return Int(text[place.upperBound...].prefix { $0.isNumber }).flatMap { $0 > 0 ? $0 : nil }
            }
            gateway.program.kill()
            heard.append(count)
            try await eventually("the end of the burst") { publisher.poll() }
            gateway = try TestGateway(in: folder, brokerPort: broker.port)
            try await gateway.awaitBroker()
        }
        print("killed after about \(heard) of \(each) messages")
        var values: Set<Int> = []
        try await eventually("all messages in the store") { () -> Bool? in
            let query = try Program(
                ["fabgate", "query", "laser-plug/power", "--format", "csv", "--store", "\(folder.path)/store"],
                in: folder, name: "query-\(UUID().uuidString)")
            guard try await query.status() == 0 else { return nil }
            values = Set(
                query.log.split(separator: "\n").compactMap { $0.split(separator: ",").last.flatMap { Int($0) } })
            return values.count >= rounds * each ? true : nil
        }
        #expect(values == Set(1...rounds * each))
    }

    @Test func dashboardShowsTheMachine() async throws {
        let folder = try PrivateFolder()
        let broker = try TestBroker(in: folder)
        let gateway = try TestGateway(in: folder, brokerPort: broker.port)
        try await gateway.awaitBroker()
        let browser = try Browser(in: folder)
        try browser.open("http://127.0.0.1:\(gateway.port)/")
        try await eventually("the machine's card") {
            try browser.text(".machine[data-id=\"laser\"]").flatMap { $0.contains("Laser 60W") ? true : nil }
        }
        #expect(try browser.text("#lab-name") == "Test lab")
        // Live, without loading the page again.
        try broker.publish("tele/laser/SENSOR", sensor(watts: 742, total: 812.417))
        try await eventually("the power on the page") {
            try browser.text(".machine[data-id=\"laser\"] .power").flatMap { $0.contains("742") ? true : nil }
        }
        try await eventually("the state on the page") {
            try browser.evaluate("document.querySelector('.machine[data-id=\"laser\"] .state')?.dataset.state")
                .flatMap { $0 == "running" ? true : nil }
        }
        let picture = try browser.screenshot()
        #expect(picture.count > 5000)
        #expect(picture.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    }
}
