import CityLink
import Hub
import Model
import Ports
import Simulation
import Testing
import Usage

/// Whatever becomes of samples on their way: what they add up to is the same.
@Suite struct UsageOrderTests {
    /// Samples that come late, twice, in other order and in other packs give the same hours as those that did not, and
    /// so does another process that reads them from the store.
    @Test(arguments: 0..<12) func orderDoesNotMatter(seed: UInt64) throws {
        var random = SeededRandom(seed)
        let samples = MeterSample.day(from: MeteredHub.start, hours: 4, step: 20...90, &random)
        let end = MeteredHub.start + .hours(6)
        var plain = try MeteredHub(try MeteredHub.configuration())
        for sample in samples {
            try plain.pass(to: sample.time)
            plain.say([sample])
        }
        try plain.pass(to: end)
        plain.settle()

        var arrivals = samples.map { ($0.time + .seconds(Int64.random(in: 0...1500, using: &random)), $0) }
        for _ in 0..<samples.count / 4 {
            if let again = arrivals.randomElement(using: &random) {
                arrivals.append((again.0 + .seconds(Int64.random(in: 0...900, using: &random)), again.1))
            }
        }
        arrivals.sort { $0.0 < $1.0 }
        var disturbed = try MeteredHub(try MeteredHub.configuration())
        var pack: [MeterSample] = []
        for (time, sample) in arrivals {
            pack.append(sample)
            guard Int.random(in: 0..<3, using: &random) == 0 else { continue }
            try disturbed.pass(to: time)
            disturbed.say(pack)
            pack = []
        }
        disturbed.say(pack)
        try disturbed.pass(to: end)
        disturbed.settle()

        for hour in 0..<4 {
            let window = plain.window(.hour, at: MeteredHub.start + .hours(Int64(hour)))
            let expected = plain.content(window)
            #expect(disturbed.content(window) == expected, "seed \(seed), hour \(hour)")
            // What the city was told last is that, too.
            let last = disturbed.told.last { $0.start == window.start && $0.grain == .hour }
            #expect(last == expected, "seed \(seed), hour \(hour)")
        }
        try disturbed.restart()
        for hour in 0..<4 {
            let window = plain.window(.hour, at: MeteredHub.start + .hours(Int64(hour)))
            #expect(disturbed.content(window) == plain.content(window), "seed \(seed), hour \(hour), read again")
        }
    }

