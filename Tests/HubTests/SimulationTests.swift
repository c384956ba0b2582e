import Model
import Simulation
import Testing

private let morning = Instant(milliseconds: 1_795_392_000_000)  // 2026-11-23T00:00:00Z

/// Something that was said, and when.
private struct Said: Equatable {
    let time: Instant
    let emission: Emission

    var topic: String? { if case .publish(let topic, _, _) = emission { topic } else { nil } }
    var text: String {
        switch emission {
        case .publish(_, let payload, _): String(decoding: payload, as: UTF8.self)
        case .serial(_, let bytes): String(decoding: bytes, as: UTF8.self)
        }
    }
    var json: JSON? { JSON(text) }
}

/// Plays event by event, so that each emission has its time.
private func play(_ lab: inout SimulatedLab, until end: Instant) -> [Said] {
    var said: [Said] = []
    while lab.nextEvent <= end {
        let time = lab.nextEvent
        lab.advance(to: time) { said.append(Said(time: time, emission: $0)) }
    }
    lab.advance(to: end) { said.append(Said(time: end, emission: $0)) }
    return said
}

private func question(_ unit: UInt8, _ address: UInt16, _ count: UInt16, function: UInt8 = 4) -> [UInt8] {
    ModbusCRC.sealed([
        unit, function, UInt8(address >> 8), UInt8(address & 255), UInt8(count >> 8), UInt8(count & 255),
    ])
}

private func registers(_ frame: [UInt8]) -> [UInt16] {
    stride(from: 3, to: frame.count - 3, by: 2).map { UInt16(frame[$0]) << 8 | UInt16(frame[$0 + 1]) }
}

private func float(_ frame: [UInt8]) -> Double {
    let words = registers(frame)
    return Double(Float(bitPattern: UInt32(words[0]) << 16 | UInt32(words[1])))
}

@Suite struct SimulationTests {
    @Test func theSameSeedIsTheSameLab() {
        var a = SimulatedLab(seed: 7, start: morning)
        var b = SimulatedLab(seed: 7, start: morning)
        var c = SimulatedLab(seed: 8, start: morning)
        let end = morning + .hours(2)
        let said = play(&a, until: end)
        #expect(said == play(&b, until: end))
        #expect(said != play(&c, until: end))
        #expect(said.count > 1000)
    }

