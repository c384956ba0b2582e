import Model
import Ports
import Testing

/// A broker whose certificate is for a serial number, as a Bambu Lab printer's is, signed by an authority of its own.
@Suite struct MQTTServerNameTests {
    private static let serial = "01P00A000000000"

    /// Makes the authority and the certificate with the serial number as its only name.
    private func makeCertificates(in folder: TemporaryFolder) throws {
        let path = folder.path
        for words in [
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Maker CA", "-keyout",
                "\(path)/ca.key", "-out", "\(path)/ca.pem",
            ],
            [
                "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=\(Self.serial)", "-keyout", "\(path)/printer.key",
                "-out", "\(path)/printer.csr",
            ],
            [
                "x509", "-req", "-in", "\(path)/printer.csr", "-CA", "\(path)/ca.pem", "-CAkey", "\(path)/ca.key",
                "-CAcreateserial", "-days", "2", "-out", "\(path)/printer.pem",
            ],
            [
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=Another CA", "-keyout",
                "\(path)/other.key", "-out", "\(path)/other.pem",
            ],
        ] {
            let process = try ChildProcess("/usr/bin/openssl", words, output: .discarded)
            try #require(process.wait() == 0, "openssl \(words[0])")
        }
    }

    /// The first thing that a client hears of its connection, and what it receives.
    private func connect(_ broker: Broker, ca: String, name: String?, password: String = "12345678") throws -> [String]
    {
        let loop = try Loop()
        let folder = broker.folder.path
        let inbox = Inbox(loop, port: broker.port, id: "gateway", subscriptions: ["device/\(Self.serial)/report"]) {
            $0.username = "bblp"
            $0.password = password
            $0.tls = MQTTTLS(caFile: "\(folder)/\(ca)", serverName: name)
        }
        inbox.onConnection = { _, _ in loop.stop(0) }
        let guardian = loop.after(.seconds(30)) { loop.stop(1) }
        _ = loop.run()
        loop.cancel(guardian)
        inbox.client?.close()
        return inbox.connections
    }

    @Test func aPrinterIsKnownByItsSerialNumberAndNoOtherIsTaken() throws {
        let folder = try TemporaryFolder()
        try makeCertificates(in: folder)
        let passwords = "\(folder.path)/passwords"
        _ = try folder.write("passwords", [])
        let made = try ChildProcess(
            "/usr/bin/mosquitto_passwd", ["-b", passwords, "bblp", "12345678"], output: .discarded)
        try #require(made.wait() == 0)
        let broker = try Broker(
            """
            certfile FOLDER/printer.pem
            keyfile FOLDER/printer.key
            password_file FOLDER/passwords
            allow_anonymous false
            """, folder: folder)
        defer { broker.end() }
        let right = try connect(broker, ca: "ca.pem", name: Self.serial)
        #expect(right.first?.hasPrefix("up: ") == true, "\(right)")
        // Another printer of the same maker, the address instead of the number, another maker, a wrong access code.
        for (ca, name, password) in [
            ("ca.pem", "01P00A999999999", "12345678"), ("ca.pem", nil, "12345678"),
            ("other.pem", Self.serial, "12345678"), ("ca.pem", Self.serial, "87654321"),
        ] as [(String, String?, String)] {
            let wrong = try connect(broker, ca: ca, name: name, password: password)
            #expect(wrong.first?.hasPrefix("down: ") == true, "\(ca) \(name ?? "-"): \(wrong)")
        }
    }
}
