import Model
import Simulation
import Store
import Testing

private let start = Instant(milliseconds: 1_795_359_600_000)  // Monday, 2026-11-23T00:00 in Seoul

@Suite struct MakerSpaceTests {
    @Test(arguments: [Duration.milliseconds(777), .seconds(31), .minutes(47)]) func stepsDoNotMatter(step: Duration) {
        let end = start + .hours(13)
        var whole = MakerSpace(seed: 3, start: start, machines: 12)
        var expected: [Emission] = []
        whole.advance(to: end) { expected.append($0) }
        #expect(expected.count > 1000)
        var lab = MakerSpace(seed: 3, start: start, machines: 12)
        var emissions: [Emission] = []
        var time = start
        while time < end {
            time = min(end, time + step)
            // Being asked changes nothing but the answers.
            _ = lab.received([0x3F], on: "grbl", at: time)
            lab.advance(to: time) { emissions.append($0) }
        }
        #expect(emissions == expected)
    }

    /// The knock-out finds whom a look at all would find, the first of those that are due at once.
    @Test func theFirstOfAllIsFound() {
        for seed in UInt64(1)...200 {
            var random = SeededRandom(seed)
            var times = [Instant](repeating: .distantFuture, count: Int(random.next() % 40) + 1)
            var agenda = Agenda(times.count)
            for _ in 0..<200 {
                let index = Int(random.next() % UInt64(times.count))
                let time = Instant(milliseconds: Int64(random.next() % 20))
                agenda[index] = time
                times[index] = time
                let first = times.firstIndex(of: times.min() ?? time)
                #expect(agenda.first.index == first && agenda.first.time == times.min(), "seed \(seed)")
            }
        }
    }

    /// Nobody works at night, on Sunday, or more in August than in October; and whatever is there is used in a week.
    @Test func peopleComeWhenItIsOpen() {
        var lab = MakerSpace(seed: 5, start: start, machines: 30)
        #expect(Set(lab.machines).count == 30)
        lab.advance(to: start + .hours(24 * 7)) { _ in }
        let truth = lab.truth
        func busy(_ machine: String, _ from: Int64, _ to: Int64) -> Int64 {
            truth.stateMilliseconds(machine, from: start + .hours(from), to: start + .hours(to))[.running] ?? 0
        }
        for machine in lab.machines {
            #expect(busy(machine, 0, 10) == 0, "\(machine) in the first night")
            // A print, or a kiln, that was begun on Saturday may go on for hours.
            #expect(busy(machine, 24 * 6 + 6, 24 * 7) == 0, "\(machine) on Sunday")
            #expect(busy(machine, 0, 24 * 6) > 0, "\(machine) in a week")
        }
        func work(from month: String) -> Int64 {
            let first = Instant(month) ?? start
            var lab = MakerSpace(seed: 5, start: first, machines: 10)
            lab.advance(to: first + .hours(24 * 14)) { _ in }
            return lab.machines.reduce(0) {
                $0 + (lab.truth.stateMilliseconds($1, from: first, to: first + .hours(24 * 14))[.running] ?? 0)
            }
        }
        #expect(work(from: "2026-07-31T15:00:00Z") * 10 < work(from: "2026-09-30T15:00:00Z") * 9)
    }

    @Test func aDiskLosesOnlyWhatWasNotSynced() throws {
        let disk = SimulatedDisk(size: 16 * 4096)
        func page(_ byte: UInt8) -> [UInt8] { [UInt8](repeating: byte, count: 4096) }
        var random = SeededRandom(1)
        var hasLost = false
        var hasTorn = false
        for round in 0..<60 {
            let old = UInt8(round * 2 + 1)
            for index in 0..<8 { try disk.write(page(old), at: index * 4096) }
            try disk.sync()
            for index in 4..<8 { try disk.write(page(old + 1), at: index * 4096) }
            disk.cutPower(&random)
            for index in 0..<8 {
                var bytes = page(0)
                try disk.read(at: index * 4096, into: &bytes)
                if index < 4 { #expect(bytes == page(old), "round \(round), page \(index)") }
                if index >= 4, bytes == page(old) { hasLost = true }
                if index >= 4, bytes != page(old), bytes != page(old + 1) { hasTorn = true }
            }
        }
        #expect(hasLost && hasTorn)
        disk.fail(.noSpace)
        #expect(throws: RegionError.self) { try disk.write(page(9), at: 0) }
        #expect(throws: RegionError.self) { try disk.sync() }
        disk.fail(nil)
        try disk.write(page(9), at: 0)
    }
}
