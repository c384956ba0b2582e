// What each answer of a city means for the rows that were sent.
//
//     200 207 with results   each item by its own result; an item without one goes again
//     other 2xx, or a 200
//     that is no results     nobody stored anything: back-off, same bytes
//     400 422                halve until the bad item stands alone, then it is a dead letter
//     413                    halve the size of requests
//     401 403                pause five minutes, keep everything
//     404 410 415 3xx …      pause five minutes, keep everything: this is not where or how to send
//     408 409 425 429 5xx    back-off or Retry-After, same bytes
//     no answer              back-off, same bytes

package import Model

extension RollupOutbox {
    /// How long nothing is sent after an answer that only a person can mend.
    package static let pause = Duration.minutes(5)
    /// After so many single items were refused without one success between, the fault is hardly the items'.
    package static let refusalsBeforePause = 8

    /// Takes what came back for the batch that is under way.
    package mutating func handle(_ answer: PushAnswer, now: Now) -> [OutboxEffect] {
        guard let batch = inFlight, batch.id == answer.batch else { return takeEffects() }
        inFlight = nil
        switch answer.outcome {
        case .failed(let reason):
            tryAgain(batch, "the city cannot be reached: \(reason)", now)
        case .response(let status, let contentType, let retryAfter, let body):
            switch status {
            case 200..<300:
                if status == 200 || status == 207,
                    let receipts = RollupReceipt.all(contentType: contentType, body: body)
                {
                    settle(batch, receipts, now)
                } else {
                    tryAgain(batch, "the answer \(status) \(contentType) does not come from a collector", now)
                }
            case 400, 422: refuse(batch, Self.words(status, body), now)
            case 413: shrink(batch, Self.words(status, body), now)
            case 401, 403:
                pause(
                    batch, "the city refuses this lab's token (\(Self.words(status, body))); enrol the lab again", now)
            case 408, 409, 425, 429, 500...:
                tryAgain(batch, "the city answers \(Self.words(status, body))", now, retryAfter)
            default:
                pause(batch, "the city answers \(Self.words(status, body)); check the url of this city", now)
            }
        }
        return takeEffects()
    }

    // MARK: each kind of answer

    private mutating func settle(_ batch: PushBatch, _ receipts: [RollupReceipt], _ now: Now) {
        var settled = 0
        let said = Dictionary(grouping: receipts, by: \.key)
        for (key, version) in batch.items {
            // A lost answer and a hasty one both leave items without a word; those go again.
            guard let receipt = said[key]?.first(where: { $0.version >= version }) else { continue }
            switch receipt.result {
            case .applied, .duplicate, .stale: confirm(receipt, sent: version, now.wall)
            case .conflict, .rejected:
                guard receipt.version == version else { continue }
                bury(key, version, "\(receipt.result.rawValue): \(receipt.problem ?? "the city gave no reason")")
            }
            settled += 1
        }
        guard settled > 0 else {
            return tryAgain(batch, "the city answered, but with no word about what was sent", now)
        }
        refusedInARow = 0
        recover()
    }

    private mutating func confirm(_ receipt: RollupReceipt, sent: RollupVersion, _ wall: Instant) {
        let key = receipt.key
        lastReceipt = wall
        guard var window = known[key] else {
            effects.append(.delete(key, receipt.version))
            return remove(key)
        }
        if window.version == sent { window.isReceipted = true }
        let held = max(receipt.stored ?? receipt.version, receipt.version)
        if held > window.version {
            // The city holds what this gateway has never made. The next change must beat it.
            window.version = held
            window.isReceipted = false
            effects.append(
                .alarm(
                    "the city holds version \(held) of \(key), newer than this gateway's: was it restored from a "
                        + "backup, or does a second gateway use its identity? Enrol it again with fabcity lab rotate"))
        }
        known[key] = window
        let onDisk = unstored.contains(key) ? nil : window
        effects.append(
            .receipt(
                ReceiptRecord(key: key, version: sent, result: receipt.result, received: wall, window: onDisk)))
        guard let row = rows[key], row.version <= sent else { return }
        effects.append(.delete(key, sent))
        remove(key)
    }

    private mutating func refuse(_ batch: PushBatch, _ words: String, _ now: Now) {
        let keys = batch.items.map(\.key)
        if keys.count > 1 {
            suspects.append(Array(keys[(keys.count / 2)...]))
            suspects.append(Array(keys[..<(keys.count / 2)]))
            notBefore = now.moment
            return
        }
        bury(batch.items[0].key, batch.items[0].version, words)
        refusedInARow += 1
        if refusedInARow >= Self.refusalsBeforePause {
            pause(
                nil, "the city refuses item after item (\(words)); is it a collector for \(RollupContent.schema)?", now)
        } else {
            notBefore = now.moment
        }
    }

    private mutating func shrink(_ batch: PushBatch, _ words: String, _ now: Now) {
        guard batch.items.count > 1 else {
            bury(batch.items[0].key, batch.items[0].version, words)
            return recover()
        }
        batchItems = batch.items.count / 2
        again(batch)
        notBefore = now.moment
    }

    private mutating func tryAgain(_ batch: PushBatch, _ reason: String, _ now: Now, _ retryAfter: String? = nil) {
        again(batch)
        // The header is asked first; a draw is taken all the same, so that failures keep counting.
        let drawn = backoff.next()
        let wait = retryAfter.flatMap { RetryAfter.wait($0, at: now.wall) } ?? drawn
        notBefore = now.moment + wait
        tell(reason, isAlarm: false)
    }

    private mutating func pause(_ batch: PushBatch?, _ reason: String, _ now: Now) {
        if let batch { again(batch) }
        notBefore = now.moment + Self.pause
        tell(reason, isAlarm: true)
    }

    // MARK: steps

    /// A part of a refused request that did not get its answer stays a part.
    private mutating func again(_ batch: PushBatch) {
        if !suspects.isEmpty { suspects.append(batch.items.map(\.key)) }
    }

    private mutating func bury(_ key: RollupKey, _ version: RollupVersion, _ reason: String) {
        guard var row = rows[key], row.version == version else { return }
        row.problem = String(reason.prefix(500))
        rows[key] = row
        effects.append(.persist(row))
        effects.append(.alarm("the city does not take \(key) version \(version): \(reason.prefix(300))"))
    }

    private mutating func recover() {
        backoff.reset()
        notBefore = Self.atOnce
        trouble = nil
        batchItems = min(max(1, limits.batchItems), batchItems * 2)
    }

    private mutating func tell(_ reason: String, isAlarm: Bool) {
        if isAlarm, trouble != reason { effects.append(.alarm(reason)) }
        trouble = reason
    }

    /// The status and the city's own words, cut to what a line can hold.
    private static func words(_ status: Int, _ body: [UInt8]) -> String {
        let problem = JSON(body)
        let said = problem?["detail"]?.text ?? problem?["title"]?.text ?? ""
        return said.isEmpty ? "\(status)" : "\(status) \(said.prefix(300))"
    }
}
