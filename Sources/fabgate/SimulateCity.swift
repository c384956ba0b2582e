package import City
package import CityLink
import Model
import Simulation

/// A book of which a copy is kept, as cities do at night.
package protocol CopiedBook: RollupBook {
    /// Makes the copy, in place of the one before.
    func copy()
    /// The book is lost; what the copy holds comes back, or nothing where there is none.
    func fallBack()
}

/// A collector's book in memory, for a collector that ends with the process.
package final class MemoryRollupBook: CopiedBook {
    private var known: [String: LabRecord] = [:]
    private var windows: [RollupKey: StoredRollup] = [:]
    private var copied: [RollupKey: StoredRollup] = [:]

    package init() {}

    package func labs() throws(BookError) -> [LabRecord] { known.values.sorted { $0.id < $1.id } }
    package func lab(_ id: String) throws(BookError) -> LabRecord? { known[id] }
    package func lab(tokenHash: [UInt8]) throws(BookError) -> LabRecord? {
        known.values.first { $0.tokenHash == tokenHash }
    }
    package func put(_ lab: LabRecord) throws(BookError) { known[lab.id] = lab }
    package func highestEpoch(of lab: String) throws(BookError) -> Int64 {
        windows.values.reduce(0) { $1.key.lab == lab ? max($0, $1.version.epoch) : $0 }
    }
    package func held(_ keys: [RollupKey]) throws(BookError) -> [RollupKey: RollupSummary] {
        var held: [RollupKey: RollupSummary] = [:]
        for key in keys {
            if let row = windows[key] { held[key] = RollupSummary(key: key, version: row.version, digest: row.digest) }
        }
        return held
    }
    package func store(_ rollups: [StoredRollup]) throws(BookError) {
        for rollup in rollups {
            if let old = windows[rollup.key], old.version > rollup.version { continue }
            windows[rollup.key] = rollup
            known[rollup.key.lab]?.lastReceived = rollup.received
        }
    }
    package func forEach(_ query: RollupQuery, _ body: (StoredRollup) -> Bool) throws(BookError) {
        func order(_ key: RollupKey) -> (Instant, String, String) { (key.start, key.lab, key.grain.rawValue) }
        // What is asked for first, then in order: of a year mostly a few weeks are.
        let keys = windows.keys.filter { key in
            key.start >= query.from && key.start < query.to && (query.lab == nil || query.lab == key.lab)
                && (query.grain == nil || query.grain == key.grain)
                && (query.after.map { order($0) < order(key) } ?? true)
        }
        for key in keys.sorted(by: { order($0) < order($1) }) {
            guard let rollup = windows[key], body(rollup) else { return }
        }
    }
    package func summaries(_ query: RollupQuery, limit: Int) throws(BookError) -> [RollupSummary] {
        var all: [RollupSummary] = []
        try forEach(query) {
            all.append(RollupSummary(key: $0.key, version: $0.version, digest: $0.digest))
            return all.count < limit
        }
        return all
    }
    package func windowCount() throws(BookError) -> Int { windows.count }
    package func copy() { copied = windows }
    package func fallBack() { windows = copied }
}

/// The city and the line to it: one request at a time goes in, its answer comes out when its time has come.
struct SimulatedCity<Book: RollupBook> {
    private(set) var collector: Collector<Book>
    /// Whether the line and the city are bad.
    var isFaulty: Bool
    private var random: SeededRandom
    private var answer: (due: Instant, answer: PushAnswer)?
    /// Requests that the line kept and delivers hours later.
    private var kept: [(due: Instant, body: [UInt8])] = []
    private var outage: Range<Instant>

    private static var token: String { "simulated" }

    init(_ book: Book, lab: String, epochStart: Instant, isFaulty: Bool, seed: UInt64, sha256: @escaping SHA256) throws
    {
        collector = Collector(book: book, software: Version.number, sha256: sha256)
        self.isFaulty = isFaulty
        random = SeededRandom(seed)
        outage = epochStart + .hours(3)..<epochStart + .hours(5)
        _ = try collector.perform(.add(id: lab, name: nil), token: Self.token, now: epochStart)
    }

    var isBusy: Bool { answer != nil }
    /// When its answer comes.
    var due: Instant? { answer?.due }

    /// The gateway that asked is dead; nobody hears the answer.
    mutating func hangUp() { answer = nil }

