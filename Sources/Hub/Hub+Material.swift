package import Model
import Store
import Usage

// Moulds, scales and scrap: what they mean to machines, and who may choose a mould.
//
// A choice is stored as a series of its own, `machine:ID/mould`, whoever made it. Only that series is replayed after a
// restart; the button or the message behind a choice is not looked at again.

/// Why a mould cannot be chosen.
package enum MouldRefusal: Error, Hashable, Sendable {
    case noMachine
    /// The machine has no such mould; those that it has.
    case noMould([String])
}

extension Hub {
    /// A choice is written again this often, so that it is found near any restart.
    static let mouldNoteEvery = Duration.hours(6)

    // MARK: roles

    static func scaleRole(of channel: String, device: Int, in machine: Configuration.Machine) -> Role? {
        for scale in machine.scales where scale.device == device {
            switch channel {
            case scale.channel: return .scale(scale.role)
            case "stable" where scale.channel == "mass": return .scaleRest(scale.role)
            case "net" where scale.channel == "mass": return .scaleNet(scale.role)
            default: break
            }
        }
        return nil
    }

    static func zoneRole(of channel: String, in machine: Configuration.Machine) -> Role {
        func zone(_ prefix: String) -> String? {
            guard channel.hasPrefix(prefix) else { return nil }
            let name = "zone" + channel.dropFirst(prefix.utf8.count)
            return machine.zones?.contains(name) ?? true ? name : nil
        }
        if let name = zone("temperature.zone") { return .zoneTemperature(name) }
        if let name = zone("setpoint.zone") { return .zoneSetpoint(name) }
        // The TM series numbers its alarms by input.
        if let name = zone("alarm.zone") ?? zone("alarm.al") { return .zoneAlarm(name) }
        return .none
    }

    // MARK: choosing a mould

    /// Buttons and messages that choose a mould: `mould2` is the second of the machine's list, `next` the next one.
    mutating func obey(_ value: Value, channel: Int, device index: Int, at now: Now) {
        guard let machine = devices[index].machine, case .event(let word) = value else { return }
        let moulds = machines[machine].configuration.material.moulds
        switch devices[index].roles[channel] {
        case .mould: set(word, machine, by: devices[index].configuration.id, at: now.wall)
        case .button where word == "next" && !moulds.isEmpty:
            let current = machines[machine].usage.mould.flatMap { mould in moulds.firstIndex { $0.name == mould.name } }
            let next = current.map { ($0 + 1) % moulds.count } ?? 0
            set(moulds[next].name, machine, by: devices[index].configuration.id, at: now.wall)
        case .button where word.hasPrefix("mould"):
            guard let number = Int(word.dropFirst(5)), moulds.indices.contains(number - 1) else { return }
            set(moulds[number - 1].name, machine, by: devices[index].configuration.id, at: now.wall)
        default: break
        }
    }

    /// A name that is none of the machine's moulds is not stored: it could be anything.
    func misnamed(_ value: Value, of index: Int) -> Fault? {
        guard case .event(let word) = value, let machine = devices[index].machine else { return nil }
        let moulds = machines[machine].configuration.material.moulds
        if moulds.contains(where: { $0.name == word }) { return nil }
        let known = moulds.map(\.name).joined(separator: ", ")
        return Fault(
            .unknownValue, "a name that is no mould of \(machines[machine].configuration.id); it has: \(known)")
    }

    /// A person says which mould is in a machine now.
    package mutating func choose(mould name: String, machine id: String, at now: Now) throws(MouldRefusal) {
        guard let machine = machines.firstIndex(where: { $0.configuration.id == id }) else { throw .noMachine }
        let moulds = machines[machine].configuration.material.moulds
        guard moulds.contains(where: { $0.name == name }) else { throw .noMould(moulds.map(\.name)) }
        look(at: now)
        set(name, machine, by: "a person", at: now.wall)
    }

