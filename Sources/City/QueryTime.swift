package import Model

/// Times as people write them in queries.
package enum QueryTime {
    /// RFC 3339, a date (its first instant in UTC), `now`, `today` (in UTC), or back from now: `-2h`, `-7d`, `-30m`,
    /// `-45s`; nil where the text is none of them.
    package static func parse(_ text: String, now: Instant) -> Instant? {
        switch text {
        case "now": return now
        case "today": return now.floor(to: .hours(24))
        default: break
        }
        if text.hasPrefix("-"), let unit = text.last, let count = Int64(text.dropFirst().dropLast()), count >= 0 {
            let units: [Character: Int64] = ["s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000]
            // A thousand years back is before every lab; more digits would leave the range of the clock.
            guard let milliseconds = units[unit], count <= 31_536_000_000_000 / milliseconds else { return nil }
            return now - Duration(milliseconds: count * milliseconds)
        }
        return Instant(text) ?? Instant(text + "T00:00:00Z")
    }
}
