import CityLink
import Model
import Testing

@Suite struct PrivacyTests {
    private let rule = PrivacyRule(threshold: 5, dominance: 80)

    /// A window of machines by class: how often each was used and for how many minutes.
    private func window(
        _ grain: RollupGrain, _ machines: [(name: String, uses: Int64, minutes: Int64)]
    ) -> (RollupContent, [MachineUses]) {
        let start = Instant("2026-11-22T15:00:00Z") ?? .distantPast
        let length: Duration = grain == .day ? .hours(24) : .hours(1)
        var classes: [ClassUsage] = []
        var rows: [CityLink.MachineUsage] = []
        var all = UsageTotals()
        for (index, machine) in machines.enumerated() {
            var totals = UsageTotals(energyMilliwattHours: machine.uses * 1000)
            totals[.running] = machine.minutes * 60_000
            totals[.idle] = length.milliseconds - machine.minutes * 60_000
            all = all + totals
            rows.append(CityLink.MachineUsage(id: "m\(index)", className: machine.name, totals: totals))
            if let place = classes.firstIndex(where: { $0.name == machine.name }) {
                classes[place].machines += 1
                classes[place].totals = classes[place].totals + totals
            } else {
                classes.append(ClassUsage(name: machine.name, machines: 1, totals: totals))
            }
        }
        let content = RollupContent(
            lab: "urn:fablabs:io:lab:test", grain: grain, start: start, end: start + length, tz: "Asia/Seoul",
            localDate: CivilDate(daysSince1970: 20_000), coverage: RollupCoverage(usage: 1, energy: 1), totals: all,
            classes: classes.sorted { $0.name < $1.name }, machines: rows,
            source: RollupSource(gateway: "g", software: "s", tzdata: "t"))
        return (
            content,
            machines.map { MachineUses(className: $0.name, uses: $0.uses, busy: $0.minutes * 60_000) }
        )
    }

    @Test func manyUsesAndNoUseAreTold() {
        for grain in RollupGrain.allCases {
            let (busy, uses) = window(grain, [("laser", 7, 30), ("sewing", 9, 20)])
            #expect(busy.withheld(by: rule, uses: uses) == busy)
            let (quiet, none) = window(grain, [("laser", 0, 0), ("sewing", 0, 0)])
            #expect(quiet.withheld(by: rule, uses: none) == quiet)
        }
    }

    @Test func anHourOfFewUsesIsNotTold() {
        let (content, uses) = window(.hour, [("laser", 2, 30), ("sewing", 1, 20)])
        let told = content.withheld(by: rule, uses: uses)
        #expect(told.suppressed == ["classes", "machines", "totals"])
        #expect(told.totals[.unknown] == 2 * 3_600_000)
        #expect(told.totals.energyMilliwattHours == nil)
        #expect(told.classes.isEmpty)
        #expect(told.machines == nil)
        #expect(told.check() == [])
    }

    @Test func aDayOfFewUsesTellsTheLabAlone() {
        let (content, uses) = window(.day, [("laser", 2, 30), ("sewing", 1, 20)])
        let told = content.withheld(by: rule, uses: uses)
        #expect(told.suppressed == ["classes", "machines"])
        #expect(told.totals == content.totals)
        #expect(told.check() == [])
        // What the hours of the day keep to themselves, the day must not tell either.
        #expect(content.withheld(by: rule, uses: uses, hidden: 3).suppressed == ["classes", "machines", "totals"])
    }

    /// One folded class alone would be the lab's totals less the others.
    @Test func aSmallClassIsFoldedTogetherWithAnother() {
        let (content, uses) = window(.day, [("laser", 20, 300), ("sewing", 2, 20), ("woodwork", 9, 60)])
        let told = content.withheld(by: rule, uses: uses)
        #expect(told.suppressed == ["class/sewing", "class/woodwork", "machines"])
        #expect(told.classes.map(\.name) == ["laser", "other"])
        #expect(told.classes.last?.machines == 2)
        #expect(told.check() == [])
    }

    @Test func oneMachineThatIsNearlyItsClassIsFolded() {
        let (content, uses) = window(
            .day,
            [("laser", 20, 300), ("laser", 8, 200), ("cnc_milling", 3, 600), ("cnc_milling", 30, 60), ("sewing", 9, 9)])
        let told = content.withheld(by: rule, uses: uses)
        #expect(told.suppressed.contains("class/cnc_milling"))
        #expect(told.check() == [])
    }

    @Test func whatWasSuppressedOnceStaysSo() {
        let (content, uses) = window(.day, [("laser", 20, 300), ("sewing", 9, 20), ("woodwork", 9, 60)])
        #expect(content.withheld(by: rule, uses: uses).suppressed == [])
        let told = content.withheld(by: rule, uses: uses, already: ["class/sewing", "machines"])
        #expect(told.suppressed.contains("class/sewing"))
        #expect(told.machines == nil)
        #expect(!told.classes.contains { $0.name == "sewing" })
        #expect(content.withheld(by: rule, uses: uses, already: ["totals"]).totals.energyMilliwattHours == nil)
    }

    /// Whatever the numbers: what is told is a good rollup, shows no class or machine of few uses, and is told again alike.
    @Test(arguments: 0..<300) func nothingSmallIsShown(seed: UInt64) {
        var random = SeededRandom(seed)
        let names = ["laser", "sewing", "woodwork", "cnc_milling", "other"]
        let machines = (0..<Int.random(in: 1...9, using: &random)).map { _ in
            let uses = Int64.random(in: 0...9, using: &random)
            return (
                name: names.randomElement(using: &random) ?? "other", uses: uses,
                minutes: uses == 0 ? 0 : Int64.random(in: 1...50, using: &random)
            )
        }
        let grain = RollupGrain.allCases.randomElement(using: &random) ?? .day
        let (content, uses) = window(grain, machines)
        let told = content.withheld(by: rule, uses: uses)
        #expect(told.check() == [], "seed \(seed)")
        for part in told.classes {
            let folded = told.suppressed.contains { $0.hasPrefix("class/") }
            let hidden = Set(told.suppressed.compactMap { $0.hasPrefix("class/") ? String($0.dropFirst(6)) : nil })
            let count = uses.filter {
                $0.className == part.name || part.name == "other" && folded && hidden.contains($0.className)
            }.reduce(0) { $0 + $1.uses }
            #expect(count == 0 || count >= 5, "seed \(seed) \(part.name)")
        }
        if told.machines != nil { #expect(uses.allSatisfy { $0.uses == 0 || $0.uses >= 5 }, "seed \(seed)") }
        #expect(content.withheld(by: rule, uses: uses, already: told.suppressed) == told, "seed \(seed)")
    }
}
