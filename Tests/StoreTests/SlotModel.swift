import Model
import Store
import Testing

/// Quarters of an hour and days, computed the plain way from the samples that a store gives.
enum SlotModel {
    static func slots(_ samples: [Sample]) -> [ChannelSlot] {
        var groups: [Instant: [Sample]] = [:]
        for sample in samples { groups[sample.time.floor(to: ChannelSlot.length), default: []].append(sample) }
        return groups.keys.sorted().compactMap { fold(groups[$0] ?? [], $0) }
    }

    private struct Plain {
        var count = 0
        var covered: Int64 = 0
        var integral = 0.0
        var numbers: [Double] = []
    }

    private static func fold(_ samples: [Sample], _ start: Instant) -> ChannelSlot? {
        var plain = Plain()
        for (index, sample) in samples.enumerated() {
            let next = index + 1 < samples.count ? samples[index + 1].time : start + ChannelSlot.length
            guard case .number(let number) = sample.value, number.isFinite else { continue }
            plain.numbers.append(number)
            plain.covered += (next - sample.time).milliseconds
            plain.integral += number * Double((next - sample.time).milliseconds)
        }
        guard let first = plain.numbers.first, let last = plain.numbers.last else { return nil }
        return ChannelSlot(
            start: start, end: start + ChannelSlot.length, count: plain.numbers.count,
            covered: .milliseconds(plain.covered), integral: plain.integral, min: plain.numbers.min() ?? 0,
            max: plain.numbers.max() ?? 0, first: first, last: last)
    }

    static func agree(_ a: ChannelSlot, _ b: ChannelSlot) -> Bool {
        guard a.start == b.start, a.end == b.end, a.count == b.count, a.covered == b.covered, a.min == b.min,
            a.max == b.max, a.first == b.first, a.last == b.last
        else { return false }
        let size = Swift.max(a.min.magnitude, a.max.magnitude) * Double(a.covered.milliseconds)
        return !size.isFinite || (a.integral - b.integral).magnitude <= size * 1e-11
    }

    /// Every slot of every series of numbers is what its samples say, and their days are what the slots say.
    static func check(_ store: RingStore, _ context: String) {
        for info in store.allSeries where info.kind == .gauge || info.kind == .counter {
            // Text does not end what holds.
            let samples = Workload.everything(store, info.id).filter {
                if case .text = $0.value { false } else { true }
            }
            let expected = slots(samples)
            let found = store.slots(info.id, from: .distantPast, to: .distantFuture)
            guard found.count == expected.count, zip(found, expected).allSatisfy(agree) else {
                let differing = zip(found, expected).first { !agree($0, $1) }
                Issue.record(
                    "\(info.key): \(found.count) slots for \(expected.count), \(String(describing: differing)), \(context)"
                )
                return
            }
            var days: [Instant: ChannelSlot] = [:]
            for slot in expected {
                let start = slot.start.floor(to: .hours(24))
                let whole = ChannelSlot(start: start, end: start + .hours(24))
                days[start, default: whole].merge(slot)
            }
            let foundDays = store.days(info.id, from: .distantPast, to: .distantFuture)
            let expectedDays = days.sorted { $0.key < $1.key }.map(\.value)
            if foundDays.count != expectedDays.count || !zip(foundDays, expectedDays).allSatisfy(agree) {
                let differing = zip(foundDays, expectedDays).first { !agree($0, $1) }
                Issue.record(
                    "\(info.key): \(foundDays.count) days for \(expectedDays.count), \(String(describing: differing)), \(context)"
                )
                return
            }
        }
    }
}
