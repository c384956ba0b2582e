import Model
import Ports
import Testing
import Usage

/// Windows of civil time in zones that do what zones do: from this day on, for so many days.
private let stretches: [(zone: String, from: String, days: Int)] = [
    // Summer time in 1987 and 1988.
    ("Asia/Seoul", "1987-05-01", 560), ("Asia/Seoul", "2026-01-01", 40), ("Europe/Paris", "2026-03-01", 260),
    // Midnight is missing on one day and comes twice on another.
    ("America/Santiago", "2026-03-01", 220),
    // Half an hour of summer time, and a zone that is always a quarter of an hour off.
    ("Australia/Lord_Howe", "2026-03-01", 240), ("Asia/Kathmandu", "2026-01-01", 40),
]

@Suite struct ZoneWindowTests {
    /// Days follow each other without a gap, each is a date of its own, consists of whole slots, and of its hours.
    @Test(arguments: stretches.indices) func daysAreTheirHours(index: Int) throws {
        let stretch = stretches[index]
        let zone = try CivilZone.load(stretch.zone)
        let begin = try #require(TimeText.instant(stretch.from, now: .distantPast, in: zone))
        let first = Window.containing(begin, .day, in: zone)
        var day = first
        for number in 0..<stretch.days {
            let words = "\(stretch.zone) \(day.date)"
            #expect(day.start.floor(to: Slot.length) == day.start, "\(words)")
            #expect(day.date.daysSince1970 == first.date.daysSince1970 + Int64(number), "\(words)")
            let hours = Window.ending(after: day.start, upTo: day.end, .hour, in: zone)
            #expect(hours.first?.start == day.start && hours.last?.end == day.end, "\(words)")
            #expect(zip(hours, hours.dropFirst()).allSatisfy { $0.end == $1.start }, "\(words)")
            #expect(hours.allSatisfy { $0.date == day.date && $0.length > .zero }, "\(words)")
            let next = Window.containing(day.end, .day, in: zone)
            #expect(next.start == day.end, "\(words)")
            day = next
        }
    }

    /// The lengths of days that are not 24 hours long.
    @Test(arguments: [
        ("Asia/Seoul", "1987-05-10", 23), ("Asia/Seoul", "1987-10-11", 25), ("Asia/Seoul", "1988-05-08", 23),
        ("Asia/Seoul", "1988-10-09", 25), ("Europe/Paris", "2026-03-29", 23), ("Europe/Paris", "2026-10-25", 25),
    ]) func summerTimeDays(zone: String, day: String, hours: Int) throws {
        let zone = try CivilZone.load(zone)
        let noon = try #require(TimeText.instant(day, now: .distantPast, in: zone)) + .hours(12)
        let window = Window.containing(noon, .day, in: zone)
        #expect(window.length == .hours(Int64(hours)), "\(window.start) \(window.end)")
        #expect(Window.ending(after: window.start, upTo: window.end, .hour, in: zone).count == hours)
    }
}
