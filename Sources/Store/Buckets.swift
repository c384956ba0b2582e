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

    init(from: Int64, to: Int64, step: Int64) {
        self.from = from
        self.to = to
        self.step = step
        points.reserveCapacity(Int((to - from) / step) + 1)
    }

    @inline(__always)
    mutating func add(_ time: Int64, _ tag: ValueTag, _ bits: UInt64) {
        let bucket = Int((time - from) / step)
        if bucket != index { move(to: bucket) }
        guard tag != .text else { return }
        hold(until: time)
        holds = tag == .number
        guard holds else { return }
        let number = Double(bitPattern: bits)
        least = count == 0 ? number : Swift.min(least, number)
        most = count == 0 ? number : Swift.max(most, number)
        last = number
        plain += number
        count += 1
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
