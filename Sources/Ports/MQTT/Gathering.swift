// Letting messages gather under load, and only then.

@preconcurrency import Glibc
import Model

/// When messages come one by one and fast, each wakes the process up, is committed and acknowledged alone, and that costs
/// many times what its content does. So where the last two looks each found several, the next one waits until about
/// `wanted` have come; at most 1.5 ms, and never while a lab is quiet: at 500 messages a second each is looked at when it
/// comes. The whole loop waits, so that what else arrives meanwhile gathers, too.
struct Gathering {
    /// So many at once are worth waiting for.
    private static let several = 3
    private static let wanted = 32.0
    private static let longest = 1_500_000.0
    /// A shorter sleep costs more than it saves.
    private static let shortest = 100_000.0

    private var busyLooks = 0
    /// When the last look began.
    private var last = Moment(nanoseconds: 0)
    /// Nanoseconds to wait before the next look.
    private var pause = 0.0

    /// Waits, if it is worth it.
    func wait() {
        guard busyLooks >= 2, pause >= Gathering.shortest else { return }
        var time = timespec(tv_sec: 0, tv_nsec: Int(pause))
        nanosleep(&time, nil)
    }

    /// A look found so many messages; `isCut` where more were there.
    mutating func found(_ messages: Int, isCut: Bool) {
        let now = SystemClock.realNow().moment
        let passed = Double((now.nanoseconds - last.nanoseconds))
        last = now
        guard messages >= Gathering.several else {
            busyLooks = 0
            return
        }
        busyLooks = min(busyLooks + 1, 2)
        pause = isCut ? 0 : min(Gathering.longest, passed * Gathering.wanted / Double(messages))
    }
}
