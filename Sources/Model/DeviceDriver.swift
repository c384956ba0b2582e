// The one protocol that every device driver fulfils.

/// Turns what one device says into readings, and says what to ask it next.
///
/// A driver is a value without clock, thread, socket or file, so a recorded conversation replays exactly. It takes
/// bytes in any chunks and never throws or traps on them: what it cannot use becomes a counted fault, and it finds
/// its way back to the next good frame. The hub stamps time, owns turns on a bus, keeps reply time-outs and knows
/// what is stale.
///
/// Most drivers write `init` and `receive`; a device that must be asked writes `poll`, too.
package protocol DeviceDriver: Sendable {
    /// What stands in `fabgate drivers` and is checked before a device is made.
    static var info: DriverInfo { get }

    /// Reads the device's own keys and its profile. Adds what is wrong to `problems` and returns nil then.
    init?(_ setup: inout DeviceSetup, _ problems: inout Problems)

    /// What this device gives, in a fixed order; readings refer to it by index.
    var channels: [Channel] { get }

    /// The MQTT topic filters that this device speaks on; `Source.subscription` is an index into it. Empty for a
    /// serial device.
    var subscriptions: [String] { get }

    /// The link to the device was opened (again): forget half frames and open questions, ask for a baseline.
    mutating func opened(_ out: inout Outbox)

    /// The device's turn came round: ask for something, or do nothing.
    mutating func poll(_ out: inout Outbox)

    /// Some bytes arrived: on a serial line part of a frame or several, over MQTT one whole message.
    mutating func receive(_ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox)

    /// The last request's reply did not arrive in time, or the device could not be reached over HTTP.
    mutating func noReply(_ out: inout Outbox)

    /// What `Outbox.remember` kept before the gateway was started again; comes before `opened`, once.
    mutating func recall(_ memory: String)

    /// A message as it may be shown or written down, where it could hold something of a person: the same readings come of
    /// it, and nobody is named in it. nil where it may stay as it is.
    func withoutPersons(_ payload: borrowing Span<UInt8>, from source: borrowing Source) -> [UInt8]?

    /// Somebody else's request was seen on the line, or one from a recording: expect its reply.
    mutating func overheard(_ request: borrowing Span<UInt8>)
}

extension DeviceDriver {
    package var subscriptions: [String] { [] }
    package mutating func opened(_ out: inout Outbox) {}
    package mutating func poll(_ out: inout Outbox) {}
    package mutating func noReply(_ out: inout Outbox) { out.note(.noReply, "no answer in time") }
    package mutating func overheard(_ request: borrowing Span<UInt8>) {}
    package mutating func recall(_ memory: String) {}
    package func withoutPersons(_ payload: borrowing Span<UInt8>, from source: borrowing Source) -> [UInt8]? { nil }
}

/// Where a chunk came from.
package struct Source: Sendable {
    /// The MQTT topic, or the path that was asked for over HTTP; empty on a serial line.
    package let topic: String
    /// Which of the driver's `subscriptions` matched; -1 for an answer over HTTP.
    package let subscription: Int
    /// The broker kept this message and its age is unknown: it may set a baseline or a last will, never a sample.
    package let isRetained: Bool
    /// The status of an answer over HTTP, of any kind: 200, 204, 401, 503. nil for all else.
    package let status: Int?

    package init(topic: String, subscription: Int, isRetained: Bool) {
        self.topic = topic
        self.subscription = subscription
        self.isRetained = isRetained
        status = nil
    }

    /// The whole answer to a request for `path`.
    package init(path: String, status: Int) {
        topic = path
        subscription = -1
        isRetained = false
        self.status = status
    }

    /// A serial line.
    package static let line = Source(topic: "", subscription: 0, isRetained: false)
}

