@preconcurrency import Glibc
import Hub
import Meters
import Model
import Plugs
import Ports
import Workshop

/// Who recognises what, by family. A family that can recognise its devices adds its line here.
let allRecognisers: [any Recogniser.Type] = [PlugRecogniser.self, AccessRecogniser.self]
let allScanners: [any BusScanner.Type] = [ModbusScan.self]

/// `fabgate discover`: what is there, as configuration.
enum DiscoverCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "discover", text: "listens, and proposes configuration for what it recognises",
            options: WatchOptions.options + [
                .init("scan", "LINE", "asks every address on this line of the configuration; several with commas"),
                .init("units", "A-B", "the addresses to ask (default: 1-247)"),
            ], example: "fabgate discover --config fabgate.yaml --seconds 60 --scan bus1 > conf.d/found.yaml"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        let units = try units(arguments["units"] ?? "1-247")
        let setup = try Setup()
        let options = try WatchOptions(arguments)
        var configuration = options.configuration
        let wanted = (arguments["scan"] ?? "").split(separator: ",").map(String.init)
        for name in wanted where !configuration.lines.contains(where: { $0.name == name }) {
            let names = configuration.lines.map(\.name)
            throw ToolFailure(
                .usage,
                "--scan \(name): 'serial' of the configuration names no such line"
                    + Suggestion.phrase(for: name, among: names) + "; it names \(names.joined(separator: ", "))")
        }
        let discovery = try Discovery(options, setup: setup, lines: wanted, units: units)
        configuration.lines.removeAll { wanted.contains($0.name) }
        return try discovery.run(leftAlone: configuration.lines.map(\.name))
    }

    private static func units(_ text: String) throws -> ClosedRange<Int> {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).compactMap { Int($0) }
        guard (1...2).contains(ends.count), let first = ends.first, let last = ends.last, first <= last,
            (1...247).contains(first), (1...247).contains(last)
        else { throw ToolFailure(.usage, "--units takes addresses from 1 to 247, such as 1-32, not '\(text)'") }
        return first...last
    }
}

/// One run of `fabgate discover`. Of the serial lines only those are opened that were named on the command line: opening
/// a port resets many boards.
final class Discovery {
    private let options: WatchOptions
    private let setup: Setup
    /// The brokers, and the lines to scan.
    private var watched: Configuration
    private let loop: Loop
    private var recognisers: [[any Recogniser]]
    private var scans: [LineScan] = []
    private var wires: Wires?
    private var isTimeUp = false

    init(_ options: WatchOptions, setup: Setup, lines: [String], units: ClosedRange<Int>) throws {
        self.options = options
        self.setup = setup
        watched = options.configuration
        watched.lines = lines.compactMap { name in options.configuration.lines.first { $0.name == name } }
        watched.devices = []
        watched.endpoints = []
        loop = try Loop()
        for signal in [SIGINT, SIGTERM] { try loop.onSignal(signal) { [unowned loop] in loop.stop(0) } }
        recognisers = watched.brokers.map { _ in allRecognisers.map { $0.init() } }
        for line in watched.lines {
            // What is configured on the line is known already.
            let known = options.configuration.devices.filter { isOn(line.name, $0) }.compactMap(unit)
            scans.append(
                LineScan(
                    allScanners.map { type in
                        let models = setup.catalog.profiles.filter { $0.driver == type.driver }
                        return type.init(
                            models: models.map { ($0.name, $0.fields) }, units: units.filter { !known.contains($0) })
                    }))
        }
    }

    private func isOn(_ line: String, _ device: Configuration.Device) -> Bool {
        if case .line(let index) = device.link { return options.configuration.lines[index].name == line }
        return false
    }

    /// The address of a configured device, as it asks for it.
    private func unit(_ device: Configuration.Device) -> Int? {
        var driver = device.driver
        var out = Outbox()
        driver.poll(&out)
        if case .write(let bytes, _, _)? = out.request { return bytes.first.map(Int.init) }
        return nil
    }

