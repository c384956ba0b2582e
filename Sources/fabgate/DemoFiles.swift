@preconcurrency import Glibc
import Model
import Ports

/// What the demonstration writes for its parts before it starts them.
struct DemoFiles {
    let folder: String
    let brokerPort: UInt16
    let cityPort: UInt16
    let webPort: UInt16
    let printerPort: UInt16
    /// What the printer that is asked over HTTP wants to hear.
    let printerKey = Hex.text(Digest.randomBytes(8))

    static let lab = "urn:fablabs:io:lab:demo"

    var brokerConfiguration: String { "\(folder)/mosquitto.conf" }
    var configuration: String { "\(folder)/fabgate.yaml" }
    var database: String { "\(folder)/city.db" }
    var token: String { "\(folder)/city.token" }
    var certificate: String { "\(folder)/city.pem" }
    var key: String { "\(folder)/city.key" }
    var printerKeyFile: String { "\(folder)/prusa.key" }
    func wire(_ name: String) -> String { "\(folder)/tty-\(name)" }

    init(port: Int) throws {
        folder = try Files.makeTemporaryFolder(prefix: "fabgate-demo")
        brokerPort = try FreePort.loopback()
        cityPort = try FreePort.loopback()
        printerPort = try FreePort.loopback()
        webPort = port == 0 ? try FreePort.loopback() : UInt16(port)
    }

    /// A broker for this machine alone, that remembers sessions when it is killed.
    func writeBroker() throws {
        try Files.makeFolder("\(folder)/broker")
        try Files.write(
            """
            listener \(brokerPort) 127.0.0.1
            allow_anonymous true
            persistence true
            persistence_location \(folder)/broker/
            autosave_interval 5
            max_queued_messages 100000

            """, to: brokerConfiguration)
    }

