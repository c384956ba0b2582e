package import Model

/// InfluxDB line protocol on MQTT, one point a line:
///
///     power,machine=lathe w=742.1,wh=48213i,on=t,mode="eco" 1786512605270000000
///     └─┬─┘ └────┬──────┘ └────────────┬───────────────────┘ └────────┬────────┘
///  measurement  tags                 fields                    time, ns since 1970
///
/// Blanks, commas and equal signs inside names are written with `\` before them. A field is a float, `1i`, `1u`, `t`,
/// `f`, or a string in quotes. Without a time the time of arrival counts; one from before 2020 is a clock that was
/// never set. A line is read as a whole or not at all.
///
///     topic: sensors/power                       or sensors/#, where several publish
///     precision: ns                              ns, us, ms or s
///     tags: { machine: lathe }                   only points with these
///     values:
///       - { channel: power, field: w, unit: W }
///       - { channel: energy, measurement: power, field: wh, unit: Wh, tags: { phase: "1" } }
package struct InfluxLine: DeviceDriver {
    package static let info = DriverInfo(
        name: "influx-line", title: "InfluxDB line protocol on MQTT", link: .mqtt, family: "plugs",
        silence: .seconds(900))

    package let channels: [Channel]
    package let subscriptions: [String]

    private let values: [(value: WantedValue, address: Address)]
    private let precision: Precision
    private let tags: [Tag]

    /// How fine the times are.
    private enum Precision: String, CaseIterable {
        case ns, us, ms, s

        func milliseconds(_ time: Double) -> Double {
            switch self {
            case .ns: time / 1e6
            case .us: time / 1000
            case .ms: time
            case .s: time * 1000
            }
        }
    }

    private struct Tag: Sendable {
        let key: [UInt8]
        let value: [UInt8]
    }

    /// Where a value is found; nil is any measurement.
    private struct Address: Sendable {
        let measurement: [UInt8]?
        let field: [UInt8]
        let tags: [Tag]
    }

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        var fields = LayeredFields(&setup, &problems)
        let topic = setup.takesAnyAddress ? "#" : Self.filter(&fields, &problems)
        precision = fields.read { $0.choice("precision", of: Precision.self, &problems) } ?? .ns
        tags = fields.read { Self.tags(&$0, &problems) } ?? []
        if fields.hasValues || !setup.takesAnyAddress {
            values = fields.values(example: "{ channel: power, field: w, unit: W }", saysUnit: false, &problems) {
                fields, problems in
                let measurement = fields.text("measurement", &problems)
                let field = fields.requiredText("field", &problems, example: "w")
                let tags = Self.tags(&fields, &problems) ?? []
                return field.map {
                    Address(measurement: measurement.map { Array($0.utf8) }, field: Array($0.utf8), tags: tags)
                }
            }
        } else {
            values = ["power", "voltage", "current", "frequency", "temperature"].compactMap { name in
                guard let channel = Channel.usual(name), let unit = channel.unit else { return nil }
                let address = Address(measurement: nil, field: Array(name.utf8), tags: [])
                return (WantedValue(channel, unit: SourceUnit(unit)), address)
            }
        }
        fields.finish(&setup, &problems)
        channels = values.map(\.value.channel) + [.online]
        guard let topic, problems.all.count == before else { return nil }
        subscriptions = [topic]
    }

    private static func filter(_ fields: inout LayeredFields, _ problems: inout Problems) -> String? {
        let place = fields.place("topic")
        guard let filter = fields.read({ $0.text("topic", &problems) }) else {
            return fields.topic("topic", example: "sensors/power", &problems)
        }
        if TopicFilter.isValid(filter) { return filter }
        problems.add(place, "'\(filter)' is no topic; + and # stand for whole levels, such as sensors/#")
        return nil
    }

    private static func tags(_ fields: inout Fields, _ problems: inout Problems) -> [Tag]? {
        guard var map = fields.map("tags", &problems) else { return nil }
        return map.keys.compactMap { key in
            map.text(key, &problems).map { Tag(key: Array(key.utf8), value: Array($0.utf8)) }
        }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard !source.isRetained else { return }
        var at = 0
        while at < bytes.count {
            var point = InfluxPoint()
            guard point.read(bytes, from: &at) else {
                out.note(.badFrame, "no point in line protocol: \(point.mistake)")
                continue
            }
            guard !point.fields.isEmpty else { continue }
            guard out.readings.count + min(values.count, point.fields.count * values.count) <= 64 else {
                return out.note(.overrun, "more points in one message than are taken")
            }
            take(point, bytes, &out)
        }
    }

    private func take(_ point: borrowing InfluxPoint, _ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        guard has(tags, point, b) else { return }
        out.alive()
        let time = point.time.flatMap { DeviceTime.instant(milliseconds: precision.milliseconds($0)) }
        for index in values.indices {
            let (value, address) = values[index]
            if let measurement = address.measurement, !InfluxPoint.equal(point.measurement, measurement, b) { continue }
            guard has(address.tags, point, b) else { continue }
            // Of a field that stands twice, the last one, as a database would keep it.
            guard let field = point.fields.last(where: { InfluxPoint.equal($0.key, address.field, b) }) else {
                continue
            }
            value.report(field.value, on: index, of: channels, unit: value.unit, at: time, b, &out)
        }
    }

    private func has(_ tags: [Tag], _ point: borrowing InfluxPoint, _ b: borrowing Span<UInt8>) -> Bool {
        for tag in tags {
            var isThere = false
            for found in point.tags where InfluxPoint.equal(found.key, tag.key, b) {
                isThere = InfluxPoint.equal(found.value, tag.value, b)
            }
            guard isThere else { return false }
        }
        return true
    }
}
