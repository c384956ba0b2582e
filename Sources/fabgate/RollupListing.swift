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
        let oldest = max(from, to - .hours(24 * 40))
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
}
