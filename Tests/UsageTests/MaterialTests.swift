import Model
import Testing
import Usage

private let noon = Instant("2026-11-23T12:00:00Z") ?? .distantPast

private func at(_ seconds: Int64) -> Instant { noon + .seconds(seconds) }

private let pot = Mould(name: "pot-9cm", item: "pot", polymer: .pp, shot: 62_500, items: 1)
private let tiles = Mould(name: "tiles", item: "tile", polymer: .hdpe, shot: 40_000, items: 4)

private func machine(standard: Int? = 0, weighed: [MassRole] = [], limit: Double = 0.1) -> MachineUsage {
    let material = MaterialRule(
        moulds: [pot, tiles], standard: standard, weighed: weighed, countsShots: true, limit: limit)
    return MachineUsage(UsageRule(source: .none, energy: [], material: material), start: noon)
}

private func slot(_ usage: MachineUsage, _ index: Int64 = 0) -> Slot {
    usage.slots.slot(startingAt: noon + Slot.length * index)
}

@Suite struct MaterialTests {
    @Test func shotsAreGramsOfTheMouldThatIsInTheMachine() {
        var usage = machine()
        usage.observe(shots: 100, at: at(0))
        usage.observe(shots: 103, at: at(100))
        usage.observe(mould: "tiles", at: at(110))
        usage.observe(shots: 105, at: at(200))
        let slot = slot(usage)
        #expect(slot.massIn[Polymer.pp.index] == 187_500)
        #expect(slot.massProduct[Polymer.pp.index] == 187_500)
        #expect(slot.massProduct[Polymer.hdpe.index] == 80_000)
        #expect(slot.massScrap.allSatisfy { $0 == 0 })
        #expect(slot.shots == 5)
        #expect(slot.items == 3 + 2 * 4)
        #expect(slot.massCovered == 200_000)
        #expect(slot.massByShots == 267_500)
    }

    @Test func withoutAMouldShotsCountAndMassIsNotKnown() {
        var usage = machine(standard: nil)
        usage.observe(shots: 7, at: at(0))
        usage.observe(shots: 9, at: at(60))
        #expect(usage.mould == nil)
        #expect(slot(usage).shots == 2)
        #expect(slot(usage).items == 0)
        #expect(slot(usage).massIn.allSatisfy { $0 == 0 })
        #expect(slot(usage).massCovered == 0)
        usage.observe(mould: "pot-9cm", at: at(70))
        usage.observe(shots: 10, at: at(120))
        #expect(slot(usage).massIn[Polymer.pp.index] == 62_500)
        #expect(slot(usage).massCovered == 60_000)
        // A name that the table lost: nobody knows what is in there.
        usage.observe(mould: "gone", at: at(130))
        usage.observe(shots: 11, at: at(140))
        #expect(slot(usage).massIn[Polymer.pp.index] == 62_500)
    }

    @Test func scrapIsTakenFromWhereItWasCountedAsGood() {
        var usage = machine()
        usage.observe(scrap: 5, at: at(0))
        usage.observe(shots: 100, at: at(0))
        usage.observe(shots: 102, at: at(890))
        usage.observe(shots: 103, at: at(905))
        // Two of these three, found a moment later.
        usage.observe(scrap: 7, at: at(910))
        #expect(slot(usage, 0).items == 1)
        #expect(slot(usage, 0).scrap == 1)
        #expect(slot(usage, 1).items == 0)
        #expect(slot(usage, 1).scrap == 1)
        let sum = usage.slots.sum(from: noon, to: noon + .hours(1))
        #expect(sum.massProduct[Polymer.pp.index] == 62_500)
        #expect(sum.massScrap[Polymer.pp.index] == 125_000)
        #expect(sum.massIn[Polymer.pp.index] == 187_500)
        // The button of a board that counts scrap itself counts nothing more.
        usage.observeReject(at: at(920))
        #expect(usage.slots.sum(from: noon, to: noon + .hours(1)).scrap == 2)
        // More than were ever made is scrap all the same, and no item becomes less than nothing.
        usage.observe(scrap: 10, at: at(930))
        let all = usage.slots.sum(from: noon, to: noon + .hours(1))
        #expect(all.items == 0)
        #expect(all.scrap == 5)
    }

