// The city's side of a rollup's way: who may send, what is stored, and the word that goes back.

package import CityLink
package import Model

/// The collector without its ports: one request in, one answer out. What an answer says was stored is on the disk.
///
/// A window is known by lab, grain and start. A greater (epoch, revision) replaces it as a whole, the same with the same
/// digest is a repetition, the same with another digest a conflict, a lower one is stale. So a request may be lost,
/// repeated and reordered in any way, and the book ends with the newest version of each window.
package struct Collector<Book: RollupBook> {
    /// What one request may hold.
    package static var mostItems: Int { 500 }
    package static var mostBytes: Int { 1 << 20 }

    package let book: Book
    let sha256: SHA256
    /// Hash of a token that may read everything; nil where there is none.
    let readTokenHash: [UInt8]?
    let software: String
    var counts = CollectorCounts()
    var page: CityPageCache?

    package init(book: Book, software: String, readToken: String? = nil, sha256: @escaping SHA256) {
        self.book = book
        self.sha256 = sha256
        self.software = software
        readTokenHash = readToken.map { sha256(Array($0.utf8)) }
    }

    // MARK: who asks

    enum Caller: Hashable {
        case lab(LabRecord)
        case reader
        case local
        case nobody
    }

    /// 401 where a token is given that means nothing, 403 where its lab is disabled.
    func caller(_ request: CityRequest) throws(Refusal) -> Caller {
        guard request.authorization != nil else { return request.isLocal && readTokenHash == nil ? .local : .nobody }
        guard let token = request.token else { throw .unauthorized("the Authorization header must be: Bearer TOKEN") }
        let hash = sha256(Array(token.utf8))
        if hash == readTokenHash { return .reader }
        guard let lab = try fromBook({ () throws(BookError) in try book.lab(tokenHash: hash) }) else {
            throw .unauthorized("this token is not known here; fabcity lab rotate makes a new one")
        }
        guard !lab.isDisabled else { throw Refusal(403, "\(lab.id) is disabled; ask the city to enable it") }
        return .lab(lab)
    }

    func fromBook<T>(_ body: () throws(BookError) -> T) throws(Refusal) -> T {
        do throws(BookError) { return try body() } catch { throw Refusal(error) }
    }

    // MARK: taking rollups

    /// The answer to `POST /v1/rollups`.
    mutating func take(_ request: CityRequest, now: Instant) throws(Refusal) -> CityAnswer {
        guard case .lab(let lab) = try caller(request) else {
            throw .unauthorized("rollups are taken with a lab's token: Authorization: Bearer TOKEN")
        }
        let type = (request.contentType ?? "").prefix { $0 != ";" }.filter { $0 != " " }.lowercased()
        guard type == "application/json" else {
            throw Refusal(415, "rollups come as application/json, not as '\(type.prefix(60))'")
        }
        return try apply(request.body, from: lab, now: now)
    }

    /// Stores what is newer; one transaction, committed before the answer is made.
    package mutating func apply(_ body: [UInt8], from lab: LabRecord, now: Instant) throws(Refusal) -> CityAnswer {
        let items = try envelope(body)
        var verdicts = items.map { judge($0, lab) }
        if !items.isEmpty, verdicts.allSatisfy(\.isOfAnotherLab) {
            throw Refusal(403, "this token is for \(lab.id), and no item is of that lab")
        }
        do throws(BookError) {
            let claimed = Set(verdicts.compactMap { $0.item?.key })
            var held = try book.held(Array(claimed))
            var news: [RollupKey: StoredRollup] = [:]
            for index in verdicts.indices {
                guard let item = verdicts[index].item else { continue }
                verdicts[index].compare(item, with: held[item.key])
                guard verdicts[index].result == .applied else { continue }
                held[item.key] = RollupSummary(key: item.key, version: item.version, digest: verdicts[index].digest)
                news[item.key] = StoredRollup(
                    key: item.key, version: item.version, digest: verdicts[index].digest, received: now,
                    text: verdicts[index].canonical.text())
            }
            if !news.isEmpty { try book.store(Array(news.values)) }
        } catch {
            throw Refusal(error)
        }
        for verdict in verdicts { counts.results[verdict.result, default: 0] += 1 }
        let isWhole = verdicts.allSatisfy { $0.result != .rejected && $0.result != .conflict }
        return .json(.object(["results": .array(verdicts.map(\.json))]), status: isWhole ? 200 : 207)
    }

    private func envelope(_ body: [UInt8]) throws(Refusal) -> [JSON] {
        guard body.count <= Self.mostBytes else {
            throw Refusal(413, "a request holds at most \(Self.mostBytes) bytes; send fewer items at once")
        }
        guard let json = JSON(body), json.members != nil else { throw Refusal(400, "the body is no JSON object") }
        guard let schema = json["schema"]?.text, let items = json["items"]?.items else {
            throw Refusal(422, "the body must be {\"schema\":\"\(RollupContent.schema)\",\"items\":[…]}")
        }
        guard schema == RollupContent.schema else {
            throw Refusal(415, "this collector takes \(RollupContent.schema), not '\(schema.prefix(60))'")
        }
        guard items.count <= Self.mostItems else {
            throw Refusal(413, "a request holds at most \(Self.mostItems) items, not \(items.count)")
        }
        return items
    }

    /// What can be said of an item without looking at what is held.
    private func judge(_ json: JSON, _ lab: LabRecord) -> Verdict {
        guard let rollup = json["rollup"], let digest = json["digest"]?.text else {
            return Verdict(rollup: json, refused: "an item must be {\"digest\":\"…\",\"rollup\":{…}}")
        }
        if let named = rollup["lab"]?.text, named != lab.id {
            return Verdict(rollup: rollup, refused: "this token is for \(lab.id), not for \(named.prefix(200))", 403)
        }
        var problems: [String] = []
        guard let item = RollupItem(rollup, &problems) else {
            return Verdict(rollup: rollup, refused: problems.joined(separator: "; "))
        }
        problems = item.content.check()
        guard problems.isEmpty else {
            return Verdict(rollup: rollup, refused: problems.prefix(20).joined(separator: "; "))
        }
        let canonical = CanonicalObject(rollup.members ?? [])
        let computed = RollupContent.digest(of: canonical, sha256)
        guard computed == digest.lowercased() else {
            return Verdict(
                rollup: rollup,
                refused: "the digest does not fit: \(computed) is the SHA-256 of the canonical item without emitted")
        }
        return Verdict(rollup: rollup, canonical, item: item, digest: computed)
    }
}

