import Foundation
import Model
import Ports
import Synchronization
import Testing

/// A lab with a plug at a broker, a meter and a controller that share a bus, and a counter on a line of its own.
private struct Lab {
    let folder: PrivateFolder
    let brokerPort: UInt16
    let webPort: UInt16
    let file: String
    let bus: ModbusBus
    let counter: PseudoTerminal

    init() throws {
        folder = try PrivateFolder()
        brokerPort = try FreePort.loopback()
        webPort = try FreePort.loopback()
        bus = try ModbusBus()
        counter = try PseudoTerminal()
        file = try folder.write(
            "fabgate.yaml",
            """
            lab: { id: "urn:fablabs:io:lab:test", name: 시험 랩, timezone: Asia/Seoul }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(brokerPort)" }]
            serial: [{ name: bus1, port: \(bus.terminal.path) }, { name: press, port: \(counter.path) }]
            devices:
              - { id: laser-plug, driver: tasmota, mqtt: main, topic: laser }
              - { id: meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 1, every: 1 s }
              - { id: zone, driver: modbus-rtu, model: autonics-tk4, serial: bus1, unit: 3, every: 1 s }
              - { id: press-counter, driver: line-json, model: line-json-press, serial: press }
            machines:
              - { id: laser, name: 레이저 60W, class: laser, devices: [laser-plug],
                  usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 10 s } }
              - { id: mill, name: Mill, class: precision_milling, devices: [meter],
                  usage: { from: power, idle_below: 5 W, running_above: 60 W, dwell: 1 s } }
            store: { path: \(folder.path)/store, size: 8 MiB }
            http: { listen: "127.0.0.1:\(webPort)" }

            """)
    }

    func start(_ words: String..., name: String) throws -> Program {
        try Program(["fabgate"] + words + ["--config", file], in: folder, name: name)
    }
}

/// An SDM120 as unit 1 and a TK4 as unit 3, with the input registers that their recordings begin with.
struct ModbusBus {
    let terminal: PseudoTerminal
    private var registers: [UInt8: [Int: [UInt8]]] = [:]
    /// Whether a unit refuses what it does not have, as real ones do, instead of answering 0.
    private let refuses: Bool

    init(refuses: Bool = false) throws {
        self.refuses = refuses
        terminal = try PseudoTerminal()
        let devices = try Installation.find().devices
        try learn("\(devices)/meters/models/eastron-sdm120/recordings/laser-starts.jsonl", unit: 1)
        try learn("\(devices)/desk-factories/models/autonics-tk4/recordings/heating-up.jsonl", unit: 3)
    }

    private mutating func learn(_ path: String, unit: UInt8) throws {
        var question: [UInt8] = []
        for line in try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n") {
            guard case .serial(_, let bytes, let direction) = try CaptureLine(parsing: String(line)).link else {
                continue
            }
            if direction == .tx { question = bytes }
            guard direction == .rx, question.count == 8, bytes.count == 5 + 2 * Int(question[5]) else { continue }
            for index in 0..<Int(question[5]) {
                let address = Int(question[2]) * 256 + Int(question[3]) + index
                let value = Array(bytes[(3 + 2 * index)..<(5 + 2 * index)])
                registers[unit, default: [:]][address] = registers[unit]?[address] ?? value
            }
        }
    }

    /// What the unit that is asked answers; nothing where it is another question than for input registers.
    private func answer(_ question: [UInt8]) -> [UInt8]? {
        guard question.count == 8, question[1] == 4, let known = registers[question[0]] else { return nil }
        let first = Int(question[2]) * 256 + Int(question[3])
        if refuses, (first..<first + Int(question[5])).contains(where: { known[$0] == nil }) {
            return Self.frame([question[0], 0x84, 2])
        }
        let data = (first..<first + Int(question[5])).flatMap { known[$0] ?? [0, 0] }
        return Self.frame([question[0], 4, UInt8(data.count)] + data)
    }

    /// With the CRC of Modbus RTU behind it.
    private static func frame(_ bytes: [UInt8]) -> [UInt8] {
        var crc: UInt16 = 0xFFFF
        for byte in bytes {
            crc ^= UInt16(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
        }
        return bytes + [UInt8(crc & 0xFF), UInt8(crc >> 8)]
    }

    /// Answers what was asked since the last time.
    func serve() {
        let bytes = terminal.read()
        for start in stride(from: 0, to: bytes.count, by: 8) {
            if let answer = answer(Array(bytes[start..<min(start + 8, bytes.count)])) { terminal.write(answer) }
        }
    }
}