    @Test func aButtonRejectsTheLastShot() {
        var usage = machine(standard: 1)
        usage.observe(shots: 1, at: at(0))
        usage.observe(shots: 3, at: at(60))
        usage.observeReject(at: at(70))
        #expect(slot(usage).items == 4)
        #expect(slot(usage).scrap == 4)
        #expect(slot(usage).massScrap[Polymer.hdpe.index] == 40_000)
        #expect(slot(usage).massProduct[Polymer.hdpe.index] == 40_000)
    }

    @Test func anItemCounterIsNotCountedTwice() {
        var usage = machine(standard: 1)
        usage.observe(items: 50, at: at(0))
        usage.observe(shots: 1, at: at(0))
        usage.observe(items: 57, at: at(60))
        usage.observe(shots: 3, at: at(60))
        #expect(slot(usage).items == 7)
    }

    /// What two accounts say, and how much of an hour counts as known.
    @Test(
        arguments: [
            (1_000_000, 1_000_000, true, 3600), (1_000_000, 905_000, true, 3600), (1_000_000, 895_000, false, 3222),
            (1_000_000, 0, false, 0), (0, 1_000_000, false, 0), (0, 0, true, 3600),
            // One pot is still cooling.
            (62_500, 0, true, 3600),
        ] as [(Int64, Int64, Bool, Int64)])
    func disagreementLowersWhatIsKnown(shots: Int64, scale: Int64, agrees: Bool, known: Int64) throws {
        var slot = Slot()
        slot.massByShots = shots
        slot.massByScale = scale
        let rule = MaterialRule(moulds: [pot, tiles], weighed: [.product], countsShots: true)
        let evidence = try #require(rule.evidence(slot))
        #expect(evidence.agrees == agrees)
        #expect(evidence.known(of: 3600) == known)
        #expect(MaterialRule(moulds: [pot], weighed: [], countsShots: true).evidence(slot) == nil)
        #expect(MaterialRule(moulds: [], weighed: [.product], countsShots: true).evidence(slot) == nil)
    }

    // MARK: scales

    /// What a scale shows four times a second for a while.
    private func show(_ usage: inout MachineUsage, _ grams: Double, from: Double, for seconds: Double, _ role: MassRole)
    {
        var time = from
        while time < from + seconds {
            let now = noon + .milliseconds(Int64(time * 1000))
            usage.observe(weight: Int64(grams * 1000), role, at: now)
            usage.observe(rest: true, role, at: now)
            time += 0.25
        }
    }

    private func move(_ usage: inout MachineUsage, at seconds: Double, _ role: MassRole) {
        usage.observe(rest: false, role, at: noon + .milliseconds(Int64(seconds * 1000)))
    }

    @Test func partsThatAreLaidOnAreProduct() {
        var usage = machine(weighed: [.product])
        show(&usage, 3, from: 0, for: 5, .product)
        move(&usage, at: 5, .product)
        show(&usage, 65.2, from: 6, for: 5, .product)
        // A hand on the pan, and a moment of rest under it.
        move(&usage, at: 11, .product)
        show(&usage, 430, from: 11.5, for: 1, .product)
        move(&usage, at: 12.5, .product)
        show(&usage, 65.4, from: 13, for: 5, .product)
        move(&usage, at: 18, .product)
        show(&usage, 127.9, from: 19, for: 5, .product)
        // The box is emptied; that is no product that vanishes.
        move(&usage, at: 24, .product)
        show(&usage, 0, from: 25, for: 60, .product)
        #expect(slot(usage).massProduct[Polymer.pp.index] == 124_900)
        #expect(slot(usage).massByScale == 124_900)
        #expect(slot(usage).massCovered >= 60_000)
        #expect(slot(usage).massIn.allSatisfy { $0 == 0 })
    }

    @Test func theScaleIsBookedAndTheShotsAreHeldAgainstIt() {
        var usage = machine(weighed: [.product])
        usage.observe(shots: 1, at: at(0))
        show(&usage, 0, from: 0, for: 5, .product)
        usage.observe(shots: 2, at: at(30))
        move(&usage, at: 60, .product)
        show(&usage, 60, from: 61, for: 5, .product)
        #expect(slot(usage).massProduct[Polymer.pp.index] == 60_000)
        #expect(slot(usage).massIn[Polymer.pp.index] == 62_500)
        #expect(slot(usage).massByShots == 62_500)
        // What is thrown away never comes onto the scale; both accounts still speak of the same.
        usage.observe(shots: 3, at: at(90))
        usage.observeReject(at: at(100))
        #expect(slot(usage).massByScale == 122_500)
        #expect(slot(usage).massScrap[Polymer.pp.index] == 62_500)
    }

