import Model
import Usage

// Moulds, and what tells the material of a machine:
//
//     moulds:   { pot-9cm: { item: pot, polymer: pp, shot_g: 62.5, items: 1 } }
//     machines: [{ id: press, …, moulds: [pot-9cm, coaster], mould: pot-9cm,
//                  mass: { product: press-scale, in: press-board/mass.in, step: 2 g, limit: 10 %, polymer: pp } }]

extension ConfigurationReader {
    /// The table of moulds; in several files its parts are joined.
    mutating func readMoulds(_ files: inout [Fields]) {
        for index in files.indices {
            guard var table = files[index].map("moulds", &problems) else { continue }
            for name in table.keys {
                guard let value = table.value(name) else { continue }
                guard var fields = Fields(value, "mould \(name)", &problems) else { continue }
                readMould(name, &fields)
                fields.finish(&problems)
            }
            table.finish(&problems)
        }
    }

    private mutating func readMould(_ name: String, _ fields: inout Fields) {
        let item = fields.text("item", &problems) ?? name
        let polymer = fields.choice("polymer", of: Polymer.self, &problems)
        let place = fields.place("shot_g")
        let grams = fields.number("shot_g", &problems)
        let items = fields.integer("items", in: 1...1000, &problems) ?? 1
        guard Self.isMouldName(name) else {
            return problems.add(
                fields.position,
                "'\(name)' cannot be a mould; use up to 32 of a-z, 0-9, - and _, as it is written on labels and sent by buttons"
            )
        }
        guard !configuration.moulds.contains(where: { $0.name == name }) else {
            return problems.add(fields.position, "mould '\(name)' stands in another file already; keep one")
        }
        if fields.value("polymer") == nil {
            problems.add(
                fields.position,
                "mould \(name) needs 'polymer', one of \(Polymer.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        guard let grams else {
            return problems.add(
                fields.position,
                "mould \(name) needs 'shot_g', the grams of one shot with its sprue, such as `shot_g: 62.5`")
        }
        guard (0.1...100_000).contains(grams) else {
            return problems.add(place, "'shot_g' of mould \(name) are the grams of one shot, from 0.1 to 100000")
        }
        configuration.moulds.append(
            Mould(
                name: name, item: item, polymer: polymer ?? .other, shot: Int64((grams * 1000).rounded()),
                items: Int64(items)))
    }

    /// Names that fit on a button's line and into a topic.
    static func isMouldName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 32
            && name.utf8.allSatisfy {
                (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95
            }
    }

    /// What tells the material of a machine, and which channels are its scales.
    mutating func readMaterial(
        _ fields: inout Fields, _ devices: [Int]
    ) -> (rule: MaterialRule, scales: [Configuration.Scale]) {
        var rule = MaterialRule()
        let channels = devices.flatMap { configuration.devices[$0].driver.channels.map(\.name) }
        rule.countsShots = channels.contains("shots")
        rule.moulds = readFittingMoulds(&fields, countsShots: rule.countsShots)
        rule.standard = readStandard(&fields, rule.moulds)
        guard var mass = fields.map("mass", &problems) else { return (rule, []) }
        var scales: [Configuration.Scale] = []
        for role in MassRole.allCases {
            let place = mass.place(role.rawValue)
            guard let name = mass.text(role.rawValue, &problems) else { continue }
            guard let scale = scale(name, role, devices) else {
                problems.add(
                    place,
                    "'\(role.rawValue)' of \(mass.what) is a device of this machine that weighs, such as `press-scale` or `press-board/mass.\(role.rawValue)`; '\(name)' is none"
                )
                continue
            }
            if scales.contains(where: { $0.device == scale.device && $0.channel == scale.channel }) {
                problems.add(place, "'\(name)' weighs one thing only; it stands twice in \(mass.what)")
            }
            scales.append(scale)
        }
        rule.weighed = scales.map(\.role)
        if let step = mass.quantity("step", ["g": 1, "kg": 1000, "mg": 0.001], example: "2 g", &problems) {
            rule.step = Int64((step * 1000).rounded())
            if step <= 0 { problems.add(mass.place("step"), "'step' must be more than nothing") }
        }
        if let limit = mass.quantity("limit", ["%": 0.01], example: "10 %", &problems) {
            rule.limit = limit
            if !(0...1).contains(limit) { problems.add(mass.place("limit"), "'limit' lies between 0 % and 100 %") }
        }
        rule.polymer = mass.choice("polymer", of: Polymer.self, &problems) ?? .other
        mass.finish(&problems)
        return (rule, scales)
    }

    /// Those that a machine lists, or all of the table.
    private mutating func readFittingMoulds(_ fields: inout Fields, countsShots: Bool) -> [Mould] {
        let table = configuration.moulds
        guard let items = fields.list("moulds", &problems) else { return countsShots ? table : [] }
        var moulds: [Mould] = []
        for item in items {
            guard case .scalar(let name, _) = item.content, let mould = table.first(where: { $0.name == name }) else {
                var word = ""
                if case .scalar(let name, _) = item.content { word = name }
                problems.add(
                    item.position,
                    "'moulds' of \(fields.what) lists names of the table 'moulds:' (\(table.map(\.name).joined(separator: ", "))), not \(item.kindInWords)"
                        + Suggestion.phrase(for: word, among: table.map(\.name)))
                continue
            }
            moulds.append(mould)
        }
        if !countsShots {
            problems.add(
                fields.place("moulds"), "\(fields.what) has moulds, but none of its devices counts shots")
        }
        return moulds
    }

    private mutating func readStandard(_ fields: inout Fields, _ moulds: [Mould]) -> Int? {
        let place = fields.place("mould")
        guard let name = fields.text("mould", &problems) else { return moulds.count == 1 ? 0 : nil }
        if let index = moulds.firstIndex(where: { $0.name == name }) { return index }
        problems.add(
            place,
            "'mould' of \(fields.what) is the one in it until somebody chooses; '\(name)' is none of its moulds"
                + Suggestion.phrase(for: name, among: moulds.map(\.name)))
        return nil
    }

    /// `DEVICE` or `DEVICE/CHANNEL`; without a channel `mass`, or `mass.product` and so on.
    private func scale(_ text: String, _ role: MassRole, _ devices: [Int]) -> Configuration.Scale? {
        let parts = text.split(separator: "/", maxSplits: 1).map(String.init)
        guard let index = devices.first(where: { configuration.devices[$0].id == parts.first }) else { return nil }
        let channels = configuration.devices[index].driver.channels
        let names = parts.count > 1 ? [parts[1]] : ["mass", "mass.\(role.rawValue)"]
        for name in names {
            if let channel = channels.first(where: { $0.name == name }), channel.unit == .gram {
                return Configuration.Scale(device: index, channel: name, role: role)
            }
        }
        return nil
    }

    /// Two controllers that both call their zone the first would be taken for one.
    mutating func checkZones(_ fields: Fields, _ devices: [Int]) {
        var owners: [String: Int] = [:]
        // A board's profile lists zones that it may have; a controller has those that it lists.
        for index in devices where configuration.devices[index].info.link == .bus {
            for channel in configuration.devices[index].driver.channels where channel.name.hasPrefix("temperature.zone")
            {
                guard let owner = owners.updateValue(index, forKey: channel.name), owner != index else { continue }
                let (first, second) = (configuration.devices[owner].id, configuration.devices[index].id)
                let zone = channel.name.dropFirst(12)
                problems.add(
                    fields.position,
                    "\(fields.what): \(first) and \(second) both give \(zone); number the zones of one of them on with `zone: 2` in 'devices'"
                )
                return
            }
        }
    }
}