    func run(leftAlone: [String]) throws -> ExitStatus {
        if watched.brokers.isEmpty, watched.lines.isEmpty {
            throw ToolFailure(
                .configuration,
                "the configuration names no broker (mqtt) to listen to; name a serial line with --scan to ask on it")
        }
        let wires = try Wires(
            watched, loop: loop, purpose: "discover", filters: { _ in ["#"] },
            onEvent: { [unowned self] in take($0) })
        self.wires = wires
        let seconds = watched.brokers.isEmpty ? 0 : options.seconds ?? 30
        loop.after(.seconds(Int64(seconds))) { [unowned self] in
            isTimeUp = true
            endIfDone()
        }
        // A line that does not open must not be waited for.
        if !scans.isEmpty {
            loop.after(.seconds(10)) { [unowned self] in
                for index in scans.indices where !scans[index].hasBegun { scans[index].giveUp() }
                endIfDone()
            }
        }
        _ = loop.run()
        wires.close()
        showProgress(isOver: true)
        for line in text(leftAlone, neverOpen: wires.neverOpen) { Console.print(Text.printable(line)) }
        return wires.neverOpen.isEmpty ? .done : .unavailable
    }

    private func endIfDone() {
        if isTimeUp, scans.allSatisfy(\.isDone) { loop.stop(0) }
    }

    private func take(_ event: Wires.Event) {
        switch event {
        case .message(let broker, let topic, let payload, _):
            for index in recognisers[broker].indices { recognisers[broker][index].hear(payload.span, on: topic) }
        case .bytes(let line, let bytes): if scans[line].hear(bytes) { ask(line, after: .milliseconds(10)) }
        case .answered: break  // Nobody is asked over HTTP here.
        case .broker(_, let isUp, let reason): Log.write(isUp ? .notice : .warning, reason)
        case .line(let line, let isOpen, let reason):
            Log.write(isOpen ? .notice : .warning, "serial \(reason)")
            if isOpen, !scans[line].hasBegun { ask(line, after: .milliseconds(200)) }
        }
    }

    // MARK: a bus

    private func ask(_ line: Int, after pause: Model.Duration) {
        if let timer = scans[line].timer { loop.cancel(timer) }
        scans[line].hasBegun = true
        scans[line].timer = loop.after(pause) { [unowned self] in
            guard let (bytes, within) = scans[line].next() else { return endIfDone() }
            showProgress(isOver: false)
            _ = wires?.write(bytes, line: line)
            scans[line].timer = loop.after(within) { [unowned self] in
                scans[line].noReply()
                ask(line, after: .milliseconds(10))
            }
        }
    }

    /// `bus1 [##########          ] 121 of 247, 2 found` on a terminal; nothing elsewhere.
    private func showProgress(isOver: Bool) {
        guard Console.isErrorTerminal, !scans.isEmpty else { return }
        var line = "\r"
        for (index, scan) in scans.enumerated() {
            let (done, of) = scan.progress
            let filled = of == 0 ? 20 : done * 20 / of
            let bar = String(repeating: "#", count: filled) + String(repeating: " ", count: 20 - filled)
            line += "\(watched.lines[index].name) [\(bar)] \(done) of \(of), \(scan.found) found  "
        }
        Console.progress(line + (isOver ? "\n" : ""))
    }

    // MARK: what was found

