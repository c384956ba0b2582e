import City
import CityLink
import Model
import Testing

private func get(
    _ path: String, _ query: [(name: String, value: String)] = [], lab: String? = nil, local: Bool = true
)
    -> CityRequest
{
    CityRequest("GET", path, query: query, authorization: lab.map { "Bearer token-\($0)" }, isLocal: local)
}

private let labs = ["urn:lab:a", "urn:lab:b", "urn:lab:c"]

/// Three labs with four days each, as of the fifth day.
private func filled(readToken: String? = nil, labs count: Int = 3) -> Collector<MemoryBook> {
    var city = collector(Array(labs.prefix(count)), readToken: readToken)
    for lab in labs.prefix(count) {
        let items = (0..<4).map { wire(day($0, lab: lab)) }
        let answer = city.answer(post(push(items), lab: lab), now: firstDay + .hours(96))
        precondition(answer.status == 200, "good days are taken")
    }
    return city
}

private let later = firstDay + .hours(97)

@Suite struct QueryTests {
    @Test func rollupsComeInPagesThatCanBeSentOn() throws {
        var city = filled()
        var query: [(name: String, value: String)] = [("limit", "5")]
        var seen: [String] = []
        var copy = collector(labs)
        while true {
            let answer = city.answer(get("/v1/rollups", query), now: later)
            let json = try #require(JSON(answer.body))
            let items = try #require(json["items"]?.items)
            #expect(items.count <= 5)
            seen += items.compactMap { "\($0["rollup"]?["start"]?.text ?? "") \($0["rollup"]?["lab"]?.text ?? "")" }
            for item in items {
                let lab = item["rollup"]?["lab"]?.text ?? ""
                #expect(copy.answer(post(push([item]), lab: lab), now: later).status == 200)
            }
            guard let next = json["next"]?.text else { break }
            query = [("limit", "5"), ("after", next)]
        }
        #expect(seen.count == 12 && seen == seen.sorted() && Set(seen).count == 12)
        #expect(copy.book.windows.mapValues(\.digest) == city.book.windows.mapValues(\.digest))
    }

    @Test func rangeLabAndGrainNarrow() {
        var city = filled()
        func count(_ query: [(name: String, value: String)]) -> Int? {
            JSON(city.answer(get("/v1/rollups", query), now: later).body)?["items"]?.items?.count
        }
        #expect(count([]) == 12)
        #expect(count([("lab", "urn:lab:b")]) == 4)
        #expect(count([("lab", "urn:lab:b"), ("from", "2026-11-23"), ("to", "2026-11-24T15:00:00Z")]) == 1)
        #expect(count([("from", "-2d")]) == 3)
        #expect(count([("grain", "PT1H")]) == 0)
        #expect(count([("to", "2026-11-22T15:00:00.000Z")]) == 0)
    }

    @Test(arguments: [
        ("from", "yesterday"), ("to", "-5y"), ("grain", "P1W"), ("limit", "0"), ("limit", "many"), ("after", "x"),
        ("format", "xml"), ("detail", "people"),
    ]) func nonsenseIsNamed(name: String, value: String) {
        var city = filled()
        var query = [(name: name, value: value)]
        if name == "detail" { query.append((name: "format", value: "csv")) }
        let answer = city.answer(get("/v1/rollups", query), now: later)
        #expect(answer.status == 400)
        #expect(JSON(answer.body)?["detail"]?.text?.contains(name) == true)
    }

