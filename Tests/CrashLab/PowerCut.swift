// The power-cut laboratory: a workload runs on a real ext4 whose disk is a block log; then for each of many moments the
// disk is made as it could have been if power had gone right there, mounted, opened and judged.

@preconcurrency import Glibc
import Model
import Ports

struct PowerCut {
    private let states: Int
    private let seed: UInt64
    private let cases: [PowerCutCase]

    init(_ options: Options) throws {
        states = try options.number("states", 1000)
        seed = UInt64(try options.number("seed", 1))
        if let name = options["case"] {
            guard let one = PowerCutCase.named(name) else {
                let names = PowerCutCase.all.map(\.name).joined(separator: ", ")
                throw CrashLab.Failure(description: "there is no case '\(name)'; there are \(names)")
            }
            cases = [one]
        } else {
            cases = PowerCutCase.all
        }
    }

    /// True where what must hold held, and every control showed what it breaks.
    func run() throws -> Bool {
        try CrashLab.need("/dev/fuse", "/dev/loop-control")
        let work = try Self.workFolder()
        defer { Files.removeFolder(work) }
        for name in ["log", "fs"] { try Files.makeFolder("\(work)/\(name)") }
        try MountedDisk.format("\(work)/empty.img", mebibytes: 24)
        let empty = try Image.read("\(work)/empty.img")
        var isGood = true
        for one in cases {
            let events = try record(one, empty, work)
            // A control shows what it breaks soon enough.
            let tally = try judge(one, events, empty, work, states: one.isControl ? max(100, states / 5) : states)
            print("\(one.isControl ? "control " : "")\(one.name): seed \(seed), \(tally)")
            if !(one.isControl ? tally.showsLoss : tally.isClean) { isGood = false }
        }
        print(isGood ? "all as it must be" : "NOT as it must be")
        return isGood
    }

    /// In memory where there is a file system for that: 24 MiB are written for each state.
    private static func workFolder() throws -> String {
        guard access("/dev/shm", W_OK) == 0 else { return try Files.makeTemporaryFolder(prefix: "fabgate-lab") }
        let folder = "/dev/shm/fabgate-lab-\(getpid())"
        try Files.makeFolder(folder)
        return folder
    }

    /// Everything that the disk saw from the first promise on, and before.
    private func record(_ one: PowerCutCase, _ empty: [UInt8], _ work: String) throws -> [BlockEvent] {
        let log = try BlockLog(image: empty, folder: "\(work)/log")
        defer { log.unmount() }
        guard let disk = try MountedDisk(LoopDevice(over: log.disk), on: "\(work)/fs") else {
            throw CrashLab.Missing(description: "an ext4 cannot be mounted over a loop device here")
        }
        guard let own = Files.ownProgram else { throw CrashLab.Failure(description: "/proc is not mounted") }
        let writer = try ChildProcess(own, ["writer", one.name, disk.folder, log.mark, "\(seed)"])
        let status = writer.wait()
        try disk.unmount()
        guard status == 0 else { throw CrashLab.Failure(description: "the writer of \(one.name) ended with \(status)") }
        return log.events()
    }

    private func judge(
        _ one: PowerCutCase, _ events: [BlockEvent], _ empty: [UInt8], _ work: String, states: Int
    ) throws -> Tally {
        let marks = events.indices.filter { if case .mark = events[$0] { true } else { false } }
        guard let first = marks.first, let last = marks.last, first < last else {
            throw CrashLab.Failure(description: "\(one.name) promised nothing")
        }
        var random = Seeded(seed ^ 0xC0FFEE)
        let cuts = (0..<states).map { _ in Int.random(in: first..<last, using: &random) }.sorted()
        var tally = Tally(events: events[first...last])
        try Image.write(empty, "\(work)/crash.img")
        let device = try LoopDevice(over: "\(work)/crash.img")
        var disk = PendingDisk(empty)
        var next = 0
        for (number, cut) in cuts.enumerated() {
            while next <= cut {
                disk.apply(events[next])
                next += 1
            }
            let style = PendingDisk.Style.allCases[number % PendingDisk.Style.allCases.count]
            try Image.write(disk.crashed(style, &random), "\(work)/crash.img")
            let after = marks.first { $0 > cut }.map { events[$0] }
            let verdict = try opened(device, work) { folder in
                one.judge(folder, seed, disk.mark, after.flatMap { if case .mark(let text) = $0 { text } else { nil } })
            }
            tally.add(verdict, style, "state \(number), \(style), cut after event \(cut)")
        }
        return tally
    }

