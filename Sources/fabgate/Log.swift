@preconcurrency import Glibc
import Hub
import Ports

/// Lines for standard error: with journald's priority in front where a service manager reads them, else with nothing.
enum Log {
    private static let isJournal = getenv("JOURNAL_STREAM") != nil || getenv("INVOCATION_ID") != nil

    static func write(_ level: LogLevel, _ text: String) {
        let clean = Text.printable(text)
        Console.complain(isJournal ? "<\(level.rawValue)>\(clean)" : clean)
    }
}

/// Text from devices and networks, made harmless for a terminal or a topic.
enum Text {
    /// Control characters become `?`, and there is an end to it.
    static func printable(_ text: String) -> String {
        // As it is, nearly always.
        if text.utf8.count <= 2000, text.utf8.allSatisfy({ (32..<127).contains($0) || $0 == 10 }) { return text }
        return String(
            String.UnicodeScalarView(
                text.unicodeScalars.prefix(2000).map { scalar in
                    let isControl = scalar.value < 32 || (0x7F...0x9F).contains(scalar.value)
                    let turnsText = (0x202A...0x202E).contains(scalar.value) || (0x2066...0x2069).contains(scalar.value)
                    return (isControl && scalar != "\n") || turnsText ? "?" : scalar
                }))
    }

    /// Only letters, digits and dashes: for a client id.
    static func plain(_ text: String) -> String {
        String(text.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
    }
}
