import Model

/// An attribute that a device may publish, with what it means here.
struct ZigbeeAttribute {
    let name: String
    let channel: String
    /// From the bridge's unit to the channel's.
    let scale: Double
    let unit: Unit

    /// In the order of the channels. Energy comes in kWh.
    static let measured: [ZigbeeAttribute] = [
        ZigbeeAttribute(name: "power", channel: "power", scale: 1, unit: .watt),
        ZigbeeAttribute(name: "voltage", channel: "voltage", scale: 1, unit: .volt),
        ZigbeeAttribute(name: "current", channel: "current", scale: 1, unit: .ampere),
        ZigbeeAttribute(name: "ac_frequency", channel: "frequency", scale: 1, unit: .hertz),
        ZigbeeAttribute(name: "power_factor", channel: "power_factor", scale: 1, unit: .one),
        ZigbeeAttribute(name: "energy", channel: "energy", scale: 1e6, unit: .milliwattHour),
        ZigbeeAttribute(name: "produced_energy", channel: "energy.export", scale: 1e6, unit: .milliwattHour),
        ZigbeeAttribute(name: "device_temperature", channel: "temperature", scale: 1, unit: .celsius),
    ]
    /// `measured`, and after them the relay.
    static let relay = measured.count
}

/// What one state message says.
struct ZigbeeMessage {
    var values = InlineArray<8, Said>(repeating: .nothing)
    var relay = Said.nothing
    var linkQuality = Said.nothing
    /// When the bridge last heard the device; nil where it does not write it, or where that cannot be true.
    var lastSeen: Instant?
    private(set) var hasBadTime = false
    private(set) var isObject = false

    /// Takes the whole message. `names` are those of `ZigbeeAttribute.measured` and of the relay; `scales` where the
    /// bridge has told another unit than the usual one.
    mutating func read(
        _ names: [[UInt8]], _ scales: InlineArray<8, Double?>, _ json: inout JSONScanner, _ b: borrowing Span<UInt8>
    ) {
        guard json.beginObject(b) else { return }
        isObject = true
        while let key = json.nextKey(b) {
            if JSONScanner.equals(key, "linkquality", b) {
                linkQuality = .read(&json, b)
            } else if JSONScanner.equals(key, "last_seen", b) {
                readTime(&json, b)
            } else if let index = Self.index(key, names, b) {
                if index == ZigbeeAttribute.relay {
                    relay = Self.readSwitch(&json, b)
                } else {
                    let attribute = ZigbeeAttribute.measured[index]
                    values[index] = .read(
                        &json, b, times: scales[index] ?? attribute.scale, isWhole: attribute.unit == .milliwattHour)
                }
            } else {
                json.skip(b)
            }
        }
    }

    /// Takes what stands on an attribute's own topic: a bare number, a bare word, or nothing for `null`.
    mutating func read(
        attribute name: [UInt8], _ names: [[UInt8]], _ scales: InlineArray<8, Double?>, _ b: borrowing Span<UInt8>
    ) {
        isObject = true
        var json = JSONScanner()
        if name == Self.linkQualityName {
            linkQuality = .readAll(b)
        } else if name == Self.lastSeenName {
            guard !b.isEmpty else { return }
            // A time in words comes without its quotes.
            let isNumber = json.number(b).map { setTime(milliseconds: $0) } != nil && json.finish(b)
            if !isNumber { setTime(b.count <= 40 ? JSONScanner.text(b.indices, b) : nil) }
        } else if let index = names.firstIndex(of: name) {
            if index == ZigbeeAttribute.relay {
                relay = b.isEmpty ? .unknown : Self.relay(b.indices, b)
                return
            }
            guard !b.isEmpty else { return values[index] = .unknown }
            let attribute = ZigbeeAttribute.measured[index]
            let said = Said.read(
                &json, b, times: scales[index] ?? attribute.scale, isWhole: attribute.unit == .milliwattHour)
            values[index] = json.finish(b) ? said : .unusable
        }
    }

    private static let linkQualityName = Array("linkquality".utf8)
    private static let lastSeenName = Array("last_seen".utf8)

    static func index(_ key: Range<Int>, _ names: [[UInt8]], _ b: borrowing Span<UInt8>) -> Int? {
        for index in names.indices where names[index].count == key.count {
            var place = 0
            while place < key.count, names[index][place] == b[key.lowerBound + place] { place += 1 }
            if place == key.count { return index }
        }
        return nil
    }

    private static func readSwitch(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) -> Said {
        guard let word = json.string(b) else {
            if json.null(b) { return .unknown }
            json.skip(b)
            return .unusable
        }
        return relay(word, b)
    }

    private static func relay(_ word: Range<Int>, _ b: borrowing Span<UInt8>) -> Said {
        if JSONScanner.equals(word, "ON", b) { return .number(1) }
        return JSONScanner.equals(word, "OFF", b) ? .number(0) : .unusable
    }

    /// `"2026-08-12T05:30:05.114Z"`, the same with an offset, or milliseconds since 1970.
    private mutating func readTime(_ json: inout JSONScanner, _ b: borrowing Span<UInt8>) {
        if let milliseconds = json.number(b) {
            setTime(milliseconds: milliseconds)
        } else if let text = json.string(b) {
            setTime(text.count <= 40 ? JSONScanner.text(text, b) : nil)
        } else if !json.null(b) {
            json.skip(b)
            hasBadTime = true
        }
    }

    private mutating func setTime(_ words: String?) { setTime(words.flatMap { Instant($0) }) }

    private mutating func setTime(milliseconds: Double) {
        setTime(
            (0...4_102_444_800_000).contains(milliseconds) ? Instant(milliseconds: Int64(milliseconds)) : nil)
    }

    private mutating func setTime(_ time: Instant?) {
        // Before 2020 the bridge's clock was not set.
        lastSeen = time.flatMap { $0.milliseconds < 1_577_836_800_000 ? nil : $0 }
        hasBadTime = lastSeen == nil
    }
}
