// Which request gets which answer.

import CityLink
package import Model

/// What this collector did since it started.
struct CollectorCounts: Hashable, Sendable {
    var results: [RollupResult: Int] = [:]
    var answers: [Int: Int] = [:]
}

extension Collector {
    /// One answer for one request. `log` gets what its operator should know.
    package mutating func answer(
        _ request: CityRequest, now: Instant, log: (String) -> Void = { _ in }
    ) -> CityAnswer {
        var answer: CityAnswer
        do throws(Refusal) {
            answer = try route(request, now)
        } catch {
            answer = error.answer
            if let cause = error.cause { log(cause) }
        }
        counts.answers[answer.status, default: 0] += 1
        answer.headers.append(("Referrer-Policy", "no-referrer"))
        return answer
    }

    private mutating func route(_ request: CityRequest, _ now: Instant) throws(Refusal) -> CityAnswer {
        if request.path == "/v1/rollups", request.method == "POST" { return try take(request, now: now) }
        guard request.method == "GET" || request.method == "HEAD" else {
            let allowed = request.path == "/v1/rollups" ? "GET, HEAD, POST" : "GET, HEAD"
            throw Refusal(405, "\(request.path) takes \(allowed)", headers: [("Allow", allowed)])
        }
        switch request.path {
        case "/": return try cityPage(request, now)
        case "/style.css": return CityPage.styleAnswer
        case "/v1/rollups": return try rollups(request, now)
        case "/v1/labs": return try labs(request)
        case "/v1/capabilities": return .json(Self.capabilities)
        case "/v1/openapi.json": return CityAnswer(body: Array(OpenAPI.document.utf8))
        case "/metrics": return try metrics(request)
        case "/healthz": return try health()
        default:
            if request.path.hasPrefix("/v1/labs/"), request.path.hasSuffix("/rollups/summary"),
                request.path.utf8.count > 25
            {
                return try summary(request, lab: String(request.path.dropFirst(9).dropLast(16)), now)
            }
            throw Refusal(404, "there is nothing at this path; /v1/openapi.json tells what there is")
        }
    }

    // MARK: who may read

    /// What this caller may see: nil is everything, otherwise one lab.
    private func readable(_ request: CityRequest) throws(Refusal) -> String? {
        switch try caller(request) {
        case .local, .reader: return nil
        case .lab(let lab): return lab.id
        case .nobody:
            throw .unauthorized("this needs a token: a lab's for its own windows, or the city's read token for all")
        }
    }

    // MARK: answers

    static var capabilities: JSON {
        .object([
            "schemas": .array([.string(RollupContent.schema)]),
            "grains": .array(RollupGrain.allCases.map { .string($0.rawValue) }),
            "content_encodings": .array([.string("gzip")]),
            "limits": .object([
                "items": .integer(mostItems), "bytes": .integer(mostBytes), "page_items": .integer(mostPageItems),
            ]),
            "public_minimum_labs": .integer(CityPage.minimumLabs),
        ])
    }

    private func labs(_ request: CityRequest) throws(Refusal) -> CityAnswer {
        let only = try readable(request)
        let labs = try fromBook { () throws(BookError) in try book.labs() }
        return .json(.object(["labs": .array(labs.filter { only == nil || $0.id == only }.map(\.json))]))
    }

    private func health() throws(Refusal) -> CityAnswer {
        _ = try fromBook { () throws(BookError) in try book.windowCount() }
        return .json(.object(["status": .string("ok")]))
    }

    static var mostPageItems: Int { 5000 }
    /// A page ends early where its windows are large.
    static var mostPageBytes: Int { 8 << 20 }

