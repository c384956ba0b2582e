import CityLink
import Hub
import Model
import Ports
import Usage

/// Brings rollups to the city: the outbox's rules (CityLink) between its database and an HTTPS connection.
final class CityPusher {
    /// What became of one version of a window, for whoever watches.
    struct Result {
        let key: RollupKey
        let version: RollupVersion
        let result: String
        let at: Instant

        var json: JSON {
            .object([
                "grain": .string(key.grain.rawValue), "start": .string(key.start.description),
                "revision": .integer(version.revision), "result": .string(result), "at": .string(at.description),
            ])
        }
    }

    let city: Configuration.City
    let source: RollupSource
    private let lab: String
    private let clock: SystemClock
    private let now: () -> Now
    private let loop: Loop
    private let disk: Worker
    private let client: HTTPClient
    private let credential: CityCredential
    private let database: Confined<OutboxDatabase>
    private let keptDatabase: OutboxDatabase
    private var outbox: RollupOutbox
    private var received: [Result] = []
    private let isClockKnown: () -> Bool
    private let onPersisted: () -> Void
    private let onResult: (Result) -> Void
    /// Windows whose content is wanted again.
    private let onMissing: ([RollupKey]) -> Void
    private var timer: TimerID?
    private var isStopped = false

    init(
        _ city: Configuration.City, configuration: Configuration, clock: SystemClock, now: @escaping () -> Now,
        loop: Loop,
        disk: Worker, isClockKnown: @escaping () -> Bool,
        onPersisted: @escaping () -> Void, onResult: @escaping (Result) -> Void,
        onMissing: @escaping ([RollupKey]) -> Void
    ) throws {
        self.city = city
        self.clock = clock
        self.now = now
        self.loop = loop
        self.disk = disk
        self.isClockKnown = isClockKnown
        self.onPersisted = onPersisted
        self.onResult = onResult
        self.onMissing = onMissing
        client = HTTPClient(loop: loop)
        credential = try CityCredential(file: city.tokenFile)
        lab = configuration.lab.id
        source = Self.ownSource(configuration)
        keptDatabase = try OutboxDatabase(path: configuration.outboxFile, city: city.name)
        database = Confined(keptDatabase)
        let random = Digest.randomBytes(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let known = try keptDatabase.windows()
        outbox = RollupOutbox(
            epoch: credential.epoch, rows: try keptDatabase.rows(), known: known,
            asksFirst: RollupOutbox.mustAskFirst(epoch: credential.epoch, known: known), seed: random,
            sha256: Digest.sha256)
        received = try keptDatabase.receipts(limit: 100).map {
            Result(key: $0.key, version: $0.version, result: $0.result, at: $0.at)
        }
    }

    static func ownSource(_ configuration: Configuration) -> RollupSource {
        let simulated = configuration.simulation == nil ? "" : " (simulated clock)"
        return RollupSource(
            gateway: configuration.lab.id, software: "fabgate \(Version.number)\(simulated)",
            tzdata: CivilZone.dataVersion)
    }

    func start() {
        send()
        reconcile(city.grains)
    }

    func stop() {
        isStopped = true
        client.cancelAll()
    }

    /// Samples before are needed for no rollup any more, as far as the outbox's disk tells.
    var mayOverwriteBefore: Instant {
        city.grains.map { outbox.acceptedBefore(RollupGrain($0)) ?? .distantPast }.min() ?? .distantPast
    }

    /// Whether any version of a window was made already.
    func knows(_ window: Window, lab: String) -> Bool {
        outbox.known[RollupKey(lab: lab, grain: RollupGrain(window.grain), start: window.start)] != nil
    }

    /// What any version of a window kept to itself.
    func suppressed(_ window: Window, lab: String) -> [String] {
        outbox.known[RollupKey(lab: lab, grain: RollupGrain(window.grain), start: window.start)]?.suppressed ?? []
    }

    // MARK: in

    /// Takes the content of a window. `after` must have worked before it is kept: it makes the samples durable.
    func offer(_ content: RollupContent, after: @escaping @Sendable () throws -> Void) {
        let row = outbox.offer(content, now: now().wall)
        let effects = outbox.takeEffects()
        guard row != nil || !effects.isEmpty else { return }
        let all = (row.map { [OutboxEffect.persist($0)] } ?? []) + effects
        write(
            all, after: after,
            then: { [unowned self] in
                if let row { outbox.persisted(row.key, row.version) }
                onPersisted()
                send()
            })
    }

    /// Carries out effects on the disk, and then something here. What fails is tried again.
    private func write(
        _ effects: [OutboxEffect], after: @escaping @Sendable () throws -> Void = {}, then done: @escaping () -> Void
    ) {
        for effect in effects {
            if case .alarm(let text) = effect { Log.write(.warning, "city \(city.name): \(text)") }
        }
        let database = database
        loop.run(on: disk) { () -> String? in
            do {
                try after()
                try database.value.carryOut(effects)
                return nil
            } catch { return "\(error)" }
        } then: { [unowned self] trouble in
            guard let trouble else { return done() }
            Log.write(.error, "city \(city.name): the outbox cannot be written (\(trouble)); trying again in 5 s")
            guard !isStopped else { return }
            loop.after(.seconds(5)) { [unowned self] in write(effects, after: after, then: done) }
        }
    }

    // MARK: out

    /// Sends what is due, and comes back when more is.
    private func send() {
        if let timer { loop.cancel(timer) }
        timer = nil
        guard !isStopped else { return }
        let now = self.now()
        guard let batch = outbox.nextBatch(now: now.moment) else { return wait(now) }
        var headers = [("Content-Type", "application/json"), ("Authorization", "Bearer \(credential.token)")]
        var body = batch.body
        if body.count > 1024 {
            body = Compression.gzip(body)
            headers.append(("Content-Encoding", "gzip"))
        }
        var request = HTTPClient.Outgoing(method: "POST", url: "\(city.url)/v1/rollups", headers: headers, body: body)
        request.tls = city.tls.map { HTTPClient.ClientTLS(caFile: $0.ca, certFile: $0.cert, keyFile: $0.key) }
        request.maxAnswerBytes = 4 << 20
        client.send(request) { [unowned self] result in
            switch result {
            case .success(let answer):
                handle(
                    PushAnswer(
                        batch: batch.id,
                        outcome: .response(
                            status: answer.status, contentType: answer.header("Content-Type") ?? "",
                            retryAfter: answer.header("Retry-After"), body: answer.body)))
            case .failure(let failure):
                handle(PushAnswer(batch: batch.id, outcome: .failed(failure.description)))
            }
        }
    }

    // MARK: what the city holds

    /// Asks once a day what the city holds, grain by grain, and at the start. A city that cannot say is asked again soon; one
    /// that has no such answer, the next day.
    private func reconcile(_ grains: [Window.Grain]) {
        guard !isStopped else { return }
        guard let grain = grains.first else {
            loop.after(.hours(24)) { [unowned self] in reconcile(city.grains) }
            return
        }
        // Without the time no window can be told again.
        guard isClockKnown() else {
            loop.after(.seconds(10)) { [unowned self] in reconcile(grains) }
            return
        }
        let time = now().wall
        // As far back as windows change; days are few.
        let from = time - .hours(grain == .day ? 400 * 24 : 40 * 24)
        var request = HTTPClient.Outgoing(
            method: "GET",
            url: "\(city.url)/v1/labs/\(lab)/rollups/summary?grain=\(grain.rawValue)&from=\(from)&to=\(time)",
            headers: [("Authorization", "Bearer \(credential.token)")])
        request.tls = city.tls.map { HTTPClient.ClientTLS(caFile: $0.ca, certFile: $0.cert, keyFile: $0.key) }
        request.maxAnswerBytes = 4 << 20
        client.send(request) { [unowned self] result in
            let missing: [RollupKey]
            if case .success(let answer) = result, answer.status == 200, let summary = RollupSummary.all(answer.body) {
                missing = outbox.reconcile(summary, lab: lab, grain: RollupGrain(grain), from: from, to: time)
            } else if case .success(let answer) = result, [400, 404, 405, 410].contains(answer.status) {
                missing = outbox.goOn(RollupGrain(grain))
            } else {
                loop.after(.seconds(60)) { [unowned self] in reconcile(grains) }
                return
            }
            write(outbox.takeEffects(), then: {})
            if !missing.isEmpty {
                Log.write(.notice, "city \(city.name): \(missing.count) windows of \(grain.rawValue) are told again")
                onMissing(missing)
            }
            reconcile(Array(grains.dropFirst()))
        }
    }

    private func handle(_ answer: PushAnswer) {
        let before = outbox.status.trouble
        let effects = outbox.handle(answer, now: now())
        if let trouble = outbox.status.trouble, trouble != before {
            Log.write(.warning, "city \(city.name): \(trouble); \(outbox.rows.count) rollups wait")
        } else if before != nil, outbox.status.trouble == nil {
            Log.write(.notice, "city \(city.name): rollups arrive again")
        }
        write(effects, then: { [unowned self] in send() })
        for case .receipt(let record) in effects {
            let result = Result(
                key: record.key, version: record.version, result: record.result.rawValue, at: record.received)
            received.insert(result, at: 0)
            if received.count > 100 { received.removeLast() }
            Log.write(
                .info,
                "city \(city.name): \(record.key.grain.rawValue) \(record.key.start) revision \(record.version.revision) \(record.result.rawValue)"
            )
            onResult(result)
        }
    }

    private func wait(_ now: Now) {
        let status = outbox.status
        guard status.waiting > 0, !status.isSending else { return }
        let delay = min(max(clock.realDelay(until: status.nextAttempt, from: now), .milliseconds(10)), .seconds(60))
        timer = loop.after(delay) { [unowned self] in
            timer = nil
            send()
        }
    }

    // MARK: to look at

    static let emptyOutbox: JSON = .object([
        "pending": .integer(0), "oldest": .null, "rows": .array([]), "received": .array([]),
    ])

    var outboxJSON: JSON {
        let status = outbox.status
        let rows = outbox.rows.values.sorted { $0.key.start > $1.key.start }.prefix(100)
        return .object([
            "pending": .integer(outbox.rows.count), "dead_letters": .integer(status.deadLetters),
            "oldest": .optional(status.oldest?.description), "trouble": .optional(status.trouble),
            "rows": .array(
                rows.map { row in
                    .object([
                        "grain": .string(row.key.grain.rawValue), "start": .string(row.key.start.description),
                        "revision": .integer(row.version.revision), "made": .string(row.made.description),
                        "last_error": .optional(row.problem ?? status.trouble),
                    ])
                }),
            "received": .array(received.prefix(50).map(\.json)),
        ])
    }
}

/// What the city gave a lab when it was enrolled: the token, and the epoch that orders its gateways.
struct CityCredential {
    let token: String
    let epoch: Int64

    /// The file holds what `fabcity lab add` printed, `{"lab":…,"epoch":1,"token":"…"}`, or the token alone.
    init(file: String) throws {
        let text = try Files.secret(file)
        if let json = JSON(text), let token = json["token"]?.text {
            self.token = token
            epoch = json["epoch"]?.integer ?? 1
        } else {
            token = text
            epoch = 1
        }
        let isPlain = token.utf8.allSatisfy { $0 > 32 && $0 < 127 }
        guard isPlain, token.utf8.count >= 16 else {
            throw ToolFailure(
                .configuration,
                "\(file) holds no token; put there what `fabcity lab add` printed for this lab")
        }
    }
}
