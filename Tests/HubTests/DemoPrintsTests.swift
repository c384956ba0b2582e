import Model
import Simulation
import Testing
import fabgate

/// What the demonstration says about printers, of an account that is right, and of ones that are wrong in one thing.
@Suite struct DemoPrintsTests {
    private static let start = Instant(milliseconds: 1_795_000_000_000).floor(to: .hours(1))
    private let truth: Truth
    private let printers: [String]

    init() {
        var lab = MakerSpace.printers(seed: 7, start: Self.start)
        lab.advance(to: Self.start + .hours(3)) { _ in }
        truth = lab.truth
        printers = lab.machines
    }

    /// A machine of an hour as the city would hold it.
    private func machine(_ id: String, from: Instant, to: Instant) -> JSON {
        let states = truth.stateMilliseconds(id, from: from, to: to)
        let jobs = truth.jobs(id, from: from, to: to)
        return .object([
            "id": .string(id),
            "jobs": .object(JobOutcome.allCases.map { .init($0.rawValue, .integer(jobs[$0] ?? 0)) }),
            "states_s": .object(states.map { .init($0.key.rawValue, .number(Double($0.value) / 1000)) }),
            "energy_wh": .number(truth.energyMilliwattHours(id, from: from, to: to) / 1000),
        ])
    }

    private func hours(without missing: String? = nil) -> [DemoHour] {
        (0..<Int64(3)).map { index in
            let (from, to) = (Self.start + .hours(index), Self.start + .hours(index + 1))
            let machines = printers.filter { $0 != missing }.map { machine($0, from: from, to: to) }
            return DemoHour(start: from, end: to, machines: machines)
        }
    }

    private struct Told {
        var machine: String
        var job: TrueJob
        var outcome: String
        var length: Duration
        var energy: Double?

        var json: JSON {
            .object([
                "machine": .string(machine), "start": .string("\(job.end - length)"), "end": .string("\(job.end)"),
                "outcome": .string(outcome), "energy_wh": .optional(energy),
            ])
        }
    }

    private var jobs: [Told] {
        printers.flatMap { name in
            truth.jobsWhole(name, from: Self.start, to: truth.until).map { job in
                let energy = truth.energyMilliwattHours(name, from: job.start, to: job.end) / 1000
                return Told(
                    machine: name, job: job, outcome: job.outcome.rawValue, length: job.end - job.start, energy: energy)
            }
        }
    }

    private func differences(_ jobs: [Told]) -> [String] {
        DemoPrints(printers, hours: hours(), jobs: jobs.map(\.json), truth: truth, speed: 60).differences
    }

    @Test func aRightAccountHasNoDifference() {
        let prints = DemoPrints(printers, hours: hours(), jobs: jobs.map(\.json), truth: truth, speed: 60)
        #expect(prints.differences.isEmpty, "\(prints.differences)")
        #expect(prints.rows.count == jobs.count && Set(jobs.map(\.machine)) == Set(printers))
        #expect(jobs.allSatisfy { $0.length > .seconds(60) && ($0.energy ?? 0) > 2 })
    }

    @Test func whatIsWrongIsSaid() throws {
        // Long enough before the end that its word is not on its way.
        let index = try #require(jobs.firstIndex { $0.job.end < truth.until - .minutes(10) })
        var lost = jobs
        lost.remove(at: index)
        #expect(differences(lost).map { $0.hasSuffix("is none of the gateway's") } == [true])

        var twice = jobs
        twice.append(jobs[index])
        #expect(differences(twice).map { $0.hasSuffix("that never was") } == [true])

        var other = jobs
        other[index].outcome = "unknown"
        #expect(differences(other).count == 2)

        var long = jobs
        long[index].length = long[index].length + .minutes(5)
        #expect(differences(long).count { $0.contains(" took ") } == 1)

        var hungry = jobs
        hungry[index].energy = hungry[index].energy.map { $0 * 1.02 + 3.1 }
        #expect(differences(hungry).count { $0.contains(" drew ") } == 1)
        hungry[index].energy = nil
        #expect(differences(hungry).count { $0.hasSuffix("the gateway says nothing") } == 1)
    }

    @Test func whatTheCityLacksIsSaid() {
        let prints = DemoPrints(
            printers, hours: hours(without: "klipper"), jobs: jobs.map(\.json), truth: truth, speed: 60)
        #expect(prints.differences.count >= 3)
        #expect(prints.differences.allSatisfy { $0.hasPrefix("klipper") })
        #expect(prints.differences.contains { $0.contains("no number of completed") })
        let silent = DemoPrints(printers, hours: hours(), jobs: nil, truth: truth, speed: 60)
        #expect(silent.differences == ["the gateway did not tell its jobs"])
    }
}
