import Model

// Devices, and the link that each is read from.

extension ConfigurationReader {
    mutating func readDevice(_ fields: inout Fields) {
        let before = problems.all.count
        let id = name(&fields, example: "laser-plug") { $0.deviceNumbers[$1] != nil }
        let driverName = fields.requiredText("driver", &problems, example: "tasmota")
        let model = fields.text("model", &problems)
        let known = driverName.flatMap { catalog.driver(named: $0)?.info }
        let endpoint = known?.asksHTTP == true ? readEndpoint(&fields, name: id ?? "") : nil
        let link = readLink(&fields, known, endpoint)
        let every = fields.duration("every", example: "5 s", &problems)
        let formerID = fields.text("was", &problems)
        let silence = fields.duration("silence", example: "5 min", &problems)
        let rating = fields.quantity("rating", ["W": 1, "kW": 1000], example: "3680 W", &problems)
        guard let id, let driverName else { return }
        guard let made = catalog.makeDriver(named: driverName, id: id, model: model, fields: fields, &problems),
            problems.all.count == before, let link
        else { return }
        switch (link, made.info.link) {
        case (.broker, .mqtt), (.line, .line), (.line, .bus), (.http, _): break
        default:
            let wanted = made.info.link == .mqtt ? "a broker (`mqtt: NAME`)" : "a serial line (`serial: NAME`)"
            return problems.add(fields.position, "device \(id): driver \(driverName) reads from \(wanted)")
        }
        // What speaks by itself and could be asked over HTTP has no turns where nobody can ask.
        let hasTurns = made.info.link != .mqtt || !made.info.asksHTTP || endpoint != nil
        let interval = every ?? made.profile?.every ?? (hasTurns ? made.info.every : nil)
        // Who is asked all the time has no reason to be silent, whatever its driver says of messages.
        let answers = endpoint == nil || made.info.link == .http ? made.info.silence : .minutes(5)
        let limit = silence ?? made.profile?.silence ?? answers
        // A driver that knows how much its device can carry says so by what it takes for plausible power.
        let carried = made.driver.channels.first { $0.name == "power" }?.plausible.upperBound ?? .infinity
        deviceNumbers[id] = configuration.devices.count
        configuration.devices.append(
            Configuration.Device(
                id: id, formerID: formerID, driverName: driverName, model: model, link: link,
                endpoint: endpoint.map { add($0) }, driver: made.driver, every: interval,
                // One missed answer is no silence, however rarely the device is asked.
                silence: max(limit, (interval ?? .zero) * 3), rating: rating ?? min(25_000, carried / 1.25)))
    }

    private mutating func readLink(
        _ fields: inout Fields, _ info: DriverInfo?, _ endpoint: Configuration.Endpoint?
    ) -> Configuration.Link? {
        let place = fields.position
        let http = Configuration.Link.http(configuration.endpoints.count)
        if let info, info.link == .http {
            if endpoint == nil, problems.isEmpty {
                problems.add(
                    place,
                    "\(fields.what) needs 'url': driver \(info.name) asks over HTTP, for example "
                        + "`url: \"http://192.168.1.30\"`")
            }
            return http
        }
        let mqtt = fields.text("mqtt", &problems)
        let serial = fields.text("serial", &problems)
        if mqtt == nil, serial == nil, endpoint != nil { return http }
        if let mqtt, serial == nil {
            let names = configuration.brokers.map(\.name)
            if let index = names.firstIndex(of: mqtt) { return .broker(index) }
            problems.add(
                fields.place("mqtt"),
                "no broker is called '\(mqtt)'" + Suggestion.phrase(for: mqtt, among: names)
                    + "; add it to 'mqtt:'")
        } else if let serial, mqtt == nil {
            let names = configuration.lines.map(\.name)
            if let index = names.firstIndex(of: serial) { return .line(index) }
            problems.add(
                fields.place("serial"),
                "no serial line is called '\(serial)'"
                    + Suggestion.phrase(for: serial, among: names) + "; add it to 'serial:'")
        } else {
            problems.add(
                place, "\(fields.what) needs either 'mqtt' or 'serial': the name of the link that it is read from")
        }
        return nil
    }

    private mutating func add(_ endpoint: Configuration.Endpoint) -> Int {
        configuration.endpoints.append(endpoint)
        return configuration.endpoints.count - 1
    }

    /// Where a device is asked over HTTP, and what lets us in: `url`, then `api_key_file`, or `username` and
    /// `password_file`.
    private mutating func readEndpoint(_ fields: inout Fields, name: String) -> Configuration.Endpoint? {
        let place = fields.place("url")
        let text = fields.text("url", &problems)
        let username = fields.text("username", &problems)
        let passwordFile = fields.text("password_file", &problems)
        let apiKeyFile = fields.text("api_key_file", &problems)
        let tls = readTLS(&fields)
        guard let text else {
            if username != nil || passwordFile != nil || apiKeyFile != nil || tls != nil {
                problems.add(fields.position, "\(fields.what) says how to be let in, but has no 'url' to go to")
            }
            return nil
        }
        guard !text.contains("@") else {
            problems.add(place, "a password does not belong into a 'url'; give `username` and `password_file`")
            return nil
        }
        guard let url = Self.url(text), ["http", "https"].contains(url.scheme),
            !text.contains("?"), !text.contains("#")
        else {
            problems.add(
                place, "'\(text)' is no address to ask; write http://HOST, http://HOST:PORT or https://HOST/PATH")
            return nil
        }
        if (username == nil) != (passwordFile == nil) {
            problems.add(place, "'username' and 'password_file' of \(fields.what) go together; give both or neither")
        }
        if apiKeyFile != nil, username != nil {
            problems.add(place, "\(fields.what) has both an API key and a user name; keep the one that it asks for")
        }
        if tls != nil, url.scheme != "https" {
            problems.add(place, "'tls' is given, but the url says http://; write https://")
        }
        var base = text
        while base.last == "/" { base.removeLast() }
        return Configuration.Endpoint(
            name: name, url: base, username: username, passwordFile: passwordFile, apiKeyFile: apiKeyFile, tls: tls)
    }

    /// Several devices share a line only if each speaks when asked.
    mutating func checkLines(_ place: Position?) {
        for (index, line) in configuration.lines.enumerated() {
            let users = configuration.devices.filter { $0.link == .line(index) }
            if users.count > 1, let alone = users.first(where: { $0.info.link == .line }), let place {
                problems.add(
                    place,
                    "serial line \(line.name): device \(alone.id) (\(alone.driverName)) needs a line of its own, but \(users.count) devices use it"
                )
            }
        }
    }
}
