// What a memory card has to take: bytes written to the block device, file-system journal included.

@preconcurrency import Glibc
import Model
import Ports
import Store

/// 100 series, one sample each 10 s, a commit after every sample as the gateway's loop makes it, a sync every 5 s.
struct Wear {
    fileprivate static let series = 100
    /// What a day may cost.
    private static let limit = 80.0
    private let hours: Int
    private let real: Int

    /// How an ext4 is mounted, and how many seconds pass between two commits of its journal.
    private struct Mounting {
        let options: String
        let isLazy: Bool
        let interval: Int

        var words: String { "mounted noatime" + (isLazy ? ",lazytime" : "") + (options.isEmpty ? "" : ",\(options)") }
    }

    private static let mountings = [
        Mounting(options: "", isLazy: false, interval: 5), Mounting(options: "", isLazy: true, interval: 5),
        Mounting(options: "commit=60", isLazy: false, interval: 60),
        Mounting(options: "commit=900", isLazy: false, interval: 900),
        Mounting(options: "commit=900", isLazy: true, interval: 900),
    ]

    init(_ options: Options) throws {
        hours = try options.number("hours", 24)
        real = options["real"] == nil ? 0 : try options.number("real", 60)
    }

    func run() throws -> Bool {
        try CrashLab.need("/dev/loop-control")
        let work = try Files.makeTemporaryFolder(prefix: "fabgate-wear")
        defer { Files.removeFolder(work) }
        let seconds = hours * 3600
        let compressed = try day(work, [Self.mountings[0]], seconds: seconds, isReal: false)[0]
        print("\(hours) h of samples, compressed in time: \(words(compressed, seconds))")
        if real > 0 { try inRealTime(work) }
        return perDay(compressed.bytes, seconds) <= Self.limit
    }

    /// Side by side, so that all have the same samples at the same moments.
    private func inRealTime(_ work: String) throws {
        // Of one commit more or less, a shorter time would make a different figure.
        let measured = Self.mountings.filter { 2 * $0.interval <= real }
        for (mounting, written) in zip(measured, try day(work, measured, seconds: real, isReal: true)) {
            print("\(real) s in real time, \(mounting.words): \(words(written, real))")
        }
        for mounting in Self.mountings where 2 * mounting.interval > real {
            print("\(mounting.words): needs --real \(2 * mounting.interval) at least, since it commits so rarely")
        }
    }

    private func perDay(_ bytes: Int, _ seconds: Int) -> Double { Double(bytes) / Double(seconds) * 86_400 / 1e6 }

    private func words(_ written: Written, _ seconds: Int) -> String {
        let day = (perDay(written.bytes, seconds) * 10).rounded() / 10
        let flushes = (Double(written.flushes) / Double(seconds) * 1000).rounded() / 1000
        return "\(day) MB a day (limit \(Int(Self.limit))), \(flushes) flushes a second"
    }

    /// What the block device of each mounting saw.
    private func day(_ work: String, _ mountings: [Mounting], seconds: Int, isReal: Bool) throws -> [Written] {
        let sites = try mountings.enumerated().map { index, mounting in
            try WearSite("\(work)/\(index)", mounting.options, isLazy: mounting.isLazy)
        }
        sync()
        let before = try sites.map { try $0.written }
        var random = Seeded(7)
        let start: Int64 = 1_795_000_000_000
        for second in 0..<seconds {
            for index in 0..<10 {
                let series = (second % 10) * 10 + index
                let time = Instant(milliseconds: start + Int64(second) * 1000 + Int64(random.next() % 1000))
                let value = Self.value(series, &random)
                for site in sites { try site.append(series, time, value) }
                if isReal { usleep(100_000) }
            }
            if second % 5 == 4 { for site in sites { try site.makeDurable() } }
        }
        return try zip(sites, before).map { site, before in
            let after = try site.written
            return Written(bytes: after.bytes - before.bytes, flushes: after.flushes - before.flushes)
        }
    }

    /// Steady loads, noise of one decimal and counters, a third each.
    private static func value(_ series: Int, _ random: inout Seeded) -> Double {
        switch series % 3 {
        case 0: random.next() % 50 == 0 ? 1.4 : 1.2
        case 1: Double(800 + random.next() % 1200) / 10
        default: Double(random.next() % 40)
        }
    }
}

/// Bytes and flushes.
private struct Written {
    let bytes: Int
    let flushes: Int
}

/// A store on a file system of its own.
private final class WearSite {
    private let disk: MountedDisk
    private var region: FileRegion?
    private var store: RingStore?
    private let ids: [SeriesID]

    // The disk can be unmounted only when the file is closed.
    deinit { (store, region) = (nil, nil) }

    init(_ work: String, _ options: String, isLazy: Bool) throws {
        try Files.makeFolder("\(work)/fs")
        try MountedDisk.format("\(work)/disk.img", mebibytes: 96)
        let device = try LoopDevice(over: "\(work)/disk.img")
        guard let disk = try MountedDisk(device, on: "\(work)/fs", options: options, isLazy: isLazy) else {
            throw CrashLab.Missing(description: "an ext4 cannot be mounted over a loop device here")
        }
        guard let mount = Mount.holding(disk.folder), mount.options.contains("lazytime") == isLazy else {
            throw CrashLab.Failure(description: "the kernel does not say whether times are lazy in \(disk.folder)")
        }
        let region = try FileRegion(creating: "\(disk.folder)/ring.fab", size: 64 << 20)
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](1...16))
        ids = try (0..<Wear.series).compactMap {
            try store.series(SeriesKey(device: "device-\($0)", channel: "power"), unit: .watt, kind: .gauge)
        }
        (self.disk, self.region, self.store) = (disk, region, store)
    }

    func append(_ series: Int, _ time: Instant, _ value: Double) throws {
        store?.append(ids[series], time, .number(value))
        try store?.commit()
    }

    func makeDurable() throws {
        guard let token = store?.beginSync() else { return }
        try region?.sync()
        store?.finishedSync(token)
    }

    /// Since the device was made, from the kernel's statistics: sectors written and flushes.
    var written: Written {
        get throws {
            let name = disk.device.path.split(separator: "/").last.map(String.init) ?? ""
            let fields = String(decoding: try Tool.file("/sys/block/\(name)/stat"), as: UTF8.self)
                .split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
            guard fields.count >= 16 else { throw CrashLab.Missing(description: "the kernel counts no flushes") }
            return Written(bytes: fields[6] * 512, flushes: fields[15])
        }
    }
}

extension Tool {
    /// A small file of the kernel's, which has no size.
    static func file(_ path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw CrashLab.Missing(description: "there is no \(path)") }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = read(file, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }
}
