import City
import CityLink
import Model
import Testing

/// A gateway's outbox with its disk, a line that loses and repeats, and a collector, under a virtual clock. Everything
/// follows from the seed.
private struct Delivery {
    var random: SeededRandom
    var city: Collector<MemoryBook> = collector()
    var now = start
    var epoch: Int64 = 1

    // The disk: what a crash leaves.
    var rows: [RollupKey: OutboxRow] = [:]
    var windows: [RollupKey: EmittedWindow] = [:]
    // What is in memory.
    var box: RollupOutbox
    /// The newest content of each window, as the lab knows it.
    var truth: [RollupKey: RollupContent] = [:]
    /// Requests that the line may deliver again, late.
    var old: [[UInt8]] = []
    var underWay: PushAnswer?
    var receipts: [RollupKey: RollupVersion] = [:]

    init(seed: UInt64) {
        random = SeededRandom(seed)
        box = RollupOutbox(epoch: 1, seed: seed, sha256: sha256)
    }

    mutating func chance(_ share: Double) -> Bool { Double.random(in: 0..<1, using: &random) < share }

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
            case .receipt(let record):
                receipts[record.key] = max(record.version, receipts[record.key] ?? record.version)
                if let window = record.window { windows[record.key] = window }
            case .note(let window): windows[window.key] = window
            case .forget(let before): windows = windows.filter { $0.key.start >= before }
            case .alarm: break
            }
        }
    }

    /// The process dies and comes back with what is on disk; the lab computes again what it knows.
    mutating func crash() {
        underWay = nil
        box = RollupOutbox(
            epoch: epoch, rows: Array(rows.values), known: Array(windows.values),
            seed: .random(in: 0...UInt64.max, using: &random), sha256: sha256)
        for content in truth.values.sorted(by: { $0.start < $1.start }) { offer(content, crashes: false) }
    }

    mutating func offer(_ content: RollupContent, crashes: Bool) {
        truth[content.key] = content
        guard let row = box.offer(content, now: now.wall) else { return }
        // The disk may be slow: meanwhile other things happen, and `send` comes back to it.
        if crashes, chance(0.4) { return }
        write([.persist(row)])
        if crashes, chance(0.05) { return crash() }
        box.persisted(row.key, row.version)
    }

    mutating func deliver(_ body: [UInt8]) -> CityAnswer {
        city.answer(post(body), now: now.wall)
    }

    /// Sends what is next; the answer is under way until `receive`, and much may happen in between.
    mutating func send() {
        for row in box.unpersisted where chance(0.7) {
            write([.persist(row)])
            box.persisted(row.key, row.version)
        }
        now.moment = max(now.moment, box.nextAttempt == .never ? now.moment : box.nextAttempt)
        guard let batch = box.nextBatch(now: now.moment) else { return }
        if chance(0.5) { old.append(batch.body) }
        // Lost on the way there.
        if chance(0.15) { return underWay = PushAnswer(batch: batch.id, outcome: .failed("timeout")) }
        city.book.isBroken = chance(0.05)
        var answer = deliver(batch.body)
        city.book.isBroken = false
        if chance(0.1) { answer = deliver(batch.body) }
        // Stored, and the answer lost.
        if chance(0.15) { return underWay = PushAnswer(batch: batch.id, outcome: .failed("timeout")) }
        if chance(0.1) { answer.body = Array(answer.body.prefix(.random(in: 0...answer.body.count, using: &random))) }
        underWay = PushAnswer(
            batch: batch.id,
            outcome: .response(
                status: answer.status, contentType: answer.contentType, retryAfter: nil, body: answer.body))
    }

    mutating func receive() {
        guard let answer = underWay else { return }
        underWay = nil
        let effects = box.handle(answer, now: now)
        // A receipt that never reaches the disk is a receipt that never came.
        if chance(0.1) { return crash() }
        write(effects)
        if chance(0.05) { crash() }
    }

    mutating func run() {
        for _ in 0..<250 {
            now.moment = now.moment + .seconds(1)
            now.wall = now.wall + .seconds(1)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<4:
                offer(randomContent(&random, day: .random(in: 0..<8, using: &random)), crashes: true)
            case 4, 5: send()
            case 6, 7: receive()
            case 8: if let body = old.randomElement(using: &random) { _ = deliver(body) }
            default: if chance(0.2) { crash() }
            }
        }
        var rounds = 0
        while !box.rows.isEmpty, rounds < 400 {
            send()
            receive()
            rounds += 1
        }
    }
}

