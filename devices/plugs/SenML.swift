package import Model

/// SenML in JSON (RFC 8428) on MQTT: a pack of records, where fields that begin with `b` hold for all after them.
///
///     [{"bn":"urn:dev:mks:lathe:","bt":1786512605,"n":"power","u":"W","v":742.1,"s":173566800},
///      {"n":"energy","u":"Wh","v":48213}]
///
///     name = bn + n     time = bt + t     value = bv + v     sum = bs + s
///
/// A time below 2^28 s counts from now, 0 is now. A driver has no clock, so that a record from a while ago that does
/// not say when cannot be placed: it is a fault and no fresh sample. A record with a label that ends in `_` and is not
/// known means something else than it seems, and is refused.
///
///     topic: senml/lathe
///     base: "urn:dev:mks:lathe:"                 what names begin with; any without it
///     values:
///       - { channel: power, name: power }
///       - { channel: energy, name: power, sum: true }        the integral of W over s
package struct SenML: DeviceDriver {
    package static let info = DriverInfo(
        name: "senml", title: "SenML packs (RFC 8428, JSON) on MQTT", link: .mqtt, family: "plugs",
        silence: .seconds(900))

    package let channels: [Channel]
    package let subscriptions: [String]

    private let values: [(value: WantedValue, address: Address)]
    /// What names begin with; nil where anything may stand before the last part of a name.
    private let base: String?
    /// Which name each value came from in the pack at hand.
    private var names: [String?]

    private struct Address: Sendable {
        let name: String
        let isSum: Bool
    }

    /// Below this a time is relative to now (RFC 8428, section 4.5.3).
    private static let relative = 268_435_456.0
    /// What counts as now, in s.
    private static let now = -10.0...10.0

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var fields = LayeredFields(&setup, &problems)
        let topic = setup.takesAnyAddress ? "#" : fields.topic("topic", example: "senml/lathe", &problems)
        base = fields.read { $0.text("base", &problems) }
        if fields.hasValues || !setup.takesAnyAddress {
            values = fields.values(example: "{ channel: power, name: power }", saysUnit: true, &problems) {
                fields, problems in
                let name = fields.requiredText("name", &problems, example: "power")
                let isSum = fields.flag("sum", &problems) ?? false
                return name.map { Address(name: $0, isSum: isSum) }
            }
        } else {
            let usual = [
                "power", "voltage", "current", "frequency", "power_factor", "energy", "temperature", "relay",
            ]
            values = usual.compactMap { name in
                Channel.usual(name).map { (WantedValue($0), Address(name: name, isSum: false)) }
            }
        }
        fields.finish(&setup, &problems)
        channels = values.map(\.value.channel) + [.online]
        names = [String?](repeating: nil, count: values.count)
        guard let topic, problems.all.count == before else { return nil }
        subscriptions = [topic]
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard !bytes.isEmpty, !source.isRetained else { return }
        // The whole pack must be good before any of it counts.
        var check = JSONScanner()
        guard check.peek(bytes) == .array, check.skip(bytes) != nil, check.finish(bytes) else {
            return out.note(.badFrame, "no SenML pack: not a JSON list")
        }
        for index in names.indices { names[index] = nil }
        var json = JSONScanner()
        var base = SenMLRecord.Base()
        guard json.beginArray(bytes) else { return }
        while json.nextElement(bytes) {
            let record = SenMLRecord(&json, bytes, &base)
            if let version = record.version, version > 10 {
                return out.note(.unknownValue, "version \(version) of SenML; 10 is the last known")
            }
            guard out.readings.count < 60 else { return out.note(.overrun, "a pack with more than 60 values") }
            take(record, bytes, &out)
        }
    }

    private mutating func take(_ record: SenMLRecord, _ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        if let demand = record.unknownDemand {
            return out.note(.unknownValue, "a record demands '\(demand)' to be understood")
        }
        guard !record.isMisshapen else {
            return out.note(.badValue, "record '\(record.name.clipped(to: 80))' has a field of a wrong type")
        }
        out.alive()
        for index in values.indices where fits(values[index].address.name, record.name) {
            if let other = names[index], other != record.name {
                out.note(
                    .unknownValue,
                    "'\(other.clipped(to: 60))' and '\(record.name.clipped(to: 60))' both fit; give the device's 'base'"
                )
                continue
            }
            report(record, on: index, b, &out)
        }
    }

    private mutating func report(
        _ record: SenMLRecord, on index: Int, _ b: borrowing Span<UInt8>, _ out: inout Outbox
    ) {
        let (value, address) = values[index]
        let found = address.isSum ? record.sum.map { .number($0) } ?? .absent : record.value
        guard found != .absent else { return }
        names[index] = record.name
        var time: Instant?
        if record.time >= Self.relative {
            time = DeviceTime.instant(milliseconds: record.time * 1000)
        } else if !Self.now.contains(record.time) {
            return out.note(
                .implausible,
                "\(value.channel.name) is dated \(record.time) s from now, and the pack does not say when it is")
        }
        var unit = value.unit
        // A word or a truth value may stand under a base unit that is not meant for it.
        if let said = record.unit, case .number = found {
            unit = SourceUnit.named(said)
            if address.isSum { unit = unit?.overTime }
            guard unit?.unit == value.channel.unit || value.channel.unit == nil else {
                let what = "'\(said.clipped(to: 40))'\(address.isSum ? " over time" : "")"
                return out.note(.unknownValue, "\(value.channel.name) came in \(what)")
            }
        }
        // A number without a unit needs none.
        if unit == nil, value.channel.unit == .one { unit = SourceUnit(.one) }
        value.report(found, on: index, of: channels, unit: unit, at: time, b, &out)
    }

    /// Without a base, a name fits with its last parts: `power` fits `urn:dev:lathe:power`.
    private func fits(_ wanted: String, _ name: String) -> Bool {
        if let base { return name.utf8.elementsEqual((base + wanted).utf8) }
        let n = name.utf8
        let w = wanted.utf8
        guard n.count >= w.count, n.suffix(w.count).elementsEqual(w) else { return false }
        guard let before = n.dropLast(w.count).last else { return true }
        return before == UInt8(ascii: ":") || before == UInt8(ascii: "/") || before == UInt8(ascii: ".")
    }
}
