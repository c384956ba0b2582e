package import Model

/// Access readers on MQTT, read for one thing: whether the machine is taken. Never for whom.
///
///     machine/laser             {"action":"startuse","uid":"04A1…"}                     Fab-O-matic
///     esp-rfid                  {"type":"access","access":"Always","username":"…","uid":"…"}
///     tele/laser-door/SENSOR    {"Time":"…","RC522":{"UID":"BA839D07"}}                 Tasmota
///     fabaccess/laser/state     inuse Ada Lovelace                                      a word first, then whatever
///
/// A card number, a name, an e-mail address are personal data. They are looked at by nobody: of a message only the
/// member that says what happened is compared with the words of the model, and of a card only that there is one. No
/// reading and no fault repeats a word of the device; a test holds the store against that.
///
///     topic: machine/laser
///     settings:
///       below: SENSOR                           the messages come on a topic below the device's
///       word: action                            the member that says what happened; the whole payload without it
///       words: { startuse: started, stopuse: ended, checkuser: read, alive: nothing }
///       card: [RC522.UID, PN532.UID]            members that stand there when a card was read
///       time: Time                              the reader's own time, by which one touch is told from two
///       taps: toggle                            a card takes the machine and gives it back; otherwise it is an event
///       repeats_within: 5 s
///       availability: { topic: LWT, online: Online, offline: Offline }
package struct AccessReader: DeviceDriver {
    package static let info = DriverInfo(
        name: "access-reader", title: "Access readers on MQTT: taken or free, never by whom", link: .mqtt,
        family: "workshop", needsModel: true, silence: .hours(1))

    package let channels: [Channel] = [
        .gauge("occupied", .one, 0...1), Channel("access", nil, .event), .online,
    ]
    package let subscriptions: [String]
    private static let occupied = 0, access = 1, online = 2

    let settings: AccessSettings
    /// nil in a recording, which may have any.
    private let base: String?
    private var isTaken: Bool?
    private var lastTap: Instant?

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        guard let settings = AccessSettings(&setup, &problems) else { return nil }
        self.settings = settings
        base = settings.topic
        if let base {
            let message = settings.below.map { "\(base)/\($0)" } ?? base
            subscriptions = [message] + (settings.availability.map { ["\(base)/\($0.topic)"] } ?? [])
        } else {
            subscriptions = ["#"]
        }
    }

    package mutating func opened(_ out: inout Outbox) {
        // Who came and went while nobody listened is not known.
        isTaken = nil
        lastTap = nil
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard !bytes.isEmpty else { return }
        if let availability = settings.availability, ends(source.topic, with: availability.topic) {
            return readAvailability(bytes, availability, &out)
        }
        // What the broker kept may be from yesterday.
        guard !source.isRetained, settings.below.map({ ends(source.topic, with: $0) }) ?? true else { return }
        guard bytes.count <= 8192 else { return out.note(.overrun, "a message of \(bytes.count) bytes") }
        if settings.word == nil, settings.cards.isEmpty { return readWord(bytes, &out) }
        guard let json = JSON(span: bytes), json.members != nil else {
            return out.note(.badFrame, "the message is no JSON object")
        }
        readObject(json, &out)
    }

    func ends(_ topic: String, with below: String) -> Bool {
        if let base { return topic.utf8.elementsEqual("\(base)/\(below)".utf8) }
        return topic.utf8.elementsEqual(below.utf8) || topic.hasSuffix("/" + below)
    }

    private mutating func readAvailability(
        _ b: borrowing Span<UInt8>, _ availability: AccessSettings.Availability, _ out: inout Outbox
    ) {
        guard b.count <= 64, let word = JSONScanner.text(b.indices, b) else {
            return out.note(.badFrame, "the availability is no word")
        }
        if word == availability.online {
            out.report(Self.online, online: true)
        } else if word == availability.offline {
            isTaken = nil
            lastTap = nil
            out.report(Self.online, online: false)
        } else {
            out.note(.unknownValue, "the availability is neither of its two words")
        }
    }

    /// A bare word; what stands behind a blank is a name and nobody's business.
    private mutating func readWord(_ b: borrowing Span<UInt8>, _ out: inout Outbox) {
        var end = 0
        while end < b.count, b[end] > 0x20 { end += 1 }
        out.alive()
        guard let word = JSONScanner.text(0..<end, b) else { return out.note(.badValue, "the word is no UTF-8") }
        take(word, at: nil, &out)
    }

    private mutating func readObject(_ json: JSON, _ out: inout Outbox) {
        out.alive()
        let time = settings.time.flatMap { Self.time(Self.member($0, json)) }
        if let path = settings.word {
            switch Self.member(path, json) {
            case .string(let word)?: return take(word, at: time, &out)
            case .bool(let flag)?: return take(flag ? "true" : "false", at: time, &out)
            case .number(let number)?: return take(Int64(exactly: number).map { "\($0)" } ?? "", at: time, &out)
            case nil: break
            default: out.note(.badValue, "the member that says what happened is no word")
            }
        }
        if settings.cards.contains(where: { Self.isCard(Self.member($0, json)) }) { happened(.read, at: time, &out) }
    }

    private static func member(_ path: [String], _ json: JSON) -> JSON? {
        var place: JSON? = json
        for key in path { place = place?[key] }
        return place
    }

    private static func isCard(_ found: JSON?) -> Bool {
        switch found {
        case .string(let text)?: !text.isEmpty
        case .number?: true
        default: false
        }
    }

    /// Seconds since 1970, or a local time without a zone: only differences are taken.
    static func time(_ found: JSON?) -> Instant? {
        switch found {
        case .number(let seconds)? where (0...4e9).contains(seconds): Instant(milliseconds: Int64(seconds * 1000))
        case .string(let text)?: Instant(text) ?? Instant(text + "Z")
        default: nil
        }
    }

    // MARK: what happened

    private mutating func take(_ word: String, at time: Instant?, _ out: inout Outbox) {
        guard let meaning = settings.words[word] else {
            return out.note(.unknownValue, "a word of \(word.utf8.count) bytes that 'words' does not hold")
        }
        happened(meaning, at: time, &out)
    }

    private mutating func happened(_ meaning: AccessSettings.Meaning, at time: Instant?, _ out: inout Outbox) {
        switch meaning {
        case .nothing: break
        case .started: set(true, tells: true, &out)
        case .ended: set(false, tells: true, &out)
        case .occupied: set(true, tells: isTaken == false, &out)
        case .free: set(false, tells: isTaken == true, &out)
        case .denied: out.report(Self.access, event: "denied")
        case .granted, .read:
            if isRepeat(time) { return }
            if settings.toggles {
                set(isTaken != true, tells: true, &out)
            } else {
                out.report(Self.access, event: meaning == .granted ? "granted" : "read")
            }
        }
    }

    /// A card that lies on the reader is read again and again.
    private mutating func isRepeat(_ time: Instant?) -> Bool {
        guard let time else { return false }
        defer { lastTap = time }
        guard let lastTap, time >= lastTap else { return false }
        return time - lastTap < settings.repeatsWithin
    }

    private mutating func set(_ isTaken: Bool, tells: Bool, _ out: inout Outbox) {
        if tells { out.report(Self.access, event: isTaken ? "started" : "ended") }
        out.report(Self.occupied, of: channels, isTaken ? 1 : 0)
        self.isTaken = isTaken
    }
}
