package import Model

// Words used here
//   raw        what the device's counter shows, in whole quanta (mWh, shots)
//   advance    how far the counter really went on between two instants
//   quarantine a raw value that does not fit is held back until the next ones say what it was
//   correction a decision that changed what the counter alone would have said; every one is told

/// What a counter can do, so that an impossible step is told from a possible one.
package struct CounterRule: Hashable, Sendable {
    /// The smallest step of the source in quanta; at least 1.
    package var resolution: Int64
    /// The most that it can advance, in quanta a second.
    package var perSecond: Double
    /// A dip or a jump must last this long before it is believed.
    package var settle: Duration

    package init(resolution: Int64, perSecond: Double, settle: Duration = .seconds(120)) {
        self.resolution = max(1, resolution)
        self.perSecond = perSecond
        self.settle = settle
    }

    /// An energy counter in mWh behind something that draws at most `watts`.
    package static func energy(watts: Double, resolution: Int64) -> CounterRule {
        CounterRule(resolution: resolution, perSecond: watts * 1000 / 3600)
    }
}

/// A decision about a counter that did not simply go on.
package struct CounterCorrection: Hashable, Sendable {
    package enum Kind: String, Sendable {
        /// Went back to zero and counts again; what it shows since then was counted.
        case reset
        /// Went back to an earlier value, as after a power cut; nothing was counted.
        case steppedBack
        /// Went further than is possible; nothing was counted.
        case jumped
    }
    package let kind: Kind
    package let before: Int64
    package let after: Int64
}

/// What one raw value added.
package struct CounterStep: Hashable, Sendable {
    /// Quanta, never negative.
    package var advance: Int64 = 0
    /// The advance happened after this instant, until the observed one.
    package var since: Instant
    package var correction: CounterCorrection?
}

/// Follows one cumulative counter through dips, resets, steps back, jumps, duplicates and retained replays, so that
/// what it adds up to never goes backwards and is never more than the device's own advance.
package struct CounterMeter: Hashable, Sendable {
    private let rule: CounterRule
    private var last: Int64?
    private var lastTime = Instant.distantPast
    private var quarantine: Quarantine?

    /// Values that did not fit, as long as they agree among themselves.
    private struct Quarantine: Hashable {
        var first: Int64
        var firstTime: Instant
        var latest: Int64
        var latestTime: Instant
        var count = 1
    }

    package init(_ rule: CounterRule) { self.rule = rule }

    /// The last instant at which the counter was understood.
    package var knownUntil: Instant? { last == nil ? nil : lastTime }

    /// The device's counter showed `raw` at `time`. nil where that adds no knowledge: a first value, one held back,
    /// one from the past.
    package mutating func observe(_ raw: Int64, at time: Instant) -> CounterStep? {
        guard raw >= 0 else { return nil }
        guard let last else {
            self.last = raw
            lastTime = time
            return nil
        }
        guard time > lastTime else { return nil }
        if fits(raw, after: last, at: lastTime, by: time) {
            quarantine = nil
            let step = CounterStep(advance: max(0, raw - last), since: lastTime)
            self.last = max(raw, last)
            lastTime = time
            return step
        }
        return hold(raw, at: time, last: last)
    }

    /// Whether a value can follow another: a step of jitter down, or any advance that the rate allows.
    private func fits(_ raw: Int64, after earlier: Int64, at earlierTime: Instant, by time: Instant) -> Bool {
        let slack = 2 * rule.resolution
        if raw < earlier { return earlier - raw <= slack }
        let most = rule.perSecond * Double((time - earlierTime).milliseconds) / 1000
        return Double(raw - earlier) <= most + Double(slack)
    }

    /// Keeps a value that does not fit, and decides once enough of them agree for long enough.
    private mutating func hold(_ raw: Int64, at time: Instant, last: Int64) -> CounterStep? {
        guard var held = quarantine, time > held.latestTime else {
            if quarantine == nil { quarantine = Quarantine(first: raw, firstTime: time, latest: raw, latestTime: time) }
            return nil
        }
        guard fits(raw, after: held.latest, at: held.latestTime, by: time) else {
            quarantine = Quarantine(first: raw, firstTime: time, latest: raw, latestTime: time)
            return nil
        }
        held.latest = max(raw, held.latest)
        held.latestTime = time
        held.count += 1
        let lasted = held.latestTime - held.firstTime
        // A slow source needs fewer values: what three of them say in two minutes, two say in five.
        guard lasted >= rule.settle, held.count >= (lasted / Int64(held.count - 1) > .seconds(60) ? 2 : 3) else {
            quarantine = held
            return nil
        }
        quarantine = nil
        let (kind, counted) = decide(held, last: last)
        let step = CounterStep(
            advance: counted, since: kind == .reset ? lastTime : held.firstTime,
            correction: CounterCorrection(kind: kind, before: last, after: held.first))
        self.last = held.latest
        lastTime = time
        return step
    }

    private func decide(_ held: Quarantine, last: Int64) -> (CounterCorrection.Kind, Int64) {
        let growth = held.latest - held.first
        if held.first > last { return (.jumped, growth) }
        // From zero again: what it shows can have been drawn since the last good value. Otherwise an older value came
        // back, and what was drawn meanwhile is not known.
        let possible = rule.perSecond * Double((held.firstTime - lastTime).milliseconds) / 1000
        if Double(held.first) <= possible + Double(2 * rule.resolution) { return (.reset, held.first + growth) }
        return (.steppedBack, growth)
    }
}
