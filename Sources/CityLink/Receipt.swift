// What the city answers for each item, and what a whole answer means.

package import Model

/// What became of one item. All but the last two mean that the city holds this version or a newer one.
package enum RollupResult: String, CaseIterable, Sendable {
    /// Stored; it was newer than what was there.
    case applied
    /// This version was there already with the same digest.
    case duplicate
    /// A newer version was there already.
    case stale
    /// This version was there already with another digest: two gateways with one identity, or a fault.
    case conflict
    /// Not a good item, or not this lab's.
    case rejected
}

/// The city's word on one item:
/// `{"lab","grain","start","epoch","revision","result"}`, with `problem` where it was refused and `stored` where a newer
/// version was there.
package struct RollupReceipt: Hashable, Sendable {
    package let key: RollupKey
    package let version: RollupVersion
    package let result: RollupResult
    /// Why the item was refused.
    package let problem: String?
    /// The newer version that made this one stale.
    package let stored: RollupVersion?

    package init(
        key: RollupKey, version: RollupVersion, result: RollupResult, problem: String? = nil,
        stored: RollupVersion? = nil
    ) {
        self.key = key
        self.version = version
        self.result = result
        self.problem = problem
        self.stored = stored
    }

    package var json: JSON {
        var members: [JSON.Member] = [
            .init("lab", .string(key.lab)), .init("grain", .string(key.grain.rawValue)),
            .init("start", .string(key.start.description)), .init("epoch", .integer(version.epoch)),
            .init("revision", .integer(version.revision)), .init("result", .string(result.rawValue)),
        ]
        if let stored {
            members.append(
                .init("stored", .object(["epoch": .integer(stored.epoch), "revision": .integer(stored.revision)])))
        }
        return .object(members)
    }

    /// nil where a member is missing or means nothing here.
    package init?(_ json: JSON) {
        guard let (key, version) = RollupItem.claim(json),
            let result = json["result"]?.text.flatMap(RollupResult.init(rawValue:))
        else { return nil }
        self.key = key
        self.version = version
        self.result = result
        let problem = json["problem"]
        self.problem = problem?["detail"]?.text ?? problem?["title"]?.text ?? problem?.text
        stored = json["stored"].flatMap(RollupVersion.init)
    }

    /// The receipts of a whole answer; nil where it is not the city that speaks: another type, a cut body, a page.
    package static func all(contentType: String, body: [UInt8]) -> [RollupReceipt]? {
        let type = contentType.prefix { $0 != ";" }.filter { $0 != " " }.lowercased()
        guard type == "application/json", let results = JSON(body)?["results"]?.items else { return nil }
        return results.compactMap(RollupReceipt.init)
    }
}

/// How a push ended, as the transport saw it.
package struct PushAnswer: Sendable {
    package enum Outcome: Sendable {
        /// `retryAfter` is that header as it came.
        case response(status: Int, contentType: String, retryAfter: String?, body: [UInt8])
        /// No answer at all: refused, timed out, a certificate that does not fit; in words.
        case failed(String)
    }

    /// The batch that this answers; answers to anything else are ignored.
    package let batch: UInt64
    package let outcome: Outcome

    package init(batch: UInt64, outcome: Outcome) {
        self.batch = batch
        self.outcome = outcome
    }
}

/// One request to the city.
package struct PushBatch: Sendable {
    package let id: UInt64
    /// `{"schema":"fablab.rollup/1","items":[…]}`, not yet compressed.
    package let body: [UInt8]
    package let items: [(key: RollupKey, version: RollupVersion)]
}

/// One window as the city says that it holds it, from `GET /v1/labs/{lab}/rollups/summary`.
package struct RollupSummary: Hashable, Sendable {
    package let key: RollupKey
    package let version: RollupVersion
    package let digest: String

    package init(key: RollupKey, version: RollupVersion, digest: String) {
        self.key = key
        self.version = version
        self.digest = digest
    }

    package var json: JSON {
        .object([
            "start": .string(key.start.description), "epoch": .integer(version.epoch),
            "revision": .integer(version.revision), "digest": .string(digest),
        ])
    }

    /// All windows of one answer, `{"lab","grain","windows":[{"start","epoch","revision","digest"}]}`; nil where it is
    /// none.
    package static func all(_ body: [UInt8]) -> [RollupSummary]? {
        guard let json = JSON(body), let lab = json["lab"]?.text, let windows = json["windows"]?.items,
            let grain = json["grain"]?.text.flatMap(RollupGrain.init(rawValue:))
        else { return nil }
        var summaries: [RollupSummary] = []
        for window in windows {
            guard let start = window["start"]?.text.flatMap({ Instant($0) }), let version = RollupVersion(window),
                let digest = window["digest"]?.text
            else { return nil }
            let key = RollupKey(lab: lab, grain: grain, start: start)
            summaries.append(RollupSummary(key: key, version: version, digest: digest))
        }
        return summaries
    }
}
