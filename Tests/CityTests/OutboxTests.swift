import CityLink
import Model
import Ports
import Testing

let start = Now(moment: Moment(nanoseconds: 1_000_000_000), wall: firstDay + .hours(72))

/// An outbox in which these contents are stored and wait.
func outbox(_ contents: [RollupContent], limits: RollupOutbox.Limits = .init(), epoch: Int64 = 1) -> RollupOutbox {
    var outbox = RollupOutbox(epoch: epoch, limits: limits, seed: 1, sha256: sha256)
    for content in contents {
        if let row = outbox.offer(content, now: start.wall) { outbox.persisted(row.key, row.version) }
    }
    return outbox
}

/// What a collector answers that gives each item the same result.
func results(_ batch: PushBatch, _ result: String = "applied") -> [UInt8] {
    JSON.object([
        "results": .array(
            batch.items.map { item in
                .object([
                    "lab": .string(item.key.lab), "grain": .string(item.key.grain.rawValue),
                    "start": .string(item.key.start.description), "epoch": .integer(item.version.epoch),
                    "revision": .integer(item.version.revision), "result": .string(result),
                    "problem": .object(["detail": .string("because")]),
                ])
            })
    ]).bytes
}

func answer(
    _ batch: PushBatch, _ status: Int, _ body: [UInt8] = [], type: String = "application/json",
    retryAfter: String? = nil
) -> PushAnswer {
    PushAnswer(
        batch: batch.id,
        outcome: .response(status: status, contentType: type, retryAfter: retryAfter, body: body))
}

/// `#require` for calls that change something, which it cannot hold.
func must<T>(_ value: T?, _ words: String = "", at place: SourceLocation = #_sourceLocation) throws -> T {
    try #require(value, Comment(rawValue: words), sourceLocation: place)
}

@Suite struct OutboxTests {
    @Test func aRowIsSentOnlyWhenItIsOnDisk() throws {
        var box = RollupOutbox(epoch: 4, seed: 1, sha256: sha256)
        let row = try must(box.offer(day(), now: start.wall))
        #expect(row.version == RollupVersion(epoch: 4, revision: 1))
        let outcome1 = box.nextBatch(now: start.moment)
        #expect(outcome1 == nil)
        #expect(box.unpersisted == [row])
        box.persisted(row.key, RollupVersion(epoch: 4, revision: 9))
        let outcome2 = box.nextBatch(now: start.moment)
        #expect(outcome2 == nil)
        #expect(box.acceptedBefore(row.key.grain) == nil)
        box.persisted(row.key, row.version)
        #expect(box.acceptedBefore(row.key.grain) == row.key.start)
        let batch = try must(box.nextBatch(now: start.moment))
        #expect(JSON(batch.body)?["schema"]?.text == "fablab.rollup/1")
        #expect(JSON(batch.body)?["items"]?.items?.first?["digest"]?.text == row.digest)
        let outcome3 = box.nextBatch(now: start.moment)
        #expect(outcome3 == nil, "one request at a time")
    }

    @Test func whatDidNotChangeIsNotOffered() throws {
        var box = outbox([day()])
        let outcome8 = box.offer(day(), now: start.wall)
        #expect(outcome8 == nil)
        let second = try must(box.offer(day(running: 1000), now: start.wall))
        #expect(second.version.revision == 2)
        // That it is final is news, and is so once.
        let final = day(running: 1000) { $0.isFinal = true }
        let third = try must(box.offer(final, now: start.wall))
        #expect(third.version.revision == 3)
        let outcome9 = box.offer(final, now: start.wall)
        #expect(outcome9 == nil)
        #expect(box.rows.count == 1)
    }

    @Test func aNewEpochBeginsAtRevisionOneAndAnOldOneIsNeverUsedAgain() throws {
        let old = outbox([day(), day(1)])
        var box = RollupOutbox(
            epoch: 2, rows: Array(old.rows.values), known: Array(old.known.values), seed: 1, sha256: sha256)
        let outcome10 = box.offer(day(running: 5), now: start.wall)
        #expect(outcome10?.version == RollupVersion(epoch: 2, revision: 1))
        var back = RollupOutbox(epoch: 1, rows: [], known: Array(box.known.values), seed: 1, sha256: sha256)
        let outcome11 = back.offer(day(running: 6), now: start.wall)
        #expect(outcome11?.version == RollupVersion(epoch: 2, revision: 2))
    }

