// What a message costs the whole gateway, beside a libmosquitto subscriber that does nothing, in the same run and by turns.

import IngestPeers
@preconcurrency import Glibc
import Ports

/// The sizes of the ingest benchmark.
enum IngestLoad {
    /// In one measured stretch; set once, before the first.
    nonisolated(unsafe) static var messages = 200_000
    static let plugs = 1000
    /// Measured stretches for each of the two at each quality.
    static let turns = 3
    /// A quiet lab's rate, at which latency counts, and so many messages of it.
    static let slowRate = 500.0
    static let slowMessages = 3000
    static let starts = 5
}

/// The whole benchmark: CPU time and memory under load, latency without, and the time that a start takes.
func ingestBench() -> [BenchResult] {
    do {
        return try underLoad() + atEase()
    } catch {
        Bench.fail("ingest: \(error)")
    }
}

/// `Bench ingest-publish …` and `Bench ingest-idle …`: what the benchmark starts beside itself. nil for other words.
func ingestPeer(_ words: [String]) -> Int32? {
    func number(_ index: Int) -> Int { Int(words[index]) ?? 0 }
    switch (words.first, words.count) {
    case ("ingest-publish", 6):
        return words[2].withCString { prefix in
            var load = ingest_load(
                port: UInt16(number(1)), prefix: prefix, count: number(3), devices: CInt(IngestLoad.plugs),
                qos: CInt(number(4)), rate: Double(number(5)))
            return ingest_publish(&load)
        }
    case ("ingest-idle", 4):
        guard let count = SharedCount(path: words[3]) else { return 74 }
        return ingest_idle_subscriber(UInt16(number(1)), "\(IdleTarget.prefix)/#", CInt(number(2)), count.place)
    default: return nil
    }
}

// MARK: under load

private struct Turn {
    var cpu: [Double] = []
    var wall: [Double] = []
    var lost = 0
}

private func underLoad() throws -> [BenchResult] {
    let folder = try IngestFolder()
    defer { folder.remove() }
    let broker = try IngestBroker(in: folder, logs: false)
    let gateway = try GatewayTarget(in: folder, broker: broker, name: "loaded")
    try gateway.start()
    var results: [BenchResult] = []
    var resident: [Int] = []
    for qos in [0, 1] {
        let idle = try IdleTarget(in: folder, broker: broker, qos: qos)
        var turns = [Turn](repeating: Turn(), count: 2)
        let targets: [any IngestTarget] = [idle, gateway]
        // Once before it counts: topics, tables and the memory of both are warm then.
        for target in targets { _ = try turn(target, broker, messages: IngestLoad.messages / 10, qos: qos) }
        resident.append(gateway.residentKiB)
        for _ in 0..<IngestLoad.turns {
            for (index, target) in targets.enumerated() {
                let (measured, lost) = try turn(target, broker, messages: IngestLoad.messages, qos: qos)
                turns[index].cpu.append(measured.cpu)
                turns[index].wall.append(measured.wall)
                turns[index].lost += lost
            }
            resident.append(gateway.residentKiB)
        }
        let own = middle(turns[1].cpu)
        let peer = middle(turns[0].cpu)
        let n = Double(IngestLoad.messages)
        results.append(
            BenchResult(
                name: "ingest.qos\(qos)", count: IngestLoad.messages, cpuNanoseconds: own / n,
                wallNanoseconds: middle(turns[1].wall) / n,
                figures: [
                    ("idle_subscriber_ns_per_op", peer / n), ("ratio", own / peer), ("lost", Double(turns[1].lost)),
                    ("idle_subscriber_lost", Double(turns[0].lost)),
                    ("idle_subscriber_wall_ns_per_op", middle(turns[0].wall) / n),
                ]))
    }
    // A gateway gives back what a burst took once it is over for a second or two.
    sleep(4)
    results.append(
        BenchResult(
            name: "ingest.memory", count: IngestLoad.messages * IngestLoad.turns * 2, cpuNanoseconds: 0,
            wallNanoseconds: 0,
            figures: [
                ("start_rss_kib", Double(resident[0])), ("middle_rss_kib", Double(resident[resident.count / 2])),
                ("end_rss_kib", Double(resident[resident.count - 1])), ("rested_rss_kib", Double(gateway.residentKiB)),
                ("peak_rss_kib", Double(gateway.peakKiB)),
            ]))
    results.append(try starts(gateway, broker))
    return results
}

/// Sends so many messages to one of the two, and waits until it has nothing more to do.
private func turn(
    _ target: any IngestTarget, _ broker: IngestBroker, messages: Int, qos: Int
) throws -> (Measured, lost: Int) {
    let before = try target.messages()
    try target.settle()
    let cpu = target.cpu
    let start = Clock.monotonic
    try Publisher(broker, prefix: target.topicPrefix, messages: messages, qos: qos, rate: 0).wait()
    let sent = Clock.monotonic
    try target.settle()
    var measured = Measured(cpu: target.cpu - cpu, wall: sent - start)
    var lost = before + messages - (try target.messages())
    // On a busy machine a process that gets no CPU seems to rest. What has not come after five seconds was dropped.
    for _ in 0..<20 where lost > 0 {
        try target.settle()
        measured = Measured(cpu: target.cpu - cpu, wall: sent - start)
        lost = before + messages - (try target.messages())
    }
    return (measured, lost: lost)
}

