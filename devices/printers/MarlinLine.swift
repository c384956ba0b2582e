import Model

/// One line of Marlin or a relative of it, as far as it means something here.
enum MarlinLine: Equatable {
    /// The answer to the last command, with whatever stood on the same line before or after.
    case ok
    case temperatures(MarlinTemperatures, isAnswer: Bool)
    /// `SD printing byte 1234/56789`
    case printing(byte: Double, of: Double)
    /// `Not SD printing`, also of a paused print.
    case notPrinting
    /// `Done printing file`
    case done
    /// `start`, and what says before it why the board was reset.
    case reset
    /// The board stops for good; what it says, without its tail.
    case fatal(String)
    /// `echo:busy: paused for user`
    case waitsForPerson(String)
    /// `echo:busy: processing`
    case busy
    /// `//action:cancel`
    case action(String)
    /// `echo:Print time: 1h 2m 3s`; s.
    case printTime(Double)
    /// s, of a print's own estimate (M73).
    case remaining(Double)
    /// `Cap:AUTOREPORT_TEMP:1`
    case capability(String, Bool)
    /// `echo:Unknown command: "M155 S5"`; the command.
    case refused(String)
    /// `Stats: Prints: 12, Finished: 10, Failed: 2`
    case counts(prints: Double, finished: Double, failed: Double)
    /// s.
    case totalTime(Double)
    /// mm.
    case totalFilament(Double)
    /// Text that means nothing here.
    case other
    /// Bytes that are no text.
    case noise

    init(_ bytes: [UInt8]) {
        let unprintable = bytes.count { $0 < 0x20 && $0 != 9 || $0 >= 0x7F }
        guard unprintable * 10 <= bytes.count * 3 else {
            self = .noise
            return
        }
        let text = MarlinText(bytes)
        self =
            Self.temperatures(bytes, text) ?? Self.card(text) ?? Self.board(text) ?? Self.statistics(text)
            ?? Self.rest(text)
    }

    // MARK: kinds of lines

    private static func temperatures(_ bytes: [UInt8], _ text: MarlinText) -> MarlinLine? {
        // A position: X:0.00 Y:127.00 … Count X:0
        guard let found = MarlinTemperatures(bytes), text.after("X:") == nil, text.after("Count") == nil else {
            return nil
        }
        return .temperatures(found, isAnswer: isAnswer(text))
    }

    private static func isAnswer(_ text: MarlinText) -> Bool { text.equals("ok") || text.begins("ok ") }

    private static func card(_ text: MarlinText) -> MarlinLine? {
        if let place = text.after("SD printing byte ") {
            let parts = place.split(separator: UInt8(ascii: "/"))
            guard parts.count == 2, let byte = number(parts[0]), let size = number(parts[1]) else { return nil }
            return size > 0 ? .printing(byte: byte, of: size) : .notPrinting
        }
        if text.ends("Not SD printing") { return .notPrinting }
        return text.begins("Done printing file") ? .done : nil
    }

    private static func board(_ text: MarlinText) -> MarlinLine? {
        for words in ["start", "PowerUp", "External Reset", "Brown out Reset", "Watchdog Reset", "Software Reset"]
        where text.equals(words) { return .reset }
        if text.begins("Error:") || text.begins("!!") || text.begins("fatal:") {
            // Most errors are about a line that is sent again.
            for words in [
                "Thermal Runaway", "THERMAL RUNAWAY", "Heating failed", "Heating Failed", "MAXTEMP", "MINTEMP",
                "kill() called", "Printer halted",
            ] where text.after(words) != nil { return .fatal(words) }
            return text.begins("Error:") ? .other : .fatal("halted")
        }
        if let what = text.after("busy: ") {
            let what = String(decoding: what, as: UTF8.self)
            return what.hasPrefix("paused for") ? .waitsForPerson(what) : .busy
        }
        if let action = text.after("//action:") {
            return .action(String(decoding: action.prefix { $0 != 0x20 }, as: UTF8.self))
        }
        if let command = text.after("Unknown command: ") {
            return .refused(String(decoding: command.filter { $0 != 0x22 }, as: UTF8.self))
        }
        guard let capability = text.after("Cap:") else { return nil }
        let parts = capability.split(separator: UInt8(ascii: ":"))
        guard parts.count == 2 else { return .other }
        return .capability(String(decoding: parts[0], as: UTF8.self), parts[1].elementsEqual("1".utf8))
    }

