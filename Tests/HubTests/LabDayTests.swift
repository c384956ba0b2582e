import CityLink
import Hub
import Model
import Simulation
import Store
import Testing
import Usage

private let morning = Instant("2026-11-23T00:00:00Z") ?? .distantPast

@Suite struct LabDayTests {
    /// Eight hours of a lab: every closed hour holds what the lab really did.
    @Test(arguments: [UInt64(1), 2, 3]) func hoursHoldTheTruth(seed: UInt64) throws {
        var gateway = try VirtualGateway(seed: seed, start: morning)
        try gateway.run(until: morning + .hours(8))
        let hours = gateway.closed.values.filter { $0.grain == .hour }.sorted { $0.start < $1.start }
        #expect(hours.count == 7)
        var held = 0.0
        var truth = 0.0
        for hour in hours {
            for machine in hour.machines ?? [] {
                let id = machine.id
                #expect(machine.totals.states.reduce(0, +) == 3_600_000, "seed \(seed) \(id) \(hour.start)")
                held += Double(machine.totals.energyMilliwattHours ?? 0)
                truth += gateway.lab.truth.energyMilliwattHours(id, from: hour.start, to: hour.end)
                let states = gateway.lab.truth.stateMilliseconds(id, from: hour.start, to: hour.end)
                for state in MachineState.allCases where hour.start > morning {
                    let difference = machine.totals[state] - (states[state] ?? 0)
                    #expect(
                        abs(difference) <= 36_000,
                        "seed \(seed) \(id) \(hour.start): \(state) \(machine.totals[state]) of \(states[state] ?? 0) ms"
                    )
                }
                let jobs = gateway.lab.truth.jobs(id, from: hour.start, to: hour.end)
                if let counted = machine.totals.jobs, id == "printer" {
                    for outcome in JobOutcome.allCases {
                        #expect(counted[outcome.place] == Int64(jobs[outcome] ?? 0), "seed \(seed) \(id) \(outcome)")
                    }
                }
            }
        }
        #expect(abs(held - truth) <= truth * 0.005, "seed \(seed): \(held) of \(truth) mWh")
    }

    /// A gateway that ends and starts again computes the hours that were closed before to the same bytes.
    @Test(arguments: [UInt64(4), 5]) func restartChangesNoClosedHour(seed: UInt64) throws {
        var gateway = try VirtualGateway(seed: seed, start: morning)
        try gateway.run(until: morning + .minutes(200))
        let before = gateway.closed
        #expect(before.count >= 3)
        try gateway.restart()
        try gateway.run(until: morning + .minutes(215))
        for (key, content) in before where key.grain == .hour {
            #expect(gateway.closed[key] == content, "\(key)")
        }
    }

    /// What is remembered is computed a moment after a start, with what was heard in that moment, and in slices: it comes
    /// to the same.
    @Test(arguments: [(8, Hub.usualSlice), (9, Hub.usualSlice), (8, 40), (9, 700)] as [(UInt64, Int)])
    func whatIsHeardBeforeMemoryCounts(seed: UInt64, slice: Int) throws {
        var gateways = [
            try VirtualGateway(seed: seed, start: morning), try VirtualGateway(seed: seed, start: morning),
        ]
        for index in gateways.indices {
            for minutes: Int64 in [50, 59, 118, 119, 120] {
                try gateways[index].run(until: morning + .minutes(minutes))
                // So that something is said in that moment.
                gateways[index].pass(
                    max(1, (gateways[index].lab.nextEvent - gateways[index].now.wall).milliseconds - 1))
                try gateways[index].restart(isHasty: index == 1)
                gateways[index].hub.memorySlice = slice
            }
            try gateways[index].run(until: morning + .minutes(190))
        }
        #expect(gateways[0].closed.count >= 3)
        #expect(gateways[0].closed == gateways[1].closed, "seed \(seed)")
        let readings = gateways.map(\.hub.tally.readings)
        #expect(readings[0] > 0 && readings[0] == readings[1])
    }

    /// A slice is no more than was asked for, and in between messages are heard.
    @Test func memoryIsComputedInSlices() throws {
        var gateway = try VirtualGateway(seed: 10, start: morning)
        try gateway.run(until: morning + .minutes(120))
        let samples = gateway.hub.store.statistics.samples
        try gateway.restart()
        gateway.hub.memorySlice = 200
        gateway.pass(1500)
        var slices = 0
        while gateway.hub.isRemembering, slices < samples {
            gateway.hub.tick(at: gateway.now)
            slices += 1
        }
        #expect(slices > 2 * SimulatedLab.machines.count, "\(samples) samples in \(slices) slices")
        #expect(slices < samples)
    }

    /// While the gateway is off, nothing is known, and energy is bridged by the counters.
    @Test func offMeansUnknown() throws {
        var gateway = try VirtualGateway(seed: 6, start: morning)
        try gateway.run(until: morning + .minutes(90))
        gateway.pass(30 * 60_000)
        try gateway.restart()
        try gateway.run(until: morning + .minutes(200))
        let key = RollupKey(lab: gateway.configuration.lab.id, grain: .hour, start: morning + .hours(1))
        let hour = try #require(gateway.closed[key])
        for machine in hour.machines ?? [] {
            #expect(machine.totals[.unknown] >= 29 * 60_000, "\(machine.id)")
            #expect(machine.totals.states.reduce(0, +) == 3_600_000)
        }
        let held = (hour.machines ?? []).reduce(0.0) { $0 + Double($1.totals.energyMilliwattHours ?? 0) }
        let truth = SimulatedLab.machines.reduce(0.0) {
            $0 + gateway.lab.truth.energyMilliwattHours($1, from: hour.start, to: hour.end)
        }
        // What was drawn meanwhile is known from the counters, but only how much, not when.
        #expect(abs(held - truth) <= truth * 0.5)
        #expect((hour.coverage.usage ?? 1) < 0.55)
    }

    /// A lab that falls silent is offline or unknown, never idle.
    @Test func silenceIsNotIdle() throws {
        var gateway = try VirtualGateway(seed: 7, start: morning)
        try gateway.run(until: morning + .minutes(60))
        gateway.isConnected = false
        gateway.loseBroker()
        try gateway.run(until: morning + .minutes(200))
        for view in gateway.hub.machineViews(at: gateway.now) {
            #expect(view.state == .offline || view.state == .unknown, "\(view.id) is \(view.state)")
        }
        let key = RollupKey(lab: gateway.configuration.lab.id, grain: .hour, start: morning + .hours(2))
        let hour = try #require(gateway.closed[key])
        for machine in hour.machines ?? [] {
            #expect(machine.totals[.offline] + machine.totals[.unknown] == 3_600_000, "\(machine.id)")
        }
        #expect(hour.coverage.usage == 0)
        #expect(hour.totals.energyMilliwattHours == nil)
    }
}

extension JobOutcome {
    fileprivate var place: Int { JobOutcome.allCases.firstIndex(of: self) ?? 0 }
}
