import Foundation
import Meters
import Model
import Testing

/// Telegrams of the P1 port.
enum P1 {
    /// The CRC bit by bit, from 0.
    static func crc(_ bytes: [UInt8]) -> UInt16 {
        bytes.reduce(0) { crc, byte in
            (0..<8).reduce(crc ^ UInt16(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0xA001 : crc >> 1 }
        }
    }

    static func telegram(_ lines: [String], hasCRC: Bool = true) -> String {
        let text = "/MKS5FABLAB-01\r\n\r\n" + lines.map { $0 + "\r\n" }.joined() + "!"
        return text + (hasCRC ? String(crc(Array(text.utf8)), radix: 16, uppercase: true) : "") + "\r\n"
    }

    static func driver(_ keys: String = "{}") throws -> DSMR {
        try SerialBench.model(DSMR.self, "meters/models/dsmr-p1", keys: keys)
    }
}

@Suite struct DSMRTests {
    /// A telegram that another parser reads, with the CRC that it computes.
    private let known = """
        /MKS5FABLAB-01

        1-3:0.2.8(50)
        0-0:1.0.0(260812143005S)
        0-0:96.1.1(4D4B533030303031)
        1-0:1.8.1(001204.517*kWh)
        1-0:1.8.2(000833.902*kWh)
        1-0:2.8.1(000000.000*kWh)
        1-0:2.8.2(000000.000*kWh)
        0-0:96.14.0(0002)
        1-0:1.7.0(03.412*kW)
        1-0:2.7.0(00.000*kW)
        1-0:32.7.0(229.8*V)
        1-0:31.7.0(015*A)
        1-0:21.7.0(03.412*kW)
        !36B8

        """.replacingOccurrences(of: "\n", with: "\r\n")

    private let readings = [
        "power=3412", "power.l1=3412", "voltage.l1=229.8", "current.l1=15", "energy=2038419000", "energy.export=0",
    ]

    @Test func readsAWholeTelegramWithItsTime() throws {
        var driver = try P1.driver()
        let out = driver.says(known)
        #expect(driver.words(out) == readings)
        #expect(out.faults == [] && out.isAlive)
        // 14:30:05 in summer is 12:30:05 in UTC.
        #expect(Set(out.readings.map(\.time)) == [Instant("2026-08-12T12:30:05Z")])
    }

    @Test func timesOfTheHourThatComesTwice() throws {
        for (stamp, keys, instant) in [
            ("261025025959S", "{}", "2026-10-25T00:59:59Z"), ("261025020000W", "{}", "2026-10-25T01:00:00Z"),
            ("261025025959S", "{ winter_offset: 2 h }", "2026-10-24T23:59:59Z"),
        ] {
            var driver = try P1.driver(keys)
            let out = driver.says(P1.telegram(["0-0:1.0.0(\(stamp))", "1-0:1.7.0(00.001*kW)"]))
            #expect(out.readings.map(\.time) == [Instant(instant)])
        }
    }

    @Test(arguments: ["261025025959", "261325025959S", "26102502595AS", "261025255959W", "", "261025025959X"])
    func aTimeThatIsNoneIsLeftOut(stamp: String) throws {
        var driver = try P1.driver()
        let out = driver.says(P1.telegram(["0-0:1.0.0(\(stamp))", "1-0:1.7.0(00.001*kW)"]))
        #expect(driver.words(out) == ["power=1"] && out.readings.map(\.time) == [nil])
    }

    /// Whichever bit flips, nothing is read, and the next telegram is.
    @Test func everyFlippedBitIsSeen() throws {
        let bytes = Array(known.utf8)
        for index in bytes.indices.dropLast(2) {
            for bit in [UInt8(1), 0x10, 0x80] {
                var driver = try P1.driver()
                var damaged = bytes
                damaged[index] ^= bit
                let out = driver.says(damaged)
                #expect(out.readings.isEmpty, "byte \(index), bit \(bit)")
                #expect(driver.words(driver.says(known)) == readings)
            }
        }
    }

    @Test func shortCRCsAreTakenAndMissingOnesAreNot() throws {
        var short: String?
        for watts in 0..<200 where short == nil {
            let text = P1.telegram(["1-3:0.2.8(50)", "1-0:1.7.0(00.\(String(1000 + watts).dropFirst())*kW)"])
            if text.split(separator: "!").last?.utf8.count == 5 { short = text }
        }
        var driver = try P1.driver()
        let whole = driver.says(try #require(short))
        #expect(whole.readings.count == 1 && whole.faults == [])
        let bare = driver.says(P1.telegram(["1-0:1.7.0(00.100*kW)"], hasCRC: false))
        #expect(bare.readings == [] && bare.kinds == [.badChecksum])
    }

    /// Without a CRC a lost line must not take a tariff out of the sum.
    @Test func versionTwoTellsEnergyWhenTheTariffsStay() throws {
        let one = "1-0:1.8.1(00100.000*kWh)"
        let two = "1-0:1.8.2(00050.500*kWh)"
        var driver = try P1.driver()
        func energy(_ lines: [String]) -> [String] {
            driver.words(driver.says(P1.telegram(lines, hasCRC: false))).filter { $0.hasPrefix("energy") }
        }
        #expect(energy([one, two]) == [])
        #expect(energy([one, two]) == ["energy=150500000"])
        #expect(energy([one]) == [])
        #expect(energy([one, two]) == [])
        #expect(energy([one, two]) == ["energy=150500000"])
        #expect(energy([one, two, "1-0:1.8!!"]) == [])
        #expect(energy([one, one, two]) == ["energy=150500000"])
    }

    /// Also with a right CRC, a sum without one of its tariffs is no sum.
    @Test func aRegisterThatIsNoNumberSpoilsWhatIsMadeOfIt() throws {
        var driver = try P1.driver()
        let out = driver.says(
            P1.telegram([
                "1-0:1.8.1(0010x.000*kWh)", "1-0:1.8.2(00050.500*kWh)", "1-0:1.7.0(0.5)", "1-0:2.7.0(00.100*kW)",
                "1-0:32.7.0(230.1*V)",
            ]))
        #expect(driver.words(out) == ["voltage.l1=230.1"])
        #expect(out.kinds == [.badValue, .badValue])
    }

    @Test func otherMediaAndPastMonthsAreNotElectricityNow() throws {
        var driver = try P1.driver()
        let out = driver.says(
            P1.telegram([
                "0-1:24.2.1(260812143000S)(01044.281*m3)", "1-0:1.8.0*01(000001.000*kWh)", "7-0:1.8.0(000002.000*kWh)",
                "1-0:1.8.0&02(000003.000*kWh)", "1-0:1.8.0*255(000004.000*kWh)", "1-0:2.7.0(00.250*kW)",
            ]))
        #expect(driver.words(out) == ["power=-250", "energy=4000000"])
    }

    @Test func energyIsExactInWattHours() throws {
        var random = SystemRandomNumberGenerator()
        var driver = try P1.driver()
        for _ in 0..<500 {
            let wattHours = Int.random(in: 0...999_999_999, using: &random)
            let text = String(wattHours + 1_000_000_000).dropFirst()
            let out = driver.says(P1.telegram(["1-0:1.8.0(\(text.dropLast(3)).\(text.suffix(3))*kWh)"]))
            #expect(driver.words(out) == ["energy=\(wattHours * 1000)"])
        }
    }

    @Test func mistakesAreTold() throws {
        var problems = Problems()
        let driver = try SerialBench.make(DSMR.self, profile: "{}", keys: "{ winter_offset: soon }", &problems)
        #expect(driver == nil && problems.all.count == 1)
    }
}