/// What is decided about one item.
private struct Verdict {
    let rollup: JSON
    /// nil where the item is not good.
    let item: RollupItem?
    /// The item as it is hashed and kept; of no use where it is not good.
    let canonical: CanonicalObject
    let digest: String
    private(set) var result: RollupResult
    private var problem: (status: Int, detail: String)?
    private var stored: RollupVersion?

    var isOfAnotherLab: Bool { problem?.status == 403 }

    init(rollup: JSON, _ canonical: CanonicalObject, item: RollupItem, digest: String) {
        self.rollup = rollup
        self.canonical = canonical
        self.item = item
        self.digest = digest
        result = .applied
    }

    init(rollup: JSON, refused detail: String, _ status: Int = 422) {
        self.rollup = rollup
        canonical = CanonicalObject([])
        item = nil
        digest = ""
        result = .rejected
        problem = (status, detail)
    }

    mutating func compare(_ item: RollupItem, with held: RollupSummary?) {
        guard let held, held.version >= item.version else { return result = .applied }
        if held.version > item.version {
            result = .stale
            stored = held.version
        } else if held.digest == digest {
            result = .duplicate
        } else {
            result = .conflict
            problem = (
                409,
                "version \(item.version) of this window is held with digest \(held.digest): do two gateways use one "
                    + "identity? Enrol one of them again with fabcity lab rotate"
            )
        }
    }

    var json: JSON {
        var answer: JSON
        if let item {
            answer = RollupReceipt(key: item.key, version: item.version, result: result, stored: stored).json
        } else {
            // What the item claims is given back as it came, so that its sender finds it again.
            let names = ["lab", "grain", "start", "epoch", "revision"]
            answer = .object(
                names.map { JSON.Member($0, rollup[$0].flatMap { $0.isPlain ? $0 : nil } ?? .null) }
                    + [JSON.Member("result", .string(result.rawValue))])
        }
        if let problem, case .object(let members) = answer {
            answer = .object(members + [JSON.Member("problem", CityAnswer.problemBody(problem.status, problem.detail))])
        }
        return answer
    }
}

extension JSON {
    /// A short text or a number.
    fileprivate var isPlain: Bool {
        switch self {
        case .string(let text): text.utf8.count <= 200
        case .number: true
        default: false
        }
    }
}

/// A request that is refused as a whole.
package struct Refusal: Error {
    package let answer: CityAnswer

    init(_ status: Int, _ detail: String, headers: [(String, String)] = []) {
        answer = .problem(status, detail, headers: headers)
    }

    /// The book's trouble is the city's own and passes; the detail is for its log, not for callers.
    init(_ error: BookError) {
        self.init(
            503, "the collector cannot read or write its book now; nothing was stored",
            headers: [("Retry-After", "10")])
        cause = error.description
    }

    /// For the log.
    package private(set) var cause: String?

    static func unauthorized(_ detail: String) -> Refusal {
        Refusal(401, detail, headers: [("WWW-Authenticate", "Bearer")])
    }
}
