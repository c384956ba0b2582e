import Hub
import Model
import Ports

/// `fabgate drivers`: what is known, by family.
enum DriversCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "drivers", text: "every driver and model: family, name, channels with units and kinds",
            example: "fabgate drivers"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let setup = try Setup()
        for type in setup.catalog.drivers.sorted(by: { ($0.info.family, $0.info.name) < ($1.info.family, $1.info.name) }
        ) {
            let info = type.info
            Console.print("\(info.family)/\(info.name)  \(info.title)")
            let models = setup.catalog.profiles.filter { $0.driver == info.name }
            if !info.needsModel { show(setup.catalog, info.name, nil, indent: "  ") }
            for model in models.sorted(by: { $0.name < $1.name }) {
                Console.print("  model \(model.name)  \(model.title) (\(model.family))")
                show(setup.catalog, info.name, model.name, indent: "    ")
            }
        }
        return .done
    }

    private static func show(_ catalog: Catalog, _ driver: String, _ model: String?, indent: String) {
        var problems = Problems()
        let nowhere = Position(file: "drivers", line: 1, column: 1)
        let none = Fields(entries: [], at: nowhere, "device")
        guard
            let made = catalog.makeDriver(
                named: driver, id: "device", model: model, fields: none, takesAnyAddress: true, &problems)
        else {
            for problem in problems.all { Console.complain("\(indent)\(problem)") }
            return
        }
        for channel in made.driver.channels {
            let name = channel.name + String(repeating: " ", count: max(1, 24 - channel.name.count))
            let unit = channel.unit?.rawValue ?? "-"
            Console.print(
                "\(indent)\(name)\(unit)\(String(repeating: " ", count: max(1, 8 - unit.count)))\(channel.kind.rawValue)"
            )
        }
    }
}

/// `fabgate decode`: a recording on standard input, readings on standard output.
enum DecodeCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "decode", text: "a capture on standard input becomes readings on standard output; no gateway needed",
            options: [
                .init("driver", "NAME", "the driver, as in `fabgate drivers`"),
                .init("model", "M", "the model, where the driver needs one"),
                .init("device", "ID", "the device's name in the output (default: the driver's)"),
            ],
            example: "fabgate decode --driver tasmota --device laser-plug < capture.jsonl"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        guard let name = arguments["driver"] else {
            throw ToolFailure(.usage, "which driver? Give --driver NAME; `fabgate drivers` lists them")
        }
        let setup = try Setup()
        var problems = Problems()
        let place = Position(file: "command line", line: 1, column: 1)
        let fields = Fields(entries: [], at: place, "--driver \(name)")
        guard
            let made = setup.catalog.makeDriver(
                named: name, id: arguments["device"] ?? name, model: arguments["model"], fields: fields,
                takesAnyAddress: true, &problems)
        else {
            throw ToolFailure(.usage, problems.all.map(\.message).joined(separator: "\n"))
        }
        var decoder = Decoder(driver: made.driver, info: made.info, device: arguments["device"] ?? name)
        let input = try Console.read(path: arguments.operands.first ?? "-")
        var output: [UInt8] = []
        for (index, line) in input.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
            if line.allSatisfy({ $0 == 32 || $0 == 13 || $0 == 9 }) { continue }
            do {
                let capture = try CaptureLine(parsing: Array(line))
                decoder.feed(capture) { output += $0 + [10] }
            } catch {
                Console.print(bytes: output)
                throw ToolFailure(.usage, "line \(index + 1) of the capture: \(error)")
            }
            if output.count > 65_536 {
                Console.print(bytes: output)
                output.removeAll(keepingCapacity: true)
            }
        }
        Console.print(bytes: output)
        return .done
    }
}
