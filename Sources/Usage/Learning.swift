package import Model

/// Levels for a machine's power, learnt from what it drew.
package struct LearnedLevels: Hashable, Sendable {
    /// Proposed levels in W.
    package let idleBelow: Double
    package let runningAbove: Double
    /// How well two levels explain the power on a scale of ratios, 0…1: the share of its variance that lies between them.
    package let quality: Double
    /// How deep the valley between the two is, 0…1: 1 where the machine was never seen between them.
    package let valley: Double
    /// The typical power below and above, in W.
    package let low: Double
    package let high: Double

    /// Good enough to be taken without a look at the machine.
    package var isClear: Bool { quality >= 0.8 && valley >= 0.5 }
}

/// For how long a machine drew how much, on a logarithmic scale: what matters is the ratio, not the difference.
package struct PowerHistogram: Hashable, Sendable {
    /// 16 bins an octave from 0.5 W to 65 kW.
    private static let perOctave = 16.0
    private static let bins = 17 * 16
    private var time = [Double](repeating: 0, count: bins)

    package init() {}

    /// Milliseconds in all.
    package var total: Double { time.reduce(0, +) }

    package mutating func add(_ watts: Double, for length: Duration) {
        guard watts.isFinite, length > .zero else { return }
        time[Self.bin(watts)] += Double(length.milliseconds)
    }

    private static func bin(_ watts: Double) -> Int {
        let octaves = logarithm(max(0.5, watts.magnitude) / 0.5)
        return min(bins - 1, Int(octaves * perOctave))
    }

    private static func watts(_ bin: Double) -> Double { 0.5 * power(bin / perOctave) }

    /// The split that leaves the least variance on both sides (N. Otsu, 1979); nil where there is less than ten minutes
    /// or only one level.
    package func levels() -> LearnedLevels? {
        let all = total
        guard all >= 600_000 else { return nil }
        let mean = sum(0..<Self.bins) / all
        let variance = time.indices.reduce(0.0) { $0 + time[$1] * (Double($1) - mean) * (Double($1) - mean) } / all
        guard variance > 1 else { return nil }
        var best = (between: 0.0, first: 0, last: 0)
        var weight = 0.0
        var moment = 0.0
        for split in 0..<Self.bins - 1 {
            weight += time[split]
            moment += time[split] * Double(split)
            guard weight > 0, all - weight > 0 else { continue }
            let difference = moment / weight - (mean * all - moment) / (all - weight)
            let between = weight * (all - weight) / (all * all) * difference * difference
            // A gap gives the same at each of its bins: the split is its middle.
            if between > best.between * (1 + 1e-12) {
                best = (between, split, split)
            } else if between >= best.between * (1 - 1e-12) {
                best.last = split
            }
        }
        let split = (best.first + best.last) / 2
        let low = center(0...split)
        let high = center((split + 1)...(Self.bins - 1))
        guard high - low >= Self.perOctave / 2 else { return nil }
        // A third and two thirds of the way, and never closer than hysteresis needs.
        let middle = Double(best.first + best.last) / 2 + 1
        let idle = Self.watts(min(low + (high - low) / 3, middle))
        let running = max(Self.watts(max(low + (high - low) * 2 / 3, min(middle, high))), idle * 1.5, idle + 3)
        return LearnedLevels(
            idleBelow: Self.rounded(idle), runningAbove: Self.rounded(running), quality: best.between / variance,
            valley: valley(low, high), low: Self.watts(low + 0.5), high: Self.watts(high + 0.5))
    }

    private func sum(_ range: Range<Int>) -> Double { range.reduce(0) { $0 + time[$1] * Double($1) } }

    /// The mean bin of a side.
    private func center(_ range: ClosedRange<Int>) -> Double {
        let weight = range.reduce(0.0) { $0 + time[$1] }
        return range.reduce(0.0) { $0 + time[$1] * Double($1) } / max(weight, 1)
    }

    /// How little time lies in the middle third between two levels, against what lies near the lesser of them.
    private func valley(_ low: Double, _ high: Double) -> Double {
        let third = (high - low) / 3
        func near(_ from: Double, _ to: Double) -> Double {
            (max(0, Int(from.rounded(.up)))...max(0, min(Self.bins - 1, Int(to)))).reduce(0) { $0 + time[$1] }
        }
        let between = near(low + third, high - third)
        let sides = min(near(low - third, low + third), near(high - third, high + third))
        return sides > 0 ? max(0, 1 - between / sides) : 0
    }

    /// Two digits are as exact as a level can be meant.
    private static func rounded(_ watts: Double) -> Double {
        var scale = 1.0
        while watts * scale < 10 { scale *= 10 }
        while watts * scale >= 100 { scale /= 10 }
        return (watts * scale).rounded() / scale
    }

    /// To the base of 2, by halving: the pure parts have no library of functions.
    private static func logarithm(_ value: Double) -> Double {
        let whole = Double(value.exponent)
        var rest = value.significand
        var digit = 0.5
        var result = whole
        for _ in 0..<24 {
            rest *= rest
            if rest >= 2 {
                rest /= 2
                result += digit
            }
            digit /= 2
        }
        return result
    }

    private static func power(_ octaves: Double) -> Double {
        let whole = octaves.rounded(.down)
        var result = Double(sign: .plus, exponent: Int(whole), significand: 1)
        var rest = octaves - whole
        var root = 2.0.squareRoot()
        for _ in 0..<24 {
            rest *= 2
            if rest >= 1 {
                rest -= 1
                result *= root
            }
            root = root.squareRoot()
        }
        return result
    }
}
