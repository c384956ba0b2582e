import Ports

/// One line on a terminal that says how far something long has come; nothing where nobody looks.
final class ProgressBar {
    private let title: String
    private let isShown = Console.isErrorTerminal
    private var shown = -1

    init(_ title: String) { self.title = title }

    /// `share` is 0…1; at 1 the line is ended.
    func show(_ share: Double) {
        let percent = Int(share * 100)
        guard isShown, percent != shown else { return }
        shown = percent
        let full = percent * 40 / 100
        let bar = String(repeating: "#", count: full) + String(repeating: ".", count: 40 - full)
        Console.progress("\r\(title) [\(bar)] \(percent) %" + (percent >= 100 ? "\n" : ""))
    }
}
