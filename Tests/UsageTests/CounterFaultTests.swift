// Whatever a plug, its network and the clocks do to a counter, no energy is invented.

import Model
import Testing
import Usage

/// What can go wrong between what was drawn and what is heard.
private enum Trouble: String, CaseIterable {
    /// A moment at zero, or at an older value.
    case dip
    /// An old value for minutes, again and again.
    case longDip
    /// Power cut: what was not written to flash is gone.
    case stepBack
    /// From zero again, and the device tells that it started.
    case reset
    /// From zero again, and nobody says so.
    case silentReset
    /// The same message twice.
    case duplicate
    /// The broker's old message once more, as if it were new.
    case replay
    /// A message that overtook others.
    case reorder
    /// The gateway's clock jumps, either way.
    case clock
    /// Nothing heard for hours.
    case gap
    /// A number far too high, once or for minutes.
    case spike
    /// Another meter in its place, which says that it is one.
    case exchange
    /// Another meter that says nothing; it shows less.
    case silentExchange
}

/// A plug as it is, and as it is heard.
private struct Plug {
    let quantum: Int64 = 1000
    let watts = 3000.0
    /// Where it begins anew; nil where it never does.
    let wrapsAt: Int64?
    private(set) var wraps: Int64 = 0
    private(set) var truth: Int64 = 0
    private(set) var faults: Int64 = 0
    private var shown: Int64
    private var flash: Int64
    private var clock: Int64 = 0
    private var shift: Int64 = 0
    private var history: [(raw: Int64, time: Int64)] = []
    private var dipUntil = 0
    private var dipValue: Int64 = 0
    private var random: SeededRandom

    /// What the gateway gets to hear.
    enum Heard {
        case value(Int64, Instant)
        case restart(Instant)
        /// The hub notices that by its monotonic clock.
        case clockSet
        case exchanged
    }

    init(seed: UInt64, wrapsAt: Int64? = nil) {
        random = SeededRandom(seed)
        self.wrapsAt = wrapsAt
        shown = Int64.random(in: 0..<min(30_000_000, wrapsAt ?? .max), using: &random)
        flash = shown
    }

    private func raw(_ value: Int64) -> Int64 { value / quantum * quantum }

    mutating func step(_ index: Int, _ troubles: [Trouble]) -> [Heard] {
        let every = Int64.random(in: 5...15, using: &random)
        pass(every)
        // A device that starts again can have kept only what it had already shown.
        if index % 500 == 0 { flash = raw(shown) }
        var heard: [Heard] = []
        if Int.random(in: 0..<60, using: &random) == 0, let trouble = troubles.randomElement(using: &random) {
            heard += strike(trouble, index)
        }
        let said = index < dipUntil ? dipValue : raw(shown)
        history.append((said, clock))
        if history.count > 400 { history.removeFirst() }
        return heard + [.value(said, now)]
    }

    private var now: Instant { Instant(milliseconds: 1_800_000_000_000 + (clock + shift) * 1000) }

    private mutating func pass(_ seconds: Int64) {
        let drawn = Int64(Double(seconds) * Double.random(in: 0...watts, using: &random) / 3.6)
        truth += drawn
        shown += drawn
        clock += seconds
        if let wrapsAt, shown >= wrapsAt {
            shown -= wrapsAt
            wraps += 1
        }
    }

