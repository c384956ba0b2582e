import DeskFactories
@preconcurrency import Glibc
import Hub
import Meters
import Model
import Plugs
import Ports
import Printers
import Workshop

/// Every driver of every family. A new family adds its line here.
let allDrivers: [any DeviceDriver.Type] =
    plugDrivers + meterDrivers + printerDrivers + deskFactoryDrivers + workshopDrivers

/// What every command starts from: the models that are installed, and a configuration file.
struct Setup {
    let installation: Installation
    let catalog: Catalog

    static let defaultConfiguration = "/etc/fabgate/fabgate.yaml"

    /// With every model.
    init() throws { try self.init(models: { _ in true }) }

    /// With the models that are wanted by name.
    private init(models isWanted: (String) -> Bool) throws {
        installation = try Installation.find()
        var catalog = Catalog(drivers: allDrivers)
        var problems = Problems()
        for family in try Files.folders(in: installation.devices) {
            let models = "\(installation.devices)/\(family)/models"
            guard Files.isFolder(models) else { continue }
            for model in try Files.folders(in: models) where isWanted(model) {
                let profile = try YAML.load(path: "\(models)/\(model)/profile.yaml")
                catalog.add(model: model, family: family, profile, &problems)
            }
        }
        for models in try Installation.ownModels() {
            for model in try Files.folders(in: models) where isWanted(model) {
                let profile = try YAML.load(path: "\(models)/\(model)/profile.yaml")
                catalog.add(model: model, family: "own", profile, &problems)
            }
        }
        guard problems.isEmpty else { throw Self.failure(problems) }
        self.catalog = catalog
    }

    /// Reads and checks a configuration, and of all models only those that it names: a start is to be quick. Where
    /// anything is wrong everything is read, so that what is said about it knows every model.
    static func forStart(_ documents: [Document]) throws -> (Configuration, Installation) {
        let named = Set(documents.flatMap(modelNames))
        if let setup = try? Setup(models: named.contains), let configuration = try? setup.configuration(documents) {
            return (configuration, setup.installation)
        }
        let setup = try Setup()
        return (try setup.configuration(documents), setup.installation)
    }

    /// What stands behind `model` in the list of devices.
    private static func modelNames(_ document: Document) -> [String] {
        guard case .list(let devices)? = document["devices"]?.content else { return [] }
        return devices.compactMap { device in
            if case .scalar(let name, _)? = device["model"]?.content { name } else { nil }
        }
    }

    /// Reads and checks a configuration file and the `conf.d` beside it.
    func configuration(_ path: String?) throws -> Configuration {
        try configuration(try Self.documents(path).map(\.document))
    }

    /// The files that are the configuration, each with what it says.
    /// - Parameter onSection: hears of each section as soon as it is read.
    static func documents(
        _ path: String?, onSection: (_ key: String, _ section: Document) -> Void = { _, _ in }
    ) throws -> [(path: String, document: Document)] {
        let path = path ?? defaultConfiguration
        var paths = [path]
        let folder = (path.lastIndex(of: "/").map { String(path[..<$0]) } ?? ".") + "/conf.d"
        do {
            if Files.isFolder(folder) {
                paths += try Files.names(in: folder).filter { $0.hasSuffix(".yaml") }.map { "\(folder)/\($0)" }
            }
            return try paths.map { ($0, try YAML.load(path: $0, onEntry: onSection)) }
        } catch let error as YAMLError {
            throw ToolFailure(.configuration, "\(error)")
        }
    }

    /// Checks what the files of a configuration say.
    func configuration(_ documents: [Document]) throws -> Configuration {
        var reader = ConfigurationReader(catalog: catalog) { try CivilZone.load($0) }
        guard let configuration = reader.read(documents) else { throw Self.failure(reader.problems) }
        return configuration
    }

    private static func failure(_ problems: Problems) -> ToolFailure {
        let count = problems.all.count
        let lines = problems.all.map { "  \($0)" }.joined(separator: "\n")
        return ToolFailure(
            .configuration,
            "\(count) \(count == 1 ? "mistake" : "mistakes") in the configuration; nothing was started\n\(lines)")
    }
}

extension SystemClock {
    /// What this computer knows about its clock.
    static var trust: TimeKeeper.System {
        TimeKeeper.System(
            isSynchronised: isSynchronised, expectsSynchronisation: hasTimeService, keepsTime: hasBattery)
    }
}

extension Configuration {
    /// The clock that the lab lives by.
    var clock: SystemClock {
        guard let simulation else { return SystemClock() }
        return SystemClock(
            speed: Int64(simulation.speed), realOrigin: simulation.realOrigin, labOrigin: simulation.labOrigin)
    }

    var storeFile: String { Store.file(in: store.path) }
    var outboxFile: String { "\(store.path)/outbox.db" }
}

extension Configuration.Store {
    /// Where the ring lies in the folder of a store.
    static func file(in folder: String) -> String { "\(folder)/ring.fab" }
}

extension Configuration.Broker {
    /// For a connection under this client id; with its password, which is read from its file here.
    func settings(clientID: String, cleanSession: Bool) throws -> MQTTSettings {
        let password = try passwordFile.map { try Files.secret($0) }
        let files =
            usesTLS
            ? MQTTTLS(
                caFile: tls?.ca, certFile: tls?.cert, keyFile: tls?.key, serverName: tls?.serverName) : nil
        return MQTTSettings(
            name: name, host: host, port: UInt16(port), version: isVersion5 ? .v5 : .v311, username: username,
            password: password, clientID: clientID, cleanSession: cleanSession, tls: files)
    }
}

extension Configuration.Line {
    var settings: SerialSettings {
        SerialSettings(name: name, path: path, baud: baud, format: SerialFormat(rawValue: format) ?? .eightNone1)
    }
}
