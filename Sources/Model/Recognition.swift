// How a family recognises its devices before anybody has configured them.

/// One device that was recognised on a link, as an entry of `devices` would name it.
package struct Proposal: Hashable, Sendable {
    /// One more key of the entry.
    package struct Key: Hashable, Sendable {
        package let name: String
        /// In YAML's flow style.
        package let value: String

        /// A text as the value, in quotes where it needs them.
        package init(_ name: String, _ text: String) {
            self.name = name
            value = Proposal.quoted(text)
        }

        /// A value that is written down already.
        package init(_ name: String, yaml: String) {
            self.name = name
            value = yaml
        }
    }

    /// What the device is called on its link; the entry's id is made of it.
    package let name: String
    package let driver: String
    /// A model that fits, where it is installed.
    package let model: String?
    package let keys: [Key]
    /// By what it was recognised, for people.
    package let reason: String
    /// Topic filters of what it says; empty on a bus.
    package let topics: [String]
    /// What a person should know or decide.
    package let remarks: [String]

    package init(
        name: String, driver: String, model: String? = nil, keys: [Key], reason: String, topics: [String] = [],
        remarks: [String] = []
    ) {
        self.name = name
        self.driver = driver
        self.model = model
        self.keys = keys
        self.reason = reason
        self.topics = topics
        self.remarks = remarks
    }

    /// A text as YAML takes it inside of `{ }`: plain where nothing in it can mean something else.
    package static func quoted(_ text: String) -> String {
        let isPlain =
            text.utf8.first.map { ($0 | 0x20) >= 0x61 && ($0 | 0x20) <= 0x7A } == true
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20)
                    || [0x2D, 0x2E, 0x2F, 0x5F].contains($0)
            }
        let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        if isPlain, !words.contains(text.lowercased()) { return text }
        var out: [UInt8] = []
        JSON.append(text, to: &out)
        return String(decoding: out, as: UTF8.self)
    }
}

/// Recognises the devices of a family by what is said on a broker. It keeps what it needs and no more, whatever comes.
package protocol Recogniser: Sendable {
    init()
    /// A message, retained or not.
    mutating func hear(_ payload: borrowing Span<UInt8>, on topic: String)
    /// What was recognised so far, in an order that does not depend on who spoke first.
    var proposals: [Proposal] { get }
}

/// Finds out what answers on a serial bus, and what it is. Like a driver it has no clock and no port: it says what to
/// ask next and hears what came, or that nothing did.
package protocol BusScanner: Sendable {
    /// The models that this scanner may tell apart are those of this driver.
    static var driver: String { get }
    /// `models`: name and profile of each. `units`: the addresses to try.
    init(models: [(name: String, profile: Fields)], units: [Int])
    /// What to ask now, and how long to wait; nil once everything is known.
    mutating func next() -> (bytes: [UInt8], replyWithin: Duration)?
    /// Bytes of the answer; true once it is whole.
    mutating func receive(_ bytes: borrowing Span<UInt8>) -> Bool
    /// The answer did not come in time.
    mutating func noReply()
    /// How many of how many addresses are done.
    var progress: (done: Int, of: Int) { get }
    var proposals: [Proposal] { get }
    /// Units that answered and are none of the models.
    var strangers: [String] { get }
}
