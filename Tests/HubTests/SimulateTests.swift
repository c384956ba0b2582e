import City
import CityLink
import Model
import Ports
import Simulation
import Testing
import fabgate

private func world<Book: RollupBook>(_ plan: SimulationPlan, _ book: Book) throws -> SimulatedWorld<Book> {
    var world = try SimulatedWorld(plan, book: book, sha256: Digest.sha256)
    try world.run()
    return world
}

private func plan(_ hours: Int, _ seed: UInt64, _ faults: Set<SimulatedFault>, machines: Int? = nil) -> SimulationPlan {
    SimulationPlan(hours: hours, seed: seed, faults: faults, machines: machines)
}

/// What the city holds of each machine's hours, by the number of the hour.
private func hours(_ book: some RollupBook) throws -> [Int: [CityLink.MachineUsage]] {
    var all: [Int: [CityLink.MachineUsage]] = [:]
    try book.forEach(RollupQuery(grain: .hour)) { stored in
        var problems: [String] = []
        let item = JSON(stored.text).flatMap { RollupItem($0, &problems) }
        let number = (stored.key.start - SimulationPlan.start).milliseconds / 3_600_000
        all[Int(number)] = item?.content.machines
        return true
    }
    return all
}

/// The digest of what the city holds of each window, without its version: what counts as the same.
private func digests(_ plan: SimulationPlan) throws -> [RollupKey: String] {
    var all: [RollupKey: String] = [:]
    try world(plan, MemoryRollupBook()).book.forEach(RollupQuery()) { stored in
        var problems: [String] = []
        let item = JSON(stored.text).flatMap { RollupItem($0, &problems) }
        all[stored.key] = item?.content.contentDigest { Digest.sha256($0) }
        return true
    }
    return all
}

@Suite struct SimulateTests {
    /// A few seeds, each with some of the faults and a lab of three to five machines, from midnight to noon; `deploy/check`
    /// plays a hundred with all of them after the tests. What fails is repeated by the command in the message.
    @Test func nothingIsLostDoubledOrWrong() throws {
        let count: UInt64 = 4
        var configurations: [Int: SimulatedWorld<MemoryRollupBook>] = [:]
        for seed in 1...count {
            let machines = 3 + Int(seed % 3)
            let small = SimulationPlan(hours: 12, seed: seed, faults: Set(SimulatedFault.allCases), machines: machines)
                .part(seed)
            var world = try SimulatedWorld(
                small, configurations[machines]?.configuration, book: MemoryRollupBook(), sha256: Digest.sha256)
            try world.run()
            configurations[machines] = configurations[machines] ?? world
            guard !world.audit.violations.isEmpty else { continue }
            var shrinking = PlanShrinking(small, day: world.audit.violations.map(\.day).min() ?? 1)
            while let smaller = shrinking.next {
                shrinking.tried(isWrong: try !self.audit(smaller).violations.isEmpty)
            }
            Issue.record("\(shrinking.plan.command): \(world.audit.violations.map(\.text))")
        }
    }

    private func audit(_ plan: SimulationPlan) throws -> SimulationAudit { try world(plan, MemoryRollupBook()).audit }

    /// The four machines of the demonstration, with their ten times faster reports.
    @Test(arguments: [1, 2, 3] as [UInt64]) func theDemonstrationIsAccountedFor(seed: UInt64) throws {
        let faults: [Set<SimulatedFault>] = [[], [.drop, .reorder, .kill], Set(SimulatedFault.allCases)]
        let audit = try audit(plan(3, seed, faults[Int(seed) - 1]))
        #expect(audit.violations == [], "seed \(seed)")
        #expect(audit.rows.allSatisfy { $0.windowsMissing == 0 && $0.windowsDoubled == 0 }, "seed \(seed)")
    }

    /// The same seed is the same lab, the same mishaps and the same account.
    @Test func sameSeedSameAccount() throws {
        let all = Set(SimulatedFault.allCases)
        let first = try audit(plan(14, 77, all, machines: 5))
        let second = try audit(plan(14, 77, all, machines: 5))
        #expect(first.rows == second.rows)
        #expect(first.mishaps == second.mishaps)
    }

    @Test func sameSeedSameWindows() throws {
        let plan = plan(14, 77, Set(SimulatedFault.allCases), machines: 5)
        let first = try digests(plan)
        #expect(try first == digests(plan) && first.count == 14)
    }

    /// What loses no information changes no byte: messages that come twice, values that the broker says again, and a
    /// bad line to the city.
    @Test(arguments: [4] as [UInt64]) func whatLosesNothingChangesNothing(seed: UInt64) throws {
        let undisturbed = try digests(plan(14, seed, [], machines: 6))
        #expect(undisturbed.count == 14)
        for faults: Set<SimulatedFault> in [[.dup], [.retain], [.dup, .retain, .city]] {
            let disturbed = try digests(plan(14, seed, faults, machines: 6))
            let different = undisturbed.filter { disturbed[$0.key] != $0.value }.keys.map(\.description).sorted()
            #expect(different == [], "seed \(seed), \(SimulatedFault.text(faults))")
        }
    }

