import CityLink
package import Model
import Store
import Usage

/// Reads configuration files into a `Configuration`, and reports everything that is wrong with them at once.
package struct ConfigurationReader {
    let catalog: Catalog
    /// Ports' tzdata; throws words for people.
    private let loadZone: (String) throws -> Zone
    var configuration = Configuration()
    /// Where each device stands in the configuration, and the machine that it belongs to: a lab may have a thousand.
    var deviceNumbers: [String: Int] = [:]
    var machineNames: Set<String> = []
    var owners: [Int: [(machine: String, term: Configuration.Term)]] = [:]
    package internal(set) var problems = Problems()

    package init(catalog: Catalog, loadZone: @escaping (String) throws -> Zone) {
        self.catalog = catalog
        self.loadZone = loadZone
    }

    /// The main file first, then those of `conf.d` in their order: lists are joined, anything else stands once.
    /// nil where there is any problem.
    package mutating func read(_ documents: [Document]) -> Configuration? {
        var files: [Fields] = []
        for document in documents {
            if let fields = Fields(document, "the configuration", &problems) { files.append(fields) }
        }
        single("lab", &files) { $0.readLab(&$1) }
        if configuration.lab.id.isEmpty, problems.isEmpty, let place = files.first?.position {
            problems.add(
                place,
                "the configuration needs 'lab', for example `lab: { id: \"urn:fablabs:io:lab:example\", name: Example, timezone: Asia/Seoul }`"
            )
        }
        single("store", &files) { $0.readStore(&$1) }
        single("rollups", &files) { $0.readRollups(&$1) }
        single("tariff", &files) { $0.configuration.tariff = Tariff(&$1, &$0.problems) }
        single("http", &files) { $0.readHTTP(&$1) }
        single("simulation", &files) { $0.readSimulation(&$1) }
        each("mqtt", &files, "broker") { $0.readBroker(&$1) }
        each("serial", &files, "serial line") { $0.readLine(&$1) }
        each("devices", &files, "device") { $0.readDevice(&$1) }
        readMoulds(&files)
        each("machines", &files, "machine") { $0.readMachine(&$1) }
        each("city", &files, "city") { $0.readCity(&$1) }
        checkLines(files.first?.position)
        for index in files.indices { files[index].finish(&problems) }
        return problems.isEmpty ? configuration : nil
    }

    private mutating func single(
        _ key: String, _ files: inout [Fields], _ read: (inout ConfigurationReader, inout Fields) -> Void
    ) {
        var found = false
        for index in files.indices {
            guard var section = files[index].map(key, &problems) else { continue }
            if found {
                problems.add(section.position, "'\(key)' stands in another file already; keep one")
                continue
            }
            found = true
            read(&self, &section)
            section.finish(&problems)
        }
    }

    private mutating func each(
        _ key: String, _ files: inout [Fields], _ what: String,
        _ read: (inout ConfigurationReader, inout Fields) -> Void
    ) {
        for index in files.indices {
            for item in files[index].list(key, &problems) ?? [] {
                guard var fields = Fields(item, Fields.title(item, what), &problems) else { continue }
                read(&self, &fields)
                // A device's keys are finished by its driver's reader.
                if key != "devices" { fields.finish(&problems) }
            }
        }
    }

    // MARK: sections

    private mutating func readLab(_ fields: inout Fields) {
        configuration.lab.id =
            fields.requiredText("id", &problems, example: "\"urn:fablabs:io:lab:example\"") ?? ""
        configuration.lab.name = fields.text("name", &problems) ?? configuration.lab.id
        let place = fields.place("timezone")
        if let name = fields.requiredText("timezone", &problems, example: "Asia/Seoul") {
            do { configuration.lab.zone = try loadZone(name) } catch { problems.add(place, "\(error)") }
        }
        if var open = fields.map("open", &problems) { readOpeningHours(&open) }
        configuration.lab.trustsClock = fields.choice("clock", of: ClockTrust.self, &problems) == .trusted
    }

    /// Whether the computer's clock is looked at before it is believed.
    private enum ClockTrust: String, CaseIterable { case checked, trusted }

    private mutating func readOpeningHours(_ fields: inout Fields) {
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
        for key in fields.keys {
            let place = fields.place(key)
            let ends = key.split(separator: "-", maxSplits: 1).map(String.init)
            guard let first = ends.first.flatMap({ names.firstIndex(of: $0) }),
                let last = ends.last.flatMap({ names.firstIndex(of: $0) }), first <= last
            else {
                problems.add(place, "'\(key)' is no day or range of days; write mon, sat or mon-fri")
                _ = fields.value(key)
                continue
            }
            guard let text = fields.text(key, &problems) else { continue }
            for part in text.split(separator: ",") {
                guard let hours = Self.hours(part) else {
                    problems.add(place, "'\(part)' are no hours; write \"10:00-22:00\", or several with commas")
                    continue
                }
                for day in first...last { configuration.lab.open.days[day].append(hours) }
            }
        }
    }

    private static func hours(_ text: Substring) -> OpeningHours.Hours? {
        func minutes(_ text: Substring) -> Int? {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, let hour = Int(parts[0]), let minute = Int(parts[1]), (0...24).contains(hour),
                (0..<60).contains(minute), hour * 60 + minute <= 1440
            else { return nil }
            return hour * 60 + minute
        }
        let ends = text.filter { $0 != " " }[...].split(separator: "-", omittingEmptySubsequences: false)
        guard ends.count == 2, let from = minutes(ends[0]), let to = minutes(ends[1]), from < to else { return nil }
        return OpeningHours.Hours(from: from, to: to)
    }

    private mutating func readStore(_ fields: inout Fields) {
        if let path = fields.text("path", &problems) { configuration.store.path = path }
        let place = fields.place("size")
        let units: KeyValuePairs = ["KiB": 1024.0, "MiB": 1_048_576, "GiB": 1_073_741_824]
        if let size = fields.quantity("size", units, example: "512 MiB", &problems) {
            if size < 1_048_576 || size > 1_099_511_627_776 {
                problems.add(place, "'size' of the store must lie between 1 MiB and 1024 GiB")
            } else {
                configuration.store.size = Int(size) / 4096 * 4096
            }
        }
        if let sync = fields.duration("sync", example: "1 s", &problems) {
            configuration.store.sync = max(sync, .milliseconds(50))
        }
        if let limit = fields.integer("series_limit", in: 16...20_000, &problems) {
            configuration.store.seriesLimit = limit
        }
        if let policy = fields.choice("when_full", of: WhenFull.self, &problems) {
            configuration.store.whenFull = policy
        }
    }

    private mutating func readRollups(_ fields: inout Fields) {
        let place = fields.place("final_after")
        guard let after = fields.duration("final_after", example: "7 d", &problems) else { return }
        if after < .hours(24) || after > .hours(60 * 24) {
            problems.add(place, "'final_after' must lie between 1 d and 60 d")
        }
        configuration.rollups.finalAfter = after
    }

    private mutating func readHTTP(_ fields: inout Fields) {
        for item in fields.list("hosts", &problems) ?? [] {
            if case .scalar(let name, _) = item.content {
                configuration.http.hosts.append(name)
            } else {
                problems.add(item.position, "'hosts' is a list of names such as fabgate.local, not \(item.kindInWords)")
            }
        }
        let isOpen = fields.flag("insecure_lan", &problems) ?? false
        let place = fields.place("listen")
        guard let listen = fields.text("listen", &problems) else { return }
        guard let colon = listen.lastIndex(of: ":"), let port = Int(listen[listen.index(after: colon)...]),
            (0...65_535).contains(port), colon > listen.startIndex
        else { return problems.add(place, "'listen' must be ADDRESS:PORT, for example \"127.0.0.1:8080\"") }
        configuration.http.address = String(listen[..<colon]).filter { $0 != "[" && $0 != "]" }
        configuration.http.port = port
        if !configuration.http.isLocal, !isOpen {
            problems.add(
                place,
                "\(listen) can be reached by everybody on the network, without a password; listen on 127.0.0.1 behind a proxy, or say `insecure_lan: true`"
            )
        }
    }

    private mutating func readSimulation(_ fields: inout Fields) {
        let speed = fields.integer("speed", in: 1...10_000, &problems) ?? 1
        var origins: [Instant] = []
        for key in ["real_origin", "lab_origin"] {
            let place = fields.place(key)
            guard let text = fields.requiredText(key, &problems, example: "\"2026-11-23T00:00:00Z\"") else { continue }
            if let instant = Instant(text) {
                origins.append(instant)
            } else {
                problems.add(place, "'\(text)' is no RFC 3339 time such as 2026-11-23T00:00:00Z")
            }
        }
        guard origins.count == 2 else { return }
        configuration.simulation = Configuration.SimulatedClock(
            speed: speed, realOrigin: origins[0], labOrigin: origins[1])
    }

    mutating func readTLS(_ fields: inout Fields, mayNameServer: Bool = false) -> Configuration.TLSFiles? {
        guard var tls = fields.map("tls", &problems) else { return nil }
        let files = Configuration.TLSFiles(
            ca: tls.text("ca", &problems), cert: tls.text("cert", &problems), key: tls.text("key", &problems),
            serverName: mayNameServer ? tls.text("server_name", &problems) : nil)
        if files.serverName != nil, files.ca == nil {
            problems.add(
                tls.position,
                "'server_name' needs 'ca': the authority whose word is taken for that name, such as the printer maker's"
            )
        }
        if (files.cert == nil) != (files.key == nil) {
            problems.add(tls.position, "'cert' and 'key' go together; give both or neither")
        }
        tls.finish(&problems)
        return files
    }

    /// Splits `scheme://host[:port][/path]`.
    static func url(_ text: String) -> (scheme: String, host: String, port: Int?, path: String)? {
        guard let separator = text.firstRange(of: "://") else { return nil }
        let rest = text[separator.upperBound...]
        let slash = rest.firstIndex(of: "/") ?? rest.endIndex
        var host = rest[..<slash]
        var port: Int?
        if let colon = host.lastIndex(of: ":"), host.last != "]" {
            guard let number = Int(host[host.index(after: colon)...]), (1...65_535).contains(number) else { return nil }
            port = number
            host = host[..<colon]
        }
        guard !host.isEmpty, !host.contains("@"), !text.contains(" ") else { return nil }
        return (
            String(text[..<separator.lowerBound]), host.filter { $0 != "[" && $0 != "]" }, port, String(rest[slash...])
        )
    }

    mutating func name(
        _ fields: inout Fields, example: String, isTaken: (ConfigurationReader, String) -> Bool
    ) -> String? {
        let key = fields.keys.contains("id") ? "id" : "name"
        let place = fields.place(key)
        guard let name = fields.requiredText(key, &problems, example: example) else { return nil }
        guard name.utf8.count <= 64, name.utf8.allSatisfy({ $0 > 32 && $0 != 127 && $0 != 47 && $0 != 34 }) else {
            problems.add(
                place, "'\(name)' cannot be a name; use up to 64 characters without spaces, quotes and slashes")
            return nil
        }
        guard !isTaken(self, name) else {
            problems.add(place, "'\(name)' is used twice; names must differ")
            return nil
        }
        return name
    }

    private mutating func readBroker(_ fields: inout Fields) {
        let name = name(&fields, example: "main") { reader, name in
            reader.configuration.brokers.contains { $0.name == name }
        }
        let place = fields.place("url")
        let text = fields.requiredText("url", &problems, example: "\"mqtt://127.0.0.1:1883\"")
        let username = fields.text("username", &problems)
        let passwordFile = fields.text("password_file", &problems)
        let clientID = fields.text("client_id", &problems)
        let version = fields.integer("version", in: 3...5, &problems) ?? 3
        let tls = readTLS(&fields, mayNameServer: true)
        guard let name, let text else { return }
        guard let url = Self.url(text), ["mqtt", "mqtts"].contains(url.scheme), url.path.isEmpty || url.path == "/"
        else {
            return problems.add(place, "'\(text)' is no broker; write mqtt://HOST:1883, or mqtts://HOST:8883 for TLS")
        }
        let usesTLS = url.scheme == "mqtts"
        if tls != nil, !usesTLS { problems.add(place, "'tls' is given, but the url says mqtt://; write mqtts://") }
        configuration.brokers.append(
            Configuration.Broker(
                name: name, host: url.host, port: url.port ?? (usesTLS ? 8883 : 1883), usesTLS: usesTLS,
                isVersion5: version == 5, username: username, passwordFile: passwordFile, clientID: clientID, tls: tls))
    }

    private mutating func readLine(_ fields: inout Fields) {
        let name = name(&fields, example: "bus1") { reader, name in
            reader.configuration.lines.contains { $0.name == name }
        }
        let path = fields.requiredText("port", &problems, example: "/dev/serial/by-id/usb-…")
        let baud = fields.integer("baud", in: 300...4_000_000, &problems) ?? 9600
        let place = fields.place("format")
        let format = fields.text("format", &problems) ?? "8N1"
        if !["8N1", "8E1", "8N2", "7E1"].contains(format) {
            problems.add(place, "'\(format)' is no serial format; use 8N1, 8E1, 8N2 or 7E1")
        }
        guard let name, let path else { return }
        configuration.lines.append(Configuration.Line(name: name, path: path, baud: baud, format: format))
    }

    private mutating func readCity(_ fields: inout Fields) {
        let name = name(&fields, example: "seoul") { reader, name in
            reader.configuration.cities.contains { $0.name == name }
        }
        let kind = fields.text("kind", &problems) ?? "fabcity"
        if kind != "fabcity" {
            problems.add(fields.place("kind"), "'\(kind)' is no kind of city; this version knows fabcity")
        }
        let place = fields.place("url")
        let url = fields.requiredText("url", &problems, example: "\"https://city.example\"")
        let tokenFile = fields.requiredText("token_file", &problems, example: "/etc/fabgate/city.token")
        var grains: [Window.Grain] = []
        for item in fields.list("grains", &problems) ?? [] {
            if case .scalar(let text, _) = item.content, let grain = Window.Grain(rawValue: text) {
                grains.append(grain)
            } else {
                problems.add(item.position, "a grain is PT1H or P1D, not \(item.kindInWords)")
            }
        }
        let detail = fields.text("detail", &problems) ?? "class"
        if !["class", "machine"].contains(detail) {
            problems.add(fields.place("detail"), "'detail' is class or machine, not '\(detail)'")
        }
        let tls = readTLS(&fields)
        var privacy = PrivacyRule()
        if var keys = fields.map("privacy", &problems) {
            privacy.threshold = Int64(keys.integer("threshold", in: 1...1000, &problems) ?? 5)
            privacy.dominance = Int64(keys.integer("dominance", in: 50...100, &problems) ?? 80)
            keys.finish(&problems)
        }
        guard let name, let url, let tokenFile else { return }
        let parts = Self.url(url)
        guard let parts,
            parts.scheme == "https" || parts.scheme == "http" && ["127.0.0.1", "::1", "localhost"].contains(parts.host)
        else {
            return problems.add(place, "'\(url)' must be an https:// address (http:// only to this machine itself)")
        }
        if configuration.cities.count == 1 {
            return problems.add(place, "this version pushes to one city; keep one entry")
        }
        configuration.cities.append(
            Configuration.City(
                name: name, url: url.hasSuffix("/") ? String(url.dropLast()) : url, tokenFile: tokenFile,
                grains: grains.isEmpty ? [.day] : grains, showsMachines: detail == "machine", privacy: privacy, tls: tls
            ))
    }
}
