// A serial port without hardware: what is written to one end is read from the other.

@preconcurrency import Glibc

/// A pair of which `path` is opened like a serial device and this end plays the machine. Bytes pass unchanged.
package final class PseudoTerminal {
    /// The other end, such as `/dev/pts/3`.
    package let path: String
    /// This end; not blocking.
    package let descriptor: CInt
    // Kept open: with nobody at the other end, this one would report an error for ever.
    private let other: CInt
    private var links: [String] = []

    package init() throws(PortError) {
        var near: CInt = -1
        var far: CInt = -1
        try call("openpty", on: "a pseudo-terminal") { openpty(&near, &far, nil, nil, nil) }
        (descriptor, other) = (near, far)
        path = ttyname(far).map { String(cString: $0) } ?? "/proc/self/fd/\(far)"
        for end in [near, far] { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        _ = fcntl(near, F_SETFL, O_NONBLOCK)
        var line = try LineSettings(of: far, path)
        line.makeRaw(baud: 115_200, format: .eightNone1)
        try line.apply(to: far, path)
    }

    deinit {
        for link in links { unlink(link) }
        close(descriptor)
        close(other)
    }

    /// What the other end is set to, such as `9600 8E1`.
    package func settings() throws(PortError) -> String { try LineSettings(of: other, path).description }

    /// Gives the other end a name of its own, which goes away with this object. A link that stands there is replaced.
    package func link(at name: String) throws(PortError) {
        var existing = stat()
        if lstat(name, &existing) == 0, existing.st_mode & S_IFMT == S_IFLNK { unlink(name) }
        try call("link", on: name, hint: "to \(path)") { symlink(path, name) }
        links.append(name)
    }

    /// Takes what the other end has sent, nothing if it has not.
    package func read() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        return Array(bytes.prefix(max(0, count)))
    }

    /// Sends to the other end; returns how many bytes found room, the rest is lost as on a wire.
    @discardableResult
    package func write(_ bytes: [UInt8]) -> Int { max(0, Glibc.write(descriptor, bytes, bytes.count)) }
}
