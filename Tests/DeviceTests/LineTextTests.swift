import Foundation
import Meters
import Model
import Testing

@Suite struct LineTextTests {
    private let emonTx =
        "MSG:184,V1:219.42,V2:220.10,V3:218.77,P1:742,P2:0,P3:18,E1:48213,E2:120,E3:9005,pulse:77121\r\n"

    private func counter(_ keys: String = "{}") throws -> LineText {
        try SerialBench.model(LineText.self, "meters/models/s0-counter", keys: keys)
    }

    @Test func readsAnEmonTx() throws {
        var driver = try SerialBench.model(LineText.self, "meters/models/emontx")
        let out = driver.says(emonTx)
        #expect(
            driver.words(out) == [
                "voltage.l1=219.42", "voltage.l2=220.1", "voltage.l3=218.77", "power.l1=742", "power.l2=0",
                "power.l3=18", "energy.l1=48213000", "energy.l2=120000", "energy.l3=9005000", "pulses=77121",
            ])
        #expect(out.faults == [] && out.isAlive)
    }

    @Test(arguments: [
        "pulses=1234\n", "pulses:1234\r\n", "id=lathe pulses=1234 up=5\n", "up:5;pulses:1234\n", "pulses=1234,\tup=5\n",
        "\u{0}\u{1}pulses=1234\n", "#pulses,up\n1234,5\n", "#up;pulses\n5;1234\n", "# pulses up\n1234 5\n",
        "#pulses,up\npulses=1234 up=5 id=7\n",
    ])
    func anyOfTheForms(text: String) throws {
        var driver = try counter()
        let out = driver.says(text)
        #expect(driver.words(out).first { $0.hasPrefix("energy") } == "energy=1234000" && out.faults == [])
    }

    /// No part of a line may pass for a whole one.
    @Test(arguments: [
        "up=5\n", "pulses=\n", "pulses=12x\n", "pulses=nan\n", "pulses=0x10\n", "pulses=1 2\n", "pulses=1 pulses=1\n",
        "pulses\n", "=5\n", "pulses=1234567890123456789012345\n", "#up\n7\n", ",,;\n", "#up pulses up\n7\n",
    ])
    func brokenLinesAreFaults(text: String) throws {
        var driver = try counter()
        _ = driver.says("up=1\n")
        let out = driver.says(text)
        #expect(out.readings == [] && out.kinds == [.badFrame])
        #expect(driver.words(driver.says("pulses=7\n")) == ["energy=7000"])
    }

    @Test func aRecordMayBeAnObject() throws {
        var driver = try counter()
        #expect(
            driver.words(driver.says(#"{"id":"lathe","pulses":7,"up":5,"more":[1,{"pulses":9}]}"# + "\n")) == [
                "energy=7000", "uptime=5",
            ])
        for text in [
            #"{"pulses":"7"}"#, #"{"pulses":null}"#, #"{"up":5}"#, #"{"pulses":7"#, #"{"pulses":7,"pulses":8}"#, "{}",
            #"{"pulses":7} x"#,
        ] {
            let out = driver.says(text + "\n")
            #expect(out.readings == [] && out.kinds == [.badFrame], "\(text)")
        }
    }

    /// Whatever the form of the lines, a start is told before the counts that began anew with it, and once.
    @Test(arguments: ["pulses=%d up=%d\n", "%d,%d\n", #"{"pulses":%d,"up":%d}"# + "\n"])
    func aStartIsTold(form: String) throws {
        var driver = try counter()
        _ = driver.says("#pulses,up\n")
        func said(_ pulses: Int, _ up: Int) -> [String] {
            driver.words(driver.says(String(format: form, pulses, up)))
        }
        #expect(said(100, 500) == ["energy=100000", "uptime=500"])
        #expect(said(101, 510) == ["energy=101000", "uptime=510"])
        #expect(said(2, 3) == ["restart=restarted", "energy=2000", "uptime=3"])
        #expect(said(3, 13) == ["energy=3000", "uptime=13"])
    }

    @Test func talkOfAStartIsNoFault() throws {
        var driver = try SerialBench.model(LineText.self, "meters/models/emontx")
        #expect(driver.says("P3:18,E1:48213\r\n" + emonTx).faults == [])
        #expect(driver.says("emonTx4 v1.5\r\nBand=2, Group=210\r\n").faults == [])
    }

    @Test func constantOfTheMeter() throws {
        var driver = try counter("{ pulses_per_kwh: 800 }")
        #expect(driver.words(driver.says("pulses=3\n")) == ["energy=3750"])
        #expect(driver.says("pulses=-3\n").kinds == [.implausible])
    }

    @Test(arguments: [
        ("settings: { members: [{ name: P, channel: x }] }", "has no 'x'"),
        ("settings: { members: [{ name: P, channel: p, pulses_per_kwh: 5 }] }", "must be mWh"),
        ("settings: { members: [{ name: P, channel: p, scale: 0 }] }", "cannot be 0"),
        ("settings: { members: [{ channel: p }] }", "name"),
        ("settings: { members: [{ name: P, channel: p }, { name: Q, channel: p }] }", "fed twice"),
        ("settings: {}", "needs 'members'"), ("", "needs 'settings'"),
    ])
    func mistakesAreTold(settings: String, words: String) throws {
        var problems = Problems()
        let profile = "channels: [{ name: p, unit: W, kind: gauge }]\n" + settings
        let driver = try SerialBench.make(LineText.self, profile: profile, &problems)
        #expect(driver == nil && problems.all.contains { $0.message.contains(words) }, "\(problems.all)")
    }

    @Test func floodsAreBounded() throws {
        var driver = try counter()
        let out = driver.says(String(repeating: "pulses=1 up=1\n", count: 1000))
        #expect(out.readings.count <= 64 && out.faults.count <= 16 && out.kinds.contains(.overrun))
        #expect(driver.says(String(repeating: "x", count: 5000)).kinds == [.overrun])
        _ = driver.says("\n")
        #expect(driver.words(driver.says("pulses=7\n")) == ["energy=7000"])
    }
}
