package import Model
import Store
package import Usage

// What follows from slots: whether a machine earns its place, what it costs, what it wastes.

/// What a kilowatt-hour costs and emits, by the hour of the lab's day.
package struct Tariff: Hashable, Sendable {
    /// As in KRW or EUR; nil where no price is configured.
    package var currency: String?
    /// 24 prices a kWh; nil where none is configured.
    package var price: [Double]?
    /// 24 masses of CO₂ in g a kWh; nil where none is configured.
    package var carbon: [Double]?

    package init() {}
}

/// What one machine did in some time, and what follows.
package struct MachineReport: Sendable {
    package let id: String
    package let name: String
    package let machineClass: String
    /// The slots of the time together.
    package let sum: Slot
    package let length: Duration
    /// Milliseconds of use while the lab was open, and beside it; nil where no opening hours are configured.
    package let useWhileOpen: Int64?
    package let useOutside: Int64?
    /// Milliseconds for which the lab was open.
    package let open: Int64?
    package let cost: Double?
    /// g of CO₂.
    package let carbon: Double?
    package let countsItems: Bool
    package let countsJobs: Bool
    /// Since the machine is known, with what it had done before.
    package let lifetime: Int64

    /// Milliseconds in which somebody used it.
    package var busy: Int64 { MachineState.allCases.reduce(0) { $1.isBusy ? $0 + sum[$1] : $0 } }
    /// mWh; nil where nothing was metered.
    package var energy: Int64? { sum.energyCovered > 0 ? sum.energy : nil }
    /// mWh drawn and milliseconds switched on while nobody used it.
    package var wastedEnergy: Int64? { sum.energyCovered > 0 ? sum.idleEnergy : nil }
    package var wastedTime: Int64 { max(0, sum[.idle] - sum.off) }
    package var jobs: Int64 { sum.jobs.reduce(0, +) }
    package var energyPerJob: Double? { ratio(energy, jobs) }
    package var energyPerItem: Double? { countsItems ? ratio(energy, sum.items) : nil }
    /// Share of the opening hours in which it was used.
    package var utilisation: Double? {
        guard let useWhileOpen, let open, open > 0 else { return nil }
        return Double(useWhileOpen) / Double(open)
    }
    /// Milliseconds of use between two faults; nil where there was none.
    package var betweenFaults: Int64? { sum.faults > 0 ? busy / sum.faults : nil }

    private func ratio(_ part: Int64?, _ count: Int64) -> Double? {
        guard let part, count > 0 else { return nil }
        return Double(part) / Double(count)
    }

    /// As the API shows it: Wh, seconds, shares.
    package var json: JSON {
        func seconds(_ value: Int64?) -> JSON { value.map { .number(Double($0) / 1000) } ?? .null }
        func wattHours(_ value: Double?) -> JSON { .optional(value.map { ($0).rounded() / 1000 }) }
        return .object([
            "id": .string(id), "name": .string(name), "class": .string(machineClass), "use_s": seconds(busy),
            "running_s": seconds(sum[.running]), "idle_s": seconds(sum[.idle]), "off_s": seconds(sum.off),
            "unknown_s": seconds(length.milliseconds - sum.observed + sum[MachineState.unknown] + sum[.offline]),
            "energy_wh": wattHours(energy.map(Double.init)),
            "waste": .object([
                "energy_wh": wattHours(wastedEnergy.map(Double.init)), "on_but_unused_s": seconds(wastedTime),
            ]),
            "jobs": countsJobs
                ? .object(JobOutcome.allCases.map { JSON.Member($0.rawValue, .integer(sum[$0])) }) : .null,
            "uses": .integer(sum.runs), "energy_wh_per_job": wattHours(energyPerJob),
            "items": countsItems ? .integer(sum.items) : .null, "energy_wh_per_item": wattHours(energyPerItem),
            "utilisation": .optional(utilisation.map { ($0 * 1000).rounded() / 1000 }),
            "use_while_open_s": seconds(useWhileOpen), "use_outside_s": seconds(useOutside),
            "cost": .optional(cost.map { ($0 * 100).rounded() / 100 }), "co2_g": .optional(carbon?.rounded()),
            "faults": .integer(sum.faults), "between_faults_s": seconds(betweenFaults),
            "lifetime_running_s": seconds(lifetime),
        ])
    }
}

