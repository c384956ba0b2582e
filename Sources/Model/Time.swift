// Time as the gateway's pure parts see it: always an argument, never asked for. Only Ports can read a clock.
//
// Inlinable, and with every comparison written out: other modules compare times for each sample, and a call of the
// standard library's default for `>` costs more than all that surrounds it.

/// A point on the gateway's monotonic clock, in nanoseconds since an arbitrary start. It never jumps; use it for
/// intervals and time-outs.
@usableFromInline package struct Moment: Comparable, Hashable, Sendable {
    @usableFromInline package var nanoseconds: Int64

    @inlinable package init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    /// A moment so far ahead that it never comes.
    @inlinable package static var never: Moment { Moment(nanoseconds: .max) }

    @inlinable package static func == (a: Moment, b: Moment) -> Bool { a.nanoseconds == b.nanoseconds }
    @inlinable package static func < (a: Moment, b: Moment) -> Bool { a.nanoseconds < b.nanoseconds }
    @inlinable package static func <= (a: Moment, b: Moment) -> Bool { a.nanoseconds <= b.nanoseconds }
    @inlinable package static func > (a: Moment, b: Moment) -> Bool { a.nanoseconds > b.nanoseconds }
    @inlinable package static func >= (a: Moment, b: Moment) -> Bool { a.nanoseconds >= b.nanoseconds }
    @inlinable package static func + (a: Moment, b: Duration) -> Moment {
        let (sum, overflow) = a.nanoseconds.addingReportingOverflow(b.milliseconds &* 1_000_000)
        return overflow ? .never : Moment(nanoseconds: sum)
    }
    @inlinable package static func - (a: Moment, b: Moment) -> Duration {
        Duration(milliseconds: (a.nanoseconds - b.nanoseconds) / 1_000_000)
    }
}

/// A length of time in whole milliseconds; the resolution of everything that is stored or configured.
@usableFromInline package struct Duration: Comparable, Hashable, Sendable {
    @usableFromInline package var milliseconds: Int64
    @inlinable package init(milliseconds: Int64) { self.milliseconds = milliseconds }
    @inlinable package static func seconds(_ s: Int64) -> Duration { Duration(milliseconds: s * 1000) }
    @inlinable package static func milliseconds(_ ms: Int64) -> Duration { Duration(milliseconds: ms) }
    @inlinable package static func minutes(_ m: Int64) -> Duration { Duration(milliseconds: m * 60_000) }
    @inlinable package static func hours(_ h: Int64) -> Duration { Duration(milliseconds: h * 3_600_000) }
    @inlinable package static var zero: Duration { Duration(milliseconds: 0) }
    @inlinable package static func == (a: Duration, b: Duration) -> Bool { a.milliseconds == b.milliseconds }
    @inlinable package static func < (a: Duration, b: Duration) -> Bool { a.milliseconds < b.milliseconds }
    @inlinable package static func <= (a: Duration, b: Duration) -> Bool { a.milliseconds <= b.milliseconds }
    @inlinable package static func > (a: Duration, b: Duration) -> Bool { a.milliseconds > b.milliseconds }
    @inlinable package static func >= (a: Duration, b: Duration) -> Bool { a.milliseconds >= b.milliseconds }
    @inlinable package static func + (a: Duration, b: Duration) -> Duration {
        Duration(milliseconds: a.milliseconds + b.milliseconds)
    }
    @inlinable package static func * (a: Duration, n: Int64) -> Duration { Duration(milliseconds: a.milliseconds * n) }
    @inlinable package static func / (a: Duration, n: Int64) -> Duration { Duration(milliseconds: a.milliseconds / n) }
}

// The standard library's, which are generic, call a comparison that they cannot see through.

