import Model
import Usage

// The keys of `usage:` that say how a machine's use is told.

private let watts: KeyValuePairs = ["W": 1.0, "kW": 1000]

extension PowerRule {
    /// `idle_below`, `running_above`, `off_below` in W or kW; `dwell`, or `start_after` and `stop_after` apart;
    /// `merge_gap` where two runs are one although the quiet between them lasted longer than `stop_after`;
    /// `minimum_run`; `minimum_energy` in Wh.
    init(_ usage: inout Fields?, _ place: Position, _ problems: inout Problems) {
        let idle = usage?.quantity("idle_below", watts, example: "5 W", &problems) ?? 5
        let running = usage?.quantity("running_above", watts, example: "60 W", &problems) ?? 30
        let dwell = usage?.duration("dwell", example: "20 s", &problems) ?? .seconds(20)
        self.init(idleBelow: idle, runningAbove: running, dwell: dwell)
        offBelow = usage?.quantity("off_below", watts, example: "2 W", &problems) ?? min(2, idle)
        startAfter = usage?.duration("start_after", example: "30 s", &problems) ?? dwell
        stopAfter = usage?.duration("stop_after", example: "5 min", &problems) ?? dwell
        if let gap = usage?.duration("merge_gap", example: "5 min", &problems) { stopAfter = max(stopAfter, gap) }
        minimumRun = usage?.duration("minimum_run", example: "1 min", &problems) ?? .zero
        minimumEnergy =
            usage?.quantity("minimum_energy", ["Wh": 1.0, "kWh": 1000, "mWh": 0.001], example: "5 Wh", &problems) ?? 0
        if idle >= running {
            problems.add(place, "'running_above' (\(running) W) must be more than 'idle_below' (\(idle) W)")
        }
        if offBelow > idle {
            problems.add(place, "'off_below' (\(offBelow) W) must not be more than 'idle_below' (\(idle) W)")
        }
        for (key, length) in [("start_after", startAfter), ("stop_after", stopAfter), ("minimum_run", minimumRun)]
        where length > .hours(1) {
            problems.add(place, "'\(key)' must not be more than an hour: until then nobody knows what the machine does")
        }
    }
}

/// When a machine's own word and its meter contradict each other.
struct Contradiction {
    /// A machine that says that it idles and draws this many W; nil where nothing is compared.
    var above: Double?
    var after: Duration

    /// `disagree_above` (default 100 W) and `disagree_after` (default 10 min).
    init(_ usage: inout Fields?, applies: Bool, _ problems: inout Problems) {
        let limit = usage?.quantity("disagree_above", watts, example: "200 W", &problems)
        above = applies ? limit ?? 100 : nil
        after = usage?.duration("disagree_after", example: "10 min", &problems) ?? .minutes(10)
    }
}

extension Tariff {
    /// `currency`, `price_per_kwh` and `co2_g_per_kwh`: a number, or numbers by hours of the day that cover all of it,
    /// such as `{ "00-09": 85, "09-18": 160, "18-24": 85 }`.
    init(_ fields: inout Fields, _ problems: inout Problems) {
        self.init()
        currency = fields.text("currency", &problems)
        price = Self.hours("price_per_kwh", &fields, &problems)
        carbon = Self.hours("co2_g_per_kwh", &fields, &problems)
    }

    private static func hours(_ key: String, _ fields: inout Fields, _ problems: inout Problems) -> [Double]? {
        let place = fields.place(key)
        guard let value = fields.value(key) else { return nil }
        if case .scalar(let text, _) = value.content, let number = Double(text), number.isFinite, number >= 0 {
            return [Double](repeating: number, count: 24)
        }
        guard var parts = Fields(value, "'\(key)'", &problems) else { return nil }
        var hours = [Double?](repeating: nil, count: 24)
        for part in parts.keys {
            let ends = part.split(separator: "-").map { Int($0) }
            guard ends.count == 2, let from = ends[0], let to = ends[1], 0 <= from, from < to, to <= 24,
                let text = parts.text(part, &problems), let number = Double(text), number.isFinite, number >= 0
            else {
                problems.add(place, "'\(key)' needs lines such as \"09-18\": 160, not '\(part)'")
                return nil
            }
            for hour in from..<to { hours[hour] = number }
        }
        let known = hours.compactMap { $0 }
        if known.count < 24 { problems.add(place, "'\(key)' must cover all 24 hours of the day") }
        return known.count == 24 ? known : nil
    }
}
