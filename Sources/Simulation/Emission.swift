package import Model

/// What a simulated device says without being asked.
package enum Emission: Hashable, Sendable {
    /// A message for the broker.
    case publish(topic: String, payload: [UInt8], retain: Bool)
    /// Bytes on a serial wire.
    case serial(wire: String, bytes: [UInt8])

    static func publish(_ topic: String, _ text: FirmwareText, retain: Bool = false) -> Emission {
        .publish(topic: topic, payload: text.bytes, retain: retain)
    }

    static func line(_ wire: String, _ text: FirmwareText, end: StaticString = "\r\n") -> Emission {
        var text = text
        text.add(end)
        return .serial(wire: wire, bytes: text.bytes)
    }
}

/// What kind of lab is played.
package struct LabProfile: Hashable, Sendable {
    /// What the devices' own clocks add to UTC; plugs print it and begin their day by it.
    package var utcOffset: Duration
    /// When people are there, since midnight on those clocks; nil where they never go home.
    package var hours: Range<Duration>?
    /// Whether the press's thermocouple comes loose now and then.
    package var sensorBreaks: Bool
    /// Days of the week on which nobody comes; Monday is 0.
    package var closedDays: Set<Int> = []
    /// How likely somebody begins something who could, by month.
    package var busyness = [Double](repeating: 1, count: 12)
    /// s that a file takes to print, on printers that people do not switch off.
    package var prints: ClosedRange<Int64> = 900...9000
    /// Parts live from one event to the next instead of second by second, and plugs report as seldom as they do by
    /// default.
    package var isCoarse = false

    package init(utcOffset: Duration = .hours(9), hours: Range<Duration>? = nil, sensorBreaks: Bool = false) {
        self.utcOffset = utcOffset
        self.hours = hours
        self.sensorBreaks = sensorBreaks
    }

    /// Open on six days a week, quiet on Sundays, in the holidays of winter and summer, and at night.
    package static let makerSpace = {
        var profile = LabProfile(hours: .hours(10)..<Duration.hours(22))
        profile.closedDays = [6]
        profile.busyness = [0.45, 0.5, 0.9, 1, 1, 0.95, 0.7, 0.5, 0.95, 1, 1, 0.8]
        profile.isCoarse = true
        return profile
    }()

    /// Never closed, so that within six hours from any start everything happens.
    package static let demo = LabProfile()

    func isOpen(at time: Instant) -> Bool {
        guard let hours else { return true }
        let local = time + utcOffset
        let midnight = local.floor(to: .hours(24))
        return hours.contains(local - midnight) && !closedDays.contains(Self.weekday(midnight))
    }

    /// When somebody who finds it closed at `time` can come again.
    func nextOpening(after time: Instant) -> Instant {
        guard let hours, !isOpen(at: time) else { return time }
        var midnight = (time + utcOffset).floor(to: .hours(24))
        // A lab that never opens is asked again in a week.
        for _ in 0..<8 {
            let opens = midnight + hours.lowerBound - utcOffset
            if opens > time, !closedDays.contains(Self.weekday(midnight)) { return opens }
            midnight = midnight + .hours(24)
        }
        return time + .hours(168)
    }

    /// Whether somebody who could begin something now does.
    func comes(at time: Instant, _ random: inout SeededRandom) -> Bool {
        guard isOpen(at: time) else { return false }
        let day = (time + utcOffset).floor(to: .hours(24)).milliseconds / 86_400_000
        let chance = busyness[CivilDate(daysSince1970: day).month - 1]
        return chance >= 1 || random.chance(chance)
    }

    /// 1970 began on a Thursday.
    private static func weekday(_ midnight: Instant) -> Int { Int((midnight.milliseconds / 86_400_000 + 3) % 7) }
}
