import Hub
import Model
import Ports

/// `fabgate machine swap`: a machine goes on with another device.
enum MachineCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "machine", "swap MACHINE OLD NEW",
            text: "a machine goes on with another plug, meter or board: its hours, energy and history stay one",
            options: [
                .init("at", "T", "when the device was exchanged (default: now)"),
                .init("dry-run", nil, "show what would be written, and write nothing"),
                .init("config", "F", "the configuration file"),
            ],
            example: "fabgate machine swap laser laser-plug laser-plug-2 --at 2026-11-27T10:00:00+09:00"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        guard arguments.operands.count == 4, arguments.operands[0] == "swap" else {
            throw ToolFailure(.usage, "say which machine, and which device follows which: swap MACHINE OLD NEW")
        }
        let setup = try Setup()
        let files = try Setup.documents(arguments["config"])
        let before = try setup.configuration(files.map(\.document))
        let swap = try Swap(Array(arguments.operands.dropFirst()), before, at: arguments["at"] ?? "now")
        var changed: [(path: String, before: String, after: String)] = []
        do {
            for file in files {
                let text = try Files.text(file.path)
                let after = try swap.change.applied(to: text, file.document)
                if after != text { changed.append((file.path, text, after)) }
            }
        } catch let refusal as SwapRefusal {
            throw ToolFailure(.configuration, "\(refusal)")
        }
        try swap.check(
            setup,
            try files.map { file in
                try changed.first { $0.path == file.path }.map { try YAML.parse($0.after, file: $0.path) }
                    ?? file.document
            })
        for file in changed { show(file.path, file.before, file.after) }
        guard !arguments.has("dry-run") else { return .done }
        for file in changed {
            try Files.write(file.before, to: file.path + "~")
            try Files.replace(file.path, with: file.after)
        }
        Console.complain(
            """
            \(swap.old) counts for \(swap.machine) until \(swap.time), \(swap.new) from then on. What was written before is in \(changed.map { $0.path + "~" }.joined(separator: ", ")).
            Restart the gateway for it to count. Leave \(swap.old) in 'devices' for \(before.rollups.finalAfter.milliseconds / 86_400_000 + 1) days: until then its samples may be looked at again.
            """)
        return .done
    }

    /// The lines that differ.
    private static func show(_ path: String, _ before: String, _ after: String) {
        let (old, new) = (before.split(separator: "\n"), after.split(separator: "\n"))
        Console.print("\(path):")
        for line in new.difference(from: old) {
            switch line {
            case .remove(_, let text, _): Console.print("- \(text)")
            case .insert(_, let text, _): Console.print("+ \(text)")
            }
        }
    }
}

/// What is asked for, held against the configuration.
private struct Swap {
    let machine: String
    let old: String
    let new: String
    let time: Instant
    let change: MachineSwap

    init(_ names: [String], _ configuration: Configuration, at text: String) throws {
        (machine, old, new) = (names[0], names[1], names[2])
        guard let found = configuration.machines.first(where: { $0.id == names[0] }) else {
            let known = configuration.machines.map(\.id)
            throw ToolFailure(
                .no,
                "no machine is called '\(machine)'\(Suggestion.phrase(for: machine, among: known)); known: \(known.joined(separator: ", "))"
            )
        }
        let own = found.members.filter { $0.term.until == .distantFuture }
        guard let member = own.first(where: { configuration.devices[$0.device].id == names[1] }) else {
            let known = own.map { configuration.devices[$0.device].id }
            throw ToolFailure(
                .no, "'\(old)' is no device of \(machine) now; it has \(known.joined(separator: ", "))")
        }
        guard configuration.devices.contains(where: { $0.id == names[2] }), old != new else {
            throw ToolFailure(
                .no,
                old == new
                    ? "'\(old)' cannot follow itself; another meter under the same name is noticed by its counter"
                    : "no device is called '\(new)'; write it into 'devices' first, `fabgate discover` proposes how"
                        + Suggestion.phrase(for: new, among: configuration.devices.map(\.id)))
        }
        guard
            let time = TimeText.instant(text, now: configuration.clock.now().wall, in: configuration.lab.zone)?
                .floor(to: .seconds(1))
        else { throw ToolFailure(.usage, "--at must be a time; \(TimeText.hint)") }
        guard time > member.term.from else {
            throw ToolFailure(.no, "'\(old)' is at \(machine) only since \(member.term.from)")
        }
        self.time = time
        change = MachineSwap(machine: machine, old: old, new: new, at: time)
    }

    /// The new configuration must be read, and say what was asked for.
    func check(_ setup: Setup, _ documents: [Document]) throws {
        let after = try setup.configuration(documents)
        let members = after.machines.first { $0.id == machine }?.members ?? []
        func has(_ name: String, _ isRight: (Configuration.Term) -> Bool) -> Bool {
            members.contains { after.devices[$0.device].id == name && isRight($0.term) }
        }
        guard has(old, { $0.until == time }), has(new, { $0.from == time && $0.until == .distantFuture }) else {
            throw ToolFailure(
                .configuration, "the list of \(machine)'s devices could not be changed by itself; write it by hand")
        }
    }
}
