// Where the data stands that programs read when they run.

@preconcurrency import Glibc

/// The folders of models and of the dashboard's pages.
package struct Installation: Hashable, Sendable {
    /// Families of devices with their models.
    package let devices: String
    /// The dashboard's files.
    package let pages: String

    /// In this order: `share`, which `$FABGATE_SHARE` names, `/usr/share/fabgate`, and the checkout that this program was
    /// built in.
    package static func find(
        share: String? = Environment.value("FABGATE_SHARE")
    ) throws(PortError) -> Installation {
        if let share {
            guard let found = installed(share) else {
                throw PortError(
                    call: "find devices/ and pages/ in", subject: share, code: 0,
                    hint: "FABGATE_SHARE must name the folder that holds both")
            }
            return found
        }
        if let found = installed("/usr/share/fabgate") { return found }
        var folder = Files.ownProgram ?? ""
        while let slash = folder.lastIndex(of: "/") {
            folder = String(folder[..<slash])
            if Files.exists("\(folder)/Package.swift"), Files.isFolder("\(folder)/devices") {
                return Installation(devices: "\(folder)/devices", pages: "\(folder)/Sources/Web/pages")
            }
        }
        throw PortError(
            call: "find", subject: "the folder devices/", code: 0,
            hint: "install it below /usr/share/fabgate, or say where it is with FABGATE_SHARE")
    }

    /// Where a lab keeps models of its own, which an update leaves alone: the folders of `$FABGATE_MODELS`, parted by
    /// colons, otherwise `/etc/fabgate/models` where there is one. A folder of it is a model, without a family above.
    package static func ownModels() throws(PortError) -> [String] {
        guard let list = Environment.value("FABGATE_MODELS") else {
            return Files.isFolder("/etc/fabgate/models") ? ["/etc/fabgate/models"] : []
        }
        let folders = list.split(separator: ":").map(String.init)
        for folder in folders where !Files.isFolder(folder) {
            throw PortError(
                call: "read", subject: folder, code: 0,
                hint: "FABGATE_MODELS must name folders of models, parted by colons")
        }
        return folders
    }

    private static func installed(_ share: String) -> Installation? {
        guard Files.isFolder("\(share)/devices"), Files.isFolder("\(share)/pages") else { return nil }
        return Installation(devices: "\(share)/devices", pages: "\(share)/pages")
    }
}
