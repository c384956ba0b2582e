// YAML through libyaml, into the tree that remembers where everything stood.

import CYaml
@preconcurrency import Glibc
package import Model

/// Why a file is not a YAML document that we read: where, and what was expected.
package struct YAMLError: Error, CustomStringConvertible {
    package let problem: Problem
    package init(_ position: Position, _ message: String) { problem = Problem(position, message) }
    package var description: String { problem.description }
}

/// Reads YAML 1.1 as libyaml knows it: one document, scalar keys, anchors and aliases, no tags of one's own.
package enum YAML {
    /// Longer files are refused.
    package static let longestFile = 4 << 20
    /// Values that a document may hold, each use of an alias counted as often as it stands for: 100 lines of aliases
    /// can stand for more values than there is memory.
    package static let mostValues = 100_000
    /// Lists and maps inside each other.
    package static let deepest = 64

    /// Reads a document from text; `file` is the name in positions. No text is an empty map.
    package static func parse(_ text: String, file: String) throws(YAMLError) -> Document {
        try parse(Array(text.utf8), file: file)
    }

    /// Reads a file: UTF-8, or UTF-16 with a byte order mark.
    /// - Parameter onEntry: hears of each key of the outermost map with its value as soon as that is read; whether the rest
    ///   of the file can be read is not known then.
    package static func load(
        path: String, onEntry: (_ key: String, _ value: Document) -> Void = { _, _ in }
    ) throws(YAMLError) -> Document {
        let start = Position(file: path, line: 1, column: 1)
        let bytes: [UInt8]
        do {
            bytes = try contents(of: path)
        } catch {
            throw YAMLError(start, "cannot read this file: \(error)")
        }
        return try parse(bytes, file: path, onEntry)
    }

    private static func contents(of path: String) throws(PortError) -> [UInt8] {
        let descriptor = try call("open", on: path) { open(path, O_RDONLY | O_CLOEXEC) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= longestFile {
            let count = try call("read", on: path) { read(descriptor, &piece, piece.count) }
            if count == 0 { break }
            bytes += piece[..<count]
        }
        return bytes
    }

    private static func parse(
        _ bytes: [UInt8], file: String, _ onEntry: (String, Document) -> Void = { _, _ in }
    ) throws(YAMLError) -> Document {
        guard bytes.count <= longestFile else {
            throw YAMLError(
                Position(file: file, line: 1, column: 1),
                "is longer than \(longestFile >> 20) MiB; a configuration is a few kilobytes, is this the right file?")
        }
        // An empty array has no address to give.
        guard !bytes.isEmpty else { return Document(.map([]), at: Position(file: file, line: 1, column: 1)) }
        let outcome = bytes.withUnsafeBufferPointer { input in
            Result { () throws(YAMLError) in
                var reader = Reader(input, file: file)
                defer { reader.close() }
                return try reader.document(onEntry)
            }
        }
        return try outcome.get()
    }
}

/// Turns libyaml's events into values. The parser points to itself, so it needs a place that never moves.
private struct Reader {
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let input: UnsafeBufferPointer<UInt8>
    private let file: String
    private var anchors: [String: Anchored] = [:]
    /// Anchors whose value is still being read: an alias to one would hold itself.
    private var open: Set<String> = []
    private var values = 0

    private struct Anchored {
        let document: Document
        /// Values inside it, itself counted, and lists and maps inside each other.
        let size: Int
        let height: Int
    }

    init(_ input: UnsafeBufferPointer<UInt8>, file: String) {
        self.input = input
        self.file = file
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        yaml_parser_initialize(parser)
        yaml_parser_set_input_string(parser, input.baseAddress, input.count)
    }

    func close() {
        yaml_parser_delete(parser)
        parser.deallocate()
    }

    /// What is left of an event when libyaml's memory is given back.
    private struct Event {
        var kind: yaml_event_type_t
        var position: Position
        var text = ""
        var isPlain = false
        var anchor: String?
        var tag: String?
    }

    mutating func document(_ onEntry: (String, Document) -> Void) throws(YAMLError) -> Document {
        _ = try next()  // the start of the stream
        let first = try next()
        guard first.kind == YAML_DOCUMENT_START_EVENT else {
            return Document(.map([]), at: Position(file: file, line: 1, column: 1))
        }
        let root = try root(onEntry)
        _ = try next()  // the end of the document
        let after = try next()
        guard after.kind == YAML_STREAM_END_EVENT else {
            throw YAMLError(after.position, "a second document starts here; a file holds one, so move this to its own")
        }
        if case .null = root.content { return Document(.map([]), at: root.position) }
        return root
    }

    private mutating func root(_ onEntry: (String, Document) -> Void) throws(YAMLError) -> Document {
        let event = try next()
        // An anchor of the whole would have to know its value.
        guard event.kind == YAML_MAPPING_START_EVENT, event.anchor == nil else {
            return try value(event, depth: 0).document
        }
        try count(1, at: event.position)
        return try map(event, depth: 0, onEntry).document
    }

    /// The value that starts with `event`, with its size and height.
    private mutating func value(_ event: Event, depth: Int) throws(YAMLError) -> Anchored {
        guard depth < YAML.deepest else {
            throw YAMLError(event.position, "lists and maps stand more than \(YAML.deepest) deep inside each other")
        }
        if event.kind == YAML_ALIAS_EVENT { return try alias(event, depth: depth) }
        try count(1, at: event.position)
        if let anchor = event.anchor { open.insert(anchor) }
        let read: Anchored
        switch event.kind {
        case YAML_SCALAR_EVENT: read = try scalar(event)
        case YAML_SEQUENCE_START_EVENT: read = try list(event, depth: depth)
        case YAML_MAPPING_START_EVENT: read = try map(event, depth: depth)
        default: throw YAMLError(event.position, "a value was expected here")
        }
        if let anchor = event.anchor {
            open.remove(anchor)
            anchors[anchor] = read
        }
        return read
    }

    private mutating func alias(_ event: Event, depth: Int) throws(YAMLError) -> Anchored {
        let name = event.anchor ?? ""
        guard !open.contains(name) else {
            throw YAMLError(event.position, "'*\(name)' stands inside the value that '&\(name)' names, without end")
        }
        guard let known = anchors[name] else {
            throw YAMLError(
                event.position,
                "no value before this is named '&\(name)'" + Suggestion.phrase(for: name, among: Array(anchors.keys))
                    + "; text that starts with '*' needs quotes")
        }
        guard depth + known.height <= YAML.deepest else {
            throw YAMLError(event.position, "lists and maps stand more than \(YAML.deepest) deep inside each other")
        }
        try count(known.size, at: event.position)
        return known
    }

    private mutating func count(_ more: Int, at position: Position) throws(YAMLError) {
        values += more
        guard values <= YAML.mostValues else {
            throw YAMLError(
                position,
                "the document holds more than \(YAML.mostValues) values here, aliases counted as what they mean")
        }
    }

    private func scalar(_ event: Event) throws(YAMLError) -> Anchored {
        let isText = try isText(event)
        let isNull = event.isPlain && !isText && ["", "~", "null", "Null", "NULL"].contains(event.text)
        let content: Document.Content =
            isNull ? .null : .scalar(event.text, isQuoted: !event.isPlain || isText)
        return Anchored(document: Document(content, at: event.position), size: 1, height: 0)
    }

    /// True where a tag says that the value is text. Tags that mean what we do anyway pass; others ask for something that
    /// would not happen, such as `!include` or `!secret`.
    private func isText(_ event: Event) throws(YAMLError) -> Bool {
        guard let tag = event.tag else { return false }
        let own = "tag:yaml.org,2002:"
        if tag == "!" || tag == own + "str" { return true }
        guard ["int", "float", "bool", "null", "seq", "map"].contains(where: { tag == own + $0 }) else {
            throw YAMLError(event.position, "the tag '\(tag)' means nothing here; write the value itself")
        }
        return false
    }

    private mutating func list(_ event: Event, depth: Int) throws(YAMLError) -> Anchored {
        _ = try isText(event)
        var items: [Document] = []
        var size = 1
        var height = 0
        while true {
            let item = try next()
            if item.kind == YAML_SEQUENCE_END_EVENT { break }
            let read = try value(item, depth: depth + 1)
            items.append(read.document)
            size += read.size
            height = max(height, read.height)
        }
        return Anchored(document: Document(.list(items), at: event.position), size: size, height: height + 1)
    }

    private mutating func map(
        _ event: Event, depth: Int, _ onEntry: (String, Document) -> Void = { _, _ in }
    ) throws(YAMLError) -> Anchored {
        _ = try isText(event)
        var entries: [Document.Entry] = []
        var size = 1
        var height = 0
        while true {
            let key = try next()
            if key.kind == YAML_MAPPING_END_EVENT { break }
            guard key.kind == YAML_SCALAR_EVENT else {
                throw YAMLError(key.position, "a key must be plain text, not a list, a map or an alias")
            }
            try count(1, at: key.position)
            let read = try value(try next(), depth: depth + 1)
            entries.append(Document.Entry(key: key.text, keyPosition: key.position, value: read.document))
            onEntry(key.text, read.document)
            size += read.size + 1
            height = max(height, read.height)
        }
        return Anchored(document: Document(.map(entries), at: event.position), size: size, height: height + 1)
    }

    // MARK: libyaml

    private func next() throws(YAMLError) -> Event {
        var raw = yaml_event_t()
        guard yaml_parser_parse(parser, &raw) == 1 else { throw error() }
        defer { yaml_event_delete(&raw) }
        var event = Event(kind: raw.type, position: position(raw.start_mark))
        switch raw.type {
        case YAML_SCALAR_EVENT:
            let scalar = raw.data.scalar
            event.text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
            event.isPlain = scalar.style == YAML_PLAIN_SCALAR_STYLE
            event.anchor = text(scalar.anchor)
            event.tag = text(scalar.tag)
        case YAML_SEQUENCE_START_EVENT:
            event.anchor = text(raw.data.sequence_start.anchor)
            event.tag = text(raw.data.sequence_start.tag)
        case YAML_MAPPING_START_EVENT:
            event.anchor = text(raw.data.mapping_start.anchor)
            event.tag = text(raw.data.mapping_start.tag)
        case YAML_ALIAS_EVENT:
            event.anchor = text(raw.data.alias.anchor)
        default: break
        }
        return event
    }

    private func text(_ bytes: UnsafeMutablePointer<UInt8>?) -> String? {
        bytes.map { String(cString: $0) }
    }

    private func position(_ mark: yaml_mark_t) -> Position {
        Position(file: file, line: mark.line + 1, column: mark.column + 1)
    }

    /// libyaml's own words, and what to do where they are hard to understand.
    private func error() -> YAMLError {
        let state = parser.pointee
        let said = state.problem.map { String(cString: $0) } ?? "this is not YAML"
        if state.error == YAML_READER_ERROR {
            return YAMLError(place(offset: state.problem_offset), "\(said); save the file as UTF-8 text")
        }
        if state.error == YAML_MEMORY_ERROR { return YAMLError(position(state.mark), "there is not enough memory") }
        var message = said
        if let context = state.context { message += ", \(String(cString: context))" }
        let start = state.context_mark
        if state.context != nil, start.line != state.problem_mark.line {
            message += " that starts on line \(start.line + 1)"
        }
        return YAMLError(position(state.problem_mark), message + advice(said, at: state.problem_mark))
    }

    private func advice(_ said: String, at mark: yaml_mark_t) -> String {
        // libyaml counts characters, so the line is looked up by its number.
        let lines = input.split(separator: 10, maxSplits: mark.line + 1, omittingEmptySubsequences: false)
        if mark.line < lines.count, lines[mark.line].prefix(while: { $0 == 32 || $0 == 9 }).contains(9) {
            return "; the line is indented by a tab, and YAML wants spaces"
        }
        if said.contains("mapping values are not allowed") {
            return "; check the indentation, and quote text that holds ': '"
        }
        if said.contains("could not find expected ':'") { return "; a line in a map is `key: value`" }
        if said.contains("expected <block end>") { return "; lines that belong together start in the same column" }
        return ""
    }

    /// Line and column of a byte, where libyaml gives only its number.
    private func place(offset: Int) -> Position {
        let before = input[..<max(0, min(offset, input.count))]
        let line = before.count { $0 == 10 } + 1
        let lineStart = before.lastIndex(of: 10).map { $0 + 1 } ?? 0
        let column = before[lineStart...].count { $0 & 0xC0 != 0x80 } + 1
        return Position(file: file, line: line, column: column)
    }
}
