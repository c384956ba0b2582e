package import Model
package import Store

// A gateway that starts before its computer knows the time. What devices say meanwhile is shown at once and kept in a
// series of its own, with the moment of the monotonic clock instead of a time:
//
//     gateway/waiting    BOOT SERIES MOMENT n1.5 | tTEXT | u     one value, SERIES and MOMENT (milliseconds) in decimal
//                        BOOT SERIES MOMENT pTEXT                the beginning of a text for which there is no room, and
//                        BOOT SERIES MOMENT cTEXT                its end
//                        settling OFFSET                         the time is known: so many milliseconds more than moments
//                        settled                                 all values before stand in their own series
//                        believed BOOT OFFSET                    since this start of the computer the clock was right when
//                                                                it showed so many milliseconds more than moments
//
// The monotonic clock goes on as long as the computer runs, so a process that dies meanwhile loses nothing. Values of an
// earlier start of the computer can be dated by nobody: they are counted, told, and left out. A process that is started
// again while no time server can be heard goes on with the clock that the one before it believed; where none was
// believed yet, what waits since the one before ends with the word that the gateway was off.

extension Hub {
    static let waitingChannel = "waiting"

    /// Whether the time is not known yet: nothing is rolled up, and samples wait for theirs.
    package var isWaitingForClock: Bool { waiting != nil }

    /// What waits.
    struct Waiting {
        /// The computer's start, by which moments can be told from those before it.
        let boot: String
        /// Where the store ended when the process started.
        let newest: Instant?
        /// Where what waits stands in the store, in front of all that has its time.
        let place: Instant
        /// Why the clock is not believed.
        var doubt: TimeKeeper.Doubt
        var count = 0
    }

    /// Everything but display waits.
    mutating func wait(_ doubt: TimeKeeper.Doubt, boot: String) {
        waiting = Waiting(boot: boot, newest: store.newest, place: store.newest ?? lastLook.wall, doubt: doubt)
        due.windows = .never
        due.beat = .never
        act(.log(.warning, "\(doubt.english); samples wait until it is right, and nothing is rolled up before"))
    }

    /// Stores a value, or keeps it until the time is known.
    mutating func put(_ series: SeriesID, _ time: Instant, _ value: StoredValue) {
        guard let kept = waiting else { return store.append(series, time, value) }
        guard let waitingSeries else { return }
        let moment = Self.milliseconds(lastLook.moment) + (time - lastLook.wall).milliseconds
        for text in WaitingValue(boot: kept.boot, series: series.raw, moment: moment, value: value).texts {
            store.append(waitingSeries, kept.place, .text(text))
        }
        waiting?.count += 1
    }

    /// What the wall clock showed more than the monotonic one, in milliseconds, when it was last believed since the
    /// computer's start `boot`; nil where it never was.
    package static func believedOffset(in store: RingStore, boot: String) -> Int64? {
        lastBelieved(in: store, boot: boot).offset
    }

    /// And where the notes about it end.
    private static func lastBelieved(in store: RingStore, boot: String) -> (offset: Int64?, end: Instant?) {
        guard let series = store.find(SeriesKey(device: ownDevice, channel: waitingChannel)) else { return (nil, nil) }
        var (offset, end): (Int64?, Instant?)
        store.scan(series.id, from: .distantPast, to: .distantFuture) { sample in
            guard case .text(let text) = sample.value, text.hasPrefix("believed ") else { return true }
            let words = text.split(separator: " ")
            end = sample.time
            offset = words.count == 3 && words[1] == boot ? Int64(words[2]) : nil
            return true
        }
        return (offset, end)
    }

    /// Notes how the clock stands that is believed, where that is new: once, unless somebody sets it.
    mutating func noteClock(at now: Now) {
        guard let waitingSeries, linkSpeed == 1 else { return }
        let offset = now.wall.milliseconds - Self.milliseconds(now.moment)
        if let believed, (believed.offset - offset).magnitude <= 1000 { return }
        let end = believed?.at ?? Self.lastBelieved(in: store, boot: boot).end
        let place = max(now.wall, end.map { $0 + .milliseconds(1) } ?? now.wall)
        store.append(waitingSeries, place, .text("believed \(boot) \(offset)"))
        believed = (offset, place)
    }

    private static func milliseconds(_ moment: Moment) -> Int64 { moment.nanoseconds / 1_000_000 }

    /// The clock is believed now: what waited gets its times, and everything begins as if they had always been known.
    package mutating func clockIsKnown(at now: Now) {
        guard let kept = waiting else { return }
        let wrong = lastLook.wall + (now.moment - lastLook.moment)
        waiting = nil
        lastLook = now
        moveTimes(by: now.wall - wrong)
        let count = restamp(boot: kept.boot, at: now)
        act(.log(.notice, "the clock is right now: \(now.wall); \(count) samples that waited have their times"))
        begin(at: now, newest: kept.newest)
        alertsMayDiffer = true
        touchAll()
    }

    /// Still unknown, perhaps for another reason.
    package mutating func clockIsDoubted(_ doubt: TimeKeeper.Doubt) {
        guard waiting != nil, waiting?.doubt != doubt else { return }
        waiting?.doubt = doubt
        alertsMayDiffer = true
    }

