import Model

/// The serial side of Marlin 2.1: it answers one command after the other with `ok`, and reports by itself what M155 and
/// M27 S have switched on, until it is reset.
///
///     M105     →  ok T:201.35 /210.00 B:60.02 /60.00 @:87 B@:43
///     M155 S5  →  ok, and every five seconds   T:201.35 /210.00 B:60.02 /60.00 @:87 B@:43
///     M27      →  SD printing byte 1234/56789, or Not SD printing, and ok
///     M27 S5   →  ok, and every five seconds the same without ok
///     M31      →  echo:Print time: 2m 3s, and ok
///     M78      →  Stats: Prints: 12, Finished: 10, Failed: 2, two lines more, and ok
///     M115     →  FIRMWARE_NAME:Marlin …, a line for each capability, and ok
///
/// While it waits for heat or for a person, commands wait, too: as many as its buffer holds.
struct MarlinBoard: Sendable {
    /// What the printer is at.
    struct Moment: Sendable {
        /// °C.
        let nozzle: Double
        let nozzleTarget: Double
        let bed: Double
        let bedTarget: Double
        /// Bytes read of the file and its size; nil where no print runs from the card.
        let card: (byte: Int64, size: Int64)?
        /// s of the print that is on.
        let printed: Int64
        let life: Life
    }

    /// What its EEPROM counts.
    struct Life: Hashable, Sendable {
        var prints = 12
        var finished = 10
        /// s.
        var seconds: Int64 = 273_906
        /// mm.
        var filament = 128_340.0
    }

    static let banner = [
        "start", "echo:Marlin 2.1.2.4", "echo: Last Updated: 2025-05-12 | Author: (none)",
        " Free Memory: 3512  PlannerBufferBytes: 1232", "echo:SD card ok",
    ]
    private static let bufferedCommands = 4

    /// Whether it can report by itself; older ones must be asked.
    let reports: Bool
    private var line: [UInt8] = []
    private var waiting: [String] = []
    private var heatReports: (every: Duration, next: Instant)?
    private var cardReports: (every: Duration, next: Instant)?

    init(reports: Bool) { self.reports = reports }

    /// When it reports next by itself.
    var next: Instant { min(heatReports?.next ?? .distantFuture, cardReports?.next ?? .distantFuture) }

    /// Bytes from the host. `isOccupied` says that it cannot come to them now.
    mutating func hear(_ chunk: [UInt8], isOccupied: Bool, _ now: Moment, at: Instant) -> [String] {
        var lines: [String] = []
        for byte in chunk {
            guard byte == 10 || byte == 13 else {
                if line.count < 96 { line.append(byte) }
                continue
            }
            let command = String(decoding: line, as: UTF8.self)
            line.removeAll()
            if command.isEmpty { continue }
            if !isOccupied {
                lines += answer(command, now, at)
            } else if waiting.count < Self.bufferedCommands {
                waiting.append(command)
            }
        }
        return lines
    }

    /// It can come to what waited.
    mutating func goOn(_ now: Moment, at: Instant) -> [String] {
        let commands = waiting
        waiting.removeAll()
        return commands.flatMap { answer($0, now, at) }
    }

    /// What is due by itself.
    mutating func report(_ now: Moment, at: Instant) -> [String] {
        var lines: [String] = []
        if let reports = heatReports, at >= reports.next {
            lines.append(" " + Self.heat(now))
            heatReports = (reports.every, at + reports.every)
        }
        if let reports = cardReports, at >= reports.next {
            lines.append(Self.card(now))
            cardReports = (reports.every, at + reports.every)
        }
        return lines
    }

    private mutating func answer(_ command: String, _ now: Moment, _ at: Instant) -> [String] {
        switch command {
        case "M105": return ["ok " + Self.heat(now)]
        case "M27": return [Self.card(now), "ok"]
        case "M27 S5" where reports:
            cardReports = (.seconds(5), at + .seconds(5))
            return ["ok"]
        case "M155 S5" where reports:
            heatReports = (.seconds(5), at + .seconds(5))
            return ["ok"]
        case "M31": return ["echo:Print time: " + Self.time(now.printed), "ok"]
        case "M78":
            let life = now.life
            return [
                "Stats: Prints: \(life.prints), Finished: \(life.finished), Failed: \(life.prints - life.finished)",
                "Stats: Total time: \(Self.time(life.seconds)), Longest job: 9h 8m 7s",
                "Stats: Filament used: \(fixed(life.filament / 1000, 2))m", "ok",
            ]
        case "M115":
            return [
                "FIRMWARE_NAME:Marlin 2.1.2.4 (May 12 2025 09:10:11) SOURCE_CODE_URL:github.com/MarlinFirmware/Marlin "
                    + "PROTOCOL_VERSION:1.0 MACHINE_TYPE:Simulated EXTRUDER_COUNT:1",
                "Cap:EEPROM:1", "Cap:AUTOREPORT_TEMP:\(reports ? 1 : 0)",
                "Cap:AUTOREPORT_SD_STATUS:\(reports ? 1 : 0)", "Cap:SDCARD:1", "ok",
            ]
        default: return ["echo:Unknown command: \"\(command)\"", "ok"]
        }
    }

    // MARK: words

    /// Temperatures and what of their power the heaters have, of 127.
    static func heat(_ now: Moment) -> String {
        func duty(_ actual: Double, _ target: Double, holds: Int) -> Int {
            target <= 0 ? 0 : actual < target - 3 ? 127 : holds
        }
        return "T:\(fixed(now.nozzle, 2)) /\(fixed(now.nozzleTarget, 2)) B:\(fixed(now.bed, 2)) "
            + "/\(fixed(now.bedTarget, 2)) @:\(duty(now.nozzle, now.nozzleTarget, holds: 87)) "
            + "B@:\(duty(now.bed, now.bedTarget, holds: 43))"
    }

    static func card(_ now: Moment) -> String {
        now.card.map { "SD printing byte \($0.byte)/\($0.size)" } ?? "Not SD printing"
    }

    /// `3d 4h 5m 6s`, without the units in front that are 0.
    static func time(_ seconds: Int64) -> String {
        let parts = [
            (seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"),
        ]
        let first = parts.firstIndex { $0.0 > 0 } ?? 3
        return parts[first...].map { "\($0.0)\($0.1)" }.joined(separator: " ")
    }
}
