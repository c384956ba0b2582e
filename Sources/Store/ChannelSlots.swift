// Quarters of an hour of every series of numbers, kept by the store itself: made when samples are sealed, put right when
// late ones come. A slot is a function of its own samples: each number holds until the next sample of the slot or the
// slot's end, an unknown holds nothing. As a record of the tier, whole numbers with decimal places, so that two slots
// merge exactly:
//
//     0 covered ms, up to the last sample   1 integral: number × ms, up to the last sample
//     2 places 0…4; −1: 1 and 4 to 8 are the bits of doubles
//     3 ms from the start to the last sample, times two, plus one where it still holds
//     4 last   5 count   6 least   7 most   8 first
//     no fields at all: a slot that was found to be empty

package import Model

/// What one series did in a quarter of an hour or a day.
package struct ChannelSlot: Hashable, Sendable {
    package static let length = Duration.minutes(15)

    package let start: Instant
    package let end: Instant
    /// How many numbers.
    package var count = 0
    /// For so long a number was in force.
    package var covered = Duration.zero
    /// Of number × milliseconds, over the time covered.
    package var integral = 0.0
    package var min = 0.0
    package var max = 0.0
    package var first = 0.0
    package var last = 0.0

    package init(
        start: Instant, end: Instant, count: Int = 0, covered: Duration = .zero, integral: Double = 0, min: Double = 0,
        max: Double = 0, first: Double = 0, last: Double = 0
    ) {
        self.start = start
        self.end = end
        self.count = count
        self.covered = covered
        self.integral = integral
        self.min = min
        self.max = max
        self.first = first
        self.last = last
    }

    /// Weighted by time; nil where there is no number.
    package var mean: Double? {
        count == 0 ? nil : covered > .zero ? integral / Double(covered.milliseconds) : last
    }

    /// Takes in what came later.
    package mutating func merge(_ other: ChannelSlot) {
        guard other.count > 0 else { return }
        min = count == 0 ? other.min : Swift.min(min, other.min)
        max = count == 0 ? other.max : Swift.max(max, other.max)
        if count == 0 { first = other.first }
        last = other.last
        count += other.count
        covered = covered + other.covered
        integral += other.integral
    }
}

/// A slot that is being made.
struct SlotState {
    /// In milliseconds. Computed, since a constant would be asked for with every sample whether it is made already.
    static var length: Int64 { 900_000 }
    static let fields = 9
    /// No day is longer.
    private static let longest: Int64 = 27 * 3_600_000
    /// No store holds more numbers; of what says more, not even a few could be added up.
    private static let mostNumbers: Int64 = 1 << 32

    let start: Int64
    private(set) var count = 0
    private var covered: Int64 = 0
    private var integral = 0.0
    private var least = 0.0
    private var most = 0.0
    private var first = 0.0
    private var last = 0.0
    /// Of the last sample, also an unknown.
    private(set) var lastTime: Int64
    private var holds = false
    private(set) var isEmpty = true

    init(start: Int64) {
        self.start = start
        lastTime = start
    }

    @inline(__always)
    static func start(of time: Int64) -> Int64 {
        let rest = time % length
        return time &- (rest < 0 ? rest &+ length : rest)
    }

    @inline(__always)
    mutating func add(_ time: Int64, _ tag: ValueTag, _ bits: UInt64) {
        guard tag != .text else { return }
        hold(until: time)
        isEmpty = false
        holds = tag == .number
        guard holds else { return }
        let number = Double(bitPattern: bits)
        guard number.isFinite else {
            holds = false
            return
        }
        if count == 0 {
            least = number
            most = number
            first = number
        } else {
            if number < least { least = number }
            if number > most { most = number }
        }
        last = number
        count &+= 1
    }

    /// A sample as the archive's columns have it.
    @inline(__always)
    mutating func add(_ time: Int64, _ bits: UInt64, mark: UInt8) {
        if mark < SortedColumns.double {
            let number = Decimal.number(Int64(bitPattern: bits), places: Int(mark))
            // Nearly all that sensors send, most of it the same as before; never a NaN or an infinity.
            if holds {
                hold(until: time)
                if number.bitPattern != last.bitPattern { take(number) }
                count &+= 1
                return
            }
            return add(time, .number, number.bitPattern)
        }
        let tag: ValueTag =
            mark == SortedColumns.text ? .text : mark == SortedColumns.unknown ? .unknown : .number
        add(time, tag, bits)
    }

    /// Takes decimals as long as they come in order and before the slot's end, and gives the place of the first other
    /// sample.
    mutating func addDecimals(
        _ times: borrowing Span<Int64>, _ bits: borrowing Span<UInt64>, _ marks: borrowing Span<UInt8>, from first: Int
    ) -> Int {
        guard holds, bits.count == times.count, marks.count == times.count else { return first }
        // Of its own, so that it stays in registers.
        var own = self
        let end = start &+ SlotState.length
        var (lastBits, lastMark): (UInt64, UInt8) = (0, .max)
        var index = first
        while index < times.count {
            let (time, mark) = (times[index], marks[index])
            guard mark < SortedColumns.double, time >= own.lastTime, time < end else { break }
            let length = time &- own.lastTime
            own.integral += own.last * Double(length)
            own.covered &+= length
            own.lastTime = time
            if bits[index] != lastBits || mark != lastMark {
                (lastBits, lastMark) = (bits[index], mark)
                own.take(Decimal.number(Int64(bitPattern: lastBits), places: Int(mark)))
            }
            index &+= 1
        }
        own.count &+= index &- first
        self = own
        return index
    }