    private mutating func strike(_ trouble: Trouble, _ index: Int) -> [Heard] {
        faults += 1
        switch trouble {
        case .dip:
            dipUntil = index + Int.random(in: 1...4, using: &random)
            dipValue =
                Bool.random(using: &random) ? 0 : raw(max(0, shown - Int64.random(in: 0...2_000_000, using: &random)))
        case .longDip:
            dipUntil = index + Int.random(in: 20...120, using: &random)
            dipValue = Bool.random(using: &random) ? 0 : min(raw(shown), history.first?.raw ?? 0)
        case .stepBack: shown = flash
        case .reset, .silentReset:
            shown = 0
            flash = 0
            // It counts already before it is heard.
            let started = now
            pass(Int64.random(in: 1...60, using: &random))
            if trouble == .reset { return [.restart(started)] }
        case .duplicate: return history.last.map { [.value($0.raw, now), .value($0.raw, now)] } ?? []
        case .replay: return history.randomElement(using: &random).map { [.value($0.raw, now)] } ?? []
        case .reorder:
            return history.suffix(5).shuffled(using: &random).map {
                .value($0.raw, Instant(milliseconds: 1_800_000_000_000 + ($0.time + shift) * 1000))
            }
        case .clock:
            shift += Int64.random(in: -100_000...100_000, using: &random)
            return [.clockSet]
        case .gap: pass(Int64.random(in: 600...20_000, using: &random))
        case .spike:
            dipUntil = index + (Bool.random(using: &random) ? 1 : Int.random(in: 2...60, using: &random))
            // Each beyond what could be drawn since the one before.
            dipValue = raw(shown) + faults * 1_000_000_000
        case .exchange:
            shown = Int64.random(in: 0..<min(30_000_000, wrapsAt ?? .max), using: &random)
            flash = shown
            // What the one before had said is nobody's word any more.
            history.removeAll()
            dipUntil = index
            return [.exchanged]
        case .silentExchange:
            shown = Int64.random(in: shown / 4...shown / 2, using: &random)
            flash = shown
            dipUntil = index
        }
        return []
    }
}

@Suite struct CounterFaultTests {
    /// Feeds a plug's day with such troubles to a meter; what it counted, and the plug.
    private func day(
        _ troubles: [Trouble], seed: UInt64, steps: Int = 3000, wrapsAt: Int64? = nil
    ) -> (counted: Int64, plug: Plug) {
        var plug = Plug(seed: seed, wrapsAt: wrapsAt)
        var meter = CounterMeter(
            .energy(watts: plug.watts * 1.25, resolution: plug.quantum, wrapsAt: plug.wrapsAt))
        var counted: Int64 = 0
        for index in 0..<steps {
            for heard in plug.step(index, troubles) {
                switch heard {
                case .restart(let time): meter.restarted(at: time)
                case .clockSet: meter.clockWasSet()
                case .exchanged: meter.exchanged()
                case .value(let raw, let time):
                    guard let step = meter.observe(raw, at: time) else { continue }
                    #expect(step.advance >= 0, "seed \(seed)")
                    if let early = step.early {
                        let isWithin = early.until > step.since && early.until <= time
                        #expect(isWithin && (0...step.advance).contains(early.advance), "seed \(seed): \(step)")
                    }
                    counted += step.advance
                }
            }
        }
        return (counted, plug)
    }

    /// One step of the counter for each fault, and one for the first value, which lies within a step.
    private func bound(_ plug: Plug) -> Int64 { plug.truth + plug.quantum * (1 + plug.faults + plug.wraps) }

    @Test(arguments: Trouble.allCases, UInt64(0)..<20)
    fileprivate func neverMoreThanTheTruth(_ trouble: Trouble, seed: UInt64) {
        let (counted, plug) = day([trouble], seed: seed)
        #expect(counted <= bound(plug), "\(trouble), seed \(seed): \(counted) of \(plug.truth), \(plug.faults) faults")
    }

    /// All but a meter that is exchanged without a word: one that shows less, seen first after a value of zero and hours of
    /// silence, cannot be told from one that began at zero and drew all of that.
    @Test(arguments: UInt64(0)..<150) func neverMoreThanTheTruthWithEverything(seed: UInt64) {
        let (counted, plug) = day(Trouble.allCases.filter { $0 != .silentExchange }, seed: seed)
        #expect(counted <= bound(plug), "seed \(seed): \(counted) mWh of \(plug.truth), \(plug.faults) faults")
    }

    /// A counter that begins anew at its end goes on there, whatever else its messages go through.
    @Test(arguments: UInt64(0)..<40) func aCounterThatRunsOverItsEndIsFollowed(seed: UInt64) {
        let troubles: [Trouble] = [.dip, .duplicate, .replay, .reorder, .spike, .exchange]
        let (counted, plug) = day(seed % 2 == 0 ? [] : troubles, seed: seed, wrapsAt: 4_000_000)
        #expect(counted <= bound(plug), "seed \(seed): \(counted) mWh of \(plug.truth), \(plug.faults) faults")
        // Values after the end are held back until they have settled.
        guard seed % 2 == 0 else { return }
        #expect(plug.wraps >= 2 && counted >= plug.truth - 200_000, "seed \(seed): \(counted) of \(plug.truth)")
    }

