import Model

/// What STATE says, and the members of an answer that stand in STATE, too.
///
///     {"Time":…,"Uptime":"12T03:44:10","UptimeSec":1050250,"POWER":"ON","Wifi":{…}}
struct TasmotaState {
    var relays = TasmotaRelays()
    /// s since the device started.
    private(set) var uptime: Double?
    private(set) var hasBadUptime = false
    private(set) var hasUnknownWord = false

    /// Takes a whole STATE object.
    mutating func read(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        guard json.beginObject(b) else { return }
        while let key = json.nextKey(b) { readMember(key, &json, b) }
    }

    /// Takes the value of one member.
    mutating func readMember(_ key: Range<Int>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if JSONScanner.equals(key, "UptimeSec", b) {
            uptime = json.number(b)
            hasBadUptime = uptime == nil
            if hasBadUptime { json.skip(b) }
        } else if let number = TasmotaRelays.number(key, b), let word = json.string(b) {
            if let isOn = TasmotaRelays.isOn(word, b) {
                relays.set(number, isOn: isOn)
            } else {
                hasUnknownWord = true
            }
        } else {
            json.skip(b)
        }
    }
}

/// Which relays of a device are on, as far as it has said.
struct TasmotaRelays {
    private var known: UInt32 = 0
    private var on: UInt32 = 0
    /// Every relay that there is has been named.
    private var isComplete = false

    var isEmpty: Bool { known == 0 }

    /// `number` counts from 1; 0 is the only relay of a device, which has no number.
    mutating func set(_ number: Int, isOn: Bool) {
        let bit = Self.bit(number)
        known |= bit
        on = isOn ? on | bit : on & ~bit
        if number == 0 { isComplete = true }
    }

    /// Overlays what was said just now. `isList`: it named all that there are.
    mutating func merge(_ news: TasmotaRelays, isList: Bool) {
        on = on & ~news.known | news.on
        known |= news.known
        isComplete = isComplete || news.isComplete || isList && !news.isEmpty
    }

    /// Whether one relay, or with nil any of them, is on; nil where that is not known.
    func isOn(_ number: Int?) -> Bool? {
        guard let number else { return on != 0 ? true : isComplete ? false : nil }
        return known & Self.bit(number) == 0 ? nil : on & Self.bit(number) != 0
    }

    private static func bit(_ number: Int) -> UInt32 { 1 << UInt32(min(max(number, 1), 32) - 1) }

    /// Reads a relay's name: 0 for `POWER`, n for `POWERn` up to 32; nil for anything else.
    static func number(_ name: Range<Int>, _ b: borrowing Span<UInt8>) -> Int? {
        guard (5...7).contains(name.count), JSONScanner.equals(name.lowerBound..<name.lowerBound + 5, "POWER", b)
        else { return nil }
        var number = 0
        for index in name.lowerBound + 5..<name.upperBound {
            guard (0x30...0x39).contains(b[index]) else { return nil }
            number = number * 10 + Int(b[index] - 0x30)
        }
        return name.count == 5 || (1...32).contains(number) ? number : nil
    }

    /// Reads `ON` or `OFF`.
    static func isOn(_ word: Range<Int>, _ b: borrowing Span<UInt8>) -> Bool? {
        if JSONScanner.equals(word, "ON", b) { return true }
        return JSONScanner.equals(word, "OFF", b) ? false : nil
    }
}