    mutating func send(_ batch: PushBatch, at now: Instant) {
        func come(after seconds: Int64, _ outcome: PushAnswer.Outcome) {
            answer = (now + .seconds(seconds), PushAnswer(batch: batch.id, outcome: outcome))
        }
        guard isFaulty else { return come(after: 1, deliver(batch.body, at: now)) }
        if now >= outage.upperBound {
            let begin = now + .seconds(Int64.random(in: 7_200...43_200, using: &random))
            outage = begin..<begin + .seconds(Int64.random(in: 1_800...14_400, using: &random))
        }
        if outage.contains(now) { return come(after: 10, .failed("connection refused")) }
        switch Int.random(in: 0..<100, using: &random) {
        case 0..<15: come(after: 30, .failed("time-out on the way there"))
        case 15..<30:
            _ = deliver(batch.body, at: now)
            come(after: 30, .failed("time-out on the way back"))
        case 30..<45:
            let status = [500, 503, 429, 401].randomElement(using: &random) ?? 503
            come(after: 1, .response(status: status, contentType: "text/plain", retryAfter: nil, body: []))
        case 45..<55:
            kept.append((now + .seconds(Int64.random(in: 3_600...21_600, using: &random)), batch.body))
            come(after: 30, .failed("time-out"))
        case 55..<65:
            _ = deliver(batch.body, at: now)
            come(after: 5, deliver(batch.body, at: now))
        case 65..<75:
            guard case .response(let status, let type, _, let body) = deliver(batch.body, at: now) else { return }
            let part = Array(body.prefix(Int.random(in: 0...body.count, using: &random)))
            come(after: 2, .response(status: status, contentType: type, retryAfter: nil, body: part))
        default: come(after: 2, deliver(batch.body, at: now))
        }
    }

    /// The city's computer is lost and starts again with the copy of its book. Whoever waits for an answer gets none.
    mutating func fallBack(at now: Instant) {
        guard let book = collector.book as? any CopiedBook else { return }
        book.fallBack()
        if let waiting = answer {
            answer = (now, PushAnswer(batch: waiting.answer.batch, outcome: .failed("connection reset")))
        }
    }

    func copy() { (collector.book as? any CopiedBook)?.copy() }

    /// What it holds of a grain; nil where it cannot be reached.
    mutating func summary(
        lab: String, _ grain: RollupGrain, from: Instant, to: Instant, at now: Instant
    ) -> [RollupSummary]? {
        if isFaulty, outage.contains(now) { return nil }
        let query = [("grain", grain.rawValue), ("from", from.description), ("to", to.description)]
        let answer = collector.answer(
            CityRequest(
                "GET", "/v1/labs/\(lab)/rollups/summary", query: query, authorization: "Bearer \(Self.token)"),
            now: now)
        return answer.status == 200 ? RollupSummary.all(answer.body) : nil
    }

    /// What came back by now.
    mutating func receive(at now: Instant) -> PushAnswer? {
        while let index = kept.firstIndex(where: { $0.due <= now }) {
            _ = deliver(kept.remove(at: index).body, at: now)
        }
        guard let ready = answer, ready.due <= now else { return nil }
        answer = nil
        return ready.answer
    }

    /// The city is asked no more; what is still on the way arrives now.
    mutating func settle(at now: Instant) {
        isFaulty = false
        for late in kept { _ = deliver(late.body, at: now) }
        kept = []
    }

    private mutating func deliver(_ body: [UInt8], at now: Instant) -> PushAnswer.Outcome {
        let request = CityRequest(
            "POST", "/v1/rollups", authorization: "Bearer \(Self.token)", contentType: "application/json", body: body)
        let answer = collector.answer(request, now: now)
        return .response(status: answer.status, contentType: answer.contentType, retryAfter: nil, body: answer.body)
    }
}

/// What the outbox's database holds: it outlives the process.
struct OutboxDisk {
    private(set) var rows: [RollupKey: OutboxRow] = [:]
    private(set) var windows: [RollupKey: EmittedWindow] = [:]

    mutating func write(_ effects: [OutboxEffect]) {
        for effect in effects {
            switch effect {
            case .persist(let row):
                rows[row.key] = row
                if windows[row.key].map({ $0.version <= row.version }) ?? true {
                    windows[row.key] = EmittedWindow(
                        key: row.key, version: row.version, contentDigest: row.contentDigest, digest: row.digest,
                        isReceipted: false)
                }
            case .delete(let key, let version): if let row = rows[key], row.version <= version { rows[key] = nil }
            case .receipt(let record): if let window = record.window { windows[record.key] = window }
            case .note(let window): windows[window.key] = window
            case .forget(let before): windows = windows.filter { $0.key.start >= before }
            case .alarm: break
            }
        }
    }
}
