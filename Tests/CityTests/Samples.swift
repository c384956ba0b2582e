import City
import CityLink
import Model
import Ports

/// SplitMix64: the same numbers from the same seed, everywhere.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

let sha256: SHA256 = { Digest.sha256($0) }
let seoul = "urn:fablabs:io:lab:seoul"

/// 2026-11-22T15:00:00Z, when the 23rd begins in Seoul.
let firstDay = Instant(milliseconds: 1_795_359_600_000)

/// A good day of one laser, with anything changed.
func day(
    _ number: Int64 = 0, lab: String = seoul, running: Int64 = 3_600_000, grain: RollupGrain = .day,
    change: (inout RollupContent) -> Void = { _ in }
) -> RollupContent {
    let length: Duration = grain == .day ? .hours(24) : .hours(1)
    let start = firstDay + length * number
    var totals = UsageTotals(
        jobs: [1, 0, 0, 0, 0], energyMilliwattHours: 18_422_375, idleEnergyMilliwattHours: 2_210_500,
        energyMethod: "register", massIn: ["pp": 3_120_000], items: 52, shots: 55, filamentMicrometres: 812_345_000)
    totals[.running] = running
    totals[.idle] = length.milliseconds - running
    var content = RollupContent(
        lab: lab, grain: grain, start: start, end: start + length, tz: "Asia/Seoul",
        localDate: CivilDate(daysSince1970: (start.milliseconds + 32_400_000) / 86_400_000),
        coverage: RollupCoverage(usage: 0.982, energy: 0.997, mass: 1), openSeconds: 36_000, totals: totals,
        classes: [ClassUsage(name: "laser", machines: 1, totals: totals)],
        source: RollupSource(gateway: "gw", software: "0.1.0", tzdata: "2026b"))
    change(&content)
    return content
}

extension RollupContent {
    /// The digest of an item of which all is written anew; the product puts it together from pieces.
    static func digest(of item: JSON, _ sha256: SHA256) -> String {
        sha256(item.without("emitted").canonical).hexadecimal
    }
}

/// An item as it stands in a request.
func wire(
    _ content: RollupContent, epoch: Int64 = 1, revision: Int64 = 1, emitted: Instant = firstDay, digest: String? = nil
) -> JSON {
    let rollup = content.item(epoch: epoch, revision: revision, emitted: emitted)
    return .object([
        "digest": .string(digest ?? RollupContent.digest(of: rollup, sha256)), "rollup": rollup,
    ])
}

func push(_ items: [JSON], schema: String = RollupContent.schema) -> [UInt8] {
    JSON.object(["schema": .string(schema), "items": .array(items)]).bytes
}

/// A random content that passes its own check.
func randomContent(_ random: inout SeededRandom, lab: String = seoul, day number: Int64) -> RollupContent {
    func totals(_ length: Int64) -> UsageTotals {
        var totals = UsageTotals()
        var rest = length
        for state in MachineState.allCases.dropLast() {
            let part = Int64.random(in: 0...rest, using: &random)
            totals[state] = part
            rest -= part
        }
        totals[.maintenance] = rest
        if Bool.random(using: &random) { totals.jobs = (0..<5).map { _ in .random(in: 0...9, using: &random) } }
        if Bool.random(using: &random) { totals.energyMilliwattHours = .random(in: 0...1 << 40, using: &random) }
        if Bool.random(using: &random) {
            totals.energyMethod = ["register", "integrated"].randomElement(using: &random)
        }
        if Bool.random(using: &random) { totals.massIn["pp"] = .random(in: 0...1 << 30, using: &random) }
        if Bool.random(using: &random) { totals.massScrap["pe"] = .random(in: 0...1 << 30, using: &random) }
        if Bool.random(using: &random) { totals.massProduct["hdpe"] = .random(in: 0...1 << 30, using: &random) }
        if Bool.random(using: &random) { totals.scrap = .random(in: 0...9, using: &random) }
        if Bool.random(using: &random) { totals.filamentMicrometres = .random(in: 0...1 << 40, using: &random) }
        return totals
    }
    return day(number, lab: lab) { content in
        let machines = (0..<Int.random(in: 0...4, using: &random)).map { index in
            MachineUsage(
                id: "m\(index)", className: index % 2 == 0 ? "laser" : "sewing",
                totals: totals(content.duration.milliseconds))
        }
        content.classes = Set(machines.map(\.className)).sorted().map { name in
            let members = machines.filter { $0.className == name }
            return ClassUsage(
                name: name, machines: members.count, totals: members.map(\.totals).reduce(UsageTotals(), +))
        }
        content.totals = machines.map(\.totals).reduce(UsageTotals(), +)
        content.machines = Bool.random(using: &random) ? machines : nil
        content.isFinal = Bool.random(using: &random)
        content.lateDropped = .random(in: 0...3, using: &random)
        content.coverage.usage = Double(Int.random(in: 0...1000, using: &random)) / 1000
    }
}

