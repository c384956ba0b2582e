package import Model
import Usage

// Events for whoever watches live.

extension Hub {
    /// A reading, as it was stored, for who watches.
    mutating func tell(_ reading: borrowing Reading, of index: Int, at time: Instant) {
        guard isWatched else { return }
        let channel = devices[index].channels[reading.channel]
        let value: JSON =
            switch reading.value {
            case .number(let number): .number(number)
            case .state(let state, _): .string(state.rawValue)
            case .event(let name): .string(name)
            case .unknown: .null
            }
        act(
            .event(
                "reading",
                .object([
                    .init("t", .string(time.description)), .init("device", .string(devices[index].configuration.id)),
                    .init("channel", .string(channel.name)), .init("value", value),
                    .init("unit", .optional(channel.unit?.rawValue)),
                    .init("machine", .optional(devices[index].machine.map { machines[$0].configuration.id })),
                ])))
        // What a person sees should not wait for the next second.
        if let machine = devices[index].machine { tellState(of: machine, machines[machine].usage.glance()) }
    }

    /// An event that is the end of a job.
    mutating func tellJob(_ value: Value, on channel: Int, of index: Int, at time: Instant) {
        guard case .event(let outcome) = value, devices[index].channels[channel].name == "job",
            let machine = devices[index].machine
        else { return }
        let id = machines[machine].configuration.id
        act(.log(.info, "machine \(id): job \(outcome)"))
        act(
            .event(
                "job",
                .object([
                    .init("t", .string(time.description)), .init("machine", .string(id)),
                    .init("outcome", .string(outcome)),
                ])))
    }

    /// A machine's state, if it is another one than was told last.
    mutating func tellState(of index: Int, _ glance: MachineUsage.Glance) {
        // Not before its turn in what is remembered.
        if isRemembering, let turn = memory?.machine, index >= turn { return }
        let isNew = glance.state != machines[index].told.state
        guard isNew || glance.reason != machines[index].told.reason else { return }
        let usage = machines[index].usage
        if Self.alarms(glance.state) || Self.alarms(machines[index].told.state) || hasOwnAlerts(index) {
            alertsMayDiffer = true
        }
        machines[index].told = (usage.state, usage.reason)
        let id = machines[index].configuration.id
        if isNew { act(.log(.info, "machine \(id): \(usage.state.rawValue) (\(usage.reason))")) }
        act(
            .event(
                "state",
                .object([
                    .init("t", .string(usage.since.description)), .init("machine", .string(id)),
                    .init("state", .string(usage.state.rawValue)), .init("reason", .string(usage.reason)),
                    .init("since", .string(usage.since.description)),
                ])))
    }

    /// Decisions about counters that a person may want to look at.
    mutating func tellCorrections(of index: Int) {
        let events = machines[index].usage.events
        guard let newest = events.last, newest != machines[index].lastCorrection else { return }
        let told = machines[index].lastCorrection.flatMap { events.lastIndex(of: $0) }
        machines[index].lastCorrection = newest
        let id = machines[index].configuration.id
        for event in events[(told.map { $0 + 1 } ?? 0)...] {
            let change = event.correction
            act(
                .log(
                    .notice,
                    "machine \(id): energy counter \(change.kind.rawValue) from \(change.before) to \(change.after) mWh"
                ))
        }
    }

    /// A machine in this state is an alert.
    private static func alarms(_ state: MachineState) -> Bool { state == .fault || state == .blocked }

    /// A press, or what makes mass, has alerts that hang together with more than its state.
    private func hasOwnAlerts(_ index: Int) -> Bool {
        if case .press = machines[index].configuration.source { return true }
        return machines[index].configuration.material.sources > 0
    }

    /// Alerts that are new, or over.
    mutating func tellAlerts() {
        guard alertsMayDiffer else { return }
        alertsMayDiffer = false
        let now = alerts()
        let told = Set(toldAlerts.map(\.id))
        for alert in now where !told.contains(alert.id) {
            act(.event("alert", .object(alert.members + [.init("active", .bool(true))])))
        }
        let standing = Set(now.map(\.id))
        for alert in toldAlerts where !standing.contains(alert.id) {
            act(.event("alert", .object(alert.members + [.init("active", .bool(false))])))
        }
        toldAlerts = now
    }
}

extension Alert {
    /// As the API and the event stream show it.
    package var members: [JSON.Member] {
        [
            .init("id", .string(id)), .init("severity", .string(severity.rawValue)),
            .init("machine", .optional(machine)), .init("text_en", .string(english)), .init("text_ko", .string(korean)),
            .init("since", .optional(since?.description)),
        ]
    }
}
