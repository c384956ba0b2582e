package import Model
import Store
package import Usage

// What happens because time passes.

extension Hub {
    /// The word by which a stored mark tells that case from others.
    static let clockReason = "clock was set"

    /// A broker that is started again is back within this time. After it, its devices were out of sight all the while.
    static let brokerPatience = Duration.seconds(60)

    /// When `tick` must be called even if nothing arrives: when the first of what time alone brings is due, and at once
    /// where something arrived that is to be told.
    package var deadline: Moment {
        var due = due
        due.links = linkDeadline
        return due.earliest(orAtOnce: touched.isEmpty && !alertsMayDiffer ? nil : lastLook.moment)
    }

    /// Ticks if it is time to; when it is time again. Mutating, and asks no property of the hub that is computed, so that
    /// nobody copies a hub to ask it that.
    package mutating func tickIfDue(at now: Now) -> Moment {
        let earliest = findDeadline()
        guard now.moment >= earliest else { return earliest }
        tick(at: now)
        return findDeadline()
    }

    private mutating func findDeadline() -> Moment {
        findLinkDeadline()
        return due.earliest(orAtOnce: touched.isEmpty && !alertsMayDiffer ? nil : lastLook.moment)
    }

    /// The first moment that is later than `moment` by more than `length`.
    static func after(_ moment: Moment, _ length: Duration) -> Moment { moment + length + .milliseconds(1) }

    /// What follows from time alone comes before what arrives now, so that nothing depends on when somebody looked.
    mutating func look(at now: Now) {
        noticeSetClock(at: now)
        if now.moment >= due.silence { noticeSilence(at: now) }
        if now.wall >= nextTerm { changeTerms(at: now) }
        lastLook = now
    }

    /// Something was said about a machine.
    mutating func touch(_ machine: Int) {
        guard !machines[machine].isTouched else { return }
        machines[machine].isTouched = true
        touched.append(machine)
    }

    mutating func touchAll() {
        for machine in machines.indices { touch(machine) }
    }

    /// Time has passed, or something arrived. Costs what is due.
    package mutating func tick(at now: Now) {
        if let begin = due.memory, now.moment >= begin { rememberSlice(memorySlice, at: now) }
        look(at: now)
        serveLinks(at: now)
        if now.moment >= due.beat {
            due.beat = now.moment + Self.beat
            if let beatSeries { store.append(beatSeries, now.wall, .number(1)) }
            keepMemories(at: now.wall)
            noteClock(at: now)
            if beats % (Self.mouldNoteEvery.milliseconds / Self.beat.milliseconds) == 0 { noteMoulds(at: now.wall) }
            // Two accounts of mass drift apart, or meet, without a word of anybody, but not within a minute.
            if beats % 5 == 0 { alertsMayDiffer = true }
            beats += 1
        }
        if now.moment >= due.machines {
            due.machines = .never
            for index in machines.indices {
                if machines[index].due <= now.moment {
                    touch(index)
                } else {
                    due.machines = min(due.machines, machines[index].due)
                }
            }
        }
        if now.moment >= due.windows { book(at: now) } else { tellTouched(at: now) }
        guard !isBeforeUsage else { return tellAlerts() }
        if now.moment >= due.mending { mendSlice(memorySlice, at: now) }
        if now.moment >= min(due.order, due.windows) { keepOrder(at: now) }
        if let again = windows.changesDue { due.windows = min(due.windows, again) }
        if now.moment >= due.windows {
            for window in windows.due(at: now) { offer(window) }
            due.windows = windows.next(after: now)
        }
        tellAlerts()
    }

    /// A window is closed, or may say something else than before.
    mutating func offer(_ window: Window) {
        if window.grain == .day { writeDay(window) }
        act(.window(window))
    }

    /// Books every machine's time up to now, for who looks at it; otherwise that happens when a window closes.
    package mutating func settle(at now: Now) {
        rememberNow(at: now)
        look(at: now)
        book(at: now)
    }

