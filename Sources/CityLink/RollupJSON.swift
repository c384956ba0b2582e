// A rollup as it stands on the wire, and the digests that tell whether two are the same.

package import Model

extension RollupContent {
    /// The name of this format in every request.
    package static let schema = "fablab.rollup/1"

    /// The item as contract says, members in reading order. `emitted` is when this version was made.
    package func item(epoch: Int64, revision: Int64, emitted: Instant) -> JSON {
        var members: [JSON.Member] = [
            .init("lab", .string(lab)), .init("grain", .string(grain.rawValue)),
            .init("start", .string(start.description)), .init("end", .string(end.description)),
            .init("duration_s", .thousandths(duration.milliseconds)), .init("tz", .string(tz)),
            .init("local_date", .string(localDate.description)), .init("epoch", .integer(epoch)),
            .init("revision", .integer(revision)), .init("final", .bool(isFinal)),
            .init("emitted", .string(emitted.description)),
            .init(
                "coverage",
                .object([
                    "usage": .optional(coverage.usage), "energy": .optional(coverage.energy),
                    "mass": .optional(coverage.mass),
                ])),
            .init("late_dropped", .integer(lateDropped)),
            .init("open_s", openSeconds.map { JSON.integer($0) } ?? .null),
            .init("totals", .object(totals.members)),
            .init(
                "classes",
                .array(
                    classes.map { part in
                        .object(
                            [.init("class", .string(part.name)), .init("machines", .integer(part.machines))]
                                + part.totals.members)
                    })),
        ]
        if let machines {
            members.append(
                .init(
                    "machines",
                    .array(
                        machines.map { machine in
                            .object(
                                [.init("id", .string(machine.id)), .init("class", .string(machine.className))]
                                    + machine.totals.members)
                        })))
        }
        members.append(.init("suppressed", .array(suppressed.map(JSON.string))))
        members.append(
            .init(
                "source",
                .object([
                    "gateway": .string(source.gateway), "software": .string(source.software),
                    "tzdata": .string(source.tzdata),
                ])))
        return .object(members)
    }

    /// What says whether a window has changed: the digest without everything that sending adds. That it is final is
    /// news, once; that it is not yet stands in no digest.
    package func contentDigest(_ sha256: SHA256) -> String { contentDigest(of: canonical(), sha256) }

    /// The same where the canonical form is at hand, of whatever version.
    func contentDigest(of canonical: CanonicalObject, _ sha256: SHA256) -> String {
        let text =
            isFinal
            ? canonical.text(without: "emitted", "epoch", "revision")
            : canonical.text(without: "emitted", "epoch", "revision", "final")
        return sha256(text).hexadecimal
    }

    /// The item in canonical form, of no version yet.
    func canonical() -> CanonicalObject {
        CanonicalObject(item(epoch: 0, revision: 0, emitted: start).members ?? [])
    }

    /// The digest that goes beside an item on the wire: SHA-256 over the canonical form without `emitted`.
    package static func digest(of item: CanonicalObject, _ sha256: SHA256) -> String {
        sha256(item.text(without: "emitted")).hexadecimal
    }
}

extension CanonicalObject {
    /// The item as this version of it; see `RollupContent.item`.
    func numbered(_ version: RollupVersion, emitted: Instant) -> CanonicalObject {
        replacing("epoch", .integer(version.epoch)).replacing("revision", .integer(version.revision))
            .replacing("emitted", .string(emitted.description))
    }
}

extension UsageTotals {
    /// The members that totals, classes and machines share.
    var members: [JSON.Member] {
        var members: [JSON.Member] = [
            .init("states_s", .named(MachineState.allCases, states) { .thousandths($0) }),
            .init("jobs", jobs.map { .named(JobOutcome.allCases, $0) { .integer($0) } } ?? .null),
            .init("energy_wh", .thousandths(energyMilliwattHours)),
            .init("idle_energy_wh", .thousandths(idleEnergyMilliwattHours)),
            .init("energy_method", .optional(energyMethod)),
            .init("energy_corrections", .integer(energyCorrections)),
            .init("mass_in_g", .masses(massIn)),
            .init("mass_product_g", .masses(massProduct)),
            .init("mass_scrap_g", .masses(massScrap)),
            .init("items", items.map { .integer($0) } ?? .null),
            .init("shots", shots.map { .integer($0) } ?? .null),
            .init("filament_mm", .thousandths(filamentMicrometres)),
        ]
        // Came later than the others; a window of which nobody counts scrap keeps its digest.
        if let scrap { members.append(.init("scrap", .integer(scrap))) }
        return members
    }
}

extension JSON {
    /// Milliseconds as seconds, milliwatt-hours as watt-hours, milligrams as grams: the nearest Double to a decimal
    /// with three places prints as that decimal, so nothing is lost up to 2^53.
    static func thousandths(_ value: Int64?) -> JSON { value.map { .number(Double($0) / 1000) } ?? .null }

    fileprivate static func masses(_ grams: [String: Int64]) -> JSON {
        .object(grams.sorted { $0.key < $1.key }.map { Member($0.key, .thousandths($0.value)) })
    }

    fileprivate static func named<Name: RawRepresentable>(
        _ names: [Name], _ values: [Int64], _ number: (Int64) -> JSON
    ) -> JSON where Name.RawValue == String {
        .object(zip(names, values).map { Member($0.rawValue, number($1)) })
    }
}

extension [UInt8] {
    /// Two lower-case digits a byte.
    package var hexadecimal: String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(count * 2)
        for byte in self {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }
}
