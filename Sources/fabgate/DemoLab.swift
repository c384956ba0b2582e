import Model
import Ports
import Simulation

/// The simulated lab on real wires: its plugs and its printer speak to the broker, its serial devices on
/// pseudo-terminals.
final class DemoLab {
    private(set) var simulation: SimulatedLab
    private(set) var began: Instant?
    private let loop: Loop
    private let clock: SystemClock
    private let seed: UInt64
    private let settings: MQTTSettings
    private var broker: MQTTClient?
    private let wires: [(name: String, terminal: PseudoTerminal)]
    private var isConnected = false
    private var timer: TimerID?
    private var isOver = false

    init(_ plan: DemoPlan, _ files: DemoFiles, loop: Loop, clock: SystemClock) throws {
        self.loop = loop
        self.clock = clock
        seed = plan.seed
        simulation = SimulatedLab(seed: plan.seed, start: clock.now().wall)
        wires = try ["bus1", "bus2", "grbl", "press", "scale"].map { name in
            let terminal = try PseudoTerminal()
            try terminal.link(at: files.wire(name))
            return (name, terminal)
        }
        settings = MQTTSettings(
            name: "lab", host: "127.0.0.1", port: files.brokerPort, version: .v311, clientID: "demo-lab",
            cleanSession: true)
    }

    /// From now on the lab lives.
    func begin() {
        guard began == nil else { return }
        broker = MQTTClient(
            loop: loop, settings: settings, onMessage: { _, _, _ in }, onDrained: {}, onConnection: { _, _ in })
        simulation = SimulatedLab(seed: seed, start: clock.now().wall)
        began = clock.now().wall
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
    }

    private func live() {
        guard !isOver else { return }
        simulation.advance(to: clock.now().wall) { emission in
            switch emission {
            case .publish(let topic, let payload, let retain):
                _ = broker?.publish(topic: topic, payload: payload, qos: 0, retain: retain)
            case .serial(let wire, let bytes):
                wires.first { $0.name == wire }?.terminal.write(bytes)
            }
        }
        timer = loop.after(.milliseconds(10)) { [unowned self] in live() }
    }

    private func answer(_ wire: String, _ terminal: PseudoTerminal) {
        let question = terminal.read()
        guard !question.isEmpty else { return }
        for reply in simulation.received(question, on: wire, at: clock.now().wall) { terminal.write(reply) }
    }
}
