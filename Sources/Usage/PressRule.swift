package import Model

/// How a heated press's sensors tell what it does: zones that must be hot, and shots.
package struct PressRule: Hashable, Sendable {
    /// A zone is hot from this many °C below its set value on.
    package var within: Double
    /// All zones must have been hot for this long before the press is ready.
    package var soak: Duration
    /// The press runs as long as the last shot is not older.
    package var shotsWithin: Duration
    /// A set value below this many °C means that the heater is off.
    package var offBelow: Double

    package init(
        within: Double = 5, soak: Duration = .minutes(10), shotsWithin: Duration = .minutes(15), offBelow: Double = 50
    ) {
        self.within = within
        self.soak = soak
        self.shotsWithin = shotsWithin
        self.offBelow = offBelow
    }
}

/// What the sensors of one press said last, and the state that follows. A value: the clock comes with each call.
package struct PressSensors: Hashable, Sendable {
    private let rule: PressRule
    private var zones: [Zone] = []
    private var hotSince: Instant?
    private var lastShot: Instant?

    private struct Zone: Hashable {
        let name: String
        var temperature: Double?
        var setpoint: Double?
        var isBroken = false
    }

    package init(_ rule: PressRule) { self.rule = rule }

    package mutating func temperature(_ zone: String, _ value: Double?, at time: Instant) {
        let index = place(zone)
        zones[index].temperature = value
        zones[index].isBroken = value == nil
        settle(at: time)
    }

    package mutating func setpoint(_ zone: String, _ value: Double?, at time: Instant) {
        zones[place(zone)].setpoint = value
        settle(at: time)
    }

    package mutating func shot(at time: Instant) { lastShot = max(time, lastShot ?? time) }

    /// What the zones said is old now. The last shot and the heat are remembered: a press that is found hot again was
    /// not heated up anew meanwhile.
    package mutating func forget() {
        for index in zones.indices {
            zones[index].temperature = nil
            zones[index].setpoint = nil
            zones[index].isBroken = false
        }
    }

    /// The state at `time`, and when it changes by itself if nothing else is said.
    package func state(at time: Instant) -> (MachineState, reason: String, until: Instant?) {
        guard !zones.isEmpty else { return (.unknown, "no zone has spoken", nil) }
        if let broken = zones.first(where: \.isBroken) { return (.fault, "\(broken.name) sensor", nil) }
        guard zones.allSatisfy({ $0.temperature != nil && $0.setpoint != nil }) else {
            return (.unknown, "waiting for all zones", nil)
        }
        if zones.allSatisfy({ ($0.setpoint ?? 0) < rule.offBelow }) { return (.idle, "off", nil) }
        if let lastShot, lastShot + rule.shotsWithin > time { return (.running, "shots", lastShot + rule.shotsWithin) }
        guard let hotSince else { return (.preparing, "heating", nil) }
        if hotSince + rule.soak > time { return (.preparing, "soaking", hotSince + rule.soak) }
        return (.idle, "ready", nil)
    }

    private mutating func place(_ zone: String) -> Int {
        if let index = zones.firstIndex(where: { $0.name == zone }) { return index }
        zones.append(Zone(name: zone))
        return zones.count - 1
    }

    private mutating func settle(at time: Instant) {
        var isHot = true
        for zone in zones {
            // Until all have spoken there is nothing to decide.
            guard let temperature = zone.temperature, let setpoint = zone.setpoint else { return }
            if setpoint < rule.offBelow || temperature < setpoint - rule.within { isHot = false }
        }
        hotSince = isHot ? hotSince ?? time : nil
    }
}
