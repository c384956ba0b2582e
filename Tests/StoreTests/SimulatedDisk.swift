import Glibc
import Model
import Store

/// The seeds of a property test: a few in every build, so many times more as FABGATE_LONG_TESTS says.
func seeds(_ first: UInt64, _ count: Int) -> [UInt64] {
    let times = getenv("FABGATE_LONG_TESTS").flatMap { Int(String(cString: $0)) } ?? 1
    return (0..<count * max(1, times)).map { first + UInt64($0) }
}

/// A seeded generator (SplitMix64), so that every failure comes back from its seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}

/// A disk in memory that remembers everything that was done to it, so that a crash can be placed after any call and
/// shown in any of the ways in which real disks lose writes.
///
/// @unchecked Sendable: every test uses its disks from one thread.
final class SimulatedDisk: Region, @unchecked Sendable {
    enum Event {
        case write(offset: Int, bytes: [UInt8])
        case sync
        case mark(Mark)
    }

    /// What the workload knew at this point; counts of samples in order of arrival.
    struct Mark {
        var appended = 0
        var committed = 0
        var durable = 0
        var overwritten = 0
        var puts = 0
        var committedPuts = 0
        var durablePuts = 0
        var overwrittenRecords = 0
    }

    /// What becomes of the writes since the last sync, and sometimes of older ones.
    enum Crash: CaseIterable {
        /// All are lost.
        case none
        /// All are there: a killed process, not a power cut.
        case all
        /// The first few are there.
        case prefix
        /// Any of them are there.
        case subset
        /// The last few are there.
        case reverse
        /// Of one write, some sectors of 512 bytes are there.
        case torn
        /// A page that was being written is garbage.
        case trashed
        /// A write that a sync covered never reached the disk.
        case phantom
        /// A write that a sync covered went to another page.
        case misdirected
        /// A page shows what it held before its last write, though that was synced.
        case stale

        /// The disk broke its word.
        var isLie: Bool { self == .phantom || self == .misdirected || self == .stale }
    }

    enum Failure: CaseIterable { case ioError, noSpace, short }

    private(set) var bytes: [UInt8]
    private(set) var log: [Event] = []
    private(set) var calls = 0
    private(set) var reads = 0
    var isRecording = true
    /// The calls (writes and syncs, from 1) that fail, and how.
    var failing: Range<Int> = 0..<0
    var failure = Failure.ioError
    /// Every sync fails.
    var refusesSync = false
    /// Every write fails.
    var refusesWrites = false
    /// Reads (from 1) that fail.
    var failingReads: Range<Int> = 0..<0
    var size: Int { bytes.count }

