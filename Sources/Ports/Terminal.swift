// The screen of a person: one picture at a time, and keys as they are pressed.

@preconcurrency import Glibc

/// The terminal of standard output in its second screen, so that what stood there is back afterwards. Keys come from
/// standard input where that is a terminal, too, without echo and without waiting for Return; Ctrl-C stays a signal.
package final class Terminal {
    /// Where keys are read from; nil where standard input is no terminal.
    package let keys: CInt?
    private var before = termios()
    private var isActive = false

    /// nil where standard output is no terminal.
    package init?() {
        guard isatty(1) == 1 else { return nil }
        keys = isatty(0) == 1 && tcgetattr(0, &before) == 0 ? 0 : nil
    }

    deinit { leave() }

    /// Takes the screen.
    package func enter() {
        guard !isActive else { return }
        isActive = true
        if keys != nil {
            var raw = before
            raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
            tcsetattr(0, TCSADRAIN, &raw)
        }
        // The alternate screen, without a cursor (xterm's private modes 1049 and 25).
        Console.print(bytes: Array("\u{1B}[?1049h\u{1B}[?25l".utf8))
    }

    /// Gives it back as it was.
    package func leave() {
        guard isActive else { return }
        isActive = false
        Console.print(bytes: Array("\u{1B}[?25h\u{1B}[?1049l".utf8))
        if keys != nil { tcsetattr(0, TCSADRAIN, &before) }
    }

    /// Columns and rows; 80 by 24 where the terminal does not say.
    package var size: (columns: Int, rows: Int) {
        // struct winsize: rows, columns, and two sizes in dots.
        var size = [UInt16](repeating: 0, count: 4)
        guard ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size[0] > 0, size[1] > 0 else { return (80, 24) }
        return (Int(size[1]), Int(size[0]))
    }

    /// Shows lines instead of what was there. They must fit: see `size`.
    package func show(_ lines: [String]) {
        // To the corner, each line with the rest of its row cleared, then everything below.
        let rows = lines.joined(separator: "\u{1B}[K\r\n")
        Console.print(bytes: Array("\u{1B}[H\(rows)\u{1B}[K\u{1B}[J".utf8))
    }

    /// Keys that were pressed; nil once nobody can press any more.
    package func pressed() -> [UInt8]? {
        guard let keys else { return nil }
        var bytes = [UInt8](repeating: 0, count: 64)
        let count = read(keys, &bytes, bytes.count)
        if count < 0 { return errno == EINTR || errno == EAGAIN ? [] : nil }
        return count == 0 ? nil : Array(bytes.prefix(count))
    }

    /// Whether people want colour there: a terminal, and no NO_COLOR (no-color.org: set and not empty).
    package static var wantsColour: Bool {
        guard isatty(1) == 1 else { return false }
        guard let wish = getenv("NO_COLOR") else { return true }
        return wish.pointee == 0
    }
}
