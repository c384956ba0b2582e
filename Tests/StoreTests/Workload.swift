import Model
import Store
import Testing

/// A store and the plain array that it has to agree with.
final class Workload {
    struct Entry: Hashable {
        let series: SeriesKey
        let sample: Sample
    }

    static let identity = [UInt8](1...16)
    static let start = Instant(milliseconds: 1_795_000_000_000)

    let disk: SimulatedDisk
    private(set) var store: RingStore
    /// In order of arrival.
    private(set) var entries: [Entry] = []
    private var mark = SimulatedDisk.Mark()
    private var last: [SeriesKey: Sample] = [:]
    private var seen: Set<Entry> = []
    private var newest: [SeriesKey: Instant] = [:]
    private var time = Workload.start
    /// Records of tiers, in order of arrival.
    private(set) var puts: [TierPuts.Put] = []
    private var running: (token: SyncToken, count: Int, puts: Int)?
    var random: Seeded

    init(pages: Int, series: Int = 8, seed: UInt64) throws {
        disk = SimulatedDisk(pages: TierPuts.all(pages))
        store = try RingStore.create(in: disk, plan: StorePlan(seriesLimit: series), identity: Workload.identity)
        random = Seeded(seed)
    }

    /// Goes on with a store that was found on a disk.
    init(_ disk: SimulatedDisk, _ store: RingStore, entries: [Entry], puts: [TierPuts.Put] = [], seed: UInt64) {
        self.disk = disk
        self.store = store
        self.entries = entries
        self.puts = puts
        random = Seeded(seed)
        mark.puts = puts.count
        mark.committedPuts = puts.count
        mark.durablePuts = puts.count
        mark.appended = entries.count
        mark.committed = entries.count
        mark.durable = entries.count
        for entry in entries {
            remember(entry)
            time = max(time, entry.sample.time)
        }
    }

    private func remember(_ entry: Entry) {
        seen.insert(entry)
        last[entry.series] = entry.sample
        newest[entry.series] = max(newest[entry.series] ?? .distantPast, entry.sample.time)
    }

    static func key(_ number: Int) -> SeriesKey {
        SeriesKey(device: "device-\(number)", channel: ["power", "energy", "state", "job"][number % 4])
    }

    func append(_ number: Int, _ time: Instant, _ value: StoredValue) throws {
        let kind: Kind = [.gauge, .counter, .state, .event][number % 4]
        let key = Workload.key(number)
        guard let id = try store.series(key, unit: number % 2 == 0 ? .watt : nil, kind: kind) else { return }
        store.append(id, time, value)
        let sample = Sample(time: time, value: value)
        // The last sample again, or an older one that is there already.
        let isNew = seen.insert(Entry(series: key, sample: sample)).inserted
        if isNew || last[key] != sample && sample.time >= newest[key] ?? .distantPast {
            entries.append(Entry(series: key, sample: sample))
        }
        newest[key] = max(newest[key] ?? .distantPast, sample.time)
        last[key] = sample
        mark.appended = entries.count
    }

    func commit() throws {
        try store.commit()
        mark.committed = entries.count
        mark.committedPuts = puts.count
        note()
    }

    func beginSync() {
        guard running == nil else { return }
        running = (store.beginSync(), mark.committed, mark.committedPuts)
    }

    func endSync() throws {
        guard let running else { return }
        self.running = nil
        do {
            try disk.sync()
        } catch {
            store.failedSync(running.token)
            throw error
        }
        store.finishedSync(running.token)
        mark.durable = max(mark.durable, running.count)
        mark.durablePuts = max(mark.durablePuts, running.puts)
        note()
    }

    func sync() throws {
        beginSync()
        try endSync()
    }

    var durable: Int { mark.durable }
    var committed: Int { mark.committed }

    private func note() {
        mark.overwritten = store.statistics.overwrittenSamples
        mark.overwrittenRecords = store.statistics.overwrittenRecords
        disk.mark(mark)
    }

    func value(_ number: Int) -> StoredValue {
        let roll = Int.random(in: 0..<100, using: &random)
        switch number % 4 {
        case 2:
            return roll < 5 ? .unknown : .text(["idle|", "running|PRINTING", "일시정지|사용자", "fault|\(roll)"][roll % 4])
        case 3:
            return .text(String(repeating: "é", count: roll % 49))
        default:
            if roll < 3 { return .unknown }
            if roll < 8 { return .number(Double(bitPattern: random.next())) }
            if roll < 10 {
                return .number([-0.0, .infinity, .nan, .leastNonzeroMagnitude, 1e308, 0.1 + 0.2][roll % 6])
            }
            return .number(Double(Int.random(in: -50...30_000, using: &random)) / [1, 10, 100, 1000][number % 3])
        }
    }

