package import Model
package import Usage
import Store

// What the hub keeps of each device, line and machine while it runs.

/// What a channel of a device means to its machine.
enum Role: Hashable {
    case none
    /// Not a quantity but a sign of life; kept by the hub itself.
    case online
    case state, job, power, shots, items, occupied, scrap, button, mould, filament
    /// Index among the machine's energy counters.
    case energy(Int)
    /// The device of that counter started anew.
    case restart(Int)
    /// Another meter stands in the place of that counter's.
    case exchange(Int)
    case zoneTemperature(String)
    case zoneSetpoint(String)
    case zoneAlarm(String)
    case scale(MassRole)
    case scaleRest(MassRole)
    case scaleNet(MassRole)
}

struct DeviceRuntime {
    let configuration: Configuration.Device
    var driver: any DeviceDriver
    let channels: [Channel]
    /// What it is to its machine now.
    var part: DevicePart
    /// What it is in each of its terms, where it does not always belong to one machine.
    let terms: [DevicePart]
    var roles: [Role] { part.roles }
    /// Index of the machine that it belongs to.
    var machine: Int? { part.machine }
    /// Which one it is of the devices that tell the machine's state; nil where its silence does not make it offline.
    var teller: Int? { part.presence.teller }
    /// By channel; nil for one that has not spoken yet.
    var series: [SeriesID?]
    /// Channels for which the store has no room.
    var unstored: Set<Int> = []
    var onlineSeries: SeriesID?
    /// What its driver says that it is.
    var description: String?
    var isOnline: Bool?
    var lastSeen: Now?
    var faults = 0
    var faultsByKind: [Fault.Kind: Int] = [:]
    var lastFault: (fault: Fault, at: Instant)?
    var latest: LatestValues
    /// The time of its last event that is counted and has no time of its own.
    var lastCounted: Instant?
    /// Channels whose values go out of date, by the device's own word; nearly always empty.
    var validities: [ValueLife] = []
    /// How many times in a row it did not answer.
    var silentTurns = 0
    /// An answer may get lost, and another one: three in a row are told, and it is asked ever more rarely.
    var isSilent: Bool { silentTurns >= 3 }
    /// What its driver has kept, and since when it stands in the store.
    var memory: (text: String, at: Instant)?
    var memorySeries: SeriesID?
}

/// The last value of a channel.
package struct Latest: Hashable, Sendable {
    package let value: Value
    package let time: Instant
}

/// The last value of each channel of a device: 16 bytes each, because nearly all are numbers.
struct LatestValues: RandomAccessCollection {
    private struct Entry {
        /// NaN for what is no number.
        var number = Double.nan
        /// `none` where nothing was heard.
        var time = Entry.none

        static let none = Int64.min
    }

    private var entries: [Entry]
    /// States and events; what is no number and does not stand here is stated to be unknown.
    private var others: [(channel: Int, value: Value)] = []

    init(count: Int) { entries = [Entry](repeating: Entry(), count: count) }

    var startIndex: Int { 0 }
    var endIndex: Int { entries.count }

    subscript(channel: Int) -> Latest? {
        get {
            let entry = entries[channel]
            guard entry.time != Entry.none else { return nil }
            let value =
                entry.number.isNaN
                ? others.first { $0.channel == channel }?.value ?? .unknown : .number(entry.number)
            return Latest(value: value, time: Instant(milliseconds: entry.time))
        }
    }

    /// A value was heard.
    mutating func hear(_ value: Value, on channel: Int, at time: Instant) {
        if entries[channel].number.isNaN, !others.isEmpty { others.removeAll { $0.channel == channel } }
        entries[channel].time = time.milliseconds
        switch value {
        case .number(let number): entries[channel].number = number
        case .unknown: entries[channel].number = .nan
        case .state, .event:
            entries[channel].number = .nan
            others.append((channel, value))
        }
    }

    /// Nothing is known any more.
    mutating func forget() { self = LatestValues(count: count) }

    /// All was heard that much later.
    mutating func move(by shift: Duration) {
        for channel in entries.indices where entries[channel].time != Entry.none {
            entries[channel].time += shift.milliseconds
        }
    }
}

/// How long the last value of a channel is true, and since when.
struct ValueLife {
    let channel: Int
    let length: Duration
    /// When a value was last heard; nil where there is none that could go out of date.
    var heard: Now?
}

struct LineRuntime {
    let configuration: Configuration.Line
    /// Indices of the devices on it.
    let devices: [Int]
    let isBus: Bool
    var isOpen = false
    var trouble = "not opened yet"
    /// Who was asked, and until when the answer may come.
    var asked: (device: Int, until: Moment)?
    /// What is to be said once the device listens again.
    var unsent: (bytes: [UInt8], at: Moment)?
    /// Nobody may speak before.
    var quietUntil = Moment(nanoseconds: .min)
    /// Bytes that came while nobody was asked.
    var unasked = 0
    /// Who says when something is asked.
    var turns = Turns.own

