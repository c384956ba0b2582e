import Foundation
import Meters
import Model
import Testing

@Suite struct IEC62056Tests {
    private static let registers = [
        "F.F(00)", "0.0.0(12345678)", "1.8.0(004217.36*kWh)", "2.8.0(000000.00*kWh)", "1.7.0(01.284*kW)",
        "32.7.0(229.4*V)",
    ]
    private let readings = ["power=1284", "voltage.l1=229.4", "energy=4217360000", "energy.export=0"]

    private func list(_ lines: [String] = registers, end: String = "\r\n") -> [UInt8] {
        let block = Array((lines.map { $0 + end }.joined() + "!" + end).utf8) + [3]
        return Array("/MKS5FAB01\r\n".utf8) + [2] + block + [block.reduce(0, ^)]
    }

    private func pushed(_ lines: [String]) -> String {
        "/MKS5FAB01\r\n\r\n" + lines.map { $0 + "\r\n" }.joined() + "!\r\n"
    }

    private func driver(_ keys: String = "{}") throws -> IEC62056 {
        try SerialBench.model(IEC62056.self, "meters/models/iec62056-meter", keys: keys)
    }

    @Test func readsAList() throws {
        #expect(list().last == 0x5D)
        for end in ["\r\n", "\n"] {
            var driver = try driver()
            let out = driver.says(list(end: end))
            #expect(driver.words(out) == readings && out.faults == [] && out.isAlive && out.request == nil)
        }
    }

    /// Request, head, acknowledge at the line's own rate, list.
    @Test(arguments: [
        ("{ mode: readout }", "/?!\r\n", "000"), ("{ mode: readout, rate: 9600 }", "/?!\r\n", "050"),
        ("{ mode: readout, address: 00123 }", "/?00123!\r\n", "000"),
    ])
    func asksInModeC(keys: String, request: String, acknowledge: String) throws {
        var driver = try driver(keys)
        var out = Outbox()
        driver.poll(&out)
        #expect(out.bytesToSend == Array(request.utf8))
        // A head that sends back what it hears is not answered.
        out = driver.says(request)
        #expect(out.request == nil)
        let bytes = list()
        out = driver.says(Array(bytes.prefix(12)))
        #expect(out.bytesToSend == [6] + Array((acknowledge + "\r\n").utf8) && !out.isAnswered)
        guard case .write(_, _, let pause)? = out.request else { return }
        #expect(pause == .milliseconds(220))
        out = driver.says(Array(bytes.dropFirst(12)))
        #expect(driver.words(out) == readings && out.isAnswered && out.request == nil)
    }

    /// The maker's third letter says how soon the meter listens.
    @Test func aQuickMeterIsAcknowledgedSooner() throws {
        var driver = try driver("{ mode: readout }")
        var out = Outbox()
        driver.poll(&out)
        out = driver.says("/MKs5FAB01\r\n")
        guard case .write(_, _, let pause)? = out.request else {
            Issue.record("no acknowledge")
            return
        }
        #expect(pause == .milliseconds(30))
    }

    @Test(arguments: ["C.1.0", "C.1", "1-0:C.1.0*255", "1-1:C.1", "0-0:0.0.0"])
    func theMetersNumberStandsInManyForms(code: String) throws {
        var driver = try driver()
        var lines = Self.registers.filter { !$0.hasPrefix("0.0.0") }
        _ = driver.says(list(lines + ["\(code)(12345678)"]))
        #expect(driver.words(driver.says(list(lines + ["\(code)(12345678)"]))) == readings)
        lines.append("\(code)(12345679)")
        #expect(driver.words(driver.says(list(lines))).first == "exchange=another serial number")
    }

    @Test(arguments: ["F.F", "1-0:F.F", "1-1:F.F*255"]) func theErrorRegisterIsTold(code: String) throws {
        var driver = try driver()
        var lines = Self.registers
        lines[0] = "\(code)(00000010)"
        let out = driver.says(list(lines))
        #expect(out.faults == [Fault(.sensorFault, "the meter's error register shows 00000010")])
        #expect(driver.words(out) == readings)
    }

