import Model
import Ports
import Testing

/// Messages gather under load, a message never waits for longer than 2.5 ms in a look, and in quiet never at all.
@Suite struct GatheringTests {
    /// What one who sends at a steady rate sees.
    private struct Seen {
        /// Of the second half, where the rate is known.
        var looks = 0
        var messages = 0
        /// The longest that a message waited, in nanoseconds.
        var longest: Int64 = 0
    }

    /// Messages come every `gap` nanoseconds; a look costs 20 µs and 5 µs a message.
    private func play(gap: Int64, count: Int, _ gathering: inout Gathering, from start: Int64 = 1_000_000_000) -> Seen {
        var seen = Seen()
        var next = 0
        var time = start
        while next < count {
            time = max(time, start + Int64(next) * gap)
            time += Int64(gathering.pause(at: Moment(nanoseconds: time)))
            let first = start + Int64(next) * gap
            let came = min(count, Int((time - start) / gap) + 1)
            let found = max(1, came - next)
            gathering.found(found, isCut: false, at: Moment(nanoseconds: time))
            if next >= count / 2 {
                seen.looks += 1
                seen.messages += found
                seen.longest = max(seen.longest, time - first)
            }
            next += found
            time += 20_000 + 5_000 * Int64(found)
        }
        return seen
    }

    @Test(arguments: [1_000_000_000, 50_000_000, 5_000_000, 2_000_000] as [Int64])
    func inQuietNobodyWaits(gap: Int64) {
        var gathering = Gathering()
        let seen = play(gap: gap, count: 200, &gathering)
        #expect(seen.looks == 100 && seen.longest == 0)
    }

    @Test(
        arguments: [(700_000, 2), (200_000, 10), (100_000, 12), (25_000, 20), (10_000, 20)]
            as [(Int64, Int)])
    func underLoadSomeGatherAndNobodyWaitsLong(gap: Int64, least: Int) {
        var gathering = Gathering()
        let seen = play(gap: gap, count: 20_000, &gathering)
        #expect(seen.messages >= least * seen.looks, "\(seen)")
        #expect(seen.longest <= 2_500_000, "\(seen)")
    }

    @Test func whatABrokerHadKeptIsNoLoad() {
        var gathering = Gathering()
        _ = play(gap: 100_000_000, count: 20, &gathering)
        let now = Moment(nanoseconds: 60_000_000_000)
        gathering.found(5000, isCut: false, at: now)
        #expect(gathering.pause(at: Moment(nanoseconds: now.nanoseconds + 1_000_000)) == 0)
    }

    @Test func aLookThatLeftSomethingIsFollowedAtOnce() {
        var gathering = Gathering()
        _ = play(gap: 50_000, count: 20_000, &gathering)
        let now = Moment(nanoseconds: 3_000_000_000)
        gathering.found(1000, isCut: true, at: now)
        #expect(gathering.pause(at: now) == 0)
        gathering.found(100, isCut: false, at: now)
        #expect(gathering.pause(at: now) > 0)
        // After a second of quiet it is forgotten.
        gathering.found(1, isCut: false, at: Moment(nanoseconds: 13_000_000_000))
        #expect(gathering.pause(at: Moment(nanoseconds: 13_000_100_000)) == 0)
    }
}
