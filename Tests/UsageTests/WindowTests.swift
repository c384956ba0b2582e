import Model
import Testing
import Usage

private func instant(_ text: String) -> Instant { Instant(text) ?? .distantPast }

@Suite struct WindowTests {
    private let seoul = Zone(name: "Asia/Seoul", changes: [.init(at: .distantPast, offsetSeconds: 9 * 3600)])
    /// Half an hour of summer time: back on 2026-04-05 at 02:00, on again on 2026-10-04.
    private let lordHowe = Zone(
        name: "Australia/Lord_Howe",
        changes: [
            .init(at: .distantPast, offsetSeconds: 39_600),
            .init(at: instant("2026-04-04T15:00:00Z"), offsetSeconds: 37_800),
            .init(at: instant("2026-10-03T15:30:00Z"), offsetSeconds: 39_600),
        ])

    @Test func dayOfSeoulBeginsAtFifteenHours() {
        let day = Window.containing(instant("2026-11-23T09:00:00Z"), .day, in: seoul)
        #expect(day.start == instant("2026-11-22T15:00:00Z"))
        #expect(day.end == instant("2026-11-23T15:00:00Z"))
        #expect(day.date.description == "2026-11-23")
    }

    @Test func daysOfHalfAnHourMoreAndLess() {
        let long = Window.containing(instant("2026-04-05T00:00:00Z"), .day, in: lordHowe)
        #expect(long.length == .minutes(24 * 60 + 30))
        let short = Window.containing(instant("2026-10-04T00:00:00Z"), .day, in: lordHowe)
        #expect(short.length == .minutes(24 * 60 - 30))
    }

    @Test(arguments: [Window.Grain.hour, .day]) func windowsTileTime(grain: Window.Grain) {
        for zone in [seoul, lordHowe, .utc] {
            let start = Window.containing(instant("2026-04-01T00:00:00Z"), grain, in: zone).start
            let windows = Window.ending(after: start, upTo: instant("2026-10-10T00:00:00Z"), grain, in: zone)
            #expect(windows.count > 180)
            for (a, b) in zip(windows, windows.dropFirst()) {
                #expect(a.end == b.start)
                #expect(a.start.floor(to: Slot.length) == a.start)
            }
        }
    }
}
