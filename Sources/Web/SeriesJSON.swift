import Hub
import Model
import Store
import Usage

/// Stored samples as the API shows them.
enum SeriesJSON {
    /// Points for a chart; a stretch without samples has count 0 and no values, so that it is drawn as a gap.
    static func points(_ store: RingStore, _ info: SeriesInfo, from: Instant, to: Instant, step: Duration) -> JSON {
        guard info.kind == .gauge || info.kind == .counter else { return words(store, info, from: from, to: to) }
        let points = store.points(info.id, from: from, to: to, step: step).map { point -> JSON in
            .object([
                "t": .string(point.start.description), "min": .optional(point.min), "max": .optional(point.max),
                "mean": .optional(point.mean), "last": .optional(point.last), "count": .integer(point.count),
            ])
        }
        return head(info, [.init("points", .array(points))])
    }

    /// States and events one by one.
    private static func words(_ store: RingStore, _ info: SeriesInfo, from: Instant, to: Instant) -> JSON {
        var items: [JSON] = []
        store.scan(info.id, from: from, to: to) { sample in
            if case .text(let text) = sample.value {
                items.append(.object(["t": .string(sample.time.description), "value": .string(text)]))
            }
            return items.count < WebAPI.mostPoints
        }
        return head(info, [.init("points", .array(items))])
    }

    private static func head(_ info: SeriesInfo, _ rest: [JSON.Member]) -> JSON {
        .object(
            [
                .init("series", .string("\(info.key.device)/\(info.key.channel)")),
                .init("unit", .optional(info.unit?.rawValue)), .init("kind", .string(info.kind.rawValue)),
            ] + rest)
    }

    /// Jobs that ended, newest last.
    static func jobs(_ hub: Hub, from: Instant, to: Instant) -> JSON {
        var jobs: [(Instant, JSON)] = []
        for machine in hub.configuration.machines {
            for index in machine.devices {
                let device = hub.configuration.devices[index].id
                guard let info = hub.store.find(SeriesKey(device: device, channel: "job")) else { continue }
                hub.store.scan(info.id, from: from, to: to) { sample in
                    if case .text(let outcome) = sample.value {
                        let job = JSON.object([
                            "t": .string(sample.time.description), "machine": .string(machine.id),
                            "device": .string(device), "outcome": .string(outcome),
                        ])
                        jobs.append((sample.time, job))
                    }
                    return jobs.count < WebAPI.mostPoints
                }
            }
        }
        return .object(["jobs": .array(jobs.sorted { $0.0 < $1.0 }.map(\.1))])
    }
}
