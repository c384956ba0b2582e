package import Model
package import Store
import Usage

/// The whole gateway except its ports: what arrived goes in, what to do comes out as `effects`. It has no clock, so a
/// year of a lab runs in the time that it takes to compute it.
package struct Hub {
    package let configuration: Configuration
    package let store: RingStore
    package internal(set) var tally = Tally()
    var devices: [DeviceRuntime] = []
    var machines: [MachineRuntime] = []
    var lines: [LineRuntime] = [] { didSet { due.links = nil } }
    var brokers: [BrokerRuntime] = []
    var endpoints: [EndpointRuntime] = [] { didSet { due.links = nil } }
    /// When each device is asked next.
    var nextTurns: [Moment] = [] { didSet { due.links = nil } }
    /// Devices that have turns without a line.
    var turnTakers: [Int] = []
    var windows: WindowSchedule
    /// Series of the gateway itself: a beat each minute, and marks where it was blind.
    var beatSeries: SeriesID?
    /// When what follows from time alone comes next.
    var due = Deadlines()
    /// When the owner last said what time it is.
    var lastLook: Now
    /// Machines that something was said about since the last tick.
    var touched: [Int] = []
    /// Since when slots are known from memory, and since when from the store's tier.
    var memoryFrom = Instant.distantPast
    var slotsFrom: Instant?
    /// Windows that could not be told again, newest last.
    var refused: [String] = []
    /// The store's oldest sample when it was looked at first: nothing was written over while that is still there.
    var firstOldest: Instant?
    var nextCheckpoint = Instant.distantPast
    /// When a device's time at a machine begins or ends next.
    var nextTerm = Instant.distantFuture
    var beats: Int64 = 0
    var toldAlerts: [Alert] = []
    /// Something happened that can begin or end an alert.
    var alertsMayDiffer = true
    private var outbox = Outbox()
    private var pendingEffects: [Effect] = []
    /// Links answer in real time however fast the lab's clock runs.
    let linkSpeed: Int64
    package internal(set) var storeTrouble: String?
    var storeFailed = false
    /// Somebody watches live: readings are told, too.
    package var isWatched = false
    /// Not nil while the time is not known.
    var waiting: Waiting?
    /// The computer's start, as one word.
    let boot: String
    /// How the clock stood when that was last noted, in milliseconds more than the monotonic one, and where in the store.
    var believed: (offset: Int64, at: Instant)?
    /// Not nil until what the store remembers has been computed.
    var memory: PendingMemory? { didSet { due.memory = memory?.due } }
    /// Slots that are computed again because the store has lost them, and its pages that were looked after.
    var mending: SlotMending?
    var lookedAfter: Set<UInt64> = []
    /// Not everything that the store remembers has been computed yet.
    package var isRemembering: Bool { due.memory != nil }
    /// How many samples of it are computed at once, before messages are heard again.
    package var memorySlice = Hub.usualSlice
    var waitingSeries: SeriesID?
    /// The first of what got its time after the gateway had started.
    var firstDated: Instant?

    /// Series names that belong to no device.
    static let ownDevice = "gateway"
    static let beat = Duration.seconds(60)

    /// Takes up what the store remembers, and marks the time since then as not known.
    /// - Parameters:
    ///   - doubt: why the clock is not believed yet; then everything begins with `clockIsKnown`.
    ///   - boot: the computer's start, as one word; the monotonic clock counts from there.
    ///   - isHasty: hear what comes first, and compute a little later what is remembered; nothing else is done until then.
    package init(
        _ configuration: Configuration, store: RingStore, at now: Now, doubt: TimeKeeper.Doubt? = nil,
        boot: String = "-", isHasty: Bool = false
    ) {
        self.configuration = configuration
        self.store = store
        self.boot = boot
        lastLook = now
        store.zone = configuration.lab.zone
        store.whenFull = configuration.store.whenFull
        // A device's own time is believed within a day, and a broker may have kept its message for as long.
        store.lateness = .hours(48)
        store.tierReach = Slot.length * Int64(SlotTable.capacity)
        linkSpeed = Int64(configuration.simulation?.speed ?? 1)
        windows = WindowSchedule(
            zone: configuration.lab.zone, finalAfter: configuration.rollups.finalAfter, start: now.wall)
        brokers = configuration.brokers.map { BrokerRuntime(configuration: $0) }
        lines = configuration.lines.enumerated().map { index, line in
            let users = configuration.devices.indices.filter { configuration.devices[$0].link == .line(index) }
            return LineRuntime(
                configuration: line, devices: users,
                isBus: users.allSatisfy { configuration.devices[$0].info.link == .bus })
        }
        for (index, device) in configuration.devices.enumerated() {
            if let endpoint = device.endpoint {
                endpoints.append(EndpointRuntime(configuration: configuration.endpoints[endpoint], device: index))
            }
            if case .line = device.link { continue }
            if device.every != nil { turnTakers.append(index) }
        }
        let roles = assignRoles()
        machines.reserveCapacity(configuration.machines.count)
        devices.reserveCapacity(configuration.devices.count)
        nextTurns = [Moment](repeating: .never, count: configuration.devices.count)
        for (machine, rule) in zip(configuration.machines, makeRules()) {
            machines.append(
                MachineRuntime(configuration: machine, rule: rule, usage: MachineUsage(rule, start: now.wall)))
        }
        for (index, device) in configuration.devices.enumerated() {
            devices.append(makeDevice(device, roles[index]))
        }
        openRoutes()
        openSeries()
        openSlotSeries()
        recallMemories(at: now.wall)
        let waits = noteEndOfWaiting(boot: boot)
        if let doubt {
            wait(doubt, boot: boot)
        } else {
            let newest = store.newest
            if waits { _ = restamp(boot: boot, at: now) }
            if isHasty, let newest { putOff(newest: newest, at: now) } else { begin(at: now, newest: newest) }
        }
    }

    /// From now on usage is computed, beginning with what is remembered.
    /// - Parameter newest: where the store ended when the process started.
    mutating func begin(at now: Now, newest: Instant?) {
        let start = beginning(at: now, newest: newest)
        for machine in machines.indices { forget(machine, start: start) }
        remember(from: start, newest: newest, at: now)
    }

    /// From here on a machine is to be computed from its samples.
    mutating func forget(_ machine: Int, start: Instant) {
        machines[machine].usage = MachineUsage(machines[machine].rule, start: start)
        machines[machine].checkpoints = []
        machines[machine].unwritten = []
        machines[machine].disorder = nil
    }

    /// Nothing that was planned counts any more; from when on machines are to be computed.
    mutating func beginning(at now: Now, newest: Instant?) -> Instant {
        assignParts(at: now.wall)
        // Nothing that was sorted by a clock that is not believed any more counts.
        due = Deadlines()
        due.memory = memory?.due
        mending = nil
        lookedAfter = []
        due.silence = now.moment
        nextCheckpoint = .distantPast
        let capacity = Slot.length * Int64(SlotTable.capacity - 8)
        // Where nothing was stored before, what has just got its time is the first.
        let oldest = newest == nil ? min(now.wall, firstDated ?? now.wall) : store.oldest ?? now.wall
        // So that the first samples after what is remembered are not taken for the first ever.
        let start = min(max(oldest, now.wall - capacity).floor(to: Slot.length), now.wall)
        windows = WindowSchedule(
            zone: configuration.lab.zone, finalAfter: configuration.rollups.finalAfter, start: now.wall)
        return start
    }

    package mutating func takeEffects() -> [Effect] {
        // Given away whole: room kept for as many more would be new memory each time, since the old one is not ours any more.
        let taken = pendingEffects
        pendingEffects = []
        return taken
    }

    mutating func act(_ effect: Effect) { pendingEffects.append(effect) }

    // MARK: what arrives

    /// One MQTT message.
    package mutating func message(
        _ payload: borrowing Span<UInt8>, topic: borrowing Span<UInt8>, isRetained: Bool, broker: Int, at now: Now
    ) {
        look(at: now)
        tally.messages += 1
        if isRetained { tally.retained += 1 }
        guard let place = brokers[broker].router.find(topic) else {
            tally.unrouted += 1
            return
        }
        tally.routed += 1
        for index in 0..<brokers[broker].router.count(place) {
            let route = brokers[broker].router[place, index]
            outbox.removeAll()
            if isRetained {
                let source = Source(
                    topic: route.source.topic, subscription: route.source.subscription, isRetained: true)
                devices[route.device].driver.receive(payload, from: source, &outbox)
            } else {
                devices[route.device].driver.receive(payload, from: route.source, &outbox)
            }
            absorb(route.device, at: now, isLive: !isRetained)
        }
    }

    /// The same for who has the topic as text.
    package mutating func message(
        _ payload: borrowing Span<UInt8>, topic: String, isRetained: Bool, broker: Int, at now: Now
    ) {
        message(payload, topic: topic.utf8.span, isRetained: isRetained, broker: broker, at: now)
    }

    /// A message was longer than anybody may send, and was thrown away.
    package mutating func tooLong() {
        tally.messages += 1
        tally.tooLong += 1
    }

    /// Some bytes from a serial line.
    package mutating func bytes(_ chunk: borrowing Span<UInt8>, line index: Int, at now: Now) {
        look(at: now)
        tally.chunks += 1
        if lines[index].turns == .recorded {
            for device in lines[index].devices { hear(chunk, device, at: now) }
            return
        }
        askBeforeAnswer(line: index, at: now)
        let device: Int
        if lines[index].isBus {
            guard let asked = lines[index].asked else {
                // A late answer: to be heard out, never taken for the answer to the next question.
                lines[index].unasked += chunk.count
                return lines[index].quietUntil = max(lines[index].quietUntil, now.moment + linkTime(.milliseconds(50)))
            }
            device = asked.device
        } else {
            guard let only = lines[index].devices.first else { return }
            device = only
        }
        let isAnswered = hear(chunk, device, at: now)
        if isAnswered, lines[index].asked?.device == device, outbox.request == nil {
            lines[index].asked = nil
            lines[index].quietUntil = now.moment + linkTime(Self.gap)
            endSilence(of: device, at: now)
        }
    }

    /// Gives a device what was on its line; true if that was the end of an answer.
    @discardableResult
    private mutating func hear(_ chunk: borrowing Span<UInt8>, _ device: Int, at now: Now) -> Bool {
        hear(chunk, device, from: .line, at: now)
    }

    /// The same of any source.
    @discardableResult
    mutating func hear(
        _ chunk: borrowing Span<UInt8>, _ device: Int, from source: borrowing Source, at now: Now
    ) -> Bool {
        outbox.removeAll()
        devices[device].driver.receive(chunk, from: source, &outbox)
        let isAnswered = outbox.isAnswered
        absorb(device, at: now, isLive: true)
        return isAnswered
    }

    /// A broker came or went.
    package mutating func broker(_ index: Int, isUp: Bool, _ reason: String, at now: Now) {
        guard brokers[index].isUp != isUp || brokers[index].trouble != reason else { return }
        look(at: now)
        if brokers[index].isUp, !isUp {
            brokers[index].downSince = now
            due.silence = min(due.silence, Self.after(now.moment, Self.brokerPatience))
        }
        if isUp { brokers[index].downSince = nil }
        brokers[index].isUp = isUp
        brokers[index].trouble = reason
        act(.log(isUp ? .notice : .warning, reason))
        alertsMayDiffer = true
        touchAll()
        changeTurns(broker: index, isUp: isUp, at: now)
        guard isUp else { return }
        for device in devices.indices where devices[device].configuration.link == .broker(index) {
            outbox.removeAll()
            devices[device].driver.opened(&outbox)
            absorb(device, at: now, isLive: false)
        }
    }

    /// A serial line was opened or lost.
    package mutating func line(_ index: Int, isOpen: Bool, _ reason: String, at now: Now) {
        guard lines[index].isOpen != isOpen || lines[index].trouble != reason else { return }
        look(at: now)
        alertsMayDiffer = true
        lines[index].isOpen = isOpen
        lines[index].trouble = reason
        lines[index].asked = nil
        lines[index].unsent = nil
        act(.log(isOpen ? .notice : .warning, "serial \(reason)"))
        for device in lines[index].devices {
            guard isOpen else {
                setOnline(device, false, "line closed", at: now.wall)
                nextTurns[device] = .never
                continue
            }
            devices[device].silentTurns = 0
            nextTurns[device] = devices[device].configuration.every == nil ? .never : now.moment
            outbox.removeAll()
            devices[device].driver.opened(&outbox)
            absorb(device, at: now, isLive: false)
        }
    }

    // MARK: what a driver left

    /// Carries out what a driver put into the outbox.
    mutating func absorb(_ index: Int, at now: Now, isLive: Bool) {
        if outbox.isAlive {
            if isLive {
                devices[index].lastSeen = now
                if devices[index].isSilent, unanswered(index) != nil { alertsMayDiffer = true }
                endSilence(of: index, at: now)
            }
            if devices[index].isOnline != true, isLive { setOnline(index, true, "spoke", at: now.wall) }
        }
        for validity in outbox.validities { keep(validity, of: index, at: now) }
        for fault in outbox.faults { count(fault, of: index, at: now.wall) }
        var readings: [Reading] = []
        outbox.swapReadings(with: &readings)
        tally.readings += readings.count
        take(readings.span, from: index, at: now)
        outbox.swapReadings(with: &readings)
        if let description = outbox.description { devices[index].description = description }
        if let memory = outbox.memory { keep(memory, of: index, at: now.wall) }
        if let request = outbox.request { send(request, for: index, at: now) }
    }

    /// Lets a driver speak about its turn or its missing answer.
    mutating func prompt(_ index: Int, at now: Now, _ body: (inout any DeviceDriver, inout Outbox) -> Void) -> Bool {
        outbox.removeAll()
        body(&devices[index].driver, &outbox)
        let isAsking = outbox.request != nil
        absorb(index, at: now, isLive: false)
        return isAsking
    }

    private mutating func count(_ fault: Fault, of index: Int, at time: Instant) {
        tally.faults += 1
        devices[index].faults += 1
        devices[index].faultsByKind[fault.kind, default: 0] += 1
        devices[index].lastFault = (fault, time)
    }

    private mutating func take(_ readings: borrowing Span<Reading>, from index: Int, at now: Now) {
        for place in readings.indices { take(readings[place], from: index, at: now) }
    }

    private mutating func take(_ reading: borrowing Reading, from index: Int, at now: Now) {
        guard devices[index].channels.indices.contains(reading.channel) else {
            tally.noSeries += 1
            return
        }
        guard var time = believable(reading.time, at: now.wall) else {
            tally.unusable += 1
            let channel = devices[index].channels[reading.channel].name
            let stamp = reading.time?.description ?? ""
            return count(Fault(.outdated, "\(channel) of \(stamp)"), of: index, at: now.wall)
        }
        if case .online = devices[index].roles[reading.channel] {
            tally.lifeSigns += 1
            if case .number(let value) = reading.value {
                setOnline(index, value > 0, value > 0 ? "says so" : "last will", at: time)
                // Its silence counts from here, also where the word itself is of unknown age.
                if value > 0, devices[index].lastSeen == nil { devices[index].lastSeen = now }
            }
            return
        }
        if devices[index].roles[reading.channel] == .mould, let fault = misnamed(reading.value, of: index) {
            tally.unusable += 1
            return count(fault, of: index, at: time)
        }
        if reading.time != time { time = parted(reading, of: index, from: time) }
        devices[index].latest.hear(reading.value, on: reading.channel, at: time)
        if !devices[index].validities.isEmpty { renew(reading, of: index, at: now) }
        if let series = devices[index].series[reading.channel] ?? openLate(reading.channel, of: index) {
            put(series, time, StoredValue(reading.value))
            tally.stored += 1
        } else {
            tally.noSeries += 1
        }
        apply(reading.value, channel: reading.channel, device: index, at: time)
        if case .event = reading.value {
            obey(reading.value, channel: reading.channel, device: index, at: now)
            tellJob(reading.value, on: reading.channel, of: index, at: time)
        }
        if isWatched { tell(reading, of: index, at: time) }
    }

    /// A device's own time counts if it can be true. A clock that was never set, or runs ahead, is none: the arrival
    /// counts. nil for what was measured long ago, which is not what is now.
    private func believable(_ time: Instant?, at now: Instant) -> Instant? {
        guard let time, time >= Self.clocksAreSet, time < now + .seconds(120) else { return now }
        return time > now - .hours(24) ? min(time, now) : nil
    }

    /// 2020-01-01: a device that says an earlier time does not know it.
    private static let clocksAreSet = Instant(milliseconds: 1_577_836_800_000)

    /// When a reading that arrives at `time` counts. What a broker had kept for hours comes in one go, two prints that were
    /// cancelled among it, and the store takes what is alike in series, time and value for the same: two events that are
    /// counted are a millisecond apart, and what the device says after them comes after them.
    private mutating func parted(_ reading: borrowing Reading, of index: Int, from time: Instant) -> Instant {
        var place = time
        // Unless the clock was set back.
        if let last = devices[index].lastCounted, last > time, last < time + .seconds(1) { place = last }
        switch devices[index].roles[reading.channel] {
        case .job, .button: break
        default: return place
        }
        if devices[index].latest[reading.channel]?.time == place { place = place + .milliseconds(1) }
        devices[index].lastCounted = place
        return place
    }

    // MARK: life

    /// A device is there, or is not; told once a change.
    mutating func setOnline(_ index: Int, _ isOnline: Bool, _ reason: String, at time: Instant) {
        guard devices[index].isOnline != isOnline else { return }
        // The first word of a device that nobody missed is no news: a thousand of them speak after a start.
        if !isOnline || devices[index].isOnline == false { alertsMayDiffer = true }
        devices[index].isOnline = isOnline
        // Its silence is watched from here on.
        if isOnline { due.silence = min(due.silence, lastLook.moment) }
        if !isOnline {
            devices[index].latest.forget()
            for life in devices[index].validities.indices { devices[index].validities[life].heard = nil }
        }
        if let series = devices[index].onlineSeries {
            put(series, time, .number(isOnline ? 1 : 0))
            tally.marks += 1
        }
        applyOnline(isOnline, device: index, at: time)
        let id = devices[index].configuration.id
        act(.log(.info, "device \(id) is \(isOnline ? "online" : "offline") (\(reason))"))
    }
}

extension StoredValue {
    /// What is stored of a reading's value; a state with its reason is one text, parted by a bar.
    init(_ value: Value) {
        switch value {
        case .number(let number): self = .number(number)
        case .state(let state, let reason): self = .text("\(state.rawValue)|\(reason)")
        case .event(let name): self = .text(name)
        case .unknown: self = .unknown
        }
    }

    /// The value again, for a channel of this kind.
    func value(_ kind: Kind) -> Value {
        switch self {
        case .number(let number): return .number(number)
        case .unknown: return .unknown
        case .text(let text):
            guard kind == .state else { return .event(text) }
            let parts = text.split(separator: "|", maxSplits: 1, omittingEmptySubsequences: false)
            return .state(
                MachineState(rawValue: String(parts[0])) ?? .unknown, reason: parts.count > 1 ? String(parts[1]) : "")
        }
    }
}