/// From the start of the program to its first acknowledged message, while plugs go on sending and its store holds what
/// they said before: with a session that the broker knows, and with a new one, where every topic has to be subscribed to
/// first. The clock stops where the gateway's word leaves it: a broker that has five thousand subscriptions to note
/// before reads it tens of milliseconds later.
private func starts(_ gateway: GatewayTarget, _ broker: IngestBroker) throws -> BenchResult {
    var known: [Double] = []
    var new: [Double] = []
    var used: [Double] = []
    let relay = try IngestRelay(to: broker.port)
    for index in 0..<2 * IngestLoad.starts {
        gateway.stop()
        if index % 2 == 1 { try gateway.rename("started-\(index)", reaching: relay.port) }
        if index == 0 { try gateway.rename(gateway.clientID, reaching: relay.port) }
        let publisher = try Publisher(
            broker, prefix: gateway.topicPrefix, messages: IngestLoad.slowMessages, qos: 1, rate: IngestLoad.slowRate)
        let start = Clock.monotonic
        try gateway.launch()
        let time = try relay.awaitAcknowledgement()
        if index % 2 == 1 { new.append(time - start) } else { known.append(time - start) }
        used.append(gateway.cpu)
        publisher.end()
        try gateway.awaitAnswer()
    }
    return BenchResult(
        name: "ingest.start", count: IngestLoad.starts, cpuNanoseconds: 0, wallNanoseconds: middle(known),
        figures: [
            ("first_message_ms", middle(known) / 1e6), ("first_message_new_session_ms", middle(new) / 1e6),
            ("first_message_cpu_ms", middle(used) / 1e6),
        ])
}

// MARK: at ease

/// A broker that tells of each packet says when a message went to a client and when that client acknowledged it, which the
/// gateway does once the message is decoded, stored and committed.
private func atEase() throws -> [BenchResult] {
    let folder = try IngestFolder()
    defer { folder.remove() }
    let broker = try IngestBroker(in: folder, logs: true)
    let gateway = try GatewayTarget(in: folder, broker: broker, name: "eased")
    // The store is made once in a lab's life.
    try gateway.start()
    let idle = try IdleTarget(in: folder, broker: broker, qos: 1)
    var results: [BenchResult] = []
    let peer = try easy(idle, broker)
    let own = try easy(gateway, broker)
    results.append(
        BenchResult(
            name: "ingest.latency", count: IngestLoad.slowMessages, cpuNanoseconds: own.cpu,
            wallNanoseconds: own.latencies[own.latencies.count / 2],
            figures: [
                ("messages_per_s", IngestLoad.slowRate), ("latency_median_us", own.median / 1000),
                ("latency_p99_us", own.high / 1000), ("idle_subscriber_ns_per_op", peer.cpu),
                ("ratio", own.cpu / peer.cpu), ("idle_subscriber_latency_median_us", peer.median / 1000),
                ("idle_subscriber_latency_p99_us", peer.high / 1000),
            ]))
    return results
}

private struct Ease {
    /// CPU nanoseconds a message.
    let cpu: Double
    /// From the broker's sending to the acknowledgement, in nanoseconds, sorted.
    let latencies: [Double]

    var median: Double { latencies[latencies.count / 2] }
    var high: Double { latencies[latencies.count * 99 / 100] }
}

private func easy(_ target: any IngestTarget, _ broker: IngestBroker) throws -> Ease {
    // Once before it counts: each plug has spoken, and no topic is new.
    _ = try play(target, broker, messages: 2 * IngestLoad.plugs, rate: 4 * IngestLoad.slowRate)
    try target.settle()
    let cpu = target.cpu
    let latencies = try play(target, broker, messages: IngestLoad.slowMessages, rate: IngestLoad.slowRate)
    let passed = target.cpu - cpu
    return Ease(cpu: passed / Double(IngestLoad.slowMessages), latencies: latencies.sorted())
}

/// Sends so many messages and reads what the broker says of them.
private func play(
    _ target: any IngestTarget, _ broker: IngestBroker, messages: Int, rate: Double
) throws -> [Double] {
    let publisher = try Publisher(broker, prefix: target.topicPrefix, messages: messages, qos: 1, rate: rate)
    var sent: [Int: Double] = [:]
    var latencies: [Double] = []
    while latencies.count < messages {
        let (event, time) = try broker.nextEvent(of: target.clientID)
        switch event {
        case .sent(let number): sent[number] = time
        case .acknowledged(let number):
            if let from = sent.removeValue(forKey: number) { latencies.append(time - from) }
        }
    }
    try publisher.wait()
    return latencies
}

private func middle(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }
