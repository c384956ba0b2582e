// The ring store as the gateway uses it: one thread appends and commits, another makes durable.

@preconcurrency import Glibc
import Model
import Ports
import Store
import Synchronization

/// Samples that can be told apart by their value, the same for a seed, so that the judge needs no record of them.
struct NumberedSamples {
    static let series = 20
    private let seed: UInt64
    static let start: Int64 = 1_795_000_000_000
    /// In milliseconds, of two samples; so that slots fill and their ring comes round as well.
    static let pace: Int64 = 370

    init(_ seed: UInt64) { self.seed = seed }

    static func key(_ series: Int) -> SeriesKey { SeriesKey(device: "device-\(series)", channel: "power") }

    /// The `index`th sample of all: its series and itself. One in twenty is late by up to five seconds.
    subscript(index: Int) -> (series: Int, sample: Sample) {
        var random = Seeded(seed &+ UInt64(index) &* 0x9E37_79B9)
        let roll = random.next()
        let late = roll % 20 == 0 ? Int64(roll >> 8 & 4095) : 0
        let time = Self.start + Int64(index) * Self.pace + Int64(roll >> 20 & 31) - late
        return (
            Int(roll >> 32) % Self.series, Sample(time: Instant(milliseconds: time), value: .number(Double(index) / 10))
        )
    }

    /// Which sample this is; nil where it never was one.
    func index(of sample: Sample, in series: Int) -> Int? {
        guard case .number(let number) = sample.value, number >= 0, number < 1e9 else { return nil }
        let index = Int((number * 10).rounded())
        let written = self[index]
        return written.series == series && written.sample == sample ? index : nil
    }
}

/// Writes until the ring has wrapped.
struct RingWriter {
    private static let size = 320 << 10
    private let samples: NumberedSamples
    private let region: any Region
    private let store: RingStore
    private var ids: [SeriesID] = []
    private let records: NumberedRecords

    init(_ folder: String, _ seed: UInt64, _ wrapped: (any Region) -> any Region) throws {
        samples = NumberedSamples(seed)
        let file = try FileRegion(creating: "\(folder)/ring.fab", size: Self.size)
        // Made durable before the workload begins: a store that was never finished is nothing to judge.
        _ = try RingStore.create(
            in: file, plan: StorePlan(seriesLimit: NumberedSamples.series + 1), identity: [UInt8](1...16))
        region = wrapped(file)
        store = try RingStore(opening: region)
        for number in 0..<NumberedSamples.series {
            guard let id = try store.series(NumberedSamples.key(number), unit: .watt, kind: .gauge) else { break }
            ids.append(id)
        }
        records = try NumberedRecords(store)
    }

    /// A mark says how many samples and records are durable and how many records and samples the rings have written over.
    func run(_ mark: (String) -> Void) throws {
        let disk = Worker(name: "disk")
        var running: (token: SyncToken, promise: String, result: Atomic<Int>.Box)?
        var appended = 0
        mark("0 0 0 0")
        while store.statistics.overwrittenSamples < 8000, appended < 400_000 {
            for _ in 0..<40 {
                let (series, sample) = samples[appended]
                store.append(ids[series], sample.time, sample.value)
                appended += 1
            }
            records.put(appended / 40 - 1, into: store)
            try store.commit()
            if let sync = running, sync.result.value != 0 {
                guard sync.result.value == 1 else { throw CrashLab.Failure(description: "a sync failed") }
                store.finishedSync(sync.token)
                let numbers = store.statistics
                mark("\(sync.promise) \(numbers.overwrittenRecords) \(numbers.overwrittenSamples)")
                running = nil
            }
            if running == nil {
                let result = Atomic<Int>.Box()
                running = (store.beginSync(), "\(appended) \(appended / 40)", result)
                let region = region
                disk.run {
                    do {
                        try region.sync()
                        result.value = 1
                    } catch { result.value = 2 }
                }
            } else {
                // Some commits for each sync, as at 5 s; otherwise the disk would see one long burst.
                usleep(200)
            }
        }
        disk.stop()
    }
}

extension Atomic<Int> {
    /// A number that two threads share.
    final class Box: Sendable {
        private let number = Atomic(0)
        var value: Int {
            get { number.load(ordering: .acquiring) }
            set { number.store(newValue, ordering: .releasing) }
        }
    }
}

/// Opens what is left and compares.
struct RingJudge {
    private let samples: NumberedSamples
    private let durable: Int
    private let overwritten: Int
    private let tiers: TierJudge

    init(_ seed: UInt64, _ last: String, _ next: String?) {
        samples = NumberedSamples(seed)
        let promised = last.split(separator: " ").map { Int($0) ?? 0 }
        // The rings may have gone on after the last word of them.
        let after = (next ?? last).split(separator: " ").map { Int($0) ?? 0 }
        durable = promised[0]
        overwritten = after[3]
        tiers = TierJudge(samples: samples, durable: durable, records: promised[1], overwritten: after[2])
    }

    func judge(_ folder: String) -> Verdict {
        do {
            let region = try FileRegion(opening: "\(folder)/ring.fab")
            let store = try RingStore(opening: region)
            let first = try read(store)
            let again = try RingStore(opening: region)
            guard try read(again) == first else { return .wrong("a second opening gives other samples") }
            guard tiers.answers(again) == tiers.answers(store) else {
                return .wrong("a second opening gives other slots or records")
            }
            if let verdict = missing(first, store) ?? tiers.judge(store, first) { return verdict }
            return try goesOn(store, region)
        } catch {
            return .wrong("\(error)")
        }
    }

    /// Which samples are there, each once and in order.
    private func read(_ store: RingStore) throws -> [Bool] {
        var found = [Bool](repeating: false, count: durable + 100_000)
        for number in 0..<NumberedSamples.series {
            guard let info = store.find(NumberedSamples.key(number)) else { continue }
            var trouble: String?
            var last = Instant.distantPast
            store.scan(info.id, from: .distantPast, to: .distantFuture) { sample in
                guard let index = samples.index(of: sample, in: number), index < found.count else {
                    trouble = "read \(sample), which was never written"
                    return false
                }
                if found[index] { trouble = "sample \(index) is there twice" }
                if sample.time < last { trouble = "sample \(index) is out of order" }
                last = sample.time
                found[index] = true
                return true
            }
            if let trouble { throw CrashLab.Failure(description: trouble) }
        }
        return found
    }

    private func missing(_ found: [Bool], _ store: RingStore) -> Verdict? {
        let missing = found.prefix(durable).indices.filter { !found[$0] }
        // What the ring gave up is its oldest, and never what came last.
        let recent = missing.filter { $0 >= durable - 2000 }.count
        guard missing.count > overwritten || recent > 0 else { return nil }
        return .lost(max(missing.count - overwritten, recent), of: "samples")
    }

    /// What survived can be written to.
    private func goesOn(_ store: RingStore, _ region: FileRegion) throws -> Verdict {
        guard let id = try store.series(NumberedSamples.key(0), unit: .watt, kind: .gauge) else {
            return .wrong("a series is gone")
        }
        let sample = Sample(time: Instant(milliseconds: 1_900_000_000_000), value: .number(-1))
        store.append(id, sample.time, sample.value)
        try store.commit()
        let token = store.beginSync()
        try region.sync()
        store.finishedSync(token)
        var isThere = false
        try RingStore(opening: region).scan(id, from: sample.time, to: .distantFuture) {
            isThere = $0 == sample
            return true
        }
        return isThere ? .sound : .wrong("a sample written after the power cut is not there")
    }
}
