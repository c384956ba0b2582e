import Hub
import Model
import Ports
import Store
import Testing

/// Keeps the last word that it heard, and says which it had kept when it is asked.
private struct Notebook: DeviceDriver {
    static let info = DriverInfo(
        name: "notebook", title: "keeps a word", link: .mqtt, family: "test", silence: .hours(1))
    let channels = [Channel.gauge("power", .watt, 0...1)]
    let subscriptions: [String]
    private var kept = ""

    init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        guard let topic = setup.fields.requiredText("topic", &problems, example: "notebook") else { return nil }
        subscriptions = [topic]
    }

    mutating func receive(_ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox) {
        let word = String(decoding: bytes.indices.map { bytes[$0] }, as: UTF8.self)
        if word == "?" { out.describe(kept) } else { out.remember(word) }
    }

    mutating func recall(_ memory: String) { kept = memory }
}

/// What drivers keep over a restart.
@Suite struct MemoryTests {
    private let noon = MeteredHub.start + .hours(12)

    private func hub(_ store: RingStore, at now: Now) throws -> Hub {
        var reader = ConfigurationReader(catalog: Catalog(drivers: [Notebook.self])) { try CivilZone.load($0) }
        let text = """
            lab: { id: "urn:x:lab", timezone: UTC }
            mqtt: [{ name: main, url: "mqtt://127.0.0.1:1883" }]
            devices: [{ id: book, driver: notebook, mqtt: main, topic: book }]
            """
        let configuration = try #require(
            reader.read([try YAML.parse(text, file: "lab.yaml")]), "\(reader.problems.all)")
        var hub = Hub(configuration, store: store, at: now)
        hub.broker(0, isUp: true, "connected", at: now)
        return hub
    }

    /// The last word is recalled: also where several came within a millisecond, and where the clock was set back between.
    @Test(arguments: [[0, 1, 2], [0, 0, 0], [0, -3600, -3590], [0, 600, -3600, -3599]] as [[Int64]])
    func theLastWordIsRecalled(seconds: [Int64]) throws {
        let region = MemoryRegion(size: 8 << 20)
        _ = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](repeating: 1, count: 16))
        func now(_ moment: Int64, _ wall: Int64) -> Now {
            Now(moment: Moment(nanoseconds: moment * 1_000_000_000), wall: noon + .seconds(wall))
        }
        var before = try hub(try RingStore(opening: region), at: now(0, 0))
        for (number, second) in seconds.enumerated() {
            let word = Array("word \(seconds.count - number)".utf8)
            before.message(word.span, topic: "book", isRetained: false, broker: 0, at: now(Int64(number), second))
        }
        _ = try before.store.commit()
        var after = try hub(try RingStore(opening: region), at: now(5000, 4000))
        after.message(Array("?".utf8).span, topic: "book", isRetained: false, broker: 0, at: now(5001, 4001))
        #expect(after.deviceViews().first?.description == "word 1")
    }
}
