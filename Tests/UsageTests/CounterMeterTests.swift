import Model
import Testing
import Usage

/// Feeds raw values, `every` seconds apart, and adds up what is believed.
private func total(
    _ raw: [Int64], every seconds: Int64 = 10, watts: Double = 3680, resolution: Int64 = 1000
) -> (advance: Int64, corrections: [CounterCorrection.Kind]) {
    var meter = CounterMeter(.energy(watts: watts * 1.25, resolution: resolution))
    var advance: Int64 = 0
    var corrections: [CounterCorrection.Kind] = []
    for (index, value) in raw.enumerated() {
        guard let step = meter.observe(value, at: Instant(milliseconds: Int64(index) * seconds * 1000)) else {
            continue
        }
        advance += step.advance
        if let correction = step.correction { corrections.append(correction.kind) }
    }
    return (advance, corrections)
}

@Suite struct CounterMeterTests {
    @Test func firstValueIsNoConsumption() {
        #expect(total([812_417_000]).advance == 0)
        #expect(total([812_417_000, 812_418_000]).advance == 1000)
    }

    @Test func dipToZeroIsNoReset() {
        // A plug that shows 3.737, then 0 for a moment, then 3.746 kWh used 9 Wh.
        let (advance, corrections) = total([3_737_000, 0, 3_746_000], every: 10)
        #expect(advance == 9000)
        #expect(corrections.isEmpty)
    }

    @Test func dipUntilTheClockIsSetIsNoStep() {
        // After a power cut Tasmota leaves out today's energy until it knows the time.
        let (advance, corrections) = total([812_417_000, 811_151_000, 811_151_000, 812_420_000])
        #expect(advance == 3000)
        #expect(corrections.isEmpty)
    }

    @Test func lastingStepBackIsToldAndNotCounted() {
        let raw: [Int64] = [812_417_000] + (0..<20).map { 811_151_000 + $0 * 1000 }
        let (advance, corrections) = total(raw)
        #expect(corrections == [.steppedBack])
        #expect(advance == 19_000)
    }

    @Test func resetCountsFromZero() {
        let raw: [Int64] = [58_214_000] + (0..<20).map { 1000 + $0 * 1000 }
        let (advance, corrections) = total(raw)
        #expect(corrections == [.reset])
        #expect(advance == 20_000)
    }

    @Test func impossibleJumpIsToldAndNotCounted() {
        let raw: [Int64] = [1_000_000, 1_001_000] + (0..<20).map { 900_000_000 + $0 * 1000 }
        let (advance, corrections) = total(raw)
        #expect(corrections == [.jumped])
        #expect(advance == 1000 + 19_000)
    }

    @Test func jitterBelowTwoStepsAddsNothing() {
        #expect(total([10_000, 9000, 10_000, 9000, 10_000, 11_000]).advance == 1000)
    }

    @Test func gapIsBridgedByTheCounter() {
        var meter = CounterMeter(.energy(watts: 4600, resolution: 1000))
        _ = meter.observe(1_000_000, at: Instant(milliseconds: 0))
        let step = meter.observe(5_000_000, at: Instant(milliseconds: 4 * 3_600_000))
        #expect(step?.advance == 4_000_000)
        #expect(step?.since == Instant(milliseconds: 0))
    }

    @Test func pastIsIgnored() {
        var meter = CounterMeter(.energy(watts: 4600, resolution: 1000))
        _ = meter.observe(1_000_000, at: Instant(milliseconds: 20_000))
        #expect(meter.observe(1_001_000, at: Instant(milliseconds: 10_000)) == nil)
        #expect(meter.observe(1_001_000, at: Instant(milliseconds: 30_000))?.advance == 1000)
    }

    /// Whatever a plug does to its counter, no energy is invented: at most the truth and a step for each fault.
    @Test(arguments: 0..<200) func neverMoreThanTheTruth(seed: UInt64) {
        var random = SeededRandom(seed)
        var meter = CounterMeter(.energy(watts: 3000, resolution: 1000))
        var truth: Int64 = 0
        var shown: Int64 = Int64.random(in: 0...30_000_000, using: &random)
        var faults: Int64 = 0
        var counted: Int64 = 0
        var onlyDips = true
        let start = shown
        for step in 0..<3000 {
            let drawn = Int64.random(in: 0...5500, using: &random)
            truth += drawn
            shown += drawn
            var said = shown / 1000 * 1000
            switch Int.random(in: 0..<400, using: &random) {
            case 0:
                said = 0
                faults += 1
            case 1:
                said = max(0, said - Int64.random(in: 0...2_000_000, using: &random))
                faults += 1
            case 2 where seed % 2 == 0:
                // A power cut: back to an older value, or to zero.
                shown =
                    Bool.random(using: &random) ? 0 : max(0, shown - Int64.random(in: 0...1_500_000, using: &random))
                said = shown / 1000 * 1000
                faults += 1
                onlyDips = false
            case 3 where seed % 2 == 0:
                shown += Int64.random(in: 0...80_000_000, using: &random)
                said = shown / 1000 * 1000
                faults += 1
                onlyDips = false
            case 4...8: continue
            default: break
            }
            if let result = meter.observe(said, at: Instant(milliseconds: Int64(step) * 10_000)) {
                #expect(result.advance >= 0)
                counted += result.advance
            }
        }
        // A step back or a jump smaller than what the machine can draw meanwhile cannot be told from drawing.
        let slack = onlyDips ? 2000 : 2000 + faults * 60_000
        #expect(counted <= truth + slack, "seed \(seed): \(counted) mWh of \(truth)")
        if onlyDips { #expect(counted >= truth - 200_000, "seed \(seed): \(counted) mWh of \(truth) from \(start)") }
    }
}
