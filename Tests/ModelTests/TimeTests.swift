import Model
import Testing

@Suite struct InstantTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-23T09:00:00.123Z", 1_795_424_400_123),
            ("2026-11-23T18:00:00.123+09:00", 1_795_424_400_123), ("2026-11-23T03:30:00.1239-05:30", 1_795_424_400_123),
            ("2026-11-23t09:00:00z", 1_795_424_400_000), ("2026-11-23 09:00:00Z", 1_795_424_400_000),
            ("1969-12-31T23:59:59.999Z", -1), ("2024-02-29T00:00:00Z", 1_709_164_800_000),
            ("2000-02-29T23:59:60Z", 951_868_800_000), ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999), ("2026-11-23T09:00:00.1Z", 1_795_424_400_100),
        ] as [(String, Int64)])
    func reads(_ text: String, _ milliseconds: Int64) { #expect(Instant(text)?.milliseconds == milliseconds) }

    @Test(arguments: [
        "", "now", "2026-11-23", "2026-11-23T09:00:00", "2026-11-23T09:00Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2026-04-31T00:00:00Z",
        "2026-11-23T24:00:00Z", "2026-11-23T09:60:00Z", "2026-11-23T09:00:61Z", "2026-11-23T09:00:00.Z",
        "2026-11-23T09:00:00.5", "2026-11-23T09:00:00+0900", "2026-11-23T09:00:00+24:00", "2026-11-23T09:00:00+09:60",
        "2026-11-23T09:00:00ZZ", "2026-11-23T09:00:00Z ", " 2026-11-23T09:00:00Z", "-026-11-23T09:00:00Z",
        "2026/11/23T09:00:00Z", "２026-11-23T09:00:00Z", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
        "2026-11-23T09:00:00.123+",
    ])
    func refuses(_ text: String) { #expect(Instant(text) == nil) }

    @Test func writesWhatItReads() {
        for seed in UInt64(1)...2000 {
            var random = SeededRandom(seed)
            let instant = Instant(milliseconds: .random(in: -62_167_219_200_000...253_402_300_799_999, using: &random))
            #expect(instant.description.utf8.count == 24)
            #expect(Instant(instant.description) == instant, "seed \(seed)")
        }
    }

    @Test func beyondTheYearsThatCanBeWrittenItWritesTheNearest() {
        #expect(Instant.distantPast.description == "0000-01-01T00:00:00.000Z")
        #expect(Instant.distantFuture.description == "9999-12-31T23:59:59.999Z")
    }

    @Test func anyTextIsReadOrRefused() {
        let letters = Array("0123456789-:.TZ+ é")
        for seed in UInt64(1)...5000 {
            var random = SeededRandom(seed)
            var text = Array("2026-11-23T09:00:00.123+09:00")
            for _ in 0..<Int.random(in: 1...5, using: &random) {
                text[Int.random(in: text.indices, using: &random)] = letters.randomElement(using: &random)!
            }
            _ = Instant(String(text))?.description
        }
    }

    @Test(
        arguments: [
            (0, 900_000, 0), (899_999, 900_000, 0), (900_000, 900_000, 900_000), (-1, 900_000, -900_000),
            (-900_000, 900_000, -900_000), (-900_001, 900_000, -1_800_000),
        ] as [(Int64, Int64, Int64)])
    func floors(_ instant: Int64, _ step: Int64, _ wanted: Int64) {
        #expect(Instant(milliseconds: instant).floor(to: .milliseconds(step)).milliseconds == wanted)
    }
}

@Suite struct CivilDateTests {
    @Test func everyDayOfFourCenturiesFollowsTheLast() {
        var date = CivilDate(year: 1800, month: 1, day: 1)!
        // 1800-01-01 was a Wednesday.
        #expect(date.weekday == 2)
        for day in date.daysSince1970 + 1...date.daysSince1970 + 146_097 {
            let next = CivilDate(daysSince1970: day)
            #expect(next.daysSince1970 == day && next > date)
            #expect(next.weekday == (date.weekday + 1) % 7)
            #expect(next.day == date.day + 1 || next.day == 1 && (next.month == date.month + 1 || next.month == 1))
            #expect(CivilDate(year: next.year, month: next.month, day: next.day) == next)
            date = next
        }
        #expect(date.description == "2200-01-01")
    }

    @Test func datesThatDoNotExist() {
        for (year, month, day) in [
            (2026, 2, 29), (1900, 2, 29), (2026, 4, 31), (2026, 0, 1), (2026, 13, 1), (2026, 1, 0),
        ] {
            #expect(CivilDate(year: year, month: month, day: day) == nil)
        }
        #expect(CivilDate(year: 987, month: 6, day: 5)?.description == "0987-06-05")
    }
}

@Suite struct ZoneTests {
    private static func zone(_ name: String, _ first: Int, _ changes: [(String, Int)]) -> Zone {
        Zone(
            name: name,
            changes: [.init(at: .distantPast, offsetSeconds: first)]
                + changes.map { .init(at: Instant($0.0)!, offsetSeconds: $0.1) })
    }

    /// Offsets as the zones had them around what is asked.
    private static let seoul = zone("Asia/Seoul", 32_400, [])
    private static let berlin = zone(
        "Europe/Berlin", 3600, [("2026-03-29T01:00:00Z", 7200), ("2026-10-25T01:00:00Z", 3600)])
    /// Midnight itself is skipped in spring and comes twice in autumn.
    private static let havana = zone(
        "America/Havana", -18_000, [("2026-03-08T05:00:00Z", -14_400), ("2026-11-01T05:00:00Z", -18_000)])
    /// The whole of 30 December 2011 was skipped.
    private static let apia = zone(
        "Pacific/Apia", -36_000, [("2011-12-30T10:00:00Z", 50_400)])

    private func start(_ zone: Zone, _ year: Int, _ month: Int, _ day: Int) -> String {
        zone.start(of: CivilDate(year: year, month: month, day: day)!).description
    }

    @Test func aDayBeginsAtMidnight() {
        #expect(start(.utc, 2026, 11, 23) == "2026-11-23T00:00:00.000Z")
        #expect(start(Self.seoul, 2026, 11, 23) == "2026-11-22T15:00:00.000Z")
        #expect(start(Self.berlin, 2026, 3, 29) == "2026-03-28T23:00:00.000Z")
        #expect(start(Self.berlin, 2026, 3, 30) == "2026-03-29T22:00:00.000Z")
        #expect(start(Self.berlin, 2026, 10, 26) == "2026-10-25T23:00:00.000Z")
    }

    @Test func aDayWhoseMidnightIsSkippedBeginsAtOne() {
        // 00:00 becomes 01:00 at 05:00 UTC.
        #expect(start(Self.havana, 2026, 3, 8) == "2026-03-08T05:00:00.000Z")
        #expect(start(Self.havana, 2026, 3, 9) == "2026-03-09T04:00:00.000Z")
    }

    @Test func aDayWhoseMidnightComesTwiceBeginsAtTheFirst() {
        // 01:00 becomes 00:00 at 05:00 UTC; the first midnight was at 04:00 UTC.
        #expect(start(Self.havana, 2026, 11, 1) == "2026-11-01T04:00:00.000Z")
        #expect(Self.havana.timeOfDay(at: Instant("2026-11-01T05:30:00Z")!) == .minutes(30))
    }

    @Test func aDayThatIsSkippedIsEmpty() {
        #expect(start(Self.apia, 2011, 12, 29) == "2011-12-29T10:00:00.000Z")
        #expect(start(Self.apia, 2011, 12, 30) == start(Self.apia, 2011, 12, 31))
        #expect(start(Self.apia, 2011, 12, 31) == "2011-12-30T10:00:00.000Z")
    }

    @Test(arguments: [seoul, berlin, havana, apia, .utc])
    func daysFollowEachOtherWithoutGap(_ zone: Zone) {
        let first = CivilDate(year: zone.name == "Pacific/Apia" ? 2011 : 2026, month: 1, day: 1)!.daysSince1970
        for day in first..<first + 365 {
            let date = CivilDate(daysSince1970: day)
            let start = zone.start(of: date)
            let end = zone.start(of: CivilDate(daysSince1970: day + 1))
            #expect(start <= end, "\(date)")
            guard start < end else { continue }
            #expect(zone.date(at: start) == date && zone.date(at: end - .milliseconds(1)) == date, "\(date)")
            #expect(zone.date(at: start - .milliseconds(1)) < date, "\(date)")
        }
    }

    @Test func offsetsHoldFromTheirChangeOn() {
        let change = Instant("2026-03-29T01:00:00Z")!
        #expect(Self.berlin.offsetSeconds(at: change - .milliseconds(1)) == 3600)
        #expect(Self.berlin.offsetSeconds(at: change) == 7200)
        #expect(Self.berlin.offsetSeconds(at: .distantPast) == 3600)
        #expect(Self.berlin.offsetSeconds(at: .distantFuture) == 3600)
    }
}

@Suite struct MomentTests {
    @Test func neverIsNotPassed() {
        #expect(Moment.never + .hours(1) == .never)
        #expect(Moment(nanoseconds: 5_000_000) - Moment(nanoseconds: 2_000_000) == .milliseconds(3))
        #expect(Moment(nanoseconds: 1) + .seconds(2) == Moment(nanoseconds: 2_000_000_001))
    }

    @Test(
        "A year that no calendar has is no date, in a query as elsewhere",
        arguments: ["2026202612-5-3", "10000-1-1", "-1-1-1"])
    func farYears(text: String) {
        #expect(TimeText.instant(text, now: Instant(milliseconds: 0), in: .utc) == nil)
        #expect(TimeText.instant("9999-12-31", now: Instant(milliseconds: 0), in: .utc) != nil)
    }
}