@Suite struct DeliveryTests {
    /// Whatever is lost, repeated, late or dead in between: the city ends with the newest content of every window.
    @Test(arguments: 0..<30 as Range<UInt64>) func theCityEndsWithTheNewestContent(seed: UInt64) throws {
        var delivery = Delivery(seed: seed)
        delivery.run()
        #expect(delivery.box.rows.isEmpty, "seed \(seed): the outbox drains")
        #expect(delivery.rows.isEmpty, "seed \(seed): its disk, too")
        let book = delivery.city.book
        #expect(Set(book.windows.keys) == Set(delivery.truth.keys), "seed \(seed)")
        for (key, content) in delivery.truth {
            let stored = try must(book.windows[key])
            var problems: [String] = []
            let item = try must(JSON(stored.text).flatMap { RollupItem($0, &problems) })
            // `final` alone is no news, so it may differ.
            #expect(
                item.content.contentDigest(sha256) == content.contentDigest(sha256),
                "seed \(seed), \(key) is not the newest")
            #expect(delivery.windows[key]?.version == stored.version, "seed \(seed): one revision for both")
            #expect(delivery.receipts[key] == stored.version, "seed \(seed): what is receipted is what is held")
        }
    }

    /// Every order, with repetitions and in any cuts: the same book.
    @Test(arguments: 0..<20 as Range<UInt64>) func orderAndCutsDoNotMatter(seed: UInt64) throws {
        var random = SeededRandom(seed)
        var items: [JSON] = []
        for number in 0..<6 as Range<Int64> {
            for revision in 1...4 as ClosedRange<Int64> {
                let content = randomContent(&random, day: number)
                items.append(
                    wire(content, epoch: revision > 2 ? 2 : 1, revision: revision > 2 ? revision - 2 : revision))
            }
        }
        var first = collector()
        for item in items { _ = first.answer(post(push([item])), now: firstDay) }
        var second = collector()
        var shuffled = (items + items.shuffled(using: &random)).shuffled(using: &random)[...]
        while !shuffled.isEmpty {
            let part = shuffled.prefix(.random(in: 1...9, using: &random))
            shuffled = shuffled.dropFirst(part.count)
            let answer = second.answer(post(push(Array(part))), now: firstDay)
            #expect(answer.status == 200)
        }
        let digests = first.book.windows.mapValues(\.digest)
        #expect(digests == second.book.windows.mapValues(\.digest), "seed \(seed)")
        #expect(first.book.windows.values.allSatisfy { $0.version == RollupVersion(epoch: 2, revision: 2) })
    }

    /// The city comes back from an old backup: reconciliation heals it.
    @Test func aCityThatLostItsBookGetsItBack() throws {
        var delivery = Delivery(seed: 1)
        for number in 0..<10 as Range<Int64> { delivery.offer(day(number), crashes: false) }
        while let batch = delivery.box.nextBatch(now: delivery.now.moment) {
            let answer = delivery.deliver(batch.body)
            delivery.write(
                delivery.box.handle(
                    PushAnswer(
                        batch: batch.id,
                        outcome: .response(
                            status: answer.status, contentType: answer.contentType, retryAfter: nil, body: answer.body)),
                    now: delivery.now))
        }
        let book = delivery.city.book
        book.windows = book.windows.filter { $0.key.start < firstDay + .hours(24 * 4) }
        let summary = delivery.city.answer(
            CityRequest(
                "GET", "/v1/labs/\(seoul)/rollups/summary", query: [("from", "2026-11-01")],
                authorization: "Bearer token-\(seoul)"), now: delivery.now.wall)
        let held = try must(RollupSummary.all(summary.body))
        #expect(held.count == 4)
        let missing = delivery.box.reconcile(
            held, lab: seoul, grain: .day, from: firstDay, to: firstDay + .hours(24 * 30))
        #expect(missing.count == 6)
        for key in missing { delivery.offer(try must(delivery.truth[key]), crashes: false) }
        for _ in 0..<100 where !delivery.box.rows.isEmpty {
            delivery.send()
            delivery.receive()
        }
        #expect(book.windows.count == 10)
    }
}