/// Units that answer on a thread of their own, as real ones do, however busy everybody else is; until `stop`.
final class AnsweringBus: @unchecked Sendable {
    private let bus: ModbusBus
    private let worker = Worker(name: "bus")
    private let isOver = Atomic(false)

    init(_ bus: ModbusBus) {
        self.bus = bus
        worker.run { [self] in serve() }
    }

    private func serve() {
        while !isOver.load(ordering: .acquiring) {
            var wish = pollfd(fd: bus.terminal.descriptor, events: Int16(POLLIN), revents: 0)
            if poll(&wish, 1, 20) > 0 { bus.serve() }
        }
    }

    func stop() {
        isOver.store(true, ordering: .releasing)
        worker.stop()
    }
}

private func plug(_ watts: Int, total: Double = 812.417) -> String {
    "{\"Time\":\"2026-11-23T14:30:05\",\"ENERGY\":{\"Total\":\(total),\"Power\":\(watts),\"Voltage\":219,\"Current\":3.566}}"
}

extension Program {
    fileprivate func interrupt() async throws -> Int32 {
        kill(SIGINT)
        return try await status()
    }

    private func kill(_ signal: Int32) { _ = Foundation.kill(id, signal) }
}

/// Capture lines of a file, each read back as what it is.
private func captured(_ path: String) throws -> [CaptureLine] {
    try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
        try CaptureLine(parsing: String($0))
    }
}

@Suite(.serialized) struct RecordTests {
    @Test func writesWhatTheWiresSayAndAsksNothing() async throws {
        let lab = try Lab()
        let broker = try TestBroker(in: lab.folder, port: lab.brokerPort)
        let out = "\(lab.folder.path)/capture.jsonl"
        let record = try lab.start("record", "--out", out, name: "record")
        try await eventually("both wires") {
            record.log.contains("accepted us") && record.log.contains("press") && record.log.contains("bus1")
                ? true : nil
        }
        lab.counter.write(Array("{\"v\":1,\"id\":\"d\"}\n".utf8))
        lab.bus.terminal.write([0x01, 0x84, 0x02, 0xC2, 0xC1])
        let binary = "\(lab.folder.path)/payload.bin"
        try Data([0x00, 0xFF, 0x10]).write(to: URL(fileURLWithPath: binary))
        let sender = try ChildProcess(
            try Program.find("mosquitto_pub"),
            ["-h", "127.0.0.1", "-p", "\(lab.brokerPort)", "-q", "1", "-t", "tele/laser/STATE", "-f", binary],
            output: .discarded)
        #expect(sender.wait() == 0)
        try broker.publish("not/ours", "left alone")
        try broker.publish("tele/laser/SENSOR", plug(742))
        try await eventually("four lines") { try? captured(out).count >= 4 ? true : nil }
        #expect(try await record.interrupt() == 0)
        let links = try captured(out).map(\.link)
        #expect(links.count == 4)
        #expect(links.contains(.mqtt(topic: "tele/laser/SENSOR", payload: Array(plug(742).utf8), retained: false)))
        #expect(links.contains(.mqtt(topic: "tele/laser/STATE", payload: [0x00, 0xFF, 0x10], retained: false)))
        #expect(links.contains(.serial(port: "press", bytes: Array("{\"v\":1,\"id\":\"d\"}\n".utf8), direction: .rx)))
        #expect(links.contains(.serial(port: "bus1", bytes: [0x01, 0x84, 0x02, 0xC2, 0xC1], direction: .rx)))
        #expect(try captured(out).allSatisfy { $0.time != nil })
        #expect(lab.bus.terminal.read().isEmpty)
        #expect(lab.counter.read().isEmpty)
        #expect(record.log.contains("wrote 4 lines to \(out)"))
        #expect(record.log.contains("press: 1 chunk, 17 bytes"))
    }

