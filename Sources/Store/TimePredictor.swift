// Devices report on a grid: every 10 s, give or take a few milliseconds of jitter. Guessing from the last sample alone
// would see each jitter twice; the predictor follows the grid itself and lets a late sample pass.

/// Says when the next sample is due. Encoder and decoder run it in step, so all of it wraps and nothing traps.
struct TimePredictor {
    /// Of the grid, in 1/16 ms.
    let step: Int64
    private var next: Int64

    init(step: Int64, first: Int64) {
        self.step = step
        next = first &* 16 &+ step
    }

    @inline(__always)
    var prediction: Int64 { next >> 4 }

    /// `error` is what the prediction missed `time` by.
    @inline(__always)
    mutating func advance(time: Int64, error: Int64) {
        if error >= -64, error <= 64 {
            // Jitter: follow slowly.
            next = next &+ step &+ (error &* 4)
        } else if error > step >> 5 || error < -(step >> 5) {
            // Not on the grid at all, or a gap: begin again here.
            next = time &* 16 &+ step
        } else {
            // One late sample.
            next = next &+ step
        }
    }

    /// The time that the prediction missed by `error`.
    @inline(__always)
    mutating func time(_ error: Int64) -> Int64 {
        let time = prediction &+ error
        advance(time: time, error: error)
        return time
    }

    /// Rice parameters of which a table of eleven bits has two codes at most, all of them jitter: the longest has six ones
    /// and four bits after the zero, which is 56.
    static var parametersOfJitter: ClosedRange<Int> { 3...4 }

    /// The next time, and where `count` is 2 the one after it, by what the prediction missed them: at most 64 each, and 0
    /// where there is no second.
    @inline(__always)
    mutating func jitter(_ one: Int64, _ two: Int64, count: Int) -> (Int64, Int64) {
        let first = next
        let second = first &+ step &+ (one &* 4)
        next = first &+ Int64(count) &* step &+ (one &+ two) &* 4
        return ((first >> 4) &+ one, (second >> 4) &+ two)
    }

    /// The grid of these times: the mean of the steps that are near the median of a few of them, in 1/16 ms.
    static func step(of times: borrowing Span<Int64>) -> Int64 {
        let steps = times.count - 1
        guard steps > 0 else { return 0 }
        var few: InlineArray<7, Int64> = .init(repeating: 0)
        let picked = min(7, steps)
        for pick in 0..<picked {
            let at = pick * steps / picked
            let value = times[at + 1] &- times[at]
            var place = pick
            while place > 0, few[place - 1] > value {
                few[place] = few[place - 1]
                place -= 1
            }
            few[place] = value
        }
        let median = few[picked / 2]
        guard median >= 0, median < 1 << 40 else { return 0 }
        if let mean = meanWithoutGap(times, median) { return mean }
        var sum: Int64 = 0
        var count: Int64 = 0
        var before = times[0]
        var at = 1
        while at < times.count {
            let value = times[at] &- before
            before = times[at]
            at &+= 1
            // Without a branch: jitter decides, and nobody guesses that.
            let isNear = UInt64(bitPattern: value &- median &+ 64) <= 128
            sum &+= isNear ? value : 0
            count &+= isNear ? 1 : 0
        }
        return count > 0 ? sum &* 16 / count : median &* 16
    }

    /// The mean of all steps, without a look at each: where as many as there are fill the time between the first and the
    /// last, and these two are not late. nil where they do not, or are.
    private static func meanWithoutGap(_ times: borrowing Span<Int64>, _ median: Int64) -> Int64? {
        let steps = Int64(times.count - 1)
        let length = times[times.count - 1] &- times[0]
        let (first, last) = (times[1] &- times[0], times[times.count - 1] &- times[times.count - 2])
        guard (first &- median).magnitude <= 64, (last &- median).magnitude <= 64,
            (length &- median &* steps).magnitude <= UInt64(median) / 2
        else { return nil }
        return length &* 16 / steps
    }
}
