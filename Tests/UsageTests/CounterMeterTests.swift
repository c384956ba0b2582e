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
        #expect(corrections == [.glitch])
    }

    @Test func dipUntilTheClockIsSetIsNoStep() {
        // After a power cut Tasmota leaves out today's energy until it knows the time.
        let (advance, corrections) = total([812_417_000, 811_151_000, 811_151_000, 812_420_000])
        #expect(advance == 3000)
        #expect(corrections == [.glitch])
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

    /// After a reset the counter passes the place where it had stood: that is no return to it.
    @Test func climbingThroughTheOldValueLosesNothing() {
        let raw: [Int64] = [20_000] + (0..<60).map { 1000 + $0 * 1000 }
        let (advance, corrections) = total(raw)
        #expect(corrections == [.reset])
        #expect(advance == 60_000)
    }

    /// But one message from before, late, is none of both.
    @Test func anOldMessageAfterAResetAddsNothing() {
        let raw: [Int64] =
            [20_000] + (0..<16).map { 1000 + $0 * 1000 } + [20_000] + (16..<60).map { 1000 + $0 * 1000 }
        let (advance, _) = total(raw)
        #expect(advance == 60_000)
    }

    /// What a broker had kept for an hour comes in one go.
    /// A reset while the disk refuses: nothing is acknowledged, and what was said before it comes once more in one go.
    @Test(arguments: [0, 1, 40] as [Int64]) func messagesFromBeforeAResetAddNothingToIt(apart: Int64) {
        var meter = CounterMeter(.energy(watts: 25_000, resolution: 1000))
        var advance: Int64 = 0
        func say(_ raw: Int64, at milliseconds: Int64) {
            advance += meter.observe(raw, at: Instant(milliseconds: milliseconds))?.advance ?? 0
        }
        let climbing: [Int64] = [539_000, 539_000, 545_000, 550_000, 558_000]
        for (number, raw) in climbing.enumerated() { say(raw, at: Int64(number) * 300_000) }
        #expect(advance == 19_000)
        say(0, at: 1_500_000)
        for (number, raw) in (climbing + [0]).enumerated() { say(raw, at: 1_710_000 + apart * Int64(number)) }
        for number in Int64(1)...4 { say(8000 * number, at: 1_500_000 + 300_000 * number) }
        #expect(advance <= 19_000 + 32_000 && advance >= 19_000 + 24_000, "\(advance)")
    }

    /// The disk refuses for a quarter of an hour, somebody sets the counter to zero meanwhile, and the broker hands over
    /// again what got no word, all at once. Behind a plug that may carry 25 kW two minutes explain the leap.
    @Test(arguments: [3680, 25_000, 1_000_000] as [Double])
    func messagesHandedOverAgainAfterAResetAddNothing(watts: Double) {
        var meter = CounterMeter(.energy(watts: watts, resolution: 1000))
        var sum: Int64 = 0
        func say(_ wattHours: Int64, at seconds: Int64) {
            sum += meter.observe(wattHours * 1000, at: Instant(milliseconds: seconds * 1000))?.advance ?? 0
        }
        for (index, value) in ([651, 677, 683, 687, 687, 0, 0] as [Int64]).enumerated() {
            say(value, at: Int64(index) * 300)
        }
        for value in [683, 687, 687, 0, 0] as [Int64] { say(value, at: 1_900) }
        for index in Int64(1)...10 { say(index * 10, at: 1_900 + index * 300) }
        // Where it is taken for being back, the first value after it is only where the next one counts from.
        #expect((36_000 + 90_000...36_000 + 100_000).contains(sum), "\(sum)")
    }

    /// Most of the way back in one go is believed when another value says the same, and then all of it.
    @Test(arguments: [10, 60, 300] as [Int64]) func aRealLeapBackCountsOnceAnotherValueAgrees(every: Int64) {
        var meter = CounterMeter(.energy(watts: 25_000, resolution: 1000))
        var sum: Int64 = 0
        func say(_ wattHours: Int64, at seconds: Int64) {
            sum += meter.observe(wattHours * 1000, at: Instant(milliseconds: seconds * 1000))?.advance ?? 0
        }
        for (index, value) in ([687, 0, 0] as [Int64]).enumerated() { say(value, at: Int64(index) * 300) }
        say(500, at: 720)
        #expect(sum == 0)
        for number in 1...(300 / every) { say(500 + number, at: 720 + number * every) }
        #expect(sum == (500 + 300 / every) * 1000)
    }

    @Test func valuesAtOneTimeCountSinceTheOneBefore() {
        var meter = CounterMeter(.energy(watts: 4600, resolution: 1000))
        _ = meter.observe(1_000_000, at: Instant(milliseconds: 0))
        let hour = Instant(milliseconds: 3_600_000)
        let steps = (1...10).compactMap { meter.observe(1_000_000 + $0 * 50_000, at: hour) }
        #expect(steps.reduce(0) { $0 + $1.advance } == 500_000)
        #expect(steps.allSatisfy { $0.since == Instant(milliseconds: 0) && $0.correction == nil })
        let impossible = meter.observe(9_000_000, at: hour)
        #expect(impossible == nil)
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

    @Test func resetIsCountedFromWhereTheDeviceSaysThatItStarted() {
        func counted(_ tells: Bool) -> Int64 {
            var meter = CounterMeter(.energy(watts: 4600, resolution: 1000))
            _ = meter.observe(58_214_000, at: Instant(milliseconds: 0))
            // Off for an hour, then started; 30 Wh were drawn when its first value comes.
            if tells { meter.restarted(at: Instant(milliseconds: 3_600_000)) }
            var sum: Int64 = 0
            for index in 0..<20 {
                let time = Instant(milliseconds: 3_630_000 + Int64(index) * 10_000)
                sum += meter.observe(30_000 + Int64(index) * 1000, at: time)?.advance ?? 0
            }
            return sum
        }
        #expect(counted(true) == 49_000)
        // Without that word 30 Wh may be an old value, and only what is added to it is sure.
        #expect(counted(false) == 19_000)
    }

    @Test func stepBackToAnOldValueIsNoResetAlthoughTheDeviceRestarted() {
        var meter = CounterMeter(.energy(watts: 4600, resolution: 1000))
        _ = meter.observe(900_000, at: Instant(milliseconds: 0))
        _ = meter.observe(1_200_000, at: Instant(milliseconds: 3_600_000))
        meter.restarted(at: Instant(milliseconds: 7_200_000))
        var kinds: [CounterCorrection.Kind] = []
        var sum: Int64 = 0
        for index in 0..<20 {
            let time = Instant(milliseconds: 7_210_000 + Int64(index) * 10_000)
            let step = meter.observe(900_000 + Int64(index) * 1000, at: time)
            sum += step?.advance ?? 0
            if let correction = step?.correction { kinds.append(correction.kind) }
        }
        #expect(sum == 19_000)
        #expect(kinds == [.reset] || kinds == [.steppedBack])
    }

    @Test func overItsEndIsCountedThrough() {
        var meter = CounterMeter(.energy(watts: 4600, resolution: 1000, wrapsAt: 10_000_000))
        var sum: Int64 = 0
        var kinds: [CounterCorrection.Kind] = []
        for index in 0..<60 {
            let raw = (9_970_000 + Int64(index) * 1000) % 10_000_000
            let step = meter.observe(raw, at: Instant(milliseconds: Int64(index) * 10_000))
            sum += step?.advance ?? 0
            if let correction = step?.correction { kinds.append(correction.kind) }
        }
        #expect(sum == 59_000)
        #expect(kinds == [.wrapped])
    }

    @Test func anotherMeterIsToldAndNotCounted() {
        // Lower than all that this one ever showed, and too much for what can have been drawn since a reset.
        let raw: [Int64] = [800_000_000, 800_001_000] + (0..<20).map { 120_000_000 + $0 * 1000 }
        let (advance, corrections) = total(raw)
        #expect(corrections == [.exchanged])
        #expect(advance == 1000 + 19_000)
        // Somebody said so: then also a higher value is a first one, and at once.
        var meter = CounterMeter(.energy(watts: 4600, resolution: 1000))
        _ = meter.observe(1_000_000, at: Instant(milliseconds: 0))
        meter.exchanged()
        let step = meter.observe(1_005_000, at: Instant(milliseconds: 10_000))
        #expect(step?.advance == 0 && step?.correction?.kind == .exchanged)
        #expect(meter.observe(1_006_000, at: Instant(milliseconds: 20_000))?.advance == 1000)
    }

    @Test func aDipThatLastedTooLongIsNotCountedTwice() {
        // Ten minutes of an old value with a little growth, and then back: the growth is in what it shows.
        var raw: [Int64] = [5_000_000]
        raw += (0..<60).map { 4_900_000 + $0 * 500 }
        raw += (0..<20).map { 5_040_000 + $0 * 1000 }
        let (advance, corrections) = total(raw)
        #expect(corrections == [.steppedBack, .glitch])
        #expect(advance == 5_040_000 + 19_000 - 5_000_000)
    }

    @Test func clockSetBackLosesNoEnergy() {
        var meter = CounterMeter(.energy(watts: 4600, resolution: 1000))
        var sum: Int64 = 0
        for index in 0..<200 {
            // After 100 values the clock is set back by a day.
            let time = Int64(index) * 10_000 - (index >= 100 ? 86_400_000 : 0)
            sum += meter.observe(1_000_000 + Int64(index) * 5000, at: Instant(milliseconds: time))?.advance ?? 0
        }
        #expect(sum <= 199 * 5000)
        #expect(sum >= 190 * 5000)
    }
}
