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
    /// A zone that rises this many °C above its set value, and stays there for `tooHotFor`, is out of control.
    package var tooHot: Double
    package var tooHotFor: Duration
    /// A controller's alarm is a fault of its zone.
    package var alarmsAreFaults: Bool
    /// One of the devices counts shots: while it is silent, a hot press may be running.
    package var countsShots: Bool

    package init(
        within: Double = 5, soak: Duration = .minutes(10), shotsWithin: Duration = .minutes(15), offBelow: Double = 50,
        tooHot: Double = 30, tooHotFor: Duration = .minutes(1), alarmsAreFaults: Bool = false, countsShots: Bool = false
    ) {
        self.within = within
        self.soak = soak
        self.shotsWithin = shotsWithin
        self.offBelow = offBelow
        self.tooHot = tooHot
        self.tooHotFor = tooHotFor
        self.alarmsAreFaults = alarmsAreFaults
        self.countsShots = countsShots
    }
}

/// What the sensors of one press said last, and the state that follows. A value: the clock comes with each call.
package struct PressSensors: Hashable, Sendable {
    private let rule: PressRule
    private var zones: [Zone] = []
    private var hotSince: Instant?
    private var lastShot: Instant?
    /// The device that counts shots is there.
    private var hearsShots = false

    private struct Zone: Hashable {
        let name: String
        var temperature: Double?
        var setpoint: Double?
        var isBroken = false
        var hasAlarm = false
        /// It was in order under this set value: what is hot because the set value was lowered is not out of control.
        var wasInOrder = false
        var tooHotSince: Instant?

        var isKnown: Bool { temperature != nil && setpoint != nil }
    }

    package init(_ rule: PressRule) { self.rule = rule }

    /// Those that ever spoke.
    package var zoneNames: [String] { zones.map(\.name) }

    package mutating func temperature(_ zone: String, _ value: Double?, at time: Instant) {
        let index = place(zone)
        zones[index].temperature = value
        zones[index].isBroken = value == nil
        watch(index, at: time)
        settle(at: time)
    }

    package mutating func setpoint(_ zone: String, _ value: Double?, at time: Instant) {
        let index = place(zone)
        if zones[index].setpoint != value { zones[index].wasInOrder = false }
        zones[index].setpoint = value
        watch(index, at: time)
        settle(at: time)
    }

    package mutating func alarm(_ zone: String, _ isOn: Bool, at time: Instant) { zones[place(zone)].hasAlarm = isOn }

    package mutating func shot(at time: Instant) { lastShot = max(time, lastShot ?? time) }

    /// The device that counts shots spoke.
    package mutating func counts(at time: Instant) { hearsShots = true }

    /// What these zones said is old now, and shots may be made unseen.
    package mutating func silence(of names: [String], shots: Bool) {
        for index in zones.indices where names.contains(zones[index].name) {
            zones[index] = Zone(name: zones[index].name)
        }
        if shots { hearsShots = false }
    }

    /// Everything is old now. The last shot and the heat are remembered: a press that is found hot again was not heated
    /// up anew meanwhile.
    package mutating func forget() { silence(of: zones.map(\.name), shots: true) }

    /// The state at `time`, and when it changes by itself if nothing else is said.
    package func state(at time: Instant) -> (MachineState, reason: String, until: Instant?) {
        let state = work(at: time)
        let next = zones.compactMap(\.tooHotSince).map { $0 + rule.tooHotFor }.filter { $0 > time }.min()
        guard let next else { return state }
        return (state.0, state.reason, min(next, state.until ?? next))
    }

    private func work(at time: Instant) -> (MachineState, reason: String, until: Instant?) {
        guard !zones.isEmpty else { return (.unknown, "no zone has spoken", nil) }
        if let reason = fault(at: time) { return (.fault, reason, nil) }
        let isWhole = zones.allSatisfy(\.isKnown)
        if isWhole, zones.allSatisfy({ ($0.setpoint ?? 0) < rule.offBelow }) { return (.idle, "off", nil) }
        // A zone that fell silent is a quantity that is not known; shots still tell that the press works.
        if zones.contains(where: \.isKnown), let lastShot, lastShot + rule.shotsWithin > time {
            return (.running, "shots", lastShot + rule.shotsWithin)
        }
        guard isWhole else {
            let silent = zones.first { !$0.isKnown }?.name ?? ""
            return (.unknown, zones.contains(where: \.isKnown) ? "\(silent) is silent" : "waiting for all zones", nil)
        }
        guard let hotSince else { return (.preparing, "heating", nil) }
        if hotSince + rule.soak > time { return (.preparing, "soaking", hotSince + rule.soak) }
        if rule.countsShots, !hearsShots { return (.unknown, "shot counter is silent", nil) }
        return (.idle, "ready", nil)
    }

    private func fault(at time: Instant) -> String? {
        if let zone = zones.first(where: \.isBroken) { return "\(zone.name) sensor" }
        if rule.alarmsAreFaults, let zone = zones.first(where: \.hasAlarm) { return "\(zone.name) alarm" }
        let hot = zones.first { $0.tooHotSince.map { $0 + rule.tooHotFor <= time } ?? false }
        return hot.map { "\($0.name) too hot" }
    }

    private mutating func place(_ zone: String) -> Int {
        if let index = zones.firstIndex(where: { $0.name == zone }) { return index }
        zones.append(Zone(name: zone))
        return zones.count - 1
    }

    private mutating func watch(_ index: Int, at time: Instant) {
        guard let temperature = zones[index].temperature, let setpoint = zones[index].setpoint,
            setpoint >= rule.offBelow
        else { return zones[index].tooHotSince = nil }
        if temperature <= setpoint + rule.tooHot {
            zones[index].wasInOrder = true
            zones[index].tooHotSince = nil
        } else if zones[index].wasInOrder {
            zones[index].tooHotSince = zones[index].tooHotSince ?? time
        }
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
