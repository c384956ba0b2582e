import Model
import Simulation

/// What can go wrong in a simulated lab, by the names of `--faults`.
package enum SimulatedFault: String, CaseIterable, Sendable {
    case drop, dup, reorder, retain, reset, dip, kill, city

    /// Names that stand for faults which this simulation cannot play.
    static let unplayed = ["clock", "power", "disk", "late"]

    /// Reads `drop,dup,…`; the first word that is none of them is handed back.
    package static func list(_ text: String) -> Result<Set<SimulatedFault>, UnplayedFault> {
        var faults: Set<SimulatedFault> = []
        for word in text.split(separator: ",") where word != "none" {
            guard let fault = SimulatedFault(rawValue: String(word)) else {
                return .failure(UnplayedFault(String(word)))
            }
            faults.insert(fault)
        }
        return .success(faults)
    }
}

/// A word of a fault list that names nothing that can be played.
package struct UnplayedFault: Error, CustomStringConvertible {
    let word: String
    init(_ word: String) { self.word = word }
    package var description: String {
        let known = SimulatedFault.allCases.map(\.rawValue).joined(separator: ",")
        let what =
            SimulatedFault.unplayed.contains(word) ? "'\(word)' cannot be simulated" : "there is no fault '\(word)'"
        return "\(what); --faults takes any of \(known)"
    }
}

/// Something that happens to the lab or the gateway at one moment.
struct Mishap: Hashable {
    enum Kind: Hashable {
        /// A plug's count is set to zero, or its mains dip.
        case reset(String), dip(String)
        /// The gateway's process is not there for so long.
        case kill(Duration)
    }
    let time: Instant
    let kind: Kind
}

/// When mishaps happen. Each kind has its own random numbers, so that one fault does not move another.
struct MishapCalendar {
    private var sources: [(fault: SimulatedFault, random: SeededRandom, next: Instant)] = []

    init(_ faults: Set<SimulatedFault>, seed: UInt64, start: Instant) {
        for (number, fault) in [SimulatedFault.reset, .dip, .kill].enumerated() where faults.contains(fault) {
            var random = SeededRandom(seed &* 31 &+ UInt64(number) &+ 1)
            let next = start + Self.pause(fault, &random)
            sources.append((fault, random, next))
        }
    }

    /// When the next one is due.
    var next: Instant { sources.map(\.next).min() ?? .distantFuture }

    /// The next one that is due by `time`.
    mutating func take(by time: Instant) -> Mishap? {
        guard let index = sources.indices.min(by: { sources[$0].next < sources[$1].next }),
            sources[index].next <= time
        else { return nil }
        let at = sources[index].next
        let machine = Bool.random(using: &sources[index].random) ? "printer" : "shredder"
        let seconds = Int64.random(in: 2...25, using: &sources[index].random)
        let fault = sources[index].fault
        sources[index].next = at + Self.pause(fault, &sources[index].random)
        switch fault {
        case .reset: return Mishap(time: at, kind: .reset(machine))
        case .dip: return Mishap(time: at, kind: .dip(machine))
        default: return Mishap(time: at, kind: .kill(.seconds(seconds)))
        }
    }

    /// Between half an hour and six hours.
    private static func pause(_ fault: SimulatedFault, _ random: inout SeededRandom) -> Duration {
        .milliseconds(Int64.random(in: 1_800_000...21_600_000, using: &random))
    }
}
