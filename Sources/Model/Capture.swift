// Raw traffic as a file: what came over a wire, one JSON object a line.
//
//     {"t":"2026-11-23T09:00:00.123Z","via":"mqtt","topic":"tele/laser/SENSOR","payload":"{…}","retain":false}
//     {"t":"2026-11-23T09:00:01.000Z","via":"serial","port":"bus1","dir":"rx","hex":"010404…"}
//     {"t":"2026-11-23T09:00:02.250Z","via":"serial","port":"grbl","dir":"rx","text":"<Idle|MPos:0,0,0>\r\n"}
//     {"t":"2026-11-23T09:00:03.000Z","via":"http","device":"mk4","dir":"tx","path":"/api/v1/status"}
//     {"t":"2026-11-23T09:00:03.080Z","via":"http","device":"mk4","dir":"rx","path":"/api/v1/status","status":200,"payload":"{…}"}
//     {"t":"2026-11-23T09:00:13.000Z","via":"http","device":"mk4","dir":"rx","path":"/api/v1/status","error":"no answer in time"}
//
// `payload` is text, `payload_hex` where it is not UTF-8. `text` holds printable ASCII with CR and LF, `hex` all else.
// `dir`, `retain` and `t` may be left out. Members that are not named here are left alone. Over HTTP `device` is the id of
// the device that is asked; neither its address nor what it was told to let us in is ever written down.

/// One line of a capture.
package struct CaptureLine: Hashable, Sendable {
    /// Who spoke on a serial line.
    package enum Direction: String, CaseIterable, Sendable {
        /// The device.
        case rx
        /// The gateway, or another master that was overheard.
        case tx
    }

    /// The wire, and what was on it.
    package enum Link: Hashable, Sendable {
        case mqtt(topic: String, payload: [UInt8], retained: Bool)
        case serial(port: String, bytes: [UInt8], direction: Direction)
        case http(device: String, path: String, HTTP)
    }

    /// What went over HTTP.
    package enum HTTP: Hashable, Sendable {
        /// The gateway asked.
        case question
        /// A whole answer of any status.
        case answer(status: Int, [UInt8])
        /// None came, and why.
        case noAnswer(String)
    }

    /// When it was heard; nil where the capture does not say.
    package var time: Instant?
    package var link: Link

    package init(time: Instant?, _ link: Link) {
        self.time = time
        self.link = link
    }
}

/// Why a line is no capture line, in words for the person who made the file.
package struct CaptureError: Error, Hashable, CustomStringConvertible {
    package let description: String

    init(_ description: String) { self.description = description }
}

extension CaptureLine {
    package init(parsing line: String) throws(CaptureError) { try self.init(parsing: Array(line.utf8)) }

