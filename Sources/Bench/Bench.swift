@preconcurrency import Glibc

/// One line of the benchmark's output.
struct BenchResult {
    let name: String
    /// Operations in one run.
    let count: Int
    /// The process's own CPU time, user and system, of one operation; the median of the runs.
    let cpuNanoseconds: Double
    /// Elapsed time of one operation in the same run.
    let wallNanoseconds: Double
    /// Other figures, by their name in the output.
    var figures: [(name: String, value: Double)] = []

    var json: String {
        var text = "{\"bench\":\"\(name)\",\"n\":\(count),\"ns_per_op\":\(round(cpuNanoseconds))"
        text += ",\"wall_ns_per_op\":\(round(wallNanoseconds))"
        for figure in figures { text += ",\"\(figure.name)\":\(round(figure.value))" }
        return text + ",\"rss_kib\":\(Bench.residentKiB)}"
    }

    var line: String {
        let head = name.count < 28 ? name + String(repeating: " ", count: 28 - name.count) : name
        let others = figures.map { "\($0.name) \(round($0.value))" }.joined(separator: ", ")
        return "\(head) \(round(cpuNanoseconds)) ns CPU, \(round(wallNanoseconds)) ns wall, n \(count)"
            + (others.isEmpty ? "" : "; " + others)
    }

    private func round(_ value: Double) -> Double {
        let scale: Double = value.magnitude < 100 ? 1000 : 10
        return (value * scale).rounded() / scale
    }
}

/// What was measured of one run.
struct Measured {
    let cpu: Double
    let wall: Double
}

/// The program: `Bench store|decode|ingest|rollup|query|all [--json] [--messages N]`.
enum Bench {
    /// Every benchmark by its name; one line for each family.
    private static var families: [(name: String, run: () -> [BenchResult])] {
        [
            (
                "store",
                {
                    let own = storeBench(); return own + StorePeers.append(beside: own)
                }
            ), ("decode", decodeBench), ("ingest", ingestBench), ("rollup", rollupBench),
            (
                "query",
                {
                    let own = queryBench(); return own + StorePeers.query(beside: own)
                }
            ),
        ]
    }

    static func main(_ arguments: [String]) {
        if let status = ingestPeer(arguments) { exit(status) }
        var arguments = arguments
        if let place = arguments.firstIndex(of: "--messages"), place + 1 < arguments.count,
            let count = Int(arguments[place + 1]), count >= 1000
        {
            IngestLoad.messages = count
            arguments.removeSubrange(place...place + 1)
        }
        let names = arguments.filter { !$0.hasPrefix("--") }
        let isJSON = arguments.contains("--json")
        let known = families.map(\.name) + ["all"]
        guard names.count == 1, known.contains(names[0]),
            arguments.allSatisfy({ !$0.hasPrefix("--") || $0 == "--json" })
        else {
            fputs(
                """
                usage: Bench \(known.joined(separator: "|")) [--json] [--messages N]
                  for example: Bench store --json
                  --messages  how many messages one stretch of `ingest` has, 200000 without it

                """, stderr)
            exit(64)
        }
        for family in families where names[0] == "all" || names[0] == family.name {
            for result in family.run() {
                print(isJSON ? result.json : result.line)
                fflush(stdout)
            }
        }
    }

    /// Resident memory now, in KiB.
    static var residentKiB: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var text = [CChar](repeating: 0, count: 128)
        guard fgets(&text, 128, file) != nil else { return 0 }
        let fields = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
            .split(separator: " ")
        return fields.count > 1 ? (Int(fields[1]) ?? 0) * Int(sysconf(Int32(_SC_PAGESIZE))) / 1024 : 0
    }

    /// Nanoseconds of one call of `body`.
    static func measure(_ body: () -> Void) -> Measured {
        let cpu = now(CLOCK_PROCESS_CPUTIME_ID)
        let wall = now(CLOCK_MONOTONIC)
        body()
        return Measured(cpu: now(CLOCK_PROCESS_CPUTIME_ID) - cpu, wall: now(CLOCK_MONOTONIC) - wall)
    }

    /// The middle one of some runs after one to warm up.
    static func median(runs: Int, _ body: () -> Void) -> Measured {
        body()
        return middle(of: (0..<runs).map { _ in measure(body) })
    }

    /// The one with the middle CPU time; there is at least one.
    static func middle(of runs: [Measured]) -> Measured { runs.sorted { $0.cpu < $1.cpu }[runs.count / 2] }

    /// Ends the program because a benchmark could not be run.
    static func fail(_ words: String) -> Never {
        fputs("\(words)\n", stderr)
        exit(74)
    }

    private static func now(_ clock: clockid_t) -> Double {
        var time = timespec()
        clock_gettime(clock, &time)
        return Double(time.tv_sec) * 1e9 + Double(time.tv_nsec)
    }
}
