import Hub
import Model
import Ports
import Synchronization
import Testing
import Web

/// Long stretches are answered beside the loop, from a snapshot.
@Suite struct SnapshotQueryTests {
    /// What the other thread has to say.
    private final class Given: Sendable {
        let answer = Mutex<WebAnswer?>(nil)
    }

    private func request(_ hours: Int64, step: String? = nil) -> WebRequest {
        var query = [(name: "series", value: "meter/power"), (name: "from", value: "\(MeteredHub.start)")]
        query.append((name: "to", value: "\(MeteredHub.start + .hours(hours))"))
        if let step { query.append((name: "step", value: step)) }
        return WebRequest(method: "GET", path: "/api/v1/query", query: query)
    }

    private func answer(_ request: WebRequest, _ hub: MeteredHub) -> WebAnswer {
        WebAPI.answer(
            request, hub.hub,
            WebSurroundings(now: hub.now, software: "test", outbox: .null, rollups: { _, _, _ in .null }))
    }

    @Test func anotherThreadGivesWhatTheLoopWouldHaveGiven() throws {
        var hub = try MeteredHub(try MeteredHub.configuration())
        for minute in 0..<Int64(20 * 60) {
            try hub.pass(to: MeteredHub.start + .seconds(minute * 60 + 1))
            hub.say([MeterSample(time: hub.now.wall, watts: Double(minute * 7919 % 1500), wattHours: 500)])
        }
        try hub.pass(to: MeteredHub.start + .hours(20))
        #expect(WebAPI.deferred(request(5), hub.hub, hub.now) == nil, "a short stretch is the loop's")
        #expect(WebAPI.deferred(request(7, step: "1 fortnight"), hub.hub, hub.now) == nil, "so is a refusal")
        var isNew = false
        for step in [nil, "15min", "7min", "6h"] {
            let asked = request(24, step: step)
            let expected = answer(asked, hub)
            #expect(expected.status == 200)
            let late = try #require(WebAPI.deferred(asked, hub.hub, hub.now))
            // The loop goes on before the other thread gets its turn.
            try hub.pass(to: hub.now.wall + .minutes(10))
            hub.say([MeterSample(time: hub.now.wall, watts: 4321, wattHours: 501)])
            try hub.pass(to: hub.now.wall + .minutes(1))
            let given = Given()
            let thread = Worker(name: "query")
            thread.run { given.answer.withLock { $0 = late() } }
            thread.stop()
            let answered = try #require(given.answer.withLock { $0 })
            #expect(answered.status == 200)
            #expect(answered.body == expected.body, "step \(step ?? "of its own")")
            isNew = isNew || answer(asked, hub).body != expected.body
        }
        #expect(isNew, "the loop's own answer has what came later")
    }
}