    /// Reads one line, without or with its line feed.
    package init(parsing line: [UInt8]) throws(CaptureError) {
        guard let json = JSON(line) else {
            throw CaptureError(
                "the line is no JSON; each line of a capture is one object such as "
                    + #"{"via":"mqtt","topic":"tele/laser/LWT","payload":"Online"}"#)
        }
        guard case .object = json else {
            throw CaptureError("the line is JSON but no object; a capture has one object a line")
        }
        time = try Self.time(of: json)
        let via = try Self.text("via", of: json)
        switch via {
        case "mqtt": link = try Self.message(json)
        case "serial": link = try Self.chunk(json)
        case "http": link = try Self.exchange(json)
        case nil: throw CaptureError(#"the line has no "via"; it says which wire: "mqtt", "serial" or "http""#)
        case .some(let other):
            throw CaptureError(#""via" is "\#(other.prefix(40))"; it must be "mqtt", "serial" or "http""#)
        }
    }

    private static func time(of json: JSON) throws(CaptureError) -> Instant? {
        guard let text = try text("t", of: json) else { return nil }
        guard let time = Instant(text) else {
            throw CaptureError(#""t" is "\#(text.prefix(40))"; it must be RFC 3339 such as 2026-11-23T09:00:00.123Z"#)
        }
        return time
    }

    private static func message(_ json: JSON) throws(CaptureError) -> Link {
        guard let topic = try text("topic", of: json), !topic.isEmpty else {
            throw CaptureError(#"the MQTT line has no "topic""#)
        }
        let payload = try bytes(text: "payload", hex: "payload_hex", of: json)
        let retain = json["retain"] ?? .bool(false)
        guard let retained = retain.flag else { throw CaptureError(#""retain" must be true or false"#) }
        return .mqtt(topic: topic, payload: payload, retained: retained)
    }

    private static func chunk(_ json: JSON) throws(CaptureError) -> Link {
        guard let port = try text("port", of: json), !port.isEmpty else {
            throw CaptureError(#"the serial line has no "port", the name of the line that it was heard on"#)
        }
        let bytes = try bytes(text: "text", hex: "hex", of: json)
        return .serial(port: port, bytes: bytes, direction: try direction(json))
    }

    private static func direction(_ json: JSON) throws(CaptureError) -> Direction {
        let word = try text("dir", of: json) ?? "rx"
        guard let direction = Direction(rawValue: word) else {
            throw CaptureError(
                #""dir" is "\#(word.prefix(40))"; it must be "rx" (from the device) or "tx" (to the device)"#)
        }
        return direction
    }

    private static func exchange(_ json: JSON) throws(CaptureError) -> Link {
        guard let device = try text("device", of: json), !device.isEmpty else {
            throw CaptureError(#"the HTTP line has no "device", the id of the device that was asked"#)
        }
        guard let path = try text("path", of: json), path.hasPrefix("/") else {
            throw CaptureError(#"the HTTP line has no "path"; it begins with a slash, such as "/api/v1/status""#)
        }
        if try direction(json) == .tx { return .http(device: device, path: path, .question) }
        if let reason = try text("error", of: json) { return .http(device: device, path: path, .noAnswer(reason)) }
        guard let status = json["status"]?.number, status == status.rounded(), (100...599).contains(status) else {
            throw CaptureError(#"the HTTP answer has no "status" from 100 to 599 (or "error", where none came)"#)
        }
        let hasBody = json["payload"] != nil || json["payload_hex"] != nil
        let body = hasBody ? try bytes(text: "payload", hex: "payload_hex", of: json) : []
        return .http(device: device, path: path, .answer(status: Int(status), body))
    }

    private static func text(_ key: String, of json: JSON) throws(CaptureError) -> String? {
        guard let value = json[key] else { return nil }
        guard let text = value.text else { throw CaptureError(#""\#(key)" must be text"#) }
        return text
    }

    private static func bytes(text: String, hex: String, of json: JSON) throws(CaptureError) -> [UInt8] {
        switch (try self.text(text, of: json), try self.text(hex, of: json)) {
        case (let text?, nil): return Array(text.utf8)
        case (nil, let digits?):
            guard let bytes = Hex.bytes(digits) else {
                throw CaptureError(
                    #""\#(hex)" is no hex; it must be pairs of the digits 0-9 and a-f, without spaces"#)
            }
            return bytes
        case (nil, nil): throw CaptureError(#"the line has neither "\#(text)" nor "\#(hex)""#)
        case (.some, .some): throw CaptureError(#"the line has both "\#(text)" and "\#(hex)"; keep one"#)
        }
    }

    // MARK: writing

    /// The line without its line feed.
    package var bytes: [UInt8] {
        var out: [UInt8] = []
        append(to: &out)
        return out
    }

    /// Writes the line without its line feed.
    package func append(to out: inout [UInt8]) {
        out.append(UInt8(ascii: "{"))
        if let time {
            out.append(contentsOf: #""t":""#.utf8)
            time.appendRFC3339(to: &out)
            out.append(contentsOf: #"","#.utf8)
        }
        switch link {
        case .mqtt(let topic, let payload, let retained):
            out.append(contentsOf: #""via":"mqtt","topic":"#.utf8)
            JSON.append(topic, to: &out)
            let text = String(validating: payload, as: UTF8.self)
            Self.append(payload, text, as: ("payload", "payload_hex"), to: &out)
            out.append(contentsOf: (retained ? #","retain":true}"# : #","retain":false}"#).utf8)
        case .serial(let port, let bytes, let direction):
            out.append(contentsOf: #""via":"serial","port":"#.utf8)
            JSON.append(port, to: &out)
            out.append(contentsOf: #","dir":""#.utf8)
            out.append(contentsOf: direction.rawValue.utf8)
            out.append(UInt8(ascii: "\""))
            let isText = !bytes.isEmpty && bytes.allSatisfy { (0x20...0x7E).contains($0) || $0 == 0x0D || $0 == 0x0A }
            let text = isText ? String(decoding: bytes, as: UTF8.self) : nil
            Self.append(bytes, text, as: ("text", "hex"), to: &out)
            out.append(UInt8(ascii: "}"))
        case .http(let device, let path, let exchange):
            out.append(contentsOf: #""via":"http","device":"#.utf8)
            JSON.append(device, to: &out)
            out.append(contentsOf: (exchange == .question ? #","dir":"tx","path":"# : #","dir":"rx","path":"#).utf8)
            JSON.append(path, to: &out)
            Self.append(exchange, to: &out)
            out.append(UInt8(ascii: "}"))
        }
    }

    private static func append(_ exchange: HTTP, to out: inout [UInt8]) {
        switch exchange {
        case .question: break
        case .answer(let status, let body):
            out.append(contentsOf: #","status":\#(status)"#.utf8)
            guard !body.isEmpty else { return }
            append(body, String(validating: body, as: UTF8.self), as: ("payload", "payload_hex"), to: &out)
        case .noAnswer(let reason):
            out.append(contentsOf: #","error":"#.utf8)
            JSON.append(reason, to: &out)
        }
    }

    private static func append(
        _ bytes: [UInt8], _ text: String?, as keys: (text: String, hex: String), to out: inout [UInt8]
    ) {
        out.append(UInt8(ascii: ","))
        JSON.append(text == nil ? keys.hex : keys.text, to: &out)
        out.append(UInt8(ascii: ":"))
        JSON.append(text ?? Hex.text(bytes), to: &out)
    }
}

/// Bytes as pairs of hex digits, as captures and register maps show them.
package enum Hex {
    /// nil where the text is anything but pairs of hex digits, in either case.
    package static func bytes(_ text: String) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count % 2 == 0 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digits.count / 2)
        for index in stride(from: 0, to: digits.count, by: 2) {
            guard let high = value(digits[index]), let low = value(digits[index + 1]) else { return nil }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    /// Two lower-case digits a byte.
    package static func text(_ bytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count * 2)
        for byte in bytes {
            text.append(digits[Int(byte >> 4)])
            text.append(digits[Int(byte & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x37
        case 0x61...0x66: digit - 0x57
        default: nil
        }
    }
}