    private func range(_ request: CityRequest, _ now: Instant) throws(Refusal) -> RollupQuery {
        var query = RollupQuery()
        if let text = request["grain"] {
            guard let grain = RollupGrain(rawValue: text) else { throw Refusal(400, "grain must be PT1H or P1D") }
            query.grain = grain
        }
        for name in ["from", "to"] {
            guard let text = request[name] else { continue }
            guard let time = TimeText.instant(text, now: now, in: .utc) else {
                throw Refusal(400, "\(name) must be a time such as 2026-11-23T00:00:00Z, 2026-11-23, today or -7d")
            }
            if name == "from" { query.from = time } else { query.to = time }
        }
        return query
    }

    private func summary(_ request: CityRequest, lab: String, _ now: Instant) throws(Refusal) -> CityAnswer {
        if let only = try readable(request), only != lab { throw Refusal(403, "this token is for \(only) alone") }
        var query = try range(request, now)
        query.lab = lab
        query.grain = query.grain ?? .day
        let limit = 20_000
        let windows = try fromBook { () throws(BookError) in try book.summaries(query, limit: limit) }
        guard windows.count < limit else { throw Refusal(400, "that are too many windows; ask for less at once") }
        return .json(
            .object([
                "lab": .string(lab), "grain": .string((query.grain ?? .day).rawValue),
                "windows": .array(windows.map(\.json)),
            ]))
    }

    private func rollups(_ request: CityRequest, _ now: Instant) throws(Refusal) -> CityAnswer {
        var query = try range(request, now)
        query.lab = request["lab"]
        if let only = try readable(request) {
            guard query.lab == nil || query.lab == only else { throw Refusal(403, "this token is for \(only) alone") }
            query.lab = only
        }
        if let text = request["after"] {
            guard let key = RollupKey(text) else { throw Refusal(400, "after must be what next said") }
            query.after = key
        }
        let limit = request["limit"].map { Int($0) ?? 0 } ?? Self.mostPageItems
        guard (1...Self.mostPageItems).contains(limit) else {
            throw Refusal(400, "limit must be a whole number from 1 to \(Self.mostPageItems)")
        }
        switch request["format"] ?? "json" {
        case "json": return try listed(query, limit)
        case "csv":
            guard let detail = RollupTable.Detail(rawValue: request["detail"] ?? "total") else {
                throw Refusal(400, "detail must be total, class or machine")
            }
            return try tabled(query, limit, detail)
        default: throw Refusal(400, "format must be json or csv")
        }
    }

    /// `{"schema","items":[{"digest","received","rollup"}],"next"}`: what it gives can be sent to another collector.
    private func listed(_ query: RollupQuery, _ limit: Int) throws(Refusal) -> CityAnswer {
        var body = Array("{\"schema\":\"\(RollupContent.schema)\",\"items\":[".utf8)
        let last = try page(query, limit) { rollup in
            if body.last != UInt8(ascii: "[") { body.append(UInt8(ascii: ",")) }
            body += Array("{\"digest\":\"\(rollup.digest)\",\"received\":\"\(rollup.received)\",\"rollup\":".utf8)
            body += rollup.text
            body.append(UInt8(ascii: "}"))
            return body.count < Self.mostPageBytes
        }
        body += Array("],\"next\":".utf8)
        body += JSON.optional(last?.description).bytes
        body.append(UInt8(ascii: "}"))
        return CityAnswer(headers: [("Cache-Control", "no-store")], body: body)
    }

    private func tabled(
        _ query: RollupQuery, _ limit: Int, _ detail: RollupTable.Detail
    ) throws(Refusal) -> CityAnswer {
        var body = RollupTable.header
        let last = try page(query, limit) { rollup in
            RollupTable.append(rollup, detail, to: &body)
            return body.count < Self.mostPageBytes
        }
        var headers = [
            ("Cache-Control", "no-store"), ("Content-Disposition", "attachment; filename=\"rollups.csv\""),
        ]
        // A table has no room for it, so a header tells where the next page begins.
        if let last { headers.append(("X-Next", last.description)) }
        return CityAnswer(contentType: "text/csv; charset=utf-8", headers: headers, body: body)
    }