    @Test func whatIsTakenFromTheStockWentIn() {
        var usage = machine(weighed: [.input])
        show(&usage, 5000, from: 0, for: 5, .input)
        move(&usage, at: 5, .input)
        show(&usage, 4937, from: 6, for: 5, .input)
        // Filled up.
        move(&usage, at: 11, .input)
        show(&usage, 9000, from: 12, for: 5, .input)
        // The tared box is lifted, something is poured out, and it is back.
        move(&usage, at: 17, .input)
        show(&usage, -800, from: 18, for: 5, .input)
        move(&usage, at: 23, .input)
        show(&usage, 8500, from: 24, for: 5, .input)
        #expect(slot(usage).massIn[Polymer.pp.index] == 563_000)
    }

    @Test func aTareIsNoChange() {
        var usage = machine(weighed: [.input])
        show(&usage, 300, from: 0, for: 5, .input)
        usage.observe(net: false, .input, at: at(5))
        // Tared: the value is here before the sign for net.
        usage.observe(weight: 0, .input, at: at(6))
        usage.observe(net: true, .input, at: at(6))
        show(&usage, 0, from: 7, for: 5, .input)
        move(&usage, at: 12, .input)
        show(&usage, 250, from: 13, for: 5, .input)
        // Tared once more: at zero without having moved.
        show(&usage, 0, from: 18, for: 5, .input)
        #expect(slot(usage).massIn[Polymer.pp.index] == 0)
        move(&usage, at: 23, .input)
        show(&usage, 90, from: 24, for: 5, .input)
        move(&usage, at: 29, .input)
        show(&usage, 0, from: 30, for: 5, .input)
        #expect(slot(usage).massIn[Polymer.pp.index] == 90_000)
    }

    @Test func aScaleThatIsAwayKnowsNothingMeanwhileButForgetsNothing() {
        var usage = machine(weighed: [.product])
        show(&usage, 10, from: 0, for: 30, .product)
        usage.observe(weight: nil, .product, at: at(30))
        show(&usage, 72, from: 600, for: 30, .product)
        #expect(slot(usage).massProduct[Polymer.pp.index] == 62_000)
        #expect(slot(usage).massCovered < 60_000)
    }

    /// Parts of random weight, a trembling pan, hands, emptied boxes, and somebody who looks in between.
    @Test(arguments: 0..<40 as Range<UInt64>) func theSumOfWhatWasLaidOnIsRight(seed: UInt64) {
        var random = SeededRandom(seed)
        var usage = machine(weighed: [.product])
        var watched = usage
        var lies = 0.0
        var laid = 0.0
        var time = 0.0
        func both(_ body: (inout MachineUsage) -> Void) {
            body(&usage)
            body(&watched)
        }
        func rest(_ seconds: Double, _ random: inout SeededRandom) {
            let end = time + seconds
            while time < end {
                let shown = ((lies + .random(in: -0.5...0.5, using: &random)) * 10).rounded() / 10
                let now = noon + .milliseconds(Int64(time * 1000))
                both { $0.observe(weight: Int64((shown * 1000).rounded()), .product, at: now) }
                if Bool.random(using: &random) { watched.advance(to: now + .milliseconds(50)) }
                time += .random(in: 0.1...0.9, using: &random)
            }
        }
        rest(10, &random)
        for _ in 0..<120 {
            let now = noon + .milliseconds(Int64(time * 1000))
            both { $0.observe(rest: false, .product, at: now) }
            time += .random(in: 0.2...3, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: lies = 0
            case 1:
                let before = lies
                lies += 400
                rest(0.9, &random)
                lies = before
                both { $0.observe(rest: false, .product, at: noon + .milliseconds(Int64(time * 1000))) }
            default:
                let part = Double.random(in: 5...120, using: &random)
                lies += part
                laid += part
            }
            rest(.random(in: 3.5...15, using: &random), &random)
        }
        usage.advance(to: at(Int64(time) + 10))
        watched.advance(to: at(Int64(time) + 10))
        let sum = usage.slots.sum(from: noon, to: noon + .hours(24))
        // Each of the steps is off by the trembling of its two ends at most.
        #expect((Double(sum.massByScale) / 1000 - laid).magnitude < 120, "seed \(seed)")
        #expect(sum == watched.slots.sum(from: noon, to: noon + .hours(24)), "seed \(seed)")
    }
}
