package import Model

// Words used here
//   raw        what the device's counter shows, in whole quanta (mWh, shots)
//   advance    how far the counter really went on between two instants
//   quarantine a raw value that does not fit is held back until the next ones say what it was
//   correction a decision that changed what the counter alone would have said; every one is told
//   restart    the device told that it started anew

/// What a counter can do, so that an impossible step is told from a possible one.
package struct CounterRule: Hashable, Sendable {
    /// The smallest step of the source in quanta; at least 1.
    package var resolution: Int64
    /// The most that it can advance, in quanta a second.
    package var perSecond: Double
    /// A dip or a jump must last this long before it is believed.
    package var settle: Duration
    /// Where the counter begins anew at zero, in quanta; nil where it never does.
    package var wrapsAt: Int64?
    /// The source keeps the value as a float32: one part in 2^23 of it is no step that can be relied on.
    package var isFloat32: Bool

    package init(
        resolution: Int64, perSecond: Double, settle: Duration = .seconds(120), wrapsAt: Int64? = nil,
        isFloat32: Bool = false
    ) {
        self.resolution = max(1, resolution)
        self.perSecond = perSecond
        self.settle = settle
        self.wrapsAt = wrapsAt
        self.isFloat32 = isFloat32
    }

    /// An energy counter in mWh behind something that draws at most `watts`.
    package static func energy(
        watts: Double, resolution: Int64, wrapsAt: Int64? = nil, isFloat32: Bool = false
    ) -> CounterRule {
        CounterRule(
            resolution: resolution, perSecond: watts * 1000 / 3600, wrapsAt: wrapsAt, isFloat32: isFloat32)
    }

    /// The smallest step of the source where it shows `raw`.
    fileprivate func step(at raw: Int64) -> Int64 { isFloat32 ? max(resolution, raw >> 23) : resolution }

    /// What can be no step but noise of the source where it shows `raw`.
    fileprivate func slack(at raw: Int64) -> Int64 { 2 * step(at: raw) }

    /// The most that can have been counted in a length of time, up to `raw`.
    fileprivate func possible(in length: Duration, to raw: Int64) -> Double {
        perSecond * Double(max(0, length.milliseconds)) / 1000 + Double(slack(at: raw))
    }
}