    @Test func theTableHasStableColumns() throws {
        var city = collector()
        let content = day {
            $0.classes.append(ClassUsage(name: "sewing", machines: 0, totals: UsageTotals()))
            $0.totals.idleEnergyMilliwattHours = nil
        }
        _ = city.answer(post(push([wire(content, revision: 3)])), now: later)
        let answer = city.answer(get("/v1/rollups", [("format", "csv")]), now: later)
        #expect(answer.contentType == "text/csv; charset=utf-8")
        let lines = String(decoding: answer.body, as: UTF8.self).split(
            separator: "\r\n", omittingEmptySubsequences: false)
        #expect(lines.count == 3 && lines[2].isEmpty)
        let columns = """
            lab,grain,start,end,duration_s,tz,local_date,epoch,revision,final,scope,class,machines,coverage_usage,\
            coverage_energy,coverage_mass,open_s,late_dropped,running_s,preparing_s,paused_s,blocked_s,idle_s,fault_s,\
            offline_s,unknown_s,maintenance_s,jobs_completed,jobs_cancelled,jobs_failed,jobs_interrupted,jobs_unknown,\
            energy_wh,idle_energy_wh,energy_method,energy_corrections,mass_in_g,mass_product_g,mass_scrap_g,items,shots,\
            filament_mm,received,digest,scrap
            """
        #expect(String(lines[0]) == columns)
        let digest = try #require(city.book.windows.values.first?.digest)
        let line = """
            urn:fablabs:io:lab:seoul,P1D,2026-11-22T15:00:00.000Z,2026-11-23T15:00:00.000Z,86400,Asia/Seoul,2026-11-23,1,3,\
            false,total,,1,0.982,0.997,1,36000,0,3600,0,0,0,82800,0,0,0,0,1,0,0,0,0,18422.375,,register,0,3120,,,52,55,\
            812345,\(later),\(digest),
            """
        #expect(String(lines[1]) == line)
        let classes = city.answer(get("/v1/rollups", [("format", "csv"), ("detail", "class")]), now: later)
        let rows = String(decoding: classes.body, as: UTF8.self).split(separator: "\r\n").dropFirst()
        #expect(rows.count == 2)
        #expect(rows.first?.contains(",laser,laser,1,") == true)
    }

    @Test func exportGivesTheSameInPages() throws {
        let city = filled()
        var export = RollupExport(format: .csv)
        var text: [UInt8] = []
        while true {
            let (page, next) = try export.page(of: city.book)
            text += page
            guard let next else { break }
            export.after = next
        }
        #expect(String(decoding: text, as: UTF8.self).split(separator: "\r\n").count == 13)
        let lines = try RollupExport(format: .json, from: firstDay + .hours(24), to: firstDay + .hours(48)).page(
            of: city.book
        ).text.split(separator: 10)
        #expect(lines.count == 3)
        #expect(lines.allSatisfy { JSON(Array($0))?["rollup"] != nil })
    }

