import Hub
import Model
import Ports
import Store
import Usage

private let configurationOption = CommandHelp.Option(
    "config", "F", "the configuration file (default: \(Setup.defaultConfiguration))")

/// `fabgate run`: the gateway.
enum RunCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "run", text: "the gateway: reads the machines, stores, shows, and reports to the city",
            options: [configurationOption], example: "fabgate run --config /etc/fabgate/fabgate.yaml"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        Memory.keepSmall()
        let ahead = StoreOpening()
        let documents = try Setup.documents(arguments["config"]) { key, section in
            if key == "store" { ahead.begin(section) }
        }
        ahead.begin(nil)
        let (configuration, installation) = try Setup.forStart(documents.map(\.document))
        let gateway = try Gateway(configuration, installation: installation, ahead: ahead) {
            do {
                _ = try Setup().configuration(arguments["config"])
                return true
            } catch {
                Log.write(.error, "\(error)")
                return false
            }
        }
        guard try gateway.run() == Gateway.reload else { return .done }
        // Everything that arrived is in the store, and brokers keep what they could not deliver: the same process starts
        // anew with the new file.
        try Files.becomeOwnProgram(CommandLine.arguments)
    }
}

/// `fabgate check`: is the configuration right, and what does it mean?
enum CheckCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "check", text: "checks the configuration and prints the plan that follows from it",
            options: [configurationOption], example: "fabgate check --config fabgate.yaml"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let configuration = try Setup().configuration(arguments["config"])
        for line in plan(configuration) { Console.print(line) }
        for line in told(configuration) { Console.print(line) }
        return .done
    }

    static func plan(_ configuration: Configuration) -> [String] {
        var lines = ["lab       \(configuration.lab.id), \(configuration.lab.name), \(configuration.lab.zone.name)"]
        if configuration.simulation != nil { lines.append("clock     simulated: nothing measured here is real") }
        for (index, broker) in configuration.brokers.enumerated() {
            lines.append("broker    \(broker.name): \(broker.host):\(broker.port)\(broker.usesTLS ? " with TLS" : "")")
            for device in configuration.devices where device.link == .broker(index) {
                lines.append("  listens \(device.driver.subscriptions.joined(separator: "  ")) for \(device.id)")
            }
        }
        for (index, line) in configuration.lines.enumerated() {
            let users = configuration.devices.filter { $0.link == .line(index) }
            lines.append("serial    \(line.name): \(line.path) \(line.baud) \(line.format)")
            for device in users {
                let turn = device.every.map { "asked every \(seconds($0))" } ?? "speaks by itself"
                lines.append(
                    "  device  \(device.id): \(device.driverName)\(device.model.map { " \($0)" } ?? ""), \(turn)")
            }
        }
        for (index, endpoint) in configuration.endpoints.enumerated() {
            for device in configuration.devices where device.endpoint == index {
                let turn = device.every.map { "asked every \(seconds($0))" } ?? "asked when there is reason to"
                lines.append("http      \(endpoint.url): \(device.id): \(device.driverName), \(turn)")
            }
        }
        for machine in configuration.machines {
            let names = machine.members.map { words($0, configuration) }.joined(separator: ", ")
            let energy = machine.energy.map { configuration.devices[$0].id }.joined(separator: " + ")
            lines.append("machine   \(machine.id) (\(machine.machineClass)): \(names)")
            lines.append(
                "  use     \(words(machine.source)); energy from \(energy.isEmpty ? "nothing, so it is unknown" : energy)"
            )
        }
        lines += storePlan(configuration)
        for city in configuration.cities {
            let grains = city.grains.map(\.rawValue).joined(separator: " and ")
            lines.append(
                "city      \(city.name): \(grains) to \(city.url), \(city.showsMachines ? "machine by machine" : "by class of machine")"
            )
        }
        if configuration.cities.isEmpty { lines.append("city      none: nothing is sent") }
        return lines
    }

    /// What each city would be told of the last windows that are over, from what the store holds: the figures, and what
    /// is kept back.
    private static func told(_ configuration: Configuration) -> [String] {
        guard !configuration.cities.isEmpty else { return [] }
        guard Files.exists(configuration.storeFile) else {
            return ["told      nothing yet: there is no store at \(configuration.storeFile)"]
        }
        do {
            let now = configuration.clock.now()
            let hub = Hub(configuration, store: try openStore(configuration.store.path), at: now)
            let preview = RollupListing.preview(hub, source: CityPusher.ownSource(configuration), at: now.wall)
            return (preview["cities"]?.items ?? []).flatMap { city in
                (city["rollups"]?.items ?? []).map { rollup in
                    let name = city["name"]?.text ?? ""
                    let window = "\(rollup["grain"]?.text ?? "") \(rollup["start"]?.text ?? "")"
                    return "told      \(name) would be told of \(window): \(RollupListing.headline(rollup))"
                }
            }
        } catch {
            return ["told      cannot be worked out now: \(error)"]
        }
    }

    /// How long the store lasts if every channel gives a value as often as its device speaks.
    private static func storePlan(_ configuration: Configuration) -> [String] {
        var perDay = 0.0
        for device in configuration.devices {
            let interval = device.every ?? max(.seconds(10), device.silence / 6)
            perDay += Double(device.driver.channels.count) * 86_400_000 / Double(max(1, interval.milliseconds))
        }
        // `Bench store` measures about one byte a sample on an ordinary mix; a lab of few machines packs worse. A slot
        // takes about 16 bytes, a day 24, and a machine's own slot about 60.
        let channels = configuration.devices.reduce(0.0) { $0 + Double($1.driver.channels.count) }
        let machines = Double(configuration.machines.count)
        let shares = RingStore.shares(of: configuration.store.size, seriesLimit: configuration.store.seriesLimit)
        let samples = days(shares.samples, perDay: perDay * 2)
        let slots = days(shares.slots, perDay: 96 * (channels * 16 + machines * 60))
        let days = days(shares.days, perDay: channels * 24)
        var lines = [
            "store     \(configuration.storeFile): \(configuration.store.size >> 20) MiB, \(Int(perDay)) samples a day",
            "  keeps   samples \(words(samples)), quarters of an hour \(words(slots)), days \(words(days))",
            "  full    "
                + (configuration.store.whenFull == .hold
                    ? "holds: samples that no rollup has yet are never written over"
                    : "writes over the oldest, and says so where no rollup has them yet"),
        ]
        if let hint = StoreWear.hint(configuration.storeFile) { lines.append("  disk    \(hint)") }
        if slots <= samples, slots < longest {
            lines.append(
                "  note    quarters of an hour reach back no further than the samples they are made of: channels report "
                    + "so rarely that a sample is as large as its share of a slot; for more, make store.size larger")
        }
        return lines
    }

    private static func days(_ bytes: Int, perDay: Double) -> Double {
        perDay == 0 ? .infinity : Double(bytes) / perDay
    }

    /// In days; more is not worth a number.
    private static let longest = 3650.0

    private static func words(_ days: Double) -> String {
        days > longest ? "more than ten years" : "about \(Int(days.rounded(.down))) days"
    }

    private static func words(_ member: Configuration.Member, _ configuration: Configuration) -> String {
        var words = configuration.devices[member.device].id
        if member.term.from > .distantPast { words += " from \(member.term.from)" }
        if member.term.until < .distantFuture { words += " until \(member.term.until)" }
        return words
    }

    private static func words(_ source: UsageRule.Source) -> String {
        switch source {
        case .state: "told by the device"
        case .power(let rule):
            "from power: idle up to \(rule.idleBelow) W, running from \(rule.runningAbove) W, after "
                + (rule.startAfter == rule.stopAfter
                    ? seconds(rule.startAfter)
                    : "\(seconds(rule.startAfter)) to start and \(seconds(rule.stopAfter)) to stop")
                + (rule.minimumRun > .zero ? ", for at least \(seconds(rule.minimumRun))" : "")
                + (rule.minimumEnergy > 0 ? " and \(rule.minimumEnergy) Wh" : "")
        case .occupied: "while somebody has checked in at its access reader"
        case .press(let rule):
            "from zones and shots: soak \(seconds(rule.soak)), running for \(seconds(rule.shotsWithin)) after a shot"
        case .none: "not told"
        }
    }

    private static func seconds(_ duration: Model.Duration) -> String {
        duration.milliseconds % 60_000 == 0
            ? "\(duration.milliseconds / 60_000) min" : "\(Double(duration.milliseconds) / 1000) s"
    }
}
