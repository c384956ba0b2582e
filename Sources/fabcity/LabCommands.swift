// Commands that reach the book whether or not a collector runs on it.

import City
import CityLink
import Model
import Ports

/// `fabcity lab add|list|rotate|disable`: which gateways may send.
enum LabCommands {
    static let help = CommandHelp(
        "lab", "add|list|rotate|disable",
        text: "Enrols a lab's gateway, gives it a new token, or refuses it. The token is shown once.",
        options: [
            FabCity.databaseOption, .init("id", "URN", "the lab, such as urn:fablabs:io:lab:example"),
            .init("name", "TEXT", "what people call it (add)"),
        ],
        example: "fabcity lab add --db sqlite:city.sqlite --id urn:fablabs:io:lab:example --name \"Example lab\"")

    static func run(_ arguments: Arguments) throws -> ExitStatus {
        let path = try FabCity.databasePath(arguments)
        let command = try self.command(arguments)
        let answer = try AdminDesk.ask(command.json, database: path).answer
        for line in answer.items ?? [answer] { Console.print(bytes: line.bytes + [10]) }
        return .done
    }

    private static func command(_ arguments: Arguments) throws(ToolFailure) -> LabCommand {
        let verbs = ["add", "list", "rotate", "disable"]
        guard let verb = arguments.operands.first, verbs.contains(verb) else {
            let word = arguments.operands.first
            throw ToolFailure(
                .usage,
                (word.map { "fabcity lab has no '\($0)'" + Suggestion.phrase(for: $0, among: verbs) }
                    ?? "fabcity lab needs to know what to do") + ": \(help.operands)\nexample: \(help.example)")
        }
        // The id may stand behind the verb as well: `fabcity lab rotate urn:…`.
        guard arguments.operands.count <= 2, arguments.operands.count == 1 || !arguments.has("id") else {
            throw ToolFailure(.usage, "fabcity lab \(verb) takes one lab at a time")
        }
        if verb == "list" { return .list }
        guard let id = arguments["id"] ?? arguments.operands.dropFirst().first else {
            throw ToolFailure(.usage, "fabcity lab \(verb) needs --id, for example --id urn:fablabs:io:lab:example")
        }
        switch verb {
        case "add": return .add(id: id, name: arguments["name"])
        case "rotate": return .rotate(id: id)
        default: return .disable(id: id)
        }
    }
}

/// `fabcity export`: the book as a file.
enum ExportCommand {
    static let help = CommandHelp(
        "export", text: "Writes the windows of the book to standard output, also while the collector runs.",
        options: [
            FabCity.databaseOption, .init("from", "T", "windows that start at or after: RFC 3339, a date, today, -7d"),
            .init("to", "T", "windows that start before"), .init("grain", "PT1H|P1D", "one grain alone"),
            .init("format", "csv|json", "csv (default), or one JSON object a line"),
        ],
        example: "fabcity export --db sqlite:city.sqlite --from 2026-11-01 --grain P1D --format csv")

    static func run(_ arguments: Arguments) throws -> ExitStatus {
        let path = try FabCity.databasePath(arguments)
        let now = SystemClock().now().wall
        func time(_ name: String, _ otherwise: Instant) throws(ToolFailure) -> Instant {
            guard let text = arguments[name] else { return otherwise }
            guard let time = TimeText.instant(text, now: now, in: .utc) else {
                throw ToolFailure(
                    .usage, "--\(name) takes a time such as 2026-11-23T00:00:00Z, 2026-11-23, today or -7d")
            }
            return time
        }
        guard arguments.operands.isEmpty else {
            throw ToolFailure(.usage, "fabcity export takes no '\(arguments.operands[0])'")
        }
        guard let format = RollupExport.Format(rawValue: arguments["format"] ?? "csv") else {
            throw ToolFailure(.usage, "--format takes csv or json")
        }
        var export = RollupExport(
            format: format, from: try time("from", .distantPast), to: try time("to", .distantFuture))
        if let text = arguments["grain"] {
            guard let grain = RollupGrain(rawValue: text) else {
                throw ToolFailure(.usage, "--grain takes PT1H or P1D")
            }
            export.grain = grain
        }
        while true {
            let (answer, page) = try AdminDesk.ask(export.json, database: path)
            Console.print(bytes: page)
            guard let next = answer["next"]?.text else { return .done }
            guard let key = RollupKey(next) else {
                throw ToolFailure(.software, "the collector gave a page that cannot be continued: \(next)")
            }
            export.after = key
        }
    }
}
