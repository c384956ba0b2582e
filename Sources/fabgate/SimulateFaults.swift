import Model
import Simulation

/// What can go wrong in a simulated lab, by the names of `--faults`.
package enum SimulatedFault: String, CaseIterable, Sendable {
    /// On the links: a message is lost, comes twice, after the next one, or again from the broker's memory.
    case drop, dup, reorder, retain
    /// To a plug: its count is set to zero, or its mains dip.
    case reset, dip
    /// To the gateway: its clock is set or drifts, its process is killed, its power is cut, its disk refuses or rots.
    case clock, kill, power, disk
    /// On the way to the city, and a machine whose messages come hours later.
    case city, late

    /// Reads `drop,dup,…`; `all` is every one of them. The first word that is none of them is handed back.
    package static func list(_ text: String) -> Result<Set<SimulatedFault>, UnknownFault> {
        var faults: Set<SimulatedFault> = []
        for word in text.split(separator: ",") where word != "none" {
            if word == "all" {
                faults.formUnion(allCases)
            } else if let fault = SimulatedFault(rawValue: String(word)) {
                faults.insert(fault)
            } else {
                return .failure(UnknownFault(word: String(word)))
            }
        }
        return .success(faults)
    }

    /// As `--faults` takes it.
    package static func text(_ faults: Set<SimulatedFault>) -> String {
        allCases.filter(faults.contains).map(\.rawValue).joined(separator: ",")
    }
}

/// A word of a fault list that names no fault.
package struct UnknownFault: Error, CustomStringConvertible {
    let word: String
    package var description: String {
        let known = SimulatedFault.allCases.map(\.rawValue).joined(separator: ",")
        return "there is no fault '\(word)'; --faults takes all, or any of \(known)"
    }
}

/// Something that happens to the lab or the gateway at one moment.
struct Mishap: Hashable {
    enum Kind: Hashable {
        /// A plug's count is set to zero, or its mains dip.
        case reset(String), dip(String)
        /// The gateway's process is not there for so long; or its whole computer, which then loses what was not synced.
        case kill(Duration), power(Duration)
        /// Its wall clock shows this much more, for so long; then it is right again.
        case clock(by: Duration, Duration)
        /// No time server is heard for so long, and its clocks run so many millionths too fast, or too slow.
        case drift(Int64, Duration)
        /// Writes fail for so long, with EIO or ENOSPC.
        case disk(Duration, isFull: Bool)
        /// One byte on the disk changes.
        case rot
        /// What a machine's devices say by MQTT is held back for so long, and comes then.
        case late(String, Duration)
        /// The city copies its book; or it loses the book and falls back to the copy.
        case copy, fallBack
    }
    let time: Instant
    let kind: Kind
}

/// When mishaps happen. Each kind has its own random numbers, so that one fault does not move another.
struct MishapCalendar {
    private struct Source {
        let fault: SimulatedFault
        var random: SeededRandom
        var next: Instant
    }
    private var sources: [Source] = []
    private let machines: [String]
    /// When the next one is due.
    private(set) var next = Instant.distantFuture

    static let played: [SimulatedFault] = [.reset, .dip, .kill, .power, .clock, .disk, .late, .city]

    init(_ faults: Set<SimulatedFault>, machines: [String], seed: UInt64, start: Instant) {
        self.machines = machines
        for (number, fault) in Self.played.enumerated() where faults.contains(fault) {
            var random = SeededRandom(seed &* 31 &+ UInt64(number) &+ 1)
            sources.append(Source(fault: fault, random: random, next: start + Self.pause(fault, &random)))
            sources[sources.count - 1].random = random
        }
        next = sources.map(\.next).min() ?? .distantFuture
    }

    /// The next one that is due by `time`.
    mutating func take(by time: Instant) -> Mishap? {
        guard next <= time, let index = sources.indices.min(by: { sources[$0].next < sources[$1].next }) else {
            return nil
        }
        let at = sources[index].next
        let kind = Self.kind(sources[index].fault, machines, &sources[index].random)
        sources[index].next = at + Self.pause(sources[index].fault, &sources[index].random)
        next = sources.map(\.next).min() ?? .distantFuture
        return Mishap(time: at, kind: kind)
    }

    private static func kind(
        _ fault: SimulatedFault, _ machines: [String], _ random: inout SeededRandom
    ) -> Mishap.Kind {
        func seconds(_ low: Int64, _ high: Int64, _ random: inout SeededRandom) -> Duration {
            .seconds(Int64.random(in: low...high, using: &random))
        }
        let machine = machines.randomElement(using: &random) ?? ""
        switch fault {
        case .reset: return .reset(machine)
        case .dip: return .dip(machine)
        case .power: return .power(seconds(8, 90, &random))
        case .late: return .late(machine, seconds(1800, 14_400, &random))
        case .clock:
            if Int.random(in: 0..<3, using: &random) == 0 {
                // A quartz is good to about a hundred; a cold or cheap one to less.
                return .drift(Int64.random(in: -400...400, using: &random), seconds(3600, 86_400, &random))
            }
            let step = seconds(120, 20_000, &random)
            return .clock(by: Bool.random(using: &random) ? step : .zero - step, seconds(20, 1800, &random))
        case .disk:
            if Int.random(in: 0..<4, using: &random) == 0 { return .rot }
            return .disk(seconds(5, 1200, &random), isFull: Bool.random(using: &random))
        case .city: return Bool.random(using: &random) ? .copy : .fallBack
        default: return .kill(seconds(2, 25, &random))
        }
    }

    /// Between half an hour and six hours; what is rarer in life takes four times as long.
    private static func pause(_ fault: SimulatedFault, _ random: inout SeededRandom) -> Duration {
        let pause = Duration.milliseconds(Int64.random(in: 1_800_000...21_600_000, using: &random))
        return [.clock, .power, .disk, .late, .city].contains(fault) ? pause * 4 : pause
    }
}

extension Duration {
    static func - (a: Duration, b: Duration) -> Duration { .milliseconds(a.milliseconds - b.milliseconds) }
}
