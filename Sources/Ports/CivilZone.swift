// Time zones from the system's tzdata, as plain values.

@preconcurrency import Glibc
package import Model
import Synchronization

/// Makes `Zone` values. glibc knows one zone a process, so that a zone is asked out once, under a lock, and then carried
/// as data.
package enum CivilZone {
    private static let database = "/usr/share/zoneinfo"
    private static let lock = Mutex(())

    /// From 1970 to twenty years from now. Names are those of the IANA, such as `Asia/Seoul`; an unknown one is an error
    /// (glibc itself takes it for UTC).
    package static func load(_ name: String) throws(PortError) -> Zone {
        let isPlain = name.utf8.allSatisfy { byte in
            (byte >= 48 && byte <= 57) || (byte | 32 >= 97 && byte | 32 <= 122) || [43, 45, 47, 95].contains(byte)
        }
        guard isPlain, !name.isEmpty, !name.hasPrefix("/"), !name.contains("//"),
            Files.exists("\(database)/\(name)"), !Files.isFolder("\(database)/\(name)")
        else {
            let hint = Files.isFolder(database) ? "write an IANA name such as Asia/Seoul" : "install the package tzdata"
            throw PortError(call: "find", subject: "time zone '\(name)'", code: 0, hint: hint)
        }
        return Zone(name: name, changes: lock.withLock { _ in changes(of: name) })
    }

    /// The release of the system's tzdata, such as `2026b`; `unknown` where the package does not say.
    package static let dataVersion: String = {
        for file in ["tzdata.zi", "tzdata.zi.gz"] {
            guard let handle = fopen("\(database)/\(file)", "r") else { continue }
            defer { fclose(handle) }
            var line = [CChar](repeating: 0, count: 64)
            guard fgets(&line, Int32(line.count), handle) != nil else { continue }
            let words = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
                .split(whereSeparator: { $0 == " " || $0 == "\n" })
            if words.count == 3, words[1] == "version" { return String(words[2]) }
        }
        return "unknown"
    }()

    private static func changes(of name: String) -> [Zone.Change] {
        let before = Environment.value("TZ")
        setenv("TZ", ":\(name)", 1)
        tzset()
        defer {
            if let before { setenv("TZ", before, 1) } else { unsetenv("TZ") }
            tzset()
        }
        let day = 86_400
        let end = time(nil) + 20 * 365 * day
        var changes = [Zone.Change(at: .distantPast, offsetSeconds: offset(at: 0))]
        var earlier = 0
        // No two changes of one zone lie within twelve hours.
        for probe in stride(from: day / 2, through: end, by: day / 2) {
            let now = offset(at: probe)
            if now != changes[changes.count - 1].offsetSeconds {
                var low = earlier
                var high = probe
                while high - low > 1 {
                    let middle = (low + high) / 2
                    if offset(at: middle) == now { high = middle } else { low = middle }
                }
                changes.append(Zone.Change(at: Instant(milliseconds: Int64(high) * 1000), offsetSeconds: now))
            }
            earlier = probe
        }
        return changes
    }

    private static func offset(at seconds: Int) -> Int {
        var moment = time_t(seconds)
        var civil = tm()
        localtime_r(&moment, &civil)
        return civil.tm_gmtoff
    }
}
