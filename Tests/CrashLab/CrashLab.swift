// The program that holds the gateway's files against the worst that a machine can do to them. `deploy/labs/README.md`
// says how each laboratory works and what it has found.

@preconcurrency import Glibc
import Ports

enum CrashLab {
    /// A laboratory that this machine cannot run; the status is `ExitStatus.unavailable`.
    struct Missing: Error, CustomStringConvertible { let description: String }
    struct Failure: Error, CustomStringConvertible { let description: String }

    private static let usage = """
        usage: CrashLab power-cut [--states N] [--seed K] [--case NAME]
               CrashLab kill [--program fabgate] [--every N]
               CrashLab wear [--hours H] [--real SECONDS]
          for example: CrashLab power-cut --states 1000 --seed 7
        """

    static func run(_ words: [String]) -> Int32 {
        setvbuf(stdout, nil, _IOLBF, 0)
        signal(SIGPIPE, SIG_IGN)
        do {
            let options = try Options(words.dropFirst())
            switch words.first {
            case "power-cut": return try PowerCut(options).run() ? 0 : 1
            case "kill": return try KillSweep(options).run() ? 0 : 1
            case "wear": return try Wear(options).run() ? 0 : 1
            case "writer": return try writer(options.operands)
            default:
                fputs(usage + "\n", stderr)
                return 64
            }
        } catch let missing as Missing {
            fputs("skipped: \(missing)\n", stderr)
            return 69
        } catch {
            fputs("CrashLab: \(error)\n", stderr)
            return 74
        }
    }

    /// What a child process of the power-cut laboratory does: `writer CASE FOLDER MARKS SEED`.
    private static func writer(_ operands: [String]) throws -> Int32 {
        guard operands.count == 4, let seed = UInt64(operands[3]), let kind = PowerCutCase.named(operands[0]) else {
            throw Failure(description: "a writer takes CASE FOLDER MARKS SEED")
        }
        let marks = open(operands[2], O_WRONLY | O_CLOEXEC)
        guard marks >= 0 else { throw Failure(description: "cannot open \(operands[2])") }
        try kind.write(operands[1], seed) { text in
            var bytes = Array(text.utf8)
            guard Glibc.write(marks, &bytes, bytes.count) == bytes.count else { abort() }
        }
        return 0
    }

    /// Root, and what the kernel has to offer.
    static func need(_ devices: String...) throws {
        guard getuid() == 0 else { throw Missing(description: "mounting a file system of its own needs root") }
        for device in devices where access(device, R_OK | W_OK) != 0 {
            throw Missing(description: "there is no \(device) here that can be opened")
        }
    }
}

/// Options and operands of a laboratory.
struct Options {
    private(set) var operands: [String] = []
    private var values: [String: String] = [:]

    init(_ words: some Sequence<String>) throws {
        var name: String?
        for word in words {
            if let given = name {
                values[given] = word
                name = nil
            } else if word.hasPrefix("--") {
                name = String(word.dropFirst(2))
            } else {
                operands.append(word)
            }
        }
        if let name { throw CrashLab.Failure(description: "--\(name) has no value") }
    }

    subscript(name: String) -> String? { values[name] }

    func number(_ name: String, _ fallback: Int) throws -> Int {
        guard let text = values[name] else { return fallback }
        guard let number = Int(text), number > 0 else {
            throw CrashLab.Failure(description: "--\(name) is a number above 0, not '\(text)'")
        }
        return number
    }
}

/// A seeded generator (SplitMix64), so that every state comes back from its seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64
    init(_ seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
