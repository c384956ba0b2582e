import Model

/// Reads the text of a template. What binds how tightly is as in Jinja2: a filter before a sign, `*` before `+`.
///
///     template := "{{" guarded "}}" | "{%" if value "is defined" "%}" "{{" sum "}}" "{%" endif "%}"
///     guarded  := sum [ if value "is defined" [ else nothing ] ]
///     sum      := product { ("+" | "-") product }          product := signed { ("*" | "/") signed }
///     signed   := [ "-" ] primary { "|" filter }
///     primary  := number | value | "(" sum ")" | ("float" | "int") "(" sum [ "," number ] ")"
///     value    := "value" | "value_json" path
struct TemplateReader {
    /// The one value of a template, and what is done to it.
    struct Term {
        let path: JSONPath?
        var steps: [ValueTemplate.Step] = []
    }

    private enum Node {
        case number(Double)
        case term(Term)
    }

    private let text: [UInt8]
    private var at = 0
    private var depth = 0

    init(_ text: [UInt8]) { self.text = text }

    /// The whole text as one template; nil where it is none of these shapes.
    mutating func template() -> Term? {
        var needed: JSONPath??
        let isBlock = take("{%")
        if isBlock {
            takeTrim()
            guard take(word: "if"), let path = definedPath(), close("%}") else { return nil }
            needed = path
        }
        guard take("{{") else { return nil }
        takeTrim()
        guard case .term(let term)? = sum() else { return nil }
        if !isBlock, take(word: "if") {
            guard let path = definedPath() else { return nil }
            needed = path
            if take(word: "else"), !takeNothing() { return nil }
        }
        guard close("}}") else { return nil }
        if isBlock {
            guard take("{%") else { return nil }
            takeTrim()
            guard take(word: "endif"), close("%}") else { return nil }
        }
        // That it is there must have been asked of the value itself.
        if let needed, needed != term.path { return nil }
        skipBlanks()
        return at == text.count && term.steps.count <= 8 ? term : nil
    }

    /// A minus right at the braces takes away the blanks around them.
    private mutating func takeTrim() {
        if at < text.count, text[at] == UInt8(ascii: "-") { at += 1 }
    }

    private mutating func close(_ braces: String) -> Bool { take("-" + braces) || take(braces) }

    // MARK: expressions

    private mutating func sum() -> Node? {
        depth += 1
        defer { depth -= 1 }
        guard depth <= 8, var left = product() else { return nil }
        while true {
            // A minus before the closing braces trims blanks and is no sign.
            let isMinus = peek() == UInt8(ascii: "-") && !comes("-}}") && !comes("-%}")
            guard isMinus || peek() == UInt8(ascii: "+") else { return left }
            at += 1
            guard let right = product() else { return nil }
            switch (left, right) {
            case (.number(let a), .number(let b)): left = .number(isMinus ? a - b : a + b)
            case (.term(let term), .number(let b)): left = Self.adding(.add(isMinus ? -b : b), to: term)
            case (.number(let a), .term(let term)):
                left = Self.adding(.add(a), to: isMinus ? Self.negated(term) : term)
            case (.term, .term): return nil
            }
        }
    }

    private mutating func product() -> Node? {
        guard var left = signed() else { return nil }
        while let sign = peek(), sign == UInt8(ascii: "*") || sign == UInt8(ascii: "/") {
            at += 1
            let isDivision = sign == UInt8(ascii: "/")
            // `**` and `//` are other operators: no term begins with a sign of these.
            guard let right = signed() else { return nil }
            switch (left, right) {
            case (_, .number(0)) where isDivision: return nil
            case (.number(let a), .number(let b)): left = .number(isDivision ? a / b : a * b)
            case (.term(let term), .number(let b)): left = Self.adding(isDivision ? .divide(b) : .multiply(b), to: term)
            case (.number(let a), .term(let term)) where !isDivision: left = Self.adding(.multiply(a), to: term)
            default: return nil
            }
        }
        return left
    }

    /// A sign goes before the filters that follow: `-5 | abs` is 5.
    private mutating func signed() -> Node? {
        let isNegative = take("-")
        guard var node = primary() else { return nil }
        if isNegative {
            switch node {
            case .number(let number): node = .number(-number)
            case .term(let term): node = .term(Self.negated(term))
            }
        }
        while take("|") {
            guard let step = filter() else { return nil }
            guard let step else { continue }
            switch node {
            case .number(let number): node = .number(step.applied(to: number))
            case .term(let term): node = Self.adding(step, to: term)
            }
        }
        return node
    }

