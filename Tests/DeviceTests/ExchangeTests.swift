import DeskFactories
import Foundation
import Meters
import Model
import Plugs
import Testing

/// Another meter in the place of one is told, and a damaged number is not taken for it.
@Suite struct ExchangeTests {
    private func isTold(_ driver: some DeviceDriver, _ out: Outbox) -> Bool {
        out.readings.contains { driver.channels[$0.channel].name == "exchange" }
    }

    @Test func withoutAChecksumItMustBeSaidTwice() {
        var identity = Identity()
        var told: [Bool] = []
        for said: UInt64 in [1, 1, 2, 1, 3, 2, 2, 2, 1] { told.append(identity.isOther(said, isProved: false)) }
        #expect(told == [false, false, false, false, false, false, true, false, false])
        told = [identity.isOther(5, isProved: true)]
        var other = Identity()
        other.recall(identity.memory ?? "")
        for said: UInt64 in [5, 6] { told.append(other.isOther(said, isProved: true)) }
        other.recall("not sixteen hex digits")
        told.append(other.isOther(6, isProved: true))
        #expect(told == [true, false, true, false])
    }

    // MARK: meters that push

    private func telegram(_ serial: String, _ energy: String, hasCRC: Bool = true) -> String {
        P1.telegram(
            [hasCRC ? "1-3:0.2.8(50)" : "0-0:96.14.0(0001)", "0-0:96.1.1(\(serial))", "1-0:1.8.1(\(energy)*kWh)"],
            hasCRC: hasCRC)
    }

    @Test func aTelegramOfAnotherMeter() throws {
        var driver = try P1.driver()
        var out = driver.says(telegram("4D4B01", "001204.517"))
        #expect(driver.words(out) == ["energy=1204517000"])
        let memory = try #require(out.memory)
        out = driver.says(telegram("4D4B01", "001204.518"))
        #expect(!isTold(driver, out) && out.memory == nil)
        // The exchange comes before the value that is another meter's.
        out = driver.says(telegram("4D4B02", "000003.001"))
        #expect(driver.words(out) == ["exchange=another serial number", "energy=3001000"])
        // While the gateway was off.
        var again = try P1.driver()
        again.recall(memory)
        #expect(!isTold(again, again.says(telegram("4D4B01", "001204.519"))))
        again.recall(memory)
        #expect(isTold(again, again.says(telegram("4D4B02", "000003.002"))))
    }

