// How a lab becomes known, and how it gets a new token.

import CityLink
package import Model

/// One command about labs, as the program takes it and as it is handed to a collector that runs.
package enum LabCommand: Hashable, Sendable {
    case add(id: String, name: String?)
    case list
    case rotate(id: String)
    case disable(id: String)

    package var json: JSON {
        switch self {
        case .add(let id, let name): .object(["do": .string("add"), "id": .string(id), "name": .optional(name)])
        case .list: .object(["do": .string("list")])
        case .rotate(let id): .object(["do": .string("rotate"), "id": .string(id)])
        case .disable(let id): .object(["do": .string("disable"), "id": .string(id)])
        }
    }

    package init?(_ json: JSON) {
        switch (json["do"]?.text, json["id"]?.text) {
        case ("add", let id?): self = .add(id: id, name: json["name"]?.text)
        case ("list", _): self = .list
        case ("rotate", let id?): self = .rotate(id: id)
        case ("disable", let id?): self = .disable(id: id)
        default: return nil
        }
    }
}

/// Why a command about labs was not carried out.
package enum LabCommandFailure: Error, Hashable, Sendable {
    /// What was asked makes no sense, or there is no such lab.
    case refused(String)
    case book(String)
}

extension LabRecord {
    package var json: JSON {
        .object([
            "lab": .string(id), "name": .string(name), "epoch": .integer(epoch),
            "enrolled": .string(enrolled.description), "disabled": .bool(isDisabled),
            "last_received": .optional(lastReceived?.description),
        ])
    }
}

extension Collector {
    /// Carries out a command; `token` is fresh and random. Gives what goes to standard output.
    package func perform(
        _ command: LabCommand, token: String, now: Instant
    ) throws(LabCommandFailure) -> JSON {
        let outcome: Result<JSON, LabCommandFailure>
        do throws(BookError) {
            outcome = try carryOut(command, token, now)
        } catch {
            throw .book(error.description)
        }
        return try outcome.get()
    }

    private func carryOut(
        _ command: LabCommand, _ token: String, _ now: Instant
    ) throws(BookError) -> Result<JSON, LabCommandFailure> {
        switch command {
        case .list:
            return .success(.array(try book.labs().map(\.json)))
        case .add(let id, let name):
            guard RollupContent.isLabID(id) else {
                return .failure(.refused("'\(id)' is no lab id; it must be a URN such as urn:fablabs:io:lab:example"))
            }
            let name = name ?? id
            guard (1...200).contains(name.utf8.count) else {
                return .failure(.refused("a lab's name must have 1 to 200 bytes"))
            }
            guard try book.lab(id) == nil else {
                return .failure(.refused("\(id) is enrolled already; fabcity lab rotate gives it a new token"))
            }
            let epoch = try book.highestEpoch(of: id) + 1
            return .success(try enrol(LabRecord(id: id, name: name, epoch: epoch, enrolled: now), token))
        case .rotate(let id):
            guard var lab = try book.lab(id) else { return .failure(unknown(id)) }
            // Above everything that was ever sent, so that the new incarnation wins.
            lab.epoch = max(lab.epoch, try book.highestEpoch(of: id)) + 1
            lab.isDisabled = false
            return .success(try enrol(lab, token))
        case .disable(let id):
            guard var lab = try book.lab(id) else { return .failure(unknown(id)) }
            lab.isDisabled = true
            try book.put(lab)
            return .success(lab.json)
        }
    }

    private func enrol(_ lab: LabRecord, _ token: String) throws(BookError) -> JSON {
        var lab = lab
        lab.tokenHash = sha256(Array(token.utf8))
        try book.put(lab)
        return .object(["lab": .string(lab.id), "epoch": .integer(lab.epoch), "token": .string(token)])
    }

    private func unknown(_ id: String) -> LabCommandFailure {
        .refused("\(id) is not enrolled here; fabcity lab list shows who is")
    }
}