@inlinable package func min(_ a: Moment, _ b: Moment) -> Moment { a.nanoseconds < b.nanoseconds ? a : b }
@inlinable package func max(_ a: Moment, _ b: Moment) -> Moment { a.nanoseconds > b.nanoseconds ? a : b }
@inlinable package func min(_ a: Instant, _ b: Instant) -> Instant { a.milliseconds < b.milliseconds ? a : b }
@inlinable package func max(_ a: Instant, _ b: Instant) -> Instant { a.milliseconds > b.milliseconds ? a : b }
@inlinable package func min(_ a: Duration, _ b: Duration) -> Duration { a.milliseconds < b.milliseconds ? a : b }
@inlinable package func max(_ a: Duration, _ b: Duration) -> Duration { a.milliseconds > b.milliseconds ? a : b }

/// An instant of civil time: milliseconds since 1970-01-01T00:00:00Z. Everything that is stored carries one.
@usableFromInline package struct Instant: Comparable, Hashable, Sendable {
    @usableFromInline package var milliseconds: Int64

    @inlinable package init(milliseconds: Int64) { self.milliseconds = milliseconds }

    @inlinable package static var distantPast: Instant { Instant(milliseconds: .min / 4) }
    @inlinable package static var distantFuture: Instant { Instant(milliseconds: .max / 4) }

    @inlinable package static func == (a: Instant, b: Instant) -> Bool { a.milliseconds == b.milliseconds }
    @inlinable package static func < (a: Instant, b: Instant) -> Bool { a.milliseconds < b.milliseconds }
    @inlinable package static func <= (a: Instant, b: Instant) -> Bool { a.milliseconds <= b.milliseconds }
    @inlinable package static func > (a: Instant, b: Instant) -> Bool { a.milliseconds > b.milliseconds }
    @inlinable package static func >= (a: Instant, b: Instant) -> Bool { a.milliseconds >= b.milliseconds }
    @inlinable package static func + (a: Instant, b: Duration) -> Instant {
        Instant(milliseconds: a.milliseconds + b.milliseconds)
    }
    @inlinable package static func - (a: Instant, b: Duration) -> Instant {
        Instant(milliseconds: a.milliseconds - b.milliseconds)
    }
    @inlinable package static func - (a: Instant, b: Instant) -> Duration {
        Duration(milliseconds: a.milliseconds - b.milliseconds)
    }

    /// The last multiple of `step` at or before this instant, counted from 1970-01-01T00:00:00Z.
    @inlinable package func floor(to step: Duration) -> Instant {
        let (q, r) = milliseconds.quotientAndRemainder(dividingBy: step.milliseconds)
        return Instant(milliseconds: (r < 0 ? q - 1 : q) * step.milliseconds)
    }
}

/// Both clocks at once, read together: what the loop hands to the hub with everything that arrives.
package struct Now: Hashable, Sendable {
    package var moment: Moment
    package var wall: Instant

    package init(moment: Moment, wall: Instant) {
        self.moment = moment
        self.wall = wall
    }
}

extension Instant: CustomStringConvertible {
    /// RFC 3339 in UTC with milliseconds, as everywhere on the wire: `2026-11-23T09:00:00.123Z`.
    @usableFromInline package var description: String {
        var text: [UInt8] = []
        text.reserveCapacity(24)
        appendRFC3339(to: &text)
        return String(decoding: text, as: UTF8.self)
    }

    /// Writes `description` without making a string. Beyond the years 0 to 9999, which is all that the format can say,
    /// it writes the nearest of them.
    package func appendRFC3339(to text: inout [UInt8]) {
        let nearest = min(max(self, Self.sayable.lowerBound), Self.sayable.upperBound)
        guard nearest == self else { return nearest.appendRFC3339(to: &text) }
        let day = floor(to: .hours(24))
        let date = CivilDate(daysSince1970: day.milliseconds / 86_400_000)
        var rest = milliseconds - day.milliseconds
        // Divided by what the compiler knows, which costs a tenth of a real division.
        func twoDigits(_ value: Int64) {
            text.append(48 &+ UInt8(truncatingIfNeeded: value / 10))
            text.append(48 &+ UInt8(truncatingIfNeeded: value % 10))
        }
        twoDigits(Int64(date.year / 100))
        twoDigits(Int64(date.year % 100))
        text.append(45)
        twoDigits(Int64(date.month))
        text.append(45)
        twoDigits(Int64(date.day))
        text.append(84)
        twoDigits(rest / 3_600_000)
        rest %= 3_600_000
        text.append(58)
        twoDigits(rest / 60_000)
        rest %= 60_000
        text.append(58)
        twoDigits(rest / 1000)
        text.append(46)
        text.append(48 &+ UInt8(truncatingIfNeeded: rest % 1000 / 100))
        twoDigits(rest % 100)
        text.append(90)
    }

