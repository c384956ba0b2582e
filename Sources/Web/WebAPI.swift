package import Hub
package import Model
import Store
package import Usage

/// A request, as far as the API looks at it.
package struct WebRequest: Sendable {
    package let method: String
    package let path: String
    package let query: [(name: String, value: String)]
    package let headers: [(name: String, value: String)]
    package let body: [UInt8]

    package init(
        method: String, path: String, query: [(name: String, value: String)],
        headers: [(name: String, value: String)] = [], body: [UInt8] = []
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
    }

    /// The first header of this name, which is given in lower case.
    func header(_ name: String) -> String? { headers.first { $0.name.lowercased() == name }?.value }

    subscript(name: String) -> String? { query.first { $0.name == name }?.value }
}

/// An answer with its whole body.
package struct WebAnswer: Sendable {
    package let status: Int
    package let contentType: String
    package let body: [UInt8]

    package static func json(_ value: JSON, status: Int = 200) -> WebAnswer {
        WebAnswer(status: status, contentType: "application/json", body: value.bytes)
    }

    package static func text(_ text: String, type: String = "text/plain; charset=utf-8", status: Int = 200) -> WebAnswer
    {
        WebAnswer(status: status, contentType: type, body: Array(text.utf8))
    }

    /// RFC 9457.
    package static func problem(_ status: Int, _ title: String, _ detail: String) -> WebAnswer {
        let body = JSON.object([
            "type": .string("about:blank"), "title": .string(title), "status": .integer(status),
            "detail": .string(detail),
        ])
        return WebAnswer(status: status, contentType: "application/problem+json", body: body.bytes)
    }
}

/// What stands beside the hub: the outbox as JSON members, and who answers.
package struct WebSurroundings {
    package var now: Now
    package var software: String
    package var outbox: JSON
    package var rollups: (_ from: Instant, _ to: Instant, _ grain: Window.Grain) -> JSON
    /// What each city would be told of the last windows.
    package var preview: () -> JSON

    package init(
        now: Now, software: String, outbox: JSON,
        rollups: @escaping (_ from: Instant, _ to: Instant, _ grain: Window.Grain) -> JSON,
        preview: @escaping () -> JSON = { .object(["cities": .array([])]) }
    ) {
        self.now = now
        self.software = software
        self.outbox = outbox
        self.rollups = rollups
        self.preview = preview
    }
}

