import CityLink
import Hub
import Model
import Simulation
import Store
import Testing
import Usage

/// A page of slots that has rotted: what stood there is computed again where its samples are still whole.
@Suite struct MendingTests {
    /// Lives for some days, with a sample every two minutes, and some more minutes. Now and then the meter is away for
    /// longer than it may be silent.
    private func live(_ hub: inout MeteredHub, days: Int64, seed: UInt64 = 5) throws {
        let step: Int64 = 120
        var random = SeededRandom(seed)
        let from = hub.now.wall
        var count: Int64 = 1_000_000
        var watts = 0.0
        for number in 0..<days * 86_400 / step {
            try hub.pass(to: from + .seconds(number * step + 1))
            if Int.random(in: 0..<10, using: &random) == 0 {
                watts = [1, 4, 90, 700].randomElement(using: &random) ?? 0
            }
            let shown = watts + Double(Int.random(in: 0..<1000, using: &random)) / 1000
            if number % 1500 > 30 {
                hub.say([MeterSample(time: hub.now.wall, watts: shown, wattHours: Double(count) / 1000)])
            }
            count += Int64(watts * Double(step) / 3.6)
        }
        try hub.pass(to: from + .hours(24 * days) + .minutes(40))
    }

    /// Days, and some hours, as they are now.
    private func known(_ hub: MeteredHub) -> [RollupContent] {
        let hours = hub.firstTold(.hour).keys.sorted().filter { $0.milliseconds / 3_600_000 % 7 == 0 }
        let windows =
            hub.firstTold(.day).keys.sorted().map { hub.window(.day, at: $0) }
            + hours.map { hub.window(.hour, at: $0) }
        return windows.filter { hub.hub.isWhole($0) }.map { hub.content($0) }
    }

    /// Offers windows as if the city held them, and compares them, once the hub had time to compute what it can.
    private func check(
        _ hub: inout MeteredHub, _ told: [RollupContent], _ context: String,
        refused: (Window) -> Bool = { _ in false }
    ) throws {
        let windows = told.map { hub.window($0.grain == .day ? .day : .hour, at: $0.start) }
        for window in windows { hub.offer(window) }
        try hub.pass(to: hub.now.wall + .minutes(5))
        for (window, content) in zip(windows, told) {
            let isWhole = hub.hub.isWhole(window)
            #expect(isWhole != refused(window), "\(window.grain) \(window.start), \(context)")
            let isSame = !isWhole || hub.content(window) == content
            #expect(isSame, "\(window.grain) \(window.start), \(context)")
        }
    }

    private func isMended(_ hub: MeteredHub) -> Bool { hub.logged.contains { $0.contains("were computed again") } }

    @Test("Slots on a damaged page are computed again of their samples, and windows say what they said")
    func computedAgain() throws {
        var hub = try MeteredHub(try MeteredHub.configuration(), kibibytes: 4096)
        try live(&hub, days: 8)
        let told = known(hub)
        #expect(told.count > 30)
        let pages = hub.pages(.slots)
        try #require(pages.count > 6, "\(pages)")
        for page in [pages[0], pages[pages.count / 2], pages[pages.count - 1]] {
            // The header, which opening reads, and the body, which is found when it is asked.
            for byte in [60, 700] {
                var damaged = try hub.damaged([page], byte)
                let context = "page \(page), byte \(byte)"
                try check(&damaged, told, context)
                let alerts = damaged.hub.alerts().filter { $0.id.hasPrefix("slots/") }
                #expect(alerts.isEmpty, "\(context)")
                // Of the newest page the journal has all, as long as nothing else is written.
                guard page != pages.last else { continue }
                // A body in which no machine stands is asked by nobody here.
                #expect(isMended(damaged) || page != pages[0] && byte == 700, "\(context)")
                // What was computed again is kept, and that it was is known.
                try damaged.restart()
                try check(&damaged, told, "\(context), opened again")
                #expect(!isMended(damaged), "\(context)")
            }
        }
    }

