// What a city is not told, because it would show what one person did. Everything happens here, before the outbox.
//
//     uses in the window      told
//     0                       everything: nobody was there
//     1 … threshold-1, hour   that the hour was, and nothing of it            totals
//     1 … threshold-1, day    the lab's totals; no class and no machine       classes, machines
//     threshold or more       the lab's totals; classes with too few uses are folded into `other`, together with so
//                             many more that `other` is no such class itself  class/NAME
//                             machines only if none of them has too few uses  machines
//
// A class is folded, too, where one machine with too few uses has nearly all of its time. The words on the right stand
// in `suppressed`, and what was suppressed once stays so in every later revision: the difference would tell it.

import Model

/// When a window shows too little of too few.
package struct PrivacyRule: Hashable, Sendable {
    /// Fewer uses than this, and more than none, are not told; 1 tells everything.
    package var threshold: Int64
    /// A share of a class's time in per cent, beyond which one machine is that class.
    package var dominance: Int64

    package init(threshold: Int64 = 5, dominance: Int64 = 80) {
        self.threshold = threshold
        self.dominance = dominance
    }

    func isSmall(_ uses: Int64) -> Bool { uses > 0 && uses < threshold }
}

/// How much one machine was used in a window.
package struct MachineUses: Hashable, Sendable {
    package var className: String
    /// Uses that began or went on in it.
    package var uses: Int64
    /// Milliseconds.
    package var busy: Int64

    package init(className: String, uses: Int64, busy: Int64) {
        self.className = className
        self.uses = uses
        self.busy = busy
    }
}

extension RollupContent {
    /// This content as it may be told.
    /// - Parameters:
    ///   - already: what an earlier revision of the same window had suppressed.
    ///   - hidden: uses in the hours of this day that were not told; the day must not tell them by what is left.
    package func withheld(
        by rule: PrivacyRule, uses: [MachineUses], already: [String] = [], hidden: Int64 = 0
    ) -> RollupContent {
        var words = Set(already)
        let total = uses.reduce(0) { $0 + $1.uses }
        if grain == .hour && rule.isSmall(total) || grain == .day && rule.isSmall(hidden) { words.insert("totals") }
        if grain == .day, rule.isSmall(total) { words.formUnion(["classes", "machines"]) }
        if words.contains("totals") { words.formUnion(["classes", "machines"]) }
        if !words.contains("classes") { words.formUnion(folding(rule, uses, words)) }
        if uses.contains(where: { rule.isSmall($0.uses) }) || words.contains(where: { $0.hasPrefix("class/") }) {
            words.insert("machines")
        }
        // What nobody would have been told is not suppressed.
        if machines == nil, !already.contains("machines") { words.remove("machines") }

        var told = self
        told.suppressed = words.sorted()
        if words.contains("machines") { told.machines = nil }
        if words.contains("classes") { told.classes = [] } else { told.fold(words) }
        if words.contains("totals") { told.hideTotals() }
        return told
    }

    /// The classes that are told as `other`, as words; `classes` where none is left.
    private func folding(_ rule: PrivacyRule, _ uses: [MachineUses], _ already: Set<String>) -> Set<String> {
        var counts: [String: Int64] = [:]
        for part in uses { counts[part.className, default: 0] += part.uses }
        var folded = Set(classes.map(\.name).filter { already.contains("class/\($0)") })
        for part in classes where rule.isSmall(counts[part.name] ?? 0) || isDominated(part.name, rule, uses) {
            folded.insert(part.name)
        }
        guard !folded.isEmpty else { return [] }
        folded.insert("other")
        func sum() -> Int64 { folded.reduce(0) { $0 + (counts[$1] ?? 0) } }
        // Alone under another name it would be as plain as before.
        let others = classes.map(\.name).filter { !folded.contains($0) }.sorted {
            (counts[$0] ?? 0, $0) < (counts[$1] ?? 0, $1)
        }
        for name in others where sum() < rule.threshold || classes.count(where: { folded.contains($0.name) }) < 2 {
            folded.insert(name)
        }
        let isAll = classes.allSatisfy { folded.contains($0.name) }
        return isAll ? ["classes"] : Set(folded.filter { $0 != "other" }.map { "class/\($0)" })
    }

    private func isDominated(_ name: String, _ rule: PrivacyRule, _ uses: [MachineUses]) -> Bool {
        let own = uses.filter { $0.className == name }
        let busy = own.reduce(0) { $0 + $1.busy }
        guard own.count > 1, busy > 0 else { return false }
        return own.contains { rule.isSmall($0.uses) && $0.busy * 100 > busy * rule.dominance }
    }

    private mutating func fold(_ words: Set<String>) {
        let folded = classes.filter { words.contains("class/\($0.name)") || $0.name == "other" }
        guard words.contains(where: { $0.hasPrefix("class/") }), !folded.isEmpty else { return }
        var other = ClassUsage(name: "other", machines: 0, totals: UsageTotals())
        for part in folded {
            other.machines += part.machines
            other.totals = other.totals + part.totals
        }
        classes = (classes.filter { part in !folded.contains(part) } + [other]).sorted { $0.name < $1.name }
    }

    /// Nothing of the window is told but that it was.
    private mutating func hideTotals() {
        var hidden = UsageTotals()
        hidden[.unknown] = totals.observed
        totals = hidden
        coverage = RollupCoverage()
        lateDropped = 0
    }
}
