// A recording through one driver: what `fabgate decode` prints and what every driver is tested by.

/// Replays capture lines through one driver and writes what it read, one JSON object a line:
///
///     {"t":"…","device":"laser-plug","channel":"power","value":812.4,"unit":"W","kind":"gauge"}
///     {"t":"…","device":"mk4","channel":"state","value":"running","kind":"state","reason":"PRINTING"}
///     {"t":"…","device":"x","fault":"badChecksum","detail":"…"}
///
/// The time is the reading's own, else the capture line's, else left out. The same input gives the same bytes.
///
/// A recording of a bus that holds what was asked (`tx` lines) is followed as it was. In one without, the driver has
/// its turn before each answer and asks by its own plan; where the recording's times show that an answer was too late,
/// the driver is told so as on the line.
package struct Decoder {
    /// What the device on a bus was asked last.
    private enum Question {
        case none
        /// By the driver here. `heard` is when the line last spoke.
        case asked(replyWithin: Duration, heard: Instant?)
        /// In the recording.
        case overheard
    }

    private var driver: any DeviceDriver
    private let filters: [String]
    private let link: DriverInfo.Link
    private let asksHTTP: Bool
    private let device: String
    private var isOpened = false
    /// The serial line that is followed: the first one that the recording names.
    private var port: String?
    /// The same of what was asked over HTTP.
    private var host: String?
    private var hasQuestions = false
    private var question = Question.none
    private var outbox = Outbox()
    private var text: [UInt8] = []

    /// `device` is the id that the lines will carry.
    package init(driver: any DeviceDriver, info: DriverInfo, device: String) {
        self.driver = driver
        self.device = device
        filters = driver.subscriptions
        link = info.link
        asksHTTP = info.asksHTTP
    }

    /// Takes one line of the recording and hands on each line of output, without its line feed.
    package mutating func feed(_ line: CaptureLine, _ out: ([UInt8]) -> Void) {
        if !isOpened {
            isOpened = true
            driver.opened(&outbox)
            settle(line.time, out)
        }
        switch line.link {
        case .mqtt(let topic, let payload, let retained):
            guard link == .mqtt, let index = filters.firstIndex(where: { TopicFilter.matches($0, topic) }) else {
                return
            }
            let source = Source(topic: topic, subscription: index, isRetained: retained)
            driver.receive(payload.span, from: source, &outbox)
            settle(line.time, out)
        case .http(let name, let path, let exchange):
            guard asksHTTP, host == nil || host == name else { return }
            host = name
            switch exchange {
            case .question: return
            case .answer(let status, let body):
                driver.receive(body.span, from: Source(path: path, status: status), &outbox)
            case .noAnswer: driver.noReply(&outbox)
            }
            settle(line.time, out)
        case .serial(let name, let bytes, let direction):
            guard link == .line || link == .bus, port == nil || port == name else { return }
            port = name
            switch direction {
            case .tx:
                hasQuestions = true
                question = .overheard
                driver.overheard(bytes.span)
            case .rx:
                takeTurn(line.time, out)
                driver.receive(bytes.span, from: .line, &outbox)
                settle(line.time, out)
            }
        }
    }

    /// Before an answer of a recording without questions: the driver asks.
    private mutating func takeTurn(_ time: Instant?, _ out: ([UInt8]) -> Void) {
        guard link == .bus, !hasQuestions else { return }
        if case .asked(let limit, let heard) = question {
            if let time, let heard, time - heard > limit {
                question = .none
                driver.noReply(&outbox)
                settle(time, out)
            } else {
                question = .asked(replyWithin: limit, heard: time)
            }
        }
        if case .none = question {
            driver.poll(&outbox)
            settle(time, out)
        }
    }

    /// Writes what the driver left, and empties the outbox.
    private mutating func settle(_ time: Instant?, _ out: ([UInt8]) -> Void) {
        for reading in outbox.readings {
            begin(reading.time ?? time)
            append(reading, of: driver.channels[reading.channel])
            out(text)
        }
        for fault in outbox.faults {
            begin(time)
            member("fault", fault.kind.rawValue)
            member("detail", fault.detail)
            text.append(UInt8(ascii: "}"))
            out(text)
        }
        if outbox.isAnswered { question = .none }
        if case .write(_, let limit?, _) = outbox.request { question = .asked(replyWithin: limit, heard: time) }
        outbox.removeAll()
    }

    private mutating func append(_ reading: Reading, of channel: Channel) {
        member("channel", channel.name)
        var reason: String?
        switch reading.value {
        case .number(let number):
            text.append(contentsOf: #","value":"#.utf8)
            JSON.append(number, to: &text)
        case .state(let state, let word):
            member("value", state.rawValue)
            reason = word
        case .event(let name): member("value", name)
        case .unknown: text.append(contentsOf: #","value":null"#.utf8)
        }
        if let unit = channel.unit { member("unit", unit.rawValue) }
        member("kind", channel.kind.rawValue)
        if let reason { member("reason", reason) }
        text.append(UInt8(ascii: "}"))
    }

    private mutating func begin(_ time: Instant?) {
        text.removeAll(keepingCapacity: true)
        text.append(UInt8(ascii: "{"))
        if let time {
            text.append(contentsOf: #""t":""#.utf8)
            time.appendRFC3339(to: &text)
            text.append(contentsOf: #"","#.utf8)
        }
        text.append(contentsOf: #""device":"#.utf8)
        JSON.append(device, to: &text)
    }

    private mutating func member(_ key: StaticString, _ value: String) {
        text.append(contentsOf: ",\"\(key)\":".utf8)
        JSON.append(value, to: &text)
    }
}
