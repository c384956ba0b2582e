import Model

/// A value that never changes, in one place for all that hold it: a lab may have a thousand machines that are alike.
final class Shared<Value: Hashable & Sendable>: Hashable, Sendable {
    let value: Value

    init(_ value: Value) { self.value = value }

    static func == (a: Shared, b: Shared) -> Bool { a === b || a.value == b.value }

    func hash(into hasher: inout Hasher) { hasher.combine(value) }
}

/// A rule, and what a machine that goes by it begins with, in one place for all such machines.
package final class CommonRule: Hashable, Sendable {
    package let rule: UsageRule
    let meters: [CounterMeter]
    let seldom: [Seldom]
    let sense: PowerSense
    let press: [PressSensors]

    package init(_ rule: UsageRule) {
        self.rule = rule
        meters = rule.energy.map(CounterMeter.init)
        seldom = rule.material == MaterialRule() ? Seldom.nothing : [Seldom(rule.material)]
        if case .press(let rule) = rule.source { press = [PressSensors(rule)] } else { press = [] }
        if case .power(let levels) = rule.source {
            sense = PowerSense(levels)
        } else {
            sense = PowerSense(PowerRule(idleBelow: 0, runningAbove: 1, dwell: .zero))
        }
    }

    package static func == (a: CommonRule, b: CommonRule) -> Bool { a === b || a.rule == b.rule }

    package func hash(into hasher: inout Hasher) { hasher.combine(rule) }
}
