import Foundation
import Meters
import Model
import Testing

@Suite struct SMLTests {
    /// A file of 188 bytes that another reader decodes: 5 234 187.7 Wh in, 0 out, −412 W.
    private let known = hex(
        """
        1B1B1B1B0101010176030001620062007263010176010103002A0B0A014D4B53000102030401016388730076030002620062007263070177
        010B0A014D4B530001020304070100620AFFFF726201650001E2407377070100010800FF650001010401621E52FF5900000000031EAC7501
        77070100020800FF0101621E52FF5900000000000000000177070100100700FF0101621B520055FFFFFE6401010163DB0000760300036200
        620072630201710163BDF0001B1B1B1B1A000561
        """)
    private let readings = ["power=-412", "energy=5234187700", "energy.export=0"]

    private static func hex(_ text: String) -> [UInt8] {
        let digits = text.filter(\.isHexDigit)
        return stride(from: 0, to: digits.count, by: 2).map { at in
            let start = digits.index(digits.startIndex, offsetBy: at)
            return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)!
        }
    }

    /// CRC-16 with 0x8408, bit by bit.
    private func crc(_ bytes: [UInt8], kermit: Bool = false) -> UInt16 {
        let crc = bytes.reduce(kermit ? 0 : 0xFFFF as UInt16) { crc, byte in
            (0..<8).reduce(crc ^ UInt16(byte)) { crc, _ in crc & 1 == 1 ? crc >> 1 ^ 0x8408 : crc >> 1 }
        }
        return kermit ? crc : ~crc
    }

    /// One message with these entries, as a file.
    private func file(_ entries: [[UInt8]], kermit: Bool = false) -> [UInt8] {
        var payload: [UInt8] = [0x76, 0x02, 1, 0x62, 0, 0x62, 0, 0x72, 0x63, 0x07, 0x01, 0x77, 1, 1, 1, 1]
        payload += [0x70 | UInt8(entries.count)] + entries.flatMap { $0 } + [1, 1, 0x63, 0, 0, 0]
        let pad = (4 - payload.count % 4) % 4
        payload += [UInt8](repeating: 0, count: pad)
        var bytes: [UInt8] = [0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1]
        var run = 0
        for byte in payload {
            run = byte == 0x1B ? run + 1 : 0
            bytes.append(byte)
            if run == 4 {
                bytes += [0x1B, 0x1B, 0x1B, 0x1B]
                run = 0
            }
        }
        bytes += [0x1B, 0x1B, 0x1B, 0x1B, 0x1A, UInt8(pad)]
        let sum = crc(bytes, kermit: kermit)
        return bytes + [UInt8(sum & 0xFF), UInt8(sum >> 8)]
    }

    private func entry(_ c: UInt8, _ d: UInt8, unit: UInt8, scaler: Int8, value: [UInt8]) -> [UInt8] {
        [0x77, 7, 1, 0, c, d, 0, 255, 1, 1, 0x62, unit, 0x52, UInt8(bitPattern: scaler)] + value + [1]
    }

    private func energy(_ digits: Int, scaler: Int8) -> [UInt8] {
        let bytes = (0..<8).map { UInt8(truncatingIfNeeded: digits >> (56 - 8 * $0)) }
        return entry(1, 8, unit: 30, scaler: scaler, value: [0x59] + bytes)
    }

    private func driver() throws -> SML { try SerialBench.model(SML.self, "meters/models/sml-meter") }

    /// 356.24 W in two octets, with and without knowing that the meter has no sign.
    @Test func powerWithoutASign() throws {
        let bytes = file([entry(16, 7, unit: 27, scaler: -2, value: [0x53, 0x8B, 0x28])])
        for (keys, said) in [("{}", "power=-299.12"), ("{ unsigned_power: true }", "power=356.24")] {
            var driver = try SerialBench.model(SML.self, "meters/models/sml-meter", keys: keys)
            #expect(driver.words(driver.says(bytes)) == [said])
        }
    }

    @Test func readsAFile() throws {
        var driver = try driver()
        let out = driver.says(known)
        #expect(driver.words(out) == readings && out.faults == [] && out.isAlive)
    }

    @Test func everyFlippedBitIsSeen() throws {
        for index in known.indices {
            for bit in 0..<8 {
                var driver = try driver()
                var damaged = known
                damaged[index] ^= 1 << UInt8(bit)
                #expect(driver.says(damaged).readings == [], "byte \(index), bit \(bit)")
                _ = driver.says(known)
                #expect(driver.words(driver.says(known)) == readings)
            }
        }
    }

    @Test(
        arguments: [
            ([0x52, 0xFE], -2), ([0x53, 0xFE, 0x70], -400), ([0x54, 0x01, 0x00, 0x00], 65536),
            ([0x62, 0xFE], 254), ([0x63, 0x01, 0x00], 256), ([0x56, 0xFF, 0xFF, 0xFF, 0xFF, 0x9C], -100),
        ] as [([UInt8], Double)])
    func integersOfAnyLength(value: [UInt8], watts: Double) throws {
        var driver = try driver()
        let out = driver.says(file([entry(16, 7, unit: 27, scaler: 0, value: value)]))
        #expect(out.readings == [Reading(channel: 0, value: .number(watts))])
    }

    @Test func kermitWillDo() throws {
        var driver = try driver()
        #expect(driver.words(driver.says(file([energy(1, scaler: 0)], kermit: true))) == ["energy=1000"])
    }

    /// Runs of the escape byte of every length and place come through.
    @Test func escapesInside() throws {
        for run in 1...8 {
            for before in 0..<4 {
                var driver = try driver()
                let text = [UInt8](repeating: 7, count: before) + [UInt8](repeating: 0x1B, count: run)
                let name: [UInt8] = [0x77, UInt8(text.count + 1)] + text + [1, 1, 1, 1, 1, 1]
                let out = driver.says(file([name, energy(12, scaler: 0)]))
                #expect(driver.words(out) == ["energy=12000"] && out.faults == [], "\(run) behind \(before)")
            }
        }
    }

    /// The PIN's time runs out: whole kWh instead of tenths of Wh, and back. Never a fall, never a leap.
    @Test func aChangeOfScalerIsNoReset() throws {
        var driver = try driver()
        var told: [String] = []
        var faults: [Fault.Kind] = []
        for (digits, scaler) in [(52_341_877, -1), (5234, 3), (5235, 3), (52_352_001, -1)] as [(Int, Int8)] {
            let out = driver.says(file([energy(digits, scaler: scaler)]))
            told += driver.words(out)
            faults += out.kinds
        }
        #expect(told == ["energy=5234187700", "energy=5234187700", "energy=5235000000", "energy=5235200100"])
        #expect(faults == [.unknownValue, .unknownValue])
    }

    /// A fall of a meter in fine steps is the usage rules' to judge, not the driver's.
    @Test func aRealFallIsTold() throws {
        var driver = try driver()
        _ = driver.says(file([energy(52_341_877, scaler: -1)]))
        #expect(driver.words(driver.says(file([energy(52_341_800, scaler: -1)]))) == ["energy=5234180000"])
        #expect(driver.words(driver.says(file([energy(7, scaler: 3)]))) == ["energy=7000000"])
    }

    @Test func unitsThatDoNotFitAreTold() throws {
        var driver = try driver()
        let out = driver.says(
            file([
                entry(1, 8, unit: 32, scaler: 0, value: [0x52, 1]),
                entry(16, 7, unit: 27, scaler: 40, value: [0x52, 1]),
                entry(32, 7, unit: 35, scaler: -1, value: [0x63, 0x08, 0xFC]),
            ]))
        #expect(driver.words(out) == ["voltage.l1=230"])
        #expect(out.kinds == [.badValue, .badValue])
    }

    /// Lists in lists, lengths beyond the end, endless lengths: a right CRC proves no sense.
    @Test func nonsenseWithARightCRCEnds() throws {
        var random = SplitMix(state: .random(in: 0...UInt64.max))
        let seed = random.state
        for _ in 0..<2000 {
            var driver = try driver()
            var entries = (0..<3).map { energy(Int($0), scaler: 0) }
            for _ in 0..<4 {
                let which = Int.random(in: 0..<3, using: &random)
                let place = Int.random(in: entries[which].indices, using: &random)
                entries[which][place] = [0x7F, 0xFF, 0x8F, 0x00, 0x01, 0x5F, 0x80].randomElement(using: &random)!
            }
            let out = driver.says(file(entries))
            #expect(out.readings.count <= 64 && out.faults.count <= 16, "seed \(seed)")
            #expect(driver.words(driver.says(known)).first == "power=-412", "seed \(seed)")
        }
    }

    @Test func anEndlessFileIsBounded() throws {
        var driver = try driver()
        let out = driver.says([0x1B, 0x1B, 0x1B, 0x1B, 1, 1, 1, 1] + [UInt8](repeating: 0x76, count: 100_000))
        #expect(out.kinds == [.overrun])
        #expect(driver.words(driver.says(known)) == readings)
    }
}