    private mutating func primary() -> Node? {
        if take("(") {
            guard let inner = sum(), take(")") else { return nil }
            return inner
        }
        if let number = number() { return .number(number) }
        let name = word()
        switch name {
        case "value": return .term(Term(path: nil))
        case "value_json": return path().map { .term(Term(path: $0)) }
        case "float", "int":
            guard take("("), let inner = sum() else { return nil }
            if take(","), number() == nil { return nil }
            guard take(")") else { return nil }
            guard name == "int" else { return inner }
            switch inner {
            case .number(let number): return .number(number.rounded(.towardZero))
            case .term(let term): return Self.adding(.truncate, to: term)
            }
        default: return nil
        }
    }

    private static func adding(_ step: ValueTemplate.Step, to term: Term) -> Node {
        var term = term
        term.steps.append(step)
        return .term(term)
    }

    private static func negated(_ term: Term) -> Term {
        var term = term
        term.steps.append(.multiply(-1))
        return term
    }

    /// What a filter does; the inner nil is one that changes nothing of a number.
    private mutating func filter() -> ValueTemplate.Step?? {
        switch word() {
        case "is_defined": return .some(nil)
        // A default for what is no number: such a thing is a fault here, so that it does not matter.
        case "float": return takeOptionalNumber() ? .some(nil) : nil
        case "int": return takeOptionalNumber() ? .truncate : nil
        case "abs": return .absolute
        case "default", "d":
            guard take("("), takeNothing(), take(")") else { return nil }
            return .some(nil)
        case "multiply":
            guard take("("), let factor = number(), take(")") else { return nil }
            return .multiply(factor)
        case "round":
            guard take("(") else { return .round(0) }
            guard let digits = number(), take(")"), digits == digits.rounded(), (0...9).contains(digits) else {
                return nil
            }
            return .round(Int(digits))
        default: return nil
        }
    }

    /// `value_json.a is defined`.
    private mutating func definedPath() -> JSONPath?? {
        let name = word()
        guard name == "value" || name == "value_json" else { return nil }
        var found: JSONPath?
        if name == "value_json" {
            guard let path = path() else { return nil }
            found = path
        }
        guard take(word: "is"), take(word: "defined") else { return nil }
        return .some(found)
    }

    // MARK: words

    private mutating func skipBlanks() {
        while at < text.count, text[at] <= 0x20 { at += 1 }
    }

    private mutating func peek() -> UInt8? {
        skipBlanks()
        return at < text.count ? text[at] : nil
    }

    private mutating func comes(_ sign: String) -> Bool {
        skipBlanks()
        return text[at...].starts(with: sign.utf8)
    }

    private mutating func take(_ sign: String) -> Bool {
        guard comes(sign) else { return false }
        at += sign.utf8.count
        return true
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
    }

    private mutating func word() -> String {
        skipBlanks()
        let start = at
        while at < text.count, Self.isWord(text[at]) { at += 1 }
        return String(decoding: text[start..<at], as: UTF8.self)
    }

    private mutating func take(word wanted: String) -> Bool {
        let start = at
        if word() == wanted { return true }
        at = start
        return false
    }

    private mutating func number() -> Double? {
        guard let first = peek(), (0x30...0x39).contains(first) else { return nil }
        let start = at
        while at < text.count, Self.isWord(text[at]) || text[at] == UInt8(ascii: ".") { at += 1 }
        guard let number = PlainNumber.parse(Array(text[start..<at]).span), number.isFinite else { return nil }
        return number
    }

    /// `(0)`, `(0.0)`, `(-1)`, or nothing at all; false where something else stands in the brackets.
    private mutating func takeOptionalNumber() -> Bool {
        guard take("(") else { return true }
        _ = take("-")
        return number() != nil && take(")")
    }

    /// `''`, `""`, `none` or `None`.
    private mutating func takeNothing() -> Bool {
        take("''") || take("\"\"") || take(word: "none") || take(word: "None")
    }

    /// What follows `value_json`, up to the next sign: `.a.b`, `['A']['B']`, `.a[0]`.
    private mutating func path() -> JSONPath? {
        let start = at
        while at < text.count {
            if text[at] == UInt8(ascii: "[") {
                guard let end = endOfBracket() else { return nil }
                at = end
            } else if text[at] == UInt8(ascii: ".") || Self.isWord(text[at]) {
                at += 1
            } else {
                break
            }
        }
        var path = text[start..<at]
        guard path.first == UInt8(ascii: ".") || path.first == UInt8(ascii: "[") else { return nil }
        if path.first == UInt8(ascii: ".") { path = path.dropFirst() }
        return JSONPath(String(decoding: path, as: UTF8.self))
    }

    /// A bracket may hold a quoted key, and that any sign but its quote.
    private func endOfBracket() -> Int? {
        guard at + 1 < text.count else { return nil }
        let first = text[at + 1]
        var end = at + 1
        if first == UInt8(ascii: "'") || first == UInt8(ascii: "\"") {
            guard let close = text[(at + 2)...].firstIndex(of: first) else { return nil }
            end = close + 1
        }
        guard let close = text[end...].firstIndex(of: UInt8(ascii: "]")) else { return nil }
        return close + 1
    }
}
