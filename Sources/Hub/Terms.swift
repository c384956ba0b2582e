package import Model
import Store
import Usage

// A machine outlives its plug. Which device belonged to it from when until when stands in the configuration:
//
//     devices: [{ id: plug-a, until: "2026-11-27T01:00:00Z" }, { id: plug-b, from: "2026-11-27T01:00:00Z" }]
//
// What a device said counts for the machine that it belonged to then, whenever it is computed.

extension Configuration {
    /// How long a device belongs to a machine.
    package struct Term: Hashable, Sendable {
        /// The first instant; `.distantPast` where it always did.
        package var from = Instant.distantPast
        /// The first instant at which it does not any more; `.distantFuture` where that is not known.
        package var until = Instant.distantFuture

        package init(from: Instant = .distantPast, until: Instant = .distantFuture) {
            self.from = from
            self.until = until
        }

        package static let always = Term()

        package func holds(_ time: Instant) -> Bool { time >= from && time < until }

        package func overlaps(_ other: Term) -> Bool { from < other.until && other.from < until }

        /// Its part of a stretch; nil where that is empty.
        package func part(from start: Instant, to end: Instant) -> (from: Instant, to: Instant)? {
            let (from, to) = (max(from, start), min(until, end))
            return from < to ? (from, to) : nil
        }
    }

    /// A device of a machine, for a term.
    package struct Member: Hashable, Sendable {
        /// An index into `Configuration.devices`.
        package var device: Int
        package var term: Term

        package init(device: Int, term: Term = .always) {
            self.device = device
            self.term = term
        }
    }
}

extension Configuration.Machine {
    /// Milliseconds of a stretch for which its energy could be known: those of each of its counters.
    func metered(from start: Instant, to end: Instant) -> Int64 {
        members.filter { energy.contains($0.device) }.reduce(0) { sum, member in
            sum + (member.term.part(from: start, to: end).map { ($0.to - $0.from).milliseconds } ?? 0)
        }
    }
}

/// What a device is to a machine, for a term.
struct DevicePart {
    /// One for each channel.
    var roles: [Role]
    var machine: Int?
    var term = Configuration.Term.always
    var presence = Presence(teller: nil, [])

    /// Belongs to nothing; only its life is of interest.
    static func none(_ channels: [Channel]) -> DevicePart {
        DevicePart(roles: channels.map { $0.name == "online" ? .online : .none })
    }

    /// From here on its counters are the machine's. What they showed before is of no interest.
    func join(_ usage: inout MachineUsage, at time: Instant) {
        for role in roles { if case .energy(let counter) = role { usage.exchanged(counter: counter) } }
        usage.exchanged(shots: roles.contains(.shots), items: roles.contains(.items), scrap: roles.contains(.scrap))
        usage.advance(to: time)
    }

    /// What it told last is of no interest any more.
    func leave(_ usage: inout MachineUsage, at time: Instant) {
        presence.apply(false, to: &usage, at: time)
        if roles.contains(.power) { usage.observe(power: nil, at: time) }
    }
}

extension Hub {
    /// What a device was to a machine at a time.
    func part(of device: Int, at time: Instant) -> DevicePart {
        devices[device].terms.first { $0.term.holds(time) } ?? .none(devices[device].channels)
    }

    /// What each device is to its machine now; when that changes next.
    mutating func assignParts(at now: Instant) {
        nextTerm = .distantFuture
        for index in devices.indices where !devices[index].terms.isEmpty {
            devices[index].part = part(of: index, at: now)
            for part in devices[index].terms {
                for border in [part.term.from, part.term.until] where border > now { nextTerm = min(nextTerm, border) }
            }
        }
    }

    /// A term began or ended: its machines are computed again from there, as they are after a restart.
    mutating func changeTerms(at now: Now) {
        let since = nextTerm
        for part in devices.flatMap(\.terms) {
            guard let machine = part.machine else { continue }
            for border in [part.term.from, part.term.until] where border >= since && border <= now.wall {
                machines[machine].disorder = min(machines[machine].disorder ?? border, border)
            }
        }
        assignParts(at: now.wall)
        due.order = now.moment
        alertsMayDiffer = true
        touchAll()
    }

    /// Since when a machine has the devices that it has at `now`; nil where it always had them.
    static func eraStart(_ machine: Configuration.Machine, at now: Instant) -> Instant? {
        machine.members.flatMap { [$0.term.from, $0.term.until] }.filter { $0 > .distantPast && $0 <= now }.max()
    }
}
