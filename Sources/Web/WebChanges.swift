package import Hub
package import Model

// What people may change over HTTP. So far that is one thing: which mould is in a machine.
//
// A page elsewhere can make a browser send a request here. So a change must come as JSON, which a foreign page cannot
// send without asking first, and where the browser tells from which page it comes, that page must be ours. And because
// there is no sign of who asks, changes are taken only where nobody but this machine can ask.

extension WebAPI {
    /// Carries out a request that changes something; nil for one that does not.
    package static func change(_ request: WebRequest, _ hub: inout Hub, at now: Now, isLocal: Bool) -> WebAnswer? {
        guard request.method == "POST" else { return nil }
        let parts = request.path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard parts.count == 5, parts[..<3] == ["api", "v1", "machines"], parts[4] == "mould" else { return nil }
        return refusal(request, isLocal: isLocal) ?? chooseMould(request, machine: parts[3], &hub, at: now)
    }

    /// Why nobody may change anything with this request; nil if they may.
    private static func refusal(_ request: WebRequest, isLocal: Bool) -> WebAnswer? {
        guard isLocal else {
            return .problem(
                403, "Not from here",
                "changes are taken on this machine alone; set http.listen to 127.0.0.1 and put a proxy with a login in front"
            )
        }
        if let site = request.header("sec-fetch-site"), site != "same-origin" {
            return .problem(403, "Another page's request", "only the gateway's own page may change something")
        }
        if let origin = request.header("origin") {
            let host = request.header("host") ?? ""
            guard !host.isEmpty, origin == "http://\(host)" || origin == "https://\(host)" else {
                return .problem(403, "Another page's request", "only the gateway's own page may change something")
            }
        }
        let type = request.header("content-type")?.split(separator: ";").first.map { String($0) } ?? ""
        guard type.lowercased() == "application/json" else {
            return .problem(
                415, "Not JSON", "send the change as application/json, such as {\"mould\":\"NAME\"}")
        }
        return nil
    }

    private static func chooseMould(
        _ request: WebRequest, machine: String, _ hub: inout Hub, at now: Now
    ) -> WebAnswer {
        guard request.body.count <= 1024, let name = JSON(request.body)?["mould"]?.text else {
            return .problem(
                400, "Which mould?", "send {\"mould\":\"NAME\"}; /api/v1/machines/\(machine) lists the names")
        }
        do throws(MouldRefusal) {
            try hub.choose(mould: name, machine: machine, at: now)
        } catch {
            switch error {
            case .noMachine:
                return .problem(
                    404, "No such machine", "no machine is called '\(machine)'; /api/v1/machines lists them")
            case .noMould(let names):
                return .problem(
                    422, "No such mould",
                    names.isEmpty
                        ? "\(machine) has no moulds; add them to 'moulds' in the configuration"
                        : "\(machine) has no mould '\(name.prefix(40))'; it has: \(names.joined(separator: ", "))")
            }
        }
        return .json(MachinesJSON.one(hub, machine, now) ?? .null)
    }
}