    private mutating func book(at now: Now) {
        for index in machines.indices {
            machines[index].usage.advance(to: horizon(of: index, at: now))
            touch(index)
        }
        tellTouched(at: now)
    }

    /// Says what is new about the machines that something was said about, and when they change by themselves.
    private mutating func tellTouched(at now: Now) {
        guard !isRemembering else { return }
        for index in touched {
            machines[index].isTouched = false
            tellTouched(index, at: now)
            guard !isBeforeUsage else { continue }
            noteOrder(of: index, at: now)
            noteSlots(of: index)
        }
        touched.removeAll(keepingCapacity: true)
    }

    /// The same of one machine.
    mutating func tellTouched(_ index: Int, at now: Now) {
        var due = Moment.never
        var glance = machines[index].usage.glance()
        if let change = glance.nextChange {
            if change <= now.wall {
                machines[index].usage.advance(to: horizon(of: index, at: now))
                glance = machines[index].usage.glance()
            }
            // Where nothing is known beyond a horizon, nothing changes until that is known.
            if let change = glance.nextChange, change > now.wall, change < .distantFuture {
                due = now.moment + (change - now.wall)
            }
        }
        noticeContradiction(of: index, since: glance.disagreesSince, &due, at: now)
        machines[index].due = due
        self.due.machines = min(self.due.machines, due)
        tellState(of: index, glance)
        if glance.lastEvent != machines[index].lastCorrection { tellCorrections(of: index) }
    }

    /// A machine whose word and meter have contradicted each other for long enough is an alert.
    private mutating func noticeContradiction(of index: Int, since: Instant?, _ due: inout Moment, at now: Now) {
        var disagrees = false
        if let since {
            let end = since + configuration.machines[index].disagreesAfter
            disagrees = end <= now.wall
            if !disagrees { due = min(due, now.moment + (end - now.wall)) }
        }
        guard disagrees != machines[index].disagrees else { return }
        machines[index].disagrees = disagrees
        alertsMayDiffer = true
    }

    /// Up to when it is known what a machine does: not beyond the moment at which its broker went away.
    private func horizon(of machine: Int, at now: Now) -> Instant {
        var horizon = now.wall
        for device in configuration.machines[machine].devices
        where devices[device].teller != nil && devices[device].machine == machine {
            if case .broker(let broker) = devices[device].configuration.link, devices[device].isOnline == true,
                !answersOverHTTP(device), let down = brokers[broker].downSince
            {
                horizon = min(horizon, down.wall)
            }
        }
        return horizon
    }

    /// A wall clock that jumped leaves a stretch of which nothing is known.
    private mutating func noticeSetClock(at now: Now) {
        let passed = now.moment - lastLook.moment
        let shown = now.wall - lastLook.wall
        let jump = shown.milliseconds - passed.milliseconds
        guard jump.magnitude > (TimeKeeper.tolerance * linkSpeed).milliseconds.magnitude else { return }
        act(.log(.warning, "the clock was set by \(jump / 1000) s; the time between is counted as unknown"))
        // At both ends: sorted by time, what was stamped by the other clock may lie between what was not.
        markBlind(Self.clockReason, at: lastLook.wall)
        markBlind(Self.clockReason, at: now.wall)
        due.windows = now.moment
    }

