@preconcurrency internal import Glibc

/// Socket addresses and their text.
enum HTTPAddress {
    /// A socket that listens on a numeric IPv4 or IPv6 address; `::` listens on both. Port 0 takes a free one.
    static func listen(_ address: String, _ port: UInt16) throws(HTTPServerError) -> (socket: CInt, port: UInt16) {
        var hints = addrinfo()
        hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE
        hints.ai_socktype = CInt(SOCK_STREAM.rawValue)
        var found: UnsafeMutablePointer<addrinfo>?
        let isBracketed = address.hasPrefix("[") && address.hasSuffix("]")
        let numeric =
            address == "localhost" ? "127.0.0.1" : isBracketed ? String(address.dropFirst().dropLast()) : address
        guard !numeric.isEmpty, getaddrinfo(numeric, "\(port)", &hints, &found) == 0, let found else {
            throw HTTPServerError(
                description: "HTTP server: '\(address)' is no IP address to listen on; "
                    + "write one such as 127.0.0.1, 0.0.0.0 or ::1")
        }
        defer { freeaddrinfo(found) }
        let family = found.pointee.ai_family
        let listening = socket(family, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue), 0)
        var on: CInt = 1
        var off: CInt = 0
        if family == AF_INET6 {
            setsockopt(listening, CInt(IPPROTO_IPV6), IPV6_V6ONLY, &off, socklen_t(MemoryLayout<CInt>.size))
        }
        setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, socklen_t(MemoryLayout<CInt>.size))
        guard listening >= 0, bind(listening, found.pointee.ai_addr, found.pointee.ai_addrlen) == 0,
            Glibc.listen(listening, 128) == 0
        else {
            let reason = errno
            if listening >= 0 { close(listening) }
            throw HTTPServerError(
                description: "HTTP server: cannot listen on \(address) port \(port): "
                    + "\(PortError.words(for: reason))\(advice(reason))")
        }
        return (listening, self.port(of: listening))
    }

    private static func advice(_ reason: CInt) -> String {
        switch reason {
        case EADDRINUSE: "; another program listens there (`ss -ltnp` shows which): stop it or choose another port"
        case EACCES: "; ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher port, or put nginx in front"
        case EADDRNOTAVAIL: "; no interface of this computer has that address (`ip address` shows them)"
        default: ""
        }
    }

    private static func port(of listening: CInt) -> UInt16 {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        return withUnsafeMutableBytes(of: &storage) { bytes in
            let address = bytes.bindMemory(to: sockaddr.self).baseAddress
            guard let address, getsockname(listening, address, &length) == 0 else { return 0 }
            // Family, then the port in network order, in IPv4 and IPv6 alike.
            return UInt16(bytes[2]) << 8 | UInt16(bytes[3])
        }
    }

    /// The address without its port; an IPv4 address that came through an IPv6 socket is written as IPv4.
    static func text(_ address: UnsafePointer<sockaddr>?) -> String {
        guard let address else { return "" }
        let family = CInt(address.pointee.sa_family)
        let length = family == AF_INET6 ? MemoryLayout<sockaddr_in6>.size : MemoryLayout<sockaddr_in>.size
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NI_MAXHOST)) { name in
            guard
                getnameinfo(
                    address, socklen_t(length), name.baseAddress, socklen_t(name.count), nil, 0, NI_NUMERICHOST) == 0,
                let start = name.baseAddress
            else { return "" }
            let text = String(cString: start)
            return text.hasPrefix("::ffff:") && text.contains(".") ? String(text.dropFirst(7)) : text
        }
    }
}