    private static func statistics(_ text: MarlinText) -> MarlinLine? {
        if let prints = value("Stats: Prints: ", text), let finished = value("Finished: ", text),
            let failed = value("Failed: ", text)
        {
            return .counts(prints: prints, finished: finished, failed: failed)
        }
        if let time = text.after("Stats: Total time: ") {
            return seconds(time.prefix { $0 != UInt8(ascii: ",") }).map { .totalTime($0) }
        }
        if let metres = value("Stats: Filament used: ", text) { return .totalFilament(metres * 1000) }
        if let time = text.after("Print time: ") { return seconds(time).map { .printTime($0) } }
        if let left = text.after("Time left: ") {
            return seconds(left.prefix { $0 != UInt8(ascii: ";") }).map { .remaining($0) }
        }
        if let minutes = value("print time remaining in mins: ", text) { return .remaining(minutes * 60) }
        return nil
    }

    private static func rest(_ text: MarlinText) -> MarlinLine {
        if isAnswer(text) { return .ok }
        // Two lines run into each other: File deletedok
        return text.ends("ok") && !text.begins("echo:") && !text.ends(" ok") ? .ok : .other
    }

    // MARK: pieces

    /// The number behind a mark.
    private static func value(_ mark: String, _ text: MarlinText) -> Double? {
        text.after(mark).flatMap { number($0.prefix { ($0 >= 48 && $0 <= 57) || $0 == 46 }) }
    }

    private static func number(_ text: ArraySlice<UInt8>) -> Double? {
        guard !text.isEmpty, text.count <= 20, text.allSatisfy({ ($0 >= 48 && $0 <= 57) || $0 == 46 }) else {
            return nil
        }
        return Double(String(decoding: text, as: UTF8.self))
    }

    /// `1d 0h 0m 5s`, with units left out from the left.
    private static func seconds(_ text: ArraySlice<UInt8>) -> Double? {
        var sum: Double = 0
        let parts = text.split(separator: 0x20)
        guard !parts.isEmpty else { return nil }
        for part in parts {
            guard let unit = part.last, let count = number(part.dropLast()) else { return nil }
            switch unit {
            case UInt8(ascii: "d"): sum += count * 86_400
            case UInt8(ascii: "h"): sum += count * 3600
            case UInt8(ascii: "m"): sum += count * 60
            case UInt8(ascii: "s"): sum += count
            default: return nil
            }
        }
        return sum
    }
}

/// A line without what is not printable (some boards send 0x80 before `start`) and without spaces around it.
private struct MarlinText {
    private let bytes: ArraySlice<UInt8>

    init(_ line: [UInt8]) {
        let printable = line.filter { $0 >= 0x20 && $0 < 0x7F }
        let end = printable.lastIndex { $0 != 0x20 } ?? -1
        bytes = printable[...end].drop { $0 == 0x20 }
    }

    func equals(_ words: String) -> Bool { bytes.elementsEqual(words.utf8) }
    func begins(_ words: String) -> Bool { bytes.starts(with: words.utf8) }
    func ends(_ words: String) -> Bool { bytes.suffix(words.utf8.count).elementsEqual(words.utf8) }