/// What is known of a driver before there is a device.
package struct DriverInfo: Sendable {
    package enum Link: String, Sendable {
        /// Publishes on an MQTT broker.
        case mqtt
        /// Speaks by itself on a serial line of its own.
        case line
        /// Answers on a serial line when asked; many can share one line.
        case bus
        /// Answers over HTTP when asked.
        case http
    }

    /// The name by which a configuration and a profile pick this driver: `tasmota`, `modbus-rtu`.
    package let name: String
    /// One line for people.
    package let title: String
    package let link: Link
    /// It may be asked over HTTP, too (`url`), beside its own link or instead of it.
    package let asksHTTP: Bool
    /// The family's folder below `devices/`.
    package let family: String
    /// Whether a device must name a `model`.
    package let needsModel: Bool
    /// How long the device may be silent before it is offline, unless its profile or configuration says otherwise.
    package let silence: Duration
    /// How often its turn comes, unless configured; nil where it is never asked.
    package let every: Duration?

    package init(
        name: String, title: String, link: Link, asksHTTP: Bool = false, family: String, needsModel: Bool = false,
        silence: Duration, every: Duration? = nil
    ) {
        self.name = name
        self.title = title
        self.link = link
        self.asksHTTP = asksHTTP || link == .http
        self.family = family
        self.needsModel = needsModel
        self.silence = silence
        self.every = every
    }
}

/// What a driver is made from: the device's entry in the configuration and the profile of its model.
package struct DeviceSetup: Sendable {
    package let id: String
    /// The driver's own keys of the device (`topic`, `unit`, …). Keys that nobody reads are reported as mistakes.
    package var fields: Fields
    /// The model's profile, where there is one; its keys `title`, `driver`, `silence`, `every` are read already.
    package var profile: Fields?
    /// There is no device but a recording: whatever address (topic, unit) it holds is meant, so that none need be given.
    package let takesAnyAddress: Bool

    package init(id: String, fields: Fields, profile: Fields?, takesAnyAddress: Bool = false) {
        self.id = id
        self.fields = fields
        self.profile = profile
        self.takesAnyAddress = takesAnyAddress
    }
}

