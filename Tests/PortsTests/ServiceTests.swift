// What the service manager and the file system are told and asked.

@preconcurrency import Glibc
import Ports
import Testing

@Suite struct ServiceTests {
    @Test func theServiceManagerHears() throws {
        #expect(!Service.notify("READY=1", to: nil))

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
        for state in ["READY=1", "WATCHDOG=1", "STOPPING=1"] {
            #expect(Service.notify(state, to: path))
            var bytes = [UInt8](repeating: 0, count: 64)
            let count = recv(manager, &bytes, bytes.count, CInt(MSG_DONTWAIT))
            #expect(String(decoding: bytes.prefix(max(0, count)), as: UTF8.self) == state)
        }
        // A manager that is gone, and a name too long for a socket.
        #expect(!Service.notify("READY=1", to: folder.path + "/none"))
        #expect(!Service.notify("READY=1", to: String(repeating: "x", count: 200)))
    }

    @Test func theDataIsWhereTheEnvironmentSays() throws {
        let folder = try TemporaryFolder()
        #expect {
            try Installation.find(share: folder.path)
        } throws: {
            "\($0)".contains("FABGATE_SHARE must name the folder")
        }
        for name in ["devices", "pages"] { mkdir("\(folder.path)/\(name)", 0o700) }
        let found = try Installation.find(share: folder.path)
        #expect(found.devices == "\(folder.path)/devices")
        #expect(found.pages == "\(folder.path)/pages")
    }
}
