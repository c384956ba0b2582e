package import Model

/// The stretch of civil time that one rollup covers.
package struct Window: Hashable, Sendable {
    package enum Grain: String, CaseIterable, Sendable {
        case hour = "PT1H"
        case day = "P1D"
    }

    package let grain: Grain
    package let start: Instant
    package let end: Instant
    package let date: CivilDate

    package var length: Duration { end - start }

    /// The window of this grain in which `time` lies, in the civil time of a zone.
    package static func containing(_ time: Instant, _ grain: Grain, in zone: Zone) -> Window {
        let date = zone.date(at: time)
        switch grain {
        case .day:
            let next = CivilDate(daysSince1970: date.daysSince1970 + 1)
            return Window(grain: .day, start: zone.start(of: date), end: zone.start(of: next), date: date)
        case .hour:
            // An hour of the wall clock; where the clock is changed inside, the change is a boundary, too.
            let offset = Int64(zone.offsetSeconds(at: time)) * 1000
            let local = Instant(milliseconds: time.milliseconds + offset).floor(to: .hours(1))
            var start = Instant(milliseconds: local.milliseconds - offset)
            var end = start + .hours(1)
            for change in zone.changes where change.at > start && change.at < end {
                if change.at <= time { start = change.at } else { end = change.at }
            }
            return Window(grain: .hour, start: start, end: end, date: date)
        }
    }

    /// The windows that end in `(after, upTo]`, oldest first.
    package static func ending(after: Instant, upTo: Instant, _ grain: Grain, in zone: Zone) -> [Window] {
        var windows: [Window] = []
        var window = containing(after, grain, in: zone)
        while window.end <= upTo {
            if window.end > after { windows.append(window) }
            window = containing(window.end, grain, in: zone)
        }
        return windows
    }
}
