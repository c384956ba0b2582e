// Words for a service manager.

@preconcurrency import Glibc

/// The notification protocol of systemd (sd_notify(3)): one datagram to a socket.
package enum Service {
    /// Tells a state such as `READY=1`, `STOPPING=1` or `WATCHDOG=1`; false where nobody listens or it did not arrive.
    /// `manager` is its socket, which `$NOTIFY_SOCKET` names.
    @discardableResult
    package static func notify(
        _ state: String, to manager: String? = Environment.value("NOTIFY_SOCKET")
    ) -> Bool {
        guard let name = manager else { return false }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        var path = Array(name.utf8)
        guard path.count > 1, path.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        // An abstract socket is written with `@` and has a zero byte there.
        if path[0] == UInt8(ascii: "@") { path[0] = 0 }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        let descriptor = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        let length = socklen_t(MemoryLayout<sa_family_t>.size + path.count)
        let bytes = Array(state.utf8)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(descriptor, bytes, bytes.count, CInt(MSG_NOSIGNAL), $0, length) == bytes.count
            }
        }
    }
}
