// What a memory card has to take: bytes written to the block device, file-system journal included.

@preconcurrency import Glibc
import Model
import Ports
import Store

/// 100 series, one sample each 10 s, a commit after every sample as the gateway's loop makes it, a sync every 5 s.
struct Wear {
    private static let series = 100
    /// What a day may cost.
    private static let limit = 80.0
    private let hours: Int
    private let real: Int

    init(_ options: Options) throws {
        hours = try options.number("hours", 24)
        real = options["real"] == nil ? 0 : try options.number("real", 60)
    }

    func run() throws -> Bool {
        try CrashLab.need("/dev/loop-control")
        let work = try Files.makeTemporaryFolder(prefix: "fabgate-wear")
        defer { Files.removeFolder(work) }
        try Files.makeFolder("\(work)/fs")
        var isGood = true
        let compressed = try day(work, "", seconds: hours * 3600, isReal: false)
        print("\(hours) h of samples, compressed in time: \(words(compressed, hours * 3600))")
        if perDay(compressed.bytes, hours * 3600) > Self.limit { isGood = false }
        if real > 0 {
            for options in ["", "commit=60"] {
                let slow = try day(work, options, seconds: real, isReal: true)
                print("\(real) s in real time, mounted noatime,\(options): \(words(slow, real))")
            }
        }
        return isGood
    }

    private func perDay(_ bytes: Int, _ seconds: Int) -> Double { Double(bytes) / Double(seconds) * 86_400 / 1e6 }

    private func words(_ written: (bytes: Int, flushes: Int), _ seconds: Int) -> String {
        let day = (perDay(written.bytes, seconds) * 10).rounded() / 10
        let flushes = (Double(written.flushes) / Double(seconds) * 1000).rounded() / 1000
        return "\(day) MB a day (limit \(Int(Self.limit))), \(flushes) flushes a second"
    }

    /// Bytes and flushes that the block device saw.
    private func day(
        _ work: String, _ options: String, seconds: Int, isReal: Bool
    ) throws -> (bytes: Int, flushes: Int) {
        try MountedDisk.format("\(work)/disk.img", mebibytes: 96)
        guard let disk = try MountedDisk(LoopDevice(over: "\(work)/disk.img"), on: "\(work)/fs", options: options)
        else {
            throw CrashLab.Missing(description: "an ext4 cannot be mounted over a loop device here")
        }
        let region = try FileRegion(creating: "\(disk.folder)/ring.fab", size: 64 << 20)
        let store = try RingStore.create(in: region, plan: StorePlan(), identity: [UInt8](1...16))
        let ids = try (0..<Self.series).compactMap {
            try store.series(SeriesKey(device: "device-\($0)", channel: "power"), unit: .watt, kind: .gauge)
        }
        sync()
        let before = try counts(disk)
        var random = Seeded(7)
        let start: Int64 = 1_795_000_000_000
        for second in 0..<seconds {
            for index in 0..<10 {
                let series = (second % 10) * 10 + index
                let time = start + Int64(second) * 1000 + Int64(random.next() % 1000)
                store.append(ids[series], Instant(milliseconds: time), .number(Self.value(series, &random)))
                try store.commit()
                if isReal { usleep(100_000) }
            }
            if second % 5 == 4 {
                let token = store.beginSync()
                try region.sync()
                store.finishedSync(token)
            }
        }
        let after = try counts(disk)
        return (after.bytes - before.bytes, after.flushes - before.flushes)
    }

    /// Steady loads, noise of one decimal and counters, a third each.
    private static func value(_ series: Int, _ random: inout Seeded) -> Double {
        switch series % 3 {
        case 0: random.next() % 50 == 0 ? 1.4 : 1.2
        case 1: Double(800 + random.next() % 1200) / 10
        default: Double(random.next() % 40)
        }
    }

    /// From the kernel's statistics of the device: sectors written and flushes.
    private func counts(_ disk: MountedDisk) throws -> (bytes: Int, flushes: Int) {
        let name = disk.device.path.split(separator: "/").last.map(String.init) ?? ""
        let fields = String(decoding: try Tool.file("/sys/block/\(name)/stat"), as: UTF8.self)
            .split(whereSeparator: \.isWhitespace).compactMap { Int($0) }
        guard fields.count >= 16 else { throw CrashLab.Missing(description: "the kernel counts no flushes") }
        return (fields[6] * 512, fields[15])
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
