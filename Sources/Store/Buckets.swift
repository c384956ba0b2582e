import Model

/// Makes points of samples that come in order of time.
struct Buckets {
    private let from: Int64
    private let to: Int64
    private let step: Int64
    private var points: [Point] = []
    private var index = -1
    private var count = 0
    private var least = 0.0
    private var most = 0.0
    private var last = 0.0
    private var plain = 0.0
    /// Of value times milliseconds, and of milliseconds, up to `since`.
    private var area = 0.0
    private var held = 0.0
    private var since: Int64 = 0
    private var holds = false
    /// Of the bucket that is being filled.
    private var end = Int64.min

    init(from: Int64, to: Int64, step: Int64) {
        self.from = from
        self.to = to
        self.step = step
        points.reserveCapacity(Int((to - from) / step) + 1)
    }

    /// Samples in order of time, none before those that came already.
    mutating func add(_ columns: Columns, _ range: Range<Int>) {
        guard columns.areNumbers else {
            for index in range { add(columns.times[index], columns.tag(index), columns.bits[index]) }
            return
        }
        let times = columns.times.span.extracting(range)
        let bits = columns.bits.span.extracting(range)
        var index = 0
        while index < times.count, index < bits.count {
            let time = times[index]
            if time >= end { move(to: Int((time - from) / step)) }
            take(time, Double(bitPattern: bits[index]))
            index &+= 1
        }
    }

    @inline(__always)
    private mutating func take(_ time: Int64, _ number: Double) {
        hold(until: time)
        holds = true
        if count == 0 {
            least = number
            most = number
        } else {
            least = Swift.min(least, number)
            most = Swift.max(most, number)
        }
        last = number
        plain += number
        count &+= 1
    }

    @inline(__always)
    private mutating func add(_ time: Int64, _ tag: ValueTag, _ bits: UInt64) {
        if time >= end { move(to: Int((time - from) / step)) }
        guard tag != .text else { return }
        hold(until: time)
        holds = tag == .number
        guard holds else { return }
        take(time, Double(bitPattern: bits))
    }

    @inline(__always)
    private mutating func hold(until time: Int64) {
        if holds {
            area += last * Double(time - since)
            held += Double(time - since)
        }
        since = time
    }

    private mutating func move(to bucket: Int) {
        while index < bucket {
            if index >= 0 { close() }
            index += 1
        }
        end = from + Int64(index + 1) * step
    }

    private mutating func close() {
        let start = from + Int64(index) * step
        hold(until: Swift.min(start + step, to))
        let mean = held > 0 ? area / held : plain / Double(Swift.max(count, 1))
        points.append(
            Point(
                start: Instant(milliseconds: start), count: count, min: count > 0 ? least : nil,
                max: count > 0 ? most : nil, mean: count > 0 ? mean : nil, last: count > 0 ? last : nil))
        count = 0
        plain = 0
        area = 0
        held = 0
        holds = false
    }

    mutating func finish() -> [Point] {
        move(to: Int((to - from + step - 1) / step))
        return points
    }
}
