package import CityLink
package import Model

/// Windows for a file, page by page, so that a book of any size needs the memory of one page.
package struct RollupExport: Hashable, Sendable {
    package enum Format: String, CaseIterable, Sendable {
        /// One line a window with its totals, under a header.
        case csv
        /// One object a line: `{"digest","received","rollup"}`.
        case json
    }

    package var format: Format
    package var grain: RollupGrain?
    package var from: Instant
    package var to: Instant
    /// Where the page before ended.
    package var after: RollupKey?

    package init(
        format: Format, grain: RollupGrain? = nil, from: Instant = .distantPast, to: Instant = .distantFuture,
        after: RollupKey? = nil
    ) {
        self.format = format
        self.grain = grain
        self.from = from
        self.to = to
        self.after = after
    }

    /// One page, and where the next begins; nil after the last.
    package func page(of book: some RollupBook) throws(BookError) -> (text: [UInt8], next: RollupKey?) {
        var text = format == .csv && after == nil ? RollupTable.header : []
        var last: RollupKey?
        var more = false
        try book.forEach(RollupQuery(grain: grain, from: from, to: to, after: after)) { rollup in
            guard text.count < 1 << 20 else {
                more = true
                return false
            }
            last = rollup.key
            switch format {
            case .csv: RollupTable.append(rollup, .total, to: &text)
            case .json:
                text += Array("{\"digest\":\"\(rollup.digest)\",\"received\":\"\(rollup.received)\",\"rollup\":".utf8)
                text += rollup.text
                text += [UInt8(ascii: "}"), 10]
            }
            return true
        }
        return (text, more ? last : nil)
    }

    package var json: JSON {
        .object([
            "do": .string("export"), "format": .string(format.rawValue), "grain": .optional(grain?.rawValue),
            "from": .string("\(from.milliseconds)"), "to": .string("\(to.milliseconds)"),
            "after": .optional(after?.description),
        ])
    }

    package init?(_ json: JSON) {
        guard json["do"]?.text == "export", let format = json["format"]?.text.flatMap(Format.init(rawValue:)),
            let from = json["from"]?.text.flatMap({ Int64($0) }), let to = json["to"]?.text.flatMap({ Int64($0) })
        else { return nil }
        self.init(
            format: format, grain: json["grain"]?.text.flatMap(RollupGrain.init(rawValue:)),
            from: Instant(milliseconds: from), to: Instant(milliseconds: to),
            after: json["after"]?.text.flatMap { RollupKey($0) })
    }
}