    /// A certificate that signs itself, for the collector's address; the gateway trusts it and no other.
    func makeCertificate() throws {
        let words = [
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
            "-out",
            certificate, "-days", "30", "-subj", "/CN=fabgate demo collector", "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ]
        _ = try run("openssl", words, "the collector's certificate could not be made")
    }

    /// Runs a program to its end; what it said.
    func run(_ program: String, _ words: [String], _ failure: String) throws -> String {
        let output = "\(folder)/said"
        unlink(output)
        let process = try ChildProcess(program, words, output: .file(output))
        let status = process.wait()
        let said = String(decoding: try Console.read(path: output), as: UTF8.self)
        guard status == 0 else {
            throw ToolFailure(.unavailable, "\(failure): \(program) ended with \(status)\n\(said)")
        }
        return said
    }

    func writeConfiguration(speed: Int, realOrigin: Instant, labOrigin: Instant) throws {
        // The lab's clock runs fast, its wires and this machine do not: a hesitation is no silence.
        let silence = "silence: \(max(20, speed * 2 / 5)) s"
        // What is asked once a minute in life is asked about once a second here; printers speak seldom.
        let turn = "every: \(max(60, speed)) s"
        try Files.write(printerKey, to: printerKeyFile, isSecret: true)
        try Files.write(
            """
            lab:
              id: "\(Self.lab)"
              name: 데모 메이커 스페이스 · Demo maker space
              timezone: Asia/Seoul
              open: { mon-sun: "09:00-22:00" }
            simulation: { speed: \(speed), real_origin: "\(realOrigin)", lab_origin: "\(labOrigin)" }
            mqtt:
              - { name: main, url: "mqtt://127.0.0.1:\(brokerPort)" }
            serial:
              - { name: bus1, port: \(wire("bus1")), baud: 9600, format: 8N1 }
              - { name: bus2, port: \(wire("bus2")), baud: 9600, format: 8N2 }
              - { name: grbl, port: \(wire("grbl")), baud: 115200 }
              - { name: press, port: \(wire("press")), baud: 115200 }
              - { name: scale, port: \(wire("scale")), baud: 9600, format: 8N1 }
              - { name: marlin, port: \(wire("marlin-1")), baud: 115200 }
            devices:
              - { id: printer-plug, driver: tasmota, mqtt: main, topic: printer-plug }
              - { id: shredder-plug, driver: tasmota, mqtt: main, topic: shredder-plug }
              - { id: printer-host, driver: octoprint, mqtt: main }
              - { id: bambu-plug, driver: tasmota, mqtt: main, topic: bambu-plug }
              - { id: klipper-plug, driver: tasmota, mqtt: main, topic: klipper-plug }
              - { id: prusa-plug, driver: tasmota, mqtt: main, topic: prusa-plug }
              - { id: marlin-plug, driver: tasmota, mqtt: main, topic: marlin-plug }
              - { id: bambu-host, driver: bambu, model: bambu-p1-a1, mqtt: main, serial_number: 01P00A000000001, \(turn) }
              - { id: klipper-host, driver: moonraker, mqtt: main, topic: klipper-1, \(turn) }
              - { id: prusa-host, driver: prusalink, url: "http://127.0.0.1:\(printerPort)", api_key_file: \(printerKeyFile),
                  every: \(max(15, speed / 6)) s, silence: \(max(60, speed)) s }
              - { id: marlin-board, driver: marlin, serial: marlin, silence: \(max(60, speed)) s }
              - { id: laser-controller, driver: grbl, serial: grbl, every: 2 s, \(silence) }
              - { id: laser-meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus1, unit: 1, every: 20 s, \(silence) }
              - { id: press-zone, driver: modbus-rtu, model: autonics-tk4, serial: bus2, unit: 3, every: 10 s, \(silence) }
              - { id: press-nozzle, driver: modbus-rtu, model: autonics-tk4, serial: bus2, unit: 4, every: 10 s, zone: 2, \(silence) }
              - { id: press-meter, driver: modbus-rtu, model: eastron-sdm120, serial: bus2, unit: 5, every: 20 s, \(silence) }
              - { id: press-counter, driver: line-json, model: line-json-press, serial: press, \(silence) }
              - { id: press-scale, driver: scale, serial: scale, silence: \(max(120, speed * 2 / 5)) s }
            \(SimulatedLabs.moulds)machines:
              - { id: printer, name: "3D 프린터 1 · 3D printer 1 (OctoPrint)", class: three_d_printing,
                  devices: [printer-host, printer-plug] }
              - { id: bambu, name: "3D 프린터 2 · 3D printer 2 (Bambu Lab)", class: three_d_printing,
                  devices: [bambu-host, bambu-plug] }
              - { id: klipper, name: "3D 프린터 3 · 3D printer 3 (Klipper)", class: three_d_printing,
                  devices: [klipper-host, klipper-plug] }
              - { id: prusa, name: "3D 프린터 4 · 3D printer 4 (PrusaLink)", class: three_d_printing,
                  devices: [prusa-host, prusa-plug] }
              - { id: marlin, name: "3D 프린터 5 · 3D printer 5 (Marlin)", class: three_d_printing,
                  devices: [marlin-board, marlin-plug] }
              - { id: shredder, name: "파쇄기 · Shredder", class: plastic_shredding, devices: [shredder-plug],
                  usage: { from: power, idle_below: 20 W, running_above: 150 W, dwell: 10 s } }
              - { id: laser, name: "레이저 60W · Laser 60W", class: laser, devices: [laser-controller, laser-meter] }
              - { id: press, name: "데스크 팩토리 · Desk factory", class: injection_molding, usage: { from: press },
                  devices: [press-zone, press-nozzle, press-counter, press-meter, press-scale],
                  \(SimulatedLabs.material(scale: "press-scale")) }
            store: { path: \(folder)/store, size: 64 MiB, sync: 1 s }
            http: { listen: "127.0.0.1:\(webPort)" }
            city:
              - { name: city, kind: fabcity, url: "https://127.0.0.1:\(cityPort)", token_file: \(token), privacy: { threshold: 1 },
                  grains: [PT1H, P1D], detail: machine, tls: { ca: \(certificate) } }

            """, to: configuration)
    }
}
