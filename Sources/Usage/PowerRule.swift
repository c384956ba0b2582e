package import Model

/// How power tells what a machine does. Between the two levels it stays as it was.
package struct PowerRule: Hashable, Sendable {
    /// Watts; at or below it the machine idles.
    package var idleBelow: Double
    /// Watts; at or above it the machine runs.
    package var runningAbove: Double
    /// Watts; below it an idle machine is switched off and not in standby.
    package var offBelow = 2.0
    /// A run must last this long without a break before it is believed; then it counts from its beginning.
    package var startAfter: Duration
    /// Quiet must last this long before a run is over; then it was over at the beginning of the quiet. Two runs with
    /// less between them are one.
    package var stopAfter: Duration
    /// A shorter run is none, breaks within it included.
    package var minimumRun = Duration.zero
    /// Wh; a run that draws less is none.
    package var minimumEnergy = 0.0

    /// The same dwell for the beginning and the end of a run.
    package init(idleBelow: Double, runningAbove: Double, dwell: Duration) {
        self.idleBelow = idleBelow
        self.runningAbove = runningAbove
        startAfter = dwell
        stopAfter = dwell
    }
}

/// Follows power through the levels of its rule: hysteresis, then the times that a change must last, then what a run
/// must amount to. A value; the same samples give the same runs, however often `advance` looks in between.
struct PowerSense: Hashable {
    /// What a machine seems to do.
    enum Activity: Hashable { case off, standby, running }

    /// A decision: from `at` on, which may lie in the past, the machine does this.
    struct Change: Hashable {
        let activity: Activity
        let at: Instant
    }

    private enum Phase: Hashable {
        /// Nothing was heard since the machine was last lost.
        case blank
        case idle
        /// Above the level, not yet for long enough.
        case rising(since: Instant)
        /// Long enough, but not yet a run; `quiet` while it pauses.
        case trial(since: Instant, quiet: Instant?)
        case running
        case falling(since: Instant)
    }

    private let common: Shared<PowerRule>
    private var rule: PowerRule { common.value }
    private var phase = Phase.blank
    private var watts = 0.0
    private var latest = Instant.distantPast
    /// Watt-milliseconds since a rise began.
    private var drawn = 0.0
    /// It ran when it was lost: until when a value between the levels says that it still does.
    private var ranUntil = Instant.distantPast

    /// A value between the levels means what it meant before, unless the machine was lost for longer.
    private static let memory = Duration.minutes(15)

    init(_ rule: PowerRule) { common = Shared(rule) }

    /// Since when a change is being weighed; nothing after it is certain.
    var hold: Instant? {
        switch phase {
        case .blank, .idle, .running: nil
        case .rising(let since), .trial(let since, _), .falling(let since): since
        }
    }

    /// When something is decided without another value; nil where only a value can change anything.
    var due: Instant? {
        switch phase {
        case .blank, .idle, .running: return nil
        case .rising(let since): return since + rule.startAfter
        case .falling(let since): return since + rule.stopAfter
        case .trial(_, let quiet?): return quiet + rule.stopAfter
        case .trial(let since, nil):
            let missing = rule.minimumEnergy * 3_600_000 - drawn
            guard missing > 0 else { return since + rule.minimumRun }
            let wait = (missing / max(watts, 0.001)).rounded(.up)
            return max(since + rule.minimumRun, latest + .milliseconds(Int64(min(wait, 1e12))))
        }
    }

    /// Whether another value of this size would change nothing.
    func isSteady(at watts: Double) -> Bool {
        let magnitude = watts.magnitude
        switch phase {
        case .running: return magnitude > rule.idleBelow
        case .idle: return magnitude < rule.runningAbove && (magnitude < rule.offBelow) == (self.watts < rule.offBelow)
        default: return false
        }
    }

    /// From `time` on nothing is known.
    mutating func forget(at time: Instant) {
        switch phase {
        case .running, .falling: ranUntil = time + Self.memory
        case .idle, .rising, .trial: ranUntil = .distantPast
        case .blank: break
        }
        phase = .blank
    }

    /// Power in W at `time`, and everything that follows by then.
    mutating func observe(_ power: Double, at time: Instant, _ decide: (Change) -> Void) {
        advance(to: time, decide)
        watts = power.magnitude
        latest = time
        let isOn = watts >= rule.runningAbove
        let isQuiet = watts <= rule.idleBelow
        switch phase {
        case .blank:
            let runs = isOn || !isQuiet && time <= ranUntil
            phase = runs ? .running : .idle
            if runs { decide(Change(activity: .running, at: time)) }
        case .idle:
            if isOn {
                drawn = 0
                phase = .rising(since: time)
            }
        case .rising: if isQuiet { phase = .idle }
        case .trial(let since, let quiet):
            if isQuiet, quiet == nil { phase = .trial(since: since, quiet: time) }
            if isOn { phase = .trial(since: since, quiet: nil) }
        case .running: if isQuiet { phase = .falling(since: time) }
        case .falling: if isOn { phase = .running }
        }
        // Where nothing has to last, it is so at once.
        advance(to: time, decide)
        if phase == .idle { decide(Change(activity: rest, at: time)) }
    }

    private var rest: Activity { watts < rule.offBelow ? .off : .standby }

    /// Decides what is due by `time`.
    mutating func advance(to time: Instant, _ decide: (Change) -> Void) {
        if hold != nil, time > latest {
            drawn += watts * Double((time - latest).milliseconds)
            latest = time
        }
        if case .rising(let since) = phase, time >= since + rule.startAfter { phase = .trial(since: since, quiet: nil) }
        switch phase {
        case .trial(let since, nil):
            if time >= since + rule.minimumRun, drawn >= rule.minimumEnergy * 3_600_000 {
                phase = .running
                decide(Change(activity: .running, at: since))
            }
        case .trial(_, let quiet?):
            if time >= quiet + rule.stopAfter {
                phase = .idle
                decide(Change(activity: rest, at: quiet))
            }
        case .falling(let since):
            if time >= since + rule.stopAfter {
                phase = .idle
                decide(Change(activity: rest, at: since))
            }
        default: break
        }
    }
}