    /// What is shown of before was stamped by a provisional clock.
    private mutating func moveTimes(by shift: Duration) {
        for index in devices.indices {
            if let seen = devices[index].lastSeen { devices[index].lastSeen?.wall = seen.wall + shift }
            devices[index].latest.move(by: shift)
            if let fault = devices[index].lastFault { devices[index].lastFault = (fault.fault, fault.at + shift) }
        }
        for index in brokers.indices {
            if let down = brokers[index].downSince { brokers[index].downSince?.wall = down.wall + shift }
        }
    }

    /// Values that wait since this start of the computer.
    private struct WaitingValues {
        var values: [WaitingValue] = []
        /// How many are of another one.
        var foreign = 0
        /// What was to be added to their moments by a process that ended before it was done.
        var offset: Int64?
        /// Where the last word about any stands in the store.
        var end = Instant.distantPast
    }

    private func waitingValues(boot: String, in series: SeriesID) -> WaitingValues {
        var found = WaitingValues()
        var begun: [WaitingValue.Place: String] = [:]
        store.scan(series, from: .distantPast, to: .distantFuture) { sample in
            guard case .text(let text) = sample.value else {
                found.end = sample.time
                return true
            }
            if text == "settled" {
                found = WaitingValues()
            } else if let value = WaitingValue(text, &begun) {
                if value.boot == boot { found.values.append(value) } else { found.foreign += 1 }
            } else if text.hasPrefix("settling ") {
                found.offset = Int64(text.dropFirst(9))
            }
            found.end = sample.time
            return true
        }
        return found
    }

    /// What waits was said to a process that has ended: after the last of it nobody listened. False where nothing waits.
    mutating func noteEndOfWaiting(boot: String) -> Bool {
        guard let waitingSeries, let beatSeries else { return false }
        let found = waitingValues(boot: boot, in: waitingSeries)
        guard let last = found.values.map(\.moment).max() else { return found.foreign > 0 }
        let mark = WaitingValue(boot: boot, series: beatSeries.raw, moment: last, value: .text(Self.offReason))
        for text in mark.texts { store.append(waitingSeries, found.end, .text(text)) }
        return true
    }

    /// Gives values that wait their times; how many. Where a process died on the way, the same times again, so that the
    /// store knows them for the same samples.
    mutating func restamp(boot: String, at now: Now) -> Int {
        guard let waitingSeries else { return 0 }
        let found = waitingValues(boot: boot, in: waitingSeries)
        guard !found.values.isEmpty || found.foreign > 0 else { return 0 }
        if found.foreign > 0 {
            act(
                .log(
                    .error,
                    "\(found.foreign) samples are left out: they are of a start of this computer in which its clock was never set, and nobody can tell when that was"
                ))
            tally.undated += found.foreign
        }
        let shift = found.offset ?? now.wall.milliseconds - Self.milliseconds(now.moment)
        let place = max(now.wall, found.end + .milliseconds(1))
        if found.offset == nil { store.append(waitingSeries, found.end, .text("settling \(shift)")) }
        firstDated = found.values.map(\.moment).min().map { Instant(milliseconds: $0 + shift) }
        for value in found.values {
            store.append(SeriesID(raw: value.series), Instant(milliseconds: value.moment + shift), value.value)
        }
        store.append(waitingSeries, place, .text("settled"))
        return found.values.count
    }
}

/// One value that waits for its time, as texts of at most `StoredValue.longestText` bytes.
package struct WaitingValue: Equatable {
    let boot: String
    let series: UInt32
    /// Of the monotonic clock, in milliseconds.
    let moment: Int64
    let value: StoredValue

    package init(boot: String, series: UInt32, moment: Int64, value: StoredValue) {
        self.boot = boot
        self.series = series
        self.moment = moment
        self.value = value
    }

    /// Which value a text is a part of.
    package struct Place: Hashable {
        let series: UInt32
        let moment: Int64
    }

    /// One, or two where one is too short.
    package var texts: [String] {
        let head = "\(boot) \(series) \(moment) "
        switch value {
        case .number(let number): return [head + "n\(number.bitPattern)"]
        case .unknown: return [head + "u"]
        case .text(let text):
            let room = StoredValue.longestText - head.utf8.count - 1
            guard text.utf8.count > room else { return [head + "t" + text] }
            let first = StoredValue.shortened(text, to: room)
            return [head + "p" + first, head + "c" + String(text.unicodeScalars.dropFirst(first.unicodeScalars.count))]
        }
    }

    /// - Parameter begun: texts of which the end is still to come; nil is returned for them.
    package init?(_ text: String, _ begun: inout [Place: String]) {
        let parts = text.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4, let series = UInt32(parts[1]), let moment = Int64(parts[2]) else { return nil }
        // By scalars: a text may begin with a mark that makes one character of it and the letter before.
        let rest = parts[3].unicodeScalars.dropFirst()
        switch parts[3].unicodeScalars.first {
        case "n":
            guard let bits = UInt64(String(rest)) else { return nil }
            value = .number(Double(bitPattern: bits))
        case "t": value = .text(String(rest))
        case "p":
            begun[Place(series: series, moment: moment)] = String(rest)
            return nil
        case "c": value = .text((begun[Place(series: series, moment: moment)] ?? "") + String(rest))
        case "u": value = .unknown
        default: return nil
        }
        boot = String(parts[0])
        self.series = series
        self.moment = moment
    }
}
