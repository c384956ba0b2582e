package import Model
import Store
package import Usage

// What happens because time passes.

extension Hub {
    /// How far the wall clock may drift from the monotonic one between two looks before it counts as set.
    static let clockTolerance = Duration.seconds(60)

    /// A broker that is started again is back within this time. After it, its devices were out of sight all the while.
    static let brokerPatience = Duration.seconds(60)

    /// When `tick` must be called even if nothing arrives.
    package var deadline: Moment {
        var earliest = lineDeadline
        // Once a second is soon enough for silence, dwell and windows.
        if let lastTick {
            earliest = min(earliest, lastTick.moment + .seconds(1) * linkSpeed)
        } else {
            earliest = Moment(nanoseconds: 0)
        }
        return earliest
    }

    /// Time has passed.
    package mutating func tick(at now: Now) {
        noticeSetClock(at: now)
        serveLines(at: now)
        for index in devices.indices { noticeSilence(of: index, at: now) }
        if now.moment >= nextBeat {
            nextBeat = now.moment + Self.beat
            if let beatSeries { store.append(beatSeries, now.wall, .number(1)) }
        }
        for index in machines.indices {
            machines[index].usage.advance(to: horizon(of: index, at: now))
            tellState(of: index)
            tellCorrections(of: index)
            windows.changed(slots: machines[index].usage.takeDirtySlots())
        }
        tellAlerts()
        for window in windows.due(at: now) { act(.window(window)) }
        lastTick = now
    }

    /// Up to when it is known what a machine does: not beyond the moment at which its broker went away.
    private func horizon(of machine: Int, at now: Now) -> Instant {
        var horizon = now.wall
        for device in configuration.machines[machine].devices where devices[device].tellsState {
            if case .broker(let broker) = devices[device].configuration.link, devices[device].isOnline == true,
                let down = brokers[broker].downSince
            {
                horizon = min(horizon, down.wall)
            }
        }
        return horizon
    }

    /// A wall clock that jumped leaves a stretch of which nothing is known.
    private mutating func noticeSetClock(at now: Now) {
        guard let lastTick else { return }
        let passed = now.moment - lastTick.moment
        let shown = now.wall - lastTick.wall
        let jump = shown.milliseconds - passed.milliseconds
        guard jump.magnitude > (Self.clockTolerance * linkSpeed).milliseconds.magnitude else { return }
        act(.log(.warning, "the clock was set by \(jump / 1000) s; the time between is counted as unknown"))
        markBlind("clock was set", at: lastTick.wall)
    }

    /// Silence beyond the device's limit is offline, from the moment of the limit on.
    private mutating func noticeSilence(of index: Int, at now: Now) {
        guard devices[index].isOnline == true, let seen = devices[index].lastSeen else { return }
        if case .broker(let broker) = devices[index].configuration.link, let down = brokers[broker].downSince,
            now.moment - down.moment > Self.brokerPatience
        {
            return setOnline(index, false, "broker away", at: down.wall)
        }
        let limit = devices[index].configuration.silence
        if now.moment - seen.moment > limit { setOnline(index, false, "silent", at: seen.wall + limit) }
    }
}

/// Which windows are due, and which must be looked at again because their slots changed.
package struct WindowSchedule: Sendable {
    private let zone: Zone
    /// Windows that end at or before were offered.
    private var offered: [Window.Grain: Instant] = [:]
    private var changed: Set<Window> = []
    private var lastChanges = Moment(nanoseconds: .min)
    /// Windows that begin earlier cannot be computed whole any more.
    package private(set) var wholeFrom: Instant

    /// After the end of a window late words are waited for this long.
    package static func grace(_ grain: Window.Grain) -> Duration { grain == .hour ? .minutes(5) : .minutes(30) }
    /// Changed windows are looked at again this often.
    static let changesEvery = Duration.minutes(5)

    init(zone: Zone, start: Instant) {
        self.zone = zone
        wholeFrom = start
        for grain in Window.Grain.allCases { offered[grain] = start }
    }

    /// The samples reach back to `memory`; `isWhole` if there never were older ones.
    mutating func begin(memory: Instant, isWhole: Bool) {
        // The first values after a cut are no use: counters need one to start from.
        wholeFrom = isWhole ? Window.containing(memory, .day, in: zone).start : memory + .hours(1)
        for grain in Window.Grain.allCases { offered[grain] = max(memory, isWhole ? .distantPast : wholeFrom) }
    }

    mutating func changed(slots: Set<Int64>) {
        for slot in slots {
            for grain in Window.Grain.allCases {
                let window = Window.containing(Instant(milliseconds: slot), grain, in: zone)
                if let offered = offered[grain], window.end <= offered, window.start >= wholeFrom {
                    changed.insert(window)
                }
            }
        }
    }

    mutating func due(at now: Now) -> [Window] {
        var windows: [Window] = []
        for grain in Window.Grain.allCases {
            let closed = now.wall - Self.grace(grain)
            guard let since = offered[grain], closed > since else { continue }
            let ended = Window.ending(after: since, upTo: closed, grain, in: zone)
            if let last = ended.last { offered[grain] = last.end }
            windows += ended
        }
        if !changed.isEmpty,
            now.moment >= (lastChanges.nanoseconds == .min ? now.moment : lastChanges + Self.changesEvery)
        {
            lastChanges = now.moment
            windows += changed.sorted { $0.start < $1.start }
            changed.removeAll()
        }
        return windows
    }
}