    /// Silence beyond a device's limit is offline, from the moment of the limit on. What ended first is told first.
    private mutating func noticeSilence(at now: Now) {
        due.silence = .never
        var ended: [Ended] = []
        for index in devices.indices {
            guard devices[index].isOnline == true else { continue }
            if !devices[index].validities.isEmpty { noticeOutdated(index, &ended, at: now) }
            guard let seen = devices[index].lastSeen else { continue }
            if case .broker(let broker) = devices[index].configuration.link, let down = brokers[broker].downSince,
                !answersOverHTTP(index)
            {
                let patience = Self.after(down.moment, Self.brokerPatience)
                if now.moment >= patience {
                    ended.append(Ended(since: down.wall, device: index, channel: nil, reason: "broker away"))
                    continue
                }
                due.silence = min(due.silence, patience)
            }
            let limit = devices[index].configuration.silence
            let end = Self.after(seen.moment, limit)
            if now.moment >= end {
                ended.append(Ended(since: seen.wall + limit, device: index, channel: nil, reason: "silent"))
            } else {
                due.silence = min(due.silence, end)
            }
        }
        for end in ended.sorted(by: { $0.isBefore($1) }) {
            if let channel = end.channel {
                tellOutdated(channel, of: end.device, at: end.since)
            } else {
                setOnline(end.device, false, end.reason, at: end.since)
            }
        }
    }

    /// What was true up to a moment: a device's presence, or one of its values.
    private struct Ended {
        let since: Instant
        let device: Int
        let channel: Int?
        let reason: String

        func isBefore(_ other: Ended) -> Bool {
            (since, device, channel ?? .max) < (other.since, other.device, other.channel ?? .max)
        }
    }

    // MARK: values that go out of date

    /// A device says how long a value of its is true.
    mutating func keep(_ validity: Outbox.Validity, of index: Int, at now: Now) {
        let before = devices[index].validities.first { $0.channel == validity.channel }
        devices[index].validities.removeAll { $0.channel == validity.channel }
        guard let length = validity.length else { return }
        let latest = devices[index].latest[validity.channel]?.value
        devices[index].validities.append(
            ValueLife(
                channel: validity.channel, length: length,
                heard: before?.heard ?? (latest == nil || latest == .unknown ? nil : now)))
        due.silence = min(due.silence, now.moment)
    }

    /// A value was heard; what is said to be unknown cannot go out of date.
    mutating func renew(_ reading: borrowing Reading, of index: Int, at now: Now) {
        for life in devices[index].validities.indices
        where devices[index].validities[life].channel == reading.channel {
            devices[index].validities[life].heard = reading.value == .unknown ? nil : now
            due.silence = min(due.silence, Self.after(now.moment, devices[index].validities[life].length))
        }
    }

    private mutating func noticeOutdated(_ index: Int, _ ended: inout [Ended], at now: Now) {
        for place in devices[index].validities.indices {
            let life = devices[index].validities[place]
            guard let heard = life.heard else { continue }
            let end = Self.after(heard.moment, life.length)
            guard now.moment >= end else {
                due.silence = min(due.silence, end)
                continue
            }
            devices[index].validities[place].heard = nil
            ended.append(Ended(since: heard.wall + life.length, device: index, channel: life.channel, reason: ""))
        }
    }

    /// A value is not true any more, as if the device had said that it does not know.
    private mutating func tellOutdated(_ channel: Int, of index: Int, at time: Instant) {
        // It may have gone offline before in the same look; then everything of it is unknown.
        guard devices[index].isOnline == true else { return }
        devices[index].latest.hear(.unknown, on: channel, at: time)
        if let series = devices[index].series[channel] {
            put(series, time, .unknown)
            tally.marks += 1
        }
        apply(.unknown, channel: channel, device: index, at: time)
        tell(Reading(channel: channel, value: .unknown, time: time), of: index, at: time)
    }
}

