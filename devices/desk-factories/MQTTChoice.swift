package import Model

/// Whatever a lab uses to say which mould is in a press, as one word on an MQTT topic: a button box, a card with a code,
/// a page of its own.
///
///     lab/press/mould    pot-9cm
///     lab/press/mould    {"mould":"pot-9cm"}
///
/// Only what can be the name of a mould passes, so that no text about a person does. A retained message would choose
/// again whenever the gateway connects, whatever somebody chose since: it is not taken.
package struct MQTTChoice: DeviceDriver {
    package static let info = DriverInfo(
        name: "mqtt-choice", title: "The name of the mould in a press, on an MQTT topic", link: .mqtt,
        // Nobody chooses for weeks; that is no fault.
        family: "desk-factories", silence: .hours(24 * 366))

    package let channels = [Channel("mould", nil, .event)]
    package let subscriptions: [String]

    package init?(_ setup: inout DeviceSetup, _ problems: inout Problems) {
        if setup.takesAnyAddress {
            _ = setup.fields.value("topic")
            subscriptions = ["#"]
            return
        }
        let place = setup.fields.place("topic")
        guard let topic = setup.fields.requiredText("topic", &problems, example: "lab/press/mould") else { return nil }
        guard TopicFilter.isTopic(topic) else {
            problems.add(place, "'\(topic)' is no topic; write it without + and #, such as lab/press/mould")
            return nil
        }
        subscriptions = [topic]
    }

    package mutating func receive(
        _ bytes: borrowing Span<UInt8>, from source: borrowing Source, _ out: inout Outbox
    ) {
        guard !source.isRetained, bytes.count > 0 else { return }
        guard bytes.count <= 256, let range = Self.name(bytes), let word = Self.word(bytes, range) else {
            return out.note(.badValue, "no name of a mould: up to 32 of a-z, 0-9, - and _, or {\"mould\":\"NAME\"}")
        }
        out.report(0, event: word)
    }

    /// Where the name stands: the whole message without blanks around it, or the member `mould` of an object.
    private static func name(_ b: borrowing Span<UInt8>) -> Range<Int>? {
        var start = 0
        var end = b.count
        while start < end, b[start] <= 0x20 { start += 1 }
        while end > start, b[end - 1] <= 0x20 { end -= 1 }
        guard start < end, b[start] == UInt8(ascii: "{") else { return start..<end }
        var found: Range<Int>?
        var scanner = JSONScanner()
        guard scanner.beginObject(b) else { return nil }
        while let key = scanner.nextKey(b) {
            if LineMember.equal(key, member, b), scanner.peek(b) == .string {
                found = scanner.string(b)
            } else {
                scanner.skip(b)
            }
        }
        return scanner.finish(b) ? found : nil
    }

    private static let member = Array("mould".utf8)

    private static func word(_ b: borrowing Span<UInt8>, _ range: Range<Int>) -> String? {
        guard (1...32).contains(range.count) else { return nil }
        var word = ""
        for i in range {
            switch b[i] {
            case 0x61...0x7A, 0x30...0x39, 0x2D, 0x5F: word.unicodeScalars.append(Unicode.Scalar(b[i]))
            default: return nil
            }
        }
        return word
    }
}
