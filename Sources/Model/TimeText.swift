/// Times and lengths as people write them in commands and queries.
package enum TimeText {
    /// RFC 3339, `now`, `today` (the last midnight on the lab's clock), or `-2h`, `-7d`, `-90s`, `-15min` before now.
    package static func instant(_ text: String, now: Instant, in zone: Zone) -> Instant? {
        switch text {
        case "now": return now
        case "today": return zone.start(of: zone.date(at: now))
        default: break
        }
        if text.hasPrefix("-"), text.last?.isLetter == true, let back = duration(String(text.dropFirst())) {
            return now - back
        }
        if let instant = Instant(text) { return instant }
        // A date alone is its first instant on the lab's clock.
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
            let date = CivilDate(year: year, month: month, day: day)
        else { return nil }
        return zone.start(of: date)
    }

    /// `60s`, `15min`, `1h`, `7d`, `500ms`, or a number of seconds; more than nothing.
    package static func duration(_ text: String) -> Duration? {
        let number = text.prefix { "0123456789.".contains($0) }
        let units: [Substring: Double] = [
            "ms": 1, "s": 1000, "": 1000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000,
        ]
        guard let value = Double(number), let unit = units[text.dropFirst(number.count)], value * unit >= 1,
            value * unit < 1e13
        else { return nil }
        return Duration(milliseconds: Int64((value * unit).rounded()))
    }

    /// What to write instead, for error messages.
    package static let hint = "use RFC 3339 such as 2026-11-23T09:00:00Z, a date, now, today, -2h or -7d"
}