    /// 0000-01-01T00:00:00.000Z to 9999-12-31T23:59:59.999Z.
    private static let sayable = Instant(milliseconds: -62_167_219_200_000)...Instant(milliseconds: 253_402_300_799_999)

    /// Reads RFC 3339 with any offset and any number of fraction digits (the rest beyond milliseconds is cut);
    /// nil where the text is anything else, and where its offset takes it out of the years 0 to 9999.
    package init?(_ text: some StringProtocol) {
        let b = Array(text.utf8)
        func number(_ from: Int, _ count: Int) -> Int64? {
            guard from + count <= b.count else { return nil }
            var value: Int64 = 0
            for i in from..<from + count {
                guard b[i] >= 48, b[i] <= 57 else { return nil }
                value = value * 10 + Int64(b[i] - 48)
            }
            return value
        }
        guard b.count >= 20, b[4] == 45, b[7] == 45, b[10] == 84 || b[10] == 116 || b[10] == 32, b[13] == 58,
            b[16] == 58,
            let year = number(0, 4), let month = number(5, 2), let day = number(8, 2), let hour = number(11, 2),
            let minute = number(14, 2), let second = number(17, 2),
            let date = CivilDate(year: Int(year), month: Int(month), day: Int(day)), hour < 24, minute < 60, second < 61
        else { return nil }
        var at = 19
        var fraction: Int64 = 0
        if b[at] == 46 {
            at += 1
            var scale: Int64 = 100
            let first = at
            while at < b.count, b[at] >= 48, b[at] <= 57 {
                fraction += Int64(b[at] - 48) * scale
                scale /= 10
                at += 1
            }
            guard at > first else { return nil }
        }
        guard at < b.count else { return nil }
        var offset: Int64 = 0
        if b[at] == 43 || b[at] == 45 {
            guard b.count == at + 6, b[at + 3] == 58, let h = number(at + 1, 2), let m = number(at + 4, 2), h < 24,
                m < 60
            else { return nil }
            offset = (h * 60 + m) * (b[at] == 45 ? -60 : 60)
        } else {
            guard b[at] == 90 || b[at] == 122, b.count == at + 1 else { return nil }
        }
        let seconds = date.daysSince1970 * 86_400 + hour * 3600 + minute * 60 + second - offset
        let instant = Instant(milliseconds: seconds * 1000 + fraction)
        guard Self.sayable.contains(instant) else { return nil }
        self = instant
    }
}

