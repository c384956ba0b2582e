import Model

/// What few machines tell: counts of shots, items and filament, and what their material weighs. It takes as much room as
/// all the rest of a usage, of which there are a dozen for each machine, with those from which it can be computed again.
struct Seldom: Hashable {
    var shots = CounterMeter(CounterRule(resolution: 1, perSecond: 2, settle: .seconds(20)))
    var items = CounterMeter(CounterRule(resolution: 1, perSecond: 20, settle: .seconds(20)))
    /// Micrometres. No printer moves a metre a second; behind OctoPrint a whole print may be told in one step.
    var filament = CounterMeter(CounterRule(resolution: 1000, perSecond: 1_000_000, settle: .seconds(20)))
    var material: Material

    init(_ rule: MaterialRule) { material = Material(rule) }

    /// That of every machine without a rule for material that has told nothing yet.
    static let nothing = [Seldom(MaterialRule())]

    mutating func clockWasSet() {
        shots.clockWasSet()
        items.clockWasSet()
        filament.clockWasSet()
    }
}
