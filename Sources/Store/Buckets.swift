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

        /// Takes numbers as long as they come before the end, at least one, and gives the place of the first other one.
        mutating func addNumbers(
            _ times: borrowing Span<Int64>, _ bits: borrowing Span<UInt64>, from first: Int, before end: Int64
        ) -> Int {
            // Of its own, so that it stays in registers.
            var own = self
            var index = first
            repeat {
                own.add(times[index], .number, bits[index])
                index += 1
            } while index < times.count && times[index] < end && own.held == 0
            guard own.held > 0, bits.count == times.count else {
                self = own
                return index
            }
            // What stays the same goes on holding. `plain` counts only where no time passes.
            let start = index
            var lastBits = own.last.bitPattern
            while index < times.count {
                let time = times[index]
                guard time < end else { break }
                if bits[index] != lastBits {
                    lastBits = bits[index]
                    own.hold(until: time)
                    own.last = Double(bitPattern: lastBits)
                    own.least = Swift.min(own.least, own.last)
                    own.most = Swift.max(own.most, own.last)
                }
                index &+= 1
            }
            own.count &+= index &- start
            self = own
            return index
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
        guard columns.areNumbers else {
            columns.forEach(in: range) { time, tag, bits in
                if time >= end { move(to: Int((time - from) / step)) }
                sums.add(time, tag, bits)
            }
            return
        }
        let times = columns.times.span.extracting(range)
        let bits = columns.bits.span.extracting(range)
        var index = 0
        while index < times.count {
            if times[index] >= end { move(to: Int((times[index] - from) / step)) }
            index = sums.addNumbers(times, bits, from: index, before: end)
        }
    }

    /// Takes so many samples of the same number, in order of time, of which the times between are not known; false where
    /// these matter, and nothing is taken.
    mutating func add(_ bits: UInt64, count: Int, first: Int64, last: Int64) -> Bool {
        // What a damaged page says may be anything.
        guard first < last, first >= from, last < to else { return false }
        if first >= end { move(to: Int((first - from) / step)) }
        // What stays the same goes on holding.
        guard last < end else { return false }
        sums.add(first, .number, bits)
        sums.count &+= count &- 1
        return true
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
