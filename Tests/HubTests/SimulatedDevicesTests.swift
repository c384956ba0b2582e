import DeskFactories
import Foundation
import Meters
import Model
import Ports
import Simulation
import Testing
import Workshop

/// The real drivers on the simulated wires: what they make of it must be the truth.
private struct Wired<Driver: DeviceDriver> {
    var driver: Driver
    var states: [MachineState: Int64] = [:]
    var jobs: [JobOutcome: Int] = [:]
    var numbers: [String: Double] = [:]
    var faults: [Fault] = []
    private var state: (MachineState, since: Instant)?

    init(_ type: Driver.Type, _ folder: String, keys: String = "{}") throws {
        let devices = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("devices")
        let file = devices.appendingPathComponent("\(folder)/profile.yaml")
        var problems = Problems()
        var profile = try #require(
            Fields(try YAML.parse(String(contentsOf: file, encoding: .utf8), file: folder), folder, &problems))
        for key in ["title", "driver", "every", "silence"] { _ = profile.value(key) }
        let fields = try #require(Fields(try YAML.parse(keys, file: "keys"), "device", &problems))
        var setup = DeviceSetup(id: "d", fields: fields, profile: profile)
        driver = try #require(Driver(&setup, &problems))
        #expect(problems.all == [])
    }

    mutating func poll(_ lab: inout SimulatedLab, _ wire: String, at time: Instant) {
        var out = Outbox()
        driver.poll(&out)
        // A device may ask several questions, one after the other.
        for _ in 0..<8 {
            guard case .write(let bytes, _, _) = out.request else { break }
            out.removeAll()
            let replies = lab.received(bytes, on: wire, at: time)
            for reply in replies { receive(reply, at: time, &out) }
            // Switched off: what it said last holds no longer.
            if replies.isEmpty { state = nil }
        }
    }

    mutating func receive(_ bytes: [UInt8], at time: Instant) {
        var out = Outbox()
        receive(bytes, at: time, &out)
    }

    private mutating func receive(_ bytes: [UInt8], at time: Instant, _ out: inout Outbox) {
        driver.receive(bytes.span, from: Source.line, &out)
        faults += out.faults
        for reading in out.readings {
            let name = driver.channels[reading.channel].name
            switch reading.value {
            case .number(let number): numbers[name] = number
            case .state(let new, _):
                if let (old, since) = state { states[old, default: 0] += (time - since).milliseconds }
                state = (new, time)
            case .event(let word):
                if name == "job", let outcome = JobOutcome(rawValue: word) { jobs[outcome, default: 0] += 1 }
            case .unknown: numbers[name] = nil
            }
        }
    }
}

@Suite struct SimulatedDevicesTests {
    private let start = Instant(milliseconds: 1_795_392_000_000)

    @Test(arguments: [1, 2, 3] as [UInt64]) func serialDriversReadTheTruth(seed: UInt64) throws {
        var lab = SimulatedLab(seed: seed, start: start)
        var grbl = try Wired(Grbl.self, "workshop/models/grbl-1.1")
        var laserMeter = try Wired(ModbusRTU.self, "meters/models/eastron-sdm120", keys: "{unit: 1}")
        var pressMeter = try Wired(ModbusRTU.self, "meters/models/eastron-sdm120", keys: "{unit: 5}")
        var zone = try Wired(ModbusRTU.self, "desk-factories/models/autonics-tk4", keys: "{unit: 3}")
        var board = try Wired(LineJSON.self, "desk-factories/models/line-json-press")
        var first: (laser: Double, press: Double, shots: Double)?
        let end = start + .hours(6)
        var time = start
        while time < end {
            time = time + .seconds(1)
            lab.advance(to: time) { emission in
                guard case .serial(let wire, let bytes) = emission else { return }
                if wire == "grbl" { grbl.receive(bytes, at: time) }
                if wire == "press" { board.receive(bytes, at: time) }
            }
            grbl.poll(&lab, "grbl", at: time)
            if time.milliseconds % 10_000 == 0 {
                laserMeter.poll(&lab, "bus1", at: time)
                pressMeter.poll(&lab, "bus2", at: time)
                zone.poll(&lab, "bus2", at: time)
            }
            if first == nil, let laser = laserMeter.numbers["energy"], let press = pressMeter.numbers["energy"],
                let shots = board.numbers["shots"]
            {
                first = (laser, press, shots)
            }
        }
        #expect(grbl.faults + laserMeter.faults + pressMeter.faults + zone.faults + board.faults == [])

        let truth = lab.truth
        #expect(grbl.jobs == truth.jobs("laser", from: start, to: end))
        for (state, length) in truth.stateMilliseconds("laser", from: start, to: end) where state != .offline {
            // Each stretch may be seen two questions late.
            #expect(((grbl.states[state] ?? 0) - length).magnitude < 60_000, "\(state)")
        }
        let base = try #require(first)
        let laserEnergy = try #require(laserMeter.numbers["energy"]) - base.laser
        let pressEnergy = try #require(pressMeter.numbers["energy"]) - base.press
        #expect((laserEnergy - truth.energyMilliwattHours("laser", from: start, to: end)).magnitude < 1000)
        #expect((pressEnergy - truth.energyMilliwattHours("press", from: start, to: end)).magnitude < 1000)
        #expect(try #require(board.numbers["shots"]) - base.shots == Double(truth.shots("press", from: start, to: end)))
        #expect(try #require(zone.numbers["setpoint.zone1"]) >= 0)
    }
}
