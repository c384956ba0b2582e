import Hub
import Model
import Store
import Usage

/// Stored samples as the API shows them.
enum SeriesJSON {
    /// Points for a chart; a stretch without samples has count 0 and no values, so that it is drawn as a gap.
    static func points(_ store: RingStore, _ info: SeriesInfo, from: Instant, to: Instant, step: Duration) -> JSON {
        guard info.kind == .gauge || info.kind == .counter else {
            var words = Words()
            store.scan(info.id, from: from, to: to) { words.add($0) }
            return head(info, [.init("points", .array(words.items))])
        }
        return chart(info, store.points(info.id, from: from, to: to, step: step))
    }

    /// The same on any thread; nil where the ring has overtaken the snapshot.
    static func points(_ snapshot: SeriesSnapshot, step: Duration) -> JSON? {
        let info = snapshot.info
        guard info.kind == .gauge || info.kind == .counter else {
            var words = Words()
            guard snapshot.scan({ words.add($0) }) else { return nil }
            return head(info, [.init("points", .array(words.items))])
        }
        return snapshot.points(step: step).map { chart(info, $0) }
    }

    private static func chart(_ info: SeriesInfo, _ points: [Point]) -> JSON {
        let items = points.map { point -> JSON in
            .object([
                "t": .string(point.start.description), "min": .optional(point.min), "max": .optional(point.max),
                "mean": .optional(point.mean), "last": .optional(point.last), "count": .integer(point.count),
            ])
        }
        return head(info, [.init("points", .array(items))])
    }

    /// States and events one by one.
    private struct Words {
        var items: [JSON] = []

        /// False where no more are wanted.
        mutating func add(_ sample: Sample) -> Bool {
            if case .text(let text) = sample.value {
                items.append(.object(["t": .string(sample.time.description), "value": .string(text)]))
            }
            return items.count < WebAPI.mostPoints
        }
    }

    private static func head(_ info: SeriesInfo, _ rest: [JSON.Member]) -> JSON {
        .object(
            [
                .init("series", .string("\(info.key.device)/\(info.key.channel)")),
                .init("unit", .optional(info.unit?.rawValue)), .init("kind", .string(info.kind.rawValue)),
            ] + rest)
    }

    /// Jobs and runs, newest last: what is remembered of the last days with its start and energy, and from before that
    /// what the devices told.
    static func jobs(_ hub: Hub, from: Instant, to: Instant) -> JSON {
        var jobs: [(Instant, JSON)] = []
        var remembered: [String: Instant] = [:]
        for (machine, job) in hub.jobs(from: .distantPast, to: .distantFuture) {
            remembered[machine] = min(remembered[machine] ?? job.start, job.start)
        }
        for (machine, job) in hub.jobs(from: from, to: to) {
            let json = JSON.object([
                "t": .string((job.end ?? job.start).description), "machine": .string(machine),
                "start": .string(job.start.description), "end": .optional(job.end?.description),
                "outcome": .optional(job.outcome?.rawValue),
                "duration_s": .optional(job.end.map { Double(($0 - job.start).milliseconds) / 1000 }),
                "energy_wh": .optional(job.energy.map { Double($0) / 1000 }),
            ])
            jobs.append((job.end ?? job.start, json))
        }
        for machine in hub.configuration.machines {
            let end = min(to, remembered[machine.id] ?? to)
            for member in machine.members {
                let device = hub.configuration.devices[member.device].id
                guard let (from, end) = member.term.part(from: from, to: end) else { continue }
                guard let info = hub.store.find(SeriesKey(device: device, channel: "job")) else { continue }
                hub.store.scan(info.id, from: from, to: end) { sample in
                    if case .text(let outcome) = sample.value {
                        let job = JSON.object([
                            "t": .string(sample.time.description), "machine": .string(machine.id), "start": .null,
                            "end": .string(sample.time.description), "outcome": .string(outcome),
                            "duration_s": .null, "energy_wh": .null,
                        ])
                        jobs.append((sample.time, job))
                    }
                    return jobs.count < WebAPI.mostPoints
                }
            }
        }
        return .object(["jobs": .array(jobs.sorted { $0.0 < $1.0 }.map(\.1))])
    }

    /// What follows from the slots of some time, machine by machine.
    static func report(_ hub: Hub, from: Instant, to: Instant) -> JSON {
        .object([
            "from": .string(from.description), "to": .string(to.description),
            "currency": .optional(hub.configuration.tariff.currency),
            "machines": .array(hub.report(from: from, to: to).map(\.json)),
        ])
    }
}