    @inline(__always)
    private mutating func take(_ number: Double) {
        if number < least { least = number }
        if number > most { most = number }
        last = number
    }

    /// Samples in order of time.
    mutating func add(_ columns: Columns, _ range: Range<Int>) {
        columns.forEach(in: range) { add($0, $1, $2) }
    }

    @inline(__always)
    private mutating func hold(until time: Int64) {
        if holds {
            let length = time &- lastTime
            integral += last * Double(length)
            covered &+= length
        }
        lastTime = time
    }

    /// A stretch of which all is known.
    init(_ whole: ChannelSlot) {
        self.init(start: whole.start.milliseconds)
        count = whole.count
        covered = whole.covered.milliseconds
        integral = whole.integral
        least = whole.min
        most = whole.max
        first = whole.first
        last = whole.last
        isEmpty = count == 0
    }

    /// What it says of the time to `end`, or to `limit` where that is earlier.
    func slot(to end: Int64, until limit: Int64 = .max) -> ChannelSlot {
        var whole = self
        whole.hold(until: max(lastTime, min(end, limit)))
        var slot = ChannelSlot(start: Instant(milliseconds: start), end: Instant(milliseconds: end))
        slot.count = whole.count
        slot.covered = .milliseconds(whole.covered)
        slot.integral = whole.integral
        slot.min = least
        slot.max = most
        slot.first = first
        slot.last = last
        return slot
    }

    /// Takes into `sum` what `slot(to: end)` says, after what came before.
    @inline(__always)
    func add(to sum: inout ChannelSlot, until end: Int64) {
        guard count > 0 else { return }
        let isFirst = sum.count == 0
        sum.min = isFirst ? least : Swift.min(sum.min, least)
        sum.max = isFirst ? most : Swift.max(sum.max, most)
        if isFirst { sum.first = first }
        sum.last = last
        sum.count += count
        let length = holds ? Swift.max(0, end &- lastTime) : 0
        sum.covered = sum.covered + .milliseconds(covered &+ length)
        sum.integral += length > 0 ? integral + last * Double(length) : integral
    }

    // MARK: - As a record

    var record: [Int64] {
        for places in 0...Decimal.mostPlaces {
            let scale = Decimal.scale(places)
            guard let last = Decimal.whole(last, scale: scale), let least = Decimal.whole(least, scale: scale),
                let most = Decimal.whole(most, scale: scale), let first = Decimal.whole(first, scale: scale)
            else { continue }
            // The extremes may be whole where what is between them is not.
            let sum = integral * scale
            let whole = sum.rounded()
            guard (sum - whole).magnitude <= 1e-6 + sum.magnitude * 1e-12 else { continue }
            guard whole.magnitude < 9e15 else { break }
            return fields(Int64(whole), places: Int64(places), last, least, most, first)
        }
        return fields(integral.bits, places: -1, last.bits, least.bits, most.bits, first.bits)
    }

    private func fields(
        _ integral: Int64, places: Int64, _ last: Int64, _ least: Int64, _ most: Int64, _ first: Int64
    ) -> [Int64] {
        [covered, integral, places, (lastTime - start) * 2 + (holds ? 1 : 0), last, Int64(count), least, most, first]
    }

    /// nil where the fields are no slot. Those after the fifth may be missing, and then only its mean is right; or the last
    /// one, and then it is not known how it began.
    @inline(__always)
    init?(start: Int64, count fields: Int, _ field: (Int) -> Int64) {
        guard fields >= 5 else { return nil }
        let (covered, decimals, reach) = (field(0), field(2), field(3))
        guard (-1...Int64(Decimal.mostPlaces)).contains(decimals), reach >= 0, reach / 2 <= SlotState.longest,
            covered >= 0, covered <= SlotState.longest
        else { return nil }
        self.init(start: start)
        let places = Int(decimals)
        @inline(__always)
        func number(_ field: Int64) -> Double {
            places < 0 ? Double(bitPattern: UInt64(bitPattern: field)) : Decimal.number(field, places: places)
        }
        self.covered = covered
        integral = number(field(1))
        lastTime = start &+ reach / 2
        holds = reach % 2 == 1
        last = number(field(4))
        count = 1
        isEmpty = false
        guard fields >= SlotState.fields - 1 else { return }
        guard (0...SlotState.mostNumbers).contains(field(5)) else { return nil }
        count = Int(field(5))
        // Half of all slots are of what stays the same: a division less for each.
        least = field(6) == field(4) ? last : number(field(6))
        most = field(7) == field(4) ? last : number(field(7))
        if fields >= SlotState.fields { first = number(field(8)) }
    }

    init?(_ record: TierRecord) {
        self.init(start: record.start.milliseconds, count: record.fields.count) { record.fields[$0] }
    }
}

extension Double {
    fileprivate var bits: Int64 { Int64(bitPattern: bitPattern) }
}