/// A decision about a counter that did not simply go on.
package struct CounterCorrection: Hashable, Sendable {
    package enum Kind: String, Sendable {
        /// Went back to zero and counts again. What it shows since then was counted where it is known when it began.
        case reset
        /// Went back to a value that it had shown before, as after a power cut; nothing was counted.
        case steppedBack
        /// Ran over its end and went on from zero; what lies between was counted.
        case wrapped
        /// Shows what this counter cannot have shown before: another meter, or somebody set it; nothing was counted.
        case exchanged
        /// Went further than is possible; nothing was counted.
        case jumped
        /// Showed something else for a while and is back; what it showed meanwhile counts for nothing.
        case glitch
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
    /// Where values were held back: so much of the advance had happened when the first of them was seen.
    package var early: Early?

    package struct Early: Hashable, Sendable {
        package let advance: Int64
        package let until: Instant
    }
}

/// Follows one cumulative counter through dips, resets, steps back, wraps, jumps, exchanges, duplicates and retained
/// replays, so that what it adds up to never goes backwards and is never more than the device's own advance.
///
/// Where a value can mean two things, the one is taken that counts less: a value near zero is an old one as well as the
/// first after a reset, unless the device told when it started.
package struct CounterMeter: Hashable, Sendable {
    private let common: Shared<CounterRule>
    private var rule: CounterRule { common.value }
    private var last: Int64?
    private var lastTime = Instant.distantPast
    /// What was believed before `lastTime`: values that come in one go are judged from there.
    private var before: Past?
    /// The least value of this counter that was believed since it was first seen, exchanged or reset.
    private var lowest: Int64 = .max
    private var quarantine: Quarantine? {
        get { doubtful.first }
        set {
            if let newValue { doubtful = [newValue] } else if !doubtful.isEmpty { doubtful = [] }
        }
    }
    /// One element at most; nearly always there is none, and then it takes no room.
    private var doubtful: [Quarantine] = []
    /// The newest last; each is lower than the one before.
    private var left: [Left] = []
    /// When the device told that it had started, after the last good value.
    private var restart: Instant?
    /// The clock was set after the last good value.
    private var isTimeUnsure = false
    /// Somebody said that the next value is another meter's.
    private var isExchanged = false

    /// Further back than this no message is late any more: the clock was set. A leap over more is looked at twice.
    private static let latest = Duration.minutes(15)

    private static let mostLeft = 8
    /// Values closer together are one.
    private static let apart = Duration.milliseconds(900)

    /// Values that did not fit, as long as they agree among themselves.
    private struct Quarantine: Hashable {
        var first: Int64
        var firstTime: Instant
        var latest: Int64
        var latestTime: Instant
        var count = 1
    }

    private struct Past: Hashable {
        let value: Int64
        let time: Instant
    }

    /// Where the counter stood when it was decided that it had gone back. Should it come back there after all, what was
    /// counted since then is contained in what it shows.
    private struct Left: Hashable {
        var value: Int64
        var time: Instant
        var counted: Int64
    }

    package init(_ rule: CounterRule) { common = Shared(rule) }

    /// The last instant at which the counter was understood.
    package var knownUntil: Instant? { last == nil ? nil : lastTime }

    /// The device told that it had just started: a counter that is lower after it began from zero then.
    package mutating func restarted(at time: Instant) {
        if last != nil, time > lastTime { restart = time }
    }

    /// Times before and after now cannot be compared: how long ago the device started is not known any more.
    package mutating func clockWasSet() {
        restart = nil
        quarantine = nil
        isTimeUnsure = last != nil
    }

    /// The meter was exchanged for another: whatever comes next is a first value.
    package mutating func exchanged() { isExchanged = last != nil }

    /// The device's counter showed `raw` at `time`. nil where that adds no knowledge: a first value, one held back,
    /// one from the past.
    package mutating func observe(_ raw: Int64, at time: Instant) -> CounterStep? {
        guard raw >= 0 else { return nil }
        guard let last else {
            begin(raw, at: time)
            return nil
        }
        if isExchanged {
            let step = CounterStep(
                since: time, correction: CounterCorrection(kind: .exchanged, before: last, after: raw))
            begin(raw, at: time)
            return step
        }
        if isTimeUnsure {
            // How long it has been is not known; a value that a quarter of an hour explains needs no more.
            setClock(time - min(max(time - lastTime, .seconds(1)), Self.latest))
            isTimeUnsure = false
        }
        guard time > lastTime else {
            if time == lastTime, raw > last, quarantine == nil { return goOnAtOnce(raw, at: time, last: last) }
            noticeSetClock(raw, last: last, at: time)
            return nil
        }
        let isNext =
            fits(raw, after: last, at: lastTime, by: time) && !isOldOne(raw, last: last, at: time)
            && !leapsBack(raw, from: last)
        if isNext {
            guard let left = left.last, raw >= left.value - rule.slack(at: raw) else {
                return goOn(raw, at: time, last: last)
            }
            if isBack(raw, at: left) { return comeBack(raw, at: time, from: last) }
        }
        return hold(raw, at: time, last: last)
    }

    /// Whether a counter that stands again where it stood before it went back can have been there all the while: it then
    /// shows at least what was counted since. One that shows less has climbed there; a late message from before could
    /// say the same, so that must last to be believed.
    private func isBack(_ raw: Int64, at left: Left) -> Bool {
        raw - left.value >= left.counted - rule.slack(at: raw)
    }

    private mutating func begin(_ raw: Int64, at time: Instant) {
        before = nil
        last = raw
        lastTime = time
        lowest = raw
        quarantine = nil
        left.removeAll()
        restart = nil
        isExchanged = false
        isTimeUnsure = false
    }

    /// Whether a value can follow another: a step of jitter down, or any advance that the rate allows.
    private func fits(_ raw: Int64, after earlier: Int64, at earlierTime: Instant, by time: Instant) -> Bool {
        if raw < earlier { return earlier - raw <= rule.slack(at: earlier) }
        return Double(raw - earlier) <= rule.possible(in: time - earlierTime, to: raw)
    }

    /// After a step back, a leap to what may be a message from before it; it must last to be believed.
    private func isOldOne(_ raw: Int64, last: Int64, at time: Instant) -> Bool {
        guard let highest = left.first, raw < highest.value, time - lastTime > Self.latest else { return false }
        return Double(raw - last) > rule.possible(in: Self.latest, to: raw)
    }

    /// After a step back, a leap over most of the way to where it stood before. What a broker hands over again, because the
    /// disk refused it, begins with such a one, and what the counter shows now comes after it in the same go; a source
    /// that may draw much explains it in a minute. It counts once another value agrees.
    private func leapsBack(_ raw: Int64, from last: Int64) -> Bool {
        guard let left = left.last, raw < left.value else { return false }
        return raw - last > max((left.value - last) / 2, 10 * rule.step(at: raw))
    }

    /// A late message shows less than what is known, or the same. One that shows more and is yet older was stamped by a
    /// clock that has been set back: time goes on from there, and what it shows is counted with the next value.
    private mutating func noticeSetClock(_ raw: Int64, last: Int64, at time: Instant) {
        guard lastTime - time > Self.latest, raw > last + rule.slack(at: raw),
            Double(raw - last) <= rule.possible(in: Self.latest, to: raw)
        else { return }
        setClock(time)
        quarantine = nil
        restart = nil
    }

    /// The last good value is said to have been seen at `time`, by the clock as it goes now, and all before it as long before.
    private mutating func setClock(_ time: Instant) {
        for index in left.indices { left[index].time = time - (lastTime - left[index].time) }
        lastTime = time
        before = nil
    }

    /// Values that a broker had kept arrive at one time: what lies between them was drawn since the one before all.
    private mutating func goOnAtOnce(_ raw: Int64, at time: Instant, last: Int64) -> CounterStep? {
        guard let before, fits(raw, after: before.value, at: before.time, by: time),
            left.last.map({ raw < $0.value - rule.slack(at: raw) }) ?? true
        else { return nil }
        count(raw - last)
        self.last = raw
        return CounterStep(advance: raw - last, since: before.time)
    }

    private mutating func goOn(_ raw: Int64, at time: Instant, last: Int64) -> CounterStep {
        var step = CounterStep(advance: max(0, raw - last), since: lastTime)
        if let held = quarantine {
            step.correction = CounterCorrection(kind: .glitch, before: held.latest, after: raw)
        }
        count(step.advance)
        accept(max(raw, last), at: time)
        return step
    }

    /// The counter stands again where it stood before it went back: what was drawn since then is the difference, and
    /// what was counted meanwhile is a part of that.
    private mutating func comeBack(_ raw: Int64, at time: Instant, from last: Int64) -> CounterStep {
        var advance = Int64.max
        var highest = last
        while let place = left.last, raw >= place.value - rule.slack(at: raw) {
            advance = min(advance, max(0, raw - place.value - place.counted))
            highest = max(highest, place.value)
            left.removeLast()
        }
        let step = CounterStep(
            advance: advance, since: lastTime, correction: CounterCorrection(kind: .glitch, before: last, after: raw))
        count(advance)
        accept(max(raw, highest), at: time)
        return step
    }

    private mutating func count(_ advance: Int64) {
        for index in left.indices { left[index].counted += advance }
    }

    private mutating func accept(_ raw: Int64, at time: Instant) {
        if let last, time > lastTime { before = Past(value: last, time: lastTime) }
        last = raw
        lastTime = time
        lowest = min(lowest, raw)
        quarantine = nil
        restart = nil
    }

    /// Keeps a value that does not fit, and decides once enough of them agree for long enough.
    private mutating func hold(_ raw: Int64, at time: Instant, last: Int64) -> CounterStep? {
        guard var held = quarantine, held.latestTime - time <= Self.latest else {
            quarantine = Quarantine(first: raw, firstTime: time, latest: raw, latestTime: time)
            return nil
        }
        guard time > held.latestTime else { return nil }
        // A leap over a gap agrees with nothing, and what could have followed the last good value is no part of a step
        // back.
        guard fits(raw, after: held.latest, at: max(held.latestTime, time - Self.latest), by: time),
            fits(raw, after: last, at: lastTime, by: time)
                == fits(held.first, after: last, at: lastTime, by: held.firstTime)
        else {
            quarantine = Quarantine(first: raw, firstTime: time, latest: raw, latestTime: time)
            return nil
        }
        held.latest = max(raw, held.latest)
        // What a broker had kept comes in one go, and says no more than one value.
        if time - held.latestTime >= Self.apart { held.count += 1 }
        held.latestTime = time
        guard isSettled(held, last: last) else {
            quarantine = held
            return nil
        }
        return settle(held, last: last)
    }

    /// A slow source needs fewer values: what three of them say in two minutes, two say in five. But after a step back the
    /// second may be a message from before it; only one that stands still, or a third, tells that the counter climbs.
    private func isSettled(_ held: Quarantine, last: Int64) -> Bool {
        let lasted = held.latestTime - held.firstTime
        guard lasted >= rule.settle, held.count > 1 else { return false }
        if held.count > 2 { return true }
        let climbs = held.latest < last && held.latest - held.first > rule.slack(at: held.latest)
        return !climbs && lasted > .seconds(60)
    }

    // MARK: what it was

    private mutating func settle(_ held: Quarantine, last: Int64) -> CounterStep? {
        guard var step = decide(held, last: last) else { return nil }
        // A machine may have rested for hours since it was first seen: what it drew before that is not spread over them.
        let early = step.advance - min(step.advance, held.latest - held.first)
        if held.firstTime > step.since { step.early = CounterStep.Early(advance: early, until: held.firstTime) }
        return step
    }

    private mutating func decide(_ held: Quarantine, last: Int64) -> CounterStep? {
        let isNext = fits(held.first, after: last, at: lastTime, by: held.firstTime)
        if let left = left.last, held.first >= left.value - rule.slack(at: held.first),
            isNext
                ? isBack(held.latest, at: left)
                : fits(held.first, after: left.value, at: left.time, by: held.firstTime)
        {
            return comeBack(held.latest, at: held.latestTime, from: last)
        }
        if isNext {
            // An old value stands still; one that counts on is the counter's.
            if held.latest == held.first, isOldOne(held.first, last: last, at: held.firstTime) {
                quarantine = held
                return nil
            }
            while let place = left.last, held.latest >= place.value { left.removeLast() }
            quarantine = nil
            return goOn(held.latest, at: held.latestTime, last: last)
        }
        let (kind, begun) = judge(held, last: last)
        let growth = held.latest - held.first
        let step = CounterStep(
            advance: begun + growth, since: begun > 0 ? lastTime : held.firstTime,
            correction: CounterCorrection(kind: kind, before: last, after: held.first))
        switch kind {
        case .wrapped: left.removeAll()
        case .jumped, .glitch:
            while let place = left.last, held.latest >= place.value { left.removeLast() }
        case .reset, .steppedBack, .exchanged:
            if left.count == Self.mostLeft { left.removeFirst() }
            left.append(Left(value: last, time: lastTime, counted: 0))
        }
        count(step.advance)
        let earlier = kind == .steppedBack ? lowest : .max
        accept(held.latest, at: held.latestTime)
        lowest = min(earlier, held.first)
        return step
    }

    /// What happened, and what was counted between the last good value and the first of the new ones.
    private func judge(_ held: Quarantine, last: Int64) -> (CounterCorrection.Kind, begun: Int64) {
        if held.first > last { return (.jumped, 0) }
        let possible = rule.possible(in: held.firstTime - lastTime, to: held.first)
        if let restart, restart <= held.firstTime,
            Double(held.first) <= rule.possible(in: held.firstTime - restart, to: held.first)
        {
            return (.reset, held.first)
        }
        if let end = rule.wrapsAt, last <= end, Double(last) >= 0.95 * Double(end),
            Double(held.first) <= 0.05 * Double(end), Double(end - last + held.first) <= possible
        {
            return (.wrapped, end - last + held.first)
        }
        // Nobody said when it began. That it began is likely, but what it shows may as well be an old value.
        if Double(held.first) <= possible { return (.reset, held.first <= rule.step(at: held.first) ? held.first : 0) }
        // What a device forgets in a power cut is at most a day.
        let isOwn = Double(lowest - held.first) <= rule.possible(in: .hours(24), to: lowest)
        return (isOwn ? .steppedBack : .exchanged, 0)
    }
}
