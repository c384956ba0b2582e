// Kills the real gateway at each of its writes and flushes while messages come in, by strace's fault injection, and holds
// its store against the acknowledgements that a broker got.

@preconcurrency import Glibc
import Model
import Ports
import Store

struct KillSweep {
    /// What is done to the nth call.
    private enum Injection: CustomStringConvertible {
        case kill
        /// The call fails with this error, so many times in a row.
        case error(String, times: Int)
        /// From there on the call says that it is done and does nothing: a control, in which the laboratory must see losses.
        case lie

        func text(_ call: String, _ number: Int) -> String {
            switch self {
            case .kill: "inject=\(call):signal=KILL:when=\(number)"
            case .lie: "inject=\(call):retval=4096:when=\(number)+"
            case .error(let name, let times): "inject=\(call):error=\(name):when=\(number)..\(number + times - 1)"
            }
        }

        var isControl: Bool { if case .lie = self { true } else { false } }

        var description: String {
            switch self {
            case .kill: "kill -9 at each"
            case .lie: "control: nothing is written from"
            case .error(let name, let times): "\(name) for \(times) calls from each"
            }
        }
    }

    private struct Sweep {
        let call: String
        let injection: Injection
        /// From an empty folder, so that the making of the store is hit, or from a store whose journal is nearly full.
        let isFresh: Bool
        let most: Int
        var step = 1
    }

    private let program: String
    private let every: Int
    private let messages = 120
    private static let plugs = 3

    init(_ options: Options) throws {
        let own = Files.ownProgram ?? ""
        program = options["program"] ?? String(own.dropLast("CrashLab".count)) + "fabgate"
        every = try options.number("every", 1)
        guard access(program, X_OK) == 0 else {
            throw CrashLab.Failure(
                description: "there is no program \(program); build fabgate, or name it with --program")
        }
    }

    func run() throws -> Bool {
        guard try Tool.run("strace", "-qq", "-e", "trace=none", "true").status == 0 else {
            throw CrashLab.Missing(description: "strace cannot trace here (is ptrace allowed?)")
        }
        let sweeps = [
            Sweep(call: "pwrite64", injection: .kill, isFresh: true, most: 12),
            Sweep(call: "fdatasync", injection: .kill, isFresh: true, most: 4),
            Sweep(call: "fsync", injection: .kill, isFresh: true, most: 1),
            Sweep(call: "pwrite64", injection: .kill, isFresh: false, most: 400),
            Sweep(call: "fdatasync", injection: .kill, isFresh: false, most: 100),
            Sweep(call: "pwrite64", injection: .error("EIO", times: 1), isFresh: false, most: 400, step: 2),
            Sweep(call: "pwrite64", injection: .error("ENOSPC", times: 7), isFresh: false, most: 400, step: 5),
            Sweep(call: "fdatasync", injection: .error("EIO", times: 1), isFresh: false, most: 100),
            Sweep(call: "pwrite64", injection: .lie, isFresh: false, most: 12, step: 3),
        ]
        var isGood = true
        for sweep in sweeps where try !run(sweep) { isGood = false }
        print(isGood ? "all as it must be" : "NOT as it must be")
        return isGood
    }

    /// True where all was as it must be.
    private func run(_ sweep: Sweep) throws -> Bool {
        var points = 0
        var troubled = 0
        var acknowledged = 0
        var number = 1
        while number <= sweep.most {
            let point = try Point(self, sweep.isFresh, sweep.injection.text(sweep.call, number))
            // The sweep ends where the gateway gets through untouched.
            guard point.isHit else { break }
            points += 1
            acknowledged += point.acknowledged
            if !point.troubles.isEmpty { troubled += 1 }
            if !sweep.injection.isControl {
                for trouble in point.troubles { print("  \(sweep.injection) at \(sweep.call) \(number): \(trouble)") }
            }
            number += sweep.step * every
        }
        print(
            "\(sweep.injection) \(sweep.call)\(sweep.isFresh ? " while the store is made" : ""): \(points) points, "
                + "\(acknowledged) messages acknowledged before, \(troubled) points with a loss or worse")
        return points > 0 && (sweep.injection.isControl ? troubled > 0 : troubled == 0)
    }

