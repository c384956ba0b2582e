import Foundation
import Meters
import Model
import Testing

/// What a register map may demand beyond one answer: order of questions, decimals and status words elsewhere.
@Suite struct ModbusPlans {
    /// Power and voltage of an SDM120 have answers of one length. The late one of the former meets the first question
    /// of the next turn, whose answer is longer.
    @Test func lateAnswerNeverMeetsItsTwin() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "meters/models/eastron-sdm120", keys: "{ unit: 1 }")
        let energy = framed([1, 4, 12] + SerialBench.bytes("42 70 00 00 44 9A 52 25 00 00 00 00"))
        let power = framed([1, 4, 4] + SerialBench.bytes("44 48 60 00"))
        var out = Outbox()
        driver.poll(&out)
        out = driver.says(energy)
        #expect(out.bytesToSend == framed([1, 4, 0, 0x0C, 0, 2]))
        driver.noReply(&out)
        driver.poll(&out)
        // After a silence its number comes first, with another function; this meter does not tell it.
        #expect(out.bytesToSend == framed([1, 3, 0xFC, 0, 0, 2]))
        out = driver.says(power + framed([1, 0x83, 2]))
        #expect(out.readings == [] && out.kinds == [.unexpectedReply])
        #expect(out.bytesToSend == framed([1, 4, 0, 0x46, 0, 6]))
        out = driver.says(power + energy)
        #expect(driver.words(out) == ["frequency=60", "energy=1234567017", "energy.export=0"])
        #expect(out.kinds == [.unexpectedReply] && out.bytesToSend == framed([1, 4, 0, 0x0C, 0, 2]))
        #expect(driver.words(driver.says(power)) == ["power=801.5"])
    }

    /// An Omron tells its decimals apart from its values.
    @Test func decimalsOfAnEarlierAnswer() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "desk-factories/models/omron-e5cc", keys: "{ unit: 3 }")
        let values = SerialBench.bytes("03 03 0C 00 C9 01 00 00 CD 00 00 01 83 00 00 7E F3")
        let turns: [([UInt8], [String], [Fault.Kind])] = [
            (framed([3, 3, 2, 0, 0]), ["temperature.zone1=201", "setpoint.zone1=205"], []),
            (framed([3, 3, 2, 0, 1]), ["temperature.zone1=20.1", "setpoint.zone1=20.5"], []),
            (framed([3, 0x83, 2]), [], [.badValue, .badValue]),
            (framed([3, 3, 2, 0, 10]), [], [.badValue, .badValue]),
        ]
        for (decimals, said, kinds) in turns {
            var out = Outbox()
            driver.poll(&out)
            _ = driver.says(decimals)
            out = driver.says(values)
            let temperatures = driver.words(out).filter { $0.contains("temperature") || $0.contains("setpoint") }
            #expect(temperatures == said && out.kinds == kinds)
            #expect(driver.words(out).contains("duty.zone1=0.387") && out.isAnswered)
        }
    }

    /// While the status says so, a number is no measurement, whatever it looks like.
    @Test func faultBitsMakeAValueUnknown() throws {
        var driver = try SerialBench.model(ModbusRTU.self, "desk-factories/models/omron-e5cc", keys: "{ unit: 3 }")
        var out = Outbox()
        driver.poll(&out)
        _ = driver.says(framed([3, 3, 2, 0, 0]))
        out = driver.says(framed(SerialBench.bytes("03 03 0C 00 C9 00 40 00 CD 00 00 00 00 00 00")))
        #expect(driver.words(out).first == "temperature.zone1=unknown")
        let words = "temperature.zone1: input error, sensor broken or out of range"
        #expect(out.faults == [Fault(.sensorFault, words)])
    }

    @Test(arguments: [
        ("faults_at: 1", "'faults_at' needs 'faults'"), ("faults: { 3: broken }", "'faults' needs 'faults_at'"),
        ("faults_at: 1, faults: { 16: broken }", "'16' is none"),
        ("faults_at: 2, faults: { 1: broken }", "outside its block"),
    ])
    func mistakesInFaultBitsAreTold(keys: String, words: String) throws {
        let text = """
            channels: [{ name: v, unit: V, kind: gauge }]
            settings:
              read: [{ function: 4, address: 0, count: 2, values: [{ channel: v, at: 0, as: int16, \(keys) }] }]
            """
        var problems = Problems()
        _ = try SerialBench.make(ModbusRTU.self, profile: text, keys: "{ unit: 1 }", &problems)
        #expect(problems.all.contains { $0.message.contains(words) }, "\(problems.all)")
    }
}