    @Test func newestOfEachGrainGoesFirstThenTheOldest() throws {
        let hours = (0..<5).map { day($0, grain: .hour) }
        let days = (0..<4).map { day($0) }
        var box = outbox(hours + days)
        let batch = try must(box.nextBatch(now: start.moment))
        let order = batch.items.map { "\($0.key.grain.rawValue) \(($0.key.start - firstDay).milliseconds / 3_600_000)" }
        #expect(order.prefix(4) == ["PT1H 4", "P1D 72", "P1D 0", "PT1H 0"])
        #expect(order.suffix(2) == ["P1D 24", "P1D 48"])
    }

    @Test func requestsKeepTheirBounds() throws {
        var limits = RollupOutbox.Limits()
        limits.batchItems = 7
        var box = outbox((0..<20).map { day($0) }, limits: limits)
        let outcome15 = try must(box.nextBatch(now: start.moment))
        #expect(outcome15.items.count == 7)
        limits.batchItems = 500
        limits.batchBytes = 5000
        box = outbox((0..<20).map { day($0) }, limits: limits)
        let batch = try must(box.nextBatch(now: start.moment))
        #expect(batch.body.count <= 5000 && batch.items.count >= 2)
        limits.batchBytes = 500
        box = outbox([day()], limits: limits)
        let outcome4 = box.nextBatch(now: start.moment)
        #expect(outcome4 == nil)
        #expect(box.status.deadLetters == 1)
    }

    // MARK: the table of answers

    enum Fate: String { case gone, waits, buried }
    struct Case: CustomTestStringConvertible, Sendable {
        let status: Int
        var type = "application/json"
        var result: String? = nil
        var retryAfter: String? = nil
        var fate = Fate.waits
        /// Shortest and longest wait until the next try, in milliseconds.
        var wait: ClosedRange<Int64> = 100...1000
        var isAlarm = false
        var testDescription: String { "\(status) \(type) \(result ?? "") \(retryAfter ?? "")" }
    }
    static let table: [Case] = [
        Case(status: 200, result: "applied", fate: .gone, wait: 0...0),
        Case(status: 200, result: "duplicate", fate: .gone, wait: 0...0),
        Case(status: 200, result: "stale", fate: .gone, wait: 0...0),
        Case(status: 207, result: "conflict", fate: .buried, wait: 0...0, isAlarm: true),
        Case(status: 207, result: "rejected", fate: .buried, wait: 0...0, isAlarm: true),
        Case(status: 200, result: "excellent"),
        Case(status: 200),
        Case(status: 200, type: "text/html", result: "applied"),
        Case(status: 201, result: "applied"),
        Case(status: 202, result: "applied"),
        Case(status: 204),
        Case(status: 301, wait: 300_000...300_000, isAlarm: true),
        Case(status: 307, wait: 300_000...300_000, isAlarm: true),
        Case(status: 400, fate: .buried, wait: 0...0, isAlarm: true),
        Case(status: 401, wait: 300_000...300_000, isAlarm: true),
        Case(status: 403, wait: 300_000...300_000, isAlarm: true),
        Case(status: 404, wait: 300_000...300_000, isAlarm: true),
        Case(status: 405, wait: 300_000...300_000, isAlarm: true),
        Case(status: 408),
        Case(status: 409),
        Case(status: 410, wait: 300_000...300_000, isAlarm: true),
        Case(status: 413, fate: .buried, wait: 0...0, isAlarm: true),
        Case(status: 415, wait: 300_000...300_000, isAlarm: true),
        Case(status: 422, fate: .buried, wait: 0...0, isAlarm: true),
        Case(status: 425),
        Case(status: 429, retryAfter: "7", wait: 7000...7000),
        Case(status: 429, retryAfter: "0", wait: 1000...1000),
        Case(status: 429, retryAfter: "315360000", wait: 3_600_000...3_600_000),
        Case(status: 429, retryAfter: "99999999999999999999999", wait: 3_600_000...3_600_000),
        Case(status: 429, retryAfter: "soon"),
        Case(status: 429, retryAfter: "-5"),
        Case(status: 503, retryAfter: "Wed, 25 Nov 2026 15:01:00 GMT", wait: 60_000...60_000),
        Case(status: 503, retryAfter: "Wed, 25 Nov 2020 15:01:00 GMT", wait: 1000...1000),
        Case(status: 500), Case(status: 502), Case(status: 503), Case(status: 504), Case(status: 599),
        Case(status: 100, wait: 300_000...300_000, isAlarm: true),
    ]

