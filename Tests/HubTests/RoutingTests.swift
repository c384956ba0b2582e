// Which device a topic goes to, that a flood of topics costs no memory, and that the counts of what came in add up.

import Hub
import Model
import Ports
import Simulation
import Store
import Testing

@Suite struct RoutingTests {
    /// The tree and the rule for a single filter say the same of every topic, asked the first time and again.
    @Test(arguments: UInt64(1)...20) func theTreeSaysWhatEachFilterSays(seed: UInt64) {
        var random = SeededRandom(seed)
        let words = ["a", "b", "tele", "+", "#", "", "$SYS", "센서"]
        func text() -> String {
            (0..<Int(random.next() % 4 + 1)).map { _ in words[Int(random.next() % UInt64(words.count))] }
                .joined(separator: "/")
        }
        let devices = (0..<6).map { device in
            (device: device * 3, filters: (0..<Int(random.next() % 5)).map { _ in text() })
        }
        var router = TopicRouter(devices)
        for _ in 0..<400 {
            let topic = text()
            let bytes = Array(topic.utf8)
            var expected: [[Int]] = []
            for (device, filters) in devices {
                let first = filters.firstIndex { TopicFilter.isValid($0) && TopicFilter.matches($0, topic) }
                if let first { expected.append([device, first]) }
            }
            var found: [[Int]] = []
            if let place = router.find(bytes.span) {
                for index in 0..<router.count(place) {
                    let route = router[place, index]
                    found.append([route.device, route.source.subscription])
                    #expect(route.source.topic == topic)
                }
            }
            #expect(found == expected, "seed \(seed), topic '\(topic)', filters \(devices)")
        }
    }

    /// Two hundred thousand topics, of which nobody hears half and one plug the other half: nothing grows, and the plug
    /// is read as before.
    @Test func aFloodOfTopicsLeavesNothingBehind() throws {
        let start = try #require(Instant("2026-11-23T00:00:00Z"))
        var gateway = try VirtualGateway(seed: 1, start: start, megabytes: 4)
        let plug = try #require(gateway.configuration.devices.first { $0.driverName == "tasmota" })
        let heard = try #require(plug.driver.subscriptions.first { $0.hasSuffix("/+") }).dropLast()
        let report = try #require(plug.driver.subscriptions.first { $0.hasSuffix("SENSOR") })
        let series = gateway.hub.store.allSeries.count
        let junk = Array("{}".utf8)
        for index in 0..<200_000 {
            let topic = index % 2 == 0 ? "flood/\(index)/SENSOR" : "\(heard)flood\(index)"
            gateway.hub.message(junk.span, topic: topic, isRetained: false, broker: 0, at: gateway.now)
        }
        #expect(gateway.hub.tally.messages == 200_000)
        #expect(gateway.hub.tally.unrouted == 100_000)
        #expect(gateway.hub.store.allSeries.count == series)
        let readings = gateway.hub.tally.readings
        let good = Array(#"{"ENERGY":{"Power":74,"Total":1.5}}"#.utf8)
        gateway.hub.message(good.span, topic: report, isRetained: false, broker: 0, at: gateway.now)
        #expect(gateway.hub.tally.readings == readings + 2)
    }

    @Test func theAnswersKeptAreBounded() {
        var router = TopicRouter([(device: 0, filters: ["stat/laser/+"])])
        let most = router.capacity
        for index in 0..<200_000 {
            let topic = Array("stat/laser/\(index)".utf8)
            #expect(router.find(topic.span) != nil)
        }
        #expect(router.capacity == most)
        #expect(most <= 1024)
    }

    /// Every message is with a driver or dropped for one reason, every reading in the store or dropped for one reason.
    @Test(arguments: UInt64(1)...5) func whatCameInAddsUp(seed: UInt64) throws {
        let start = try #require(Instant("2026-11-23T00:00:00Z"))
        var gateway = try VirtualGateway(seed: seed, start: start, megabytes: 4)
        var random = SeededRandom(seed)
        let topics =
            gateway.configuration.devices.flatMap(\.driver.subscriptions).filter { TopicFilter.isTopic($0) } + [
                "nobody"
            ]
        let payloads: [[UInt8]] = [
            Array(#"{"ENERGY":{"Power":74,"Total":1.5}}"#.utf8), Array(#"{"ENERGY":{"Power":NaN}}"#.utf8),
            Array(#"{"ENERGY":{"Power":1e300,"Voltage":"high"}}"#.utf8), Array("Online".utf8), Array("Offline".utf8),
            Array(#"{"ENERGY":{"Power":12},"x":""#.utf8) + [0xFF, 0xFE] + Array(#""}"#.utf8), [],
        ]
        var sent = 0
        for _ in 0..<3000 {
            gateway.pass(Int64(random.next() % 3))
            sent += 1
            if random.next() % 50 == 0 {
                gateway.hub.tooLong()
                continue
            }
            let payload = payloads[Int(random.next() % UInt64(payloads.count))]
            gateway.hub.message(
                payload.span, topic: topics[Int(random.next() % UInt64(topics.count))],
                isRetained: random.next() % 10 == 0, broker: 0, at: gateway.now)
        }
        let tally = gateway.hub.tally
        #expect(tally.messages == sent, "seed \(seed)")
        #expect(tally.messages == tally.routed + tally.unrouted + tally.tooLong)
        #expect(tally.readings == tally.stored + tally.noSeries + tally.unusable + tally.lifeSigns)
        #expect(tally.faults > 0 && tally.tooLong > 0 && tally.unrouted > 0 && tally.retained > 0)
        let store = gateway.hub.store.statistics
        // Two marks of the gateway's own series are no device's: where it began, and each beat.
        #expect(store.appended + store.duplicates + store.refused >= tally.stored + tally.marks)
    }
}
