import Foundation
import Testing

/// What `fabgate demo --report` writes.
private struct Report: Decodable {
    struct Row: Decodable {
        let machine: String
        let start: String
        let energy_wh: Double?
        let true_energy_wh: Double
        let states_s: [String: Double]
        let true_states_s: [String: Double]
        let shots: Double?
        let true_shots: Double
        let items: Double?
        let true_items: Double
        let mass_in_g: [String: Double]?
        let true_mass_in_g: [String: Double]
        let mass_product_g: [String: Double]?
        let true_mass_product_g: [String: Double]
        let jobs: [String: Int?]?
        let true_jobs: [String: Int]

        /// All states together, in whole milliseconds.
        var sum: Int { states_s.values.reduce(0) { $0 + Int(($1 * 1000).rounded()) } }
    }
    /// One print, as the gateway tells it and as it was.
    struct Print: Decodable {
        let machine: String
        let duration_s: Double
        let true_duration_s: Double
        let energy_wh: Double?
        let true_energy_wh: Double
    }
    let received: Int
    let whole: Int
    let machines: [Row]
    let prints: [Print]
    let differences: [String]

    /// One of each protocol.
    static let printers: Set = ["printer", "bambu", "klipper", "prusa", "marlin"]
}

@Suite(.serialized) struct DemoTests {
    private func run(
        _ words: [String], in folder: PrivateFolder, during body: (Program) async throws -> Void = { _ in }
    ) async throws -> Report {
        let report = "\(folder.path)/report.json"
        let demo = try Program(["fabgate", "demo", "--report", report] + words, in: folder, name: "demo")
        try await body(demo)
        let status = try await demo.status(within: 180)
        #expect(status == 0, "\(demo.log)")
        let data = try Data(contentsOf: URL(fileURLWithPath: report))
        return try JSONDecoder().decode(Report.self, from: data)
    }

    /// The city's content is the lab's truth.
    @Test func cityHoldsWhatTheLabDid() async throws {
        let folder = try PrivateFolder()
        let report = try await run(["--speed", "120", "--seconds", "45", "--seed", "3"], in: folder)
        #expect(report.whole >= 1)
        let energy = report.machines.reduce(0) { $0 + ($1.energy_wh ?? 0) }
        let truth = report.machines.reduce(0) { $0 + $1.true_energy_wh }
        #expect(abs(energy - truth) <= truth * 0.005 + 2, "\(energy) Wh of \(truth)")
        checkMaterial(report)
        checkPrints(report)
        for row in report.machines {
            #expect(row.sum == 3_600_000, "\(row.machine) \(row.start)")
            for (state, seconds) in row.true_states_s {
                var held = row.states_s[state] ?? 0
                // A board that has halted says nothing more until somebody resets it, and is lost after its last word.
                let isSilent = row.machine == "marlin" && (row.true_states_s["fault"] ?? 0) > 0
                if isSilent, state == "offline" { continue }
                if isSilent, state == "fault" { held += row.states_s["offline"] ?? 0 }
                // Four minutes of the lab pass in a second here: a state is told as late as its device is asked.
                #expect(
                    abs(held - seconds) <= 120, "\(row.machine) \(row.start): \(state) \(held) s, truly \(seconds) s")
            }
        }
    }

    /// Printers of all protocols have printed, and each print is told once, as long and with as much energy as it was.
    private func checkPrints(_ report: Report) {
        #expect(report.differences.isEmpty, "\(report.differences)")
        #expect(Set(report.prints.map(\.machine)) == Report.printers)
        for print in report.prints {
            #expect(print.true_duration_s > 100 && abs(print.duration_s - print.true_duration_s) <= 240, "\(print)")
            let energy = print.energy_wh ?? 0
            #expect(print.true_energy_wh > 3 && abs(energy - print.true_energy_wh) <= 6, "\(print)")
        }
    }

    /// Shots that were told late lie in the next hour; the mould is a hundredth off, and the scale a gram or two.
    private func checkMaterial(_ report: Report) {
        let press = report.machines.filter { $0.machine == "press" }
        let (items, made) = press.reduce((0, 0)) { ($0.0 + ($1.items ?? 0), $0.1 + $1.true_items) }
        #expect(made > 4 && abs(items - made) <= 2, "\(items) items of \(made)")
        func sum(_ masses: (Report.Row) -> [String: Double]) -> Double {
            press.reduce(0) { $0 + masses($1).values.reduce(0, +) }
        }
        let (input, trueInput) = (sum { $0.mass_in_g ?? [:] }, sum(\.true_mass_in_g))
        #expect(trueInput > 0 && abs(input - trueInput) <= trueInput / 100 + 63, "\(input) g of \(trueInput)")
        let (product, trueProduct) = (sum { $0.mass_product_g ?? [:] }, sum(\.true_mass_product_g))
        #expect(trueProduct > 0 && abs(product - trueProduct) <= 66, "\(product) g of \(trueProduct)")
    }

    /// Each of the three parts is killed at random moments; they start again, and no rollup is lost or counted twice.
    @Test(arguments: [UInt64(20_261_123)]) func killsLoseNoRollup(seed: UInt64) async throws {
        let folder = try PrivateFolder()
        var random = SeededRandom(seed)
        var kills = ["broker": 0, "collector": 0, "gateway": 0]
        let report = try await run(["--speed", "120", "--seconds", "90", "--seed", "5"], in: folder) { demo in
            try await eventually("the gateway") { demo.log.contains("started    gateway") ? true : nil }
            let end = Date().addingTimeInterval(56)
            var next = Date().addingTimeInterval(4)
            while Date() < end, demo.isRunning {
                let part = ["broker", "collector", "gateway"][Int(random.next() % 3)]
                try await eventually("the moment", within: 10) { Date() >= next ? true : nil }
                next = Date().addingTimeInterval(1.2 + Double(random.next() % 1500) / 1000)
                guard let id = Self.id(of: part, in: demo.log) else { continue }
                if kill(id, SIGKILL) == 0 { kills[part, default: 0] += 1 }
            }
        }
        print("killed: \(kills), seed \(seed)")
        #expect(kills.values.reduce(0, +) >= 20)
        #expect(kills.values.allSatisfy { $0 > 0 })
        #expect(report.received >= 3)
        // Every hour once, without a gap.
        let starts = Set(report.machines.map(\.start)).sorted()
        let format = ISO8601DateFormatter()
        format.formatOptions.insert(.withFractionalSeconds)
        for (a, b) in zip(starts, starts.dropFirst()) {
            let first = try #require(format.date(from: a))
            let second = try #require(format.date(from: b))
            #expect(second.timeIntervalSince(first) == 3600)
        }
        #expect(report.machines.count == starts.count * 8)
        for row in report.machines {
            #expect(row.sum == 3_600_000, "\(row.machine) \(row.start)")
            // Nothing is counted twice: never more than the lab did, but for what a late word moves over the hour.
            let held = row.energy_wh ?? 0
            #expect(
                held <= row.true_energy_wh * 1.01 + 40,
                "\(row.machine) \(row.start): \(held) of \(row.true_energy_wh) Wh")
            for state in ["preparing", "running", "paused", "idle"] {
                let seconds = row.states_s[state] ?? 0
                let truth = row.true_states_s[state] ?? 0
                #expect(seconds <= truth + 420, "\(row.machine) \(row.start): \(state) \(seconds) s of \(truth) s")
            }
            // A print that ended while nobody listened is told when somebody does, perhaps in the next hour.
            let (prints, real) = (
                (row.jobs ?? [:]).values.reduce(0) { $0 + ($1 ?? 0) }, row.true_jobs.values.reduce(0, +)
            )
            #expect(prints <= real + 1, "\(row.machine) \(row.start): \(row.jobs ?? [:]) of \(row.true_jobs)")
            #expect((row.shots ?? 0) <= row.true_shots + 2, "\(row.machine) \(row.start)")
        }
        // Nothing is lost: what nobody heard is bridged by the counters. A plug's broker may still be kept waiting by the
        // gateway's patience at the end; the meters on serial lines are there as soon as the gateway is.
        let metered = report.machines.filter { ["laser", "press"].contains($0.machine) }
        let energy = metered.reduce(0) { $0 + ($1.energy_wh ?? 0) }
        let truth = metered.reduce(0) { $0 + $1.true_energy_wh }
        #expect(abs(energy - truth) <= truth * 0.01 + 10, "\(energy) Wh of \(truth)")
    }

    private static func id(of part: String, in log: String) -> pid_t? {
        let lines = log.split(separator: "\n").filter { $0.hasPrefix("started    \(part) (pid ") }
        guard let digits = lines.last?.split(separator: " ").last?.dropLast() else { return nil }
        return pid_t(digits)
    }
}

/// SplitMix64.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
