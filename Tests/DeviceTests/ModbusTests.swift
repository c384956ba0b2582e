import Foundation
import Meters
import Model
import Ports
import Testing

/// What the tests of serial drivers share: profiles from the tree, and short ways to say "these bytes arrived".
enum SerialBench {
    static let devices = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().appendingPathComponent("devices")

    static func fields(_ yaml: String, _ what: String, _ problems: inout Problems) throws -> Fields {
        let document = try YAML.parse(yaml, file: "\(what).yaml")
        return try #require(Fields(document, what, &problems))
    }

    /// A driver from a profile's text and a device's keys, as the gateway makes it.
    static func make<Driver: DeviceDriver>(
        _ type: Driver.Type, profile text: String, keys: String = "{}", takesAnyAddress: Bool = false,
        _ problems: inout Problems
    ) throws -> Driver? {
        var profile = try fields(text, "profile", &problems)
        for key in ["title", "driver", "every", "silence"] { _ = profile.value(key) }
        var setup = DeviceSetup(
            id: "d", fields: try fields(keys, "device d", &problems), profile: profile,
            takesAnyAddress: takesAnyAddress)
        let driver = Driver(&setup, &problems)
        setup.fields.finish(&problems)
        setup.profile?.finish(&problems)
        return driver
    }

    static func model<Driver: DeviceDriver>(
        _ type: Driver.Type, _ folder: String, keys: String = "{}", takesAnyAddress: Bool = false
    ) throws -> Driver {
        let file = devices.appendingPathComponent("\(folder)/profile.yaml")
        var problems = Problems()
        let driver = try make(
            type, profile: String(contentsOf: file, encoding: .utf8), keys: keys, takesAnyAddress: takesAnyAddress,
            &problems)
        #expect(problems.all == [])
        return try #require(driver)
    }

    static func bytes(_ hex: String) -> [UInt8] {
        hex.split(separator: " ").map { UInt8($0, radix: 16)! }
    }
}

extension DeviceDriver {
    /// What these bytes make it say.
    mutating func says(_ bytes: [UInt8]) -> Outbox {
        var out = Outbox()
        receive(bytes.span, from: Source.line, &out)
        return out
    }

    mutating func says(_ text: String) -> Outbox { says(Array(text.utf8)) }

    mutating func hears(_ hex: String) { hears(SerialBench.bytes(hex)) }

    mutating func hears(_ bytes: [UInt8]) { overheard(bytes.span) }

    /// `name=value` for each reading.
    func words(_ out: Outbox) -> [String] {
        out.readings.map { reading in
            let name = channels[reading.channel].name
            return switch reading.value {
            case .number(let number): "\(name)=\(number == number.rounded() ? "\(Int64(number))" : "\(number)")"
            case .state(let state, let reason): "\(name)=\(state.rawValue) (\(reason))"
            case .event(let event): "\(name)=\(event)"
            case .unknown: "\(name)=unknown"
            }
        }
    }
}

extension Outbox {
    var bytesToSend: [UInt8]? {
        guard case .write(let bytes, _, _) = request else { return nil }
        return bytes
    }
    var kinds: [Fault.Kind] { faults.map(\.kind) }
}

/// The CRC bit by bit, to check the table against.
private func slowCRC(_ bytes: [UInt8]) -> UInt16 {
    var crc: UInt16 = 0xFFFF
    for byte in bytes {
        crc ^= UInt16(byte)
        for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
    }
    return crc
}

/// The bytes with their CRC.
func framed(_ bytes: [UInt8]) -> [UInt8] {
    let crc = slowCRC(bytes)
    return bytes + [UInt8(crc & 0xFF), UInt8(crc >> 8)]
}

/// A profile with one value of one register block.
private func profile(unit: String, kind: String = "gauge", block: String, value: String) -> String {
    """
    channels: [{ name: v, unit: "\(unit)", kind: \(kind) }]
    settings:
      read:
        - { \(block), values: [{ channel: v, \(value) }] }
    """
}

private let tkQuestion = "01 04 03 E8 00 08 71 BC"
private let tkAnswer = "01 04 10 07 C3 00 01 00 00 07 D0 01 B3 00 00 00 09 00 0C 29 D1"
private let tkReadings = [
    "temperature.zone1=198.7", "setpoint.zone1=200", "duty.zone1=0.435", "duty.cooling.zone1=0", "output.zone1=1",
    "alarm.zone1=0", "alarm2.zone1=0", "current.heater.zone1=1.2",
]

