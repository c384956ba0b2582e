// What is written while the power may go, and what must be there afterwards.

import Store

/// How the files are after a power cut.
enum Verdict: Hashable {
    case sound
    /// So many were acknowledged and are gone; `of` says what they are, as "samples".
    case lost(Int, of: String)
    /// Something was read that was never written, or twice, or out of order, or nothing could be opened.
    case wrong(String)
}

/// A workload that says what it was promised, and the judge of what a power cut left of it.
struct PowerCutCase: Sendable {
    let name: String
    /// A control breaks a rule on purpose. If none of its states shows a loss, the laboratory is blind.
    let isControl: Bool
    /// Writes into a folder and hands each promise to `mark` as soon as it is given.
    let write: @Sendable (_ folder: String, _ seed: UInt64, _ mark: (String) -> Void) throws -> Void
    /// `last` is the last promise before the cut, `next` the one after it, if there is one.
    let judge: @Sendable (_ folder: String, _ seed: UInt64, _ last: String, _ next: String?) -> Verdict

    static let all = [
        ring("ring", isControl: false) { $0 },
        ring("ring-without-flush", isControl: true) { ForgetfulRegion($0) },
        ring("ring-written-again", isControl: true) { RewritingRegion($0) },
        ring("ring-without-tiers", isControl: true) { TierlessRegion($0) },
        outbox("outbox", isControl: false, synchronous: nil),
        outbox("outbox-normal", isControl: true, synchronous: "NORMAL"),
    ]

    static func named(_ name: String) -> PowerCutCase? { all.first { $0.name == name } }

    private static func ring(
        _ name: String, isControl: Bool, _ region: @escaping @Sendable (any Region) -> any Region
    ) -> PowerCutCase {
        PowerCutCase(
            name: name, isControl: isControl,
            write: { folder, seed, mark in try RingWriter(folder, seed, region).run(mark) },
            judge: { folder, seed, last, next in RingJudge(seed, last, next).judge(folder) })
    }

    private static func outbox(_ name: String, isControl: Bool, synchronous: String?) -> PowerCutCase {
        PowerCutCase(
            name: name, isControl: isControl,
            write: { folder, seed, mark in try OutboxWorkload.write(folder, synchronous: synchronous, mark) },
            judge: { folder, seed, last, next in OutboxWorkload.judge(folder, last) })
    }
}

/// A region whose sync says "done" and does nothing. Rule 1 of the store is void.
final class ForgetfulRegion: Region {
    private let region: any Region
    init(_ region: any Region) { self.region = region }
    var size: Int { region.size }
    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        try region.read(at: offset, into: &buffer)
    }
    func write(_ bytes: [UInt8], at offset: Int) throws(RegionError) { try region.write(bytes, at: offset) }
    func sync() throws(RegionError) {}
}

/// A region that takes what is written to the rings of slots and days and does not keep it. What the journal gave up to
/// them is gone.
final class TierlessRegion: Region {
    private let region: any Region
    /// Where the rings of the tiers begin.
    private let end: Int

    init(_ region: any Region) {
        self.region = region
        let whole = (try? RingStore(opening: region))?.statistics.bytes ?? region.size
        let shares = RingStore.shares(of: region.size, seriesLimit: NumberedSamples.series + 1)
        end = whole - shares.slots - shares.days
    }

    var size: Int { region.size }
    func read(at offset: Int, into buffer: inout [UInt8]) throws(RegionError) {
        try region.read(at: offset, into: &buffer)
    }
    func write(_ bytes: [UInt8], at offset: Int) throws(RegionError) {
        if offset < end { try region.write(bytes, at: offset) }
    }
    func sync() throws(RegionError) { try region.sync() }
}