    @Test func anOldTelegramWithoutCRCIsDoubtedOnce() throws {
        var driver = try P1.driver()
        for _ in 0..<3 { #expect(!isTold(driver, driver.says(telegram("01", "1.000", hasCRC: false)))) }
        #expect(!isTold(driver, driver.says(telegram("09", "1.000", hasCRC: false))))
        #expect(!isTold(driver, driver.says(telegram("01", "1.000", hasCRC: false))))
        #expect(!isTold(driver, driver.says(telegram("09", "1.000", hasCRC: false))))
        #expect(isTold(driver, driver.says(telegram("09", "1.000", hasCRC: false))))
    }

    @Test(arguments: ["0.0.0(%)", "C.1.0(%)", "1-0:0.0.0*255(%)", "0-0:C.1.0(%)"])
    func aListOfAnotherMeter(line: String) throws {
        var driver = try SerialBench.model(IEC62056.self, "meters/models/iec62056-meter")
        func list(_ serial: String) -> [UInt8] {
            let lines = [line.replacingOccurrences(of: "%", with: serial), "1.8.0(000012.0*kWh)"]
            let block = Array((lines.map { $0 + "\r\n" }.joined() + "!\r\n").utf8) + [3]
            return Array("/MKS5FAB01\r\n".utf8) + [2] + block + [block.reduce(0, ^)]
        }
        #expect(!isTold(driver, driver.says(list("12345678"))))
        #expect(!isTold(driver, driver.says(list("12345678"))))
        let out = driver.says(list("12345679"))
        #expect(driver.words(out) == ["exchange=another serial number", "energy=12000000"])
        #expect(out.faults == [])
    }

    // MARK: Modbus

    private static func framed(_ bytes: [UInt8]) -> [UInt8] {
        let crc = CRC16.of(bytes.span, count: bytes.count)
        return bytes + [UInt8(crc & 0xFF), UInt8(crc >> 8)]
    }

    private let serialQuestion = framed([1, 3, 0xFC, 0, 0, 2])
    private let firstQuestion = framed([1, 4, 0, 0x46, 0, 6])

    private func sdm() throws -> ModbusRTU {
        try SerialBench.model(ModbusRTU.self, "meters/models/eastron-sdm120", keys: "{ unit: 1 }")
    }

    private func polled(_ driver: inout ModbusRTU) -> [UInt8]? {
        var out = Outbox()
        driver.poll(&out)
        return out.bytesToSend
    }

    @Test func theSerialNumberIsAskedAtFirstAndAfterASilence() throws {
        var driver = try sdm()
        var out = Outbox()
        driver.opened(&out)
        #expect(polled(&driver) == serialQuestion)
        out = driver.says(Self.framed([1, 3, 4, 0, 1, 0xE2, 0x40]))
        #expect(out.bytesToSend == firstQuestion && out.memory != nil && out.readings == [] && out.faults == [])
        #expect(polled(&driver) == firstQuestion)
        driver.noReply(&out)
        // It may have been taken away meanwhile: here it was.
        #expect(polled(&driver) == serialQuestion)
        out = driver.says(Self.framed([1, 3, 4, 0, 1, 0xE2, 0x41]))
        #expect(driver.words(out) == ["exchange=another serial number"])
        #expect(out.bytesToSend == firstQuestion)
    }

    @Test func aMeterThatTellsNoNumberCostsOneQuestion() throws {
        // It refuses.
        var driver = try sdm()
        var out = Outbox()
        driver.opened(&out)
        _ = polled(&driver)
        out = driver.says(Self.framed([1, 0x83, 2]))
        #expect(out.bytesToSend == firstQuestion && out.faults == [])
        #expect(polled(&driver) == firstQuestion)
        // It says nothing.
        driver = try sdm()
        driver.opened(&out)
        _ = polled(&driver)
        driver.noReply(&out)
        #expect(polled(&driver) == firstQuestion)
    }

    @Test func aLateAnswerIsNoSerialNumber() throws {
        var driver = try sdm()
        var out = Outbox()
        driver.opened(&out)
        _ = polled(&driver)
        // Of the last turn, to a question that is as long: another function.
        out = driver.says(Self.framed([1, 4, 4, 0x43, 0x5A, 0xB3, 0x33]))
        #expect(out.memory == nil && out.readings == [] && out.kinds == [.unexpectedReply])
        out = driver.says(Self.framed([1, 3, 4, 0, 1, 0xE2, 0x40]))
        #expect(out.memory != nil && out.bytesToSend == firstQuestion)
    }

    @Test func aNumberThatAnotherAnswerCouldPassForMustBeSaidTwice() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "meters/models/abb-b21", keys: "{ unit: 4 }")
        let question = Self.framed([4, 3, 0x89, 0, 0, 2])
        /// A turn as far as something else is asked: how often its number was, and what was told of it.
        func turn(_ answers: [[UInt8]]) -> (asked: Int, told: [String]) {
            var asked = 0
            var told: [String] = []
            var next = polled(&driver)
            while next == question, asked < answers.count {
                let out = driver.says(Self.framed([4, 3, 4] + answers[asked]))
                told += driver.words(out)
                next = out.bytesToSend
                asked += 1
            }
            return (asked, told)
        }
        var out = Outbox()
        driver.opened(&out)
        let (first, other, late): ([UInt8], [UInt8], [UInt8]) = ([0, 25, 170, 1], [0, 34, 187, 23], [0, 0, 18, 212])
        #expect(turn([first, first, first]) == (2, []))
        #expect(turn([first]) == (0, []))
        driver.noReply(&out)
        #expect(turn([late, first, first]) == (2, []))
        driver.noReply(&out)
        // Before a value of the other one is read.
        #expect(turn([other, other, other]) == (2, ["exchange=another serial number"]))
        driver.noReply(&out)
        // Nothing but nonsense: the turn goes on, and it is asked again in the next one.
        #expect(turn([late, first.reversed(), [1, 2, 3, 4], first]) == (3, []))
        #expect(turn([other, other]) == (1, []))
    }

    @Test func aRecordingWithoutThatQuestionIsReadAsWell() throws {
        var driver = try sdm()
        var out = Outbox()
        driver.opened(&out)
        for _ in 0..<2 {
            _ = polled(&driver)
            out = driver.says(SerialBench.bytes("01 04 0c 42 6f eb 85 44 9a 52 25 00 00 00 00 f7 c0"))
            #expect(out.readings.count == 3 && out.faults == [])
        }
    }

    // MARK: plugs

    @Test func aTasmotaCounterThatSomebodySet() throws {
        var driver = try MessageBench.made(Tasmota.self, "{ topic: laser, phases: 1 }")
        func sensor(_ start: String, _ total: Double) -> String {
            #"{"ENERGY":{"TotalStartTime":"\#(start)","Total":\#(total)}}"#
        }
        let topic = "tele/laser/SENSOR"
        #expect(driver.hears(topic, sensor("2026-01-03T09:12:44", 812.417)) == ["energy=812417000"])
        // Before NTP answers after a power cut the counter dips, and began when it began.
        #expect(driver.hears(topic, sensor("2026-01-03T09:12:44", 811.151)) == ["energy=811151000"])
        #expect(driver.hears(topic, sensor("1970-01-01T00:00:00", 812.5)) == ["energy=812500000"])
        #expect(
            driver.hears(topic, sensor("2026-02-01T00:00:00", 0.001)) == ["exchange=TotalStartTime", "energy=1000"])
        #expect(driver.hears(topic, #"{"ENERGY":{"TotalStartTime":7,"Total":0.002}}"#) == ["energy=2000"])
    }

    @Test func aShellyIsKnownByItsAddressOnBothWaysAndOverARestart() throws {
        var driver = try MessageBench.made(Shelly.self, "{ topic: fablab/cnc }")
        func event(_ src: String, _ total: Double) -> String {
            #"{"src":"\#(src)","method":"NotifyStatus","params":{"switch:0":{"aenergy":{"total":\#(total)}}}}"#
        }
        let topic = "fablab/cnc/events/rpc"
        var out = driver.hear(topic, event("shellyplusplugs-a8032ab1c0de", 48213.774))
        #expect(driver.words(out) == ["energy=48213774"])
        let memory = try #require(out.memory)
        out = driver.hear("fablab/cnc/status/sys", #"{"mac":"A8032AB1C0DE"}"#)
        #expect(out.memory == nil && driver.words(out) == [])
        // A name without an address is nobody's.
        #expect(driver.hears(topic, event("my-plug", 48214)) == ["energy=48214000"])
        #expect(
            driver.hears(topic, event("shellyplugsg3-dc06b10a77f0", 0.3))
                == ["exchange=another MAC address", "energy=300"])
        // While the gateway was off.
        var again = try MessageBench.made(Shelly.self, "{ topic: fablab/cnc }")
        again.recall(memory)
        #expect(again.hears(topic, event("shellyplusplugs-a8032ab1c0de", 48215)) == ["energy=48215000"])
        #expect(again.hears("fablab/cnc/status/sys", #"{"mac":"DC06B10A77F0"}"#) == ["exchange=another MAC address"])
    }

    @Test func anESPHomeBoardIsKnownByTheDiscoveryOfWhatCounts() throws {
        var driver = try MessageBench.made(
            ESPHome.self, "{ topic: cnc, values: [{ channel: energy, entity: e }, { channel: power, entity: p }] }")
        func config(_ ids: String) -> String { #"{"unit_of_meas":"kWh","dev":{"ids":\#(ids)}}"# }
        let topic = "homeassistant/sensor/cnc/e/config"
        #expect(driver.hears(topic, config(#""a8032ab1c0de""#)) == [])
        // The broker may have kept what another entity of an older board said.
        #expect(driver.hears("homeassistant/sensor/cnc/p/config", config(#""000000000000""#)) == [])
        #expect(driver.hears(topic, config(#"["A8032AB1C0DE"]"#)) == [])
        for nobody in [#""""#, "[]", "7", "{}"] { #expect(driver.hears(topic, config(nobody)) == []) }
        #expect(driver.hears(topic, config(#"["4091510b33f4"]"#)) == ["exchange=another board"])
    }

    // MARK: boards

    @Test func aBoardThatForgotWhileTheGatewayWasOffIsCountedOnce() throws {
        func board() throws -> LineJSON {
            try SerialBench.model(LineJSON.self, "desk-factories/models/line-json-press")
        }
        func shots(_ driver: inout LineJSON, _ boot: Int, _ count: Int) -> (Int?, String?) {
            let out = driver.says(#"{"v":1,"boot":\#(boot),"up":5,"shots":\#(count)}"# + "\n")
            for reading in out.readings where driver.channels[reading.channel].name == "shots" {
                if case .number(let number) = reading.value { return (Int(number), out.memory) }
            }
            return (nil, out.memory)
        }
        var driver = try board()
        #expect(shots(&driver, 3, 500) == (500, "3;500+0;;"))
        #expect(shots(&driver, 3, 500) == (500, nil))
        #expect(shots(&driver, 4, 2) == (502, "4;2+500;;"))
        let (before, memory) = shots(&driver, 4, 42)
        #expect(before == 542)
        // The gateway alone was started again.
        driver = try board()
        driver.recall(memory ?? "")
        #expect(shots(&driver, 4, 43).0 == 543)
        // The gateway was off, and the board forgot its counts meanwhile.
        driver = try board()
        driver.recall(memory ?? "")
        #expect(shots(&driver, 5, 1).0 == 543)
        // A memory of something else is none.
        driver = try board()
        for text in ["", "4", "x;1+1;;", "4;1+1", "4;-1+0;;", "4;9999999999999999+0;;"] { driver.recall(text) }
        #expect(shots(&driver, 9, 7).0 == 7)
    }
}
