import City
package import CityLink
import Hub
import Model
import Simulation
import Usage

/// What was found to be lost, doubled or wrong.
package struct SimulationViolation: Hashable, Sendable {
    /// The day of the simulation, from 1; so many days repeat it.
    package let day: Int
    package let text: String
}

/// One machine over the whole simulation, as the city holds it and as it was.
package struct SimulationRow: Hashable, Sendable {
    package let machine: String
    /// mWh.
    package var energyHeld = 0.0
    package var energyTrue = 0.0
    /// Milliseconds in state running.
    package var busyHeld: Int64 = 0
    package var busyTrue: Int64 = 0
    /// Jobs with an outcome; nil where nothing tells about jobs.
    package var jobsHeld: Int64?
    package var jobsTrue: Int64 = 0
    /// Hours that the city lacks, and hours that it holds twice.
    package var windowsMissing = 0
    package var windowsDoubled = 0
    /// nil where nothing is made of counted material.
    package internal(set) var material: SimulationMaterial?
}

/// Follows a simulation: what the lab did, what happened to it, and whether the gateway's account stays within what
/// that explains.
package struct SimulationAudit: Sendable {
    /// What is forgiven, for `--help`.
    package static let tolerances = """
        What is forgiven, each hour and machine: energy two steps of its counter, three around a time in which the gateway
        was off, against what the values that arrived can tell, and what was drawn while the counter was in doubt (a reset, a dip, a value that came out of order, samples
        lost with the power, a clock that drifted); busy time a second for each change of state, from each change to
        the next word that arrived, all of what those words show for less than it must last, from a word that was overtaken to the next, and what passed while the gateway was off or the machine silent for too long; jobs
        those whose word came in another hour, or never; items and grams what was made an hour around the gateway's
        absence, half a gram for each box that was weighed, a hundredth of what follows from a mould, and all of what
        was made while the word about the mould was lost. Windows: none. In all, energy is never more than was drawn,
        and no item is lost or doubled.
        """

    let plan: SimulationPlan
    package internal(set) var rows: [SimulationRow]
    package private(set) var violations: [SimulationViolation] = []
    /// Beyond these, violations are only counted.
    private static let mostKept = 1000
    package private(set) var mishaps = 0
    package private(set) var revisions = 0
    /// Samples that a store said it had lost.
    package private(set) var samplesLost = 0
    var knowledge: [MachineKnowledge]
    /// What each hour of each machine was, and may look like.
    var hours: [[Hour]] = []
    /// Words about jobs that ended, by machine: when they were said and when they arrived.
    var jobWords: [[MachineKnowledge.Word]]
    /// nil for what is no press.
    var presses: [PressKnowledge?]
    /// The newest energy of each hour, and the sum of those that were compared already, by machine.
    var booked: [(hours: [Int: Int64], sum: Int64)]
    /// When its plug's count was set to zero, by machine.
    var resets: [[Instant]]
    /// When its words were held back, by machine.
    private var holds: [[(from: Instant, to: Instant)]]
    private let indices: [String: Int]
    let countsJobs: [Bool]
    /// So long after its end a job is told of: at once, or at the next question.
    let jobWait: [Duration]
    /// When the gateway's clocks ran wrong with nobody to correct them, and how far from the truth they came.
    private var drifts: [(from: Instant, to: Instant, most: Duration)] = []
    private var lastSync = SimulationPlan.start
    private var lastTally: Tally?
    /// Truth is compared so long after, when late words have come.
    static let lag = 9

    /// What one machine really did in one hour, and how far the account may be from it.
    struct Hour {
        var energy = 0.0
        /// What the words that arrived can tell of it, and how far from that an account may be.
        var expected = 0.0
        var energySlack = 0.0
        /// What is booked by its end and drawn only after it.
        var ahead = 0.0
        var busy: Int64 = 0
        var busySlack: Int64 = 0
        var jobs: Int64 = 0
        var jobsLeast: Int64 = 0
        var jobsMost: Int64 = 0
        /// Milliseconds for which the gateway was off.
        var off: Int64 = 0
        /// Of a press: what the words that arrived tell, what is open, and how often its scale was emptied about then.
        var made = MaterialSums()
        var madeOpen = MaterialSums()
        var boxes = 0
    }

    init(_ plan: SimulationPlan, _ configuration: Configuration) {
        self.plan = plan
        let machines = configuration.machines
        rows = machines.map { SimulationRow(machine: $0.id) }
        knowledge = machines.map { machine in
            let meters = machine.energy.compactMap { index in
                configuration.devices[index].driver.channels.first { $0.name == "energy" }?.resolution
            }
            let teller = machine.devices.map { configuration.devices[$0].silence }.min() ?? .hours(1)
            // Grbl's driver believes a state that two reports in a row agree on.
            let grbl = machine.devices.first { configuration.devices[$0].driverName == "grbl" }
            var afterwards = Duration.zero
            if case .press(let rule) = machine.source { afterwards = rule.shotsWithin }
            var dwell = Duration.zero
            if case .power(let rule) = machine.source { dwell = max(rule.startAfter, rule.stopAfter) }
            return MachineKnowledge(
                resolution: max(1, meters.reduce(0, +)), silence: teller, afterwards: afterwards,
                agreeWithin: grbl.flatMap { configuration.devices[$0].every }.map { $0 + .seconds(1) }, dwell: dwell)
        }
        jobWords = [[MachineKnowledge.Word]](repeating: [], count: machines.count)
        presses = machines.map { $0.material.tellsByShots ? PressKnowledge() : nil }
        for index in rows.indices where presses[index] != nil { rows[index].material = SimulationMaterial() }
        booked = machines.map { _ in ([:], 0) }
        resets = machines.map { _ in [] }
        holds = machines.map { _ in [] }
        indices = Dictionary(uniqueKeysWithValues: machines.enumerated().map { ($1.id, $0) })
        countsJobs = machines.map { machine in
            machine.devices.contains {
                ["octoprint", "bambu", "moonraker", "prusalink", "marlin"].contains(
                    configuration.devices[$0].driverName)
            }
        }
        jobWait = machines.map { machine in
            // Of a Marlin printer both the card and the heaters must tell, which are asked in turn.
            let turns: Int64 = machine.devices.contains { configuration.devices[$0].driverName == "marlin" } ? 3 : 1
            let asked = machine.devices.first { configuration.devices[$0].info.link == .http || turns > 1 }
            return asked.flatMap { configuration.devices[$0].every }.map { $0 * turns + .seconds(3) } ?? .seconds(3)
        }
    }

    // MARK: what happens

    static func hour(of time: Instant) -> Int { Int((time - SimulationPlan.start).milliseconds / 3_600_000) }

    mutating func suffered(_ mishap: Mishap) { mishaps += 1 }

    /// `chooses` says that somebody chose a mould with it.
    mutating func heard(_ listener: Audience.Listener, chooses: Bool = false, said: Instant, at time: Instant) {
        presses[listener.machine]?.heard(listener.sense, chooses: chooses, said: said, at: time)
        if listener.sense.contains(.state) { knowledge[listener.machine].heard(state: said, at: time) }
        if listener.sense.contains(.counter) { knowledge[listener.machine].heard(counter: said, at: time) }
        if listener.sense.contains(.jobEnd) {
            jobWords[listener.machine].append(MachineKnowledge.Word(said: said, arrived: time))
        }
    }

    /// Its plug's count was set back, or fell back: until enough values agree, what it says is not believed. Where its
    /// words are held back, that is after `release`.
    mutating func doubtCounter(of machine: String, at time: Instant, release: Instant?, isReset: Bool) {
        guard let index = indices[machine] else { return }
        if isReset { resets[index].append(time) }
        let span = stretched(index, time - .minutes(6), max(time, release ?? time) + .minutes(16))
        knowledge[index].doubt(from: span.from, to: span.to)
    }

    /// What is held back comes in one go: of what was in doubt meanwhile nothing tells when it was drawn.
    func stretched(_ index: Int, _ from: Instant, _ to: Instant) -> (from: Instant, to: Instant) {
        holds[index].reduce((from, to)) { span, hold in
            guard hold.from < span.1, hold.to + .minutes(16) > span.0 else { return span }
            return (min(span.0, hold.from - .minutes(6)), max(span.1, hold.to + .minutes(16)))
        }
    }

    /// What a machine says is held back until `release`; so is what would end a doubt.
    mutating func holdBack(_ machine: Int, at time: Instant, until release: Instant) {
        holds[machine].append((time, release))
        knowledge[machine].prolongDoubts(at: time, to: release + .minutes(16))
    }

    /// The process ended; what a disk had refused since `committed` is gone with it, unless a broker says it again.
    mutating func died(at time: Instant, for length: Duration, committed: Instant) {
        for index in knowledge.indices {
            if committed < time {
                knowledge[index].forget(after: committed)
                jobWords[index].removeAll { $0.arrived > committed }
                // What came over a wire comes no second time: a mould that was chosen then is never told.
                presses[index]?.forget(from: committed + .milliseconds(1))
                knowledge[index].doubt(from: committed - .minutes(11), to: time + length + .minutes(11))
            }
            // The newest sample that is found may be a minute old.
            knowledge[index].blind(from: min(time, committed) - .seconds(61), to: time + length)
        }
    }

    mutating func drifts(from: Instant, to: Instant, most: Duration) {
        drifts.append((from, to, most))
        // The time that passed wrongly comes twice, or is left out, when a time server is heard.
        for index in knowledge.indices {
            knowledge[index].doubt(from: to - most - .minutes(11), to: to + most + .minutes(11))
        }
    }

    /// How far the gateway's time was from the true one in `[from, to)` or just before.
    func drift(_ from: Instant, _ to: Instant) -> Duration {
        drifts.reduce(.zero) { $1.from < to && $1.to > from - .minutes(15) ? max($0, $1.most) : $0 }
    }

    mutating func synced(at time: Instant) { lastSync = time }

    /// What was not synced may be gone, and what was said meanwhile is; so is what waited for its time, since `undated`.
    mutating func lostPower(at time: Instant, for length: Duration, undated: Instant?) {
        let lastSync = min(lastSync, undated ?? lastSync)
        for index in knowledge.indices {
            knowledge[index].forget(after: lastSync - .milliseconds(1))
            knowledge[index].blind(from: lastSync - .seconds(61), to: time + length)
            knowledge[index].doubt(from: lastSync - .minutes(11), to: time + length + .minutes(11))
            jobWords[index].removeAll { $0.arrived >= lastSync }
            presses[index]?.forget(from: lastSync)
        }
    }

    mutating func revived(_ lost: Int) {
        samplesLost += lost
        lastTally = nil
    }

    // MARK: what must hold all the while

    /// The content of a window as the gateway computed it.
    package mutating func closed(_ content: RollupContent) {
        let length = content.duration.milliseconds
        for machine in content.machines ?? [] {
            let states = machine.totals.states.reduce(0, +)
            if states != length {
                found(content.start, "\(machine.id): its states sum to \(states) ms in a window of \(length) ms")
            }
            if machine.totals.states.contains(where: { $0 < 0 }) {
                found(content.start, "\(machine.id): a state lasts less than nothing: \(machine.totals.states)")
            }
            let energy = machine.totals.energyMilliwattHours ?? 0
            if energy < 0 { found(content.start, "\(machine.id): \(energy) mWh is less than nothing") }
            guard content.grain == .hour, let index = indices[machine.id] else { continue }
            let number = Self.hour(of: content.start)
            let old = booked[index].hours.updateValue(energy, forKey: number) ?? 0
            if number < hours.count { booked[index].sum += energy - old }
        }
        for share in [content.coverage.usage, content.coverage.energy] where share.map({ $0 < 0 || $0 > 1 }) ?? false {
            found(content.start, "\(content.key): coverage \(share ?? 0)")
        }
    }

    /// A new version of a window.
    mutating func made(_ row: OutboxRow, over old: RollupVersion?) {
        guard let old else { return }
        revisions += 1
        if row.version <= old { found(row.key.start, "\(row.key): version \(row.version) after \(old)") }
    }

    /// A row left the outbox: the city must hold it.
    mutating func removed(_ key: RollupKey, _ version: RollupVersion, book: some RollupBook) {
        let held = (try? book.held([key]))?[key]?.version
        if held.map({ $0 < version }) ?? true {
            found(
                key.start,
                "\(key): version \(version) left the outbox, and the city holds \(held?.description ?? "nothing")")
        }
    }

    /// A row that nobody took within a day.
    mutating func waits(_ row: OutboxRow) {
        found(row.key.start, "\(row.key): \(row.problem ?? "still waits in the outbox")")
    }

    /// Every window that was ever made waits or was receipted; what waits is bounded; counts only rise.
    mutating func check(outbox disk: OutboxDisk, waiting: Int, _ tally: Tally) {
        for window in disk.windows.values where !window.isReceipted && disk.rows[window.key] == nil {
            found(window.key.start, "\(window.key): neither in the outbox nor receipted")
        }
        let end = SimulationPlan.start + .hours(Int64(hours.count))
        if waiting > RollupOutbox.Limits().waitingRows { found(end, "\(waiting) windows wait") }
        let last = lastTally ?? tally
        if tally.messages < last.messages || tally.stored < last.stored || tally.unrouted > tally.messages
            || tally.noSeries > tally.readings
        {
            found(end, "the counts of what came do not add up: \(tally) after \(last)")
        }
        lastTally = tally
    }

    mutating func found(_ time: Instant, _ text: String) {
        guard violations.count < Self.mostKept else { return }
        let violation = SimulationViolation(day: max(0, Self.hour(of: time)) / 24 + 1, text: text)
        if !violations.contains(violation) { violations.append(violation) }
    }
}