    fileprivate static func message(_ number: Int) -> (topic: String, payload: String) {
        ("tele/plug\(number % plugs)/SENSOR", #"{"ENERGY":{"Power":\#(number + 1),"Voltage":230,"Total":1.5}}"#)
    }

    /// One run of the gateway with a fault in it, and one without to see that it goes on.
    private final class Point {
        private(set) var troubles: [String] = []
        private(set) var acknowledged = 0
        private(set) var isHit = false
        private let work: String
        private let lab: KillSweep
        private let broker: MiniBroker

        init(_ lab: KillSweep, _ isFresh: Bool, _ injection: String) throws {
            self.lab = lab
            work = try Files.makeTemporaryFolder(prefix: "fabgate-kill")
            broker = try MiniBroker(KillSweep.message)
            defer { Files.removeFolder(work) }
            try configure()
            if !isFresh { try Self.prepare("\(work)/store") }
            broker.limit = lab.messages
            try disturbed(injection)
            acknowledged = broker.acknowledged.count
            guard isHit else { return }
            try look("afterwards", all: false)
            try undisturbed()
        }

        private func configure() throws {
            let devices = (0..<KillSweep.plugs).map {
                "{ id: plug\($0), driver: tasmota, mqtt: main, topic: plug\($0) }"
            }
            let text = """
                lab: { id: "urn:fablabs:io:lab:test", name: Test, timezone: Asia/Seoul }
                mqtt: [{ name: main, url: "mqtt://127.0.0.1:\(broker.port)" }]
                devices: [\(devices.joined(separator: ", "))]
                store: { path: \(work)/store, size: 1 MiB, sync: 50 ms, series_limit: 80 }
                http: { listen: "127.0.0.1:0" }

                """
            try Files.write(text, to: "\(work)/fabgate.yaml")
        }

        /// A store that will soon sort its journal into the archive.
        private static func prepare(_ folder: String) throws {
            try Files.makeFolder(folder)
            let region = try FileRegion(creating: "\(folder)/ring.fab", size: 1 << 20)
            let store = try RingStore.create(
                in: region, plan: StorePlan(seriesLimit: 80), identity: [UInt8](1...16))
            guard let id = try store.series(SeriesKey(device: "old", channel: "power"), unit: .watt, kind: .gauge)
            else {
                return
            }
            for step in 0..<13 {
                store.append(id, Instant(milliseconds: 1_700_000_000_000 + Int64(step) * 1000), .number(Double(step)))
                try store.commit()
                let token = store.beginSync()
                try region.sync()
                store.finishedSync(token)
            }
        }

        private func disturbed(_ injection: String) throws {
            let log = "\(work)/gateway.log"
            let child = try ChildProcess(
                "strace",
                [
                    "-f", "-qq", "-o", "\(work)/strace.log", "-e",
                    "trace=pwrite64,fdatasync,fsync", "-e", injection, lab.program, "run", "--config",
                    "\(work)/fabgate.yaml",
                ], output: .file(log))
            var status: Int32?
            broker.serve(milliseconds: 20_000) {
                status = child.poll()
                return status != nil
            }
            let said = String(decoding: (try? Image.read("\(work)/strace.log")) ?? [], as: UTF8.self)
            isHit = said.contains("INJECTED") || said.contains("killed by SIGKILL")
            let words = String(decoding: (try? Image.read(log)) ?? [], as: UTF8.self)
            if injection.contains("KILL") {
                // It may have acknowledged everything just before.
                if isHit, status == nil { status = child.wait() }
                if !isHit, !broker.isDone {
                    troubles.append("\(broker.acknowledged.count) acknowledged and no more: \(words)")
                }
            } else if status != nil {
                troubles.append("it ended with \(status ?? 0): \(words.suffix(300))")
            } else {
                if !broker.isDone {
                    troubles.append("only \(broker.acknowledged.count) acknowledged in 20 s: \(words.suffix(300))")
                }
            }
            // strace hands this on to nobody, so it goes to the gateway itself.
            if status == nil { try stop(child) }
            broker.drop()
        }

        /// Ends the traced gateway as a service manager does.
        private func stop(_ child: ChildProcess) throws {
            let children = String(
                decoding: try Tool.file("/proc/\(child.pid)/task/\(child.pid)/children"), as: UTF8.self)
            for word in children.split(separator: " ") {
                if let pid = Int32(word) { kill(pid, SIGTERM) }
            }
            let status = child.wait()
            if status != 0 { troubles.append("it ended with \(status) after SIGTERM") }
        }

        private func undisturbed() throws {
            let log = "\(work)/again.log"
            let child = try ChildProcess(lab.program, ["run", "--config", "\(work)/fabgate.yaml"], output: .file(log))
            broker.limit += 8
            var status: Int32?
            broker.serve(milliseconds: 20_000) {
                status = child.poll()
                return status != nil
            }
            if !broker.isDone {
                let words = String(decoding: (try? Image.read(log)) ?? [], as: UTF8.self)
                troubles.append(
                    "started again it acknowledged \(broker.acknowledged.count) of \(broker.limit): \(words.suffix(300))"
                )
            }
            child.kill(SIGTERM)
            let ended = child.wait()
            if ended != 0, status == nil { troubles.append("the second run ended with \(ended)") }
            try look("in the end", all: broker.isDone)
        }

        /// Acknowledged ⊆ readable ⊆ sent, in order, and twice only what was sent twice.
        private func look(_ when: String, all: Bool) throws {
            let path = "\(work)/store/ring.fab"
            guard !broker.acknowledged.isEmpty || all else { return }
            do {
                let store = try RingStore(opening: try FileRegion(reading: path))
                var found: [Int: Int] = [:]
                for plug in 0..<KillSweep.plugs {
                    guard let info = store.find(SeriesKey(device: "plug\(plug)", channel: "power")) else { continue }
                    var last = Instant.distantPast
                    store.scan(info.id, from: .distantPast, to: .distantFuture) { sample in
                        if sample.time < last { troubles.append("\(when) out of order") }
                        last = sample.time
                        if case .number(let number) = sample.value { found[Int(number) - 1, default: 0] += 1 }
                        return true
                    }
                }
                let missing = broker.acknowledged.subtracting(found.keys).sorted()
                if !missing.isEmpty { troubles.append("\(when) acknowledged and gone: \(missing); \(store.recovery)") }
                for (number, count) in found where number < 0 || number >= broker.sent || count > 1 {
                    if count > 1, broker.redelivered.contains(number) { continue }
                    troubles.append("\(when) message \(number) is there \(count) times")
                }
                let report = store.verify()
                if !report.isSound { troubles.append("\(when) verify: \(report)") }
            } catch {
                troubles.append("\(when) \(error)")
            }
        }
    }
}
