// Reading a rollup from the wire. Members that this version does not know are ignored here; whoever stores the item
// keeps its text, so nothing that a newer gateway says is lost.

package import Model

/// One version of one window, as it stands on the wire.
package struct RollupItem: Hashable, Sendable {
    package let content: RollupContent
    package let version: RollupVersion
    /// When this version was made, where the item tells.
    package let emitted: Instant?

    package init(content: RollupContent, version: RollupVersion, emitted: Instant?) {
        self.content = content
        self.version = version
        self.emitted = emitted
    }

    package var key: RollupKey { content.key }

    /// Reads `rollup` of an item. Everything that is missing or of the wrong type is added to `problems` with its
    /// path; nil where there is any.
    package init?(_ json: JSON, _ problems: inout [String]) {
        guard json.members != nil else {
            problems.append("an item's rollup must be an object")
            return nil
        }
        var reader = RollupReader()
        let grainName = reader.text(json, "grain")
        let grain = RollupGrain(rawValue: grainName)
        if grain == nil, reader.problems.isEmpty { reader.problems.append("grain must be PT1H or P1D") }
        let date = reader.text(json, "local_date")
        let localDate = Self.date(date)
        if localDate == nil { reader.problems.append("local_date must be a date such as 2026-11-23") }
        let start = reader.time(json, "start")
        let end = reader.time(json, "end")
        let length = reader.thousandths(json, "duration_s", "")
        if length != (end - start).milliseconds { reader.problems.append("duration_s must be end less start") }
        let coverage = json["coverage"] ?? .null
        let source = json["source"] ?? .null
        let content = RollupContent(
            lab: reader.text(json, "lab"), grain: grain ?? .day, start: start, end: end,
            tz: reader.text(json, "tz"), localDate: localDate ?? CivilDate(daysSince1970: 0),
            isFinal: reader.flag(json, "final"),
            coverage: RollupCoverage(
                usage: reader.share(coverage, "usage"), energy: reader.share(coverage, "energy"),
                mass: reader.share(coverage, "mass")),
            lateDropped: reader.count(json, "late_dropped", "") ?? 0,
            openSeconds: reader.count(json, "open_s", ""),
            totals: reader.totals(json["totals"] ?? .null, "totals"),
            classes: reader.classes(json), machines: reader.machines(json),
            suppressed: reader.words(json, "suppressed"),
            source: RollupSource(
                gateway: source["gateway"]?.text ?? "", software: source["software"]?.text ?? "",
                tzdata: source["tzdata"]?.text ?? ""))
        self.content = content
        version = RollupVersion(json) ?? RollupVersion(epoch: 0, revision: 0)
        if version.epoch < 1 { reader.problems.append("epoch and revision must be whole numbers from 1") }
        emitted = json["emitted"] == nil ? nil : reader.time(json, "emitted")
        guard reader.problems.isEmpty else {
            problems += reader.problems
            return nil
        }
    }

    /// The name and the version that an item claims, also where the rest of it cannot be read.
    package static func claim(_ json: JSON) -> (key: RollupKey, version: RollupVersion)? {
        guard let lab = json["lab"]?.text, let grain = json["grain"]?.text.flatMap(RollupGrain.init(rawValue:)),
            let start = json["start"]?.text.flatMap({ Instant($0) }), let version = RollupVersion(json)
        else { return nil }
        return (RollupKey(lab: lab, grain: grain, start: start), version)
    }

    private static func date(_ text: String) -> CivilDate? {
        let b = Array(text.utf8)
        guard b.count == 10, b[4] == 45, b[7] == 45, let year = Int(text.prefix(4)),
            let month = Int(text.dropFirst(5).prefix(2)), let day = Int(text.suffix(2))
        else { return nil }
        return CivilDate(year: year, month: month, day: day)
    }
}

extension RollupVersion {
    /// Counters that grow by one never get beyond this; a larger number is a fault, and adding to it might not be exact.
    private static let largest: Int64 = 1_000_000_000_000

    /// The members `epoch` and `revision` of an object; nil where they are no versions.
    package init?(_ json: JSON) {
        guard let epoch = json["epoch"]?.integer, let revision = json["revision"]?.integer,
            (1...Self.largest).contains(epoch), (1...Self.largest).contains(revision)
        else { return nil }
        self.init(epoch: epoch, revision: revision)
    }
}

/// Walks the members of an item and notes what does not fit.
private struct RollupReader {
    /// A handful is enough to see what is wrong with an item.
    static let mostProblems = 20
    /// More classes, machines or materials than this is noise.
    static let mostParts = 2000

    var problems: [String] = [] {
        didSet { if problems.count > Self.mostProblems { problems.removeLast() } }
    }

    mutating func text(_ json: JSON, _ key: String, _ path: @autoclosure () -> String = "") -> String {
        if let text = json[key]?.text, !text.isEmpty, text.utf8.count <= 200 { return text }
        problems.append("\(path())\(key) must be text of 1 to 200 bytes")
        return ""
    }

    mutating func flag(_ json: JSON, _ key: String) -> Bool {
        if let flag = json[key]?.flag { return flag }
        problems.append("\(key) must be true or false")
        return false
    }

    /// RFC 3339 in UTC with exactly three decimals: some city platforms refuse other spellings, so there is one only.
    mutating func time(_ json: JSON, _ key: String) -> Instant {
        if let text = json[key]?.text, let time = Instant(text), time.description == text { return time }
        problems.append("\(key) must be a time such as 2026-11-23T09:00:00.000Z")
        return Instant(milliseconds: 0)
    }

