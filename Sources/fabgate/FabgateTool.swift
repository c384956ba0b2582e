@preconcurrency import Glibc
import Model
import Ports
import Store

/// The program `fabgate`: finds the command, runs it, and turns a failure into words and an exit status.
enum FabgateTool {
    struct Command: Sendable {
        let help: CommandHelp
        let run: @Sendable (Arguments) throws -> ExitStatus
    }

    static let commands: [Command] = [
        RunCommand.command, DemoCommand.command, CheckCommand.command, DriversCommand.command, DecodeCommand.command,
        QueryCommand.command, RollupCommand.command, ReportCommand.command, LearnCommand.command,
        MachineCommand.command, StoreCommand.command,
        OutboxCommand.command,
        RecordCommand.command,
        ListenCommand.command,
        DiscoverCommand.command,
        ReplayCommand.command,
        TopCommand.command, SimulateCommand.command,
    ]

    static func main() -> Never {
        // A reader that went away and a file that may not grow are errors of one write.
        signal(SIGPIPE, SIG_IGN)
        signal(SIGXFSZ, SIG_IGN)
        exit(run(Array(CommandLine.arguments.dropFirst())).rawValue)
    }

    static func run(_ words: [String]) -> ExitStatus {
        guard let name = words.first, name != "--help", name != "-h", name != "help" else {
            Console.print(overview)
            return words.isEmpty ? .usage : .done
        }
        if name == "--version" {
            Console.print("fabgate \(Version.number)")
            return .done
        }
        guard let command = commands.first(where: { $0.help.name == name }) else {
            Console.complain(
                "fabgate: there is no command '\(name)'; it knows \(commands.map(\.help.name).joined(separator: ", "))")
            return .usage
        }
        do {
            let arguments = try Arguments(words.dropFirst(), for: command.help, program: "fabgate")
            if arguments.wantsHelp {
                Console.print(command.help.page(program: "fabgate"))
                return .done
            }
            return try command.run(arguments)
        } catch let failure as ToolFailure {
            if !failure.description.isEmpty { Console.complain("fabgate \(name): \(failure.description)") }
            return failure.status
        } catch {
            Console.complain("fabgate \(name): \(error)")
            return status(of: error)
        }
    }

    private static func status(of error: any Error) -> ExitStatus {
        switch error {
        case let error as RegionError where error.code == EWOULDBLOCK: .temporary
        case is HTTPServerError: .unavailable
        default: .ioError
        }
    }

    private static var overview: String {
        let rows = commands.map { command in
            "  " + command.help.name + String(repeating: " ", count: 10 - command.help.name.count)
                + command.help.text.prefix { $0 != "\n" }
        }
        return
            ([
                "fabgate reads a lab's machines and tells the city what they did.", "",
                "usage: fabgate COMMAND [options]", "",
            ]
            + rows + ["", "fabgate COMMAND --help shows a command's options and an example."]).joined(separator: "\n")
    }
}

enum Version {
    static let number = "0.1.0"
    /// No clock that shows an earlier time is right.
    static let released = Instant("2026-11-01T00:00:00Z") ?? .distantPast
}
