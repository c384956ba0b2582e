import Hub
import Model
import Ports
import Store
import Testing

/// Two meters on one pair of wires, and a test that plays them.
private struct Bus {
    var hub: Hub
    var now = Now(moment: Moment(nanoseconds: 0), wall: Instant(milliseconds: 1_790_000_000_000))

    init(
        devices: String = """
        - { id: one, driver: modbus-rtu, model: eastron-sdm120, serial: bus, unit: 1, every: 1 s }
          - { id: two, driver: modbus-rtu, model: eastron-sdm120, serial: bus, unit: 2, every: 1 s }
        """
    ) throws {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let text = """
            lab: { id: "urn:x:bus", timezone: UTC }
            serial: [{ name: bus, port: bus }]
            devices:
              \(devices)

            """
        let configuration = try #require(
            reader.read([try YAML.parse(text, file: "bus.yaml")]), "\(reader.problems.all)")
        let store = try RingStore.create(
            in: MemoryRegion(size: 8 << 20), plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
        hub = Hub(configuration, store: store, at: now)
        hub.line(0, isOpen: true, "open", at: now)
        _ = hub.takeEffects()
    }

    /// Time passes; what the hub asks for meanwhile.
    mutating func pass(_ milliseconds: Int64) -> [[UInt8]] {
        var asked: [[UInt8]] = []
        for _ in 0..<milliseconds {
            now = Now(moment: now.moment + .milliseconds(1), wall: now.wall + .milliseconds(1))
            if now.moment >= hub.deadline { hub.tick(at: now) }
            asked += writes()
        }
        return asked
    }

    /// Until the next question, at most ten seconds.
    mutating func question() throws -> [UInt8] {
        for _ in 0..<10_000 {
            if let first = pass(1).first { return first }
        }
        throw NoQuestion()
    }

    mutating func hear(_ bytes: [UInt8]) -> [[UInt8]] {
        hub.bytes(bytes.span, line: 0, at: now)
        return writes()
    }

    private mutating func writes() -> [[UInt8]] {
        hub.takeEffects().compactMap { effect in
            if case .write(_, let bytes) = effect { bytes } else { nil }
        }
    }

    func view(_ id: String) -> DeviceView? { hub.deviceViews().first { $0.id == id } }
    func energy(_ id: String) -> Value? {
        view(id)?.values.first { $0.channel.name == "energy" }?.latest?.value
    }
}

private struct NoQuestion: Error {}

/// The answer to a read of floats: all of them 230.0.
private func answer(to request: [UInt8], from unit: UInt8? = nil) -> [UInt8] {
    let count = Int(request[4]) << 8 | Int(request[5])
    var reply: [UInt8] = [unit ?? request[0], request[1], UInt8(count * 2)]
    for _ in 0..<count / 2 { reply += [0x43, 0x66, 0x00, 0x00] }
    var crc: UInt16 = 0xFFFF
    for byte in reply {
        crc ^= UInt16(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
    }
    return reply + [UInt8(crc & 0xFF), UInt8(crc >> 8)]
}

@Suite struct BusTests {
    /// A meter after IEC 62056-21 does not hear an acknowledge that comes at once.
    @Test func anAcknowledgeWaitsForTheMeter() throws {
        var bus = try Bus(
            devices: "- { id: meter, driver: iec62056-21, serial: bus, mode: readout, every: 1 min }")
        #expect(try bus.question() == Array("/?!\r\n".utf8))
        #expect(bus.hear(Array("/MKS5FAB01\r\n".utf8)).isEmpty)
        #expect(bus.pass(219).isEmpty)
        #expect(bus.pass(2) == [[6, 0x30, 0x30, 0x30, 13, 10]])
    }

    @Test func unitsTakeTurnsAndAreAnswered() throws {
        var bus = try Bus()
        for _ in 0..<40 {
            var questions = [try bus.question()]
            while !questions.isEmpty { questions += bus.hear(answer(to: questions.removeFirst())) }
        }
        #expect(bus.energy("one") == .number(230_000_000))
        #expect(bus.energy("two") == .number(230_000_000))
        for kind in [Fault.Kind.noReply, .unexpectedReply, .badChecksum, .badFrame] {
            #expect(bus.view("one")?.faultsByKind[kind] == nil)
            #expect(bus.view("two")?.faultsByKind[kind] == nil)
        }
    }

    @Test func lateAnswerIsNobodysAnswer() throws {
        var bus = try Bus()
        let question = try bus.question()
        #expect(question[0] == 1)
        let late = answer(to: question)
        // Until nobody waits for it any more.
        while bus.view("one")?.faultsByKind[.noReply] == nil { #expect(bus.pass(1).isEmpty) }
        let more = bus.hear(late)
        #expect(more.isEmpty)
        #expect(bus.hub.unaskedBytes == late.count)
        // It comes again while the other unit is asked: counted there, and never taken for its value.
        let next = try bus.question()
        #expect(next[0] == 2)
        #expect(bus.hear(late).isEmpty)
        #expect(bus.energy("two") == nil)
        #expect(bus.view("two")?.faultsByKind[.unexpectedReply] == 1)
        var questions = [next]
        while !questions.isEmpty { questions += bus.hear(answer(to: questions.removeFirst())) }
        #expect(bus.energy("two") == .number(230_000_000))
    }

    @Test func deadUnitIsAskedEverMoreRarely() throws {
        var bus = try Bus()
        var asked: [UInt8: Int] = [:]
        for _ in 0..<600 {
            var waiting = bus.pass(1000)
            while !waiting.isEmpty {
                let question = waiting.removeFirst()
                asked[question[0], default: 0] += 1
                if question[0] == 2 { waiting += bus.hear(answer(to: question)) }
            }
        }
        let dead = asked[1] ?? 0
        let alive = asked[2] ?? 0
        #expect(dead > 15 && dead < 60, "\(dead)")
        // The living one is asked once a second all the same, in one or several questions.
        #expect(alive >= 500, "\(alive)")
        #expect(bus.view("one")?.isOnline == nil)
        // And that is shown, with how often it is asked by now.
        #expect(bus.view("one")?.unanswered?.askedEvery == .seconds(30))
        #expect(bus.view("two")?.unanswered == nil)
        let alerts = bus.hub.alerts().filter { $0.id.hasPrefix("device/") }
        #expect(alerts.map(\.id) == ["device/one"])
        #expect(alerts.first?.english.contains("every 30 s") == true && alerts.first?.korean.contains("30초마다") == true)
    }
}
