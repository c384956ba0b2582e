// When to try again.

package import Model

/// Exponential back-off with full jitter: many gateways that lost the same city do not come back in the same second.
package struct Backoff: Sendable {
    /// The longest wait that this rule gives.
    package static let cap = Duration.minutes(5)
    /// Not even a lucky draw hammers.
    package static let floor = Duration.milliseconds(100)

    private var attempt = 0
    private var random: SplitMix64

    package init(seed: UInt64) { random = SplitMix64(state: seed) }

    /// The wait after one more failure: anything from the floor to 1 s · 2^n, at most the cap.
    package mutating func next() -> Duration {
        let ceiling = min(Self.cap.milliseconds, 1000 << Int64(min(attempt, 20)))
        attempt += 1
        return Duration(milliseconds: .random(in: Self.floor.milliseconds...ceiling, using: &random))
    }

    /// After a success.
    package mutating func reset() { attempt = 0 }
}

/// A small generator whose numbers follow from its seed, so that every wait can be repeated.
struct SplitMix64: RandomNumberGenerator, Sendable {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// The `Retry-After` header (RFC 9110, 10.2.3): seconds or a date.
package enum RetryAfter {
    /// Nobody is believed who asks for less or more.
    package static let bounds: ClosedRange<Duration> = .seconds(1) ... .hours(1)

    /// How long to wait; nil where the header means nothing.
    package static func wait(_ header: String, at now: Instant) -> Duration? {
        let text = header.split(separator: " ").joined(separator: " ")
        if !text.isEmpty, text.utf8.allSatisfy({ (48...57).contains($0) }) {
            // Digits that no Int64 holds are still a number, and a long one.
            return clamp(.seconds(min(Int64(text) ?? .max, 3600)))
        }
        return date(text).map { clamp($0 - now) }
    }

    private static func clamp(_ wait: Duration) -> Duration { min(max(wait, bounds.lowerBound), bounds.upperBound) }

    /// The three dates of RFC 9110, 5.6.7:
    ///
    ///     Sun, 06 Nov 1994 08:49:37 GMT      IMF-fixdate
    ///     Sunday, 06-Nov-94 08:49:37 GMT     RFC 850
    ///     Sun Nov  6 08:49:37 1994           asctime
    package static func date(_ text: String) -> Instant? {
        var words = text.split { $0 == " " || $0 == "-" || $0 == "," }.map(String.init)
        guard words.count >= 5, words.count <= 6 else { return nil }
        words.removeFirst()
        if words.last == "GMT" {
            words.removeLast()
        } else {
            // asctime: month day time year
            guard words.count == 4 else { return nil }
            words = [words[1], words[0], words[3], words[2]]
        }
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let clock = words.count == 4 ? words[3].split(separator: ":", omittingEmptySubsequences: false) : []
        guard clock.count == 3, let day = number(words[0], 1...2), let month = months.firstIndex(of: words[1]),
            var year = number(words[2], 2...4), let hour = number(clock[0], 2...2), hour < 24,
            let minute = number(clock[1], 2...2), minute < 60, let second = number(clock[2], 2...2), second < 61
        else { return nil }
        if words[2].utf8.count == 2 { year += year < 70 ? 2000 : 1900 }
        guard let date = CivilDate(year: year, month: month + 1, day: day) else { return nil }
        let seconds = date.daysSince1970 * 86_400 + Int64(hour * 3600 + minute * 60 + second)
        return Instant(milliseconds: seconds * 1000)
    }

    private static func number(_ text: some StringProtocol, _ digits: ClosedRange<Int>) -> Int? {
        guard digits.contains(text.utf8.count), text.utf8.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return Int(text)
    }
}