    init(pages: Int) { bytes = [UInt8](repeating: 0, count: pages * 4096) }
    init(bytes: [UInt8]) { self.bytes = bytes }

    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        reads += 1
        guard !failingReads.contains(reads) else { throw RegionError("read: Input/output error", code: 5) }
        guard offset >= 0, offset + buffer.count <= bytes.count else { throw RegionError("read beyond the end") }
        for index in buffer.indices { buffer[index] = bytes[offset + index] }
    }

    func write(_ data: [UInt8], at offset: Int) throws(RegionError) {
        precondition(offset >= 0 && offset + data.count <= bytes.count, "a write beyond the end")
        calls += 1
        if failing.contains(calls) || refusesWrites {
            switch failure {
            case .ioError: throw RegionError("write: Input/output error", code: 5)
            case .noSpace: throw RegionError("write: No space left on device", code: 28)
            case .short:
                put(Array(data[..<1000]), offset)
                throw RegionError("write: 1000 of \(data.count) bytes written")
            }
        }
        put(data, offset)
    }

    private func put(_ data: [UInt8], _ offset: Int) {
        bytes.replaceSubrange(offset..<offset + data.count, with: data)
        if isRecording { log.append(.write(offset: offset, bytes: data)) }
    }

    func sync() throws(RegionError) {
        calls += 1
        if refusesSync || failing.contains(calls) { throw RegionError("fdatasync: Input/output error", code: 5) }
        if isRecording { log.append(.sync) }
    }

    /// Shows other bytes from now on, durable ones.
    func restore(_ image: [UInt8]) {
        bytes = image
        log = [.write(offset: 0, bytes: image), .sync]
    }

    func mark(_ mark: Mark) { if isRecording { log.append(.mark(mark)) } }

    /// Flips one bit.
    func flip(bit: Int) { bytes[bit / 8] ^= 1 << UInt8(bit % 8) }

    /// Goes through the log once and gives every state right after a write or sync.
    func replay(from start: [UInt8], _ body: (_ state: History, _ mark: Mark) -> Void) {
        var history = History(durable: start)
        var mark = Mark()
        for event in log {
            switch event {
            case .write(let offset, let bytes): history.write(offset, bytes)
            case .sync: history.sync()
            case .mark(let new):
                mark = new
                continue
            }
            body(history, mark)
        }
        body(history, mark)
    }

    /// What is durable, what is pending, and what the last syncs covered.
    struct History {
        private(set) var durable: [UInt8]
        private(set) var pending: [(offset: Int, bytes: [UInt8])] = []
        /// The writes of the past, with what stood there before.
        private var settled: [(offset: Int, bytes: [UInt8], before: [UInt8])] = []

        init(durable: [UInt8]) { self.durable = durable }

        mutating func write(_ offset: Int, _ bytes: [UInt8]) { pending.append((offset, bytes)) }

        mutating func sync() {
            for (offset, bytes) in pending {
                settled.append((offset, bytes, Array(durable[offset..<offset + bytes.count])))
                durable.replaceSubrange(offset..<offset + bytes.count, with: bytes)
            }
            if settled.count > 40 { settled.removeFirst(settled.count - 40) }
            pending = []
        }

        /// The disk after power came back.
        func crashed(_ crash: Crash, _ random: inout Seeded) -> SimulatedDisk {
            var image = durable
            func apply(_ write: (offset: Int, bytes: [UInt8])) {
                image.replaceSubrange(write.offset..<write.offset + write.bytes.count, with: write.bytes)
            }
            switch crash {
            case .none: break
            case .all: pending.forEach(apply)
            case .prefix: pending.prefix(Int.random(in: 0...pending.count, using: &random)).forEach(apply)
            case .subset: for write in pending where Bool.random(using: &random) { apply(write) }
            case .reverse: pending.suffix(Int.random(in: 0...pending.count, using: &random)).forEach(apply)
            case .torn:
                let victim = Int.random(in: 0..<max(1, pending.count), using: &random)
                for (index, write) in pending.enumerated() where index <= victim {
                    guard index == victim else {
                        apply(write)
                        continue
                    }
                    for sector in stride(from: 0, to: write.bytes.count, by: 512) where Bool.random(using: &random) {
                        let end = min(sector + 512, write.bytes.count)
                        apply((write.offset + sector, Array(write.bytes[sector..<end])))
                    }
                }
            case .trashed:
                pending.forEach(apply)
                if let victim = pending.randomElement(using: &random) {
                    apply((victim.offset, (0..<4096).map { _ in UInt8.random(in: 0...255, using: &random) }))
                }
            case .phantom, .stale:
                pending.forEach(apply)
                let pool = crash == .stale ? settled.filter { $0.before.contains { $0 != 0 } } : settled
                if let victim = pool.randomElement(using: &random) { apply((victim.offset, victim.before)) }
            case .misdirected:
                pending.forEach(apply)
                if let victim = settled.randomElement(using: &random) {
                    apply((victim.offset, victim.before))
                    let other = Int.random(in: 0..<image.count / 4096, using: &random) * 4096
                    if other + victim.bytes.count <= image.count { apply((other, victim.bytes)) }
                }
            }
            return SimulatedDisk(bytes: image)
        }
    }
}