@Suite struct ModbusFrames {
    @Test(arguments: [tkQuestion, "01 04 00 00 00 02 71 CB", "02 04 03 E8 00 19 B1 83", "03 03 20 00 00 06 CF EA"])
    func questionsReadBack(hex: String) throws {
        let bytes = SerialBench.bytes(hex)
        let question = ModbusQuestion(bytes.span)
        #expect(question?.frame == bytes)
        for i in bytes.indices {
            var damaged = bytes
            damaged[i] ^= 0x10
            let none = ModbusQuestion(damaged.span)
            #expect(none == nil)
        }
    }

    @Test func tableIsTheCRC() {
        var random = SystemRandomNumberGenerator()
        for length in 0..<100 {
            let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) }
            let crc = CRC16.of(bytes.span, count: length)
            #expect(crc == slowCRC(bytes))
        }
    }

    /// Frames from real meters or their manuals, each with its own way to lay out a number.
    @Test(arguments: [
        // Eastron, recorded: 230.2 V.
        (
            profile(unit: "V", block: "function: 4, address: 0, count: 2", value: "at: 0, as: float32"),
            "01 04 00 00 00 02 71 CB", "01 04 04 43 66 33 34 1B 38", 230.2
        ),
        // Eastron: 1234.567 kWh to whole mWh.
        (
            profile(
                unit: "mWh", kind: "counter", block: "function: 4, address: 0x48, count: 2",
                value: "at: 0x48, as: float32, scale: 1000000"),
            "01 04 00 48 00 02 F1 DD", "01 04 04 44 9A 52 25 33 E0", 1_234_567_017
        ),
        // Autonics CT6: low word first.
        (
            profile(
                unit: "1", kind: "counter", block: "function: 4, address: 0x3EB, count: 2",
                value: "at: 0x3EB, as: uint32, order: cdab"),
            "05 04 03 EB 00 02 00 3F", "05 04 04 86 9F 00 01 66 E2", 99_999
        ),
        // Carlo Gavazzi: signed, low word first.
        (
            profile(
                unit: "W", block: "function: 4, address: 0, count: 6",
                value: "at: 4, as: int32, order: cdab, scale: 0.1"
            ),
            "01 04 00 00 00 06 70 08", "01 04 0C 08 F6 00 00 0D B8 00 00 E8 15 FF FF B5 A5", -612.3
        ),
        // ABB: 64 bits of 10 Wh.
        (
            profile(
                unit: "mWh", kind: "counter", block: "function: 3, address: 0x5000, count: 4",
                value: "at: 0x5000, as: uint64, scale: 10000"),
            "01 03 50 00 00 04 55 09", "01 03 08 00 00 00 00 00 12 D6 87 2B D0", 12_345_670_000
        ),
        // Novus: tenths.
        (
            profile(unit: "°C", block: "function: 3, address: 0, count: 3", value: "at: 1, as: int16, scale: 0.1"),
            "04 03 00 00 00 03 05 9E", "04 03 06 08 02 07 EF 01 9C 57 D5", 203.1
        ),
    ])
    func numbersOfRealMeters(profile: String, question: String, answer: String, value: Double) throws {
        var problems = Problems()
        var driver = try #require(
            try SerialBench.make(ModbusRTU.self, profile: profile, takesAnyAddress: true, &problems))
        driver.hears(question)
        let out = driver.says(SerialBench.bytes(answer))
        #expect(out.readings == [Reading(channel: 0, value: .number(value))])
        #expect(out.faults == [])
    }

    @Test(arguments: [
        ("abcd", "43 5A B3 33"), ("cdab", "B3 33 43 5A"), ("badc", "5A 43 33 B3"), ("dcba", "33 B3 5A 43"),
    ])
    func wordOrders(order: String, data: String) throws {
        let text = profile(
            unit: "V", block: "function: 4, address: 0, count: 2", value: "at: 0, as: float32, order: \(order)")
        var problems = Problems()
        var driver = try #require(try SerialBench.make(ModbusRTU.self, profile: text, keys: "{ unit: 1 }", &problems))
        driver.hears("01 04 00 00 00 02 71 CB")
        let out = driver.says(framed(SerialBench.bytes("01 04 04 " + data)))
        #expect(driver.words(out) == ["v=218.7"])
    }

    @Test func discreteInputsAreBits() throws {
        let text = """
            channels: [{ name: alarm, unit: "1", kind: gauge }, { name: stop, unit: "1", kind: gauge }]
            settings:
              read:
                - { function: 2, address: 0, count: 14, values: [{ channel: alarm, at: 9 }, { channel: stop, at: 0 }] }
            """
        var problems = Problems()
        var driver = try #require(try SerialBench.make(ModbusRTU.self, profile: text, keys: "{ unit: 7 }", &problems))
        var out = Outbox()
        driver.poll(&out)
        #expect(out.bytesToSend == framed([7, 2, 0, 0, 0, 14]))
        out = driver.says(framed([7, 2, 2, 0x00, 0x02]))
        #expect(driver.words(out) == ["alarm=1", "stop=0"])
    }
}