    private mutating func set(_ name: String, _ machine: Int, by whom: String, at time: Instant) {
        guard machines[machine].usage.mould?.name != name || machines[machine].usage.mouldChosen == nil else { return }
        note(name, machine, at: time)
        machines[machine].usage.observe(mould: name, at: time)
        touch(machine)
        alertsMayDiffer = true
        let id = machines[machine].configuration.id
        act(.log(.notice, "machine \(id): mould \(name) (\(whom))"))
        act(
            .event(
                "mould",
                .object([
                    .init("t", .string(time.description)), .init("machine", .string(id)), .init("mould", .string(name)),
                ])))
    }

    private mutating func note(_ name: String, _ machine: Int, at time: Instant) {
        guard let series = machines[machine].mouldSeries else { return }
        put(series, time, .text(name))
        tally.stored += 1
    }

    /// Writes choices again that were made long ago.
    mutating func noteMoulds(at time: Instant) {
        for index in machines.indices {
            guard machines[index].usage.mouldChosen != nil, let mould = machines[index].usage.mould else { continue }
            note(mould.name, index, at: time)
        }
    }

    // MARK: memory

    mutating func recallMould(of machine: Int, before start: Instant) {
        if let last = lastMould(of: machine, before: start) { recallMould(last, machine) }
    }

    /// What was chosen before the samples begin that are replayed.
    func lastMould(of machine: Int, before start: Instant) -> Sample? {
        guard let series = machines[machine].mouldSeries else { return nil }
        // Whoever was off for long finds the last choice before the end of what was written then.
        let from = min(start, store.newest ?? start) - Self.mouldNoteEvery * 2
        var last: Sample?
        store.scan(series, from: from, to: start) { sample in
            last = sample
            return true
        }
        return last
    }

    mutating func recallMould(_ sample: Sample, _ machine: Int) {
        guard case .text(let name) = sample.value else { return }
        machines[machine].usage.observe(mould: name, at: sample.time)
    }
}

extension Role {
    /// Gives a value that tells material, or a zone's alarm, to a machine's usage.
    func applyMaterial(_ value: Value, to usage: inout MachineUsage, at time: Instant) {
        switch (self, value) {
        case (.scrap, .number(let raw)): usage.observe(scrap: Int64(raw.rounded()), at: time)
        case (.button, .event("reject")): usage.observeReject(at: time)
        case (.zoneAlarm(let zone), .number(let isOn)): usage.observe(alarm: isOn != 0, zone: zone, at: time)
        case (.scale(let role), .number(let grams)):
            usage.observe(weight: Int64((grams * 1000).rounded()), role, at: time)
        case (.scale(let role), .unknown): usage.observe(weight: nil, role, at: time)
        case (.scaleRest(let role), .number(let isAtRest)): usage.observe(rest: isAtRest != 0, role, at: time)
        case (.scaleNet(let role), .number(let isNet)): usage.observe(net: isNet != 0, role, at: time)
        default: break
        }
    }
}

/// What a device's coming and going means to its machine: whether it is there at all, and what it alone tells.
struct Presence: Hashable {
    /// Its place among those whose silence makes the machine offline.
    var teller: Int?
    var zones: [String] = []
    var countsShots = false
    var scales: [MassRole] = []

    init(teller: Int?, _ roles: [Role]) {
        self.teller = teller
        for role in roles {
            switch role {
            case .zoneTemperature(let zone): zones.append(zone)
            case .shots: countsShots = true
            case .scale(let role): scales.append(role)
            default: break
            }
        }
    }

    /// Nothing about the machine follows from it.
    var isIdle: Bool { teller == nil && zones.isEmpty && !countsShots && scales.isEmpty }

    func apply(_ isOnline: Bool, to usage: inout MachineUsage, at time: Instant) {
        if !isOnline {
            for role in scales { usage.observe(weight: nil, role, at: time) }
            usage.observe(silenceOf: zones, shots: countsShots, at: time)
        }
        if let teller { usage.observe(online: isOnline, teller: teller, at: time) }
    }
}
