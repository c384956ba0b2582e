import Model

/// Random numbers that are the same for the same seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// What loose cables, full buffers and strangers do to a line.
enum Corruption {
    /// The same line, or one that something happened to.
    static func apply(to line: CaptureLine, _ random: inout SplitMix) -> CaptureLine {
        var line = line
        var bytes = line.receivedBytes
        switch Int.random(in: 0..<8, using: &random) {
        case 0:
            for _ in 0..<Int.random(in: 1...8, using: &random) where !bytes.isEmpty {
                bytes[Int.random(in: bytes.indices, using: &random)] ^= 1 << UInt8.random(in: 0...7, using: &random)
            }
        case 1: bytes.removeLast(bytes.isEmpty ? 0 : Int.random(in: 1...bytes.count, using: &random))
        case 2: bytes.removeFirst(bytes.isEmpty ? 0 : Int.random(in: 1...bytes.count, using: &random))
        case 3: bytes += bytes
        case 4: bytes = noise(&random)
        case 5: bytes.insert(contentsOf: noise(&random), at: Int.random(in: 0...bytes.count, using: &random))
        default: return line
        }
        line.replaceBytes(bytes)
        return line
    }

    static func noise(_ random: inout SplitMix) -> [UInt8] {
        // Half of it of the letters that formats are made of, which come further.
        let letters = Array(#"{}[]":,.-0123456789eE+tfnu\ <>|;*$ONOFF"#.utf8) + [10, 13]
        let isText = Bool.random(using: &random)
        return (0..<Int.random(in: 0...300, using: &random)).map { _ in
            isText ? letters.randomElement(using: &random) ?? 0 : UInt8.random(in: 0...255, using: &random)
        }
    }
}

extension CaptureLine {
    /// What was on the wire.
    var receivedBytes: [UInt8] {
        switch link {
        case .mqtt(_, let payload, _): payload
        case .serial(_, let bytes, _): bytes
        case .http(_, _, .answer(_, let body)): body
        case .http: []
        }
    }

    mutating func replaceBytes(_ bytes: [UInt8]) {
        switch link {
        case .mqtt(let topic, _, let retained): link = .mqtt(topic: topic, payload: bytes, retained: retained)
        case .serial(let port, _, let direction): link = .serial(port: port, bytes: bytes, direction: direction)
        case .http(let device, let path, .answer(let status, _)):
            link = .http(device: device, path: path, .answer(status: status, bytes))
        case .http: break
        }
    }

    /// What the device said on a serial line, cut to pieces; anything else as it is.
    func chunks(of size: Int) -> [CaptureLine] {
        guard case .serial(let port, let bytes, .rx) = link else { return [self] }
        return stride(from: 0, to: bytes.count, by: size).map { start in
            let piece = Array(bytes[start..<min(start + size, bytes.count)])
            return CaptureLine(time: time, .serial(port: port, bytes: piece, direction: .rx))
        }
    }
}