/// A book in memory, which can be told to fail.
final class MemoryBook: RollupBook {
    var known: [String: LabRecord] = [:]
    var windows: [RollupKey: StoredRollup] = [:]
    var isBroken = false
    var transactions = 0

    private func work() throws(BookError) { if isBroken { throw BookError("the disk is gone") } }

    func labs() throws(BookError) -> [LabRecord] {
        try work()
        return known.values.sorted { $0.id < $1.id }
    }
    func lab(_ id: String) throws(BookError) -> LabRecord? {
        try work()
        return known[id]
    }
    func lab(tokenHash: [UInt8]) throws(BookError) -> LabRecord? {
        try work()
        return known.values.first { $0.tokenHash == tokenHash }
    }
    func put(_ lab: LabRecord) throws(BookError) {
        try work()
        known[lab.id] = lab
    }
    func highestEpoch(of lab: String) throws(BookError) -> Int64 {
        windows.values.filter { $0.key.lab == lab }.map(\.version.epoch).max() ?? 0
    }
    func held(_ keys: [RollupKey]) throws(BookError) -> [RollupKey: RollupSummary] {
        try work()
        var held: [RollupKey: RollupSummary] = [:]
        for key in keys {
            if let row = windows[key] { held[key] = RollupSummary(key: key, version: row.version, digest: row.digest) }
        }
        return held
    }
    func store(_ rollups: [StoredRollup]) throws(BookError) {
        try work()
        transactions += 1
        for rollup in rollups {
            windows[rollup.key] = rollup
            known[rollup.key.lab]?.lastReceived = rollup.received
        }
    }
    func forEach(_ query: RollupQuery, _ body: (StoredRollup) -> Bool) throws(BookError) {
        try work()
        func order(_ key: RollupKey) -> (Instant, String, String) { (key.start, key.lab, key.grain.rawValue) }
        for rollup in windows.values.sorted(by: { order($0.key) < order($1.key) }) {
            let key = rollup.key
            guard query.lab == nil || query.lab == key.lab, query.grain == nil || query.grain == key.grain,
                key.start >= query.from, key.start < query.to
            else { continue }
            if let after = query.after, order(key) <= order(after) { continue }
            guard body(rollup) else { return }
        }
    }
    func summaries(_ query: RollupQuery, limit: Int) throws(BookError) -> [RollupSummary] {
        var all: [RollupSummary] = []
        try forEach(query) {
            all.append(RollupSummary(key: $0.key, version: $0.version, digest: $0.digest)); return true
        }
        return Array(all.prefix(limit))
    }
    func windowCount() throws(BookError) -> Int {
        try work()
        return windows.count
    }
}

/// A collector with labs whose token is `token-` and their id.
func collector(_ labs: [String] = [seoul], readToken: String? = nil) -> Collector<MemoryBook> {
    let collector = Collector(book: MemoryBook(), software: "test", readToken: readToken, sha256: sha256)
    for lab in labs {
        let enrolled = try? collector.perform(.add(id: lab, name: nil), token: "token-\(lab)", now: firstDay)
        precondition(enrolled != nil, "a fresh lab is enrolled")
    }
    return collector
}

func post(_ body: [UInt8], lab: String = seoul, type: String? = "application/json") -> CityRequest {
    CityRequest("POST", "/v1/rollups", authorization: "Bearer token-\(lab)", contentType: type, body: body)
}
