package import Model

/// Microcontrollers that print names and numbers, one record a line, LF or CR LF, up to 1024 bytes:
///
///     MSG:184,V1:219.42,P1:742,E1:48213,pulse:77121⏎       name:value (emonTx)
///     id=lathe w=742.1 wh=48213⏎                           name=value
///     #w,wh⏎                                               or columns under a head
///     742.1,48213⏎
///     {"MSG":185,"V1":219.42,"P1":742,"E1":48213}⏎         or one JSON object
///
/// Between pairs stand commas, semicolons or blanks. Which name feeds which channel is the model's profile. There is no
/// checksum, so that a line counts only as a whole: every member that the profile names must be there, once, as a
/// number, and nothing that is neither pair nor column may stand beside it.
///
/// A channel shows what the board shows. A count that begins anew after a restart is the usage rules' to judge; that there
/// was one is told where the profile names a member that only goes up while the board runs.
package struct LineText: DeviceDriver {
    package static let info = DriverInfo(
        name: "line-text", title: "Microcontrollers that print name:value, name=value or columns", link: .line,
        family: "meters", needsModel: true, silence: .minutes(1))

    package let channels: [Channel]
    private let members: [Member]
    /// Lines that do not begin so are talk: version, settings, radio.
    private let start: [UInt8]
    /// Counts lines or seconds since the board started, so that it falls with every start; empty for none.
    private let sinceStart: [UInt8]
    private var lastSinceStart: Double?

    private var lines = LineBuffer(limit: 1024)
    /// Nothing was seen of the first line's beginning.
    private var isFirstLine = true
    /// The column of each member after a head; `columns` is 0 where there was none.
    private var columnOf: [Int?]
    private var columns = 0
    private var sinceStartColumn: Int?
    private var found: [Double?]
    private var sinceStartNow: Double?

    private struct Member: Sendable {
        let name: [UInt8]
        let channel: Int
        let scale: Double
        let unavailable: [Double]
        let isOptional: Bool
    }

    /// Device key: `pulses_per_kwh`, where the model counts pulses and this meter's constant is another.
    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        let before = problems.all.count
        guard var profile = setup.profile else {
            problems.add(setup.fields.position, "device \(setup.id) needs 'model': what its lines hold")
            return nil
        }
        let measured = profile.channels(of: [.gauge, .counter], &problems)
        let settings = profile.map("settings", &problems)
        setup.profile = profile
        guard var settings else {
            problems.add(profile.position, "\(profile.what) needs 'settings' with 'members'")
            return nil
        }
        start = Array((settings.text("start", &problems) ?? "").utf8)
        sinceStart = Array((settings.text("since_start", &problems) ?? "").utf8)
        channels = measured + (sinceStart.isEmpty ? [] : [Channel("restart", nil, .event)])
        let constant = setup.fields.integer("pulses_per_kwh", in: 1...1_000_000, &problems)
        members = Self.members(&settings, constant, measured, &problems)
        settings.finish(&problems)
        guard problems.all.count == before else { return nil }
        columnOf = [Int?](repeating: nil, count: members.count)
        found = [Double?](repeating: nil, count: members.count)
    }

    /// `start`: what each record begins with. `since_start`: the member that tells of restarts. `members`: a list of `{ name, channel }` with `scale`, `pulses_per_kwh`, `unavailable`, `optional` where needed.
    private static func members(
        _ settings: inout Fields, _ constant: Int?, _ channels: [Channel], _ problems: inout Problems
    ) -> [Member] {
        guard let items = settings.list("members", &problems), !items.isEmpty, items.count <= 64 else {
            problems.add(
                settings.position,
                "\(settings.what) needs 'members', such as [{ name: P1, channel: power }], at most 64")
            return []
        }
        var members: [Member] = []
        for item in items {
            guard var fields = Fields(item, "a member", &problems) else { continue }
            let name = fields.requiredText("name", &problems, example: "P1")
            let channel = fields.channel(among: channels, &problems)
            let pulses = fields.integer("pulses_per_kwh", in: 1...1_000_000, &problems)
            let scale = fields.number("scale", &problems)
            let isOptional = fields.flag("optional", &problems) ?? false
            let unavailable = (fields.list("unavailable", &problems) ?? []).compactMap(\.number)
            fields.finish(&problems)
            guard let name, let channel else { continue }
            if scale == 0 || scale != nil && pulses != nil {
                problems.add(item.position, "'scale' cannot be 0, and a count of pulses has 'pulses_per_kwh' instead")
            }
            if pulses != nil, channels[channel].unit != .milliwattHour {
                problems.add(item.position, "'pulses_per_kwh' counts energy; the channel's unit must be mWh")
            }
            if members.contains(where: { $0.channel == channel }) {
                problems.add(item.position, "channel '\(channels[channel].name)' is fed twice")
            }
            let perPulse = pulses.map { 1e6 / Double(constant ?? $0) }
            members.append(
                Member(
                    name: Array(name.utf8), channel: channel, scale: perPulse ?? scale ?? 1, unavailable: unavailable,
                    isOptional: isOptional))
        }
        for (index, channel) in channels.enumerated() where !members.contains(where: { $0.channel == index }) {
            problems.add(settings.position, "no member feeds channel '\(channel.name)'")
        }
        return members
    }

    package mutating func opened(_ out: inout Outbox) {
        lines.clear()
        isFirstLine = true
        columns = 0
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        for i in bytes.indices {
            switch lines.take(bytes[i]) {
            case .more: break
            case .overlong: out.note(.overrun, "a line longer than 1024 bytes")
            case .line where out.readings.count + members.count > 64: out.note(.overrun, "too many lines at once")
            case .line:
                take(lines.line, &out)
                isFirstLine = false
            }
        }
    }

    private mutating func take(_ whole: [UInt8], _ out: inout Outbox) {
        // Line noise while a board starts.
        let line = whole.drop { $0 <= 0x20 }
        guard let first = line.first, line.starts(with: start) || first == 0x23 || first == 0x7B else { return }
        if first == 0x7B { return settle(readObject(Array(line).span), line, &out) }
        let parts = line.split(omittingEmptySubsequences: false) {
            $0 == 0x2C || $0 == 0x3B || $0 == 0x20 || $0 == 0x09
        }
        .filter { !$0.isEmpty }
        if first == 0x23 { return takeHead(parts) }
        forget()
        let isPair = parts.first?.contains { $0 == 0x3A || $0 == 0x3D } == true
        settle(isPair ? readPairs(parts) : readColumns(parts), line, &out)
    }

    private mutating func forget() {
        for i in found.indices { found[i] = nil }
        sinceStartNow = nil
    }

    /// Tells what was found, if it is a whole record.
    private mutating func settle(_ isWhole: Bool, _ line: ArraySlice<UInt8>, _ out: inout Outbox) {
        let isComplete = members.indices.allSatisfy { found[$0] != nil || members[$0].isOptional }
        guard isWhole, isComplete else {
            // The first line may be a part of one.
            if !isFirstLine { out.note(.badFrame, "not a whole record: \(Self.text(line))") }
            return
        }
        publish(&out)
    }

    /// `#w,wh`: names for the columns below. Without all that must be there it is a remark.
    private mutating func takeHead(_ parts: [ArraySlice<UInt8>]) {
        let names = parts.enumerated().map { $0 == 0 ? $1.dropFirst() : $1 }.filter { !$0.isEmpty }
        let places = members.map { member in names.firstIndex { $0.elementsEqual(member.name) } }
        guard members.indices.allSatisfy({ places[$0] != nil || members[$0].isOptional }) else { return }
        columns = names.count
        columnOf = places
        sinceStartColumn = sinceStart.isEmpty ? nil : names.firstIndex { $0.elementsEqual(sinceStart) }
    }

    private mutating func readColumns(_ parts: [ArraySlice<UInt8>]) -> Bool {
        guard columns > 0, parts.count == columns else { return false }
        for i in members.indices {
            guard let column = columnOf[i] else { continue }
            guard let number = Self.number(parts[column]) else { return false }
            found[i] = number
        }
        if let column = sinceStartColumn { sinceStartNow = Self.number(parts[column]) }
        return true
    }

    private mutating func readPairs(_ parts: [ArraySlice<UInt8>]) -> Bool {
        for part in parts {
            guard let sign = part.firstIndex(where: { $0 == 0x3A || $0 == 0x3D }) else { return false }
            if !sinceStart.isEmpty, part[..<sign].elementsEqual(sinceStart) {
                sinceStartNow = Self.number(part[(sign + 1)...])
            }
            guard let i = members.firstIndex(where: { part[..<sign].elementsEqual($0.name) }) else { continue }
            guard found[i] == nil, let number = Self.number(part[(sign + 1)...]) else { return false }
            found[i] = number
        }
        return true
    }

    /// An object whose members of the profile are numbers; what else it holds may be anything.
    private mutating func readObject(_ b: borrowing Span<UInt8>) -> Bool {
        forget()
        var json = JSONScanner()
        guard json.beginObject(b) else { return false }
        while let key = json.nextKey(b) {
            let isSinceStart = !sinceStart.isEmpty && Self.equal(key, sinceStart, b)
            let place = members.firstIndex { Self.equal(key, $0.name, b) }
            guard isSinceStart || place != nil else {
                json.skip(b)
                continue
            }
            guard let number = json.number(b) else { return false }
            if isSinceStart { sinceStartNow = number }
            guard let place else { continue }
            guard found[place] == nil else { return false }
            found[place] = number
        }
        return json.finish(b)
    }

    private static func equal(_ range: Range<Int>, _ name: [UInt8], _ b: borrowing Span<UInt8>) -> Bool {
        guard range.count == name.count else { return false }
        for i in name.indices where name[i] != b[range.lowerBound + i] { return false }
        return true
    }

    private mutating func publish(_ out: inout Outbox) {
        out.alive()
        if let now = sinceStartNow {
            // Before the counts: they began anew with it.
            if let last = lastSinceStart, now < last { out.report(channels.count - 1, event: "restarted") }
            lastSinceStart = now
        }
        for i in members.indices {
            guard let number = found[i] else { continue }
            let member = members[i]
            if member.unavailable.contains(number) {
                out.reportUnknown(member.channel)
                continue
            }
            // 12 × 0.1 is 1.2000000000000002; 12 / 10 is 1.2.
            let divisor = (1 / member.scale).rounded()
            let isFraction = divisor.magnitude > 1 && (divisor * member.scale - 1).magnitude < 1e-9
            let value = isFraction ? number / divisor : number * member.scale
            out.report(
                member.channel, of: channels, channels[member.channel].kind == .counter ? value.rounded() : value)
        }
    }

    /// A decimal number of at most 24 characters; nan, inf and hex are none.
    private static func number(_ b: ArraySlice<UInt8>) -> Double? {
        let isDecimal = b.allSatisfy {
            (0x30...0x39).contains($0) || $0 == 0x2E || $0 == 0x2D || $0 == 0x2B || $0 | 0x20 == 0x65
        }
        guard isDecimal, b.count <= 24, let number = Double(String(decoding: b, as: UTF8.self)), number.isFinite else {
            return nil
        }
        return number
    }

    private static func text(_ line: ArraySlice<UInt8>) -> String {
        String(decoding: line.prefix(60).map { $0 >= 0x20 && $0 < 0x7F ? $0 : 0x2E }, as: UTF8.self)
    }
}
