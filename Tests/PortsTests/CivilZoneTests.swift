import Model
import Ports
import Testing

private func instant(_ text: String) -> Instant { Instant(text) ?? .distantPast }
private func date(_ text: String) -> CivilDate {
    let parts = text.split(separator: "-").compactMap { Int($0) }
    return CivilDate(year: parts[0], month: parts[1], day: parts[2]) ?? CivilDate(daysSince1970: 0)
}

/// Where a day of a zone begins, and how long it is; from the tz database's own tools.
struct ZoneDay: Sendable, CustomTestStringConvertible {
    let zone: String
    let day: String
    let start: String
    let minutes: Int64
    var testDescription: String { "\(zone) \(day)" }
}

@Suite struct CivilZoneTests {
    static let days = [
        ZoneDay(zone: "Asia/Seoul", day: "2026-11-23", start: "2026-11-22T15:00:00Z", minutes: 1440),
        ZoneDay(zone: "Asia/Seoul", day: "1987-05-10", start: "1987-05-09T15:00:00Z", minutes: 1380),
        ZoneDay(zone: "Asia/Seoul", day: "1987-10-11", start: "1987-10-10T14:00:00Z", minutes: 1500),
        ZoneDay(zone: "Asia/Seoul", day: "1988-05-08", start: "1988-05-07T15:00:00Z", minutes: 1380),
        ZoneDay(zone: "Asia/Seoul", day: "1988-10-09", start: "1988-10-08T14:00:00Z", minutes: 1500),
        ZoneDay(zone: "Europe/Paris", day: "2026-03-29", start: "2026-03-28T23:00:00Z", minutes: 1380),
        ZoneDay(zone: "Europe/Paris", day: "2026-10-25", start: "2026-10-24T22:00:00Z", minutes: 1500),
        // The clock goes from 24:00 to 01:00: there is no midnight.
        ZoneDay(zone: "America/Santiago", day: "2026-09-06", start: "2026-09-06T04:00:00Z", minutes: 1380),
        ZoneDay(zone: "America/Santiago", day: "2026-04-04", start: "2026-04-04T03:00:00Z", minutes: 1500),
        ZoneDay(zone: "Australia/Lord_Howe", day: "2026-04-05", start: "2026-04-04T13:00:00Z", minutes: 1470),
        ZoneDay(zone: "Australia/Lord_Howe", day: "2026-10-04", start: "2026-10-03T13:30:00Z", minutes: 1410),
        ZoneDay(zone: "Asia/Kathmandu", day: "2026-11-23", start: "2026-11-22T18:15:00Z", minutes: 1440),
    ]

    @Test(arguments: days) func daysBeginWhereTheyDo(day: ZoneDay) throws {
        let zone = try CivilZone.load(day.zone)
        let start = zone.start(of: date(day.day))
        #expect(start == instant(day.start))
        let next = zone.start(of: CivilDate(daysSince1970: date(day.day).daysSince1970 + 1))
        #expect(next - start == .minutes(day.minutes))
        #expect(zone.date(at: start) == date(day.day))
        #expect(zone.date(at: start - .milliseconds(1)) < date(day.day))
    }

    @Test(arguments: ["Asia/Soul", "", "/etc/passwd", "../../etc/passwd", "Asia", "Asia//Seoul", "Asia/Seoul\n"])
    func unknownZoneIsAnError(name: String) {
        #expect(throws: PortError.self) { try CivilZone.load(name) }
    }

    /// Zones without a rule, with one, with many in the file and few, and those that skipped a day or moved by half an hour.
    @Test(arguments: [
        "UTC", "Asia/Seoul", "Asia/Pyongyang", "Europe/Paris", "Europe/Dublin", "Africa/Casablanca", "Africa/Cairo",
        "America/New_York", "America/Sao_Paulo", "Pacific/Apia", "Australia/Lord_Howe", "Asia/Kathmandu", "Etc/GMT+5",
    ])
    func fileSaysWhatEveryHalfDaySays(name: String) throws {
        #expect(try CivilZone.load(name).changes == CivilZone.load(name, trustsFile: false).changes)
    }

    @Test func versionIsKnown() { #expect(CivilZone.dataVersion.hasPrefix("20")) }
}
