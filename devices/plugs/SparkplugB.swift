package import Model

/// An edge node of Sparkplug B (version 3.0), or one device below it:
///
///     spBv1.0/lab/NBIRTH/edge1          seq 0, bdSeq, and every metric with name, alias and datatype
///     spBv1.0/lab/DBIRTH/edge1/press    the same for a device
///     spBv1.0/lab/NDATA/edge1           what changed, by name or by alias
///     spBv1.0/lab/DDATA/edge1/press
///     spBv1.0/lab/DDEATH/edge1/press
///     spBv1.0/lab/NDEATH/edge1          the last will, with the bdSeq of the birth that it belongs to
///     spBv1.0/lab/NCMD/edge1            what asks for a new birth
///
/// `seq` counts all messages of a node up to 255 and on from 0. Where one is missing, an alias may mean another metric
/// by now: until the next birth only names are read. Births are not retained, so that one is asked for when the
/// gateway comes, and whenever something does not fit. Historical values, which a node kept while it had no broker, are
/// left alone: they are not what is now.
///
///     group: lab
///     node: edge1
///     device: press                              the node's own metrics without it
///     rebirth: true                              whether the gateway may ask for a birth
///     values:
///       - { channel: power, metric: Meter/Power, unit: kW }
package struct SparkplugB: DeviceDriver {
    package static let info = DriverInfo(
        name: "sparkplug-b", title: "Edge nodes and devices of Sparkplug B", link: .mqtt, family: "plugs",
        silence: .seconds(1800))

    package let channels: [Channel]
    package let subscriptions: [String]

    private let values: [(value: WantedValue, address: [UInt8])]
    /// nil in a recording, which may have any.
    private let address: (group: String, node: String)?
    private let device: String?
    private let takesAnyAddress: Bool
    private let mayAsk: Bool

    /// What the birth said of each of `values`.
    private var born: [Birth?]
    /// The seq that comes next; nil before a birth.
    private var nextSeq: UInt64?
    private var bdSeq: UInt64?
    /// No message is missing since the birth, so that an alias means what it said.
    private var knowsAliases = false
    /// Every alias of the birth, also of what is not wanted: an unknown one shows that a birth was missed. A birth
    /// with more than `mostAliases` is not checked so.
    private var aliases: Set<UInt64> = []
    private var lastTimestamp: UInt64?
    /// Messages since a birth was asked for; nil where none is awaited.
    private var waiting: Int?

    private struct Birth: Sendable {
        let alias: UInt64?
        let datatype: UInt64?
    }

    /// A request may get lost; it is said again after so many messages.
    private static let patience = 50
    private static let mostAliases = 4096

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        takesAnyAddress = setup.takesAnyAddress
        var fields = LayeredFields(&setup, &problems)
        let group = takesAnyAddress ? nil : Self.level("group", "lab", &fields, &problems)
        let node = takesAnyAddress ? nil : Self.level("node", "edge1", &fields, &problems)
        device = fields.read { $0.text("device", &problems) }
        if let device, !Self.isLevel(device) {
            problems.add(fields.place("device"), "'\(device)' is no id of a device: it may not hold /, + or #")
        }
        mayAsk = fields.read { $0.flag("rebirth", &problems) } ?? true
        if fields.hasValues || !takesAnyAddress {
            values = fields.values(
                example: "{ channel: power, metric: Meter/Power, unit: W }", saysUnit: false, &problems
            ) { fields, problems in
                fields.requiredText("metric", &problems, example: "Meter/Power").map { Array($0.utf8) }
            }
        } else {
            values = ["power", "voltage", "current", "frequency", "temperature"].compactMap { name in
                guard let channel = Channel.usual(name), let unit = channel.unit else { return nil }
                return (WantedValue(channel, unit: SourceUnit(unit)), Array(name.utf8))
            }
        }
        fields.finish(&setup, &problems)
        channels = values.map(\.value.channel) + [.online]
        born = [Birth?](repeating: nil, count: values.count)
        guard problems.all.count == before else { return nil }
        if let group, let node {
            address = (group, node)
            subscriptions = ["spBv1.0/\(group)/+/\(node)/#"]
        } else {
            address = nil
            subscriptions = ["spBv1.0/#"]
        }
    }

    private static func level(
        _ key: String, _ example: String, _ fields: inout LayeredFields, _ problems: inout Problems
    ) -> String? {
        let place = fields.place(key)
        guard let text = fields.topic(key, example: example, &problems) else { return nil }
        if isLevel(text) { return text }
        problems.add(place, "'\(text)' is no \(key): it may not hold a /")
        return nil
    }

    private static func isLevel(_ text: String) -> Bool { TopicFilter.isTopic(text) && !text.utf8.contains(0x2F) }

    package mutating func opened(_ out: inout Outbox) {
        forgetSession()
        waiting = nil
        if let address { ask(address.group, address.node, &out) }
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        // Nothing of this is ever retained by a node.
        guard !source.isRetained else { return }
        let levels = source.topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard levels.count == 4 || levels.count == 5 else { return }
        let type = levels[2]
        guard ["NBIRTH", "NDATA", "NDEATH", "DBIRTH", "DDATA", "DDEATH"].contains(type),
            type.hasPrefix("N") == (levels.count == 4)
        else { return }
        guard let payload = SparkplugPayload(bytes) else {
            out.note(.badFrame, "\(type) is no payload of Sparkplug B")
            // Whatever it was, one is missing now.
            return distrust(levels, &out)
        }
        lastTimestamp = payload.timestamp ?? lastTimestamp
        let isOurs =
            levels.count == 4 ? device == nil : device == levels[4] || takesAnyAddress && device == nil
        switch type {
        case "NBIRTH": nodeBirth(payload, isOurs, levels, bytes, &out)
        case "NDEATH": nodeDeath(bytes, &out)
        default:
            guard follow(payload.seq, type, levels, &out) else { return }
            guard isOurs else { return }
            switch type {
            case "DBIRTH":
                learn(bytes)
                out.report(values.count, online: true)
                report(payload, bytes, levels, &out)
            case "DDEATH": out.report(values.count, online: false)
            default: report(payload, bytes, levels, &out)
            }
        }
    }

    // MARK: the session

    private mutating func nodeBirth(
        _ payload: SparkplugPayload, _ isOurs: Bool, _ levels: [String], _ b: borrowing Span<UInt8>,
        _ out: inout Outbox
    ) {
        guard let seq = payload.seq, seq <= 255 else { return out.note(.badFrame, "NBIRTH without its seq") }
        forgetSession()
        nextSeq = (seq + 1) & 255
        bdSeq = Self.bdSeq(b)
        knowsAliases = true
        waiting = nil
        guard isOurs else { return }
        learn(b)
        out.report(values.count, online: true)
        report(payload, b, levels, &out)
    }

    private mutating func nodeDeath(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        // The last will of an earlier connection may come after the birth of the next one.
        if let bdSeq, let said = Self.bdSeq(b), said != bdSeq { return }
        forgetSession()
        out.report(values.count, online: false)
    }

    private mutating func forgetSession() {
        for index in born.indices { born[index] = nil }
        aliases.removeAll()
        nextSeq = nil
        bdSeq = nil
        knowsAliases = false
    }

    private static func bdSeq(_ b: borrowing Span<UInt8>) -> UInt64? {
        var metrics = SparkplugPayload.Metrics(b)
        while let metric = metrics.next(b) {
            if metric.isNamed(bdSeqName, b), case .whole(let value) = metric.raw { return value }
        }
        return nil
    }

    private static let bdSeqName = Array("bdSeq".utf8)

    /// Whether a message comes in its turn; one that comes twice, or without a birth before it, is not read.
    private mutating func follow(_ seq: UInt64?, _ type: String, _ levels: [String], _ out: inout Outbox) -> Bool {
        guard let seq, seq <= 255 else {
            out.note(.badFrame, "\(type) without its seq")
            distrust(levels, &out)
            return false
        }
        out.alive()
        guard let expected = nextSeq else {
            // Joined in the middle. That is how it is at the start, and no fault of anybody.
            ask(levels[1], levels[3], &out)
            return false
        }
        if (seq + 1) & 255 == expected { return false }
        nextSeq = (seq + 1) & 255
        if seq != expected {
            out.note(.badFrame, "message \(expected) of the node is missing: \(seq) came")
            distrust(levels, &out)
        } else if !knowsAliases {
            ask(levels[1], levels[3], &out)
        }
        return true
    }

    private mutating func distrust(_ levels: [String], _ out: inout Outbox) {
        knowsAliases = false
        ask(levels[1], levels[3], &out)
    }

    private mutating func ask(_ group: String, _ node: String, _ out: inout Outbox) {
        guard mayAsk else { return }
        if let count = waiting, count < Self.patience {
            waiting = count + 1
            return
        }
        waiting = 0
        out.send(
            .publish(
                topic: "spBv1.0/\(group)/NCMD/\(node)", payload: SparkplugPayload.rebirth(timestamp: lastTimestamp)))
    }

    // MARK: metrics

    private mutating func learn(_ b: borrowing Span<UInt8>) {
        for index in born.indices { born[index] = nil }
        var metrics = SparkplugPayload.Metrics(b)
        while let metric = metrics.next(b) {
            if let alias = metric.alias, aliases.count < Self.mostAliases { aliases.insert(alias) }
            for index in values.indices where metric.isNamed(values[index].address, b) {
                born[index] = Birth(alias: metric.alias, datatype: metric.datatype)
            }
        }
    }

    private mutating func report(
        _ payload: SparkplugPayload, _ b: borrowing Span<UInt8>, _ levels: [String], _ out: inout Outbox
    ) {
        var metrics = SparkplugPayload.Metrics(b)
        while let metric = metrics.next(b) {
            if knowsAliases, metric.name == nil, let alias = metric.alias, aliases.count < Self.mostAliases,
                !aliases.contains(alias)
            {
                out.note(.badFrame, "alias \(alias) stands in no birth")
                distrust(levels, &out)
            }
            guard !metric.isHistorical else { continue }
            for index in values.indices where isMeant(metric, index, b) {
                guard out.readings.count < 63 else { return out.note(.overrun, "more metrics than are taken at once") }
                let stamp = metric.timestamp ?? payload.timestamp
                let time = stamp.flatMap { DeviceTime.instant(milliseconds: Double($0)) }
                report(metric, on: index, at: time, b, &out)
            }
        }
    }

    private func isMeant(_ metric: SparkplugMetric, _ index: Int, _ b: borrowing Span<UInt8>) -> Bool {
        if metric.name != nil { return metric.isNamed(values[index].address, b) }
        guard knowsAliases, let alias = metric.alias, let birth = born[index] else { return false }
        return birth.alias == alias
    }

    private func report(
        _ metric: SparkplugMetric, on index: Int, at time: Instant?, _ b: borrowing Span<UInt8>, _ out: inout Outbox
    ) {
        let value = values[index].value
        if metric.isNull { return value.report(.null, on: index, of: channels, unit: value.unit, at: time, b, &out) }
        let found: Found
        switch metric.raw {
        case .none, .other: found = .unusable
        case .bool(let isOn): found = .bool(isOn)
        case .real(let number): found = .number(number)
        case .whole(let whole):
            guard let datatype = metric.datatype ?? born[index]?.datatype,
                let number = SparkplugMetric.number(whole, datatype: datatype)
            else { return out.note(.badValue, "\(value.channel.name) has a whole number and no datatype for it") }
            found = .number(number)
        case .text(let range):
            guard let text = ProtobufReader.text(range, b) else {
                return out.note(.badValue, "\(value.channel.name) is no short text in UTF-8")
            }
            return value.reportText(text, on: index, of: channels, unit: value.unit, at: time, &out)
        }
        value.report(found, on: index, of: channels, unit: value.unit, at: time, b, &out)
    }
}
