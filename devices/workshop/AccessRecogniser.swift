package import Model

/// Recognises access readers by the shape of what they say. Of a message nothing is kept but which kind of reader sent it.
///
///     machine/laser                  {"action":"alive",…}                     Fab-O-matic
///     esp-rfid                       {"type":"access","isKnown":…,"access":…} ESP-RFID
///     tele/laser-door/SENSOR         {"Time":…,"RC522":{"UID":…}}             Tasmota with a card reader
///     fabaccess/laser/state          free | inuse … | tocheck …               FabAccess
///     reader1/binary_sensor/card/state   ON | OFF                             a card holder on ESPHome
package struct AccessRecogniser: Recogniser {
    /// The model, by the device's topic.
    private var found: [String: String] = [:]
    private static let most = 2000
    private static let actions: Set<String> = [
        "startuse", "inuse", "stopuse", "checkuser", "checkmachine", "alive", "maintenance",
    ]
    private static let states: Set<String> = ["free", "inuse", "tocheck", "blocked", "disabled", "reserved"]

    package init() {}

    package mutating func hear(_ payload: borrowing Span<UInt8>, on topic: String) {
        guard TopicFilter.isTopic(topic), payload.count <= 8192, found.count < Self.most else { return }
        let levels = topic.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        if payload.count > 1, payload[0] == 0x7B {
            guard let json = JSON(span: payload), json.members != nil else { return }
            return hear(json, topic, levels)
        }
        if levels.count >= 4, levels.suffix(3) == ["binary_sensor", "card", "state"] {
            let isWord =
                JSONScanner.equals(payload.indices, "ON", payload)
                || JSONScanner.equals(payload.indices, "OFF", payload)
            if isWord { found[levels.dropLast(3).joined(separator: "/")] = "esphome-reader" }
        } else if levels.count >= 3, levels[0] == "fabaccess", levels.last == "state" {
            var end = 0
            while end < payload.count, payload[end] > 0x20 { end += 1 }
            if let word = JSONScanner.text(0..<end, payload), Self.states.contains(word) { found[topic] = "fabaccess" }
        }
    }

    private mutating func hear(_ json: JSON, _ topic: String, _ levels: [String]) {
        if levels.count == 2, levels[0] == "machine", let action = json["action"]?.text, Self.actions.contains(action) {
            found[topic] = "fab-o-matic"
        } else if json["type"]?.text == "access", json["isKnown"] != nil, json["access"] != nil {
            found[topic] = "esp-rfid"
        } else if levels.count >= 2, levels.last == "SENSOR",
            ["RC522", "PN532", "RDM6300"].contains(where: { json[$0]?["UID"] != nil })
        {
            found[levels.dropLast().joined(separator: "/")] = "tasmota-rfid"
        }
    }

    package var proposals: [Proposal] {
        found.sorted { $0.key < $1.key }.map { topic, model in
            let levels = topic.split(separator: "/").map(String.init)
            let name = model == "fabaccess" ? levels.dropLast().last : levels.last
            return Proposal(
                name: "\(name ?? topic)-reader", driver: AccessReader.info.name, model: model,
                keys: [.init("topic", topic)], reason: "an access reader, by what it says on \(topic)",
                topics: [topic, "\(topic)/#"])
        }
    }
}