    /// A float32 that shows hundreds of MWh goes on in steps of many Wh: none of them is a jump, nothing is lost and
    /// nothing is invented beyond the step at hand.
    @Test(arguments: UInt64(0)..<20) func stepsOfAFloatAreNoJumps(seed: UInt64) {
        var random = SeededRandom(seed)
        let base = Double.random(in: 100_000...900_000, using: &random)
        var meter = CounterMeter(.energy(watts: 3700, resolution: 1000, isFloat32: true))
        var truth = 0.0
        var counted: Int64 = 0
        var time = Instant(milliseconds: 1_800_000_000_000)
        var shown = (0, 0)
        for step in 0..<5000 {
            time = time + .seconds(5)
            truth += Double.random(in: 0...3700, using: &random) * 5 / 3600
            let kilowattHours = Float(base + truth / 1000)
            let raw = Int64((Double(kilowattHours) * 1e6).rounded())
            shown = (step == 0 ? Int(raw) : shown.0, Int(raw))
            guard let found = meter.observe(raw, at: time) else { continue }
            #expect(found.advance >= 0 && found.correction == nil, "seed \(seed), step \(step): \(found)")
            counted += found.advance
        }
        #expect(counted == Int64(shown.1 - shown.0), "seed \(seed)")
        let ulp = Float(base).ulp
        #expect((Double(counted) / 1e6 - truth / 1000).magnitude <= Double(2 * ulp), "seed \(seed)")
    }

    /// After a fall, a leap over a gap may be an old value, and is believed when the counter goes on; a machine that rests
    /// in between has drawn it before it was seen first.
    @Test(arguments: UInt64(0)..<20) func whatWasHeldBackIsBookedWhereItWasDrawn(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let start = Instant(milliseconds: 1_800_000_000_000)
        let plug = UsageRule(source: .none, energy: [.energy(watts: 3000, resolution: 1000)])
        var usage = MachineUsage(plug, start: start)
        var (time, raw) = (start + .seconds(5), Int64(20_000_000))
        func say(_ usage: inout MachineUsage, _ count: Int, _ growth: Int64) {
            for _ in 0..<count {
                usage.observe(energy: raw, counter: 0, at: time)
                usage.advance(to: time)
                raw += growth
                time = time + .seconds(10)
            }
        }
        say(&usage, 30, 1000)
        raw -= 15_000_000
        say(&usage, 60, 1000)
        // Half an hour of silence at most of what it can draw, an hour and more of rest, and work again.
        let leap = Int64.random(in: 1_100_000...1_400_000, using: &random)
        let silent = time - .seconds(10)
        time = time + .minutes(30)
        raw += leap
        let seen = time
        say(&usage, 360 + Int.random(in: 0..<100, using: &random), 0)
        let resumed = time
        raw += 1000
        say(&usage, 60, 1000)
        let slots = usage.slots
        let before = slots.sum(from: .distantPast, to: seen.floor(to: Slot.length) + Slot.length).energy
        let rest = slots.sum(
            from: seen.floor(to: Slot.length) + Slot.length, to: resumed.floor(to: Slot.length)
        ).energy
        // No more than the step that is under way.
        #expect(rest < 1000, "seed \(seed): \(rest) mWh while it rested from \(seen) to \(resumed)")
        #expect(before >= leap, "seed \(seed): \(before) of \(leap) since \(silent)")
    }

    /// What loses nothing on the plug loses nothing here: all but the last step is counted.
    @Test(arguments: [Trouble.dip, .duplicate, .replay, .reorder, .gap], UInt64(0)..<20)
    fileprivate func nothingIsLostWhereThePlugLostNothing(_ trouble: Trouble, seed: UInt64) {
        let (counted, plug) = day([trouble], seed: seed)
        // A dip may be under way at the end.
        #expect(counted >= plug.truth - 100_000, "\(trouble), seed \(seed): \(counted) mWh of \(plug.truth)")
    }
}