    @Test func withPollTheQuestionsAreThereAndReplayFollowsThem() async throws {
        let lab = try Lab()
        let broker = try TestBroker(in: lab.folder, port: lab.brokerPort)
        let out = "\(lab.folder.path)/capture.jsonl"
        // There before they are asked: units that were silent at first are asked ever more rarely.
        let units = AnsweringBus(lab.bus)
        defer { units.stop() }
        let record = try lab.start("record", "--poll", "--out", out, "--topic", "tele/#", name: "record")
        try await eventually("three turns of both devices") {
            let units = (try? captured(out))?.compactMap { line -> UInt8? in
                if case .serial(_, let bytes, .tx) = line.link { bytes.first } else { nil }
            }
            return units?.count { $0 == 3 } ?? 0 >= 3 && units?.last == 1 ? true : nil
        }
        try broker.publish("tele/other/SENSOR", "{}")
        try await eventually("the message") {
            try? captured(out).contains { "\($0.link)".contains("tele/other") } ? true : nil
        }
        #expect(try await record.interrupt() == 0)

        let replay = try lab.start(
            "replay", out, "--format", "json", "--store", "\(lab.folder.path)/kept", name: "replay")
        #expect(try await replay.status() == 0)
        #expect(replay.log.contains(" 0 faults"))
        #expect(!replay.log.contains("nobody was asked"))
        #expect(replay.log.contains("1 message was for no device"))
        for (series, value) in [("meter/voltage", ",229.8"), ("zone/temperature.zone1", ",21.3")] {
            let query = try Program(
                [
                    "fabgate", "query", series, "--format", "csv", "--store", "\(lab.folder.path)/kept", "--from",
                    "-1h",
                ], in: lab.folder, name: "query")
            #expect(try await query.status() == 0)
            #expect(query.log.contains(value), "\(series): \(query.log)")
        }
    }

    @Test func refusesWhatItCannotDo() async throws {
        let lab = try Lab()
        let nowhere = try lab.start("record", name: "nowhere")
        #expect(try await nowhere.status() == 64)
        let full = try lab.folder.write("full.jsonl", "{}\n")
        let overwriting = try lab.start("record", "--out", full, name: "overwriting")
        #expect(try await overwriting.status() == 74)
        #expect(try String(contentsOfFile: full, encoding: .utf8) == "{}\n")
        // There is no broker.
        let alone = try lab.start("record", "--out", "-", "--seconds", "1", name: "alone")
        #expect(try await alone.status() == 69)
        #expect(alone.log.contains("never open, so nothing of it is here: broker main"))
    }
}

@Suite(.serialized) struct ListenTests {
    @Test func saysWhoSaidWhatAndWhatWasIgnored() async throws {
        let lab = try Lab()
        let broker = try TestBroker(in: lab.folder, port: lab.brokerPort)
        // There before they are asked: units that were silent at first are asked ever more rarely.
        let units = AnsweringBus(lab.bus)
        defer { units.stop() }
        let listen = try lab.start("listen", name: "listen")
        try await eventually("all wires") {
            ["accepted us", "press", "bus1"].allSatisfy(listen.log.contains) ? true : nil
        }
        try broker.publish("tele/laser/SENSOR", plug(742))
        try broker.publish("tele/laser/SENSOR", "{\"ENERGY\":{\"Power\":")
        for _ in 0..<3 { try broker.publish("zigbee/door", "{\"contact\":true}\u{1B}[2J") }
        lab.counter.write(Array("{\"v\":1,\"id\":\"desk1\",\"boot\":3,\"up\":1,\"shots\":1040,\"t\":[200.1]}\n".utf8))
        try await eventually("everything that was said") {
            let isThere = ["badFrame", "zigbee/door", "shots 1040", "meter: voltage 229.8 V", "zone: "].allSatisfy(
                listen.log.contains)
            return isThere ? true : nil
        }
        // Nobody answers any more.
        units.stop()
        try await eventually("the bus's silence") { listen.log.contains("noReply: unit") ? true : nil }
        #expect(try await listen.interrupt() == 0)
        let log = listen.log
        #expect(log.contains("main  tele/laser/SENSOR  laser-plug: power 742 W, voltage 219 V, current 3.566 A"))
        #expect(log.contains("main  zigbee/door  no device listens here: {\"contact\":true}?[2J"))
        #expect(log.contains("ignored: 3 messages on 1 topic without a device\n  3  zigbee/door\n"))
        #expect(log.contains("press  press-counter: "))
        #expect(log.contains("laser-plug: 2 heard"))
        #expect(!log.utf8.contains(0x1B))
        #expect(!FileManager.default.fileExists(atPath: "\(lab.folder.path)/store"))
    }

