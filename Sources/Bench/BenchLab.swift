// Drivers and whole configurations for the benchmarks, made from YAML as the gateway makes them.

import DeskFactories
import Hub
import Meters
import Model
import Plugs
import Ports
import Printers
import Workshop

/// Why a benchmark could not be run, in words.
struct BenchFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

enum BenchLab {
    /// Every driver; `models` are folders below `devices/`, such as `meters/models/eastron-sdm120`.
    static func catalog(models: [String] = []) throws -> Catalog {
        var catalog = Catalog(
            drivers: plugDrivers + meterDrivers + printerDrivers + deskFactoryDrivers + workshopDrivers)
        var problems = Problems()
        if !models.isEmpty {
            let devices = try Installation.find().devices
            for model in models {
                let words = model.split(separator: "/").map(String.init)
                let profile = try YAML.load(path: "\(devices)/\(model)/profile.yaml")
                catalog.add(model: words[words.count - 1], family: words[0], profile, &problems)
            }
        }
        guard problems.isEmpty else { throw BenchFailure("\(problems.all)") }
        return catalog
    }

    /// One driver from the keys of its device.
    static func driver(_ name: String, model: String?, keys: String, _ catalog: Catalog) throws -> any DeviceDriver {
        var problems = Problems()
        guard let fields = Fields(try YAML.parse(keys, file: "bench.yaml"), "device bench", &problems),
            let made = catalog.makeDriver(named: name, id: "bench", model: model, fields: fields, &problems)
        else { throw BenchFailure("driver \(name): \(problems.all)") }
        return made.driver
    }

    /// A lab in UTC with these devices and machines, entries of YAML lists, on one broker.
    static func configuration(devices: [String], machines: [String], _ catalog: Catalog) throws -> Configuration {
        let text =
            (["lab: { id: \"urn:fablabs:io:lab:bench\", name: Bench, timezone: UTC }"]
            + ["mqtt: [{ name: main, url: \"mqtt://127.0.0.1\" }]", "devices:"] + devices.map { "  - \($0)" }
            + ["machines:"] + machines.map { "  - \($0)" }).joined(separator: "\n") + "\n"
        var reader = ConfigurationReader(catalog: catalog) { try CivilZone.load($0) }
        guard let configuration = reader.read([try YAML.parse(text, file: "bench.yaml")]) else {
            throw BenchFailure("\(reader.problems.all.prefix(5))")
        }
        return configuration
    }
}