    /// What follows some words, wherever they stand first.
    func after(_ words: String) -> ArraySlice<UInt8>? {
        let length = words.utf8.count
        guard let first = words.utf8.first, bytes.count >= length else { return nil }
        for start in bytes.startIndex...bytes.endIndex - length where bytes[start] == first {
            if bytes[start...].starts(with: words.utf8) { return bytes[(start + length)...] }
        }
        return nil
    }
}

/// The temperatures of one line, °C: a key, the value, and where there is one the target behind a slash; the space may
/// stand before or behind it.
///
///     ok T:201.35 /210.00 B:60.02 /60.00 @:87 B@:43
///      T:187.42 /210.00 B:59.98 /60.00 @:127 B@:20 W:?           waiting
///     T:21.30/ 0.00 B:21.30/ 0.00 @:64
struct MarlinTemperatures: Equatable {
    struct Heater: Equatable {
        /// nil where the value is no number.
        var actual: Double?
        var target: Double?
    }

    /// By the letter; `T0` as `0`, `T1` as `1`.
    private(set) var heaters: [UInt8: Heater] = [:]
    /// Of a board that waits for a temperature.
    private(set) var isWaiting = false

    /// nil where the line is none of temperatures.
    init?(_ b: [UInt8]) {
        var at = 0
        Self.skipSpaces(b, &at)
        // `ok`, and with ADVANCED_OK also `ok P15 B3`.
        let isAnswer = at + 1 < b.count && b[at] == 0x6F && b[at + 1] == 0x6B
        if isAnswer { at += 2 }
        var isFirst = true
        while at < b.count {
            Self.skipSpaces(b, &at)
            let start = at
            let key = Self.key(b, &at)
            if let key {
                if key == UInt8(ascii: "W") { isWaiting = true } else { heaters[key] = Self.heater(b, &at) }
            } else if isFirst, !isAnswer {
                return nil
            }
            isFirst = false
            // To the next word.
            if key == nil { at = start }
            while at < b.count, b[at] != 0x20 { at += 1 }
        }
        guard heaters.keys.contains(where: { "TB01".utf8.contains($0) }) else { return nil }
    }

    /// What is known of the first tool; `T` alone means the active one.
    var nozzle: Heater? { heaters[UInt8(ascii: "0")] ?? heaters[UInt8(ascii: "T")] }
    subscript(key: Unicode.Scalar) -> Heater? { heaters[UInt8(ascii: key)] }

    private static func skipSpaces(_ b: [UInt8], _ at: inout Int) { while at < b.count, b[at] == 0x20 { at += 1 } }

    /// `T:`, `T0:`, `B:` and so on; nil where none stands.
    private static func key(_ b: [UInt8], _ at: inout Int) -> UInt8? {
        guard at < b.count, "TBCAPLMRW".utf8.contains(b[at]) else { return nil }
        var key = b[at]
        var next = at + 1
        if key == UInt8(ascii: "T"), next < b.count, b[next] >= 48, b[next] <= 57 {
            key = b[next]
            next += 1
        }
        guard next < b.count, b[next] == 0x3A else { return nil }
        at = next + 1
        return key
    }

    private static func heater(_ b: [UInt8], _ at: inout Int) -> Heater {
        skipSpaces(b, &at)
        var heater = Heater(actual: number(b, &at))
        guard heater.actual != nil else { return heater }
        var slash = at
        skipSpaces(b, &slash)
        guard slash < b.count, b[slash] == 0x2F else { return heater }
        at = slash + 1
        skipSpaces(b, &at)
        heater.target = number(b, &at)
        return heater
    }

    private static func number(_ b: [UInt8], _ at: inout Int) -> Double? {
        var text = ""
        var end = at
        while end < b.count, end - at < 12,
            b[end] == 0x2D && end == at || b[end] == 0x2E || (b[end] >= 48 && b[end] <= 57)
        {
            text.unicodeScalars.append(Unicode.Scalar(b[end]))
            end += 1
        }
        guard let number = Double(text), number.isFinite else { return nil }
        at = end
        return number
    }
}