    /// Mounts the crashed disk, mended as at boot where it must be; nil where the file system itself is gone.
    private func opened(_ device: LoopDevice, _ work: String, _ body: (String) -> Verdict) throws -> Verdict? {
        var mounted = try MountedDisk(device, on: "\(work)/fs")
        if mounted == nil {
            try Tool.run("e2fsck", "-f", "-y", device.path)
            mounted = try MountedDisk(device, on: "\(work)/fs")
        }
        guard let mounted else { return nil }
        let verdict = body(mounted.folder)
        try mounted.unmount()
        return verdict
    }
}

/// What is durable on a disk, what is not, and what was promised last.
struct PendingDisk {
    /// What becomes of writes that no flush covered.
    enum Style: CaseIterable {
        /// None, all, the first few, the last few, any of them, any of their sectors of 512 bytes.
        case none, all, prefix, reverse, subset, torn
        /// The one that was under way is garbage, and of those after it some are not there.
        case trashed
    }

    private var durable: [UInt8]
    private var pending: [(offset: Int, bytes: [UInt8])] = []
    private(set) var mark = ""

    init(_ bytes: [UInt8]) { durable = bytes }

    mutating func apply(_ event: BlockEvent) {
        switch event {
        case .write(let offset, let bytes): pending.append((offset, bytes))
        case .flush:
            for write in pending { Self.put(write.bytes[...], write.offset, &durable) }
            pending = []
        case .mark(let text): mark = text
        }
    }

    private static func put(_ bytes: ArraySlice<UInt8>, _ offset: Int, _ image: inout [UInt8]) {
        image.replaceSubrange(offset..<offset + bytes.count, with: bytes)
    }

    /// The disk when power is back.
    func crashed(_ style: Style, _ random: inout Seeded) -> [UInt8] {
        var image = durable
        let some = Int.random(in: 0...pending.count, using: &random)
        switch style {
        case .none: break
        case .all: for write in pending { Self.put(write.bytes[...], write.offset, &image) }
        case .prefix: for write in pending.prefix(some) { Self.put(write.bytes[...], write.offset, &image) }
        case .reverse: for write in pending.suffix(some) { Self.put(write.bytes[...], write.offset, &image) }
        case .subset:
            for write in pending where Bool.random(using: &random) { Self.put(write.bytes[...], write.offset, &image) }
        case .torn:
            for write in pending {
                for start in stride(from: 0, to: write.bytes.count, by: 512) where Bool.random(using: &random) {
                    let end = min(start + 512, write.bytes.count)
                    Self.put(write.bytes[start..<end], write.offset + start, &image)
                }
            }
        case .trashed:
            for (index, write) in pending.enumerated() {
                if index < some {
                    Self.put(write.bytes[...], write.offset, &image)
                } else if index == some || Int.random(in: 0..<3, using: &random) == 0 {
                    let noise = write.bytes.map { _ in UInt8.random(in: 0...255, using: &random) }
                    Self.put(noise[...], write.offset, &image)
                } else if Bool.random(using: &random) {
                    Self.put(write.bytes[...], write.offset, &image)
                }
            }
        }
        return image
    }
}

/// What the judges said.
struct Tally: CustomStringConvertible {
    private var sound = 0
    private var lost = 0
    /// By what was lost.
    private var mostLost: [String: Int] = [:]
    private var wrong = 0
    /// The file system did not mount, mended or not: nothing that any file in it could help.
    private var gone = 0
    private var examples: [String] = []
    private let writes: Int
    private let flushes: Int
    private let marks: Int

    init(events: ArraySlice<BlockEvent>) {
        var counts = (writes: 0, flushes: 0, marks: 0)
        for event in events {
            switch event {
            case .write: counts.writes += 1
            case .flush: counts.flushes += 1
            case .mark: counts.marks += 1
            }
        }
        (writes, flushes, marks) = counts
    }

    mutating func add(_ verdict: Verdict?, _ style: PendingDisk.Style, _ context: String) {
        switch verdict {
        case nil: gone += 1
        case .sound: sound += 1
        case .lost(let count, let things):
            lost += 1
            mostLost[things] = max(mostLost[things] ?? 0, count)
            if examples.count < 3 { examples.append("\(context): \(count) acknowledged \(things) are lost") }
        case .wrong(let words):
            wrong += 1
            if examples.count < 3 { examples.append("\(context): \(words)") }
        }
    }

    var isClean: Bool { lost == 0 && wrong == 0 && sound > 20 * gone }
    var showsLoss: Bool { lost + wrong > 0 }

    var description: String {
        let all = sound + lost + wrong + gone
        var text = "\(marks) promises, \(writes) pages written, \(flushes) flushes; of \(all) states \(sound) sound"
        let most = mostLost.sorted { $0.key < $1.key }.map { "\($0.value) \($0.key)" }
        text += ", \(lost) with a loss" + (most.isEmpty ? "" : " (at most \(most.joined(separator: ", ")))")
        text += ", \(wrong) wrong, \(gone) without a file system"
        return ([text] + examples.map { "  " + $0 }).joined(separator: "\n")
    }
}