@Suite struct ModbusTurns {
    private func tk4(_ keys: String = "{ unit: 1 }") throws -> ModbusRTU {
        try SerialBench.model(ModbusRTU.self, "desk-factories/models/autonics-tk4", keys: keys)
    }

    @Test func asksAndReads() throws {
        var driver = try tk4()
        var out = Outbox()
        driver.poll(&out)
        #expect(out.request == .write(SerialBench.bytes(tkQuestion), replyWithin: .milliseconds(300)))
        out = driver.says(SerialBench.bytes(tkAnswer))
        #expect(driver.words(out) == tkReadings)
        #expect(out.isAnswered && out.isAlive && out.faults == [])
    }

    @Test func blocksFollowEachOther() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "meters/models/eastron-sdm72", keys: "{ unit: 9 }")
        var out = Outbox()
        driver.poll(&out)
        #expect(out.bytesToSend == framed([9, 4, 0, 0x48, 0, 4]))
        out = driver.says(framed([9, 4, 8] + [UInt8](repeating: 0, count: 8)))
        #expect(out.bytesToSend == framed([9, 4, 0, 0x34, 0, 2]))
        #expect(!out.isAnswered)
        out = driver.says(framed([9, 4, 4] + [UInt8](repeating: 0, count: 4)))
        #expect(out.request == nil && out.isAnswered)
    }

    /// Whatever an adapter does to the pieces, the readings are the same.
    @Test(arguments: 1...22) func piecesDoNotMatter(size: Int) throws {
        for before in ["", "00", "FF 00 FF", tkQuestion, "FF " + tkQuestion, "00 13 37"] {
            var driver = try tk4()
            var out = Outbox()
            driver.poll(&out)
            let bytes = SerialBench.bytes(before) + SerialBench.bytes(tkAnswer) + [0x00]
            var said: [String] = []
            var kinds: [Fault.Kind] = []
            for start in stride(from: 0, to: bytes.count, by: size) {
                let out = driver.says(Array(bytes[start..<min(start + size, bytes.count)]))
                said += driver.words(out)
                kinds += out.kinds
            }
            #expect(said == tkReadings, "after '\(before)'")
            #expect(kinds == (before == "00 13 37" ? [.badFrame] : []), "after '\(before)'")
        }
    }

    @Test func brokenSensorIsUnknown() throws {
        var driver = try tk4()
        driver.hears(tkQuestion)
        let out = driver.says(
            SerialBench.bytes("01 04 10 79 18 00 01 00 00 07 D0 00 00 00 00 02 01 00 00 D0 72"))
        #expect(
            driver.words(out) == [
                "temperature.zone1=unknown", "setpoint.zone1=200", "duty.zone1=0", "duty.cooling.zone1=0",
                "output.zone1=0", "alarm.zone1=1", "alarm2.zone1=0", "current.heater.zone1=0",
            ])
        #expect(out.faults == [Fault(.sensorFault, "temperature.zone1: OPEN, sensor broken")])
    }

    @Test func fahrenheitBecomesCelsius() throws {
        var driver = try tk4()
        driver.hears(tkQuestion)
        let out = driver.says(framed(SerialBench.bytes("01 04 10 01 86 00 00 00 01 01 90 00 00 00 00 00 02 00 00")))
        #expect(driver.words(out).first == "temperature.zone1=198.89")
        driver.hears(tkQuestion)
        let other = driver.says(framed(SerialBench.bytes("01 04 10 01 86 00 00 00 03 01 90 00 00 00 00 00 02 00 00")))
        #expect(other.kinds == [.unknownValue, .unknownValue])
        #expect(!driver.words(other).contains { $0.hasPrefix("temperature") })
    }

    @Test func refusalIsNamedAndTheTurnGoesOn() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "meters/models/eastron-sdm72", keys: "{ unit: 1 }")
        var out = Outbox()
        driver.poll(&out)
        out = driver.says(SerialBench.bytes("01 84 02 C2 C1"))
        #expect(
            out.faults == [
                Fault(.refused, "unit 1 refuses to give 4 input registers from 0x0048: illegal data address")
            ])
        #expect(out.bytesToSend == framed([1, 4, 0, 0x34, 0, 2]))
        #expect(out.isAlive && !out.isAnswered)
    }

    @Test func wrongChecksumIsNoReading() throws {
        var driver = try tk4()
        var out = Outbox()
        driver.poll(&out)
        var bytes = SerialBench.bytes(tkAnswer)
        bytes[4] ^= 1
        out = driver.says(bytes)
        #expect(out.readings == [] && out.kinds == [.badChecksum] && !out.isAnswered && !out.isAlive)
        driver.noReply(&out)
        driver.poll(&out)
        #expect(driver.words(driver.says(SerialBench.bytes(tkAnswer))) == tkReadings)
    }

    @Test func lateAnswerIsNobodys() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "meters/models/eastron-sdm72", keys: "{ unit: 1 }")
        let first = framed([1, 4, 8] + [UInt8](repeating: 0, count: 8))
        var out = Outbox()
        driver.poll(&out)
        out.removeAll()
        driver.noReply(&out)
        #expect(
            out.faults == [
                Fault(.noReply, "unit 1 did not answer in time when asked for 4 input registers from 0x0048")
            ])
        out = driver.says(first)
        #expect(out.readings == [] && out.kinds == [.unexpectedReply])

        // It cannot be taken for the next block's answer, either: none is as long as the first.
        driver.poll(&out)
        out = driver.says(first + first)
        #expect(out.readings.count == 2 && out.kinds == [.unexpectedReply])
        #expect(out.bytesToSend == framed([1, 4, 0, 0x34, 0, 2]))
        out = driver.says(first)
        #expect(out.readings == [] && out.kinds == [.unexpectedReply] && out.request == nil)
    }

    @Test func twoUnitsOnOneBus() throws {
        var one = try tk4("{ unit: 1 }")
        var two = try tk4("{ unit: 2, zone: 2 }")
        #expect(two.channels.map(\.name).contains("temperature.zone2"))
        #expect(two.channels.map(\.name).contains("duty.cooling.zone2"))
        let answerOfTwo = framed([2] + SerialBench.bytes(tkAnswer).dropFirst().dropLast(2))

        // Number one times out; its answer comes while two is asked.
        var out = Outbox()
        one.poll(&out)
        one.noReply(&out)
        out.removeAll()
        two.poll(&out)
        out = two.says(SerialBench.bytes(tkAnswer) + answerOfTwo)
        #expect(two.words(out) == tkReadings.map { $0.replacingOccurrences(of: "zone1", with: "zone2") })
        #expect(out.kinds == [.unexpectedReply])

        // What others ask and get is none of its business.
        one.hears(framed([2, 4, 0x03, 0xE8, 0, 8]))
        out = one.says(answerOfTwo)
        #expect(out == Outbox())
        one.hears(framed([2, 6, 0, 0, 0, 1]))
        #expect(one.says(framed([2, 6, 0, 0, 0, 1])) == Outbox())
    }

    @Test func anyRecordedQuestionThatCoversAValueWillDo() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "meters/models/eastron-sdm630", takesAnyAddress: true)
        driver.hears("01 04 00 00 00 02 71 CB")
        #expect(driver.words(driver.says(SerialBench.bytes("01 04 04 43 5A B3 33 FB 36"))) == ["voltage.l1=218.7"])
        driver.hears(framed([17, 4, 0, 0x0C, 0, 6]))
        let out = driver.says(framed([17, 4, 12] + SerialBench.bytes("44 7A 00 00 C2 C8 00 00 00 00 00 00")))
        #expect(driver.words(out) == ["power.l1=1000", "power.l2=-100", "power.l3=0"])
    }

    /// Without `tx` lines and without a unit, the driver asks by its own plan and takes whoever answers.
    @Test func recordingWithoutQuestions() throws {
        var driver = try SerialBench.model(
            ModbusRTU.self, "desk-factories/models/autonics-tk4", takesAnyAddress: true)
        var out = Outbox()
        driver.poll(&out)
        let answer = framed([5] + SerialBench.bytes(tkAnswer).dropFirst().dropLast(2))
        #expect(driver.words(driver.says(answer)) == tkReadings)
    }

    @Test func cutAnswersAreCounted() throws {
        var driver = try tk4()
        driver.hears(tkQuestion)
        #expect(driver.says(Array(SerialBench.bytes(tkAnswer).prefix(9))) == Outbox())
        driver.hears(tkQuestion)
        let out = driver.says(SerialBench.bytes(tkAnswer))
        #expect(driver.words(out) == tkReadings && out.kinds == [.badFrame])

        var asked = Outbox()
        driver.poll(&asked)
        _ = driver.says([1, 4, 16])
        driver.noReply(&asked)
        #expect(
            asked.faults.map(\.detail) == [
                "unit 1 sent 3 bytes that are no whole answer when asked for 8 input registers from 0x03E8"
            ])
    }

    /// Every mistake in a profile or a device is told, none is fatal.
    @Test(arguments: [
        ("{}", "", "needs 'unit'"),
        ("{ unit: 0 }", "", "from 1 to 247"),
        ("{ unit: 1, unti: 2 }", "", "no key 'unti'"),
        ("{ unit: 1 }", "values: [{ channel: v, at: 0 }]", "needs 'as'"),
        ("{ unit: 1 }", "values: [{ channel: w, at: 0, as: int16 }]", "has no 'w'"),
        ("{ unit: 1 }", "values: [{ channel: v, at: 7, as: int16 }]", "outside its block"),
        ("{ unit: 1 }", "values: [{ channel: v, at: 1, as: float32 }]", "outside its block"),
        ("{ unit: 1 }", "values: [{ channel: v, at: 0, as: int16, decimals_at: 2 }]", "outside its block"),
        ("{ unit: 1 }", "values: [{ channel: v, at: 0, as: int17 }]", "did you mean 'int16'"),
        ("{ unit: 1 }", "values: [{ channel: v, at: 0, as: int16, scale: 0 }]", "cannot be 0"),
        ("{ unit: 1 }", "values: [{ channel: v, at: 0, bits: [16] }]", "a bit is a number"),
        ("{ unit: 1 }", "values: []", "read nowhere"),
    ])
    func mistakesAreTold(keys: String, values: String, words: String) throws {
        let values = values.isEmpty ? "values: [{ channel: v, at: 0, as: int16 }]" : values
        let text = """
            channels: [{ name: v, unit: V, kind: gauge }]
            settings: { read: [{ function: 4, address: 0, count: 2, \(values) }] }
            """
        var problems = Problems()
        _ = try SerialBench.make(ModbusRTU.self, profile: text, keys: keys, &problems)
        #expect(problems.all.contains { $0.message.contains(words) }, "\(problems.all)")
    }

    @Test func blocksOfTheSameLengthAreRefused() throws {
        let text = """
            channels: [{ name: a, unit: V, kind: gauge }, { name: b, unit: V, kind: gauge }]
            settings:
              read:
                - { function: 4, address: 0, count: 2, values: [{ channel: a, at: 0, as: float32 }] }
                - { function: 4, address: 6, count: 2, values: [{ channel: b, at: 6, as: float32 }] }
            """
        var problems = Problems()
        let driver = try SerialBench.make(ModbusRTU.self, profile: text, keys: "{ unit: 1 }", &problems)
        #expect(driver == nil)
        #expect(problems.all.first?.message.contains("a late one could be taken for the other") == true)
    }

    @Test(arguments: [UInt64.random(in: 0...UInt64.max), 1, 2]) func noiseNeverTrapsNorLasts(seed: UInt64) throws {
        var state = seed
        func random() -> UInt8 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return UInt8(truncatingIfNeeded: state >> 33)
        }
        var driver = try tk4()
        let good = SerialBench.bytes(tkAnswer)
        for round in 0..<2000 {
            var out = Outbox()
            if round % 3 == 0 { driver.poll(&out) }
            if round % 7 == 0 { driver.hears((0..<Int(random() % 12)).map { _ in random() }) }
            if round % 5 == 0 { driver.noReply(&out) }
            var bytes = random() % 2 == 0 ? good : []
            for _ in 0..<Int(random()) { bytes.insert(random(), at: Int(random()) % (bytes.count + 1)) }
            if !bytes.isEmpty { bytes[Int(random()) % bytes.count] ^= 1 }
            out = driver.says(bytes)
            #expect(out.readings.count <= 64 && out.faults.count <= 16, "seed \(seed)")
        }
        var out = Outbox()
        driver.poll(&out)
        out = driver.says(good)
        #expect(driver.words(out) == tkReadings, "seed \(seed)")
    }
}
