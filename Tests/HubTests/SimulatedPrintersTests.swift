import CityLink
import Hub
import Model
import Simulation
import Testing
import Usage

@Suite struct SimulatedPrintersTests {
    private static let start = Instant(milliseconds: 1_795_000_000_000)

    /// One printer of each protocol.
    private func hall(seed: UInt64) throws -> PrinterHall {
        let kinds: [(String, MakerSpace.Place.PrinterLanguage)] = [
            ("p1s", .bambuP1), ("x1c", .bambuX1), ("voron", .klipper), ("mk4", .prusa),
        ]
        let places = kinds.enumerated().map { index, kind in
            MakerSpace.Place(machine: kind.0, kind: .networkPrinter(kind.1), number: index + 1)
        }
        return try PrinterHall(places, seed: seed, start: Self.start)
    }

    @Test(arguments: [1, 2] as [UInt64]) func everyPrintIsCountedOnceAsItEnded(seed: UInt64) throws {
        var hall = try hall(seed: seed)
        try hall.live(.hours(6))
        for machine in hall.printers.machines {
            let (told, real) = hall.jobs(machine)
            #expect(told == real, "seed \(seed), \(machine)")
            #expect(real.values.reduce(0, +) > 1)
        }
        let (told, real) = try hall.filament("voron")
        #expect(real > 1000 && abs(told - real) < 0.01, "seed \(seed): \(told) mm, really \(real) mm")
        // The city hears of it; of printers that do not tell of filament it hears nothing.
        let day = Window.containing(hall.now.wall, .day, in: .utc)
        let source = RollupSource(gateway: "hall", software: "test", tzdata: "test")
        let machines = try #require(hall.hub.content(of: day, source: source, showsMachines: true).machines)
        for machine in machines {
            let filament = machine.totals.filamentMicrometres
            #expect(machine.id == "voron" ? filament.map { $0 > 1_000_000 } == true : filament == nil)
        }
    }

    @Test(arguments: [11, 12] as [UInt64]) func killedAgainAndAgainNoPrintIsCountedTwiceOrLost(seed: UInt64) throws {
        var hall = try hall(seed: seed)
        var random = SeededRandom(seed)
        for _ in 0..<6 {
            try hall.live(.seconds(.random(in: 600...5400, using: &random)))
            // Shorter than any pause between two prints, so that none begins and ends unseen.
            try hall.die(for: .seconds(.random(in: 3...120, using: &random)))
        }
        try hall.live(.hours(4))
        for machine in hall.printers.machines {
            let (told, real) = hall.jobs(machine)
            #expect(
                told.values.reduce(0, +) == real.values.reduce(0, +),
                "seed \(seed), \(machine): \(told), really \(real)")
            for (outcome, count) in told where outcome != .unknown {
                #expect(count <= real[outcome, default: 0], "seed \(seed), \(machine): \(told), really \(real)")
            }
        }
        // What a print used until somebody confirmed its end, and nobody heard, is lost: at most two minutes each time.
        let (told, real) = try hall.filament("voron")
        #expect(told <= real + 0.01 && told >= real - 6 * 120 * 2.6, "seed \(seed): \(told) mm, really \(real) mm")
        // Klipper's history and PrusaLink's record know how every one of them ended.
        for machine in ["voron", "mk4"] {
            let (told, real) = hall.jobs(machine)
            #expect(told == real, "seed \(seed), \(machine)")
        }
    }

    @Test func klipperTellsWhatWasPrintedWhileTheGatewayWasOff() throws {
        var hall = try hall(seed: 5)
        try hall.live(.hours(2))
        try hall.die(for: .hours(8))
        try hall.live(.hours(2))
        let (told, real) = hall.jobs("voron")
        #expect(told == real)
        #expect(real.values.reduce(0, +) > 1)
    }
}
