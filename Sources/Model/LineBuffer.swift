/// Cuts what arrives on a serial line into lines that end with LF; a CR before it goes, too.
package struct LineBuffer: Sendable {
    package enum Step: Sendable {
        /// The line goes on.
        case more
        /// `line` is whole, until the next byte is taken.
        case line
        /// The line is longer than the limit; it is dropped up to its end, and this is said once.
        case overlong
    }

    /// Without its end; empty for an empty line.
    package private(set) var line: [UInt8] = []
    private let limit: Int
    private var isWhole = false
    private var isOverlong = false

    package init(limit: Int) {
        self.limit = limit
        line.reserveCapacity(min(limit, 1024))
    }

    package mutating func take(_ byte: UInt8) -> Step {
        if isWhole { clear() }
        guard byte != 0x0A else {
            defer { isOverlong = false }
            guard !isOverlong else {
                line.removeAll(keepingCapacity: true)
                return .more
            }
            if line.last == 0x0D { line.removeLast() }
            isWhole = true
            return .line
        }
        guard !isOverlong else { return .more }
        guard line.count < limit else {
            isOverlong = true
            return .overlong
        }
        line.append(byte)
        return .more
    }

    /// The same for all that is left of a chunk, up to the end of the first line in it; `at` moves on.
    package mutating func take(_ bytes: borrowing Span<UInt8>, from at: inout Int) -> Step {
        if isWhole { clear() }
        let start = at
        while at < bytes.count, bytes[at] != 0x0A { at += 1 }
        if !isOverlong {
            guard line.count + (at - start) <= limit else {
                line.removeAll(keepingCapacity: true)
                isOverlong = true
                return .overlong
            }
            for i in start..<at { line.append(bytes[i]) }
        }
        guard at < bytes.count else { return .more }
        let end = bytes[at]
        at += 1
        return take(end)
    }

    /// Forgets a half line.
    package mutating func clear() {
        line.removeAll(keepingCapacity: true)
        isWhole = false
        isOverlong = false
    }
}
