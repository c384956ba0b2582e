import Hub
import Model
import Usage

/// The zones of a press and its material as the API shows them: °C, grams, RFC 3339. Unknown is null.
enum PressJSON {
    static func zone(_ zone: ZoneView) -> JSON {
        .object([
            "zone": .string(zone.name), "temperature_c": .optional(zone.temperature),
            "setpoint_c": .optional(zone.setpoint), "broken": .bool(zone.isBroken),
            "t": .optional(zone.time?.description),
        ])
    }

    static func material(_ view: MaterialView) -> JSON {
        .object([
            "mould": .optional(view.mould?.name), "chosen": .optional(view.chosen?.description),
            "moulds": .array(view.moulds.map(mould)), "polymer": .string(view.polymer.rawValue),
            "softens_c": .optional(view.polymer.heat?.softens),
            "flows_c": view.polymer.heat.map { .array([.number($0.flows.lowerBound), .number($0.flows.upperBound)]) }
                ?? .null,
            "most_c": .number(view.polymer.most),
            "known": .bool(view.covered > 0),
            "weighed": .array(view.weighed.map { .string($0.rawValue) }),
            "by_shots_g": grams(view.evidence?.byShots), "by_scale_g": grams(view.evidence?.byScale),
            "agree": view.evidence.map { .bool($0.agrees) } ?? .null,
        ])
    }

    private static func mould(_ mould: Mould) -> JSON {
        .object([
            "name": .string(mould.name), "item": .string(mould.item), "polymer": .string(mould.polymer.rawValue),
            "shot_g": grams(mould.shot), "items": .integer(mould.items),
        ])
    }

    /// Grams since the lab's midnight by polymer, those of which there were any.
    static func masses(_ today: Slot) -> [JSON.Member] {
        [
            .init("mass_in_g", byPolymer(today.massIn)), .init("mass_product_g", byPolymer(today.massProduct)),
            .init("mass_scrap_g", byPolymer(today.massScrap)),
        ]
    }

    private static func byPolymer(_ masses: [Int64]) -> JSON {
        .object(
            Polymer.allCases.filter { masses[$0.index] != 0 }.map {
                JSON.Member($0.rawValue, grams(masses[$0.index]))
            })
    }

    private static func grams(_ milligrams: Int64?) -> JSON {
        milligrams.map { .number(Double($0) / 1000) } ?? .null
    }
}