    @Test func summariesNameVersionAndDigest() throws {
        var city = filled()
        let answer = city.answer(get("/v1/labs/urn:lab:a/rollups/summary", lab: "urn:lab:a", local: false), now: later)
        let summaries = try #require(RollupSummary.all(answer.body))
        #expect(summaries.count == 4)
        for summary in summaries { #expect(city.book.windows[summary.key]?.digest == summary.digest) }
    }

    // MARK: who may read

    static let readable = ["/v1/rollups", "/v1/labs", "/metrics", "/v1/labs/urn:lab:a/rollups/summary"]

    @Test(arguments: readable) func readingNeedsATokenFromElsewhere(path: String) {
        var city = filled(readToken: "reader")
        func status(_ authorization: String?, local: Bool) -> Int {
            city.answer(CityRequest("GET", path, authorization: authorization, isLocal: local), now: later).status
        }
        #expect(status(nil, local: false) == 401)
        #expect(status(nil, local: true) == 401, "with a read token this machine needs it, too")
        #expect(status("Bearer reader", local: false) == 200)
        #expect(status("Bearer wrong", local: true) == 401)
        #expect(status("Bearer token-urn:lab:a", local: false) == (path == "/metrics" ? 403 : 200))
        var open = filled()
        #expect(open.answer(get(path), now: later).status == 200)
        #expect(open.answer(get(path, local: false), now: later).status == 401)
    }

    @Test func aLabSeesItselfAlone() {
        var city = filled()
        let mine = city.answer(get("/v1/rollups", lab: "urn:lab:a", local: false), now: later)
        #expect(JSON(mine.body)?["items"]?.items?.count == 4)
        #expect(
            city.answer(get("/v1/rollups", [("lab", "urn:lab:b")], lab: "urn:lab:a", local: false), now: later).status
                == 403)
        #expect(
            city.answer(get("/v1/labs/urn:lab:b/rollups/summary", lab: "urn:lab:a", local: false), now: later).status
                == 403)
        let labs = city.answer(get("/v1/labs", lab: "urn:lab:a", local: false), now: later)
        #expect(JSON(labs.body)?["labs"]?.items?.count == 1)
        #expect(!String(decoding: labs.body, as: UTF8.self).contains("token"))
    }

    // MARK: pages

    @Test func thePageTellsItsAgeInBothLanguages() {
        var city = filled()
        let page = String(decoding: city.answer(get("/"), now: later).body, as: UTF8.self)
        for words in ["2026-11-26T15:00:00.000Z", "60분 전", "60 min ago", "laser", "2026-11-23", "가동 시간", "Running h"] {
            #expect(page.contains(words), "\(words)")
        }
        #expect(
            page.contains("<td>3</td><td>3</td><td>3.0</td><td>55.2</td><td>3</td><td>156</td><td>9.3</td><td>—</td>"))
    }

    @Test(arguments: [2, 3]) func inPublicASumStandsForThreeLabs(count: Int) {
        var city = filled(labs: count)
        let page = String(decoding: city.answer(get("/", local: false), now: later).body, as: UTF8.self)
        #expect(page.contains("<td>55.2</td>") == (count == 3))
        #expect(!page.contains("<td>36.8</td>"))
        let inside = String(decoding: city.answer(get("/"), now: later).body, as: UTF8.self)
        #expect(inside.contains(count == 3 ? "<td>55.2</td>" : "<td>36.8</td>"), "a page is not kept for other readers")
    }

    @Test func namesAreTextAndNothingElse() throws {
        var city = collector([])
        _ = try city.perform(.add(id: seoul, name: "<img src=x onerror=\"a\">&'"), token: "t", now: later)
        let page = String(decoding: city.answer(get("/"), now: later).body, as: UTF8.self)
        #expect(page.contains("&lt;img src=x onerror=&quot;a&quot;&gt;&amp;&#39;"))
        #expect(!page.contains("<img"))
    }

    @Test func theDocumentNamesEveryPathAndNoOther() throws {
        var city = filled()
        let document = try #require(JSON(city.answer(get("/v1/openapi.json"), now: later).body))
        #expect(document["openapi"]?.text == "3.1.0")
        let paths = try #require(document["paths"]?.members)
        #expect(paths.count == 8)
        for path in paths {
            let real = path.key.split(separator: "/").map { $0 == "{lab}" ? "urn:lab:a" : String($0) }.joined(
                separator: "/")
            #expect(city.answer(get("/" + real), now: later).status == 200, "\(path.key)")
        }
        // Every reference leads somewhere.
        func references(_ json: JSON) -> [String] {
            (json.members ?? []).flatMap { $0.key == "$ref" ? [$0.value.text ?? ""] : references($0.value) }
                + (json.items ?? []).flatMap(references)
        }
        for reference in Set(references(document)) {
            let target = reference.split(separator: "/").dropFirst().reduce(document as JSON?) { $0?[String($1)] }
            #expect(target != nil, "\(reference)")
        }
    }

    @Test func metricsCountWhatHappened() {
        var city = filled()
        _ = city.answer(get("/nothing"), now: later)
        let text = String(decoding: city.answer(get("/metrics"), now: later).body, as: UTF8.self)
        #expect(text.contains("fabcity_items_total{result=\"applied\"} 12\n"))
        #expect(text.contains("fabcity_windows 12\n"))
        #expect(text.contains("fabcity_answers_total{status=\"404\"} 1\n"))
        #expect(text.contains("fabcity_lab_last_received_seconds{lab=\"urn:lab:a\"} 1795705200\n"))
    }

    @Test func otherMethodsAndPathsAreSaid() {
        var city = filled()
        #expect(city.answer(CityRequest("DELETE", "/v1/rollups", isLocal: true), now: later).status == 405)
        #expect(city.answer(CityRequest("POST", "/v1/labs", isLocal: true), now: later).status == 405)
        #expect(city.answer(get("/v1/labs/x"), now: later).status == 404)
        #expect(city.answer(get("/healthz", local: false), now: later).status == 200)
        city.book.isBroken = true
        #expect(city.answer(get("/healthz"), now: later).status == 503)
    }

    static let times: [(String, Int64)] = [
        ("now", 349_200), ("today", 291_600), ("-2h", 342_000), ("-1d", 262_800), ("-90s", 349_110),
        ("2026-11-24", 118_800), ("2026-11-24T00:00:00+09:00", 86_400),
    ]
    @Test(arguments: times) func timesAsPeopleWriteThem(text: String, seconds: Int64) {
        #expect(TimeText.instant(text, now: later, in: .utc) == firstDay + .seconds(seconds))
    }

    @Test(arguments: [
        "", "-", "-h", "-1", "-1y", "--1h", "-99999999999999999999d", "-9223372036854775807d", "tomorrow",
    ])
    func timesThatAreNone(text: String) { #expect(TimeText.instant(text, now: later, in: .utc) == nil) }
}
