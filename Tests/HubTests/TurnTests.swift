import Hub
import Model
import Ports
import Store
import Testing
import Usage

/// A printer that is asked over HTTP and one that is asked over MQTT, and a test that plays both.
private struct Bench {
    var hub: Hub
    let configuration: Configuration
    let region = MemoryRegion(size: 8 << 20)
    var now = Now(moment: Moment(nanoseconds: 0), wall: Instant(milliseconds: 1_790_000_000_000))

    struct Question {
        let number: UInt64
        let path: String
    }

    init() throws {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let text = """
            lab: { id: "urn:x:turns", timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1" }]
            devices:
              - { id: mk4, driver: prusalink, url: "http://mk4.local/" }
              - { id: voron, driver: moonraker, mqtt: main, topic: voron, every: 60 s }
            machines:
              - { id: mk4, class: three_d_printing, devices: [mk4] }

            """
        configuration = try #require(
            reader.read([try YAML.parse(text, file: "turns.yaml")]), "\(reader.problems.all)")
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
        hub = Hub(configuration, store: store, at: now)
        hub.open(endpoint: 0, at: now)
        _ = hub.takeEffects()
    }

    /// Another process over the same store.
    mutating func restart() throws {
        _ = try hub.store.commit()
        hub = Hub(configuration, store: try RingStore(opening: region), at: now)
        hub.open(endpoint: 0, at: now)
    }

    /// What the hub asks for while time passes, each with the second in which it was.
    mutating func pass(_ seconds: Int64, step: Int64 = 100) -> [(second: Int64, effect: Effect)] {
        var seen: [(Int64, Effect)] = []
        for _ in 0..<(seconds * 1000 / step) {
            now = Now(moment: now.moment + .milliseconds(step), wall: now.wall + .milliseconds(step))
            if now.moment >= hub.deadline { hub.tick(at: now) }
            seen += hub.takeEffects().map { (now.moment.nanoseconds / 1_000_000_000, $0) }
        }
        return seen
    }

    mutating func questions(_ seconds: Int64) -> [(second: Int64, Question)] {
        pass(seconds, step: 500).compactMap { second, effect in
            guard case .ask(0, let number, let path, _, _) = effect else { return nil }
            return (second, Question(number: number, path: path))
        }
    }

    mutating func answer(_ number: UInt64, _ state: String, job: Int? = nil) {
        let job = job.map { #","job":{"id":\#($0),"progress":20}"# } ?? ""
        let body = Array(#"{"printer":{"state":"\#(state)","temp_nozzle":25}\#(job)}"#.utf8)
        hub.answer(body.span, status: 200, path: "/api/v1/status", number: number, endpoint: 0, at: now)
    }

    /// Answers each question with this state for a while.
    mutating func live(_ seconds: Int64, _ state: String, job: Int? = nil) {
        for _ in 0..<seconds {
            for (_, question) in questions(1) { answer(question.number, state, job: job) }
        }
    }

    /// Jobs of any outcome.
    func jobs() -> Int64 {
        let today = hub.machineViews(at: now)[0].today
        return JobOutcome.allCases.reduce(0) { $0 + today[$1] }
    }
    var state: MachineState { hub.machineViews(at: now)[0].state }
}

@Suite struct TurnTests {
    @Test func aDeviceOverHTTPIsAskedInTurnsAndItsAnswersAreRead() throws {
        var bench = try Bench()
        let first = try #require(bench.questions(1).first)
        #expect(first.1.path == "/api/v1/status")
        // One question at a time, however long it takes.
        #expect(bench.questions(3).isEmpty)
        bench.answer(first.1.number, "PRINTING", job: 4)
        #expect(bench.state == .running)
        #expect(bench.questions(5).map(\.second) == [5])
    }

    @Test func anAnswerToAnotherQuestionIsNone() throws {
        var bench = try Bench()
        let first = try #require(bench.questions(1).first).1
        bench.answer(first.number + 7, "PRINTING", job: 4)
        #expect(bench.state == .unknown)
        bench.answer(first.number, "IDLE")
        #expect(bench.state == .idle)
        // It counts once.
        bench.answer(first.number, "PRINTING", job: 4)
        #expect(bench.state == .idle)
    }

    @Test func oneThatIsOffIsAskedEverMoreRarelyAndComesBack() throws {
        var bench = try Bench()
        bench.live(12, "IDLE")
        // Nobody answers for an hour.
        let asked = bench.questions(3600).map(\.second)
        #expect(bench.state == .offline)
        let gaps = zip(asked, asked.dropFirst()).map { $1 - $0 }
        #expect(gaps.prefix(2).allSatisfy { $0 <= 10 })
        #expect(gaps.last.map { (150...160).contains($0) } ?? false, "the last gaps are \(gaps.suffix(3))")
        #expect(asked.count < 60)
        #expect(bench.hub.deviceViews()[0].faultsByKind[.noReply] ?? 0 >= asked.count - 1)
        bench.live(200, "IDLE")
        #expect(bench.state == .idle)
        #expect(bench.questions(6).count >= 1, "it is asked as often as before")
    }

    @Test func oneThatAnswersAgainIsAskedAsOftenAsBefore() throws {
        var bench = try Bench()
        bench.live(12, "IDLE")
        _ = bench.questions(3600)
        var isBack = false
        for _ in 0..<400 where !isBack {
            for (_, question) in bench.questions(1) {
                bench.answer(question.number, "IDLE")
                isBack = true
            }
        }
        #expect(isBack && bench.questions(6).count == 1)
    }

    @Test func oneThatSpeaksOnItsBrokerAgainHasItsNextTurnSoon() throws {
        var bench = try Bench()
        bench.hub.broker(0, isUp: true, "connected", at: bench.now)
        _ = bench.pass(4 * 3600, step: 1000)
        let word = Array(#"{"status":{"print_stats":{"state":"printing"}},"eventtime":1.0}"#.utf8)
        bench.hub.message(
            word.span, topic: "voron/klipper/status", isRetained: false, broker: 0, at: bench.now)
        // In the first turn it has just spoken.
        let polls = bench.pass(125, step: 1000).count { if case .publish = $0.effect { true } else { false } }
        #expect(polls >= 1)
    }

    @Test func whyItDoesNotAnswerIsToldOnceAndShown() throws {
        var bench = try Bench()
        var told = 0
        for _ in 0..<120 {
            for (_, effect) in bench.pass(1) {
                guard case .ask(_, let number, _, _, _) = effect else { continue }
                bench.hub.noAnswer("nothing listens there", number: number, endpoint: 0, at: bench.now)
                for effect in bench.hub.takeEffects() {
                    if case .log(.warning, let text) = effect, text.contains("nothing listens there") { told += 1 }
                }
            }
        }
        #expect(told == 1)
        #expect(bench.hub.linkStates.contains { $0.name == "mk4" && !$0.isUp })
    }

    @Test func aDeviceOnABrokerHasTurnsWhileTheBrokerIsThere() throws {
        var bench = try Bench()
        func polls(_ seconds: Int64) -> Int {
            bench.pass(seconds, step: 1000).count { if case .publish = $0.effect { true } else { false } }
        }
        #expect(polls(300) == 0)
        bench.hub.broker(0, isUp: true, "connected", at: bench.now)
        _ = bench.hub.takeEffects()
        let first = polls(200)
        #expect(first >= 2)
        // It never says a word: it is asked ever more rarely.
        #expect(polls(4 * 3600) < 20)
        bench.hub.broker(0, isUp: false, "lost", at: bench.now)
        #expect(polls(600) == 0)
    }

    @Test func aPrintThatIsOnOutlivesTheProcess() throws {
        var bench = try Bench()
        bench.live(12, "PRINTING", job: 7)
        try bench.restart()
        bench.live(12, "PRINTING", job: 7)
        #expect(bench.jobs() == 0)
        try bench.restart()
        // It ended meanwhile, and says so with its number.
        bench.live(12, "FINISHED", job: 7)
        #expect(bench.hub.machineViews(at: bench.now)[0].today[JobOutcome.completed] == 1)
        try bench.restart()
        bench.live(12, "FINISHED", job: 7)
        #expect(bench.jobs() == 1)
    }
}
