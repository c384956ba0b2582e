import Model

/// Makes points of samples that come in order of time.
struct Buckets {
    private let from: Int64
    private let to: Int64
    private let step: Int64
    private var points: [Point] = []
    private var index = -1
    /// Of the bucket that is being filled.
    private var end = Int64.min
    private var sums = Sums()

    /// What a bucket needs to know of its samples so far.
    private struct Sums {
        var count = 0
        var least = 0.0
        var most = 0.0
        var last = 0.0
        var plain = 0.0
        /// Of value times milliseconds, and of milliseconds, up to `since`.
        var area = 0.0
        var held: Int64 = 0
        var since: Int64 = 0
        var holds = false

        @inline(__always)
        mutating func hold(until time: Int64) {
            if holds {
                let length = time &- since
                area += last * Double(length)
                held &+= length
            }
            since = time
        }

        @inline(__always)
        mutating func add(_ time: Int64, _ tag: ValueTag, _ bits: UInt64) {
            guard tag != .text else { return }
            hold(until: time)
            holds = tag == .number
            guard holds else { return }
            let number = Double(bitPattern: bits)
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
    }

    init(from: Int64, to: Int64, step: Int64) {
        self.from = from
        self.to = to
        self.step = step
        points.reserveCapacity(Int((to - from) / step) + 1)
    }

    /// Samples in order of time, none before those that came already.
    mutating func add(_ columns: Columns, _ range: Range<Int>) {
        // Of its own, so that it stays in registers.
        var own = sums
        columns.forEach(in: range) { time, tag, bits in
            if time >= end {
                sums = own
                move(to: Int((time - from) / step))
                own = sums
            }
            own.add(time, tag, bits)
        }
        sums = own
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
        sums.hold(until: Swift.min(start + step, to))
        let isEmpty = sums.count == 0
        let mean = sums.held > 0 ? sums.area / Double(sums.held) : sums.plain / Double(Swift.max(sums.count, 1))
        points.append(
            Point(
                start: Instant(milliseconds: start), count: sums.count, min: isEmpty ? nil : sums.least,
                max: isEmpty ? nil : sums.most, mean: isEmpty ? nil : mean, last: isEmpty ? nil : sums.last))
        sums = Sums()
    }

    mutating func finish() -> [Point] {
        move(to: Int((to - from + step - 1) / step))
        return points
    }
}
