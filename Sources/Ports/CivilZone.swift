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
    /// (glibc itself takes it for UTC). Where `trustsFile` is false, the system is asked for every half day, as it is for a
    /// zone whose file is of a kind that we do not know.
    package static func load(_ name: String, trustsFile: Bool = true) throws(PortError) -> Zone {
        let isPlain = name.utf8.allSatisfy { byte in
            (byte >= 48 && byte <= 57) || (byte | 32 >= 97 && byte | 32 <= 122) || [43, 45, 47, 95].contains(byte)
        }
        guard isPlain, !name.isEmpty, !name.hasPrefix("/"), !name.contains("//"),
            Files.exists("\(database)/\(name)"), !Files.isFolder("\(database)/\(name)")
        else {
            let hint = Files.isFolder(database) ? "write an IANA name such as Asia/Seoul" : "install the package tzdata"
            throw PortError(call: "find", subject: "time zone '\(name)'", code: 0, hint: hint)
        }
        return Zone(name: name, changes: lock.withLock { _ in changes(of: name, trustsFile) })
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

    private static func changes(of name: String, _ trustsFile: Bool) -> [Zone.Change] {
        let before = getenv("TZ").map { String(cString: $0) }
        setenv("TZ", ":\(name)", 1)
        tzset()
        defer {
            if let before { setenv("TZ", before, 1) } else { unsetenv("TZ") }
            tzset()
        }
        let day = 86_400
        let end = time(nil) + 20 * 365 * day
        let known = trustsFile ? ZoneFile("\(database)/\(name)") : nil
        var changes = [Zone.Change(at: .distantPast, offsetSeconds: offset(at: 0))]
        func add(_ second: Int, _ offset: Int) {
            changes.append(Zone.Change(at: Instant(milliseconds: Int64(second) * 1000), offsetSeconds: offset))
        }
        var earlier = 0
        for second in known?.transitions ?? [] where second > 0 && second <= end {
            let now = offset(at: second)
            if now != changes[changes.count - 1].offsetSeconds { add(second, now) }
            earlier = second
        }
        guard known?.isWhole != true else { return changes }
        // No two changes of one zone lie within twelve hours.
        for probe in stride(from: earlier + day / 2, through: end, by: day / 2) {
            let now = offset(at: probe)
            if now != changes[changes.count - 1].offsetSeconds {
                var low = earlier
                var high = probe
                while high - low > 1 {
                    let middle = (low + high) / 2
                    if offset(at: middle) == now { high = middle } else { low = middle }
                }
                add(high, now)
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

/// What a file of tzdata says about when a zone changes (RFC 8536), so that nobody has to try every half day of eighty
/// years. All numbers are big-endian:
///
///     header    "TZif", version u8, 15 bytes, then u32 each: utc marks, standard marks, leaps, times, types, letters
///     data      times i32 or i64 …, types u8 …, 6 bytes a type, letters, 8 or 12 bytes a leap, marks
///     header    the same again, before the data with times of 64 bits
///     footer    line feed, the rule that holds after the last time, line feed
private struct ZoneFile {
    /// Seconds since 1970, rising.
    let transitions: [Int]
    /// No rule goes on after the last of them.
    let isWhole: Bool

    private static let headerSize = 44

    /// nil for a file of another kind, and for the first version, which ends in 2038.
    init?(_ path: String) {
        guard let bytes = try? Files.bytes(path) else { return nil }
        func counts(_ start: Int) -> [Int]? {
            guard start + Self.headerSize <= bytes.count, bytes[start..<start + 4].elementsEqual("TZif".utf8),
                bytes[start + 4] >= UInt8(ascii: "2")
            else { return nil }
            return (0..<6).map { index in Self.number(bytes, at: start + 20 + 4 * index, size: 4) }
        }
        func size(_ counts: [Int], _ time: Int) -> Int {
            let (marks, leaps, times, types, letters) = (
                counts[0] + counts[1], counts[2], counts[3], counts[4], counts[5]
            )
            return times * (time + 1) + types * 6 + letters + leaps * (time + 4) + marks
        }
        guard let old = counts(0) else { return nil }
        let second = Self.headerSize + size(old, 4)
        guard let new = counts(second) else { return nil }
        let start = second + Self.headerSize
        let footer = start + size(new, 8)
        guard footer < bytes.count, bytes[footer] == 10 else { return nil }
        transitions = (0..<new[3]).map { Self.number(bytes, at: start + 8 * $0, size: 8) }
        // `CET-1CEST,M3.5.0,M10.5.0/3`: what follows the comma is when. Without a rule nobody knows what comes then.
        let rule = bytes[(footer + 1)...].prefix { $0 != 10 }
        isWhole = !rule.isEmpty && !rule.contains(UInt8(ascii: ","))
    }

    private static func number(_ bytes: [UInt8], at start: Int, size: Int) -> Int {
        let raw = bytes[start..<start + size].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return size == 8 ? Int(Int64(bitPattern: raw)) : Int(raw)
    }
}