/// The gateway's HTTP API: a pure function from a request and the hub to an answer.
package enum WebAPI {
    /// The most points that one query returns.
    static let mostPoints = 5000

    package static func answer(_ request: WebRequest, _ hub: Hub, _ around: WebSurroundings) -> WebAnswer {
        guard request.method == "GET" || request.method == "HEAD" else {
            return .problem(
                405, "Method not allowed", "\(request.method) is not possible here; this API is read with GET")
        }
        let parts = request.path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        switch parts {
        case ["healthz"]: return .json(health(hub, around))
        case ["readyz"]: return ready(hub)
        case ["metrics"]:
            return .text(Metrics.text(hub, around), type: "text/plain; version=0.0.4; charset=utf-8")
        case ["api", "v1", "machines"]: return .json(MachinesJSON.all(hub, around.now))
        case ["api", "v1", "devices"]: return .json(MachinesJSON.devices(hub))
        case ["api", "v1", "series"]: return .json(series(hub))
        case ["api", "v1", "query"]: return query(request, hub, around.now)
        case ["api", "v1", "rollups"]: return rollups(request, hub, around)
        case ["api", "v1", "jobs"]: return jobs(request, hub, around.now)
        case ["api", "v1", "report"]: return report(request, hub, around.now)
        case ["api", "v1", "preview"]: return .json(around.preview())
        case ["api", "v1", "outbox"]: return .json(around.outbox)
        case ["api", "v1", "alerts"]: return .json(MachinesJSON.alerts(hub))
        default: break
        }
        if parts.count == 4, parts[..<3] == ["api", "v1", "machines"] {
            guard let machine = MachinesJSON.one(hub, parts[3], around.now) else {
                return .problem(
                    404, "No such machine", "no machine is called '\(parts[3])'; /api/v1/machines lists them")
            }
            return .json(machine)
        }
        return .problem(404, "Not found", "there is nothing at \(request.path); /api/v1/openapi.json describes the API")
    }

    private static func health(_ hub: Hub, _ around: WebSurroundings) -> JSON {
        .object([
            "status": .string("ok"), "now": .string(around.now.wall.description), "software": .string(around.software),
        ])
    }

    /// Ready to serve, with what is wrong where it is not.
    private static func ready(_ hub: Hub) -> WebAnswer {
        if let trouble = hub.storeTrouble { return .problem(503, "Not storing", trouble) }
        return .json(.object(["status": .string("ready")]))
    }

    private static func series(_ hub: Hub) -> JSON {
        .object([
            "series": .array(
                hub.store.allSeries.filter { !$0.key.device.hasPrefix(Hub.machinePrefix) }.map { info in
                    .object([
                        "series": .string("\(info.key.device)/\(info.key.channel)"),
                        "unit": .optional(info.unit?.rawValue), "kind": .string(info.kind.rawValue),
                    ])
                })
        ])
    }

    /// The stretch that a query names; today by default.
    private static func stretch(_ request: WebRequest, _ hub: Hub, _ now: Now) -> (from: Instant, to: Instant)? {
        let zone = hub.configuration.lab.zone
        guard let from = TimeText.instant(request["from"] ?? "today", now: now.wall, in: zone),
            let to = TimeText.instant(request["to"] ?? "now", now: now.wall, in: zone), from <= to
        else { return nil }
        return (from, to)
    }

    private static let badStretch = WebAnswer.problem(
        400, "Bad time", "'from' and 'to' must be times, the earlier one first; \(TimeText.hint)")

    private static func query(_ request: WebRequest, _ hub: Hub, _ now: Now) -> WebAnswer {
        switch question(request, hub, now) {
        case .refused(let answer): answer
        case .asked(let asked):
            .json(SeriesJSON.points(hub.store, asked.info, from: asked.from, to: asked.to, step: asked.step))
        }
    }

    /// Longer stretches are answered beside the loop.
    private static let longStretch = Duration.hours(6)

    /// The answer to a query over a long stretch, to be called on any thread: it reads the store as it was at the last
    /// commit. It gives nil where the ring has overtaken it; then, and where this is nil, `answer` knows.
    package static func deferred(_ request: WebRequest, _ hub: Hub, _ now: Now) -> (@Sendable () -> WebAnswer?)? {
        guard request.method == "GET", request.path == "/api/v1/query",
            case .asked(let asked) = question(request, hub, now), asked.to - asked.from >= longStretch,
            let snapshot = hub.store.snapshot(asked.info.id, from: asked.from, to: asked.to)
        else { return nil }
        return { SeriesJSON.points(snapshot, step: asked.step).map { .json($0) } }
    }

    private struct Asked {
        let info: SeriesInfo
        let from: Instant
        let to: Instant
        let step: Duration
    }

    private enum Question {
        case refused(WebAnswer)
        case asked(Asked)
    }

    private static func question(_ request: WebRequest, _ hub: Hub, _ now: Now) -> Question {
        guard let name = request["series"] else {
            return .refused(.problem(400, "Which series?", "give series=DEVICE/CHANNEL; /api/v1/series lists them"))
        }
        let parts = name.split(separator: "/", maxSplits: 1).map(String.init)
        guard parts.count == 2, let info = hub.store.find(SeriesKey(device: parts[0], channel: parts[1])) else {
            return .refused(
                .problem(404, "No such series", "no series is called '\(name)'; /api/v1/series lists them"))
        }
        guard let (from, to) = stretch(request, hub, now) else { return .refused(badStretch) }
        let length = (to - from).milliseconds
        guard let step = TimeText.duration(request["step"] ?? "\(max(1, length / 500_000))s") else {
            return .refused(.problem(400, "Bad step", "'step' must be a length of time such as 60s or 15min"))
        }
        guard length / step.milliseconds < Int64(mostPoints) else {
            return .refused(
                .problem(
                    400, "Too many points",
                    "that would be more than \(mostPoints) points; ask for a shorter time or a longer step"))
        }
        return .asked(Asked(info: info, from: from, to: to, step: step))
    }

    private static func rollups(_ request: WebRequest, _ hub: Hub, _ around: WebSurroundings) -> WebAnswer {
        guard let (from, to) = stretch(request, hub, around.now) else { return badStretch }
        guard let grain = Window.Grain(rawValue: request["grain"] ?? "PT1H") else {
            return .problem(400, "Bad grain", "'grain' is PT1H or P1D")
        }
        return .json(around.rollups(from, to, grain))
    }

    private static func report(_ request: WebRequest, _ hub: Hub, _ now: Now) -> WebAnswer {
        guard let (from, to) = stretch(request, hub, now) else { return badStretch }
        guard to - from <= .hours(24 * 400) else {
            return .problem(400, "Too long", "a report covers at most 400 days; ask for a shorter time")
        }
        return .json(SeriesJSON.report(hub, from: from, to: to))
    }

    private static func jobs(_ request: WebRequest, _ hub: Hub, _ now: Now) -> WebAnswer {
        guard let (from, to) = stretch(request, hub, now) else { return badStretch }
        return .json(SeriesJSON.jobs(hub, from: from, to: to))
    }
}
