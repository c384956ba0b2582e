import CityLink
import Hub
import Model
import Ports
import Usage

/// Rollups computed from what the store holds, as the API and `fabgate rollup` show them.
enum RollupListing {
    /// The contents of the windows that overlap a stretch, oldest first.
    static func contents(
        _ hub: Hub, from: Instant, to: Instant, grain: Window.Grain, source: RollupSource
    ) -> [RollupContent] {
        // As far back as the store knows slots, and not more windows than somebody reads.
        let most = grain == .day ? Duration.hours(24 * 4000) : .hours(10_000)
        let oldest = max(from, to - most, (hub.knownFrom ?? from) - .milliseconds(1))
        let end = Window.containing(to - .milliseconds(1), grain, in: hub.configuration.lab.zone).end
        return Window.ending(after: oldest, upTo: end, grain, in: hub.configuration.lab.zone)
            .map { hub.content(of: $0, source: source, showsMachines: true) }
    }

    static func json(
        _ hub: Hub, from: Instant, to: Instant, grain: Window.Grain, source: RollupSource
    ) -> JSON {
        let contents = contents(hub, from: from, to: to, grain: grain, source: source)
        return .object([
            "schema": .string(RollupContent.schema),
            "rollups": .array(
                contents.map { $0.item(epoch: 0, revision: 0, emitted: to).without("epoch", "revision", "emitted") }),
        ])
    }

    /// The figures of a rollup that people ask for first, in a line; what it keeps to itself is named.
    static func headline(_ rollup: JSON) -> String {
        let totals = rollup["totals"]
        var parts: [String] = []
        func number(_ value: JSON?) -> String? {
            if case .number(let number)? = value {
                String(decoding: JSON.number(number).bytes, as: UTF8.self)
            } else {
                nil
            }
        }
        if case .number(let seconds)? = totals?["states_s"]?["running"] {
            parts.append("running \((seconds / 36).rounded() / 100) h")
        }
        if let energy = number(totals?["energy_wh"]) { parts.append("\(energy) Wh") }
        if let jobs = totals?["jobs"]?.members {
            let count = jobs.reduce(0.0) { sum, job in
                if case .number(let number) = job.value { sum + number } else { sum }
            }
            parts.append("\(Int(count)) jobs")
        }
        if let items = number(totals?["items"]) { parts.append("\(items) items") }
        let classes = rollup["classes"]?.items?.compactMap { $0["class"]?.text } ?? []
        if !classes.isEmpty { parts.append("classes \(classes.joined(separator: " "))") }
        let kept = rollup["suppressed"]?.items?.compactMap(\.text) ?? []
        if !kept.isEmpty { parts.append("kept back \(kept.joined(separator: " "))") }
        return parts.joined(separator: ", ")
    }

    /// What each city would be told of the last window of each of its grains that is over, as it would be sent.
    static func preview(_ hub: Hub, source: RollupSource, at now: Instant) -> JSON {
        let cities = hub.configuration.cities.map { city in
            JSON.object([
                "name": .string(city.name), "threshold": .integer(city.privacy.threshold),
                "rollups": .array(
                    city.grains.map { grain in
                        let zone = hub.configuration.lab.zone
                        let current = Window.containing(now, grain, in: zone)
                        let last = Window.containing(current.start - .milliseconds(1), grain, in: zone)
                        return hub.told(last, to: city, source: source, at: now)
                            .item(epoch: 0, revision: 0, emitted: now).without("epoch", "revision", "emitted")
                    }),
            ])
        }
        return .object(["cities": .array(cities)])
    }
}
