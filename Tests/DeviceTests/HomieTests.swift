import Model
import Plugs
import Testing

@Suite struct HomieTests {
    private let four = "{topic: homie/x, values: [{channel: power, property: m/p}]}"
    private let five = "{topic: homie/5/x, values: [{channel: power, property: m/p}]}"

    @Test func listensToWhatItsVersionPublishes() throws {
        #expect(
            try MessageBench.made(Homie.self, four).subscriptions == [
                "homie/x/$state", "homie/x/+/+", "homie/x/+/+/$unit",
            ])
        #expect(
            try MessageBench.made(Homie.self, five).subscriptions == [
                "homie/5/+/$state", "homie/5/x/$description", "homie/5/x/+/+",
            ])
    }

    @Test(arguments: [
        ("ready", ["online=1"]), ("alert", ["online=1"]), ("lost", ["online=0"]), ("disconnected", ["online=0"]),
        ("init", []), ("sleeping", []), ("", ["online=0"]), ("busy", ["!unknownValue"]),
    ])
    func stateSaysWhetherItIsThere(_ word: String, _ said: [String]) throws {
        for isRetained in [false, true] {
            var made = try MessageBench.made(Homie.self, four)
            #expect(made.hears("homie/x/$state", word, retained: isRetained) == said)
        }
    }

    @Test func aRetainedValueIsNoSample() throws {
        var made = try MessageBench.made(Homie.self, four)
        #expect(made.hears("homie/x/m/p/$unit", "W", retained: true) == [])
        #expect(made.hears("homie/x/m/p", "5", retained: true) == [])
        #expect(made.hears("homie/x/m/p", "5") == ["power=5"])
        #expect(made.hears("homie/x/m/p", "") == [])
    }

    @Test func unitsAreSaidAndNeverGuessed() throws {
        var made = try MessageBench.made(Homie.self, four)
        #expect(made.hears("homie/x/m/p", "5") == ["!unknownValue"])
        #expect(made.hears("homie/x/m/p/$unit", "V", retained: true) == [])
        #expect(made.hears("homie/x/m/p", "5") == ["!unknownValue"])
        #expect(made.hears("homie/x/m/p/$unit", "kW", retained: true) == [])
        #expect(made.hears("homie/x/m/p", "5") == ["power=5000"])
        var told = try MessageBench.made(
            Homie.self, "{topic: homie/x, values: [{channel: power, property: m/p, unit: mW}]}")
        #expect(told.hears("homie/x/m/p", "5000") == ["power=5"])
    }

    @Test func aChildIsGoneWithItsRoot() throws {
        var made = try MessageBench.made(Homie.self, five)
        // The root's state comes first, before anybody says that it is the root.
        #expect(made.hears("homie/5/hub/$state", "lost", retained: true) == [])
        #expect(made.hears("homie/5/other/$state", "lost", retained: true) == [])
        #expect(made.hears("homie/5/x/$state", "ready", retained: true) == ["online=1"])
        let description = #"{"root":"hub","nodes":{"m":{"properties":{"p":{"unit":"W"}}}}}"#
        #expect(made.hears("homie/5/x/$description", description, retained: true) == ["online=0"])
        #expect(made.hears("homie/5/hub/$state", "ready") == ["online=1"])
        #expect(made.hears("homie/5/other/$state", "ready") == [])
        #expect(made.hears("homie/5/x/m/p", "5") == ["power=5"])
        #expect(made.hears("homie/5/hub/$state", "lost") == ["online=0"])
    }

    @Test func aPropertyThatIsNotDescribedIsTold() throws {
        var made = try MessageBench.made(Homie.self, five)
        #expect(made.hears("homie/5/x/$description", #"{"nodes":{"m":{}}}"#, retained: true) == ["!unknownValue"])
        #expect(made.hears("homie/5/x/$description", "{", retained: true) == ["!badFrame"])
    }

    @Test(arguments: [
        ("{values: [{channel: power, property: m/p}]}", "needs 'topic'"),
        ("{topic: homie/x, values: [{channel: power, property: p}]}", "no property"),
        ("{topic: homie/x, values: [{channel: power, property: 'm/+'}]}", "no property"),
        ("{topic: homie/x, values: [{channel: power}]}", "needs 'property'"), ("{topic: homie/x}", "needs 'values'"),
    ])
    func saysWhatIsWrongWithAKey(_ keys: String, _ words: String) throws {
        let mistakes = try MessageBench.mistakes(Homie.self, keys)
        #expect(mistakes.count == 1, "\(mistakes)")
        #expect(mistakes.first?.contains(words) == true, "\(mistakes)")
    }
}
