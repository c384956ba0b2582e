import Model
import Usage

// A machine: its devices, and how its use is told from what they say.

extension ConfigurationReader {
    mutating func readMachine(_ fields: inout Fields) {
        let id = name(&fields, example: "laser") { $0.machineNames.contains($1) }
        let title = fields.text("name", &problems)
        let machineClass = fields.choice("class", of: MachineClass.self, &problems) ?? .other
        let members = readMembers(&fields)
        var devices: [Int] = []
        for member in members where !devices.contains(member.device) { devices.append(member.device) }
        let energy = readEnergy(&fields, devices)
        let runningBefore = fields.duration("hours_before", example: "1200 h", &problems) ?? .zero
        let source = readUsage(&fields, devices)
        let (material, scales) = readMaterial(&fields, devices)
        guard let id, let source else { return }
        machineNames.insert(id)
        for member in members { owners[member.device, default: []].append((id, member.term)) }
        configuration.machines.append(
            Configuration.Machine(
                id: id, name: title ?? id, machineClass: machineClass.rawValue, members: members, devices: devices,
                energy: energy,
                source: source.source, itemsPerShot: source.items, disagreesAbove: source.contradiction.above,
                disagreesAfter: source.contradiction.after, runningBefore: runningBefore, zones: source.zones,
                material: material, scales: scales))
    }

    /// `devices: [plug, { id: meter, from: TIME, until: TIME }]`
    private mutating func readMembers(_ fields: inout Fields) -> [Configuration.Member] {
        var members: [Configuration.Member] = []
        for item in fields.list("devices", &problems) ?? [] {
            var term = Configuration.Term.always
            let name: String
            if case .scalar(let text, _) = item.content {
                name = text
            } else if case .map = item.content, var keys = Fields(item, Fields.title(item, "device"), &problems) {
                guard let id = keys.requiredText("id", &problems, example: "laser-plug") else { continue }
                name = id
                term.from = readBorder("from", &keys) ?? term.from
                term.until = readBorder("until", &keys) ?? term.until
                if term.from >= term.until { problems.add(item.position, "'from' must be earlier than 'until'") }
                keys.finish(&problems)
            } else {
                problems.add(item.position, "'devices' of a machine is a list of device ids")
                continue
            }
            guard let index = deviceNumbers[name] else {
                guard problems.isEmpty else { continue }
                let names = configuration.devices.map(\.id)
                problems.add(
                    item.position,
                    "no device is called '\(name)'" + Suggestion.phrase(for: name, among: names)
                        + "; known: \(names.sorted().joined(separator: ", "))")
                continue
            }
            if let owner = owners[index]?.first(where: { $0.term.overlaps(term) }) {
                problems.add(
                    item.position,
                    "device '\(name)' belongs to machine '\(owner.machine)' already"
                        + (owner.term == .always && term == .always
                            ? "" : " at that time; a device has one machine at a time, say 'until' there"))
            }
            if members.contains(where: { $0.device == index && $0.term.overlaps(term) }) {
                problems.add(item.position, "device '\(name)' stands twice for the same time; keep one")
            }
            members.append(Configuration.Member(device: index, term: term))
        }
        return members
    }

    private mutating func readBorder(_ key: String, _ keys: inout Fields) -> Instant? {
        let place = keys.place(key)
        guard let text = keys.text(key, &problems) else { return nil }
        if let time = Instant(text) { return time }
        problems.add(place, "'\(text)' is no RFC 3339 time such as 2026-11-27T10:00:00+09:00")
        return nil
    }

    /// Whose counters are a machine's energy: as configured, else every device that has one.
    private mutating func readEnergy(_ fields: inout Fields, _ devices: [Int]) -> [Int] {
        let metered = devices.filter { index in
            configuration.devices[index].driver.channels.contains { $0.name == "energy" }
        }
        guard let items = fields.list("energy", &problems) else { return metered }
        return items.compactMap { item in
            guard case .scalar(let name, _) = item.content,
                let index = metered.first(where: { configuration.devices[$0].id == name })
            else {
                let names = metered.map { configuration.devices[$0].id }
                problems.add(
                    item.position,
                    "'energy' of \(fields.what) lists devices of the machine that count energy (\(names.joined(separator: ", "))), not \(item.kindInWords)"
                )
                return nil
            }
            return index
        }
    }

    /// What tells a machine's use: as configured, else the best that its devices offer.
    private mutating func readUsage(
        _ fields: inout Fields, _ devices: [Int]
    ) -> (source: UsageRule.Source, items: Int?, contradiction: Contradiction, zones: [String]?)? {
        let channels = devices.flatMap { configuration.devices[$0].driver.channels.map(\.name) }
        let offers = (
            state: channels.contains("state"), power: channels.contains("power"),
            press: channels.contains { $0.hasPrefix("setpoint.") }, occupied: channels.contains("occupied")
        )
        let place = fields.place("usage")
        var usage = fields.map("usage", &problems)
        let from =
            usage?.text("from", &problems)
            ?? (offers.state
                ? "state"
                : offers.press ? "press" : offers.power ? "power" : offers.occupied ? "occupied" : "none")
        let items = usage?.integer("items_per_shot", in: 1...10_000, &problems)
        var source: UsageRule.Source?
        var zones: [String]?
        switch from {
        case "none": source = UsageRule.Source.none
        case "state": source = .state
        case "power":
            source = .power(PowerRule(&usage, place, &problems))
        case "occupied": source = .occupied
        case "press":
            var rule = PressRule()
            if let soak = usage?.duration("soak", example: "10 min", &problems) { rule.soak = soak }
            if let shots = usage?.duration("shots_within", example: "15 min", &problems) { rule.shotsWithin = shots }
            rule.alarmsAreFaults = usage?.choice("alarms", of: AlarmUse.self, &problems) == .fault
            rule.countsShots = channels.contains("shots")
            zones = readZones(&usage, channels)
            if zones == nil { checkZones(fields, devices) }
            source = .press(rule)
        default:
            let names = ["state", "power", "press", "occupied", "none"]
            problems.add(
                place,
                "'\(from)' cannot tell use; write `from:` state, power, press, occupied or none"
                    + Suggestion.phrase(for: from, among: names))
        }
        let isOffered =
            ["state": offers.state, "power": offers.power, "press": offers.press, "occupied": offers.occupied][from]
            ?? true
        if !isOffered, problems.isEmpty {
            problems.add(place, "\(fields.what) tells its use from \(from), but none of its devices gives that")
        }
        let contradiction = Contradiction(&usage, applies: from == "state" && offers.power, &problems)
        usage?.finish(&problems)
        return source.map { ($0, items, contradiction, zones) }
    }

    /// What a controller's alarm means.
    private enum AlarmUse: String, CaseIterable { case fault, show }

    /// `zones: [1, 2]`: those of a press that are used; a controller may have more inputs than thermocouples.
    private mutating func readZones(_ usage: inout Fields?, _ channels: [String]) -> [String]? {
        guard let items = usage?.list("zones", &problems) else { return nil }
        return items.compactMap { item in
            if let number = item.number, channels.contains("temperature.zone\(Int(number))") {
                return "zone\(Int(number))"
            }
            problems.add(
                item.position,
                "'zones' lists the numbers of zones that the machine's devices give, not \(item.kindInWords)")
            return nil
        }
    }
}
