package import CityLink
package import Model
package import Usage

// A closed window becomes the content of a rollup: a function of its slots and the configuration, nothing else.

extension Hub {
    /// What a window says, computed from its slots.
    /// - Parameter now: what the window is to be told at; a content without it is never final.
    package func content(
        of window: Window, source: RollupSource, showsMachines: Bool, at now: Instant? = nil
    ) -> RollupContent {
        let lab = configuration.lab
        let parts = machines.indices.map { share(of: $0, in: window) }
        var classes: [ClassUsage] = []
        for part in parts {
            if let index = classes.firstIndex(where: { $0.name == part.usage.className }) {
                classes[index].machines += 1
                classes[index].totals = classes[index].totals + part.usage.totals
            } else {
                classes.append(ClassUsage(name: part.usage.className, machines: 1, totals: part.usage.totals))
            }
        }
        let metered = parts.filter { $0.expected > 0 }
        let length = window.length.milliseconds
        let known = parts.reduce(0) { sum, part in
            sum + length - part.usage.totals[.unknown] - part.usage.totals[.offline]
        }
        return RollupContent(
            lab: lab.id, grain: RollupGrain(window.grain), start: window.start, end: window.end, tz: lab.zone.name,
            localDate: window.date, isFinal: now.map { windows.isFinal(window, at: $0) } ?? false,
            coverage: RollupCoverage(
                usage: Self.share(known, of: length * Int64(parts.count)),
                energy: Self.share(metered.reduce(0) { $0 + $1.covered }, of: metered.reduce(0) { $0 + $1.expected }),
                mass: Self.share(
                    parts.reduce(0) { $0 + $1.massCovered }, of: parts.reduce(0) { $0 + $1.massExpected })),
            lateDropped: parts.reduce(0) { $0 + $1.late },
            openSeconds: lab.open.isEmpty
                ? nil : lab.open.open(from: window.start, to: window.end, in: lab.zone).milliseconds / 1000,
            totals: parts.reduce(UsageTotals()) { $0 + $1.usage.totals },
            classes: classes.sorted { $0.name < $1.name },
            machines: showsMachines ? parts.map(\.usage) : nil, source: source)
    }

    /// How much each machine was used in a window.
    func uses(of window: Window) -> [MachineUses] {
        machines.indices.map { index in
            let sum = sum(of: index, from: window.start, to: window.end)
            let busy = MachineState.allCases.reduce(Int64(0)) { $1.isBusy ? $0 + sum[$1] : $0 }
            // A use that began before goes on in it.
            return MachineUses(
                className: machines[index].configuration.machineClass, uses: busy > 0 ? max(1, sum.runs) : sum.runs,
                busy: busy)
        }
    }

    /// What a city is told of a window: its content without what would show what one person did.
    /// - Parameter already: what an earlier revision of this window kept to itself.
    package func told(
        _ window: Window, to city: Configuration.City, source: RollupSource, already: [String] = [], at now: Instant
    ) -> RollupContent {
        let content = content(of: window, source: source, showsMachines: city.showsMachines, at: now)
        var hidden: Int64 = 0
        if window.grain == .day, city.grains.contains(.hour), city.privacy.threshold > 1 {
            for hour in Window.ending(after: window.start, upTo: window.end, .hour, in: configuration.lab.zone) {
                let uses = uses(of: hour).reduce(0) { $0 + $1.uses }
                if uses < city.privacy.threshold { hidden += uses }
            }
        }
        return content.withheld(by: city.privacy, uses: uses(of: window), already: already, hidden: hidden)
    }

    /// One machine's part of a window.
    private struct Part {
        let usage: CityLink.MachineUsage
        /// Milliseconds for which its energy is known, and for which it could be.
        let covered: Int64
        let expected: Int64
        /// The same for its mass.
        let massCovered: Int64
        let massExpected: Int64
        let late: Int64
    }

    private func share(of index: Int, in window: Window) -> Part {
        let machine = machines[index]
        let sum = sum(of: index, from: window.start, to: window.end)
        let length = window.length.milliseconds
        var totals = UsageTotals(states: sum.stateMilliseconds)
        // What nobody observed is unknown, and the states sum to the window.
        totals[.unknown] += max(0, length - sum.observed)
        func tells(_ channel: String) -> Bool {
            machine.configuration.devices.contains { devices[$0].channels.contains { $0.name == channel } }
        }
        if tells("job") { totals.jobs = sum.jobs }
        let expected = max(machine.configuration.metered(from: window.start, to: window.end), sum.energyCovered)
        if sum.energyCovered > 0 {
            totals.energyMilliwattHours = sum.energy
            totals.idleEnergyMilliwattHours = sum.idleEnergy
            totals.energyMethod = "register"
        }
        totals.energyCorrections = sum.corrections
        if tells("shots") { totals.shots = sum.shots }
        if countsFilament(machine) { totals.filamentMicrometres = sum.knownFilament }
        if countsItems(machine) { totals.items = sum.items }
        if countsScrap(machine) { totals.scrap = sum.scrap }
        totals.massIn = Self.byName(sum.massIn)
        totals.massProduct = Self.byName(sum.massProduct)
        totals.massScrap = Self.byName(sum.massScrap)
        let usage = CityLink.MachineUsage(
            id: machine.configuration.id, className: machine.configuration.machineClass, totals: totals)
        // Where shots and scale disagree, only what they agree on is known.
        let material = machine.configuration.material
        let massExpected = length * material.sources
        let massCovered = min(sum.massCovered, massExpected)
        return Part(
            usage: usage, covered: sum.energyCovered, expected: expected,
            massCovered: material.evidence(sum)?.known(of: massCovered) ?? massCovered, massExpected: massExpected,
            late: sum.late)
    }

    /// Polymers of which there was any, with their milligrams.
    private static func byName(_ masses: [Int64]) -> [String: Int64] {
        var named: [String: Int64] = [:]
        for polymer in Polymer.allCases where masses[polymer.index] != 0 {
            named[polymer.rawValue] = masses[polymer.index]
        }
        return named
    }

    /// A share in thousandths, so that a hair's breadth makes no new revision; nil where there is nothing to share.
    private static func share(_ part: Int64, of whole: Int64) -> Double? {
        whole == 0 ? nil : Double(min(whole, max(0, part)) * 1000 / whole) / 1000
    }
}

extension RollupGrain {
    package init(_ grain: Window.Grain) {
        switch grain {
        case .hour: self = .hour
        case .day: self = .day
        }
    }
}