    @Test func silenceIsTold() throws {
        var driver = try driver("{ mode: readout }")
        var out = Outbox()
        driver.poll(&out)
        driver.noReply(&out)
        #expect(out.faults == [Fault(.noReply, "no answer to the request /?!")])
        driver.poll(&out)
        _ = driver.says(Array(list().prefix(40)))
        out = Outbox()
        driver.noReply(&out)
        #expect(out.faults == [Fault(.noReply, "the meter's list did not end in time")])
        driver.poll(&out)
        #expect(driver.words(driver.says(list())) == readings)
    }

    @Test func nobodyAsksInModeD() throws {
        var driver = try driver()
        var out = Outbox()
        driver.poll(&out)
        #expect(out.request == nil)
    }

    @Test func everyFlippedBitIsSeen() throws {
        let bytes = list()
        for index in bytes.indices {
            for bit in 0..<7 {
                var driver = try driver()
                _ = driver.says(bytes)
                var damaged = bytes
                damaged[index] ^= 1 << UInt8(bit)
                let out = driver.says(damaged)
                // The head is outside of the sum: only its slash and its line's end matter.
                let isHead = (1..<12).contains(index)
                #expect(isHead || out.readings == [], "byte \(index), bit \(bit)")
                _ = driver.says(bytes)
                #expect(driver.words(driver.says(bytes)) == readings)
            }
        }
    }

    @Test func withoutBCCEnergyNeedsTheSameRegistersTwice() throws {
        var driver = try driver()
        let all = ["1-0:1.8.1*255(0100.5*kWh)", "1-0:1.8.2*255(0050.0*kWh)", "1-0:16.7.0*255(-000120*W)"]
        #expect(driver.words(driver.says(pushed(all))) == ["power=-120"])
        #expect(driver.words(driver.says(pushed(all))) == ["power=-120", "energy=150500000"])
        #expect(driver.words(driver.says(pushed(Array(all.dropFirst())))) == ["power=-120"])
        #expect(driver.words(driver.says(pushed(all))) == ["power=-120"])
    }

    @Test func aMeterWithBCCIsNotBelievedWithout() throws {
        var driver = try driver()
        _ = driver.says(list())
        let out = driver.says(pushed(Self.registers))
        #expect(out.readings == [] && out.kinds == [.badChecksum])
    }

    @Test func shortAndFullCodesAndPastMonths() throws {
        var driver = try driver()
        let out = driver.says(
            list([
                "1-0:1.8.0*255(000004.5*kWh)", "1.8.0*03(000003.0*kWh)", "2.8.0(000001500*Wh)", "13.7.0(0.98)",
                "14.7(60.0*Hz)", "(0.1)(0.2)", "51.7.0*255(012.3*A)",
            ]))
        let said = ["current.l2=12.3", "frequency=60", "power_factor=0.98", "energy=4500000", "energy.export=1500000"]
        #expect(driver.words(out) == said)
    }

    @Test(arguments: [
        ("{ mode: listen }", "is no mode"), ("{ rate: 123 }", "is no rate"), ("{ address: \"1!2\" }", "'address' is"),
        ("{ address: \"123456789012345678901234567890123\" }", "'address' is"),
    ])
    func mistakesAreTold(keys: String, words: String) throws {
        var problems = Problems()
        let driver = try SerialBench.make(IEC62056.self, profile: "{}", keys: keys, &problems)
        #expect(driver == nil && problems.all.contains { $0.message.contains(words) }, "\(problems.all)")
    }

    @Test func floodsAreBounded() throws {
        var driver = try driver()
        #expect(driver.says([0x2F] + [UInt8](repeating: 0x31, count: 10_000)).kinds == [.overrun])
        let lines = [UInt8]("/MKS5FAB01\r\n".utf8) + [UInt8](repeating: 0x0A, count: 20_000)
        #expect(driver.says(lines).kinds == [.overrun])
        #expect(driver.words(driver.says(list())) == readings)
    }
}
