package import Model

/// Says what time it is in the lab. It stands on the monotonic clock, which nobody sets, and follows the wall clock, which
/// people, networks and empty batteries do set:
///
///     start    known at once, or waiting until the wall clock can be right (see `Doubt`); what an earlier process knew
///              since the computer's start is still known
///     drift    up to a minute: followed
///     a jump   followed when the system says that its clock is synchronised; otherwise only when it has lasted for half
///              an hour, so that a clock that was set wrong and right again moves no sample
///
/// While it waits, the time that it gives stands where the last sample stood and goes on from there: good enough to show
/// how old something is, and replaced by the right one once that is known.
package struct TimeKeeper: Sendable {
    /// What a system knows about its clock.
    package struct System: Sendable {
        /// It follows a time server now.
        package var isSynchronised: Bool
        /// It will, a service is there that asks one.
        package var expectsSynchronisation: Bool
        /// A clock with a battery kept the time while it was off.
        package var keepsTime: Bool

        package init(isSynchronised: Bool, expectsSynchronisation: Bool, keepsTime: Bool) {
            self.isSynchronised = isSynchronised
            self.expectsSynchronisation = expectsSynchronisation
            self.keepsTime = keepsTime
        }
    }

    /// Why the wall clock is not believed.
    package enum Doubt: Hashable, Sendable {
        /// It shows a time before this software was made.
        case beforeRelease(Instant)
        /// It shows a time before the store's newest sample.
        case beforeSamples(Instant)
        /// The computer has no clock with a battery, and has not heard from a time server yet.
        case notSynchronised

        package var english: String {
            switch self {
            case .beforeRelease(let time): "the clock shows a time before \(time), when this version was made"
            case .beforeSamples(let time): "the clock shows a time before the last sample, of \(time)"
            case .notSynchronised: "the computer has not heard from a time server since it was started"
            }
        }

        package var korean: String {
            switch self {
            case .beforeRelease(let time): "시계가 이 버전이 나온 \(time)보다 이전을 가리킵니다"
            case .beforeSamples(let time): "시계가 마지막 측정 \(time)보다 이전을 가리킵니다"
            case .notSynchronised: "시작한 뒤로 아직 시간 서버와 맞추지 못했습니다"
            }
        }
    }

    /// A wall clock that was set must stay so for this long, where nobody vouches for it.
    package static let patience = Duration.minutes(30)
    /// So much may the wall clock drift between two looks, times the speed of a fast clock.
    package static let tolerance = Duration.seconds(60)

    /// nil where the time is known.
    package private(set) var doubt: Doubt?
    private let release: Instant
    private let newest: Instant?
    private let speed: Int64
    /// What the lab's wall clock shows more than the monotonic one, in milliseconds.
    private var offset: Int64
    /// A jump that is not followed yet.
    private var jump: (offset: Int64, since: Moment)?
    private let start: Moment

    /// - Parameters:
    ///   - newest: the store's newest sample.
    ///   - release: when this software was made; no time before can be true.
    ///   - believed: what the wall clock showed more than the monotonic one, in milliseconds, when it was last believed
    ///     since the computer was started.
    ///   - isTrusted: somebody vouches for the clock, whatever it shows.
    ///   - speed: of a fast clock.
    package init(
        _ read: Now, _ system: System, newest: Instant?, release: Instant, believed: Int64? = nil,
        isTrusted: Bool = false, speed: Int64 = 1
    ) {
        self.newest = newest
        self.release = release
        self.speed = speed
        start = read.moment
        offset = Self.offset(read)
        guard !isTrusted else { return }
        if let believed {
            offset = believed
            return
        }
        doubt = judge(read, system)
        // Never before what is stored: what is said now came after it.
        if doubt != nil { offset = Self.offset(Now(moment: read.moment, wall: max(newest ?? read.wall, read.wall))) }
    }

    private static func offset(_ now: Now) -> Int64 { now.wall.milliseconds - now.moment.nanoseconds / 1_000_000 }

    private func judge(_ read: Now, _ system: System) -> Doubt? {
        if read.wall < release { return .beforeRelease(release) }
        if system.isSynchronised { return nil }
        if let newest, read.wall < newest - .minutes(2), read.moment - start < Self.patience {
            return .beforeSamples(newest)
        }
        return system.expectsSynchronisation && !system.keepsTime ? .notSynchronised : nil
    }

    /// The lab's time, from what both clocks show. Nobody is asked for `system` where the clocks agree.
    package mutating func now(_ read: Now, _ system: () -> System) -> Now {
        let shown = Self.offset(read)
        if doubt != nil {
            return Now(moment: read.moment, wall: Instant(milliseconds: offset + read.moment.nanoseconds / 1_000_000))
        }
        guard (shown - offset).magnitude > (Self.tolerance * speed).milliseconds.magnitude else {
            offset = shown
            jump = nil
            return read
        }
        if jump.map({ ($0.offset - shown).magnitude > Self.tolerance.milliseconds.magnitude }) ?? true {
            jump = (shown, read.moment)
        }
        if let jump, read.moment - jump.since >= Self.patience * speed || system().isSynchronised {
            offset = shown
            self.jump = nil
            return read
        }
        return Now(moment: read.moment, wall: Instant(milliseconds: offset + read.moment.nanoseconds / 1_000_000))
    }

    /// Looks again whether the wall clock can be right, where it could not; true if from now on it is believed.
    package mutating func settle(_ read: Now, _ system: System) -> Bool {
        guard doubt != nil else { return false }
        doubt = judge(read, system)
        if doubt == nil { offset = Self.offset(read) }
        return doubt == nil
    }

    /// How far the system's clock stands from the lab's time while it is not followed; nil where it is.
    package var pendingJump: Duration? { jump.map { .milliseconds($0.offset - offset) } }
}
