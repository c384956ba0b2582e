// Letting messages gather under load, and only then.

package import Model

/// When messages come one by one and fast, each wakes the process up, is committed and acknowledged alone, and that costs
/// many times what its content does. So where they have come fast for a while, looks keep a distance in which some gather:
/// about 16 at up to 2.2 ms, and about 32 where they come faster than that. A message may wait for two looks, because a
/// broker's system holds a small packet back until the one before it is acknowledged (Nagle): 5 ms are not to be exceeded.
/// While a lab is quiet each is looked at when it comes. The whole loop waits, so that what else arrives meanwhile
/// gathers, too.
package struct Gathering {
    /// Slower than this is quiet, in messages a second: below it gathering would save a fiftieth of a core at most, and
    /// make a message thirty times as late.
    package static let quiet = 1000.0
    /// The distance of looks, in nanoseconds.
    package static let longest = 2_200_000.0
    /// The same where more than 16 gather in it anyway. A broker stops after twenty messages that nobody acknowledged,
    /// unless it was told otherwise, and must not wait for long then.
    private static let longestWhenFast = 1_500_000.0
    /// A shorter sleep costs more than it saves.
    private static let shortest = 100_000.0
    /// The rate is one of about so long, in nanoseconds.
    private static let memory = 100_000_000.0
    /// A look counts as no more, so that what a broker had kept and hands over at once is not taken for load.
    private static let mostCounted = 24.0

    package init() {}

    /// Messages a second.
    package private(set) var rate = 0.0
    /// When the last look began.
    private var last = Moment(nanoseconds: .min)
    /// The last look left something.
    private var isCut = false

    /// For how many nanoseconds the next look is to wait, now that something is there; 0 for not at all.
    package func pause(at now: Moment) -> Int {
        guard rate >= Gathering.quiet, !isCut else { return 0 }
        let slow = min(Gathering.longest, 16e9 / rate)
        let distance = max(slow, min(Gathering.longestWhenFast, 32e9 / rate))
        let pause = distance - Double(now.nanoseconds - last.nanoseconds)
        return pause < Gathering.shortest ? 0 : Int(min(pause, Gathering.longest))
    }

    /// A look that began at `start` found so many messages; `isCut` where more were there.
    package mutating func found(_ messages: Int, isCut: Bool, at start: Moment) {
        let passed = last.nanoseconds == .min ? .infinity : Double(start.nanoseconds - last.nanoseconds)
        let counted = min(Gathering.mostCounted, Double(messages))
        rate = rate / (1 + max(0, passed) / Gathering.memory) + counted * (1e9 / Gathering.memory)
        last = start
        self.isCut = isCut
    }
}
