import Model
import Ports
import Testing

/// What the tests of MQTT drivers share.
enum MessageBench {
    /// A driver from the keys of a device and the settings of its model, both as YAML.
    static func make<Driver: DeviceDriver>(
        _ type: Driver.Type, _ keys: String = "{}", profile: String? = nil, takesAnyAddress: Bool = false,
        _ problems: inout Problems
    ) throws -> Driver? {
        var setup = DeviceSetup(
            id: "d", fields: try fields(keys, "device d", &problems),
            profile: try profile.map { try fields($0, "profile", &problems) }, takesAnyAddress: takesAnyAddress)
        let driver = Driver(&setup, &problems)
        setup.fields.finish(&problems)
        setup.profile?.finish(&problems)
        return driver
    }

    static func made<Driver: DeviceDriver>(
        _ type: Driver.Type, _ keys: String = "{}", profile: String? = nil
    ) throws -> Driver {
        var problems = Problems()
        let driver = try make(type, keys, profile: profile, &problems)
        #expect(problems.all == [])
        return try #require(driver)
    }

    /// What is wrong with the keys, in words.
    static func mistakes<Driver: DeviceDriver>(
        _ type: Driver.Type, _ keys: String, profile: String? = nil
    ) throws -> [String] {
        var problems = Problems()
        let driver = try make(type, keys, profile: profile, &problems)
        #expect(driver == nil || problems.isEmpty == false)
        return problems.all.map(\.message)
    }

    private static func fields(_ yaml: String, _ what: String, _ problems: inout Problems) throws -> Fields {
        try #require(Fields(YAML.parse(yaml, file: "\(what).yaml"), what, &problems))
    }
}

extension DeviceDriver {
    /// What a message makes it say: `name=value` for each reading, `!kind` for each fault.
    mutating func hears(_ topic: String, _ payload: String, retained: Bool = false) -> [String] {
        guard subscriptions.contains(where: { TopicFilter.matches($0, topic) }) else { return ["not subscribed"] }
        let out = hear(topic, payload, retained: retained)
        return words(out) + out.faults.map { "!\($0.kind.rawValue)" }
    }

    /// The same, and all that it left; nothing where it does not listen there.
    mutating func hear(_ topic: String, _ payload: String, retained: Bool = false) -> Outbox {
        var out = Outbox()
        guard let index = subscriptions.firstIndex(where: { TopicFilter.matches($0, topic) }) else { return out }
        let source = Source(topic: topic, subscription: index, isRetained: retained)
        receive(Array(payload.utf8).span, from: source, &out)
        return out
    }

    mutating func opens() -> Outbox {
        var out = Outbox()
        opened(&out)
        return out
    }
}