    @Test(arguments: [Duration.milliseconds(333), .seconds(1), .seconds(7), .minutes(13), .hours(3)])
    func stepsDoNotMatter(step: Duration) {
        let end = morning + .hours(3)
        var whole = SimulatedLab(seed: 3, start: morning)
        var expected: [Emission] = []
        whole.advance(to: end) { expected.append($0) }

        var lab = SimulatedLab(seed: 3, start: morning)
        var emissions: [Emission] = []
        var time = morning
        var turn = 0
        while time < end {
            time = min(end, time + step)
            // Being asked, also before time is advanced, changes nothing but the answers.
            turn += 1
            if turn % 3 == 0 {
                _ = lab.received(question(5, 0x0000, 2), on: "bus2", at: time)
                _ = lab.received([0x3F], on: "grbl", at: time)
            }
            lab.advance(to: time) { emissions.append($0) }
        }
        #expect(emissions == expected)
        for machine in SimulatedLab.machines {
            #expect(
                lab.truth.stateMilliseconds(machine, from: morning, to: end)
                    == whole.truth.stateMilliseconds(machine, from: morning, to: end))
        }
    }

    @Test(arguments: [1, 2, 3, 42, 2026] as [UInt64]) func withinSixHoursEverythingHappens(seed: UInt64) {
        var lab = SimulatedLab(seed: seed, start: morning)
        let end = morning + .hours(6)
        lab.advance(to: end) { _ in }
        let truth = lab.truth
        func states(_ machine: String) -> Set<MachineState> {
            Set(truth.stateMilliseconds(machine, from: morning, to: end).filter { $0.value > 0 }.keys)
        }
        #expect(states("printer") == [.offline, .idle, .preparing, .running, .paused])
        #expect(states("shredder") == [.idle, .running])
        #expect(states("laser") == [.offline, .idle, .preparing, .running, .paused, .blocked, .fault])
        #expect(states("press") == [.idle, .preparing, .running])
        let prints = truth.jobs("printer", from: morning, to: end)
        #expect(Set(prints.keys) == [.completed, .cancelled, .failed])
        let cuts = truth.jobs("laser", from: morning, to: end)
        #expect(Set(cuts.keys) == [.completed, .failed, .interrupted])
        #expect(truth.shots("press", from: morning, to: end) >= 12)
        for machine in SimulatedLab.machines {
            let energy = truth.energyMilliwattHours(machine, from: morning, to: end)
            #expect((100_000...6_000_000).contains(energy), "\(machine) used \(energy) mWh")
        }
    }

    @Test func statesSumToTheirWindowAndEnergyAddsUp() {
        var lab = SimulatedLab(seed: 5, start: morning)
        lab.advance(to: morning + .hours(5)) { _ in }
        let truth = lab.truth
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed)
        for _ in 0..<300 {
            // Also windows that begin before the start or end in the future.
            let points = (0..<3).map { _ in
                morning + .milliseconds(Int64.random(in: -3_600_000...21_600_000, using: &random))
            }.sorted()
            let (a, b, c) = (points[0], points[1], points[2])
            for machine in SimulatedLab.machines {
                let states = truth.stateMilliseconds(machine, from: a, to: c)
                #expect(states.values.reduce(0, +) == (c - a).milliseconds, "seed \(seed)")
                let parts =
                    truth.energyMilliwattHours(machine, from: a, to: b)
                    + truth.energyMilliwattHours(machine, from: b, to: c)
                let whole = truth.energyMilliwattHours(machine, from: a, to: c)
                #expect((parts - whole).magnitude < 1e-6, "seed \(seed)")
            }
        }
        #expect(truth.stateMilliseconds("nobody", from: morning, to: morning + .seconds(9)) == [.unknown: 9000])
    }

    // MARK: counters

    @Test(arguments: ["printer", "shredder"]) func plugsCountTheTrueEnergy(machine: String) throws {
        var lab = SimulatedLab(seed: 11, start: morning)
        let reports = play(&lab, until: morning + .hours(4)).filter { $0.topic == "tele/\(machine)-plug/SENSOR" }
        var first: (time: Instant, total: Double)?
        var last = 0.0
        for report in reports {
            let energy = try #require(report.json?["ENERGY"])
            let total = try #require(energy["Total"]?.number) * 1000
            let base = first ?? (report.time, total)
            first = base
            #expect(total >= last)
            last = total
            let truth = lab.truth.energyMilliwattHours(machine, from: base.time, to: report.time) / 1000
            #expect((total - base.total - truth).magnitude <= 1)
        }
        #expect(reports.count >= 4 * 360)
    }

    @Test(arguments: [("laser", "bus1", UInt8(1)), ("press", "bus2", UInt8(5))])
    func metersCountTheTrueEnergy(machine: String, wire: String, unit: UInt8) {
        var lab = SimulatedLab(seed: 11, start: morning)
        func import_(at time: Instant) -> Double {
            float(lab.received(question(unit, 0x0048, 2), on: wire, at: time)[0]) * 1e6
        }
        let first = import_(at: morning)
        for minute in 1...240 {
            let time = morning + .minutes(Int64(minute))
            let counted = import_(at: time) - first
            let truth = lab.truth.energyMilliwattHours(machine, from: morning, to: time)
            // Single precision has steps of 0.03 Wh at these counts.
            #expect((counted - truth).magnitude <= 62)
            lab.advance(to: time) { _ in }
        }
    }

    @Test func aPlugThatLostItsMainsFallsBackAndRecovers() throws {
        var lab = SimulatedLab(seed: 2, start: morning)
        func totals(until end: Instant) -> [Double] {
            play(&lab, until: end).filter { $0.topic == "tele/shredder-plug/SENSOR" }
                .compactMap { $0.json?["ENERGY"]?["Total"]?.number }
        }
        let before = try #require(totals(until: morning + .hours(2)).last)
        let (isCut, isPressCut) = (lab.cutPower(of: "shredder"), lab.cutPower(of: "press"))
        #expect(isCut && !isPressCut)
        let after = totals(until: morning + .hours(2) + .seconds(60))
        #expect(try #require(after.first) < before - 0.02)
        #expect(try #require(after.last) >= before)
        let isReset = lab.resetCounter(of: "shredder")
        #expect(isReset)
        #expect(try #require(totals(until: morning + .hours(2) + .seconds(80)).last) < 0.1)
    }

    // MARK: Modbus

    @Test func checksumsAreThoseOfTheStandard() {
        #expect(question(1, 0x0048, 2) == [0x01, 0x04, 0x00, 0x48, 0x00, 0x02, 0xF1, 0xDD])
        #expect(question(1, 0x03E8, 8) == [0x01, 0x04, 0x03, 0xE8, 0x00, 0x08, 0x71, 0xBC])
        let voltage: [UInt8] = [0x01, 0x04, 0x04, 0x43, 0x5A, 0xB3, 0x33, 0xFB, 0x36]
        #expect(ModbusCRC.fits(voltage[...]))
        #expect(ModbusCRC.sealed(Array(voltage.dropLast(2))) == voltage)
        #expect(!ModbusCRC.fits([0x01, 0x04, 0x04, 0x43, 0x5A, 0xB3, 0x32, 0xFB, 0x36]))
        #expect(!ModbusCRC.fits([]))
    }

    @Test func slavesAnswerAsTheirManualsSay() throws {
        var lab = SimulatedLab(seed: 1, start: morning)
        func ask(_ bytes: [UInt8], _ wire: String) -> [[UInt8]] { lab.received(bytes, on: wire, at: morning) }
        let voltage = try #require(ask(question(1, 0, 2), "bus1").first)
        #expect((214...226).contains(float(voltage)))
        #expect(ModbusCRC.fits(voltage[...]))
        let block = try #require(ask(question(1, 0, 80), "bus1").first)
        #expect(block.count == 5 + 160)
        #expect((59.9...60.1).contains(float(try #require(ask(question(1, 0x46, 2), "bus1").first))))
        // Not there, not possible, nobody.
        #expect(ask(question(1, 0x2000, 2), "bus1") == [[0x01, 0x84, 0x02, 0xC2, 0xC1]])
        #expect(ask(question(1, 0, 2, function: 3), "bus1").map { Array($0[..<3]) } == [[1, 0x83, 1]])
        #expect(ask(question(1, 0, 0), "bus1").map { Array($0[..<3]) } == [[1, 0x84, 3]])
        #expect(ask(question(9, 0, 2), "bus1").isEmpty)
        #expect(ask(question(1, 0, 2), "bus3").isEmpty)

        let zone = registers(try #require(ask(question(3, 0x03E8, 8), "bus2").first))
        #expect((200...240).contains(zone[0]))
        #expect(zone[1] == 1 && zone[2] == 0 && zone[3] == 0)
        let name = registers(try #require(ask(question(3, 0x0068, 2), "bus2").first))
        #expect(name == [0x544B, 0x3453])
        #expect(ask(question(3, 0x03EF, 2), "bus2").map { Array($0[..<3]) } == [[3, 0x84, 2]])
    }

    @Test func slavesFindTheirQuestionInGarbage() {
        let one = question(3, 0x03E8, 8)
        let other = question(5, 0x000C, 2)
        var lab = SimulatedLab(seed: 1, start: morning)
        let expected = lab.received(one, on: "bus2", at: morning) + lab.received(other, on: "bus2", at: morning)
        #expect(expected.count == 2)
        let line: [UInt8] = [0x00, 0xFF, 0x03, 0x04] + one + question(7, 0, 2) + [0x03, 0x04, 0x03, 0xE8] + other
        for size in 1...line.count {
            var replies: [[UInt8]] = []
            for start in stride(from: 0, to: line.count, by: size) {
                replies += lab.received(Array(line[start..<min(start + size, line.count)]), on: "bus2", at: morning)
            }
            #expect(replies == expected, "chunks of \(size)")
        }
    }

    @Test func garbageNeverTraps() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var random = SeededRandom(seed)
        var lab = SimulatedLab(seed: 1, start: morning)
        for turn in 0..<4000 {
            let time = morning + .seconds(Int64(turn))
            let wire = ["bus1", "bus2", "grbl", "press", "nowhere"].randomElement(using: &random) ?? ""
            var bytes = (0..<Int.random(in: 0...40, using: &random)).map { _ in
                UInt8.random(in: 0...255, using: &random)
            }
            if turn % 2 == 0 {
                // Questions that are whole, but ask for anything.
                bytes = question(
                    [1, 3, 5, 7].randomElement(using: &random) ?? 1, .random(in: 0...0xFFFF, using: &random),
                    .random(in: 0...0xFFFF, using: &random), function: .random(in: 0...255, using: &random))
            }
            for reply in lab.received(bytes, on: wire, at: time) { #expect(!reply.isEmpty, "seed \(seed)") }
        }
        // And is none the worse for it.
        let replies = lab.received(question(1, 0, 2), on: "bus1", at: morning)
        #expect(replies.count == 1, "seed \(seed)")
    }

    @Test func aBrokenSensorIsShownAndIsTheTruth() {
        var lab = SimulatedLab(seed: 4, start: morning, profile: LabProfile(sensorBreaks: true))
        var broken: Int64 = 0
        let end = morning + .hours(4)
        var time = morning + .milliseconds(750)
        while time < end {
            lab.advance(to: time) { _ in }
            let zone = registers(lab.received(question(3, 0x03E8, 8), on: "bus2", at: time)[0])
            if zone[0] == 31_000 {
                broken += 1000
                #expect(zone[6] & 1 << 9 != 0)
            }
            time = time + .seconds(1)
        }
        #expect(broken >= 60_000)
        let told = lab.truth.stateMilliseconds("press", from: morning, to: end)[.fault] ?? 0
        #expect((told - broken).magnitude <= 1000)
    }

    // MARK: words

    @Test func printsEndInTheOrderThatOctoPrintHas() {
        var lab = SimulatedLab(seed: 6, start: morning)
        let words = play(&lab, until: morning + .hours(6)).compactMap { said -> String? in
            guard let topic = said.topic, topic.hasPrefix("octoPrint/event/") else { return nil }
            let name = String(topic.dropFirst("octoPrint/event/".count))
            guard name == "PrinterStateChanged" else {
                return name == "PrintFailed" ? "PrintFailed/\(said.json?["reason"]?.text ?? "")" : name
            }
            return said.json?["state_id"]?.text
        }
        func occurs(_ sequence: [String]) -> Bool {
            words.indices.contains { words[$0...].starts(with: sequence) }
        }
        #expect(occurs(["FileSelected", "STARTING", "PrintStarted", "PRINTING"]))
        #expect(occurs(["PAUSING", "PrintPaused", "PAUSED", "RESUMING", "PrintResumed", "PRINTING"]))
        #expect(occurs(["FINISHING", "PrintDone", "OPERATIONAL"]))
        #expect(
            occurs(["PrintCancelling", "CANCELLING", "PrintCancelled", "PrintFailed/cancelled", "OPERATIONAL"]))
        #expect(occurs(["Disconnecting", "FileDeselected", "Disconnected", "OFFLINE", "PrintFailed/error"]))
        let done = words.count { $0 == "PrintDone" }
        #expect(lab.truth.jobs("printer", from: morning, to: morning + .hours(6))[.completed] == done)
    }

    @Test func everythingSaidIsWellFormed() {
        var lab = SimulatedLab(seed: 9, start: morning)
        var lines = 0
        for said in play(&lab, until: morning + .hours(6)) {
            switch said.emission {
            case .publish(let topic, _, let retain):
                #expect(!topic.hasPrefix("cmnd/"))
                if topic.hasSuffix("/LWT") || topic == "octoPrint/mqtt" { #expect(retain) }
                if topic.hasSuffix("/SENSOR") || topic.hasPrefix("octoPrint/event/") { #expect(!retain) }
                if !topic.hasSuffix("/LWT"), !topic.hasSuffix("/POWER"), topic != "octoPrint/mqtt" {
                    #expect(said.json != nil, "\(topic) \(said.text)")
                }
            case .serial(let wire, let bytes):
                #expect(bytes.last == 0x0A && bytes.count <= 256)
                lines += 1
                if wire == "press" { #expect(JSON(Array(bytes.dropLast()))?["shots"]?.integer != nil) }
            }
        }
        #expect(lines > 4000)
    }

    /// A press makes of what it takes in good parts and scrap, and nothing else; what its scale shows is what was good.
    @Test(arguments: [1, 2, 3] as [UInt64]) func whatGoesIntoAPressComesOut(seed: UInt64) throws {
        var lab = SimulatedLab(seed: seed, start: morning)
        var weighed = 0.0
        var level = 0.0
        let end = morning + .hours(12)
        for said in play(&lab, until: end) where said.text.hasPrefix("ST,NT,+") {
            let digits = String(said.text.dropFirst(7).dropLast(3).filter { $0 != " " })
            let kilograms: Double = try #require(Double(digits))
            let grams = kilograms * 1000
            if grams > level { weighed += grams - level }
            level = grams
        }
        let made = lab.truth.material("press", from: morning, to: end)
        let parts = lab.truth.parts("press", from: morning, to: end)
        #expect(parts.count == lab.truth.shots("press", from: morning, to: end))
        #expect(parts.reduce(0) { $0 + $1.items } == made.items + made.scrapItems, "seed \(seed)")
        #expect(made.scrapItems > 0 && made.items > 3 * made.scrapItems, "seed \(seed)")
        let cooling = parts.filter { $0.judged == nil }.reduce(0) { $0 + $1.mass }
        let (input, product) = (made.input.values.reduce(0, +), made.product.values.reduce(0, +))
        #expect(input == product + made.scrap.values.reduce(0, +) + cooling, "seed \(seed)")
        #expect((weighed * 1000 - Double(product)).magnitude <= 4000, "seed \(seed)")
    }

    @Test func grblReportsItsTrueState() {
        var lab = SimulatedLab(seed: 10, start: morning)
        var time = morning
        var words = Set<String>()
        while time < morning + .hours(6) {
            lab.advance(to: time) { _ in }
            let replies = lab.received([0x3F], on: "grbl", at: time)
            let state = lab.truth.stateMilliseconds("laser", from: time - .milliseconds(1), to: time)
            if state[.offline] != nil { #expect(replies.isEmpty) }
            for reply in replies {
                let text = String(decoding: reply, as: UTF8.self)
                #expect(
                    text.hasPrefix("<") && text.hasSuffix(">\r\n") && text.contains("|MPos:") && text.contains("|FS:"))
                words.insert(String(text.dropFirst().prefix { $0 != "|" }))
            }
            time = time + .seconds(2)
        }
        #expect(words.isSuperset(of: ["Idle", "Run", "Hold:0", "Home", "Door:1", "Alarm"]))
    }

    // MARK: bad links

    @Test func linkFaultsAreTheSameEachTimeAndAbsentAtZero() {
        var lab = SimulatedLab(seed: 1, start: morning)
        let said = play(&lab, until: morning + .hours(1)).map(\.emission)
        func arrived(_ rates: LinkFaults.Rates) -> [Emission] {
            var link = LinkFaults(seed: 5, rates)
            var arrived: [Emission] = []
            for emission in said { link.pass(emission) { arrived.append($0) } }
            return arrived
        }
        #expect(arrived(LinkFaults.Rates()) == said)
        let bad = LinkFaults.Rates(drop: 0.1, duplicate: 0.05, reorder: 0.05, replay: 0.02, damage: 0.1)
        #expect(arrived(bad) == arrived(bad))
        let kept = Double(arrived(LinkFaults.Rates(drop: 0.1)).count) / Double(said.count)
        #expect((0.85...0.95).contains(kept))
        let swapped = arrived(LinkFaults.Rates(reorder: 0.2))
        #expect(swapped != said)
        #expect(said.count - swapped.count <= 1)
    }
}
