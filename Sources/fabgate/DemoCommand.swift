@preconcurrency import Glibc
import Model
import Ports

/// `fabgate demo`: a maker space that reports itself, with real parts, on this machine alone.
enum DemoCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "demo", text: "a private broker, a collector, a simulated lab and the gateway; Ctrl-C ends it all",
            options: [
                .init("port", "P", "the dashboard's port on 127.0.0.1 (default: a free one)"),
                .init("speed", "N", "the lab's clock runs N times faster (default: 60)"),
                .init("seconds", "S", "ends by itself after S seconds (default: at Ctrl-C)"),
                .init("seed", "K", "another lab, the same each time (default: 1)"),
                .init("report", "F", "writes what the lab did and what the city holds to this file"),
            ], example: "fabgate demo --speed 120 --seconds 180"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let plan = DemoPlan(
            port: try arguments.integer("port", in: 0...65_535) ?? 0,
            speed: try arguments.integer("speed", in: 1...600) ?? 60,
            seconds: try arguments.integer("seconds", in: 1...86_400),
            seed: UInt64(try arguments.integer("seed", in: 0...Int.max) ?? 1), report: arguments["report"])
        let demo = try Demo(plan)
        return try demo.run()
    }
}

struct DemoPlan {
    let port: Int
    let speed: Int
    let seconds: Int?
    let seed: UInt64
    let report: String?
}
