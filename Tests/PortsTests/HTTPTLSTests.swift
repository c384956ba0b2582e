@preconcurrency import Glibc
import Model
import Ports
import Testing

/// A private authority and certificates of it, made by the `openssl` command.
final class Authority: Sendable {
    let folder: TemporaryFolder
    var caFile: String { folder.path + "/ca.pem" }

    init() throws {
        folder = try TemporaryFolder()
        try openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=authority -days 2 -keyout ca.key -out ca.pem"
        )
    }

    private func openssl(_ arguments: String) throws {
        let words = arguments.split(separator: " ").map { word in
            ["ca.key", "ca.pem"].contains(word) || word.hasPrefix("./") ? folder.path + "/" + word : String(word)
        }
        let status = try ChildProcess("openssl", words, output: .discarded).wait()
        try #require(status == 0, "openssl \(arguments)")
    }

    /// `name.pem` and `name.key` for these names, valid for two days or, with `expired`, since 2020 no more.
    func issue(_ name: String, _ names: String, expired: Bool = false) throws {
        try openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=\(name) -keyout ./\(name).key -out ./\(name).csr"
        )
        _ = try folder.write(
            "\(name).cnf",
            Array(
                """
                [ca]
                default_ca = here
                [here]
                database = \(folder.path)/\(name).index
                new_certs_dir = \(folder.path)
                rand_serial = yes
                default_md = sha256
                policy = any
                x509_extensions = extensions
                [any]
                commonName = supplied
                [extensions]
                subjectAltName = \(names)
                """.utf8))
        _ = try folder.write("\(name).index", [])
        let times = expired ? "-startdate 20200101000000Z -enddate 20200102000000Z" : "-days 2"
        try openssl(
            "ca -batch -notext -config ./\(name).cnf -cert ca.pem -keyfile ca.key -in ./\(name).csr -out ./\(name).pem \(times)"
        )
    }

    func path(_ file: String) -> String { folder.path + "/" + file }

    func text(_ file: String) throws -> String {
        let descriptor = try call("open", on: file) { open(path(file), O_RDONLY | O_CLOEXEC) }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 16384)
        let count = try call("read", on: file) { read(descriptor, &buffer, buffer.count) }
        return String(decoding: buffer[..<count], as: UTF8.self)
    }

    func server(_ name: String) throws -> HTTPServer {
        let tls = HTTPServerTLS(certificate: try text("\(name).pem"), key: try text("\(name).key"))
        return try HTTPServer(address: "127.0.0.1", port: 0, tls: tls) { request, reply in
            reply.send(.json(request.body))
        }
    }
}

@Suite struct HTTPTLSTests {
    private static func post(_ port: UInt16, ca: String?) -> HTTPClient.Outgoing {
        var request = HTTPClient.Outgoing(method: "POST", url: "https://127.0.0.1:\(port)/", body: Array("hello".utf8))
        request.tls = HTTPClient.ClientTLS(caFile: ca)
        return request
    }

    @Test func trustsTheRightCertificateOnly() throws {
        let authority = try Authority()
        let other = try Authority()
        try authority.issue("right", "IP:127.0.0.1,DNS:localhost")
        try authority.issue("wrong", "DNS:other.example")
        try authority.issue("old", "IP:127.0.0.1", expired: true)
        let bench = try ClientBench()

        let right = try authority.server("right")
        defer { right.stop() }
        for _ in 0..<5 {
            #expect(try bench.answer(Self.post(right.port, ca: authority.caFile)).body == Array("hello".utf8))
        }
        #expect(right.connections == 1)
        let big = (0..<900_000).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        var upload = Self.post(right.port, ca: authority.caFile)
        upload.body = big
        #expect(try bench.answer(upload).body == big)

        for ca in [other.caFile, nil] {
            let failure = try bench.failure(Self.post(right.port, ca: ca))
            #expect(failure?.kind == .untrusted)
            #expect(failure?.description.contains("signed by nobody trusted here") == true)
        }
        let wrong = try authority.server("wrong")
        defer { wrong.stop() }
        let misnamed = try bench.failure(Self.post(wrong.port, ca: authority.caFile))
        #expect(misnamed?.kind == .wrongName, "\(misnamed?.description ?? "")")
        let old = try authority.server("old")
        defer { old.stop() }
        let expired = try bench.failure(Self.post(old.port, ca: authority.caFile))
        #expect(expired?.kind == .expired, "\(expired?.description ?? "")")
        #expect(expired?.description.contains("clock") == true)

        #expect(try bench.failure(Self.post(right.port, ca: "/no/such/file.pem"))?.kind == .clientCertificate)
        let plain = try HTTPServer(address: "127.0.0.1", port: 0) { _, reply in reply.send(.json([])) }
        defer { plain.stop() }
        #expect(try bench.failure(Self.post(plain.port, ca: authority.caFile))?.kind == .noTLS)
    }

    @Test func showsItsOwnCertificate() throws {
        let authority = try Authority()
        try authority.issue("city", "IP:127.0.0.1")
        try authority.issue("lab", "DNS:lab.example")
        let port = try FreePort.loopback()
        let server = try ChildProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-www", "-quiet", "-Verify", "2", "-verify_return_error",
                "-CAfile", authority.caFile, "-cert", authority.path("city.pem"), "-key", authority.path("city.key"),
            ], output: .discarded)
        defer { server.kill(SIGTERM) }
        #expect(eventually { (try? HTTPRawClient(port: port)) != nil })
        let bench = try ClientBench()
        var request = HTTPClient.Outgoing(url: "https://127.0.0.1:\(port)/")
        request.tls = HTTPClient.ClientTLS(
            caFile: authority.caFile, certFile: authority.path("lab.pem"), keyFile: authority.path("lab.key"))
        #expect(try bench.answer(request).status == 200)
        request.tls = HTTPClient.ClientTLS(caFile: authority.caFile)
        let failure = try bench.failure(request)
        #expect(failure?.kind == .clientCertificate, "\(failure?.description ?? "an answer")")
    }

    @Test func refusesOldTLS() throws {
        let authority = try Authority()
        try authority.issue("city", "IP:127.0.0.1")
        let port = try FreePort.loopback()
        let server = try ChildProcess(
            "openssl",
            [
                "s_server", "-accept", "127.0.0.1:\(port)", "-www", "-quiet", "-tls1_1", "-cipher",
                "DEFAULT:@SECLEVEL=0", "-cert", authority.path("city.pem"), "-key", authority.path("city.key"),
            ], output: .discarded)
        defer { server.kill(SIGTERM) }
        #expect(eventually { (try? HTTPRawClient(port: port)) != nil })
        let failure = try ClientBench().failure(Self.post(port, ca: authority.caFile))
        #expect(failure?.kind == .noTLS, "\(failure?.description ?? "an answer")")
    }

    @Test func ourServerRefusesOldTLS() throws {
        let authority = try Authority()
        try authority.issue("city", "IP:127.0.0.1")
        let server = try authority.server("city")
        defer { server.stop() }
        for (version, isGood) in [("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)] {
            let client = try ChildProcess(
                "openssl",
                ["s_client", "-connect", "127.0.0.1:\(server.port)", version, "-cipher", "DEFAULT:@SECLEVEL=0"],
                output: .discarded)
            #expect((client.wait() == 0) == isGood, "\(version)")
        }
    }
}
