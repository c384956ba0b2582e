// The clocks of the system, and a faster one for a demonstration.

import CLinux
@preconcurrency import Glibc
package import Model

/// Reads both clocks. A lab clock runs faster than real time from a common origin, so that several processes that were
/// given the same origins agree on its time of day.
package struct SystemClock: Sendable {
    private let speed: Int64
    private let realOrigin: Instant
    private let labOrigin: Instant

    /// Real time.
    package init() { self.init(speed: 1, realOrigin: Instant(milliseconds: 0), labOrigin: Instant(milliseconds: 0)) }

    /// A clock that showed `labOrigin` when it really was `realOrigin`, and runs `speed` times as fast; less than 1 is 1.
    package init(speed: Int64, realOrigin: Instant, labOrigin: Instant) {
        self.speed = max(1, speed)
        self.realOrigin = realOrigin
        self.labOrigin = labOrigin
    }

    /// This start of the computer, as one word: the monotonic clock counts from there, and goes on while it sleeps.
    package static let boot: String = {
        let text = (try? Files.text("/proc/sys/kernel/random/boot_id")) ?? ""
        return text.isEmpty ? "-" : String(text.prefix(8))
    }()

    /// The kernel says that something keeps its clock right (adjtimex(2)).
    package static var isSynchronised: Bool { fabgate_clock_is_synchronised() != 0 }

    /// A clock with a battery, by which the kernel sets its own when it starts.
    package static var hasBattery: Bool { Files.exists("/sys/class/rtc/rtc0") }

    /// systemd-timesyncd or chrony runs: the clock will be set from the network.
    package static var hasTimeService: Bool {
        ["/run/systemd/timesync", "/run/chrony", "/run/chronyd.pid", "/run/ntpd.pid"].contains(where: Files.exists)
    }

    /// Both clocks at once.
    package func now() -> Now {
        now(real: SystemClock.realNanoseconds(), monotonic: SystemClock.monotonicNanoseconds())
    }

    /// From the real clock, in nanoseconds since 1970, and the monotonic one. Origins come from people: whatever they are,
    /// arithmetic wraps and does not trap.
    package func now(real: Int64, monotonic: Int64) -> Now {
        let (milliseconds, rest) = real.quotientAndRemainder(dividingBy: 1_000_000)
        let passed = (milliseconds &- realOrigin.milliseconds) &* speed &+ (rest &* speed) / 1_000_000
        // The fast clock starts with the process, not with the machine: after a month of uptime, 3,600 times the
        // machine's own nanoseconds are more than 64 bits hold.
        let start = SystemClock.processStart
        return Now(
            moment: Moment(nanoseconds: start &+ (monotonic &- start) &* speed),
            wall: Instant(milliseconds: labOrigin.milliseconds &+ passed))
    }

    /// How long to wait, really, until this clock shows `moment`; at least 0, in whole milliseconds, not too short.
    package func realDelay(until moment: Moment, from now: Now) -> Duration {
        let (left, overflow) = moment.nanoseconds.subtractingReportingOverflow(now.moment.nanoseconds)
        if overflow { return moment > now.moment ? Duration(milliseconds: .max / 1_000_000) : .zero }
        guard left > 0 else { return .zero }
        let real = (left - 1) / speed + 1
        return Duration(milliseconds: (real - 1) / 1_000_000 + 1)
    }

    /// Both real clocks at once.
    package static func realNow() -> Now {
        Now(
            moment: Moment(nanoseconds: monotonicNanoseconds()),
            wall: Instant(milliseconds: realNanoseconds() / 1_000_000))
    }

    private static let processStart = monotonicNanoseconds()

    private static func monotonicNanoseconds() -> Int64 { read(CLOCK_BOOTTIME) }
    private static func realNanoseconds() -> Int64 { read(CLOCK_REALTIME) }

    private static func read(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
