// The rules by which rollups reach a city exactly once in effect, over a line that loses and repeats. A value: what
// happened goes in, what to do comes out; the owner keeps the disk, the socket and the clock.

package import Model

/// The rollups that one city has not confirmed, newest version of each window only.
///
/// 1. A version is on disk before it is sent: `offer` makes a row, the owner stores it and says `persisted`.
/// 2. One request at a time. What it held stays until the city's receipt names that window and that version or a newer.
/// 3. A window that changes meanwhile takes the place of its older version; the older one's receipt does not remove it.
/// 4. Whatever is not a receipt is no receipt, whatever its status says: the same bytes go again.
/// 5. One bad item does not hold up the others: a refused request is halved until the bad item stands alone.
package struct RollupOutbox: Sendable {
    package struct Limits: Sendable {
        /// What the collector takes in one request.
        package var batchItems = 500
        package var batchBytes = 1 << 20
        /// What waits at most. Beyond it the oldest hours go first, then the oldest days; each drop is told.
        package var waitingBytes = 32 << 20
        package var waitingRows = 20_000
        /// Windows that started longer ago are not offered any more; their last version is forgotten.
        package var horizon = Duration.hours(400 * 24)
        package var deadLettersKept = Duration.hours(30 * 24)
        package init() {}
    }

    package let limits: Limits
    /// Issued by the city when it enrolled this gateway.
    package let epoch: Int64
    package internal(set) var rows: [RollupKey: OutboxRow]
    package internal(set) var known: [RollupKey: EmittedWindow]
    let sha256: SHA256

    /// Rows that are not on disk yet and must not be sent.
    var unstored: Set<RollupKey> = []
    /// The newest windows that the disk has, or had once.
    private var newestStored: [RollupGrain: Instant] = [:]
    var bytes = 0
    var inFlight: PushBatch?
    var lastBatch: UInt64 = 0
    /// Parts of a refused request, to be tried one by one.
    var suspects: [[RollupKey]] = []
    /// Less than the limit after the city said that a request was too large.
    var batchItems: Int
    var refusedInARow = 0
    var backoff: Backoff
    var notBefore = Self.atOnce
    var trouble: String?
    var lastReceipt: Instant?
    var dropped = 0
    var effects: [OutboxEffect] = []
    private var nextTidying = Instant.distantPast
    /// Grains of which nothing is made until the city has said what it holds.
    var awaited: Set<RollupGrain>
    /// Windows that were offered meanwhile.
    var deferred: Set<RollupKey> = []
    /// Windows of which a warning was given that the city's version is somebody else's.
    var warned: Set<RollupKey> = []

    /// With what the disk holds.
    /// - Parameter asksFirst: nothing is made before `reconcile`, or `goOn`, was called for its grain; see
    ///   `mustAskFirst`.
    package init(
        epoch: Int64, rows: [OutboxRow] = [], known: [EmittedWindow] = [], limits: Limits = Limits(),
        asksFirst: Bool = false, seed: UInt64, sha256: @escaping SHA256
    ) {
        awaited = asksFirst ? Set(RollupGrain.allCases) : []
        self.epoch = max(1, epoch)
        self.limits = limits
        self.sha256 = sha256
        batchItems = max(1, limits.batchItems)
        backoff = Backoff(seed: seed)
        self.rows = Dictionary(rows.map { ($0.key, $0) }) { $0.version < $1.version ? $1 : $0 }
        self.known = Dictionary(known.map { ($0.key, $0) }) { $0.version < $1.version ? $1 : $0 }
        bytes = self.rows.values.reduce(0) { $0 + $1.item.count }
        for row in self.rows.values where self.known[row.key].map({ $0.version < row.version }) ?? true {
            self.known[row.key] = EmittedWindow(row)
        }
        for key in self.known.keys { noteStored(key) }
    }

    // MARK: what the gateway computed

    /// Takes the content of a window; nil where it is no news. A row is to be stored; then say `persisted`.
    package mutating func offer(_ content: RollupContent, now: Instant) -> OutboxRow? {
        tidy(now)
        let key = content.key
        guard key.start >= now - limits.horizon else {
            // Its last version may be forgotten, so a new one could be numbered too low.
            effects.append(.alarm("\(key) is older than the outbox remembers and is not sent again"))
            return nil
        }
        guard !awaited.contains(key.grain) else {
            deferred.insert(key)
            return nil
        }
        guard isOurs(content, now) else { return nil }
        let bare = content.canonical()
        let contentDigest = content.contentDigest(of: bare, sha256)
        let last = known[key]
        guard last?.contentDigest != contentDigest else { return nil }
        var version = RollupVersion(epoch: epoch, revision: 1)
        if let last, last.version >= version {
            version = RollupVersion(epoch: last.version.epoch, revision: last.version.revision + 1)
        }
        let rollup = bare.numbered(version, emitted: now)
        let digest = RollupContent.digest(of: rollup, sha256)
        var row = OutboxRow(
            key: key, version: version, contentDigest: contentDigest, digest: digest,
            item: Array("{\"digest\":\"\(digest)\",\"rollup\":".utf8) + rollup.text() + [0x7D], made: now,
            suppressed: content.suppressed)
        if row.item.count > limits.batchBytes - Self.envelope.count - 2 {
            row.problem = "with \(row.item.count) bytes it is larger than a request may be; share less detail"
        }
        put(row)
        unstored.insert(key)
        known[key] = EmittedWindow(row)
        makeRoom(sparing: key)
        return row
    }

    /// The row is on disk and may be sent.
    package mutating func persisted(_ key: RollupKey, _ version: RollupVersion) {
        guard rows[key]?.version == version else { return }
        unstored.remove(key)
        noteStored(key)
    }

    /// A window of which the disk has a version.
    mutating func noteStored(_ key: RollupKey) {
        newestStored[key.grain] = max(key.start, newestStored[key.grain] ?? .distantPast)
    }

    /// Everything of a grain before this instant is rolled up and on the outbox's disk, or was once; nil where nothing
    /// is. Windows are offered in order of time.
    package func acceptedBefore(_ grain: RollupGrain) -> Instant? {
        guard let newest = newestStored[grain] else { return nil }
        return unstored.reduce(newest) { $1.grain == grain ? min($0, $1.start) : $0 }
    }

    /// Rows that wait for the disk, for another try after it failed.
    package var unpersisted: [OutboxRow] { unstored.compactMap { rows[$0] } }

    /// What is to be done after `offer`, `nextBatch` or `retry`: rows given up for want of room, alarms.
    package mutating func takeEffects() -> [OutboxEffect] {
        defer { effects = [] }
        return effects
    }

    /// Makes dead letters wait again, all or one.
    package mutating func retry(_ key: RollupKey? = nil) {
        for row in rows.values where row.problem != nil && (key == nil || row.key == key) {
            var row = row
            row.problem = nil
            rows[row.key] = row
            effects.append(.persist(row))
        }
        refusedInARow = 0
        notBefore = Self.atOnce
    }

    // MARK: sending

    static let atOnce = Moment(nanoseconds: 0)
    static let envelope = Array("{\"schema\":\"\(RollupContent.schema)\",\"items\":[".utf8)

    /// When `nextBatch` may have something; `.never` while a request is under way or nothing waits.
    package var nextAttempt: Moment {
        guard inFlight == nil, rows.values.contains(where: { isSendable($0) }) else { return .never }
        return notBefore
    }

    /// The next request, or nil where there is nothing to send now. The newest window of each grain goes first, so that
    /// the city sees today while a backlog drains behind it, oldest first.
    package mutating func nextBatch(now: Moment) -> PushBatch? {
        guard inFlight == nil, now >= notBefore else { return nil }
        var keys = nextSuspects()
        if keys.isEmpty { keys = order() }
        guard !keys.isEmpty else { return nil }
        var body = Self.envelope
        var items: [(key: RollupKey, version: RollupVersion)] = []
        for key in keys {
            guard let row = rows[key] else { continue }
            if items.count == batchItems || body.count + row.item.count + 3 > limits.batchBytes { break }
            if !items.isEmpty { body.append(0x2C) }
            body += row.item
            items.append((key, row.version))
        }
        body += Array("]}".utf8)
        guard !items.isEmpty else { return nil }
        lastBatch &+= 1
        let batch = PushBatch(id: lastBatch, body: body, items: items)
        inFlight = batch
        return batch
    }

    package var status: OutboxStatus {
        let dead = rows.values.count { $0.problem != nil }
        return OutboxStatus(
            waiting: rows.count - dead, deadLetters: dead, bytes: bytes,
            oldest: rows.values.map(\.key.start).min(), isSending: inFlight != nil, trouble: trouble,
            nextAttempt: nextAttempt, lastReceipt: lastReceipt, dropped: dropped)
    }

    // MARK: steps

    func isSendable(_ row: OutboxRow) -> Bool { row.problem == nil && !unstored.contains(row.key) }

    private mutating func nextSuspects() -> [RollupKey] {
        while let keys = suspects.popLast() {
            let left = keys.filter { rows[$0].map(isSendable) ?? false }
            if left.count > batchItems {
                suspects.append(Array(left[batchItems...]))
                return Array(left[..<batchItems])
            }
            if !left.isEmpty { return left }
        }
        return []
    }

    private func order() -> [RollupKey] {
        var keys = rows.values.filter { isSendable($0) }.map(\.key)
        keys.sort { ($0.start, $0.grain.rawValue, $0.lab) < ($1.start, $1.grain.rawValue, $1.lab) }
        var newest: [RollupKey] = []
        for grain in RollupGrain.allCases {
            if let last = keys.lastIndex(where: { $0.grain == grain }) { newest.append(keys.remove(at: last)) }
        }
        return newest + keys
    }

    mutating func put(_ row: OutboxRow) {
        if let old = rows[row.key] { bytes -= old.item.count }
        bytes += row.item.count
        rows[row.key] = row
    }

    mutating func remove(_ key: RollupKey) {
        guard let row = rows.removeValue(forKey: key) else { return }
        bytes -= row.item.count
        unstored.remove(key)
    }

    /// Gives up the oldest of the finest, dead letters before all, until the rest fits.
    private mutating func makeRoom(sparing newest: RollupKey) {
        guard bytes > limits.waitingBytes || rows.count > limits.waitingRows else { return }
        let flying = Set(inFlight?.items.map(\.key) ?? [])
        func rank(_ row: OutboxRow) -> (Int, Int64) {
            (row.problem != nil ? 0 : row.key.grain == .hour ? 1 : 2, row.key.start.milliseconds)
        }
        let victims = rows.values.filter { $0.key != newest && !flying.contains($0.key) }.sorted { rank($0) < rank($1) }
        for row in victims {
            guard bytes > limits.waitingBytes || rows.count > limits.waitingRows else { break }
            remove(row.key)
            dropped += 1
            effects.append(.delete(row.key, row.version))
            effects.append(.alarm("the outbox is full: \(row.key) was given up unsent"))
        }
    }

    /// Once a day of the wall clock is enough: forgets what is beyond the horizon, and dead letters after their time.
    private mutating func tidy(_ now: Instant) {
        guard now >= nextTidying else { return }
        nextTidying = now + .hours(24)
        let horizon = now - limits.horizon
        let before = known.count
        known = known.filter { $0.key.start >= horizon || rows[$0.key] != nil }
        if known.count != before { effects.append(.forget(before: horizon)) }
        for row in rows.values where row.problem != nil && row.made < now - limits.deadLettersKept {
            remove(row.key)
            dropped += 1
            effects.append(.delete(row.key, row.version))
            effects.append(.alarm("\(row.key) was refused by the city and nobody sent it again; it is given up now"))
        }
    }
}

extension EmittedWindow {
    init(_ row: OutboxRow) {
        self.init(
            key: row.key, version: row.version, contentDigest: row.contentDigest, digest: row.digest,
            isReceipted: false, suppressed: row.suppressed)
    }
}
