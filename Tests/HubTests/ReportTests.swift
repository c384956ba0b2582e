import CityLink
import Hub
import Model
import Testing
import Usage
import Web

@Suite struct ReportTests {
    private let tariff = """
        tariff: { currency: KRW, price_per_kwh: { "00-12": 100, "12-24": 200 }, co2_g_per_kwh: 400 }
        """

    /// Two hours of work on a Monday, one of them before the lab opens at ten; a kilowatt all the while.
    private func worked() throws -> MeteredHub {
        var hub = try MeteredHub(try MeteredHub.configuration(more: tariff))
        let monday = MeteredHub.start
        for minute in 0..<Int64(24 * 60) {
            try hub.pass(to: monday + .seconds(minute * 60 + 1))
            let works = (540..<660).contains(minute)
            let worked = Double(min(max(minute - 540, 0), 120))
            hub.say([MeterSample(time: hub.now.wall, watts: works ? 1000 : 3, wattHours: 500 + worked * 1000 / 60)])
        }
        try hub.pass(to: monday + .hours(24))
        hub.settle()
        return hub
    }

    @Test func useWasteAndCostAreReckoned() throws {
        let hub = try worked()
        let report = try #require(hub.hub.report(from: MeteredHub.start, to: MeteredHub.start + .hours(24)).first)
        #expect(report.busy == 7_200_000)
        #expect(try #require(report.open) == 43_200_000)
        // To the second, because samples come a second after the minute.
        #expect(abs((report.useOutside ?? 0) - 3_600_000) <= 2000)
        #expect(abs((report.useWhileOpen ?? 0) - 3_600_000) <= 2000)
        #expect(abs((report.utilisation ?? 0) - 1.0 / 12) < 0.001)
        #expect(abs((report.energy ?? 0) - 2_000_000) <= 1)
        #expect(abs((report.cost ?? 0) - 200) < 0.1)
        #expect(abs((report.carbon ?? 0) - 800) < 0.1)
        #expect(report.sum.runs == 1)
        #expect(report.betweenFaults == nil)
        #expect(report.wastedTime == report.sum[.idle])
        #expect(report.energyPerItem == nil)
    }

    @Test func jobsAndReportAreToldOverTheAPI() throws {
        let hub = try worked()
        func ask(_ path: String) -> JSON? {
            let query = [("from", "\(MeteredHub.start)"), ("to", "\(MeteredHub.start + .hours(24))")]
            let answer = WebAPI.answer(
                WebRequest(method: "GET", path: path, query: query.map { (name: $0.0, value: $0.1) }), hub.hub,
                WebSurroundings(now: hub.now, software: "test", outbox: .null, rollups: { _, _, _ in .null }))
            #expect(answer.status == 200)
            return JSON(answer.body)
        }
        let jobs = ask("/api/v1/jobs")?["jobs"]?.items ?? []
        #expect(jobs.count == 1)
        #expect(jobs.first?["machine"]?.text == "saw")
        #expect(jobs.first?["duration_s"]?.number == 7200)
        #expect(abs((jobs.first?["energy_wh"]?.number ?? 0) - 2000) <= 17)
        let report = ask("/api/v1/report")
        #expect(report?["currency"]?.text == "KRW")
        #expect(report?["machines"]?.items?.first?["use_s"]?.number == 7200)
    }

    /// What another configuration would have made of the same samples, and that the same makes the same.
    @Test func whatIfTellsWhatWouldDiffer() throws {
        var hub = try worked()
        try hub.pass(to: hub.now.wall + .minutes(40))
        let windows = [hub.window(.day, at: MeteredHub.start)]
        let same = try #require(hub.hub.whatIf(0, windows).first)
        #expect(same.told[.running] == same.computed[.running])
        #expect(same.told[.idle] == same.computed[.idle])
        #expect(same.told.energy == same.computed.energy)
        // Nothing is a run any more.
        let text = ", minimum_run: 1 h, minimum_energy: 3 kWh"
        try hub.restart(try MeteredHub.configuration(text, more: tariff))
        let other = try #require(hub.hub.whatIf(0, windows).first)
        #expect(other.told[.running] == 7_200_000)
        #expect(other.computed[.running] == 0)
        // And what was told stays what it was.
        #expect(hub.content(windows[0]).totals[.running] == 7_200_000)
    }
}