    /// A gateway that ends and starts again at any moment loses sight of the machine until its next word, and nothing
    /// else: hours without such a moment have the same bytes, energy is the same in all of them, and what is computed
    /// then is computed again to the same bytes by every later start.
    @Test(arguments: 0..<24) func aStartAtAnyMomentHidesOnlyThatMoment(seed: UInt64) throws {
        var random = SeededRandom(seed &+ 4242)
        let samples = MeterSample.day(from: MeteredHub.start, hours: 8, step: 10...50, &random)
        let length = Duration.hours(8).milliseconds
        let starts = (0..<Int.random(in: 1...5, using: &random))
            .map { _ in MeteredHub.start + .milliseconds(Int64.random(in: 60_000..<length, using: &random)) }
            .sorted()
        func live(_ starts: [Instant]) throws -> MeteredHub {
            var hub = try MeteredHub(try MeteredHub.configuration())
            var left = starts[...]
            for sample in samples {
                while let start = left.first, start < sample.time {
                    try hub.pass(to: start)
                    try hub.restart()
                    left.removeFirst()
                }
                try hub.pass(to: sample.time)
                hub.say([sample])
            }
            try hub.pass(to: MeteredHub.start + .hours(10))
            hub.settle()
            return hub
        }
        let plain = try live([])
        var disturbed = try live(starts)
        let windows = (0..<8).map { plain.window(.hour, at: MeteredHub.start + .hours(Int64($0))) }
        // A word is at most 50 s old, then comes the next one, and its state must last for 20 s.
        let hidden = Duration.seconds(120)
        for window in windows {
            let (whole, seen) = (plain.content(window), disturbed.content(window))
            let moments = starts.count { $0 + hidden > window.start && $0 - hidden < window.end }
            #expect(moments > 0 || seen == whole, "seed \(seed), \(window.start), starts \(starts)")
            #expect(
                seen.totals.energyMilliwattHours == whole.totals.energyMilliwattHours, "seed \(seed), \(window.start)")
            let most = hidden.milliseconds * Int64(moments)
            #expect(seen.totals[.unknown] - whole.totals[.unknown] <= most, "seed \(seed), \(window.start)")
            for state in [MachineState.running, .idle] {
                let difference = seen.totals[state] - whole.totals[state]
                #expect(difference.magnitude <= most, "seed \(seed), \(window.start), \(state) \(difference)")
            }
            let sum = MachineState.allCases.reduce(0) { $0 + seen.totals[$1] }
            #expect(sum == 3_600_000, "seed \(seed), \(window.start)")
        }
        let before = windows.map(disturbed.content)
        try disturbed.restart()
        disturbed.settle()
        #expect(windows.map(disturbed.content) == before, "seed \(seed), read again")
    }

    /// Two prints that were cancelled while the link was away are told in one go. They are two, also for the process that
    /// reads them from the store, and the print that is on then was not cancelled with them.
    @Test func twoAlikeEventsOfOneMomentAreTwo() throws {
        var reader = ConfigurationReader(catalog: try loadCatalog()) { try CivilZone.load($0) }
        let text = """
            lab: { id: "urn:x:lab", timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            devices: [{ id: octo, driver: octoprint, mqtt: main }]
            machines: [{ id: printer, name: Printer, class: three_d_printing, devices: [octo] }]
            """
        let configuration = try #require(
            reader.read([try YAML.parse(text, file: "lab.yaml")]), "\(reader.problems.all)")
        var hub = try MeteredHub(configuration)
        try hub.pass(to: MeteredHub.start + .minutes(10))
        func say(_ event: String, _ members: String = "", at second: Int) {
            let stamp = 1_795_300_000 + second
            hub.hear(
                "{\(members)\"_event\":\"\(event)\",\"_timestamp\":\(stamp)}", topic: "octoPrint/event/\(event)")
        }
        func say(state: String, at second: Int) {
            say("PrinterStateChanged", "\"state_id\":\"\(state)\",", at: second)
        }
        say(state: "OPERATIONAL", at: 0)
        for print in 1...3 {
            say("PrintStarted", at: print * 100)
            say(state: "PRINTING", at: print * 100)
            guard print < 3 else { continue }
            say("PrintFailed", "\"reason\":\"cancelled\",", at: print * 100 + 50)
            say(state: "OPERATIONAL", at: print * 100 + 50)
        }
        try hub.pass(to: MeteredHub.start + .minutes(20))
        say("PrintDone", at: 900)
        say(state: "OPERATIONAL", at: 900)
        try hub.pass(to: MeteredHub.start + .hours(2))
        let window = hub.window(.hour, at: MeteredHub.start)
        let whole = hub.content(window)
        // Completed, cancelled, failed, interrupted, unknown.
        #expect(whole.totals.jobs == [1, 2, 0, 0, 0])
        let last = hub.hub.machineViews(at: hub.now).first?.lastJob
        #expect(last?.outcome == .completed && last?.start == MeteredHub.start + .minutes(10) + .milliseconds(1))
        try hub.restart()
        #expect(hub.content(window) == whole)
    }

    /// The sums of every hour of a day, reckoned second by second and step by step from the plain list of samples.
    @Test(arguments: 0..<8) func agreesWithPlainReckoning(seed: UInt64) throws {
        var random = SeededRandom(seed &+ 77)
        let samples = MeterSample.day(from: MeteredHub.start, hours: 24, step: 5...300, &random)
        var hub = try MeteredHub(try MeteredHub.configuration())
        for sample in samples {
            try hub.pass(to: sample.time)
            hub.say([sample])
            if Int.random(in: 0..<200, using: &random) == 0 { hub.settle() }
        }
        try hub.pass(to: MeteredHub.start + .hours(25))
        hub.settle()

        let seconds = Int64(24 * 3600)
        var running = [Bool?](repeating: nil, count: Int(seconds))
        var isOff = [Bool](repeating: false, count: Int(seconds))
        var level = false
        for (index, sample) in samples.enumerated() {
            if sample.watts >= 60 { level = true } else if sample.watts <= 5 { level = false }
            let from = (sample.time - MeteredHub.start).milliseconds / 1000
            let to =
                index + 1 < samples.count ? (samples[index + 1].time - MeteredHub.start).milliseconds / 1000 : seconds
            for second in max(0, from)..<min(seconds, to) {
                running[Int(second)] = level
                isOff[Int(second)] = sample.watts < 2
            }
        }
        // What did not last for twenty seconds was as before.
        var current = running[5]
        var place = 5
        while place < running.count {
            var end = place
            while end < running.count, running[end] == running[place] { end += 1 }
            if end - place >= 20 || end == running.count { current = running[place] }
            for second in place..<end { running[second] = current }
            place = end
        }
        for hour in 0..<24 {
            let window = hub.window(.hour, at: MeteredHub.start + .hours(Int64(hour)))
            let totals = hub.content(window).totals
            let range = hour * 3600..<(hour + 1) * 3600
            #expect(totals[.running] == Int64(running[range].count { $0 == true }) * 1000, "seed \(seed), hour \(hour)")
            #expect(totals[.idle] == Int64(running[range].count { $0 == false }) * 1000, "seed \(seed), hour \(hour)")
            #expect(totals[.unknown] == Int64(running[range].count { $0 == nil }) * 1000, "seed \(seed), hour \(hour)")
            var energy: Int64 = 0
            for (before, after) in zip(samples, samples.dropFirst()) {
                let amount = Int64((after.wattHours * 1000).rounded()) - Int64((before.wattHours * 1000).rounded())
                let whole = (after.time - before.time).milliseconds
                func drawn(by time: Instant) -> Int64 {
                    amount * (min(max(time, before.time), after.time) - before.time).milliseconds / whole
                }
                energy += drawn(by: window.end) - drawn(by: window.start)
            }
            #expect(totals.energyMilliwattHours == energy, "seed \(seed), hour \(hour)")
        }
    }
}
