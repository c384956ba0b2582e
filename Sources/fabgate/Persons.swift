import Hub
import Model

/// What `record` and `listen` may write down or show of an MQTT message: nothing that names a person or a card.
enum Persons {
    /// Members of a JSON object that hold such a thing, whoever sent it.
    private static let members: Set<String> = [
        "uid", "user", "username", "user_name", "userid", "user_id", "card", "cardid", "card_id", "card_uid",
        "cardnumber",
        "card_number", "tag", "tagid", "tag_id", "rfid", "rfid_value", "badge", "badgeid", "badge_id", "token", "email",
        "e_mail", "emailaddress", "email_address", "member", "memberid", "member_id",
    ]
    /// Beside one of those, or a reader's yes or no, these are a person's as well.
    private static let beside: Set<String> = ["name", "data", "displayname", "display_name"]
    private static let answers: Set<String> = ["is_valid", "isknown"]

    /// The same message without them; byte for byte the same where there are none.
    static func masked(_ payload: [UInt8]) -> [UInt8] {
        guard payload.first == 0x7B || payload.first == 0x5B, let json = JSON(payload) else { return payload }
        let masked = masked(json)
        return masked == json ? payload : masked.bytes
    }

    private static func masked(_ json: JSON) -> JSON {
        switch json {
        case .array(let items): return .array(items.map(masked))
        case .object(let all):
            let keys = Set(all.map { $0.key.lowercased() })
            let tellsOfSomebody = !keys.isDisjoint(with: members) || !keys.isDisjoint(with: answers)
            return .object(
                all.map { member in
                    let key = member.key.lowercased()
                    let isPersonal = members.contains(key) || tellsOfSomebody && beside.contains(key)
                    return JSON.Member(member.key, isPersonal ? mark(member.value) : masked(member.value))
                })
        default: return json
        }
    }

    private static func mark(_ value: JSON) -> JSON {
        switch value {
        case .string(let text): .string(text.isEmpty ? "" : "…")
        case .number: .number(0)
        case .array(let items): .array(items.map(mark))
        case .object(let members): .object(members.map { JSON.Member($0.key, mark($0.value)) })
        case .bool, .null: value
        }
    }
}

extension Configuration {
    /// A message as it may be shown and written down. A driver that hears of persons knows best what is not theirs.
    func withoutPersons(_ payload: [UInt8], topic: String, isRetained: Bool, broker: Int) -> [UInt8] {
        for device in devices where device.link == .broker(broker) {
            guard let index = device.driver.subscriptions.firstIndex(where: { TopicFilter.matches($0, topic) }) else {
                continue
            }
            let source = Source(topic: topic, subscription: index, isRetained: isRetained)
            if let clean = device.driver.withoutPersons(payload.span, from: source) { return clean }
        }
        return Persons.masked(payload)
    }
}