/// Which windows are due, and which must be looked at again because their slots changed.
package struct WindowSchedule: Sendable {
    private let zone: Zone
    /// Windows that end at or before were offered.
    private var offered: [Window.Grain: Instant] = [:] {
        didSet { lastOffered = offered.values.max()?.milliseconds ?? .min }
    }
    /// The latest of them.
    private var lastOffered = Int64.min
    private var changed: Set<Window> = []
    private var lastChanges = Moment(nanoseconds: .min)
    /// Windows that begin earlier cannot be computed whole any more.
    package private(set) var wholeFrom: Instant

    /// After the end of a window late words are waited for this long.
    package static func grace(_ grain: Window.Grain) -> Duration { grain == .hour ? .minutes(5) : .minutes(30) }
    /// Changed windows are looked at again this often.
    static let changesEvery = Duration.minutes(5)

    /// A window is final this long after its end: no later change is to be expected, and none is told.
    package let finalAfter: Duration
    /// Windows that end at or before were told as final.
    private var finished: [Window.Grain: Instant] = [:]

    init(zone: Zone, finalAfter: Duration, start: Instant) {
        self.zone = zone
        self.finalAfter = finalAfter
        wholeFrom = start
        for grain in Window.Grain.allCases {
            offered[grain] = start
            finished[grain] = start
        }
    }

    /// The samples reach back to `memory`; `isWhole` if there never were older ones. `newest` is the last of them, and
    /// `slots` the first thing that the store's slots tell.
    mutating func begin(memory: Instant, isWhole: Bool, newest: Instant, slots: Instant?) {
        // The first values after a cut are no use: counters need one to start from.
        wholeFrom = isWhole ? Window.containing(memory, .day, in: zone).start : memory + .hours(1)
        // What may have changed unseen when the gateway ended is looked at again, most of which is no news: all that memory
        // computes, and what had just ended. Older windows stand in slots that nothing changes; what the city lacks of
        // them it tells.
        let open = min(memory, newest - .hours(3))
        // Beside that, windows that became final while nobody was there.
        let final = newest - finalAfter - .hours(48)
        let least = slots ?? max(memory, isWhole ? .distantPast : wholeFrom)
        for grain in Window.Grain.allCases {
            offered[grain] = slots == nil ? least : max(least, open, final)
            finished[grain] = slots == nil ? least : max(least, final)
        }
    }

    /// Whether a window is past all changes.
    package func isFinal(_ window: Window, at now: Instant) -> Bool { now >= window.end + finalAfter }

    mutating func changed(slots: [Int64]) {
        // What is said now changes windows that are still open.
        for slot in slots where slot < lastOffered {
            for grain in Window.Grain.allCases {
                let window = Window.containing(Instant(milliseconds: slot), grain, in: zone)
                if let offered = offered[grain], window.end <= offered { changed.insert(window) }
            }
        }
    }

    /// When windows that were offered already and changed since are looked at again; nil where there are none.
    var changesDue: Moment? { changed.isEmpty ? nil : lastChanges + Self.changesEvery }

    /// When `due` finds something again, by the clocks as they go now.
    func next(after now: Now) -> Moment {
        var next = Moment.never
        for (grain, since) in offered {
            let end = Window.containing(since, grain, in: zone).end + Self.grace(grain)
            next = min(next, now.moment + (end - now.wall))
        }
        for (grain, since) in finished {
            let end = Window.containing(since, grain, in: zone).end + finalAfter
            next = min(next, now.moment + max(.milliseconds(1), end - now.wall))
        }
        return changesDue.map { min(next, $0) } ?? next
    }

    mutating func due(at now: Now) -> [Window] {
        var windows: [Window] = []
        for grain in Window.Grain.allCases {
            let closed = now.wall - Self.grace(grain)
            guard let since = offered[grain], closed > since else { continue }
            let ended = Window.ending(after: since, upTo: closed, grain, in: zone)
            if let last = ended.last { offered[grain] = last.end }
            windows += ended
            // Once more when nothing can change any more, so that the city knows that.
            guard let last = finished[grain], now.wall - finalAfter > last else { continue }
            let final = Window.ending(after: last, upTo: now.wall - finalAfter, grain, in: zone)
            if let last = final.last { finished[grain] = last.end }
            // After months without a word there are thousands of both.
            let told = Set(ended)
            windows += final.filter { !told.contains($0) }
        }
        if let changesDue, now.moment >= changesDue {
            lastChanges = now.moment
            windows += changed.sorted { $0.start < $1.start }
            changed.removeAll()
        }
        return windows
    }
}
