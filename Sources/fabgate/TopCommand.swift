@preconcurrency import Glibc
import Model
import Ports

/// `fabgate top`: the machines of a running gateway, live.
enum TopCommand {
    static let command = FabgateTool.Command(
        help: CommandHelp(
            "top", text: "a live table of machines in the terminal; q or Ctrl-C ends it",
            options: [.init("url", "U", "where the gateway is (default: http://127.0.0.1:8080)")],
            example: "fabgate top --url http://127.0.0.1:8080"),
        run: run)

    @Sendable static func run(_ arguments: Arguments) throws -> ExitStatus {
        if let word = arguments.operands.first {
            throw ToolFailure(.usage, "'\(word)' is not understood; give the address with --url")
        }
        var url = arguments["url"] ?? "http://127.0.0.1:8080"
        guard url.hasPrefix("http://") || url.hasPrefix("https://") else {
            throw ToolFailure(.usage, "--url '\(url)' is no address; write such as http://127.0.0.1:8080")
        }
        while url.hasSuffix("/") { url.removeLast() }
        return try Top(url).run()
    }
}

/// One run of `fabgate top`: asks once a second, and draws what came. Where standard output is no terminal, the table once.
final class Top {
    private let url: String
    private let loop: Loop
    private let client: HTTPClient
    private let terminal: Terminal?
    private var table: MachineTable?
    private var trouble: String?

    init(_ url: String) throws {
        self.url = url
        loop = try Loop()
        client = HTTPClient(loop: loop)
        terminal = Terminal()
        for signal in [SIGINT, SIGTERM, SIGHUP] { try loop.onSignal(signal) { [unowned loop] in loop.stop(0) } }
    }

    func run() throws -> ExitStatus {
        guard let terminal else { return try once() }
        try loop.onSignal(SIGWINCH) { [unowned self] in draw(terminal) }
        terminal.enter()
        // Also where something throws: nobody should be left with a terminal without echo.
        defer { terminal.leave() }
        if let keys = terminal.keys { loop.watch(keys, .read) { [unowned self] _ in handleKeys(terminal, keys) } }
        draw(terminal)
        live(terminal)
        _ = loop.run()
        client.cancelAll()
        return .done
    }

    private func once() throws -> ExitStatus {
        ask { [unowned self] in loop.stop(0) }
        _ = loop.run()
        client.cancelAll()
        guard let table else { throw ToolFailure(.unavailable, trouble ?? "stopped before there was an answer") }
        for line in table.lines() { Console.print(line) }
        return .done
    }

    private func live(_ terminal: Terminal) {
        ask { [unowned self] in
            draw(terminal)
            loop.after(.seconds(1)) { [unowned self] in live(terminal) }
        }
    }

    private func handleKeys(_ terminal: Terminal, _ keys: CInt) {
        guard let pressed = terminal.pressed() else { return loop.unwatch(keys) }
        if pressed.contains(UInt8(ascii: "q")) || pressed.contains(UInt8(ascii: "Q")) { loop.stop(0) }
    }

    // MARK: asking

    private func ask(then done: @escaping () -> Void) {
        var request = HTTPClient.Outgoing(url: "\(url)/api/v1/machines")
        request.connectTimeout = .seconds(3)
        request.totalTimeout = .seconds(5)
        request.maxAnswerBytes = 4 << 20
        client.send(request) { [unowned self] result in
            switch result {
            case .failure(let failure):
                trouble = "cannot ask \(url): \(failure); is `fabgate run` running there?"
            case .success(let answer): take(answer)
            }
            done()
        }
    }

    private func take(_ answer: HTTPClient.Answer) {
        guard answer.status == 200, let json = JSON(answer.body), let table = MachineTable(json) else {
            // A gateway says why (RFC 9457); anything else is no gateway.
            let reason = JSON(answer.body)?["detail"]?.text.map { ": \(Text.line($0))" }
            trouble = "\(url) answered \(answer.status)\(reason ?? " and not with machines; is it a fabgate gateway?")"
            return
        }
        (self.table, trouble) = (table, nil)
    }

    // MARK: drawing

    private func draw(_ terminal: Terminal) {
        let (columns, rows) = terminal.size
        var lines: [String] = []
        if let table {
            lines.append(DisplayWidth.clip("\(table.lab)  \(table.now)  q ends", to: columns))
            lines.append("")
            lines += table.lines(width: columns, colour: Terminal.wantsColour)
        } else if trouble == nil {
            lines.append(DisplayWidth.clip("asking \(url)", to: columns))
        }
        if let trouble {
            let text = Text.line(table == nil ? trouble : "not up to date: \(trouble)", limit: 500)
            lines.insert(DisplayWidth.clip(text, to: columns), at: lines.isEmpty ? 0 : 1)
        }
        if lines.count > rows { lines = lines.prefix(max(0, rows - 1)) + ["…"] }
        terminal.show(lines)
    }
}
