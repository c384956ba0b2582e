import Foundation
import DeskFactories
import Model
import Testing

private let sample =
    #"{"v":1,"id":"desk1","boot":3,"up":81234,"shots":1042,"clamp":1,"in":[1,0],"mass_g":12.4,"t":[203.1,198.7]}"#
private let sampleReadings = [
    "shots=1042", "clamp=1", "in1=1", "in2=0", "mass.product=12.4", "temperature.zone1=203.1",
    "temperature.zone2=198.7", "boots=3",
]

private func press() throws -> LineJSON {
    try SerialBench.model(LineJSON.self, "desk-factories/models/line-json-press")
}

private func withChecksum(_ line: String) -> String {
    let sum = line.utf8.reduce(0, ^)
    let hex = String(sum, radix: 16)
    return line + "*" + (hex.count < 2 ? "0" : "") + hex
}

/// The values of one channel in what was said.
private func values(_ name: String, _ driver: LineJSON, _ outs: [Outbox]) -> [Double] {
    outs.flatMap(\.readings).compactMap { reading in
        guard driver.channels[reading.channel].name == name, case .number(let number) = reading.value else {
            return nil
        }
        return number
    }
}

@Suite struct LineJSONTests {
    @Test(arguments: ["\n", "\r\n", " \r\n"]) func readsALine(end: String) throws {
        var driver = try press()
        let out = driver.says(sample + end)
        #expect(driver.words(out) == sampleReadings)
        #expect(out.faults == [] && out.isAlive)
    }

    @Test(arguments: 1...20) func piecesDoNotMatter(size: Int) throws {
        var driver = try press()
        let bytes = Array(("4,198.7]}\n" + sample + "\n" + withChecksum(sample) + "\r\n").utf8)
        var said: [String] = []
        for start in stride(from: 0, to: bytes.count, by: size) {
            let out = driver.says(Array(bytes[start..<min(start + size, bytes.count)]))
            said += driver.words(out)
            #expect(out.faults == [])
        }
        #expect(said == sampleReadings + sampleReadings)
    }

    @Test func onlyTheFirstHalfLineIsForgiven() throws {
        var driver = try press()
        #expect(driver.says(#"up":81234}"# + "\n") == Outbox())
        #expect(driver.says(#"up":81234}"# + "\n").kinds == [.badFrame])
        var out = Outbox()
        driver.opened(&out)
        #expect(driver.says(#"up":81234}"# + "\n") == Outbox())
        #expect(driver.says("\n\r\n  \n") == Outbox())
    }

    @Test func checksumIsCheckedWhereItStands() throws {
        var driver = try press()
        _ = driver.says("\n")
        #expect(driver.words(driver.says(withChecksum(sample) + "\n")) == sampleReadings)
        #expect(driver.says(withChecksum(sample).uppercased() + "\n").kinds == [.badChecksum])
        let damaged = withChecksum(sample).replacingOccurrences(of: "1042", with: "1043")
        let out = driver.says(damaged + "\n")
        #expect(out.readings == [] && out.kinds == [.badChecksum] && !out.isAlive)
    }

    @Test func demandedChecksumMustStand() throws {
        let text = """
            channels: [{ name: shots, unit: "1", kind: counter }]
            settings: { checksum: required, members: [{ member: shots, channel: shots }] }
            """
        var problems = Problems()
        var driver = try #require(try SerialBench.make(LineJSON.self, profile: text, &problems))
        #expect(driver.says("{\"shots\":1}\n").readings == [])
        #expect(driver.says("{\"shots\":1}\n").kinds == [.badChecksum])
        #expect(driver.words(driver.says(withChecksum("{\"shots\":1}") + "\n")) == ["shots=1"])
    }

    @Test func countsGoOnOverARestartOfTheBoard() throws {
        var driver = try press()
        let outs = [
            #"{"boot":3,"up":100,"shots":40,"scrap":2}"#,
            #"{"boot":3,"up":105,"shots":41,"scrap":2}"#,
            // The board starts again and has forgotten its shots.
            #"{"boot":4,"up":0,"shots":0,"scrap":0}"#,
            #"{"boot":4,"up":5,"shots":1,"scrap":0}"#,
            // Without a boot count, the time since the start tells.
            #"{"up":1,"shots":0,"scrap":1}"#,
            #"{"up":6,"shots":2,"scrap":1}"#,
        ].map { driver.says($0 + "\n") }
        #expect(values("shots", driver, outs) == [40, 41, 41, 42, 42, 44])
        #expect(values("scrap", driver, outs) == [2, 2, 2, 2, 3, 3])
    }

    @Test func countsThatABoardKeepsAreNotCountedTwice() throws {
        var driver = try press()
        let outs = [
            #"{"boot":3,"up":100,"shots":1041}"#,
            #"{"boot":4,"up":0,"shots":1041}"#,
            #"{"boot":4,"up":5,"shots":1042}"#,
        ].map { driver.says($0 + "\n") }
        #expect(values("shots", driver, outs) == [1041, 1041, 1042])
    }

    /// A fall without a restart is not ours to judge: the usage rules see it as it was.
    @Test func fallsWithoutARestartAreShown() throws {
        var driver = try press()
        let outs = [#"{"boot":3,"up":100,"shots":41}"#, #"{"boot":3,"up":105,"shots":4}"#].map {
            driver.says($0 + "\n")
        }
        #expect(values("shots", driver, outs) == [41, 4])
        var fresh = try press()
        #expect(values("shots", fresh, [fresh.says("{\"boot\":9,\"up\":1,\"shots\":5}\n")]) == [5])
    }

