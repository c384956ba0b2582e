import Model
import Ports
import Store

/// What a store holds, in words and as lines of JSON.
enum StoreListing {
    static func info(_ store: RingStore) -> [String] {
        let numbers = store.statistics
        var lines = [
            "size      \(numbers.bytes >> 20) MiB; series \(numbers.series) of at most \(numbers.seriesLimit)",
            row(
                "samples", numbers.samples, pages: numbers.usedPages, of: numbers.pages,
                span: store.oldest.flatMap { oldest in store.newest.map { (oldest, $0) } }, numbers.retention),
        ]
        if numbers.pagesEverOverwritten > 0 {
            lines.append("\(pad("older"))\(numbers.pagesEverOverwritten) pages written over since the store was made")
        }
        for (index, tier) in Tier.allCases.enumerated() {
            guard numbers.tierPages[index] > 0 else {
                lines.append("\(pad("\(tier)"))none: made by an older version, and its file has not been made longer")
                continue
            }
            lines.append(
                row(
                    "\(tier)", nil, pages: numbers.usedTierPages[index], of: numbers.tierPages[index],
                    span: store.span(of: tier), numbers.tierRetention[index]))
        }
        if numbers.tooLateEver + numbers.refusedEver > 0 {
            lines.append(
                "dropped   at least \(numbers.tooLateEver) samples that came too late and \(numbers.refusedEver) that found "
                    + "no room, since the store was made")
        }
        lines.append("opened    \(store.recovery)")
        if numbers.lost > 0 { lines.append("lost      \(numbers.lost) samples cannot be read any more") }
        return lines
    }

    private static func pad(_ name: String) -> String { name + String(repeating: " ", count: max(1, 10 - name.count)) }

    private static func row(
        _ name: String, _ count: Int?, pages: Int, of all: Int, span: (Instant, Instant)?, _ retention: Duration?
    ) -> String {
        var text = pad(name) + (count.map { "\($0), " } ?? "") + "\(pages) of \(all) pages"
        if let span { text += ", from \(span.0) to \(span.1)" }
        if let retention {
            let days = Double(retention.milliseconds) / 86_400_000
            text +=
                days > 3650
                ? ", full after more than ten years"
                : ", reaches back \(days < 10 ? (days * 10).rounded() / 10 : days.rounded()) days when full"
        }
        return text
    }

    /// Every sample, then every slot and every day that is over, one object a line. Whose days they are, the zone of the
    /// gateway said when it closed them. Records that a caller put have their numbers as they are.
    static func export(_ store: RingStore) {
        let names = Dictionary(store.allSeries.map { ($0.id, "\($0.key.device)/\($0.key.channel)") }) { a, _ in a }
        store.replay(from: .distantPast) { id, sample in
            let value: JSON =
                switch sample.value {
                case .number(let number): .number(number)
                case .text(let text): .string(text)
                case .unknown: .null
                }
            line(["t": .string(sample.time.description), "series": .string(names[id] ?? "?"), "value": value])
        }
        for info in store.allSeries {
            let isNumeric = info.kind == .gauge || info.kind == .counter
            for tier in Tier.allCases {
                guard isNumeric else {
                    for record in store.records(info.id, in: tier, from: .distantPast, to: .distantFuture) {
                        line([
                            "tier": .string("\(tier)"), "t": .string(record.start.description),
                            "series": .string(names[info.id] ?? "?"),
                            "fields": .array(record.fields.map { .integer(Int(clamping: $0)) }),
                        ])
                    }
                    continue
                }
                let all =
                    tier == .slots
                    ? store.slots(info.id, from: .distantPast, to: .distantFuture)
                    : store.closedDays(info.id)
                for slot in all {
                    line([
                        "tier": .string("\(tier)"), "t": .string(slot.start.description),
                        "series": .string(names[info.id] ?? "?"), "count": .integer(slot.count),
                        "covered_s": .number(Double(slot.covered.milliseconds) / 1000), "min": .number(slot.min),
                        "max": .number(slot.max), "mean": .optional(slot.mean), "first": .number(slot.first),
                        "last": .number(slot.last),
                    ])
                }
            }
        }
    }

    private static func line(_ object: JSON) { Console.print(bytes: object.bytes + [10]) }

    private static func line(_ members: KeyValuePairs<String, JSON>) {
        line(.object(members.map { JSON.Member($0.key, $0.value) }))
    }
}