/// A date of the Gregorian calendar, without a time or a zone.
package struct CivilDate: Hashable, Comparable, Sendable, CustomStringConvertible {
    package let year: Int
    package let month: Int
    package let day: Int

    /// nil where there is no such date in the years 0 to 9999, which is what RFC 3339 can write.
    package init?(year: Int, month: Int, day: Int) {
        guard (0...9999).contains(year), (1...12).contains(month), day >= 1 else { return nil }
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        let lengths = [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        guard day <= lengths[month - 1] else { return nil }
        self.year = year
        self.month = month
        self.day = day
    }

    // Years are counted from March, so that the leap day comes last; an era has 400 years or 146,097 days.
    package init(daysSince1970: Int64) {
        let z = daysSince1970 + 719_468
        let era = (z >= 0 ? z : z - 146_096) / 146_097
        let dayOfEra = z - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        day = Int(dayOfYear - (153 * shifted + 2) / 5 + 1)
        month = Int(shifted < 10 ? shifted + 3 : shifted - 9)
        year = Int(yearOfEra + era * 400) + (month <= 2 ? 1 : 0)
    }

    package var daysSince1970: Int64 {
        let y = Int64(month <= 2 ? year - 1 : year)
        let era = (y >= 0 ? y : y - 399) / 400
        let yearOfEra = y - era * 400
        let shifted = Int64(month > 2 ? month - 3 : month + 9)
        let dayOfYear = (153 * shifted + 2) / 5 + Int64(day) - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    /// 0 is Monday.
    package var weekday: Int { Int(((daysSince1970 + 3) % 7 + 7) % 7) }

    package static func < (a: CivilDate, b: CivilDate) -> Bool { a.daysSince1970 < b.daysSince1970 }

    package var description: String {
        func two(_ n: Int) -> String { n < 10 ? "0\(n)" : "\(n)" }
        let padded = year < 1000 ? String(repeating: "0", count: 4 - "\(year)".count) + "\(year)" : "\(year)"
        return "\(padded)-\(two(month))-\(two(day))"
    }
}

/// A civil time zone as a plain value: from each instant on, the seconds to add to UTC. Ports makes it from the
/// system's tzdata.
package struct Zone: Hashable, Sendable {
    package struct Change: Hashable, Sendable {
        package let at: Instant
        package let offsetSeconds: Int
        package init(at: Instant, offsetSeconds: Int) {
            self.at = at
            self.offsetSeconds = offsetSeconds
        }
    }

    /// The IANA name, such as `Asia/Seoul`.
    package let name: String
    /// In order of time; the first one holds for everything before it, too.
    package let changes: [Change]

    package init(name: String, changes: [Change]) {
        precondition(!changes.isEmpty, "a zone has at least one offset")
        self.name = name
        self.changes = changes
    }

    package static let utc = Zone(name: "UTC", changes: [Change(at: .distantPast, offsetSeconds: 0)])

    /// Seconds east of UTC at an instant.
    package func offsetSeconds(at instant: Instant) -> Int {
        var low = 0
        var high = changes.count
        while high - low > 1 {
            let middle = (low + high) / 2
            if changes[middle].at <= instant { low = middle } else { high = middle }
        }
        return changes[low].offsetSeconds
    }

    /// The date on a wall clock at an instant.
    package func date(at instant: Instant) -> CivilDate {
        let local = instant.milliseconds + Int64(offsetSeconds(at: instant)) * 1000
        return CivilDate(daysSince1970: Instant(milliseconds: local).floor(to: .hours(24)).milliseconds / 86_400_000)
    }

    /// Milliseconds since the wall clock's last 00:00, which is not always the time since the day began.
    package func timeOfDay(at instant: Instant) -> Duration {
        let local = Instant(milliseconds: instant.milliseconds + Int64(offsetSeconds(at: instant)) * 1000)
        return local - local.floor(to: .hours(24))
    }

    /// The first instant whose date is `date`, also where midnight itself is skipped.
    package func start(of date: CivilDate) -> Instant {
        let midnight = Instant(milliseconds: date.daysSince1970 * 86_400_000)
        // Offsets lie within a day of UTC. Each stretch of constant offset maps local midnight to one instant; the
        // earliest that really has this date is the start. A midnight inside a skipped stretch starts at the change.
        var best: Instant?
        for (index, change) in changes.enumerated() {
            let end = index + 1 < changes.count ? changes[index + 1].at : .distantFuture
            guard end > midnight - .hours(26), change.at < midnight + .hours(26) || index == 0 else { continue }
            let candidate = max(midnight - .seconds(Int64(change.offsetSeconds)), index == 0 ? .distantPast : change.at)
            guard candidate < end, self.date(at: candidate) >= date else { continue }
            if best.map({ candidate < $0 }) ?? true { best = candidate }
        }
        return best ?? midnight
    }
}