    @Test func missingDeviceIsNamedWithAdvice() async throws {
        let lab = try Lab()
        let broker = try TestBroker(in: lab.folder, port: lab.brokerPort)
        try await eventually("the broker") { broker.program.log.contains("running") ? true : nil }
        let listen = try lab.start("listen", "--seconds", "2", name: "listen")
        #expect(try await listen.status() == 0)
        #expect(listen.log.contains("laser-plug: 0 heard, 0 readings; is it on, and does it publish on "))
        #expect(listen.log.contains("are its address, the baud rate, and A and B of the cable right?"))
    }
}

@Suite(.serialized) struct ReplayTests {
    /// From 9:00 on, a plug at every half minute: `watts` for each of the minutes.
    private func capture(minutes: Int, _ watts: (Int) -> Int) -> String {
        let start = Instant("2026-11-23T00:00:00Z")!
        var energy = 100.0
        return (0..<minutes * 2).map { half in
            energy += Double(watts(half / 2)) / 120_000
            let line = CaptureLine(
                time: start + .seconds(Int64(half) * 30),
                .mqtt(
                    topic: "tele/laser/SENSOR",
                    payload: Array(plug(watts(half / 2), total: (energy * 1000).rounded() / 1000).utf8), retained: false
                ))
            return String(decoding: line.bytes, as: UTF8.self) + "\n"
        }.joined()
    }

    @Test func hourOfAPlugBecomesStatesAndARollup() async throws {
        let lab = try Lab()
        let file = try lab.folder.write("c.jsonl", capture(minutes: 70) { (10..<40).contains($0) ? 800 : 2 })
        var outputs: [String] = []
        for name in ["first", "second"] {
            let replay = try lab.start("replay", file, "--format", "json", name: name)
            #expect(try await replay.status() == 0)
            outputs.append(replay.log)
        }
        #expect(outputs[0] == outputs[1])
        let events = outputs[0].split(separator: "\n").compactMap { JSON(String($0)) }
        let states = events.filter { $0["event"]?.text == "state" && $0["machine"]?.text == "laser" }
        #expect(states.compactMap { $0["state"]?.text } == ["unknown", "idle", "running", "idle"])
        #expect(states[2]["t"]?.text == "2026-11-23T00:10:00.000Z")
        let rollup = try #require(events.first { $0["event"]?.text == "rollup" }?["rollup"])
        #expect(rollup["start"]?.text == "2026-11-23T00:00:00.000Z")
        let laser = try #require(rollup["machines"]?.items?.first { $0["id"]?.text == "laser" })
        #expect(laser["states_s"]?["running"]?.number == 1800)
        #expect(laser["states_s"]?["idle"]?.number == 1800)
        let sum = MachineState.allCases.compactMap { laser["states_s"]?[$0.rawValue]?.number }.reduce(0, +)
        #expect(sum == 3600)
        let energy = try #require(laser["energy_wh"]?.number)
        #expect(abs(energy - 401) < 2)
        let machines = events.filter { $0["event"]?.text == "machine" }
        #expect(machines.compactMap { $0["id"]?.text } == ["laser", "mill"])
    }