/// Where a driver leaves its results. The caller empties it after every call and keeps its storage.
package struct Outbox: Equatable, Sendable {
    package private(set) var readings: [Reading] = []
    package private(set) var faults: [Fault] = []
    package private(set) var request: Request?
    /// What is to outlive the gateway's process.
    package private(set) var memory: String?
    /// What the device is, in a few words for people; nil where nothing new is known.
    package private(set) var description: String?
    /// How long values stay true without another.
    package private(set) var validities: [Validity] = []
    /// The device spoke, whether or not there was a reading in it.
    package private(set) var isAlive = false
    /// The open request has its answer; the next device on the bus may have its turn.
    package private(set) var isAnswered = false

    /// The device's own word on one of its channels: without another value for so long, the last one is not true any more.
    package struct Validity: Hashable, Sendable {
        package let channel: Int
        /// nil for as long as the device is there.
        package let length: Duration?
    }

    package init() {}

    /// A number on a gauge or counter channel. NaN, infinities and values outside `channel.plausible` become faults.
    package mutating func report(_ index: Int, of channels: [Channel], _ value: Double, at time: Instant? = nil) {
        guard value.isFinite else { return note(.badValue, "\(channels[index].name) is \(value)") }
        guard channels[index].plausible.contains(value) else {
            return note(.implausible, "\(channels[index].name) of \(value)")
        }
        readings.append(Reading(channel: index, value: .number(value), time: time))
        isAlive = true
    }

    package mutating func report(_ index: Int, _ state: MachineState, reason: String, at time: Instant? = nil) {
        readings.append(Reading(channel: index, value: .state(state, reason: reason.clipped(to: 64)), time: time))
        isAlive = true
    }

    package mutating func report(_ index: Int, event name: String, at time: Instant? = nil) {
        readings.append(Reading(channel: index, value: .event(name.clipped(to: 64)), time: time))
        isAlive = true
    }

    /// The device states that it does not know this quantity now.
    package mutating func reportUnknown(_ index: Int, at time: Instant? = nil) {
        readings.append(Reading(channel: index, value: .unknown, time: time))
        isAlive = true
    }

    /// Whether the device says that it is reachable, on its `online` channel. Saying "no" is no sign of life.
    package mutating func report(_ index: Int, online: Bool) {
        readings.append(Reading(channel: index, value: .number(online ? 1 : 0)))
        if online { isAlive = true }
    }

    /// Lends the readings out, or takes them back: whoever holds the outbox may change himself while he reads them.
    package mutating func swapReadings(with other: inout [Reading]) { swap(&readings, &other) }

    /// Adds what is of use of much that was said at once: of each channel the last reading, and the events on `channel`,
    /// of which there may be `most`. They keep their order.
    package mutating func add(latestOf much: Outbox, eventsOn channel: Int, atMost most: Int) {
        var events = 0
        var seen: Set<Int> = []
        var kept: [Reading] = []
        for reading in much.readings.reversed() {
            if reading.channel != channel {
                if seen.insert(reading.channel).inserted { kept.append(reading) }
            } else {
                if events < most { kept.append(reading) }
                events += 1
            }
        }
        readings += kept.reversed()
        if events > most { note(.overrun, "\(events - most) events more at once than there can be") }
        for fault in much.faults { note(fault.kind, fault.detail) }
        isAlive = isAlive || much.isAlive
        isAnswered = isAnswered || much.isAnswered
    }

    /// The device spoke without a reading.
    package mutating func alive() { isAlive = true }

    /// Asks the device. At most one request a call; a second one replaces the first.
    package mutating func send(_ request: Request) { self.request = request }

    /// The open request is answered.
    package mutating func answered() { isAnswered = true }

    /// Has a few words kept with the samples, at most 96 bytes of ASCII: by them a job that is on is known again after a
    /// restart of the gateway, and one that ended meanwhile. They replace those from before; no names belong there.
    package mutating func remember(_ memory: String) { self.memory = memory.clipped(to: 96) }

    /// Says what the device is: its make, its model. It is shown beside the device, and kept no longer than the gateway runs.
    package mutating func describe(_ words: String) { description = words.clipped(to: 120) }

    /// The device says how long a value of this channel is true without another; nil for as long as it is there. It holds
    /// until something else is said.
    package mutating func keep(_ index: Int, for length: Duration?) {
        validities.append(Validity(channel: index, length: length))
    }

    package mutating func note(_ kind: Fault.Kind, _ detail: String) {
        // One call may meet a thousand bad bytes; the count of calls is what says how bad a line is.
        if faults.count < 16 { faults.append(Fault(kind, detail)) }
    }

    package mutating func removeAll() {
        // Looked at first: most are empty, and to empty one again costs as much as to fill it.
        if !readings.isEmpty { readings.removeAll(keepingCapacity: true) }
        if !faults.isEmpty { faults.removeAll(keepingCapacity: true) }
        request = nil
        memory = nil
        description = nil
        if !validities.isEmpty { validities.removeAll() }
        isAlive = false
        isAnswered = false
    }
}

/// Something to say to the device on the link that it is read from.
package enum Request: Hashable, Sendable {
    /// Bytes for a serial line, and how long to wait for an answer; nil expects none. `after`: the device needs so long
    /// before it listens again.
    case write([UInt8], replyWithin: Duration?, after: Duration = .zero)
    /// A message for the broker.
    case publish(topic: String, payload: [UInt8])
    /// A question over HTTP, and how long to wait for its answer. `path` begins with a slash and holds what stands behind
    /// a question mark; `headers` are whole lines. Host and credentials are added by the port. There is always an answer
    /// or a `noReply`.
    case ask(path: String, headers: [String] = [], replyWithin: Duration)
}
