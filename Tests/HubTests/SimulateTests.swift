import City
import CityLink
import Model
import Ports
import Testing
import fabgate

private typealias Memory = Ports.MemoryRegion

private func world<Book: RollupBook>(
    hours: Int, seed: UInt64, _ faults: Set<SimulatedFault>, _ book: Book
) throws -> SimulatedWorld<Book> {
    let world = try SimulatedWorld(
        SimulationPlan(hours: hours, seed: seed, faults: faults), try simulatedLab(), region: Memory(size: 32 << 20),
        book: book, sha256: Digest.sha256)
    try world.run()
    return world
}

@Suite struct SimulateTests {
    static let lists: [Set<SimulatedFault>] =
        [[]] + SimulatedFault.allCases.map { [$0] } + [Set(SimulatedFault.allCases)]

    /// Ten seeds over no faults, every fault alone, and all of them.
    @Test(arguments: 1...10 as ClosedRange<UInt64>) func nothingIsLostDoubledOrWrong(seed: UInt64) throws {
        // Each seed plays some of the lists; together they play all of them.
        for (number, faults) in Self.lists.enumerated() where (number + Int(seed)) % 5 == 0 {
            let audit = try world(hours: 3, seed: seed, faults, MemoryRollupBook()).audit
            let names = faults.map(\.rawValue).sorted()
            #expect(audit.violations == [], "seed \(seed), faults \(names)")
            #expect(audit.rows.allSatisfy { $0.windowsMissing == 0 && $0.windowsDoubled == 0 }, "seed \(seed) \(names)")
        }
    }

    /// The same seed is the same lab, the same mishaps and the same account.
    @Test func sameSeedSameAccount() throws {
        let all = Set(SimulatedFault.allCases)
        let first = try world(hours: 2, seed: 77, all, MemoryRollupBook()).audit
        let second = try world(hours: 2, seed: 77, all, MemoryRollupBook()).audit
        #expect(first.rows == second.rows)
        #expect(first.mishaps == second.mishaps)
    }

    /// A collector that adds what it is sent again is found out.
    @Test func addingInsteadOfReplacingIsFound() throws {
        let audit = try world(hours: 4, seed: 1, [.city], AddingBook()).audit
        #expect(audit.violations.contains { $0.text.contains("drawn") || $0.text.contains("busy") }, "seed 1")
    }

    /// A collector that forgets a window after its receipt is found out.
    @Test func aForgottenWindowIsFound() throws {
        let audit = try world(hours: 3, seed: 2, [], ForgettingBook()).audit
        #expect(audit.violations.contains { $0.text.contains("missing in the city") }, "seed 2")
        #expect(audit.rows.allSatisfy { $0.windowsMissing == 1 }, "seed 2")
    }

    @Test func faultsThatCannotBePlayedAreRefusedWithThoseThatCan() {
        guard case .failure(let problem) = SimulatedFault.list("drop,clock") else {
            Issue.record("clock is refused")
            return
        }
        #expect(problem.description == "'clock' cannot be simulated; --faults takes any of " + known)
        guard case .success(let faults) = SimulatedFault.list("drop,city") else {
            Issue.record("drop,city is a list of faults")
            return
        }
        #expect(faults == [.drop, .city])
    }

    private var known: String { SimulatedFault.allCases.map(\.rawValue).joined(separator: ",") }
}

/// What is wrong on purpose: a book that works, but for what is overridden.
private class WrongBook: RollupBook {
    let book = MemoryRollupBook()

    func labs() throws(BookError) -> [LabRecord] { try book.labs() }
    func lab(_ id: String) throws(BookError) -> LabRecord? { try book.lab(id) }
    func lab(tokenHash: [UInt8]) throws(BookError) -> LabRecord? { try book.lab(tokenHash: tokenHash) }
    func put(_ lab: LabRecord) throws(BookError) { try book.put(lab) }
    func highestEpoch(of lab: String) throws(BookError) -> Int64 { try book.highestEpoch(of: lab) }
    func held(_ keys: [RollupKey]) throws(BookError) -> [RollupKey: RollupSummary] { try book.held(keys) }
    func store(_ rollups: [StoredRollup]) throws(BookError) { try book.store(rollups) }
    func forEach(_ query: RollupQuery, _ body: (StoredRollup) -> Bool) throws(BookError) {
        try book.forEach(query, body)
    }
    func summaries(_ query: RollupQuery, limit: Int) throws(BookError) -> [RollupSummary] {
        try book.summaries(query, limit: limit)
    }
    func windowCount() throws(BookError) -> Int { try book.windowCount() }
}

/// Does not see that it holds a window already, and adds.
private final class AddingBook: WrongBook {
    override func held(_ keys: [RollupKey]) throws(BookError) -> [RollupKey: RollupSummary] { [:] }

    override func store(_ rollups: [StoredRollup]) throws(BookError) {
        let before = try book.held(rollups.map(\.key))
        var old: [RollupKey: RollupContent] = [:]
        try book.forEach(RollupQuery()) {
            if before[$0.key] != nil { old[$0.key] = content($0) }
            return true
        }
        try book.store(
            rollups.map { rollup in
                guard let first = old[rollup.key], var sum = content(rollup) else { return rollup }
                sum.machines = zip(sum.machines ?? [], first.machines ?? []).map {
                    CityLink.MachineUsage(id: $0.id, className: $0.className, totals: $0.totals + $1.totals)
                }
                let item = sum.item(epoch: 1, revision: rollup.version.revision, emitted: rollup.received)
                return StoredRollup(
                    key: rollup.key, version: rollup.version, digest: rollup.digest, received: rollup.received,
                    text: item.canonical)
            })
    }

    private func content(_ stored: StoredRollup) -> RollupContent? {
        var problems: [String] = []
        return JSON(stored.text).flatMap { RollupItem($0, &problems) }?.content
    }
}

/// Leaves out the second hour when asked for all.
private final class ForgettingBook: WrongBook {
    override func forEach(_ query: RollupQuery, _ body: (StoredRollup) -> Bool) throws(BookError) {
        let gone = SimulationPlan.start + .hours(1)
        try book.forEach(query) { $0.key.start == gone && $0.key.grain == .hour ? true : body($0) }
    }
}
