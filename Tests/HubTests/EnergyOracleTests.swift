import Hub
import Model
import Store
import Testing
import Usage

/// Energy for each job and each item, held against what the raw samples say by themselves.
@Suite struct EnergyOracleTests {
    private static let start = Instant(milliseconds: 1_795_392_000_000)  // 09:00 in Seoul

    private func samples(_ gateway: VirtualGateway, _ device: String, _ channel: String) throws -> [Sample] {
        let info = try #require(gateway.hub.store.find(SeriesKey(device: device, channel: channel)))
        var samples: [Sample] = []
        gateway.hub.store.scan(info.id, from: .distantPast, to: .distantFuture) { sample in
            samples.append(sample)
            return true
        }
        return samples
    }

    private func numbers(_ samples: [Sample]) -> [(time: Instant, value: Double)] {
        samples.compactMap { sample in
            if case .number(let number) = sample.value { return (sample.time, number) }
            return nil
        }
    }

    /// A counter at a moment: straight between the two samples around it.
    private func counter(_ samples: [(time: Instant, value: Double)], at time: Instant) -> Double {
        guard let after = samples.firstIndex(where: { $0.time > time }) else { return samples.last?.value ?? 0 }
        guard after > 0 else { return samples[0].value }
        let (a, b) = (samples[after - 1], samples[after])
        let part = Double((time - a.time).milliseconds) / Double((b.time - a.time).milliseconds)
        return a.value + (b.value - a.value) * part
    }

    @Test(arguments: [1, 2] as [UInt64]) func energyOfJobsAndItemsIsThatOfTheSamples(seed: UInt64) throws {
        var gateway = try VirtualGateway(seed: seed, start: Self.start)
        try gateway.run(until: Self.start + .hours(5))
        try jobs(gateway, seed)
        try items(gateway, seed)
    }

    /// A job drew what its counter went on by between its start and its end.
    private func jobs(_ gateway: VirtualGateway, _ seed: UInt64) throws {
        let energy = numbers(try samples(gateway, "printer-plug", "energy"))
        var compared = 0
        for (machine, job) in gateway.hub.jobs(from: .distantPast, to: .distantFuture) where machine == "printer" {
            guard let end = job.end, let held = job.energy, end < Self.start + .hours(4) else { continue }
            compared += 1
            let expected = counter(energy, at: end) - counter(energy, at: job.start)
            // Each end of it may lie between two samples, and is cut to whole mWh.
            #expect((Double(held) - expected).magnitude <= 2, "seed \(seed), \(job): \(expected) mWh by its samples")
        }
        #expect(compared >= 3, "seed \(seed)")
        let last = gateway.hub.machineViews(at: gateway.now).first { $0.id == "printer" }?.lastJob
        #expect(
            last?.end != nil
                && last
                    == gateway.hub.jobs(from: .distantPast, to: .distantFuture).last {
                        $0.machine == "printer" && $0.job.end != nil
                    }?.job
        )
    }

    /// An item drew what the counter of the day went on by, divided by what the shots made.
    private func items(_ gateway: VirtualGateway, _ seed: UInt64) throws {
        let press = try #require(gateway.hub.machineViews(at: gateway.now).first { $0.id == "press" })
        let energy = numbers(try samples(gateway, "press-meter", "energy"))
        let used = try #require(energy.last).value - (try #require(energy.first)).value
        #expect(Double(press.today.energy) == used, "seed \(seed)")

        // Each step of the count of shots makes what the mould of that moment holds; what was bad is no item.
        let items = Dictionary(uniqueKeysWithValues: gateway.configuration.moulds.map { ($0.name, $0.items) })
        let moulds = try samples(gateway, "machine:press", "mould")
        let shots = numbers(try samples(gateway, "press-counter", "shots"))
        var made: Int64 = 0
        for (before, after) in zip(shots, shots.dropFirst()) where after.value > before.value {
            let chosen = try #require(moulds.last { $0.time <= after.time })
            guard case .text(let name) = chosen.value else { continue }
            made += Int64(after.value - before.value) * (items[name] ?? 0)
        }
        let scrap = numbers(try samples(gateway, "press-counter", "scrap"))
        made -= Int64((try #require(scrap.last)).value - (try #require(scrap.first)).value)
        #expect(made > 5 && press.today.items == made, "seed \(seed)")
        #expect(press.energyPerItem == used / Double(made), "seed \(seed)")
    }
}
