// A file that grows while a program runs.

@preconcurrency import Glibc

/// A new file, or standard output, to which lines are added. What was appended is kept until `flush`, so that one turn
/// of a loop is one write.
package final class OutputFile {
    /// What the messages call it.
    package let path: String
    private let descriptor: CInt
    private var waiting: [UInt8] = []

    /// `-` is standard output. A file that holds something already is refused: it is not to be lost.
    package init(creating path: String) throws(PortError) {
        self.path = path == "-" ? "standard output" : path
        guard path != "-" else {
            descriptor = 1
            return
        }
        descriptor = try call("write", on: path) { open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY, 0o644) }
        var status = stat()
        if fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG, status.st_size > 0 {
            close(descriptor)
            throw PortError(
                call: "write", subject: path, code: 0,
                hint: "it holds something already; give another name or remove it")
        }
    }

    deinit { if descriptor > 2 { close(descriptor) } }

    package func append(_ bytes: [UInt8]) { waiting += bytes }

    /// Hands everything to the system. The error says why not, as where the disk is full; what is left is kept.
    package func flush() throws(PortError) {
        var sent = 0
        defer { waiting.removeFirst(sent) }
        while sent < waiting.count {
            let count = waiting.withUnsafeBytes { write(descriptor, $0.baseAddress.map { $0 + sent }, $0.count - sent) }
            if count >= 0 {
                sent += count
            } else if errno == EAGAIN {
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&wait, 1, 1000)
            } else if errno != EINTR {
                throw PortError(call: "write", subject: path, code: errno)
            }
        }
    }
}
