import Model

/// The machines of `GET /api/v1/machines` as rows of a table for a terminal.
struct MachineTable {
    let lab: String
    let now: String
    private let rows: [Row]

    private struct Row {
        let state: String
        let cells: [String]
    }

    private static let titles = ["MACHINE", "STATE", "SINCE", "POWER", "RUN", "ENERGY", "JOBS", "REASON"]
    /// Numbers stand right.
    private static let right: Set<Int> = [2, 3, 4, 5, 6]

    /// nil where this is not what the API gives.
    init?(_ json: JSON) {
        guard let machines = json["machines"]?.items, let now = json["now"]?.text, let instant = Instant(now) else {
            return nil
        }
        lab = Text.line(json["lab"]?["name"]?.text ?? "")
        self.now = now
        rows = machines.map { Self.row($0, now: instant) }
    }

    private static func row(_ machine: JSON, now: Instant) -> Row {
        let state = Text.line(machine["state"]?.text ?? "?", limit: 20)
        let today = machine["today"]
        let since = machine["since"]?.text.flatMap { Instant($0) }
        let jobs = today?["jobs"]
        let ended = JobOutcome.allCases.compactMap { jobs?[$0.rawValue]?.integer }.reduce(0, &+)
        let trouble = JobOutcome.allCases.filter { $0 != .completed }.compactMap { jobs?[$0.rawValue]?.integer }
        return Row(
            state: state,
            cells: [
                Text.line(machine["name"]?.text ?? machine["id"]?.text ?? "?", limit: 60), state,
                since.map { length(seconds: Double((now - $0).milliseconds) / 1000) } ?? "-",
                machine["power_w"]?.number.map { "\(fixed($0, decimals: abs($0) < 100 ? 1 : 0)) W" } ?? "-",
                today?["run_s"]?.number.map(length) ?? "-",
                today?["energy_wh"]?.number.map { "\(fixed($0 / 1000, decimals: 3)) kWh" } ?? "-",
                ended == 0 ? "-" : "\(ended &- trouble.reduce(0, &+))/\(ended)",
                Text.line(machine["reason"]?.text ?? "", limit: 60),
            ])
    }

    /// The table without its heading, as wide as it needs to be.
    func lines(width: Int = .max, colour: Bool = false) -> [String] {
        let all = [Self.titles] + rows.map(\.cells)
        let widths = Self.titles.indices.map { column in all.map { DisplayWidth.of($0[column]) }.max() ?? 0 }
        let head = Self.line(Self.titles, widths)
        let body = rows.map { row -> String in
            let text = DisplayWidth.clip(Self.line(row.cells, widths), to: width)
            guard colour, let code = Self.colours[row.state] else { return text }
            return "\u{1B}[\(code)m\(text)\u{1B}[0m"
        }
        return [DisplayWidth.clip(head, to: width)] + body
    }

    private static func line(_ cells: [String], _ widths: [Int]) -> String {
        let padded = cells.enumerated().map { column, cell in
            if column == cells.count - 1 { return cell }
            let space = String(repeating: " ", count: max(0, widths[column] - DisplayWidth.of(cell)))
            return right.contains(column) ? space + cell : cell + space
        }
        return padded.joined(separator: "  ")
    }

    /// Select Graphic Rendition (ECMA-48): what needs a person stands out.
    private static let colours = [
        "running": "32", "preparing": "33", "paused": "33", "blocked": "1;33", "fault": "1;31", "offline": "31",
        "unknown": "2", "maintenance": "35",
    ]

    private static func length(seconds: Double) -> String {
        let seconds = Int(max(0, min(seconds, 1e9)))
        if seconds < 60 { return "\(seconds) s" }
        if seconds < 3600 { return "\(seconds / 60) min" }
        let minutes = seconds / 60 % 60
        return seconds < 360_000 ? "\(seconds / 3600):\(minutes < 10 ? "0" : "")\(minutes) h" : "\(seconds / 86_400) d"
    }

    private static func fixed(_ value: Double, decimals: Int) -> String {
        guard abs(value) < 1e12 else { return "\(value)" }
        let scale = decimals == 0 ? 1 : decimals == 1 ? 10 : 1000
        let whole = Int((abs(value) * Double(scale)).rounded())
        let sign = value < 0 && whole > 0 ? "-" : ""
        guard decimals > 0 else { return "\(sign)\(whole)" }
        let fraction = String(whole % scale)
        return "\(sign)\(whole / scale)." + String(repeating: "0", count: decimals - fraction.count) + fraction
    }
}

/// How many columns of a terminal a text takes: 한글 takes four. After Unicode's East Asian Width (UAX #11), where wide and
/// full-width letters take two columns, and marks that sit on the letter before take none.
enum DisplayWidth {
    static func of(_ text: String) -> Int { text.unicodeScalars.reduce(0) { $0 + of($1) } }

    /// The longest beginning that fits.
    static func clip(_ text: String, to columns: Int) -> String {
        var used = 0
        var out = String.UnicodeScalarView()
        for scalar in text.unicodeScalars {
            used += of(scalar)
            if used > columns { break }
            out.append(scalar)
        }
        return String(out)
    }

    private static func of(_ scalar: Unicode.Scalar) -> Int {
        if scalar.value < 0x300 { return scalar.value < 32 ? 0 : 1 }
        switch scalar.properties.generalCategory {
        case .nonspacingMark, .enclosingMark, .format, .control: return 0
        default: break
        }
        // The vowels and final consonants of a syllable that is written in parts stand within it.
        if (0x1160...0x11FF).contains(scalar.value) || (0xD7B0...0xD7FF).contains(scalar.value) { return 0 }
        if scalar.properties.isEmojiPresentation { return 2 }
        return wide.contains { $0.contains(scalar.value) } ? 2 : 1
    }

    /// Hangul, Han, Kana, and the full-width forms.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0x303E, 0x3041...0x4DBF, 0x4E00...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3,
        0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x20000...0x3FFFD,
    ]
}
