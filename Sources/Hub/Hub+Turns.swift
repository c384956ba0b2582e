package import Model
import Store

// Turns of devices that have no serial line: those that are asked over HTTP, and those on a broker that are asked by a
// message. On a line only one may speak at a time, and its turns stand in Hub+Links.swift.

/// Where a device is asked over HTTP.
struct EndpointRuntime {
    let configuration: Configuration.Endpoint
    /// Index of the device.
    let device: Int
    /// Questions can be carried out.
    var isOpen = false
    /// Whether the last question was answered; nil before the first.
    var isUp: Bool?
    var trouble = "not asked yet"
    /// Which question is open, and until when its answer may come.
    var asked: (number: UInt64, path: String, until: Moment)?
    var questions: UInt64 = 0
    /// A recording answers, and nobody is asked.
    var isRecorded = false
}

extension Hub {
    // MARK: HTTP

    /// From now on a device's questions can be sent; the first one at once.
    package mutating func open(endpoint index: Int, at now: Now) {
        look(at: now)
        endpoints[index].isOpen = true
        let device = endpoints[index].device
        devices[device].silentTurns = 0
        nextTurns[device] = endpoints[index].isRecorded ? .never : now.moment
        // What speaks on a broker, too, is opened there.
        if case .http = devices[device].configuration.link { _ = prompt(device, at: now) { $0.opened(&$1) } }
    }

    /// A recording answers instead of the device.
    package mutating func playRecording(endpoint index: Int) { endpoints[index].isRecorded = true }

    /// A whole answer. `number` is that of the question; answers to older ones count no more.
    package mutating func answer(
        _ body: borrowing Span<UInt8>, status: Int, path: String, number: UInt64, endpoint index: Int, at now: Now
    ) {
        look(at: now)
        guard settle(number, index) else { return }
        let device = endpoints[index].device
        tally.answers += 1
        if endpoints[index].isUp == false {
            act(.log(.notice, "\(endpoints[index].configuration.name) answers again"))
            alertsMayDiffer = true
        }
        endpoints[index].isUp = true
        endSilence(of: device, at: now)
        hear(body, device, from: Source(path: path, status: status), at: now)
    }

    /// The device could not be reached, or said nothing in time.
    package mutating func noAnswer(_ reason: String, number: UInt64, endpoint index: Int, at now: Now) {
        look(at: now)
        guard settle(number, index) else { return }
        let device = endpoints[index].device
        if endpoints[index].isUp != false || endpoints[index].trouble != reason {
            act(.log(.warning, "\(endpoints[index].configuration.name): \(reason)"))
            alertsMayDiffer = true
        }
        endpoints[index].isUp = false
        endpoints[index].trouble = reason
        devices[device].silentTurns += 1
        _ = prompt(device, at: now) { $0.noReply(&$1) }
    }

    /// A device that still answers is there, whatever became of its broker.
    func answersOverHTTP(_ device: Int) -> Bool {
        devices[device].configuration.endpoint.map { endpoints[$0].isUp == true } ?? false
    }

    /// Whether this question is the open one; then it is open no more.
    private mutating func settle(_ number: UInt64, _ index: Int) -> Bool {
        if endpoints[index].isRecorded { return true }
        guard endpoints[index].asked?.number == number else { return false }
        endpoints[index].asked = nil
        return true
    }

    /// Has a question sent. One that is still open is given up for it.
    mutating func ask(_ path: String, _ headers: [String], _ replyWithin: Duration, for device: Int, at now: Now) {
        guard let index = devices[device].configuration.endpoint, endpoints[index].isOpen,
            !endpoints[index].isRecorded
        else { return }
        endpoints[index].questions += 1
        let number = endpoints[index].questions
        endpoints[index].asked = (number, path, now.moment + linkTime(replyWithin))
        act(.ask(endpoint: index, number: number, path: path, headers: headers, timeout: replyWithin))
    }

    // MARK: turns

    /// Devices of a broker that came begin to take their turns, or end to.
    mutating func changeTurns(broker index: Int, isUp: Bool, at now: Now) {
        for device in turnTakers
        where devices[device].configuration.link == .broker(index) && devices[device].configuration.endpoint == nil {
            devices[device].silentTurns = 0
            // It has just been asked for a baseline.
            let every = devices[device].configuration.every
            nextTurns[device] = isUp ? every.map { now.moment + $0 } ?? .never : .never
        }
    }