    @Test("Slots whose samples are gone are not made up: their windows are refused, and that is an alarm")
    func refused() throws {
        var hub = try MeteredHub(try MeteredHub.configuration(), kibibytes: 4096)
        try live(&hub, days: 8)
        let told = known(hub)
        let page = try #require(hub.pages(.slots).first)
        // Samples of five days cannot be read, either: longer than it takes until they are no use to what follows.
        let archive = hub.pages(.archive)
        var damaged = try hub.damaged([page] + archive.prefix(archive.count * 5 / 8), 60)
        let damage = try #require(damaged.hub.store.damage(in: .slots))
        let whole = damaged.hub.store.samplesWholeFrom
        try #require(damage.upTo < whole && whole < damaged.now.wall - .hours(24), "\(damage), \(whole)")
        try check(&damaged, told, "\(damage), samples from \(whole)") { $0.start <= damage.upTo }
        #expect(damaged.hub.alerts().first { $0.id == "slots/gone" }?.severity == .error)
        #expect(!isMended(damaged))
    }

    @Test("A page of samples that turns out damaged while memory is computed changes nothing that was told")
    func samples() throws {
        var hub = try MeteredHub(try MeteredHub.configuration(), kibibytes: 4096)
        try live(&hub, days: 8)
        let told = known(hub)
        #expect(told.count > 12)
        let pages = hub.pages(.archive)
        try #require(pages.count > 6, "\(pages)")
        for page in [pages[pages.count / 3], pages[pages.count / 2]] {
            for isHasty in [true, false] {
                var damaged = try hub.damaged([page], 200, isHasty: isHasty)
                try check(&damaged, told, "page \(page), hasty \(isHasty)")
                #expect(damaged.hub.store.statistics.lost > 0, "page \(page)")
            }
        }
    }

    @Test("A slot that was written while it lasted gives way to its samples, also where others are lost")
    func early() throws {
        var hub = try MeteredHub(try MeteredHub.configuration(), kibibytes: 4096)
        try live(&hub, days: 4)
        // It is twenty to. The gateway ends at ten to, and dies after the full hour, before that quarter is written.
        let quarter = (hub.now.wall + .minutes(5)).floor(to: Slot.length)
        var energy = 2_000_000.0
        func say(until end: Instant) throws {
            while hub.now.wall < end {
                hub.say([MeterSample(time: hub.now.wall, watts: 600, wattHours: energy)])
                energy += 5
                try hub.pass(to: hub.now.wall + .seconds(30))
            }
        }
        try say(until: quarter + .minutes(5))
        hub.end()
        try hub.restart()
        try say(until: quarter + .minutes(15) + .seconds(40))
        let told = hub.hub.sum(of: 0, from: quarter, to: quarter + Slot.length)
        #expect(told[.running] == 870_000 && told.energy == 150_000, "\(told)")
        let pages = hub.pages(.archive)
        try #require(pages.count > 3, "\(pages)")
        let page = pages[pages.count / 2]
        for isHasty in [true, false] {
            var damaged = try hub.damaged([page], 200, isHasty: isHasty)
            try damaged.pass(to: damaged.now.wall + .minutes(1))
            #expect(damaged.hub.store.statistics.lost > 0, "page \(page)")
            let again = damaged.hub.sum(of: 0, from: quarter, to: quarter + Slot.length)
            #expect(again == told, "hasty \(isHasty)")
        }
    }

    @Test("Slots that were computed under another rule than that of now are not computed again")
    func anotherRule() throws {
        var hub = try MeteredHub(try MeteredHub.configuration(), kibibytes: 4096)
        try live(&hub, days: 5)
        let changed = hub.now.wall
        try hub.restart(try MeteredHub.configuration(", off_below: 1 W, stop_after: 10 min"))
        try live(&hub, days: 5, seed: 6)
        let told = known(hub)
        let page = try #require(hub.pages(.slots).first)
        var damaged = try hub.damaged([page], 60)
        let damage = try #require(damaged.hub.store.damage(in: .slots))
        try #require(damage.upTo < changed, "\(damage), changed \(changed)")
        try check(&damaged, told, "\(damage), changed \(changed)") { $0.start <= damage.upTo }
        #expect(damaged.hub.alerts().contains { $0.id == "slots/gone" })
    }
}
