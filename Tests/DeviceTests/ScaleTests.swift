import Foundation
import Model
import Testing
import Workshop

@Suite struct ScaleTests {
    private func driver() throws -> Scale { try SerialBench.model(Scale.self, "workshop/models/ascii-scale") }

    @Test(arguments: [
        ("ST,GS,+  0.042kg", ["mass=42", "stable=1", "net=0", "overload=0"]),
        ("US,NT,-  0.003kg", ["stable=0", "net=1", "overload=0"]),
        ("OL,GS,+9999999kg", ["mass=unknown", "stable=0", "net=0", "overload=1"]),
        ("ST,TR,-  1.5 g", ["mass=-1.5", "stable=1", "net=1", "overload=0"]),
        ("ST,+  1.5,lb", ["mass=680.388555", "stable=1", "overload=0"]),
        ("ST,GS, 2.000 oz", ["mass=56.699046", "stable=1", "net=0", "overload=0"]),
        ("ST,GS,0.002t", ["mass=2000", "stable=1", "net=0", "overload=0"]),
        ("  12.34 g ?", ["stable=0", "overload=0"]), ("  12.34 g", ["mass=12.34", "stable=1", "overload=0"]),
        ("QT,GS,+  12pcs", []),
    ])
    func readsALine(line: String, said: [String]) throws {
        var driver = try driver()
        _ = driver.says("\r\n")
        let out = driver.says(line + "\r\n")
        #expect(driver.words(out) == said && out.faults == [] && out.isAlive)
    }

    /// The lamps may be any byte but a line feed, also a comma.
    @Test func readsTheTwentyTwoBytesOfCAS() throws {
        for lamp in 0...255 as ClosedRange<UInt8> where lamp != 0x0A {
            var driver = try driver()
            let frame = Array("ST,NT,1".utf8) + [lamp] + Array(",   3.120 kg\r\n".utf8)
            #expect(frame.count == 22)
            let out = driver.says(frame)
            #expect(driver.words(out) == ["mass=3120", "stable=1", "net=1", "overload=0"], "lamps \(lamp)")
        }
    }

    @Test(arguments: [
        "ST,GS,+  0.042st", "ST,GS,+ -.--kg", "ST,XX,+  0.042kg", "XX,GS,+  0.042kg", "ST,GS,+  0.kg", "ST,GS,+ .5kg",
        "ST,GS,+12345678901kg", "ST,GS,+  0.0ST,GS,+  0.042kg", "ST,GS,kg", "ST", "+", "?", "12.34", "ST,GS,+ 1.2.3kg",
    ])
    func whatIsNoWeightIsAFault(line: String) throws {
        var driver = try driver()
        _ = driver.says("ST,GS,+  0.042kg\r\n")
        let out = driver.says(line + "\r\n")
        #expect(out.readings == [] && out.kinds == [.badFrame])
        #expect(driver.words(driver.says("ST,GS,+  0.042kg\r\n")).first == "mass=42")
    }

    /// The rest of a torn line looks like a line without a head.
    @Test func theRestOfALineIsNoWeight() throws {
        var driver = try driver()
        #expect(driver.says("042kg\r\n") == Outbox())
        #expect(driver.says("42kg\r\n").readings.count == 3)
        #expect(driver.says("ST,GS,+  0.042kg\r\n").readings.count == 4)
        #expect(driver.says("042kg\r\n").kinds == [.badFrame])
    }

    @Test func wrongFramingIsNamed() throws {
        var driver = try driver()
        _ = driver.says("ST,GS,+  0.042kg\r\n")
        let bytes = Array("ST,GS,+  0.042kg\r\n".utf8).map { $0.nonzeroBitCount % 2 == 1 && $0 > 0x20 ? $0 | 0x80 : $0 }
        #expect(driver.says(bytes).faults.first?.detail.contains("7E1") == true)
    }

    @Test func floodsAreBounded() throws {
        var driver = try driver()
        let out = driver.says(String(repeating: "ST,GS,+  0.042kg\r\n", count: 500))
        #expect(out.readings.count <= 64 && out.faults.count <= 16)
        #expect(driver.says(String(repeating: "x", count: 500)).kinds == [.overrun])
    }
}
