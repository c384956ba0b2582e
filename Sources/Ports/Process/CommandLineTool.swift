@preconcurrency import Glibc

/// The ways in which a program of ours ends; sysexits(3) where it has a word.
package enum ExitStatus: Int32, Error, Sendable {
    case done = 0
    /// The answer is no: a check failed, a difference was found.
    case no = 1
    case usage = 64
    case badData = 65
    case unavailable = 69
    case software = 70
    case ioError = 74
    case temporary = 75
    case configuration = 78
}

/// Why a program ends early, in words for standard error.
package struct ToolFailure: Error, CustomStringConvertible {
    package let status: ExitStatus
    package let description: String
    package init(_ status: ExitStatus, _ description: String) {
        self.status = status
        self.description = description
    }
}

/// One command of a program: what it is called, what it takes, and an example.
package struct CommandHelp: Sendable {
    package struct Option: Sendable {
        package let name: String
        /// What stands behind it, such as `F`; nil for a switch.
        package let value: String?
        package let text: String
        package init(_ name: String, _ value: String? = nil, _ text: String) {
            self.name = name
            self.value = value
            self.text = text
        }
    }

    package let name: String
    /// What stands behind the name, such as `CAPTURE` or `info|verify`.
    package let operands: String
    package let text: String
    package let options: [Option]
    package let example: String

    package init(_ name: String, _ operands: String = "", text: String, options: [Option] = [], example: String) {
        self.name = name
        self.operands = operands
        self.text = text
        self.options = options
        self.example = example
    }

    /// What `--help` prints.
    package func page(program: String) -> String {
        var lines = [
            text, "",
            "usage: \(program) \(name)" + (operands.isEmpty ? "" : " \(operands)")
                + (options.isEmpty ? "" : " [options]"),
        ]
        if !options.isEmpty { lines.append("") }
        for option in options {
            let left = "  --\(option.name)" + (option.value.map { " \($0)" } ?? "")
            lines.append(left + String(repeating: " ", count: max(2, 22 - left.count)) + option.text)
        }
        return (lines + ["", "example: \(example)"]).joined(separator: "\n")
    }
}

/// The words of a command line, told apart by what the command takes.
package struct Arguments: Sendable {
    package private(set) var operands: [String] = []
    private var values: [String: String] = [:]
    package private(set) var wantsHelp = false

    /// Takes `--name value`, `--name=value`, switches and operands; `--` ends the options and `-` is an operand.
    package init(_ words: some Sequence<String>, for command: CommandHelp, program: String) throws(ToolFailure) {
        var words = Array(words)[...]
        while let word = words.popFirst() {
            if word == "--" {
                operands += words
                break
            }
            if word == "--help" || word == "-h" {
                wantsHelp = true
                continue
            }
            guard word.hasPrefix("--") else {
                operands.append(word)
                continue
            }
            let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map(
                String.init)
            guard let option = command.options.first(where: { $0.name == parts[0] }) else {
                let known = command.options.map { "--\($0.name)" }.joined(separator: ", ")
                throw ToolFailure(
                    .usage,
                    "\(program) \(command.name) has no option \(word)" + (known.isEmpty ? "" : "; it takes \(known)"))
            }
            if option.value == nil {
                guard parts.count == 1 else {
                    throw ToolFailure(.usage, "--\(option.name) is a switch and takes no value")
                }
                values[option.name] = "yes"
            } else if parts.count == 2 {
                values[option.name] = parts[1]
            } else if let value = words.popFirst() {
                values[option.name] = value
            } else {
                throw ToolFailure(.usage, "--\(option.name) needs a value: --\(option.name) \(option.value ?? "")")
            }
        }
    }

    package subscript(name: String) -> String? { values[name] }
    package func has(_ name: String) -> Bool { values[name] != nil }

    /// A whole number within a range.
    package func integer(_ name: String, in range: ClosedRange<Int>) throws(ToolFailure) -> Int? {
        guard let text = values[name] else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw ToolFailure(
                .usage, "--\(name) takes a whole number from \(range.lowerBound) to \(range.upperBound), not '\(text)'")
        }
        return number
    }
}

/// Standard output and standard error, written at once and whole. A command whose output cannot be written ends; what
/// cannot be complained about is not said: a gateway whose log stands on a full disk goes on.
package enum Console {
    package static func print(_ text: String) { write(text + "\n", to: 1) }
    package static func print(bytes: [UInt8]) { write(bytes, to: 1) }
    package static func complain(_ text: String) { write(text + "\n", to: 2) }
    /// To standard error, without an end of line.
    package static func progress(_ text: String) { write(text, to: 2) }
    /// Whether colour and progress make sense there.
    package static var isErrorTerminal: Bool { isatty(2) == 1 && getenv("NO_COLOR") == nil }
    package static var isOutputTerminal: Bool { isatty(1) == 1 }

    private static func write(_ text: String, to descriptor: CInt) { write(Array(text.utf8), to: descriptor) }

    private static func write(_ bytes: [UInt8], to descriptor: CInt) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if written < 0 {
                if errno == EINTR { continue }
                if errno == EAGAIN {
                    var poll = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    _ = Glibc.poll(&poll, 1, 1000)
                    continue
                }
                if descriptor == 2 { return }
                // Nobody reads any more (`fabgate … | head`): there is nobody to tell, either.
                exit(errno == EPIPE ? 0 : ExitStatus.ioError.rawValue)
            }
            rest = rest.dropFirst(written)
        }
    }

    /// All of standard input, or of a file.
    package static func read(path: String, limit: Int = 1 << 30) throws(ToolFailure) -> [UInt8] {
        let descriptor = path == "-" ? 0 : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw ToolFailure(.ioError, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
        defer { if path != "-" { close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else {
                throw ToolFailure(.ioError, "cannot read \(path): \(String(cString: strerror(errno)))")
            }
            if count == 0 { return bytes }
            bytes += buffer[..<count]
            guard bytes.count <= limit else { throw ToolFailure(.badData, "\(path) is larger than \(limit) bytes") }
        }
    }
}
