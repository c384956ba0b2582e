import Model

/// What lies on one scale, from what it shows.
///
/// Only a change that stays counts: a weight that differs by at least a step and is shown for two seconds without the
/// scale saying that it moves. What a tare or a zero key does is no change: the net sign changes, or the scale jumps to
/// zero without having moved. A tared box that is lifted shows less than nothing; until it is back, nothing changes.
struct Pan: Hashable {
    /// How long a weight must be shown before it is believed.
    static let hold = Duration.seconds(2)

    let step: Int64
    /// What lies there, in milligrams; nil until the first weight.
    private(set) var level: Int64?
    private var candidate: Candidate?
    private var isNet: Bool?
    /// The scale tells when it moves, and it moved since its last weight.
    private var tellsMotion = false
    private var hasMoved = true

    private struct Candidate: Hashable {
        let weight: Int64
        let since: Instant
    }

    /// A change of what lies there, from when on.
    struct Change: Hashable {
        let by: Int64
        let at: Instant
    }

    init(step: Int64) { self.step = step }

    /// When the change that waits began.
    var openSince: Instant? { candidate?.since }

    /// The scale shows a weight at rest, or nil for none at all.
    mutating func show(_ weight: Int64?, at time: Instant) -> Change? {
        let change = settle(at: time)
        guard let weight, weight > -step else {
            candidate = nil
            return change
        }
        defer { hasMoved = false }
        guard let level else {
            self.level = weight
            return change
        }
        if (weight - level).magnitude < step.magnitude {
            candidate = nil
            // Near zero, drift is no pellet.
            if min(weight.magnitude, level.magnitude) < step.magnitude { self.level = weight }
        } else if tellsMotion, !hasMoved, candidate == nil, weight.magnitude < step.magnitude {
            self.level = weight
        } else if candidate.map({ (weight - $0.weight).magnitude >= step.magnitude }) ?? true {
            candidate = Candidate(weight: weight, since: time)
        }
        return change
    }

    /// Whether it says that it is at rest.
    mutating func rest(_ isAtRest: Bool, at time: Instant) -> Change? {
        guard !isAtRest else { return nil }
        let change = settle(at: time)
        tellsMotion = true
        hasMoved = true
        candidate = nil
        return change
    }

    /// Whether it shows net weight. Where that changes, it was tared.
    mutating func net(_ isNet: Bool, at time: Instant) -> Change? {
        defer { self.isNet = isNet }
        guard let before = self.isNet, before != isNet else { return nil }
        let change = settle(at: time)
        candidate = nil
        level = nil
        return change
    }

    /// A weight that has been shown for long enough by now is what lies there.
    mutating func settle(at time: Instant) -> Change? {
        guard let candidate, let level, time - candidate.since >= Self.hold else { return nil }
        self.candidate = nil
        self.level = candidate.weight
        return Change(by: candidate.weight - level, at: candidate.since)
    }
}
