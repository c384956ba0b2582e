import CityLink
import Hub
import Model
import Ports

/// `fabgate outbox`: what waits for the city, and what was sent.
enum OutboxCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "outbox", "list|show KEY|sent|retry|claim KEY|claim all",
            text: "rollups that wait for a receipt, and those that were sent; stop the gateway before looking",
            options: [
                .init("store", "DIR", "the folder of the store (default: /var/lib/fabgate)"),
                .init("city", "NAME", "the city's name in the configuration (default: the only one)"),
                .init("format", "F", "of sent: table or json, the items as the city has them (default: table)"),
            ],
            example: "fabgate outbox sent --city seoul"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let folder = arguments["store"] ?? Configuration.Store.usualPath
        let path = "\(folder)/outbox.db"
        guard Files.exists(path) else { throw ToolFailure(.ioError, "there is no outbox in \(folder)") }
        let database = try OutboxDatabase(path: path, city: try city(arguments["city"], path))
        switch (arguments.operands.first, arguments.operands.dropFirst().first) {
        case ("list", nil): try list(database)
        case ("show", let key?): try show(key, database)
        case ("sent", nil): try sent(database, arguments["format"] ?? "table")
        case ("retry", nil):
            var outbox = RollupOutbox(epoch: 1, rows: try database.rows(), known: [], seed: 1, sha256: Digest.sha256)
            outbox.retry()
            try database.carryOut(outbox.takeEffects())
        case ("claim", let key?): try claim(key, database)
        default: throw ToolFailure(.usage, "fabgate outbox takes list, show KEY, sent, retry, claim KEY or claim all")
        }
        return .done
    }

    private static func city(_ name: String?, _ path: String) throws -> String {
        if let name { return name }
        let known = try OutboxDatabase.cities(path: path)
        guard known.count < 2 else {
            throw ToolFailure(
                .usage, "this outbox serves several cities; say --city \(known.joined(separator: " or "))")
        }
        return known.first ?? ""
    }

    private static func list(_ database: OutboxDatabase) throws {
        for row in try database.rows().sorted(by: { $0.key.start < $1.key.start }) {
            Console.print(
                "\(row.key)  revision \(row.version.revision)  \(row.problem.map { "refused: \($0)" } ?? "waiting")")
        }
        let box = RollupOutbox(epoch: 1, rows: [], known: try database.windows(), seed: 1, sha256: Digest.sha256)
        for key in box.foreignWindows { Console.print("\(key)  the city's is somebody else's, and stays") }
    }

    private static func show(_ key: String, _ database: OutboxDatabase) throws {
        if let row = try database.rows().first(where: { $0.key.description == key }) {
            return Console.print(bytes: row.item + [10])
        }
        let sent = try database.receipts(limit: OutboxSchema.sentKept, withItems: true)
        if let item = sent.first(where: { $0.key.description == key })?.item {
            return Console.print(bytes: item + [10])
        }
        throw ToolFailure(
            .no, "nothing waits or was sent lately under '\(key)'; `fabgate outbox list` and `sent` show the keys")
    }

    /// What this gateway has of windows that somebody else made shall replace it.
    private static func claim(_ name: String, _ database: OutboxDatabase) throws {
        var outbox = RollupOutbox(
            epoch: 1, rows: try database.rows(), known: try database.windows(), seed: 1, sha256: Digest.sha256)
        let foreign = outbox.foreignWindows
        let key = foreign.first { $0.description == name }
        guard name == "all" || key != nil else {
            throw ToolFailure(
                .no,
                foreign.isEmpty
                    ? "the city holds nothing that this gateway did not make"
                    : "'\(name)' is none of the windows that somebody else made: "
                        + foreign.map(\.description).joined(separator: ", "))
        }
        let claimed = outbox.claim(key)
        try database.carryOut(outbox.takeEffects())
        for key in claimed { Console.print("\(key)") }
        Console.complain(
            "\(Text.count(claimed.count, "window")) will be told as this gateway has them when it is started and has asked the city"
        )
    }

    /// Oldest first, as a log: what the city was told of each window, in a line or as it was sent.
    private static func sent(_ database: OutboxDatabase, _ format: String) throws {
        guard ["table", "json"].contains(format) else {
            throw ToolFailure(.usage, "--format of sent is table or json, not '\(format)'")
        }
        for receipt in try database.receipts(limit: OutboxSchema.sentKept, withItems: true).reversed() {
            if format == "json" {
                if let item = receipt.item { Console.print(bytes: item + [10]) }
                continue
            }
            let told = receipt.item.flatMap { JSON($0)?["rollup"] }.map(RollupListing.headline) ?? "not kept any more"
            Console.print(
                "\(receipt.at)  \(receipt.key)  revision \(receipt.version.revision)  \(receipt.result)  \(told)")
        }
    }
}
