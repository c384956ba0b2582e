// The collector's command line.

import City
import CityLink
import Model
import Ports

/// The program: words in, an exit status out.
enum FabCity {
    static let version = "0.1.0"
    static let program = "fabcity"

    static let commands: [(help: CommandHelp, run: @Sendable (Arguments) throws -> ExitStatus)] = [
        (RunCommand.help, RunCommand.run), (LabCommands.help, LabCommands.run), (ExportCommand.help, ExportCommand.run),
    ]

    static func run(_ words: [String]) -> ExitStatus {
        guard let name = words.first else {
            Console.complain(usage)
            return .usage
        }
        if ["--help", "-h", "help"].contains(name) {
            Console.print(usage)
            return .done
        }
        if name == "--version" {
            Console.print("\(program) \(version)")
            return .done
        }
        guard let command = commands.first(where: { $0.help.name == name }) else {
            let names = commands.map(\.help.name)
            Console.complain(
                "\(program) has no command '\(name)'" + Suggestion.phrase(for: name, among: names) + "\n\n" + usage)
            return .usage
        }
        do {
            let arguments = try Arguments(words.dropFirst(), for: command.help, program: program)
            if arguments.wantsHelp {
                Console.print(command.help.page(program: program))
                return .done
            }
            return try command.run(arguments)
        } catch let failure as ToolFailure {
            Console.complain("\(program): \(failure)")
            return failure.status
        } catch {
            Console.complain("\(program): \(error)")
            return .software
        }
    }

    private static var usage: String {
        var lines = ["\(program) collects what maker spaces report and keeps a city's book.", ""]
        for (help, _) in commands {
            let left = "  \(program) \(help.name) \(help.operands)"
            lines.append(left + String(repeating: " ", count: max(2, 44 - left.count)) + help.text)
        }
        lines += ["", "Every command takes --help.", "", "example: \(RunCommand.help.example)"]
        return lines.joined(separator: "\n")
    }

    // MARK: the database

    static let databaseOption = CommandHelp.Option(
        "db", "sqlite:PATH", "where the book is (default sqlite:/var/lib/fabcity/city.sqlite)")

    /// The path of `--db`.
    static func databasePath(_ arguments: Arguments) throws(ToolFailure) -> String {
        let text = arguments["db"] ?? "sqlite:/var/lib/fabcity/city.sqlite"
        if text.hasPrefix("postgresql:") || text.hasPrefix("postgres:") {
            throw ToolFailure(
                .usage,
                "PostgreSQL is not in this version; the book is kept in SQLite: --db sqlite:/var/lib/fabcity/city.sqlite"
            )
        }
        guard text.hasPrefix("sqlite:") else {
            throw ToolFailure(
                .usage, "--db takes sqlite:PATH, for example --db sqlite:\(text.isEmpty ? "city.sqlite" : text)")
        }
        var path = text.dropFirst(7)
        // sqlite:///var/lib/… is how others write an absolute path.
        if path.hasPrefix("///") { path = path.dropFirst(2) }
        guard !path.isEmpty, path != ":memory:" else {
            throw ToolFailure(.usage, "--db sqlite:PATH needs the path of a file")
        }
        return String(path)
    }

    static func openBook(_ path: String) throws(ToolFailure) -> SQLiteBook {
        do throws(SQLiteError) {
            return try SQLiteBook(path: path)
        } catch {
            throw ToolFailure(error.kind == .busy ? .unavailable : .ioError, error.description)
        }
    }
}