    /// One sample as devices send them: some late, some twice.
    func appendRandom(series: Int) throws {
        let number = Int.random(in: 0..<series, using: &random)
        let roll = Int.random(in: 0..<100, using: &random)
        time = time + .milliseconds(Int64.random(in: 0...2000, using: &random))
        var at = time
        if roll < 10 { at = time - .milliseconds(Int64.random(in: 0...60_000, using: &random)) }
        if roll == 99 { at = Instant(milliseconds: Int64.random(in: 0...4_000_000_000_000, using: &random)) }
        if roll < 5, let sample = last[Workload.key(number)] { return try append(number, sample.time, sample.value) }
        try append(number, at, value(number))
    }

    func skip(_ duration: Duration) { time = time + duration }

    /// A record of a tier, often a newer version of one.
    func putRandom(series: Int) throws {
        let put = TierPuts.Put(series: series, time: time, &random)
        let kind: Kind = [.gauge, .counter, .state, .event][put.number % 4]
        let key = Workload.key(put.number)
        guard let id = try store.series(key, unit: put.number % 2 == 0 ? .watt : nil, kind: kind) else { return }
        store.put(
            TierRecord(series: id, start: Instant(milliseconds: put.start), fields: put.fields), in: put.tier)
        puts.append(put)
        mark.puts = puts.count
    }

    /// A mixture of everything.
    func run(steps: Int, series: Int, burst: Int = 6) throws {
        for _ in 0..<steps {
            if Int.random(in: 0..<3, using: &random) == 0 { try putRandom(series: series) }
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5: for _ in 0..<Int.random(in: 1...burst, using: &random) { try appendRandom(series: series) }
            case 5..<8: try commit()
            case 8: beginSync()
            default: try endSync()
            }
        }
    }

    func reopen() throws {
        running = nil
        store = try RingStore(opening: disk)
    }

    /// The process is killed and started again; the system goes on, with all that was written in its cache.
    func restart() throws {
        try reopen()
        let kept = store.statistics.samples
        #expect(kept >= mark.committed && kept <= entries.count, "\(kept) kept of \(mark.committed) committed")
        entries.removeLast(entries.count - kept)
        let keptPuts = TierPuts.prefix(store, puts, from: mark.committedPuts)
        #expect(keptPuts != nil, "no prefix of the records of tiers")
        puts.removeLast(puts.count - (keptPuts ?? puts.count))
        mark.puts = puts.count
        mark.committedPuts = puts.count
        last = [:]
        seen = []
        newest = [:]
        for entry in entries { remember(entry) }
        mark.appended = kept
        mark.committed = kept
        note()
    }

    // MARK: - Agreement

    /// What the store must say after the first `count` samples, for one series.
    static func expected(_ entries: some Sequence<Entry>, _ key: SeriesKey) -> [Sample] {
        entries.filter { $0.series == key }.map(\.sample).enumerated()
            .sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }.map(\.element)
    }

    static func everything(_ store: RingStore, _ id: SeriesID) -> [Sample] {
        var samples: [Sample] = []
        store.scan(id, from: .distantPast, to: .distantFuture) {
            samples.append($0)
            return true
        }
        return samples
    }

    static func answers(_ store: RingStore) -> [SeriesKey: [Sample]] {
        var answers: [SeriesKey: [Sample]] = [:]
        for info in store.allSeries {
            let samples = everything(store, info.id)
            if !samples.isEmpty { answers[info.key] = samples }
        }
        return answers
    }

    static func expected(_ entries: some Sequence<Entry>) -> [SeriesKey: [Sample]] {
        let keys = Set(entries.map(\.series))
        return Dictionary(uniqueKeysWithValues: keys.map { ($0, expected(entries, $0)) })
    }

    /// Readable ⊆ written, nothing twice, in order; gives how many of the first `count` samples are missing.
    static func missing(_ store: RingStore, _ entries: [Entry], first count: Int, _ context: String) -> Int {
        var written: [Entry: Int] = [:]
        for entry in entries { written[entry, default: 0] += 1 }
        var readable: [Entry: Int] = [:]
        for info in store.allSeries where info.key.device != "later" {
            var last = Int64.min
            for sample in everything(store, info.id) {
                if sample.time.milliseconds < last { Issue.record("out of order, \(context)") }
                last = sample.time.milliseconds
                readable[Entry(series: info.key, sample: sample), default: 0] += 1
            }
        }
        for (entry, count) in readable where count > written[entry] ?? 0 {
            Issue.record("\(entry) is read \(count) times, written \(written[entry] ?? 0) times, \(context)")
            break
        }
        var durable: [Entry: Int] = [:]
        for entry in entries.prefix(count) { durable[entry, default: 0] += 1 }
        return durable.reduce(0) { $0 + max(0, $1.value - (readable[$1.key] ?? 0)) }
    }
}