    /// A gateway that is killed again and again has the same hours of every machine that speaks by itself, but for
    /// those in which it was away and the ones beside them.
    @Test(arguments: [7] as [UInt64]) func killsChangeOnlyTheirOwnHours(seed: UInt64) throws {
        let undisturbed = try hours(world(plan(24, seed, [], machines: 8), MemoryRollupBook()).book)
        let killed = try world(plan(24, seed, [.kill, .dup, .city], machines: 8), MemoryRollupBook())
        let disturbed = try hours(killed.book)
        var compared = 0
        for number in 0..<24 where (number - 1...number + 1).allSatisfy({ !killed.audit.wasAway(hour: $0) }) {
            for (before, after) in zip(undisturbed[number] ?? [], disturbed[number] ?? [])
            where ["printer", "shredder", "mill", "saw", "sewing", "bench"].contains(where: { before.id.hasPrefix($0) })
            {
                compared += 1
                #expect(before == after, "seed \(seed), hour \(number)")
            }
        }
        #expect(compared >= 10, "seed \(seed)")
    }

    /// A press's items and grams are the city's, over a day and a half and through everything that may happen.
    @Test(arguments: [21, 22] as [UInt64]) func gramsAndItemsAreThoseThatWereMade(seed: UInt64) throws {
        let faults: Set<SimulatedFault> = seed == 21 ? [] : [.drop, .dup, .reorder, .kill, .city]
        let audit = try audit(plan(36, seed, faults, machines: 3))
        #expect(audit.violations == [], "seed \(seed)")
        let press = try #require(audit.rows.first { $0.machine == "press-1" }?.material)
        #expect(press.made.items > 10 && press.held.items == press.made.items, "seed \(seed)")
        #expect(press.held.scrapItems == press.made.scrapItems, "seed \(seed)")
        let made = press.made.masses.filter { $0.key.kind == .product }
        #expect(!made.isEmpty)
        for (mass, milligrams) in made {
            let held = press.held.masses[mass] ?? 0
            #expect((held - milligrams).magnitude <= 5000, "seed \(seed): \(held) of \(milligrams) mg")
        }
    }

    /// Bambu Lab, Klipper and Prusa printers, whose words the broker keeps for nobody, among the others of a maker space.
    @Test(arguments: [1, 2] as [UInt64]) func printersOfEveryProtocolAreAccountedFor(seed: UInt64) throws {
        let audit = try audit(plan(15, seed, seed == 1 ? [] : [.drop, .kill, .city], machines: 21))
        #expect(audit.violations == [], "seed \(seed)")
        for number in 3...6 {
            let row = try #require(audit.rows.first { $0.machine == "printer-\(number)" })
            let held = try #require(row.jobsHeld)
            #expect(row.jobsTrue > 1 && held > 0 && row.energyHeld > 0 && row.busyHeld > 3_600_000, "seed \(seed)")
            guard seed == 1 else { continue }
            #expect(held == row.jobsTrue, "printer-\(number)")
            let wrong = (row.busyHeld - row.busyTrue).magnitude
            #expect(wrong * 50 <= row.busyTrue.magnitude, "printer-\(number): \(row.busyHeld) of \(row.busyTrue) ms")
        }
    }

    /// A collector that adds what it is sent again is found out.
    @Test func addingInsteadOfReplacingIsFound() throws {
        let audit = try world(plan(16, 1, [.city], machines: 3), AddingBook()).audit
        #expect(audit.violations.contains { $0.text.contains("drawn") || $0.text.contains("busy") }, "seed 1")
    }

    /// A collector that forgets a window after its receipt is found out.
    @Test func aForgottenWindowIsFound() throws {
        let audit = try world(plan(3, 2, []), ForgettingBook()).audit
        #expect(audit.violations.contains { $0.text.contains("missing in the city") }, "seed 2")
        #expect(audit.rows.allSatisfy { $0.windowsMissing == 1 }, "seed 2")
    }

    @Test func aFaultThatDoesNotExistIsRefusedWithThoseThatDo() {
        guard case .failure(let problem) = SimulatedFault.list("drop,rain") else {
            Issue.record("rain is refused")
            return
        }
        let known = SimulatedFault.allCases.map(\.rawValue).joined(separator: ",")
        #expect(problem.description == "there is no fault 'rain'; --faults takes all, or any of " + known)
        guard case .success(let faults) = SimulatedFault.list("drop,city") else {
            Issue.record("drop,city is a list of faults")
            return
        }
        #expect(faults == [.drop, .city])
        guard case .success(let all) = SimulatedFault.list("all") else {
            Issue.record("all is a list of faults")
            return
        }
        #expect(all == Set(SimulatedFault.allCases))
    }

    /// The smallest plan that still goes wrong is found, and its command names it.
    @Test func aFailureIsShrunkToWhatItNeeds() {
        func isWrong(_ plan: SimulationPlan) -> Bool {
            plan.faults.contains(.kill) && plan.faults.contains(.dup) && (plan.machines ?? 0) >= 3 && plan.hours >= 7
        }
        var shrinking = PlanShrinking(plan(72, 9, Set(SimulatedFault.allCases), machines: 20), day: 1)
        while let smaller = shrinking.next { shrinking.tried(isWrong: isWrong(smaller)) }
        #expect(shrinking.plan.command == "fabgate simulate --hours 7 --seed 9 --machines 3 --faults dup,kill")
    }
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
