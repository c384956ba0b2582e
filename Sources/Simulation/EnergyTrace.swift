import Model

/// Power over time and its exact integral. Power is constant between changes, so energy in microjoules, which is
/// milliwatts times milliseconds, is a whole number at every instant.
struct EnergyTrace: Sendable {
    /// When power changed, and the energy used until then.
    private var knots: [(time: Int64, energy: Int64)]
    /// mW since the last knot.
    private(set) var power: Int64 = 0

    init(start: Instant) { knots = [(start.milliseconds, 0)] }

    /// From `time` on, the machine draws so many mW.
    mutating func set(_ milliwatts: Int64, at time: Instant) {
        guard milliwatts != power else { return }
        knots.append((time.milliseconds, energy(at: time)))
        power = milliwatts
    }

    /// µJ from the start until `time`; before what is remembered, what it was then.
    func energy(at time: Instant) -> Int64 {
        let t = time.milliseconds
        let last = knots[knots.count - 1]
        if t >= last.time { return last.energy + (t - last.time) * power }
        var low = 0
        var high = knots.count - 1
        while high - low > 1 {
            let middle = (low + high) / 2
            if knots[middle].time <= t { low = middle } else { high = middle }
        }
        let (a, b) = (knots[low], knots[high])
        guard t > a.time else { return a.energy }
        return a.energy + (b.energy - a.energy) / (b.time - a.time) * (t - a.time)
    }

    /// Forgets what was before `time`, but for the knot that holds there.
    mutating func forget(before time: Instant) {
        let gone = knots.firstIndex { $0.time > time.milliseconds } ?? knots.count
        if gone > 1 { knots.removeFirst(gone - 1) }
    }
}

/// Microjoules in a milliwatt-hour.
let microjoulesPerMilliwattHour: Int64 = 3_600_000