    enum Turns {
        /// The hub, by the devices' intervals.
        case own
        /// A recording that holds the questions.
        case recorded
        /// A recording without questions: the only device asks just before what the recording answers.
        case beforeAnswers
    }
}

struct BrokerRuntime {
    let configuration: Configuration.Broker
    var isUp = false
    var trouble = "not connected yet"
    /// Since when nothing comes from it.
    var downSince: Now?
    /// Which devices a topic goes to.
    var router = TopicRouter([])
}

struct MachineRuntime {
    let configuration: Configuration.Machine
    let rule: CommonRule
    var usage: MachineUsage
    /// Which mould somebody put in, for machines that have some.
    var mouldSeries: SeriesID?
    /// Temperatures and set values that are beyond what its polymer bears.
    var tooHot: Set<Role> = []
    var told: (state: MachineState, reason: String) = (.unknown, "")
    var lastCorrection: UsageEvent?
    /// It stands in `Hub.touched`.
    var isTouched = false
    /// When its state changes by itself.
    var due = Moment.never
    /// Its slots and days in the store's tiers, and under which rule they were computed; nil where the store has no
    /// room for them.
    var slotSeries: SeriesID?
    var daySeries: SeriesID?
    var ruleSeries: SeriesID?
    /// Starts of slots that changed and are not in the tier yet.
    var unwritten: Set<Int64> = []
    /// From where its usage can be computed again, oldest first.
    var checkpoints: [UsageCheckpoint] = []
    /// Samples came out of order, the earliest of them at this time.
    var disorder: Instant?
    /// It has contradicted its meter for long enough to be told.
    var disagrees = false
}

/// When each kind of thing that follows from time alone is due. A moment may be too early, never too late: who comes
/// too early looks, and goes again.
struct Deadlines {
    /// A device's silence, or a broker's, becomes too long.
    var silence = Moment.never
    /// A machine's state changes by itself.
    var machines = Moment.never
    /// A window is to be closed, or looked at again.
    var windows = Moment(nanoseconds: .min)
    var beat = Moment(nanoseconds: .min)
    /// What came out of order is to be put right.
    var order = Moment.never
    /// A link's turn or time-out; nil where something changed there since it was found.
    var links: Moment?
    /// Slots that the store has lost are computed again.
    var mending = Moment.never
    /// What the store remembers is computed; nil where that is done.
    var memory: Moment?

    /// The first of them, where the one of the links was found; or `now` where something waits to be told.
    func earliest(orAtOnce now: Moment?) -> Moment {
        let links = links ?? Moment(nanoseconds: .min)
        if let memory { return min(links, silence, memory) }
        if let now { return now }
        return min(min(links, silence, machines), min(windows, beat, order, mending))
    }
}

/// What the owner of the hub must do.
package enum Effect: Sendable {
    case write(line: Int, bytes: [UInt8])
    case publish(broker: Int, topic: String, payload: [UInt8])
    /// A question over HTTP; its answer, or that there is none, is to be told with its number.
    case ask(endpoint: Int, number: UInt64, path: String, headers: [String], timeout: Duration)
    /// An event for whoever watches: its name and JSON data.
    case event(String, JSON)
    case log(LogLevel, String)
    /// A window is closed or changed and should be offered to the outbox.
    case window(Window)
}

package enum LogLevel: Int, Sendable {
    case error = 3
    case warning = 4
    case notice = 5
    case info = 6
}

/// What came in and what became of it; everything adds up.
package struct Tally: Hashable, Sendable {
    /// `messages` = `routed` + `unrouted` + `tooLong`; of them `retained` are what a broker had kept.
    package var messages = 0
    package var routed = 0
    package var unrouted = 0
    package var tooLong = 0
    package var retained = 0
    package var chunks = 0
    /// Over HTTP.
    package var answers = 0
    /// `readings` = `stored` + `noSeries` + `unusable` + `lifeSigns`.
    package var readings = 0
    /// Handed to the store, which drops and counts what it has already.
    package var stored = 0
    package var noSeries = 0
    /// Too old by the device's own time, or a word that stands in no table; each is a fault of the device, too.
    package var unusable = 0
    /// Stored without a time that anybody can know, and left out.
    package var undated = 0
    /// A device said whether it is there: kept as a mark where that is new, see `marks`.
    package var lifeSigns = 0
    /// Samples that the gateway made itself, when a device came or went.
    package var marks = 0
    package var faults = 0
}
