import Model
import Plugs
import Ports
import Testing

/// ESPHome's driver with keys of a configuration; what it made of a message, in short.
private struct Board {
    var driver: ESPHome

    init(_ keys: String) throws {
        var problems = Problems()
        let fields = try #require(Fields(try YAML.parse(keys, file: "keys"), "device", &problems))
        var setup = DeviceSetup(id: "d", fields: fields, profile: nil)
        driver = try #require(ESPHome(&setup, &problems), "\(problems.all)")
    }

    mutating func hears(_ topic: String, _ payload: String, retained: Bool = false) -> [String] {
        guard let index = driver.subscriptions.firstIndex(where: { TopicFilter.matches($0, topic) }) else {
            return ["unheard"]
        }
        var out = Outbox()
        let source = Source(topic: topic, subscription: index, isRetained: retained)
        driver.receive(Array(payload.utf8).span, from: source, &out)
        return out.readings.map { reading in
            let name = driver.channels[reading.channel].name
            switch reading.value {
            case .number(let number): return "\(name)=\(number)"
            default: return "\(name)=?"
            }
        } + out.faults.map { "!\($0.kind.rawValue)" }
    }
}

@Suite struct ESPHomeTests {
    private static let keys = """
        topic: shop/cnc-meter
        node: cnc
        values:
          - { channel: power, entity: cnc_power }
          - { channel: energy, entity: cnc_energy, unit: Wh }
          - { channel: relay, entity: switch/cnc }
          - { channel: current, entity: sensor/_current, unit: A }

        """

    @Test func unitsComeFromTheEntryOrTheAnnouncement() throws {
        var board = try Board(Self.keys)
        #expect(board.hears("shop/cnc-meter/sensor/cnc_power/state", "741.3") == ["!unknownValue"])
        let config = #"{"unit_of_meas":"kW","stat_t":"shop/cnc-meter/sensor/cnc_power/state"}"#
        #expect(board.hears("homeassistant/sensor/cnc/cnc_power/config", config, retained: true) == [])
        #expect(board.hears("shop/cnc-meter/sensor/cnc_power/state", "0.7413") == ["power=741.3"])
        // Something that is no power is told and not converted.
        #expect(
            board.hears("homeassistant/sensor/cnc/cnc_power/config", #"{"unit_of_meas":"V"}"#, retained: true) == [])
        #expect(board.hears("shop/cnc-meter/sensor/cnc_power/state", "230") == ["!unknownValue"])
        #expect(board.hears("shop/cnc-meter/sensor/cnc_energy/state", "48213") == ["energy=48213000.0"])
    }

    @Test func whatTheBrokerKeptIsNoSample() throws {
        var board = try Board(Self.keys)
        #expect(board.hears("shop/cnc-meter/sensor/cnc_energy/state", "1", retained: true) == [])
        #expect(board.hears("shop/cnc-meter/status", "offline", retained: true) == ["online=0.0"])
        #expect(board.hears("shop/cnc-meter/status", "online") == ["online=1.0"])
    }

    @Test func notANumberIsUnknownAndAnIdBelongsToItsKind() throws {
        var board = try Board(Self.keys)
        #expect(board.hears("shop/cnc-meter/sensor/cnc_energy/state", "nan") == ["energy=?"])
        #expect(board.hears("shop/cnc-meter/switch/cnc/state", "ON") == ["relay=1.0"])
        #expect(board.hears("shop/cnc-meter/sensor/cnc/state", "7") == [])
        // Only the end of the id is known: the first that fits is meant, another one is told.
        #expect(board.hears("shop/cnc-meter/sensor/left_current/state", "1.5") == ["current=1.5"])
        #expect(board.hears("shop/cnc-meter/sensor/right_current/state", "2.5") == ["!unknownValue"])
        #expect(board.hears("shop/cnc-meter/sensor/left_current/state", "1.6") == ["current=1.6"])
    }

    @Test(arguments: [
        "topic: a/#\nvalues: [{ channel: power, entity: p, unit: W }]\n",
        "topic: a\nvalues: [{ channel: power, entity: a/b/c, unit: W }]\n", "topic: a\n",
        "values: [{ channel: power, entity: p, unit: W }]\n",
    ]) func mistakesAreTold(_ keys: String) throws {
        var problems = Problems()
        let fields = try #require(Fields(try YAML.parse(keys, file: "keys"), "device", &problems))
        var setup = DeviceSetup(id: "d", fields: fields, profile: nil)
        #expect(ESPHome(&setup, &problems) == nil)
        #expect(!problems.isEmpty)
    }
}