    @Test func textShowsStatesRollupsAndTheTableWithKoreanNames() async throws {
        let lab = try Lab()
        let file = try lab.folder.write("c.jsonl", capture(minutes: 70) { $0 < 30 ? 800 : 2 })
        let replay = try lab.start("replay", file, name: "replay")
        #expect(try await replay.status() == 0)
        #expect(replay.log.contains("2026-11-23T00:00:00.000Z  laser  running (power)\n"))
        #expect(
            replay.log.contains("rollup PT1H 2026-11-23T00:00:00.000Z: unknown 3600 s, idle 1800 s, running 1800 s"))
        #expect(replay.log.contains("\nMACHINE     STATE "))
        #expect(replay.log.contains("\n레이저 60W  idle "))
        #expect(replay.log.contains("\nMill        unknown "))
        #expect(replay.log.contains("replayed 140 lines from 2026-11-23T00:00:00.000Z"))
    }

    @Test func storeIsKeptAndOnlyGoesForward() async throws {
        let lab = try Lab()
        let file = try lab.folder.write("c.jsonl", capture(minutes: 3) { _ in 742 })
        let kept = "\(lab.folder.path)/kept"
        let replay = try lab.start("replay", file, "--store", kept, name: "replay")
        #expect(try await replay.status() == 0)
        let query = try Program(
            [
                "fabgate", "query", "laser-plug/power", "--format", "csv", "--store", kept, "--from",
                "2026-11-23T00:00:00Z", "--to", "2026-11-23T01:00:00Z",
            ], in: lab.folder, name: "query")
        #expect(try await query.status() == 0)
        #expect(query.log.split(separator: "\n").count { $0.hasSuffix(",742") } == 6)
        let again = try lab.start("replay", file, "--store", kept, name: "again")
        #expect(try await again.status() == 64)
        #expect(again.log.contains("a store only goes forward"))
    }

    @Test(arguments: [
        ("{\"via\":\"mqtt\",\"topic\":\"a\",\"payload\":\"\"}\n", 65, "line 1 of"),
        ("", 65, "holds no capture line"), ("\n\nnonsense\n", 64, "line 3 of the capture"),
        (
            "{\"t\":\"2026-01-01T00:00:00Z\",\"via\":\"mqtt\",\"topic\":\"a\",\"payload\":\"\"}\n"
                + "{\"t\":\"2026-03-01T00:00:00Z\",\"via\":\"mqtt\",\"topic\":\"a\",\"payload\":\"\"}\n",
            65, "more than 7 days"
        ),
    ])
    func badCaptureIsRefused(_ text: String, _ status: Int32, _ words: String) async throws {
        let lab = try Lab()
        let file = try lab.folder.write("bad.jsonl", text)
        let replay = try lab.start("replay", file, name: "replay")
        #expect(try await replay.status() == status)
        #expect(replay.log.contains(words), "\(replay.log)")
    }

    @Test func wireThatIsNotConfiguredAndTimeThatGoesBackAreSaid() async throws {
        let lab = try Lab()
        let file = try lab.folder.write(
            "c.jsonl",
            """
            {"t":"2026-11-23T09:00:05Z","via":"serial","port":"bus9","text":"x"}
            {"t":"2026-11-23T09:00:01Z","via":"serial","port":"bus1","hex":"010203"}

            """)
        let replay = try lab.start("replay", file, name: "replay")
        #expect(try await replay.status() == 0)
        #expect(replay.log.contains("1 line of bus9, which the configuration does not name, was left out"))
        #expect(replay.log.contains("1 line is earlier than the one above and counts as of its time"))
        #expect(replay.log.contains("3 bytes came while nobody was asked"))
        #expect(replay.log.contains("record with --poll"))
    }

    @Test func speedHoldsTheRecordingsPace() async throws {
        let lab = try Lab()
        let file = try lab.folder.write("c.jsonl", capture(minutes: 2) { _ in 5 })
        let began = Date()
        let replay = try lab.start("replay", file, "--speed", "60", name: "replay")
        #expect(try await replay.status() == 0)
        // 90 s from the first line to the last one.
        #expect(Date().timeIntervalSince(began) >= 1.5)
    }
}

@Suite(.serialized) struct TopTests {
    @Test func tableOnceWhereNobodyWatches() async throws {
        let lab = try Lab()
        let gateway = try lab.start("run", name: "gateway")
        try await eventually("the gateway") { gateway.log.contains("listening on") ? true : nil }
        let top = try Program(
            ["fabgate", "top", "--url", "http://127.0.0.1:\(lab.webPort)/"], in: lab.folder, name: "top")
        #expect(try await top.status() == 0)
        let lines = top.log.split(separator: "\n").map(String.init)
        #expect(lines.count == 3)
        #expect(lines[0].hasPrefix("MACHINE     STATE "))
        #expect(lines[1].hasPrefix("레이저 60W  unknown "))
        #expect(lines[2].hasPrefix("Mill        unknown "))
        #expect(!top.log.utf8.contains(0x1B))
    }

