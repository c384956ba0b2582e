package import Model

/// Every driver that the gateway knows, and every model that stands as data below `devices/`.
package struct Catalog: Sendable {
    /// One model of a device: a profile that describes it to a driver.
    package struct Profile: Sendable {
        /// The folder's name: `eastron-sdm120`.
        package let name: String
        package let family: String
        package let driver: String
        package let title: String
        package let silence: Duration?
        package let every: Duration?
        /// All keys, to be read by the driver.
        package let fields: Fields
    }

    package let drivers: [any DeviceDriver.Type]
    package private(set) var profiles: [Profile] = []

    package init(drivers: [any DeviceDriver.Type]) { self.drivers = drivers }

    package func driver(named name: String) -> (any DeviceDriver.Type)? { drivers.first { $0.info.name == name } }

    package func profile(named name: String) -> Profile? { profiles.first { $0.name == name } }

    /// Adds the profile of one model folder.
    package mutating func add(model name: String, family: String, _ document: Document, _ problems: inout Problems) {
        guard var fields = Fields(document, "profile of model \(name)", &problems),
            let driverName = fields.requiredText("driver", &problems, example: "modbus-rtu"),
            let title = fields.requiredText("title", &problems, example: "Eastron SDM120")
        else { return }
        let silence = fields.duration("silence", &problems)
        let every = fields.duration("every", &problems)
        guard driver(named: driverName) != nil else {
            let names = drivers.map { $0.info.name }
            return problems.add(
                fields.place("driver"),
                "no driver is called '\(driverName)'" + Suggestion.phrase(for: driverName, among: names))
        }
        guard profile(named: name) == nil else {
            return problems.add(
                document.position, "model '\(name)' exists in another family already; rename the folder")
        }
        profiles.append(
            Profile(
                name: name, family: family, driver: driverName, title: title, silence: silence, every: every,
                fields: fields))
    }

    /// Makes a device's driver from its keys; nil with the reasons in `problems`.
    package func makeDriver(
        named name: String, id: String, model: String?, fields: Fields, takesAnyAddress: Bool = false,
        _ problems: inout Problems
    ) -> (driver: any DeviceDriver, info: DriverInfo, profile: Profile?)? {
        guard let type = driver(named: name) else {
            let names = drivers.map { $0.info.name }
            problems.add(
                fields.place("driver"),
                "no driver is called '\(name)'" + Suggestion.phrase(for: name, among: names)
                    + "; known drivers: \(names.sorted().joined(separator: ", "))")
            return nil
        }
        /// Of this driver's models.
        var names: [String] { profiles.filter { $0.driver == name }.map(\.name) }
        var profile: Profile?
        if let model {
            profile = profiles.first { $0.name == model && $0.driver == name }
            guard profile != nil else {
                problems.add(
                    fields.place("model"),
                    "driver \(name) has no model '\(model)'" + Suggestion.phrase(for: model, among: names)
                        + (names.isEmpty ? "" : "; its models: \(names.sorted().joined(separator: ", "))"))
                return nil
            }
        }
        var fields = fields
        // A device of which there is no model says itself what its registers or lines mean.
        let own = type.info.needsModel ? fields.map("map", &problems) : nil
        if own != nil, model != nil {
            problems.add(
                fields.place("map"), "device \(id) has both 'model' and 'map'; keep the one that describes it")
            return nil
        }
        if type.info.needsModel, model == nil, own == nil {
            problems.add(
                fields.position,
                "device \(id) with driver \(name) needs 'model'; known: \(names.sorted().joined(separator: ", ")). "
                    + "What is none of these is described in place by 'map', with the keys of a profile: "
                    + "`map: { channels: [...], settings: {...} }`")
            return nil
        }
        var setup = DeviceSetup(
            id: id, fields: fields, profile: profile?.fields ?? own, takesAnyAddress: takesAnyAddress)
        guard let driver = type.init(&setup, &problems) else { return nil }
        setup.fields.finish(&problems)
        setup.profile?.finish(&problems)
        return (driver, type.info, profile)
    }
}