    private func text(_ leftAlone: [String], neverOpen: [String]) -> [String] {
        var entries: [String] = []
        var ids = Set(options.configuration.devices.map(\.id))
        var known = 0
        for (index, broker) in watched.brokers.enumerated() {
            for proposal in recognisers[index].flatMap(\.proposals) {
                if isConfigured(proposal, broker: index) {
                    known += 1
                } else {
                    entries += entry(proposal, "mqtt", broker.name, &ids)
                }
            }
        }
        for (index, line) in watched.lines.enumerated() {
            for proposal in scans[index].proposals { entries += entry(proposal, "serial", line.name, &ids) }
            entries += scans[index].strangers.map { "  # \(line.name): \($0)" }
        }
        var lines = ["# Found by fabgate discover. Read it, give the ids names, and keep it as conf.d/found.yaml."]
        if known > 0 {
            lines.append(
                "# \(Text.count(known, "device")) that \(known == 1 ? "is" : "are") configured already left out.")
        }
        for name in leftAlone {
            lines.append("# Line \(name) was left alone; `--scan \(name)` asks every address on it.")
        }
        for name in neverOpen { lines.append("# \(name) was never open.") }
        guard entries.contains(where: { !$0.hasPrefix("  #") }) else {
            return lines + entries.map { String($0.dropFirst(2)) } + ["# Nothing else was recognised."]
        }
        return lines + ["devices:"] + entries
    }

    private func isConfigured(_ proposal: Proposal, broker: Int) -> Bool {
        options.configuration.devices.contains { device in
            device.link == .broker(broker) && device.driverName == proposal.driver
                && device.driver.subscriptions.contains { filter in
                    proposal.topics.contains { TopicFilter.overlap($0, filter) }
                }
        }
    }

    private func entry(
        _ proposal: Proposal, _ link: String, _ name: String, _ ids: inout Set<String>
    ) -> [String] {
        var members = [Proposal.Key("id", id(proposal.name, &ids)), .init("driver", proposal.driver)]
        var remarks = proposal.remarks
        if let model = proposal.model {
            if setup.catalog.profiles.contains(where: { $0.name == model && $0.driver == proposal.driver }) {
                members.append(.init("model", model))
            } else {
                remarks.append("its model, \(model), is not installed")
            }
        }
        members.append(.init(link, name))
        members += proposal.keys
        let words = members.map { "\($0.name): \($0.value)" }.joined(separator: ", ")
        return ["  # \(Text.line(proposal.reason))"] + remarks.map { "  # \(Text.line($0))" } + ["  - { \(words) }"]
    }

    /// A name as an id: lower-case letters, digits and `-`, and none that is taken.
    private func id(_ name: String, _ ids: inout Set<String>) -> String {
        let lower = name.lowercased().unicodeScalars.map { scalar -> Character in
            scalar.isASCII && (("a"..."z").contains(scalar) || ("0"..."9").contains(scalar)) ? Character(scalar) : "-"
        }
        let words = String(lower).split(separator: "-").joined(separator: "-")
        let base = words.isEmpty || words.first?.isNumber == true ? "device-\(words)" : String(words.prefix(48))
        var id = base
        var number = 2
        while !ids.insert(id).inserted {
            id = "\(base)-\(number)"
            number += 1
        }
        return id
    }
}

/// One bus and who scans it, one scanner after the other.
private struct LineScan {
    private var scanners: [any BusScanner]
    private var at = 0
    var hasBegun = false
    var timer: TimerID?

    init(_ scanners: [any BusScanner]) { self.scanners = scanners }

    var isDone: Bool { at >= scanners.count }
    var progress: (done: Int, of: Int) {
        scanners.reduce((0, 0)) { ($0.0 + $1.progress.done, $0.1 + $1.progress.of) }
    }
    var proposals: [Proposal] { scanners.flatMap(\.proposals) }
    var strangers: [String] { scanners.flatMap(\.strangers) }
    var found: Int { proposals.count + strangers.count }

    mutating func giveUp() { at = scanners.count }

    mutating func next() -> (bytes: [UInt8], replyWithin: Model.Duration)? {
        while at < scanners.count {
            if let request = scanners[at].next() { return request }
            at += 1
        }
        return nil
    }

    mutating func hear(_ bytes: [UInt8]) -> Bool { at < scanners.count && scanners[at].receive(bytes.span) }
    mutating func noReply() { if at < scanners.count { scanners[at].noReply() } }
}