    @Test func nobodyThereIsSaid() async throws {
        let folder = try PrivateFolder()
        let port = try FreePort.loopback()
        let top = try Program(["fabgate", "top", "--url", "http://127.0.0.1:\(port)"], in: folder, name: "top")
        #expect(try await top.status() == 69)
        #expect(top.log.contains("is `fabgate run` running there?"))
    }

    @Test func refusalIsToldInTheGatewaysWords() async throws {
        let lab = try Lab()
        let gateway = try lab.start("run", name: "gateway")
        try await eventually("the gateway") { gateway.log.contains("listening on") ? true : nil }
        let top = try Program(
            ["fabgate", "top", "--url", "http://127.0.0.1:\(lab.webPort)/elsewhere"], in: lab.folder, name: "top")
        #expect(try await top.status() == 69)
        #expect(top.log.contains("answered 404: there is nothing at /elsewhere/api/v1/machines"))
    }

    @Test(arguments: [("q", false), ("q", true), ("interrupt", false)])
    func liveTableGivesTheTerminalBack(_ ending: String, _ isColourless: Bool) async throws {
        let lab = try Lab()
        let gateway = try lab.start("run", name: "gateway")
        try await eventually("the gateway") { gateway.log.contains("listening on") ? true : nil }
        let terminal = try PseudoTerminal()
        let script = """
            exec <\(terminal.path) >\(terminal.path) 2>&1
            stty sane; stty -g >before
            env \(isColourless ? "NO_COLOR=1" : "-u NO_COLOR") "$1" top --url http://127.0.0.1:\(lab.webPort) <\(terminal.path) &
            echo $! >id; wait $!; echo $? >status; stty -g >after
            """
        let shell = try Program(
            ["sh", "-c", "cd \(lab.folder.path); \(script)", "sh", try Program.find("fabgate")], in: lab.folder,
            name: "shell")
        var shown = ""
        try await eventually("the table") {
            shown += String(decoding: terminal.read(), as: UTF8.self)
            return shown.contains("레이저 60W") && shown.contains("Mill") ? true : nil
        }
        func read(_ name: String) throws -> String {
            try String(contentsOfFile: "\(lab.folder.path)/\(name)", encoding: .utf8).trimmingCharacters(in: .newlines)
        }
        if ending == "q" {
            terminal.write(Array("q".utf8))
        } else {
            Foundation.kill(try #require(pid_t(try read("id"))), SIGINT)
        }
        try await eventually("the end") {
            shown += String(decoding: terminal.read(), as: UTF8.self)
            return shell.isRunning ? nil : true
        }
        shown += String(decoding: terminal.read(), as: UTF8.self)
        #expect(try read("status") == "0")
        #expect(try read("before") == read("after"))
        #expect(shown.contains("\u{1B}[?1049h\u{1B}[?25l"))
        #expect(shown.hasSuffix("\u{1B}[?25h\u{1B}[?1049l"))
        #expect(shown.contains("시험 랩"))
        #expect(shown.contains("\u{1B}[2m레이저") == !isColourless)
    }
}

@Suite struct HelpTests {
    @Test(arguments: ["record", "listen", "replay", "top"])
    func helpShowsAnExample(_ command: String) async throws {
        let folder = try PrivateFolder()
        let help = try Program(["fabgate", command, "--help"], in: folder, name: "help")
        #expect(try await help.status() == 0)
        #expect(help.log.contains("usage: fabgate \(command)"))
        #expect(help.log.contains("example: fabgate \(command) "))
    }

    @Test(arguments: [
        ["record", "--out", "x", "stray"], ["listen", "--topic", "a/#/b"], ["top", "--url", "nonsense"], ["replay"],
    ])
    func misuseIsSaid(_ words: [String]) async throws {
        let folder = try PrivateFolder()
        let program = try Program(["fabgate"] + words, in: folder, name: "misuse")
        #expect(try await program.status() == 64)
    }
}