    /// Gives up questions without an answer, and gives turns that came round.
    mutating func serveTurns(at now: Now) {
        for index in endpoints.indices {
            if let asked = endpoints[index].asked, now.moment >= asked.until {
                noAnswer("no answer in time", number: asked.number, endpoint: index, at: now)
            }
        }
        for device in turnTakers where nextTurns[device] <= now.moment {
            let endpoint = devices[device].configuration.endpoint
            if let endpoint, endpoints[endpoint].asked != nil { continue }
            guard let every = devices[device].configuration.every else { continue }
            nextTurns[device] = now.moment + every * rarity(of: device)
            // Over MQTT nothing but its next word tells that a device has heard.
            if endpoint == nil { devices[device].silentTurns += 1 }
            _ = prompt(device, at: now) { $0.poll(&$1) }
        }
    }

    /// A device spoke. One that was asked ever more rarely has its next turn at its usual pace: until then nobody would
    /// know what it missed to say, for up to half an hour.
    mutating func endSilence(of device: Int, at now: Now) {
        let wasRare = devices[device].isSilent
        devices[device].silentTurns = 0
        guard wasRare, nextTurns[device] < .never, let every = devices[device].configuration.every else { return }
        nextTurns[device] = min(nextTurns[device], now.moment + every)
    }

    /// The third silence in a row is no accident any more; from then on it is asked ever more rarely.
    func rarity(of device: Int) -> Int64 {
        min(Self.rarest, 1 << Int64(min(max(0, devices[device].silentTurns - 2), 10)))
    }

    /// When the next turn or time-out comes.
    var turnDeadline: Moment {
        var earliest = Moment.never
        // By index: a copy of all that is known of one would be dear.
        for index in endpoints.indices {
            if let until = endpoints[index].asked?.until { earliest = min(earliest, until) }
        }
        for device in turnTakers {
            if let endpoint = devices[device].configuration.endpoint, endpoints[endpoint].asked != nil { continue }
            earliest = min(earliest, nextTurns[device])
        }
        return earliest
    }

    // MARK: what outlives the process

    /// The channel under which a driver's memory is stored.
    static let memoryChannel = "memory"

    /// Keeps a driver's words beside the samples: they are committed with what was read in the same moment.
    mutating func keep(_ memory: String, of index: Int, at time: Instant) {
        guard devices[index].memory?.text != memory else { return }
        if devices[index].memorySeries == nil {
            let key = SeriesKey(device: devices[index].configuration.id, channel: Self.memoryChannel)
            devices[index].memorySeries = (try? store.series(key, unit: nil, kind: .event)) ?? nil
        }
        // The newest by its time is what is recalled: also where several came at once, or the clock was set back meanwhile.
        // While the time is not known it stands behind all that is dated, and never where something may be dated later.
        var place = waiting?.place ?? time
        if let last = devices[index].memory?.at, last >= place, last < place + .hours(24) {
            place = last + .milliseconds(1)
        }
        devices[index].memory = (memory, place)
        if let series = devices[index].memorySeries { store.append(series, place, .text(memory)) }
    }

    /// Once a day what is remembered is written again, so that the ring does not forget it.
    mutating func keepMemories(at time: Instant) {
        for index in devices.indices {
            guard let memory = devices[index].memory, time - memory.at > .hours(24),
                let series = devices[index].memorySeries
            else { continue }
            devices[index].memory = (memory.text, time)
            store.append(series, time, .text(memory.text))
        }
    }

    /// Hands every driver what it had kept.
    mutating func recallMemories(at now: Instant) {
        for index in devices.indices {
            let key = SeriesKey(device: devices[index].configuration.id, channel: Self.memoryChannel)
            guard let info = store.find(key) else { continue }
            var newest: Sample?
            // It is written again each day; some more for a gateway that was off.
            store.scan(info.id, from: now - .hours(24 * 60), to: now + .hours(24)) {
                newest = $0
                return true
            }
            guard let newest, case .text(let text) = newest.value else { continue }
            devices[index].memorySeries = info.id
            devices[index].memory = (text, newest.time)
            devices[index].driver.recall(text)
        }
    }
}
