// What the service manager and the file system are told and asked.

@preconcurrency import Glibc
import Ports
import Testing

@Suite struct ServiceTests {
    /// Nobody else here asks for NOTIFY_SOCKET.
    @Test func theServiceManagerHears() throws {
        unsetenv("NOTIFY_SOCKET")
        #expect(!Service.notify("READY=1"))

        let folder = try TemporaryFolder()
        let path = folder.path + "/notify"
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let manager = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        defer { close(manager) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let bound = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(manager, $0, size) }
        }
        try #require(bound == 0)
        setenv("NOTIFY_SOCKET", path, 1)
        defer { unsetenv("NOTIFY_SOCKET") }
        for state in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
            #expect(Service.notify(state))
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = recv(manager, &bytes, bytes.count, CInt(MSG_DONTWAIT))
            #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == state)
        }
        // A manager that is gone, and a name too long for a socket.
        setenv("NOTIFY_SOCKET", folder.path + "/none", 1)
        #expect(!Service.notify("READY=1"))
        setenv("NOTIFY_SOCKET", String(repeating: "x", count: 200), 1)
        #expect(!Service.notify("READY=1"))
    }

    /// Nobody else here asks for FABGATE_SHARE.
    @Test func theDataIsWhereTheEnvironmentSays() throws {
        let folder = try TemporaryFolder()
        setenv("FABGATE_SHARE", folder.path, 1)
        defer { unsetenv("FABGATE_SHARE") }
        #expect { try Installation.find() } throws: { "\($0)".contains("FABGATE_SHARE must name the folder") }
        for name in ["devices", "pages"] { mkdir("\(folder.path)/\(name)", 0o700) }
        let found = try Installation.find()
        #expect(found.devices == "\(folder.path)/devices")
        #expect(found.pages == "\(folder.path)/pages")
    }
}