    /// A number with at most three decimals as a whole number of thousandths; nil for null or nothing.
    mutating func thousandths(_ json: JSON, _ key: String, _ path: @autoclosure () -> String) -> Int64? {
        guard let value = json[key], value != .null else { return nil }
        if let number = value.number, number >= 0, number <= 1e12 {
            let whole = (number * 1000).rounded()
            if whole / 1000 == number { return Int64(whole) }
        }
        problems.append("\(path())\(key) must be a number from 0 with at most 3 decimals")
        return nil
    }

    /// A whole number from 0; nil for null or nothing.
    mutating func count(_ json: JSON, _ key: String, _ path: @autoclosure () -> String) -> Int64? {
        guard let value = json[key], value != .null else { return nil }
        if let number = value.integer, number >= 0 { return number }
        problems.append("\(path())\(key) must be a whole number from 0")
        return nil
    }

    mutating func share(_ json: JSON, _ key: String) -> Double? {
        guard let value = json[key], value != .null else { return nil }
        if let number = value.number, (0...1).contains(number) { return number }
        problems.append("coverage.\(key) must be a number from 0 to 1")
        return nil
    }

    mutating func words(_ json: JSON, _ key: String) -> [String] {
        guard let value = json[key], value != .null else { return [] }
        if let items = value.items, items.count <= Self.mostParts, items.allSatisfy({ $0.text != nil }) {
            return items.compactMap(\.text)
        }
        problems.append("\(key) must be a list of texts")
        return []
    }

    mutating func classes(_ json: JSON) -> [ClassUsage] {
        parts(json, "classes")?.enumerated().map { index, part in
            let machines = count(part, "machines", "classes[\(index)].")
            if machines == nil { problems.append("classes[\(index)].machines must be a whole number from 0") }
            return ClassUsage(
                name: text(part, "class", "classes[\(index)]."), machines: Int(min(machines ?? 0, 1_000_000)),
                totals: totals(part, "classes[\(index)]"))
        } ?? []
    }

    mutating func machines(_ json: JSON) -> [MachineUsage]? {
        parts(json, "machines")?.enumerated().map { index, part in
            MachineUsage(
                id: text(part, "id", "machines[\(index)]."), className: text(part, "class", "machines[\(index)]."),
                totals: totals(part, "machines[\(index)]"))
        }
    }

    private mutating func parts(_ json: JSON, _ key: String) -> [JSON]? {
        guard let value = json[key], value != .null else { return nil }
        if let items = value.items, items.count <= Self.mostParts { return items }
        problems.append("\(key) must be a list of at most \(Self.mostParts)")
        return nil
    }

    mutating func totals(_ json: JSON, _ name: @autoclosure () -> String) -> UsageTotals {
        guard json.members != nil else {
            problems.append("\(name()) must be an object")
            return UsageTotals()
        }
        var totals = UsageTotals()
        if let states = named(json["states_s"], MachineState.allCases, name() + ".states_s", isTime: true) {
            totals.states = states
        } else {
            problems.append("\(name()).states_s must be an object")
        }
        totals.jobs = named(json["jobs"], JobOutcome.allCases, name() + ".jobs", isTime: false)
        totals.energyMilliwattHours = thousandths(json, "energy_wh", name() + ".")
        totals.idleEnergyMilliwattHours = thousandths(json, "idle_energy_wh", name() + ".")
        if let method = json["energy_method"], method != .null {
            totals.energyMethod = text(json, "energy_method", name() + ".")
        }
        totals.energyCorrections = count(json, "energy_corrections", name() + ".") ?? 0
        totals.massIn = masses(json, "mass_in_g", name() + ".")
        totals.massProduct = masses(json, "mass_product_g", name() + ".")
        totals.massScrap = masses(json, "mass_scrap_g", name() + ".")
        totals.items = count(json, "items", name() + ".")
        totals.scrap = count(json, "scrap", name() + ".")
        totals.shots = count(json, "shots", name() + ".")
        totals.filamentMicrometres = thousandths(json, "filament_mm", name() + ".")
        return totals
    }

    /// The numbers of an object whose members are exactly the given names; nil for null or nothing.
    private mutating func named<Name: RawRepresentable>(
        _ json: JSON?, _ names: [Name], _ path: @autoclosure () -> String, isTime: Bool
    ) -> [Int64]? where Name.RawValue == String {
        guard let json, json != .null else { return nil }
        guard let members = json.members else {
            problems.append("\(path()) must be an object")
            return nil
        }
        let words = names.map(\.rawValue)
        var isMissing = false
        let values = words.map { word in
            let value = isTime ? thousandths(json, word, path() + ".") : count(json, word, path() + ".")
            if value == nil { problems.append("\(path()).\(word) is missing") }
            isMissing = isMissing || value == nil
            return value ?? 0
        }
        // As many members as names, each of which is there: then there is no other.
        if isMissing || members.count != words.count {
            for member in members where !words.contains(member.key) {
                problems.append("\(path()) has a name that is not known: \(member.key.prefix(40))")
            }
        }
        return values
    }

    private mutating func masses(_ json: JSON, _ key: String, _ path: @autoclosure () -> String) -> [String: Int64] {
        guard let value = json[key], value != .null else { return [:] }
        guard let members = value.members, members.count <= Self.mostParts else {
            problems.append("\(path())\(key) must be an object of grams by material")
            return [:]
        }
        var grams: [String: Int64] = [:]
        for member in members {
            if let mass = thousandths(value, member.key, "\(path())\(key).") { grams[member.key] = mass }
        }
        return grams
    }
}