extension Hub {
    /// What every machine did in `[from, to)`, to whole slots.
    package func report(from: Instant, to: Instant) -> [MachineReport] {
        let from = from.floor(to: Slot.length)
        let to = (to + Slot.length - .milliseconds(1)).floor(to: Slot.length)
        let lab = configuration.lab
        let open =
            lab.open.isEmpty || to <= from ? nil : lab.open.open(from: from, to: to, in: lab.zone).milliseconds
        var openSlots: [Instant: Int64] = [:]
        return machines.indices.map { index in
            var sum = Slot()
            var (whileOpen, outside) = (Int64(0), Int64(0))
            var (cost, carbon) = (0.0, 0.0)
            for (start, slot) in slots(of: index, from: from, to: to) {
                sum += slot
                let busy = MachineState.allCases.reduce(Int64(0)) { $1.isBusy ? $0 + slot[$1] : $0 }
                if open != nil, busy > 0 {
                    let share =
                        openSlots[start]
                        ?? lab.open.open(from: start, to: start + Slot.length, in: lab.zone).milliseconds
                    openSlots[start] = share
                    let inside = busy * share / Slot.length.milliseconds
                    whileOpen += inside
                    outside += busy - inside
                }
                let hour = Int(lab.zone.timeOfDay(at: start).milliseconds / 3_600_000) % 24
                let kilowattHours = Double(slot.energy) / 1_000_000
                cost += kilowattHours * (configuration.tariff.price?[hour] ?? 0)
                carbon += kilowattHours * (configuration.tariff.carbon?[hour] ?? 0)
            }
            let machine = machines[index].configuration
            let channels = machine.devices.flatMap { devices[$0].channels.map(\.name) }
            let isMetered = sum.energyCovered > 0
            return MachineReport(
                id: machine.id, name: machine.name, machineClass: machine.machineClass, sum: sum, length: to - from,
                useWhileOpen: open == nil ? nil : whileOpen, useOutside: open == nil ? nil : outside, open: open,
                cost: configuration.tariff.price != nil && isMetered ? cost : nil,
                carbon: configuration.tariff.carbon != nil && isMetered ? carbon : nil,
                countsItems: channels.contains("items") || machine.itemsPerShot != nil,
                countsJobs: channels.contains("job"), lifetime: lifetime(of: index, at: lastLook.wall).running)
        }
    }

    /// The last jobs of each machine that ended in `[from, to)` or go on, by their start.
    package func jobs(from: Instant, to: Instant) -> [(machine: String, job: JobRecord)] {
        machines.flatMap { machine in
            machine.usage.jobs.filter { ($0.end ?? lastLook.wall) >= from && $0.start < to }.map {
                (machine.configuration.id, $0)
            }
        }.sorted { ($0.1.start, $0.0) < ($1.1.start, $1.0) }
    }

    /// What a machine's windows would hold if it had always been as this hub is configured: the slots computed from the
    /// stored samples, and those that were told.
    package func whatIf(
        _ machine: Int, _ windows: [Window]
    ) -> [(window: Window, told: Slot, computed: Slot)] {
        guard let first = windows.first else { return [] }
        var usage = MachineUsage(machines[machine].rule, start: first.start - Self.warmUp)
        var done = first.start - Self.warmUp - .milliseconds(1)
        return windows.map { window in
            computed(machine, &usage, after: done, to: window.end)
            done = window.end
            var told = Slot()
            if let series = machines[machine].slotSeries {
                for record in store.records(series, in: .slots, from: window.start, to: window.end) {
                    if let slot = Slot(fields: record.fields) { told += slot }
                }
            }
            return (window, told, usage.slots.sum(from: window.start, to: window.end))
        }
    }
}
