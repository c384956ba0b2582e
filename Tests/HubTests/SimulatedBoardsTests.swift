import Model
import Simulation
import Testing
import Usage

@Suite struct SimulatedBoardsTests {
    private static let start = Instant(milliseconds: 1_795_000_000_000)

    /// Two boards, of which one reports by itself.
    private func hall(seed: UInt64) throws -> PrinterHall {
        let places = MakerSpace.places(MakerSpace.most).filter {
            if case .serialPrinter = $0.kind { true } else { false }
        }
        return try PrinterHall(places, seed: seed, start: Self.start)
    }

    /// The board's words every five seconds, or those of a board that must be asked, give its prints as they ended, and
    /// its states to the second turn.
    @Test(arguments: [1, 3] as [UInt64]) func everyPrintIsCountedOnceAndEveryStateSeen(seed: UInt64) throws {
        var hall = try hall(seed: seed)
        try hall.live(.hours(6))
        #expect(hall.printers.machines.count == 2)
        for machine in hall.printers.machines {
            let jobs = hall.jobs(machine)
            #expect(jobs.told == jobs.real, "seed \(seed), \(machine)")
            let count = jobs.real.values.reduce(0, +)
            #expect(count > 1)
            let (told, real) = try hall.states(machine)
            for state in [MachineState.running, .preparing, .paused, .blocked] {
                let wrong = abs(told[state] - real[state, default: 0])
                // A print begins, is hot, may pause and go on, and ends: each is seen up to two turns late.
                #expect(
                    wrong <= Int64(count + 1) * 5 * 10_000,
                    "seed \(seed), \(machine) \(state): \(told[state]) ms, really \(real[state, default: 0])")
            }
            #expect(real[.running, default: 0] > 3_600_000)
        }
    }

    /// Boards are reset, their cables are pulled out, and the gateway dies: every print is counted once, and none as
    /// something that it was not.
    @Test(arguments: [21, 22, 23] as [UInt64]) func resetUnpluggedAndAwayNoPrintIsLostOrInvented(seed: UInt64) throws {
        var hall = try hall(seed: seed)
        var random = SeededRandom(seed)
        var mishaps = Set<Int>()
        // A board that must be asked tells of a print only once it is hot.
        var unseen: [String: Int] = [:]
        for _ in 0..<8 {
            try hall.live(.seconds(.random(in: 600...3600, using: &random)))
            // Shorter than any pause between two prints, so that none begins and ends unseen.
            let length = Duration.seconds(.random(in: 1...110, using: &random))
            let mishap = Int.random(in: 0..<4, using: &random)
            mishaps.insert(mishap)
            var lost: Set<String> = []
            switch mishap {
            case 0:
                lost = hall.busy(heating: true)
                hall.cutPower()
            case 1:
                try hall.unplug(for: length)
                hall.plugIn(resets: false)
            case 2:
                let before = hall.busy().subtracting(hall.busy(heating: true))
                try hall.unplug(for: length)
                // What begins while nobody listens and is reset before anybody does, nobody saw.
                lost = hall.busy().subtracting(before)
                hall.plugIn(resets: true)
            default: try hall.die(for: length)
            }
            for machine in lost { unseen[machine, default: 0] += 1 }
        }
        try hall.live(.hours(3))
        #expect(mishaps.count > 2)
        for machine in hall.printers.machines {
            let (told, real) = hall.jobs(machine)
            let lost = real.values.reduce(0, +) - told.values.reduce(0, +)
            #expect(
                (0...unseen[machine, default: 0]).contains(lost),
                "seed \(seed), \(machine): \(told), really \(real)")
            for (outcome, count) in told where outcome != .unknown {
                #expect(count <= real[outcome, default: 0], "seed \(seed), \(machine): \(told), really \(real)")
            }
        }
    }

    /// A board's own count of filament is asked for when a print has ended: what the machine used is known then, to the
    /// centimetre that the board tells. What a board that halts has counted of its last print is lost with it.
    @Test(arguments: [1, 2, 5] as [UInt64]) func filamentIsKnownAfterEachPrint(seed: UInt64) throws {
        var hall = try hall(seed: seed)
        try hall.live(.minutes(1))
        var compared = 0
        for _ in 0..<4 {
            try hall.live(untilBefore: .seconds(-40), of: "printer-9")
            let (told, real) = try hall.filament("printer-9")
            #expect(told <= real + 10, "seed \(seed): \(told) mm, really \(real) mm")
            if hall.jobs("printer-9").real[.failed] == nil {
                compared += 1
                #expect(told >= real - 10 && real > 1000, "seed \(seed): \(told) mm, really \(real) mm")
            }
        }
        #expect(compared > 0)
    }

    /// The gateway dies half a minute before prints end, and is back a minute later: what it remembers makes each of them
    /// one whose end nobody knows.
    @Test(arguments: ["printer-9", "printer-10"]) func aPrintThatEndsUnseenIsUnknown(machine: String) throws {
        var hall = try hall(seed: 31)
        for _ in 0..<3 {
            try hall.live(untilBefore: .seconds(30), of: machine)
            try hall.die(for: .seconds(60))
        }
        // A board that has halted says nothing until somebody resets it.
        try hall.live(.hours(1))
        let (told, real) = hall.jobs(machine)
        #expect(told.values.reduce(0, +) >= 3 && told[.unknown, default: 0] >= 3, "\(told), really \(real)")
        #expect(told.values.reduce(0, +) == real.values.reduce(0, +), "\(told), really \(real)")
    }
}
