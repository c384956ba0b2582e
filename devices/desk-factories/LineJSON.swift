package import Model

/// Microcontrollers that print one JSON object a line, 115200 8N1:
///
///     {"v":1,"id":"desk1","boot":3,"up":81234,"shots":1042,"clamp":1,"in":[1,0],"mass_g":12.4,"t":[203.1,198.7]}⏎
///     {"v":1,"boot":3,"up":81239,"shots":1042,"clamp":0}*4b⏎
///
/// Each line repeats cumulative counts, so that a lost line loses nothing. `*hh` is the XOR of all bytes before it, in
/// hex; it may be left out unless the profile demands it. CR LF will do. Which member feeds which channel stands in
/// the profile.
///
/// A board that restarts may count from zero again. When `boot` changed or `up` fell, and a count fell with it, the
/// driver adds what was counted before, so that its channel goes on. `boot` and the counts are remembered over a restart
/// of the gateway: a board that forgot its counts meanwhile is known by its `boot`, and nothing is counted twice.
package struct LineJSON: DeviceDriver {
    package static let info = DriverInfo(
        name: "line-json", title: "Microcontrollers that print a JSON object a line", link: .line,
        family: "desk-factories", needsModel: true, silence: .seconds(15))

    package let channels: [Channel]
    private let members: [LineMember]
    private let boot: [UInt8]
    private let up: [UInt8]
    private let version: Double?
    private let demandsChecksum: Bool

    private var lines = LineBuffer(limit: 1024)
    /// Nothing was seen of the first line's beginning: it may be a part, and is no fault then.
    private var isFirstLine = true
    /// What the line at hand says, one for each of `members`.
    private var found: [Found]
    private var counts: [Count]
    /// What is remembered would be another text.
    private var hasNews = false
    private var seen = Evidence()
    private var last = Evidence()

    /// What a line says about the board itself.
    private struct Evidence: Sendable {
        var boot: Double?
        var up: Double?
        var version: Double?
    }

    /// What a member of a line holds.
    private enum Found: Sendable {
        case absent
        case null
        case number(Double)
        /// The place of a word in the member's list.
        case word(Int)
        case unusable
    }

    /// One counter over the restarts of its board.
    private struct Count: Sendable {
        var base = 0.0
        var last: Double?
    }

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        guard var profile = setup.profile else {
            problems.add(setup.fields.position, "device \(setup.id) needs 'model': what its lines hold")
            return nil
        }
        channels = profile.channels(of: [.gauge, .counter, .event], &problems)
        let settings = profile.map("settings", &problems)
        setup.profile = profile
        guard var settings else {
            problems.add(profile.position, "\(profile.what) needs 'settings' with 'members'")
            return nil
        }
        boot = Array((settings.text("boot", &problems) ?? "boot").utf8)
        up = Array((settings.text("up", &problems) ?? "up").utf8)
        version = settings.number("version", &problems)
        demandsChecksum = settings.choice("checksum", of: Checksum.self, &problems) == .required
        members = LineMember.list(&settings, channels: channels, &problems)
        settings.finish(&problems)
        guard problems.all.count == before else { return nil }
        found = [Found](repeating: .absent, count: members.count)
        counts = [Count](repeating: Count(), count: members.count)
    }

    private enum Checksum: String, CaseIterable { case optional, required }

    /// No board counts further; a damaged line may say so.
    private static let most = 1e12

    package mutating func opened(_ out: inout Outbox) {
        lines.clear()
        isFirstLine = true
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        for i in bytes.indices {
            switch lines.take(bytes[i]) {
            case .more: break
            case .overlong: out.note(.overrun, "a line longer than 1024 bytes")
            case .line where out.readings.count + members.count > 64:
                // More than a board can say in the time between two calls; the next line repeats what counts.
                out.note(.overrun, "too many lines at once")
            case .line:
                let line = lines.line
                take(line.span, &out)
                isFirstLine = false
            }
        }
    }

    // MARK: over a restart of the gateway

    /// `3;1042+500;12+0`: the board's `boot`, and of each counter what it shows and what was counted before; nil where the
    /// board tells no `boot`, or it would be too long.
    private var memory: String? {
        guard let boot = last.boot, boot.magnitude < Self.most else { return nil }
        var parts = ["\(Int64(boot))"]
        for index in members.indices where channels[members[index].channel].kind == .counter {
            parts.append(counts[index].last.map { "\(Int64($0))+\(Int64(counts[index].base))" } ?? "")
        }
        let text = parts.joined(separator: ";")
        return text.utf8.count <= 96 ? text : nil
    }

    package mutating func recall(_ memory: String) {
        let parts = memory.split(separator: ";", omittingEmptySubsequences: false)
        let counters = members.indices.filter { channels[members[$0].channel].kind == .counter }
        guard parts.count == counters.count + 1, let boot = Int64(parts[0]) else { return }
        last.boot = Double(boot)
        for (index, part) in zip(counters, parts.dropFirst()) {
            let numbers = part.split(separator: "+").compactMap { Int64($0) }
            guard numbers.count == 2, numbers.allSatisfy({ (0..<Int64(Self.most)).contains($0) }) else { continue }
            counts[index] = Count(base: Double(numbers[1]), last: Double(numbers[0]))
        }
    }

    // MARK: one line

    private mutating func take(_ line: borrowing Span<UInt8>, _ out: inout Outbox) {
        var end = line.count
        while end > 0, line[end - 1] == 0x20 { end -= 1 }
        var start = 0
        // Line noise while a board starts.
        while start < end, line[start] < 0x20 { start += 1 }
        guard start < end else { return }
        let hasChecksum = end - start > 3 && line[end - 3] == 0x2A
        if hasChecksum {
            guard Self.checksumFits(line, start..<end - 3, high: line[end - 2], low: line[end - 1]) else {
                if !isFirstLine {
                    out.note(.badChecksum, "the line's XOR is not its *\(Self.text(line, end - 2..<end))")
                }
                return
            }
            end -= 3
        } else if demandsChecksum {
            if !isFirstLine { out.note(.badChecksum, "a line without its *hh") }
            return
        }
        let object = line.extracting(start..<end)
        guard read(object) else {
            if !isFirstLine { out.note(.badFrame, "no JSON object: \(Self.text(object, 0..<min(60, object.count)))") }
            return
        }
        publish(&out)
    }

    /// Takes all members of one object; false where it is no whole object. Nothing is published before that is known.
    private mutating func read(_ b: borrowing Span<UInt8>) -> Bool {
        for i in found.indices { found[i] = .absent }
        seen = Evidence()
        var scanner = JSONScanner()
        guard scanner.beginObject(b) else { return false }
        while let key = scanner.nextKey(b) {
            switch scanner.peek(b) {
            case .object:
                _ = scanner.beginObject(b)
                while let inner = scanner.nextKey(b) { readValue(key, .name(inner), &scanner, b) }
            case .array:
                _ = scanner.beginArray(b)
                var index = 0
                while scanner.nextElement(b) {
                    readValue(key, .index(index), &scanner, b)
                    index += 1
                }
            default: readValue(key, .whole, &scanner, b)
            }
        }
        return scanner.finish(b)
    }

    private mutating func readValue(
        _ key: Range<Int>, _ part: LineMember.Part, _ scanner: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        let index = members.firstIndex { $0.fits(key, part, b) }
        let value: Found
        switch scanner.peek(b) {
        case .number: value = scanner.number(b).map { .number($0) } ?? .unusable
        case .bool: value = scanner.bool(b).map { .number($0 ? 1 : 0) } ?? .unusable
        case .null: value = scanner.null(b) ? .null : .unusable
        case .string:
            guard let text = scanner.string(b) else { return }
            value = index.flatMap { members[$0].word(text, b) }.map { .word($0) } ?? .unusable
        default:
            scanner.skip(b)
            value = .unusable
        }
        if let index { found[index] = value }
        guard case .number(let number) = value, case .whole = part else { return }
        if LineMember.equal(key, boot, b) { seen.boot = number }
        if LineMember.equal(key, up, b) { seen.up = number }
        if version != nil, LineMember.equal(key, Self.versionKey, b) { seen.version = number }
    }

    private static let versionKey: [UInt8] = [0x76]

    // MARK: what it says

    private mutating func publish(_ out: inout Outbox) {
        if let version, let said = seen.version, said != version {
            return out.note(.unknownValue, "version \(said) of the line format; this profile knows \(version)")
        }
        out.alive()
        let hasRestarted = Self.differs(seen.boot, last.boot) || Self.fell(seen.up, last.up)
        if Self.differs(seen.boot, last.boot) { hasNews = true }
        last.boot = seen.boot ?? last.boot
        last.up = seen.up ?? last.up
        for index in members.indices {
            let channel = members[index].channel
            switch found[index] {
            case .absent: break
            case .null: out.reportUnknown(channel)
            case .unusable: out.note(.badValue, "\(channels[channel].name): neither a number nor a known word")
            case .word(let place):
                if channels[channel].kind == .event {
                    out.report(channel, event: members[index].words[place])
                } else {
                    out.note(.badValue, "\(channels[channel].name) is a word")
                }
            case .number(let number): publish(number, index, hasRestarted, &out)
            }
        }
        if hasNews, let memory { out.remember(memory) }
        hasNews = false
    }

    private mutating func publish(_ number: Double, _ index: Int, _ hasRestarted: Bool, _ out: inout Outbox) {
        let member = members[index]
        let channel = channels[member.channel]
        switch channel.kind {
        case .counter:
            guard number >= 0, number < Self.most else {
                return out.note(.badValue, "\(channel.name) counts to \(number)")
            }
            if hasRestarted, let last = counts[index].last, number < last, counts[index].base + last < Self.most {
                counts[index].base += last
            }
            if counts[index].last != number { hasNews = true }
            counts[index].last = number
            out.report(member.channel, of: channels, member.scaled(number + counts[index].base).rounded())
        case .gauge:
            if member.unavailable.contains(number) {
                out.note(.sensorFault, "\(channel.name) shows \(number), which is no measurement")
                return out.reportUnknown(member.channel)
            }
            out.report(member.channel, of: channels, member.scaled(number))
        default: out.note(.badValue, "\(channel.name) is a number, not a word")
        }
    }

    private static func differs(_ now: Double?, _ before: Double?) -> Bool {
        guard let now, let before else { return false }
        return now != before
    }

    private static func fell(_ now: Double?, _ before: Double?) -> Bool {
        guard let now, let before else { return false }
        return now < before
    }

    private static func checksumFits(
        _ line: borrowing Span<UInt8>, _ range: Range<Int>, high: UInt8, low: UInt8
    ) -> Bool {
        func digit(_ byte: UInt8) -> UInt8? {
            switch byte {
            case 0x30...0x39: byte - 0x30
            case 0x41...0x46: byte - 0x37
            case 0x61...0x66: byte - 0x57
            default: nil
            }
        }
        guard let high = digit(high), let low = digit(low) else { return false }
        var sum: UInt8 = 0
        for i in range { sum ^= line[i] }
        return sum == high << 4 | low
    }

    /// Bytes for a message; what is not printable becomes a dot.
    private static func text(_ b: borrowing Span<UInt8>, _ range: Range<Int>) -> String {
        var text = ""
        for i in range { text.unicodeScalars.append(b[i] >= 0x20 && b[i] < 0x7F ? Unicode.Scalar(b[i]) : ".") }
        return text
    }
}