    @Test func brokenSensorsAreUnknown() throws {
        var driver = try press()
        let out = driver.says(#"{"t":[null,-127],"mass_g":"heavy","clamp":true}"# + "\n")
        #expect(driver.words(out) == ["clamp=1", "temperature.zone1=unknown", "temperature.zone2=unknown"])
        #expect(out.kinds == [.badValue, .sensorFault])
    }

    @Test func onlyKnownWordsBecomeEvents() throws {
        var driver = try press()
        #expect(
            driver.words(driver.says(#"{"button":"reject","access":"granted"}"# + "\n")) == [
                "button=reject", "access=granted",
            ])
        // A badge number is nobody's business.
        let out = driver.says(#"{"access":"04A1B2C3"}"# + "\n")
        #expect(out.readings == [] && out.kinds == [.badValue])
        #expect(out.faults.allSatisfy { !$0.detail.contains("04A1") })
    }

    @Test func otherVersionsAreRefused() throws {
        var driver = try press()
        let out = driver.says(#"{"v":2,"shots":7}"# + "\n")
        #expect(out.readings == [] && out.kinds == [.unknownValue])
    }

    @Test func lineThatNeverEndsIsBounded() throws {
        var driver = try press()
        _ = driver.says("\n")
        let outs = (0..<100).map { _ in driver.says([UInt8](repeating: 0x7B, count: 100)) }
        #expect(outs.flatMap(\.kinds) == [.overrun])
        #expect(driver.says("\n" + sample + "\n").readings.count == sampleReadings.count)
    }

    @Test func floodsAreBounded() throws {
        var driver = try press()
        let out = driver.says(String(repeating: sample + "\n", count: 500))
        #expect(out.readings.count <= 64 && out.kinds.contains(.overrun))
    }

    @Test func damagedCountsDoNotStay() throws {
        var driver = try press()
        for up in [9, 1, 9, 1, 9, 1] {
            _ = driver.says("{\"up\":\(up),\"shots\":\(up == 9 ? "999999999999" : "1")}\n")
        }
        let out = driver.says("{\"up\":2,\"shots\":2}\n")
        #expect(out.readings.count == 1 && out.faults == [])
    }

    /// Another board's lines are a profile, not code: here emonTx with its boot-time message number.
    @Test func otherBoardsAreData() throws {
        let text = """
            channels:
              - { name: voltage, unit: V, kind: gauge }
              - { name: energy, unit: mWh, kind: counter }
              - { name: temperature.zone1, unit: °C, kind: gauge }
            settings:
              up: MSG
              members:
                - { member: Vrms, channel: voltage }
                - { member: E1, channel: energy, scale: 1000 }
                - { member: temp.barrel, channel: temperature.zone1, scale: 0.1 }
            """
        var problems = Problems()
        var driver = try #require(try SerialBench.make(LineJSON.self, profile: text, &problems))
        let outs = [
            #"{"MSG":183,"Vrms":219.42,"E1":48213,"temp":{"barrel":2031,"bed":1}}"#, #"{"MSG":0,"E1":3}"#,
        ].map { driver.says($0 + "\n") }
        #expect(driver.words(outs[0]) == ["voltage=219.42", "energy=48213000", "temperature.zone1=203.1"])
        #expect(driver.words(outs[1]) == ["energy=48216000"])
    }

    @Test(arguments: [
        ("members: []", "needs 'members'"),
        ("members: [{ member: x, channel: y }]", "has no 'y'"),
        ("members: [{ member: x, channel: button }]", "needs 'words'"),
        ("members: [{ member: shots, channel: shots }]", "no member feeds"),
        ("members: [{ member: a.b, index: 1, channel: shots }]", "either an 'index' or a dot"),
        ("member: [{ member: shots, channel: shots }]", "did you mean 'members'"),
    ])
    func mistakesAreTold(settings: String, words: String) throws {
        let text = """
            channels: [{ name: shots, unit: "1", kind: counter }, { name: button, kind: event }]
            settings: { \(settings) }
            """
        var problems = Problems()
        let driver = try SerialBench.make(LineJSON.self, profile: text, &problems)
        #expect(driver == nil)
        #expect(problems.all.contains { $0.message.contains(words) }, "\(problems.all)")
    }

    @Test(arguments: [UInt64.random(in: 0...UInt64.max), 1, 2]) func damageNeverTrapsNorLasts(seed: UInt64) throws {
        var state = seed
        func random(_ below: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % below
        }
        var driver = try press()
        _ = driver.says("\n")
        for _ in 0..<3000 {
            var bytes = Array((random(2) == 0 ? sample : withChecksum(sample)).utf8)
            for _ in 0..<random(6) {
                switch random(3) {
                case 0: bytes[random(bytes.count)] = UInt8(random(256))
                case 1: bytes.remove(at: random(bytes.count))
                default: bytes.insert(UInt8(random(256)), at: random(bytes.count))
                }
            }
            let out = driver.says(bytes + [0x0A])
            #expect(out.readings.count <= 64 && out.faults.count <= 16, "seed \(seed)")
        }
        // A damaged `up` may have looked like a restart; gauges are as they were.
        let out = driver.says("\n" + sample + "\n")
        #expect(driver.words(out).dropFirst() == sampleReadings.dropFirst(), "seed \(seed)")
    }
}
