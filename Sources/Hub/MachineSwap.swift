package import Model

/// Why a configuration cannot be changed so that one device follows another.
package struct SwapRefusal: Error, Hashable, Sendable, CustomStringConvertible {
    package let description: String
    init(_ description: String) { self.description = description }
}

/// Writes into a configuration that from one instant on another device stands at a machine: ends the term of the one,
/// begins that of the other, and ends that of the other at the machine where it was. Nothing else of the text changes.
///
///     devices: [plug-a, reader]                 devices:
///        becomes                                  - plug-a        # by the door
///     devices: [{ id: plug-a, until: "T" },        becomes
///       { id: plug-b, from: "T" }, reader]        - { id: plug-a, until: "T" }        # by the door
///                                                 - { id: plug-b, from: "T" }
package struct MachineSwap {
    let machine: String
    let old: String
    let new: String
    let time: Instant

    package init(machine: String, old: String, new: String, at time: Instant) {
        self.machine = machine
        self.old = old
        self.new = new
        self.time = time
    }

    /// A change of one file: at a place, so many characters become others.
    private struct Edit {
        let line: Int
        let column: Int
        var removed = 0
        let text: String
    }

    /// The text of one file after the swap; as it was where the file has no part in it.
    package func applied(to text: String, _ document: Document) throws(SwapRefusal) -> String {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { Array($0.unicodeScalars) }
        var edits: [Edit] = []
        for entry in Self.list("machines", in: document) {
            let isOwn = Self.text("id", in: entry) == machine
            for member in Self.list("devices", in: entry) {
                let name = Self.name(of: member)
                guard Self.isOpen(member) else { continue }
                if isOwn, name == old {
                    edits += try end(member, lines, follower: true)
                } else if !isOwn, name == new {
                    edits += try end(member, lines, follower: false)
                }
            }
        }
        // From the end, so that places before stay where they are.
        for edit in edits.sorted(by: { ($0.line, $0.column) > ($1.line, $1.column) }) {
            lines[edit.line].replaceSubrange(edit.column..<edit.column + edit.removed, with: edit.text.unicodeScalars)
        }
        return lines.map { line in
            var text = String.UnicodeScalarView()
            text.append(contentsOf: line)
            return String(text)
        }.joined(separator: "\n")
    }

    // MARK: the text

    private var stamp: String { "\"\(time)\"" }
    private var follower: String { "{ id: \(Self.quoted(new)), from: \(stamp) }" }

    /// Ends a member's term; `follower` if the other device comes in its place.
    private func end(
        _ member: Document, _ lines: [[Unicode.Scalar]], follower isFollowed: Bool
    ) throws(SwapRefusal) -> [Edit] {
        let (line, column) = (member.position.line - 1, member.position.column - 1)
        guard lines.indices.contains(line), column < lines[line].count else { throw refusal(member) }
        let dash = Self.dash(before: column, lines[line])
        var edits: [Edit] = []
        var last = (line: line, column: column)
        switch member.content {
        case .scalar(let name, _):
            let length = try length(of: name, member, lines[line][column...])
            edits.append(
                Edit(line: line, column: column, removed: length, text: "{ id: \(Self.quoted(name)), until: \(stamp) }")
            )
            last.column += length
        case .map(let entries) where lines[line][column] == "{":
            let close = try closing(member, lines)
            // Behind what stands last, not behind the blanks after it.
            var place = close
            while place.column > 0, lines[place.line][place.column - 1] == " " { place.column -= 1 }
            edits.append(
                Edit(line: place.line, column: place.column, text: "\(entries.isEmpty ? "" : ",") until: \(stamp)"))
            last = (close.line, close.column + 1)
        case .map(let entries):
            last.line = (entries.map(\.value.position.line).max() ?? member.position.line) - 1
            let margin = String(repeating: " ", count: column)
            edits.append(Edit(line: last.line, column: lines[last.line].count, text: "\n\(margin)until: \(stamp)"))
        default: throw refusal(member)
        }
        guard isFollowed else { return edits }
        if let dash {
            let margin = String(repeating: " ", count: dash)
            // Behind the end of the line, with the comment that stands there.
            let text = "\n\(margin)- \(follower)"
            if let same = edits.firstIndex(where: { $0.line == last.line && $0.column == lines[last.line].count }) {
                edits[same] = Edit(
                    line: last.line, column: edits[same].column, removed: edits[same].removed,
                    text: edits[same].text + text)
            } else {
                edits.append(Edit(line: last.line, column: lines[last.line].count, text: text))
            }
        } else {
            let text = ", \(follower)"
            if case .scalar = member.content {
                edits[0] = Edit(
                    line: edits[0].line, column: edits[0].column, removed: edits[0].removed, text: edits[0].text + text)
            } else {
                edits.append(Edit(line: last.line, column: last.column, text: text))
            }
        }
        return edits
    }

    private func refusal(_ member: Document) -> SwapRefusal {
        SwapRefusal(
            "\(member.position): this way of writing cannot be changed by itself; write there, by hand, `{ id: \(old), until: \(stamp) }` and `\(follower)`"
        )
    }

    /// How many characters a name takes, with its quotes.
    private func length(
        of name: String, _ member: Document, _ rest: ArraySlice<Unicode.Scalar>
    ) throws(SwapRefusal) -> Int {
        let quote = rest.first == "\"" || rest.first == "'" ? 1 : 0
        guard rest.dropFirst(quote).starts(with: name.unicodeScalars) else { throw refusal(member) }
        return name.unicodeScalars.count + 2 * quote
    }

    /// Where the brace of a map closes.
    private func closing(
        _ member: Document, _ lines: [[Unicode.Scalar]]
    ) throws(SwapRefusal) -> (line: Int, column: Int) {
        var (line, column) = (member.position.line - 1, member.position.column - 1)
        while lines.indices.contains(line) {
            if let found = lines[line][column...].firstIndex(of: "}") { return (line, found) }
            line += 1
            column = 0
        }
        throw refusal(member)
    }

    /// The place of the dash of a list's item, where it is written with one.
    private static func dash(before column: Int, _ line: [Unicode.Scalar]) -> Int? {
        guard let place = line[..<column].lastIndex(where: { $0 != " " }), line[place] == "-" else { return nil }
        return place
    }

    private static func quoted(_ name: String) -> String {
        let isPlain = name.utf8.allSatisfy { byte in
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95: true
            default: false
            }
        }
        return isPlain && name.utf8.first.map { $0 > 57 } ?? false ? name : "\"\(name)\""
    }

    // MARK: the tree

    private static func value(_ key: String, in document: Document) -> Document? {
        guard case .map(let entries) = document.content else { return nil }
        return entries.first { $0.key == key }?.value
    }

    private static func list(_ key: String, in document: Document) -> [Document] {
        guard case .list(let items)? = value(key, in: document)?.content else { return [] }
        return items
    }

    private static func text(_ key: String, in document: Document) -> String? {
        guard case .scalar(let text, _)? = value(key, in: document)?.content else { return nil }
        return text
    }

    private static func name(of member: Document) -> String? {
        if case .scalar(let name, _) = member.content { return name }
        return text("id", in: member)
    }

    private static func isOpen(_ member: Document) -> Bool { value("until", in: member) == nil }
}