    /// Hands windows to `body` until it says that the page is full; gives the last one where more follow.
    private func page(
        _ query: RollupQuery, _ limit: Int, _ body: (StoredRollup) -> Bool
    ) throws(Refusal) -> RollupKey? {
        var count = 0
        var last: RollupKey?
        var isFull = false
        var more = false
        try fromBook { () throws(BookError) in
            try book.forEach(query) { rollup in
                if isFull {
                    more = true
                    return false
                }
                count += 1
                last = rollup.key
                isFull = !body(rollup) || count == limit
                return true
            }
        }
        return more ? last : nil
    }

    private func metrics(_ request: CityRequest) throws(Refusal) -> CityAnswer {
        if let only = try readable(request) {
            throw Refusal(403, "\(only) may read its windows, not the city's metrics")
        }
        let labs = try fromBook { () throws(BookError) in try book.labs() }
        let windows = try fromBook { () throws(BookError) in try book.windowCount() }
        var text = """
            # HELP fabcity_build_info The version of this collector.
            # TYPE fabcity_build_info gauge
            fabcity_build_info{version="\(software)"} 1
            # HELP fabcity_labs Enrolled labs.
            # TYPE fabcity_labs gauge
            fabcity_labs{state="enabled"} \(labs.count { !$0.isDisabled })
            fabcity_labs{state="disabled"} \(labs.count { $0.isDisabled })
            # HELP fabcity_windows Windows held.
            # TYPE fabcity_windows gauge
            fabcity_windows \(windows)
            # HELP fabcity_items_total Items taken since the start, by what became of them.
            # TYPE fabcity_items_total counter

            """
        for result in RollupResult.allCases {
            text += "fabcity_items_total{result=\"\(result.rawValue)\"} \(counts.results[result] ?? 0)\n"
        }
        text +=
            "# HELP fabcity_answers_total Answers since the start, by status.\n# TYPE fabcity_answers_total counter\n"
        for (status, count) in counts.answers.sorted(by: { $0.key < $1.key }) {
            text += "fabcity_answers_total{status=\"\(status)\"} \(count)\n"
        }
        text += "# HELP fabcity_lab_last_received_seconds When a lab last sent something new, Unix time.\n"
        text += "# TYPE fabcity_lab_last_received_seconds gauge\n"
        // A monitor that gets a series for each of a hundred thousand labs does not get well.
        for lab in labs.prefix(1000) {
            guard let received = lab.lastReceived else { continue }
            text += "fabcity_lab_last_received_seconds{lab=\"\(lab.id)\"} \(received.milliseconds / 1000)\n"
        }
        return CityAnswer(
            contentType: "text/plain; version=0.0.4; charset=utf-8", headers: [("Cache-Control", "no-store")],
            body: Array(text.utf8))
    }

    /// The page, made at most every ten seconds for each kind of reader.
    private mutating func cityPage(_ request: CityRequest, _ now: Instant) throws(Refusal) -> CityAnswer {
        let isPublic: Bool
        switch try caller(request) {
        case .local, .reader: isPublic = false
        case .lab, .nobody: isPublic = true
        }
        if let page, page.isPublic == isPublic, now >= page.made, now < page.made + .seconds(10) {
            return CityPage.answer(page.body)
        }
        var figures = CityFigures()
        let query = RollupQuery(grain: .day, from: now - .hours(8 * 24), to: now + .hours(24))
        try fromBook { () throws(BookError) in
            try book.forEach(query) { rollup in
                figures.add(rollup)
                return figures.windows < CityFigures.mostWindows
            }
        }
        let labs = try fromBook { () throws(BookError) in try book.labs() }
        let body = CityPage.html(figures, labs: labs, isPublic: isPublic, now: now)
        page = CityPageCache(body: body, isPublic: isPublic, made: now)
        return CityPage.answer(body)
    }
}
