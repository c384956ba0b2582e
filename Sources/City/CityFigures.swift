// The sums behind the city's page.

import CityLink
import Model

/// Windows of many labs, added up by local day and by class of machine.
struct CityFigures {
    /// Beyond this a page is no place for sums; it says that it is not complete.
    static let mostWindows = 20_000

    /// Sums, and how many labs stand behind them.
    struct Cell {
        var labs: Set<String> = []
        var totals = UsageTotals()
        var machines: [String: Int] = [:]
        /// Known and whole milliseconds of machines, for the coverage of a sum.
        var known: Int64 = 0
        var whole: Int64 = 0

        mutating func add(_ lab: String, _ totals: UsageTotals, machines count: Int) {
            labs.insert(lab)
            self.totals = self.totals + totals
            machines[lab] = max(machines[lab] ?? 0, count)
            let all = max(0, totals.observed)
            known = known &+ (all &- totals[.unknown] &- totals[.offline])
            whole = whole &+ all
        }
    }

    private(set) var windows = 0
    private(set) var days: [CivilDate: Cell] = [:]
    private(set) var classes: [String: Cell] = [:]
    private(set) var newestEnd: Instant?
    private(set) var newestReceived: Instant?

    mutating func add(_ rollup: StoredRollup) {
        windows += 1
        var problems: [String] = []
        guard let json = JSON(rollup.text), let item = RollupItem(json, &problems) else { return }
        let content = item.content
        newestEnd = max(newestEnd ?? content.end, content.end)
        newestReceived = max(newestReceived ?? rollup.received, rollup.received)
        let machines = content.classes.reduce(0) { $0 + $1.machines }
        days[content.localDate, default: Cell()].add(content.lab, content.totals, machines: machines)
        for part in content.classes {
            classes[part.name, default: Cell()].add(content.lab, part.totals, machines: part.machines)
        }
    }
}
