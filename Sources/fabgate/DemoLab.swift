import Model
import Ports
import Simulation

/// The simulated lab on real wires: its plugs and most of its printers speak to the broker, its serial devices on
/// pseudo-terminals, and one printer answers over HTTP.
final class DemoLab {
    private(set) var began: Instant?
    private let loop: Loop
    /// The lab's, once it lives.
    private var clock = SystemClock()
    private let seed: UInt64
    private let settings: MQTTSettings
    /// The four machines, and a printer of each protocol that they do not speak.
    private var machines: SimulatedLab
    private var printers: MakerSpace
    private var broker: MQTTClient?
    private let wires: [(name: String, terminal: PseudoTerminal)]
    private var timer: TimerID?
    private var isOver = false
    private var web: HTTPServer?

    /// What the gateway says to printers over MQTT.
    private static let requests = ["device/+/request", "+/moonraker/api/request"]

    init(_ plan: DemoPlan, _ files: DemoFiles, loop: Loop) throws {
        self.loop = loop
        seed = plan.seed
        machines = Self.machines(plan.seed, clock.now().wall)
        printers = MakerSpace.printers(seed: plan.seed, start: clock.now().wall)
        wires = try ["bus1", "bus2", "grbl", "press", "scale", "marlin-1"].map { name in
            let terminal = try PseudoTerminal()
            try terminal.link(at: files.wire(name))
            return (name, terminal)
        }
        settings = MQTTSettings(
            name: "lab", host: "127.0.0.1", port: files.brokerPort, version: .v311, clientID: "demo-lab",
            cleanSession: true)
        web = try listen(files)
    }

    /// In this lab the press's thermocouple comes loose now and then.
    private static func machines(_ seed: UInt64, _ start: Instant) -> SimulatedLab {
        var profile = LabProfile.demo
        profile.sensorBreaks = true
        return SimulatedLab(seed: seed, start: start, profile: profile)
    }

    /// What every machine really did until now.
    var truth: Truth { machines.truth.joined(with: printers.truth) }

    /// The printers, with the one that OctoPrint drives.
    var printerNames: [String] { ["printer"] + printers.machines }

    /// Connects to the broker; `ready` is called once, when what is said there is heard.
    func join(_ ready: @escaping () -> Void) {
        var isNew = true
        let client = MQTTClient(
            loop: loop, settings: settings,
            onMessage: { [unowned self] topic, payload, _ in
                hear(
                    payload.indices.map { payload[$0] },
                    topic: String(decoding: topic.indices.map { topic[$0] }, as: UTF8.self))
            }, onDrained: {},
            onConnection: { isUp, _ in
                guard isUp, isNew else { return }
                isNew = false
                ready()
            })
        client.subscriptions = Self.requests
        broker = client
    }

    /// From now on the lab lives.
    func begin(_ clock: SystemClock) {
        guard began == nil else { return }
        self.clock = clock
        let now = clock.now().wall
        machines = Self.machines(seed, now)
        printers = MakerSpace.printers(seed: seed, start: now)
        began = now
        for (name, terminal) in wires {
            loop.watch(terminal.descriptor, .read) { [unowned self] _ in answer(name, terminal) }
        }
        live()
    }

    func end() {
        isOver = true
        if let timer { loop.cancel(timer) }
        for wire in wires { loop.unwatch(wire.terminal.descriptor) }
        broker?.close()
        web?.stop()
    }

    private func live() {
        guard !isOver else { return }
        catchUp()
        timer = loop.after(.milliseconds(10)) { [unowned self] in live() }
    }

    /// Lives until now. Returns that time.
    @discardableResult
    private func catchUp() -> Instant {
        // Before the lab begins, its printers stand idle, and say so.
        guard began != nil else { return printers.start }
        let now = clock.now().wall
        machines.advance(to: now) { say($0) }
        printers.advance(to: now) { say($0) }
        return now
    }

    private func say(_ emission: Emission) {
        switch emission {
        case .publish(let topic, let payload, let retain):
            _ = broker?.publish(topic: topic, payload: payload, qos: 0, retain: retain)
        case .serial(let wire, let bytes):
            wires.first { $0.name == wire }?.terminal.write(bytes)
        }
    }

    // MARK: questions
    // What was said before a question stands before its answer.

    private func answer(_ wire: String, _ terminal: PseudoTerminal) {
        let question = terminal.read()
        guard !question.isEmpty else { return }
        let now = catchUp()
        for reply in machines.received(question, on: wire, at: now) { terminal.write(reply) }
        for reply in printers.received(question, on: wire, at: now) { terminal.write(reply) }
    }

    /// A message of the gateway on the broker.
    private func hear(_ payload: [UInt8], topic: String) {
        guard !isOver else { return }
        let now = catchUp()
        for emission in printers.received(payload, topic: topic, at: now) { say(emission) }
    }

    /// The printer that is asked over HTTP, and answers whoever knows its key.
    private func listen(_ files: DemoFiles) throws -> HTTPServer {
        let home = Confined(self)
        let remote = loop.remote
        let key = files.printerKey
        return try HTTPServer(address: "127.0.0.1", port: files.printerPort) { request, reply in
            guard request.header("X-Api-Key") == key else {
                return reply.send(.problem(status: 401, title: "Unauthorized", detail: "This printer has a key."))
            }
            remote.post {
                let lab = home.value
                let now = lab.catchUp()
                guard let answer = lab.printers.answer(request.path, of: "prusa", at: now) else {
                    return reply.send(
                        .problem(status: 404, title: "Not found", detail: "This printer does not answer there."))
                }
                reply.send(.json(answer.body, status: answer.status))
            }
        }
    }
}