    @Test(arguments: table) func everyAnswerHasItsMeaning(_ sample: Case) throws {
        var box = outbox([day()])
        let batch = try must(box.nextBatch(now: start.moment))
        let body = sample.result.map { results(batch, $0) } ?? []
        let effects = box.handle(
            answer(batch, sample.status, body, type: sample.type, retryAfter: sample.retryAfter), now: start)
        let row = box.rows[day().key]
        let fate: Fate = row == nil ? .gone : row?.problem == nil ? .waits : .buried
        #expect(fate == sample.fate)
        #expect(effects.contains { if case .alarm = $0 { true } else { false } } == sample.isAlarm)
        #expect(effects.contains { if case .receipt = $0 { true } else { false } } == (fate == .gone))
        #expect(effects.contains(.delete(batch.items[0].key, batch.items[0].version)) == (fate == .gone))
        guard fate == .waits else { return #expect(box.nextAttempt == .never) }
        let wait = (box.nextAttempt - start.moment).milliseconds
        #expect(sample.wait.contains(wait), "waits \(wait) ms")
        let outcome5 = box.nextBatch(now: start.moment)
        #expect(outcome5 == nil)
        let again = try must(box.nextBatch(now: box.nextAttempt))
        #expect(again.body == batch.body, "the same bytes")
    }

    @Test func withoutAnAnswerTheWaitGrowsToItsCap() throws {
        var box = outbox([day()])
        var now = start
        var longest: Int64 = 0
        for _ in 0..<200 {
            let batch = try must(box.nextBatch(now: now.moment))
            _ = box.handle(PushAnswer(batch: batch.id, outcome: .failed("refused")), now: now)
            let wait = box.nextAttempt - now.moment
            longest = max(longest, wait.milliseconds)
            #expect(wait >= Backoff.floor && wait <= Backoff.cap)
            now.moment = box.nextAttempt
        }
        #expect(longest > 240_000, "full jitter draws from the whole range")
        let batch = try must(box.nextBatch(now: now.moment))
        _ = box.handle(answer(batch, 200, results(batch)), now: now)
        #expect(box.status.trouble == nil)
    }

    @Test func anAnswerCutAnywhereIsNoReceipt() throws {
        var box = outbox([day()])
        var now = start
        for length in 0..<1000 {
            let batch = try must(box.nextBatch(now: now.moment))
            let body = results(batch)
            guard length < body.count else { return }
            _ = box.handle(answer(batch, 200, Array(body[..<length])), now: now)
            #expect(box.rows.count == 1)
            now.moment = box.nextAttempt
        }
    }

    @Test func aReceiptMustNameTheWindowAndTheVersion() throws {
        let first = day()
        for (change, isReceipt) in [
            (("revision", JSON.number(1)), false), (("revision", .number(2)), true), (("revision", .number(3)), true),
            (("lab", .string("urn:other")), false), (("grain", .string("PT1H")), false),
            (("start", .string("2026-11-23T15:00:00.000Z")), false), (("epoch", .number(0)), false),
        ] {
            var box = outbox([first, day(running: 7)])
            let batch = try must(box.nextBatch(now: start.moment))
            #expect(batch.items[0].version.revision == 2)
            let result = JSON(results(batch))?["results"]?.items?.first ?? .null
            let changed = JSON.object((result.without(change.0).members ?? []) + [JSON.Member(change.0, change.1)])
            let body = JSON.object(["results": .array([changed])]).bytes
            _ = box.handle(answer(batch, 200, body), now: start)
            #expect(box.rows.isEmpty == isReceipt, "\(change)")
        }
    }

    @Test func aNewerVersionOutlivesTheReceiptOfTheOlder() throws {
        var box = outbox([day()])
        let batch = try must(box.nextBatch(now: start.moment))
        let newer = try must(box.offer(day(running: 9), now: start.wall))
        let effects = box.handle(answer(batch, 200, results(batch)), now: start)
        #expect(box.rows[newer.key]?.version.revision == 2)
        #expect(!effects.contains { if case .delete = $0 { true } else { false } })
        // The newer window is not on disk yet, so nothing about it may be written with the receipt.
        for case .receipt(let record) in effects { #expect(record.window == nil) }
        box.persisted(newer.key, newer.version)
        let outcome6 = box.nextBatch(now: start.moment)
        #expect(outcome6?.items.first?.version.revision == 2)
    }

    @Test func lateAndForeignAnswersChangeNothing() throws {
        var box = outbox([day()])
        let batch = try must(box.nextBatch(now: start.moment))
        let foreign = PushAnswer(batch: batch.id &+ 1, outcome: .failed("late"))
        let outcome16 = box.handle(foreign, now: start)
        #expect(outcome16 == [])
        #expect(box.status.isSending)
        _ = box.handle(answer(batch, 200, results(batch)), now: start)
        let outcome17 = box.handle(answer(batch, 400), now: start)
        #expect(outcome17 == [])
        #expect(box.rows.isEmpty)
    }

    @Test(arguments: [400, 422], [0, 1, 57, 99]) func onePoisonedItemIsFoundByHalving(status: Int, poisoned: Int) throws
    {
        let contents = (0..<100).map { day(Int64($0)) }
        let poison = contents[poisoned].key
        var box = outbox(contents)
        var requests = 0
        while let batch = box.nextBatch(now: start.moment) {
            requests += 1
            let isRefused = batch.items.contains { $0.key == poison }
            _ = box.handle(isRefused ? answer(batch, status) : answer(batch, 200, results(batch)), now: start)
        }
        #expect(box.rows.keys.sorted { $0.start < $1.start } == [poison])
        #expect(box.rows[poison]?.problem?.contains("\(status)") == true)
        #expect(requests <= 16, "\(requests) requests")
        // It is sent again when someone asks for it.
        box.retry(poison)
        let outcome7 = box.nextBatch(now: start.moment)
        #expect(outcome7?.items.count == 1)
    }

    @Test func aCityThatRefusesEverythingDoesNotBuryTheBacklog() throws {
        var box = outbox((0..<300).map { day(Int64($0)) })
        var now = start
        for _ in 0..<1000 {
            guard let batch = box.nextBatch(now: now.moment) else { break }
            _ = box.handle(answer(batch, 400), now: now)
        }
        #expect(box.status.deadLetters == RollupOutbox.refusalsBeforePause)
        #expect(box.status.waiting == 292)
        #expect(box.status.trouble != nil)
        now.moment = box.nextAttempt
        box.retry()
        while let batch = box.nextBatch(now: now.moment) {
            _ = box.handle(answer(batch, 200, results(batch)), now: now)
        }
        #expect(box.rows.isEmpty)
    }

    @Test func tooLargeRequestsAreHalvedAndGrowAgain() throws {
        var box = outbox((0..<100).map { day(Int64($0)) })
        var sizes: [Int] = []
        while let batch = box.nextBatch(now: start.moment) {
            sizes.append(batch.items.count)
            let status = batch.items.count > 20 ? 413 : 200
            _ = box.handle(answer(batch, status, status == 200 ? results(batch) : []), now: start)
        }
        #expect(box.rows.isEmpty)
        #expect(sizes.prefix(4) == [100, 50, 25, 12])
    }

    @Test func aFullOutboxGivesUpTheOldestHoursFirstAndSaysSo() throws {
        var limits = RollupOutbox.Limits()
        limits.waitingRows = 6
        var box = outbox((0..<4).map { day($0) } + (0..<4).map { day($0, grain: .hour) }, limits: limits)
        let left = box.rows.keys.map { "\($0.grain.rawValue) \(($0.start - firstDay).milliseconds / 3_600_000)" }
            .sorted()
        #expect(left == ["P1D 0", "P1D 24", "P1D 48", "P1D 72", "PT1H 2", "PT1H 3"])
        #expect(box.status.dropped == 2)
        let effects = box.takeEffects()
        #expect(effects.count == 4)
        let outcome18 = box.takeEffects()
        #expect(outcome18 == [])
    }

    @Test func whatIsBeyondTheHorizonIsForgottenAndNotOffered() throws {
        var limits = RollupOutbox.Limits()
        limits.horizon = .hours(48)
        var box = RollupOutbox(epoch: 1, limits: limits, seed: 1, sha256: sha256)
        let row = try must(box.offer(day(), now: firstDay + .hours(24)))
        box.persisted(row.key, row.version)
        let batch = try must(box.nextBatch(now: start.moment))
        _ = box.handle(answer(batch, 200, results(batch)), now: start)
        let outcome12 = box.offer(day(running: 3), now: firstDay + .hours(49))
        #expect(outcome12 == nil)
        #expect(box.known.isEmpty)
        let outcome19 = box.takeEffects()
        #expect(outcome19.contains(.forget(before: firstDay + .hours(1))))
    }

    @Test func aCityThatKnowsMoreRaisesAnAlarmAndIsOvertaken() throws {
        var box = outbox([day()])
        let batch = try must(box.nextBatch(now: start.moment))
        let receipt = RollupReceipt(
            key: batch.items[0].key, version: batch.items[0].version, result: .stale,
            stored: RollupVersion(epoch: 1, revision: 8))
        let effects = box.handle(answer(batch, 200, JSON.object(["results": .array([receipt.json])]).bytes), now: start)
        #expect(effects.contains { if case .alarm(let text) = $0 { text.contains("1.8") } else { false } })
        let outcome13 = box.offer(day(running: 1), now: start.wall)
        #expect(outcome13?.version.revision == 9)
    }

    @Test func reconciliationFindsWhatTheCityLost() throws {
        var box = outbox((0..<5).map { day(Int64($0)) })
        let batch = try must(box.nextBatch(now: start.moment))
        _ = box.handle(answer(batch, 200, results(batch)), now: start)
        var summary = box.known.values.map { RollupSummary(key: $0.key, version: $0.version, digest: $0.digest) }
        summary.sort { $0.key.start < $1.key.start }
        func missing(_ box: inout RollupOutbox, _ summary: [RollupSummary]) -> [RollupKey] {
            box.reconcile(summary, lab: seoul, grain: .day, from: firstDay, to: firstDay + .hours(24 * 30))
        }
        let outcome20 = missing(&box, summary)
        #expect(outcome20 == [])
        let lost = summary.remove(at: 3)
        summary[1] = RollupSummary(key: summary[1].key, version: summary[1].version, digest: "other")
        let outcome21 = missing(&box, summary)
        #expect(outcome21 == [summary[1].key, lost.key])
        let outcome14 = box.offer(day(3), now: start.wall)
        #expect(outcome14?.version.revision == 2)
        let outcome22 = missing(&box, summary)
        #expect(outcome22.contains(lost.key) == false, "it waits already")
    }

    /// A gateway that was restored from a backup got a new epoch, which beats all that the city has. What it may know less
    /// of stays as it is there.
    @Test func aRestoredGatewayReplacesNothingThatItNeverMade() throws {
        #expect(!RollupOutbox.mustAskFirst(epoch: 1, known: []))
        #expect(RollupOutbox.mustAskFirst(epoch: 2, known: []))
        // What the city holds, made in epoch 1 after the backup.
        var before = outbox((0..<3).map { day(Int64($0)) })
        let made = try must(before.nextBatch(now: start.moment))
        _ = before.handle(answer(made, 200, results(made)), now: start)
        let summary = before.known.values.map { RollupSummary(key: $0.key, version: $0.version, digest: $0.digest) }
        var box = RollupOutbox(epoch: 2, asksFirst: true, seed: 1, sha256: sha256)
        let early = [day(0), day(1, running: 5), day(2), day(3)].compactMap { box.offer($0, now: start.wall) }
        #expect(early.isEmpty && box.rows.isEmpty, "nothing is made before the city was asked")
        let again = box.reconcile(summary, lab: seoul, grain: .day, from: firstDay, to: firstDay + .hours(24 * 30))
        #expect(again.count == 4)
        let told = box.takeEffects()
        #expect(told.contains { if case .alarm(let text) = $0 { text.contains("backup") } else { false } })
        // The same content is this gateway's own from now on, other content is refused, a new window goes out.
        let second = [day(0), day(1, running: 5), day(2)].compactMap { box.offer($0, now: start.wall) }
        let refused = box.takeEffects()
        #expect(second.isEmpty)
        #expect(refused.contains { if case .alarm(let text) = $0 { text.contains("not this") } else { false } })
        let new = box.offer(day(3), now: start.wall)
        #expect(new?.version == RollupVersion(epoch: 2, revision: 1))
        // A correction of what is its own again beats what the city has.
        let corrected = box.offer(day(0, running: 7), now: start.wall)
        #expect(corrected?.version == RollupVersion(epoch: 2, revision: 1))
    }

    @Test func datesOfRetryAfterInAllThreeForms() {
        let expected = Instant("1994-11-06T08:49:37Z")
        #expect(RetryAfter.date("Sun, 06 Nov 1994 08:49:37 GMT") == expected)
        #expect(RetryAfter.date("Sunday, 06-Nov-94 08:49:37 GMT") == expected)
        #expect(RetryAfter.date("Sun Nov 6 08:49:37 1994") == expected)
        for text in [
            "", "Sun", "Sun, 31 Feb 1994 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", "a b c d e f", "1 2 3 4 5",
        ] {
            #expect(RetryAfter.date(text) == nil, "\(text)")
        }
    }

    // MARK: on disk

    @Test func rowsAndWindowsComeBackFromSQLite() throws {
        let database = try SQLiteDatabase(path: ":memory:")
        try database.migrate(to: OutboxSchema.migrations.count, steps: OutboxSchema.migrations)
        func write(_ effects: [OutboxEffect]) throws {
            for command in effects.flatMap({ OutboxSchema.commands(for: $0, city: "seoul") }) {
                try run(database, command)
            }
        }
        var box = RollupOutbox(epoch: 1, seed: 1, sha256: sha256)
        for content in [day(), day(1), day(2), day(running: 4)] {
            let row = try must(box.offer(content, now: start.wall))
            try write([.persist(row)])
            box.persisted(row.key, row.version)
        }
        let batch = try must(box.nextBatch(now: start.moment))
        var receipts = JSON(results(batch))?["results"]?.items ?? []
        receipts[0] = JSON(results(batch, "rejected"))?["results"]?.items?[0] ?? .null
        try write(box.handle(answer(batch, 207, JSON.object(["results": .array(receipts)]).bytes), now: start))
        let again = try load(database, "seoul")
        #expect(again.rows == box.rows)
        #expect(again.known == box.known)
        #expect(again.rows.values.first?.problem == "rejected: because")
        #expect(try load(database, "other").rows.isEmpty)
        let log = try database.rows("SELECT result FROM receipt") { $0.text(0) }
        #expect(log == ["applied", "applied"])
        try write([.forget(before: .distantFuture)])
        #expect(try load(database, "seoul").known.count == 1, "what still waits is not forgotten")
    }

    private func load(_ database: SQLiteDatabase, _ city: String) throws -> RollupOutbox {
        let rows = try cells(database, OutboxSchema.rows(city: city))
        let windows = try cells(database, OutboxSchema.windows(city: city))
        return RollupOutbox(
            epoch: 1, rows: rows.compactMap(OutboxSchema.row), known: windows.compactMap(OutboxSchema.window), seed: 1,
            sha256: sha256)
    }

    private func cells(_ database: SQLiteDatabase, _ command: SQLCommand) throws -> [[SQLCell]] {
        guard case .text(let city)? = command.values.first else { return [] }
        // Columns of text, numbers and blobs in the order of the schema.
        let isRow = command.text.contains("problem")
        return try database.rows(command.text, city) { row in
            let name: [SQLCell] = [
                .text(row.text(0) ?? ""), .text(row.text(1) ?? ""), .integer(row.integer(2) ?? 0),
                .integer(row.integer(3) ?? 0), .integer(row.integer(4) ?? 0), .text(row.text(5) ?? ""),
                .text(row.text(6) ?? ""),
            ]
            guard isRow else { return name + [.integer(row.integer(7) ?? 0), .text(row.text(8) ?? "")] }
            return name + [
                .blob(row.bytes(7) ?? []), .integer(row.integer(8) ?? 0), row.text(9).map(SQLCell.text) ?? .null,
            ]
        }
    }

    private func run(_ database: SQLiteDatabase, _ command: SQLCommand) throws {
        let v: [(any SQLiteValue)?] = command.values.map { cell in
            switch cell {
            case .null: nil
            case .integer(let number): number
            case .text(let text): text
            case .blob(let bytes): bytes
            }
        }
        try database.run(command.text, values: v)
    }
}
